//! The queues that share one end of the system port: what an execution context
//! polls. Usually a Tx and an Rx queue; one of them alone where the device
//! spreads what it receives or frames to send are told apart.

use std::sync::Arc;

use super::demux::Sorter;
use super::rx::{RxQueue, RxTurn};
use super::tx::TxQueue;
use super::{Direction, QueueFault};
use crate::port::PortQueue;
use crate::stats::Counters;

/// Frames or bytes indicated after which the port is likely to have something
/// to send (acknowledgements) and is looked at without being asked to.
const LOOK_AFTER_FRAMES: u32 = 32;
const LOOK_AFTER_BYTES: u64 = 64 * 1024;
/// Turns in a row with work after which the port is looked at in any case.
const LOOK_AFTER_TURNS: u32 = 64;

/// What one turn of both queues did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    /// Units of work; 0 if nothing moved.
    pub(crate) work: u32,
    /// Frames handed to the port.
    pub(crate) received: u32,
}

/// A queue; one that broke the contract is never called again.
struct Member<Q> {
    queue: Q,
    faulted: bool,
    started: bool,
}

impl<Q> Member<Q> {
    fn new(queue: Q) -> Self {
        Self {
            queue,
            faulted: false,
            started: false,
        }
    }

    fn start(&mut self, start: impl FnOnce(&mut Q)) {
        start(&mut self.queue);
        self.started = true;
    }

    /// The queue, if it is to be called.
    fn running(&mut self) -> Option<&mut Q> {
        (self.started && !self.faulted).then_some(&mut self.queue)
    }
}

/// A queue of a pair, if it is to be called.
fn running<Q>(member: &mut Option<Member<Q>>) -> Option<&mut Q> {
    member.as_mut().and_then(Member::running)
}

/// The queues of a context.
#[derive(Default)]
pub(crate) struct Queues {
    pub(crate) tx: Option<TxQueue>,
    pub(crate) rx: Option<RxQueue>,
    /// Takes the port's frames instead of a Tx queue.
    pub(crate) sorter: Option<Sorter>,
}

/// What an execution context polls.
pub(crate) struct QueuePair {
    tx: Option<Member<TxQueue>>,
    rx: Option<Member<RxQueue>>,
    sorter: Option<Member<Sorter>>,
    port: Box<dyn PortQueue>,
    counters: Arc<Counters>,
    faults: Vec<QueueFault>,
    /// The stack may send.
    open: bool,
    /// The port may have frames to send.
    port_ready: bool,
    budget: u32,
    unlooked_frames: u32,
    unlooked_bytes: u64,
    unlooked_turns: u32,
}

impl QueuePair {
    pub(crate) fn new(
        queues: Queues,
        port: Box<dyn PortQueue>,
        counters: Arc<Counters>,
        budget: u32,
    ) -> Self {
        Self {
            tx: queues.tx.map(Member::new),
            rx: queues.rx.map(Member::new),
            sorter: queues.sorter.map(Member::new),
            port,
            counters,
            faults: Vec::new(),
            open: false,
            port_ready: true,
            budget,
            unlooked_frames: 0,
            unlooked_bytes: 0,
            unlooked_turns: 0,
        }
    }

    /// The port's descriptor, if it has one.
    pub(crate) fn poll_fd(&self) -> Option<std::os::fd::RawFd> {
        self.port.poll_fd()
    }

    /// EvtStart; the queue is polled from here on. An Rx queue has its buffers
    /// when this returns.
    pub(crate) fn start(&mut self, direction: Direction) {
        match direction {
            Direction::Tx => {
                self.tx.iter_mut().for_each(|tx| tx.start(TxQueue::start));
                self.sorter
                    .iter_mut()
                    .for_each(|sorter| sorter.start(|_| {}));
            }
            Direction::Rx => {
                self.rx.iter_mut().for_each(|rx| rx.start(RxQueue::start));
                self.turn_rx();
            }
        }
    }

    /// All queues of the adapter are started: the stack may send. Before, a
    /// client that gives back what it is sent would have no buffers for it.
    pub(crate) fn open(&mut self) {
        self.open = true;
    }

    /// One turn of all queues.
    pub(crate) fn turn(&mut self) -> Turn {
        self.counters.polls.add(1);
        let rx = self.turn_rx();
        self.look_at_port(rx);
        Turn {
            work: rx.work + self.turn_tx(),
            received: rx.indicated,
        }
    }

    /// The context slept, and so looked at its sources: this is what it saw.
    pub(crate) fn slept(&mut self, port_readable: bool) {
        self.counters.wakeups.add(1);
        self.port_ready |= port_readable;
        self.looked();
    }

    /// Something came while the context looked on instead of sleeping.
    pub(crate) fn count_busy_poll(&self) {
        self.counters.busy_polls.add(1);
    }

    /// The context is about to make room for others.
    pub(crate) fn count_pause(&self) {
        self.counters.pauses.add(1);
    }

    fn looked(&mut self) {
        (
            self.unlooked_frames,
            self.unlooked_bytes,
            self.unlooked_turns,
        ) = (0, 0, 0);
    }

