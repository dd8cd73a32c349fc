//! A device that one process keeps, so that another can drive it.
//!
//! ```text
//! Held    container, group, interrupts, mappings; stops the device      (outlives who drives)
//!   lend, lend_memory ─► Loan, LentMemory: descriptors, passed on by the processes
//! VfioPci::lent   the device's registers, the interrupts, the memory: no way to map more
//! ```
//!
//! Who drives a device through a loan reaches its registers, and through them whatever the
//! mappings of [`Held`] let the device reach; nothing else. [`Held::stop_device`] does not need
//! whoever drove it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use vfio_bindings::bindings::vfio::VFIO_DEVICE_FLAGS_RESET;
use vmm_sys_util::eventfd::EventFd;

use super::config_space::ConfigSpace;
use super::dma::DmaMappings;
use super::function::Function;
use super::irq::{self, MsixVectors};
use super::sys::{Container, Device};
use super::{Resources, VfioParts, failure};
use crate::mem::{DmaRegion, DmaSlice, Iova};
use crate::transport::{LentMemory, TransportError};

/// A virtio network device that this process has through VFIO.
///
/// Dropping it stops the device: interrupts off, reset, bus mastering off, then all memory
/// unmapped.
pub struct Held {
    pub(super) function: Arc<Function>,
    pub(super) vectors: MsixVectors,
    pub(super) mappings: DmaMappings,
    pub(super) space: ConfigSpace,
    pub(super) device: Arc<Device>,
    /// What was lent last.
    pub(super) memory: Option<DmaSlice>,
    pub(super) group: Option<OwnedFd>,
}

/// What a process that holds a device has of it.
#[derive(Debug)]
pub struct Kept {
    /// The device with its group and container.
    pub parts: VfioParts,
    /// Its connected interrupts, from vector 0 on.
    pub events: Vec<OwnedFd>,
    /// The memory that is mapped for it.
    pub memory: Option<LentMemory>,
}

/// What another process needs to drive a device that is [`Held`], but for memory.
#[derive(Debug)]
pub struct Loan {
    /// The device's name, for messages.
    pub name: String,
    /// The device.
    pub device: OwnedFd,
    /// Its interrupts, by vector.
    pub events: Vec<OwnedFd>,
}

impl Held {
    /// Opens the device at a PCI address such as `0000:00:03.0`, which vfio-pci must have, and
    /// turns bus mastering on.
    ///
    /// # Errors
    /// As [`VfioParts::open`] and [`Held::from_parts`].
    pub fn open(address: &str) -> Result<Self, TransportError> {
        Self::from_parts(VfioParts::open(address)?)
    }

    /// Takes over a device that has been opened through VFIO.
    ///
    /// # Errors
    /// [`TransportError::Unusable`] when the device is not virtio-net or describes itself
    /// wrongly, [`TransportError::Io`] when the system refuses something.
    pub fn from_parts(parts: VfioParts) -> Result<Self, TransportError> {
        let name: Arc<str> = parts.address.into();
        let failed = |operation| failure(&name, operation);
        let device = Arc::new(Device::new(parts.device));
        let space = ConfigSpace::open(&device).map_err(failed("finding configuration space"))?;
        let function = Function::open(&name, &device, &space)?;
        space.enable().map_err(failed("turning bus mastering on"))?;
        let container = Container::new(parts.container);
        let addresses = container.iommu_info();
        let addresses = addresses.map_err(failed("asking for device addresses"))?;
        Ok(Self {
            function: Arc::new(function),
            vectors: MsixVectors::enable(&device).map_err(failed("enabling MSI-X"))?,
            mappings: DmaMappings::new(container, addresses),
            space,
            device,
            memory: None,
            group: parts.group,
        })
    }

