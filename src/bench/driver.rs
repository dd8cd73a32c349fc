//! The whole driver as it is shipped: execution context, rings, system buffers, both Advance
//! loops, the copy, the virtqueue.

use std::sync::Arc;
use std::time::Duration;

use crate::driver::{Driver, DriverConfig};

use super::BenchError;
use super::case::{Case, Direction};
use super::contender::Contender;
use super::device::{Device, IndexOnly};
use super::frames::Frame;
use super::port::Seat;
use super::tally::Tally;

/// The driver between a device that moves indices and a port that has and takes frames at once.
pub(super) struct DriverLeg {
    case: Case,
    driver: Driver,
    device: Device,
    seat: Seat,
    sent: Arc<Tally>,
    received: Arc<Tally>,
}

impl DriverLeg {
    /// Starts the driver.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn new(case: Case) -> Result<Self, BenchError> {
        let frame = Frame::new(case.len);
        let (sent, received) = <(Arc<Tally>, Arc<Tally>)>::default();
        let seat = Seat::new(frame.clone(), Arc::clone(&received))?;
        let (transport, device) = IndexOnly::counting(frame, Arc::clone(&sent))?;
        let config = DriverConfig::default();
        let driver = Driver::start(Box::new(transport), config, seat.port())?;
        Ok(Self {
            case,
            driver,
            device,
            seat,
            sent,
            received,
        })
    }

    fn compare(&self, on: bool) {
        self.seat.compare(on);
        self.device.compare(on);
    }
}

impl Contender for DriverLeg {
    fn run(&mut self, frames: u64) -> Result<Duration, BenchError> {
        let timed = match self.case.direction {
            Direction::Rx => self.received.time(frames, || self.device.give(frames)),
            Direction::Tx => self.sent.time(frames, || self.seat.send(frames)),
        };
        match self.driver.take_fault() {
            Some(report) => Err(BenchError::Fault(format!("{report:?}"))),
            None => timed,
        }
    }

    fn verify(&mut self, frames: u64) -> Result<(), BenchError> {
        self.compare(true);
        let outcome = self.run(frames);
        self.compare(false);
        outcome?;
        match self.sent.changed() + self.received.changed() {
            0 => Ok(()),
            changed => Err(BenchError::Changed { changed, frames }),
        }
    }
}
