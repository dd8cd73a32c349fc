//! The result as a picture: one group of bars per kind of traffic, in units of the kernel's driver.
//!
//! Kinds of traffic have different units, so every bar is drawn relative to the translating kernel
//! of its own group and carries its absolute figure beside it. Whiskers are the quartiles of the
//! paired ratios.

use figures::svg::{FAINT, INK, OTHERS, OURS, document, gridline, rect, text, whisker};

use super::{Driver, Report, Row, figure};

const WIDTH: f64 = 980.0;
/// Where bars begin, and the longest that one may be.
const BARS_LEFT: f64 = 240.0;
const BARS_WIDTH: f64 = 440.0;
const TOP: f64 = 142.0;
const BAR: f64 = 17.0;
const BAR_STEP: f64 = 20.0;
const GROUP_GAP: f64 = 22.0;

pub(super) fn draw(report: &Report) -> String {
    let scale = Scale::fitting(report);
    let mut groups = String::new();
    let mut y = TOP;
    for row in &report.rows {
        y += group(&mut groups, report, row, scale, y) + GROUP_GAP;
    }
    let bottom = y - GROUP_GAP + 8.0;
    let height = bottom + 62.0;
    let content = format!(
        "{}{}{}{groups}",
        heading(report),
        legend(report),
        axis(scale, bottom)
    );
    document(WIDTH, height, &content)
}

/// From a ratio to a length: the axis runs from 0 to a round number beyond the longest bar.
#[derive(Clone, Copy)]
struct Scale {
    max: f64,
    step: f64,
}

impl Scale {
    fn fitting(report: &Report) -> Self {
        let longest = report
            .rows
            .iter()
            .flat_map(|row| reaches(report, row))
            .fold(1.0, f64::max);
        let step = [0.25, 0.5, 1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .find(|step| longest / step <= 8.0)
            .unwrap_or(longest / 8.0);
        Self {
            max: (longest / step).ceil() * step,
            step,
        }
    }

    fn length(self, ratio: f64) -> f64 {
        BARS_WIDTH * (ratio / self.max).clamp(0.0, 1.0)
    }

    fn ticks(self) -> impl Iterator<Item = f64> {
        let count = (self.max / self.step).round() as usize;
        (0..=count).map(move |tick| tick as f64 * self.step)
    }
}

/// How far bars and whiskers of one group go.
fn reaches(report: &Report, row: &Row) -> impl Iterator<Item = f64> {
    let spread = report.spread.get(row.name);
    let upper = move |driver| spread?.relative(driver).map(|spread| spread.q3);
    Driver::ALL
        .into_iter()
        .flat_map(move |driver| [row.relative(driver), upper(driver)])
        .flatten()
}

fn heading(report: &Report) -> String {
    let about = &report.circumstances;
    let processor = if about.is_emulated() {
        format!("{}: only the ratios mean something", report.processor())
    } else {
        report.processor()
    };
    let setting = format!(
        "guest kernel {}, QEMU {}, {} rounds interleaved, medians; revision {}",
        about.guest_kernel, about.qemu, about.rounds, about.revision
    );
    let mut out = String::new();
    let title = match report.has_dpdk() {
        true => "umnet, DPDK and the kernel's virtio_net: frames at the driver, in the same guest",
        false => "umnet and the kernel's virtio_net: the same kind of device, in the same guest",
    };
    text(
        &mut out,
        24.0,
        36.0,
        "id=\"title\" font-size=\"19\" font-weight=\"bold\"",
        title,
    );
    text(
        &mut out,
        24.0,
        60.0,
        &format!("font-size=\"13\" fill=\"{INK}\""),
        &processor,
    );
    text(
        &mut out,
        24.0,
        79.0,
        &format!("font-size=\"12\" fill=\"{FAINT}\""),
        &setting,
    );
    out
}

fn legend(report: &Report) -> String {
    let mut out = String::new();
    let mut x = 24.0;
    for driver in report.drivers() {
        rect(&mut out, x, 98.0, 13.0, 13.0, colour(driver));
        text(
            &mut out,
            x + 19.0,
            109.0,
            "font-size=\"12\"",
            driver.label(),
        );
        x += 46.0 + 7.2 * driver.label().len() as f64;
    }
    out
}

fn colour(driver: Driver) -> &'static str {
    match driver {
        Driver::Kernel => OTHERS[0],
        Driver::KernelPt => OTHERS[1],
        Driver::Umnet => OURS,
        Driver::Dpdk => OTHERS[2],
    }
}

