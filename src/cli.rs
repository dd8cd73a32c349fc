//! The command line: what `umnet` understands, and who carries it out.

mod bench;
mod bind;
mod client_flags;
mod doctor;
mod list;
mod output;
mod run;
mod status;
mod update;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use log::LevelFilter;

pub use crate::config::RunConfig;
use crate::exit::{Exit, Explain};
use crate::host::{DeviceSpec, Host};
pub(crate) use output::columns;

/// Any error a verb ends with.
type Failure = Box<dyn Explain>;

impl<E: Explain + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Box::new(error)
    }
}

const EXIT_CODES: &str = "\
DEVICE is a PCI address (0000:00:03.0), mac=52:54:00:12:34:56, an interface name (eth1),
vhost-user:/path/to.sock, or in-process.

Exit codes: 0 done, 1 failed, 2 usage, 3 the environment lacks something, 4 refused as unsafe
(needs --force), 5 busy.

First steps:
  umnet selftest              the whole data path in this process; no root, no card
  umnet list                  which cards there are, and which could be taken
  umnet doctor eth1           what is missing to take eth1, and how to mend it
  sudo umnet run eth1         drive eth1 until Ctrl-C, then give it back
  sudo umnet run vhost-user:/run/device.sock
                              drive the device that another process plays there";

/// Drives a virtio network card from user mode
#[derive(Debug, Parser)]
#[command(name = "umnet", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct Common {
    /// How much to log: off, error, warn, info, debug or trace [env: UMNET_LOG]
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<LevelFilter>,
    /// Look at the machine laid out under this folder instead of this one
    #[arg(long, global = true, value_name = "DIR", hide = true)]
    root: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show virtio-net cards, who drives them, and whether umnet could take them
    #[command(after_help = "Examples:\n  umnet list\n  umnet list --json")]
    List(Reading),
    /// Tell what is missing to drive a card, each with the command that mends it
    #[command(
        after_help = "Examples:\n  umnet doctor\n  umnet doctor eth1\n  umnet doctor 0000:00:03.0 --json"
    )]
    Doctor(ReadingDevice),
    /// Hand a card to vfio-pci; it stays there until `umnet release`
    #[command(
        after_help = "Examples:\n  sudo umnet bind eth1\n  sudo umnet bind 0000:00:03.0 --force"
    )]
    Bind(bind::BindArgs),
    /// Give a card back to the kernel as it was, also after a crash
    #[command(
        after_help = "Examples:\n  sudo umnet release 0000:00:03.0\n  sudo umnet release eth1    the name it had before"
    )]
    Release(bind::ReleaseArgs),
    /// Drive a device until stopped, taking the card and giving it back
    #[command(after_help = run::EXAMPLES)]
    Run(run::RunArgs),
    /// Show adapter, link, features and memory of a running umnet
    #[command(after_help = "Examples:\n  sudo umnet status\n  sudo umnet status eth1 --json")]
    Status(ReadingDevice),
    /// Show counters of a running umnet, in ethtool's words
    #[command(after_help = "Examples:\n  sudo umnet stats\n  sudo umnet stats eth1 --json")]
    Stats(ReadingDevice),
    /// Drive the device of the supervisor at the other end of standard input
    #[command(name = crate::run::VERB, hide = true)]
    DriverHost {
        /// Do not lock in
        #[arg(long = crate::run::UNCAGED.trim_start_matches('-'))]
        uncaged: bool,
    },
    /// Host the client of the supervisor at the other end of standard input
    #[command(name = crate::run::CLIENT_VERB, hide = true)]
    ClientHost {
        /// The client
        file: PathBuf,
        /// Do not lock in
        #[arg(long = crate::run::UNCAGED.trim_start_matches('-'))]
        uncaged: bool,
    },
    /// Go on as the supervisor where another program in this process has left off
    #[command(name = crate::run::RESUME, hide = true)]
    SupervisorResume {
        /// Only tell whether that could be
        #[arg(long = crate::run::CHECK.trim_start_matches('-'))]
        check: bool,
    },
    /// Play a host's life in its cage through
    #[command(name = crate::run::REHEARSAL, hide = true)]
    CageRehearsal {
        /// The profile, and more calls for it
        arguments: Vec<String>,
    },
    /// Replace the root of the client host that has started this
    #[command(name = crate::run::ROOT_KEEPER, hide = true)]
    CageRootKeeper,
    /// Replace the running driver, or the supervisor, under traffic
    #[command(after_help = update::EXAMPLES)]
    Update(update::UpdateArgs),
    /// Send frames through the whole data path over the in-process device
    #[command(
        after_help = "Needs no root and no card, and takes seconds.\n\nExample:\n  umnet selftest"
    )]
    Selftest,
    /// Measure the driver against a plain copy of the same frames
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// Print the flags a NetAdapterCx client driver is compiled with
    #[command(after_help = client_flags::EXAMPLES)]
    ClientFlags(client_flags::ClientFlagsArgs),
}

