//! The device behind the protocol, which can be another.

use std::fs::File;

use virtio::net::FeatureSet;
use virtio::queue::QueueSize;
use virtio::spec::feature::VIRTIO_F_ACCESS_PLATFORM;
use virtio::spec::net::feature::*;
use virtio::spec::ring::MAX_QUEUE_SIZE;
use virtio::spec::status::{ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK};
use virtio::transport::in_process::{Device, DeviceConfig, InProcess};
use virtio::transport::{Doorbell, QueueSetup};
use virtio::{Iova, Transport, TransportError};

/// Memory of the driver.
#[derive(Debug)]
pub struct SharedRegion {
    /// The address by which rings and descriptors name its first byte.
    pub address: Iova,
    /// Where it comes from.
    pub file: File,
    /// Where in `file` it begins.
    pub offset: u64,
    /// Bytes.
    pub len: usize,
}

/// A ring to be worked on, from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Index of the queue.
    pub queue: u16,
    /// Descriptors.
    pub size: QueueSize,
    /// Descriptor table, or packed ring.
    pub desc: Iova,
    /// Available ring, or the driver's event suppression.
    pub avail: Iova,
    /// Used ring, or the device's event suppression.
    pub used: Iova,
}

/// What a back end serves. It is called from one thread.
pub trait Model {
    /// The features on offer.
    fn offered(&mut self) -> FeatureSet;

    /// How many data queues there are.
    fn queue_count(&self) -> u16;

    /// Reads device configuration.
    ///
    /// # Errors
    /// Beyond its end.
    fn read_config(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), TransportError>;

    /// Replaces the memory that the device may reach. No ring is worked on.
    ///
    /// # Errors
    /// When it cannot be mapped.
    fn share(&mut self, regions: Vec<SharedRegion>) -> Result<(), TransportError>;

    /// Gives the event to tell of used buffers by; it can change at any time.
    ///
    /// # Errors
    /// When there is no such queue.
    fn connect(&mut self, queue: u16, call: File) -> Result<(), TransportError>;

    /// Begins to work.
    ///
    /// # Errors
    /// When features or rings cannot be.
    fn start(&mut self, features: FeatureSet, rings: &[Ring]) -> Result<(), TransportError>;

    /// Ends work: rings are touched no more. Where in each it stood, by queue: the index of a split
    /// ring, offset and wrap counter of a packed one.
    fn stop(&mut self) -> Vec<(u16, u16)>;

    /// The driver rang for `queue`.
    fn kick(&mut self, queue: u16);

    /// Does what there is to do, up to a limit; whether there may be more.
    fn work(&mut self) -> bool;
}

/// What a device with so many pairs offers over vhost-user: the frames' part, and no control queue.
pub fn device_config(pairs: u16) -> DeviceConfig {
    let front_ends = [
        VIRTIO_F_ACCESS_PLATFORM,
        VIRTIO_NET_F_CTRL_VQ,
        VIRTIO_NET_F_CTRL_RX,
        VIRTIO_NET_F_CTRL_MAC_ADDR,
        VIRTIO_NET_F_RSS,
    ];
    let of_several = match pairs {
        1 => FeatureSet::of(&[VIRTIO_NET_F_MQ]),
        _ => FeatureSet::EMPTY,
    };
    let default = DeviceConfig::default().with_pairs(pairs);
    DeviceConfig {
        name: "device".to_owned(),
        offered: default
            .offered
            .without(FeatureSet::of(&front_ends))
            .without(of_several),
        queue_sizes: vec![MAX_QUEUE_SIZE; 2 * usize::from(pairs)],
        behind_iommu: false,
        ..default
    }
}

/// The in-process device of [`virtio`].
pub struct InProcessModel {
    registers: InProcess,
    device: Device,
    pairs: u16,
    doorbells: Vec<(u16, Box<dyn Doorbell>)>,
    /// What has been said of the driver's faults.
    told: usize,
}

