//! Why a run ended before its time.

use std::io::{self, ErrorKind};

use netadapter_shim::os::tap::TapError;
use thiserror::Error;
use virtio::transport::TransportError;

use crate::cage::{CageError, SelfTest};
use crate::channel::StartFailure;
use crate::control::ControlError;
use crate::exit::{Exit, Explain};
use crate::host::{DeviceSpec, HostError};

/// A run ended before its time.
#[derive(Debug, Error)]
pub enum RunError {
    /// The machine said no.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The device cannot be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The device could not be started.
    #[error("{device}: {}", .failure.why)]
    NotStarted {
        /// The device.
        device: DeviceSpec,
        /// What the driver host told.
        failure: StartFailure,
    },
    /// Driver hosts died one after the other, and the fallback is to give the card back.
    #[error("{device}: too many driver hosts died; the card is back with the kernel")]
    GivenUp {
        /// The device.
        device: String,
    },
    /// The interface could not be made.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// The control socket could not be made.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Waiting for events failed.
    #[error("cannot {action}: {source}")]
    Events {
        /// What was being done.
        action: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The cage could not be tried.
    #[error(transparent)]
    Cage(#[from] CageError),
    /// A driver host could not live in its cage.
    #[error("{0}")]
    CageTooNarrow(SelfTest),
    /// Somebody wanted the run to end before it had begun.
    #[error("stopped before the device was started")]
    Interrupted,
    /// The device was removed while it was driven.
    #[error("{device}: the device was removed")]
    Removed {
        /// The device.
        device: String,
    },
}

impl Explain for RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Host(error) => error.exit(),
            Self::Control(error) => error.exit(),
            Self::NotStarted { failure, .. } if failure.refused => Exit::EnvironmentLacks,
            Self::NotStarted {
                device: DeviceSpec::VhostUser(_),
                ..
            } => Exit::EnvironmentLacks,
            Self::Tap(error) => tap_exit(error),
            Self::Transport(error) => transport_exit(error),
            Self::Interrupted => Exit::Done,
            Self::CageTooNarrow(_) => Exit::EnvironmentLacks,
            _ => Exit::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.next_step(),
            Self::Control(error) => error.next_step(),
            Self::NotStarted {
                device: device @ DeviceSpec::VhostUser(_),
                ..
            } => Some(format!("umnet doctor {device}")),
            Self::GivenUp { device } => Some(format!(
                "look at the log for why they died, then: umnet run {device}"
            )),
            Self::CageTooNarrow(_) => Some(
                "report this line with the C library's version; --uncaged runs without the cage, \
                 and without its protection"
                    .to_owned(),
            ),
            Self::Removed { .. } => Some("plug it in again, then the same command".to_owned()),
            _ => None,
        }
    }
}

fn tap_exit(error: &TapError) -> Exit {
    match error {
        TapError::Exists { .. } | TapError::Busy { .. } => Exit::Busy,
        TapError::InvalidName { .. } => Exit::Usage,
        TapError::NoDevice | TapError::Permission { .. } => Exit::EnvironmentLacks,
        _ => Exit::Failed,
    }
}

/// By the kind of what the system answered, as [`virtio::transport::vfio::VfioParts::open`] has it.
fn transport_exit(error: &TransportError) -> Exit {
    let TransportError::Io { source, .. } = error else {
        return Exit::Failed;
    };
    match source.kind() {
        // No interrupt remapping is told as a permission that is not given.
        ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::NotFound => {
            Exit::EnvironmentLacks
        }
        ErrorKind::ResourceBusy => Exit::Busy,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_has_an_exit_code_of_its_own() {
        let exit = |kind: ErrorKind| {
            let error = TransportError::Io {
                device: "0000:00:03.0".to_owned(),
                operation: "setting the container's IOMMU".to_owned(),
                source: kind.into(),
            };
            RunError::Transport(error).exit()
        };
        assert_eq!(exit(ErrorKind::PermissionDenied), Exit::EnvironmentLacks);
        assert_eq!(exit(ErrorKind::Unsupported), Exit::EnvironmentLacks);
        assert_eq!(exit(ErrorKind::ResourceBusy), Exit::Busy);
        assert_eq!(exit(ErrorKind::TimedOut), Exit::Failed);
    }
}
