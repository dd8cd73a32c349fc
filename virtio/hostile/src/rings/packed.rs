//! The packed ring's part.

use std::sync::atomic::Ordering;

use vm_memory::{Bytes, GuestAddress};

use super::UsedEntries;
use virtio::spec::ring::packed::{desc, event};
use virtio::transport::in_process::RingView;

/// A place in the ring and the wrap counter that belongs to it.
#[derive(Clone, Copy)]
struct Place {
    at: u16,
    wrap: bool,
}

impl Place {
    fn of(word: u16) -> Self {
        Self {
            at: word & !event::WRAP,
            wrap: word & event::WRAP != 0,
        }
    }

    fn plus(self, count: u16, size: u16) -> Self {
        let on = self.at + count % (2 * size);
        let laps = on / size;
        Self {
            at: on % size,
            wrap: self.wrap ^ !laps.is_multiple_of(2),
        }
    }

    fn field(self, ring: &RingView<'_>, offset: usize) -> GuestAddress {
        let at = usize::from(self.at) * desc::SIZE + offset;
        GuestAddress(ring.desc.0 + at as u64)
    }
}

/// Writes used descriptors as `lie` has them, for the buffers in `used` and what it adds to
/// them; how many descriptors further the device goes on.
pub(super) fn write_used(ring: &RingView<'_>, used: &[(u16, u32)], lie: &UsedEntries) -> u16 {
    let mut moved = lie.skipped;
    for (i, &(id, len)) in lie.entries.iter().enumerate() {
        let place = Place::of(ring.next_used).plus(moved, ring.size);
        let written = if len > 0 { desc::F_WRITE } else { 0 };
        let shown = match place.wrap {
            true => desc::F_AVAIL | desc::F_USED,
            false => 0,
        };
        let flags = (written | shown) ^ lie.flags;
        let at = |offset| place.field(ring, offset);
        let memory = ring.memory;
        let _ = memory.store(len.to_le(), at(desc::LEN), Ordering::Relaxed);
        let _ = memory.store((id as u16).to_le(), at(desc::ID), Ordering::Relaxed);
        let _ = memory.store(flags.to_le(), at(desc::FLAGS), Ordering::Release);
        moved += used.get(i).map_or(1, |&(id, _)| ring.held[usize::from(id)]);
    }
    moved
}

/// An id that the driver has not made available.
pub(super) fn idle_id(ring: &RingView<'_>) -> u32 {
    let waiting: Vec<u16> = (0..ring.size)
        .map(|ahead| Place::of(ring.next_avail).plus(ahead, ring.size))
        .take_while(|&place| is_available(ring, place))
        .map(|place| word(ring, place, desc::ID))
        .collect();
    let idle = |id: &u16| ring.held[usize::from(*id)] == 0 && !waiting.contains(id);
    u32::from((0..ring.size).find(idle).unwrap_or(ring.size))
}

fn is_available(ring: &RingView<'_>, place: Place) -> bool {
    let flags = word(ring, place, desc::FLAGS);
    let (avail, used) = (flags & desc::F_AVAIL != 0, flags & desc::F_USED != 0);
    avail == place.wrap && used != place.wrap
}

fn word(ring: &RingView<'_>, place: Place, offset: usize) -> u16 {
    let word = ring
        .memory
        .load(place.field(ring, offset), Ordering::Acquire);
    word.map_or(0, u16::from_le)
}

/// Where the descriptor lies that is used next. In the hands of a device that uses buffers as
/// they come it is that of the buffer.
pub(super) fn next_used(ring: &RingView<'_>) -> GuestAddress {
    Place::of(ring.next_used).field(ring, 0)
}

/// Overwrites the address in the descriptor that is used next.
pub(super) fn overwrite_address(ring: &RingView<'_>) {
    let at = Place::of(ring.next_used).field(ring, desc::ADDR);
    let _ = ring.memory.write_obj(0xfffe_fffe_fffe_fffe_u64, at);
}
