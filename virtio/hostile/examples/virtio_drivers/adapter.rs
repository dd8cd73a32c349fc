//! The crate's `Transport` over ours, and its driver behind [`DriverUnderTest`].

use std::collections::HashMap;

use virtio::queue::QueueSize;
use virtio::transport::{Doorbell, QueueSetup};
use virtio::{Iova, Transport as Ours};
use virtio_drivers::device::net::{TxBuffer, VirtIONet};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr};
use virtio_hostile::DriverUnderTest;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::machine::{Machine, Pages};

/// Descriptors of a queue, and bytes of a receive buffer.
const QUEUE: usize = 16;
const BUFFER: usize = 2048;

/// The network driver of `virtio-drivers` and its device.
pub(crate) struct Rcore {
    driver: VirtIONet<Pages, Registers, QUEUE>,
}

impl Rcore {
    fn on_this_machine() -> Result<Self, String> {
        let driver = VirtIONet::new(Registers::default(), BUFFER).map_err(said)?;
        Ok(Self { driver })
    }
}

impl DriverUnderTest for Rcore {
    fn start(transport: Box<dyn Ours>) -> Result<Self, String> {
        Machine::install(transport).map_err(|error| error.to_string())?;
        Self::on_this_machine()
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), String> {
        self.driver.send(TxBuffer::from(frame)).map_err(said)
    }

    fn receive(&mut self) -> Result<Option<Vec<u8>>, String> {
        let received = match self.driver.receive() {
            Ok(received) => received,
            Err(Error::NotReady) => return Ok(None),
            Err(error) => return Err(said(error)),
        };
        let frame = received.packet().to_vec();
        self.driver.recycle_rx_buffer(received).map_err(said)?;
        Ok(Some(frame))
    }

    fn restart(self) -> Result<Self, String> {
        drop(self);
        Self::on_this_machine()
    }
}

fn said(error: Error) -> String {
    error.to_string()
}

/// The device's registers, as the crate reaches them.
#[derive(Default)]
struct Registers {
    doorbells: HashMap<u16, Box<dyn Doorbell>>,
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
        if let Some(doorbell) = self.doorbells.get(&queue) {
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
            self.doorbells.insert(queue, doorbell);
        }
    }

    /// Ours can only reset the whole device; it is done with the last queue.
    fn queue_unset(&mut self, queue: u16) {
        self.doorbells.remove(&queue);
        if self.doorbells.is_empty() {
            let _ = Machine::with(|m| m.transport.write_status(0));
        }
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.doorbells.contains_key(&queue)
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
