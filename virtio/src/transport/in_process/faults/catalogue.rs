//! All the lies.

use super::super::DeviceConfig;
use super::frames::{arp, partial, segmented, tcp4};
use super::{
    Act, Answer, Delivery, Interrupts, Layer, Lie, Outcome, Overwrite, Registers, Role, UsedEntries,
};
use crate::net::FeatureSet;
use crate::net::VirtioNetHdr;
use crate::spec::feature::*;
use crate::spec::net::feature::*;
use crate::spec::net::header::*;
use Outcome::*;

const fn lie(
    name: &'static str,
    section: &'static str,
    rule: &'static str,
    outcome: Outcome,
    layer: Layer,
    act: Act,
) -> Lie {
    Lie {
        name,
        section,
        rule,
        outcome,
        layer,
        made: |_| {},
        act,
    }
}

impl Lie {
    const fn made(self, made: fn(&mut DeviceConfig)) -> Self {
        Self { made, ..self }
    }
}

const USED_RING: &str = "The Virtqueue Used Ring";
const INCOMING: &str = "Processing of Incoming Packets";
const CONFIG: &str = "Device configuration layout";
const VQ_CONFIG: &str = "Virtqueue Configuration";
const FEATURES: &str = "Feature Bits";
const CONTROL: &str = "Control Virtqueue";

const fn used(
    name: &'static str,
    rule: &'static str,
    outcome: Outcome,
    role: Role,
    tell: fn(&mut UsedEntries),
) -> Lie {
    lie(
        name,
        USED_RING,
        rule,
        outcome,
        Layer::Queue,
        Act::Used(role, tell),
    )
}

const fn frames(
    name: &'static str,
    rule: &'static str,
    outcome: Outcome,
    frames: fn() -> Vec<Delivery>,
) -> Lie {
    lie(
        name,
        INCOMING,
        rule,
        outcome,
        Layer::Driver,
        Act::Frames(frames),
    )
}

const fn made(
    name: &'static str,
    section: &'static str,
    rule: &'static str,
    outcome: Outcome,
    made: fn(&mut DeviceConfig),
) -> Lie {
    lie(name, section, rule, outcome, Layer::Start, Act::Made).made(made)
}

