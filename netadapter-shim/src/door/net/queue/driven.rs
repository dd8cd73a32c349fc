//! What the core drives: a client's queue by its callbacks, or the queue of a
//! client without a datapath.

use super::super::adapter::inside_queue;
use super::super::callbacks::QueueEvent;
use super::super::pace::Pace;
use super::{QueueCallbacks, QueueObject};
use crate::door::object::{self, Handle, Kind};
use crate::door::types::TRUE;
use crate::queue::{Direction, PacketQueue};
use crate::ring::NetRings;

/// A client's queue as the core drives it. Its end is the object's end.
pub(in crate::door::net) struct ClientQueue {
    handle: Handle,
    callbacks: QueueCallbacks,
    pace: Pace,
}

impl ClientQueue {
    /// The queue a create callback made.
    pub(in crate::door::net) fn new(handle: Handle) -> Option<Self> {
        let object = object::payload::<QueueObject>(handle, Kind::PacketQueue).ok()?;
        let name = format!("{} queue {} ({handle})", object.direction, object.queue_id);
        Some(Self {
            handle,
            callbacks: object.callbacks,
            pace: Pace::new(name),
        })
    }

    fn call(&self, name: &'static str, event: QueueEvent) {
        let handle = self.handle;
        self.pace.time(name, || inside_queue(|| event.call(handle)));
    }
}

impl PacketQueue for ClientQueue {
    fn start(&mut self, _rings: &NetRings<'_>) {
        if let Some(start) = self.callbacks.start {
            self.call("EvtPacketQueueStart", start);
        }
    }

    fn advance(&mut self, _rings: &NetRings<'_>) {
        self.call("EvtPacketQueueAdvance", self.callbacks.advance);
    }

    fn set_notification_enabled(&mut self, _enabled: bool) {
        let (handle, set) = (self.handle, self.callbacks.set_notification_enabled);
        self.pace.time("EvtPacketQueueSetNotificationEnabled", || {
            inside_queue(|| set.call(handle, TRUE));
        });
    }

    fn cancel(&mut self, _rings: &NetRings<'_>) {
        self.call("EvtPacketQueueCancel", self.callbacks.cancel);
    }

    fn stop(&mut self) {
        if let Some(stop) = self.callbacks.stop {
            self.call("EvtPacketQueueStop", stop);
        }
    }
}

impl Drop for ClientQueue {
    fn drop(&mut self) {
        object::delete(self.handle);
    }
}

/// The queue of an adapter whose client has no datapath: Tx completes at once,
/// Rx gives everything back on Cancel.
pub(in crate::door::net) struct DefaultQueue(pub(in crate::door::net) Direction);

impl DefaultQueue {
    fn return_all(rings: &NetRings<'_>) {
        let ring = rings.packet_ring();
        let mut index = ring.begin_index();
        while index != ring.end_index() {
            rings.ignore_packet(index);
            index = ring.increment_index(index);
        }
        ring.set_begin_index(index);
        let fragments = rings.fragment_ring();
        fragments.set_begin_index(fragments.end_index());
    }
}

impl PacketQueue for DefaultQueue {
    fn advance(&mut self, rings: &NetRings<'_>) {
        if self.0 == Direction::Tx {
            for ring in [rings.packet_ring(), rings.fragment_ring()] {
                ring.set_begin_index(ring.end_index());
            }
        }
    }

    fn set_notification_enabled(&mut self, _enabled: bool) {}

    fn cancel(&mut self, rings: &NetRings<'_>) {
        match self.0 {
            Direction::Tx => self.advance(rings),
            Direction::Rx => Self::return_all(rings),
        }
    }
}
