//! Threads of the client.

#![allow(unsafe_code)] // starts threads on the client's functions
#![allow(non_snake_case)] // C's names

mod schedule;

use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::schedule::{
    GetThreadGroupAffinity, GetThreadPriority, SetThreadGroupAffinity, SetThreadPriority,
};
use super::dispatcher::{self, Key, Waitable};
use super::last_error::{self, refuse};
use crate::abi::NtStatus;
use crate::door::foreign::store;
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

/// `PTHREAD_START_ROUTINE`, or `KSTART_ROUTINE`, whose result is not read.
type StartRoutine = unsafe extern "C-unwind" fn(*mut c_void) -> u32;

/// What a new thread is given.
struct Start {
    routine: StartRoutine,
    argument: *mut c_void,
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

/// The kernel's number of the calling thread.
fn kernel_id() -> libc::pid_t {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// A number for the calling thread, never 0.
pub(super) fn this_thread() -> u64 {
    u64::from(kernel_id().unsigned_abs())
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
    let start = Box::new(Start {
        routine,
        argument,
        handle,
        gate,
    });
    if start_detached(start, stack.max(SMALLEST_STACK)) {
        return Some(handle);
    }
    threads().remove(&handle);
    let mut dispatcher = dispatcher::lock();
    dispatcher.close(handle);
    dispatcher.close(gate);
    None
}

/// The system's thread. Not the standard library's, because ExitThread ends
/// it from within the client's function.
fn start_detached(start: Box<Start>, stack: usize) -> bool {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: room for attributes.
    if unsafe { libc::pthread_attr_init(attributes) } != 0 {
        return false;
    }
    // SAFETY: initialised; a size that is refused leaves the default.
    unsafe { libc::pthread_attr_setstacksize(attributes, stack.next_multiple_of(1 << 16)) };
    // SAFETY: initialised.
    unsafe { libc::pthread_attr_setdetachstate(attributes, libc::PTHREAD_CREATE_DETACHED) };
    let mut id = MaybeUninit::<libc::pthread_t>::uninit();
    let argument = Box::into_raw(start);
    // SAFETY: `begin` has the signature of a start routine but for how it may
    // unwind, which is no part of how it is called.
    let routine = unsafe {
        std::mem::transmute::<BeginRoutine, extern "C" fn(*mut c_void) -> *mut c_void>(begin)
    };
    // SAFETY: valid attributes, and an argument that `begin` takes over.
    let made =
        unsafe { libc::pthread_create(id.as_mut_ptr(), attributes, routine, argument.cast()) } == 0;
    // SAFETY: initialised above, and not used again.
    unsafe { libc::pthread_attr_destroy(attributes) };
    if !made {
        // SAFETY: from `into_raw` above, and no thread took it over.
        drop(unsafe { Box::from_raw(argument) });
    }
    made
}

type BeginRoutine = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

/// Where a new thread begins. Nothing here needs dropping while the client's
/// function runs, so that ExitThread may unwind through it.
extern "C-unwind" fn begin(argument: *mut c_void) -> *mut c_void {
    let (routine, argument) = prepare(argument.cast());
    // SAFETY: the client asked for this function to be run with this argument.
    let exit_code = unsafe { routine(argument) };
    end(exit_code);
    null_mut()
}

/// Tells the thread who it is and waits at the gate.
fn prepare(start: *mut Start) -> (StartRoutine, *mut c_void) {
    // SAFETY: from `into_raw` in `start_detached`, given to this thread alone.
    let start = unsafe { Box::from_raw(start) };
    HANDLE.set(start.handle);
    let priority = threads().get_mut(&start.handle).map(|thread| {
        thread.id = kernel_id();
        thread.priority
    });
    if let Some(priority) = priority.filter(|priority| *priority != 0) {
        schedule::apply(0, priority);
    }
    let places = [dispatcher::Place::Handle(start.gate)];
    let never = super::clock::Timeout::Never;
    dispatcher::wait(&places, false, never, this_thread());
    dispatcher::lock().close(start.gate);
    (start.routine, start.argument)
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

unsafe extern "C" fn CreateThread(
    _security: *const c_void,
    stack: usize,
    routine: Option<StartRoutine>,
    argument: *mut c_void,
    flags: u32,
    id: *mut u32,
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
    // SAFETY: C's place for the number, or NULL.
    unsafe { store(id, number) };
    handle
}

extern "C-unwind" fn ExitThread(exit_code: u32) {
    end(exit_code);
    // SAFETY: only the client's frames and `begin` are unwound, which has
    // nothing to drop.
    unsafe { libc::pthread_exit(null_mut()) }
}

unsafe extern "C" fn GetExitCodeThread(thread: Key, exit_code: *mut u32) -> i32 {
    let found = dispatcher::lock().get(thread);
    let Some(Waitable::Thread { exit_code: code }) = found else {
        return refuse(last_error::INVALID_HANDLE);
    };
    // SAFETY: C's place for the code, or NULL.
    unsafe { store(exit_code, code.unwrap_or(STILL_ACTIVE)) };
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
    kernel_id().unsigned_abs()
}

extern "C" fn GetCurrentProcessId() -> u32 {
    std::process::id()
}

extern "C" fn GetCurrentProcessorNumber() -> u32 {
    // SAFETY: takes nothing.
    let number = unsafe { libc::sched_getcpu() };
    u32::try_from(number).unwrap_or(0)
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

unsafe extern "C" fn PsCreateSystemThread(
    handle: *mut Key,
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
            // SAFETY: not NULL, and C's place for a handle.
            unsafe { store(handle, made) };
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
