//! § *In-order use of descriptors*: a ring of either format whose buffers come back in the order in
//! which they were given.
//!
//! Descriptors stand in the ring in that order too, so that the distance from the oldest buffer to
//! the one that a used entry names is the length of a batch. All that the device used is known
//! by the first entry; the buffers before the last one count as used completely.

use super::packed::PackedRing;
use super::split::SplitRing;
use super::virtqueue::{Part, SlotLayout};
use super::{DeviceFault, QueueSize, RingFeatures, SlotId};
use crate::mem::{DmaSlice, Iova, OutOfRegion};

#[derive(Debug)]
enum Format {
    Split(SplitRing),
    Packed(PackedRing),
}

/// Does the same with a ring of either format.
macro_rules! on_format {
    ($format:expr, $r:ident => $what:expr) => {
        match $format {
            Format::Split($r) => $what,
            Format::Packed($r) => $what,
        }
    };
}

/// A ring whose device keeps the order. What it does stays out of the code of plain rings, which
/// would be laid out round it otherwise and take a fifth more instructions.
#[derive(Debug)]
pub(super) struct InOrderRing {
    format: Format,
    size: QueueSize,
    slots: Iova,
    stride: u64,
    parts: Box<[Part]>,
    /// Bytes of a slot that the device may write.
    writable_len: u32,
    /// Slots in the order in which they were given; `given` and `taken` run freely.
    order: Box<[u16]>,
    given: u16,
    taken: u16,
    /// The descriptor at which the next buffer begins that is made available, and used.
    next_avail: u16,
    next_used: u16,
    /// Buffers of the last batch that are still to be taken, and how much is in the last of them.
    batch_left: u16,
    last_len: u32,
}

impl InOrderRing {
    pub(super) fn new(
        memory: &DmaSlice,
        size: QueueSize,
        features: RingFeatures,
        slots: &DmaSlice,
        layout: SlotLayout<'_>,
    ) -> Result<Self, OutOfRegion> {
        let format = if features.packed {
            Format::Packed(PackedRing::new(memory, size, features, slots, layout)?)
        } else {
            Format::Split(SplitRing::new(memory, size, features, slots, layout)?)
        };
        let written = layout.parts.iter().filter(|part| part.device_writes);
        Ok(Self {
            format,
            size,
            slots: slots.iova(),
            stride: layout.stride as u64,
            parts: layout.parts.into(),
            writable_len: written.map(|part| part.len).sum(),
            order: vec![0; usize::from(size.get())].into(),
            given: 0,
            taken: 0,
            next_avail: 0,
            next_used: 0,
            batch_left: 0,
            last_len: 0,
        })
    }

    /// Descriptor, driver and device area.
    pub(super) fn areas(&self) -> [Iova; 3] {
        on_format!(&self.format, ring => ring.areas())
    }

    #[inline(never)]
    pub(super) fn add(&mut self, slot: SlotId, len: Option<u32>) {
        self.order[self.size.position(self.given)] = slot.0;
        self.given = self.given.wrapping_add(1);
        let head = self.next_avail;
        match &mut self.format {
            // What names a buffer is where it begins, as in a split ring.
            Format::Packed(ring) => ring.add(slot, head, len),
            Format::Split(_) => self.describe(head, slot, len),
        }
        self.next_avail = self.behind(head, 1);
    }

    /// Writes the descriptors of a slot from `head` on, round the end of the table if need be.
    fn describe(&mut self, head: u16, slot: SlotId, len: Option<u32>) {
        let Format::Split(ring) = &mut self.format else {
            return;
        };
        let base = self.slots.0 + u64::from(slot.0) * self.stride;
        let last = self.parts.len() - 1;
        for (i, part) in self.parts.iter().enumerate() {
            let len = len.filter(|_| i == 0).unwrap_or(part.len);
            let at = self.size.position(head.wrapping_add(i as u16)) as u16;
            // § The Virtqueue Descriptor Table: the next one, also at the end of the table.
            let next = (i < last).then_some(self.size.position(at + 1) as u16);
            let addr = Iova(base + part.offset as u64);
            ring.write_desc(at, addr, &Part { len, ..*part }, next);
        }
        ring.offer(head);
    }

