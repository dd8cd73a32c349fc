//! What a client's run tells those who ask.

use std::sync::Arc;
use std::time::Instant;

use netadapter_shim::abi::{NetAdapterLinkState, NetIfMediaDuplexState};
use netadapter_shim::{AdapterStatistics, QueueStatistics};

use super::ClientConfig;
use super::live::{EventSender, Seated, Shared};
use super::port::{Seat, look};
use crate::control::{
    AdapterStats, AdapterStatus, ClientStatus, Counters, DeviceEvent, LossBound, Memory,
    QueueStats, Stats, Status, StatusSource,
};
use crate::host::MacAddress;

/// Answers for one run.
pub(super) struct Reporter {
    name: String,
    file: String,
    verifier: bool,
    shared: Arc<Shared>,
    events: EventSender,
    started: Instant,
}

impl Reporter {
    pub(super) fn new(config: &ClientConfig, shared: Arc<Shared>, events: EventSender) -> Self {
        Self {
            name: config.name(),
            file: config.file.display().to_string(),
            verifier: config.verifier,
            shared,
            events,
            started: Instant::now(),
        }
    }

    fn device(&self) -> String {
        format!("client {}", self.name)
    }

    /// The seat of the first adapter stands for the run where there is room for one only.
    fn first(&self) -> Seat {
        let adapters = self.shared.adapters();
        let first = adapters.first();
        first
            .map(|(_, seat)| look(seat).clone())
            .unwrap_or_default()
    }
}

impl StatusSource for Reporter {
    fn status(&self) -> Status {
        let first = self.first();
        let adapters: Vec<_> = self.shared.adapters().iter().map(adapter_status).collect();
        let one = adapters.first();
        Status {
            device: self.device(),
            ifname: first.name,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            link_up: first.link_up,
            speed_mbps: one.and_then(|one| one.speed_mbps),
            full_duplex: one.and_then(|one| one.full_duplex),
            mtu: first.mtu,
            mac: first.mac.unwrap_or(MacAddress([0; 6])),
            queue_pairs: one.map_or(0, |one| one.queue_pairs),
            rx_ring: 0,
            tx_ring: 0,
            features: Vec::new(),
            features_refused: Vec::new(),
            features_not_offered: Vec::new(),
            offloads: Vec::new(),
            restarts: self.shared.restarts(),
            resets: 0,
            memory: Memory {
                pinned_bytes: 0,
                pool_bytes: adapters.iter().map(|adapter| adapter.pool_bytes).sum(),
            },
            iommu: None,
            hangs: 0,
            supervisor_restarts: 0,
            host: None,
            down: None,
            policy: None,
            loss_bound: LossBound::default(),
            client: Some(ClientStatus {
                file: self.file.clone(),
                verifier: self.verifier,
                adapters,
            }),
        }
    }

    fn stats(&self) -> Stats {
        let adapters = self.shared.adapters();
        let adapters: Vec<_> = adapters.iter().map(adapter_stats).collect();
        let mut total = Counters::new();
        for (name, value) in adapters.iter().flat_map(|adapter| &adapter.total) {
            *total.entry(name.clone()).or_default() += value;
        }
        Stats {
            device: self.device(),
            ifname: self.first().name.map(String::from).unwrap_or_default(),
            total,
            queues: Vec::new(),
            adapters,
        }
    }

    fn happen(&self, event: DeviceEvent) -> Result<(), String> {
        self.events.happen(event)
    }
}

fn adapter_status((adapter, seat): &Seated) -> AdapterStatus {
    let seat = look(seat).clone();
    let core = adapter.with(|core| (core.link_state(), core.pool_bytes(), core.statistics()));
    let (link, pool_bytes, statistics) = core.unwrap_or_else(|_| {
        (
            NetAdapterLinkState::disconnected(),
            0,
            AdapterStatistics::default(),
        )
    });
    AdapterStatus {
        number: adapter.number(),
        ifname: seat.name,
        mac: seat.mac,
        mtu: seat.mtu,
        started: adapter.is_started(),
        link_up: seat.link_up,
        speed_mbps: speed(link.tx_link_speed),
        full_duplex: duplex(link.media_duplex_state),
        queue_pairs: u16::try_from(statistics.queues.len()).unwrap_or(u16::MAX),
        pool_bytes: pool_bytes as u64,
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

fn adapter_stats((adapter, seat): &Seated) -> AdapterStats {
    let statistics = adapter.with(|core| core.statistics()).unwrap_or_default();
    let queues = statistics.queues.iter().enumerate();
    AdapterStats {
        number: adapter.number(),
        ifname: look(seat).name.clone(),
        total: named(&statistics.total()),
        queues: queues
            .map(|(index, queue)| QueueStats {
                queue: format!("port{index}"),
                counters: named(queue),
            })
            .collect(),
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
