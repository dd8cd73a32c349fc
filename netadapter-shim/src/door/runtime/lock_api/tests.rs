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

    fn word(&self) -> Word {
        self.0.as_ptr().cast()
    }
}

fn try_exclusive(lock: &Room) -> Boolean {
    // SAFETY: a live lock.
    unsafe { TryAcquireSRWLockExclusive(lock.word()) }
}

fn release_exclusive(lock: &Room) {
    // SAFETY: a live lock.
    unsafe { ReleaseSRWLockExclusive(lock.word()) }
}

#[test]
fn an_srw_lock_needs_no_more_than_zeros() {
    let lock = Room::new();
    assert_eq!((try_exclusive(&lock), try_exclusive(&lock)), (1, 0));
    // SAFETY: a live lock.
    assert_eq!(unsafe { TryAcquireSRWLockShared(lock.word()) }, 0);
    release_exclusive(&lock);
    // SAFETY: a live lock.
    unsafe { AcquireSRWLockShared(lock.word()) };
    // SAFETY: a live lock.
    assert_eq!(unsafe { TryAcquireSRWLockShared(lock.word()) }, 1);
    assert_eq!(try_exclusive(&lock), 0);
    for _ in 0..2 {
        // SAFETY: a live lock.
        unsafe { ReleaseSRWLockShared(lock.word()) };
    }
    assert_eq!(try_exclusive(&lock), 1);
    // SAFETY: a live lock.
    unsafe { InitializeSRWLock(lock.word()) };
    assert_eq!(try_exclusive(&lock), 1);
    assert!(recorded::take().is_empty());
}

#[test]
fn releasing_a_free_lock_and_passing_none_are_breaches() {
    let lock = Room::new();
    release_exclusive(&lock);
    recorded::take_one(WdfFault::InvalidLockOperation);
    // SAFETY: a live lock.
    unsafe { ReleaseSRWLockShared(lock.word()) };
    recorded::take_one(WdfFault::InvalidLockOperation);
    // SAFETY: NULL is what is tested.
    unsafe { AcquireSRWLockExclusive(null_mut()) };
    recorded::take_one(WdfFault::RequiredParameterIsNull);
}

#[test]
fn a_sleeper_is_woken_and_holds_the_lock_again() {
    static LOCK: Room = Room::new();
    static VARIABLE: Room = Room::new();
    static READY: AtomicU32 = AtomicU32::new(0);
    // SAFETY: a live variable.
    unsafe { InitializeConditionVariable(VARIABLE.word()) };
    let sleeper = thread::spawn(|| {
        // SAFETY: a live lock.
        unsafe { AcquireSRWLockExclusive(LOCK.word()) };
        while READY.load(Ordering::Relaxed) == 0 {
            // SAFETY: a live variable and a live lock.
            let woken =
                unsafe { SleepConditionVariableSRW(VARIABLE.word(), LOCK.word(), 10_000, 0) };
            assert_eq!(woken, 1);
        }
        assert_eq!(try_exclusive(&LOCK), 0);
        release_exclusive(&LOCK);
    });
    thread::sleep(Duration::from_millis(10));
    READY.store(1, Ordering::Relaxed);
    // SAFETY: a live variable.
    unsafe { WakeAllConditionVariable(VARIABLE.word()) };
    // SAFETY: a live variable.
    unsafe { WakeConditionVariable(VARIABLE.word()) };
    sleeper.join().unwrap();
}

#[test]
fn a_sleeper_nobody_wakes_times_out() {
    let (lock, variable) = (Room::new(), Room::new());
    // SAFETY: a live lock.
    unsafe { AcquireSRWLockShared(lock.word()) };
    let begin = Instant::now();
    // SAFETY: a live variable and a live lock.
    let woken = unsafe { SleepConditionVariableSRW(variable.word(), lock.word(), 20, 1) };
    assert_eq!(woken, 0);
    assert_eq!(last_error::last(), last_error::TIMEOUT);
    assert!(begin.elapsed() >= Duration::from_millis(20));
    // SAFETY: a live lock, held shared again.
    unsafe { ReleaseSRWLockShared(lock.word()) };
    assert!(recorded::take().is_empty());
}

fn new_section() -> CriticalSection {
    let mut section = std::mem::MaybeUninit::uninit();
    // SAFETY: room for a section.
    unsafe { InitializeCriticalSection(section.as_mut_ptr()) };
    // SAFETY: just initialised.
    unsafe { section.assume_init() }
}

#[test]
fn a_section_can_be_entered_again_by_its_thread_only() {
    let mut section = new_section();
    assert_eq!(size_of::<CriticalSection>(), 40);
    let pointer = &raw mut section;
    let address = pointer.addr();
    // SAFETY: a live section.
    let attempt =
        move || unsafe { TryEnterCriticalSection(std::ptr::with_exposed_provenance_mut(address)) };
    pointer.expose_provenance();
    // SAFETY: a live section.
    unsafe { EnterCriticalSection(pointer) };
    assert_eq!(attempt(), 1);
    assert_eq!(thread::spawn(attempt).join().unwrap(), 0);
    // SAFETY: a live section.
    unsafe { LeaveCriticalSection(pointer) };
    assert_eq!(thread::spawn(attempt).join().unwrap(), 0);
    // SAFETY: a live section.
    unsafe { DeleteCriticalSection(pointer) };
    recorded::take_one(WdfFault::InvalidLockOperation);
    // SAFETY: a live section.
    unsafe { LeaveCriticalSection(pointer) };
    // SAFETY: a live section.
    unsafe { LeaveCriticalSection(pointer) };
    recorded::take_one(WdfFault::InvalidLockOperation);
    // SAFETY: a live section.
    unsafe { DeleteCriticalSection(pointer) };
    assert!(recorded::take().is_empty());
}

#[test]
fn who_is_not_in_a_section_does_not_sleep_on_it() {
    let mut room = std::mem::MaybeUninit::<CriticalSection>::uninit();
    let mut variable = 0;
    // SAFETY: room for a section.
    unsafe { InitializeCriticalSection(room.as_mut_ptr()) };
    // SAFETY: a live variable and a live section.
    let slept = unsafe { SleepConditionVariableCS(&raw mut variable, room.as_mut_ptr(), 0) };
    assert_eq!(slept, 0);
    recorded::take_one(WdfFault::InvalidLockOperation);
}
