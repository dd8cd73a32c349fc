//! The result as a picture: how close the driver comes to copying every byte once.

use figures::figure;
use figures::svg::{FAINT, OTHERS, OURS, document, gridline, rect, text, whisker};

use super::contender::{MEMCPY, UMNET};
use super::report::{CaseReport, Figure, Report};
use super::table::rivals;

const WIDTH: f64 = 950.0;
const LEFT: f64 = 170.0;
const BARS: f64 = 430.0;
const TOP: f64 = 132.0;
const BAR: f64 = 17.0;
const STEP: f64 = 20.0;
const GAP: f64 = 20.0;

pub(super) fn draw(report: &Report) -> String {
    let lanes = lanes(report);
    let mut bars = String::new();
    let mut y = TOP;
    for case in &report.cases {
        y = group(&mut bars, case, &lanes, y) + GAP;
    }
    let bottom = y - GAP + 6.0;
    let content = heading(report) + &legend(&lanes) + &axis(report.measure(), bottom) + &bars;
    document(WIDTH, bottom + 54.0, &content)
}

fn heading(report: &Report) -> String {
    let about = &report.circumstances;
    let mut out = String::new();
    let measure = report.measure();
    let title =
        format!("umnet: bytes per second, with {measure} of the same frames as the measure");
    let bold = "id=\"title\" font-size=\"18\" font-weight=\"bold\"";
    text(&mut out, 24.0, 34.0, bold, &title);
    let faint = format!("font-size=\"12\" fill=\"{FAINT}\"");
    let device = match measure {
        MEMCPY => "the device only moves indices",
        _ => &about.device,
    };
    let path =
        format!("Through rings, system buffers, one copy and the virtqueue; {device}. No guest.");
    text(&mut out, 24.0, 56.0, &faint, &path);
    let setting = format!(
        "{}, Linux {}, {} rounds interleaved, medians; revision {}",
        about.cpu, about.kernel, about.rounds, about.revision
    );
    text(&mut out, 24.0, 74.0, &faint, &setting);
    out
}

/// Who is drawn in which colour: the measure, ourselves, others.
fn lanes(report: &Report) -> Vec<(String, &'static str)> {
    let measure = report.measure();
    let others = rivals(report).into_iter().filter(|name| name != measure);
    let mut lanes = vec![(measure.to_owned(), OTHERS[0]), (UMNET.to_owned(), OURS)];
    lanes.extend(others.map(|name| (name, OTHERS[2])));
    lanes
}

fn legend(lanes: &[(String, &str)]) -> String {
    let mut out = String::new();
    let mut x = 24.0;
    for (name, colour) in lanes {
        rect(&mut out, x, 90.0, 13.0, 13.0, colour);
        let words = match name.as_str() {
            MEMCPY => "memcpy alone: the limit of a driver that copies once",
            other => other,
        };
        text(&mut out, x + 19.0, 101.0, "font-size=\"12\"", words);
        x += 46.0 + 7.0 * words.len() as f64;
    }
    out
}

fn length(share: f64) -> f64 {
    BARS * share.clamp(0.0, 1.15)
}

fn axis(measure: &str, bottom: f64) -> String {
    let mut out = String::new();
    let attributes = format!("font-size=\"11\" text-anchor=\"middle\" fill=\"{FAINT}\"");
    for percent in [0, 25, 50, 75, 100] {
        let x = LEFT + length(f64::from(percent) / 100.0);
        gridline(&mut out, x, TOP - 10.0, bottom, percent == 100);
        text(
            &mut out,
            x,
            bottom + 15.0,
            &attributes,
            &format!("{percent} %"),
        );
    }
    let words = format!(
        "of {measure}'s bytes per second (longer is better; whiskers: quartiles of paired rounds)"
    );
    text(
        &mut out,
        LEFT + BARS / 2.0,
        bottom + 36.0,
        &attributes,
        &words,
    );
    out
}

/// Draws one kind of traffic and answers where it ends.
fn group(out: &mut String, case: &CaseReport, lanes: &[(String, &str)], top: f64) -> f64 {
    let mut y = top;
    let measure = lanes[0].0.as_str();
    for (name, colour) in lanes {
        if let Some(figure) = case.figure(name) {
            bar(out, case, (measure, figure), colour, y);
            y += STEP;
        }
    }
    let middle = (top + y) / 2.0;
    let bold = "font-size=\"13\" font-weight=\"bold\"";
    text(out, 24.0, middle + 3.0, bold, &case.label);
    y
}

fn bar(
    out: &mut String,
    case: &CaseReport,
    (measure, shown): (&str, &Figure),
    colour: &str,
    y: f64,
) {
    let Some(limit) = case.figure(measure) else {
        return;
    };
    let share = match (shown.contender.as_str(), case.ratio(measure)) {
        (UMNET, Some(ratio)) => ratio.median,
        _ => limit.ns_per_frame / shown.ns_per_frame,
    };
    rect(out, LEFT, y, length(share), BAR, colour);
    let mut end = LEFT + length(share);
    if let (UMNET, Some(ratio)) = (shown.contender.as_str(), case.ratio(measure)) {
        let (from, to) = (length(ratio.spread.q1), length(ratio.spread.q3));
        let title = "quartiles of the paired ratios";
        whisker(out, LEFT + from, LEFT + to, y + BAR / 2.0, title);
        end = end.max(LEFT + to);
    }
    let words = format!(
        "{:.0} %   {} GB/s, {} ns a frame",
        share * 100.0,
        figure(shown.gigabytes_per_second(case.frame_bytes)),
        figure(shown.ns_per_frame)
    );
    let outlined = "font-size=\"12\" paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"4\"";
    text(out, end + 8.0, y + 13.0, outlined, &words);
}
