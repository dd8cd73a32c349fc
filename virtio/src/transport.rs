//! How a driver reaches its device: registers, doorbells, interrupts, DMA.
//!
//! The rest of the crate knows only the traits here. A transport moves values and checks
//! what the machine answers; it does not know what the values mean.

pub mod in_process;
pub mod vfio;
pub mod vhost_user;

use std::fmt;
use std::fs::File;
use std::io;

use std::sync::Arc;

use vmm_sys_util::eventfd::EventFd;

use crate::mem::{DmaRegion, DmaSlice, Iova};
use crate::net::FeatureSet;
use crate::queue::QueueSize;

/// One virtio device, as the driver may touch it.
///
/// Method names say when the device is touched: `read_…` and `write_…` reach it every time.
pub trait Transport: Send {
    /// The name that people know the device by, for example `0000:00:03.0`.
    fn name(&self) -> &str;

    /// Whether device addresses are translated by an IOMMU. A device that is behind one and
    /// does not offer `VIRTIO_F_ACCESS_PLATFORM` would reach the wrong memory.
    fn is_behind_iommu(&self) -> bool;

    /// The feature bits that the device offers.
    ///
    /// # Errors
    /// [`TransportError::Gone`] when the device answers with all ones.
    fn read_device_features(&mut self) -> Result<FeatureSet, TransportError>;

    /// Tells the device which features the driver accepts.
    fn write_driver_features(&mut self, features: FeatureSet) -> Result<(), TransportError>;

    /// Device status (§ *Device Status Field*).
    fn read_status(&mut self) -> Result<u8, TransportError>;

    /// Sets the device status; 0 starts a reset, which is done when it reads back as 0.
    fn write_status(&mut self, status: u8) -> Result<(), TransportError>;

    /// A number that changes with the configuration (§ *Device Configuration Space*).
    fn read_config_generation(&mut self) -> Result<u8, TransportError>;

    /// How many bytes of device configuration exist.
    fn config_len(&self) -> usize;

    /// Reads device configuration. Each field must lie in one aligned access of its width;
    /// callers use [`crate::net::config`], which knows the fields.
    ///
    /// # Errors
    /// [`TransportError::OutOfRange`] past [`Transport::config_len`].
    fn read_config(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), TransportError>;

    /// How many virtqueues the device has.
    fn read_queue_count(&mut self) -> Result<u16, TransportError>;

    /// How many pairs of queues there are, where it is not for the configuration and the control
    /// queue to say: the device then uses those that are enabled.
    ///
    /// # Errors
    /// [`TransportError`] when the device does not tell.
    fn read_pairs(&mut self) -> Result<Option<u16>, TransportError> {
        Ok(None)
    }

    /// The largest size of a queue, as the device says it, unchecked; 0: there is no such queue.
    fn read_max_queue_size(&mut self, queue: u16) -> Result<u16, TransportError>;

    /// Gives a queue its memory and interrupt, enables it and returns its doorbell.
    ///
    /// # Errors
    /// [`TransportError`] when the device refuses the interrupt or names a doorbell outside
    /// its own region.
    fn enable_queue(&mut self, setup: &QueueSetup) -> Result<Box<dyn Doorbell>, TransportError>;

    /// Begins to reset one queue of a running device, with `VIRTIO_F_RING_RESET` (§ *Virtqueue
    /// Reset*). Once that is done the queue may be enabled anew.
    ///
    /// # Errors
    /// [`TransportError::Unusable`] when the device has no place to say it in.
    fn write_queue_reset(&mut self, queue: u16) -> Result<(), TransportError> {
        Err(TransportError::Unusable {
            device: self.name().to_owned(),
            reason: format!("queue {queue} cannot be reset alone"),
        })
    }

    /// Whether the reset of a queue is done: until then the device may reach its memory.
    ///
    /// # Errors
    /// As [`Transport::write_queue_reset`].
    fn read_queue_reset_done(&mut self, queue: u16) -> Result<bool, TransportError> {
        let _ = queue;
        Ok(false)
    }

    /// How many interrupts can be told apart.
    fn vector_count(&self) -> u16;

    /// The event that fires when the device raises interrupt `vector`. Non-blocking; made on
    /// first use and the same afterwards.
    fn interrupt(&mut self, vector: u16) -> Result<Arc<EventFd>, TransportError>;

    /// Routes configuration changes to interrupt `vector`.
    fn enable_config_interrupt(&mut self, vector: u16) -> Result<(), TransportError>;

    /// Lets the device reach `region`, at an address the transport chooses. The mapping and
    /// the pages stay until [`Transport::unmap_dma`] or until the transport is dropped,
    /// which stops the device first.
    fn map_dma(&mut self, region: &Arc<DmaRegion>) -> Result<Iova, TransportError>;

