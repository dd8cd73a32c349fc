//! Several queue pairs against one: each pair has a thread of its own, on a processor of its own
//! where there are enough, and shares it with its device and its port.
//!
//! Here it is the wall's time that counts: what is asked is whether pairs get into each other's way.
//! The machine has to be quiet for that; how far it was, the spread shows.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use figures::{Spread, median};
use netadapter_shim::Crew;

use super::BenchError;
use super::case::{ALL, Case, Direction};
use super::device::{Device, IndexOnly};
use super::frames::Frame;
use super::port::Seat;
use super::tally::Tally;
use crate::driver::{Driver, DriverConfig};

/// Frames of the first attempt to find out how many take how long.
const FIRST_ATTEMPT: u64 = 4096;

/// How to measure.
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// Pairs beside the single one.
    pub pairs: usize,
    /// Turns of each.
    pub rounds: usize,
    /// How long a turn takes, about.
    pub turn: Duration,
    /// Kinds of traffic; all if there are none.
    pub cases: Vec<Case>,
}

/// What one kind of traffic came to.
struct Row {
    case: Case,
    /// Frames in a second, by turn.
    one: Vec<f64>,
    several: Vec<f64>,
}

/// Measures, and tells in a table.
///
/// # Errors
/// [`BenchError`] of the first kind of traffic that fails.
pub fn queues(options: &QueueOptions) -> Result<String, BenchError> {
    let cases = match options.cases.as_slice() {
        [] => &ALL[..],
        some => some,
    };
    let rows = cases.iter().map(|&case| measure(case, options));
    let rows: Vec<Row> = rows.collect::<Result<_, _>>()?;
    Ok(table(&rows, options.pairs))
}

fn measure(case: Case, options: &QueueOptions) -> Result<Row, BenchError> {
    let mut leg = Leg::new(case, options.pairs)?;
    leg.run(options.pairs, FIRST_ATTEMPT)?;
    let took = leg.run(1, FIRST_ATTEMPT)?;
    let frames = FIRST_ATTEMPT as f64 * options.turn.as_secs_f64() / took.as_secs_f64();
    let frames = (frames as u64).max(1);
    let mut row = Row {
        case,
        one: Vec::new(),
        several: Vec::new(),
    };
    for _ in 0..options.rounds {
        for (pairs, figures) in [(1, &mut row.one), (options.pairs, &mut row.several)] {
            let took = leg.run(pairs, frames)?;
            figures.push((frames * pairs as u64) as f64 / took.as_secs_f64());
        }
    }
    Ok(row)
}

fn table(rows: &[Row], pairs: usize) -> String {
    let mut text = format!(
        "{:<18}{:>16}{:>16}{:>9}  spread\n",
        "",
        "1 pair, Mpps",
        format!("{pairs} pairs, Mpps"),
        "ratio"
    );
    for row in rows {
        let ratios: Vec<f64> = row
            .one
            .iter()
            .zip(&row.several)
            .map(|(a, b)| b / a)
            .collect();
        let (Some(middle), Some(spread)) = (median(&ratios), Spread::of(&ratios)) else {
            continue;
        };
        let millions = |figures: &[f64]| median(figures).unwrap_or_default() / 1e6;
        let _ = writeln!(
            text,
            "{:<18}{:>16.3}{:>16.3}{middle:>9.2}  {:.2} to {:.2}",
            row.case.label(),
            millions(&row.one),
            millions(&row.several),
            spread.min,
            spread.max,
        );
    }
    text
}

/// A driver with several pairs, each with all that [`super::driver::DriverLeg`] has.
struct Leg {
    case: Case,
    driver: Driver,
    pairs: Vec<Pair>,
}

struct Pair {
    device: Device,
    seat: Seat,
    sent: Arc<Tally>,
    received: Arc<Tally>,
}

impl Leg {
    fn new(case: Case, count: usize) -> Result<Self, BenchError> {
        let frame = Frame::new(case.len);
        let sent: Vec<Arc<Tally>> = (0..count).map(|_| Arc::default()).collect();
        let received: Vec<Arc<Tally>> = (0..count).map(|_| Arc::default()).collect();
        let seats = received
            .iter()
            .map(|received| Seat::new(frame.clone(), Arc::clone(received)));
        let seats = seats.collect::<Result<Vec<_>, _>>()?;
        let (transport, devices) = IndexOnly::of_pairs(frame, sent.clone())?;
        let config = DriverConfig {
            crew_of_several: Some(Arc::new(Crew::pinned(count, "bench-q")?)),
            ..DriverConfig::default()
        };
        let driver = Driver::start(Box::new(transport), config, Seat::port_of(&seats))?;
        let parts = devices
            .into_iter()
            .zip(seats)
            .zip(sent.into_iter().zip(received));
        let pair = |((device, seat), (sent, received))| Pair {
            device,
            seat,
            sent,
            received,
        };
        Ok(Self {
            case,
            driver,
            pairs: parts.map(pair).collect(),
        })
    }

    /// Moves so many frames on each of the first `pairs` pairs, all at once.
    fn run(&mut self, pairs: usize, frames: u64) -> Result<Duration, BenchError> {
        let direction = self.case.direction;
        let used = &self.pairs[..pairs];
        used.iter()
            .for_each(|pair| pair.tally(direction).await_more(frames));
        let start = Instant::now();
        used.iter().for_each(|pair| pair.begin(direction, frames));
        used.iter()
            .try_for_each(|pair| pair.tally(direction).wait(frames))?;
        let took = start.elapsed();
        match self.driver.take_fault() {
            Some(report) => Err(BenchError::Fault(format!("{report:?}"))),
            None => Ok(took),
        }
    }
}

impl Pair {
    fn tally(&self, direction: Direction) -> &Tally {
        match direction {
            Direction::Rx => &self.received,
            Direction::Tx => &self.sent,
        }
    }

    fn begin(&self, direction: Direction, frames: u64) {
        match direction {
            Direction::Rx => self.device.give(frames),
            Direction::Tx => self.seat.send(frames),
        }
    }
}
