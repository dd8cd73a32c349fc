//! `umnet update`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::status::the_one;
use super::{Failure, output};
use crate::control::{self, UpdateRequest};
use crate::exit::Exit;
use crate::host::{DeviceSpec, Host};

pub(super) const EXAMPLES: &str = "\
The interface, its addresses and every connection stay; frames wait while hosts change places. A
program that does not get ready leaves the old one in place.

Examples:
  sudo umnet update                             the program that is installed now
  sudo umnet update eth1 --binary ./umnet       another one
  sudo umnet update --supervisor                the supervisor, in place; the driver host goes on";

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// The device; may be left out where umnet drives one
    device: Option<DeviceSpec>,
    /// The program to run from now on, instead of what is installed where the present one was
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Restart the supervisor and leave the driver host alone
    #[arg(long)]
    supervisor: bool,
}

/// How long a new supervisor may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(50);

pub(super) fn update(host: &Host, args: UpdateArgs) -> Result<Exit, Failure> {
    let (device, stem) = the_one(host, args.device)?;
    let binary = args
        .binary
        .map(|path| std::path::absolute(&path).unwrap_or(path));
    let before = control::status(host, &device, &stem)?;
    let request = UpdateRequest {
        binary,
        supervisor: args.supervisor,
    };
    let mut told = control::update(host, &device, &stem, request)?;
    if args.supervisor {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match control::status(host, &device, &stem) {
                Ok(now) if now.supervisor_restarts > before.supervisor_restarts => {
                    told = format!("supervisor {}, umnet {}", now.pid, now.version);
                    break;
                }
                // It is between two lives.
                Ok(_) | Err(_) if Instant::now() < deadline => std::thread::sleep(STEP),
                Ok(_) => return Err(control::ControlError::Refused(told).into()),
                Err(error) => return Err(error.into()),
            }
        }
    }
    output::text(&format!("{}: {told}\n", before.device))?;
    Ok(Exit::Done)
}
