//! Two reports side by side.

use figures::{Spread, figure};

use super::report::{CaseReport, Report};
use crate::cli::columns;

/// What the two say of one thing.
struct Line {
    case: String,
    what: String,
    a: (f64, Spread),
    b: (f64, Spread),
}

impl Line {
    /// Neither median lies among the other's figures.
    fn differs(&self) -> bool {
        let outside = |median: f64, spread: &Spread| median < spread.min || median > spread.max;
        outside(self.a.0, &self.b.1) && outside(self.b.0, &self.a.1)
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.case.clone(),
            self.what.clone(),
            figure(self.a.0),
            figure(self.b.0),
            format!("{:.2}", self.b.0 / self.a.0),
            if self.differs() { "differs" } else { "" }.to_owned(),
        ]
    }
}

/// Both reports in a table: everything that both have.
pub fn compare(a: &Report, b: &Report) -> String {
    let mut rows = vec![
        ["FRAMES", "WHAT", "A", "B", "B/A", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    let lines: Vec<Line> = a
        .cases
        .iter()
        .filter_map(|case| Some((case, b.cases.iter().find(|other| other.name == case.name)?)))
        .flat_map(|(a, b)| lines(a, b))
        .collect();
    rows.extend(lines.iter().map(Line::row));
    let differing = lines.iter().filter(|line| line.differs()).count();
    format!(
        "A: {}\nB: {}\n\n{}\n{differing} of {} differ: each median lies outside all figures of the \
         other.\nAbsolute figures of different hours or machines say little; the rows \"/ …\" are \
         paired ratios.\n",
        about(a),
        about(b),
        columns(&rows),
        lines.len(),
    )
}

fn about(report: &Report) -> String {
    let about = &report.circumstances;
    format!(
        "revision {}, {} ({}), Linux {}, {} rounds of {} ms",
        about.revision, about.host, about.cpu, about.kernel, about.rounds, about.turn_ms
    )
}

fn lines(a: &CaseReport, b: &CaseReport) -> Vec<Line> {
    let line = |what: String, a_side, b_side| Line {
        case: a.label.clone(),
        what,
        a: a_side,
        b: b_side,
    };
    let figures = a.figures.iter().filter_map(|f| {
        let other = b.figure(&f.contender)?;
        let what = format!("{}, ns/frame", f.contender);
        let theirs = (other.ns_per_frame, other.spread);
        Some(line(what, (f.ns_per_frame, f.spread), theirs))
    });
    let ratios = a.ratios.iter().filter_map(|ratio| {
        let other = b.ratio(&ratio.against)?;
        let what = format!("umnet / {}", ratio.against);
        let theirs = (other.median, other.spread);
        Some(line(what, (ratio.median, ratio.spread), theirs))
    });
    figures.chain(ratios).collect()
}
