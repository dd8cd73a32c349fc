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
//! function the registers, as this process has them mapped
//! held     the device, kept for whoever drives it
//! lent     the same, from the other side
//! sys      the ioctls
//! ```
//!
//! Left out: interrupts by wire, the legacy interface, iommufd, and driving a device without an
//! IOMMU, which [`VfioParts::open`] refuses.

mod capabilities;
mod common;
mod config_space;
mod dma;
mod function;
mod group;
mod held;
mod info;
mod irq;
mod lent;
mod pci;
mod regs;
mod sys;

use std::sync::Arc;
use std::time::Duration;

pub use capabilities::{BarRange, Capabilities};
pub use group::VfioParts;
pub use held::{Held, Kept, Loan};

use self::function::Function;
use self::lent::Lent;
use self::regs::{RegisterBlock, Registers, Width};
use vmm_sys_util::eventfd::EventFd;

use crate::mem::{DmaRegion, DmaSlice, Iova};
use crate::net::FeatureSet;
use crate::spec::feature::{VIRTIO_F_IN_ORDER, VIRTIO_F_NOTIFICATION_DATA};
use crate::transport::{Doorbell, MemoryLender, QueueSetup, Transport, TransportError, failure};

/// How long a device may take to confirm a reset when it is let go.
const RESET_DEADLINE: Duration = Duration::from_secs(1);
/// Between two looks at a device that is resetting.
const RESET_POLL: Duration = Duration::from_millis(1);

/// What a device is driven with beside its registers: owned by this process, or lent to it.
trait Resources: Send {
    fn vector_count(&self) -> u16;
    fn interrupt(&mut self, vector: u16) -> Result<Arc<EventFd>, TransportError>;
    fn allocate(&mut self, len: usize) -> Result<DmaSlice, TransportError>;
    fn map(&mut self, region: &Arc<DmaRegion>) -> Result<Iova, TransportError>;
    fn unmap(&mut self, iova: Iova) -> Result<(), TransportError>;
}

/// A virtio network device that this process drives through VFIO.
///
/// One that it holds itself is stopped when this is dropped; see [`Held`]. A [`Doorbell`] keeps
/// the device's registers mapped and with them the device open: drop doorbells before the device
/// is to go back to the kernel.
pub struct VfioPci {
    function: Arc<Function>,
    resources: Box<dyn Resources>,
    /// `VIRTIO_F_NOTIFICATION_DATA` was agreed on.
    notification_data: bool,
}

impl VfioPci {
    /// Opens the device at a PCI address such as `0000:00:03.0`, which vfio-pci must have.
    ///
    /// # Errors
    /// As [`Held::open`].
    pub fn open(address: &str) -> Result<Self, TransportError> {
        Held::open(address).map(Self::from)
    }

    /// Drives a device that another process holds, with what that process has lent. Nothing is
    /// done to the device before it is driven: somebody else may still be at it.
    ///
    /// # Errors
    /// As [`Held::from_parts`].
    pub fn lent(loan: Loan, memory: Box<dyn MemoryLender>) -> Result<Self, TransportError> {
        let (function, lent) = Lent::open(loan, memory)?;
        Ok(Self {
            function: Arc::new(function),
            resources: Box::new(lent),
            notification_data: false,
        })
    }

    /// Whether every register is mapped: driving the device then takes no system calls to reach
    /// it.
    pub fn is_mapped(&self) -> bool {
        self.function.is_mapped()
    }
}

impl From<Held> for VfioPci {
    fn from(held: Held) -> Self {
        Self {
            function: Arc::clone(&held.function),
            resources: Box::new(held),
            notification_data: false,
        }
    }
}

impl Transport for VfioPci {
    fn name(&self) -> &str {
        &self.function.name
    }

    fn is_behind_iommu(&self) -> bool {
        true // type 1 containers are; anything else was refused
    }

    fn read_device_features(&mut self) -> Result<FeatureSet, TransportError> {
        // QEMU 10.0's device is alone in offering an order, when it is asked to. With mergeable
        // buffers reception then stands still after a while, and whose fault that is is not known.
        let offered = self.function.common.read_device_features()?;
        Ok(offered.without(FeatureSet::of(&[VIRTIO_F_IN_ORDER])))
    }

