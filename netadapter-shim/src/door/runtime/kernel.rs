//! Events of the kernel's kind, which lie in the client's memory, and waiting
//! for what lies there.

#![allow(unsafe_code)] // reads and writes the client's events
#![allow(non_snake_case)] // C's names

use super::clock::Timeout;
use super::dispatcher::{self, ClientEvent, EventInMemory, Place, Waitable, Waited};
use super::thread::this_thread;
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::table::{Functions, entries};
use crate::door::types::Boolean;

pub(crate) const FUNCTIONS: Functions = entries![
    KeInitializeEvent,
    KeSetEvent,
    KeClearEvent,
    KeResetEvent,
    KeReadStateEvent,
    KeWaitForSingleObject,
];

/// `NotificationEvent`, the manual kind.
const NOTIFICATION: u32 = 0;

/// The event behind a pointer; NULL is a breach.
///
/// # Safety
/// As for [`EventInMemory::new`], but for NULL.
pub(super) unsafe fn event(call: &str, event: *mut ClientEvent) -> Option<EventInMemory> {
    if event.is_null() || !event.is_aligned() {
        let text = format_args!("{call}: the object is NULL or not aligned");
        breach(WdfFault::RequiredParameterIsNull, text);
        return None;
    }
    // SAFETY: passed on from the caller.
    Some(unsafe { EventInMemory::new(event) })
}

unsafe extern "C" fn KeInitializeEvent(place: *mut ClientEvent, kind: u32, set: Boolean) {
    // SAFETY: the client's room for an event.
    if let Some(event) = unsafe { event("KeInitializeEvent", place) } {
        event.initialize(Waitable::Event {
            manual: kind == NOTIFICATION,
            set: set != 0,
        });
    }
}

/// # Safety
/// As for [`event`].
unsafe fn signal(call: &str, place: *mut ClientEvent, set: bool) -> i32 {
    // SAFETY: passed on from the caller.
    let event = unsafe { event(call, place) };
    i32::from(event.is_some_and(|event| event.signal(set)))
}

unsafe extern "C" fn KeSetEvent(place: *mut ClientEvent, _increment: i32, _wait: Boolean) -> i32 {
    // SAFETY: the client's event.
    unsafe { signal("KeSetEvent", place, true) }
}

unsafe extern "C" fn KeClearEvent(place: *mut ClientEvent) {
    // SAFETY: the client's event.
    unsafe { signal("KeClearEvent", place, false) };
}

unsafe extern "C" fn KeResetEvent(place: *mut ClientEvent) -> i32 {
    // SAFETY: the client's event.
    unsafe { signal("KeResetEvent", place, false) }
}

unsafe extern "C" fn KeReadStateEvent(place: *mut ClientEvent) -> i32 {
    // SAFETY: the client's event.
    let event = unsafe { event("KeReadStateEvent", place) };
    i32::from(event.is_some_and(EventInMemory::is_set))
}

/// Waits for an event in memory, or for a thread by its handle.
unsafe extern "C" fn KeWaitForSingleObject(
    object: *mut ClientEvent,
    _reason: u32,
    _mode: i8,
    _alertable: Boolean,
    timeout: *const i64,
) -> NtStatus {
    // SAFETY: the client's timeout, or NULL.
    let timeout = unsafe { Timeout::read(timeout) };
    // SAFETY: passed on from the client.
    match unsafe { place("KeWaitForSingleObject", object) } {
        Some(place) => answer(dispatcher::wait(&[place], false, timeout, this_thread())),
        None => NtStatus::INVALID_PARAMETER,
    }
}

/// A thread's handle, or an object in the client's memory; NULL is a breach.
///
/// # Safety
/// `object` is a handle or as for [`event`].
pub(super) unsafe fn place(call: &str, object: *mut ClientEvent) -> Option<Place> {
    if dispatcher::is_handle(object.addr()) {
        return Some(Place::Handle(object.addr()));
    }
    // SAFETY: no handle, so that it is the client's object.
    unsafe { event(call, object) }.map(Place::Memory)
}

/// The status for how a wait ended.
pub(super) fn answer(waited: Waited) -> NtStatus {
    match waited {
        Waited::Taken(index) => NtStatus(i32::try_from(index).unwrap_or(0)),
        Waited::TimedOut => NtStatus::TIMEOUT,
        Waited::BadHandle => NtStatus::INVALID_HANDLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::recorded;
    use std::mem::MaybeUninit;
    use std::ptr::{null, null_mut};

    /// Room for a `KEVENT`, shared between threads as C does it.
    struct Room(*mut ClientEvent);
    // SAFETY: the event's functions may be called from any thread.
    unsafe impl Send for Room {}

    fn initialized(room: &mut MaybeUninit<ClientEvent>, kind: u32, set: Boolean) -> Room {
        let place = room.as_mut_ptr();
        // SAFETY: room for an event.
        unsafe { KeInitializeEvent(place, kind, set) };
        Room(place)
    }

    fn wait(event: &Room, timeout: i64) -> NtStatus {
        // SAFETY: a live event and a live timeout.
        unsafe { KeWaitForSingleObject(event.0, 0, 0, 0, &timeout) }
    }

    #[test]
    fn a_notification_event_stays_set() {
        let mut room = MaybeUninit::uninit();
        let event = initialized(&mut room, NOTIFICATION, 1);
        assert_eq!(wait(&event, 0), NtStatus::SUCCESS);
        assert_eq!(wait(&event, 0), NtStatus::SUCCESS);
        // SAFETY: a live event.
        assert_eq!(unsafe { KeResetEvent(event.0) }, 1);
        assert_eq!(wait(&event, -1000), NtStatus::TIMEOUT);
        // SAFETY: a live event.
        assert_eq!(unsafe { KeSetEvent(event.0, 0, 0) }, 0);
        // SAFETY: a live event.
        assert_eq!(unsafe { KeReadStateEvent(event.0) }, 1);
        // SAFETY: a live event.
        unsafe { KeClearEvent(event.0) };
        // SAFETY: a live event.
        assert_eq!(unsafe { KeReadStateEvent(event.0) }, 0);
    }

    #[test]
    fn a_synchronization_event_lets_one_thread_through() {
        let mut room = MaybeUninit::uninit();
        let event = initialized(&mut room, 1, 0);
        let shared = Room(event.0);
        let other = std::thread::spawn(move || {
            let shared = shared;
            // SAFETY: a live event, waited for without end.
            unsafe { KeWaitForSingleObject(shared.0, 0, 0, 0, null()) }
        });
        std::thread::sleep(std::time::Duration::from_millis(10));
        // SAFETY: a live event.
        unsafe { KeSetEvent(event.0, 0, 0) };
        assert_eq!(other.join().unwrap(), NtStatus::SUCCESS);
        assert_eq!(wait(&event, 0), NtStatus::TIMEOUT);
    }

    #[test]
    fn no_event_is_a_breach() {
        // SAFETY: NULL is what is tested.
        let status = unsafe { KeWaitForSingleObject(null_mut(), 0, 0, 0, null()) };
        assert_eq!(status, NtStatus::INVALID_PARAMETER);
        recorded::take_one(WdfFault::RequiredParameterIsNull);
    }
}
