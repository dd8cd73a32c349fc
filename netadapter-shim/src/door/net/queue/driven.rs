//! What the core drives: a client's queue by its callbacks, or the queue of a
//! client without a datapath.

use std::sync::Arc;

use super::super::adapter::inside_queue;
use super::super::attention::Attention;
use super::super::callbacks::QueueEvent;
use super::super::pace::Pace;
use super::QueueObject;
use crate::abi::FailureCode;
use crate::door::fail::{breach, verifier};
use crate::door::object::{self, Handle, Kind};
use crate::door::runtime::irql;
use crate::door::types::TRUE;
use crate::queue::{Direction, PacketQueue};
use crate::ring::NetRings;

/// A client's queue as the core drives it. Its end is the object's end.
pub(in crate::door::net) struct ClientQueue {
    handle: Handle,
    object: Arc<QueueObject>,
    pace: Pace,
    attention: Attention,
    advances: u32,
}

impl ClientQueue {
    /// The queue a create callback made.
    pub(in crate::door::net) fn new(handle: Handle) -> Option<Self> {
        let object = object::payload::<QueueObject>(handle, Kind::PacketQueue).ok()?;
        let name = format!("{} queue {} ({handle})", object.direction, object.queue_id);
        Some(Self {
            handle,
            object,
            pace: Pace::new(name),
            attention: Attention::default(),
            advances: 0,
        })
    }

    fn call(&self, name: &'static str, level: u8, event: QueueEvent) {
        let handle = self.handle;
        self.pace.time(name, || {
            inside_queue(|| irql::at(level, || event.call(handle)));
        });
    }

    /// What the verifier raises the IRQL to for a call that must bear it.
    fn raised(wanted: bool) -> u8 {
        match wanted && verifier() {
            true => irql::DISPATCH,
            false => irql::PASSIVE,
        }
    }

    /// Reports a client that was asked to notify and does not.
    fn check_notified(&mut self, moved: bool) {
        let notifications = self.object.notifications();
        if self.attention.is_lacking(moved, notifications) {
            breach(
                FailureCode::ShimArmedNeverNotified,
                format_args!(
                    "{} queue {} ({}): EvtPacketQueueSetNotificationEnabled asked for a \
                     notification, and twice a later look found packets that none had told of; \
                     call Net{}QueueNotify… when there is news",
                    self.object.direction,
                    self.object.queue_id,
                    self.handle,
                    match self.object.direction {
                        Direction::Tx => "Tx",
                        Direction::Rx => "Rx",
                    }
                ),
            );
        }
    }
}

impl PacketQueue for ClientQueue {
    fn start(&mut self, _rings: &NetRings<'_>) {
        self.object.set_running(true);
        if let Some(start) = self.object.callbacks.start {
            self.call("EvtPacketQueueStart", irql::PASSIVE, start);
        }
    }

    fn advance(&mut self, rings: &NetRings<'_>) {
        let before = rings.packet_ring().begin_index();
        self.advances = self.advances.wrapping_add(1);
        let level = Self::raised(!self.advances.is_multiple_of(2));
        let advance = self.object.callbacks.advance;
        self.call("EvtPacketQueueAdvance", level, advance);
        self.check_notified(rings.packet_ring().begin_index() != before);
    }

    fn set_notification_enabled(&mut self, _enabled: bool) {
        let set = self.object.callbacks.set_notification_enabled;
        let handle = self.handle;
        self.attention.armed(self.object.notifications());
        self.pace.time("EvtPacketQueueSetNotificationEnabled", || {
            inside_queue(|| irql::at(irql::PASSIVE, || set.call(handle, TRUE)));
        });
    }

    fn cancel(&mut self, _rings: &NetRings<'_>) {
        self.attention = Attention::default();
        let cancel = self.object.callbacks.cancel;
        self.call("EvtPacketQueueCancel", Self::raised(true), cancel);
    }

    fn stop(&mut self) {
        if let Some(stop) = self.object.callbacks.stop {
            self.call("EvtPacketQueueStop", irql::PASSIVE, stop);
        }
        self.object.set_running(false);
    }

    fn wants_tick(&self) -> bool {
        verifier() && self.attention.waits()
    }

    fn tick(&mut self) {
        self.attention.look();
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
