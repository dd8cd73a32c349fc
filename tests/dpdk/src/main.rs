//! `bench-dpdk`: umnet's driver and DPDK's virtio-user, as front ends of the same vhost-user back
//! end, which is DPDK's vhost library.
//!
//! ```text
//! processor A                                          processor B
//! umnet: port, rings, buffers, copy, virtqueue ──┐
//!                                                ├─ vhost-user ─ testpmd on net_vhost
//! testpmd on net_virtio_user ────────────────────┤               counts both ways
//! the same driver under `copying.c` ─────────────┘
//! ```
//!
//! One back end runs all the time. Front ends connect to it in turn, over and over, in an order
//! that rotates; each is counted by the back end for a moment. What is quoted are medians of the
//! ratios inside one such trip.

mod front_end;
mod process;
mod trip;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use thiserror::Error;
use umnet::bench::case::Case;
use umnet::bench::{BenchError, Circumstances};

use crate::front_end::{FrontEnd, Ring};
use crate::trip::Rig;

/// Why nothing was measured.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("cannot measure here: {0}")]
    Unavailable(String),
    #[error("{name} cannot be started: {source}")]
    Start {
        name: &'static str,
        source: std::io::Error,
    },
    #[error("{name} has ended; it last said:\n{said}")]
    Ended { name: &'static str, said: String },
    #[error("{name} does not answer; it last said:\n{said}")]
    Silent { name: &'static str, said: String },
    #[error("no frame has passed between {0} and the back end")]
    NoFrames(&'static str),
    #[error("{name} says {own} frames a second, the back end {counted}: something is lost")]
    Disagreement {
        name: &'static str,
        own: u64,
        counted: u64,
    },
    #[error("{name} agreed on features {features:#x}, which have no {wanted} rings")]
    OtherRing {
        name: &'static str,
        wanted: &'static str,
        features: u64,
    },
    #[error(transparent)]
    System(#[from] std::io::Error),
    #[error(transparent)]
    Report(#[from] BenchError),
}

/// Measures umnet next to DPDK's virtio-user on the same vhost-user back end.
#[derive(Debug, Parser)]
#[command(name = "bench-dpdk")]
struct Options {
    /// Turns of each front end with each kind of traffic
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Time of counting in a turn
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    turn: u64,
    /// Split rings for all front ends, where they have packed ones otherwise
    #[arg(long)]
    split: bool,
    /// Only this kind of traffic: rx-64, rx-1518, tx-64 or tx-1518; may be repeated
    #[arg(long, value_name = "KIND")]
    only: Vec<Case>,
    /// Where dpdk.json and dpdk.svg go, or dpdk-split.json and dpdk-split.svg
    #[arg(long, value_name = "DIR", default_value = "target/report")]
    output: PathBuf,
}

impl Options {
    fn ring(&self) -> Ring {
        match self.split {
            true => Ring::Split,
            false => Ring::Packed,
        }
    }

    /// Of the result's files.
    fn name(&self) -> &'static str {
        match self.ring() {
            Ring::Packed => "dpdk",
            Ring::Split => "dpdk-split",
        }
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench-dpdk: {failure}");
            match failure {
                Failure::Unavailable(_) => ExitCode::from(3),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let cases = trip::cases(&options.only)?;
    let turn = Duration::from_millis(options.turn);
    let mut rig = Rig::new(turn, options.ring())?;
    let mut figures = trip::Figures::new(&cases);
    for round in 0..usize::from(options.rounds) {
        eprintln!("bench-dpdk: round {} of {}", round + 1, options.rounds);
        for (at, &case) in cases.iter().enumerate() {
            for step in 0..FrontEnd::ALL.len() {
                // Whoever follows whom changes from round to round.
                let lane = (round + step) % FrontEnd::ALL.len();
                figures.add(at, lane, rig.turn(FrontEnd::ALL[lane], case)?);
            }
        }
    }
    let rounds = options.rounds.into();
    let mut about = Circumstances::of_this_machine(rounds, turn, trip::DEVICE);
    about.details = rig.details();
    let report = figures.report(about, &cases);
    report.write(&options.output, options.name())?;
    print!("{}", report.to_table());
    Ok(())
}
