//! What a client's run tells those who ask.

use super::ClientConfig;
use crate::channel::{AdapterReport, counter_prefix};
use crate::config::RestartConfig;
use crate::control::{
    AdapterStats, AdapterStatus, ClientStatus, Counters, DeviceEvent, LossBound, Memory,
    QueueStats, Stats, Status, StatusSource, UpdateRequest,
};
use crate::host::MacAddress;
use crate::run::board::{Board, SeatInfo, SharedBoard};
use crate::run::moment::Moment;
use crate::run::orders::Orders;
use crate::run::report::{host_status, policy_status};

/// Answers for one run.
pub(super) struct Reporter {
    name: String,
    file: String,
    verifier: bool,
    restart: RestartConfig,
    board: SharedBoard,
    orders: Orders,
    began: Moment,
}

impl Reporter {
    pub(super) fn new(
        config: &ClientConfig,
        (board, orders): (SharedBoard, Orders),
        began: Moment,
    ) -> Self {
        Self {
            name: config.name(),
            file: config.file.display().to_string(),
            verifier: config.verifier,
            restart: config.restart,
            board,
            orders,
            began,
        }
    }

    fn device(&self) -> String {
        format!("client {}", self.name)
    }

    /// How things are at the moment, as far as the host answers.
    fn board(&self) -> Board {
        self.orders.count();
        self.board.lock().clone()
    }
}

impl StatusSource for Reporter {
    fn status(&self) -> Status {
        let board = self.board();
        let adapters = adapters(&board);
        // The first adapter stands for the run where there is room for one only.
        let first = adapters.first();
        Status {
            device: self.device(),
            ifname: first.and_then(|first| first.ifname.clone()),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.began.elapsed().as_secs(),
            link_up: first.is_some_and(|first| first.link_up),
            speed_mbps: first.and_then(|first| first.speed_mbps),
            full_duplex: first.and_then(|first| first.full_duplex),
            mtu: first.map_or(0, |first| first.mtu),
            mac: first
                .and_then(|first| first.mac)
                .unwrap_or(MacAddress([0; 6])),
            queue_pairs: first.map_or(0, |first| first.queue_pairs),
            rx_ring: 0,
            tx_ring: 0,
            busy_poll_us: 0,
            features: Vec::new(),
            features_refused: Vec::new(),
            features_not_offered: Vec::new(),
            offloads: Vec::new(),
            // Of hosts, and of devices that a host has restarted.
            restarts: board.restarts.saturating_add(board.resets()),
            resets: 0,
            memory: Memory {
                pinned_bytes: 0,
                pool_bytes: adapters.iter().map(|adapter| adapter.pool_bytes).sum(),
            },
            iommu: None,
            hangs: board.hangs,
            supervisor_restarts: board.supervisor_restarts,
            host: host_status(&board),
            policy: Some(policy_status(&self.restart, &board)),
            down: board.down,
            loss_bound: LossBound::default(),
            client: Some(ClientStatus {
                file: self.file.clone(),
                verifier: self.verifier,
                adapters,
            }),
        }
    }

    fn stats(&self) -> Stats {
        let board = self.board();
        let queues = board.queues();
        let adapters: Vec<_> = adapters(&board)
            .into_iter()
            .map(|adapter| adapter_stats(adapter, &queues))
            .collect();
        let mut total = sum(adapters.iter().map(|adapter| &adapter.total));
        let own = [
            ("restarts", board.restarts.saturating_add(board.resets())),
            ("hangs", board.hangs),
        ];
        total.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let first = adapters.first().and_then(|first| first.ifname.clone());
        Stats {
            device: self.device(),
            ifname: first.map(String::from).unwrap_or_default(),
            total,
            queues: Vec::new(),
            adapters,
        }
    }

    fn update(&self, request: UpdateRequest) -> Result<String, String> {
        self.orders.give(request)
    }

    fn happen(&self, event: DeviceEvent) -> Result<(), String> {
        self.orders.happen(event)
    }
}

/// What the host tells of its adapters, with what is known of their interfaces.
fn adapters(board: &Board) -> Vec<AdapterStatus> {
    let client = board
        .report
        .as_ref()
        .and_then(|report| report.client.as_ref());
    let told = client.map_or(&[][..], |client| &client.adapters);
    told.iter()
        .map(|adapter| {
            let mut seats = board.seats.iter();
            let seat = seats.find(|seat| seat.adapter == adapter.number);
            adapter_status(adapter, seat)
        })
        .collect()
}

fn adapter_status(told: &AdapterReport, seat: Option<&SeatInfo>) -> AdapterStatus {
    AdapterStatus {
        number: told.number,
        ifname: seat.map(|seat| seat.ifname.clone()),
        mac: seat.and_then(|seat| seat.mac),
        mtu: seat.map_or(0, |seat| seat.mtu),
        started: told.started,
        link_up: seat.is_some_and(|seat| seat.link_up),
        speed_mbps: told.speed,
        full_duplex: told.full_duplex,
        queue_pairs: told.queue_pairs,
        pool_bytes: told.pool_bytes,
    }
}

fn adapter_stats(adapter: AdapterStatus, queues: &[QueueStats]) -> AdapterStats {
    let prefix = counter_prefix(adapter.number);
    let own = queues.iter().filter_map(|queue| {
        let name = queue.queue.strip_prefix(&prefix)?;
        Some(QueueStats {
            queue: name.to_owned(),
            counters: queue.counters.clone(),
        })
    });
    let queues: Vec<_> = own.collect();
    AdapterStats {
        number: adapter.number,
        ifname: adapter.ifname,
        total: sum(queues.iter().map(|queue| &queue.counters)),
        queues,
    }
}

fn sum<'a>(parts: impl Iterator<Item = &'a Counters>) -> Counters {
    let mut total = Counters::new();
    for (name, value) in parts.flatten() {
        let sum = total.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*value);
    }
    total
}
