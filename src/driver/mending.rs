//! Queues that are made anew while the rest of the device goes on (§ *Virtqueue Reset*).
//!
//! The adapter knows no single queues: all of its queues end and begin together. What they drive
//! they give back when they end, and only a queue that met a fault is reset; the others go on
//! with what they have with the device.

use std::sync::Arc;

use log::{info, warn};
use netadapter_shim::{NetRings, PacketQueue};
use virtio::Virtqueue;
use virtio::transport::Doorbell;
use vmm_sys_util::eventfd::EventFd;

use super::shared::{HandOver, Shared};
use super::{Driver, DriverError};
use crate::card::{CardError, LaidOut, QueueParts};
use crate::rx_queue::RxQueue;
use crate::slots::FrameSlots;
use crate::tx_queue::TxQueue;

/// What a queue drove when it ended.
pub struct Ended {
    /// The virtqueue.
    pub queue: Virtqueue,
    /// Its doorbell.
    pub doorbell: Box<dyn Doorbell>,
    /// Its slots.
    pub slots: FrameSlots,
    /// Whether it met a fault.
    pub failed: bool,
}

/// A queue that gives back what it drives.
pub(super) trait Ending: PacketQueue {
    fn end(self) -> Ended;
}

impl Ending for RxQueue {
    fn end(self) -> Ended {
        self.into_ended()
    }
}

impl Ending for TxQueue {
    fn end(self) -> Ended {
        self.into_ended()
    }
}

/// Which queue of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Rx(u32),
    Tx(u32),
}

/// The parts of a queue that has ended.
pub(super) struct Returned {
    place: Place,
    parts: QueueParts,
    failed: bool,
}

/// A queue as the adapter has it; its parts go back when it is deleted.
pub(super) struct Returning<Q: Ending> {
    /// There until it is deleted.
    queue: Option<Q>,
    place: Place,
    interrupt: Arc<EventFd>,
    laid_out: LaidOut,
    shared: Arc<Shared>,
}

impl<Q: Ending> Returning<Q> {
    pub(super) fn new(
        queue: Q,
        place: Place,
        interrupt: Arc<EventFd>,
        laid_out: LaidOut,
        shared: &Arc<Shared>,
    ) -> Self {
        Self {
            queue: Some(queue),
            place,
            interrupt,
            laid_out,
            shared: Arc::clone(shared),
        }
    }
}

impl<Q: Ending> PacketQueue for Returning<Q> {
    fn start(&mut self, rings: &NetRings<'_>) {
        self.queue.iter_mut().for_each(|queue| queue.start(rings));
    }

    #[inline]
    fn advance(&mut self, rings: &NetRings<'_>) {
        self.queue.iter_mut().for_each(|queue| queue.advance(rings));
    }

    fn set_notification_enabled(&mut self, enabled: bool) {
        if let Some(queue) = &mut self.queue {
            queue.set_notification_enabled(enabled);
        }
    }

    fn cancel(&mut self, rings: &NetRings<'_>) {
        self.queue.iter_mut().for_each(|queue| queue.cancel(rings));
    }

    fn stop(&mut self) {
        self.queue.iter_mut().for_each(PacketQueue::stop);
    }

    fn wants_tick(&self) -> bool {
        self.queue.as_ref().is_some_and(PacketQueue::wants_tick)
    }

    fn tick(&mut self) {
        self.queue.iter_mut().for_each(PacketQueue::tick);
    }
}

impl<Q: Ending> Drop for Returning<Q> {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else {
            return;
        };
        let ended = queue.end();
        let returned = Returned {
            place: self.place,
            failed: ended.failed,
            parts: QueueParts {
                queue: ended.queue,
                doorbell: ended.doorbell,
                slots: ended.slots,
                interrupt: Arc::clone(&self.interrupt),
                laid_out: self.laid_out.clone(),
            },
        };
        self.shared.hand_over().returned.push(returned);
    }
}

impl Shared {
    /// Counts what was in flight in a queue that the device is to forget or has forgotten. Nothing
    /// is sent once more: what was not given back may have been sent all the same.
    fn account(&self, place: Place, queue: &mut Virtqueue) {
        let before = queue.outstanding_count();
        // Ends: a queue has so many buffers with the device and no more.
        while let Ok(Some(_)) = queue.pop_used() {}
        let left = queue.outstanding_count();
        let pair = |id: u32| &self.stats[id as usize];
        match place {
            Place::Rx(id) => pair(id).rx.rx_unread.add(u64::from(before - left)),
            Place::Tx(id) => pair(id).tx.tx_unconfirmed.add(u64::from(left)),
        }
    }

    /// The device was reset: what its queues still held is settled, and they are gone.
    pub(super) fn forget_queues(&self) {
        let gone = std::mem::take(&mut *self.hand_over());
        for mut returned in gone.returned {
            self.account(returned.place, &mut returned.parts.queue);
        }
    }
}

impl HandOver {
    /// Lays the parts of a queue out for the callback that creates it.
    fn put(&mut self, place: Place, parts: QueueParts) {
        let (queues, id) = match place {
            Place::Rx(id) => (&mut self.rx, id),
            Place::Tx(id) => (&mut self.tx, id),
        };
        if let Some(queue) = queues.get_mut(id as usize) {
            *queue = Some(parts);
        }
    }
}

impl Driver {
    /// Ends all queues, resets those that met a fault, and goes on with all of them.
    ///
    /// # Errors
    /// [`DriverError`]: queues are missing, or the device reached for one to the last; only a
    /// reset of the device helps.
    pub(super) fn mend_queues(&mut self) -> Result<(), DriverError> {
        self.adapter.io_stop()?;
        let returned = std::mem::take(&mut self.shared.hand_over().returned);
        for Returned {
            place,
            parts,
            failed,
        } in returned
        {
            let parts = match failed {
                true => self.reset_queue(place, parts)?,
                false => parts,
            };
            self.shared.hand_over().put(place, parts);
        }
        Ok(self.adapter.io_start()?)
    }

    fn reset_queue(
        &mut self,
        place: Place,
        mut parts: QueueParts,
    ) -> Result<QueueParts, CardError> {
        let name = self.name().to_owned();
        self.shared.account(place, &mut parts.queue);
        let mended = self.card.reset_queue(parts);
        match &mended {
            Ok(_) => info!("{name}: queue {place:?} was reset alone"),
            Err(error) => warn!("{name}: queue {place:?} cannot be reset alone: {error}"),
        }
        mended
    }
}
