//! What a lying device writes into rings.

mod packed;

use std::sync::atomic::Ordering;

use vm_memory::{Bytes, GuestAddress};

use super::{Overwrite, UsedEntries};
use virtio::spec::ring::{avail, desc, used};
use virtio::transport::in_process::RingView;

/// Says something else of the buffers that were used, by changing what would be written; how far
/// the device goes on.
pub(super) fn complete_falsely(
    ring: &RingView<'_>,
    used: &[(u16, u32)],
    tell: fn(&mut UsedEntries),
) -> u16 {
    let first = ring.next_used;
    let mut lie = UsedEntries {
        entries: used.iter().map(|&(id, len)| (u32::from(id), len)).collect(),
        idx: first.wrapping_add(used.len() as u16),
        flags: 0,
        skipped: 0,
        size: ring.size,
        idle_id: match ring.packed {
            true => packed::idle_id(ring),
            false => idle_head(ring),
        },
    };
    tell(&mut lie);
    if ring.packed {
        return packed::write_used(ring, used, &lie);
    }
    for (i, &(id, len)) in lie.entries.iter().enumerate() {
        write_used(ring, first.wrapping_add(i as u16), id, len);
    }
    let at = offset(ring.device, used::IDX);
    let _ = ring.memory.store(lie.idx.to_le(), at, Ordering::Release);
    lie.idx.wrapping_sub(first)
}

/// Writes one entry of the used ring without moving the index.
fn write_used(ring: &RingView<'_>, at: u16, id: u32, len: u32) {
    let position = usize::from(at % ring.size);
    let entry = offset(ring.device, used::RING + position * used::ENTRY_SIZE);
    let _ = ring.memory.write_obj(id.to_le(), entry);
    let _ = ring
        .memory
        .write_obj(len.to_le(), offset(entry, used::ENTRY_LEN));
}

/// A head that the driver has not made available.
fn idle_head(ring: &RingView<'_>) -> u32 {
    let given = driver_word(ring, avail::IDX);
    let waiting = given.wrapping_sub(ring.next_avail);
    let waiting: Vec<u16> = (0..waiting)
        .map(|ahead| ring.next_avail.wrapping_add(ahead) % ring.size)
        .map(|at| avail::RING + usize::from(at) * avail::ENTRY_SIZE)
        .map(|offset| driver_word(ring, offset))
        .collect();
    let idle = |head: &u16| ring.held[usize::from(*head)] == 0 && !waiting.contains(head);
    u32::from((0..ring.size).find(idle).unwrap_or(ring.size))
}

/// Overwrites what the driver wrote of a buffer that was just taken. Nothing here is read
/// again before the driver has written it anew.
pub(super) fn overwrite(ring: &RingView<'_>, what: Overwrite, head: u16) {
    match what {
        _ if ring.packed => {}
        Overwrite::DescNext => overwrite_next(ring, head),
        Overwrite::AvailEntries => {
            let seen = ring.next_avail.wrapping_sub(1) % ring.size;
            let entry = avail::RING + usize::from(seen) * avail::ENTRY_SIZE;
            let _ = ring
                .memory
                .write_obj(0xfffe_u16, offset(ring.driver, entry));
        }
        Overwrite::NextUsed | Overwrite::TransmitBuffers => {}
    }
}

fn overwrite_next(ring: &RingView<'_>, index: u16) {
    let at = offset(ring.desc, usize::from(index) * desc::SIZE);
    let flags = ring.memory.load(offset(at, desc::FLAGS), Ordering::Relaxed);
    if flags.map_or(0, u16::from_le) & desc::F_NEXT == 0 {
        let _ = ring.memory.write_obj(0xfffe_u16, offset(at, desc::NEXT));
    }
}

/// Fills the first stretch of buffers that the driver has only lent for reading.
pub(super) fn overwrite_buffers(ring: &RingView<'_>, used: &[(u16, u32)]) {
    for &(id, _) in used {
        let at = match ring.packed {
            true => packed::next_used(ring),
            false => offset(ring.desc, usize::from(id) * desc::SIZE),
        };
        let addr: u64 = ring.memory.read_obj(at).unwrap_or(0);
        let len: u32 = ring.memory.read_obj(offset(at, desc::LEN)).unwrap_or(0);
        let junk = vec![0xee; u32::from_le(len).min(0x1_0000) as usize];
        let _ = ring
            .memory
            .write_slice(&junk, GuestAddress(u64::from_le(addr)));
    }
}

/// Writes an entry of a split ring's used ring that means nothing yet.
pub(super) fn write_ahead(ring: &RingView<'_>) {
    if !ring.packed {
        write_used(ring, ring.next_used, u32::MAX, u32::MAX);
    }
}

/// As [`overwrite`] in a packed ring, whose descriptors the device reads until the buffer is used: then
/// it overwrites what is not its own to write.
pub(super) fn overwrite_at_use(ring: &RingView<'_>, what: Overwrite) {
    if ring.packed && what == Overwrite::DescNext {
        packed::overwrite_address(ring);
    }
}

/// Writes an event suppression structure.
pub(super) fn ask_for_doorbells(ring: &RingView<'_>, word: u16, flags: u16) {
    if ring.packed {
        let request = u32::from(word) | u32::from(flags) << 16;
        let at = ring.device;
        let _ = ring.memory.store(request.to_le(), at, Ordering::Relaxed);
    }
}

/// Writes the words by which the device of a split ring asks for doorbells.
pub(super) fn suppress(ring: &RingView<'_>, flags: u16, behind: u16) {
    if ring.packed {
        return;
    }
    let event_at = used::RING + usize::from(ring.size) * used::ENTRY_SIZE;
    let event = ring.next_avail.wrapping_sub(behind);
    for (value, at) in [(flags, used::FLAGS), (event, event_at)] {
        let at = offset(ring.device, at);
        let _ = ring.memory.store(value.to_le(), at, Ordering::Relaxed);
    }
}

fn driver_word(ring: &RingView<'_>, at: usize) -> u16 {
    let word = ring.memory.load(offset(ring.driver, at), Ordering::Relaxed);
    word.map_or(0, u16::from_le)
}

fn offset(base: GuestAddress, bytes: usize) -> GuestAddress {
    GuestAddress(base.0 + bytes as u64)
}
