//! What runs later: timers, work items and DPCs.
//!
//! The three are one thing, a callback that a thread of its own runs when it
//! is due. The thread is started when it is first needed and ends with its
//! object.

#![allow(unsafe_code)] // calls the client's callbacks

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::door::object::{self, Handle};

/// `EVT_WDF_TIMER`, `EVT_WDF_WORKITEM`, `EVT_WDF_DPC`
pub(super) type Routine = unsafe extern "C" fn(Handle);

/// A callback and when it is due.
pub(super) struct Deferred {
    routine: Routine,
    /// Repeated after that long; zero for once.
    period: Duration,
    parent: Handle,
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
    thread_started: bool,
    over: bool,
}

impl Deferred {
    /// One that is not due yet.
    pub(super) fn new(routine: Routine, period: Duration, parent: Handle) -> Arc<Self> {
        Arc::new(Self {
            routine,
            period,
            parent,
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
        let mut state = self.state();
        if state.over {
            return false;
        }
        let was_due = state.due.is_some();
        state.due = due;
        if !state.thread_started {
            state.thread_started = self.start_thread(handle);
        }
        drop(state);
        self.changed.notify_all();
        was_due
    }

    fn start_thread(self: &Arc<Self>, handle: Handle) -> bool {
        let this = Arc::clone(self);
        let started = thread::Builder::new()
            .name("umnet-deferred".into())
            .spawn(move || this.serve(handle));
        if let Err(error) = &started {
            log::error!("{handle} cannot run: no thread for it: {error}");
        }
        started.is_ok()
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

    fn serve(&self, handle: Handle) {
        while self.wait_until_due() {
            // SAFETY: the client gave this function for this call. The object
            // exists: its end waits for the callback, unless the callback
            // itself deletes it.
            unsafe { (self.routine)(handle) };
            let mut state = self.state();
            state.running = None;
            state.runs += 1;
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Returns with the callback marked as running, or with false at the end.
    fn wait_until_due(&self) -> bool {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            match state.due {
                _ if state.over => return false,
                Some(due) if due <= now => {
                    state.due = self.next_due(due, now);
                    state.running = Some(thread::current().id());
                    return true;
                }
                Some(due) => {
                    let waited = self.changed.wait_timeout(state, due - now);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => state = self.wait(state),
            }
        }
    }

    /// The next beat; beats that were missed are left out.
    fn next_due(&self, due: Instant, now: Instant) -> Option<Instant> {
        if self.period.is_zero() {
            return None;
        }
        (due + self.period).max(now).into()
    }
}
