//! What a device can do, said in NetAdapterCx's words; and what is not asked of one because the
//! system's port could not carry it.

use netadapter_shim::abi::{
    NetAdapterLinkLayerAddress, NetAdapterLinkLayerCapabilities, NetAdapterLinkState,
    NetIfMediaDuplexState, NetOffloadLayer3Flags as L3, NetOffloadLayer4Flags as L4,
    NetPacketFilterFlags as Filter,
};
use netadapter_shim::{
    OffloadGsoCapabilities, OffloadTxChecksumCapabilities, ReceiveFilterCapabilities,
    RxCapabilities, SystemPort, TxCapabilities,
};
use virtio::net::{FeatureSet, NetConfig};
use virtio::spec::net::feature::*;

use super::{Driver, DriverError, scaling};
use crate::card::CardInfo;

/// Length of the multicast list handed to the device; beyond it, all multicast is received.
const MULTICAST_LIST: usize = 64;

/// The speed that stands for a device that does not say: that of a 10 Gbit/s link, as virtual
/// network cards are commonly shown.
const DEFAULT_SPEED: u32 = 10_000;

impl Driver {
    pub(super) fn state_capabilities(&mut self) -> Result<(), DriverError> {
        let info = self.info;
        let speed = bits_per_second(&info.config);
        let a = &mut self.adapter;
        a.set_link_layer_capabilities(NetAdapterLinkLayerCapabilities::new(speed, speed))?;
        a.set_link_layer_mtu_size(info.mtu().into())?;
        if let Some(mac) = info.config.mac {
            a.set_permanent_link_layer_address(NetAdapterLinkLayerAddress::ethernet(mac))?;
        }
        let pairs = usize::from(info.queue_pairs);
        let rx = RxCapabilities::system_managed(info.max_rx_frame, pairs);
        a.set_datapath_capabilities(TxCapabilities::new(pairs), rx)?;
        if let Some(limits) = info.config.rss.filter(|_| pairs > 1) {
            a.set_receive_scaling_capabilities(scaling::capabilities(limits, pairs))?;
        }
        a.set_receive_filter_capabilities(ReceiveFilterCapabilities {
            supported_packet_filters: Filter::ALL,
            maximum_multicast_addresses: MULTICAST_LIST,
        })?;
        if info.features.has(VIRTIO_NET_F_GUEST_CSUM) {
            a.offload_set_rx_checksum_capabilities()?;
        }
        if info.features.has(VIRTIO_NET_F_CSUM) {
            a.offload_set_tx_checksum_capabilities(OffloadTxChecksumCapabilities::all())?;
        }
        if let Some(gso) = gso_capabilities(info.features) {
            a.offload_set_gso_capabilities(gso)?;
        }
        Ok(())
    }

    pub(super) fn show_link(&mut self) -> Result<(), DriverError> {
        let state = if self.config.link_up {
            let duplex = match self.config.full_duplex {
                Some(true) => NetIfMediaDuplexState::FULL,
                Some(false) => NetIfMediaDuplexState::HALF,
                None => NetIfMediaDuplexState::UNKNOWN,
            };
            NetAdapterLinkState::connected(bits_per_second(&self.config), duplex)
        } else {
            NetAdapterLinkState::disconnected()
        };
        Ok(self.adapter.set_link_state(state)?)
    }
}

fn bits_per_second(config: &NetConfig) -> u64 {
    u64::from(config.speed.unwrap_or(DEFAULT_SPEED)) * 1_000_000
}

/// What of frames may be hashed, where their headers tell of it.
pub(super) fn hash_types(info: &CardInfo) -> u32 {
    let told = info.features.has(VIRTIO_NET_F_HASH_REPORT);
    let limits = info.config.rss.filter(|_| told);
    limits.map_or(0, |limits| limits.hash_types)
}

/// Whether with these features a device may join received TCP segments.
pub(super) fn joins(features: FeatureSet) -> bool {
    features.has(VIRTIO_NET_F_GUEST_TSO4) || features.has(VIRTIO_NET_F_GUEST_TSO6)
}

/// Features that the port cannot carry.
pub(super) fn beyond(port: &dyn SystemPort) -> FeatureSet {
    let (rx, tx) = (port.rx_offloads(), port.tx_offloads());
    let pairs = [
        (rx.checksum, VIRTIO_NET_F_GUEST_CSUM),
        (rx.tso4, VIRTIO_NET_F_GUEST_TSO4),
        (rx.tso6, VIRTIO_NET_F_GUEST_TSO6),
        (rx.tso_ecn, VIRTIO_NET_F_GUEST_ECN),
        (rx.uso, VIRTIO_NET_F_GUEST_USO4),
        (rx.uso, VIRTIO_NET_F_GUEST_USO6),
        (port.takes_hash(), VIRTIO_NET_F_HASH_REPORT),
        (tx.checksum, VIRTIO_NET_F_CSUM),
        (tx.tso4, VIRTIO_NET_F_HOST_TSO4),
        (tx.tso6, VIRTIO_NET_F_HOST_TSO6),
        (tx.tso_ecn, VIRTIO_NET_F_HOST_ECN),
        (tx.uso, VIRTIO_NET_F_HOST_USO),
    ];
    pairs
        .into_iter()
        .filter(|(has, _)| !has)
        .fold(FeatureSet::EMPTY, |set, (_, bit)| set.with(bit))
}

/// What the device segments. The structure pairs every network header with every transport,
/// so UDP is left out where TCP is segmented for one of the families only.
fn gso_capabilities(features: FeatureSet) -> Option<OffloadGsoCapabilities> {
    let (v4, v6) = (
        features.has(VIRTIO_NET_F_HOST_TSO4),
        features.has(VIRTIO_NET_F_HOST_TSO6),
    );
    let udp = features.has(VIRTIO_NET_F_HOST_USO) && v4 == v6;
    let pick = |wanted: bool, flags: u32| if wanted { flags } else { 0 };
    let ipv4 = (L3::IPV4_NO_OPTIONS | L3::IPV4_WITH_OPTIONS).0;
    let ipv6 = (L3::IPV6_NO_EXTENSIONS | L3::IPV6_WITH_EXTENSIONS).0;
    let tcp = (L4::TCP_NO_OPTIONS | L4::TCP_WITH_OPTIONS).0;
    let layer3 = L3(pick(v4 || udp, ipv4) | pick(v6 || udp, ipv6));
    let layer4 = L4(pick(v4 || v6, tcp) | pick(udp, L4::UDP.0));
    let mut gso = OffloadGsoCapabilities::new(layer3, layer4);
    gso.tcp_ecn = features.has(VIRTIO_NET_F_HOST_ECN);
    (layer3.0 != 0).then_some(gso)
}
