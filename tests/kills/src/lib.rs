//! Kills and hangs umnet's driver host under load, and counts what is lost.
//!
//! ```text
//!   namespace far                                              namespace near
//!  ┌──────────────────────┐   vhost-user   ┌──────────────────────────────────┐
//!  │ vhost-user-net-device│◄──────────────►│ driver host ◄── umnet run        │
//!  │        far0          │                │       near0                      │
//!  └────────▲─────────────┘                └──────────▲───────────────────────┘
//!           └── 8 TCP streams both ways, an interactive session, a probe each way
//! ```
//!
//! [`Rig`] makes the namespaces and the processes, [`Traffic`] is what passes between them,
//! [`campaign`] is what is done to the host meanwhile, [`Report`] what came of it. Nothing here
//! knows anything of umnet but its command line and what `/proc` says of its processes.

pub mod campaign;
mod namespace;
mod noise;
mod probe;
mod process;
mod report;
mod rig;
mod session;
mod stream;
mod svg;
mod traffic;
mod verdict;

use std::io;

pub use namespace::Namespace;
pub use report::{Circumstances, Report};
pub use rig::{Programs, Restart, Rig};
pub use traffic::{Load, Traffic};
pub use verdict::{Check, Limits};

/// Something of the rig does not work: nothing has been measured.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// The system said no.
    #[error("cannot {what}: {source}")]
    System {
        /// What was being done.
        what: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A command failed.
    #[error("{command}: {said}")]
    Command {
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
    /// Something did not happen in the time there is.
    #[error("{what} within {seconds} s{said}")]
    Late {
        /// What did not happen.
        what: String,
        /// How long it was waited for.
        seconds: u64,
        /// What there is to say about it, such as a log.
        said: String,
    },
}

/// An outcome of the rig.
pub type Result<T> = std::result::Result<T, RigError>;

fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> RigError {
    let what = what.into();
    move |source| RigError::System { what, source }
}
