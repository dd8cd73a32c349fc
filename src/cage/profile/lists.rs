//! The lists themselves.

use rustix::io::Errno;
use syscalls::Sysno;

use super::Condition;
use super::Condition::{NotExecutable, Operation, OwnProcess, Request, ThreadOnly};

/// The built-in driver's, with `mmap` under a condition beside them.
pub(super) const DRIVER: &[Sysno] = &[
    // Frames, wake-ups, log lines.
    Sysno::read,
    Sysno::write,
    Sysno::writev,
    // Sleeping and waking.
    Sysno::epoll_wait,
    Sysno::epoll_ctl,
    Sysno::epoll_create1,
    Sysno::eventfd2,
    Sysno::futex,
    Sysno::clock_nanosleep,
    // Where the vDSO has no clock, as in an emulated guest.
    Sysno::clock_gettime,
    // The socket to the supervisor, and the descriptors it sends.
    Sysno::recvmsg,
    Sysno::sendmsg,
    Sysno::close,
    // Memory.
    Sysno::munmap,
    // Signals that end it, stop it and let it go on.
    Sysno::rt_sigreturn,
    Sysno::restart_syscall,
    Sysno::exit_group,
];

/// For glibc's `brk` the result is an address, and an errno would be a very high one: success.
/// A result of zero is below what it asked for, which is what it takes for a failure.
const NO_ADDRESS: Option<Errno> = None;

/// The allocator goes on with `mmap`; `pthread_create` with `clone`.
pub(super) const REFUSED_TO_ALL: &[(Sysno, Option<Errno>)] = &[
    (Sysno::brk, NO_ADDRESS),
    (Sysno::clone3, Some(Errno::NOSYS)),
];

/// The C library's hints and shortcuts. What they were to save is copied or kept. Rust gives its
/// stack for signals back (`sigaltstack`) when a process ends and, built for debugging, looks at a
/// descriptor (`fcntl`) before closing it.
pub(super) const REFUSED_TO_DRIVER: &[(Sysno, Option<Errno>)] = &[
    (Sysno::mremap, Some(Errno::NOMEM)),
    (Sysno::mprotect, Some(Errno::NOMEM)),
    (Sysno::madvise, Some(Errno::INVAL)),
    (Sysno::sched_yield, Some(Errno::NOSYS)),
    (Sysno::sigaltstack, Some(Errno::PERM)),
    (Sysno::fcntl, Some(Errno::PERM)),
];

/// Whatever a client does with what it has: its memory, threads, timers, descriptors, sockets.
pub(super) const CLIENT: &[Sysno] = &[
    // Descriptors it has, and those that lead nowhere outside.
    Sysno::read,
    Sysno::write,
    Sysno::readv,
    Sysno::writev,
    Sysno::pread64,
    Sysno::pwrite64,
    Sysno::preadv,
    Sysno::pwritev,
    Sysno::lseek,
    Sysno::fstat,
    Sysno::ftruncate,
    Sysno::fcntl,
    Sysno::dup,
    Sysno::dup3,
    Sysno::close,
    Sysno::pipe2,
    Sysno::eventfd2,
    Sysno::memfd_create,
    Sysno::timerfd_create,
    Sysno::timerfd_settime,
    Sysno::timerfd_gettime,
    // Waiting.
    Sysno::epoll_wait,
    Sysno::epoll_pwait,
    Sysno::epoll_ctl,
    Sysno::epoll_create1,
    Sysno::poll,
    Sysno::ppoll,
    Sysno::select,
    Sysno::pselect6,
    Sysno::futex,
    Sysno::nanosleep,
    Sysno::clock_nanosleep,
    // Sockets it has, and connections that come to them.
    Sysno::recvmsg,
    Sysno::sendmsg,
    Sysno::recvmmsg,
    Sysno::sendmmsg,
    Sysno::recvfrom,
    Sysno::sendto,
    Sysno::accept4,
    Sysno::shutdown,
    Sysno::getsockopt,
    Sysno::setsockopt,
    Sysno::getsockname,
    Sysno::getpeername,
    Sysno::socketpair,
    // Memory, beside what is under conditions.
    Sysno::munmap,
    Sysno::mremap,
    Sysno::madvise,
    // Its threads, and who they are.
    Sysno::set_robust_list,
    Sysno::rseq,
    Sysno::set_tid_address,
    Sysno::sched_yield,
    Sysno::sched_getaffinity,
    Sysno::getcpu,
    Sysno::gettid,
    Sysno::getpid,
    Sysno::getuid,
    Sysno::geteuid,
    Sysno::getgid,
    Sysno::getegid,
    Sysno::getrandom,
    Sysno::exit,
    Sysno::exit_group,
    // Clocks and timers.
    Sysno::clock_gettime,
    Sysno::clock_getres,
    Sysno::gettimeofday,
    Sysno::time,
    Sysno::timer_create,
    Sysno::timer_settime,
    Sysno::timer_gettime,
    Sysno::timer_getoverrun,
    Sysno::timer_delete,
    // Its own signals.
    Sysno::rt_sigaction,
    Sysno::rt_sigprocmask,
    Sysno::rt_sigreturn,
    Sysno::rt_sigtimedwait,
    Sysno::sigaltstack,
    Sysno::restart_syscall,
];

/// `PR_SET_NAME`: a thread's name.
const SET_NAME: Condition = Operation(15);
/// `FIONREAD` and `FIONBIO`: how much can be read, and whether reading waits.
const READABLE: Condition = Request(0x541b);
const NON_BLOCKING: Condition = Request(0x5421);

pub(super) const CLIENT_CONDITIONS: &[(Sysno, Condition)] = &[
    (Sysno::mmap, NotExecutable),
    (Sysno::mprotect, NotExecutable),
    (Sysno::clone, ThreadOnly),
    (Sysno::prctl, SET_NAME),
    (Sysno::ioctl, READABLE),
    (Sysno::ioctl, NON_BLOCKING),
    // raise and abort.
    (Sysno::tgkill, OwnProcess),
];

/// Code that looks for a file or a host and can do without is not to die of it.
pub(super) const REFUSED_TO_CLIENT: &[(Sysno, Option<Errno>)] = &[
    (Sysno::open, Some(Errno::ACCESS)),
    (Sysno::openat, Some(Errno::ACCESS)),
    (Sysno::access, Some(Errno::ACCESS)),
    (Sysno::faccessat, Some(Errno::ACCESS)),
    (Sysno::faccessat2, Some(Errno::ACCESS)),
    (Sysno::stat, Some(Errno::ACCESS)),
    (Sysno::lstat, Some(Errno::ACCESS)),
    (Sysno::newfstatat, Some(Errno::ACCESS)),
    (Sysno::statx, Some(Errno::ACCESS)),
    (Sysno::readlink, Some(Errno::ACCESS)),
    (Sysno::socket, Some(Errno::ACCESS)),
    (Sysno::connect, Some(Errno::ACCESS)),
    (Sysno::bind, Some(Errno::ACCESS)),
    // Other hosts have the same uid: how processors are shared out among them is not its matter.
    (Sysno::setpriority, Some(Errno::PERM)),
    (Sysno::sched_setaffinity, Some(Errno::PERM)),
    (Sysno::sched_setscheduler, Some(Errno::PERM)),
];
