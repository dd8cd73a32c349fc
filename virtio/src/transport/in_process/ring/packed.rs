//! § *Packed Virtqueues*, device side.
//!
//! Positions count descriptors from the beginning and never wrap; offset and wrap counter are
//! read off them. The driver's half in `queue/packed.rs` counts otherwise: neither is made of
//! the other, so that a mistake in one shows.

use std::sync::atomic::{Ordering, fence};

use virtio_queue::desc::{packed, split};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use super::super::check::Violation;
use super::Memory;
use crate::queue::RingFeatures;
use crate::spec::ring::packed::{desc, event};
use crate::transport::QueueSetup;

#[derive(Debug)]
pub(super) struct PackedRing {
    ring: GuestAddress,
    driver_event: GuestAddress,
    device_event: GuestAddress,
    size: u64,
    event_idx: bool,
    /// Where the next buffer is made available, and used.
    avail: u64,
    used: u64,
    /// `used` at the last decision to interrupt.
    signalled: u64,
    /// Up to where the device has looked at buffers; it may have put some back.
    looked: u64,
}

impl PackedRing {
    pub(super) fn new(
        setup: &QueueSetup,
        features: RingFeatures,
        memory: &Memory,
    ) -> Result<Self, Violation> {
        let size = usize::from(setup.size.get());
        let areas = [
            (setup.desc.0, desc::ALIGN, size * desc::SIZE),
            (setup.driver.0, event::ALIGN, event::SIZE),
            (setup.device.0, event::ALIGN, event::SIZE),
        ];
        let fits = |&(at, align, len): &(u64, usize, usize)| {
            at != 0 && at % align as u64 == 0 && memory.check_range(GuestAddress(at), len)
        };
        if !areas.iter().all(fits) {
            let what = format!(
                "queue {} lies outside mapped memory: {setup:x?}",
                setup.index
            );
            return Err(Violation::new("Virtqueue Configuration", what));
        }
        Ok(Self {
            ring: GuestAddress(setup.desc.0),
            driver_event: GuestAddress(setup.driver.0),
            device_event: GuestAddress(setup.device.0),
            size: size as u64,
            event_idx: features.event_idx,
            avail: 0,
            used: 0,
            signalled: 0,
            looked: 0,
        })
    }

    pub(super) fn next_avail(&self) -> u16 {
        self.word(self.avail)
    }

    pub(super) fn next_used(&self) -> u16 {
        self.word(self.used)
    }

    /// § *Driver and Device Ring Wrap Counters*: 1 on the first lap, then the other each time.
    fn wrap(&self, position: u64) -> bool {
        (position / self.size).is_multiple_of(2)
    }

    /// Offset and wrap counter of a position.
    fn word(&self, position: u64) -> u16 {
        let wrap = if self.wrap(position) { event::WRAP } else { 0 };
        (position % self.size) as u16 | wrap
    }

    fn field(&self, position: u64, offset: usize) -> GuestAddress {
        GuestAddress(self.ring.0 + position % self.size * desc::SIZE as u64 + offset as u64)
    }

    /// The flags of the descriptor at `position`, if the driver has made it available.
    fn available(&self, memory: &Memory, position: u64) -> Option<u16> {
        let flags = memory.load(self.field(position, desc::FLAGS), Ordering::Acquire);
        let flags = flags.map_or(0, u16::from_le);
        let (avail, used) = (flags & desc::F_AVAIL != 0, flags & desc::F_USED != 0);
        (avail == self.wrap(position) && used != avail).then_some(flags)
    }

    /// Whether the descriptor before `word` is available, or was.
    pub(super) fn has_up_to(&self, memory: &Memory, word: u16) -> bool {
        match self.distance(self.avail, word) {
            0 => true,
            ahead if ahead > self.size => true,
            ahead => self.available(memory, self.avail + ahead - 1).is_some(),
        }
    }

