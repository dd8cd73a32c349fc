//! Spin locks of the kernel's kind, which lie in the client's memory. They
//! sleep, and raise the thread's IRQL.

#![allow(unsafe_code)] // the locks lie in the client's memory
#![allow(non_snake_case)] // C's names

use std::sync::atomic::{AtomicU32, Ordering};

use super::irql::{self, DISPATCH};
use super::lock_api::{released, word};
use super::word_lock;
use crate::door::foreign::store;
use crate::door::table::{Functions, entries};

pub(crate) const FUNCTIONS: Functions = entries![
    KeGetCurrentIrql,
    KeRaiseIrql,
    KeLowerIrql,
    KeInitializeSpinLock,
    KeAcquireSpinLock,
    KeReleaseSpinLock,
    ExAcquireSpinLockExclusive,
    ExReleaseSpinLockExclusive,
    ExAcquireSpinLockShared,
    ExReleaseSpinLockShared,
];

extern "C" fn KeGetCurrentIrql() -> u8 {
    irql::current()
}

unsafe extern "C" fn KeRaiseIrql(irql: u8, old: *mut u8) {
    // SAFETY: C's place for the IRQL, or NULL.
    unsafe { store(old, irql::replace(irql)) };
}

extern "C" fn KeLowerIrql(irql: u8) {
    irql::replace(irql);
}

/// Takes a lock and raises the IRQL; answers with the former one.
///
/// # Safety
/// As for [`word`].
unsafe fn acquire(call: &str, lock: *mut u32, take: fn(&AtomicU32)) -> u8 {
    // SAFETY: passed on from the caller.
    if let Some(lock) = unsafe { word(call, lock) } {
        take(lock);
    }
    irql::replace(DISPATCH)
}

/// # Safety
/// As for [`word`].
unsafe fn release(call: &str, lock: *mut u32, give: fn(&AtomicU32) -> bool, irql: u8) {
    // SAFETY: passed on from the caller.
    if let Some(lock) = unsafe { word(call, lock) } {
        released(call, give(lock));
    }
    irql::replace(irql);
}

unsafe extern "C" fn KeInitializeSpinLock(lock: *mut u32) {
    // SAFETY: the client's lock.
    if let Some(lock) = unsafe { word("KeInitializeSpinLock", lock) } {
        lock.store(0, Ordering::Release);
    }
}

unsafe extern "C" fn KeAcquireSpinLock(lock: *mut u32, old: *mut u8) {
    // SAFETY: the client's lock.
    let irql = unsafe { acquire("KeAcquireSpinLock", lock, word_lock::exclusive) };
    // SAFETY: C's place for the IRQL, or NULL.
    unsafe { store(old, irql) };
}

unsafe extern "C" fn KeReleaseSpinLock(lock: *mut u32, irql: u8) {
    let give = word_lock::release_exclusive;
    // SAFETY: the client's lock.
    unsafe { release("KeReleaseSpinLock", lock, give, irql) }
}

unsafe extern "C" fn ExAcquireSpinLockExclusive(lock: *mut u32) -> u8 {
    // SAFETY: the client's lock.
    unsafe { acquire("ExAcquireSpinLockExclusive", lock, word_lock::exclusive) }
}

unsafe extern "C" fn ExReleaseSpinLockExclusive(lock: *mut u32, irql: u8) {
    let give = word_lock::release_exclusive;
    // SAFETY: the client's lock.
    unsafe { release("ExReleaseSpinLockExclusive", lock, give, irql) }
}

unsafe extern "C" fn ExAcquireSpinLockShared(lock: *mut u32) -> u8 {
    // SAFETY: the client's lock.
    unsafe { acquire("ExAcquireSpinLockShared", lock, word_lock::shared) }
}

unsafe extern "C" fn ExReleaseSpinLockShared(lock: *mut u32, irql: u8) {
    let give = word_lock::release_shared;
    // SAFETY: the client's lock.
    unsafe { release("ExReleaseSpinLockShared", lock, give, irql) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::{WdfFault, recorded};

    #[test]
    fn a_spin_lock_raises_the_irql_and_gives_it_back() {
        let lock = AtomicU32::new(9);
        let mut old = 9;
        // SAFETY: a live lock.
        unsafe { KeInitializeSpinLock(lock.as_ptr()) };
        // SAFETY: a live lock and a live IRQL.
        unsafe { KeAcquireSpinLock(lock.as_ptr(), &raw mut old) };
        assert_eq!((old, KeGetCurrentIrql()), (0, DISPATCH));
        assert!(!word_lock::try_exclusive(&lock));
        // SAFETY: a live lock.
        unsafe { KeReleaseSpinLock(lock.as_ptr(), old) };
        assert_eq!(KeGetCurrentIrql(), 0);
        // SAFETY: a live lock.
        unsafe { KeReleaseSpinLock(lock.as_ptr(), old) };
        recorded::take_one(WdfFault::InvalidLockOperation);
    }

    #[test]
    fn an_ex_spin_lock_is_shared_or_exclusive() {
        let lock = AtomicU32::new(0);
        // SAFETY: a live lock.
        let outer = unsafe { ExAcquireSpinLockShared(lock.as_ptr()) };
        // SAFETY: a live lock.
        let inner = unsafe { ExAcquireSpinLockShared(lock.as_ptr()) };
        assert_eq!((outer, inner), (0, DISPATCH));
        assert!(!word_lock::try_exclusive(&lock));
        // SAFETY: a live lock, shared twice.
        unsafe { ExReleaseSpinLockShared(lock.as_ptr(), inner) };
        // SAFETY: a live lock, shared once.
        unsafe { ExReleaseSpinLockShared(lock.as_ptr(), outer) };
        // SAFETY: a live lock.
        let old = unsafe { ExAcquireSpinLockExclusive(lock.as_ptr()) };
        assert!(!word_lock::try_shared(&lock));
        // SAFETY: a live lock.
        unsafe { ExReleaseSpinLockExclusive(lock.as_ptr(), old) };
        assert!(recorded::take().is_empty());
    }
}
