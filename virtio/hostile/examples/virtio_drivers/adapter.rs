//! The crate's driver behind [`DriverUnderTest`].

use virtio::Transport as Ours;
use virtio_drivers::Error;
use virtio_drivers::device::net::{TxBuffer, VirtIONet};
use virtio_hostile::DriverUnderTest;

use super::machine::{Machine, Pages};
use super::registers::Registers;

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
