//! `kills`: kills, hangs and replaces umnet's processes under load, and says what was lost.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use kills::campaign::{Blow, Hang, Plan, Progress, SETTLED, blows, calm, crash_loop, hangs};
use kills::{Limits, Load, Programs, Report, Result, Rig};

/// Kills, hangs and replaces umnet's processes under load, and counts what is lost (as root)
#[derive(Debug, Parser)]
#[command(name = "kills")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Where umnet and vhost-user-net-device are; where this program is, if nothing is said
    #[arg(long, global = true, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Where to write kills.json, kills.txt and kills.svg
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "target/report"
    )]
    report: PathBuf,
    /// TCP connections, each carrying data both ways
    #[arg(long, global = true, value_name = "N", default_value_t = 8)]
    streams: u64,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Everything: the load in peace, kills, replacements, hangs of both kinds, a crash loop
    All {
        /// How often to kill the host
        #[arg(long, value_name = "N", default_value_t = 1000)]
        kills: u32,
        /// How often to let it hang, in each of both ways
        #[arg(long, value_name = "N", default_value_t = 100)]
        hangs: u32,
        /// How often to replace the host, and how often the supervisor
        #[arg(long, value_name = "N", default_value_t = 50)]
        updates: u32,
    },
    /// The load in peace, then kills
    Kills {
        /// How often to kill the host
        #[arg(long, value_name = "N", default_value_t = 1000)]
        kills: u32,
    },
    /// `umnet update`, then `umnet update --supervisor`
    Updates {
        /// How often, each of them
        #[arg(long, value_name = "N", default_value_t = 50)]
        updates: u32,
    },
    /// Kills for a long time beside whatever else the machine does: what does the supervisor gather?
    Soak {
        /// How long
        #[arg(long, value_name = "N", default_value_t = 60)]
        minutes: u32,
        /// Between two kills
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        every: u32,
        /// What each connection sends each way in a second
        #[arg(long, value_name = "KIB", default_value_t = 1024)]
        rate: u64,
    },
    /// Hosts that stand still or loop for ever
    Hangs {
        /// How often, in each of both ways
        #[arg(long, value_name = "N", default_value_t = 100)]
        hangs: u32,
    },
    /// Hosts that die as soon as they are up
    CrashLoop {
        /// After how many deaths the supervisor is to give up for a while
        #[arg(long, value_name = "N", default_value_t = 50)]
        deaths: u32,
    },
    /// A transfer for about a minute while kills rain down
    Demo,
}

const DEMO: &str = "
Two network namespaces are joined by a virtio-net device, a process, that umnet drives from another.
Eight TCP connections carry data both ways, somebody types, and numbered frames are sent each
millisecond. The process that drives the device is now killed sixty times.
";

/// How long the load is watched in peace.
const CALM: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(true) => {
            println!("PASSED: nothing was lost but what may be");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            println!("FAILED: see the lines marked with !");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("\nkills: {error}");
            // The environment lacks something, as umnet says it.
            ExitCode::from(3)
        }
    }
}

