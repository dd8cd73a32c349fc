//! Events, mutexes, semaphores, and the calls that wait for them.

#![allow(non_snake_case)] // C's names

use std::ffi::c_void;

use super::clock::Timeout;
use super::dispatcher::{self, Key, Place, Waitable, Waited};
use super::last_error::{self, refuse};
use super::thread::this_thread;
use crate::door::foreign::{In, Out};
use crate::door::table::{Functions, entries};

pub(crate) const FUNCTIONS: Functions = entries![
    CreateEventW,
    SetEvent,
    ResetEvent,
    CreateMutexW,
    ReleaseMutex,
    CreateSemaphoreW,
    ReleaseSemaphore,
    WaitForSingleObject,
    WaitForMultipleObjects,
    CloseHandle,
];

const WAIT_TIMEOUT: u32 = 258;
const WAIT_FAILED: u32 = u32::MAX;
const MAXIMUM_WAIT_OBJECTS: u32 = 64;

/// Names are ignored: nobody outside the client could open them.
extern "C" fn CreateEventW(
    _security: *const c_void,
    manual: i32,
    set: i32,
    _name: *const u16,
) -> Key {
    dispatcher::lock().create(Waitable::Event {
        manual: manual != 0,
        set: set != 0,
    })
}

/// Sets or clears the event behind a handle.
fn signal(event: Key, set: bool) -> i32 {
    let mut dispatcher = dispatcher::lock();
    let Some(Waitable::Event { manual, .. }) = dispatcher.get(event) else {
        return refuse(last_error::INVALID_HANDLE);
    };
    dispatcher.set(event, Waitable::Event { manual, set });
    1
}

extern "C" fn SetEvent(event: Key) -> i32 {
    signal(event, true)
}

extern "C" fn ResetEvent(event: Key) -> i32 {
    signal(event, false)
}

extern "C" fn CreateMutexW(_security: *const c_void, owned: i32, _name: *const u16) -> Key {
    let (owner, depth) = match owned {
        0 => (0, 0),
        _ => (this_thread(), 1),
    };
    dispatcher::lock().create(Waitable::Mutex { owner, depth })
}

extern "C" fn ReleaseMutex(mutex: Key) -> i32 {
    let mut dispatcher = dispatcher::lock();
    let Some(Waitable::Mutex { owner, depth }) = dispatcher.get(mutex) else {
        return refuse(last_error::INVALID_HANDLE);
    };
    if owner != this_thread() {
        return refuse(last_error::NOT_OWNER);
    }
    let depth = depth.saturating_sub(1);
    let owner = if depth == 0 { 0 } else { owner };
    dispatcher.set(mutex, Waitable::Mutex { owner, depth });
    1
}

extern "C" fn CreateSemaphoreW(
    _security: *const c_void,
    count: i32,
    maximum: i32,
    _name: *const u16,
) -> Key {
    if count < 0 || maximum <= 0 || count > maximum {
        last_error::set(last_error::INVALID_PARAMETER);
        return 0;
    }
    dispatcher::lock().create(Waitable::Semaphore { count, maximum })
}

extern "C" fn ReleaseSemaphore(semaphore: Key, released: i32, previous: Out<'_, i32>) -> i32 {
    let mut dispatcher = dispatcher::lock();
    let Some(Waitable::Semaphore { count, maximum }) = dispatcher.get(semaphore) else {
        return refuse(last_error::INVALID_HANDLE);
    };
    if released <= 0 {
        return refuse(last_error::INVALID_PARAMETER);
    }
    let Some(new) = count.checked_add(released).filter(|new| *new <= maximum) else {
        return refuse(last_error::TOO_MANY_POSTS);
    };
    let count_before = count;
    dispatcher.set(
        semaphore,
        Waitable::Semaphore {
            count: new,
            maximum,
        },
    );
    drop(dispatcher);
    previous.store(count_before);
    1
}

/// `WAIT_*` of a wait.
fn answer(waited: Waited) -> u32 {
    match waited {
        Waited::Taken(index) => u32::try_from(index).unwrap_or(WAIT_FAILED),
        Waited::TimedOut => WAIT_TIMEOUT,
        Waited::BadHandle => {
            last_error::set(last_error::INVALID_HANDLE);
            WAIT_FAILED
        }
    }
}

extern "C" fn WaitForSingleObject(handle: Key, milliseconds: u32) -> u32 {
    let timeout = Timeout::from_milliseconds(milliseconds);
    let places = [Place::Handle(handle)];
    answer(dispatcher::wait(&places, false, timeout, this_thread()))
}

extern "C" fn WaitForMultipleObjects(
    count: u32,
    handles: In<'_, Key>,
    all: i32,
    milliseconds: u32,
) -> u32 {
    let count = (1..=MAXIMUM_WAIT_OBJECTS)
        .contains(&count)
        .then_some(count as usize);
    let Some(handles) = count.and_then(|count| handles.elements(count)) else {
        last_error::set(last_error::INVALID_PARAMETER);
        return WAIT_FAILED;
    };
    let places: Vec<_> = handles.into_iter().map(Place::Handle).collect();
    let timeout = Timeout::from_milliseconds(milliseconds);
    answer(dispatcher::wait(&places, all != 0, timeout, this_thread()))
}

pub(super) extern "C" fn CloseHandle(handle: Key) -> i32 {
    match dispatcher::lock().close(handle) {
        true => 1,
        false => refuse(last_error::INVALID_HANDLE),
    }
}

#[cfg(test)]
mod tests;
