//! What came of a run: as JSON, as text, and the gaps as a picture.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::campaign::{Blow, Blows, Calm, CrashLoop, Hangs};
use crate::svg;
use crate::verdict::Check;

const SCHEMA: u32 = 2;

/// Where it was measured. Figures without this mean nothing.
#[derive(Clone, Debug, Serialize)]
pub struct Circumstances {
    /// Of the source tree.
    pub revision: String,
    /// `uname -r`.
    pub kernel: String,
    /// Processors.
    pub processors: usize,
    /// How many wanted one in the last minute before the end.
    pub load: String,
    /// How this was called.
    pub command: String,
}

impl Circumstances {
    /// Here and now.
    #[must_use]
    pub fn here() -> Self {
        let said = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            let text =
                output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
            text.unwrap_or_default()
        };
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Self {
            revision: said("git", &["describe", "--always", "--dirty"]),
            kernel: said("uname", &["-r"]),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
            command: format!("kills {}", arguments.join(" ")),
        }
    }
}

/// Everything that came of a run; what was not done is left out.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    schema: u32,
    circumstances: Option<Circumstances>,
    /// The load in peace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calm: Option<Calm>,
    /// The load under kills and replacements.
    pub blows: Vec<Blows>,
    /// Hosts that hang.
    pub hangs: Vec<Hangs>,
    /// Hosts that die as soon as they are up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_loop: Option<CrashLoop>,
}

impl Report {
    /// Everything that has to be true.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        let calm = self.calm.iter().flat_map(|calm| &calm.checks);
        let blows = self.blows.iter().flat_map(|blows| &blows.checks);
        let hangs = self.hangs.iter().flat_map(|hangs| &hangs.checks);
        let crash_loop = self.crash_loop.iter().flat_map(|found| &found.checks);
        calm.chain(blows).chain(hangs).chain(crash_loop)
    }

    /// Whether all of it is.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.checks().all(|check| check.passed)
    }

    /// As a table.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let width = self
            .checks()
            .map(|check| check.what.len())
            .max()
            .unwrap_or_default();
        for check in self.checks() {
            let mark = if check.passed { "  " } else { "! " };
            let Check {
                what, asked, found, ..
            } = check;
            // Writing to a string does not fail.
            let _ = writeln!(text, "{mark}{what:<width$}  {asked:<24}  {found}");
        }
        text
    }

    /// Writes `kills.json`, `kills.txt` and `kills.svg` into `folder`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&mut self, folder: &Path) -> io::Result<()> {
        self.schema = SCHEMA;
        self.circumstances = Some(Circumstances::here());
        fs::create_dir_all(folder)?;
        let json = serde_json::to_string_pretty(&self)?;
        fs::write(folder.join("kills.json"), json + "\n")?;
        fs::write(folder.join("kills.txt"), self.text())?;
        match self.blows.iter().find(|blows| blows.kind == Blow::Kill) {
            Some(kills) => fs::write(folder.join("kills.svg"), svg::draw(&kills.each)),
            None => Ok(()),
        }
    }
}
