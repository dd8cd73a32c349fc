//! The poll loop itself.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use super::busy_poll::BusyPoll;
use super::rest::{Next, Rest};
use super::sources::{Sources, Woken};
use super::{ContextParts, Faults, Reply, Request, Task};
use crate::queue::{QueuePair, Turn};
use crate::wake::Waker;

/// How often a client that wants it is called although nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// Turns between two looks at the clock while there is work.
const TURNS_PER_CLOCK: u32 = 256;
/// Longest sleep while draining: a client may finish without a sign.
const DRAIN_STEP: Duration = Duration::from_millis(5);
/// As short as the timer can, which is some microseconds.
const SHORTEST_SLEEP: Duration = Duration::from_nanos(1);

/// Someone waits until both clients have given everything back.
struct Draining {
    deadline: Instant,
    reply: SyncSender<Reply>,
}

/// What a context's thread works on.
pub(super) struct Context {
    index: usize,
    pair: QueuePair,
    waker: Arc<Waker>,
    sources: Sources,
    tasks: Receiver<Request>,
    faults: Arc<Faults>,
    draining: Option<Draining>,
    /// Since when a client has wanted its next tick.
    waiting_since: Option<Instant>,
    turns: u32,
    busy_poll: BusyPoll,
    pause_after: Option<u32>,
    /// Frames received since the context slept last.
    received_awake: u32,
    exiting: bool,
}

impl Context {
    pub(super) fn new(parts: ContextParts, sources: Sources, tasks: Receiver<Request>) -> Self {
        Self {
            index: parts.index,
            pair: parts.pair,
            waker: parts.waker,
            sources,
            tasks,
            faults: parts.faults,
            draining: None,
            waiting_since: None,
            turns: 0,
            busy_poll: BusyPoll::new(parts.busy_poll),
            pause_after: parts.pause_after,
            received_awake: 0,
            exiting: false,
        }
    }

    /// Until the exit task.
    pub(super) fn run(mut self) {
        let mut rest = Rest::default();
        loop {
            if rest.begin_turn(&self.waker) {
                self.run_tasks();
            }
            if self.exiting {
                return;
            }
            self.keep_time();
            let turn = self.pair.turn();
            self.report_fault();
            self.check_drained();
            let looks_on = || self.busy_poll.looks_on(Instant::now);
            match rest.after_turn(turn.work > 0, &self.waker, looks_on) {
                Next::Turn if turn.work > 0 => self.found(turn),
                Next::Turn => {}
                Next::Look => std::hint::spin_loop(),
                Next::Arm => self.pair.arm(),
                Next::Sleep => self.sleep(),
            }
        }
    }

    fn found(&mut self, turn: Turn) {
        if self.busy_poll.end_wait(Instant::now) {
            self.pair.count_busy_poll();
        }
        self.make_room(turn.received);
    }

    /// Sleeps for a moment after so many frames received without sleeping, so that whoever
    /// was woken by them can take them. Yielding would not do: the scheduler gives the
    /// processor straight back to whom it favours.
    fn make_room(&mut self, received: u32) {
        let Some(limit) = self.pause_after else {
            return;
        };
        self.received_awake += received;
        if self.received_awake >= limit {
            self.received_awake = 0;
            self.pair.count_pause();
            std::thread::sleep(SHORTEST_SLEEP);
        }
    }

    fn run_tasks(&mut self) {
        loop {
            let Request { task, reply } = match self.tasks.try_recv() {
                Ok(request) => request,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.exiting = true;
                    return;
                }
            };
            match task {
                Task::Start(direction) => self.pair.start(direction),
                Task::Open => self.pair.open(),
                Task::Cancel(direction) => self.pair.cancel(direction),
                Task::Stop(direction) => self.pair.stop(direction),
                Task::Pulse => {}
                Task::Exit => self.exiting = true,
                Task::Drain(deadline) => {
                    self.draining = Some(Draining { deadline, reply });
                    continue;
                }
            }
            let _ = reply.send(Ok(()));
        }
    }

    fn check_drained(&mut self) {
        let Some(draining) = &self.draining else {
            return;
        };
        let answer = match self.pair.is_idle() {
            true => Ok(()),
            false if Instant::now() >= draining.deadline => Err(self.pair.owned()),
            false => return,
        };
        let _ = draining.reply.send(answer);
        self.draining = None;
    }

    fn sleep(&mut self) {
        self.received_awake = 0;
        let timeout = self.timeout();
        let woken = self.sources.wait(timeout);
        self.busy_poll.end_wait(Instant::now);
        // An epoll of our own does not fail; if it does, going on polling keeps
        // frames moving.
        let woken = woken.unwrap_or_else(|error| {
            log::error!("queue pair {}: epoll: {error}", self.index);
            Woken {
                port: true,
                by_source: true,
            }
        });
        self.pair.slept(woken.port);
        // What a source announced is for the next turn, not a find of the watchdog's.
        if timeout >= 0 && !woken.by_source {
            self.tick_if_due();
        }
    }

    /// Milliseconds until somebody wants to be called without a sign.
    fn timeout(&mut self) -> i32 {
        let tick = self.until_tick();
        let drain = self.draining.as_ref().map(|_| DRAIN_STEP);
        match tick.into_iter().chain(drain).min() {
            // Rounded up: waking a little early would spin.
            Some(wait) => i32::try_from(wait.as_millis() + 1).unwrap_or(i32::MAX),
            None => -1,
        }
    }

    /// Time until the next tick, if a client wants one.
    fn until_tick(&mut self) -> Option<Duration> {
        if !self.pair.wants_tick() {
            self.waiting_since = None;
            return None;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        Some(TICK.saturating_sub(since.elapsed()))
    }

    fn tick_if_due(&mut self) {
        if self.until_tick() == Some(Duration::ZERO) {
            self.waiting_since = None;
            self.pair.tick();
        }
    }

    /// Looks at the clock every so many turns: a busy context does not sleep.
    fn keep_time(&mut self) {
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(TURNS_PER_CLOCK) {
            self.tick_if_due();
        }
    }

    fn report_fault(&mut self) {
        if let Some(fault) = self.pair.take_fault() {
            self.faults.note(self.index, fault);
        }
    }
}
