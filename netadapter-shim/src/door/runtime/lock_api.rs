//! SRW locks, condition variables and critical sections.

#![allow(unsafe_code)] // the locks lie in the client's memory
#![allow(non_snake_case)] // C's names

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::clock::Timeout;
use super::last_error::{self, refuse};
use super::thread::this_thread;
use super::word_lock;
use crate::door::fail::{WdfFault, breach};
use crate::door::table::{Functions, entries};
use crate::door::types::Boolean;

pub(crate) const FUNCTIONS: Functions = entries![
    InitializeSRWLock,
    AcquireSRWLockExclusive,
    ReleaseSRWLockExclusive,
    AcquireSRWLockShared,
    ReleaseSRWLockShared,
    TryAcquireSRWLockExclusive,
    TryAcquireSRWLockShared,
    InitializeConditionVariable,
    SleepConditionVariableSRW,
    SleepConditionVariableCS,
    WakeConditionVariable,
    WakeAllConditionVariable,
    InitializeCriticalSection,
    DeleteCriticalSection,
    EnterCriticalSection,
    TryEnterCriticalSection,
    LeaveCriticalSection,
];

/// `CONDITION_VARIABLE_LOCKMODE_SHARED`
const LOCKMODE_SHARED: u32 = 1;

/// `SRWLOCK` or `CONDITION_VARIABLE`: the first word of a pointer's room.
type Word = *mut u32;

/// `RTL_CRITICAL_SECTION`, used in its own way.
#[repr(C)]
struct CriticalSection {
    debug: usize,
    lock: AtomicU32,
    depth: AtomicU32,
    owner: AtomicU64,
    semaphore: usize,
    spin: usize,
}

/// The word behind a pointer; NULL is a breach.
///
/// # Safety
/// `word` is NULL or points to a lock that lives for the call and that only
/// these functions touch.
pub(super) unsafe fn word<'a>(call: &str, word: Word) -> Option<&'a AtomicU32> {
    if word.is_null() || !word.is_aligned() {
        let text = format_args!("{call}: the lock is NULL or not aligned");
        breach(WdfFault::RequiredParameterIsNull, text);
        return None;
    }
    // SAFETY: not NULL, aligned, alive, and touched as an atomic only.
    Some(unsafe { AtomicU32::from_ptr(word) })
}

/// A release of what is not held is a breach.
pub(super) fn released(call: &str, was_held: bool) {
    if !was_held {
        let text = format_args!("{call}: nobody holds the lock");
        breach(WdfFault::InvalidLockOperation, text);
    }
}

unsafe extern "C" fn InitializeSRWLock(lock: Word) {
    // SAFETY: the client's lock.
    if let Some(lock) = unsafe { word("InitializeSRWLock", lock) } {
        lock.store(0, Ordering::Release);
    }
}

unsafe extern "C" fn AcquireSRWLockExclusive(lock: Word) {
    // SAFETY: the client's lock.
    if let Some(lock) = unsafe { word("AcquireSRWLockExclusive", lock) } {
        word_lock::exclusive(lock);
    }
}

unsafe extern "C" fn ReleaseSRWLockExclusive(lock: Word) {
    let call = "ReleaseSRWLockExclusive";
    // SAFETY: the client's lock.
    if let Some(lock) = unsafe { word(call, lock) } {
        released(call, word_lock::release_exclusive(lock));
    }
}

unsafe extern "C" fn AcquireSRWLockShared(lock: Word) {
    // SAFETY: the client's lock.
    if let Some(lock) = unsafe { word("AcquireSRWLockShared", lock) } {
        word_lock::shared(lock);
    }
}

unsafe extern "C" fn ReleaseSRWLockShared(lock: Word) {
    let call = "ReleaseSRWLockShared";
    // SAFETY: the client's lock.
    if let Some(lock) = unsafe { word(call, lock) } {
        released(call, word_lock::release_shared(lock));
    }
}

