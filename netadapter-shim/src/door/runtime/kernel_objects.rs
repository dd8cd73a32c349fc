//! Mutexes and semaphores of the kernel's kind, threads as objects, and
//! waiting for several of them.

#![allow(non_snake_case)] // C's names

use std::ffi::c_void;

use super::clock::Timeout;
use super::dispatcher::{self, Key, ObjectPointer, Waitable};
use super::kernel::{answer, event, place};
use super::thread::{current_object, this_thread};
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{In, Out};
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

extern "C" fn KeInitializeMutex(mutex: ObjectPointer, _level: u32) {
    if let Some(mutex) = event("KeInitializeMutex", mutex) {
        mutex.initialize(Waitable::Mutex { owner: 0, depth: 0 });
    }
}

/// 0 if the mutex is free afterwards, as the kernel counts.
extern "C" fn KeReleaseMutex(mutex: ObjectPointer, _wait: Boolean) -> i32 {
    let call = "KeReleaseMutex";
    let Some(mutex) = event(call, mutex) else {
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
extern "C" fn KeReadStateMutex(mutex: ObjectPointer) -> i32 {
    let mutex = event("KeReadStateMutex", mutex);
    match mutex.map(|mutex| mutex.change(|_| None)) {
        Some(Waitable::Mutex { depth, .. }) => 1 - depth.cast_signed(),
        _ => 0,
    }
}

extern "C" fn KeInitializeSemaphore(place: ObjectPointer, count: i32, limit: i32) {
    let call = "KeInitializeSemaphore";
    let Some(semaphore) = event(call, place) else {
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
extern "C" fn KeReleaseSemaphore(
    place: ObjectPointer,
    _increment: i32,
    adjustment: i32,
    _wait: Boolean,
) -> i32 {
    let call = "KeReleaseSemaphore";
    let Some(semaphore) = event(call, place) else {
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

extern "C" fn KeReadStateSemaphore(place: ObjectPointer) -> i32 {
    let semaphore = event("KeReadStateSemaphore", place);
    semaphore.map_or(0, |semaphore| count_of(semaphore.change(|_| None)))
}

fn count_of(state: Waitable) -> i32 {
    match state {
        Waitable::Semaphore { count, .. } => count,
        _ => 0,
    }
}

extern "C" fn KeWaitForMultipleObjects(
    count: u32,
    objects: In<'_, ObjectPointer>,
    kind: u32,
    _reason: u32,
    _mode: i8,
    _alertable: Boolean,
    timeout: In<'_, i64>,
    _blocks: *mut c_void,
) -> NtStatus {
    let call = "KeWaitForMultipleObjects";
    let most = (1..=MOST).contains(&count).then_some(count as usize);
    let Some(elements) = most.and_then(|count| objects.elements(count)) else {
        let text = format_args!("{call}: Object is NULL or Count {count} is not 1 to {MOST}");
        breach(WdfFault::RequiredParameterIsNull, text);
        return NtStatus::INVALID_PARAMETER;
    };
    let timeout = Timeout::of(timeout);
    let places: Option<Vec<_>> = elements
        .into_iter()
        .map(|object| place(call, object))
        .collect();
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
extern "C" fn ObReferenceObjectByHandle(
    handle: Key,
    _access: u32,
    _kind: *const c_void,
    _mode: i8,
    object: Out<'_, Key>,
    _information: *mut c_void,
) -> NtStatus {
    if object.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    if !dispatcher::lock().reference(handle) {
        return NtStatus::INVALID_HANDLE;
    }
    object.store(handle);
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
