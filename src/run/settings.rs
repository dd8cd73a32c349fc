//! What of the configuration is for driver hosts.

use virtio::net::FeatureSet;
use virtio::spec::feature::*;
use virtio::spec::net::feature::*;

use super::hosts::HostSettings;
use crate::config::RunConfig;

pub(super) fn host_settings(config: &RunConfig) -> HostSettings {
    HostSettings {
        rx_ring: config.rx_ring,
        tx_ring: config.tx_ring,
        busy_poll_us: config.busy_poll_us,
        disabled: disabled(config).0,
        coalesce: config.coalesce,
        caged: config.caged,
        restart: config.restart,
    }
}

/// The features that the configuration switches off.
fn disabled(config: &RunConfig) -> FeatureSet {
    let (offload, feature) = (&config.offload, &config.feature);
    let switches: [(bool, &[u32]); 10] = [
        (offload.tx_checksum, &[VIRTIO_NET_F_CSUM]),
        (
            offload.tx_tso,
            &[VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6],
        ),
        (offload.tx_uso, &[VIRTIO_NET_F_HOST_USO]),
        (offload.rx_checksum, &[VIRTIO_NET_F_GUEST_CSUM]),
        (
            offload.rx_tso,
            &[VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6],
        ),
        (
            offload.rx_uso,
            &[VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6],
        ),
        (feature.event_idx, &[VIRTIO_F_EVENT_IDX]),
        (feature.mrg_rxbuf, &[VIRTIO_NET_F_MRG_RXBUF]),
        (feature.packed, &[VIRTIO_F_RING_PACKED]),
        (feature.in_order, &[VIRTIO_F_IN_ORDER]),
    ];
    let off = switches
        .iter()
        .filter(|(on, _)| !on)
        .flat_map(|(_, bits)| *bits);
    off.fold(FeatureSet::EMPTY, |set, &bit| set.with(bit))
}
