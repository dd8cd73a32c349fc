//! The result for a terminal.

use figures::figure;

use super::contender::{BUILT_IN, MEMCPY, MEMCPY_CACHED, QUEUE, RING, UMNET};
use super::report::{CaseReport, Figure, Ratio, Report};
use crate::cli::columns;

const LEGEND: &str = "\
umnet: the shipped driver, from a port that has frames to the device or back, one copy each.
memcpy: the C library copies the same frames between as many slots and buffers (the driver goes
round fewer when it sends large ones); in cache: between one and the same two places. Queue and rings: nanoseconds of these layers alone,
without the copy, device included. Ratios are medians of paired rounds (quartiles behind),
above 1 umnet is faster.";

const RIVALS_LEGEND: &str = "\
Millions of frames a second, medians. Ratios are medians of paired rounds (quartiles behind),
above 1 umnet is faster.";

pub(super) fn draw(report: &Report) -> String {
    let about = &report.circumstances;
    let mut out = format!(
        "revision {}, {}, Linux {}, {} rounds of {} ms\ndevice: {}\n",
        about.revision, about.cpu, about.kernel, about.rounds, about.turn_ms, about.device
    );
    if !about.optimised {
        out += "NOT OPTIMISED: build with --release for figures that mean something\n";
    }
    let rivals = rivals(report);
    if report.measure() != MEMCPY {
        return format!(
            "{out}\n{}\n{RIVALS_LEGEND}\n",
            columns(&beside(report, &rivals))
        );
    }
    let mut rows = vec![heads(&rivals)];
    rows.extend(report.cases.iter().map(|case| row(case, &rivals)));
    format!("{out}\n{}\n{LEGEND}\n", columns(&rows))
}

/// Only umnet and drivers of others.
fn beside(report: &Report, rivals: &[String]) -> Vec<Vec<String>> {
    let rate = |case: &CaseReport, name: &str| {
        let figure_of = |f: &Figure| figure(1e3 / f.ns_per_frame);
        case.figure(name).map_or_else(|| "-".to_owned(), figure_of)
    };
    let mut heads = vec!["FRAMES".to_owned(), UMNET.to_owned()];
    heads.extend(rivals.iter().cloned());
    heads.extend(rivals.iter().map(|name| format!("umnet/{name}")));
    let row = |case: &CaseReport| {
        let mut row = vec![case.label.clone(), rate(case, UMNET)];
        row.extend(rivals.iter().map(|name| rate(case, name)));
        row.extend(rivals.iter().map(|name| against(case, name)));
        row
    };
    let rows = report.cases.iter().map(row);
    std::iter::once(heads).chain(rows).collect()
}

/// Drivers of others that took part.
pub(super) fn rivals(report: &Report) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for figure in report.cases.iter().flat_map(|case| &case.figures) {
        let name = &figure.contender;
        if !BUILT_IN.contains(&name.as_str()) && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn heads(rivals: &[String]) -> Vec<String> {
    let fixed = [
        "FRAMES",
        "ns/frame",
        "Mframes/s",
        "GB/s",
        "/memcpy",
        "",
        "/in cache",
        "QUEUE ns",
        "RINGS ns",
    ];
    let mut heads: Vec<String> = fixed.map(str::to_owned).to_vec();
    heads.extend(rivals.iter().map(|name| format!("/{name}")));
    heads
}

fn row(case: &CaseReport, rivals: &[String]) -> Vec<String> {
    let nanoseconds = |name| case.figure(name).map_or(f64::NAN, |f| f.ns_per_frame);
    let ours = nanoseconds(UMNET);
    let mut row = vec![
        case.label.clone(),
        figure(ours),
        figure(1e3 / ours),
        figure(case.frame_bytes as f64 / ours),
        case.ratio(MEMCPY).map_or_else(String::new, middle),
        case.ratio(MEMCPY).map_or_else(String::new, quartiles),
        case.ratio(MEMCPY_CACHED).map_or_else(String::new, middle),
        figure(nanoseconds(QUEUE)),
        figure(nanoseconds(RING)),
    ];
    row.extend(rivals.iter().map(|name| against(case, name)));
    row
}

fn against(case: &CaseReport, name: &str) -> String {
    match case.ratio(name) {
        Some(ratio) => format!("{} {}", middle(ratio), quartiles(ratio)),
        None => "-".to_owned(),
    }
}

fn middle(ratio: &Ratio) -> String {
    format!("{:.2}", ratio.median)
}

fn quartiles(ratio: &Ratio) -> String {
    format!("({:.2}-{:.2})", ratio.spread.q1, ratio.spread.q3)
}
