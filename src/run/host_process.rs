//! A driver host as its supervisor sees it: a process, and a connection to it.

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

use crate::cage::ENVIRONMENT;
use crate::channel::{Channel, ChannelError, FromHost, Setup, ToHost};

/// The hidden verb that a host is started with.
pub(crate) const VERB: &str = "driver-host";
/// The hidden verb of a supervisor that takes over from itself.
pub(crate) const RESUME: &str = "supervisor-resume";
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
    pub(super) fn start(
        id: HostId,
        program: &Program,
        setup: Setup,
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<Self> {
        let (channel, theirs) = Channel::pair()?;
        let mut command = program.command();
        command
            .arg(VERB)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            // What the terminal sends is for the supervisor.
            .process_group(0)
            .env_clear()
            .envs(
                KEPT.iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .env(ENVIRONMENT.0, ENVIRONMENT.1);
        if !setup.caged {
            command.arg(UNCAGED);
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
        let sent = host.channel.send(&ToHost::Setup(Box::new(setup)), fds);
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
    pub(super) fn reap(&mut self) -> Option<String> {
        let ended = waitpid(Some(self.pid), WaitOptions::NOHANG).ok()??;
        self.reaped = true;
        Some(describe(ended.1))
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

fn describe(status: WaitStatus) -> String {
    match (status.terminating_signal(), status.exit_status()) {
        (Some(signal), _) => {
            let name = signal_name(signal);
            format!("killed by signal {signal}{name}")
        }
        (None, Some(code)) => format!("ended with code {code}"),
        (None, None) => "ended".to_owned(),
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
