//! What a run tells those who ask.

use std::time::Instant;

use virtio::net::FeatureSet;
use virtio::net::features::all_known;
use virtio::spec::net::feature::*;

use super::{Shared, lock};
use crate::card::CardInfo;
use crate::control::{Counters, Iommu, Memory, QueueStats, Stats, Status, StatusSource};
use crate::driver::Driver;
use crate::host::binding::Binding;
use crate::host::interface::{Interfaces, Link};
use crate::host::{DeviceSpec, IfName, MacAddress};

/// Answers for one run.
pub(super) struct Reporter {
    driver: Shared<Driver>,
    device: String,
    group: Option<u32>,
    index: u32,
    /// What the interface was called at first.
    name: IfName,
    started: Instant,
}

impl Reporter {
    pub(super) fn new(
        driver: Shared<Driver>,
        binding: Option<&Binding>,
        link: &Link,
        name: IfName,
    ) -> Self {
        let device = lock(&driver).name().to_owned();
        Self {
            driver,
            device,
            group: binding.map(Binding::group),
            index: link.index,
            name,
            started: Instant::now(),
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

    fn iommu(&self, info: &CardInfo) -> Option<Iommu> {
        let mapped_bytes = info.pinned_bytes as u64;
        self.group.map(|group| Iommu {
            group,
            mapped_bytes,
            mappings: 1,
        })
    }
}

impl StatusSource for Reporter {
    fn status(&self) -> Status {
        // Asked before the driver is held: the kernel may take its time.
        let ifname = self.ifname();
        let driver = lock(&self.driver);
        let (info, config) = (driver.info(), driver.config());
        Status {
            device: self.device.clone(),
            ifname: Some(ifname),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            link_up: config.link_up,
            speed_mbps: config.speed,
            full_duplex: config.full_duplex,
            mtu: driver.mtu(),
            mac: MacAddress(driver.mac().unwrap_or_default()),
            queue_pairs: 1,
            rx_ring: info.rx_ring.get(),
            tx_ring: info.tx_ring.get(),
            features: info.features.names(),
            features_refused: info.offered.without(info.features).names(),
            features_not_offered: all_known().without(info.offered).names(),
            offloads: offloads(info.features),
            restarts: 0,
            resets: driver.resets(),
            memory: Memory {
                pinned_bytes: info.pinned_bytes as u64,
                pool_bytes: driver.pool_bytes() as u64,
            },
            iommu: self.iommu(info),
            client: None,
        }
    }

    fn stats(&self) -> Stats {
        let ifname = self.ifname().to_string();
        let driver = lock(&self.driver);
        let device = driver.device_stats();
        let (rx, tx) = (named(device.rx.snapshot()), named(device.tx.snapshot()));
        let mut total: Counters = rx.iter().chain(&tx).map(|(k, v)| (k.clone(), *v)).collect();
        total.insert("resets".to_owned(), driver.resets());
        let mut queues = vec![
            QueueStats {
                queue: "rx0".to_owned(),
                counters: rx,
            },
            QueueStats {
                queue: "tx0".to_owned(),
                counters: tx,
            },
        ];
        let ports = driver.adapter_statistics().queues.into_iter().enumerate();
        queues.extend(ports.map(|(index, port)| QueueStats {
            queue: format!("port{index}"),
            counters: named(port.named().collect()),
        }));
        Stats {
            device: self.device.clone(),
            ifname,
            total,
            queues,
            adapters: Vec::new(),
        }
    }
}

fn named(snapshot: Vec<(&'static str, u64)>) -> Counters {
    snapshot
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
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
