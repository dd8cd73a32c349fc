//! § *Device Initialization*: reset .. `DRIVER_OK`, as steps that consume each other.
//!
//! ```text
//! Idle::reset ──► Idle ── negotiate ──► Negotiated ── driver_ok ──► Running ── reset ──► Idle
//! ```
//!
//! Only [`Negotiated`] can set up queues, and only [`Running`] hands out a device whose
//! doorbells may be rung. A step that fails tells the device so (`FAILED`) and gives the
//! transport back inside [`Failed`], so that the caller decides whether to try again.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::net::config::says_possible_pairs;
use crate::net::features::{self, FeatureRefusal, FeatureSet};
use crate::net::{ConfigError, NetConfig};
use crate::queue::Virtqueue;
use crate::spec::net::feature::VIRTIO_NET_F_MQ;
use crate::spec::status;
use crate::transport::{Doorbell, Transport, TransportError};

/// Why a device could not be brought up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The machine said no.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Status never became 0 after a reset was asked for.
    #[error("reset not finished after {waited:?}: status still reads {status:#04x}")]
    ResetTimeout {
        /// How long it was waited for.
        waited: Duration,
        /// What status reads.
        status: u8,
    },
    /// The device cannot be driven safely.
    #[error(transparent)]
    Refused(#[from] FeatureRefusal),
    /// The device took `FEATURES_OK` back.
    #[error("the device refused the features {accepted:?} of those it offers, {offered:?}")]
    FeaturesRefused {
        /// What it offers.
        offered: FeatureSet,
        /// What it was asked for.
        accepted: FeatureSet,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A step that failed, with the transport it leaves behind.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", .transport.name())]
pub struct Failed {
    /// Why.
    #[source]
    pub error: InitError,
    /// The way to the device, whose status has `FAILED` set if it could be reached.
    pub transport: Box<dyn Transport>,
}

impl std::fmt::Debug for dyn Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transport({})", self.name())
    }
}

type Step<T> = Result<T, Box<Failed>>;

/// Runs `step` on the transport; a failure sets `FAILED` and hands the transport out.
fn attempt<T>(
    mut transport: Box<dyn Transport>,
    step: impl FnOnce(&mut dyn Transport) -> Result<T, InitError>,
) -> Step<(Box<dyn Transport>, T)> {
    match step(transport.as_mut()) {
        Ok(value) => Ok((transport, value)),
        Err(error) => {
            let _ = add_status(transport.as_mut(), status::FAILED);
            Err(Box::new(Failed { error, transport }))
        }
    }
}

/// A device whose reset is confirmed: it reaches no memory and raises no interrupts.
#[derive(Debug)]
pub struct Idle {
    transport: Box<dyn Transport>,
}

impl Idle {
    /// Resets the device and waits until it says so, at most `timeout`.
    ///
    /// # Errors
    /// [`InitError::ResetTimeout`]: the device may still reach the memory it was given, which
    /// must stay mapped until the transport is dropped.
    pub fn reset(transport: Box<dyn Transport>, timeout: Duration) -> Step<Self> {
        let (transport, ()) = attempt(transport, |t| reset(t, timeout))?;
        Ok(Self { transport })
    }

    /// The way to the device.
    pub fn transport(&mut self) -> &mut dyn Transport {
        self.transport.as_mut()
    }

    /// Gives up the device, which stays reset.
    pub fn into_transport(self) -> Box<dyn Transport> {
        self.transport
    }

    /// Agrees on features: of those offered, the ones in `wanted` that this driver knows and
    /// whose prerequisites hold.
    ///
    /// # Errors
    /// [`InitError::Refused`] or [`InitError::FeaturesRefused`].
    pub fn negotiate(self, wanted: FeatureSet) -> Step<Negotiated> {
        let (transport, (offered, features)) = attempt(self.transport, |t| negotiate(t, wanted))?;
        Ok(Negotiated {
            transport,
            offered,
            features,
        })
    }
}

/// A device that has agreed on features and may be given queues.
#[derive(Debug)]
pub struct Negotiated {
    transport: Box<dyn Transport>,
    offered: FeatureSet,
    features: FeatureSet,
}

