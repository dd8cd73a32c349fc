//! Where it was measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where and how it was measured. Figures without these mean nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Of the source tree in the folder it was measured from, with `-dirty` when it was
    /// changed.
    pub revision: String,
    /// Of the program.
    pub version: String,
    /// The machine's name.
    pub host: String,
    /// Its kernel.
    pub kernel: String,
    /// Its processor.
    pub cpu: String,
    /// Processors that can be used.
    pub processors: usize,
    /// Whether this is an optimised build.
    pub optimised: bool,
    /// Turns of each contender.
    pub rounds: usize,
    /// Milliseconds of a turn, about.
    pub turn_ms: u64,
    /// What the device in the measurement does.
    pub device: String,
    /// Everything else worth knowing, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

impl Circumstances {
    /// What this machine says of itself, for so many turns of each contender, each of about that
    /// length, against such a device.
    pub fn of_this_machine(rounds: usize, turn: Duration, device: &str) -> Self {
        Self {
            revision: figures::revision(Path::new(".")),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: read("/proc/sys/kernel/hostname"),
            kernel: read("/proc/sys/kernel/osrelease"),
            cpu: cpu(),
            processors: std::thread::available_parallelism().map_or(1, Into::into),
            optimised: !cfg!(debug_assertions),
            rounds,
            turn_ms: turn.as_millis() as u64,
            device: device.to_owned(),
            details: BTreeMap::new(),
        }
    }
}

fn read(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|_| "unknown".to_owned());
    text.trim().to_owned()
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    name.unwrap_or_else(|| "unknown".to_owned())
}
