//! A virtio PCI device behind an IOMMU, reached through VFIO (§ *Virtio Over PCI Bus*).
//!
//! ```text
//! group    address ─► group ─► container ─► descriptors, or somebody else opened them
//! info     what the kernel says of regions and address ranges
//! pci      what the device says of its structures: checked, on a private copy
//! config_space  the copy it is checked on; the command register
//! regs     a window of a BAR, mapped or through VFIO
//! common   the common configuration, field by field
//! irq      MSI-X vectors as eventfds
//! dma      device addresses and what is mapped there
//! sys      the ioctls
//! ```
//!
//! Left out: interrupts by wire, the legacy interface, iommufd, and driving a device without an
//! IOMMU, which [`VfioParts::open`] refuses.

mod capabilities;
mod common;
mod config_space;
mod dma;
mod group;
mod info;
mod irq;
mod pci;
mod regs;
mod sys;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vfio_bindings::bindings::vfio::VFIO_DEVICE_FLAGS_RESET;

pub use capabilities::{BarRange, Capabilities};
pub use group::VfioParts;

use self::common::CommonConfig;
use self::config_space::{ConfigSpace, bar_regions};
use self::dma::DmaMappings;
use self::info::RegionInfo;
use self::irq::MsixVectors;
use self::pci::{Layout, PciFault, Window};
use self::regs::{RegisterBlock, Registers, Width};
use self::sys::{Container, Device};
use vmm_sys_util::eventfd::EventFd;

use crate::mem::{DmaRegion, Iova};
use crate::net::FeatureSet;
use crate::transport::{Doorbell, QueueSetup, Transport, TransportError};

/// How long a device may take to confirm a reset when it is let go.
const RESET_DEADLINE: Duration = Duration::from_secs(1);
/// Between two looks at a device that is resetting.
const RESET_POLL: Duration = Duration::from_millis(1);

/// A virtio network device that this process has through VFIO.
///
/// Dropping it stops the device: interrupts off, reset, bus mastering off, then all memory
/// unmapped. A [`Doorbell`] keeps the device's registers mapped and with them the device open:
/// drop doorbells before the device is to go back to the kernel.
pub struct VfioPci {
    name: Arc<str>,
    layout: Layout,
    common: CommonConfig,
    notify: Arc<dyn Registers>,
    config: Option<RegisterBlock>,
    vectors: MsixVectors,
    mappings: DmaMappings,
    space: ConfigSpace,
    device: Arc<Device>,
    _group: Option<OwnedFd>,
}

impl VfioPci {
    /// Opens the device at a PCI address such as `0000:00:03.0`, which vfio-pci must have.
    ///
    /// # Errors
    /// As [`VfioParts::open`] and [`VfioPci::from_parts`].
    pub fn open(address: &str) -> Result<Self, TransportError> {
        Self::from_parts(VfioParts::open(address)?)
    }

    /// Takes over a device that has been opened through VFIO, and turns bus mastering on.
    ///
    /// # Errors
    /// [`TransportError::Unusable`] when the device is not virtio-net or describes itself
    /// wrongly, [`TransportError::Io`] when the system refuses something.
    pub fn from_parts(parts: VfioParts) -> Result<Self, TransportError> {
        let name: Arc<str> = parts.address.into();
        let failed = |operation| failure(&name, operation);
        let device = Arc::new(Device::new(parts.device));
        let space = ConfigSpace::open(&device).map_err(failed("finding configuration space"))?;
        let bars = bar_regions(&device).map_err(failed("asking for the BARs"))?;
        let layout = read_layout(&name, &space, &bars)?;
        space.enable().map_err(failed("turning bus mastering on"))?;
        let container = Container::new(parts.container);
        let addresses = container.iommu_info();
        let addresses = addresses.map_err(failed("asking for device addresses"))?;
        let open = |window: Window| {
            let region = &bars[usize::from(window.bar)];
            regs::open(&device, region, window, &layout.msix)
        };
        let block = |structure, window| RegisterBlock::new(&name, structure, open(window));
        Ok(Self {
            common: CommonConfig::new(block("common", layout.common)),
            notify: open(layout.notify),
            config: layout.device.map(|window| block("config", window)),
            vectors: MsixVectors::enable(&device).map_err(failed("enabling MSI-X"))?,
            mappings: DmaMappings::new(container, addresses),
            space,
            _group: parts.group,
            name,
            layout,
            device,
        })
    }

    /// An event that fires when the system wants the device back, for example because it is to
    /// be unplugged; that waits until the device is closed. `None` where the kernel has no such
    /// event. Asking again disconnects the event of an earlier call.
    pub fn removal_request(&mut self) -> Option<EventFd> {
        let event = irq::removal_request(&self.device);
        event
            .inspect_err(|e| log::debug!("{}: no removal request event: {e}", self.name))
            .ok()
    }

    fn failed(&self, operation: &str) -> impl FnOnce(io::Error) -> TransportError {
        failure(&self.name, operation)
    }

