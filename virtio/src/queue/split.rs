//! § *Split Virtqueues*, driver side. Fences live here and nowhere else in the crate.

use std::sync::atomic::Ordering;

use super::event_idx;
use super::{Arming, DeviceFault, QueueSize, RingLayout, SlotId, Used};
use crate::mem::{DmaSlice, Iova, OutOfRegion};
use crate::spec::ring::{avail, desc, used};
use crate::sync::fence;
use crate::transport::{Doorbell, QueueSetup};

/// One stretch of a slot, described by one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it begins, from the start of the slot.
    pub offset: usize,
    /// Bytes; for a part that the device reads, the most it may ever be told to.
    pub len: u32,
    /// Whether the device writes it rather than reads it.
    pub device_writes: bool,
}

/// How the slots of a queue lie in memory: `stride` bytes each, cut into parts alike. Parts
/// that the device reads stand before those it writes (§ *Message Framing*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLayout<'a> {
    /// Bytes from one slot to the next.
    pub stride: usize,
    /// The parts, at least one.
    pub parts: &'a [Part],
}

/// In the place of a batch: the slot is not with the device.
const WITH_DRIVER: u64 = 0;

/// A split virtqueue, as its driver holds it.
#[derive(Debug)]
pub struct Virtqueue {
    desc: DmaSlice,
    avail: DmaSlice,
    used: DmaSlice,
    size: QueueSize,
    event_idx: bool,
    descs_per_slot: u16,
    /// Bytes of a slot that the device may write.
    writable_len: u32,
    /// For each slot the batch in which it was last given to the device, or [`WITH_DRIVER`].
    given_in: Box<[u64]>,
    /// The batch being added; the device sees it when it is published, and not before.
    batch: u64,
    outstanding_count: u16,
    /// Next available index to fill; what lies between it and `published_idx` is not yet seen
    /// by the device.
    avail_idx: u16,
    published_idx: u16,
    /// Available index at the last decision to ring the doorbell.
    kicked_idx: u16,
    /// Next used index to look at, and the device's index when last read.
    used_idx: u16,
    device_used_idx: u16,
    fault: Option<DeviceFault>,
}

impl Virtqueue {
    /// Writes the descriptor table for `slots` into `ring`, which must be zeroed and at least
    /// [`RingLayout::len`] bytes, and returns the queue with all slots with the driver.
    ///
    /// # Errors
    /// [`OutOfRegion`] when ring or slots are too small.
    pub fn new(
        ring: &DmaSlice,
        size: QueueSize,
        event_idx: bool,
        slots: &DmaSlice,
        layout: SlotLayout<'_>,
    ) -> Result<Self, OutOfRegion> {
        let at = RingLayout::new(size);
        let descs_per_slot = layout.parts.len().max(1) as u16;
        let slot_count = size.get() / descs_per_slot;
        let queue = Self {
            desc: ring.slice(at.desc, usize::from(size.get()) * desc::SIZE)?,
            avail: ring.slice(at.avail, RingLayout::avail_len(size))?,
            used: ring.slice(at.used, RingLayout::used_len(size))?,
            size,
            event_idx,
            descs_per_slot,
            writable_len: layout
                .parts
                .iter()
                .filter(|p| p.device_writes)
                .map(|p| p.len)
                .sum(),
            given_in: vec![WITH_DRIVER; usize::from(slot_count)].into(),
            batch: WITH_DRIVER + 1,
            outstanding_count: 0,
            avail_idx: 0,
            published_idx: 0,
            kicked_idx: 0,
            used_idx: 0,
            device_used_idx: 0,
            fault: None,
        };
        for slot in 0..slot_count {
            let memory = slots.slice(usize::from(slot) * layout.stride, layout.stride)?;
            queue.describe(slot * descs_per_slot, &memory, layout.parts)?;
        }
        queue.disarm();
        Ok(queue)
    }

    /// Number of slots, which is also the most buffers that can be with the device.
    pub fn slot_count(&self) -> u16 {
        self.given_in.len() as u16
    }

    /// Number of buffers with the device, published or not.
    pub fn outstanding_count(&self) -> u16 {
        self.outstanding_count
    }

