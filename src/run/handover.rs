//! A supervisor that is replaced in place: another program in the same process, with everything
//! that must not be lost.
//!
//! What is to be kept waits in a socket while the program changes: a message that tells what
//! there is, then one with the descriptors. The driver host goes on meanwhile, and stays a child
//! of this process. The old program's locks end with it; the new one takes its own.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use netadapter_shim::SystemPort;
use netadapter_shim::os::tap::Tap;
use serde::{Deserialize, Serialize};

use super::board::{Board, HostInfo};
use super::holding::HeldState;
use super::host_process::{Program, RESUME};
use super::moment::Moment;
use super::store::PASSED;
use crate::channel::{Channel, ChannelError, Interface, PortSetup};
use crate::config::RunConfig;
use crate::host::IfName;

/// Version of [`State`]. A program that speaks another does not take over.
const SCHEMA: u32 = 1;

/// The option with which a program is asked whether it can go on.
pub(crate) const CHECK: &str = "--check";
/// How long it may take to answer.
const TO_ANSWER: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(5);

/// What the next program has to know.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    schema: u32,
    pub(super) config: RunConfig,
    /// When the run began. Programs that do not tell know nothing of it.
    #[serde(default = "Moment::now")]
    pub(super) began: Moment,
    pub(super) ifname: IfName,
    /// The interface's.
    pub(super) index: u32,
    /// What the lock of a device without a binding is named by.
    pub(super) lock: Option<String>,
    pub(super) holding: HeldState,
    pub(super) port: PortSetup,
    pub(super) hosts: HostsState,
    /// The names of what the service manager keeps: beside its descriptors theirs, in their order.
    #[serde(default)]
    pub(super) stored: Vec<String>,
}

/// The hosts, as far as they go on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HostsState {
    pub(super) board: Board,
    pub(super) interface: Option<Interface>,
    pub(super) active: HostInfo,
    pub(super) next_id: u32,
}

/// Descriptors in the order in which they are sent.
#[derive(Debug)]
pub(super) struct Descriptors {
    /// To the driver host, if one lives.
    pub(super) channel: Option<OwnedFd>,
    pub(super) queues: Vec<OwnedFd>,
    pub(super) device: Vec<OwnedFd>,
}

impl State {
    pub(super) fn new(
        (config, began): (RunConfig, Moment),
        (ifname, index): (IfName, u32),
        lock: Option<String>,
        holding: HeldState,
        tap: &Tap,
        hosts: HostsState,
    ) -> Self {
        Self {
            schema: SCHEMA,
            config,
            began,
            ifname,
            index,
            lock,
            holding,
            port: port_setup(tap),
            hosts,
            stored: Vec::new(),
        }
    }

    /// What another program has written.
    pub(super) fn read(bytes: &[u8]) -> io::Result<Self> {
        serde_json::from_slice::<Self>(bytes)?.checked()
    }

