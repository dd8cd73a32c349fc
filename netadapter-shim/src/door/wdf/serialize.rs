//! Synchronization scopes: which callbacks of a client never run at the same time.
//!
//! ```text
//!   device  one lock for the callbacks of all queues, files, and deferred routines below it
//!   queue   one lock for each queue and what is deferred below it
//!   none    no lock
//! ```
//!
//! The lock is the client's wish and is held while the client runs. A thread
//! that has it may take it again: a callback that completes a request may be
//! given the next one at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::device::Device;
use super::io_queue::IoQueue;
use crate::door::object::{self, Handle, Kind};
use crate::door::types::c_enum;

c_enum! {
    /// `WDF_SYNCHRONIZATION_SCOPE`; other values mean that of the parent.
    Scope {
        /// The whole device.
        DEVICE = 2,
        /// Each queue for itself.
        QUEUE = 3,
        /// Nothing.
        NONE = 4,
    }
}

impl Scope {
    /// This one, unless it is said to be that of the parent.
    pub(super) fn or(self, parent: Self) -> Self {
        match self {
            Self::DEVICE | Self::QUEUE | Self::NONE => self,
            _ => parent,
        }
    }
}

/// What callbacks that exclude each other share.
#[derive(Default)]
pub(super) struct CallbackLock {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    owner: Option<std::thread::ThreadId>,
    depth: u32,
}

/// The lock of a scope, if it has one.
pub(super) type Serialized = Option<Arc<CallbackLock>>;

/// Held until dropped.
pub(super) struct Held<'a>(&'a CallbackLock);

/// Takes the lock, if there is one.
pub(super) fn hold(lock: &Serialized) -> Option<Held<'_>> {
    lock.as_deref().map(CallbackLock::hold)
}

impl CallbackLock {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self) -> Held<'_> {
        let me = Some(std::thread::current().id());
        let mut state = self.state();
        while state.depth > 0 && state.owner != me {
            let waited = self.freed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.owner = me;
        state.depth += 1;
        Held(self)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.depth -= 1;
        if state.depth == 0 {
            drop(state);
            self.0.freed.notify_one();
        }
    }
}

/// The lock of a new queue, whose attributes say `scope`.
pub(super) fn of_new_queue(device: &Device, scope: Scope) -> Serialized {
    match scope.or(device.scope()) {
        Scope::DEVICE => Some(Arc::clone(device.lock())),
        Scope::QUEUE => Some(Arc::default()),
        _ => None,
    }
}

/// The lock of what runs for a device itself.
pub(super) fn of_device(device: &Device) -> Serialized {
    (device.scope() == Scope::DEVICE).then(|| Arc::clone(device.lock()))
}

/// The lock that automatic serialization means below an object: its queue's, or else its
/// device's.
pub(super) fn below(parent: Handle) -> Serialized {
    let mut next = Some(parent);
    while let Some(current) = next {
        if let Ok(queue) = object::payload::<IoQueue>(current, Kind::IoQueue) {
            return queue.serialized().clone();
        }
        if let Ok(device) = object::payload::<Device>(current, Kind::Device) {
            return of_device(&device);
        }
        next = object::parent(current);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_lock_keeps_other_threads_out_and_lets_its_own_in_again() {
        let lock: Serialized = Some(Arc::default());
        let inside = AtomicBool::new(false);
        thread::scope(|scope| {
            let first = hold(&lock);
            drop(hold(&lock));
            scope.spawn(|| {
                let _held = hold(&lock);
                assert!(inside.load(Ordering::Acquire), "two at a time");
            });
            thread::sleep(Duration::from_millis(20));
            inside.store(true, Ordering::Release);
            drop(first);
        });
    }

    #[test]
    fn a_scope_is_inherited_unless_it_is_said() {
        assert_eq!(Scope::default().or(Scope::DEVICE), Scope::DEVICE);
        assert_eq!(Scope(1).or(Scope::QUEUE), Scope::QUEUE);
        assert_eq!(Scope::NONE.or(Scope::DEVICE), Scope::NONE);
    }
}
