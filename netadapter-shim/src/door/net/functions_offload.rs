//! The state of offloads with C signatures.

#![allow(non_snake_case)] // C's names

use std::ffi::c_void;

use super::guard::Globals;
use super::{deprecated, indication};
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

extern "C" fn NetOffloadIsTxChecksumIPv4Enabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsTxChecksumIPv4Enabled",
        globals,
        offload,
        |enabled| enabled.tx_checksum_ipv4,
    ))
}

extern "C" fn NetOffloadIsTxChecksumTcpEnabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsTxChecksumTcpEnabled",
        globals,
        offload,
        |enabled| enabled.tx_checksum_tcp,
    ))
}

extern "C" fn NetOffloadIsTxChecksumUdpEnabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsTxChecksumUdpEnabled",
        globals,
        offload,
        |enabled| enabled.tx_checksum_udp,
    ))
}

extern "C" fn NetOffloadIsRxChecksumIPv4Enabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsRxChecksumIPv4Enabled",
        globals,
        offload,
        |enabled| enabled.rx_checksum_ipv4,
    ))
}

extern "C" fn NetOffloadIsRxChecksumTcpEnabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsRxChecksumTcpEnabled",
        globals,
        offload,
        |enabled| enabled.rx_checksum_tcp,
    ))
}

extern "C" fn NetOffloadIsRxChecksumUdpEnabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsRxChecksumUdpEnabled",
        globals,
        offload,
        |enabled| enabled.rx_checksum_udp,
    ))
}

extern "C" fn NetOffloadIsLsoIPv4Enabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsLsoIPv4Enabled",
        globals,
        offload,
        |enabled| enabled.lso_ipv4,
    ))
}

extern "C" fn NetOffloadIsLsoIPv6Enabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsLsoIPv6Enabled",
        globals,
        offload,
        |enabled| enabled.lso_ipv6,
    ))
}

extern "C" fn NetOffloadIsUsoIPv4Enabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsUsoIPv4Enabled",
        globals,
        offload,
        |enabled| enabled.uso_ipv4,
    ))
}

extern "C" fn NetOffloadIsUsoIPv6Enabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsUsoIPv6Enabled",
        globals,
        offload,
        |enabled| enabled.uso_ipv6,
    ))
}

extern "C" fn NetOffloadIsTcpRscIPv4Enabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsTcpRscIPv4Enabled",
        globals,
        offload,
        |enabled| enabled.tcp_rsc_ipv4,
    ))
}

extern "C" fn NetOffloadIsTcpRscIPv6Enabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsTcpRscIPv6Enabled",
        globals,
        offload,
        |enabled| enabled.tcp_rsc_ipv6,
    ))
}

extern "C" fn NetOffloadIsRscTcpTimestampOptionEnabled(
    globals: Globals,
    offload: usize,
) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsRscTcpTimestampOptionEnabled",
        globals,
        offload,
        |enabled| enabled.rsc_tcp_timestamp,
    ))
}

extern "C" fn NetOffloadIsUdpRscEnabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsUdpRscEnabled",
        globals,
        offload,
        |enabled| enabled.udp_rsc,
    ))
}

extern "C" fn NetOffloadIsChecksumIPv4Enabled(globals: Globals, _offload: usize) -> Boolean {
    deprecated("NetOffloadIsChecksumIPv4Enabled", globals);
    FALSE
}

extern "C" fn NetOffloadIsChecksumTcpEnabled(globals: Globals, _offload: usize) -> Boolean {
    deprecated("NetOffloadIsChecksumTcpEnabled", globals);
    FALSE
}

extern "C" fn NetOffloadIsChecksumUdpEnabled(globals: Globals, _offload: usize) -> Boolean {
    deprecated("NetOffloadIsChecksumUdpEnabled", globals);
    FALSE
}

extern "C" fn NetAdapterOffloadSetChecksumCapabilities(
    globals: Globals,
    _adapter: Handle,
    _structure: *const c_void,
) {
    deprecated("NetAdapterOffloadSetChecksumCapabilities", globals);
}