/// Every lie, by the part of the device that tells it.
pub const CATALOGUE: &[Lie] = &[
    // The used ring.
    used(
        "used-id-beyond-table",
        "an id is below the queue size",
        Break,
        Role::Receive,
        |u| u.entries[0].0 = u32::from(u.size),
    ),
    used(
        "used-id-wider-than-an-index",
        "the upper half of an id is 0",
        Break,
        Role::Receive,
        |u| u.entries[0].0 |= 0x1_0000,
    ),
    used(
        "used-id-never-given",
        "an id names a buffer that was made available",
        Break,
        Role::Transmit,
        |u| u.entries[0].0 = u.idle_id,
    ),
    used(
        "used-id-twice",
        "a buffer is used once",
        Break,
        Role::Receive,
        |u| {
            u.entries.push(u.entries[0]);
            u.idx = u.idx.wrapping_add(1);
        },
    ),
    used(
        "used-id-inside-a-chain",
        "an id names the head of a chain",
        Break,
        Role::Control,
        |u| u.entries[0].0 += 1,
    ),
    used(
        "used-idx-jumps",
        "the index moves by the entries written",
        Break,
        Role::Receive,
        |u| u.idx = u.idx.wrapping_add(u.size),
    ),
    used(
        "used-idx-runs-backwards",
        "the index never moves back",
        Break,
        Role::Receive,
        |u| u.idx = u.idx.wrapping_sub(2),
    ),
    used(
        "used-len-beyond-buffer",
        "len is at most what the buffer holds",
        Drop,
        Role::Receive,
        |u| u.entries[0].1 = u32::MAX,
    ),
    used(
        "used-len-on-transmit",
        "len is 0 where nothing can be written",
        Ignore,
        Role::Transmit,
        |u| u.entries[0].1 = u32::MAX,
    ),
    used(
        "used-len-on-control",
        "len of a command is that of its answer",
        Ignore,
        Role::Control,
        |u| u.entries[0].1 = 0x8000_0000,
    ),
    Lie {
        layer: Layer::Driver,
        ..used(
            "used-len-below-header",
            "a received buffer holds at least a header",
            Drop,
            Role::Receive,
            |u| u.entries[0].1 = 11,
        )
    },
    // What the driver has written and does not read again.
    lie(
        "desc-next-overwritten",
        "The Virtqueue Descriptor Table",
        "the device does not write descriptors",
        Ignore,
        Layer::Queue,
        Act::Overwrite(Overwrite::DescNext),
    ),
    lie(
        "avail-entries-overwritten",
        "The Virtqueue Available Ring",
        "the device does not write the available ring",
        Ignore,
        Layer::Queue,
        Act::Overwrite(Overwrite::AvailEntries),
    ),
    // Doorbells and interrupts.
    lie(
        "doorbell-never-wanted",
        "Available Buffer Notification Suppression",
        "a device that looks no more asks for the doorbell",
        Ignore,
        Layer::Driver,
        Act::Suppression {
            flags: u16::MAX,
            behind: 1,
        },
    ),
    lie(
        "used-flags-unknown",
        "The Virtqueue Used Ring",
        "unknown bits of used.flags are 0",
        Ignore,
        Layer::Queue,
        Act::Suppression {
            flags: 0xfffe,
            behind: 0,
        },
    ),
    lie(
        "interrupt-before-start",
        "Device Initialization",
        "no interrupt comes before DRIVER_OK",
        Ignore,
        Layer::Driver,
        Act::Interrupts(Interrupts::Early),
    ),
    lie(
        "interrupt-storm",
        "Used Buffer Notification Suppression",
        "no interrupt comes when nothing was used",
        Ignore,
        Layer::Driver,
        Act::Interrupts(Interrupts::Storm),
    ),
    lie(
        "interrupt-never",
        "Used Buffer Notifications",
        "an interrupt comes when one was asked for",
        Ignore,
        Layer::Driver,
        Act::Interrupts(Interrupts::Never),
    ),
    // How many buffers a frame has.
    frames(
        "num-buffers-zero",
        "a frame has at least one buffer",
        Drop,
        || vec![plain(60).counted(0)],
    ),
    frames(
        "num-buffers-more-than-came",
        "all buffers of a frame are used together",
        Drop,
        || vec![plain(60).counted(2)],
    ),
    frames(
        "num-buffers-more-than-exist",
        "num_buffers is at most the queue size",
        Drop,
        || vec![plain(60).counted(u16::MAX)],
    ),
    frames(
        "num-buffers-without-mergeable",
        "num_buffers is 1 without MRG_RXBUF",
        Ignore,
        || vec![plain(60).counted(7)],
    )
    .made(|c| withhold(c, &[VIRTIO_NET_F_MRG_RXBUF])),
    frames(
        "merged-buffer-not-full",
        "every buffer of a frame but the last is full",
        Drop,
        || vec![plain(1000).filling(100)],
    ),
    frames(
        "merged-frame-too-large",
        "no frame is larger than the largest segmented one",
        Drop,
        || vec![Delivery::new(segmented(), &tcp4(70_000))],
    )
    .made(|c| c.queue_sizes[0] = 1024),
    // What a header says of its frame.
    frames(
        "frame-shorter-than-ethernet",
        "a frame has an Ethernet header",
        Drop,
        || vec![plain(13)],
    ),
    frames(
        "frame-empty",
        "a header has a frame behind it",
        Drop,
        || vec![plain(0)],
    ),
    frames(
        "frame-larger-than-mtu",
        "a frame without segmentation fits the MTU",
        Drop,
        || vec![plain(14 + 4 + 1501)],
    ),
    frames("flags-unknown", "undefined flags are 0", Ignore, || {
        vec![Delivery::new(
            VirtioNetHdr {
                flags: 0xf0,
                ..Default::default()
            },
            &arp(9),
        )]
    }),
    frames(
        "csum-not-accepted",
        "NEEDS_CSUM only with GUEST_CSUM",
        Drop,
        || vec![Delivery::new(partial(), &tcp4(100))],
    )
    .made(|c| withhold(c, RECEIVE_OFFLOADS)),
    frames(
        "csum-beyond-frame",
        "the checksum lies within the frame",
        Drop,
        || {
            vec![Delivery::new(
                VirtioNetHdr {
                    csum_offset: 152,
                    ..partial()
                },
                &tcp4(133),
            )]
        },
    ),
    frames(
        "csum-sum-wraps",
        "csum_start and csum_offset add up within the frame",
        Drop,
        || {
            vec![Delivery::new(
                VirtioNetHdr {
                    csum_start: 0xfff0,
                    csum_offset: 0x32,
                    ..partial()
                },
                &tcp4(100),
            )]
        },
    ),
    frames(
        "csum-start-in-link-header",
        "csum_start lies behind the Ethernet header",
        Drop,
        || {
            vec![Delivery::new(
                VirtioNetHdr {
                    csum_start: 10,
                    ..partial()
                },
                &tcp4(100),
            )]
        },
    ),
    frames(
        "csum-offset-not-of-tcp",
        "csum_offset of a TCP segmentation is that of TCP",
        Drop,
        || {
            vec![Delivery::new(
                VirtioNetHdr {
                    csum_offset: 6,
                    ..segmented()
                },
                &tcp4(4000),
            )]
        },
    ),
    frames("gso-size-zero", "segments have bytes", Drop, || {
        vec![Delivery::new(
            VirtioNetHdr {
                gso_size: 0,
                ..segmented()
            },
            &tcp4(4000),
        )]
    }),
    frames(
        "gso-type-unknown",
        "gso_type is a defined one",
        Drop,
        || {
            vec![Delivery::new(
                VirtioNetHdr {
                    gso_type: 2,
                    ..segmented()
                },
                &tcp4(4000),
            )]
        },
    ),
    frames(
        "gso-type-not-accepted",
        "gso_type only with its GUEST feature",
        Drop,
        || vec![Delivery::new(segmented(), &tcp4(1000))],
    )
    .made(|c| {
        withhold(
            c,
            &[
                VIRTIO_NET_F_GUEST_TSO4,
                VIRTIO_NET_F_GUEST_TSO6,
                VIRTIO_NET_F_GUEST_ECN,
            ],
        )
    }),
    frames(
        "gso-ecn-not-accepted",
        "ECN only with GUEST_ECN",
        Drop,
        || {
            vec![Delivery::new(
                VirtioNetHdr {
                    gso_type: GSO_TCPV4 | GSO_ECN,
                    ..segmented()
                },
                &tcp4(4000),
            )]
        },
    )
    .made(|c| withhold(c, &[VIRTIO_NET_F_GUEST_ECN])),
    frames(
        "gso-ecn-alone",
        "ECN only with a segmentation",
        Drop,
        || {
            vec![Delivery::new(
                VirtioNetHdr {
                    gso_type: GSO_ECN,
                    ..partial()
                },
                &tcp4(100),
            )]
        },
    ),
    frames(
        "gso-of-other-family",
        "gso_type agrees with the network protocol",
        Drop,
        || {
            vec![Delivery::new(
                VirtioNetHdr {
                    gso_type: GSO_TCPV6,
                    ..segmented()
                },
                &tcp4(4000),
            )]
        },
    ),
    frames(
        "gso-of-other-transport",
        "gso_type agrees with the transport protocol",
        Drop,
        || {
            let mut frame = tcp4(4000);
            frame[14 + 9] = 17;
            vec![Delivery::new(segmented(), &frame)]
        },
    ),
    frames(
        "gso-headers-beyond-frame",
        "a segmented frame holds its headers",
        Drop,
        || vec![Delivery::new(segmented(), &tcp4(4000)[..48])],
    ),
    frames(
        "hdr-len-beyond-frame",
        "hdr_len is at most the frame",
        Ignore,
        || {
            vec![Delivery::new(
                VirtioNetHdr {
                    hdr_len: u16::MAX,
                    ..segmented()
                },
                &tcp4(4000),
            )]
        },
    ),
    lie(
        "header-changes-while-read",
        INCOMING,
        "a used buffer is not written again",
        Drop,
        Layer::Driver,
        Act::Flicker,
    ),
    frames(
        "flood-of-tiny-frames",
        "frames arrive no faster than a link allows",
        Ignore,
        || (0..5000).map(|_| plain(14)).collect(),
    ),
    // Queues.
    made(
        "receive-queue-absent",
        VQ_CONFIG,
        "there is a receive queue",
        Refuse,
        |c| c.queue_sizes[0] = 0,
    ),
    made(
        "transmit-queue-absent",
        VQ_CONFIG,
        "there is a transmit queue",
        Refuse,
        |c| c.queue_sizes[1] = 0,
    ),
    made(
        "control-queue-absent",
        VQ_CONFIG,
        "CTRL_VQ comes with a control queue",
        Adapt,
        |c| c.queue_sizes[2] = 0,
    ),
    made(
        "control-queue-of-one",
        VQ_CONFIG,
        "a control queue has room for a command",
        Adapt,
        |c| c.queue_sizes[2] = 1,
    ),
    made(
        "queue-size-no-power-of-two",
        VQ_CONFIG,
        "a split queue's size is a power of two",
        Adapt,
        |c| {
            c.queue_sizes[0] = 100;
        },
    ),
    made(
        "queue-size-beyond-limit",
        VQ_CONFIG,
        "a queue's size is at most 32768",
        Adapt,
        |c| {
            c.queue_sizes[0] = u16::MAX;
        },
    ),
    made(
        "queues-too-few",
        VQ_CONFIG,
        "num_queues covers a pair",
        Refuse,
        |c| c.queue_sizes.truncate(1),
    ),
    made(
        "control-queue-beyond-count",
        VQ_CONFIG,
        "num_queues covers the control queue",
        Adapt,
        |c| {
            c.queue_sizes.truncate(2);
        },
    ),
    made(
        "max-pairs-zero",
        CONFIG,
        "max_virtqueue_pairs is at least 1",
        Ignore,
        |c| {
            c.max_pairs = 0;
            c.offered = c.offered.with(VIRTIO_NET_F_MQ);
        },
    ),
    // Features.
    made(
        "version-1-missing",
        "Reserved Feature Bits",
        "a modern device offers VERSION_1",
        Refuse,
        |c| {
            withhold(c, &[VIRTIO_F_VERSION_1]);
        },
    ),
    made(
        "access-platform-missing",
        "Reserved Feature Bits",
        "a device behind an IOMMU offers ACCESS_PLATFORM",
        Refuse,
        |c| withhold(c, &[VIRTIO_F_ACCESS_PLATFORM]),
    ),
    made(
        "feature-without-its-need",
        "Feature bit requirements",
        "a feature is offered with what it needs",
        Adapt,
        |c| {
            withhold(
                c,
                &[
                    VIRTIO_NET_F_CSUM,
                    VIRTIO_NET_F_GUEST_CSUM,
                    VIRTIO_NET_F_CTRL_VQ,
                ],
            );
        },
    ),
    made(
        "features-undefined",
        FEATURES,
        "undefined features are not offered",
        Ignore,
        |c| {
            // Bit 30 is reserved for ever; all ones would be a device that is gone.
            c.offered = FeatureSet(!(1 << 4));
        },
    ),
    lie(
        "features-refused",
        "Device Initialization",
        "a device agrees to a subset of its offer",
        Refuse,
        Layer::Start,
        Act::Registers(Registers::FeaturesRefused),
    ),
    lie(
        "features-change-at-reset",
        FEATURES,
        "a device offers the same after a reset",
        Adapt,
        Layer::Driver,
        Act::Reset(|c| {
            withhold(
                c,
                &[
                    VIRTIO_NET_F_MRG_RXBUF,
                    VIRTIO_F_EVENT_IDX,
                    VIRTIO_NET_F_HOST_TSO4,
                ],
            )
        }),
    ),
    // Configuration.
    lie(
        "generation-never-stable",
        "Device Configuration Space",
        "the generation stays while nothing changes",
        Refuse,
        Layer::Start,
        Act::Registers(Registers::GenerationMoves),
    ),
    made(
        "config-too-short",
        CONFIG,
        "a field exists if its feature is offered",
        Ignore,
        |c| c.config_len = 6,
    ),
    made("mtu-too-small", CONFIG, "mtu is at least 68", Refuse, |c| {
        c.mtu = 67
    }),
    made(
        "mtu-too-large",
        CONFIG,
        "mtu is one that the device's frames can have",
        Adapt,
        |c| c.mtu = u16::MAX,
    ),
    lie(
        "mtu-changes",
        CONFIG,
        "mtu does not change",
        Ignore,
        Layer::Driver,
        Act::Change(|c| c.mtu = 100),
    ),
    made(
        "mac-multicast",
        CONFIG,
        "mac is not a group address",
        Adapt,
        |c| c.mac = [1, 0, 0x5e, 0, 0, 1],
    ),
    made("mac-zero", CONFIG, "mac is an address", Adapt, |c| {
        c.mac = [0; 6]
    }),
    lie(
        "mac-changes",
        CONFIG,
        "mac changes only by command",
        Ignore,
        Layer::Driver,
        Act::Change(|c| c.mac = [2, 2, 2, 2, 2, 2]),
    ),
    made(
        "status-unknown-bits",
        CONFIG,
        "undefined bits of status are 0",
        Ignore,
        |c| c.status = 0xffff,
    ),
    made(
        "speed-absurd",
        CONFIG,
        "speed is at most 0x7fffffff or unknown",
        Adapt,
        |c| c.speed = 0xffff_fffe,
    ),
    made(
        "duplex-undefined",
        CONFIG,
        "duplex is 0, 1 or unknown",
        Adapt,
        |c| c.duplex = 0x5a,
    ),
    // Commands.
    lie(
        "ack-undefined",
        CONTROL,
        "an answer is OK or ERR",
        Fail,
        Layer::Control,
        Act::Answer(Answer::Byte(0x77)),
    ),
    lie(
        "ack-not-written",
        CONTROL,
        "an answer is written",
        Fail,
        Layer::Control,
        Act::Answer(Answer::Nothing),
    ),
    lie(
        "ack-always-error",
        CONTROL,
        "a valid command succeeds",
        Fail,
        Layer::Control,
        Act::Answer(Answer::Error),
    ),
    lie(
        "ack-never",
        CONTROL,
        "a command is answered",
        TimeOut,
        Layer::Control,
        Act::Answer(Answer::Never),
    ),
    // The device as a whole.
    lie(
        "reset-never-ends",
        "Device Reset",
        "status becomes 0",
        TimeOut,
        Layer::Start,
        Act::Registers(Registers::ResetNeverEnds),
    ),
    lie(
        "all-ones",
        "Device Status Field",
        "a device that is there has a status",
        Gone,
        Layer::Start,
        Act::Registers(Registers::AllOnes),
    ),
    lie(
        "needs-reset",
        "Device Status Field",
        "a device works",
        Reset,
        Layer::Driver,
        Act::DemandReset { always: false },
    ),
    lie(
        "needs-reset-for-ever",
        "Device Status Field",
        "a device works after a reset",
        Gone,
        Layer::Driver,
        Act::DemandReset { always: true },
    ),
    lie(
        "transmit-stalls",
        "Packet Transmission",
        "a frame to be sent is used in the end",
        Reset,
        Layer::Driver,
        Act::Stall(Role::Transmit),
    ),
    lie(
        "receive-stalls",
        INCOMING,
        "a frame that arrived is given to the driver",
        Ignore,
        Layer::Driver,
        Act::Stall(Role::Receive),
    ),
];

const RECEIVE_OFFLOADS: &[u32] = &[
    VIRTIO_NET_F_GUEST_CSUM,
    VIRTIO_NET_F_GUEST_TSO4,
    VIRTIO_NET_F_GUEST_TSO6,
    VIRTIO_NET_F_GUEST_ECN,
    VIRTIO_NET_F_GUEST_USO4,
    VIRTIO_NET_F_GUEST_USO6,
];

fn withhold(config: &mut DeviceConfig, bits: &[u32]) {
    config.offered = config.offered.without(FeatureSet::of(bits));
}

/// A frame without a request, `len` bytes long.
fn plain(len: usize) -> Delivery {
    let mut frame = arp(3);
    frame.resize(len, 0);
    Delivery::new(VirtioNetHdr::default(), &frame)
}
