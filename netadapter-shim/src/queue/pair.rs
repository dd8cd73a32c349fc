//! One Tx and one Rx queue with their end of the system port: what an
//! execution context polls.

use std::sync::Arc;

use super::rx::{RxQueue, RxTurn};
use super::tx::TxQueue;
use super::{ClientHalf, Direction, QueueFault};
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

/// A pair of queues.
pub(crate) struct QueuePair {
    tx: TxQueue,
    rx: RxQueue,
    port: Box<dyn PortQueue>,
    counters: Arc<Counters>,
    started: [bool; 2],
    /// A queue that broke the contract is never called again.
    faulted: [bool; 2],
    fault: Option<QueueFault>,
    /// The port may have frames to send.
    port_ready: bool,
    budget: u32,
    unlooked_frames: u32,
    unlooked_bytes: u64,
    unlooked_turns: u32,
}

impl QueuePair {
    pub(crate) fn new(
        tx: TxQueue,
        rx: RxQueue,
        port: Box<dyn PortQueue>,
        counters: Arc<Counters>,
        budget: u32,
    ) -> Self {
        Self {
            tx,
            rx,
            port,
            counters,
            started: [false; 2],
            faulted: [false; 2],
            fault: None,
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

    /// EvtStart; the queue is polled from here on.
    pub(crate) fn start(&mut self, direction: Direction) {
        match direction {
            Direction::Tx => self.tx.start(),
            Direction::Rx => self.rx.start(),
        }
        self.started[direction as usize] = true;
    }

    /// One turn of both queues.
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
        if !self.runs(Direction::Rx) {
            return RxTurn::default();
        }
        let turn = self.rx.turn(self.port.as_mut(), &self.counters);
        turn.unwrap_or_else(|fault| {
            self.note(Direction::Rx, fault);
            RxTurn::default()
        })
    }

    fn turn_tx(&mut self) -> u32 {
        if !self.runs(Direction::Tx) {
            return 0;
        }
        // A port that cannot be waited for is asked every time.
        if self.port.poll_fd().is_none() {
            self.port_ready = true;
        }
        let ready = &mut self.port_ready;
        let turn = self
            .tx
            .turn(self.port.as_mut(), ready, self.budget, &self.counters);
        turn.unwrap_or_else(|fault| {
            self.note(Direction::Tx, fault);
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
            (
                self.unlooked_frames,
                self.unlooked_bytes,
                self.unlooked_turns,
            ) = (0, 0, 0);
        }
    }

    /// Asks both clients for notifications.
    pub(crate) fn arm(&mut self) {
        if self.runs(Direction::Tx) {
            self.tx.arm();
        }
        if self.runs(Direction::Rx) {
            self.rx.arm();
        }
    }

    /// EvtCancel.
    pub(crate) fn cancel(&mut self, direction: Direction) {
        if !self.runs(direction) {
            return;
        }
        let cancelled = match direction {
            Direction::Tx => self.tx.cancel().map(|_| ()),
            Direction::Rx => {
                let turn = self.rx.cancel(self.port.as_mut(), &self.counters);
                turn.map(|_| ())
            }
        };
        if let Err(fault) = cancelled {
            self.note(direction, fault);
        }
    }

    /// Whether both clients have given everything back, or never will.
    pub(crate) fn is_idle(&self) -> bool {
        (!self.runs(Direction::Tx) || self.tx.is_idle())
            && (!self.runs(Direction::Rx) || self.rx.is_idle())
    }

    /// What holds up the end, in words.
    pub(crate) fn owned(&self) -> String {
        let ((tx, _), (packets, fragments)) = (self.tx.owned(), self.rx.owned());
        format!(
            "the client still owns {tx} Tx packets, {packets} Rx packets and {fragments} Rx \
             fragments; its Cancel or a later Advance must give them back"
        )
    }

    /// EvtStop; the queue is not polled any more.
    pub(crate) fn stop(&mut self, direction: Direction) {
        if self.runs(direction) {
            self.client(direction).stop();
        }
        self.started[direction as usize] = false;
    }

    /// Whether a client wants to be called about once a second.
    pub(crate) fn wants_tick(&mut self) -> bool {
        self.wants(Direction::Tx) || self.wants(Direction::Rx)
    }

    /// Calls the clients that want it.
    pub(crate) fn tick(&mut self) {
        for direction in [Direction::Tx, Direction::Rx] {
            if self.wants(direction) {
                self.client(direction).tick();
            }
        }
    }

    /// A fault that has not been reported yet.
    pub(crate) fn take_fault(&mut self) -> Option<QueueFault> {
        self.fault.take()
    }

    fn wants(&mut self, direction: Direction) -> bool {
        self.runs(direction) && self.client(direction).wants_tick()
    }

    fn client(&mut self, direction: Direction) -> &mut ClientHalf {
        match direction {
            Direction::Tx => self.tx.client(),
            Direction::Rx => self.rx.client(),
        }
    }

    fn runs(&self, direction: Direction) -> bool {
        self.started[direction as usize] && !self.faulted[direction as usize]
    }

    fn note(&mut self, direction: Direction, fault: QueueFault) {
        self.faulted[direction as usize] = true;
        self.fault.get_or_insert(fault);
    }
}
