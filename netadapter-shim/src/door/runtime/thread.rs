//! Threads of the client.

#![allow(non_snake_case)] // C's names

mod schedule;

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(in crate::door) use self::schedule::GroupAffinity;
use self::schedule::{
    GetThreadGroupAffinity, GetThreadPriority, SetThreadGroupAffinity, SetThreadPriority,
};
use super::dispatcher::{self, Key, Waitable};
use super::last_error::{self, refuse};
use super::sys::{self, Argument, Begin, StartRoutine};
use crate::abi::NtStatus;
use crate::door::foreign::Out;
use crate::door::table::{Functions, entries};

pub(crate) const FUNCTIONS: Functions = entries![
    CreateThread,
    ExitThread,
    GetExitCodeThread,
    ResumeThread,
    GetCurrentThread,
    GetCurrentThreadId,
    GetCurrentProcessId,
    GetCurrentProcessorNumber,
    SetThreadPriority,
    GetThreadPriority,
    SetThreadGroupAffinity,
    GetThreadGroupAffinity,
    SwitchToThread,
    Sleep,
    PsCreateSystemThread,
    PsTerminateSystemThread,
    ZwClose,
];

/// The pseudo handle of the calling thread: (HANDLE)-2.
const CURRENT: Key = usize::MAX - 1;
const CREATE_SUSPENDED: u32 = 4;
const STILL_ACTIVE: u32 = 259;
const SMALLEST_STACK: usize = 1 << 20;

/// What a new thread is given.
struct Start {
    routine: StartRoutine,
    /// The client's, for its function.
    argument: Argument,
    handle: Key,
    /// Set when a suspended thread may begin.
    gate: Key,
}

/// What is known of a thread beside whether it is over.
#[derive(Clone, Copy, Default)]
struct Thread {
    /// The kernel's number; 0 until the thread runs.
    id: libc::pid_t,
    priority: i32,
    /// The event a suspended thread waits for; 0 once it was resumed.
    gate: Key,
}

static THREADS: LazyLock<Mutex<HashMap<Key, Thread>>> = LazyLock::new(Mutex::default);

thread_local! {
    /// The handle of a thread that a client made; 0 elsewhere.
    static HANDLE: std::cell::Cell<Key> = const { std::cell::Cell::new(0) };
}

fn threads() -> MutexGuard<'static, HashMap<Key, Thread>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number for the calling thread, never 0.
pub(super) fn this_thread() -> u64 {
    u64::from(sys::thread_id().unsigned_abs())
}

/// Starts a thread; `None` if the system has no room for one.
fn spawn(
    routine: StartRoutine,
    argument: *mut c_void,
    stack: usize,
    suspended: bool,
) -> Option<Key> {
    let (handle, gate) = {
        let mut dispatcher = dispatcher::lock();
        let handle = dispatcher.create(Waitable::Thread { exit_code: None });
        let gate = Waitable::Event {
            manual: true,
            set: !suspended,
        };
        (handle, dispatcher.create(gate))
    };
    let thread = Thread {
        gate: if suspended { gate } else { 0 },
        ..Thread::default()
    };
    threads().insert(handle, thread);
    let start = Start {
        routine,
        argument: Argument::of(argument),
        handle,
        gate,
    };
    if sys::start_detached(start, stack.max(SMALLEST_STACK)) {
        return Some(handle);
    }
    threads().remove(&handle);
    let mut dispatcher = dispatcher::lock();
    dispatcher.close(handle);
    dispatcher.close(gate);
    None
}

impl Begin for Start {
    /// Tells the thread who it is and waits at the gate.
    fn prepare(self) -> (StartRoutine, *mut c_void) {
        HANDLE.set(self.handle);
        let priority = threads().get_mut(&self.handle).map(|thread| {
            thread.id = sys::thread_id();
            thread.priority
        });
        if let Some(priority) = priority.filter(|priority| *priority != 0) {
            schedule::apply(0, priority);
        }
        let places = [dispatcher::Place::Handle(self.gate)];
        let never = super::clock::Timeout::Never;
        dispatcher::wait(&places, false, never, this_thread());
        dispatcher::lock().close(self.gate);
        (self.routine, self.argument.pointer())
    }

    fn end(exit_code: u32) {
        end(exit_code);
    }
}

