//! A driver host as its supervisor sees it: a process, and a connection to it.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open, pidfd_send_signal, waitpid,
};
use serde::{Deserialize, Serialize};

use super::work::Start;
use crate::cage::ENVIRONMENT;
use crate::channel::{Channel, ChannelError, FromHost, ToHost};

/// The hidden verb that a host is started with.
pub(crate) const VERB: &str = "driver-host";
/// The same for a host of a client.
pub(crate) const CLIENT_VERB: &str = "client-host";
/// The hidden verb of a supervisor that takes over from itself.
pub(crate) const RESUME: &str = "supervisor-resume";
/// The hidden verb of the process that replaces a client host's root.
pub(crate) const ROOT_KEEPER: &str = "cage-root-keeper";
/// The hidden verb of the cage's self-test.
pub(crate) const REHEARSAL: &str = "cage-rehearsal";
/// Its option, for debuggers and profilers.
pub(crate) const UNCAGED: &str = "--uncaged";
/// How long a killed process may take to end.
const END: Duration = Duration::from_secs(5);
/// What a host keeps of the environment.
const KEPT: [&str; 2] = ["UMNET_LOG", "RUST_BACKTRACE"];

/// The program that hosts are started from. It is held open: a file that is replaced or removed
/// meanwhile does not change what is started.
#[derive(Debug)]
pub(super) struct Program {
    file: File,
    path: PathBuf,
}

impl Program {
    /// The one that runs.
    pub(super) fn own() -> io::Result<Self> {
        Ok(Self {
            file: File::open("/proc/self/exe")?,
            path: std::env::current_exe()?,
        })
    }

    /// The one at `path`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a file"));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Where it was found.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// To start it with another verb.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        command.arg0("umnet");
        command
    }
}

/// Tells hosts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct HostId(pub(super) u32);

/// A driver host.
#[derive(Debug)]
pub(super) struct HostProcess {
    pub(super) id: HostId,
    pid: Pid,
    pidfd: OwnedFd,
    channel: Channel,
    reaped: bool,
}

impl HostProcess {
    /// Starts a host and tells it what there is to drive.
    pub(super) fn start(id: HostId, program: &Program, start: &Start<'_>) -> io::Result<Self> {
        let (channel, theirs) = Channel::pair()?;
        let mut command = program.command();
        command
            .args(&start.arguments)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            // What the terminal sends is for the supervisor.
            .process_group(0);
        if let Some(more) = start.environment {
            let kept = KEPT.iter().chain(more);
            command
                .env_clear()
                .envs(kept.filter_map(|name| Some((name, std::env::var_os(name)?))))
                .env(ENVIRONMENT.0, ENVIRONMENT.1);
        }
        if std::env::var_os("UMNET_LOG").is_none() {
            let level = log::max_level().as_str().to_ascii_lowercase();
            command.args(["--log", &level]);
        }
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let host = Self {
            id,
            pid,
            pidfd: pidfd_open(pid, PidfdFlags::empty())?,
            channel,
            reaped: false,
        };
        let sent = host.channel.send(&start.message, &start.fds);
        sent.map_err(io::Error::other)?;
        Ok(host)
    }

    /// Takes over a host that another program in this process has started.
    pub(super) fn adopt(id: HostId, pid: u32, channel: OwnedFd) -> io::Result<Self> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = raw.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self {
            id,
            pid,
            pidfd: pidfd_open(pid, PidfdFlags::empty())?,
            channel: Channel::new(channel),
            reaped: false,
        })
    }

    pub(super) fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    pub(super) fn channel_fd(&self) -> RawFd {
        self.channel.as_raw_fd()
    }

    pub(super) fn pidfd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }

    pub(super) fn send(
        &self,
        message: &ToHost,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        self.channel.send(message, fds)
    }

    /// The next message; descriptors that come with one are not taken.
    pub(super) fn receive(&self) -> Result<Option<FromHost>, ChannelError> {
        Ok(self.channel.receive()?.map(|(message, _)| message))
    }

    /// Ends it at once. It is over when [`HostProcess::reap`] says so.
    pub(super) fn kill(&self) {
        // It may be dead already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits until `deadline` for its end; whether it came.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap_or_default();
            let mut fds = [PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(count) => return count > 0,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// How it ended, once it has.
    pub(super) fn reap(&mut self) -> Option<Ended> {
        let ended = waitpid(Some(self.pid), WaitOptions::NOHANG).ok()??;
        self.reaped = true;
        Some(Ended::from(ended.1))
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        self.kill();
        if !self.wait(Instant::now() + END) || self.reap().is_none() {
            log::error!("driver host {}: does not end even when killed", self.pid());
        }
    }
}

/// How a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By a signal.
    Signal(i32),
    /// With an exit code.
    Code(i32),
}

impl Ended {
    /// In good order, as far as that can be told.
    pub(super) fn well(self) -> bool {
        self == Self::Code(0)
    }

    /// The exit code that a shell would show.
    pub(super) fn code(self) -> u8 {
        let code = match self {
            Self::Signal(signal) => 128 + signal,
            Self::Code(code) => code,
        };
        u8::try_from(code).unwrap_or(u8::MAX)
    }
}

impl From<WaitStatus> for Ended {
    fn from(status: WaitStatus) -> Self {
        let signal = status.terminating_signal().map(Self::Signal);
        signal.unwrap_or_else(|| Self::Code(status.exit_status().unwrap_or_default()))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Signal(signal) => {
                let name = signal_name(signal);
                write!(f, "killed by signal {signal}{name}")
            }
            Self::Code(code) => write!(f, "ended with code {code}"),
        }
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        31 => " (SIGSYS: a system call that its cage does not allow)",
        _ => "",
    }
}
