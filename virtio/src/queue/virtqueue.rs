//! Which buffers are with the device, whatever the format of the ring.

use super::in_order::InOrderRing;
use super::packed::PackedRing;
use super::split::SplitRing;
use super::{Arming, DeviceFault, QueueSize, RingFeatures, SlotId, Used};
use crate::mem::{DmaSlice, OutOfRegion};
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

impl SlotLayout<'_> {
    /// Descriptors that one slot takes.
    pub(super) fn descs_per_slot(&self) -> u16 {
        self.parts.len().max(1) as u16
    }

    /// Slots of a ring of `size` descriptors.
    pub(super) fn slot_count(&self, size: QueueSize) -> u16 {
        size.get() / self.descs_per_slot()
    }

    /// Where slot `slot` lies.
    pub(super) fn slot(&self, slots: &DmaSlice, slot: u16) -> Result<DmaSlice, OutOfRegion> {
        slots.slice(usize::from(slot) * self.stride, self.stride)
    }
}

/// In the place of a batch: the slot is not with the device.
const WITH_DRIVER: u64 = 0;

/// The ring of a queue, in the format that was agreed on. Which one is asked for with every buffer:
/// it is a number of its own, and not to be concluded from what a ring holds.
#[derive(Debug)]
#[repr(u8)]
pub(super) enum Ring {
    Split(SplitRing),
    Packed(PackedRing),
    InOrder(InOrderRing),
}

/// Does the same with a ring of any kind.
macro_rules! on_ring {
    ($ring:expr, $r:ident => $what:expr) => {
        match $ring {
            Ring::Split($r) => $what,
            Ring::Packed($r) => $what,
            Ring::InOrder($r) => $what,
        }
    };
}

/// A virtqueue, as its driver holds it.
#[derive(Debug)]
pub struct Virtqueue {
    pub(super) ring: Ring,
    size: QueueSize,
    /// Bytes of a slot that the device may write.
    writable_len: u32,
    /// For each slot the batch in which it was last given to the device, or [`WITH_DRIVER`].
    given_in: Box<[u64]>,
    /// The batch being added; the device sees it when it is published, and not before.
    batch: u64,
    /// Buffers added, shown to the device, and taken back, ever; these run freely, like the ring's own.
    added: u16,
    shown: u16,
    taken: u16,
    fault: Option<DeviceFault>,
}

impl Virtqueue {
    /// Lays out `ring`, which must be zeroed and at least [`RingLayout::len`] bytes, for
    /// `slots`, and returns the queue with all slots with the driver.
    ///
    /// [`RingLayout::len`]: super::RingLayout::len
    ///
    /// # Errors
    /// [`OutOfRegion`] when ring or slots are too small.
    pub fn new(
        ring: &DmaSlice,
        size: QueueSize,
        features: RingFeatures,
        slots: &DmaSlice,
        layout: SlotLayout<'_>,
    ) -> Result<Self, OutOfRegion> {
        let ring = if features.in_order {
            Ring::InOrder(InOrderRing::new(ring, size, features, slots, layout)?)
        } else if features.packed {
            Ring::Packed(PackedRing::new(ring, size, features, slots, layout)?)
        } else {
            Ring::Split(SplitRing::new(ring, size, features, slots, layout)?)
        };
        let written = layout.parts.iter().filter(|part| part.device_writes);
        let queue = Self {
            ring,
            size,
            writable_len: written.map(|part| part.len).sum(),
            given_in: vec![WITH_DRIVER; usize::from(layout.slot_count(size))].into(),
            batch: WITH_DRIVER + 1,
            added: 0,
            shown: 0,
            taken: 0,
            fault: None,
        };
        queue.disarm();
        Ok(queue)
    }

    /// Number of slots, which is also the most buffers that can be with the device.
    pub fn slot_count(&self) -> u16 {
        self.given_in.len() as u16
    }

    /// Number of buffers with the device, published or not.
    pub fn outstanding_count(&self) -> u16 {
        self.added.wrapping_sub(self.taken)
    }

    /// Whether the buffer of `slot` is with the device.
    pub fn is_outstanding(&self, slot: SlotId) -> bool {
        self.given_in
            .get(usize::from(slot.0))
            .is_some_and(|&batch| batch != WITH_DRIVER)
    }

