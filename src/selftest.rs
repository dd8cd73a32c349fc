//! `umnet selftest`: the whole data path over a device in this process.
//!
//! Frames go from a stack's seat through adapter, rings, copy and virtqueue to a device that
//! sends them back, and must come out byte for byte. No root, no card, seconds.

use std::time::{Duration, Instant};

use netadapter_shim::PortOffloads;
use netadapter_shim::os::loopback::{LoopbackSeat, StackFrame, loopback};
use thiserror::Error;
use virtio::net::FeatureSet;
use virtio::spec::feature::VIRTIO_F_EVENT_IDX;
use virtio::spec::net::feature::VIRTIO_NET_F_MRG_RXBUF;
use virtio::transport::TransportError;
use virtio::transport::in_process::{
    Device, DeviceConfig, DeviceThread, Echo, InProcess, all_offered,
};

use crate::driver::{Driver, DriverConfig, DriverError};
use crate::exit::{Exit, Explain};

/// How long a frame may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);
const FRAMES_PER_SIZE: u32 = 200;
const BURST: u32 = 16;

/// The first thing that is not as it should be.
#[derive(Debug, Error)]
pub enum SelftestError {
    /// The device could not be made.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The driver did not start, recover or stop.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// This process has no more descriptors or threads.
    #[error("cannot {action}: {source}")]
    System {
        /// What was being done.
        action: &'static str,
        /// What the kernel answered.
        source: std::io::Error,
    },
    /// A frame did not come back.
    #[error("{check}: frame {number} of {len} bytes did not come back within {PATIENCE:?}")]
    Lost {
        /// What was being checked.
        check: String,
        /// Which frame.
        number: u32,
        /// Its length.
        len: usize,
    },
    /// A frame came back changed.
    #[error("{check}: frame {number} of {len} bytes came back with other bytes from {offset} on")]
    Changed {
        /// What was being checked.
        check: String,
        /// Which frame.
        number: u32,
        /// Its length.
        len: usize,
        /// First byte that differs.
        offset: usize,
    },
    /// The device saw the driver break the protocol.
    #[error("{check}: the driver broke the protocol: {violation}")]
    Violation {
        /// What was being checked.
        check: String,
        /// What the device saw.
        violation: String,
    },
}

impl Explain for SelftestError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// One shape of device to check against.
struct Profile {
    name: &'static str,
    without: FeatureSet,
}

const PROFILES: &[Profile] = &[
    Profile {
        name: "all features",
        without: FeatureSet::EMPTY,
    },
    Profile {
        name: "without mergeable buffers",
        without: FeatureSet::of(&[VIRTIO_NET_F_MRG_RXBUF]),
    },
    Profile {
        name: "without EVENT_IDX",
        without: FeatureSet::of(&[VIRTIO_F_EVENT_IDX]),
    },
];

/// A driver over an echoing device, with a seat to send from.
pub struct Bench {
    /// The driver.
    pub driver: Driver,
    /// Where frames are sent and received.
    pub seat: LoopbackSeat,
    /// The device.
    pub device: Device,
    _thread: DeviceThread,
}

impl Bench {
    /// Starts a driver over a device that sends every frame back.
    ///
    /// # Errors
    /// [`SelftestError`].
    pub fn start(config: DeviceConfig) -> Result<Self, SelftestError> {
        let failed = |action| move |source| SelftestError::System { action, source };
        let (port, seat) =
            loopback(1, PortOffloads::ALL).map_err(failed("make a loopback port"))?;
        let (transport, device) = InProcess::new(config, Echo::default())?;
        let thread = device.run().map_err(failed("start the device's thread"))?;
        let driver = Driver::start(Box::new(transport), DriverConfig::default(), Box::new(port))?;
        Ok(Self {
            driver,
            seat,
            device,
            _thread: thread,
        })
    }

    /// Sends frame `number` of `len` bytes.
    pub fn send(&self, number: u32, len: usize) {
        let frame = StackFrame::new(pattern(number, len));
        while !self.seat.send(frame.clone()) {
            std::thread::yield_now();
        }
    }

    /// Takes the next frame back and compares it.
    ///
    /// # Errors
    /// [`SelftestError::Lost`], [`SelftestError::Changed`].
    pub fn expect(&self, check: &str, number: u32, len: usize) -> Result<(), SelftestError> {
        let check = || check.to_owned();
        let Some(frame) = self.seat.wait_receive(PATIENCE) else {
            return Err(SelftestError::Lost {
                check: check(),
                number,
                len,
            });
        };
        let wanted = pattern(number, len);
        let differs = wanted.iter().zip(&frame.bytes).position(|(a, b)| a != b);
        let offset = differs.or((wanted.len() != frame.bytes.len()).then_some(len));
        match offset {
            None => Ok(()),
            Some(offset) => Err(SelftestError::Changed {
                check: check(),
                number,
                len,
                offset,
            }),
        }
    }

    /// Fails if the device saw the driver break the protocol.
    ///
    /// # Errors
    /// [`SelftestError::Violation`].
    pub fn expect_no_violation(&self, check: &str) -> Result<(), SelftestError> {
        match self.device.violations().first() {
            None => Ok(()),
            Some(violation) => Err(SelftestError::Violation {
                check: check.to_owned(),
                violation: violation.to_string(),
            }),
        }
    }
}

/// A frame of `len` bytes: addresses, an experimental EtherType, and bytes that tell frames
/// and positions apart.
fn pattern(number: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![
        0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5,
    ];
    let seed = number.wrapping_mul(0x9e37_79b9);
    frame.extend((frame.len()..len).map(|i| (seed.wrapping_add(i as u32 * 251) >> 8) as u8));
    frame.truncate(len);
    frame
}

/// Checks every profile, saying what is being checked.
///
/// # Errors
/// [`SelftestError`] with the first thing that is not as it should be.
pub fn run() -> Result<(), SelftestError> {
    let start = Instant::now();
    for profile in PROFILES {
        println!("{}", profile.name);
        let offered = all_offered().without(profile.without);
        let bench = Bench::start(DeviceConfig {
            offered,
            ..DeviceConfig::default()
        })?;
        echo_all_sizes(profile.name, bench)?;
    }
    println!("selftest passed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn echo_all_sizes(check: &str, mut bench: Bench) -> Result<(), SelftestError> {
    for len in [14, 60, 61, 590, 1514] {
        echo(&bench, check, len)?;
        println!("  {FRAMES_PER_SIZE} frames of {len} bytes there and back");
    }
    bench.driver.recover()?;
    echo(&bench, check, 1514)?;
    println!("  the same after a device reset");
    bench.expect_no_violation(check)?;
    bench.driver.stop()?;
    Ok(())
}

fn echo(bench: &Bench, check: &str, len: usize) -> Result<(), SelftestError> {
    for first in (0..FRAMES_PER_SIZE).step_by(BURST as usize) {
        let burst = first..(first + BURST).min(FRAMES_PER_SIZE);
        burst.clone().for_each(|number| bench.send(number, len));
        burst
            .into_iter()
            .try_for_each(|number| bench.expect(check, number, len))?;
    }
    Ok(())
}