/// Steps before the rest of the world gets a look.
const STEPS: usize = 16;

impl InProcessModel {
    /// Serves `device`, whose driver `registers` would otherwise be.
    pub fn new(registers: InProcess, device: Device) -> Self {
        Self {
            registers,
            device,
            pairs: 1,
            doorbells: Vec::new(),
            told: 0,
        }
    }

    /// The same with several pairs of queues, which the device must have been made with.
    #[must_use]
    pub fn with_pairs(self, pairs: u16) -> Self {
        Self { pairs, ..self }
    }

    /// The device, to be asked or told to lie.
    pub fn device(&self) -> &Device {
        &self.device
    }

    fn enable(&mut self, ring: &Ring) -> Result<(), TransportError> {
        let setup = QueueSetup {
            index: ring.queue,
            size: ring.size,
            desc: ring.desc,
            driver: ring.avail,
            device: ring.used,
            vector: Some(vector_of(ring.queue)),
        };
        let doorbell = self.registers.enable_queue(&setup)?;
        self.doorbells.push((ring.queue, doorbell));
        Ok(())
    }

    fn unusable(&self, reason: &str) -> TransportError {
        TransportError::Unusable {
            device: self.registers.name().to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// Says what the driver did that it may not.
    fn tell_violations(&mut self) {
        let all = self.device.violations();
        for violation in all.iter().skip(self.told) {
            log::warn!("the driver breaks a rule: {violation}");
        }
        self.told = all.len();
    }
}

/// Vector 0 is for configuration changes.
fn vector_of(queue: u16) -> u16 {
    queue + 1
}

impl Model for InProcessModel {
    fn offered(&mut self) -> FeatureSet {
        let offered = self.registers.read_device_features();
        offered.unwrap_or_else(|error| {
            log::warn!("{error}");
            FeatureSet::EMPTY
        })
    }

    fn queue_count(&self) -> u16 {
        2 * self.pairs // a control queue is the front end's business
    }

    fn read_config(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), TransportError> {
        self.registers.read_config(offset, bytes)
    }

    fn share(&mut self, regions: Vec<SharedRegion>) -> Result<(), TransportError> {
        self.device.unmap_all();
        regions.into_iter().try_for_each(|region| {
            self.device
                .map_at(region.address, region.file, region.offset, region.len)
        })
    }

    fn connect(&mut self, queue: u16, call: File) -> Result<(), TransportError> {
        self.device.connect_interrupt(vector_of(queue), call)
    }

    fn start(&mut self, features: FeatureSet, rings: &[Ring]) -> Result<(), TransportError> {
        let registers = &mut self.registers;
        registers.write_status(0)?;
        registers.write_status(ACKNOWLEDGE | DRIVER)?;
        // Without a control queue the rings there are say which pairs are in use.
        let several = FeatureSet::of(&[VIRTIO_NET_F_MQ]);
        registers.write_driver_features(features.without(several))?;
        registers.write_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)?;
        if registers.read_status()? & FEATURES_OK == 0 {
            return Err(self.unusable("these features are not agreed to"));
        }
        for ring in rings {
            self.enable(ring)?;
        }
        self.registers
            .write_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
    }

    fn stop(&mut self) -> Vec<(u16, u16)> {
        self.tell_violations();
        let position = |queue: u16| Some((queue, self.device.ring_position(queue)?));
        let positions = (0..self.queue_count()).filter_map(position).collect();
        self.doorbells.clear();
        if let Err(error) = self.registers.write_status(0) {
            log::warn!("{error}");
        }
        positions
    }

    fn kick(&mut self, queue: u16) {
        let rung = self.doorbells.iter().filter(|(index, _)| *index == queue);
        rung.for_each(|(_, doorbell)| doorbell.ring());
    }

    fn work(&mut self) -> bool {
        (0..STEPS).all(|_| self.device.step())
    }
}
