//! Spin locks of the kernel's kind, which lie in the client's memory. They
//! sleep, and raise the thread's IRQL.

#![allow(non_snake_case)] // C's names

use std::sync::atomic::{AtomicU32, Ordering};

use super::irql::{self, DISPATCH};
use super::lock_api::{released, word};
use super::word_lock;
use crate::door::foreign::{Out, Shared};
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

extern "C" fn KeRaiseIrql(irql: u8, old: Out<'_, u8>) {
    old.store(irql::replace(irql));
}

extern "C" fn KeLowerIrql(irql: u8) {
    irql::replace(irql);
}

/// Takes a lock and raises the IRQL; answers with the former one.
fn acquire(call: &str, lock: Shared<'_, AtomicU32>, take: fn(&AtomicU32)) -> u8 {
    if let Some(lock) = word(call, lock) {
        take(lock);
    }
    irql::replace(DISPATCH)
}

fn release(call: &str, lock: Shared<'_, AtomicU32>, give: fn(&AtomicU32) -> bool, irql: u8) {
    if let Some(lock) = word(call, lock) {
        released(call, give(lock));
    }
    irql::replace(irql);
}

extern "C" fn KeInitializeSpinLock(lock: Shared<'_, AtomicU32>) {
    if let Some(lock) = word("KeInitializeSpinLock", lock) {
        lock.store(0, Ordering::Release);
    }
}

extern "C" fn KeAcquireSpinLock(lock: Shared<'_, AtomicU32>, old: Out<'_, u8>) {
    let irql = acquire("KeAcquireSpinLock", lock, word_lock::exclusive);
    old.store(irql);
}

extern "C" fn KeReleaseSpinLock(lock: Shared<'_, AtomicU32>, irql: u8) {
    let give = word_lock::release_exclusive;
    release("KeReleaseSpinLock", lock, give, irql)
}

extern "C" fn ExAcquireSpinLockExclusive(lock: Shared<'_, AtomicU32>) -> u8 {
    acquire("ExAcquireSpinLockExclusive", lock, word_lock::exclusive)
}

extern "C" fn ExReleaseSpinLockExclusive(lock: Shared<'_, AtomicU32>, irql: u8) {
    let give = word_lock::release_exclusive;
    release("ExReleaseSpinLockExclusive", lock, give, irql)
}

extern "C" fn ExAcquireSpinLockShared(lock: Shared<'_, AtomicU32>) -> u8 {
    acquire("ExAcquireSpinLockShared", lock, word_lock::shared)
}

extern "C" fn ExReleaseSpinLockShared(lock: Shared<'_, AtomicU32>, irql: u8) {
    let give = word_lock::release_shared;
    release("ExReleaseSpinLockShared", lock, give, irql)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::{WdfFault, recorded};

    #[test]
    fn a_spin_lock_raises_the_irql_and_gives_it_back() {
        let lock = AtomicU32::new(9);
        let mut old = 9;
        KeInitializeSpinLock(Shared::of(&lock));
        KeAcquireSpinLock(Shared::of(&lock), Out::of(&mut old));
        assert_eq!((old, KeGetCurrentIrql()), (0, DISPATCH));
        assert!(!word_lock::try_exclusive(&lock));
        KeReleaseSpinLock(Shared::of(&lock), old);
        assert_eq!(KeGetCurrentIrql(), 0);
        KeReleaseSpinLock(Shared::of(&lock), old);
        recorded::take_one(WdfFault::InvalidLockOperation);
    }

    #[test]
    fn an_ex_spin_lock_is_shared_or_exclusive() {
        let lock = AtomicU32::new(0);
        let outer = ExAcquireSpinLockShared(Shared::of(&lock));
        let inner = ExAcquireSpinLockShared(Shared::of(&lock));
        assert_eq!((outer, inner), (0, DISPATCH));
        assert!(!word_lock::try_exclusive(&lock));
        ExReleaseSpinLockShared(Shared::of(&lock), inner);
        ExReleaseSpinLockShared(Shared::of(&lock), outer);
        let old = ExAcquireSpinLockExclusive(Shared::of(&lock));
        assert!(!word_lock::try_shared(&lock));
        ExReleaseSpinLockExclusive(Shared::of(&lock), old);
        assert!(recorded::take().is_empty());
    }
}
