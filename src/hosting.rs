//! What the processes that supervisors start have in common: how they begin, and how they end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use log::{debug, error};
use rustix::process::{Signal, set_parent_process_death_signal};
use thiserror::Error;
use virtio::TransportError;

use crate::cage::CageError;
use crate::channel::{Channel, ChannelError, Line, ToHost};
use crate::exit::Exit;

/// How long the supervisor may take to say what there is to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host cannot go on. Its supervisor sees the process end and needs no more; the log does.
#[derive(Debug, Error)]
pub enum HostEnd {
    /// The supervisor is gone or makes no sense.
    #[error("supervisor: {0}")]
    Channel(#[from] ChannelError),
    /// Something of what was lent does not work.
    #[error("cannot {what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the system answered.
        source: io::Error,
    },
    /// The device cannot be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// It cannot be locked in.
    #[error(transparent)]
    Cage(#[from] CageError),
    /// What came with the set-up is not what belongs to it.
    #[error("{0} descriptors came, {1} were announced")]
    Descriptors(usize, usize),
}

/// The end of a host whose system refused `what`.
pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> HostEnd {
    move |source| HostEnd::System { what, source }
}

/// What the supervisor at the other end of standard input says first, with its descriptors.
pub(crate) fn first_message() -> Result<(Line, ToHost, Vec<OwnedFd>), HostEnd> {
    let socket = io::stdin().as_fd().try_clone_to_owned();
    let channel = Channel::new(socket.map_err(system("take the socket"))?);
    let mut line = Line::new(channel).map_err(system("watch the socket"))?;
    let (message, fds) = line.wait(Some(PATIENCE))?;
    Ok((line, message, fds))
}

/// That message is not the one that was to come.
pub(crate) fn unexpected(wanted: &str, message: &ToHost) -> HostEnd {
    ChannelError::Nonsense(format!("expected {wanted}, not {message:?}")).into()
}

/// Has the kernel kill this process when its supervisor ends.
pub(crate) fn end_with_supervisor() -> Result<(), HostEnd> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| system("ask to end with the supervisor")(errno.into()))
}

/// Ends the process, with a word in the log unless it was to end.
pub(crate) fn end(host: &str, outcome: Result<Exit, HostEnd>) -> ! {
    let exit = match outcome {
        Ok(exit) => exit,
        Err(HostEnd::Channel(ChannelError::Closed)) => {
            debug!("{host}: the supervisor is gone");
            Exit::Done
        }
        Err(end) => {
            error!("{host}: {end}");
            Exit::Failed
        }
    };
    std::process::exit(exit as i32)
}