impl Negotiated {
    /// What the device offers.
    pub fn offered(&self) -> FeatureSet {
        self.offered
    }

    /// What was agreed on.
    pub fn features(&self) -> FeatureSet {
        self.features
    }

    /// The way to the device.
    pub fn transport(&mut self) -> &mut dyn Transport {
        self.transport.as_mut()
    }

    /// Gives the device a queue and returns the queue's doorbell, which may be rung once the
    /// device is [`Running`].
    ///
    /// # Errors
    /// What the transport answers.
    pub fn enable_queue(
        &mut self,
        index: u16,
        queue: &Virtqueue,
        vector: Option<u16>,
    ) -> Result<Box<dyn Doorbell>, TransportError> {
        self.transport.enable_queue(&queue.setup(index, vector))
    }

    /// Tells the device that the driver is ready.
    ///
    /// # Errors
    /// What the transport answers.
    pub fn driver_ok(self) -> Step<Running> {
        let (transport, ()) = attempt(self.transport, |t| Ok(add_status(t, status::DRIVER_OK)?))?;
        Ok(Running {
            transport,
            features: self.features,
        })
    }

    /// Gives up before the device was started.
    pub fn into_transport(self) -> Box<dyn Transport> {
        self.transport
    }
}

/// A device that runs.
#[derive(Debug)]
pub struct Running {
    transport: Box<dyn Transport>,
    features: FeatureSet,
}

impl Running {
    /// What was agreed on.
    pub fn features(&self) -> FeatureSet {
        self.features
    }

    /// The way to the device.
    pub fn transport(&mut self) -> &mut dyn Transport {
        self.transport.as_mut()
    }

    /// Whether the device says that it must be reset (§ *Device Status Field*).
    ///
    /// # Errors
    /// [`TransportError::Gone`] when it was removed.
    pub fn read_needs_reset(&mut self) -> Result<bool, TransportError> {
        Ok(self.transport.read_status()? & status::DEVICE_NEEDS_RESET != 0)
    }

    /// The present configuration.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read_config(&mut self) -> Result<NetConfig, ConfigError> {
        NetConfig::read(self.transport.as_mut(), self.features)
    }

    /// Stops the device; see [`Idle::reset`].
    ///
    /// # Errors
    /// [`InitError::ResetTimeout`].
    pub fn reset(self, timeout: Duration) -> Step<Idle> {
        Idle::reset(self.transport, timeout)
    }
}

const POLL_INTERVAL: Duration = Duration::from_micros(200);

fn reset(transport: &mut dyn Transport, timeout: Duration) -> Result<(), InitError> {
    let start = Instant::now();
    transport.write_status(0)?;
    loop {
        let status = transport.read_status()?;
        if status == 0 {
            return Ok(());
        }
        let waited = start.elapsed();
        if waited >= timeout {
            return Err(InitError::ResetTimeout { waited, status });
        }
        sleep(POLL_INTERVAL);
    }
}

fn negotiate(
    transport: &mut dyn Transport,
    wanted: FeatureSet,
) -> Result<(FeatureSet, FeatureSet), InitError> {
    add_status(transport, status::ACKNOWLEDGE)?;
    add_status(transport, status::DRIVER)?;
    let offered = transport.read_device_features()?;
    let wanted = match offered.has(VIRTIO_NET_F_MQ) && !says_possible_pairs(transport)? {
        true => wanted.without(FeatureSet::of(&[VIRTIO_NET_F_MQ])),
        false => wanted,
    };
    let accepted = features::choose(offered, wanted, transport.is_behind_iommu())?;
    transport.write_driver_features(accepted)?;
    add_status(transport, status::FEATURES_OK)?;
    if transport.read_status()? & status::FEATURES_OK == 0 {
        return Err(InitError::FeaturesRefused { offered, accepted });
    }
    Ok((offered, accepted))
}

/// Adds a bit to the status; bits are only ever added (§ *Device Status Field*).
fn add_status(transport: &mut dyn Transport, bit: u8) -> Result<(), TransportError> {
    let status = transport.read_status()?;
    transport.write_status(status | bit)
}
