//! What the supervisor knows, for whoever asks: written by its loop, read by control threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::channel::Report;
use crate::control::{Counters, QueueStats};

/// How things are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Board {
    /// What the host that drives the device, or did so last, has told.
    pub(super) report: Option<Report>,
    /// Its process; none while there is none.
    pub(super) host: Option<HostInfo>,
    /// Hosts that took over from one that died or was replaced.
    pub(super) restarts: u64,
    /// Those of them that took over from a hung one.
    pub(super) hangs: u64,
    /// How often the supervisor was restarted in place.
    pub(super) supervisor_restarts: u64,
    /// Resets by hosts that are gone.
    resets_before: u64,
    /// Hosts that died young, one after the other.
    pub(super) young_deaths: u32,
    /// Why the interface is without a driver, if it is.
    pub(super) down: Option<String>,
    counters: Ledger,
}

/// A host's process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HostInfo {
    pub(super) pid: u32,
    pub(super) version: String,
    pub(super) cage: String,
}

impl Board {
    /// Takes the counters of the present host.
    pub(super) fn count(&mut self, queues: Vec<QueueStats>) {
        self.counters.take(queues);
    }

    /// The present host is gone; what it counted stays.
    pub(super) fn bank(&mut self) {
        self.counters.bank();
        self.host = None;
        if let Some(report) = &mut self.report {
            self.resets_before += std::mem::take(&mut report.resets);
        }
    }

    /// Resets of the device by whichever host.
    pub(super) fn resets(&self) -> u64 {
        self.resets_before + self.report.as_ref().map_or(0, |report| report.resets)
    }

    /// Counters by queue, over all hosts.
    pub(super) fn queues(&self) -> Vec<QueueStats> {
        self.counters.sums()
    }
}

/// Counters over hosts that each begin from nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Ledger {
    before: BTreeMap<String, Counters>,
    now: BTreeMap<String, Counters>,
}

impl Ledger {
    /// What the present host says. A counter never goes back, whatever it says.
    fn take(&mut self, queues: Vec<QueueStats>) {
        for queue in queues {
            let known = self.now.entry(queue.queue).or_default();
            for (name, value) in queue.counters {
                let counter = known.entry(name).or_default();
                *counter = value.max(*counter);
            }
        }
    }

    fn bank(&mut self) {
        self.before = self.sum();
        self.now.clear();
    }

    fn sum(&self) -> BTreeMap<String, Counters> {
        let mut sums = self.before.clone();
        for (queue, counters) in &self.now {
            let sum = sums.entry(queue.clone()).or_default();
            for (name, value) in counters {
                let total = sum.entry(name.clone()).or_default();
                *total = total.saturating_add(*value);
            }
        }
        sums
    }

    fn sums(&self) -> Vec<QueueStats> {
        let named = |(queue, counters)| QueueStats { queue, counters };
        self.sum().into_iter().map(named).collect()
    }
}

/// The board, for the loop and the control threads.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedBoard(Arc<Mutex<Board>>);

impl SharedBoard {
    pub(super) fn lock(&self) -> MutexGuard<'_, Board> {
        // Plain values, whole whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rx(value: u64) -> Vec<QueueStats> {
        vec![QueueStats {
            queue: "rx0".to_owned(),
            counters: [("rx_packets".to_owned(), value)].into(),
        }]
    }

    fn total(board: &Board) -> u64 {
        board.queues()[0].counters["rx_packets"]
    }

    #[test]
    fn counters_go_on_over_hosts_and_never_back() {
        let mut board = Board::default();
        board.count(rx(10));
        board.count(rx(7));
        assert_eq!(total(&board), 10);
        board.bank();
        assert_eq!(total(&board), 10);
        board.count(rx(3));
        assert_eq!(total(&board), 13);
        board.count(rx(u64::MAX));
        assert_eq!(total(&board), u64::MAX);
    }
}
