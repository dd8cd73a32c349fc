//! Instructions of a frame, counted by callgrind on the shipped binary: unlike seconds they are
//! the same on a busy machine, so a path that grew is seen at once.
//!
//! `make instructions` prints them and writes them down in `instructions.toml` beside this file.
//! Only optimised code is worth counting: without `--release` there is nothing here.
#![cfg(not(debug_assertions))]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, thread};

/// More than this beyond what is written down is a failure.
const TOLERANCE: f64 = 0.03;
/// Two runs whose difference leaves out start and end.
const FEW: u64 = 4_000;
const MANY: u64 = 20_000;

const CASES: [&str; 4] = ["rx-64", "rx-1518", "tx-64", "tx-1518"];
const CONTENDERS: [&str; 3] = ["queue", "ring", "umnet"];

fn recorded_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/instructions.toml")
}

/// Instructions of one run, or why they cannot be counted.
fn count(case: &str, contender: &str, frames: u64) -> Result<u64, String> {
    let frames = frames.to_string();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env!("CARGO_BIN_EXE_umnet"))
        .args(["bench", "once", case, contender, "--frames", &frames])
        // The C library's copy in the variant that every x86-64 processor has.
        .env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1048576:glibc.cpu.hwcaps=-AVX2_Usable,-AVX2,-AVX512F,-AVX512VL,-ERMS,-AVX_Fast_Unaligned_Load")
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case} {contender}: {text}");
    let total = text
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    total.ok_or_else(|| format!("valgrind counted nothing: {text}"))
}

fn per_frame(case: &str, contender: &str) -> Result<f64, String> {
    let (few, many) = thread::scope(|scope| {
        let few = scope.spawn(|| count(case, contender, FEW));
        let many = count(case, contender, MANY);
        (few.join().expect("it does not panic alone"), many)
    });
    Ok((many? as f64 - few? as f64) / (MANY - FEW) as f64)
}

fn measure() -> Result<BTreeMap<String, f64>, String> {
    let mut figures = BTreeMap::new();
    for contender in CONTENDERS {
        for case in CASES {
            let figure = (per_frame(case, contender)? * 10.0).round() / 10.0;
            println!("{contender:>6} {case:<8} {figure:>7.1} instructions per frame");
            figures.insert(format!("{contender}-{case}"), figure);
        }
    }
    Ok(figures)
}

fn write_down(figures: &BTreeMap<String, f64>) {
    let mut text = "# Instructions per frame; written by `make instructions`, checked by \
                    instructions.rs.\n"
        .to_owned();
    for (name, figure) in figures {
        text += &format!("{name} = {figure:.1}\n");
    }
    fs::write(recorded_file(), text).unwrap();
}

#[test]
fn no_frame_costs_more_instructions_than_are_written_down() {
    let figures = match measure() {
        Ok(figures) => figures,
        Err(why) => return println!("SKIP {why}"),
    };
    if env::var_os("UMNET_WRITE_INSTRUCTIONS").is_some() {
        return write_down(&figures);
    }
    let text = fs::read_to_string(recorded_file()).expect("make instructions writes the file");
    let recorded: BTreeMap<String, f64> = toml::from_str(&text).unwrap();
    assert!(
        recorded.keys().eq(figures.keys()),
        "other paths are written down: run make instructions"
    );
    let grown: Vec<String> = figures
        .iter()
        .filter(|&(name, &now)| now > recorded[name] * (1.0 + TOLERANCE))
        .map(|(name, now)| format!("{name}: {now} where {} are written down", recorded[name]))
        .collect();
    assert!(
        grown.is_empty(),
        "a frame costs more than it did:\n  {}\nIf that is worth it: make instructions",
        grown.join("\n  ")
    );
    for (name, &now) in &figures {
        if now < recorded[name] * (1.0 - TOLERANCE) {
            println!(
                "{name}: {now} where {} are written down; make instructions keeps the gain",
                recorded[name]
            );
        }
    }
}
