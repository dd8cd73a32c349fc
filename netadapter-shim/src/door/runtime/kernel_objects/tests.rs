use super::*;
use crate::door::fail::recorded;
use crate::door::runtime::dispatcher::ClientEvent;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

type Room = MaybeUninit<ClientEvent>;

fn wait(objects: &[ObjectPointer], kind: u32, timeout: i64) -> NtStatus {
    let count = u32::try_from(objects.len()).unwrap();
    let (objects, timeout) = (objects.as_ptr().into(), In::of(&timeout));
    KeWaitForMultipleObjects(count, objects, kind, 0, 0, 0, timeout, null_mut())
}

fn semaphore(room: &mut Room, count: i32, limit: i32) -> ObjectPointer {
    KeInitializeSemaphore(ObjectPointer::at(room.as_mut_ptr()), count, limit);
    ObjectPointer::at(room.as_mut_ptr())
}

fn mutex(room: &mut Room) -> ObjectPointer {
    KeInitializeMutex(ObjectPointer::at(room.as_mut_ptr()), 0);
    ObjectPointer::at(room.as_mut_ptr())
}

#[test]
fn a_semaphore_lets_as_many_through_as_it_counts() {
    let mut room = Room::uninit();
    let semaphore = semaphore(&mut room, 1, 2);
    assert_eq!(wait(&[semaphore], 1, 0), NtStatus::SUCCESS);
    assert_eq!(wait(&[semaphore], 1, 0), NtStatus::TIMEOUT);
    assert_eq!(KeReleaseSemaphore(semaphore, 0, 2, 0), 0);
    assert_eq!(KeReadStateSemaphore(semaphore), 2);
    assert_eq!(KeReleaseSemaphore(semaphore, 0, 1, 0), 2);
    recorded::take_one(WdfFault::ObjectError);
}

#[test]
fn a_mutex_is_held_by_one_thread_as_often_as_it_likes() {
    let mut room = Room::uninit();
    let mutex = mutex(&mut room);
    assert_eq!(wait(&[mutex], 1, 0), NtStatus::SUCCESS);
    assert_eq!(wait(&[mutex], 1, 0), NtStatus::SUCCESS);
    let address = room.as_mut_ptr().expose_provenance();
    let other = std::thread::spawn(move || {
        let mutex = ObjectPointer::at(std::ptr::with_exposed_provenance_mut(address));
        wait(&[mutex], 1, 0)
    });
    assert_eq!(other.join().unwrap(), NtStatus::TIMEOUT);
    assert_eq!(KeReleaseMutex(mutex, 0), -1);
    assert_eq!(KeReleaseMutex(mutex, 0), 0);
    assert_eq!(KeReadStateMutex(mutex), 1);
    KeReleaseMutex(mutex, 0);
    recorded::take_one(WdfFault::ObjectError);
}

#[test]
fn waiting_for_all_takes_all_or_nothing() {
    let (mut first, mut second) = (Room::uninit(), Room::uninit());
    let (one, none) = (semaphore(&mut first, 1, 1), semaphore(&mut second, 0, 1));
    assert_eq!(wait(&[none, one], ALL, 0), NtStatus::TIMEOUT);
    assert_eq!(KeReadStateSemaphore(one), 1);
    assert_eq!(wait(&[none, one], 1, 0), NtStatus(1));
}

#[test]
fn a_thread_object_outlives_its_handle() {
    let key = dispatcher::lock().create(Waitable::Thread { exit_code: Some(0) });
    let mut object = 0;
    let reference = |handle, place: &mut Key| {
        ObReferenceObjectByHandle(handle, 0, null(), 0, Out::of(place), null_mut())
    };
    assert_eq!(reference(key, &mut object), NtStatus::SUCCESS);
    assert!(dispatcher::lock().close(key));
    let pointer = ObjectPointer::at(std::ptr::without_provenance_mut(object));
    assert_eq!(wait(&[pointer], 1, 0), NtStatus::SUCCESS);
    ObfDereferenceObject(object);
    assert_eq!(wait(&[pointer], 1, 0), NtStatus::INVALID_HANDLE);
    assert_eq!(reference(key, &mut object), NtStatus::INVALID_HANDLE);
    assert!(recorded::take().is_empty());
    ObfDereferenceObject(object);
    recorded::take_one(WdfFault::ObjectError);
}

#[test]
fn a_wait_for_nothing_or_too_much_is_a_breach() {
    assert_eq!(wait(&[], 1, 0), NtStatus::INVALID_PARAMETER);
    recorded::take_one(WdfFault::RequiredParameterIsNull);
    assert_eq!(
        wait(&[ObjectPointer::at(null_mut())], 1, 0),
        NtStatus::INVALID_PARAMETER
    );
    recorded::take_one(WdfFault::RequiredParameterIsNull);
    let mut room = Room::uninit();
    semaphore(&mut room, 3, 2);
    recorded::take_one(WdfFault::ObjectError);
}

#[test]
fn the_calling_thread_and_its_processors_are_known() {
    assert_ne!(KeGetCurrentThread(), 0);
    assert_eq!(KeGetCurrentThread(), KeGetCurrentThread());
    assert!(KeQueryActiveProcessorCountEx(0) >= 1);
    assert_eq!(KeQueryActiveProcessorCountEx(1), 0);
}
