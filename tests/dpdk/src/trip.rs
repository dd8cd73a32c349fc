//! The back end, and one front end after the other on it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testpmd::{RING, Rates, Work, agreed_features, command_line};
use umnet::bench::Circumstances;
use umnet::bench::case::{ALL, Case, Direction};
use umnet::bench::report::{CaseReport, Report};

use crate::Failure;
use crate::front_end::{FrontEnd, Programs, Ring};
use crate::process::Program;

/// The program.
pub(crate) const TESTPMD: &str = "dpdk-testpmd";
/// Where the back end runs, and where front ends run.
const BACK: usize = 0;
pub(crate) const FRONT: usize = 1;

/// What the device is, for the report.
pub(crate) const DEVICE: &str = "DPDK's vhost library behind vhost-user, in a process of its own on \
                                 a processor of its own; it counts the frames of every front end";

/// The longest frame that testpmd's buffers hold.
const LONGEST: usize = 1518;
/// Before counting, so that caches and frequencies have settled.
const WARMUP: Duration = Duration::from_millis(200);
/// A front end that ends by itself goes on for so long when all has been counted.
const MARGIN: Duration = Duration::from_millis(500);
/// How long a front end may take to its first frame.
const START: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// The kinds of traffic to measure, of those that there can be here.
pub(crate) fn cases(only: &[Case]) -> Result<Vec<Case>, Failure> {
    let possible = |case: &Case| case.len <= LONGEST;
    if let Some(case) = only.iter().find(|case| !possible(case)) {
        let why = format!("{case}: testpmd's buffers hold {LONGEST} bytes");
        return Err(Failure::Unavailable(why));
    }
    let wanted = |case: &Case| possible(case) && (only.is_empty() || only.contains(case));
    Ok(ALL.into_iter().filter(wanted).collect())
}

/// The back end.
pub(crate) struct Rig {
    back_end: Program,
    programs: Programs,
    folder: TempDir,
    turn: Duration,
    /// What it does at present.
    work: Work,
    features: BTreeMap<&'static str, u64>,
}

impl Rig {
    pub(crate) fn new(turn: Duration, ring: Ring) -> Result<Self, Failure> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        if processors <= FRONT {
            let why = "two processors are needed, one for each side".to_owned();
            return Err(Failure::Unavailable(why));
        }
        let programs = Programs {
            umnet: beside("umnet")?,
            copying: beside("dpdk-copying")?,
            ring,
        };
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("back-end");
        let port = format!("--vdev=net_vhost0,iface={},queues=1", socket.display());
        let work = Work::Receive;
        let words = command_line(TESTPMD, BACK, &["--no-pci", &port], work);
        let mut back_end = Program::start("the back end", BACK, &words)?;
        // Its answer means that it listens.
        back_end.rates()?;
        Ok(Self {
            back_end,
            programs,
            folder,
            turn,
            work,
            features: BTreeMap::new(),
        })
    }

    /// Nanoseconds per frame of one front end with one kind of traffic.
    pub(crate) fn turn(&mut self, front_end: FrontEnd, case: Case) -> Result<f64, Failure> {
        self.set_to_work(match case.direction {
            Direction::Rx => Work::Send(case.len),
            Direction::Tx => Work::Receive,
        })?;
        let socket = self.folder.path().join("back-end");
        let length = WARMUP + self.turn + MARGIN;
        let mut program = front_end.start(&self.programs, &socket, case, length)?;
        self.wait_for_frames(front_end, case)?;
        sleep(WARMUP);
        self.back_end.rates()?;
        sleep(self.turn);
        let counted = counted(self.back_end.rates()?, case);
        front_end.end(&mut program)?;
        check(front_end, &program, counted)?;
        if let Some(features) = agreed_features(&self.back_end.said) {
            self.same_ring(front_end, features)?;
            self.features.insert(front_end.name(), features);
        }
        Ok(1e9 / counted as f64)
    }

    /// Rings of two kinds would not compare.
    fn same_ring(&self, front_end: FrontEnd, features: u64) -> Result<(), Failure> {
        let wanted = self.programs.ring;
        if Ring::of(features) == wanted {
            return Ok(());
        }
        Err(Failure::OtherRing {
            name: front_end.name(),
            wanted: wanted.name(),
            features,
        })
    }

    fn set_to_work(&mut self, work: Work) -> Result<(), Failure> {
        if self.work != work {
            for command in work.commands() {
                self.back_end.tell(&command)?;
            }
            self.work = work;
        }
        Ok(())
    }

    fn wait_for_frames(&mut self, front_end: FrontEnd, case: Case) -> Result<(), Failure> {
        let deadline = Instant::now() + START;
        // The first answer may still be about the front end before this one.
        self.back_end.rates()?;
        while Instant::now() < deadline {
            sleep(LOOK);
            if counted(self.back_end.rates()?, case) > 0 {
                return Ok(());
            }
        }
        Err(Failure::NoFrames(front_end.name()))
    }

    /// What was agreed on, for the report.
    pub(crate) fn details(&self) -> BTreeMap<String, String> {
        let features = self.features.iter();
        let features =
            features.map(|(name, bits)| (format!("features of {name}"), format!("{bits:#x}")));
        let fixed = [
            ("descriptors of a queue".to_owned(), RING.to_string()),
            ("ring".to_owned(), self.programs.ring.name().to_owned()),
            ("pages".to_owned(), "ordinary".to_owned()),
        ];
        features.chain(fixed).collect()
    }
}

