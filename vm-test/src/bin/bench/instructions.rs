//! Where a frame's instructions go in the guest: those of every function of the kernel and of umnet,
//! counted one by one.
//!
//! QEMU loads a plugin (`vm-test/plugin/instructions.c`) that counts how often each block of code
//! ran. What ran while a figure was taken is the difference of two looks at its table. The clock
//! counts instructions too (`--icount`), so that counting slows nothing down for the guest.

mod kinds;
mod symbols;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use vm_test::report::Driver;
use vm_test::{Error, Machine, Result};

use self::kinds::Kind;
pub(crate) use self::symbols::Symbols;
use crate::measure::{Meter, Traffic};

/// What the plugin's table is called in the guest's folder.
const TABLE: &str = "instructions.table";
/// Functions that are shown by name.
const SHOWN: usize = 100;

/// Has the guest's processor counted, and its programs lie where they always lie.
pub(crate) fn counted(machine: Machine) -> Result<Machine> {
    let plugin = build()?;
    let argument = format!("file={},table={TABLE}", plugin.display());
    Ok(machine
        .kernel_args("norandmaps")
        .qemu_arg("-plugin")
        .qemu_arg(argument))
}

fn build() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = here.join("plugin/instructions.c");
    let folder = here.join("../target/plugin");
    std::fs::create_dir_all(&folder).map_err(|source| Error::Io {
        what: format!("making {}", folder.display()),
        source,
    })?;
    let plugin = folder.join("instructions.so");
    let built = Command::new("clang")
        .args([
            "-O2",
            "-Wall",
            "-shared",
            "-fPIC",
            "-fvisibility=hidden",
            "-o",
        ])
        .args([&plugin, &source])
        .status();
    match built {
        Ok(status) if status.success() => Ok(plugin),
        Ok(status) => Err(Error::Command(format!("clang: {status}"))),
        Err(error) => Err(Error::Unavailable(format!("clang: {error}; install clang"))),
    }
}

/// One kind of traffic over one card.
pub(crate) struct Budget {
    traffic: Traffic,
    driver: Driver,
    /// That passed the TAP, both ways.
    frames: f64,
    bytes: f64,
    functions: BTreeMap<(Kind, String), u64>,
}

impl Budget {
    /// Counts while one figure is taken, the figure's warm-up included.
    pub(crate) fn take(
        symbols: &Symbols,
        meter: &Meter,
        traffic: Traffic,
        driver: Driver,
    ) -> Result<Self> {
        let table = meter.bed.vm().qemu_log().with_file_name(TABLE);
        let passed = || Ok::<_, Error>((meter.frames(driver)?, meter.bytes(driver)?));
        let (frames, bytes) = passed()?;
        let before = table::read(&table)?;
        meter.measure(driver, traffic)?;
        let ran = table::read(&table)?.since(&before);
        let (frames_after, bytes_after) = passed()?;
        let mut functions = BTreeMap::new();
        for (block, instructions) in ran {
            let (program, function) = symbols.name(&block);
            let key = (Kind::of(program, &function), function);
            *functions.entry(key).or_default() += instructions;
        }
        Ok(Self {
            traffic,
            driver,
            frames: frames_after - frames,
            bytes: bytes_after - bytes,
            functions,
        })
    }

    /// Small frames count one by one, streams by what a large frame holds: drivers cut them differently.
    fn units(&self) -> f64 {
        match self.traffic {
            Traffic::TcpToGuest | Traffic::TcpFromGuest => self.bytes / 65_536.0,
            _ => self.frames,
        }
    }

    fn of(&self, kind: Kind) -> f64 {
        let functions = self.functions.iter();
        let sum: u64 = functions
            .filter(|((of, _), _)| *of == kind)
            .map(|(_, instructions)| instructions)
            .sum();
        sum as f64 / self.units()
    }

    pub(crate) fn to_json(&self) -> Value {
        let kinds: serde_json::Map<_, _> = Kind::ALL
            .iter()
            .map(|kind| (kind.label().to_owned(), self.of(*kind).into()))
            .collect();
        let functions: Vec<_> = self
            .largest()
            .into_iter()
            .map(|(kind, name, instructions)| json!([kind.label(), name, instructions]))
            .collect();
        json!({
            "traffic": self.traffic.metric().name,
            "driver": self.driver.key(),
            "frames": self.frames,
            "bytes": self.bytes,
            "instructions": kinds,
            "functions": functions,
        })
    }

    /// The functions that take most.
    fn largest(&self) -> Vec<(Kind, &str, f64)> {
        let functions = self.functions.iter();
        let mut all: Vec<_> = functions
            .map(|((kind, name), sum)| (*kind, name.as_str(), *sum as f64 / self.units()))
            .collect();
        all.sort_by(|one, other| other.2.total_cmp(&one.2));
        all.truncate(SHOWN);
        all
    }
}

/// The budgets as lines of text: a row for each kind of instructions, a column for each driver.
pub(crate) fn table(budgets: &[Budget]) -> String {
    let mut text = String::new();
    for of_traffic in budgets.chunk_by(|one, other| one.traffic == other.traffic) {
        let traffic = of_traffic[0].traffic;
        let unit = match traffic {
            Traffic::TcpToGuest | Traffic::TcpFromGuest => "64 KiB",
            _ => "frame",
        };
        text += &format!(
            "\n{}, instructions per {unit}\n{:<44}",
            traffic.metric().label,
            ""
        );
        text.extend(
            of_traffic
                .iter()
                .map(|of| format!("{:>12}", of.driver.key())),
        );
        for kind in Kind::ALL {
            text += &format!("\n{:<44}", kind.label());
            text.extend(of_traffic.iter().map(|of| format!("{:>12.0}", of.of(kind))));
        }
        text += &format!("\n{:<44}", "all");
        let all = |of: &Budget| Kind::ALL.iter().map(|kind| of.of(*kind)).sum::<f64>();
        text.extend(of_traffic.iter().map(|of| format!("{:>12.0}", all(of))));
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_built_from_its_source() {
        let plugin = build().unwrap();
        assert!(std::fs::read(plugin).unwrap().starts_with(b"\x7fELF"));
    }

    #[test]
    fn functions_add_up_to_their_kind_and_streams_count_by_64_kib() {
        let functions = [
            (Kind::Tap, "a", 300),
            (Kind::Tap, "b", 100),
            (Kind::Copy, "c", 50),
        ];
        let functions = functions.map(|(kind, name, sum)| ((kind, name.to_owned()), sum));
        let budget = |traffic| Budget {
            traffic,
            driver: Driver::Umnet,
            frames: 10.0,
            bytes: 2.0 * 65_536.0,
            functions: BTreeMap::from(functions.clone()),
        };
        let small = budget(Traffic::UdpToGuest);
        assert_eq!((small.of(Kind::Tap), small.of(Kind::Copy)), (40.0, 5.0));
        assert_eq!(small.largest()[0], (Kind::Tap, "a", 30.0));
        assert_eq!(budget(Traffic::TcpToGuest).of(Kind::Tap), 200.0);
    }
}
