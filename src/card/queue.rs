//! One queue of a card: planned, laid out in memory, known to the device.

use std::sync::Arc;

use virtio::DmaSlice;
use virtio::init::Negotiated;
use virtio::mem::OutOfRegion;
use virtio::queue::{QueueSize, RingFeatures, RingLayout, SlotId, Virtqueue};
use virtio::transport::Doorbell;
use vmm_sys_util::eventfd::EventFd;

use super::CardError;
use crate::slots::{Carver, FrameSlots, SlotShape};

/// A queue that the device knows, with its slots.
pub struct QueueParts {
    /// The queue.
    pub queue: Virtqueue,
    /// Its doorbell, to be rung once the card is started.
    pub doorbell: Box<dyn Doorbell>,
    /// Its slots.
    pub slots: FrameSlots,
    /// Fires when the device has used buffers.
    pub interrupt: Arc<EventFd>,
    /// How it was made, so that it can be made anew.
    pub laid_out: LaidOut,
}

impl QueueParts {
    /// Gives every slot to the device, before it is started.
    pub(super) fn make_all_available(&mut self) {
        (0..self.queue.slot_count())
            .map(SlotId)
            .for_each(|slot| self.queue.add(slot));
        self.queue.publish();
    }
}

/// The two queues of a pair.
pub struct PairParts {
    /// The receive queue, filled.
    pub rx: QueueParts,
    /// The transmit queue.
    pub tx: QueueParts,
}

/// What a queue was made of.
#[derive(Clone)]
pub struct LaidOut {
    pub(super) plan: QueuePlan,
    ring: DmaSlice,
    slots: DmaSlice,
    pub(super) vector: u16,
}

impl LaidOut {
    /// The queue on a cleared ring, all slots with the driver.
    pub(super) fn queue(&self) -> Result<Virtqueue, OutOfRegion> {
        let QueuePlan {
            size,
            shape,
            features,
            ..
        } = self.plan;
        self.ring.clear();
        Virtqueue::new(&self.ring, size, features, &self.slots, shape.layout())
    }
}

/// A queue to be: its size and the shape of its slots.
#[derive(Clone, Copy)]
pub(super) struct QueuePlan {
    pub(super) index: u16,
    pub(super) size: QueueSize,
    pub(super) shape: SlotShape,
    pub(super) features: RingFeatures,
}

impl QueuePlan {
    pub(super) fn memory_len(&self) -> usize {
        let slots = usize::from(self.size.get()) * self.shape.stride();
        Carver::taken_by(RingLayout::new(self.size, self.features).len) + Carver::taken_by(slots)
    }

    pub(super) fn lay_out(
        &self,
        carver: &mut Carver,
        device: &mut Negotiated,
        vector: u16,
    ) -> Result<QueueParts, CardError> {
        let laid_out = LaidOut {
            plan: *self,
            ring: carver.take(RingLayout::new(self.size, self.features).len)?,
            slots: carver.take(usize::from(self.size.get()) * self.shape.stride())?,
            vector,
        };
        let queue = laid_out.queue()?;
        let doorbell = device.enable_queue(self.index, &queue, Some(vector))?;
        let interrupt = device.transport().interrupt(vector)?;
        Ok(QueueParts {
            queue,
            doorbell,
            slots: FrameSlots::new(laid_out.slots.clone(), self.shape),
            interrupt,
            laid_out,
        })
    }
}
