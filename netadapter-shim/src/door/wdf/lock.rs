//! `WdfSpinLock*` and `WdfWaitLock*`. Both sleep while they wait: spinning
//! would only cost time in user mode. A spin lock raises the thread's IRQL, so
//! that the verifier sees what may not be called while one is held.

#![allow(non_snake_case)] // C's names

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::create::{Globals, create, status};
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{In, Out};
use crate::door::object::{self, Handle, Kind, Rules};
use crate::door::runtime::clock::Timeout;
use crate::door::runtime::irql;
use crate::door::table::{Functions, entries};
use crate::door::types::WdfObjectAttributes;

pub(crate) const FUNCTIONS: Functions = entries![
    WdfSpinLockCreate,
    WdfSpinLockAcquire,
    WdfSpinLockRelease,
    WdfWaitLockCreate,
    WdfWaitLockAcquire,
    WdfWaitLockRelease,
];

/// A lock that knows its owner, so that misuse is seen.
#[derive(Default)]
pub(crate) struct Lock {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// Number of the owning thread, or 0.
    owner: u64,
    waiters: u32,
    /// The owner's before it took the lock.
    irql: u8,
}

/// A number for the calling thread, never 0.
fn this_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}

impl Lock {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the lock; taking it twice is a breach and takes it once.
    pub(crate) fn acquire(&self, call: &str, object: Handle) {
        self.acquire_until(call, object, Timeout::Never);
    }

    /// Waits for the lock no longer than that; says whether it was taken.
    fn acquire_until(&self, call: &str, object: Handle, timeout: Timeout) -> bool {
        let mut state = self.state();
        if state.owner == this_thread() {
            drop(state);
            let text = format_args!("{call}: this thread holds {object} already");
            breach(WdfFault::RecursiveLock, text);
            return true;
        }
        let deadline = timeout.deadline();
        while state.owner != 0 {
            state.waiters += 1;
            state = self.wait(state, deadline);
            state.waiters -= 1;
            if state.owner != 0 && deadline.is_some_and(|end| Instant::now() >= end) {
                return false;
            }
        }
        state.owner = this_thread();
        true
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        let Some(deadline) = deadline else {
            return self
                .freed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.freed.wait_timeout(state, left);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// As [`Self::acquire`], at DISPATCH_LEVEL from then on.
    fn acquire_spin(&self, call: &str, object: Handle) {
        self.acquire(call, object);
        let before = irql::replace(irql::DISPATCH);
        self.state().irql = before;
    }

    /// As [`Self::release`], back at the IRQL from before; a lock that another
    /// thread holds changes nothing.
    fn release_spin(&self, call: &str, object: Handle) {
        let state = self.state();
        let before = (state.owner == this_thread()).then_some(state.irql);
        drop(state);
        self.release(call, object);
        before.map(irql::replace);
    }

    /// Gives the lock back; only its owner may.
    pub(crate) fn release(&self, call: &str, object: Handle) {
        let mut state = self.state();
        if state.owner != this_thread() {
            drop(state);
            let text = format_args!("{call}: this thread does not hold {object}");
            return breach(WdfFault::InvalidLockOperation, text);
        }
        state.owner = 0;
        if state.waiters > 0 {
            self.freed.notify_one();
        }
    }
}

extern "C" fn WdfSpinLockCreate(
    globals: Globals,
    attributes: In<'_, WdfObjectAttributes>,
    lock: Out<'_, Handle>,
) -> NtStatus {
    let wanted = (attributes, Rules::PLAIN);
    let (call, payload) = ("WdfSpinLockCreate", Arc::<Lock>::default());
    let made = create(call, globals, Kind::SpinLock, wanted, payload, lock);
    status(made.map(drop))
}

extern "C" fn WdfSpinLockAcquire(_: Globals, lock: Handle) {
    let call = "WdfSpinLockAcquire";
    if let Ok(found) = object::checked::<Lock>(call, lock, Kind::SpinLock) {
        found.acquire_spin(call, lock);
    }
}

extern "C" fn WdfSpinLockRelease(_: Globals, lock: Handle) {
    let call = "WdfSpinLockRelease";
    if let Ok(found) = object::checked::<Lock>(call, lock, Kind::SpinLock) {
        found.release_spin(call, lock);
    }
}

extern "C" fn WdfWaitLockCreate(
    globals: Globals,
    attributes: In<'_, WdfObjectAttributes>,
    lock: Out<'_, Handle>,
) -> NtStatus {
    let wanted = (attributes, Rules::PLAIN);
    let (call, payload) = ("WdfWaitLockCreate", Arc::<Lock>::default());
    let made = create(call, globals, Kind::WaitLock, wanted, payload, lock);
    status(made.map(drop))
}

extern "C" fn WdfWaitLockAcquire(_: Globals, lock: Handle, timeout: In<'_, i64>) -> NtStatus {
    let call = "WdfWaitLockAcquire";
    let timeout = Timeout::of(timeout);
    match object::checked::<Lock>(call, lock, Kind::WaitLock) {
        Ok(found) if found.acquire_until(call, lock, timeout) => NtStatus::SUCCESS,
        Ok(_) => NtStatus::TIMEOUT,
        Err(status) => status,
    }
}

extern "C" fn WdfWaitLockRelease(_: Globals, lock: Handle) {
    let call = "WdfWaitLockRelease";
    if let Ok(found) = object::checked::<Lock>(call, lock, Kind::WaitLock) {
        found.release(call, lock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::recorded;
    use crate::door::wdf::test_client::TestClient;
    use std::ptr::null;

    type CreateLock =
        extern "C" fn(Globals, In<'_, WdfObjectAttributes>, Out<'_, Handle>) -> NtStatus;

    fn lock(client: &TestClient, create: CreateLock) -> Handle {
        client.create(|globals, out| create(globals, In::NULL, out))
    }

    fn acquire_for(lock: Handle, timeout: i64) -> NtStatus {
        WdfWaitLockAcquire(null(), lock, In::of(&timeout))
    }

    #[test]
    fn a_spin_lock_keeps_others_out_until_it_is_released() {
        let client = TestClient::new();
        let lock = lock(&client, WdfSpinLockCreate);
        WdfSpinLockAcquire(null(), lock);
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                WdfSpinLockAcquire(null(), lock);
                order.lock().unwrap().push("other");
                WdfSpinLockRelease(null(), lock);
            });
            std::thread::sleep(std::time::Duration::from_millis(20));
            order.lock().unwrap().push("owner");
            WdfSpinLockRelease(null(), lock);
        });
        assert_eq!(order.into_inner().unwrap(), ["owner", "other"]);
    }

