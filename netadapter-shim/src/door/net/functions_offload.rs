//! The state of offloads with C signatures.

#![allow(non_snake_case)] // C's names

use std::ffi::c_void;

use super::guard::Globals;
use super::{deprecated, indication};
use crate::adapter::EnabledOffloads;
use crate::door::object::Handle;
use crate::door::table::{Entry, entries};
use crate::door::types::{Boolean, FALSE};

/// Every function of this part, by its C name.
pub(super) const FUNCTIONS: &[(&str, Entry)] = entries![
    NetOffloadIsTxChecksumIPv4Enabled,
    NetOffloadIsTxChecksumTcpEnabled,
    NetOffloadIsTxChecksumUdpEnabled,
    NetOffloadIsRxChecksumIPv4Enabled,
    NetOffloadIsRxChecksumTcpEnabled,
    NetOffloadIsRxChecksumUdpEnabled,
    NetOffloadIsLsoIPv4Enabled,
    NetOffloadIsLsoIPv6Enabled,
    NetOffloadIsUsoIPv4Enabled,
    NetOffloadIsUsoIPv6Enabled,
    NetOffloadIsTcpRscIPv4Enabled,
    NetOffloadIsTcpRscIPv6Enabled,
    NetOffloadIsRscTcpTimestampOptionEnabled,
    NetOffloadIsUdpRscEnabled,
    NetOffloadIsChecksumIPv4Enabled,
    NetOffloadIsChecksumTcpEnabled,
    NetOffloadIsChecksumUdpEnabled,
    NetAdapterOffloadSetChecksumCapabilities,
];

/// Whether an offload is in use, each under its own name.
macro_rules! enabled {
    ($($name:ident: $offload:ident;)+) => {$(
        extern "C" fn $name(globals: Globals, offload: usize) -> Boolean {
            let read = |enabled: &EnabledOffloads| enabled.$offload;
            u8::from(indication::offload(stringify!($name), globals, offload, read))
        }
    )+};
}

enabled! {
    NetOffloadIsTxChecksumIPv4Enabled: tx_checksum_ipv4;
    NetOffloadIsTxChecksumTcpEnabled: tx_checksum_tcp;
    NetOffloadIsTxChecksumUdpEnabled: tx_checksum_udp;
    NetOffloadIsRxChecksumIPv4Enabled: rx_checksum_ipv4;
    NetOffloadIsRxChecksumTcpEnabled: rx_checksum_tcp;
    NetOffloadIsRxChecksumUdpEnabled: rx_checksum_udp;
    NetOffloadIsLsoIPv4Enabled: lso_ipv4;
    NetOffloadIsLsoIPv6Enabled: lso_ipv6;
    NetOffloadIsUsoIPv4Enabled: uso_ipv4;
    NetOffloadIsUsoIPv6Enabled: uso_ipv6;
    NetOffloadIsTcpRscIPv4Enabled: tcp_rsc_ipv4;
    NetOffloadIsTcpRscIPv6Enabled: tcp_rsc_ipv6;
    NetOffloadIsRscTcpTimestampOptionEnabled: rsc_tcp_timestamp;
    NetOffloadIsUdpRscEnabled: udp_rsc;
}

/// The same before the Tx and Rx forms.
macro_rules! withdrawn {
    ($($name:ident),+) => {$(
        extern "C" fn $name(globals: Globals, _offload: usize) -> Boolean {
            deprecated(stringify!($name), globals);
            FALSE
        }
    )+};
}

withdrawn!(
    NetOffloadIsChecksumIPv4Enabled,
    NetOffloadIsChecksumTcpEnabled,
    NetOffloadIsChecksumUdpEnabled
);

extern "C" fn NetAdapterOffloadSetChecksumCapabilities(
    globals: Globals,
    _adapter: Handle,
    _structure: *const c_void,
) {
    deprecated("NetAdapterOffloadSetChecksumCapabilities", globals);
}
