//! The service manager's notification socket, as sd_notify(3) describes it: datagrams of
//! `NAME=value` lines, some with a descriptor.
//!
//! Nothing here may hold the supervisor up: a manager that does not listen costs a deadline, and
//! what was to be told is told again by whoever has to.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pipe::{PipeFlags, pipe_with};

/// Where the manager listens.
const SOCKET: &str = "NOTIFY_SOCKET";
/// How often the manager wants to hear of us, in microseconds, and which process it means.
const WATCHDOG: [&str; 2] = ["WATCHDOG_USEC", "WATCHDOG_PID"];
/// How long the manager may take to read one message.
const TO_READ: Duration = Duration::from_millis(500);
/// How long it may take to do all that it was told.
const TO_DO: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// The manager, as one that is told things.
#[derive(Debug)]
pub(super) struct Notifier(UnixDatagram);

impl Notifier {
    /// The manager that has started this process, if it listens.
    pub(super) fn from_environment() -> Option<Self> {
        let name = std::env::var_os(SOCKET)?;
        let connected = Self::connect(name.as_bytes());
        connected
            .inspect_err(|error| log::warn!("the service manager does not listen: {error}"))
            .ok()
    }

    /// To a path, or to an abstract name behind an `@`.
    fn connect(name: &[u8]) -> io::Result<Self> {
        let address = match name {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_write_timeout(Some(TO_READ))?;
        Ok(Self(socket))
    }

    /// Says `lines`.
    pub(super) fn say(&self, lines: &str) -> io::Result<()> {
        self.0.send(lines.as_bytes()).map(drop)
    }

    /// Has `fd` kept under `name` until it is removed. It is not polled: a TAP or a device that
    /// signals an error is still wanted.
    pub(super) fn keep(&self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.say_with(&format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0"), fd)
    }

    /// Has what is kept under `name` closed.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.say(&format!("FDSTOREREMOVE=1\nFDNAME={name}"))
    }

    /// Waits until the manager has done all that it was told.
    pub(super) fn wait(&self) -> io::Result<()> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        self.say_with("BARRIER=1", theirs.as_fd())?;
        drop(theirs);
        // The manager closes its end.
        let mut fds = [PollFd::from_borrowed_fd(ours.as_fd(), PollFlags::empty())];
        match poll(&mut fds, Some(&TO_DO))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }

    fn say_with(&self, lines: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [fd];
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let lines = [IoSlice::new(lines.as_bytes())];
        sendmsg(&self.0, &lines, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// How often the manager's watchdog is to be fed: twice in the time that it waits.
pub(super) fn watchdog_interval() -> Option<Duration> {
    let [time, process] = WATCHDOG.map(|name| std::env::var(name).ok());
    interval(time.as_deref(), process.as_deref(), std::process::id())
}

fn interval(time: Option<&str>, process: Option<&str>, own: u32) -> Option<Duration> {
    let meant = process.is_none_or(|pid| pid.parse() == Ok(own));
    let time = time?.parse().ok().filter(|time| *time > 0 && meant)?;
    Some(Duration::from_micros(time) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time_by_the_process_it_means() {
        let second = Some("1000000");
        assert_eq!(interval(second, None, 7), Some(Duration::from_millis(500)));
        assert!(interval(second, Some("7"), 7).is_some());
        assert_eq!(interval(second, Some("8"), 7), None);
        assert_eq!(interval(Some("0"), None, 7), None);
        assert_eq!(interval(Some("soon"), None, 7), None);
        assert_eq!(interval(None, None, 7), None);
    }

    #[test]
    fn a_manager_with_an_abstract_name_hears_what_is_said() {
        let name = format!("umnet-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::connect(format!("@{name}").as_bytes()).unwrap();
        notifier.say("READY=1").unwrap();
        let mut heard = [0; 64];
        let len = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..len], b"READY=1");
    }

    #[test]
    fn a_manager_that_does_not_read_costs_a_deadline_and_no_more() {
        let name = format!("umnet-deaf-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _deaf = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::connect(format!("@{name}").as_bytes()).unwrap();
        let refused = (0..100_000).find_map(|_| notifier.say("STATUS=so").err());
        assert_eq!(refused.unwrap().kind(), io::ErrorKind::WouldBlock);
    }
}