    /// Whether the buffer of `slot` is with the device.
    pub fn is_outstanding(&self, slot: SlotId) -> bool {
        self.given_in
            .get(usize::from(slot.0))
            .is_some_and(|&batch| batch != WITH_DRIVER)
    }

    /// What the transport must tell the device of this queue.
    pub fn setup(&self, index: u16, vector: Option<u16>) -> QueueSetup {
        QueueSetup {
            index,
            size: self.size,
            desc: self.desc.iova(),
            driver: self.avail.iova(),
            device: self.used.iova(),
            vector,
        }
    }

    /// Makes the buffer of `slot` available; the device does not see it before
    /// [`Virtqueue::publish`].
    ///
    /// # Panics
    /// When the slot does not exist or is already with the device: either is a bug of the
    /// caller.
    #[inline]
    pub fn add(&mut self, slot: SlotId) {
        let given_in = &mut self.given_in[usize::from(slot.0)];
        let is_ours = *given_in == WITH_DRIVER;
        assert!(is_ours, "slot {} is already with the device", slot.0);
        *given_in = self.batch;
        self.outstanding_count += 1;
        let entry = avail::RING + self.size.position(self.avail_idx) * avail::ENTRY_SIZE;
        self.avail
            .store_u16(entry, slot.0 * self.descs_per_slot, Ordering::Relaxed);
        self.avail_idx = self.avail_idx.wrapping_add(1);
    }

    /// The same, first telling the device to read only `len` bytes of the slot's first part.
    #[inline]
    pub fn add_with_len(&mut self, slot: SlotId, len: u32) {
        let head = usize::from(slot.0 * self.descs_per_slot);
        self.desc
            .store_u32(head * desc::SIZE + desc::LEN, len, Ordering::Relaxed);
        self.add(slot);
    }

    /// Shows the device all buffers added since the last call.
    #[inline]
    pub fn publish(&mut self) {
        if self.published_idx == self.avail_idx {
            return;
        }
        // § Updating idx: the release makes descriptors and ring entries visible first. The
        // device loads idx with acquire before it reads them.
        self.avail
            .store_u16(avail::IDX, self.avail_idx, Ordering::Release);
        self.published_idx = self.avail_idx;
        self.batch += 1;
    }

    /// Buffers published since the device was last told of any.
    #[inline]
    pub fn unkicked_count(&self) -> u16 {
        self.published_idx.wrapping_sub(self.kicked_idx)
    }

    /// Rings the doorbell if buffers were published that the device wants to be told of;
    /// whether it did.
    #[inline]
    pub fn kick_if_needed(&mut self, doorbell: &dyn Doorbell) -> bool {
        let (new, old) = (self.published_idx, self.kicked_idx);
        if new == old {
            return false;
        }
        self.kicked_idx = new;
        // § Available Buffer Notification Suppression: our store of idx must be visible before
        // we read whether the device wants to know. The device does the opposite: it writes
        // avail_event (or flags) and then reads idx again. Without both barriers each could
        // miss the other's store, and the queue would stand still.
        fence(Ordering::SeqCst);
        let wanted = self.device_wants_kick(new, old);
        if wanted {
            doorbell.ring();
        }
        wanted
    }

    /// Rings the doorbell whatever the device has said: for a watchdog that suspects a lost
    /// notification.
    pub fn kick_always(&mut self, doorbell: &dyn Doorbell) {
        self.kicked_idx = self.published_idx;
        doorbell.ring();
    }

    /// The next buffer that the device has handed back, if there is one.
    ///
    /// # Errors
    /// [`DeviceFault`] when the device broke the protocol; the same one on every later call.
    #[inline]
    pub fn pop_used(&mut self) -> Result<Option<Used>, DeviceFault> {
        if self.used_idx == self.device_used_idx && !self.look_for_used()? {
            return Ok(None);
        }
        let entry = used::RING + self.size.position(self.used_idx) * used::ENTRY_SIZE;
        let id = self
            .used
            .load_u32(entry + used::ENTRY_ID, Ordering::Relaxed);
        let len = self
            .used
            .load_u32(entry + used::ENTRY_LEN, Ordering::Relaxed);
        let slot = match self.take_back(id) {
            Ok(slot) => slot,
            Err(fault) => return Err(self.break_with(fault)),
        };
        self.used_idx = self.used_idx.wrapping_add(1);
        Ok(Some(Used {
            slot,
            len: (len <= self.writable_len).then_some(len),
        }))
    }

