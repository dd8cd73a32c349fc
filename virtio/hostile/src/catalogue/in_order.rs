//! Lies of a device that agreed to keep the order of buffers.

use super::lie;
use crate::Outcome::Break;
use crate::{Act, DeviceConfig, Format, Layer, Lie, Role, UsedEntries};
use virtio::spec::feature::VIRTIO_F_IN_ORDER;

const fn used(
    name: &'static str,
    rule: &'static str,
    role: Role,
    tell: fn(&mut UsedEntries),
) -> Lie {
    lie(
        name,
        "In-order use of descriptors",
        rule,
        Break,
        Layer::Queue,
        Act::Used(role, tell),
    )
    .made(offer)
}

fn offer(config: &mut DeviceConfig) {
    config.offered = config.offered.with(VIRTIO_F_IN_ORDER);
}

pub(super) const LIES: &[Lie] = &[
    used(
        "in-order-goes-back",
        "buffers are used in the order in which they were made available",
        Role::Transmit,
        |u| u.entries[0].0 = (u.entries[0].0 + u32::from(u.size) - 1) % u32::from(u.size),
    ),
    used(
        "in-order-batch-beyond-index",
        "the index moves by the size of the batch",
        Role::Receive,
        |u| u.entries[0].0 = (u.entries[0].0 + 1) % u32::from(u.size),
    )
    .only(Format::Split),
];
