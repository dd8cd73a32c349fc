//! What is done to the driver host and its supervisor, and what has to be true afterwards.

mod blows;
mod calm;
mod cost;
mod crash_loop;
mod hangs;

use std::time::Duration;

use serde::Serialize;

pub use blows::{Blow, Blows, blows};
pub use calm::{Calm, calm};
pub use cost::Gap;
pub use crash_loop::{CrashLoop, crash_loop};
pub use hangs::{Hang, Hangs, hangs};

use crate::noise::Noise;
use crate::process::{children, descriptors, resident_kib, wait_until};
use crate::rig::{PATIENCE, Rig};
use crate::{Limits, Load, Result, Traffic};

/// The shortest time between two blows: a host has to have settled.
pub const SETTLED: Duration = Duration::from_millis(600);
/// Up to so much more, for the next moment is not to be foreseen.
const SPREAD: Duration = Duration::from_millis(200);

/// How a campaign is getting on.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is done.
    pub what: &'static str,
    /// How often it was done.
    pub done: u32,
    /// How often it will be done.
    pub of: u32,
    /// Bytes that all streams have received.
    pub bytes: u64,
    /// Since the traffic began.
    pub time: Duration,
}

/// How much is done, under what load, and how long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What passes meanwhile.
    pub load: Load,
    /// How often something is done.
    pub count: u32,
    /// Between one time and the next, at least.
    pub pause: Duration,
    /// How long things may take.
    pub limits: Limits,
}

/// Told how it is getting on.
pub type Watcher<'a> = &'a mut dyn FnMut(Progress);

fn pause(least: Duration, noise: &mut Noise) {
    let more = Duration::from_micros(noise.below(SPREAD.as_micros() as u64));
    std::thread::sleep(least + more);
}

fn tell(watcher: Watcher<'_>, what: &'static str, (done, of): (u32, u32), traffic: &Traffic) {
    watcher(Progress {
        what,
        done,
        of,
        bytes: traffic.bytes(),
        time: traffic.now(),
    });
}

/// What the supervisor holds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Holds {
    /// Its resident memory.
    pub resident_kib: u64,
    /// Its open descriptors.
    pub descriptors: usize,
}

impl Holds {
    /// Of a supervisor that has one host at work and one in reserve.
    fn of(rig: &Rig) -> Result<Self> {
        let pid = rig.supervisor();
        let both = || (children(pid).len() == 2).then_some(());
        wait_until("there is no spare driver host", PATIENCE, both)?;
        Ok(Self {
            resident_kib: resident_kib(pid).unwrap_or_default(),
            descriptors: descriptors(pid).unwrap_or_default(),
        })
    }
}
