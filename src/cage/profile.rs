//! Which system calls a host may make after lock-down, by name.
//!
//! A profile allows some calls, *refuses* some with an errno because the C library gets by
//! without them, and everything else ends the process.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rustix::io::Errno;
use syscalls::Sysno;

mod lists;

/// What must be true of one argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The protection asked for does not contain `PROT_EXEC`.
    NotExecutable,
    /// A thread of this process in its namespaces, not a process.
    ThreadOnly,
    /// The first argument is this number: an operation.
    Operation(u32),
    /// The second argument is this number: a request to a device.
    Request(u32),
    /// The first argument is the process that locks itself down.
    OwnProcess,
}

/// A named set of system calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    name: String,
    /// Each call with conditions of which one must hold, or none.
    allowed: BTreeMap<Sysno, Vec<Condition>>,
    /// Each call with what it answers. `brk` answers nothing: its result is an address.
    refused: BTreeMap<Sysno, Option<Errno>>,
}

/// There is no such profile, or no such change of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no seccomp profile {0:?}: driver and client are the bases, +regions, +ioctl:0xNUMBER, +CALL and -CALL the changes"
)]
pub struct UnknownProfile(String);

impl Profile {
    /// The built-in driver's: at most 18 calls, and none that opens, connects, executes, starts
    /// or maps executable memory.
    pub fn driver() -> Self {
        let mut profile = Self::new("driver", lists::DRIVER);
        profile.allow(Sysno::mmap, Condition::NotExecutable);
        profile.refuse(lists::REFUSED_TO_ALL);
        profile.refuse(lists::REFUSED_TO_DRIVER);
        profile
    }

    /// That of client drivers nobody here wrote: threads, timers and what can be done with
    /// descriptors one has; still nothing executable, no new process and no new connection.
    pub fn client() -> Self {
        let mut profile = Self::new("client", lists::CLIENT);
        for &(call, condition) in lists::CLIENT_CONDITIONS {
            profile.allow(call, condition);
        }
        profile.refuse(lists::REFUSED_TO_ALL);
        profile.refuse(lists::REFUSED_TO_CLIENT);
        profile
    }

    /// Allows registers that cannot be mapped to be read and written through the device's file.
    pub fn with_region_access(mut self) -> Self {
        self.name.push_str("+regions");
        for call in [Sysno::pread64, Sysno::pwrite64] {
            self.allowed.insert(call, Vec::new());
        }
        self
    }

    /// Allows one request to devices (`ioctl`), such as one that a transport cannot do without.
    pub fn with_request(mut self, request: u32) -> Self {
        self.name = format!("{}+ioctl:{request:#x}", self.name);
        self.allow(Sysno::ioctl, Condition::Request(request));
        self
    }

    /// Allows one more call, which a transport cannot do without.
    pub fn with(mut self, call: Sysno) -> Self {
        self.name = format!("{}+{}", self.name, call.name());
        self.refused.remove(&call);
        self.allowed.insert(call, Vec::new());
        self
    }

    /// Takes a call away that a host can do without.
    pub fn without(mut self, call: Sysno) -> Self {
        self.name = format!("{}-{}", self.name, call.name());
        self.allowed.remove(&call);
        self.refused.remove(&call);
        self
    }

    /// Its name, with what was added and taken away: `driver+regions`, `driver-writev`. It can be
    /// parsed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The calls it allows, each with the conditions of which one must hold; none: always.
    pub fn allowed(&self) -> impl ExactSizeIterator<Item = (Sysno, &[Condition])> {
        self.allowed
            .iter()
            .map(|(&call, any)| (call, any.as_slice()))
    }

    /// The calls it refuses without ending the process, each with its errno.
    pub fn refused(&self) -> impl ExactSizeIterator<Item = (Sysno, Option<Errno>)> {
        self.refused.iter().map(|(&call, &errno)| (call, errno))
    }

    /// This profile with more calls, each unconditional: for finding out what is missing.
    pub(super) fn widened(mut self, more: &[Sysno]) -> Self {
        for &call in more {
            self.refused.remove(&call);
            self.allowed.insert(call, Vec::new());
        }
        self
    }

    /// One addition or one taken away, as names have them.
    fn changed(self, change: &str) -> Option<Self> {
        if let Some(call) = change.strip_prefix('-') {
            return Some(self.without(call.parse().ok()?));
        }
        if let Some(request) = change.strip_prefix("+ioctl:0x") {
            return Some(self.with_request(u32::from_str_radix(request, 16).ok()?));
        }
        match change.strip_prefix('+')? {
            "regions" => Some(self.with_region_access()),
            call => Some(self.with(call.parse().ok()?)),
        }
    }

    fn new(name: &str, calls: &[Sysno]) -> Self {
        Self {
            name: name.to_owned(),
            allowed: calls.iter().map(|&call| (call, Vec::new())).collect(),
            refused: BTreeMap::new(),
        }
    }

    fn allow(&mut self, call: Sysno, condition: Condition) {
        self.allowed.entry(call).or_default().push(condition);
    }

    fn refuse(&mut self, calls: &[(Sysno, Option<Errno>)]) {
        self.refused.extend(calls.iter().copied());
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        let unknown = || UnknownProfile(text.to_owned());
        let end = text.find(['+', '-']).unwrap_or(text.len());
        let (base, mut rest) = text.split_at(end);
        let mut profile = match base {
            "driver" => Self::driver(),
            "client" => Self::client(),
            _ => return Err(unknown()),
        };
        while !rest.is_empty() {
            let end = rest[1..].find(['+', '-']).map_or(rest.len(), |at| at + 1);
            let (change, after) = rest.split_at(end);
            profile = profile.changed(change).ok_or_else(unknown)?;
            rest = after;
        }
        Ok(profile)
    }
}

/// One readable line per kind of answer.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed: Vec<_> = self
            .allowed()
            .map(|(call, any)| describe(call, any))
            .collect();
        let refused: Vec<_> = self.refused.keys().map(Sysno::name).collect();
        let count = allowed.len();
        write!(
            f,
            "seccomp profile {}: {count} system calls: {}",
            self.name,
            allowed.join(" ")
        )?;
        write!(
            f,
            "; refused: {}; anything else ends the process",
            refused.join(" ")
        )
    }
}

fn describe(call: Sysno, any: &[Condition]) -> String {
    let name = call.name();
    match any {
        [] => name.to_owned(),
        _ => {
            let any: Vec<_> = any.iter().map(Condition::to_string).collect();
            format!("{name}({})", any.join("|"))
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotExecutable => f.write_str("not PROT_EXEC"),
            Self::ThreadOnly => f.write_str("threads"),
            Self::Operation(number) => write!(f, "{number}"),
            Self::Request(number) => write!(f, "{number:#x}"),
            Self::OwnProcess => f.write_str("own process"),
        }
    }
}

#[cfg(test)]
mod tests;
