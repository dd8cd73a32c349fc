//! Why a client's run ended before its time.

use std::path::PathBuf;

use thiserror::Error;

use crate::channel::StartFailure;
use crate::control::ControlError;
use crate::exit::{Exit, Explain};
use crate::host::{DeviceSpec, HostError};
use crate::run::RunError;
use crate::run::host_process::Ended;

/// A client does not run, or not any more.
#[derive(Debug, Error)]
pub enum ClientError {
    /// It cannot be loaded, failed to start, or has no device left, as its host tells.
    #[error("{}", .failure.why)]
    NotStarted {
        /// What the host told.
        failure: StartFailure,
    },
    /// Its host died where no other one is started.
    #[error("{client}: client host {how} {when}")]
    Died {
        /// The client.
        client: String,
        /// How it died.
        how: String,
        /// The exit code that a shell would show.
        code: u8,
        /// What was under way.
        when: &'static str,
    },
    /// Hosts died one after the other, and the fallback is to end.
    #[error("{client}: too many client hosts died")]
    GivenUp {
        /// The client.
        client: String,
        /// The exit code that a shell would show of the last one.
        code: Option<u8>,
    },
    /// What every supervisor needs is not there.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The machine said no.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The control socket could not be made.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Clients cannot reach hardware yet.
    #[error(
        "{device}: clients cannot reach a device's registers and interrupts yet, so {} can only \
         run without one", .file.display()
    )]
    NotYet {
        /// The device.
        device: DeviceSpec,
        /// The client.
        file: PathBuf,
    },
}

impl ClientError {
    pub(super) fn died(client: String, how: Ended, when: &'static str) -> Self {
        Self::Died {
            client,
            how: how.to_string(),
            code: how.code(),
            when,
        }
    }
}

impl Explain for ClientError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotStarted { failure } => failure.exit.unwrap_or(Exit::Failed),
            Self::Run(error) => error.exit(),
            Self::Host(error) => error.exit(),
            Self::Control(error) => error.exit(),
            Self::NotYet { .. } => Exit::Usage,
            Self::Died { .. } | Self::GivenUp { .. } => Exit::Failed,
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Died { code, .. } => *code,
            Self::GivenUp { code, .. } => code.unwrap_or(Exit::Failed as u8),
            other => other.exit() as u8,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::NotStarted { failure } => failure.next.clone(),
            Self::Run(error) => error.next_step(),
            Self::Host(error) => error.next_step(),
            Self::Control(error) => error.next_step(),
            Self::NotYet { file, .. } => Some(format!("umnet run --client {}", file.display())),
            Self::Died { .. } | Self::GivenUp { .. } => None,
        }
    }
}
