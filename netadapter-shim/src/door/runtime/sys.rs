//! What this part asks of the kernel: threads, how the processor is shared out among them, sleep on
//! a word, and whether a program has hung up.

#![allow(unsafe_code)] // system calls, and a thread that begins in the client's code

use std::ffi::c_void;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{null, null_mut};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// `PTHREAD_START_ROUTINE`, or `KSTART_ROUTINE`, whose result is not read; what it is given is the
/// client's own.
pub(super) type StartRoutine = unsafe extern "C-unwind" fn(*mut c_void) -> u32;

/// What the client wants its function to be given.
pub(super) struct Argument(*mut c_void);

// SAFETY: it is not followed here, and the client gave it for another thread.
unsafe impl Send for Argument {}

impl Argument {
    /// The client's.
    pub(super) fn of(pointer: *mut c_void) -> Self {
        Self(pointer)
    }

    /// The same.
    pub(super) fn pointer(self) -> *mut c_void {
        self.0
    }
}

/// What a new thread does before and after the client's function. Nothing of it is left to be
/// dropped while that runs.
pub(super) trait Begin: Send + 'static {
    /// Called on the new thread; waits until it may begin.
    fn prepare(self) -> (StartRoutine, *mut c_void);

    /// Called on the thread with what the client's function returned.
    fn end(exit_code: u32);
}

/// Starts a thread of the system's. Not the standard library's, because [`exit_thread`] ends it from
/// within the client's function. Says whether there was room for one.
pub(super) fn start_detached<B: Begin>(start: B, stack: usize) -> bool {
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
    let argument = Box::into_raw(Box::new(start));
    // SAFETY: `begin` has the signature of a start routine but for how it may
    // unwind, which is no part of how it is called.
    let routine = unsafe {
        std::mem::transmute::<BeginRoutine, extern "C" fn(*mut c_void) -> *mut c_void>(begin::<B>)
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
/// function runs, so that [`exit_thread`] may unwind through it.
extern "C-unwind" fn begin<B: Begin>(argument: *mut c_void) -> *mut c_void {
    let (routine, argument) = taken::<B>(argument).prepare();
    // SAFETY: the client asked for this function to be run with this argument.
    let exit_code = unsafe { routine(argument) };
    B::end(exit_code);
    null_mut()
}

fn taken<B: Begin>(argument: *mut c_void) -> B {
    // SAFETY: from `into_raw` in `start_detached`, given to this thread alone.
    *unsafe { Box::from_raw(argument.cast::<B>()) }
}

/// Ends the calling thread, which [`start_detached`] made.
pub(super) fn exit_thread() -> ! {
    // SAFETY: only the client's frames and `begin` are unwound, which has
    // nothing to drop.
    unsafe { libc::pthread_exit(null_mut()) }
}

/// The kernel's number of the calling thread.
pub(super) fn thread_id() -> libc::pid_t {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// The processor that runs the calling thread.
pub(super) fn processor() -> u32 {
    // SAFETY: takes nothing.
    let number = unsafe { libc::sched_getcpu() };
    u32::try_from(number).unwrap_or(0)
}

/// Gives a thread a nice value; 0 is the calling one. Says whether that was allowed.
pub(super) fn set_nice(id: libc::pid_t, nice: i32) -> bool {
    // SAFETY: numbers only; Linux takes a thread's where it says process.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, id.unsigned_abs(), nice) == 0 }
}

/// The processors of the first 64 that a thread may run on.
pub(super) fn affinity(id: libc::pid_t) -> Option<u64> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: room for a set of that size.
    let got =
        unsafe { libc::sched_getaffinity(id, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
    // SAFETY: all zeros is a set, and the call filled it if it succeeded.
    let set = unsafe { set.assume_init() };
    // SAFETY: 64 is fewer than a set holds.
    let has = |cpu: usize| unsafe { libc::CPU_ISSET(cpu, &set) };
    let mask = (0..64)
        .filter(|cpu| has(*cpu))
        .fold(0, |mask, cpu| mask | 1 << cpu);
    (got == 0).then_some(mask)
}

/// Binds a thread to processors; says whether it could be.
pub(super) fn set_affinity(id: libc::pid_t, mask: u64) -> bool {
    // SAFETY: all zeros is an empty set.
    let mut set = unsafe { MaybeUninit::<libc::cpu_set_t>::zeroed().assume_init() };
    for cpu in (0..64).filter(|cpu| mask & 1 << cpu != 0) {
        // SAFETY: 64 is fewer than a set holds.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: a set of that size.
    unsafe { libc::sched_setaffinity(id, size_of::<libc::cpu_set_t>(), &set) == 0 }
}

/// Sleeps until the word is woken or that much time is over, or not at all if it is not `seen`.
pub(super) fn sleep_on(word: &AtomicU32, seen: u32, left: Option<Duration>) {
    let time = left.map(|left| libc::timespec {
        tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: left.subsec_nanos().into(),
    });
    let time = time.as_ref().map_or(null(), |time| &raw const *time);
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word is borrowed for the call, and the time is NULL or lives
    // in this frame.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, seen, time) };
}

/// Wakes that many sleepers.
pub(super) fn wake(word: &AtomicU32, sleepers: i32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word's address is only compared.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, sleepers) };
}

/// Whether whoever is at the other end of a stream has hung up.
pub(crate) fn has_hung_up(stream: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd {
        fd: stream.as_raw_fd(),
        events: libc::POLLRDHUP,
        revents: 0,
    };
    // SAFETY: one structure, and no waiting.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ready > 0 && poll.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
}

/// Waits until one of both has something to read, or has ended; false if they cannot be waited for.
pub(crate) fn readable(files: [BorrowedFd<'_>; 2]) -> bool {
    let mut polls = files.map(|file| libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    loop {
        // SAFETY: as many structures as are said to be there.
        let ready = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, -1) };
        let interrupted = || std::io::Error::last_os_error().kind() == ErrorKind::Interrupted;
        if ready >= 0 || !interrupted() {
            return ready > 0;
        }
    }
}
