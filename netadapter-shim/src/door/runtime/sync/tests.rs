use std::ptr::null;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

fn event(manual: bool, set: bool) -> Key {
    CreateEventW(null(), manual.into(), set.into(), null())
}

fn wait_any(handles: &[Key], all: bool, milliseconds: u32) -> u32 {
    let count = u32::try_from(handles.len()).unwrap();
    WaitForMultipleObjects(count, handles.as_ptr().into(), all.into(), milliseconds)
}

#[test]
fn a_manual_event_stays_set_and_an_automatic_one_does_not() {
    let (manual, automatic) = (event(true, true), event(false, false));
    assert_eq!(WaitForSingleObject(manual, 0), 0);
    assert_eq!(WaitForSingleObject(manual, 0), 0);
    assert_eq!(ResetEvent(manual), 1);
    assert_eq!(WaitForSingleObject(manual, 0), WAIT_TIMEOUT);
    assert_eq!(SetEvent(automatic), 1);
    assert_eq!(WaitForSingleObject(automatic, 0), 0);
    assert_eq!(WaitForSingleObject(automatic, 0), WAIT_TIMEOUT);
    assert_eq!((CloseHandle(manual), CloseHandle(automatic)), (1, 1));
}

#[test]
fn a_wait_ends_when_another_thread_sets_the_event() {
    let (go, done) = (event(false, false), event(false, false));
    let other = thread::spawn(move || {
        let waited = WaitForSingleObject(go, 10_000);
        SetEvent(done);
        waited
    });
    assert_eq!(WaitForSingleObject(done, 10), WAIT_TIMEOUT);
    SetEvent(go);
    assert_eq!(WaitForSingleObject(done, 10_000), 0);
    assert_eq!(other.join().unwrap(), 0);
}

#[test]
fn a_timeout_is_waited_for() {
    let never = event(true, false);
    let begin = Instant::now();
    assert_eq!(WaitForSingleObject(never, 30), WAIT_TIMEOUT);
    assert!(begin.elapsed() >= Duration::from_millis(30));
}

#[test]
fn a_closed_handle_is_refused_and_ends_waits() {
    let handle = event(true, false);
    let other = thread::spawn(move || WaitForSingleObject(handle, 10_000));
    thread::sleep(Duration::from_millis(20));
    assert_eq!(CloseHandle(handle), 1);
    assert_eq!(other.join().unwrap(), WAIT_FAILED);
    assert_eq!(SetEvent(handle), 0);
    assert_eq!(last_error::last(), last_error::INVALID_HANDLE);
    assert_eq!(CloseHandle(handle), 0);
    assert_eq!(WaitForSingleObject(0, 0), WAIT_FAILED);
}

#[test]
fn waiting_for_any_takes_the_first_that_is_set() {
    let handles = [event(false, false), event(false, true), event(false, true)];
    assert_eq!(wait_any(&handles, false, 0), 1);
    assert_eq!(wait_any(&handles, false, 0), 2);
    assert_eq!(wait_any(&handles, false, 0), WAIT_TIMEOUT);
}

#[test]
fn waiting_for_all_takes_nothing_until_it_can_take_everything() {
    let handles = [event(false, true), event(false, false)];
    assert_eq!(wait_any(&handles, true, 5), WAIT_TIMEOUT);
    assert_eq!(WaitForSingleObject(handles[0], 0), 0, "still set");
    SetEvent(handles[0]);
    let other = thread::spawn(move || wait_any(&handles, true, 10_000));
    thread::sleep(Duration::from_millis(10));
    SetEvent(handles[1]);
    assert_eq!(other.join().unwrap(), 0);
    assert_eq!(wait_any(&handles, false, 0), WAIT_TIMEOUT);
}

#[test]
fn a_wait_for_none_or_too_many_is_refused() {
    assert_eq!(wait_any(&[], false, 0), WAIT_FAILED);
    assert_eq!(wait_any(&[1; 65], false, 0), WAIT_FAILED);
    assert_eq!(last_error::last(), last_error::INVALID_PARAMETER);
    let null = WaitForMultipleObjects(1, In::NULL, 0, 0);
    assert_eq!(null, WAIT_FAILED);
}

#[test]
fn a_mutex_belongs_to_one_thread_as_often_as_it_likes() {
    let mutex = CreateMutexW(null(), 1, null());
    assert_eq!(WaitForSingleObject(mutex, 0), 0);
    let other = move || thread::spawn(move || WaitForSingleObject(mutex, 0));
    assert_eq!(ReleaseMutex(mutex), 1);
    assert_eq!(other().join().unwrap(), WAIT_TIMEOUT);
    assert_eq!(ReleaseMutex(mutex), 1);
    assert_eq!(ReleaseMutex(mutex), 0);
    assert_eq!(last_error::last(), last_error::NOT_OWNER);
    assert_eq!(other().join().unwrap(), 0);
}

#[test]
fn a_semaphore_counts_up_to_its_maximum() {
    let semaphore = CreateSemaphoreW(null(), 1, 2, null());
    assert_eq!(WaitForSingleObject(semaphore, 0), 0);
    assert_eq!(WaitForSingleObject(semaphore, 0), WAIT_TIMEOUT);
    let mut before = -1;
    let released = ReleaseSemaphore(semaphore, 2, Out::of(&mut before));
    assert_eq!((released, before), (1, 0));
    assert_eq!(ReleaseSemaphore(semaphore, 1, Out::NULL), 0);
    assert_eq!(last_error::last(), last_error::TOO_MANY_POSTS);
    assert_eq!(CreateSemaphoreW(null(), 3, 2, null()), 0);
}
