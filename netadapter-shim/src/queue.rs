//! Packet queues: what a client driver implements and what it is given to
//! build one.

mod client;
mod coalesce;
mod demux;
mod pair;
mod rx;
mod tx;
pub(crate) mod vlan;

use std::sync::Arc;

use vmm_sys_util::eventfd::EventFd;

use crate::abi::FailureCode;
use crate::os_ring::BeginOutOfRange;
use crate::ring::{Extensions, NetRings, RingMap};
use crate::verifier::Violation;
pub use crate::wake::Notifier;
pub(crate) use client::ClientHalf;
pub use demux::{DemandHook, TxDemux};
pub(crate) use demux::{Lanes, Sorter};
pub(crate) use pair::{QueuePair, Queues, Turn};
pub(crate) use rx::{Coalescing, RxQueue};
pub(crate) use tx::{TxCoverage, TxQueue};

/// Which way frames of a queue go, seen from the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the stack to the device.
    Tx,
    /// From the device to the stack.
    Rx,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tx => "tx",
            Self::Rx => "rx",
        })
    }
}

/// A client driver's packet queue. All calls come from one execution context,
/// never two at a time; the rings are lent for the duration of the call.
pub trait PacketQueue: Send {
    /// EvtStart. Begin = Next = End = 0; cheap, cannot fail.
    fn start(&mut self, _rings: &NetRings<'_>) {}

    /// EvtAdvance. Never waits.
    ///
    /// Tx: give new packets `[Next, End)` to the device and complete finished
    /// ones by moving Begin of both rings. Called only while the client owns at
    /// least one packet.
    ///
    /// Rx: fill fragments and packets with received frames and move Begin of
    /// both rings. Called in every turn.
    fn advance(&mut self, rings: &NetRings<'_>);

    /// EvtSetNotificationEnabled. True asks for one notification (an interrupt
    /// eventfd or [`Notifier::notify`]) when something completes or already
    /// has; another Advance follows before the context sleeps. False is never
    /// sent; Tx is armed only while it owns packets.
    fn set_notification_enabled(&mut self, enabled: bool);

    /// EvtCancel. No new buffers come from here on. Rx must give back all
    /// packets (with Ignore set) and fragments, now or in a later Advance; Tx
    /// may cancel its packets or let them finish.
    fn cancel(&mut self, rings: &NetRings<'_>);

    /// EvtStop, the last call; the client owns nothing any more.
    fn stop(&mut self) {}

    /// Whether [`Self::tick`] should be called about once a second although
    /// nothing happens: a watchdog over frames that should have completed.
    fn wants_tick(&self) -> bool {
        false
    }

    /// See [`Self::wants_tick`]. An Advance follows, on Tx only if the client
    /// owns packets.
    fn tick(&mut self) {}
}

/// What a queue creation callback is given
/// (NETTXQUEUE_INIT and NETRXQUEUE_INIT).
pub struct QueueInit {
    queue_id: u32,
    notifier: Notifier,
    interrupts: Vec<Arc<EventFd>>,
    rings: RingInfo,
    map: RingMap,
}

/// Sizes of the rings a queue will work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingInfo {
    /// Elements of the packet ring, a power of two.
    pub packets: u32,
    /// Elements of the fragment ring, a power of two.
    pub fragments: u32,
    /// Bytes of the system buffer attached to each fragment.
    pub buffer_capacity: usize,
    /// Extensions that are registered.
    pub extensions: Extensions,
}

impl QueueInit {
    pub(crate) fn new(queue_id: u32, notifier: Notifier, rings: RingInfo, map: RingMap) -> Self {
        Self {
            queue_id,
            notifier,
            interrupts: Vec::new(),
            rings,
            map,
        }
    }

    /// `NetTxQueueInitGetQueueId`, `NetRxQueueInitGetQueueId`: from 0.
    pub fn queue_id(&self) -> u32 {
        self.queue_id
    }

    /// Wakes this queue's execution context.
    pub fn notifier(&self) -> Notifier {
        self.notifier.clone()
    }

    /// Sizes of the rings to come.
    pub fn rings(&self) -> RingInfo {
        self.rings
    }

    /// Where the rings to come lie, for clients that compute addresses.
    pub fn ring_map(&self) -> &RingMap {
        &self.map
    }

    /// Registers an eventfd that a device signals: each signal makes the
    /// context call Advance, as if the interrupt's handler had called Notify.
    /// The eventfd is watched edge-triggered and never read. The same one may
    /// be given to the Tx and the Rx queue of a pair.
    pub fn register_interrupt(&mut self, interrupt: Arc<EventFd>) {
        self.interrupts.push(interrupt);
    }

    pub(crate) fn into_interrupts(self) -> Vec<Arc<EventFd>> {
        self.interrupts
    }
}

/// The client broke the ring contract; its queue is not called any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueFault {
    /// The verifier saw it.
    #[error("{0}")]
    Verifier(Violation),
    /// An index the framework cannot work with.
    #[error("{} ({})", .0, FailureCode::InvalidRingBeginIndex)]
    Index(String),
}

impl From<Violation> for QueueFault {
    fn from(violation: Violation) -> Self {
        Self::Verifier(violation)
    }
}

impl From<BeginOutOfRange> for QueueFault {
    fn from(fault: BeginOutOfRange) -> Self {
        Self::Index(fault.to_string())
    }
}

impl QueueFault {
    /// Microsoft's name for the rule that was broken.
    pub fn failure_code(&self) -> FailureCode {
        match self {
            Self::Verifier(violation) => violation.code,
            Self::Index(_) => FailureCode::InvalidRingBeginIndex,
        }
    }
}

#[cfg(test)]
mod tests;
