//! § *Split Virtqueues*, driver side.

use std::sync::atomic::Ordering;

use super::virtqueue::{Part, SlotLayout};
use super::{DeviceFault, QueueSize, RingFeatures, RingLayout, SlotId, event_idx};
use crate::mem::{DmaSlice, DmaTable, Iova, OutOfRegion};
use crate::spec::ring::{avail, desc, used};
use crate::sync::fence;

/// Descriptor table, available ring and used ring. Slot k has descriptors of its own, which
/// are written once.
#[derive(Debug)]
pub(super) struct SplitRing {
    desc: DmaSlice,
    avail: DmaSlice,
    avail_entries: DmaTable<{ avail::ENTRY_SIZE }>,
    used: DmaSlice,
    used_entries: DmaTable<{ used::ENTRY_SIZE }>,
    size: QueueSize,
    event_idx: bool,
    descs_per_slot: u16,
    /// For each slot the length that its first descriptor says. Storing the same again would take
    /// the cache line from a device that is another processor, for nothing.
    lens: Box<[u32]>,
    /// Next available index to fill; what lies between it and `published_idx` is not yet seen
    /// by the device.
    avail_idx: u16,
    published_idx: u16,
    /// Available index at the last decision to ring the doorbell.
    kicked_idx: u16,
    /// Next used index to look at, and the device's index when last read.
    used_idx: u16,
    device_used_idx: u16,
}

impl SplitRing {
    /// Writes the descriptor table for `slots`.
    pub(super) fn new(
        memory: &DmaSlice,
        size: QueueSize,
        features: RingFeatures,
        slots: &DmaSlice,
        layout: SlotLayout<'_>,
    ) -> Result<Self, OutOfRegion> {
        let at = RingLayout::split(size);
        let descs_per_slot = layout.descs_per_slot();
        let avail = memory.slice(at.driver, RingLayout::avail_len(size))?;
        let used = memory.slice(at.device, RingLayout::used_len(size))?;
        let ring = Self {
            desc: memory.slice(at.desc, usize::from(size.get()) * desc::SIZE)?,
            avail_entries: DmaTable::new(&avail, avail::RING, size.get())?,
            avail,
            used_entries: DmaTable::new(&used, used::RING, size.get())?,
            used,
            size,
            event_idx: features.event_idx,
            descs_per_slot,
            lens: vec![
                layout.parts.first().map_or(0, |part| part.len);
                usize::from(layout.slot_count(size))
            ]
            .into(),
            avail_idx: 0,
            published_idx: 0,
            kicked_idx: 0,
            used_idx: 0,
            device_used_idx: 0,
        };
        for slot in 0..layout.slot_count(size) {
            ring.describe(
                slot * descs_per_slot,
                &layout.slot(slots, slot)?,
                layout.parts,
            )?;
        }
        Ok(ring)
    }

    /// Descriptor, driver and device area.
    pub(super) fn areas(&self) -> [Iova; 3] {
        [self.desc.iova(), self.avail.iova(), self.used.iova()]
    }

    #[inline]
    pub(super) fn add(&mut self, slot: SlotId, len: Option<u32>) {
        let head = slot.0 * self.descs_per_slot;
        if let Some(len) = len
            && std::mem::replace(&mut self.lens[usize::from(slot.0)], len) != len
        {
            let at = usize::from(head) * desc::SIZE + desc::LEN;
            self.desc.store_u32(at, len, Ordering::Relaxed);
        }
        self.offer(head);
    }

    /// Makes the chain available that begins at `head`.
    #[inline]
    pub(super) fn offer(&mut self, head: u16) {
        self.avail_entries.store_u16(self.avail_idx, head);
        self.avail_idx = self.avail_idx.wrapping_add(1);
    }

    #[inline]
    pub(super) fn publish(&mut self) {
        // § Updating idx: the release makes descriptors and ring entries visible first. The
        // device loads idx with acquire before it reads them.
        self.avail
            .store_u16(avail::IDX, self.avail_idx, Ordering::Release);
        self.published_idx = self.avail_idx;
    }

    #[inline]
    pub(super) fn unkicked_count(&self) -> u16 {
        self.published_idx.wrapping_sub(self.kicked_idx)
    }

    /// The available index that the device sees.
    #[inline]
    pub(super) fn position(&self) -> u16 {
        self.published_idx
    }

    /// Whether the device wants to be told of what was published since it was last asked.
    #[inline]
    pub(super) fn wants_kick(&mut self) -> bool {
        let (new, old) = (self.published_idx, self.kicked_idx);
        self.kicked_idx = new;
        // § Available Buffer Notification Suppression: our store of idx must be visible before
        // we read whether the device wants to know. The device does the opposite: it writes
        // avail_event (or flags) and then reads idx again. Without both barriers each could
        // miss the other's store, and the queue would stand still.
        fence(Ordering::SeqCst);
        if self.event_idx {
            let event = self
                .used
                .load_u16(self.avail_event_offset(), Ordering::Relaxed);
            event_idx::passes(event, new, old)
        } else {
            self.used.load_u16(used::FLAGS, Ordering::Relaxed) & used::F_NO_NOTIFY == 0
        }
    }

    pub(super) fn mark_kicked(&mut self) {
        self.kicked_idx = self.published_idx;
    }