    /// Memory of at least `len` bytes that the device reaches, for as long as with
    /// [`Transport::map_dma`]. It holds zeros, or what was in it when the device was last driven.
    ///
    /// # Errors
    /// [`TransportError::Io`] when there is no memory, or no address for it.
    fn allocate_dma(&mut self, len: usize) -> Result<DmaSlice, TransportError> {
        let region = DmaRegion::new(len).map_err(|source| TransportError::Io {
            device: self.name().to_owned(),
            operation: format!("allocating {len} bytes of memory for the device"),
            source,
        })?;
        let region = Arc::new(region);
        let iova = self.map_dma(&region)?;
        Ok(region.at(iova))
    }

    /// Takes a mapping back. Only for a device whose reset is confirmed.
    fn unmap_dma(&mut self, iova: Iova) -> Result<(), TransportError>;
}

/// Who has memory that the device reaches, when this process can neither make nor map any.
pub trait MemoryLender: Send + fmt::Debug {
    /// Memory of at least `len` bytes, which is the same every time as long as it suffices.
    ///
    /// # Errors
    /// Whatever the lender says, or that nobody answers.
    fn lend(&mut self, len: usize) -> io::Result<LentMemory>;
}

/// Memory that the device reaches.
#[derive(Debug)]
pub struct LentMemory {
    /// A memfd.
    pub file: File,
    /// Its length in bytes.
    pub len: usize,
    /// The address the device knows it by, where that is not for the borrower to choose.
    pub iova: Iova,
}

impl LentMemory {
    /// The memory, if there is as much of it as was asked for.
    fn into_region(self, asked: usize) -> io::Result<Arc<DmaRegion>> {
        if self.len < asked {
            let text = format!("{} bytes were lent, {asked} are needed", self.len);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        DmaRegion::shared(self.file, self.len).map(Arc::new)
    }
}

/// Memory from a lender, where there is one, or of our own.
fn memory_from(
    lender: &mut Option<Box<dyn MemoryLender>>,
    len: usize,
) -> io::Result<Arc<DmaRegion>> {
    match lender {
        Some(lender) => lender.lend(len)?.into_region(len),
        None => DmaRegion::new(len).map(Arc::new),
    }
}

/// Rings the device for one queue (§ *Available Buffer Notifications*).
pub trait Doorbell: Send {
    /// Tells the device that the queue has new buffers.
    fn ring(&self);

    /// The same, and with `VIRTIO_F_NOTIFICATION_DATA` up to where: the available index of a split
    /// ring; of a packed one the offset behind the last descriptor made available, and in bit 15
    /// the wrap counter that belongs to it.
    #[inline]
    fn ring_at(&self, position: u16) {
        let _ = position;
        self.ring();
    }
}

/// All that a device must know of a queue before it may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSetup {
    /// Index of the queue.
    pub index: u16,
    /// Number of descriptors.
    pub size: QueueSize,
    /// Descriptor table.
    pub desc: Iova,
    /// Driver area: the available ring.
    pub driver: Iova,
    /// Device area: the used ring.
    pub device: Iova,
    /// Interrupt for used buffers, if there is to be one.
    pub vector: Option<u16>,
}

/// Why the machine, rather than the protocol, said no.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The device was removed and cannot be had again in the same way: registers read as all
    /// ones, or a connection that was made by others is closed.
    #[error("{device}: the device is gone (all ones are read of it, or its connection is closed)")]
    Gone {
        /// The device.
        device: String,
    },
    /// The connection to the process that plays the device is closed; a reset makes it anew.
    #[error("{device}: the connection to its back end is closed")]
    Disconnected {
        /// The device.
        device: String,
    },
    /// An operation of the operating system failed.
    #[error("{device}: {operation} failed: {source}")]
    Io {
        /// The device.
        device: String,
        /// What was being done, with the path or call that failed.
        operation: String,
        /// What the system answered.
        source: io::Error,
    },
    /// The device describes itself in a way that cannot be used.
    #[error("{device}: {reason}")]
    Unusable {
        /// The device.
        device: String,
        /// What is wrong, with the offending value and the limit.
        reason: String,
    },
    /// A field beyond what the device has.
    #[error("{device}: configuration bytes {offset}..+{len} do not exist (the device has {limit})")]
    OutOfRange {
        /// The device.
        device: String,
        /// First byte asked for.
        offset: usize,
        /// Bytes asked for.
        len: usize,
        /// Bytes there are.
        limit: usize,
    },
}

/// The error of a device for which the system failed an operation.
fn failure(device: &str, operation: &str) -> impl FnOnce(io::Error) -> TransportError + use<> {
    let (device, operation) = (device.to_owned(), operation.to_owned());
    move |source| TransportError::Io {
        device,
        operation,
        source,
    }
}
