//! What the two threads of a client host share: the adapters there are, and how things are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netadapter_shim::abi::{NetAdapterLinkState, NetIfMediaDuplexState};
use netadapter_shim::door::hosted::HostedAdapter;
use netadapter_shim::{Adapter, QueueStatistics};

use crate::channel::{AdapterReport, ClientReport, Report, counter_prefix};
use crate::control::{Counters, QueueStats};
use crate::exit::Exit;

/// How long a queue may take for a sign of life before it is asked again.
const PULSE: Duration = Duration::from_millis(20);

/// Written by the session, read by the control thread, which waits for nobody.
#[derive(Default)]
pub(super) struct Shared {
    adapters: Mutex<Vec<HostedAdapter>>,
    /// How adapters were when they could be looked at last.
    known: Mutex<BTreeMap<usize, AdapterReport>>,
    devices: AtomicUsize,
    restarts: AtomicU64,
    busy: AtomicBool,
    failed: AtomicBool,
}

impl Shared {
    /// The adapters and devices there are now, and how often one was restarted by now.
    pub(super) fn update(&self, adapters: Vec<HostedAdapter>, devices: usize, restarts: u64) {
        *lock(&self.adapters) = adapters;
        self.devices.store(devices, Ordering::Relaxed);
        self.restarts.store(restarts, Ordering::Relaxed);
    }

    /// Whether the session is in the client.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Does something in the client.
    pub(super) fn busy_with<T>(&self, work: impl FnOnce() -> T) -> T {
        self.busy.store(true, Ordering::Release);
        let done = work();
        self.busy.store(false, Ordering::Release);
        done
    }

    /// The session has failed.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// What the process ends with once the session has.
    pub(super) fn exit(&self) -> Exit {
        match self.failed.load(Ordering::Acquire) {
            true => Exit::Failed,
            false => Exit::Done,
        }
    }

    /// Whether the poll loops of all queues go round, or sleep. They are not woken for it: queues
    /// whose client should have notified would be looked at, and the verifier would miss it. An
    /// adapter that another thread works with, such as one whose queues are built anew, is not
    /// looked at this time: that work has deadlines of its own.
    pub(super) fn pulse(&self) -> bool {
        let adapters = self.adapters();
        let hearts = adapters
            .iter()
            .filter_map(|adapter| adapter.peek(Adapter::hearts));
        hearts.flatten().all(|heart| heart.beats(PULSE))
    }

    /// How the client is.
    pub(super) fn report(&self) -> Report {
        let adapters = self.adapters();
        let mut known = lock(&self.known);
        known.retain(|number, _| adapters.iter().any(|adapter| adapter.number() == *number));
        for adapter in &adapters {
            let number = adapter.number();
            if let Some(seen) = adapter.peek(seen) {
                known.insert(number, seen);
            }
            let report = known.entry(number).or_default();
            report.number = number;
            report.started = adapter.is_started();
        }
        Report {
            pool_bytes: known.values().map(|report| report.pool_bytes).sum(),
            resets: self.restarts.load(Ordering::Relaxed),
            client: Some(ClientReport {
                devices: self.devices.load(Ordering::Relaxed),
                adapters: known.values().cloned().collect(),
            }),
            ..Report::default()
        }
    }

    /// All counters, by adapter and queue; those of an adapter that somebody works with are left
    /// out this time.
    pub(super) fn counters(&self) -> Vec<QueueStats> {
        let adapters = self.adapters();
        let counted = adapters.iter().filter_map(|adapter| {
            let statistics = adapter.peek(Adapter::statistics)?;
            let prefix = counter_prefix(adapter.number());
            let queues = statistics.queues.iter().enumerate();
            let named = queues.map(|(index, queue)| QueueStats {
                queue: format!("{prefix}port{index}"),
                counters: named(queue),
            });
            Some(named.collect::<Vec<_>>())
        });
        counted.flatten().collect()
    }

    fn adapters(&self) -> Vec<HostedAdapter> {
        lock(&self.adapters).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain values, whole whoever panicked while holding the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seen(core: &Adapter) -> AdapterReport {
    let link: NetAdapterLinkState = core.link_state();
    let queues = core.statistics().queues.len();
    AdapterReport {
        number: 0,
        started: false,
        speed: speed(link.tx_link_speed),
        full_duplex: duplex(link.media_duplex_state),
        queue_pairs: u16::try_from(queues).unwrap_or(u16::MAX),
        pool_bytes: core.pool_bytes() as u64,
    }
}

/// Bits per second, all ones if nobody knows, to whole megabits.
fn speed(bits: u64) -> Option<u32> {
    let known = Some(bits).filter(|bits| *bits != u64::MAX && *bits != 0);
    known.and_then(|bits| u32::try_from(bits / 1_000_000).ok())
}

fn duplex(state: NetIfMediaDuplexState) -> Option<bool> {
    match state {
        NetIfMediaDuplexState::FULL => Some(true),
        NetIfMediaDuplexState::HALF => Some(false),
        _ => None,
    }
}

fn named(counters: &QueueStatistics) -> Counters {
    let named = counters.named();
    named
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_nobody_knows_are_left_out() {
        assert_eq!(speed(u64::MAX), None);
        assert_eq!(speed(0), None);
        assert_eq!(speed(25_000_000_000), Some(25_000));
    }
}
