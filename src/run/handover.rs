//! A supervisor that is replaced in place: another program in the same process, with everything
//! that must not be lost.
//!
//! What is to be kept waits in a socket while the program changes: a file that tells what there
//! is, then the descriptors. The host goes on meanwhile, and stays a child of this process. The old
//! program's locks end with it; the new one takes its own.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use log::error;
use netadapter_shim::SystemPort;
use netadapter_shim::os::tap::Tap;
use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::board::{Board, HostInfo};
use super::client::ClientRun;
use super::device::DeviceRun;
use super::host_process::{Program, RESUME};
use super::moment::Moment;
use super::store::{PASSED, Store};
use super::succession::Run;
use super::update::Reply;
use crate::channel::{Channel, ChannelError, Interface, MAX_FDS, PortSetup, exactly_one};

/// Version of [`State`]. A program that speaks another does not take over.
const SCHEMA: u32 = 2;
/// Longer than any state.
const MAX_STATE: u64 = 1 << 20;

/// The option with which a program is asked whether it can go on.
pub(crate) const CHECK: &str = "--check";
/// How long it may take to answer.
const TO_ANSWER: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(5);
/// How long a control thread may take to pass an answer on.
const TO_REPLY: Duration = Duration::from_millis(50);

/// What the next program has to know.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    schema: u32,
    /// When the run began.
    pub(super) began: Moment,
    pub(super) run: RunState,
    pub(super) hosts: HostsState,
    /// The names of what the service manager keeps: beside its descriptors theirs, in their order.
    pub(super) stored: Vec<String>,
}

/// What the run is of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum RunState {
    Device(Box<DeviceRun>),
    Client(Box<ClientRun>),
}

/// The hosts, as far as they go on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HostsState {
    pub(super) board: Board,
    pub(super) interface: Option<Interface>,
    pub(super) active: HostInfo,
    pub(super) next_id: u32,
    /// Whether a host has ever run what there is to run.
    pub(super) has_run: bool,
}

/// What a supervisor has left to the one after it, beside what the run is of.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) began: Moment,
    pub(super) hosts: HostsState,
    /// To the host, if one lives.
    pub(super) channel: Option<OwnedFd>,
    /// What belongs to the work, in its order.
    pub(super) fds: Vec<OwnedFd>,
    /// What the service manager keeps of it.
    pub(super) store: Store,
}

impl State {
    pub(super) fn new(began: Moment, run: RunState, hosts: HostsState) -> Self {
        Self {
            schema: SCHEMA,
            began,
            run,
            hosts,
            stored: Vec::new(),
        }
    }

    /// In a file without a name.
    pub(super) fn to_file(&self) -> io::Result<File> {
        let file = File::from(memfd_create("umnet-state", MemfdFlags::CLOEXEC)?);
        file.write_all_at(&serde_json::to_vec(self)?, 0)?;
        Ok(file)
    }

