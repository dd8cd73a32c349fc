//! Which offloads are in use: what the client can do, cut down to what the
//! port can carry.

use super::Settings;
use crate::abi::{NetOffloadLayer3Flags as L3, NetOffloadLayer4Flags as L4};
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
    pub rx_checksum: bool,
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

fn enabled(settings: &Settings, tx: PortOffloads, rx: PortOffloads) -> EnabledOffloads {
    let ipv4 = |flags: L3| flags.contains(L3::IPV4_NO_OPTIONS);
    let ipv6 = |flags: L3| flags.contains(L3::IPV6_NO_EXTENSIONS);
    let tcp = |flags: L4| flags.intersects(L4::TCP_NO_OPTIONS | L4::TCP_WITH_OPTIONS);
    let udp = |flags: L4| flags.contains(L4::UDP);
    let sums = settings.tx_checksum.unwrap_or_default();
    let (gso3, gso4) = settings
        .gso
        .map_or_else(Default::default, |gso| (gso.layer3, gso.layer4));
    let rsc = settings.rsc.unwrap_or_default();
    let tcp_rsc_ipv4 = rx.tso4 && ipv4(rsc.layer3) && tcp(rsc.layer4);
    let tcp_rsc_ipv6 = rx.tso6 && ipv6(rsc.layer3) && tcp(rsc.layer4);
    EnabledOffloads {
        tx_checksum_ipv4: ipv4(sums.layer3),
        tx_checksum_tcp: tcp(sums.layer4),
        tx_checksum_udp: udp(sums.layer4),
        rx_checksum: settings.rx_checksum,
        lso_ipv4: tx.tso4 && ipv4(gso3) && tcp(gso4),
        lso_ipv6: tx.tso6 && ipv6(gso3) && tcp(gso4),
        uso_ipv4: tx.uso && ipv4(gso3) && udp(gso4),
        uso_ipv6: tx.uso && ipv6(gso3) && udp(gso4),
        tcp_rsc_ipv4,
        tcp_rsc_ipv6,
        // Of the TCP segments that are coalesced, so of none where none are.
        rsc_tcp_timestamp: (tcp_rsc_ipv4 || tcp_rsc_ipv6) && rsc.tcp_timestamp_option,
        udp_rsc: rx.uso && udp(rsc.layer4),
    }
}

/// What the client's capabilities mean for frames the stack sends.
fn tx_capabilities(settings: &Settings) -> PortOffloads {
    let checksum = settings.tx_checksum.is_some_and(|caps| {
        caps.layer3
            .intersects(L3::IPV4_NO_OPTIONS | L3::IPV6_NO_EXTENSIONS)
            && caps.layer4.intersects(L4::TCP_NO_OPTIONS | L4::UDP)
    });
    // Who segments completes the checksums of the segments; those of other
    // frames are then completed in software.
    let checksum = checksum || settings.gso.is_some();
    let Some(gso) = settings.gso else {
        return PortOffloads {
            checksum,
            ..PortOffloads::default()
        };
    };
    // Nearly every TCP segment has options (timestamps): without them large
    // frames are of no use.
    let tcp = gso.layer4.contains(L4::TCP_WITH_OPTIONS);
    let tso4 = tcp && gso.layer3.contains(L3::IPV4_NO_OPTIONS);
    let tso6 = tcp && gso.layer3.contains(L3::IPV6_NO_EXTENSIONS);
    PortOffloads {
        checksum,
        tso4,
        tso6,
        tso_ecn: gso.tcp_ecn && (tso4 || tso6),
        // A TAP offers USO for both families or none.
        uso: gso.layer4.contains(L4::UDP)
            && gso
                .layer3
                .contains(L3::IPV4_NO_OPTIONS | L3::IPV6_NO_EXTENSIONS),
    }
}
