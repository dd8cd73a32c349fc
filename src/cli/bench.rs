//! `umnet bench`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Failure, output};
use crate::bench::case::{ALL, Case};
use crate::bench::compare::compare;
use crate::bench::drive::{Conditions, Target, drive};
use crate::bench::queues::{QueueOptions, queues};
use crate::bench::report::Report;
use crate::bench::{Options, measure, once};
use crate::exit::Exit;
use crate::host::{DeviceSpec, Host};

pub(super) const EXAMPLES: &str = "\
Moves frames of 64 B, 1518 B and 64 KiB, received and sent, through the whole driver: a port that
always has a frame, rings, system buffers, both Advance loops, the copy, the virtqueue, and a
device in this process that only moves indices. In turn with it, the C library copies the same
frames: the limit of a driver that copies every byte once. No root, no card, no guest.

What to look at: the column /memcpy. 1.00 would mean that nothing but the copy takes time. Ratios
are paired and hardly move on a busy machine; nanoseconds do.

Examples:
  umnet bench                             everything, in about half a minute
  umnet bench --only rx-1518 --rounds 21  one kind of traffic, more closely
  umnet bench queues                      two queue pairs against one
  umnet bench --json > before.json        for programs; `schema` says which version
  umnet bench compare before.json after.json
  perf record umnet bench once tx-64 umnet --frames 20000000
                                          one contender alone, for a profiler

With a folder ./target, or --output DIR, the result is also written there as report/native.json
and native.svg.";

/// What the result's files are called.
const NAME: &str = "native";

/// What `umnet bench` takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    turns: Turns,
    /// Where native.json and native.svg go
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print JSON with a schema number instead of a table
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    other: Option<Other>,
}

/// How often and how long contenders take their turns, and at what.
#[derive(Debug, Args)]
struct Turns {
    /// Turns of each contender
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Length of a turn, about
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    turn: u64,
    /// Only this kind of traffic, such as rx-64 or tx-1518; may be repeated
    #[arg(long, value_name = "KIND")]
    only: Vec<Case>,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Print two results side by side, and mark what differs by more than the spread
    #[command(after_help = "Example:\n  umnet bench compare before.json target/report/native.json")]
    Compare {
        /// A result of `umnet bench`
        a: PathBuf,
        /// Another one
        b: PathBuf,
    },
    /// Several queue pairs against one, by the wall's clock: wants a quiet machine with as many
    /// processors
    #[command(after_help = "Example:\n  umnet bench queues --pairs 2 --rounds 21 --only rx-1518")]
    Queues {
        /// Pairs beside the single one
        #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u16).range(2..=8))]
        pairs: u16,
        #[command(flatten)]
        turns: Turns,
    },
    /// Have one contender move so many frames once, for profilers
    #[command(
        after_help = "Example:\n  valgrind --tool=callgrind umnet bench once rx-64 umnet --frames 100000"
    )]
    Once {
        /// Kind of traffic, such as rx-64
        case: Case,
        /// umnet, memcpy, memcpy-cached, queue or ring
        contender: String,
        /// How many frames
        #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
        frames: u64,
    },
    /// Drive a device that is not in this process, and count frames by the clock on the wall
    #[command(after_help = DRIVE_EXAMPLES)]
    Drive {
        /// vhost-user:/path/to.sock, or a card that `umnet bind` has given to vfio-pci
        device: DeviceSpec,
        /// Kind of traffic, such as rx-64; received frames are whatever the other side sends
        case: Case,
        /// Time before counting
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(0..=60_000))]
        warmup: u64,
        /// Time of counting
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
        window: u64,
        /// How long to look for frames awake before a sleep; 0: not at all. Without it as `umnet run`
        /// would
        #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u64).range(0..=1000))]
        busy_poll_us: Option<u64>,
        /// Take split rings where packed ones are offered too
        #[arg(long)]
        split: bool,
        /// Print JSON with a schema number
        #[arg(long)]
        json: bool,
    },
}

const DRIVE_EXAMPLES: &str = "\
Examples:
  umnet bench drive vhost-user:/run/switch.sock tx-64
  sudo umnet bind eth1 && sudo umnet bench drive 0000:00:03.0 rx-64 --window 3000 --json";

pub(super) fn bench(host: &Host, args: BenchArgs) -> Result<Exit, Failure> {
    match args.other {
        None => run(args)?,
        Some(Other::Compare { a, b }) => {
            let (a, b) = (Report::read(&a)?, Report::read(&b)?);
            output::text(&compare(&a, &b))?;
        }
        Some(Other::Queues { pairs, turns }) => {
            let options = QueueOptions {
                pairs: pairs.into(),
                rounds: turns.rounds as usize,
                turn: Duration::from_millis(turns.turn),
                cases: turns.only,
            };
            output::text(&queues(&options)?)?;
        }
        Some(Other::Once {
            case,
            contender,
            frames,
        }) => {
            let took = once(case, &contender, frames)?;
            let each = took.as_nanos() as f64 / frames as f64;
            output::text(&format!("{frames} frames, {each:.1} ns each\n"))?;
        }
        Some(Other::Drive {
            device,
            case,
            warmup,
            window,
            busy_poll_us,
            split,
            json,
        }) => {
            let target = match device {
                DeviceSpec::VhostUser(socket) => Target::BackEnd(socket),
                card => Target::Card(host.find(&card)?.address.to_string()),
            };
            let conditions = Conditions {
                warmup: Duration::from_millis(warmup),
                window: Duration::from_millis(window),
                busy_poll: busy_poll_us.map(Duration::from_micros),
                packed: !split,
            };
            let driven = drive(&target, case, conditions)?;
            match json {
                true => output::json(&driven)?,
                false => output::text(&format!(
                    "{case}: {:.0} frames a second, {} dropped, {:.1} frames a doorbell, {} sleeps\n",
                    driven.rate(),
                    driven.dropped,
                    driven.frames as f64 / driven.kicks.max(1) as f64,
                    driven.sleeps
                ))?,
            }
        }
    }
    Ok(Exit::Done)
}

fn run(args: BenchArgs) -> Result<(), Failure> {
    let options = Options {
        rounds: args.turns.rounds as usize,
        turn: Duration::from_millis(args.turns.turn),
        cases: if args.turns.only.is_empty() {
            ALL.to_vec()
        } else {
            args.turns.only
        },
    };
    let report = measure(&options, &[], &mut |words| eprintln!("bench: {words}"))?;
    let target = Path::new("target");
    let folder = args
        .output
        .or_else(|| target.is_dir().then(|| target.join("report")));
    if let Some(folder) = folder {
        report.write(&folder, NAME)?;
    }
    match args.json {
        true => output::text(&report.to_json())?,
        false => output::text(&report.to_table())?,
    }
    Ok(())
}