/// Marks the calling thread as over.
fn end(exit_code: u32) {
    let handle = HANDLE.replace(0);
    threads().remove(&handle);
    let mut dispatcher = dispatcher::lock();
    if dispatcher.get(handle).is_some() {
        let over = Waitable::Thread {
            exit_code: Some(exit_code),
        };
        dispatcher.set(handle, over);
    }
}

extern "C" fn CreateThread(
    _security: *const c_void,
    stack: usize,
    routine: Option<StartRoutine>,
    argument: *mut c_void,
    flags: u32,
    id: Out<'_, u32>,
) -> Key {
    let Some(routine) = routine else {
        last_error::set(last_error::INVALID_PARAMETER);
        return 0;
    };
    let suspended = flags & CREATE_SUSPENDED != 0;
    let Some(handle) = spawn(routine, argument, stack, suspended) else {
        last_error::set(last_error::NOT_ENOUGH_MEMORY);
        return 0;
    };
    let number = u32::try_from(handle & 0xffff_ffff).unwrap_or(0);
    id.store(number);
    handle
}

extern "C-unwind" fn ExitThread(exit_code: u32) {
    end(exit_code);
    sys::exit_thread()
}

extern "C" fn GetExitCodeThread(thread: Key, exit_code: Out<'_, u32>) -> i32 {
    let found = dispatcher::lock().get(thread);
    let Some(Waitable::Thread { exit_code: code }) = found else {
        return refuse(last_error::INVALID_HANDLE);
    };
    exit_code.store(code.unwrap_or(STILL_ACTIVE));
    1
}

/// Answers with the former suspend count, which is 0 or 1 here.
extern "C" fn ResumeThread(thread: Key) -> u32 {
    let gate = match threads().get_mut(&thread) {
        Some(known) => std::mem::take(&mut known.gate),
        None => {
            last_error::set(last_error::INVALID_HANDLE);
            return u32::MAX;
        }
    };
    if gate == 0 {
        return 0;
    }
    let open = Waitable::Event {
        manual: true,
        set: true,
    };
    dispatcher::lock().set(gate, open);
    1
}

extern "C" fn GetCurrentThread() -> Key {
    CURRENT
}

extern "C" fn GetCurrentThreadId() -> u32 {
    sys::thread_id().unsigned_abs()
}

extern "C" fn GetCurrentProcessId() -> u32 {
    std::process::id()
}

extern "C" fn GetCurrentProcessorNumber() -> u32 {
    sys::processor()
}

/// The object of the calling thread: its handle, or for a thread of the host
/// a number that is no handle.
pub(super) fn current_object() -> Key {
    match HANDLE.get() {
        0 => usize::try_from(this_thread()).unwrap_or(1),
        handle => handle,
    }
}

/// Replaces the pseudo handle; a thread of the host has none.
fn real(thread: Key) -> Key {
    match thread {
        CURRENT => HANDLE.get(),
        other => other,
    }
}

extern "C" fn SwitchToThread() -> i32 {
    std::thread::yield_now();
    1
}

extern "C" fn Sleep(milliseconds: u32) {
    match milliseconds {
        0 => std::thread::yield_now(),
        u32::MAX => loop {
            std::thread::park();
        },
        _ => std::thread::sleep(Duration::from_millis(milliseconds.into())),
    }
}

extern "C" fn PsCreateSystemThread(
    handle: Out<'_, Key>,
    _access: u32,
    _attributes: *const c_void,
    _process: Key,
    _client_id: *const c_void,
    routine: Option<StartRoutine>,
    argument: *mut c_void,
) -> NtStatus {
    let Some(routine) = routine.filter(|_| !handle.is_null()) else {
        return NtStatus::INVALID_PARAMETER;
    };
    match spawn(routine, argument, 0, false) {
        Some(made) => {
            handle.store(made);
            NtStatus::SUCCESS
        }
        None => NtStatus::INSUFFICIENT_RESOURCES,
    }
}

extern "C-unwind" fn PsTerminateSystemThread(status: NtStatus) -> NtStatus {
    if HANDLE.get() == 0 {
        return NtStatus::INVALID_PARAMETER;
    }
    ExitThread(u32::from_ne_bytes(status.0.to_ne_bytes()));
    NtStatus::SUCCESS
}

extern "C" fn ZwClose(handle: Key) -> NtStatus {
    match super::sync::CloseHandle(handle) {
        0 => NtStatus::INVALID_HANDLE,
        _ => NtStatus::SUCCESS,
    }
}

#[cfg(test)]
mod tests;
