//! The clock of the measurements.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Measures processor time of the whole process: one thread works at a time, and whoever waits
/// for it sleeps.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Duration);

impl Stopwatch {
    /// Starts.
    pub fn start() -> Self {
        Self(now())
    }

    /// Processor time used since then.
    pub fn elapsed(self) -> Duration {
        now().saturating_sub(self.0)
    }
}

fn now() -> Duration {
    // This clock is always there; without it all would take no time, which would be noticed.
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Into::into)
}
