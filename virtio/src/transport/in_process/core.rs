//! What the device is made of, behind its lock.

use std::sync::Arc;

use super::Link;
use super::bell::Bells;
use super::check::{Violation, Violations};
use super::conduct::Conduct;
use super::config::DeviceConfig;
use super::control::ControlState;
use super::nic::Traffic;
use super::platform::Platform;
use super::receive::Arriving;
use super::ring::{Memory, Ring};
use super::steer::Steering;
use crate::net::FeatureSet;
use crate::spec::net::feature::VIRTIO_NET_F_CTRL_VQ;
use crate::transport::TransportError;

/// All of the device that its lock protects.
pub(super) struct Core {
    pub(super) config: DeviceConfig,
    pub(super) status: u8,
    pub(super) accepted: FeatureSet,
    pub(super) generation: u8,
    /// Shared so that a queue can be served while the rest changes.
    pub(super) memory: Arc<Memory>,
    pub(super) rings: Vec<Ring>,
    pub(super) link: Box<dyn Link>,
    pub(super) control: ControlState,
    pub(super) traffic: Traffic,
    /// By pair, as far as there are receive queues.
    pub(super) arriving: Vec<Arriving>,
    pub(super) steering: Steering,
    pub(super) violations: Violations,
    pub(super) bells: Arc<Bells>,
    pub(super) conduct: Box<dyn Conduct>,
    pub(super) platform: Platform,
}

impl Core {
    pub(super) fn new(
        config: DeviceConfig,
        link: Box<dyn Link>,
        conduct: Box<dyn Conduct>,
        bells: Arc<Bells>,
    ) -> Self {
        let platform = Platform::new(config.vectors);
        Self {
            config,
            status: 0,
            accepted: FeatureSet::EMPTY,
            generation: 0,
            memory: Arc::default(),
            rings: Vec::new(),
            link,
            control: ControlState::default(),
            traffic: Traffic::default(),
            arriving: Vec::new(),
            steering: Steering::default(),
            violations: Violations::default(),
            bells,
            conduct,
            platform,
        }
    }

    pub(super) fn reset(&mut self) {
        self.bells.set_live(false);
        self.rings.clear();
        self.arriving.clear();
        self.steering = Steering::default();
        self.status = 0;
        self.accepted = FeatureSet::EMPTY;
        self.control = ControlState::default();
        self.platform.config_vector = None;
    }

    /// Pairs that frames move on: as many as the driver has said, where it can say so; else all
    /// that it has enabled.
    pub(super) fn pairs_in_use(&self) -> u16 {
        if self.accepted.has(VIRTIO_NET_F_CTRL_VQ) {
            return self.control.pairs.unwrap_or(1);
        }
        (self.arriving.len() as u16).max(1)
    }

    /// Fails if the device plays the removed one.
    pub(super) fn here(&self) -> Result<(), TransportError> {
        if self.conduct.is_there() {
            return Ok(());
        }
        let device = self.config.name.clone();
        Err(TransportError::Gone { device })
    }

    /// The driver has let go of the device.
    pub(super) fn unplug(&mut self) {
        self.reset();
        self.memory = Arc::default();
    }

    pub(super) fn unusable(&self, reason: String) -> TransportError {
        TransportError::Unusable {
            device: self.config.name.clone(),
            reason,
        }
    }

    /// All that the driver did wrong.
    pub(super) fn all_violations(&self) -> Vec<Violation> {
        let early = self.bells.early_rings();
        let rung = (early > 0).then(|| {
            let what = format!("doorbells were rung {early} times outside DRIVER_OK");
            Violation::new("Device Initialization", what)
        });
        self.violations.kept().iter().cloned().chain(rung).collect()
    }
}
