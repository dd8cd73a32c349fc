//! `umnet bench` as its user meets it: it measures something that works, says what, and compares.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn umnet(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_umnet"))
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The shortest measurement there is, of two kinds of traffic, as JSON.
fn short(folder: &Path) -> Value {
    let folder = folder.to_str().unwrap();
    let output = umnet(&[
        "bench", "--rounds", "5", "--turn", "1", "--only", "rx-1518", "--only", "tx-64", "--json",
        "--output", folder,
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_kind_of_traffic_passes_every_contender_unchanged() {
    // The contenders compare what arrives before they are timed.
    let kinds = [
        "rx-64", "rx-1518", "rx-65536", "tx-64", "tx-1518", "tx-65536",
    ];
    for kind in kinds {
        let output = umnet(&[
            "bench", "--rounds", "1", "--turn", "1", "--only", kind, "--json",
        ]);
        assert!(output.status.success(), "{kind}: {}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let figures = report["cases"][0]["figures"].as_array().unwrap();
        assert_eq!(figures.len(), 5, "{kind}: {figures:?}");
        for figure in figures {
            assert!(
                figure["ns_per_frame"].as_f64().unwrap() > 0.0,
                "{kind}: {figure}"
            );
        }
    }
}

#[test]
fn the_report_says_where_and_how_and_has_paired_ratios() {
    let folder = tempfile::tempdir().unwrap();
    let report = short(folder.path());
    assert_eq!(report["schema"], 1);
    for key in ["revision", "host", "kernel", "cpu", "device"] {
        let value = report["circumstances"][key].as_str().unwrap();
        assert!(!value.is_empty(), "{key}");
    }
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    for case in cases {
        let ratio = &case["ratios"][0];
        assert_eq!(ratio["against"], "memcpy");
        assert_eq!(ratio["spread"]["count"], 5);
    }
    let written = std::fs::read(folder.path().join("native.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), report);
    let svg = std::fs::read_to_string(folder.path().join("native.svg")).unwrap();
    for words in ["<svg", "memcpy", "1518 B received", "64 B sent"] {
        assert!(svg.contains(words), "{words}");
    }
}

#[test]
fn compare_marks_what_lies_outside_the_spread_and_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = short(folder.path());
    let a = folder.path().join("native.json");
    let b = folder.path().join("slower.json");
    for figure in report["cases"][0]["figures"].as_array_mut().unwrap() {
        if figure["contender"] == "umnet" {
            figure["ns_per_frame"] = (figure["ns_per_frame"].as_f64().unwrap() * 3.0).into();
            for end in ["min", "q1", "q3", "max"] {
                let slower = figure["spread"][end].as_f64().unwrap() * 300.0;
                figure["spread"][end] = slower.into();
            }
            figure["ns_per_frame"] = figure["spread"]["q1"].clone();
        }
    }
    std::fs::write(&b, report.to_string()).unwrap();
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let same = text(&umnet(&["bench", "compare", a, a]).stdout);
    assert!(!same.contains("differs"), "{same}");
    assert!(same.contains("1.00"), "{same}");
    let other = text(&umnet(&["bench", "compare", a, b]).stdout);
    let marked: Vec<&str> = other
        .lines()
        .filter(|line| line.ends_with("differs"))
        .collect();
    assert_eq!(marked.len(), 1, "{other}");
    assert!(marked[0].contains("umnet, ns/frame"), "{other}");
}

#[test]
fn several_pairs_are_timed_against_one() {
    let output = umnet(&["bench", "queues", "--rounds", "3", "--turn", "2"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    let rows: Vec<&str> = table.lines().skip(1).collect();
    assert_eq!(rows.len(), 6, "{table}");
    for row in rows {
        let figures: Vec<f64> = row
            .split_whitespace()
            .filter_map(|w| w.parse().ok())
            .collect();
        assert!(figures[1..].iter().all(|&figure| figure > 0.0), "{row}");
    }
}

#[test]
fn what_cannot_be_measured_or_compared_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.json");
    std::fs::write(&other, "{\"schema\": 1, \"rows\": []}").unwrap();
    let other = other.to_str().unwrap();
    let refused: [(&[&str], i32, &str); 4] = [
        (&["bench", "--only", "rx-65"], 2, "rx-1518"),
        (&["bench", "--rounds", "0"], 2, "1..=1000"),
        (&["bench", "once", "rx-64", "nobody"], 2, "memcpy"),
        (&["bench", "compare", other, other], 1, "not a report"),
    ];
    for (args, code, words) in refused {
        let output = umnet(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
}
