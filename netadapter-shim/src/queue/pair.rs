//! The Tx and Rx queues that share one end of the system port: what an
//! execution context polls. Usually one of each; several Rx queues where the
//! device spreads by a hash, several Tx queues where frames are told apart by
//! priority.

use std::sync::Arc;

use super::demux::Demux;
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

/// A queue; one that broke the contract is never called again.
struct Member<Q> {
    queue: Q,
    faulted: bool,
}

impl<Q> Member<Q> {
    fn all(queues: Vec<Q>) -> Vec<Self> {
        let member = |queue| Self {
            queue,
            faulted: false,
        };
        queues.into_iter().map(member).collect()
    }
}

/// A pair of queues, or several of a kind.
pub(crate) struct QueuePair {
    tx: Vec<Member<TxQueue>>,
    rx: Vec<Member<RxQueue>>,
    /// Between the port and several Tx queues.
    demux: Option<Demux>,
    port: Box<dyn PortQueue>,
    counters: Arc<Counters>,
    started: [bool; 2],
    faults: Vec<QueueFault>,
    /// The port may have frames to send.
    port_ready: bool,
    budget: u32,
    unlooked_frames: u32,
    unlooked_bytes: u64,
    unlooked_turns: u32,
}

impl QueuePair {
    pub(crate) fn new(
        tx: Vec<TxQueue>,
        rx: Vec<RxQueue>,
        demux: Option<Demux>,
        port: Box<dyn PortQueue>,
        counters: Arc<Counters>,
        budget: u32,
    ) -> Self {
        Self {
            tx: Member::all(tx),
            rx: Member::all(rx),
            demux,
            port,
            counters,
            started: [false; 2],
            faults: Vec::new(),
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
            Direction::Tx => self.tx.iter_mut().for_each(|tx| tx.queue.start()),
            Direction::Rx => self.rx.iter_mut().for_each(|rx| rx.queue.start()),
        }
        self.started[direction as usize] = true;
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
        let mut sum = RxTurn::default();
        if !self.started[Direction::Rx as usize] {
            return sum;
        }
        for rx in self.rx.iter_mut().filter(|rx| !rx.faulted) {
            match rx.queue.turn(self.port.as_mut(), &self.counters) {
                Ok(turn) => sum = sum.and(turn),
                Err(fault) => {
                    rx.faulted = true;
                    self.faults.push(fault);
                }
            }
        }
        sum
    }

    fn turn_tx(&mut self) -> u32 {
        if !self.started[Direction::Tx as usize] {
            return 0;
        }
        // A port that cannot be waited for is asked every time.
        if self.port.poll_fd().is_none() {
            self.port_ready = true;
        }
        match self.demux.take() {
            None => self.turn_single_tx(),
            Some(mut demux) => {
                let work = self.turn_several_tx(&mut demux);
                self.demux = Some(demux);
                work
            }
        }
    }

    fn turn_single_tx(&mut self) -> u32 {
        let Some(tx) = self.tx.first_mut().filter(|tx| !tx.faulted) else {
            return 0;
        };
        let ready = &mut self.port_ready;
        let port = self.port.as_mut();
        let turn = tx.queue.turn(port, ready, self.budget, &self.counters);
        turn.unwrap_or_else(|fault| {
            tx.faulted = true;
            self.faults.push(fault);
            0
        })
    }