    /// Takes over a device, as it runs, from a process that held it with these.
    ///
    /// # Errors
    /// As [`Held::from_parts`].
    pub fn resume(kept: Kept) -> Result<Self, TransportError> {
        let name: Arc<str> = kept.parts.address.into();
        let failed = |operation| failure(&name, operation);
        let device = Arc::new(Device::new(kept.parts.device));
        let space = ConfigSpace::open(&device).map_err(failed("finding configuration space"))?;
        let function = Function::open(&name, &device, &space)?;
        let container = Container::new(kept.parts.container);
        let addresses = container.iommu_info();
        let addresses = addresses.map_err(failed("asking for device addresses"))?;
        let mut mappings = DmaMappings::new(container, addresses);
        let memory = kept.memory.map(|memory| {
            let region = Arc::new(DmaRegion::shared(memory.file, memory.len)?);
            mappings.know(&region, memory.iova)?;
            Ok(region.at(memory.iova))
        });
        let memory = memory.transpose();
        Ok(Self {
            function: Arc::new(function),
            vectors: MsixVectors::resume(kept.events),
            mappings,
            space,
            device,
            memory: memory.map_err(failed("taking its memory over"))?,
            group: kept.parts.group,
        })
    }

    /// Everything that another process needs to hold the device instead of this one, which must
    /// then end without dropping it.
    ///
    /// # Errors
    /// Descriptors have run out.
    pub fn keep(&self) -> io::Result<Kept> {
        let memory = self.memory.as_ref().map(|memory| {
            Ok::<_, io::Error>(LentMemory {
                file: memory.region().file().try_clone()?,
                len: memory.len(),
                iova: memory.iova(),
            })
        });
        let parts = VfioParts {
            address: self.name().to_owned(),
            container: self.mappings.container()?,
            group: self.group.as_ref().map(OwnedFd::try_clone).transpose()?,
            device: self.device.file().try_clone()?.into(),
        };
        Ok(Kept {
            parts,
            events: self.vectors.connected()?,
            memory: memory.transpose()?,
        })
    }

    /// The name that people know the device by.
    pub fn name(&self) -> &str {
        &self.function.name
    }

    /// An event that fires when the system wants the device back, for example because it is to
    /// be unplugged; that waits until the device is closed. `None` where the kernel has no such
    /// event. Asking again disconnects the event of an earlier call.
    pub fn removal_request(&mut self) -> Option<EventFd> {
        let event = irq::removal_request(&self.device);
        event
            .inspect_err(|e| log::debug!("{}: no removal request event: {e}", self.name()))
            .ok()
    }

    /// Descriptors for another process that is to drive the device. The interrupts are the same
    /// every time.
    ///
    /// # Errors
    /// [`TransportError::Io`] when descriptors have run out or an interrupt cannot be connected.
    pub fn lend(&mut self, vectors: u16) -> Result<Loan, TransportError> {
        let count = self.vectors.count().min(vectors);
        let events = (0..count).map(|vector| {
            let event = self.vectors.event(&self.device, vector)?;
            irq::duplicate(&event)
        });
        let events = events.collect::<io::Result<Vec<_>>>();
        let device = self.device.file().try_clone();
        Ok(Loan {
            name: self.name().to_owned(),
            device: device
                .map_err(self.function.failed("duplicating the device"))?
                .into(),
            events: events.map_err(self.function.failed("lending its interrupts"))?,
        })
    }

    /// Memory of at least `len` bytes for whoever drives the device: what was lent before, where
    /// that is large enough. Only for a device that does not run.
    ///
    /// # Errors
    /// [`TransportError::Io`] when there is no memory, or no address for it.
    pub fn lend_memory(&mut self, len: usize) -> Result<LentMemory, TransportError> {
        let memory = match self.memory.take() {
            Some(memory) if memory.len() >= len => memory,
            outgrown => {
                if let Some(memory) = outgrown {
                    self.unmap(memory.iova())?;
                }
                self.allocate(len)?
            }
        };
        let file = memory.region().file().try_clone();
        let lent = LentMemory {
            file: file.map_err(self.function.failed("duplicating its memory"))?,
            len: memory.len(),
            iova: memory.iova(),
        };
        self.memory = Some(memory);
        Ok(lent)
    }

