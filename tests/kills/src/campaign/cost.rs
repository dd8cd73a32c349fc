//! What a blow under load may cost, and what of it is looked at.

use std::time::Duration;

use serde::Serialize;

use super::Holds;
use crate::probe::Trace;
use crate::rig::Status;
use crate::traffic::{Account, Passed};
use crate::verdict::Check;

/// What a driver host holds of frames beside its rings: what it has taken from the interface at
/// once, or is about to give it. (`AdapterConfig::tx_ring`)
const BATCH: u64 = 64;
/// A frame that was sent so long before a kill may have been lost by it.
const UNDER_WAY: Duration = Duration::from_millis(100);
/// Samples that are not compared: whatever is made once has been made after them.
const WARM_UP: usize = 5;

/// How long nothing passed, and what was lost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Gap {
    /// When the blow fell, since the traffic began.
    pub at_ms: f64,
    /// The longer one of both ways' silences.
    pub gap_ms: f64,
    /// Numbered frames lost, near to far and far to near.
    pub lost: [u64; 2],
}

impl Gap {
    pub(super) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.gap_ms / 1e3)
    }
}

/// Frames that the death of a host may cost, near to far and far to near.
pub(super) fn bound(status: &Status) -> [u64; 2] {
    [status.tx_ring + BATCH, status.rx_ring + BATCH]
}

/// The gap after each of these times.
pub(super) fn each_gap(times: &[Duration], end: Duration, passed: &Passed) -> Vec<Gap> {
    let until = times.iter().skip(1).copied().chain([end]);
    let each = times.iter().zip(until).map(|(&at, until)| {
        let gap = |trace: &Trace| {
            let (from, to) = trace.silence(at, until);
            to - from
        };
        let lost = |way: usize| {
            let from = at.saturating_sub(UNDER_WAY);
            passed.traces[way].lost_between(from, until.saturating_sub(UNDER_WAY))
        };
        let gap = passed.traces.iter().map(gap).max().unwrap_or_default();
        Gap {
            at_ms: at.as_secs_f64() * 1e3,
            gap_ms: gap.as_secs_f64() * 1e3,
            lost: [lost(0), lost(1)],
        }
    });
    each.collect()
}

/// What has to be true of any load.
pub(super) fn connections(passed: &Passed) -> Vec<Check> {
    vec![
        Check::exactly("connections lost", 0, passed.connections_lost()),
        passed.digests("digests"),
        Check::exactly("frames duplicated", 0, passed.duplicated()),
        Check::exactly("frames altered", 0, passed.altered()),
        Check::exactly(
            "frames an interface had no room for",
            0,
            passed.account.refused,
        ),
    ]
}

/// What all of them and each of them may cost.
pub(super) fn losses(gaps: &[Gap], account: &Account, bound: [u64; 2]) -> Vec<Check> {
    let ways = ["near to far", "far to near"];
    let of_way = |way: usize| {
        let worst = gaps
            .iter()
            .map(|gap| gap.lost[way])
            .max()
            .unwrap_or_default();
        let bound_of_all = (bound[way] * gaps.len() as u64).cast_signed();
        let name = ways[way];
        let lost = account.lost[way];
        [
            Check::at_most(
                &format!("numbered frames lost by one, {name}"),
                bound[way],
                worst,
            ),
            Check::at_most(
                &format!("frames of any kind lost, {name}"),
                bound_of_all,
                lost,
            ),
            Check::new(
                &format!("frames that came twice, {name}"),
                0,
                (-lost).max(0),
                lost >= 0,
            ),
        ]
    };
    (0..2).flat_map(of_way).collect()
}

/// What the supervisor may gather over time.
pub(super) fn held(holds: &[Holds]) -> Vec<Check> {
    let warm = &holds[WARM_UP.min(holds.len() - 1)..];
    let spread = |of: fn(&Holds) -> u64| {
        let (least, most) = (warm.iter().map(of).min(), warm.iter().map(of).max());
        most.unwrap_or_default() - least.unwrap_or_default()
    };
    vec![
        Check::at_most(
            "supervisor's memory wanders by KiB",
            1024,
            spread(|holds| holds.resident_kib),
        ),
        Check::exactly(
            "supervisor's descriptors wander by",
            0,
            spread(|holds| holds.descriptors as u64),
        ),
    ]
}
