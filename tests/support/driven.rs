//! A driver in the test's own process: a stack's seat at its upper end, and mostly a device on a
//! thread of its own at the lower one.

use netadapter_shim::PortOffloads;
use netadapter_shim::os::loopback::{LoopbackSeat, loopback};
use umnet::card::CardConfig;
use umnet::driver::{Driver, DriverConfig, DriverError};
use umnet::fault::Fault;
use virtio::Transport;
use virtio::transport::in_process::{Conduct, Device, DeviceConfig, DeviceThread, InProcess, Link};

/// A driver over `transport`, and the seat above it, with so many queues.
pub(crate) fn drive(
    transport: Box<dyn Transport>,
    card: CardConfig,
    queues: usize,
) -> Result<(Driver, LoopbackSeat), DriverError> {
    let (port, seat) = loopback(queues, PortOffloads::ALL).expect("a pair of sockets");
    let config = DriverConfig {
        card,
        ..DriverConfig::default()
    };
    let driver = Driver::start(transport, config, Box::new(port))?;
    Ok((driver, seat))
}

/// What the control thread of a run does when something happens: looks at the configuration, and
/// resets the device after a fault, which is noted in `faults`.
pub(crate) fn tend(driver: &mut Driver, faults: &mut Vec<Fault>) -> Result<(), DriverError> {
    if driver.config_interrupt().read().is_ok() {
        driver.config_changed()?;
    }
    if let Some(report) = driver.take_fault() {
        println!("  {}: {}", report.source, report.fault);
        faults.push(report.fault);
        driver.recover()?;
    }
    Ok(())
}

/// A driver, and what is above and below it.
pub(crate) struct Driven {
    pub(crate) driver: Driver,
    pub(crate) seat: LoopbackSeat,
    pub(crate) device: Device,
    _thread: DeviceThread,
}

impl Driven {
    /// A driver over such a device, which has `link` at its far end, with one queue above it.
    pub(crate) fn start(
        device: DeviceConfig,
        link: impl Link + 'static,
        conduct: impl Conduct + 'static,
        card: CardConfig,
    ) -> Result<Self, DriverError> {
        Self::start_with_queues(1, device, link, conduct, card)
    }

    /// The same below a stack with several queues.
    pub(crate) fn start_with_queues(
        queues: u16,
        device: DeviceConfig,
        link: impl Link + 'static,
        conduct: impl Conduct + 'static,
        card: CardConfig,
    ) -> Result<Self, DriverError> {
        let (transport, device) = InProcess::with_conduct(device, link, conduct)
            .expect("a device of a sound configuration");
        let thread = device.run().expect("a thread");
        let (driver, seat) = drive(Box::new(transport), card, queues.into())?;
        Ok(Self {
            driver,
            seat,
            device,
            _thread: thread,
        })
    }
}

/// A frame to the address that devices have.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let addresses = [&DeviceConfig::default().mac[..], &[2, 0, 0, 0, 0, 1]].concat();
    [&addresses, &[0x88, 0xb5][..], payload].concat()
}