    /// Id and length of the next used entry, if there is one; `visible` buffers are known to
    /// the device.
    #[inline]
    pub(super) fn next_used(&mut self, visible: u16) -> Result<Option<(u32, u32)>, DeviceFault> {
        let used = self.peek_used(visible)?;
        if used.is_some() {
            self.pass_used(1);
        }
        Ok(used)
    }

    /// The same, without going on.
    #[inline]
    pub(super) fn peek_used(&mut self, visible: u16) -> Result<Option<(u32, u32)>, DeviceFault> {
        if self.used_idx == self.device_used_idx && !self.look_for_used(visible)? {
            return Ok(None);
        }
        const { assert!(used::ENTRY_ID == 0 && used::ENTRY_LEN == 4) };
        let [id, len] = self.used_entries.load_u32s(self.used_idx);
        Ok(Some((id, len)))
    }

    /// Goes `count` entries on.
    #[inline]
    pub(super) fn pass_used(&mut self, count: u16) {
        self.used_idx = self.used_idx.wrapping_add(count);
    }

    /// Entries that the index, when it was last read, was ahead.
    pub(super) fn used_ahead(&self) -> u16 {
        self.device_used_idx.wrapping_sub(self.used_idx)
    }

    /// The slot whose first descriptor is `id`.
    #[inline]
    pub(super) fn slot_of(&self, id: u32) -> Result<SlotId, DeviceFault> {
        if id >= u32::from(self.size.get()) {
            return Err(DeviceFault::UsedIdOutOfRange {
                id,
                size: self.size.get(),
            });
        }
        let head = id as u16;
        // Slots of one descriptor, the usual ones, are spared the division.
        if self.descs_per_slot == 1 {
            return Ok(SlotId(head));
        }
        if !head.is_multiple_of(self.descs_per_slot) {
            return Err(DeviceFault::UsedIdNotHead { id });
        }
        Ok(SlotId(head / self.descs_per_slot))
    }

    /// Asks for an interrupt at the `count`-th buffer from now; whether so many are there.
    pub(super) fn arm(&mut self, count: u16, visible: u16) -> Result<bool, DeviceFault> {
        if self.event_idx {
            let event = self.used_idx.wrapping_add(count - 1);
            self.avail
                .store_u16(self.used_event_offset(), event, Ordering::Relaxed);
        } else {
            self.avail.store_u16(avail::FLAGS, 0, Ordering::Relaxed);
        }
        // § Used Buffer Notification Suppression: the request must be visible before the last
        // look at idx. The device does the opposite: it stores idx and then reads the request.
        fence(Ordering::SeqCst);
        self.look_for_used(visible)?;
        Ok(self.used_ahead() >= count)
    }

    #[inline]
    pub(super) fn disarm(&self) {
        if self.event_idx {
            // An event just behind the present position is passed again only after 65535
            // more buffers, and then costs one spurious interrupt.
            let behind = self.used_idx.wrapping_sub(1);
            self.avail
                .store_u16(self.used_event_offset(), behind, Ordering::Relaxed);
        } else {
            self.avail
                .store_u16(avail::FLAGS, avail::F_NO_INTERRUPT, Ordering::Relaxed);
        }
    }

    fn describe(&self, head: u16, slot: &DmaSlice, parts: &[Part]) -> Result<(), OutOfRegion> {
        let last = parts.len().saturating_sub(1);
        for (i, part) in parts.iter().enumerate() {
            let memory = slot.slice(part.offset, part.len as usize)?;
            let next = (i < last).then_some(head + i as u16 + 1);
            self.write_desc(head + i as u16, memory.iova(), part, next);
        }
        Ok(())
    }

    pub(super) fn write_desc(&self, index: u16, addr: Iova, part: &Part, next: Option<u16>) {
        let at = usize::from(index) * desc::SIZE;
        let write = if part.device_writes { desc::F_WRITE } else { 0 };
        let chained = if next.is_some() { desc::F_NEXT } else { 0 };
        self.desc
            .store_u64(at + desc::ADDR, addr.0, Ordering::Relaxed);
        self.desc
            .store_u32(at + desc::LEN, part.len, Ordering::Relaxed);
        self.desc
            .store_u16(at + desc::FLAGS, write | chained, Ordering::Relaxed);
        self.desc
            .store_u16(at + desc::NEXT, next.unwrap_or(0), Ordering::Relaxed);
    }

    /// Reads the device's index; whether there is something to take.
    #[inline]
    fn look_for_used(&mut self, visible: u16) -> Result<bool, DeviceFault> {
        // § The Virtqueue Used Ring: acquire, so that entries and buffers are read after the
        // index. The device stores idx with release after it has written them.
        let idx = self.used.load_u16(used::IDX, Ordering::Acquire);
        if idx.wrapping_sub(self.used_idx) > visible {
            return Err(DeviceFault::UsedIndexJump {
                from: self.used_idx,
                to: idx,
                outstanding: visible,
            });
        }
        self.device_used_idx = idx;
        Ok(idx != self.used_idx)
    }

    fn used_event_offset(&self) -> usize {
        avail::RING + usize::from(self.size.get()) * avail::ENTRY_SIZE
    }

    fn avail_event_offset(&self) -> usize {
        used::RING + usize::from(self.size.get()) * used::ENTRY_SIZE
    }
}

#[cfg(test)]
mod tests;