    #[test]
    fn a_spin_lock_raises_the_irql_for_as_long_as_it_is_held() {
        let client = TestClient::new();
        let lock = lock(&client, WdfSpinLockCreate);
        WdfSpinLockAcquire(null(), lock);
        assert_eq!(irql::current(), irql::DISPATCH);
        WdfSpinLockRelease(null(), lock);
        assert_eq!(irql::current(), irql::PASSIVE);
    }

    #[test]
    fn taking_a_lock_twice_and_releasing_it_unheld_are_breaches() {
        let client = TestClient::new();
        let lock = lock(&client, WdfSpinLockCreate);
        WdfSpinLockAcquire(null(), lock);
        WdfSpinLockAcquire(null(), lock);
        recorded::take_one(WdfFault::RecursiveLock);
        WdfSpinLockRelease(null(), lock);
        WdfSpinLockRelease(null(), lock);
        let text = recorded::take_one(WdfFault::InvalidLockOperation);
        assert!(text.contains("WdfSpinLockRelease"), "{text}");
    }

    #[test]
    fn a_wait_lock_times_out_while_another_thread_holds_it() {
        let client = TestClient::new();
        let lock = lock(&client, WdfWaitLockCreate);
        assert_eq!(acquire_for(lock, 0), NtStatus::SUCCESS);
        let other = std::thread::spawn(move || (acquire_for(lock, 0), acquire_for(lock, -100_000)));
        let timeouts = (NtStatus::TIMEOUT, NtStatus::TIMEOUT);
        assert_eq!(other.join().unwrap(), timeouts);
        WdfWaitLockRelease(null(), lock);
        let other = std::thread::spawn(move || acquire_for(lock, 0));
        assert_eq!(other.join().unwrap(), NtStatus::SUCCESS);
    }

    #[test]
    fn a_lock_of_the_other_kind_is_a_bad_handle() {
        let client = TestClient::new();
        let lock = lock(&client, WdfWaitLockCreate);
        WdfSpinLockAcquire(null(), lock);
        let text = recorded::take_one(WdfFault::InvalidHandle);
        assert!(text.contains("expected a SpinLock"), "{text}");
        let status = acquire_for(Handle::NULL, 0);
        assert_eq!(status, NtStatus::INVALID_HANDLE);
        recorded::take_one(WdfFault::InvalidHandle);
    }

    #[test]
    fn a_create_without_a_place_for_the_handle_is_a_breach() {
        let client = TestClient::new();
        let status = WdfSpinLockCreate(client.globals(), In::NULL, Out::NULL);
        assert_eq!(status, NtStatus::INVALID_PARAMETER);
        recorded::take_one(WdfFault::RequiredParameterIsNull);
    }
}
