//! Asking a running umnet how it is: one line of JSON each way over a Unix socket.
//!
//! `DEVICE.sock` in the run folder is served by a thread of its own, so that nobody who asks, or
//! who asks and then dawdles, ever holds up a frame.

mod client;
mod message;
mod server;

pub use client::{running, stats, status, update};
pub use message::{
    AdapterStats, AdapterStatus, ClientStatus, Counters, DeviceEvent, HostStatus, Iommu, LossBound,
    Memory, PolicyStatus, QueueStats, Stats, Status, UpdateRequest,
};
pub use server::Server;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::exit::{Exit, Explain};
use crate::host::{DeviceSpec, Host};

/// Version of the messages.
pub const SCHEMA: u32 = 1;
/// Longest request in bytes.
const MAX_REQUEST: usize = 4 * 1024;
/// Longest reply in bytes.
const MAX_REPLY: usize = 1024 * 1024;
/// How long a client may take to ask, and again to listen.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long a client waits for an update: longer than the supervisor does.
const UPDATE_PATIENCE: Duration = Duration::from_secs(60);
/// How long a client waits: longer than one dawdling client can hold up the others.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a running umnet tells about itself. Called from the control threads, several at once.
pub trait StatusSource: Send + Sync {
    /// Adapter, link, features, memory.
    fn status(&self) -> Status;
    /// Counters.
    fn stats(&self) -> Stats;
    /// Has another program do the work, and waits for it; what came of it, in a few words.
    ///
    /// # Errors
    /// What went wrong, in a sentence.
    fn update(&self, _request: UpdateRequest) -> Result<String, String> {
        Err("the driver of a client (run --client) cannot be replaced while it runs".to_owned())
    }
    /// Has something happen to the devices of a client driver, and waits for it.
    ///
    /// # Errors
    /// What went wrong, in a sentence.
    fn happen(&self, _event: DeviceEvent) -> Result<(), String> {
        Err("only the devices of a client driver (run --client) can be told".to_owned())
    }
}

/// Talking to a running umnet failed.
#[derive(Debug, Error)]
pub enum ControlError {
    /// No umnet drives the device.
    #[error("no umnet is driving {device} (looked for {})", .socket.display())]
    NotRunning {
        /// The device asked about.
        device: DeviceSpec,
        /// Where its socket would be.
        socket: PathBuf,
    },
    /// No umnet drives anything.
    #[error("no umnet is running (looked in {})", .dir.display())]
    NothingRuns {
        /// Where sockets would be.
        dir: PathBuf,
    },
    /// The socket does not work.
    #[error("cannot {action} {}: {source}", .socket.display())]
    Socket {
        /// What was being done.
        action: &'static str,
        /// The socket.
        socket: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The other side says no.
    #[error("{0}")]
    Refused(String),
    /// The other side does not speak our language.
    #[error("{} answered something else than expected: {reason}", .socket.display())]
    Protocol {
        /// The socket.
        socket: PathBuf,
        /// What was wrong.
        reason: String,
    },
}

impl Explain for ControlError {
    fn exit(&self) -> Exit {
        match self {
            Self::Socket { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Exit::EnvironmentLacks
            }
            _ => Exit::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NotRunning { device, .. } => {
                format!("umnet run {device}; if root started it: sudo umnet status {device}")
            }
            Self::NothingRuns { .. } => {
                "umnet run DEVICE; if root started one: sudo umnet status".to_owned()
            }
            Self::Socket { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run the same command as root (sudo umnet ...)".to_owned()
            }
            Self::Protocol { .. } => {
                "use the umnet that is running: restart it after an update".to_owned()
            }
            Self::Socket { .. } | Self::Refused(_) => return None,
        })
    }
}

/// The socket of a device, named by its [`DeviceSpec::file_stem`].
pub fn socket_path(host: &Host, stem: &str) -> PathBuf {
    host.run_dir().join(format!("{stem}.sock"))
}

#[cfg(test)]
mod tests;
