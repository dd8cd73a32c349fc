//! Placeholder: driving a device.

use thiserror::Error;

use crate::config::RunConfig;
use crate::exit::{Exit, Explain};
use crate::host::HostError;

/// A run ended before its time.
#[derive(Debug, Error)]
pub enum RunError {
    /// The machine said no.
    #[error(transparent)]
    Host(#[from] HostError),
    /// There is no data path in this build.
    #[error("driving a device is not built yet")]
    NotBuilt,
}

impl Explain for RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Host(error) => error.exit(),
            Self::NotBuilt => Exit::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.next_step(),
            Self::NotBuilt => None,
        }
    }
}

/// Drives the device until SIGINT or SIGTERM.
///
/// # Errors
///
/// [`RunError`].
pub fn run(config: RunConfig) -> Result<(), RunError> {
    log::debug!("{config:?}");
    Err(RunError::NotBuilt)
}
