//! Profiles as seccomp filters, and how they are put on.

use std::collections::BTreeMap;
use std::fmt;

use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};
use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::{CageError, Condition, Profile};

/// The filter that is on: for the log and for `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedDown {
    /// The profile's name, with its additions.
    pub profile: String,
    /// How many system calls it allows.
    pub allowed: usize,
    /// How many it refuses with an errno. Anything else ends the process.
    pub refused: usize,
}

impl fmt::Display for LockedDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            profile,
            allowed,
            refused,
        } = self;
        write!(
            f,
            "seccomp profile {profile}: {allowed} system calls, {refused} refused"
        )
    }
}

/// Puts `profile` on all threads of the process, for good.
///
/// Every thread has to have *begun*: on its way to its first statement a new thread makes calls
/// that it never makes again (`rseq`, `sigaltstack`, `prctl`), and which no profile has for it.
/// So each tells its starter that it is there, and the starter waits for all before this.
/// Threads do not end either; the process does.
///
/// # Errors
///
/// The kernel has no seccomp filters, or a thread has one that the others lack. The process is
/// then not locked down and must end.
pub fn lock_down(profile: &Profile) -> Result<LockedDown, CageError> {
    // The kernel takes the strictest answer of all filters. The one that ends the process comes
    // last: it does not allow another one to follow.
    for program in programs(profile)? {
        apply_filter_all_threads(&program).map_err(filter_error)?;
    }
    Ok(LockedDown {
        profile: profile.name().to_owned(),
        allowed: profile.allowed().len(),
        refused: profile.refused().len(),
    })
}

fn filter_error(error: impl fmt::Display) -> CageError {
    CageError::Filter(error.to_string())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// One filter per errno, then the one that ends the process.
fn programs(profile: &Profile) -> Result<Vec<BpfProgram>, CageError> {
    let mut by_errno: BTreeMap<u32, Rules> = BTreeMap::new();
    let mut survivable = Rules::new();
    for (call, errno) in profile.refused() {
        let errno = errno.map_or(0, |e: Errno| e.raw_os_error().unsigned_abs());
        by_errno
            .entry(errno)
            .or_default()
            .insert(number(call), Vec::new());
        survivable.insert(number(call), Vec::new());
    }
    for (call, any) in profile.allowed() {
        let rules: Result<_, _> = any.iter().map(|&condition| rule(condition)).collect();
        survivable.insert(number(call), rules?);
    }
    let mut programs = Vec::new();
    for (errno, rules) in by_errno {
        programs.push(compile(
            rules,
            SeccompAction::Allow,
            SeccompAction::Errno(errno),
        )?);
    }
    programs.push(compile(
        survivable,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
    )?);
    Ok(programs)
}

fn number(call: Sysno) -> i64 {
    i64::from(call.id())
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, CageError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(filter_error)?;
    let filter =
        SeccompFilter::new(rules, otherwise, listed, architecture).map_err(filter_error)?;
    filter.try_into().map_err(filter_error)
}

/// The flags that make `clone` start a process or leave a namespace, and the one that makes it
/// start a thread.
const CLONE_NEW: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;
const CLONE_THREAD: u64 = libc::CLONE_THREAD as u64;
const PROT_EXEC: u64 = libc::PROT_EXEC as u64;

fn rule(condition: Condition) -> Result<SeccompRule, CageError> {
    use SeccompCmpArgLen::{Dword, Qword};
    use SeccompCmpOp::{Eq, MaskedEq};
    let (argument, length, comparison, value) = match condition {
        Condition::NotExecutable => (2, Qword, MaskedEq(PROT_EXEC), 0),
        Condition::ThreadOnly => (0, Qword, MaskedEq(CLONE_NEW | CLONE_THREAD), CLONE_THREAD),
        // The kernel looks at the low half only.
        Condition::Operation(number) => (0, Dword, Eq, u64::from(number)),
        Condition::Request(number) => (1, Dword, Eq, u64::from(number)),
        Condition::OwnProcess => (0, Dword, Eq, u64::from(std::process::id())),
    };
    let condition =
        SeccompCondition::new(argument, length, comparison, value).map_err(filter_error)?;
    SeccompRule::new(vec![condition]).map_err(filter_error)
}
