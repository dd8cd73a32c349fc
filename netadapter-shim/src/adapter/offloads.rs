//! Which offloads are in use: what the client can do, cut down to what the
//! keywords leave on and the port can carry.

use super::{ReceiveScalingCapabilities, Settings};
use crate::abi::{
    NetOffloadIeee8021qFlags, NetOffloadLayer3Flags as L3, NetOffloadLayer4Flags as L4,
};
use crate::offload::{Covered, Segmentation};
use crate::port::PortOffloads;

/// The offloads in use, as a client is told (NETOFFLOAD).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActiveOffloads {
    /// What the stack may leave to the client when it sends.
    pub tx: PortOffloads,
    /// What the client may leave to the stack when it receives.
    pub rx: PortOffloads,
    /// The same in the words of the `NetOffloadIs...Enabled` functions.
    pub enabled: EnabledOffloads,
}

/// What each `NetOffloadIs...Enabled` function answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // each is named like its function
pub struct EnabledOffloads {
    pub tx_checksum_ipv4: bool,
    pub tx_checksum_tcp: bool,
    pub tx_checksum_udp: bool,
    pub rx_checksum_ipv4: bool,
    pub rx_checksum_tcp: bool,
    pub rx_checksum_udp: bool,
    pub lso_ipv4: bool,
    pub lso_ipv6: bool,
    pub uso_ipv4: bool,
    pub uso_ipv6: bool,
    pub tcp_rsc_ipv4: bool,
    pub tcp_rsc_ipv6: bool,
    pub rsc_tcp_timestamp: bool,
    pub udp_rsc: bool,
}

/// The active set for a client's settings over a port.
pub(super) fn active(settings: &Settings, tx: PortOffloads, rx: PortOffloads) -> ActiveOffloads {
    ActiveOffloads {
        tx: tx_capabilities(settings).intersection(tx),
        rx,
        enabled: enabled(settings, tx, rx),
    }
}

impl Settings {
    /// Checksums that are left to the client.
    pub(super) fn tx_sums(&self) -> Covered {
        let caps = self.tx_checksum.unwrap_or_default();
        Covered {
            tcp: caps.layer3 & self.keywords.tx_tcp,
            udp: caps.layer3 & self.keywords.tx_udp,
            layer4: caps.layer4,
            offset_limit: caps.layer4_header_offset_limit,
        }
    }

    /// Large frames that the client cuts.
    pub(super) fn segmentation(&self) -> Segmentation {
        let segmentation = self.gso.map(|caps| Segmentation {
            covered: Covered {
                tcp: caps.layer3 & self.keywords.lso,
                udp: caps.layer3 & self.keywords.uso,
                layer4: caps.layer4,
                offset_limit: caps.layer4_header_offset_limit,
            },
            maximum_size: caps.maximum_offload_size,
            minimum_count: caps.minimum_segment_count,
        });
        segmentation.unwrap_or_default()
    }

    /// Parts of 802.1Q tags that travel beside the packet.
    pub(super) fn tagging(&self) -> NetOffloadIeee8021qFlags {
        self.ieee8021q & self.keywords.tagging
    }

    /// How the client spreads what it receives.
    pub(super) fn scaling(&self) -> Option<ReceiveScalingCapabilities> {
        let on = self.keywords.receive_scaling;
        self.receive_scaling.filter(|_| on)
    }
}

fn enabled(settings: &Settings, tx: PortOffloads, rx: PortOffloads) -> EnabledOffloads {
    let ipv4 = |flags: L3| flags.contains(L3::IPV4_NO_OPTIONS);
    let ipv6 = |flags: L3| flags.contains(L3::IPV6_NO_EXTENSIONS);
    let tcp = |flags: L4| flags.intersects(L4::TCP_NO_OPTIONS | L4::TCP_WITH_OPTIONS);
    let udp = |flags: L4| flags.contains(L4::UDP);
    let keywords = &settings.keywords;
    let headers = settings.tx_checksum.unwrap_or_default().layer3;
    let (sums, large) = (settings.tx_sums(), settings.segmentation().covered);
    let rsc = settings.rsc.unwrap_or_default();
    let joined = rsc.layer3 & keywords.rsc;
    let tcp_rsc_ipv4 = rx.tso4 && ipv4(joined) && tcp(rsc.layer4);
    let tcp_rsc_ipv6 = rx.tso6 && ipv6(joined) && tcp(rsc.layer4);
    EnabledOffloads {
        tx_checksum_ipv4: ipv4(headers) && keywords.tx_ipv4,
        tx_checksum_tcp: tcp(sums.layer4) && sums.tcp.0 != 0,
        tx_checksum_udp: udp(sums.layer4) && sums.udp.0 != 0,
        rx_checksum_ipv4: settings.rx_checksum && keywords.rx_ipv4,
        rx_checksum_tcp: settings.rx_checksum && keywords.rx_tcp,
        rx_checksum_udp: settings.rx_checksum && keywords.rx_udp,
        lso_ipv4: tx.tso4 && ipv4(large.tcp) && tcp(large.layer4),
        lso_ipv6: tx.tso6 && ipv6(large.tcp) && tcp(large.layer4),
        uso_ipv4: tx.uso && ipv4(large.udp) && udp(large.layer4),
        uso_ipv6: tx.uso && ipv6(large.udp) && udp(large.layer4),
        tcp_rsc_ipv4,
        tcp_rsc_ipv6,
        // Of the TCP segments that are coalesced, so of none where none are.
        rsc_tcp_timestamp: (tcp_rsc_ipv4 || tcp_rsc_ipv6)
            && rsc.tcp_timestamp_option
            && keywords.rsc_timestamp,
        udp_rsc: rx.uso && udp(rsc.layer4) && keywords.udp_rsc,
    }
}

/// What the client's capabilities mean for frames the stack sends.
fn tx_capabilities(settings: &Settings) -> PortOffloads {
    const BOTH: L3 = L3(L3::IPV4_NO_OPTIONS.0 | L3::IPV6_NO_EXTENSIONS.0);
    let (sums, large) = (settings.tx_sums(), settings.segmentation().covered);
    let left = |layer4, layer3: L3| sums.layer4.contains(layer4) && layer3.intersects(BOTH);
    // Who segments completes the checksums of the segments; those of other
    // frames are then completed in software.
    let segments = (large.tcp | large.udp).0 != 0;
    // Nearly every TCP segment has options (timestamps): without them large
    // frames are of no use.
    let tcp = large.layer4.contains(L4::TCP_WITH_OPTIONS);
    let tso4 = tcp && large.tcp.contains(L3::IPV4_NO_OPTIONS);
    let tso6 = tcp && large.tcp.contains(L3::IPV6_NO_EXTENSIONS);
    PortOffloads {
        checksum: left(L4::TCP_NO_OPTIONS, sums.tcp) || left(L4::UDP, sums.udp) || segments,
        tso4,
        tso6,
        tso_ecn: settings.gso.is_some_and(|gso| gso.tcp_ecn) && (tso4 || tso6),
        // A TAP offers USO for both families or none.
        uso: large.layer4.contains(L4::UDP) && large.udp.contains(BOTH),
    }
}
