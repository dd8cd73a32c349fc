//! Lies that only a packed ring has room for.

use super::{lie, withhold};
use crate::Outcome::{self, *};
use crate::{Act, Format, Layer, Lie, Role, UsedEntries};
use virtio::spec::feature::VIRTIO_F_EVENT_IDX;
use virtio::spec::ring::packed::{desc, event};

const EVENTS: &str = "Event Suppression Structure Format";
const WRAP: &str = "Driver and Device Ring Wrap Counters";
const RING: &str = "Packed Virtqueues";

const fn used(
    name: &'static str,
    section: &'static str,
    rule: &'static str,
    outcome: Outcome,
    role: Role,
    tell: fn(&mut UsedEntries),
) -> Lie {
    let act = Act::Used(role, tell);
    lie(name, section, rule, outcome, Layer::Driver, act).only(Format::Packed)
}

/// An offset beyond the largest ring.
const BEYOND: u16 = !event::WRAP;

pub(super) const LIES: &[Lie] = &[
    // In either case nothing seems to be used at the place where the driver looks.
    used(
        "used-wrap-counter-wrong",
        WRAP,
        "a used descriptor has the device's wrap counter",
        Reset,
        Role::Transmit,
        |u| u.flags = desc::F_AVAIL | desc::F_USED,
    ),
    used(
        "used-descriptor-left-out",
        RING,
        "used descriptors are written in the order of the ring",
        Reset,
        Role::Transmit,
        |u| u.skipped = 1,
    ),
    used(
        "used-flags-stray",
        RING,
        "flags without a meaning in a used descriptor are 0",
        Ignore,
        Role::Receive,
        |u| u.flags = !(desc::F_AVAIL | desc::F_USED | desc::F_WRITE),
    ),
    used(
        "used-write-flag-missing",
        RING,
        "WRITE is set in the used descriptor of a buffer that was written",
        Ignore,
        Role::Receive,
        |u| u.flags = desc::F_WRITE,
    ),
    lie(
        "event-offset-beyond-ring",
        EVENTS,
        "an event offset lies in the ring",
        Ignore,
        Layer::Driver,
        Act::Event {
            word: BEYOND,
            flags: event::F_DESC,
        },
    )
    .only(Format::Packed),
    lie(
        "event-descriptor-unasked",
        EVENTS,
        "one descriptor is waited for only with EVENT_IDX",
        Ignore,
        Layer::Queue,
        Act::Event {
            word: BEYOND,
            flags: event::F_DESC,
        },
    )
    .only(Format::Packed)
    .made(|c| withhold(c, &[VIRTIO_F_EVENT_IDX])),
];
