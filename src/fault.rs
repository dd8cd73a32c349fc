//! What goes wrong with a device while it runs, and how the control thread hears of it.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};

use virtio::DeviceFault;

/// A reason to reset the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The device broke the protocol of a queue.
    Protocol(DeviceFault),
    /// Frames kept naming buffers that the device did not hand over.
    MissingBuffers {
        /// How many frames in a row.
        frames: u32,
    },
    /// Frames stayed with the device and none came back.
    TransmitStalled {
        /// Frames with the device.
        outstanding: u16,
        /// How often in a row the watchdog saw no progress.
        ticks: u32,
    },
    /// The device asks for a reset (§ *Device Status Field*).
    NeedsReset,
    /// The control queue did not answer, or nonsense.
    Control,
}

impl Fault {
    /// Whether it is one queue's own, and the rest of the device goes on.
    pub fn is_of_one_queue(&self) -> bool {
        match self {
            Self::Protocol(_) | Self::MissingBuffers { .. } | Self::TransmitStalled { .. } => true,
            Self::NeedsReset | Self::Control => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(fault) => fault.fmt(f),
            Self::MissingBuffers { frames } => {
                write!(
                    f,
                    "{frames} frames in a row name buffers that were not handed over"
                )
            }
            Self::TransmitStalled { outstanding, ticks } => {
                write!(
                    f,
                    "{outstanding} frames are with the device and none came back in {ticks} ticks"
                )
            }
            Self::NeedsReset => f.write_str("the device asks to be reset (DEVICE_NEEDS_RESET)"),
            Self::Control => f.write_str("the control queue does not answer sensibly"),
        }
    }
}

/// Where the queues of one device report faults. Reporting never waits.
#[derive(Clone)]
pub struct FaultSink {
    reports: Sender<Report>,
    wake: std::sync::Arc<dyn Fn() + Send + Sync>,
}

/// One fault and the queue that met it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Device and queue, for example `0000:00:05.0 rx0`.
    pub source: String,
    /// What happened.
    pub fault: Fault,
}

impl FaultSink {
    /// A sink that calls `wake` after each report, and the place to read reports from.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> (Self, Receiver<Report>) {
        let (reports, receiver) = channel();
        (
            Self {
                reports,
                wake: std::sync::Arc::new(wake),
            },
            receiver,
        )
    }

    /// Reports a fault of `source`.
    #[cold]
    pub fn report(&self, source: &str, fault: Fault) {
        let report = Report {
            source: source.to_owned(),
            fault,
        };
        // A receiver that is gone is stopping the device anyway.
        if self.reports.send(report).is_ok() {
            (self.wake)();
        }
    }
}
