//! What the supervisor knows, for whoever asks: written by its loop, read by control threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::channel::{MAX_COUNTERS, MAX_QUEUES, Report};
use crate::control::{Counters, QueueStats};
use crate::host::{IfName, MacAddress};

/// How things are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Board {
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
    /// The interfaces of a client, in the order of its adapters.
    #[serde(default)]
    pub(super) seats: Vec<SeatInfo>,
}

/// The interface of one of a client's adapters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeatInfo {
    pub(super) adapter: usize,
    pub(super) ifname: IfName,
    /// The adapter's address, if it has an Ethernet one.
    pub(super) mac: Option<MacAddress>,
    pub(super) mtu: u32,
    pub(super) link_up: bool,
}

/// A host's process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HostInfo {
    pub(super) pid: u32,
    pub(super) version: String,
    pub(super) cage: String,
}

impl Board {
    /// Takes the counters of the present host; whether there is room for them.
    #[must_use]
    pub fn count(&mut self, queues: Vec<QueueStats>) -> bool {
        self.counters.take(queues)
    }

    /// Takes what the present host reports.
    pub fn note(&mut self, report: Report) {
        self.report = Some(report);
    }

    /// The present host is gone; what it counted stays.
    pub fn bank(&mut self) {
        self.counters.bank();
        self.host = None;
        if let Some(report) = &mut self.report {
            let resets = std::mem::take(&mut report.resets);
            self.resets_before = self.resets_before.saturating_add(resets);
        }
    }

    /// Resets of the device by whichever host.
    pub fn resets(&self) -> u64 {
        let now = self.report.as_ref().map_or(0, |report| report.resets);
        self.resets_before.saturating_add(now)
    }

    /// Counters by queue, over all hosts.
    pub fn queues(&self) -> Vec<QueueStats> {
        self.counters.sums()
    }

    /// Counters over all hosts and all queues of the device, those of the port left out.
    pub fn total(&self) -> Counters {
        let queues = self.counters.sum();
        let of_device = queues.iter().filter(|(name, _)| !name.starts_with("port"));
        let mut total = Counters::new();
        for (name, value) in of_device.flat_map(|(_, counters)| counters) {
            let sum = total.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*value);
        }
        total
    }
}

/// Counters over hosts that each begin from nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Ledger {
    before: BTreeMap<String, Counters>,
    now: BTreeMap<String, Counters>,
}

impl Ledger {
    /// What the present host says. A counter never goes back, whatever it says, and new names
    /// are taken only as long as there is room: hosts without number must not fill the memory.
    fn take(&mut self, queues: Vec<QueueStats>) -> bool {
        queues.into_iter().all(|queue| self.take_queue(queue))
    }

    fn take_queue(&mut self, QueueStats { queue, counters }: QueueStats) -> bool {
        let none = Counters::new();
        let before = self.before.get(&queue);
        let new = before.is_none() && !self.now.contains_key(&queue);
        if new && self.names().count() >= MAX_QUEUES {
            return false;
        }
        let known = self.now.entry(queue).or_default();
        for (name, value) in counters {
            let before = before.unwrap_or(&none);
            let is_known = before.contains_key(&name) || known.contains_key(&name);
            let others = before.keys().filter(|name| !known.contains_key(*name));
            if !is_known && known.len() + others.count() >= MAX_COUNTERS {
                return false;
            }
            let counter = known.entry(name).or_default();
            *counter = value.max(*counter);
        }
        true
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        let before = self.before.keys();
        let more = self.now.keys();
        before.chain(more.filter(|name| !self.before.contains_key(*name)))
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
        assert!(board.count(rx(10)));
        assert!(board.count(rx(7)));
        assert_eq!(total(&board), 10);
        board.bank();
        assert_eq!(total(&board), 10);
        assert!(board.count(rx(3)));
        assert_eq!(total(&board), 13);
        assert!(board.count(rx(u64::MAX)));
        assert_eq!(total(&board), u64::MAX);
    }

    fn named(queue: String, counter: String) -> Vec<QueueStats> {
        vec![QueueStats {
            queue,
            counters: [(counter, 1)].into(),
        }]
    }

    #[test]
    fn new_names_are_taken_only_while_there_is_room() {
        let mut board = Board::default();
        for number in 0..MAX_QUEUES {
            assert!(board.count(named(format!("rx{number}"), "a".to_owned())));
            board.bank();
        }
        for number in 1..MAX_COUNTERS {
            assert!(board.count(named("rx0".to_owned(), format!("c{number}"))));
            board.bank();
        }
        assert!(!board.count(named("more".to_owned(), "a".to_owned())));
        assert!(!board.count(named("rx0".to_owned(), "more".to_owned())));
        assert!(board.count(named("rx0".to_owned(), "a".to_owned())));
        assert_eq!(board.queues().len(), MAX_QUEUES);
    }

    #[test]
    fn numbers_that_are_too_large_stay_at_the_largest() {
        let mut board = Board::default();
        for _ in 0..2 {
            board.note(Report {
                resets: u64::MAX,
                ..Report::default()
            });
            assert_eq!(board.resets(), u64::MAX);
            assert!(board.count(rx(u64::MAX)));
            board.bank();
        }
        assert!(board.count(named("tx0".to_owned(), "rx_packets".to_owned())));
        assert_eq!(board.total()["rx_packets"], u64::MAX);
    }
}