    fn turn_rx(&mut self) -> RxTurn {
        let Some(rx) = self.rx.as_mut().filter(|rx| rx.started && !rx.faulted) else {
            return RxTurn::default();
        };
        let turn = rx.queue.turn(self.port.as_mut(), &self.counters);
        turn.unwrap_or_else(|fault| {
            rx.faulted = true;
            self.faults.push(fault);
            RxTurn::default()
        })
    }

    fn turn_tx(&mut self) -> u32 {
        if !self.open {
            return 0;
        }
        // A port that cannot be waited for is asked every time.
        if self.port.poll_fd().is_none() {
            self.port_ready = true;
        }
        let (ready, port) = (&mut self.port_ready, self.port.as_mut());
        if let Some(sorter) = running(&mut self.sorter) {
            return sorter.turn(port, ready, self.budget, &self.counters);
        }
        let Some(tx) = self.tx.as_mut().filter(|tx| tx.started && !tx.faulted) else {
            return 0;
        };
        let turn = tx.queue.turn(port, ready, self.budget, &self.counters);
        turn.unwrap_or_else(|fault| {
            tx.faulted = true;
            self.faults.push(fault);
            0
        })
    }

    /// While the context is busy receiving it does not wait for its sources, so
    /// frames to send would starve. Received frames call forth others: after
    /// some of them a read of the port is worth trying, and costs no more than
    /// asking whether it is readable would.
    fn look_at_port(&mut self, rx: RxTurn) {
        self.unlooked_frames += rx.indicated;
        self.unlooked_bytes += rx.bytes;
        self.unlooked_turns += 1;
        let due = self.unlooked_frames >= LOOK_AFTER_FRAMES
            || self.unlooked_bytes >= LOOK_AFTER_BYTES
            || self.unlooked_turns >= LOOK_AFTER_TURNS;
        if due || self.port_ready {
            self.counters.peeks.add(u64::from(due && !self.port_ready));
            self.port_ready = true;
            self.looked();
        }
    }

    /// Asks all clients for notifications.
    pub(crate) fn arm(&mut self) {
        if let Some(tx) = running(&mut self.tx) {
            tx.arm();
        }
        if let Some(rx) = running(&mut self.rx) {
            rx.arm();
        }
    }

    /// EvtCancel.
    pub(crate) fn cancel(&mut self, direction: Direction) {
        match direction {
            Direction::Tx => self.cancel_tx(),
            Direction::Rx => self.cancel_rx(),
        }
    }

    fn cancel_tx(&mut self) {
        self.sorter = None;
        let Some(tx) = self.tx.as_mut().filter(|tx| tx.started && !tx.faulted) else {
            return;
        };
        if let Err(fault) = tx.queue.cancel() {
            tx.faulted = true;
            self.faults.push(fault);
        }
    }

    fn cancel_rx(&mut self) {
        let Some(rx) = self.rx.as_mut().filter(|rx| rx.started && !rx.faulted) else {
            return;
        };
        if let Err(fault) = rx.queue.cancel(self.port.as_mut(), &self.counters) {
            rx.faulted = true;
            self.faults.push(fault);
        }
    }

    /// Whether all clients have given everything back, or never will.
    pub(crate) fn is_idle(&mut self) -> bool {
        running(&mut self.tx).is_none_or(|tx| tx.is_idle())
            && running(&mut self.rx).is_none_or(|rx| rx.is_idle())
    }

    /// What holds up the end, in words.
    pub(crate) fn owned(&mut self) -> String {
        let tx = running(&mut self.tx).map_or(0, |tx| tx.owned().0);
        let (packets, fragments) = running(&mut self.rx).map_or((0, 0), |rx| rx.owned());
        format!(
            "the client still owns {tx} Tx packets, {packets} Rx packets and {fragments} Rx \
             fragments; its Cancel or a later Advance must give them back"
        )
    }

    /// EvtStop; the queue is not polled any more.
    pub(crate) fn stop(&mut self, direction: Direction) {
        match direction {
            Direction::Tx => {
                if let Some(tx) = running(&mut self.tx) {
                    tx.client().stop();
                }
                self.tx.iter_mut().for_each(|tx| tx.started = false);
            }
            Direction::Rx => {
                if let Some(rx) = running(&mut self.rx) {
                    rx.client().stop();
                }
                self.rx.iter_mut().for_each(|rx| rx.started = false);
            }
        }
    }

    /// Whether a client wants to be called about once a second.
    pub(crate) fn wants_tick(&mut self) -> bool {
        running(&mut self.tx).is_some_and(|tx| tx.client().wants_tick())
            || running(&mut self.rx).is_some_and(|rx| rx.client().wants_tick())
    }

    /// Calls the clients that want it.
    pub(crate) fn tick(&mut self) {
        let tx = running(&mut self.tx).map(TxQueue::client);
        let rx = running(&mut self.rx).map(RxQueue::client);
        let wanting = tx.into_iter().chain(rx);
        wanting
            .filter(|client| client.wants_tick())
            .for_each(|client| client.tick());
    }

    /// A fault that has not been reported yet.
    pub(crate) fn take_fault(&mut self) -> Option<QueueFault> {
        self.faults.pop()
    }
}