    /// What the transport must tell the device of this queue.
    pub fn setup(&self, index: u16, vector: Option<u16>) -> QueueSetup {
        let [desc, driver, device] = on_ring!(&self.ring, ring => ring.areas());
        QueueSetup {
            index,
            size: self.size,
            desc,
            driver,
            device,
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
        self.give(slot);
        self.describe(slot, None);
    }

    /// The same, first telling the device to read only `len` bytes of the slot's first part.
    #[inline]
    pub fn add_with_len(&mut self, slot: SlotId, len: u32) {
        self.give(slot);
        self.describe(slot, Some(len));
    }

    // Callers that have no length to say are spared to ask.
    #[inline(always)]
    fn describe(&mut self, slot: SlotId, len: Option<u32>) {
        match &mut self.ring {
            Ring::Split(ring) => ring.add(slot, len),
            Ring::Packed(ring) => ring.add(slot, slot.0, len),
            Ring::InOrder(ring) => ring.add(slot, len),
        }
    }

    #[inline]
    fn give(&mut self, slot: SlotId) {
        let given_in = &mut self.given_in[usize::from(slot.0)];
        let is_ours = *given_in == WITH_DRIVER;
        assert!(is_ours, "slot {} is already with the device", slot.0);
        *given_in = self.batch;
        self.added = self.added.wrapping_add(1);
    }

    /// Shows the device all buffers added since the last call.
    #[inline]
    pub fn publish(&mut self) {
        if self.added == self.shown {
            return;
        }
        on_ring!(&mut self.ring, ring => ring.publish());
        self.shown = self.added;
        self.batch += 1;
    }

    /// Buffers published since the device was last told of any.
    #[inline]
    pub fn unkicked_count(&self) -> u16 {
        on_ring!(&self.ring, ring => ring.unkicked_count())
    }

    /// Rings the doorbell if buffers were published that the device wants to be told of;
    /// whether it did.
    #[inline]
    pub fn kick_if_needed(&mut self, doorbell: &dyn Doorbell) -> bool {
        if self.unkicked_count() == 0 {
            return false;
        }
        let wanted = on_ring!(&mut self.ring, ring => ring.wants_kick());
        if wanted {
            doorbell.ring_at(self.position());
        }
        wanted
    }

    /// Rings the doorbell whatever the device has said: for a watchdog that suspects a lost
    /// notification.
    pub fn kick_always(&mut self, doorbell: &dyn Doorbell) {
        on_ring!(&mut self.ring, ring => ring.mark_kicked());
        doorbell.ring_at(self.position());
    }

    /// Up to where buffers are published, as [`Doorbell::ring_at`] says it.
    #[inline]
    fn position(&self) -> u16 {
        on_ring!(&self.ring, ring => ring.position())
    }

    /// The next buffer that the device has handed back, if there is one.
    ///
    /// # Errors
    /// [`DeviceFault`] when the device broke the protocol; the same one on every later call.
    #[inline(always)]
    pub fn pop_used(&mut self) -> Result<Option<Used>, DeviceFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let visible = self.visible_count();
        match self.take_next(visible) {
            Ok(used) => Ok(used),
            Err(fault) => Err(self.break_with(fault)),
        }
    }

    #[inline(always)]
    fn take_next(&mut self, visible: u16) -> Result<Option<Used>, DeviceFault> {
        let next = match &mut self.ring {
            Ring::Split(ring) => match ring.next_used(visible)? {
                Some((id, len)) => (ring.slot_of(id)?, id, len),
                None => return Ok(None),
            },
            Ring::Packed(ring) => match ring.next_used(visible)? {
                Some((id, len)) => (ring.slot_of(id)?, id, len),
                None => return Ok(None),
            },
            Ring::InOrder(_) => return self.take_next_in_order(visible),
        };
        self.used(next).map(Some)
    }

    /// Apart, so that plain rings need not pass on what they find the way a call does.
    #[inline(never)]
    fn take_next_in_order(&mut self, visible: u16) -> Result<Option<Used>, DeviceFault> {
        let Ring::InOrder(ring) = &mut self.ring else {
            return Ok(None);
        };
        let Some((slot, len)) = ring.next_used(visible)? else {
            return Ok(None);
        };
        self.used((slot, slot.0.into(), len)).map(Some)
    }

    #[inline]
    fn used(&mut self, (slot, id, len): (SlotId, u32, u32)) -> Result<Used, DeviceFault> {
        self.take_back(slot, id)?;
        Ok(Used {
            slot,
            len: (len <= self.writable_len).then_some(len),
        })
    }

    /// Asks for an interrupt when `count` more buffers (at least one) have been used, then
    /// looks once more, because the device may have used some before it saw the request. In a
    /// packed ring whose buffers are used in order, fewer than `count` may be more work: what a
    /// device leaves out of a batch cannot be waited for.
    ///
    /// # Errors
    /// As [`Virtqueue::pop_used`].
    pub fn arm(&mut self, count: u16) -> Result<Arming, DeviceFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let visible = self.visible_count();
        match on_ring!(&mut self.ring, ring => ring.arm(count.max(1), visible)) {
            Ok(true) => Ok(Arming::MoreWork),
            Ok(false) => Ok(Arming::Armed),
            Err(fault) => Err(self.break_with(fault)),
        }
    }

    /// Takes the request for an interrupt back; one may still come.
    #[inline]
    pub fn disarm(&self) {
        on_ring!(&self.ring, ring => ring.disarm());
    }

    /// Buffers that the device can know of.
    #[inline]
    fn visible_count(&self) -> u16 {
        self.shown.wrapping_sub(self.taken)
    }

    #[inline]
    fn take_back(&mut self, slot: SlotId, id: u32) -> Result<(), DeviceFault> {
        // A buffer of the batch being added is not yet the device's to use, even if it was
        // before: a slot that came back and was added again must not come back twice.
        let seen = WITH_DRIVER + 1..self.batch;
        match self.given_in.get_mut(usize::from(slot.0)) {
            Some(batch) if seen.contains(batch) => *batch = WITH_DRIVER,
            _ => return Err(DeviceFault::UsedIdNotOutstanding { id }),
        }
        self.taken = self.taken.wrapping_add(1);
        Ok(())
    }

    #[cold]
    fn break_with(&mut self, fault: DeviceFault) -> DeviceFault {
        *self.fault.get_or_insert(fault)
    }
}