    fn write_driver_features(&mut self, features: FeatureSet) -> Result<(), TransportError> {
        self.notification_data = features.has(VIRTIO_F_NOTIFICATION_DATA);
        self.function.common.write_driver_features(features)
    }

    fn read_status(&mut self) -> Result<u8, TransportError> {
        self.function.common.read_status()
    }

    fn write_status(&mut self, status: u8) -> Result<(), TransportError> {
        self.function.common.write_status(status)
    }

    fn read_config_generation(&mut self) -> Result<u8, TransportError> {
        self.function.common.read_generation()
    }

    fn config_len(&self) -> usize {
        self.function.config.as_ref().map_or(0, RegisterBlock::len)
    }

    fn read_config(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), TransportError> {
        let limit = self.config_len();
        let outside = offset
            .checked_add(bytes.len())
            .is_none_or(|end| end > limit);
        match &self.function.config {
            Some(config) if !outside => config.read_field(offset, bytes),
            _ => Err(TransportError::OutOfRange {
                device: self.function.name.to_string(),
                offset,
                len: bytes.len(),
                limit,
            }),
        }
    }

    fn read_queue_count(&mut self) -> Result<u16, TransportError> {
        self.function.common.read_queue_count()
    }

    fn read_max_queue_size(&mut self, queue: u16) -> Result<u16, TransportError> {
        self.function.common.read_max_queue_size(queue)
    }

    fn enable_queue(&mut self, setup: &QueueSetup) -> Result<Box<dyn Doorbell>, TransportError> {
        let notify_off = self.function.common.prepare_queue(setup)?;
        let width = match self.notification_data {
            true => Width::U32,
            false => Width::U16,
        };
        let doorbell = self.function.layout.doorbell(notify_off, width);
        let offset = doorbell.map_err(|fault| {
            let reason = format!("queue {}: {fault}", setup.index);
            self.function.common.unusable(reason)
        })?;
        self.function.common.start_queue(setup.index)?;
        Ok(Box::new(PciDoorbell {
            registers: Arc::clone(&self.function.notify),
            offset,
            width,
            queue: setup.index,
        }))
    }

    fn write_queue_reset(&mut self, queue: u16) -> Result<(), TransportError> {
        self.function.common.reset_queue(queue)
    }

    fn read_queue_reset_done(&mut self, queue: u16) -> Result<bool, TransportError> {
        self.function.common.read_queue_reset_done(queue)
    }

    fn vector_count(&self) -> u16 {
        self.resources.vector_count()
    }

    fn interrupt(&mut self, vector: u16) -> Result<Arc<EventFd>, TransportError> {
        self.resources.interrupt(vector)
    }

    fn enable_config_interrupt(&mut self, vector: u16) -> Result<(), TransportError> {
        self.function.common.set_config_vector(vector)
    }

    fn map_dma(&mut self, region: &Arc<DmaRegion>) -> Result<Iova, TransportError> {
        self.resources.map(region)
    }

    fn allocate_dma(&mut self, len: usize) -> Result<DmaSlice, TransportError> {
        self.resources.allocate(len)
    }

    fn unmap_dma(&mut self, iova: Iova) -> Result<(), TransportError> {
        self.resources.unmap(iova)
    }
}

/// The doorbell of one queue (§ *Available Buffer Notifications*).
struct PciDoorbell {
    registers: Arc<dyn Registers>,
    offset: usize,
    /// Two bytes, or with `VIRTIO_F_NOTIFICATION_DATA` four.
    width: Width,
    queue: u16,
}

impl Doorbell for PciDoorbell {
    #[inline]
    fn ring(&self) {
        self.ring_at(0);
    }

    #[inline]
    fn ring_at(&self, position: u16) {
        let data = match self.width {
            Width::U32 => u32::from(position) << 16,
            _ => 0,
        };
        // The offset was checked when the queue was enabled. What can still fail is a write
        // through VFIO to a device that has gone, which shows as a queue that stands still.
        let value = u32::from(self.queue) | data;
        let rung = self.registers.write(self.offset, self.width, value);
        if let Err(e) = rung {
            log::trace!("queue {}: the doorbell failed: {e}", self.queue);
        }
    }
}

#[cfg(test)]
mod tests;