unsafe extern "C" fn TryAcquireSRWLockExclusive(lock: Word) -> Boolean {
    // SAFETY: the client's lock.
    let lock = unsafe { word("TryAcquireSRWLockExclusive", lock) };
    Boolean::from(lock.is_some_and(word_lock::try_exclusive))
}

unsafe extern "C" fn TryAcquireSRWLockShared(lock: Word) -> Boolean {
    // SAFETY: the client's lock.
    let lock = unsafe { word("TryAcquireSRWLockShared", lock) };
    Boolean::from(lock.is_some_and(word_lock::try_shared))
}

unsafe extern "C" fn InitializeConditionVariable(variable: Word) {
    // SAFETY: the client's variable.
    if let Some(variable) = unsafe { word("InitializeConditionVariable", variable) } {
        variable.store(0, Ordering::Release);
    }
}

/// The variable counts wake-ups: a sleeper that saw an older count than the
/// one there is does not sleep.
unsafe extern "C" fn SleepConditionVariableSRW(
    variable: Word,
    lock: Word,
    milliseconds: u32,
    flags: u32,
) -> i32 {
    let call = "SleepConditionVariableSRW";
    // SAFETY: the client's variable.
    let variable = unsafe { word(call, variable) };
    // SAFETY: the client's lock.
    let lock = unsafe { word(call, lock) };
    let (Some(variable), Some(lock)) = (variable, lock) else {
        return refuse(last_error::INVALID_PARAMETER);
    };
    let shared = flags & LOCKMODE_SHARED != 0;
    let leave = || match shared {
        true => word_lock::release_shared(lock),
        false => word_lock::release_exclusive(lock),
    };
    let enter = || match shared {
        true => word_lock::shared(lock),
        false => word_lock::exclusive(lock),
    };
    sleep(variable, milliseconds, || released(call, leave()), enter)
}

/// A section is left however often it was entered, and entered as often.
unsafe extern "C" fn SleepConditionVariableCS(
    variable: Word,
    section_pointer: *mut CriticalSection,
    milliseconds: u32,
) -> i32 {
    let call = "SleepConditionVariableCS";
    // SAFETY: the client's variable.
    let variable = unsafe { word(call, variable) };
    // SAFETY: the client's section.
    let section = unsafe { section(call, section_pointer) };
    let (Some(variable), Some(section)) = (variable, section) else {
        return refuse(last_error::INVALID_PARAMETER);
    };
    if section.owner.load(Ordering::Relaxed) != this_thread() {
        let text = format_args!("{call}: this thread is not in the section");
        breach(WdfFault::InvalidLockOperation, text);
        return refuse(last_error::INVALID_PARAMETER);
    }
    let depth = section.depth.load(Ordering::Relaxed);
    let leave = || {
        section.owner.store(0, Ordering::Relaxed);
        word_lock::release_exclusive(&section.lock);
    };
    let enter = || {
        word_lock::exclusive(&section.lock);
        section.own();
        section.depth.store(depth, Ordering::Relaxed);
    };
    sleep(variable, milliseconds, leave, enter)
}

/// Sleeps outside a lock until a wake-up or the time is over.
fn sleep(
    variable: &AtomicU32,
    milliseconds: u32,
    leave: impl FnOnce(),
    enter: impl FnOnce(),
) -> i32 {
    let seen = variable.load(Ordering::Acquire);
    leave();
    let deadline = Timeout::from_milliseconds(milliseconds).deadline();
    let in_time = word_lock::sleep_while(variable, seen, deadline);
    let woken = in_time || variable.load(Ordering::Acquire) != seen;
    enter();
    match woken {
        true => 1,
        false => refuse(last_error::TIMEOUT),
    }
}

/// # Safety
/// As for [`word`].
unsafe fn wake(call: &str, variable: Word, sleepers: i32) {
    // SAFETY: passed on from the caller.
    if let Some(variable) = unsafe { word(call, variable) } {
        variable.fetch_add(1, Ordering::Release);
        word_lock::wake(variable, sleepers);
    }
}

