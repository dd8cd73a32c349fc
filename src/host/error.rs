//! What can go wrong with the machine, and what to type then.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::obstacle::Obstacle;
use super::{DeviceSpec, PciAddress};
use crate::exit::{Exit, Explain};

/// The machine said no.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// No virtio-net card goes by this name.
    #[error("{device} is no virtio-net card that umnet can find: {reason}")]
    NoSuchCard {
        /// What was asked for.
        device: DeviceSpec,
        /// What was found instead.
        reason: String,
    },
    /// Something stands between umnet and the card.
    #[error(transparent)]
    Obstacle(#[from] Obstacle),
    /// An attribute could not be written.
    #[error("cannot write '{value}' to {path}: {source}", path = .path.display())]
    Write {
        /// The attribute.
        path: PathBuf,
        /// What was to be written.
        value: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A file of umnet's own could not be used.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The state file is not one of umnet's.
    #[error("{path} is not a state file of umnet: {source}", path = .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
    /// The kernel did not do in time what it was told.
    #[error("waited {after:?} in vain for {what}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// A kernel module is not there and could not be loaded.
    #[error("kernel module {module} could not be loaded: {reason}")]
    Module {
        /// The module.
        module: &'static str,
        /// What modprobe said.
        reason: String,
    },
    /// The kernel's network stack refused.
    #[error("cannot {action}: {source}")]
    Netlink {
        /// What was being done, with the interface it was done to.
        action: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// There is nothing to give back.
    #[error("umnet holds nothing of {0}: no state file, and vfio-pci does not drive it")]
    NotHeld(PciAddress),
}

impl Explain for HostError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoSuchCard { .. } | Self::Module { .. } => Exit::EnvironmentLacks,
            Self::Obstacle(obstacle) => obstacle.exit(),
            Self::Write { source, .. }
            | Self::File { source, .. }
            | Self::Netlink { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Exit::EnvironmentLacks
            }
            _ => Exit::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        let step = match self {
            Self::NoSuchCard { .. } => "umnet list".to_owned(),
            Self::Obstacle(obstacle) => return obstacle.next_step(),
            Self::Write { source, .. }
            | Self::File { source, .. }
            | Self::Netlink { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                "run the same command as root (sudo umnet ...)".to_owned()
            }
            Self::State { path, .. } => {
                format!("look at {0}, then remove it: sudo rm {0}", path.display())
            }
            Self::Module { module, .. } => {
                format!("sudo modprobe {module} (Debian: the linux-image package holds it)")
            }
            Self::Timeout { .. } => "dmesg | tail, then: umnet doctor".to_owned(),
            Self::NotHeld(_) => "umnet list".to_owned(),
            _ => return None,
        };
        Some(step)
    }
}