    /// Length and device address of the memory that is lent, if any is.
    pub fn memory(&self) -> Option<(usize, u64)> {
        let memory = self.memory.as_ref()?;
        Some((memory.len(), memory.iova().0))
    }

    fn allocate(&mut self, len: usize) -> Result<DmaSlice, TransportError> {
        let what = format!("allocating {len} bytes of memory for the device");
        let region = DmaRegion::new(len).map_err(self.function.failed(&what))?;
        let region = Arc::new(region);
        let iova = self.map(&region)?;
        Ok(region.at(iova))
    }

    /// Stops the device, whoever drove it: as virtio, and where that does not succeed as PCI
    /// function.
    ///
    /// # Errors
    /// [`TransportError`] when neither is done in time.
    pub fn stop_device(&self) -> Result<(), TransportError> {
        let Err(refused) = self.function.reset() else {
            return Ok(());
        };
        log::debug!("{refused}");
        match self.reset_function() {
            Ok(true) => self.function.reset(),
            Ok(false) => Err(refused),
            Err(error) => Err(self.function.failed("resetting the PCI function")(error)),
        }
    }

    /// Resets the device as virtio and, where it can be, as PCI function. One of them done is
    /// enough: while a device is being unplugged, the kernel refuses the second.
    fn reset(&self) -> Result<(), TransportError> {
        let virtio = self.function.reset();
        let function = self.reset_function();
        let function = function.map_err(self.function.failed("resetting the PCI function"));
        for refused in [virtio.as_ref().err(), function.as_ref().err()]
            .into_iter()
            .flatten()
        {
            log::debug!("{refused}");
        }
        match function {
            Ok(true) => Ok(()),
            _ => virtio,
        }
    }

    /// Whether it was reset: not every function can be.
    fn reset_function(&self) -> io::Result<bool> {
        let can_reset = self.device.flags()? & VFIO_DEVICE_FLAGS_RESET != 0;
        if can_reset {
            self.device.reset()?;
        }
        Ok(can_reset)
    }

    /// Stops the device in the order in which nothing can go wrong: whatever step fails, the
    /// next is tried, and memory is unmapped last, so that the IOMMU faults what a device does
    /// that did not stop.
    fn stop(&mut self) {
        let interrupts = self.vectors.disable(&self.device);
        let reset = self.reset();
        let mastering = self.space.disable_bus_mastering();
        let function = &self.function;
        let steps = [
            interrupts.map_err(function.failed("disabling interrupts")),
            reset,
            mastering.map_err(function.failed("turning bus mastering off")),
            self.mappings
                .unmap_all()
                .map_err(function.failed("unmapping memory")),
        ];
        for error in steps.into_iter().filter_map(Result::err) {
            log::warn!("while stopping: {error}");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Resources for Held {
    fn vector_count(&self) -> u16 {
        self.vectors.count()
    }

    fn interrupt(&mut self, vector: u16) -> Result<Arc<EventFd>, TransportError> {
        let event = self.vectors.event(&self.device, vector);
        let what = format!("connecting interrupt {vector}");
        event.map_err(self.function.failed(&what))
    }

    fn allocate(&mut self, len: usize) -> Result<DmaSlice, TransportError> {
        Held::allocate(self, len)
    }

    fn map(&mut self, region: &Arc<DmaRegion>) -> Result<Iova, TransportError> {
        let mapped = self.mappings.map(region);
        let what = format!("mapping {} bytes for the device", region.len());
        mapped.map_err(self.function.failed(&what))
    }

    fn unmap(&mut self, iova: Iova) -> Result<(), TransportError> {
        let unmapped = self.mappings.unmap(iova);
        unmapped.map_err(self.function.failed(&format!("unmapping {iova}")))
    }
}