    /// What another program has written.
    pub(super) fn of_file(file: &File) -> io::Result<Self> {
        let len = file.metadata()?.len().min(MAX_STATE);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        // The position is shared with whoever else has the file open, and stays.
        file.read_exact_at(&mut bytes, 0)?;
        let state: Self = serde_json::from_slice(&bytes)?;
        match state.schema {
            SCHEMA => Ok(state),
            other => {
                let text = format!("its state has version {other}, not {SCHEMA}");
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
        }
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

/// Makes place for another program of the supervisor. Comes back only if that fails, and then
/// nothing has changed; whoever asked is told.
pub(super) fn replace(run: &mut impl Run, path: Option<&Path>, reply: &Reply) {
    if let Err(why) = change_program(run, path, reply) {
        error!("{}: the supervisor stays: {why}", run.hosts().name());
        let _ = reply.try_send(Err(why));
    }
}

fn change_program(run: &mut impl Run, path: Option<&Path>, reply: &Reply) -> Result<(), String> {
    let path = path.unwrap_or(run.hosts().program.path());
    let program = Program::open(path);
    let program = program.map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    check(&program)?;
    let hosts = run.hosts_mut().keep()?;
    let kept = run.keep(hosts).map_err(|error| error.to_string());
    let (mut state, work) = kept?;
    state.stored = run.manager().stored();
    let _ = reply.send(Ok("the supervisor is being replaced".to_owned()));
    // The control thread is about to pass that on, and ends with this program.
    std::thread::sleep(TO_REPLY);
    run.manager().reloading();
    let channel = run.hosts().channel().into_iter();
    let fds: Vec<_> = channel.chain(work.iter().map(AsFd::as_fd)).collect();
    Err(change(&program, &state, &fds).to_string())
}

/// Returns only if that fails, and then nothing has changed.
fn change(program: &Program, state: &State, fds: &[BorrowedFd<'_>]) -> io::Error {
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
    let file = state.to_file()?;
    let count = channel.send(&fds.len(), &[file.as_fd()]);
    let sent = fds
        .chunks(MAX_FDS)
        .try_fold((), |(), some| channel.send(&some.len(), some));
    count.and(sent).map_err(io::Error::other)?;
    Ok(kept)
}

/// What the program before this one has left in standard input.
pub(super) fn receive() -> io::Result<(RunState, Left)> {
    receive_from(&Channel::new(io::stdin().as_fd().try_clone_to_owned()?))
}

fn receive_from(socket: &Channel) -> io::Result<(RunState, Left)> {
    let (count, file) = expect::<usize>(socket)?;
    let [file] = exactly_one(file)?;
    let state = State::of_file(&File::from(file))?;
    let mut fds = Vec::new();
    while fds.len() < count {
        let (some, more) = expect::<usize>(socket)?;
        if more.len() != some || some == 0 {
            return Err(miscounted(more.len(), some));
        }
        fds.extend(more);
    }
    let mut fds = fds.into_iter();
    let left = Left {
        began: state.began,
        hosts: state.hosts,
        channel: Some(fds.next().ok_or_else(|| miscounted(0, 1))?),
        fds: fds.collect(),
        store: Store::of(state.stored),
    };
    Ok((state.run, left))
}

/// Fewer descriptors came than were announced, or more.
pub(super) fn miscounted(came: usize, announced: usize) -> io::Error {
    let text = format!("{came} descriptors came, {announced} were announced");
    io::Error::new(io::ErrorKind::InvalidData, text)
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
    use crate::config::RunConfig;
    use crate::host::{DeviceSpec, Host};
    use crate::run::device::KeptDevice;
    use crate::run::holding::HeldState;

    fn state() -> State {
        let config = RunConfig::new(Host::at("/nowhere"), DeviceSpec::InProcess);
        let run = DeviceRun {
            config,
            ifname: "um0".parse().unwrap(),
            index: 3,
            lock: Some("in-process".to_owned()),
            device: KeptDevice {
                holding: HeldState::InProcess {
                    name: "in-process".to_owned(),
                },
                port: PortSetup {
                    name: "um0".to_owned(),
                    queues: 1,
                    uso: true,
                },
            },
        };
        let hosts = HostsState {
            board: Board::default(),
            interface: None,
            active: HostInfo::default(),
            next_id: 7,
            has_run: true,
        };
        State::new(Moment::now(), RunState::Device(Box::new(run)), hosts)
    }

    #[test]
    fn what_was_put_into_the_socket_comes_out_of_it_with_its_descriptors() {
        let file = File::open("/dev/null").unwrap();
        // More than go with one message.
        let fds = vec![file.as_fd(); 2 * MAX_FDS + 1];
        let kept = send(&state(), &fds).unwrap();
        let (run, left) = receive_from(&Channel::new(kept)).unwrap();
        assert!(matches!(run, RunState::Device(run) if run.index == 3));
        assert_eq!(left.hosts.next_id, 7);
        assert!(left.channel.is_some());
        assert_eq!(left.fds.len(), 2 * MAX_FDS);
    }

    #[test]
    fn descriptors_that_are_missing_are_noticed() {
        let file = File::open("/dev/null").unwrap();
        let (channel, kept) = Channel::pair().unwrap();
        let written = state().to_file().unwrap();
        channel.send(&2, &[written.as_fd()]).unwrap();
        channel.send(&1, &[file.as_fd()]).unwrap();
        drop(channel);
        let refused = receive_from(&Channel::new(kept)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_state_of_another_version_is_refused() {
        let other = State {
            schema: SCHEMA + 1,
            ..state()
        };
        let refused = State::of_file(&other.to_file().unwrap()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
