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
}

/// The active set for a client's settings over a port.
pub(super) fn active(settings: &Settings, tx: PortOffloads, rx: PortOffloads) -> ActiveOffloads {
    ActiveOffloads {
        tx: tx_capabilities(settings).intersection(tx),
        rx,
    }
}

/// What the client's capabilities mean for frames the stack sends.
fn tx_capabilities(settings: &Settings) -> PortOffloads {
    let checksum = settings.tx_checksum.is_some_and(|caps| {
        caps.layer3
            .intersects(L3::IPV4_NO_OPTIONS | L3::IPV6_NO_EXTENSIONS)
            && caps.layer4.intersects(L4::TCP_NO_OPTIONS | L4::UDP)
    });
    let Some(gso) = settings.gso.filter(|_| checksum) else {
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