/// The program of this name that was built with this one.
fn beside(name: &str) -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        let why = format!("there is no {name} beside this program; type: make bench-dpdk");
        return Err(Failure::Unavailable(why));
    }
    Ok(path)
}

/// A front end's frames, as the back end counts them.
fn counted(rates: Rates, case: Case) -> u64 {
    match case.direction {
        Direction::Rx => rates.sent,
        Direction::Tx => rates.received,
    }
}

/// umnet tells how many frames it has moved over its whole life, which is a bit more than the
/// moment that the back end has counted: both must be about as many.
fn check(front_end: FrontEnd, program: &Program, counted: u64) -> Result<(), Failure> {
    if counted == 0 {
        return Err(Failure::NoFrames(front_end.name()));
    }
    let Some(own) = own_rate(&program.said) else {
        return Ok(());
    };
    if own < counted / 2 || own > counted.saturating_mul(2) {
        let name = front_end.name();
        return Err(Failure::Disagreement { name, own, counted });
    }
    Ok(())
}

/// Of the line that `umnet bench drive` ends with.
fn own_rate(said: &str) -> Option<u64> {
    let (before, _) = said.split_once(" frames a second")?;
    before.split_whitespace().last()?.parse().ok()
}

/// Nanoseconds per frame, by kind of traffic and front end, one of each trip.
pub(crate) struct Figures(Vec<[Vec<f64>; FrontEnd::ALL.len()]>);

impl Figures {
    pub(crate) fn new(cases: &[Case]) -> Self {
        Self(cases.iter().map(|_| Default::default()).collect())
    }

    pub(crate) fn add(&mut self, case: usize, lane: usize, figure: f64) {
        self.0[case][lane].push(figure);
    }

    pub(crate) fn report(self, about: Circumstances, cases: &[Case]) -> Report {
        let names = FrontEnd::ALL.map(FrontEnd::name);
        let case = |(&case, figures): (&Case, [Vec<f64>; FrontEnd::ALL.len()])| {
            let lanes: Vec<_> = names.into_iter().zip(figures).collect();
            CaseReport::new(case, &lanes)
        };
        Report::new(about, cases.iter().zip(self.0).map(case).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_no_buffer_holds_are_refused_before_anything_starts() {
        assert_eq!(cases(&[]).unwrap().len(), 4);
        let large = "rx-65536".parse().unwrap();
        assert!(matches!(cases(&[large]), Err(Failure::Unavailable(_))));
    }

    #[test]
    fn umnets_own_rate_is_read_from_its_last_line() {
        let line = "tx-64: 4081632 frames a second, 0 dropped, 61.0 frames a doorbell\n";
        assert_eq!(own_rate(line), Some(4_081_632));
        assert_eq!(own_rate("testpmd> quit\n"), None);
    }
}
