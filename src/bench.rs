//! `umnet bench`: what the driver costs, without a guest, a card or a privilege.
//!
//! ```text
//! frames ── port ──► NET_RINGs, buffers ──► TxQueue ── copy ──► virtqueue ──► device
//!        ◄── port ── NET_RINGs, buffers ◄── RxQueue ◄── copy ── virtqueue ◄──
//!           has and    │      the shipped driver, on its own thread      │    moves
//!           takes them └─────────────────────────────────────────────────┘    indices only
//! ```
//!
//! What is timed is the processor's time, not the wall's: driver, port and device share one thread,
//! and what other programs do meanwhile is nobody's cost.
//!
//! The same frames are also copied by the C library, and go through the layers one by one. All
//! of them take turns within a second, over and over; what is quoted are medians of the ratios
//! inside such a turn.

pub mod case;
mod chart;
mod circumstances;
pub mod clock;
pub mod compare;
pub mod contender;
pub mod device;
pub mod drive;
mod driver;
pub mod frames;
mod layer;
mod measure;
mod port;
pub mod queues;
pub mod report;
mod ring;
mod table;
mod tally;

use std::io;
use std::path::PathBuf;

use netadapter_shim::AdapterError;
use thiserror::Error;
use virtio::DeviceFault;
use virtio::transport::TransportError;

use crate::card::CardError;
use crate::driver::DriverError;
use crate::exit::{Exit, Explain};

pub use circumstances::Circumstances;
pub use measure::{Options, Rival, measure, once};

/// Why something could not be measured.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The device could not be made.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The device could not be driven.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The driver did not start.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The framework said no.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// The system said no.
    #[error("the system said no: {0}")]
    System(#[from] io::Error),
    /// Memory could not be had.
    #[error("memory to copy between cannot be had: {0}")]
    Memory(String),
    /// The driver found the device at fault.
    #[error("the driver found its device at fault: {0}")]
    Fault(String),
    /// The queue alone found the device at fault.
    #[error("the queue found its device at fault: {0}")]
    Queue(#[from] DeviceFault),
    /// Frames did not arrive.
    #[error("{missing} of {frames} frames did not arrive")]
    Lost {
        /// So many.
        missing: u64,
        /// Of so many.
        frames: u64,
    },
    /// Frames arrived changed.
    #[error("{changed} of {frames} frames arrived changed: what is measured does not work")]
    Changed {
        /// So many.
        changed: u64,
        /// Of so many.
        frames: u64,
    },
    /// Nobody is called that.
    #[error("there is no '{0}'; there are {all}", all = contender::BUILT_IN.join(", "))]
    NoSuchContender(String),
    /// Somebody else's driver failed.
    #[error("{0}")]
    Rival(String),
    /// A report cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Explain for BenchError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoSuchContender(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}