    /// Asks for an interrupt when `count` more buffers (at least one) have been used, then
    /// looks once more, because the device may have used some before it saw the request.
    ///
    /// # Errors
    /// As [`Virtqueue::pop_used`].
    pub fn arm(&mut self, count: u16) -> Result<Arming, DeviceFault> {
        if self.event_idx {
            let event = self.used_idx.wrapping_add(count.max(1) - 1);
            self.avail
                .store_u16(self.used_event_offset(), event, Ordering::Relaxed);
        } else {
            self.avail.store_u16(avail::FLAGS, 0, Ordering::Relaxed);
        }
        // § Used Buffer Notification Suppression: the request must be visible before the last
        // look at idx. The device does the opposite: it stores idx and then reads the request.
        fence(Ordering::SeqCst);
        self.look_for_used()?;
        let waiting = self.device_used_idx.wrapping_sub(self.used_idx);
        Ok(if waiting >= count.max(1) {
            Arming::MoreWork
        } else {
            Arming::Armed
        })
    }

    /// Takes the request for an interrupt back; one may still come.
    #[inline]
    pub fn disarm(&self) {
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

    fn write_desc(&self, index: u16, addr: Iova, part: &Part, next: Option<u16>) {
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

    #[inline]
    fn device_wants_kick(&self, new: u16, old: u16) -> bool {
        if self.event_idx {
            let event = self
                .used
                .load_u16(self.avail_event_offset(), Ordering::Relaxed);
            event_idx::passes(event, new, old)
        } else {
            self.used.load_u16(used::FLAGS, Ordering::Relaxed) & used::F_NO_NOTIFY == 0
        }
    }

    /// Reads the device's index; whether there is something to take.
    #[inline]
    fn look_for_used(&mut self) -> Result<bool, DeviceFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        // § The Virtqueue Used Ring: acquire, so that entries and buffers are read after the
        // index. The device stores idx with release after it has written them.
        let idx = self.used.load_u16(used::IDX, Ordering::Acquire);
        let outstanding = self.published_outstanding();
        if idx.wrapping_sub(self.used_idx) > outstanding {
            let fault = DeviceFault::UsedIndexJump {
                from: self.used_idx,
                to: idx,
                outstanding,
            };
            return Err(self.break_with(fault));
        }
        self.device_used_idx = idx;
        Ok(idx != self.used_idx)
    }

    /// Buffers that the device can know of.
    #[inline]
    fn published_outstanding(&self) -> u16 {
        self.outstanding_count - self.avail_idx.wrapping_sub(self.published_idx)
    }

    #[inline]
    fn take_back(&mut self, id: u32) -> Result<SlotId, DeviceFault> {
        if id >= u32::from(self.size.get()) {
            return Err(DeviceFault::UsedIdOutOfRange {
                id,
                size: self.size.get(),
            });
        }
        let (slot, rest) = (
            id as u16 / self.descs_per_slot,
            id as u16 % self.descs_per_slot,
        );
        // A buffer of the batch being added is not yet the device's to use, even if it was
        // before: a slot that came back and was added again must not come back twice.
        let seen = WITH_DRIVER + 1..self.batch;
        match self.given_in.get_mut(usize::from(slot)) {
            Some(batch) if rest == 0 && seen.contains(batch) => *batch = WITH_DRIVER,
            _ if rest != 0 => return Err(DeviceFault::UsedIdNotHead { id }),
            _ => return Err(DeviceFault::UsedIdNotOutstanding { id }),
        }
        self.outstanding_count -= 1;
        Ok(SlotId(slot))
    }

    #[cold]
    fn break_with(&mut self, fault: DeviceFault) -> DeviceFault {
        self.device_used_idx = self.used_idx;
        *self.fault.get_or_insert(fault)
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
