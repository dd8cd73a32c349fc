//! A virtio-net device in this process: for tests, demonstrations and benchmarks that need
//! neither a machine to emulate nor a privilege.
//!
//! The device reads split rings through the `virtio-queue` crate, which was written by others
//! against the same text, and packed ones, which that crate has not, by a reading of its own.
//! Either goes over a second mapping of the driver's memory: an address that the driver did not
//! map is an error here, as it is behind an IOMMU. It is strict: whatever a driver may not do
//! is kept as a [`Violation`].
//!
//! ```text
//! driver ── InProcess (the transport) ──┐
//!                                       ├── registers, rings, receive and transmit ── Link
//! test ──── Device (step, link) ────────┘                                (echo, cable, port)
//! ```
//!
//! It is honest. [`Conduct`] is where another crate can make it lie.
//!
//! The device does nothing by itself. Either a test calls [`Device::step`], and everything
//! happens in a known order, or [`Device::run`] gives it a thread.

mod bell;
mod check;
mod conduct;
mod config;
mod control;
mod core;
mod device;
mod frame;
mod link;
mod nic;
mod platform;
mod receive;
mod registers;
mod ring;
mod steer;

pub use check::Violation;
pub use conduct::{Answer, Conduct, Delivery, Honest, Interrupts, RingView};
pub use config::{DeviceConfig, Role, all_offered};
pub use control::ControlState;
pub use device::{Device, DeviceThread};
pub use frame::Frame;
pub use link::{Cable, Echo, Link, Port, Sink, Waker};
pub use nic::Counters;

use std::sync::Arc;

use self::bell::Bells;
use super::{Doorbell, MemoryLender, QueueSetup, Transport, TransportError, memory_from};
use vmm_sys_util::eventfd::EventFd;

use crate::mem::{DmaRegion, DmaSlice, Iova};
use crate::net::FeatureSet;

/// The driver's way to an in-process [`Device`].
///
/// Dropping it stops the device and takes its memory away, as closing a VFIO device does.
#[derive(Debug)]
pub struct InProcess {
    device: Device,
    name: String,
    behind_iommu: bool,
    /// Who has memory, if it is not made here.
    lender: Option<Box<dyn MemoryLender>>,
}

impl InProcess {
    /// Makes a device as `config` describes it, with `link` as the far end of its cable.
    ///
    /// # Errors
    /// [`TransportError::Io`] when the process has no more descriptors.
    pub fn new(
        config: DeviceConfig,
        link: impl Link + 'static,
    ) -> Result<(Self, Device), TransportError> {
        Self::with_conduct(config, link, Honest)
    }

    /// The same device, behaving as `conduct` says.
    ///
    /// # Errors
    /// As [`InProcess::new`].
    pub fn with_conduct(
        config: DeviceConfig,
        link: impl Link + 'static,
        conduct: impl Conduct + 'static,
    ) -> Result<(Self, Device), TransportError> {
        let name = config.name.clone();
        let behind_iommu = config.behind_iommu;
        let device = Device::new(config, Box::new(link), Box::new(conduct))?;
        let transport = Self {
            device: device.clone(),
            name,
            behind_iommu,
            lender: None,
        };
        Ok((transport, device))
    }

    /// Takes all memory from somebody else from now on.
    #[must_use]
    pub fn with_memory_of(mut self, lender: Box<dyn MemoryLender>) -> Self {
        self.lender = Some(lender);
        self
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.device.core().unplug();
    }
}

impl Transport for InProcess {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_behind_iommu(&self) -> bool {
        self.behind_iommu
    }

    fn read_device_features(&mut self) -> Result<FeatureSet, TransportError> {
        self.device.core().read_device_features()
    }

    fn write_driver_features(&mut self, features: FeatureSet) -> Result<(), TransportError> {
        self.device.core().write_driver_features(features);
        Ok(())
    }

    fn read_status(&mut self) -> Result<u8, TransportError> {
        self.device.core().read_status()
    }

    fn write_status(&mut self, status: u8) -> Result<(), TransportError> {
        self.device.core().write_status(status);
        Ok(())
    }

    fn read_config_generation(&mut self) -> Result<u8, TransportError> {
        self.device.core().read_config_generation()
    }

    fn config_len(&self) -> usize {
        self.device.core().config.config_len
    }

    fn read_config(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), TransportError> {
        self.device.core().read_config(offset, bytes)
    }

    fn read_queue_count(&mut self) -> Result<u16, TransportError> {
        self.device.core().read_queue_count()
    }

    fn read_max_queue_size(&mut self, queue: u16) -> Result<u16, TransportError> {
        self.device.core().read_max_queue_size(queue)
    }

    fn enable_queue(&mut self, setup: &QueueSetup) -> Result<Box<dyn Doorbell>, TransportError> {
        self.device.core().enable_queue(setup)?;
        Ok(Box::new(InProcessDoorbell {
            bells: Arc::clone(self.device.bells()),
            queue: setup.index,
        }))
    }

    fn vector_count(&self) -> u16 {
        self.device.core().vector_count()
    }

    fn interrupt(&mut self, vector: u16) -> Result<Arc<EventFd>, TransportError> {
        self.device.core().interrupt(vector)
    }

    fn enable_config_interrupt(&mut self, vector: u16) -> Result<(), TransportError> {
        self.device.core().enable_config_interrupt(vector)
    }

    fn map_dma(&mut self, region: &Arc<DmaRegion>) -> Result<Iova, TransportError> {
        self.device.core().map_dma(region)
    }

    fn allocate_dma(&mut self, len: usize) -> Result<DmaSlice, TransportError> {
        let region = memory_from(&mut self.lender, len).map_err(|source| TransportError::Io {
            device: self.name.clone(),
            operation: format!("getting {len} bytes of memory"),
            source,
        })?;
        Ok(region.at(self.map_dma(&region)?))
    }

    fn unmap_dma(&mut self, iova: Iova) -> Result<(), TransportError> {
        self.device.core().unmap_dma(iova)
    }
}

/// The doorbell of one queue.
#[derive(Debug)]
struct InProcessDoorbell {
    bells: Arc<Bells>,
    queue: u16,
}

impl Doorbell for InProcessDoorbell {
    fn ring(&self) {
        self.bells.ring(self.queue);
    }
}
