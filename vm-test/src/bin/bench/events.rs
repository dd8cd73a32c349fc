//! What the machine had to do for each frame, as QEMU saw it: doorbells, interrupts, and the orders
//! by which a driver makes the IOMMU forget a mapping.
//!
//! None of this is a time. QEMU's trace is on, and doorbells are handled where they are rung (no
//! `ioeventfd`), or they would not be traced; both slow everything down.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::{Value, json};
use vm_test::report::Driver;
use vm_test::{Error, Result};

use crate::measure::{Meter, Traffic};

/// What is counted: its name here, and how QEMU's events of it begin.
const KINDS: [(&str, &str); 3] = [
    ("doorbells", "virtio_queue_notify"),
    ("interrupts", "virtio_notify"),
    ("IOTLB orders", "vtd_inv_desc_iotlb_"),
];

/// The events of [`KINDS`] by QEMU's names.
const EVENTS: [&str; 5] = [
    "virtio_queue_notify",
    "virtio_notify",
    "vtd_inv_desc_iotlb_global",
    "vtd_inv_desc_iotlb_domain",
    "vtd_inv_desc_iotlb_pages",
];

/// How often each of [`KINDS`] came.
type Counts = [u64; KINDS.len()];

/// One kind of traffic over one card.
pub(crate) struct Tally {
    traffic: Traffic,
    driver: Driver,
    /// That passed the TAP, both ways.
    frames: f64,
    counts: Counts,
}

impl Tally {
    /// Counts while one figure is taken, the figure's warm-up included.
    pub(crate) fn take(meter: &Meter, traffic: Traffic, driver: Driver) -> Result<Self> {
        let bed = meter.bed;
        let mut log = Log::open(bed.vm().qemu_log().to_owned())?;
        let frames = meter.frames(driver)?;
        trace(&bed.vm().qmp, true)?;
        let figure = meter.measure(driver, traffic);
        trace(&bed.vm().qmp, false)?;
        figure?;
        Ok(Self {
            traffic,
            driver,
            frames: meter.frames(driver)? - frames,
            counts: log.count()?,
        })
    }

    fn per_thousand(&self, kind: usize) -> f64 {
        self.counts[kind] as f64 * 1000.0 / self.frames
    }

    pub(crate) fn to_json(&self) -> Value {
        let kinds = KINDS.iter().zip(self.counts);
        let counts: serde_json::Map<_, _> = kinds
            .map(|((name, _), count)| (name.replace(' ', "_").to_lowercase(), count.into()))
            .collect();
        json!({
            "traffic": self.traffic.metric().name,
            "driver": self.driver.key(),
            "frames": self.frames,
            "counts": counts,
        })
    }
}

/// The tallies as lines of text: events per thousand frames.
pub(crate) fn table(tallies: &[Tally]) -> String {
    let head: String = KINDS
        .iter()
        .map(|(name, _)| format!("{name:>14}"))
        .collect();
    let mut lines = vec![format!(
        "{:<40}{:>10}{head}   per 1000 frames",
        "", "frames"
    )];
    lines.extend(tallies.iter().map(|tally| {
        let cells: String = (0..KINDS.len())
            .map(|kind| format!("{:>14.1}", tally.per_thousand(kind)))
            .collect();
        let (label, driver) = (tally.traffic.metric().label, tally.driver.key());
        format!("{label:<28}{driver:<12}{:>10.0}{cells}", tally.frames)
    }));
    lines.join("\n") + "\n"
}

fn trace(qmp: &vm_test::Qmp, on: bool) -> Result<()> {
    EVENTS.iter().try_for_each(|name| {
        qmp.execute(
            "trace-event-set-state",
            json!({ "name": name, "enable": on }),
        )
        .map(drop)
    })
}

/// QEMU's messages from here on.
struct Log {
    path: PathBuf,
    file: BufReader<File>,
}

impl Log {
    fn open(path: PathBuf) -> Result<Self> {
        let opened = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::End(0))?;
            Ok(BufReader::new(file))
        });
        match opened {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(reading(&path, source)),
        }
    }

    fn count(&mut self) -> Result<Counts> {
        let mut counts = Counts::default();
        for line in self.file.by_ref().lines() {
            let line = line.map_err(|source| reading(&self.path, source))?;
            if let Some(kind) = kind(&line) {
                counts[kind] += 1;
            }
        }
        Ok(counts)
    }
}

fn reading(path: &std::path::Path, source: std::io::Error) -> Error {
    Error::Io {
        what: format!("reading {}", path.display()),
        source,
    }
}

/// Of which kind a line of QEMU's log is, with or without process and time before the event's name.
fn kind(line: &str) -> Option<usize> {
    let event = line
        .rsplit_once(':')
        .filter(|(before, _)| is_origin(before));
    let event = event.map_or(line, |(_, event)| event);
    KINDS.iter().position(|(_, prefix)| {
        let name = event.split(' ').next().unwrap_or_default();
        match prefix.ends_with('_') {
            true => name.starts_with(prefix),
            false => name == *prefix,
        }
    })
}

/// `pid@seconds.microseconds`.
fn is_origin(before: &str) -> bool {
    before.contains('@') && !before.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart_with_and_without_their_origin() {
        assert_eq!(kind("virtio_queue_notify vdev 0x55 n 1 vq 0x7f"), Some(0));
        assert_eq!(kind("41@17.5:virtio_notify vdev 0x55 vq 0x7f"), Some(1));
        assert_eq!(
            kind("vtd_inv_desc_iotlb_pages domain 1 addr 0x1 mask 0"),
            Some(2)
        );
        assert_eq!(kind("vtd_inv_desc_iotlb_domain iotlb invalidate"), Some(2));
        assert_eq!(kind("virtio_notify_irqfd vdev 0x55"), None);
        assert_eq!(kind("qemu: warning: virtio_notify"), None);
    }
}