    fn checked(self) -> io::Result<Self> {
        if self.schema != SCHEMA {
            let text = format!("its state has version {}, not {SCHEMA}", self.schema);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(self)
    }
}

/// A TAP as a message tells it.
pub(super) fn port_setup(tap: &Tap) -> PortSetup {
    PortSetup {
        name: tap.name().to_owned(),
        queues: tap.max_queues(),
        uso: tap.has_uso(),
    }
}

/// Whether `program` is one that can go on from here: it is asked, before anything depends on it.
pub(super) fn check(program: &Program) -> Result<(), String> {
    let mut command = program.command();
    command.args([RESUME, CHECK]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let failed = |error: io::Error| format!("{}: {error}", program.path().display());
    let mut child = command.spawn().map_err(failed)?;
    let deadline = Instant::now() + TO_ANSWER;
    while child.try_wait().map_err(failed)?.is_none() {
        if Instant::now() >= deadline {
            let _ = child.kill();
        }
        std::thread::sleep(STEP);
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() && output.stdout == answer().as_bytes() {
        return Ok(());
    }
    Err(format!(
        "{} is no umnet that can go on from this one",
        program.path().display()
    ))
}

/// What a program that can go on from here says when it is asked.
pub(crate) fn answer() -> String {
    format!("umnet supervisor {SCHEMA}\n")
}

/// Changes the program. Returns only if that fails, and then nothing has changed.
pub(super) fn change(program: &Program, state: &State, fds: &[BorrowedFd<'_>]) -> io::Error {
    match send(state, fds) {
        Ok(socket) => {
            let mut command = program.command();
            if std::env::var_os("UMNET_LOG").is_none() {
                let level = log::max_level().as_str().to_ascii_lowercase();
                command.args(["--log", &level]);
            }
            for name in PASSED {
                // What the manager passed to this program is in use by now.
                command.env_remove(name);
            }
            command.arg(RESUME).stdin(Stdio::from(socket)).exec()
        }
        Err(error) => error,
    }
}

/// Puts everything into a socket, whose other end is what is returned. Closing this end loses
/// nothing of it.
fn send(state: &State, fds: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    let (channel, kept) = Channel::pair()?;
    channel.send(state, &[]).map_err(io::Error::other)?;
    channel.send(&fds.len(), fds).map_err(io::Error::other)?;
    Ok(kept)
}

/// The other side: what came through standard input.
pub(super) struct Inheritance(Channel);

impl Inheritance {
    pub(super) fn open() -> io::Result<(Self, State)> {
        let channel = Channel::new(io::stdin().as_fd().try_clone_to_owned()?);
        let (state, _) = expect::<State>(&channel)?;
        Ok((Self(channel), state.checked()?))
    }

    /// The descriptors, once locks have been taken.
    pub(super) fn descriptors(self, state: &State) -> io::Result<Descriptors> {
        let (count, mut fds) = expect::<usize>(&self.0)?;
        if fds.len() != count || fds.is_empty() {
            let text = format!("{} descriptors came, {count} were announced", fds.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let channel = fds.remove(0);
        Descriptors::sort(Some(channel), fds, state)
    }
}

impl Descriptors {
    /// The TAP's queues and the device, in this order.
    pub(super) fn sort(
        channel: Option<OwnedFd>,
        mut queues: Vec<OwnedFd>,
        state: &State,
    ) -> io::Result<Self> {
        let wanted = state.port.queues + state.holding.descriptor_count();
        if queues.len() != wanted {
            let text = format!("{} descriptors came, not {wanted}", queues.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let device = queues.split_off(state.port.queues);
        Ok(Self {
            channel,
            queues,
            device,
        })
    }
}

fn expect<T: serde::de::DeserializeOwned>(channel: &Channel) -> io::Result<(T, Vec<OwnedFd>)> {
    match channel.receive() {
        Ok(Some(message)) => Ok(message),
        Ok(None) | Err(ChannelError::Closed) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{DeviceSpec, Host};

    fn state() -> State {
        let config = RunConfig::new(Host::at("/nowhere"), DeviceSpec::InProcess);
        State {
            schema: SCHEMA,
            config,
            began: Moment::now(),
            ifname: "um0".parse().unwrap(),
            index: 3,
            lock: Some("in-process".to_owned()),
            holding: HeldState::InProcess {
                name: "in-process".to_owned(),
            },
            port: PortSetup {
                name: "um0".to_owned(),
                queues: 1,
                uso: true,
            },
            hosts: HostsState {
                board: Board::default(),
                interface: None,
                active: HostInfo::default(),
                next_id: 7,
            },
            stored: Vec::new(),
        }
    }

    #[test]
    fn what_was_put_into_the_socket_comes_out_of_it_with_its_descriptors() {
        let state = state();
        let file = std::fs::File::open("/dev/null").unwrap();
        let kept = send(&state, &[file.as_fd(), file.as_fd()]).unwrap();
        let channel = Channel::new(kept);
        let (told, none) = expect::<State>(&channel).unwrap();
        assert!(none.is_empty() && told.hosts.next_id == 7);
        let fds = Inheritance(channel).descriptors(&told).unwrap();
        assert_eq!((fds.queues.len(), fds.device.len()), (1, 0));
    }

    #[test]
    fn descriptors_that_are_missing_are_noticed() {
        let state = state();
        let file = std::fs::File::open("/dev/null").unwrap();
        let channel = Channel::new(send(&state, &[file.as_fd()]).unwrap());
        let (told, _) = expect::<State>(&channel).unwrap();
        let refused = Inheritance(channel).descriptors(&told).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
