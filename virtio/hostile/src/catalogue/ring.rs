//! Lies of the rings: used entries, overwritten memory, doorbells and interrupts.

use super::lie;
use crate::Outcome::{self, *};
use crate::{Act, Format, Interrupts, Layer, Lie, Overwrite, Registers, Role, UsedEntries};
use virtio::spec::ring::packed::event;

const USED_RING: &str = "The Virtqueue Used Ring";

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

pub(super) const LIES: &[Lie] = &[
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
    )
    .only(Format::Split),
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
    )
    .only(Format::Split),
    used(
        "used-idx-runs-backwards",
        "the index never moves back",
        Break,
        Role::Receive,
        |u| u.idx = u.idx.wrapping_sub(2),
    )
    .only(Format::Split),
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
    Lie {
        layer: Layer::Driver,
        ..used(
            "used-len-beyond-written",
            "len is what was written",
            Ignore,
            Role::Receive,
            |u| u.entries[0].1 += 100,
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
    )
    .only(Format::Split),
    lie(
        "used-entry-ahead",
        USED_RING,
        "entries are written before the index moves, and no others",
        Ignore,
        Layer::Queue,
        Act::Overwrite(Overwrite::NextUsed),
    )
    .only(Format::Split),
    lie(
        "transmit-buffer-overwritten",
        "The Virtqueue Descriptor Table",
        "the device does not write what it may only read",
        Ignore,
        Layer::Driver,
        Act::Overwrite(Overwrite::TransmitBuffers),
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
            event_flags: event::F_DISABLE,
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
            event_flags: u16::MAX,
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
        "interrupt-refused",
        "MSI-X Vector Configuration",
        "a vector that exists is given to the queue that asks for it",
        Refuse,
        Layer::Driver,
        Act::Registers(Registers::InterruptsRefused),
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
];