    /// The port's frames are sorted first; each queue then finds its own.
    fn turn_several_tx(&mut self, demux: &mut Demux) -> u32 {
        if self.port_ready && !self.tx.iter_mut().any(|tx| tx.queue.client().cancelled()) {
            let port = self.port.as_mut();
            demux.sort(port, &mut self.port_ready, self.budget, &self.counters);
        }
        let mut work = 0;
        for (tx, lane) in self.tx.iter_mut().zip(demux.lanes()) {
            let mut ready = !tx.faulted;
            if tx.faulted {
                continue;
            }
            match tx.queue.turn(lane, &mut ready, self.budget, &self.counters) {
                Ok(done) => work += done,
                Err(fault) => {
                    tx.faulted = true;
                    self.faults.push(fault);
                }
            }
        }
        work
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

    /// Asks all clients for notifications.
    pub(crate) fn arm(&mut self) {
        self.running_tx().for_each(TxQueue::arm);
        self.running_rx().for_each(RxQueue::arm);
    }

    /// EvtCancel.
    pub(crate) fn cancel(&mut self, direction: Direction) {
        if !self.started[direction as usize] {
            return;
        }
        match direction {
            Direction::Tx => self.cancel_tx(),
            Direction::Rx => self.cancel_rx(),
        }
    }

    fn cancel_tx(&mut self) {
        for tx in self.tx.iter_mut().filter(|tx| !tx.faulted) {
            if let Err(fault) = tx.queue.cancel() {
                tx.faulted = true;
                self.faults.push(fault);
            }
        }
    }

    fn cancel_rx(&mut self) {
        for rx in self.rx.iter_mut().filter(|rx| !rx.faulted) {
            if let Err(fault) = rx.queue.cancel(self.port.as_mut(), &self.counters) {
                rx.faulted = true;
                self.faults.push(fault);
            }
        }
    }

    /// Whether all clients have given everything back, or never will.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.running_tx().all(|tx| tx.is_idle()) && self.running_rx().all(|rx| rx.is_idle())
    }

    /// What holds up the end, in words.
    pub(crate) fn owned(&mut self) -> String {
        let tx: u32 = self.running_tx().map(|tx| tx.owned().0).sum();
        let rx = self.running_rx().map(|rx| rx.owned());
        let (packets, fragments) = rx.fold((0, 0), |sum, rx| (sum.0 + rx.0, sum.1 + rx.1));
        format!(
            "the client still owns {tx} Tx packets, {packets} Rx packets and {fragments} Rx \
             fragments; its Cancel or a later Advance must give them back"
        )
    }

    /// EvtStop; the queues are not polled any more.
    pub(crate) fn stop(&mut self, direction: Direction) {
        self.clients(direction).for_each(ClientHalf::stop);
        self.started[direction as usize] = false;
    }

    /// Whether a client wants to be called about once a second.
    pub(crate) fn wants_tick(&mut self) -> bool {
        self.clients(Direction::Tx)
            .any(|client| client.wants_tick())
            || self
                .clients(Direction::Rx)
                .any(|client| client.wants_tick())
    }

    /// Calls the clients that want it.
    pub(crate) fn tick(&mut self) {
        for direction in [Direction::Tx, Direction::Rx] {
            let wanting = self.clients(direction).filter(|client| client.wants_tick());
            wanting.for_each(ClientHalf::tick);
        }
    }

    /// A fault that has not been reported yet.
    pub(crate) fn take_fault(&mut self) -> Option<QueueFault> {
        self.faults.pop()
    }

    fn running_tx(&mut self) -> impl Iterator<Item = &mut TxQueue> {
        let started = self.started[Direction::Tx as usize];
        let running = self.tx.iter_mut().filter(move |tx| started && !tx.faulted);
        running.map(|tx| &mut tx.queue)
    }

    fn running_rx(&mut self) -> impl Iterator<Item = &mut RxQueue> {
        let started = self.started[Direction::Rx as usize];
        let running = self.rx.iter_mut().filter(move |rx| started && !rx.faulted);
        running.map(|rx| &mut rx.queue)
    }

    fn clients(&mut self, direction: Direction) -> Box<dyn Iterator<Item = &mut ClientHalf> + '_> {
        match direction {
            Direction::Tx => Box::new(self.running_tx().map(TxQueue::client)),
            Direction::Rx => Box::new(self.running_rx().map(RxQueue::client)),
        }
    }
}
