//! Taking turns.

use std::time::{Duration, Instant};

use super::BenchError;
use super::case::{ALL, Case};
use super::circumstances::Circumstances;
use super::contender::{BUILT_IN, Contender, built_in};
use super::report::{CaseReport, Report};

/// Frames that are compared before any are timed: every slot and buffer comes up.
const VERIFIED: u64 = 1000;
/// Frames of the first attempt to find out how many take how long.
const FIRST_ATTEMPT: u64 = 256;
/// Measurements shorter than this need no sign of life.
const SILENCE: Duration = Duration::from_secs(2);
const DEVICE: &str = "in this process and thread, moves indices only: it neither reads nor writes \
                      frames again, so the one copy is the driver's";

/// Somebody else's driver: its name, and how it is started for a kind of traffic, if it can
/// have such.
pub type Rival<'a> = (
    &'a str,
    &'a dyn Fn(Case) -> Option<Result<Box<dyn Contender>, BenchError>>,
);

/// How to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Turns of each contender.
    pub rounds: usize,
    /// How long a turn takes, about.
    pub turn: Duration,
    /// Kinds of traffic.
    pub cases: Vec<Case>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rounds: 7,
            turn: Duration::from_millis(100),
            cases: ALL.to_vec(),
        }
    }
}

/// Measures all that is asked for, `rivals` included, and tells `progress` what is being done.
///
/// # Errors
/// [`BenchError`] of the first that fails.
pub fn measure(
    options: &Options,
    rivals: &[Rival<'_>],
    progress: &mut dyn FnMut(&str),
) -> Result<Report, BenchError> {
    let start = Instant::now();
    let mut cases = Vec::new();
    for (done, &case) in options.cases.iter().enumerate() {
        let expected = options.turn * (options.rounds * BUILT_IN.len()) as u32;
        if expected + start.elapsed() > SILENCE {
            let (number, all) = (done + 1, options.cases.len());
            progress(&format!("{number} of {all}: {}", case.label()));
        }
        cases.push(measure_case(case, options, rivals)?);
    }
    let about = Circumstances::of_this_machine(options.rounds, options.turn, DEVICE);
    Ok(Report::new(about, cases))
}

/// A contender and what it has shown so far.
struct Lane<'a> {
    name: &'a str,
    contender: Box<dyn Contender>,
    /// Frames of a turn.
    frames: u64,
    /// Nanoseconds per frame, one of each turn.
    figures: Vec<f64>,
}

impl<'a> Lane<'a> {
    /// Checks that it works, and finds out how many frames fill a turn.
    fn new(
        name: &'a str,
        mut contender: Box<dyn Contender>,
        turn: Duration,
    ) -> Result<Self, BenchError> {
        contender.verify(VERIFIED)?;
        let mut frames = FIRST_ATTEMPT;
        let mut took = contender.run(frames)?;
        while took < turn / 4 {
            frames *= 2;
            took = contender.run(frames)?;
        }
        let frames = (frames as f64 * turn.as_secs_f64() / took.as_secs_f64()) as u64;
        Ok(Self {
            name,
            contender,
            frames: frames.max(1),
            figures: Vec::new(),
        })
    }

    fn take_turn(&mut self) -> Result<(), BenchError> {
        let took = self.contender.run(self.frames)?;
        self.figures
            .push(took.as_secs_f64() * 1e9 / self.frames as f64);
        Ok(())
    }
}

fn measure_case(
    case: Case,
    options: &Options,
    rivals: &[Rival<'_>],
) -> Result<CaseReport, BenchError> {
    let mut lanes = Vec::new();
    for name in BUILT_IN {
        lanes.push(Lane::new(name, built_in(name, case)?, options.turn)?);
    }
    for (name, start) in rivals {
        if let Some(rival) = start(case) {
            lanes.push(Lane::new(name, rival?, options.turn)?);
        }
    }
    for round in 0..options.rounds {
        let count = lanes.len();
        // Whoever follows whom, and what that leaves in the caches, changes from round to round.
        for step in 0..count {
            lanes[(round + step) % count].take_turn()?;
        }
    }
    let figures = lanes.into_iter().map(|lane| (lane.name, lane.figures));
    Ok(CaseReport::new(case, &figures.collect::<Vec<_>>()))
}

/// Has one contender move so many frames once, for profilers and for whoever counts
/// instructions.
///
/// # Errors
/// [`BenchError`].
pub fn once(case: Case, name: &str, frames: u64) -> Result<Duration, BenchError> {
    built_in(name, case)?.run(frames)
}
