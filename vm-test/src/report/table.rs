//! The result as lines of text.

use super::{Driver, Report, Row, RowSpread, Spread, figure};

const LABEL: usize = 26;
const UNIT: usize = 5;
const COLUMN: usize = 11;

pub(super) fn draw(report: &Report) -> String {
    let mut lines = vec![head(), rule()];
    for row in &report.rows {
        lines.push(line(row, report.spread.get(row.name)));
    }
    lines.push(rule());
    lines.extend(notes(report));
    lines.join("\n") + "\n"
}

fn head() -> String {
    let columns = ["kernel", "kernel pt", "umnet", "ratio", "ratio pt"];
    let columns: String = columns
        .iter()
        .map(|name| format!("{name:>COLUMN$}"))
        .collect();
    format!("{:<LABEL$} {:<UNIT$}{columns}   ratio's quartiles", "", "")
}

fn rule() -> String {
    "-".repeat(head().len())
}

fn line(row: &Row, spread: Option<&RowSpread>) -> String {
    let figures: String = Driver::ALL
        .map(|driver| row.value(driver).map(figure))
        .into_iter()
        .chain([row.ratio, row.ratio_pt].map(|ratio| ratio.map(times)))
        .map(|cell| format!("{:>COLUMN$}", cell.unwrap_or_else(|| "-".to_owned())))
        .collect();
    let quartiles = spread
        .and_then(|spread| spread.ratio)
        .map(quartiles)
        .unwrap_or_default();
    let line = format!(
        "{:<LABEL$} {:<UNIT$}{figures}   {quartiles}",
        row.label, row.unit
    );
    line.trim_end().to_owned()
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}x")
}

fn quartiles(spread: Spread) -> String {
    format!("{:.2} .. {:.2}", spread.q1, spread.q3)
}

fn notes(report: &Report) -> Vec<String> {
    let about = &report.circumstances;
    let mut notes = vec![format!(
        "guest kernel {}, QEMU {}, {}; revision {}",
        about.guest_kernel,
        about.qemu,
        report.processor(),
        about.revision
    )];
    if about.is_emulated() {
        notes.push("Figures under TCG say nothing by themselves; only the ratios do.".to_owned());
    }
    notes.push(match report.pairs() {
        Some((fewest, most)) if fewest == most => {
            format!("Medians; ratios are medians of {fewest} paired ratios.")
        }
        Some((fewest, most)) => {
            format!("Medians; ratios are medians of {fewest} to {most} paired ratios.")
        }
        None => "Medians; umnet was not measured.".to_owned(),
    });
    notes
}
