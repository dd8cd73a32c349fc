//! What was found: medians, paired ratios and their spread.

use std::fs;
use std::path::Path;

use figures::{Spread, median};
use serde::{Deserialize, Serialize};

use super::case::Case;
use super::circumstances::Circumstances;
use super::contender::{MEMCPY, UMNET};
use super::{BenchError, chart, table};

/// Version of the JSON.
const SCHEMA: u32 = 1;
/// What tells these reports from others.
const KIND: &str = "umnet-bench";

/// Everything that a run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    schema: u32,
    kind: String,
    /// Where and how.
    pub circumstances: Circumstances,
    /// One of each kind of traffic.
    pub cases: Vec<CaseReport>,
}

/// One kind of traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseReport {
    /// Such as `rx-1518`.
    pub name: String,
    /// Such as `1518 B received`.
    pub label: String,
    /// Bytes of a frame.
    pub frame_bytes: usize,
    /// One of each contender.
    pub figures: Vec<Figure>,
    /// umnet's bytes per second over those of others that move the same bytes.
    pub ratios: Vec<Ratio>,
}

/// What one contender showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name.
    pub contender: String,
    /// Median.
    pub ns_per_frame: f64,
    /// Of the nanoseconds per frame of each turn.
    pub spread: Spread,
}

/// How umnet compares with another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The other's name.
    pub against: String,
    /// Median of the ratios of each round; above 1, umnet is faster.
    pub median: f64,
    /// Of those ratios.
    pub spread: Spread,
}

impl CaseReport {
    /// Condenses the nanoseconds per frame of each contender, one of each turn.
    pub fn new(case: Case, lanes: &[(&str, Vec<f64>)]) -> Self {
        let ours = lanes.iter().find(|(name, _)| *name == UMNET);
        let ours = ours.map_or(&[][..], |(_, figures)| figures);
        let moves_bytes = |name: &str| name.starts_with(MEMCPY) || !is_built_in(name);
        Self {
            name: case.to_string(),
            label: case.label(),
            frame_bytes: case.len,
            figures: lanes
                .iter()
                .filter_map(|(name, figures)| Figure::new(name, figures))
                .collect(),
            ratios: lanes
                .iter()
                .filter(|(name, _)| moves_bytes(name))
                .filter_map(|(name, theirs)| Ratio::new(name, theirs, ours))
                .collect(),
        }
    }

    /// What a contender showed, if it took part.
    pub fn figure(&self, contender: &str) -> Option<&Figure> {
        self.figures.iter().find(|f| f.contender == contender)
    }

    /// How umnet compares with another, if that took part.
    pub fn ratio(&self, against: &str) -> Option<&Ratio> {
        self.ratios.iter().find(|ratio| ratio.against == against)
    }
}

fn is_built_in(name: &str) -> bool {
    super::contender::BUILT_IN.contains(&name)
}

impl Figure {
    fn new(contender: &str, figures: &[f64]) -> Option<Self> {
        Some(Self {
            contender: contender.to_owned(),
            ns_per_frame: median(figures)?,
            spread: Spread::of(figures)?,
        })
    }

    /// Bytes per nanosecond, which are gigabytes per second.
    pub fn gigabytes_per_second(&self, frame_bytes: usize) -> f64 {
        frame_bytes as f64 / self.ns_per_frame
    }
}

impl Ratio {
    fn new(against: &str, theirs: &[f64], ours: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = theirs.iter().zip(ours).map(|(b, a)| b / a).collect();
        Some(Self {
            against: against.to_owned(),
            median: median(&ratios)?,
            spread: Spread::of(&ratios)?,
        })
    }
}

impl Report {
    /// What was found, and where.
    pub fn new(circumstances: Circumstances, cases: Vec<CaseReport>) -> Self {
        Self {
            schema: SCHEMA,
            kind: KIND.to_owned(),
            circumstances,
            cases,
        }
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// [`BenchError::File`] when it is none, or of another schema.
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        let failed = |reason: String| BenchError::File {
            path: path.to_owned(),
            reason,
        };
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let report: Self = serde_json::from_str(&text)
            .map_err(|error| failed(format!("not a report of `umnet bench`: {error}")))?;
        if report.kind != KIND || report.schema != SCHEMA {
            let (kind, schema) = (&report.kind, report.schema);
            return Err(failed(format!(
                "a report of kind '{kind}' and schema {schema}, where {KIND} and {SCHEMA} are read"
            )));
        }
        Ok(report)
    }

    /// Whose bytes per second are the measure of the others': the plain copy's, or where there is
    /// none those of the first driver that umnet is compared with.
    pub(super) fn measure(&self) -> &str {
        let compared = |case: &CaseReport| case.ratio(MEMCPY).is_some();
        let mut rivals = self.cases.iter().flat_map(|case| &case.ratios);
        match self.cases.iter().any(compared) {
            true => MEMCPY,
            false => rivals.next().map_or(MEMCPY, |ratio| &ratio.against),
        }
    }

    /// Writes `NAME.json` and `NAME.svg` into `folder`, which is made if need be.
    ///
    /// # Errors
    /// [`BenchError::File`].
    pub fn write(&self, folder: &Path, name: &str) -> Result<(), BenchError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error: std::io::Error| BenchError::File {
                path,
                reason: error.to_string(),
            }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        for (extension, content) in [("json", self.to_json()), ("svg", self.to_svg())] {
            let path = folder.join(name).with_extension(extension);
            fs::write(&path, content).map_err(failed(&path))?;
        }
        Ok(())
    }

    /// For programs, indented.
    pub fn to_json(&self) -> String {
        // Plain numbers and strings: there is nothing that JSON could not say.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// For a terminal.
    pub fn to_table(&self) -> String {
        table::draw(self)
    }

    /// A bar chart, as one self-contained SVG document.
    pub fn to_svg(&self) -> String {
        chart::draw(self)
    }
}
