//! What runs later: timers, work items and DPCs.
//!
//! The three are one thing, a callback that a worker of the pool runs when it
//! is due, never twice at a time.

mod pool;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use self::pool::POOL;
use super::serialize::{Serialized, hold};
use crate::door::foreign::Callback;
use crate::door::object::{self, Handle};

/// `EVT_WDF_TIMER`, `EVT_WDF_WORKITEM`, `EVT_WDF_DPC`
pub(super) type Routine = Callback<unsafe extern "C" fn(Handle)>;

/// A callback and when it is due.
pub(super) struct Deferred {
    routine: Routine,
    /// Repeated after that long; zero for once.
    period: Duration,
    parent: Handle,
    /// What else it excludes, if the client wants that.
    serialized: Serialized,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    due: Option<Instant>,
    /// The thread that runs the callback right now.
    running: Option<ThreadId>,
    /// How many runs have ended.
    runs: u64,
    over: bool,
}

impl Deferred {
    /// One that is not due yet.
    pub(super) fn new(
        routine: Routine,
        period: Duration,
        parent: Handle,
        serialized: Serialized,
    ) -> Arc<Self> {
        Arc::new(Self {
            routine,
            period,
            parent,
            serialized,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// The object it was created under.
    pub(super) fn parent(&self) -> Handle {
        self.parent
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the callback run after that long, anew if it was to run already;
    /// says whether it was.
    pub(super) fn schedule(self: &Arc<Self>, handle: Handle, after: Duration) -> bool {
        let due = Instant::now().checked_add(after);
        self.schedule_at(handle, due)
    }

    /// Has the callback run as soon as it can; does nothing if it is to run
    /// already. Says whether it did something.
    pub(super) fn enqueue(self: &Arc<Self>, handle: Handle) -> bool {
        let waiting = self.state().due.is_some();
        if !waiting {
            self.schedule_at(handle, Some(Instant::now()));
        }
        !waiting
    }

    fn schedule_at(self: &Arc<Self>, handle: Handle, due: Option<Instant>) -> bool {
        let was_due = {
            let mut state = self.state();
            if state.over {
                return false;
            }
            std::mem::replace(&mut state.due, due).is_some()
        };
        self.changed.notify_all();
        self.hand_over(handle, due);
        was_due
    }

    /// Has the pool look at it when it is due. What is changed meanwhile is seen then.
    fn hand_over(self: &Arc<Self>, handle: Handle, due: Option<Instant>) {
        let Some(due) = due else {
            return;
        };
        let this = Arc::clone(self);
        if !POOL.schedule(due, Box::new(move || this.run(handle))) {
            log::error!("{handle} cannot run");
        }
    }

    /// Takes the callback back if it has not begun; says whether it was to
    /// run. With `wait`, returns only when it is not running (any more),
    /// unless the callback itself asks.
    pub(super) fn cancel(&self, wait: bool) -> bool {
        let mut state = self.state();
        let was_due = state.due.take().is_some();
        self.changed.notify_all();
        let this = Some(thread::current().id());
        while wait && state.running.is_some() && state.running != this {
            state = self.wait(state);
        }
        was_due
    }

    /// Whether the callback is what asks.
    pub(super) fn is_this_thread(&self) -> bool {
        self.state().running == Some(thread::current().id())
    }

    /// Returns when what was enqueued before has run.
    pub(super) fn flush(&self) {
        let mut state = self.state();
        let pending = u64::from(state.due.is_some()) + u64::from(state.running.is_some());
        let wanted = state.runs + pending;
        while state.runs < wanted && !state.over && (state.due, state.running) != (None, None) {
            state = self.wait(state);
        }
    }

    /// Ends it for good.
    fn end(&self) {
        self.state().over = true;
        self.cancel(true);
    }

    /// Has it end when its object is cleaned up.
    pub(super) fn end_with(self: &Arc<Self>, handle: Handle) {
        let this = Arc::clone(self);
        object::on_dispose(handle, Box::new(move || this.end()));
    }

    /// Runs the callback if it is due, and hands over what is due next.
    fn run(self: &Arc<Self>, handle: Handle) {
        {
            // Before it counts as running: whoever has the lock may take it back and wait.
            let _held = hold(&self.serialized);
            if !self.begin() {
                return;
            }
            // The object exists: its end waits for the callback, unless that itself deletes it.
            self.routine.call(handle);
        }
        let next = {
            let mut state = self.state();
            state.running = None;
            state.runs += 1;
            state.due
        };
        self.changed.notify_all();
        self.hand_over(handle, next);
    }

    /// Marks it as running. Not if it was taken back or put off; nor if it runs already, which
    /// looks again at its end.
    fn begin(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let due = state.due.filter(|due| *due <= now && !state.over);
        let (Some(due), None) = (due, state.running) else {
            return false;
        };
        state.due = self.next_due(due, now);
        state.running = Some(thread::current().id());
        true
    }

    /// The next beat; beats that were missed are left out.
    fn next_due(&self, due: Instant, now: Instant) -> Option<Instant> {
        if self.period.is_zero() {
            return None;
        }
        (due + self.period).max(now).into()
    }
}
