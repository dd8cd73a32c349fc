//! § *Packed Virtqueues*, driver side.
//!
//! One ring of descriptors that both sides write. A descriptor's two flags, compared with a
//! wrap counter that flips each time round, say whose it is: available when `AVAIL` is the
//! driver's counter and `USED` is not, used when both are the device's.

use std::sync::atomic::Ordering;

use super::virtqueue::{Part, SlotLayout};
use super::{DeviceFault, QueueSize, RingFeatures, RingLayout, SlotId, event_idx};
use crate::mem::{DmaSlice, Iova, OutOfRegion};
use crate::spec::ring::packed::{desc, event};
use crate::sync::fence;

/// A position in the ring and the wrap counter that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    at: u16,
    wrap: bool,
}

impl Cursor {
    /// Both counters begin at 1 (§ *Driver and Device Ring Wrap Counters*).
    const START: Self = Self { at: 0, wrap: true };

    /// The position `count` descriptors on, at most once round a ring of `size`.
    #[inline]
    fn plus(self, count: u16, size: QueueSize) -> Self {
        let on = u32::from(self.at) + u32::from(count);
        let size = u32::from(size.get());
        if on >= size {
            Self {
                at: (on - size) as u16,
                wrap: !self.wrap,
            }
        } else {
            Self {
                at: on as u16,
                wrap: self.wrap,
            }
        }
    }

    /// As an event word writes it: 15 bits of offset, one of wrap counter.
    fn word(self) -> u16 {
        self.at | u16::from(self.wrap) << 15
    }

    /// The flags of a descriptor that is available here.
    #[inline]
    fn available(self) -> u16 {
        if self.wrap {
            desc::F_AVAIL
        } else {
            desc::F_USED
        }
    }

    /// Whether a descriptor with these flags, found here, is used.
    #[inline]
    fn is_used(self, flags: u16) -> bool {
        let expected = if self.wrap {
            desc::F_AVAIL | desc::F_USED
        } else {
            0
        };
        flags & (desc::F_AVAIL | desc::F_USED) == expected
    }
}

/// The ring and the two structures by which each side says when it wants to be told.
#[derive(Debug)]
pub(super) struct PackedRing {
    ring: DmaSlice,
    driver_event: DmaSlice,
    device_event: DmaSlice,
    size: QueueSize,
    event_idx: bool,
    slots: Iova,
    stride: u64,
    parts: Box<[Part]>,
    /// Where the next buffer is made available.
    avail: Cursor,
    /// The first descriptor of the batch being added, and its flags, which publish it.
    withheld: Option<(u16, u16)>,
    /// Buffers of the batch being added.
    staged_count: u16,
    /// Buffers, and descriptors, published since the last decision to ring the doorbell.
    unkicked_count: u16,
    unkicked_descs: u16,
    /// Where the next buffer is used.
    used: Cursor,
}

impl PackedRing {
    /// Checks that `slots` lie in memory; descriptors are written as buffers are added.
    pub(super) fn new(
        memory: &DmaSlice,
        size: QueueSize,
        features: RingFeatures,
        slots: &DmaSlice,
        layout: SlotLayout<'_>,
    ) -> Result<Self, OutOfRegion> {
        let at = RingLayout::packed(size);
        for slot in 0..layout.slot_count(size) {
            let memory = layout.slot(slots, slot)?;
            for part in layout.parts {
                memory.slice(part.offset, part.len as usize)?;
            }
        }
        Ok(Self {
            ring: memory.slice(at.desc, usize::from(size.get()) * desc::SIZE)?,
            driver_event: memory.slice(at.driver, event::SIZE)?,
            device_event: memory.slice(at.device, event::SIZE)?,
            size,
            event_idx: features.event_idx,
            slots: slots.iova(),
            stride: layout.stride as u64,
            parts: layout.parts.into(),
            avail: Cursor::START,
            withheld: None,
            staged_count: 0,
            unkicked_count: 0,
            unkicked_descs: 0,
            used: Cursor::START,
        })
    }

