use std::ptr::null_mut;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::door::fail::recorded;

/// What a client has: room for a pointer, all zeros.
struct Room(AtomicU64);

impl Room {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn word(&self) -> Word<'_> {
        Shared::at(self.0.as_ptr().cast())
    }
}

fn try_exclusive(lock: &Room) -> Boolean {
    TryAcquireSRWLockExclusive(lock.word())
}

fn release_exclusive(lock: &Room) {
    ReleaseSRWLockExclusive(lock.word())
}

#[test]
fn an_srw_lock_needs_no_more_than_zeros() {
    let lock = Room::new();
    assert_eq!((try_exclusive(&lock), try_exclusive(&lock)), (1, 0));
    assert_eq!(TryAcquireSRWLockShared(lock.word()), 0);
    release_exclusive(&lock);
    AcquireSRWLockShared(lock.word());
    assert_eq!(TryAcquireSRWLockShared(lock.word()), 1);
    assert_eq!(try_exclusive(&lock), 0);
    for _ in 0..2 {
        ReleaseSRWLockShared(lock.word());
    }
    assert_eq!(try_exclusive(&lock), 1);
    InitializeSRWLock(lock.word());
    assert_eq!(try_exclusive(&lock), 1);
    assert!(recorded::take().is_empty());
}

#[test]
fn releasing_a_free_lock_and_passing_none_are_breaches() {
    let lock = Room::new();
    release_exclusive(&lock);
    recorded::take_one(WdfFault::InvalidLockOperation);
    ReleaseSRWLockShared(lock.word());
    recorded::take_one(WdfFault::InvalidLockOperation);
    AcquireSRWLockExclusive(Shared::at(null_mut()));
    recorded::take_one(WdfFault::RequiredParameterIsNull);
}

#[test]
fn a_sleeper_is_woken_and_holds_the_lock_again() {
    static LOCK: Room = Room::new();
    static VARIABLE: Room = Room::new();
    static READY: AtomicU32 = AtomicU32::new(0);
    InitializeConditionVariable(VARIABLE.word());
    let sleeper = thread::spawn(|| {
        AcquireSRWLockExclusive(LOCK.word());
        while READY.load(Ordering::Relaxed) == 0 {
            let woken = SleepConditionVariableSRW(VARIABLE.word(), LOCK.word(), 10_000, 0);
            assert_eq!(woken, 1);
        }
        assert_eq!(try_exclusive(&LOCK), 0);
        release_exclusive(&LOCK);
    });
    thread::sleep(Duration::from_millis(10));
    READY.store(1, Ordering::Relaxed);
    WakeAllConditionVariable(VARIABLE.word());
    WakeConditionVariable(VARIABLE.word());
    sleeper.join().unwrap();
}

#[test]
fn a_sleeper_nobody_wakes_times_out() {
    let (lock, variable) = (Room::new(), Room::new());
    AcquireSRWLockShared(lock.word());
    let begin = Instant::now();
    let woken = SleepConditionVariableSRW(variable.word(), lock.word(), 20, 1);
    assert_eq!(woken, 0);
    assert_eq!(last_error::last(), last_error::TIMEOUT);
    assert!(begin.elapsed() >= Duration::from_millis(20));
    ReleaseSRWLockShared(lock.word());
    assert!(recorded::take().is_empty());
}

fn new_section() -> CriticalSection {
    let section = CriticalSection {
        debug: 1,
        lock: AtomicU32::new(2),
        depth: AtomicU32::new(3),
        owner: AtomicU64::new(4),
        semaphore: 5,
        spin: 6,
    };
    InitializeCriticalSection(Shared::of(&section));
    section
}

#[test]
fn a_section_can_be_entered_again_by_its_thread_only() {
    let section = new_section();
    assert_eq!(size_of::<CriticalSection>(), 40);
    let attempt = || TryEnterCriticalSection(Shared::of(&section));
    let elsewhere = || thread::scope(|scope| scope.spawn(attempt).join().unwrap());
    let leave = || LeaveCriticalSection(Shared::of(&section));
    let delete = || DeleteCriticalSection(Shared::of(&section));
    EnterCriticalSection(Shared::of(&section));
    assert_eq!(attempt(), 1);
    assert_eq!(elsewhere(), 0);
    leave();
    assert_eq!(elsewhere(), 0);
    delete();
    recorded::take_one(WdfFault::InvalidLockOperation);
    leave();
    leave();
    recorded::take_one(WdfFault::InvalidLockOperation);
    delete();
    assert!(recorded::take().is_empty());
}

#[test]
fn who_is_not_in_a_section_does_not_sleep_on_it() {
    let (section, variable) = (new_section(), AtomicU32::new(0));
    let slept = SleepConditionVariableCS(Shared::of(&variable), Shared::of(&section), 0);
    assert_eq!(slept, 0);
    recorded::take_one(WdfFault::InvalidLockOperation);
}