/// Options of a verb that only reads.
#[derive(Debug, Args)]
struct Reading {
    /// Print JSON with a schema number instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ReadingDevice {
    /// The device; all of them if left out
    device: Option<DeviceSpec>,
    #[command(flatten)]
    reading: Reading,
}

/// Parses the command line, does what it says, and tells how that went.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match perform(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => report(failure.as_ref()),
    }
}

/// Prints help to standard output and complaints to standard error.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody to tell it to, if that fails.
    let _ = error.print();
    let exit = if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    };
    exit.into()
}

fn report(failure: &dyn Explain) -> ExitCode {
    let mut text = format!("umnet: {failure}\n");
    if let Some(step) = failure.next_step() {
        text += &format!("  next: {step}\n");
    }
    // The exit code still tells, if standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
    failure.code().into()
}

fn perform(cli: Cli) -> Result<Exit, Failure> {
    let host = cli.common.root.map_or_else(Host::new, Host::at);
    let log = cli.common.log;
    if !matches!(cli.verb, Verb::Run(_)) {
        start_log(log, None, LevelFilter::Warn);
    }
    match cli.verb {
        Verb::List(reading) => list::list(&host, reading.json),
        Verb::Doctor(what) => doctor::doctor(&host, what.device.as_ref(), what.reading.json),
        Verb::Bind(args) => bind::bind(&host, &args),
        Verb::Release(args) => bind::release(&host, &args),
        Verb::Run(args) => run::run(host, args, log),
        Verb::Status(what) => status::status(&host, what.device, what.reading.json),
        Verb::Stats(what) => status::stats(&host, what.device, what.reading.json),
        Verb::DriverHost { uncaged } => crate::driver_host::main(!uncaged),
        Verb::ClientHost { file, uncaged } => crate::client_host::main(&file, !uncaged),
        Verb::SupervisorResume { check: true } => {
            output::text(&crate::run::answer())?;
            Ok(Exit::Done)
        }
        Verb::SupervisorResume { check: false } => {
            crate::run::resume()?;
            Ok(Exit::Done)
        }
        Verb::CageRehearsal { arguments } => match crate::cage::rehearse(&arguments) {
            ExitCode::SUCCESS => Ok(Exit::Done),
            _ => Ok(Exit::Failed),
        },
        Verb::CageRootKeeper => match crate::cage::keep_root() {
            Ok(()) => Ok(Exit::Done),
            Err(_) => Ok(Exit::Failed),
        },
        Verb::Update(args) => update::update(&host, args),
        Verb::ClientFlags(args) => client_flags::client_flags(&args),
        Verb::Bench(args) => bench::bench(&host, args),
        Verb::Selftest => {
            crate::selftest::run()?;
            Ok(Exit::Done)
        }
    }
}

/// Option before environment before file before built-in value.
fn start_log(option: Option<LevelFilter>, file: Option<LevelFilter>, built_in: LevelFilter) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(file.unwrap_or(built_in));
    match (option, std::env::var("UMNET_LOG")) {
        (Some(level), _) => {
            builder.filter_level(level);
        }
        (None, Ok(filter)) => {
            builder.parse_filters(&filter);
        }
        (None, Err(_)) => {}
    }
    // Set already only if somebody embeds us and has a logger of their own.
    let _ = builder.try_init();
}
