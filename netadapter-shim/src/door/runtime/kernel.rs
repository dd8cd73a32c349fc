//! Events of the kernel's kind, which lie in the client's memory, and waiting
//! for what lies there.

#![allow(non_snake_case)] // C's names

use super::clock::Timeout;
use super::dispatcher::{self, EventInMemory, ObjectPointer, Place, Waitable, Waited};
use super::thread::this_thread;
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::In;
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
pub(super) fn event(call: &str, event: ObjectPointer) -> Option<EventInMemory> {
    let found = event.in_memory();
    if found.is_none() {
        let text = format_args!("{call}: the object is NULL or not aligned");
        breach(WdfFault::RequiredParameterIsNull, text);
    }
    found
}

extern "C" fn KeInitializeEvent(place: ObjectPointer, kind: u32, set: Boolean) {
    if let Some(event) = event("KeInitializeEvent", place) {
        event.initialize(Waitable::Event {
            manual: kind == NOTIFICATION,
            set: set != 0,
        });
    }
}

fn signal(call: &str, place: ObjectPointer, set: bool) -> i32 {
    let event = event(call, place);
    i32::from(event.is_some_and(|event| event.signal(set)))
}

extern "C" fn KeSetEvent(place: ObjectPointer, _increment: i32, _wait: Boolean) -> i32 {
    signal("KeSetEvent", place, true)
}

extern "C" fn KeClearEvent(place: ObjectPointer) {
    signal("KeClearEvent", place, false);
}

extern "C" fn KeResetEvent(place: ObjectPointer) -> i32 {
    signal("KeResetEvent", place, false)
}

extern "C" fn KeReadStateEvent(place: ObjectPointer) -> i32 {
    let event = event("KeReadStateEvent", place);
    i32::from(event.is_some_and(EventInMemory::is_set))
}

/// Waits for an event in memory, or for a thread by its handle.
extern "C" fn KeWaitForSingleObject(
    object: ObjectPointer,
    _reason: u32,
    _mode: i8,
    _alertable: Boolean,
    timeout: In<'_, i64>,
) -> NtStatus {
    let timeout = Timeout::of(timeout);
    match place("KeWaitForSingleObject", object) {
        Some(place) => answer(dispatcher::wait(&[place], false, timeout, this_thread())),
        None => NtStatus::INVALID_PARAMETER,
    }
}

/// A thread's handle, or an object in the client's memory; NULL is a breach.
pub(super) fn place(call: &str, object: ObjectPointer) -> Option<Place> {
    if let Some(handle) = object.handle() {
        return Some(Place::Handle(handle));
    }
    event(call, object).map(Place::Memory)
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
#[allow(unsafe_code)] // shares an event between threads
mod tests {
    use super::*;
    use crate::door::fail::recorded;
    use crate::door::runtime::dispatcher::ClientEvent;
    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    /// Room for a `KEVENT`, shared between threads as C does it.
    struct Room(ObjectPointer);
    // SAFETY: the event's functions may be called from any thread.
    unsafe impl Send for Room {}

    fn initialized(room: &mut MaybeUninit<ClientEvent>, kind: u32, set: Boolean) -> Room {
        let place = ObjectPointer::at(room.as_mut_ptr());
        KeInitializeEvent(place, kind, set);
        Room(place)
    }

    fn wait(event: &Room, timeout: i64) -> NtStatus {
        KeWaitForSingleObject(event.0, 0, 0, 0, In::of(&timeout))
    }

    #[test]
    fn a_notification_event_stays_set() {
        let mut room = MaybeUninit::uninit();
        let event = initialized(&mut room, NOTIFICATION, 1);
        assert_eq!(wait(&event, 0), NtStatus::SUCCESS);
        assert_eq!(wait(&event, 0), NtStatus::SUCCESS);
        assert_eq!(KeResetEvent(event.0), 1);
        assert_eq!(wait(&event, -1000), NtStatus::TIMEOUT);
        assert_eq!(KeSetEvent(event.0, 0, 0), 0);
        assert_eq!(KeReadStateEvent(event.0), 1);
        KeClearEvent(event.0);
        assert_eq!(KeReadStateEvent(event.0), 0);
    }

    #[test]
    fn a_synchronization_event_lets_one_thread_through() {
        let mut room = MaybeUninit::uninit();
        let event = initialized(&mut room, 1, 0);
        let shared = Room(event.0);
        let other = std::thread::spawn(move || {
            let shared = shared;
            KeWaitForSingleObject(shared.0, 0, 0, 0, In::NULL)
        });
        std::thread::sleep(std::time::Duration::from_millis(10));
        KeSetEvent(event.0, 0, 0);
        assert_eq!(other.join().unwrap(), NtStatus::SUCCESS);
        assert_eq!(wait(&event, 0), NtStatus::TIMEOUT);
    }

    #[test]
    fn no_event_is_a_breach() {
        let status = KeWaitForSingleObject(ObjectPointer::at(null_mut()), 0, 0, 0, In::NULL);
        assert_eq!(status, NtStatus::INVALID_PARAMETER);
        recorded::take_one(WdfFault::RequiredParameterIsNull);
    }
}