unsafe extern "C" fn WakeConditionVariable(variable: Word) {
    // SAFETY: the client's variable.
    unsafe { wake("WakeConditionVariable", variable, 1) }
}

unsafe extern "C" fn WakeAllConditionVariable(variable: Word) {
    // SAFETY: the client's variable.
    unsafe { wake("WakeAllConditionVariable", variable, i32::MAX) }
}

/// The section behind a pointer; NULL is a breach.
///
/// # Safety
/// `section` is NULL or points to a section that lives for the call and that
/// only these functions touch.
unsafe fn section<'a>(call: &str, section: *mut CriticalSection) -> Option<&'a CriticalSection> {
    if section.is_null() || !section.is_aligned() {
        let text = format_args!("{call}: the section is NULL or not aligned");
        breach(WdfFault::RequiredParameterIsNull, text);
        return None;
    }
    // SAFETY: not NULL, aligned, alive; its fields are atomics or never used.
    Some(unsafe { &*section })
}

unsafe extern "C" fn InitializeCriticalSection(section: *mut CriticalSection) {
    if section.is_null() {
        let text = format_args!("InitializeCriticalSection: the section is NULL");
        return breach(WdfFault::RequiredParameterIsNull, text);
    }
    // SAFETY: not NULL, and the client's room for a section.
    unsafe {
        section
            .cast::<[u8; size_of::<CriticalSection>()]>()
            .write([0; size_of::<CriticalSection>()])
    };
}

unsafe extern "C" fn DeleteCriticalSection(pointer: *mut CriticalSection) {
    let call = "DeleteCriticalSection";
    // SAFETY: the client's section.
    if let Some(section) = unsafe { section(call, pointer) }
        && section.owner.load(Ordering::Relaxed) != 0
    {
        let text = format_args!("{call}: the section is held");
        breach(WdfFault::InvalidLockOperation, text);
    }
}

impl CriticalSection {
    /// Enters once more what the thread is in already.
    fn reenter(&self) -> bool {
        let mine = self.owner.load(Ordering::Relaxed) == this_thread();
        if mine {
            self.depth.fetch_add(1, Ordering::Relaxed);
        }
        mine
    }

    fn own(&self) {
        self.owner.store(this_thread(), Ordering::Relaxed);
        self.depth.store(1, Ordering::Relaxed);
    }
}

unsafe extern "C" fn EnterCriticalSection(pointer: *mut CriticalSection) {
    // SAFETY: the client's section.
    if let Some(section) = unsafe { section("EnterCriticalSection", pointer) }
        && !section.reenter()
    {
        word_lock::exclusive(&section.lock);
        section.own();
    }
}

unsafe extern "C" fn TryEnterCriticalSection(pointer: *mut CriticalSection) -> i32 {
    // SAFETY: the client's section.
    let Some(section) = (unsafe { section("TryEnterCriticalSection", pointer) }) else {
        return 0;
    };
    if section.reenter() {
        return 1;
    }
    let entered = word_lock::try_exclusive(&section.lock);
    if entered {
        section.own();
    }
    i32::from(entered)
}

unsafe extern "C" fn LeaveCriticalSection(pointer: *mut CriticalSection) {
    let call = "LeaveCriticalSection";
    // SAFETY: the client's section.
    let Some(section) = (unsafe { section(call, pointer) }) else {
        return;
    };
    if section.owner.load(Ordering::Relaxed) != this_thread() {
        let text = format_args!("{call}: this thread is not in the section");
        return breach(WdfFault::InvalidLockOperation, text);
    }
    if section.depth.fetch_sub(1, Ordering::Relaxed) == 1 {
        section.owner.store(0, Ordering::Relaxed);
        word_lock::release_exclusive(&section.lock);
    }
}

#[cfg(test)]
mod tests;
