//! The shipped driver on a device that somebody else plays, against the clock on the wall.
//!
//! ```text
//! frames ── port ──► NET_RINGs, buffers ──► TxQueue ── copy ──► virtqueue ──► vhost-user back end
//!        ◄── port ── NET_RINGs, buffers ◄── RxQueue ◄── copy ── virtqueue ◄── or card behind VFIO
//! ```
//!
//! Port and frames are those of the other measurements. There is no supervisor and no cage: neither
//! is on a frame's way.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;
use virtio::Transport;
use virtio::net::FeatureSet;
use virtio::spec::feature::{VIRTIO_F_IN_ORDER, VIRTIO_F_RING_PACKED};
use virtio::transport::vfio::VfioPci;
use virtio::transport::vhost_user::{Options, VhostUser};

use crate::driver::{Driver, DriverConfig};

use super::BenchError;
use super::case::{Case, Direction};
use super::frames::Frame;
use super::port::Seat;
use super::tally::Tally;

/// More frames than can be sent before the program ends.
const ENDLESS: u64 = 1 << 62;

/// A device that is somewhere else.
#[derive(Clone, Debug)]
pub enum Target {
    /// The back end that listens on this Unix socket.
    BackEnd(PathBuf),
    /// The card at this PCI address, which must be with vfio-pci.
    Card(String),
}

impl Target {
    fn open(&self) -> Result<Box<dyn Transport>, BenchError> {
        Ok(match self {
            Self::BackEnd(socket) => {
                let name = format!("vhost-user:{}", socket.display());
                Box::new(VhostUser::connect(&name, socket, Options::default())?)
            }
            Self::Card(address) => Box::new(VfioPci::open(address)?),
        })
    }
}

/// How a device is driven and measured.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Time before counting.
    pub warmup: Duration,
    /// Time of counting.
    pub window: Duration,
    /// How long the driver looks for frames awake before it sleeps; its own choice if not given.
    pub busy_poll: Option<Duration>,
    /// Whether packed rings are taken where they are offered.
    pub packed: bool,
}

impl Conditions {
    fn driver(&self) -> DriverConfig {
        let mut config = DriverConfig {
            busy_poll: self.busy_poll,
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            ..DriverConfig::default()
        };
        // As `umnet run` does when it is told nothing.
        config.card.disabled = match self.packed {
            true => FeatureSet::of(&[VIRTIO_F_IN_ORDER]),
            false => FeatureSet::of(&[VIRTIO_F_IN_ORDER, VIRTIO_F_RING_PACKED]),
        };
        config
    }
}

/// What a drive found.
#[derive(Clone, Debug, Serialize)]
pub struct Driven {
    /// Such as `tx-64`.
    pub case: String,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Frames in that time: put into the virtqueue, or in the port's hands.
    pub frames: u64,
    /// Frames in that time that the driver dropped.
    pub dropped: u64,
    /// Doorbells in that time.
    pub kicks: u64,
    /// Sleeps in that time.
    pub sleeps: u64,
    /// Features agreed on.
    pub features: String,
    /// Receive descriptors.
    pub rx_ring: u16,
    /// Transmit descriptors.
    pub tx_ring: u16,
}

impl Driven {
    /// Frames per second.
    pub fn rate(&self) -> f64 {
        self.frames as f64 / self.seconds
    }
}

/// Counters at one moment.
struct Moment {
    at: Instant,
    frames: u64,
    dropped: u64,
    kicks: u64,
    sleeps: u64,
}

struct Drive {
    case: Case,
    driver: Driver,
    received: Arc<Tally>,
}

impl Drive {
    fn start(target: &Target, case: Case, config: DriverConfig) -> Result<Self, BenchError> {
        let received = Arc::<Tally>::default();
        let seat = Seat::new(Frame::new(case.len), Arc::clone(&received))?;
        let driver = Driver::start(target.open()?, config, seat.port())?;
        if case.direction == Direction::Tx {
            seat.send(ENDLESS);
        }
        Ok(Self {
            case,
            driver,
            received,
        })
    }

    fn read(&mut self) -> Result<Moment, BenchError> {
        if let Some(report) = self.driver.take_fault() {
            return Err(BenchError::Fault(format!("{report:?}")));
        }
        // Measured with one pair: the other driver has one queue too.
        let stats = &self.driver.device_stats()[0];
        let (frames, dropped, kicks) = match self.case.direction {
            Direction::Rx => (
                self.received.count(),
                stats.rx.rx_errors.get(),
                stats.rx.rx_kicks.get(),
            ),
            Direction::Tx => (
                stats.tx.tx_packets.get(),
                stats.tx.tx_dropped.get(),
                stats.tx.tx_kicks.get(),
            ),
        };
        Ok(Moment {
            at: Instant::now(),
            frames,
            dropped,
            kicks,
            sleeps: self.driver.adapter_statistics().total().wakeups,
        })
    }
}

/// Drives `target` with one kind of traffic and counts. Received frames are whatever the other side
/// sends; nobody looks at their length.
///
/// # Errors
/// [`BenchError`] when the device cannot be driven or turns out to be at fault.
pub fn drive(target: &Target, case: Case, conditions: Conditions) -> Result<Driven, BenchError> {
    let mut drive = Drive::start(target, case, conditions.driver())?;
    sleep(conditions.warmup);
    let before = drive.read()?;
    sleep(conditions.window);
    let after = drive.read()?;
    let info = *drive.driver.info();
    drive.driver.stop()?;
    Ok(Driven {
        case: case.to_string(),
        seconds: (after.at - before.at).as_secs_f64(),
        frames: after.frames - before.frames,
        dropped: after.dropped - before.dropped,
        kicks: after.kicks - before.kicks,
        sleeps: after.sleeps - before.sleeps,
        features: format!("{:?}", info.features),
        rx_ring: info.rx_ring.get(),
        tx_ring: info.tx_ring.get(),
    })
}
