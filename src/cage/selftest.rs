//! Does this machine's C library get by with a profile? If not, which calls does it need?
//!
//! A rehearsal of what a host does (see [`rehearse`](super::rehearse)) runs in a process of its
//! own under the profile. If it is killed, the profile is widened by the first n of all other
//! system calls: the smallest n with which the rehearsal succeeds names a call that is needed.
//! That takes nine rehearsals per call, and nothing of the kernel but that filters work: its log
//! may be off, and nobody has to be traced.

use std::fmt;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::{CageError, ENVIRONMENT, Profile};

/// A rehearsal takes milliseconds, in an emulated guest some hundred.
const DEADLINE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(2);
/// A library that needs more calls than this wants another profile.
const MOST: usize = 16;

/// What came of a self-test: for the log and for `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// The profile's name.
    pub profile: String,
    /// What was being done when a rehearsal under the profile ended; `None` if it succeeded.
    pub failed_at: Option<String>,
    /// The calls that are needed and that the profile does not have. Empty with a failure: the
    /// rehearsal does not succeed with every call allowed either.
    pub needed: Vec<String>,
}

impl SelfTest {
    /// Whether a host can be locked down with the profile.
    pub fn passed(&self) -> bool {
        self.failed_at.is_none()
    }
}

impl fmt::Display for SelfTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "self-test of seccomp profile {}: ", self.profile)?;
        match (&self.failed_at, self.needed.as_slice()) {
            (None, _) => f.write_str("passed"),
            (Some(what), []) => write!(f, "failed at \"{what}\", with every call allowed too"),
            (Some(what), needed) => {
                let needed = needed.join(", ");
                write!(f, "failed at \"{what}\": the C library here needs {needed}")
            }
        }
    }
}

/// Tries `profile`. `program` answers a command that ends in [`rehearse`](super::rehearse), which
/// gets the arguments that are added here: the caller's own binary and a hidden verb.
///
/// # Errors
///
/// The command cannot be started. That the profile is too narrow is no error but a result.
pub fn selftest(profile: &Profile, program: impl Fn() -> Command) -> Result<SelfTest, CageError> {
    let mut failed_at = None;
    let passes = |more: &[Sysno]| {
        let ended = rehearsal(program(), profile.name(), more)?;
        // The first rehearsal is that of the profile itself.
        failed_at = failed_at.take().or(ended.clone());
        Ok(ended.is_none())
    };
    let needed = find_needed(&beyond(profile), passes).map_err(CageError::SelfTest)?;
    Ok(SelfTest {
        profile: profile.name().to_owned(),
        failed_at,
        needed: needed.iter().map(|call| call.name().to_owned()).collect(),
    })
}

/// Every call that the profile does not allow in all its forms.
fn beyond(profile: &Profile) -> Vec<Sysno> {
    let whole: Vec<_> = profile
        .allowed()
        .filter_map(|(call, conditions)| conditions.is_empty().then_some(call))
        .collect();
    Sysno::iter().filter(|call| !whole.contains(call)).collect()
}

/// The calls without which `passes` does not, found one by one; none if all do not suffice.
fn find_needed(
    candidates: &[Sysno],
    mut passes: impl FnMut(&[Sysno]) -> io::Result<bool>,
) -> io::Result<Vec<Sysno>> {
    let mut needed: Vec<Sysno> = Vec::new();
    if passes(&needed)? {
        return Ok(needed);
    }
    if !passes(candidates)? {
        return Ok(needed);
    }
    while needed.len() < MOST {
        let (mut too_few, mut enough) = (0, candidates.len());
        while enough - too_few > 1 {
            let middle = too_few.midpoint(enough);
            match passes(&[&needed, &candidates[..middle]].concat())? {
                true => enough = middle,
                false => too_few = middle,
            }
        }
        needed.push(candidates[enough - 1]);
        if passes(&needed)? {
            break;
        }
    }
    Ok(needed)
}

/// Rehearses once. Answers where it ended, if it did not succeed.
fn rehearsal(mut program: Command, profile: &str, more: &[Sysno]) -> io::Result<Option<String>> {
    let more: Vec<_> = more.iter().map(Sysno::name).collect();
    let (name, value) = ENVIRONMENT;
    let mut child = program
        .args([profile, &more.join(",")])
        .env(name, value)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let succeeded = wait(&mut child)?;
    let mut told = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut told)?;
    }
    let last = told.lines().last().unwrap_or("start");
    Ok((!succeeded).then(|| last.to_owned()))
}

/// Waits until the deadline at most.
fn wait(child: &mut Child) -> io::Result<bool> {
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(STEP);
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Sysno; 5] = [
        Sysno::read,
        Sysno::open,
        Sysno::poll,
        Sysno::brk,
        Sysno::rseq,
    ];

    fn needing(these: &[Sysno]) -> Vec<Sysno> {
        let passes = |more: &[Sysno]| Ok(these.iter().all(|call| more.contains(call)));
        find_needed(&ALL, passes).unwrap()
    }

    #[test]
    fn every_set_of_needed_calls_is_found() {
        for set in 0..1_u32 << ALL.len() {
            let is_in = |&(place, _): &(usize, &Sysno)| set & 1 << place != 0;
            let these: Vec<_> = ALL
                .iter()
                .enumerate()
                .filter(is_in)
                .map(|(_, &c)| c)
                .collect();
            let mut found = needing(&these);
            found.sort();
            assert_eq!(found, these);
        }
    }

    #[test]
    fn what_no_call_can_mend_names_no_call() {
        assert_eq!(needing(&[Sysno::mount]), []);
    }
}
