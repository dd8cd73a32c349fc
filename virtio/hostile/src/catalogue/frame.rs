//! Lies about frames that arrive: how many buffers they have, and what their header says.

use super::{lie, withhold};
use crate::Outcome::{self, *};
use crate::frames::{TCP4_HEADERS, arp, partial, segmented, tcp4};
use crate::{Act, Delivery, Layer, Lie};
use virtio::net::{HashReport, VirtioNetHdr};
use virtio::spec::net::feature::*;
use virtio::spec::net::header::*;

const INCOMING: &str = "Processing of Incoming Packets";

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

/// A frame without a request, `len` bytes long.
fn plain(len: usize) -> Delivery {
    let mut frame = arp(3);
    frame.resize(len, 0);
    Delivery::new(VirtioNetHdr::default(), &frame)
}

const RECEIVE_OFFLOADS: &[u32] = &[
    VIRTIO_NET_F_GUEST_CSUM,
    VIRTIO_NET_F_GUEST_TSO4,
    VIRTIO_NET_F_GUEST_TSO6,
    VIRTIO_NET_F_GUEST_ECN,
    VIRTIO_NET_F_GUEST_USO4,
    VIRTIO_NET_F_GUEST_USO6,
];

pub(super) const LIES: &[Lie] = &[
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
        // So many that a driver which waits for the missing buffers loses patience.
        || vec![plain(60).counted(u16::MAX); 20],
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
    lie(
        "hash-type-not-enabled",
        "Hash reporting for incoming packets",
        "a hash is of a type that was enabled",
        Drop,
        Layer::Driver,
        Act::Frames(|| {
            let with_home_addresses = HashReport {
                value: 0x1234,
                report: 7,
            };
            vec![plain(60).hashed(with_home_addresses)]
        }),
    )
    .made(|c| c.offered = c.offered.with(VIRTIO_NET_F_HASH_REPORT)),
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
        "gso-without-partial-checksum",
        "a segmented frame has NEEDS_CSUM",
        Drop,
        || {
            let whole = VirtioNetHdr {
                flags: 0,
                ..segmented()
            };
            vec![Delivery::new(whole, &tcp4(4000))]
        },
    ),
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
                    ..segmented()
                },
                &tcp4(4000),
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
        || vec![Delivery::new(segmented(), &tcp4(4000)[..TCP4_HEADERS - 1])],
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
];