fn axis(scale: Scale, bottom: f64) -> String {
    let mut out = String::new();
    for tick in scale.ticks() {
        let x = BARS_LEFT + scale.length(tick);
        gridline(&mut out, x, TOP - 12.0, bottom, tick == 1.0);
        let attributes = format!("font-size=\"11\" text-anchor=\"middle\" fill=\"{FAINT}\"");
        text(&mut out, x, bottom + 16.0, &attributes, &format!("{tick}×"));
    }
    let attributes = format!("font-size=\"12\" text-anchor=\"middle\" fill=\"{FAINT}\"");
    let title = "times the kernel's virtio_net with the IOMMU translating (longer is better; whiskers: \
                 quartiles of paired ratios)";
    text(
        &mut out,
        (WIDTH - 24.0) / 2.0,
        bottom + 38.0,
        &attributes,
        title,
    );
    out
}

/// Draws the bars of one kind of traffic; answers their height.
fn group(out: &mut String, report: &Report, row: &Row, scale: Scale, top: f64) -> f64 {
    let drivers = Driver::ALL
        .into_iter()
        .filter(|driver| row.relative(*driver).is_some());
    let mut y = top;
    for driver in drivers {
        bar(out, report, row, driver, scale, y);
        y += BAR_STEP;
    }
    let middle = (top + y) / 2.0;
    text(
        out,
        24.0,
        middle - 3.0,
        "font-size=\"13\" font-weight=\"bold\"",
        row.label,
    );
    let attributes = format!("font-size=\"11\" fill=\"{FAINT}\"");
    text(
        out,
        24.0,
        middle + 13.0,
        &attributes,
        unit_in_words(row.unit),
    );
    y - top
}

fn bar(out: &mut String, report: &Report, row: &Row, driver: Driver, scale: Scale, y: f64) {
    let length = row
        .relative(driver)
        .map_or(0.0, |ratio| scale.length(ratio));
    rect(out, BARS_LEFT, y, length, BAR, colour(driver));
    let spread = report
        .spread
        .get(row.name)
        .and_then(|spread| spread.relative(driver));
    let mut end = BARS_LEFT + length;
    if let Some(spread) = spread.filter(|spread| spread.count > 1) {
        let (from, to) = (
            BARS_LEFT + scale.length(spread.q1),
            BARS_LEFT + scale.length(spread.q3),
        );
        whisker(
            out,
            from,
            to,
            y + BAR / 2.0,
            "quartiles of the paired ratios",
        );
        end = end.max(to);
    }
    let weight = if driver == Driver::Umnet {
        "bold"
    } else {
        "normal"
    };
    // The white outline keeps the axis's lines from crossing letters.
    let attributes = format!(
        "font-size=\"12\" font-weight=\"{weight}\" paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"4\""
    );
    text(
        out,
        end + 8.0,
        y + 13.0,
        &attributes,
        &bar_label(row, driver),
    );
}

/// The figure; for the others than the kernel first the ratio, which is what counts.
fn bar_label(row: &Row, driver: Driver) -> String {
    let value = row.value(driver).map(figure).unwrap_or_default();
    let value = format!("{value} {}", row.unit);
    match (driver, row.relative(driver), row.ratio_pt) {
        (Driver::Kernel, ..) | (_, None, _) => value,
        (Driver::Umnet, Some(ratio), Some(ratio_pt)) => {
            let dpdk = row.ratio_dpdk.map(|ratio| format!(", {ratio:.2}× DPDK"));
            let dpdk = dpdk.unwrap_or_default();
            format!("{ratio:.2}×  ({value}; {ratio_pt:.2}× passthrough{dpdk})")
        }
        (_, Some(ratio), _) => format!("{ratio:.2}×  ({value})"),
    }
}

fn unit_in_words(unit: &'static str) -> &'static str {
    match unit {
        "Mb/s" => "megabits per second",
        "kpps" => "thousand packets per second",
        "/s" => "transactions per second",
        other => other,
    }
}
