//! The network driver of `virtio-drivers`, given the same work: every frame is copied once
//! between its buffers, which the device reaches, and buffers of the system.
#![allow(unsafe_code)] // the crate's own calls for buffers that stay with the device are unsafe

use std::time::Duration;

use umnet::bench::BenchError;
use umnet::bench::case::{Case, Direction};
use umnet::bench::clock::Stopwatch;
use umnet::bench::contender::Contender;
use umnet::bench::device::{Device, IndexOnly};
use umnet::bench::frames::Frame;
use virtio_drivers::Error;
use virtio_drivers::device::net::VirtIONetRaw;

use super::machine::{Machine, Pages, take};
use super::registers::Registers;

/// Descriptors of a queue, as umnet has them.
const QUEUE: usize = 256;
/// Bytes of a buffer: the largest plain frame with its header.
const BUFFER: usize = 2048;
const HEADER: usize = 12;
/// System buffers of a ring, as umnet has them.
const SYSTEM: usize = 63;

/// Starts the driver; it has neither large frames nor several buffers to a frame.
pub(crate) fn start(case: Case) -> Option<Result<Box<dyn Contender>, BenchError>> {
    let fits = HEADER + case.len <= BUFFER;
    fits.then(|| Ok(Box::new(Rival::new(case)?) as Box<dyn Contender>))
}

struct Rival {
    case: Case,
    driver: VirtIONetRaw<Pages, Registers, QUEUE>,
    device: Device,
    frame: Frame,
    /// Buffers that wait, and those with the device by the token they were given for.
    free: Vec<&'static mut [u8]>,
    lent: [Option<&'static mut [u8]>; QUEUE],
    system: Vec<Vec<u8>>,
    turn: usize,
}

fn said(error: Error) -> BenchError {
    BenchError::Rival(format!("virtio-drivers: {error}"))
}

impl Rival {
    fn new(case: Case) -> Result<Self, BenchError> {
        let frame = Frame::new(case.len);
        let (transport, device) = IndexOnly::new(frame.clone())?;
        Machine::install(Box::new(transport))?;
        let mut driver = VirtIONetRaw::new(Registers::default()).map_err(said)?;
        driver.disable_interrupts();
        let mut rival = Self {
            case,
            driver,
            device,
            free: (0..QUEUE).map(|_| take(BUFFER)).collect(),
            lent: [const { None }; QUEUE],
            system: vec![frame.bytes().to_vec(); SYSTEM],
            frame,
            turn: 0,
        };
        if case.direction == Direction::Rx {
            while let Some(buffer) = rival.free.pop() {
                rival.lend_for_receiving(buffer)?;
            }
        }
        Ok(rival)
    }

    fn lend_for_receiving(&mut self, buffer: &'static mut [u8]) -> Result<(), BenchError> {
        // SAFETY: the buffer stays in `lent`, untouched, until its token comes back.
        let token = unsafe { self.driver.receive_begin(buffer) }.map_err(said)?;
        self.lent[usize::from(token)] = Some(buffer);
        Ok(())
    }

    /// The system buffer whose turn it is.
    fn next_system(&mut self) -> usize {
        self.turn = (self.turn + 1) % SYSTEM;
        self.turn
    }

    /// One received frame, if there is one.
    fn receive_one(&mut self) -> Result<bool, BenchError> {
        let Some(token) = self.driver.poll_receive() else {
            return Ok(false);
        };
        let lent = self.lent[usize::from(token)].take();
        let buffer = lent.ok_or_else(|| said(Error::WrongToken))?;
        // SAFETY: this is the buffer that the token was given for.
        let complete = unsafe { self.driver.receive_complete(token, buffer) };
        let (header, len) = complete.map_err(said)?;
        let system = self.next_system();
        self.system[system][..len].copy_from_slice(&buffer[header..header + len]);
        self.lend_for_receiving(buffer)?;
        Ok(true)
    }

    fn send_one(&mut self) -> Result<bool, BenchError> {
        let Some(buffer) = self.free.pop() else {
            return Ok(false);
        };
        let system = self.next_system();
        let len = self.case.len;
        let header = self.driver.fill_buffer_header(buffer).map_err(said)?;
        buffer[header..header + len].copy_from_slice(&self.system[system]);
        // SAFETY: the buffer stays in `lent`, untouched, until its token comes back.
        let token = unsafe { self.driver.transmit_begin(&buffer[..header + len]) }.map_err(said)?;
        self.lent[usize::from(token)] = Some(buffer);
        Ok(true)
    }

    fn take_back_sent(&mut self) -> Result<(), BenchError> {
        while let Some(token) = self.driver.poll_transmit() {
            let lent = self.lent[usize::from(token)].take();
            let buffer = lent.ok_or_else(|| said(Error::WrongToken))?;
            let sent = &buffer[..HEADER + self.case.len];
            // SAFETY: this is the buffer that the token was given for.
            unsafe { self.driver.transmit_complete(token, sent) }.map_err(said)?;
            self.free.push(buffer);
        }
        Ok(())
    }
}

impl Contender for Rival {
    fn run(&mut self, frames: u64) -> Result<Duration, BenchError> {
        let watch = Stopwatch::start();
        let mut done = 0;
        match self.case.direction {
            Direction::Rx => {
                self.device.give(frames);
                while done < frames {
                    done += u64::from(self.receive_one()?);
                }
            }
            Direction::Tx => {
                while done < frames {
                    match self.send_one()? {
                        true => done += 1,
                        false => self.take_back_sent()?,
                    }
                }
            }
        }
        Ok(watch.elapsed())
    }

    fn verify(&mut self, frames: u64) -> Result<(), BenchError> {
        if self.case.direction == Direction::Rx {
            self.system.iter_mut().for_each(|buffer| buffer.fill(0));
        }
        self.run(frames)?;
        let wrong = |buffer: &&Vec<u8>| !self.frame.matches(buffer);
        match self.system.iter().filter(wrong).count() as u64 {
            0 => Ok(()),
            changed => Err(BenchError::Changed { changed, frames }),
        }
    }
}
