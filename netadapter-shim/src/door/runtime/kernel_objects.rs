//! Mutexes and semaphores of the kernel's kind, threads as objects, and
//! waiting for several of them.

#![allow(unsafe_code)] // reads and writes the client's objects
#![allow(non_snake_case)] // C's names

use std::ffi::c_void;

use super::clock::Timeout;
use super::dispatcher::{self, ClientEvent, Key, Waitable};
use super::kernel::{answer, event, place};
use super::thread::{current_object, this_thread};
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::store;
use crate::door::table::{Functions, entries};
use crate::door::types::Boolean;

pub(crate) const FUNCTIONS: Functions = entries![
    KeInitializeMutex,
    KeReleaseMutex,
    KeReadStateMutex,
    KeInitializeSemaphore,
    KeReleaseSemaphore,
    KeReadStateSemaphore,
    KeWaitForMultipleObjects,
    KeGetCurrentThread,
    KeQueryActiveProcessorCountEx,
    ObReferenceObjectByHandle,
    ObfDereferenceObject,
];

/// `MAXIMUM_WAIT_OBJECTS`
const MOST: u32 = 64;
/// `WaitAll`
const ALL: u32 = 0;

unsafe extern "C" fn KeInitializeMutex(mutex: *mut ClientEvent, _level: u32) {
    // SAFETY: the client's room for a mutex.
    if let Some(mutex) = unsafe { event("KeInitializeMutex", mutex) } {
        mutex.initialize(Waitable::Mutex { owner: 0, depth: 0 });
    }
}

/// 0 if the mutex is free afterwards, as the kernel counts.
unsafe extern "C" fn KeReleaseMutex(mutex: *mut ClientEvent, _wait: Boolean) -> i32 {
    let call = "KeReleaseMutex";
    // SAFETY: the client's mutex.
    let Some(mutex) = (unsafe { event(call, mutex) }) else {
        return 0;
    };
    let me = this_thread();
    let before = mutex.change(|state| match state {
        Waitable::Mutex { owner, depth } if owner == me && depth > 0 => Some(Waitable::Mutex {
            owner: if depth == 1 { 0 } else { owner },
            depth: depth - 1,
        }),
        _ => None,
    });
    match before {
        Waitable::Mutex { owner, depth } if owner == me => 1 - depth.cast_signed(),
        _ => {
            let text = format_args!("{call}: the calling thread does not hold it");
            breach(WdfFault::ObjectError, text);
            0
        }
    }
}

/// 1 if it is free.
unsafe extern "C" fn KeReadStateMutex(mutex: *mut ClientEvent) -> i32 {
    // SAFETY: the client's mutex.
    let mutex = unsafe { event("KeReadStateMutex", mutex) };
    match mutex.map(|mutex| mutex.change(|_| None)) {
        Some(Waitable::Mutex { depth, .. }) => 1 - depth.cast_signed(),
        _ => 0,
    }
}

unsafe extern "C" fn KeInitializeSemaphore(place: *mut ClientEvent, count: i32, limit: i32) {
    let call = "KeInitializeSemaphore";
    // SAFETY: the client's room for a semaphore.
    let Some(semaphore) = (unsafe { event(call, place) }) else {
        return;
    };
    if limit <= 0 || !(0..=limit).contains(&count) {
        let text = format_args!("{call}: Count {count} does not fit Limit {limit}");
        return breach(WdfFault::ObjectError, text);
    }
    let maximum = limit;
    semaphore.initialize(Waitable::Semaphore { count, maximum });
}

/// The count before; nothing changes if the limit would be passed, which the
/// kernel raises an exception for.
unsafe extern "C" fn KeReleaseSemaphore(
    place: *mut ClientEvent,
    _increment: i32,
    adjustment: i32,
    _wait: Boolean,
) -> i32 {
    let call = "KeReleaseSemaphore";
    // SAFETY: the client's semaphore.
    let Some(semaphore) = (unsafe { event(call, place) }) else {
        return 0;
    };
    let mut fits = false;
    let before = semaphore.change(|state| {
        let Waitable::Semaphore { count, maximum } = state else {
            return None;
        };
        let count = count.checked_add(adjustment.max(0))?;
        fits = adjustment > 0 && count <= maximum;
        fits.then_some(Waitable::Semaphore { count, maximum })
    });
    if !fits {
        let text = format_args!("{call}: {adjustment} more are beyond the limit");
        breach(WdfFault::ObjectError, text);
    }
    count_of(before)
}

unsafe extern "C" fn KeReadStateSemaphore(place: *mut ClientEvent) -> i32 {
    // SAFETY: the client's semaphore.
    let semaphore = unsafe { event("KeReadStateSemaphore", place) };
    semaphore.map_or(0, |semaphore| count_of(semaphore.change(|_| None)))
}

fn count_of(state: Waitable) -> i32 {
    match state {
        Waitable::Semaphore { count, .. } => count,
        _ => 0,
    }
}

unsafe extern "C" fn KeWaitForMultipleObjects(
    count: u32,
    objects: *const *mut ClientEvent,
    kind: u32,
    _reason: u32,
    _mode: i8,
    _alertable: Boolean,
    timeout: *const i64,
    _blocks: *mut c_void,
) -> NtStatus {
    let call = "KeWaitForMultipleObjects";
    if objects.is_null() || !(1..=MOST).contains(&count) {
        let text = format_args!("{call}: Object is NULL or Count {count} is not 1 to {MOST}");
        breach(WdfFault::RequiredParameterIsNull, text);
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: the client's timeout, or NULL.
    let timeout = unsafe { Timeout::read(timeout) };
    let found = |index: usize| {
        // SAFETY: the client's array has `count` elements.
        let element = unsafe { objects.add(index) };
        // SAFETY: one of them.
        let object = unsafe { element.read_unaligned() };
        // SAFETY: one of the client's objects.
        unsafe { place(call, object) }
    };
    let places: Option<Vec<_>> = (0..count as usize).map(found).collect();
    match places {
        Some(places) => answer(dispatcher::wait(
            &places,
            kind == ALL,
            timeout,
            this_thread(),
        )),
        None => NtStatus::INVALID_PARAMETER,
    }
}

/// Something that names the calling thread and, if the client made the
/// thread, can be waited for.
extern "C" fn KeGetCurrentThread() -> Key {
    current_object()
}

/// There is one group of processors, number 0.
extern "C" fn KeQueryActiveProcessorCountEx(group: u16) -> u32 {
    const ALL_GROUPS: u16 = 0xFFFF;
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match group {
        0 | ALL_GROUPS => u32::try_from(count).unwrap_or(1),
        _ => 0,
    }
}

/// A thread's object is its handle, counted once more.
unsafe extern "C" fn ObReferenceObjectByHandle(
    handle: Key,
    _access: u32,
    _kind: *const c_void,
    _mode: i8,
    object: *mut Key,
    _information: *mut c_void,
) -> NtStatus {
    if object.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    if !dispatcher::lock().reference(handle) {
        return NtStatus::INVALID_HANDLE;
    }
    // SAFETY: not NULL, and C's place for a pointer.
    unsafe { store(object, handle) };
    NtStatus::SUCCESS
}

extern "C" fn ObfDereferenceObject(object: Key) -> isize {
    if !dispatcher::lock().close(object) {
        let text = format_args!("ObDereferenceObject: {object:#x} is no object with a reference");
        breach(WdfFault::ObjectError, text);
    }
    0
}

#[cfg(test)]
mod tests;
