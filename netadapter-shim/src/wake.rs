//! Waking an execution context: the flag that saves a system call while the
//! context is running.
//!
//! One atomic holds the state. The context marks itself awake at the start of
//! a turn and asleep before it waits; whoever has news swaps in `NOTIFIED` and
//! writes the eventfd only if it found `ASLEEP`.
//!
//! No wake-up is lost. All steps are read-modify-writes of one variable, so
//! they have one order. A notification that comes
//! - before `begin_turn` is consumed by it, and the turn that follows sees all
//!   that was written before the notification;
//! - between `begin_turn` and `try_sleep` makes `try_sleep` fail, and another
//!   turn follows;
//! - after a successful `try_sleep` finds `ASLEEP` and writes the eventfd,
//!   whose edge ends the wait that is coming or under way.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use crate::sync::{AtomicU8, EFD_NONBLOCK, EventFd, Ordering};

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const NOTIFIED: u8 = 2;

/// One per execution context.
pub(crate) struct Waker {
    state: AtomicU8,
    event: EventFd,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            state: AtomicU8::new(NOTIFIED),
            event: EventFd::new(EFD_NONBLOCK)?,
        }))
    }

    /// Says that there is work. Any thread, any time.
    pub(crate) fn notify(&self) {
        if self.state.swap(NOTIFIED, Ordering::AcqRel) == ASLEEP {
            // The counter is never read (its edges are enough), so the write
            // could only fail once 2^64 - 2 notifications had been made.
            let _ = self.event.write(1);
        }
    }

    /// The context begins a turn: notifications so far are served by it.
    /// Returns whether there was one.
    pub(crate) fn begin_turn(&self) -> bool {
        self.state.swap(AWAKE, Ordering::AcqRel) == NOTIFIED
    }

    /// The context wants to sleep. False if a notification came meanwhile.
    pub(crate) fn try_sleep(&self) -> bool {
        self.state
            .compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Whether the context sleeps, or is about to, and nobody has told it anything since.
    pub(crate) fn is_asleep(&self) -> bool {
        self.state.load(Ordering::Acquire) == ASLEEP
    }

    /// What a sleeping context waits for, for models.
    #[cfg(loom)]
    pub(crate) fn event(&self) -> &EventFd {
        &self.event
    }

    /// Watched edge-triggered by the context.
    pub(crate) fn fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}

/// Wakes the execution context of a queue:
/// `NetTxQueueNotifyMoreCompletedPacketsAvailable` and
/// `NetRxQueueNotifyMoreReceivedPacketsAvailable`.
///
/// May be called from any thread at any time; surplus calls are harmless. It
/// makes a system call only if the context sleeps.
#[derive(Clone)]
pub struct Notifier(Arc<Waker>);

impl Notifier {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Self(waker)
    }

    /// Makes the context call Advance again.
    pub fn notify(&self) {
        self.0.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(waker: &Waker) -> bool {
        waker.event.read().is_ok()
    }

    #[test]
    fn who_sleeps_is_seen_to_sleep_until_it_is_told_something() {
        let waker = Waker::new().unwrap();
        assert!(!waker.is_asleep());
        waker.begin_turn();
        assert!(!waker.is_asleep());
        assert!(waker.try_sleep() && waker.is_asleep());
        waker.notify();
        assert!(!waker.is_asleep());
    }

    #[test]
    fn notification_while_awake_makes_no_system_call_and_forbids_sleep() {
        let waker = Waker::new().unwrap();
        waker.begin_turn();
        waker.notify();
        assert!(!written(&waker));
        assert!(!waker.try_sleep());
        assert!(waker.begin_turn());
    }

    #[test]
    fn first_notification_while_asleep_writes_the_eventfd_once() {
        let waker = Waker::new().unwrap();
        waker.begin_turn();
        assert!(waker.try_sleep());
        waker.notify();
        waker.notify();
        assert_eq!(waker.event.read().unwrap(), 1);
        assert!(waker.begin_turn());
    }

    #[test]
    fn quiet_context_may_sleep() {
        let waker = Waker::new().unwrap();
        assert!(
            waker.begin_turn(),
            "a new context looks once before it sleeps"
        );
        assert!(waker.try_sleep());
        assert!(!written(&waker));
        assert!(!waker.begin_turn());
    }
}
