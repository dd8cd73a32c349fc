//! The crate's `Transport` over ours, whose device is the machine's.

use virtio::Iova;
use virtio::queue::QueueSize;
use virtio::transport::{Doorbell, QueueSetup};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::machine::Machine;

/// The device's registers, as the crate reaches them.
#[derive(Default)]
pub(crate) struct Registers {
    /// By queue.
    doorbells: [Option<Box<dyn Doorbell>>; 2],
}

/// What a register of a device that is gone reads as.
fn or_ones<T>(value: Result<T, virtio::TransportError>, ones: T) -> T {
    value.unwrap_or(ones)
}

impl Transport for Registers {
    fn device_type(&self) -> DeviceType {
        DeviceType::Network
    }

    fn read_device_features(&mut self) -> u64 {
        let features = Machine::with(|m| m.transport.read_device_features());
        or_ones(features.map(|features| features.0 as u64), u64::MAX)
    }

    fn write_driver_features(&mut self, features: u64) {
        let features = virtio::net::FeatureSet(features.into());
        let _ = Machine::with(|m| m.transport.write_driver_features(features));
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        let size = Machine::with(|m| m.transport.read_max_queue_size(queue));
        or_ones(size, u16::MAX).into()
    }

    fn notify(&mut self, queue: u16) {
        if let Some(Some(doorbell)) = self.doorbells.get(usize::from(queue)) {
            doorbell.ring();
        }
    }

    fn get_status(&self) -> DeviceStatus {
        let status = Machine::with(|m| m.transport.read_status());
        DeviceStatus::from_bits_retain(or_ones(status, u8::MAX).into())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        let _ = Machine::with(|m| m.transport.write_status(status.bits() as u8));
    }

    fn set_guest_page_size(&mut self, _size: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        desc: PhysAddr,
        driver: PhysAddr,
        device: PhysAddr,
    ) {
        let setup = QueueSetup {
            index: queue,
            size: QueueSize::new(size as u16).expect("the driver's own constant"),
            desc: Iova(desc),
            driver: Iova(driver),
            device: Iova(device),
            vector: None,
        };
        // As with registers, nobody is told whether it worked.
        if let Ok(doorbell) = Machine::with(|m| m.transport.enable_queue(&setup)) {
            self.doorbells[usize::from(queue)] = Some(doorbell);
        }
    }

    /// Ours can only reset the whole device; it is done with the last queue.
    fn queue_unset(&mut self, queue: u16) {
        self.doorbells[usize::from(queue)] = None;
        if self.doorbells.iter().all(Option::is_none) {
            let _ = Machine::with(|m| m.transport.write_status(0));
        }
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.doorbells[usize::from(queue)].is_some()
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }

    fn read_config_generation(&self) -> u32 {
        let generation = Machine::with(|m| m.transport.read_config_generation());
        or_ones(generation, u8::MAX).into()
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, Error> {
        let mut value = T::new_zeroed();
        let bytes = value.as_mut_bytes();
        match Machine::with(|m| m.transport.read_config(offset, bytes)) {
            Ok(()) => Ok(value),
            Err(_) => Err(Error::ConfigSpaceTooSmall),
        }
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        _offset: usize,
        _value: T,
    ) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
}