    /// Resets the device as virtio and, where it can be, as PCI function. One of them done is
    /// enough: while a device is being unplugged, the kernel refuses the second.
    fn reset(&self) -> Result<(), TransportError> {
        let virtio = self.reset_virtio();
        let function = self.reset_function();
        let function = function.map_err(self.failed("resetting the PCI function"));
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

    fn reset_virtio(&self) -> Result<(), TransportError> {
        self.common.write_status(0)?;
        let start = Instant::now();
        while self.common.read_status()? != 0 {
            if start.elapsed() > RESET_DEADLINE {
                let reason = format!("its reset is not done after {RESET_DEADLINE:?}");
                return Err(self.common.unusable(reason));
            }
            std::thread::sleep(RESET_POLL);
        }
        Ok(())
    }

    /// Stops the device in the order in which nothing can go wrong: whatever step fails, the
    /// next is tried, and memory is unmapped last, so that the IOMMU faults what a device does
    /// that did not stop.
    fn stop(&mut self) {
        let interrupts = self.vectors.disable(&self.device);
        let reset = self.reset();
        let mastering = self.space.disable_bus_mastering();
        let steps = [
            interrupts.map_err(self.failed("disabling interrupts")),
            reset,
            mastering.map_err(self.failed("turning bus mastering off")),
            self.mappings
                .unmap_all()
                .map_err(failure(&self.name, "unmapping memory")),
        ];
        for error in steps.into_iter().filter_map(Result::err) {
            log::warn!("while stopping: {error}");
        }
    }
}

impl Drop for VfioPci {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Transport for VfioPci {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_behind_iommu(&self) -> bool {
        true // type 1 containers are; anything else was refused
    }

    fn read_device_features(&mut self) -> Result<FeatureSet, TransportError> {
        self.common.read_device_features()
    }

    fn write_driver_features(&mut self, features: FeatureSet) -> Result<(), TransportError> {
        self.common.write_driver_features(features)
    }

    fn read_status(&mut self) -> Result<u8, TransportError> {
        self.common.read_status()
    }

    fn write_status(&mut self, status: u8) -> Result<(), TransportError> {
        self.common.write_status(status)
    }

    fn read_config_generation(&mut self) -> Result<u8, TransportError> {
        self.common.read_generation()
    }

    fn config_len(&self) -> usize {
        self.config.as_ref().map_or(0, RegisterBlock::len)
    }

    fn read_config(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), TransportError> {
        let limit = self.config_len();
        let outside = offset
            .checked_add(bytes.len())
            .is_none_or(|end| end > limit);
        match &self.config {
            Some(config) if !outside => config.read_field(offset, bytes),
            _ => Err(TransportError::OutOfRange {
                device: self.name.to_string(),
                offset,
                len: bytes.len(),
                limit,
            }),
        }
    }

    fn read_queue_count(&mut self) -> Result<u16, TransportError> {
        self.common.read_queue_count()
    }

    fn read_max_queue_size(&mut self, queue: u16) -> Result<u16, TransportError> {
        self.common.read_max_queue_size(queue)
    }

    fn enable_queue(&mut self, setup: &QueueSetup) -> Result<Box<dyn Doorbell>, TransportError> {
        let notify_off = self.common.prepare_queue(setup)?;
        let offset = self.layout.doorbell(notify_off).map_err(|fault| {
            let reason = format!("queue {}: {fault}", setup.index);
            self.common.unusable(reason)
        })?;
        self.common.start_queue(setup.index)?;
        Ok(Box::new(PciDoorbell {
            registers: Arc::clone(&self.notify),
            offset,
            queue: setup.index,
        }))
    }

    fn vector_count(&self) -> u16 {
        self.vectors.count()
    }

    fn interrupt(&mut self, vector: u16) -> Result<EventFd, TransportError> {
        let event = self.vectors.event(&self.device, vector);
        event.map_err(self.failed(&format!("connecting interrupt {vector}")))
    }

    fn enable_config_interrupt(&mut self, vector: u16) -> Result<(), TransportError> {
        self.common.set_config_vector(vector)
    }

    fn map_dma(&mut self, region: &Arc<DmaRegion>) -> Result<Iova, TransportError> {
        let mapped = self.mappings.map(region);
        mapped.map_err(self.failed(&format!("mapping {} bytes for the device", region.len())))
    }

    fn unmap_dma(&mut self, iova: Iova) -> Result<(), TransportError> {
        let unmapped = self.mappings.unmap(iova);
        unmapped.map_err(self.failed(&format!("unmapping {iova}")))
    }
}

/// The doorbell of one queue (§ *Available Buffer Notifications*).
struct PciDoorbell {
    registers: Arc<dyn Registers>,
    offset: usize,
    queue: u16,
}

impl Doorbell for PciDoorbell {
    #[inline]
    fn ring(&self) {
        // The offset was checked when the queue was enabled. What can still fail is a write
        // through VFIO to a device that has gone, which shows as a queue that stands still.
        let rung = self
            .registers
            .write(self.offset, Width::U16, self.queue.into());
        if let Err(e) = rung {
            log::trace!("queue {}: the doorbell failed: {e}", self.queue);
        }
    }
}

fn read_layout(
    name: &str,
    space: &ConfigSpace,
    bars: &[RegionInfo],
) -> Result<Layout, TransportError> {
    let copy = space
        .read()
        .map_err(failure(name, "reading configuration space"))?;
    let bar_len = bars.iter().map(|bar| bar.size).collect::<Vec<u64>>();
    let device = name.to_owned();
    let layout = Layout::parse(&copy, &bar_len).map_err(|fault| match fault {
        PciFault::Absent => TransportError::Gone { device },
        fault => TransportError::Unusable {
            device,
            reason: fault.to_string(),
        },
    })?;
    log::debug!("{name}: {layout:x?}");
    Ok(layout)
}

fn failure(device: &str, operation: &str) -> impl FnOnce(io::Error) -> TransportError {
    let (device, operation) = (device.to_owned(), operation.to_owned());
    move |source| TransportError::Io {
        device,
        operation,
        source,
    }
}

#[cfg(test)]
mod tests;