    #[inline(never)]
    pub(super) fn publish(&mut self) {
        on_format!(&mut self.format, ring => ring.publish());
    }

    #[inline(never)]
    pub(super) fn unkicked_count(&self) -> u16 {
        on_format!(&self.format, ring => ring.unkicked_count())
    }

    #[inline(never)]
    pub(super) fn position(&self) -> u16 {
        on_format!(&self.format, ring => ring.position())
    }

    #[inline(never)]
    pub(super) fn wants_kick(&mut self) -> bool {
        on_format!(&mut self.format, ring => ring.wants_kick())
    }

    #[inline(never)]
    pub(super) fn mark_kicked(&mut self) {
        on_format!(&mut self.format, ring => ring.mark_kicked());
    }

    /// Slot and length of the next used buffer, if there is one; `visible` buffers are known to the
    /// device.
    #[inline(never)]
    pub(super) fn next_used(&mut self, visible: u16) -> Result<Option<(SlotId, u32)>, DeviceFault> {
        if self.batch_left == 0 && !self.begin_batch(visible)? {
            return Ok(None);
        }
        let slot = self.order[self.size.position(self.taken)];
        self.taken = self.taken.wrapping_add(1);
        self.batch_left -= 1;
        let len = match self.batch_left {
            0 => self.last_len,
            _ => self.writable_len,
        };
        Ok(Some((SlotId(slot), len)))
    }

    /// Finds out how many buffers were used together; whether any were.
    fn begin_batch(&mut self, visible: u16) -> Result<bool, DeviceFault> {
        let (used, limit) = match &mut self.format {
            Format::Split(ring) => (ring.peek_used(visible)?, ring.used_ahead()),
            Format::Packed(ring) => (ring.peek_used(), visible),
        };
        let Some((id, len)) = used else {
            return Ok(false);
        };
        let count = self.batch_ending_with(id, limit)?;
        on_format!(&mut self.format, ring => ring.pass_used(count));
        self.next_used = self.behind(self.next_used, count);
        self.batch_left = count;
        self.last_len = len;
        Ok(true)
    }

    /// How many buffers a batch has whose last is `id`, when at most `limit` were used.
    fn batch_ending_with(&self, id: u32, limit: u16) -> Result<u16, DeviceFault> {
        let size = self.size.get();
        if id >= u32::from(size) {
            return Err(DeviceFault::UsedIdOutOfRange { id, size });
        }
        let distance = self.size.position((id as u16).wrapping_sub(self.next_used)) as u16;
        if !distance.is_multiple_of(self.descs_per_slot()) {
            return Err(DeviceFault::UsedIdNotHead { id });
        }
        let count = distance / self.descs_per_slot() + 1;
        if count > limit {
            return Err(DeviceFault::UsedOutOfOrder {
                id: id as u16,
                next: self.next_used,
                limit,
            });
        }
        Ok(count)
    }

    /// As the rings do; what is left of a batch has come already.
    #[inline(never)]
    pub(super) fn arm(&mut self, count: u16, visible: u16) -> Result<bool, DeviceFault> {
        let Some(ahead) = count.checked_sub(self.batch_left).filter(|&n| n > 0) else {
            return Ok(true);
        };
        let visible = visible - self.batch_left;
        match &mut self.format {
            Format::Split(ring) => ring.arm(ahead, visible),
            // A batch shows at its beginning only, so the buffer asked for may have been used
            // without a sign.
            Format::Packed(ring) => Ok(ring.arm(ahead, visible)? || ring.has_used()),
        }
    }

    #[inline(never)]
    pub(super) fn disarm(&self) {
        on_format!(&self.format, ring => ring.disarm());
    }

    /// The descriptor `count` buffers behind the one that begins at `head`.
    fn behind(&self, head: u16, count: u16) -> u16 {
        let on = count.wrapping_mul(self.descs_per_slot());
        self.size.position(head.wrapping_add(on)) as u16
    }

    fn descs_per_slot(&self) -> u16 {
        self.parts.len() as u16
    }
}

#[cfg(test)]
mod tests;
