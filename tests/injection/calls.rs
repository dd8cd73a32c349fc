//! System calls as strace tells of them, and as it fails them.

use std::collections::BTreeMap;

/// How often each call is failed at most, from its first occurrence on.
const OCCURRENCES: usize = 12;

/// Calls that are not failed: they cannot fail, do not come back, or do their work even when they
/// fail (close), which the tracer cannot play.
const LEFT_OUT: &str = "exit_group exit execve brk munmap close rt_sigreturn restart_syscall arch_prctl \
    set_tid_address set_robust_list rseq getpid gettid futex clock_nanosleep rt_sigprocmask wait4 \
    madvise sched_getaffinity sched_yield getsockname";

/// The call with which Rust's runtime begins, before `main`. What comes before it is the loader's:
/// a process whose libraries cannot be loaded runs no code of ours, and neither do those of
/// anybody else.
const BEGINNING: &str = "poll";

/// What an event's counter is raised by. Such a write fails only when the counter is full, and whoever
/// waits for the event is then awake; one that fails otherwise, as strace would have it, is never seen.
const EVENT: &str = r#""\1\0\0\0\0\0\0\0", 8"#;

/// Whether strace has failed one of those all the same: numbers shift with the lines of the log.
pub(crate) fn failed_event(trace: &str) -> bool {
    let failed = |line: &str| line.contains(EVENT) && line.contains("(INJECTED)");
    trace.lines().any(failed)
}

/// What is told instead of the call being made.
fn errno(call: &str) -> &'static str {
    match call {
        "openat" | "socket" | "socketpair" | "pipe2" | "memfd_create" | "epoll_create1"
        | "eventfd2" | "pidfd_open" | "accept4" | "fcntl" => "EMFILE",
        "mmap" | "mprotect" | "clone" | "clone3" | "vfork" | "epoll_ctl" | "sigaltstack" => {
            "ENOMEM"
        }
        "sendmsg" | "sendto" | "recvmsg" | "recvfrom" | "setsockopt" => "ENOBUFS",
        "poll" | "ppoll" | "epoll_wait" => "EINTR",
        "ftruncate" => "ENOSPC",
        "flock" => "ENOLCK",
        "bind" | "connect" | "chmod" | "unlink" | "mkdir" | "rmdir" | "access" | "statx"
        | "newfstatat" | "readlink" | "listen" | "linkat" => "EACCES",
        "pidfd_send_signal" | "prlimit64" | "unshare" | "mount" | "setresuid" | "seccomp" => {
            "EPERM"
        }
        _ => "EIO",
    }
}

/// One call that fails: the `nth` of its kind in a thread.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Injection {
    pub(crate) call: String,
    pub(crate) nth: usize,
}

impl Injection {
    /// What has strace fail it.
    pub(crate) fn options(&self) -> Vec<String> {
        let Self { call, nth } = self;
        let fault = format!("inject={call}:error={}:when={nth}", errno(call));
        vec!["-e".into(), format!("trace={call}"), "-e".into(), fault]
    }

    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.call, self.nth)
    }
}

/// A line of strace's: who called what. Of a call that another thread's interrupts, the first half.
fn parse(line: &str) -> Option<(&str, &str)> {
    let (before, _) = line.split_once('(')?;
    let (thread, call) = before.rsplit_once(' ').unwrap_or(("", before));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let meant = !call.is_empty() && call.chars().all(plain);
    (meant && thread.trim().chars().all(|c| c.is_ascii_digit())).then_some((thread.trim(), call))
}

/// The calls of a trace that can be failed, in their order, each with the line it is in. Those of
/// several threads are counted apart, as strace counts when it fails them; what the loader makes
/// is counted, where the trace begins with it, and not told.
pub(crate) fn calls(trace: &str) -> Vec<(usize, Injection)> {
    let from_exec = trace
        .lines()
        .next()
        .is_some_and(|line| line.contains("execve("));
    let begins = |line: &str| parse(line).is_some_and(|(_, call)| call == BEGINNING);
    let beginning = trace.lines().position(begins).filter(|_| from_exec);
    let beginning = beginning.unwrap_or_default();
    let mut counts = BTreeMap::<(&str, &str), usize>::new();
    let mut loader = BTreeMap::<&str, usize>::new();
    let mut found = BTreeMap::<Injection, usize>::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, call)) = parse(line) else {
            continue;
        };
        if LEFT_OUT.split_whitespace().any(|out| out == call) {
            continue;
        }
        let nth = counts.entry((thread, call)).or_default();
        *nth += 1;
        let of_loader = loader.entry(call).or_default();
        if number < beginning {
            *of_loader = *nth;
        } else if !line.contains(EVENT) && (*of_loader + 1..=*of_loader + OCCURRENCES).contains(nth)
        {
            let (call, nth) = (call.to_owned(), *nth);
            found.entry(Injection { call, nth }).or_insert(number);
        }
    }
    let mut found: Vec<_> = found.into_iter().map(|(call, line)| (line, call)).collect();
    found.sort();
    found
}

#[test]
fn calls_are_counted_by_thread_and_those_of_the_loader_are_not_told() {
    let trace = "\
7 execve(\"umnet\") = 0
7 mmap(NULL) = 1
7 read(3) = 5
7 poll([]) = 0
7 mmap(NULL) = 2
7 clone3({}) = 8
8 write(1 <unfinished ...>
7 write(1) = 1
8 <... write resumed>) = 1
8 read(3) = 1
8 read(3) = 1
8 write(4, \"\\1\\0\\0\\0\\0\\0\\0\\0\", 8) = 8
8 write(1) = 1
7 exit_group(0) = ?
7 +++ exited with 0 +++
";
    let names: Vec<_> = calls(trace).iter().map(|(_, one)| one.name()).collect();
    assert_eq!(
        names,
        [
            "poll:1", "mmap:2", "clone3:1", "write:1", "read:2", "write:3"
        ]
    );
    let attached = "poll([]) = 0\nread(3) = 1\n";
    assert_eq!(calls(attached).len(), 2);
}
