//! The examination that `virtio-hostile` has for any driver, taken by ours.

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use netadapter_shim::ReceiveFilter;
use netadapter_shim::abi::NetPacketFilterFlags;
use netadapter_shim::os::loopback::{LoopbackSeat, StackFrame};
use support::driven::drive;
use umnet::card::CardConfig;
use umnet::driver::Driver;
use virtio::Transport;
use virtio_hostile::{CATALOGUE, DriverUnderTest, Format, Lie, examine};

/// How long the driver waits for the device, and how long it is waited for the driver, which
/// notices a queue that stands still after five seconds.
const DEADLINE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(15);
/// Resets in a row after which the driver's owner stops trying.
const MAX_RESETS: u64 = 4;

/// The whole driver with a stack's seat at its upper end.
struct Umnet {
    driver: Driver,
    seat: LoopbackSeat,
}

fn said(error: impl ToString) -> String {
    error.to_string()
}

impl DriverUnderTest for Umnet {
    fn start(transport: Box<dyn Transport>) -> Result<Self, String> {
        let card = CardConfig {
            timeout: DEADLINE,
            ..Default::default()
        };
        let (driver, seat) = drive(transport, card, 1).map_err(said)?;
        Ok(Self { driver, seat })
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), String> {
        self.seat.send(StackFrame::new(frame.to_vec()));
        Ok(())
    }

    fn receive(&mut self) -> Result<Option<Vec<u8>>, String> {
        Ok(self.seat.receive().map(|frame| frame.bytes))
    }

    /// What the control thread of a run does.
    fn tend(&mut self) -> Result<(), String> {
        if self.driver.config_interrupt().read().is_ok() {
            self.driver.config_changed().map_err(said)?;
        }
        match self.driver.take_fault() {
            Some(report) if self.driver.resets() >= MAX_RESETS => Err(said(report.fault)),
            Some(_) => self.driver.recover().map_err(said),
            None => Ok(()),
        }
    }

    fn command(&mut self) -> Option<Result<(), String>> {
        let filter = ReceiveFilter {
            packet_filter: NetPacketFilterFlags::ALL,
            multicast_addresses: Vec::new(),
        };
        Some(self.driver.set_filter(filter).map_err(said))
    }

    fn restart(mut self) -> Result<Self, String> {
        self.driver.recover().map_err(said)?;
        Ok(self)
    }
}

/// Examinations at a time: most of their time they wait.
const AT_ONCE: usize = 4;

#[test]
fn every_lie_ends_as_a_sound_driver_owes() {
    let only = std::env::var("UMNET_LIE").ok();
    let chosen = |lie: &&'static Lie| only.as_ref().is_none_or(|only| only == lie.name);
    let lies: Vec<(&'static Lie, Format)> = CATALOGUE
        .iter()
        .filter(chosen)
        .flat_map(|lie| Format::ALL.map(|format| (lie, format)))
        .filter(|(lie, format)| lie.can_be_told_in(*format))
        .collect();
    assert!(!lies.is_empty(), "there is no lie called {only:?}");
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(&(lie, format)) = lies.get(next.fetch_add(1, Relaxed)) {
                    let seen = examine::<Umnet>(lie, format, PATIENCE);
                    let owed = lie.outcome;
                    println!("{}, {format:?}: owed {owed:?}, {seen}", lie.name);
                    if !seen.is_owed_for(lie) {
                        failed.lock().unwrap().push((lie.name, format));
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner().unwrap(), []);
}
