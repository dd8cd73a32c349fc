#![allow(unsafe_code)] // counts through what a thread is given

use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::*;
use crate::door::runtime::clock::Timeout;
use crate::door::runtime::dispatcher::{Place, Waited, wait};

extern "C-unwind" fn add(argument: *mut c_void) -> u32 {
    // SAFETY: each test passes a counter that outlives the thread.
    let counter = unsafe { &*argument.cast::<AtomicU32>() };
    counter.fetch_add(1, Ordering::SeqCst) + 10
}

extern "C-unwind" fn leave_early(_: *mut c_void) -> u32 {
    ExitThread(77);
    unreachable!("the thread is over");
}

extern "C-unwind" fn terminate(_: *mut c_void) -> u32 {
    PsTerminateSystemThread(NtStatus::UNSUCCESSFUL);
    0
}

fn start(routine: StartRoutine, counter: &AtomicU32, flags: u32) -> Key {
    let argument = (&raw const *counter).cast_mut().cast();
    let mut id = 0;
    let thread = CreateThread(null(), 0, Some(routine), argument, flags, Out::of(&mut id));
    assert!(thread != 0 && id != 0);
    thread
}

fn join(thread: Key) -> u32 {
    let timeout = Timeout::from_milliseconds(10_000);
    let waited = wait(&[Place::Handle(thread)], false, timeout, this_thread());
    assert_eq!(waited, Waited::Taken(0));
    exit_code(thread)
}

fn exit_code(thread: Key) -> u32 {
    let mut code = 0;
    assert_eq!(GetExitCodeThread(thread, Out::of(&mut code)), 1);
    code
}

#[test]
fn a_thread_runs_and_its_exit_code_can_be_read() {
    let counter = AtomicU32::new(5);
    let thread = start(add, &counter, 0);
    assert_eq!(join(thread), 15);
    assert_eq!(counter.load(Ordering::SeqCst), 6);
    assert_eq!(ZwClose(thread), NtStatus::SUCCESS);
    assert_eq!(ZwClose(thread), NtStatus::INVALID_HANDLE);
}

#[test]
fn a_thread_can_leave_from_within() {
    let counter = AtomicU32::new(0);
    assert_eq!(join(start(leave_early, &counter, 0)), 77);
}

#[test]
fn a_suspended_thread_waits_until_it_is_resumed() {
    let counter = AtomicU32::new(0);
    let thread = start(add, &counter, CREATE_SUSPENDED);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(counter.load(Ordering::SeqCst), 0);
    assert_eq!(exit_code(thread), STILL_ACTIVE);
    assert_eq!(ResumeThread(thread), 1);
    assert_eq!(join(thread), 10);
    assert_eq!(ResumeThread(thread), u32::MAX, "over");
}

#[test]
fn a_thread_without_a_function_is_refused() {
    let thread = CreateThread(null(), 0, None, null_mut(), 0, Out::NULL);
    assert_eq!(thread, 0);
    assert_eq!(last_error::last(), last_error::INVALID_PARAMETER);
    assert_eq!(GetExitCodeThread(12, Out::NULL), 0);
}

/// The nice value of the calling thread, added to a counter.
extern "C-unwind" fn tell_nice(argument: *mut c_void) -> u32 {
    // SAFETY: takes numbers only.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    // SAFETY: each test passes a counter that outlives the thread.
    let counter = unsafe { &*argument.cast::<AtomicU32>() };
    counter.fetch_add(nice.unsigned_abs(), Ordering::SeqCst)
}

#[test]
fn a_lower_priority_is_a_higher_nice_value() {
    let counter = AtomicU32::new(0);
    let thread = start(tell_nice, &counter, CREATE_SUSPENDED);
    assert_eq!(SetThreadPriority(thread, -2), 1);
    assert_eq!(SetThreadPriority(thread, 7), 0, "there is no such priority");
    ResumeThread(thread);
    join(thread);
    assert_eq!(counter.load(Ordering::SeqCst), 10);
}

#[test]
fn priorities_are_given_back() {
    let counter = AtomicU32::new(0);
    let thread = start(add, &counter, CREATE_SUSPENDED);
    assert_eq!(SetThreadPriority(thread, 15), 1);
    assert_eq!(GetThreadPriority(thread), 15);
    ResumeThread(thread);
    join(thread);
    assert_eq!(SetThreadPriority(thread, 1), 0);
    assert_eq!(GetThreadPriority(thread), i32::MAX);
    assert_eq!(SetThreadPriority(GetCurrentThread(), 2), 1);
    assert_eq!(GetThreadPriority(GetCurrentThread()), 0);
}

#[test]
fn a_system_thread_ends_itself_with_a_status() {
    let mut thread = 0;
    let status = PsCreateSystemThread(
        Out::of(&mut thread),
        0,
        null(),
        0,
        null(),
        Some(terminate),
        null_mut(),
    );
    assert_eq!(status, NtStatus::SUCCESS);
    assert_eq!(join(thread), 0xC000_0001);
    let here = PsTerminateSystemThread(NtStatus::SUCCESS);
    assert_eq!(here, NtStatus::INVALID_PARAMETER, "no system thread");
}

#[test]
fn a_thread_knows_where_and_who_it_is() {
    assert_ne!(GetCurrentThreadId(), 0);
    assert_eq!(GetCurrentProcessId(), std::process::id());
    assert!(GetCurrentProcessorNumber() < 4096);
    assert_eq!(SwitchToThread(), 1);
}

#[test]
fn sleeping_takes_its_time() {
    let begin = Instant::now();
    Sleep(15);
    assert!(begin.elapsed() >= Duration::from_millis(15));
    Sleep(0);
}
