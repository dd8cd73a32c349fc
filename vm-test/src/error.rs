//! What can keep a scenario from its end.

use std::io;
use std::time::Duration;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed, why, and where there is one, what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine at hand lacks something; the scenario is skipped, not failed.
    #[error("{0}")]
    Unavailable(String),
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, with the path or program.
        what: String,
        /// The reason.
        source: io::Error,
    },
    /// QEMU ended although the scenario still needs it.
    #[error("QEMU ended ({status}): {stderr}")]
    QemuEnded {
        /// Its exit status.
        status: String,
        /// The end of what it printed.
        stderr: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {within:?}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long, on the host's clock.
        within: Duration,
    },
    /// QEMU refused a QMP command.
    #[error("QMP {command}: {why}")]
    Qmp {
        /// The command.
        command: String,
        /// QEMU's description.
        why: String,
    },
    /// The guest's command runner could not do what it was asked for.
    #[error("in the guest: {0}")]
    Guest(String),
    /// A command ended otherwise than it had to.
    #[error("{0}")]
    Command(String),
}

impl Error {
    /// For `map_err`: an I/O error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
