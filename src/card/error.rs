//! Why a card cannot be driven, or not any longer.

use std::io;

use virtio::TransportError;
use virtio::init::InitError;
use virtio::mem::OutOfRegion;
use virtio::net::{ConfigError, CtrlError, FeatureSet};

/// Why a card cannot be driven, or not any longer.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// Bringing the device up failed.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The machine said no.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A queue that is needed does not exist or is too short.
    #[error(
        "queue {index} ({purpose}) cannot be used: the device has {count} queues and says size {max_size} of it, where {least} is the least"
    )]
    NoQueue {
        /// Which queue.
        index: u16,
        /// What it is for.
        purpose: &'static str,
        /// Queues there are.
        count: u16,
        /// What the device says of its size.
        max_size: u16,
        /// The smallest size that is of use.
        least: u16,
    },
    /// The device has no interrupts that can be told apart.
    #[error(
        "the device has no MSI-X vectors, and a driver that never sleeps is not offered; in QEMU leave out vectors=0"
    )]
    NoInterrupts,
    /// After a reset the device no longer agrees to what the system was told.
    #[error("after its reset the device agrees only to {now:?}, before it was {before:?}")]
    FeaturesChanged {
        /// What was agreed on at first.
        before: FeatureSet,
        /// What it agrees to now.
        now: FeatureSet,
    },
    /// After a reset the device has fewer queue pairs than the system was told.
    #[error("after its reset the device lets {now} queue pairs be used, before it were {before}")]
    PairsChanged {
        /// Pairs in use at first.
        before: u16,
        /// Pairs there are now.
        now: u16,
    },
    /// The device did not say whether it uses the pairs it was told to.
    #[error("setting the number of queue pairs: {0}")]
    Control(#[from] CtrlError),
    /// Memory for the device could not be had.
    #[error("cannot allocate {len} bytes of memory for the device")]
    Memory {
        /// How much.
        len: usize,
        /// What the system answered.
        source: io::Error,
    },
    /// The card was lost in an earlier failure.
    #[error("the device was given up after an earlier failure")]
    Lost,
    /// A layout that does not fit its own memory: a bug of the driver.
    #[error("driver bug: {0}")]
    Layout(#[from] OutOfRegion),
}

impl CardError {
    /// Whether the device is one that cannot be driven, whatever is tried.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Init(InitError::Refused(_)) | Self::NoInterrupts)
    }

    /// Whether the device is there no longer.
    pub fn is_gone(&self) -> bool {
        let (Self::Transport(error)
        | Self::Init(InitError::Transport(error))
        | Self::Config(ConfigError::Transport(error))) = self
        else {
            return false;
        };
        matches!(error, TransportError::Gone { .. })
    }
}
