//! What a run tells those who ask.

use std::time::Duration;

use virtio::net::FeatureSet;
use virtio::net::features::all_known;
use virtio::spec::net::feature::*;

use super::board::{Board, SharedBoard};
use super::moment::Moment;
use super::orders::Orders;
use crate::config::RestartConfig;
use crate::control::{
    HostStatus, Iommu, LossBound, Memory, PolicyStatus, Stats, Status, StatusSource, UpdateRequest,
};
use crate::host::binding::Binding;
use crate::host::interface::{Interfaces, Link};
use crate::host::{DeviceSpec, IfName, MacAddress};

/// Answers for one run.
pub(super) struct Reporter {
    board: SharedBoard,
    orders: Orders,
    device: String,
    group: Option<u32>,
    interrupt_remapping: bool,
    index: u32,
    /// What the interface was called at first.
    name: IfName,
    began: Moment,
    restart: RestartConfig,
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Reporter {
    pub(super) fn new(
        device: &str,
        (board, orders): (SharedBoard, Orders),
        binding: Option<&Binding>,
        link: &Link,
        name: IfName,
        (restart, began): (RestartConfig, Moment),
    ) -> Self {
        Self {
            board,
            orders,
            device: device.to_owned(),
            group: binding.map(Binding::group),
            interrupt_remapping: binding.is_some_and(Binding::has_interrupt_remapping),
            index: link.index,
            name,
            began,
            restart,
        }
    }

    /// What the control socket is named by.
    pub(super) fn stem(&self) -> String {
        let spec = self.device.parse().map(|spec: DeviceSpec| spec.file_stem());
        spec.unwrap_or_else(|_| self.device.clone())
    }

    /// What the interface is called now.
    fn ifname(&self) -> IfName {
        let link = Interfaces::open().and_then(|mut interfaces| interfaces.get(self.index));
        let name = link.ok().flatten().and_then(|link| link.name.parse().ok());
        name.unwrap_or_else(|| self.name.clone())
    }

    fn iommu(&self, mapped_bytes: u64) -> Option<Iommu> {
        self.group.map(|group| Iommu {
            group,
            mapped_bytes,
            mappings: 1,
            interrupt_remapping: self.interrupt_remapping,
        })
    }
}

/// The process that drives the device, as far as there is one.
pub(super) fn host_status(board: &Board) -> Option<HostStatus> {
    let host = board.host.as_ref()?;
    Some(HostStatus {
        pid: host.pid,
        version: host.version.clone(),
        cage: host.cage.clone(),
    })
}

/// What is done about hosts that die or hang, and how far it has come to that.
pub(super) fn policy_status(restart: &RestartConfig, board: &Board) -> PolicyStatus {
    PolicyStatus {
        hang_after_ms: milliseconds(restart.hang_after),
        settled_after_ms: milliseconds(restart.settled_after),
        young_deaths: board.young_deaths,
        give_up_after: restart.give_up_after,
        fallback: restart.fallback,
        retry_after_ms: milliseconds(restart.retry_after),
    }
}

impl StatusSource for Reporter {
    fn status(&self) -> Status {
        // Asked before the board is held: the kernel may take its time.
        let ifname = self.ifname();
        let board = self.board.lock().clone();
        let resets = board.resets();
        let host = host_status(&board);
        let policy = policy_status(&self.restart, &board);
        let report = board.report.unwrap_or_default();
        let (offered, features) = (FeatureSet(report.offered), FeatureSet(report.features));
        Status {
            device: self.device.clone(),
            ifname: Some(ifname),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.began.elapsed().as_secs(),
            link_up: report.link_up && board.down.is_none(),
            speed_mbps: report.speed,
            full_duplex: report.full_duplex,
            mtu: report.mtu,
            mac: MacAddress(report.mac.unwrap_or_default()),
            queue_pairs: report.queue_pairs,
            rx_ring: report.rx_ring,
            tx_ring: report.tx_ring,
            busy_poll_us: report.busy_poll_us,
            features: features.names(),
            features_refused: offered.without(features).names(),
            features_not_offered: all_known().without(offered).names(),
            offloads: offloads(features.without(FeatureSet(report.switched_off))),
            restarts: board.restarts,
            hangs: board.hangs,
            supervisor_restarts: board.supervisor_restarts,
            resets,
            memory: Memory {
                pinned_bytes: report.pinned_bytes,
                pool_bytes: report.pool_bytes,
            },
            iommu: self.iommu(report.pinned_bytes),
            host,
            down: board.down,
            policy: Some(policy),
            loss_bound: LossBound {
                rx_frames: report.rx_at_stake,
                tx_frames: report.tx_at_stake,
            },
            client: None,
        }
    }

    fn update(&self, request: UpdateRequest) -> Result<String, String> {
        self.orders.give(request)
    }

    fn stats(&self) -> Stats {
        self.orders.count();
        let ifname = self.ifname().to_string();
        let board = self.board.lock();
        let queues = board.queues();
        let mut total = board.total();
        let own = [
            ("resets", board.resets()),
            ("restarts", board.restarts),
            ("hangs", board.hangs),
        ];
        total.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Stats {
            device: self.device.clone(),
            ifname,
            total,
            queues,
            adapters: Vec::new(),
        }
    }
}

/// The interface's offloads, as ethtool names them.
fn offloads(features: FeatureSet) -> Vec<String> {
    let names = [
        (VIRTIO_NET_F_GUEST_CSUM, "rx-checksumming"),
        (VIRTIO_NET_F_CSUM, "tx-checksumming"),
        (VIRTIO_NET_F_HOST_TSO4, "tx-tcp-segmentation"),
        (VIRTIO_NET_F_HOST_TSO6, "tx-tcp6-segmentation"),
        (VIRTIO_NET_F_HOST_ECN, "tx-tcp-ecn-segmentation"),
        (VIRTIO_NET_F_HOST_USO, "tx-udp-segmentation"),
        (VIRTIO_NET_F_GUEST_TSO4, "large-receive-offload"),
        (VIRTIO_NET_F_GUEST_TSO6, "large-receive-offload-v6"),
    ];
    names
        .iter()
        .filter(|(bit, _)| features.has(*bit))
        .map(|(_, name)| (*name).to_owned())
        .collect()
}
