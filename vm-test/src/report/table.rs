//! The result as lines of text.

use super::{Driver, Report, Row, RowSpread, Spread, figure};

const LABEL: usize = 26;
const UNIT: usize = 5;
const COLUMN: usize = 11;

pub(super) fn draw(report: &Report) -> String {
    let dpdk = report.has_dpdk();
    let head = head(dpdk);
    let rule = "-".repeat(head.len());
    let mut lines = vec![head, rule.clone()];
    for row in &report.rows {
        lines.push(line(row, report.spread.get(row.name), dpdk));
    }
    lines.push(rule);
    lines.extend(notes(report));
    lines.join("\n") + "\n"
}

fn head(dpdk: bool) -> String {
    let columns = match dpdk {
        true => &[
            "kernel",
            "kernel pt",
            "umnet",
            "DPDK",
            "ratio",
            "ratio pt",
            "ratio DPDK",
        ][..],
        false => &["kernel", "kernel pt", "umnet", "ratio", "ratio pt"],
    };
    let columns: String = columns
        .iter()
        .map(|name| format!("{name:>COLUMN$}"))
        .collect();
    let quartiles = match dpdk {
        true => "quartiles of ratio, ratio DPDK",
        false => "ratio's quartiles",
    };
    format!("{:<LABEL$} {:<UNIT$}{columns}   {quartiles}", "", "")
}

fn line(row: &Row, spread: Option<&RowSpread>, dpdk: bool) -> String {
    let shown = |driver: &Driver| dpdk || *driver != Driver::Dpdk;
    let ratios = [row.ratio, row.ratio_pt, row.ratio_dpdk];
    let figures: String = Driver::ALL
        .into_iter()
        .filter(shown)
        .map(|driver| row.value(driver).map(figure))
        .chain(
            ratios
                .into_iter()
                .take(2 + usize::from(dpdk))
                .map(|ratio| ratio.map(times)),
        )
        .map(|cell| format!("{:>COLUMN$}", cell.unwrap_or_else(|| "-".to_owned())))
        .collect();
    let spreads = spread.map_or([None, None], |spread| [spread.ratio, spread.ratio_dpdk]);
    let quartiles: Vec<String> = spreads.into_iter().flatten().map(quartiles).collect();
    let quartiles = quartiles.join(", ");
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
