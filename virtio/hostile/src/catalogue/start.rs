//! Lies that a driver meets when it starts: queues, features, configuration.

use super::{lie, withhold};
use crate::Outcome::{self, *};
use crate::{Act, Format, Layer, Lie, Registers};
use virtio::net::FeatureSet;
use virtio::spec::feature::*;
use virtio::spec::net::config::{S_ANNOUNCE, S_LINK_UP};
use virtio::spec::net::feature::*;
use virtio::transport::in_process::DeviceConfig;

const CONFIG: &str = "Device configuration layout";
const VQ_CONFIG: &str = "Virtqueue Configuration";
const FEATURES: &str = "Feature Bits";

const fn made(
    name: &'static str,
    section: &'static str,
    rule: &'static str,
    outcome: Outcome,
    made: fn(&mut DeviceConfig),
) -> Lie {
    lie(name, section, rule, outcome, Layer::Start, Act::Made).made(made)
}

pub(super) const LIES: &[Lie] = &[
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
        Refuse,
        |c| c.queue_sizes[2] = 0,
    ),
    made(
        "control-queue-of-one",
        VQ_CONFIG,
        "a control queue has room for a command",
        Refuse,
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
    )
    .only(Format::Split),
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
        |c| c.queue_count = Some(1),
    ),
    made(
        "control-queue-beyond-count",
        VQ_CONFIG,
        "num_queues covers the control queue",
        Refuse,
        |c| c.queue_count = Some(2),
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
    made(
        "max-pairs-beyond-limit",
        CONFIG,
        "max_virtqueue_pairs is at most 0x8000",
        Ignore,
        |c| {
            c.max_pairs = 0x8001;
            c.offered = c.offered.with(VIRTIO_NET_F_MQ);
        },
    ),
    made(
        "max-pairs-beyond-queues",
        VQ_CONFIG,
        "num_queues covers all pairs and the control queue",
        Refuse,
        |c| {
            c.max_pairs = 4;
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
            // Bit 30 is reserved for ever; all ones would be a device that is gone. The packed
            // ring is no lie: it is offered where it was.
            let other = !(1 << 4 | 1 << VIRTIO_F_RING_PACKED);
            c.offered = FeatureSet(c.offered.0 | other);
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
        "mac-multicast",
        CONFIG,
        "mac is not a group address",
        Adapt,
        |c| c.mac = [1, 0, 0x5e, 0, 0, 1],
    ),
    made("mac-zero", CONFIG, "mac is an address", Adapt, |c| {
        c.mac = [0; 6]
    }),
    made(
        "status-unknown-bits",
        CONFIG,
        "undefined bits of status are 0",
        Ignore,
        |c| c.status = 0xffff,
    ),
    made(
        "announce-unasked",
        CONFIG,
        "ANNOUNCE is set only with GUEST_ANNOUNCE",
        Ignore,
        |c| c.status = S_LINK_UP | S_ANNOUNCE,
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
];