    /// Descriptor, driver and device area.
    pub(super) fn areas(&self) -> [Iova; 3] {
        [
            self.ring.iova(),
            self.driver_event.iova(),
            self.device_event.iova(),
        ]
    }

    /// Writes the descriptors of a slot, whose buffer is to have `id`. All flags are written but those of the batch's first
    /// descriptor: the device stops there, and looks at nothing behind it.
    #[inline]
    pub(super) fn add(&mut self, slot: SlotId, id: u16, len: Option<u32>) {
        let base = self.slots.0 + u64::from(slot.0) * self.stride;
        let last = self.parts.len() - 1;
        for i in 0..self.parts.len() {
            let part = self.parts[i];
            let len = len.filter(|_| i == 0).unwrap_or(part.len);
            let write = if part.device_writes { desc::F_WRITE } else { 0 };
            let next = if i < last { desc::F_NEXT } else { 0 };
            let flags = write | next | self.avail.available();
            self.write_desc(base + part.offset as u64, len, id, flags);
            self.avail = self.avail.plus(1, self.size);
        }
        self.staged_count += 1;
    }

    #[inline]
    fn write_desc(&mut self, addr: u64, len: u32, id: u16, flags: u16) {
        let at = usize::from(self.avail.at) * desc::SIZE;
        self.ring
            .store_u64(at + desc::ADDR, addr, Ordering::Relaxed);
        self.ring.store_u32(at + desc::LEN, len, Ordering::Relaxed);
        self.ring.store_u16(at + desc::ID, id, Ordering::Relaxed);
        if self.withheld.is_none() {
            self.withheld = Some((self.avail.at, flags));
        } else {
            self.ring
                .store_u16(at + desc::FLAGS, flags, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn publish(&mut self) {
        let Some((first, flags)) = self.withheld.take() else {
            return;
        };
        // § Driver Requirements: The Virtqueue Descriptor Ring: the release makes the batch
        // visible before the flags that make it available. The device loads them with acquire.
        self.ring.store_u16(
            usize::from(first) * desc::SIZE + desc::FLAGS,
            flags,
            Ordering::Release,
        );
        self.unkicked_count += self.staged_count;
        self.unkicked_descs += self.staged_count * self.descs_per_slot();
        self.staged_count = 0;
    }

    #[inline]
    pub(super) fn unkicked_count(&self) -> u16 {
        self.unkicked_count
    }

    /// Behind the last descriptor that the device sees: what was added since begins there.
    #[inline]
    pub(super) fn position(&self) -> u16 {
        let published = self.withheld.map(|(at, flags)| Cursor {
            at,
            wrap: flags & desc::F_AVAIL != 0,
        });
        published.unwrap_or(self.avail).word()
    }

    /// Whether the device wants to be told of what was published since it was last asked.
    #[inline]
    pub(super) fn wants_kick(&mut self) -> bool {
        let moved = self.unkicked_descs;
        self.mark_kicked();
        // § Available Buffer Notification Suppression: the flags that published the batch must
        // be visible before the device's request is read. The device does the opposite.
        fence(Ordering::SeqCst);
        let request = self.device_event.load_u32(0, Ordering::Relaxed);
        let (word, flags) = (request as u16, (request >> 16) as u16 & event::FLAGS_MASK);
        match flags {
            event::F_DISABLE => false,
            event::F_DESC if self.event_idx => self.passes(word, moved),
            _ => true,
        }
    }

    /// Whether the last `moved` descriptors published include the one that `word` names.
    #[inline]
    fn passes(&self, word: u16, moved: u16) -> bool {
        let (offset, wrap) = (word & !event::WRAP, word & event::WRAP != 0);
        let new = self.avail.at;
        let event = if wrap == self.avail.wrap {
            offset
        } else {
            offset.wrapping_sub(self.size.get())
        };
        event_idx::passes(event, new, new.wrapping_sub(moved))
    }

    pub(super) fn mark_kicked(&mut self) {
        self.unkicked_count = 0;
        self.unkicked_descs = 0;
    }

    /// Id and length of the next used descriptor, if there is one. With nothing visible to the
    /// device, whatever it wrote names a buffer that it does not have.
    #[inline]
    pub(super) fn next_used(&mut self, _visible: u16) -> Result<Option<(u32, u32)>, DeviceFault> {
        let used = self.peek_used();
        if used.is_some() {
            self.pass_used(1);
        }
        Ok(used)
    }

    /// The same, without going on.
    #[inline]
    pub(super) fn peek_used(&self) -> Option<(u32, u32)> {
        let at = usize::from(self.used.at) * desc::SIZE;
        // § Driver Requirements: The Virtqueue Descriptor Ring: acquire, so that the length and
        // the buffer are read after the flags. Id and flags are one load.
        let id_flags = self.ring.load_u32(at + desc::ID, Ordering::Acquire);
        let (id, flags) = (id_flags as u16, (id_flags >> 16) as u16);
        if !self.used.is_used(flags) {
            return None;
        }
        // By the specification the length is void without F_WRITE; QEMU (10.0) never sets that
        // flag, so it is the buffer that says whether the device wrote.
        let len = self.ring.load_u32(at + desc::LEN, Ordering::Relaxed);
        Some((id.into(), len))
    }

    /// Goes `count` buffers on.
    #[inline]
    pub(super) fn pass_used(&mut self, count: u16) {
        self.used = self.used.plus(count * self.descs_per_slot(), self.size);
    }

    /// Whether anything is used that was not taken back.
    pub(super) fn has_used(&self) -> bool {
        self.shows_used(self.used)
    }

    /// The slot that has `id`.
    #[inline]
    pub(super) fn slot_of(&self, id: u32) -> Result<SlotId, DeviceFault> {
        let size = self.slot_count();
        if id >= u32::from(size) {
            return Err(DeviceFault::UsedIdOutOfRange { id, size });
        }
        Ok(SlotId(id as u16))
    }

    /// Asks for an interrupt at the `count`-th buffer from now, the last of the ring at most;
    /// whether so many are there.
    pub(super) fn arm(&mut self, count: u16, _visible: u16) -> Result<bool, DeviceFault> {
        let ahead = (count - 1).min(self.slot_count().saturating_sub(1));
        let awaited = self.used.plus(ahead * self.descs_per_slot(), self.size);
        let flags = if self.event_idx {
            event::F_DESC
        } else {
            event::F_ENABLE
        };
        self.ask(awaited.word(), flags);
        // § Used Buffer Notification Suppression: the request must be visible before the last
        // look. The device does the opposite: it stores flags and then reads the request.
        fence(Ordering::SeqCst);
        // A device may show a batch from its end; there is nothing to take before its beginning.
        Ok(self.shows_used(awaited) && self.has_used())
    }

    fn shows_used(&self, at: Cursor) -> bool {
        let flags = usize::from(at.at) * desc::SIZE + desc::FLAGS;
        at.is_used(self.ring.load_u16(flags, Ordering::Acquire))
    }

    #[inline]
    pub(super) fn disarm(&self) {
        self.ask(0, event::F_DISABLE);
    }

    /// Offset and flags in one store, so that the device never sees half of each.
    #[inline]
    fn ask(&self, word: u16, flags: u16) {
        let request = u32::from(word) | u32::from(flags) << 16;
        self.driver_event.store_u32(0, request, Ordering::Relaxed);
    }

    #[inline]
    fn slot_count(&self) -> u16 {
        self.size.get() / self.descs_per_slot()
    }

    #[inline]
    fn descs_per_slot(&self) -> u16 {
        self.parts.len() as u16
    }
}

#[cfg(test)]
mod tests;
