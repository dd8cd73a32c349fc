//! SRW locks, condition variables and critical sections.

#![allow(non_snake_case)] // C's names

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::clock::Timeout;
use super::last_error::{self, refuse};
use super::thread::this_thread;
use super::word_lock;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{Atomics, Shared};
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
type Word<'a> = Shared<'a, AtomicU32>;
/// `LPCRITICAL_SECTION`
type Section<'a> = Shared<'a, CriticalSection>;

/// `RTL_CRITICAL_SECTION`, used in its own way.
#[repr(C)]
pub(in crate::door) struct CriticalSection {
    debug: usize,
    lock: AtomicU32,
    depth: AtomicU32,
    owner: AtomicU64,
    semaphore: usize,
    spin: usize,
}

/// The word behind a pointer; NULL is a breach.
pub(super) fn word<'a>(call: &str, word: Word<'a>) -> Option<&'a AtomicU32> {
    there(call, "lock", word)
}

/// The section behind a pointer; NULL is a breach.
fn section<'a>(call: &str, section: Section<'a>) -> Option<&'a CriticalSection> {
    there(call, "section", section)
}

fn there<'a, T: Atomics>(call: &str, what: &str, object: Shared<'a, T>) -> Option<&'a T> {
    let found = object.get();
    if found.is_none() {
        let text = format_args!("{call}: the {what} is NULL or not aligned");
        breach(WdfFault::RequiredParameterIsNull, text);
    }
    found
}

/// A release of what is not held is a breach.
pub(super) fn released(call: &str, was_held: bool) {
    if !was_held {
        let text = format_args!("{call}: nobody holds the lock");
        breach(WdfFault::InvalidLockOperation, text);
    }
}

extern "C" fn InitializeSRWLock(lock: Word<'_>) {
    if let Some(lock) = word("InitializeSRWLock", lock) {
        lock.store(0, Ordering::Release);
    }
}

extern "C" fn AcquireSRWLockExclusive(lock: Word<'_>) {
    if let Some(lock) = word("AcquireSRWLockExclusive", lock) {
        word_lock::exclusive(lock);
    }
}

extern "C" fn ReleaseSRWLockExclusive(lock: Word<'_>) {
    let call = "ReleaseSRWLockExclusive";
    if let Some(lock) = word(call, lock) {
        released(call, word_lock::release_exclusive(lock));
    }
}

extern "C" fn AcquireSRWLockShared(lock: Word<'_>) {
    if let Some(lock) = word("AcquireSRWLockShared", lock) {
        word_lock::shared(lock);
    }
}

extern "C" fn ReleaseSRWLockShared(lock: Word<'_>) {
    let call = "ReleaseSRWLockShared";
    if let Some(lock) = word(call, lock) {
        released(call, word_lock::release_shared(lock));
    }
}

extern "C" fn TryAcquireSRWLockExclusive(lock: Word<'_>) -> Boolean {
    let lock = word("TryAcquireSRWLockExclusive", lock);
    Boolean::from(lock.is_some_and(word_lock::try_exclusive))
}

extern "C" fn TryAcquireSRWLockShared(lock: Word<'_>) -> Boolean {
    let lock = word("TryAcquireSRWLockShared", lock);
    Boolean::from(lock.is_some_and(word_lock::try_shared))
}

extern "C" fn InitializeConditionVariable(variable: Word<'_>) {
    if let Some(variable) = word("InitializeConditionVariable", variable) {
        variable.store(0, Ordering::Release);
    }
}

/// The variable counts wake-ups: a sleeper that saw an older count than the
/// one there is does not sleep.
extern "C" fn SleepConditionVariableSRW(
    variable: Word<'_>,
    lock: Word<'_>,
    milliseconds: u32,
    flags: u32,
) -> i32 {
    let call = "SleepConditionVariableSRW";
    let variable = word(call, variable);
    let lock = word(call, lock);
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
extern "C" fn SleepConditionVariableCS(
    variable: Word<'_>,
    section_pointer: Section<'_>,
    milliseconds: u32,
) -> i32 {
    let call = "SleepConditionVariableCS";
    let variable = word(call, variable);
    let section = section(call, section_pointer);
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

fn wake(call: &str, variable: Word<'_>, sleepers: i32) {
    if let Some(variable) = word(call, variable) {
        variable.fetch_add(1, Ordering::Release);
        word_lock::wake(variable, sleepers);
    }
}

extern "C" fn WakeConditionVariable(variable: Word<'_>) {
    wake("WakeConditionVariable", variable, 1)
}

extern "C" fn WakeAllConditionVariable(variable: Word<'_>) {
    wake("WakeAllConditionVariable", variable, i32::MAX)
}

extern "C" fn InitializeCriticalSection(section: Section<'_>) {
    if !section.clear() {
        let text = format_args!("InitializeCriticalSection: the section is NULL");
        breach(WdfFault::RequiredParameterIsNull, text);
    }
}

extern "C" fn DeleteCriticalSection(pointer: Section<'_>) {
    let call = "DeleteCriticalSection";
    if let Some(section) = section(call, pointer)
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

extern "C" fn EnterCriticalSection(pointer: Section<'_>) {
    if let Some(section) = section("EnterCriticalSection", pointer)
        && !section.reenter()
    {
        word_lock::exclusive(&section.lock);
        section.own();
    }
}

extern "C" fn TryEnterCriticalSection(pointer: Section<'_>) -> i32 {
    let Some(section) = section("TryEnterCriticalSection", pointer) else {
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

extern "C" fn LeaveCriticalSection(pointer: Section<'_>) {
    let call = "LeaveCriticalSection";
    let Some(section) = section(call, pointer) else {
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