    /// The next buffer that the driver has made available, or what is wrong.
    pub(super) fn take<'m>(
        &mut self,
        memory: &'m Memory,
    ) -> Result<Option<PackedChain<'m>>, String> {
        let start = self.avail;
        self.looked = start;
        if self.available(memory, start).is_none() {
            return Ok(None);
        }
        let end = self.end_of(memory, start)?;
        let id = memory.load(self.field(end - 1, desc::ID), Ordering::Relaxed);
        (self.avail, self.looked) = (end, end);
        Ok(Some(PackedChain {
            memory,
            ring: self.ring,
            size: self.size,
            next: start,
            end,
            id: id.map_or(0, u16::from_le),
        }))
    }

    /// Where the buffer ends that begins at `start`.
    fn end_of(&self, memory: &Memory, start: u64) -> Result<u64, &'static str> {
        for end in start..self.used + self.size {
            let flags = self.available(memory, end);
            let flags = flags.ok_or("only the beginning of a buffer is available")?;
            if flags & desc::F_INDIRECT != 0 {
                return Err("an indirect descriptor was not agreed on");
            }
            if flags & desc::F_NEXT == 0 {
                return Ok(end + 1);
            }
        }
        Err("more is available than the ring holds")
    }

    /// Gives back the last buffer taken, which has `descs` descriptors.
    pub(super) fn put_back(&mut self, _id: u16, descs: u16) {
        self.avail -= u64::from(descs);
    }

    /// Hands `(id, bytes written)` back to the driver; `held` has the descriptors of each. The
    /// flags of the first are written last: the driver looks at nothing behind it before.
    pub(super) fn complete(&mut self, memory: &Memory, used: &[(u16, u32)], held: &[u16]) {
        let mut withheld = None;
        for &(id, len) in used {
            let at = self.used;
            let flags = self.write_used(memory, id, len);
            match withheld {
                None => withheld = Some((at, flags)),
                Some(_) => {
                    let _ = memory.store(flags, self.field(at, desc::FLAGS), Ordering::Relaxed);
                }
            }
            self.used += u64::from(held[usize::from(id)]);
        }
        if let Some((at, flags)) = withheld {
            let _ = memory.store(flags, self.field(at, desc::FLAGS), Ordering::Release);
        }
    }

    /// Writes all but the flags of a used descriptor, which are the answer.
    fn write_used(&self, memory: &Memory, id: u16, len: u32) -> u16 {
        let at = self.used;
        let _ = memory.store(len.to_le(), self.field(at, desc::LEN), Ordering::Relaxed);
        let _ = memory.store(id.to_le(), self.field(at, desc::ID), Ordering::Relaxed);
        let written = if len > 0 { desc::F_WRITE } else { 0 };
        let shown = match self.wrap(at) {
            true => desc::F_AVAIL | desc::F_USED,
            false => 0,
        };
        (written | shown).to_le()
    }

    /// Hands buffers back by one descriptor, which names the last and stands where that of the
    /// first would (§ *In-order use of descriptors*).
    pub(super) fn complete_batch(&mut self, memory: &Memory, used: &[(u16, u32)], held: &[u16]) {
        let Some(&(id, len)) = used.last() else {
            return;
        };
        let flags = self.write_used(memory, id, len);
        let at = self.field(self.used, desc::FLAGS);
        let _ = memory.store(flags, at, Ordering::Release);
        let spans = used.iter().map(|&(id, _)| u64::from(held[usize::from(id)]));
        self.used += spans.sum::<u64>();
    }

    /// Goes on `moved` descriptors further, which somebody else has written.
    pub(super) fn go_on(&mut self, moved: u16) {
        self.used += u64::from(moved);
        self.signalled = self.used;
    }

    /// § *Event Suppression Structure Format*: whether the driver wants to be told of what was
    /// used since it was last asked.
    pub(super) fn wants_interrupt(&mut self, memory: &Memory) -> bool {
        let old = std::mem::replace(&mut self.signalled, self.used);
        if old == self.used {
            return false;
        }
        fence(Ordering::SeqCst);
        let request = memory.load(self.driver_event, Ordering::Relaxed);
        let request = request.map_or(0, u32::from_le);
        let (word, flags) = (request as u16, (request >> 16) as u16 & event::FLAGS_MASK);
        match flags {
            event::F_DISABLE => false,
            event::F_DESC if self.event_idx => self.distance(old, word) < self.used - old,
            _ => true,
        }
    }

    /// How far behind `position` the next one lies that an event word names.
    fn distance(&self, position: u64, word: u16) -> u64 {
        let (offset, wrap) = (u64::from(word & !event::WRAP), word & event::WRAP != 0);
        let two_laps = 2 * self.size;
        let named = if wrap { offset } else { offset + self.size };
        (named + two_laps - position % two_laps) % two_laps
    }

    fn ask(&self, memory: &Memory, word: u16, flags: u16) {
        let request = u32::from(word) | u32::from(flags) << 16;
        let _ = memory.store(request.to_le(), self.device_event, Ordering::Relaxed);
    }

    pub(super) fn disable_doorbell(&mut self, memory: &Memory) {
        self.ask(memory, 0, event::F_DISABLE);
    }

    pub(super) fn enable_doorbell(&mut self, memory: &Memory) -> bool {
        let flags = match self.event_idx {
            true => event::F_DESC,
            false => event::F_ENABLE,
        };
        self.ask(memory, self.word(self.looked), flags);
        fence(Ordering::SeqCst);
        self.available(memory, self.looked).is_some()
    }
}

/// A buffer of the driver.
#[derive(Clone, Debug)]
pub(in super::super) struct PackedChain<'m> {
    memory: &'m Memory,
    ring: GuestAddress,
    size: u64,
    /// Descriptors that are still to come.
    next: u64,
    end: u64,
    id: u16,
}

impl PackedChain<'_> {
    pub(super) fn id(&self) -> u16 {
        self.id
    }

    pub(super) fn memory(&self) -> &Memory {
        self.memory
    }

    /// Descriptors that are still to come.
    pub(super) fn len(&self) -> u16 {
        (self.end - self.next) as u16
    }
}

impl Iterator for PackedChain<'_> {
    type Item = split::Descriptor;

    fn next(&mut self) -> Option<split::Descriptor> {
        if self.next == self.end {
            return None;
        }
        let at = self.ring.0 + self.next % self.size * desc::SIZE as u64;
        let read: packed::Descriptor = self.memory.read_obj(GuestAddress(at)).ok()?;
        self.next += 1;
        let flags = read.flags() & (desc::F_NEXT | desc::F_WRITE);
        Some(split::Descriptor::new(read.addr().0, read.len(), flags, 0))
    }
}