fn run(cli: &Cli) -> Result<bool> {
    let mut rig = Rig::start(programs(cli))?;
    if let Some(host) = rig.status().and_then(|status| status.host) {
        eprintln!("driver host {}: {}", host.pid, host.cage);
    }
    let mut report = Report::default();
    let looping = |deaths| crash_loop(programs(cli), deaths, &mut line()).map(Some);
    match cli.verb {
        Verb::All {
            kills,
            hangs,
            updates,
        } => {
            killing(&mut rig, plan(cli, kills), &mut report)?;
            replacing(&mut rig, plan(cli, updates), &mut report)?;
            hanging(&mut rig, plan(cli, hangs), &mut report)?;
            report.crash_loop = looping(50)?;
        }
        Verb::Kills { kills } => killing(&mut rig, plan(cli, kills), &mut report)?,
        Verb::Updates { updates } => replacing(&mut rig, plan(cli, updates), &mut report)?,
        Verb::Soak {
            minutes,
            every,
            rate,
        } => {
            let plan = soak(cli, minutes, every, rate);
            report
                .blows
                .push(blows(&mut rig, Blow::Kill, plan, &mut line())?);
        }
        Verb::Hangs { hangs } => hanging(&mut rig, plan(cli, hangs), &mut report)?,
        Verb::CrashLoop { deaths } => report.crash_loop = looping(deaths)?,
        Verb::Demo => {
            eprintln!("{DEMO}");
            // What else the machine does meanwhile is not for the demonstration to judge.
            let limits = Limits::BESIDE_OTHERS;
            let plan = Plan {
                limits,
                ..plan(cli, 60)
            };
            report
                .blows
                .push(blows(&mut rig, Blow::Kill, plan, &mut picture())?);
        }
    }
    let stopped = rig.stop()?;
    eprintln!();
    print!("{}", report.text());
    match report.write(&cli.report) {
        Ok(()) => println!("\nwritten to {}", cli.report.display()),
        Err(error) => eprintln!("{}: {error}", cli.report.display()),
    }
    if !stopped {
        println!("! umnet did not end well");
    }
    Ok(stopped && report.passed())
}

fn plan(cli: &Cli, count: u32) -> Plan {
    Plan {
        load: Load::full(cli.streams),
        count,
        pause: SETTLED,
        limits: Limits::PROMISED,
    }
}

fn soak(cli: &Cli, minutes: u32, every: u32, rate: u64) -> Plan {
    let load = Load {
        kib_per_second: Some(rate),
        ..Load::full(cli.streams)
    };
    Plan {
        load,
        count: (60 * minutes).div_ceil(every.max(1)),
        pause: Duration::from_secs(every.into()),
        limits: Limits::BESIDE_OTHERS,
    }
}

fn killing(rig: &mut Rig, plan: Plan, report: &mut Report) -> Result<()> {
    report.calm = Some(calm(rig, plan.load, CALM)?);
    report
        .blows
        .push(blows(rig, Blow::Kill, plan, &mut line())?);
    Ok(())
}

fn replacing(rig: &mut Rig, plan: Plan, report: &mut Report) -> Result<()> {
    for kind in [Blow::Update, Blow::Supervisor] {
        report.blows.push(blows(rig, kind, plan, &mut line())?);
    }
    Ok(())
}

fn hanging(rig: &mut Rig, plan: Plan, report: &mut Report) -> Result<()> {
    for kind in [Hang::Stopped, Hang::Loop] {
        report.hangs.push(hangs(rig, kind, plan, &mut line())?);
    }
    Ok(())
}

fn programs(cli: &Cli) -> Programs {
    let own = std::env::current_exe().ok();
    let beside = own.and_then(|own| Some(own.parent()?.to_owned()));
    Programs::in_folder(&cli.programs.clone().or(beside).unwrap_or_default())
}

/// One line that says how it is getting on.
fn line() -> impl FnMut(Progress) {
    |now| {
        let Progress { what, done, of, .. } = now;
        eprint!(
            "\r{what}: {done} of {of}, {:.1} GB in {:.0} s   ",
            now.bytes as f64 / 1e9,
            now.time.as_secs_f64()
        );
    }
}

/// The demonstration's: what was carried since the last kill, as a bar a kill.
fn picture() -> impl FnMut(Progress) {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (mut last, mut when, mut best, mut bars) = (0, Instant::now(), 1.0_f64, Vec::new());
    move |now| {
        let rate = (now.bytes - last) as f64 / when.elapsed().as_secs_f64().max(1e-3);
        (last, when, best) = (now.bytes, Instant::now(), best.max(rate));
        bars.push(rate);
        let recent = bars.iter().rev().take(40).rev();
        let bar = |rate: &f64| BARS[((rate / best * 7.0).round() as usize).min(7)];
        let bars: String = recent.map(bar).collect();
        eprint!(
            "\r{:>3} of {} drivers killed  {:>6.2} GB carried  {bars}",
            now.done,
            now.of,
            now.bytes as f64 / 1e9
        );
    }
}
