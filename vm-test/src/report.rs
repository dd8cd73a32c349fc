//! What a measurement found: medians, paired ratios and their spread, as a table, JSON and a picture.
//!
//! Drivers are measured in turn, over and over, so that each *trip* holds one figure per driver
//! taken within seconds of each other. On a busy machine figures wander by tens of per cent while
//! the ratio inside one trip hardly moves: what is quoted is the median of those ratios, not the
//! ratio of the medians. Nothing in here measures or waits.

mod file;
mod row;
mod series;
mod svg;
mod table;

use std::collections::BTreeMap;

use serde::Serialize;

pub use figures::{Spread, figure, median};
pub use file::write;
pub use row::{Row, RowSpread};
pub use series::{Driver, Metric, Series, Trip, rotated};

/// Where and how it was measured. Figures without these mean nothing.
#[derive(Clone, Debug, Serialize)]
pub struct Circumstances {
    /// Of the source tree, with `-dirty` when it was changed.
    pub revision: String,
    /// `uname -r` of the guest.
    pub guest_kernel: String,
    /// QEMU's version.
    pub qemu: String,
    /// `kvm` or `tcg`.
    pub acceleration: String,
    /// True if guest time counted instructions (QEMU's `-icount`).
    pub icount: bool,
    /// Times around.
    pub rounds: usize,
    /// Everything else worth knowing, by name: options, IOMMU types read back, offered rates.
    pub details: BTreeMap<String, String>,
}

impl Circumstances {
    /// True if the guest's processor was emulated, which a reader has to be told.
    pub fn is_emulated(&self) -> bool {
        self.acceleration == "tcg"
    }
}

/// Everything a run found, ready to be shown.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    schema: u32,
    #[serde(flatten)]
    circumstances: Circumstances,
    rows: Vec<Row>,
    spread: BTreeMap<&'static str, RowSpread>,
}

impl Report {
    /// Condenses the trips. Kinds of traffic without any figure are left out.
    pub fn new(circumstances: Circumstances, series: &[Series]) -> Self {
        let measured = || {
            series
                .iter()
                .filter(|series| series.trips.iter().any(|trip| !trip.is_empty()))
        };
        Self {
            schema: 1,
            circumstances,
            rows: measured().map(Row::of).collect(),
            spread: measured()
                .map(|series| (series.metric.name, RowSpread::of(series)))
                .collect(),
        }
    }

    /// One row per kind of traffic, in the order given.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// For a terminal.
    pub fn to_table(&self) -> String {
        table::draw(self)
    }

    /// For programs, indented.
    ///
    /// # Errors
    /// Only if a figure is not a number that JSON can write.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// A bar chart, as one self-contained SVG document.
    pub fn to_svg(&self) -> String {
        svg::draw(self)
    }

    /// "TCG (emulated processor)" or "KVM", and the clock when it is not an ordinary one.
    fn processor(&self) -> String {
        let processor = match self.circumstances.acceleration.as_str() {
            "tcg" => "TCG (emulated processor)".to_owned(),
            other => other.to_uppercase(),
        };
        if self.circumstances.icount {
            return format!("{processor}, time counted in instructions");
        }
        processor
    }

    /// Those that have a figure of some kind of traffic, in the order of tables and pictures.
    fn drivers(&self) -> Vec<Driver> {
        let measured = |driver: &Driver| self.rows.iter().any(|row| row.value(*driver).is_some());
        Driver::ALL.into_iter().filter(measured).collect()
    }

    /// Whether DPDK took part.
    fn has_dpdk(&self) -> bool {
        self.drivers().contains(&Driver::Dpdk)
    }

    /// The fewest and the most pairs behind any quoted ratio.
    fn pairs(&self) -> Option<(usize, usize)> {
        let counts = || {
            self.spread
                .values()
                .filter_map(|row| row.ratio.map(|ratio| ratio.count))
        };
        Some((counts().min()?, counts().max()?))
    }
}

#[cfg(test)]
mod tests;
