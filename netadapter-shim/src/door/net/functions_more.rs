//! Offload state, power, wake and reset with their C signatures.

#![allow(unsafe_code, non_snake_case)] // C's names, and the client's pointers passed on

use std::ffi::c_void;

use super::guard::Globals;
use super::power::{self, AnySized};
use super::{deprecated, done, indication, status};
use crate::abi::FailureCode;
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
    NetAdapterPowerOffloadSetArpCapabilities,
    NetAdapterPowerOffloadSetNSCapabilities,
    NetAdapterWakeSetBitmapCapabilities,
    NetAdapterWakeSetMediaChangeCapabilities,
    NetAdapterWakeSetMagicPacketCapabilities,
    NetAdapterWakeSetEapolPacketCapabilities,
    NetAdapterWakeSetPacketFilterCapabilities,
    NetDeviceInitSetPowerPolicyEventCallbacks,
    NetDeviceInitSetResetCapabilities,
    NetDeviceRequestReset,
    NetDeviceStoreResetDiagnostics,
    NetDeviceGetPowerOffloadList,
    NetDeviceGetWakeSourceList,
    NetPowerOffloadListGetCount,
    NetPowerOffloadListGetElement,
    NetPowerOffloadGetType,
    NetPowerOffloadGetAdapter,
    NetPowerOffloadGetArpParameters,
    NetPowerOffloadGetNSParameters,
    NetWakeSourceListGetCount,
    NetWakeSourceListGetElement,
    NetWakeSourceGetType,
    NetWakeSourceGetAdapter,
    NetWakeSourceGetBitmapParameters,
    NetWakeSourceGetMediaChangeParameters,
    NetAdapterReportWakeReasonPacket,
    NetAdapterReportWakeReasonMediaChange,
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
        |enabled| enabled.rx_checksum,
    ))
}

extern "C" fn NetOffloadIsRxChecksumTcpEnabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsRxChecksumTcpEnabled",
        globals,
        offload,
        |enabled| enabled.rx_checksum,
    ))
}

extern "C" fn NetOffloadIsRxChecksumUdpEnabled(globals: Globals, offload: usize) -> Boolean {
    u8::from(indication::offload(
        "NetOffloadIsRxChecksumUdpEnabled",
        globals,
        offload,
        |enabled| enabled.rx_checksum,
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

extern "C" fn NetAdapterPowerOffloadSetArpCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const AnySized,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::accept(
            "NetAdapterPowerOffloadSetArpCapabilities",
            globals,
            adapter,
            structure,
            16,
        )
    });
}

extern "C" fn NetAdapterPowerOffloadSetNSCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const AnySized,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::accept(
            "NetAdapterPowerOffloadSetNSCapabilities",
            globals,
            adapter,
            structure,
            16,
        )
    });
}

extern "C" fn NetAdapterWakeSetBitmapCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const AnySized,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::accept(
            "NetAdapterWakeSetBitmapCapabilities",
            globals,
            adapter,
            structure,
            24,
        )
    });
}

extern "C" fn NetAdapterWakeSetMediaChangeCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const AnySized,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::accept(
            "NetAdapterWakeSetMediaChangeCapabilities",
            globals,
            adapter,
            structure,
            8,
        )
    });
}

extern "C" fn NetAdapterWakeSetMagicPacketCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const AnySized,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::accept(
            "NetAdapterWakeSetMagicPacketCapabilities",
            globals,
            adapter,
            structure,
            8,
        )
    });
}

extern "C" fn NetAdapterWakeSetEapolPacketCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const AnySized,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::accept(
            "NetAdapterWakeSetEapolPacketCapabilities",
            globals,
            adapter,
            structure,
            8,
        )
    });
}

extern "C" fn NetAdapterWakeSetPacketFilterCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const AnySized,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::accept(
            "NetAdapterWakeSetPacketFilterCapabilities",
            globals,
            adapter,
            structure,
            8,
        )
    });
}

extern "C" fn NetDeviceInitSetPowerPolicyEventCallbacks(
    globals: Globals,
    init: *const c_void,
    structure: *const AnySized,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::accept_init(
            "NetDeviceInitSetPowerPolicyEventCallbacks",
            globals,
            init,
            structure,
        )
    });
}

extern "C" fn NetDeviceInitSetResetCapabilities(
    globals: Globals,
    init: *const c_void,
    structure: *const AnySized,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::accept_init(
            "NetDeviceInitSetResetCapabilities",
            globals,
            init,
            structure,
        )
    });
}

extern "C" fn NetDeviceRequestReset(globals: Globals, device: Handle) {
    done(power::request_reset(globals, device));
}

extern "C" fn NetDeviceStoreResetDiagnostics(
    globals: Globals,
    _device: Handle,
    size: usize,
    _buffer: *const u8,
) -> i32 {
    status(power::store_reset_diagnostics(globals, size))
}

extern "C" fn NetDeviceGetPowerOffloadList(globals: Globals, _device: Handle, _list: *mut c_void) {
    done(power::no_transition::<()>(
        "NetDeviceGetPowerOffloadList",
        globals,
    ));
}

extern "C" fn NetDeviceGetWakeSourceList(globals: Globals, _device: Handle, _list: *mut c_void) {
    done(power::no_transition::<()>(
        "NetDeviceGetWakeSourceList",
        globals,
    ));
}

extern "C" fn NetPowerOffloadListGetCount(globals: Globals, _list: *const c_void) -> usize {
    power::no_list(
        "NetPowerOffloadListGetCount",
        globals,
        FailureCode::InvalidPowerOffloadListSignature,
    )
    .unwrap_or(0)
}

extern "C" fn NetPowerOffloadListGetElement(
    globals: Globals,
    _list: *const c_void,
    _index: usize,
) -> usize {
    power::no_list(
        "NetPowerOffloadListGetElement",
        globals,
        FailureCode::InvalidPowerOffloadListSignature,
    )
    .unwrap_or(0)
}

extern "C" fn NetPowerOffloadGetType(globals: Globals, _element: usize) -> u32 {
    power::no_list(
        "NetPowerOffloadGetType",
        globals,
        FailureCode::InvalidPowerOffloadListSignature,
    )
    .unwrap_or(0)
}

extern "C" fn NetPowerOffloadGetAdapter(globals: Globals, _element: usize) -> usize {
    power::no_list(
        "NetPowerOffloadGetAdapter",
        globals,
        FailureCode::InvalidPowerOffloadListSignature,
    )
    .unwrap_or(0)
}

extern "C" fn NetPowerOffloadGetArpParameters(
    globals: Globals,
    _element: usize,
    _parameters: *mut c_void,
) {
    done(power::no_list::<()>(
        "NetPowerOffloadGetArpParameters",
        globals,
        FailureCode::InvalidPowerOffloadListSignature,
    ));
}

extern "C" fn NetPowerOffloadGetNSParameters(
    globals: Globals,
    _element: usize,
    _parameters: *mut c_void,
) {
    done(power::no_list::<()>(
        "NetPowerOffloadGetNSParameters",
        globals,
        FailureCode::InvalidPowerOffloadListSignature,
    ));
}

extern "C" fn NetWakeSourceListGetCount(globals: Globals, _list: *const c_void) -> usize {
    power::no_list(
        "NetWakeSourceListGetCount",
        globals,
        FailureCode::InvalidWakeSourceListSignature,
    )
    .unwrap_or(0)
}

extern "C" fn NetWakeSourceListGetElement(
    globals: Globals,
    _list: *const c_void,
    _index: usize,
) -> usize {
    power::no_list(
        "NetWakeSourceListGetElement",
        globals,
        FailureCode::InvalidWakeSourceListSignature,
    )
    .unwrap_or(0)
}

extern "C" fn NetWakeSourceGetType(globals: Globals, _element: usize) -> u32 {
    power::no_list(
        "NetWakeSourceGetType",
        globals,
        FailureCode::InvalidWakeSourceListSignature,
    )
    .unwrap_or(0)
}

extern "C" fn NetWakeSourceGetAdapter(globals: Globals, _element: usize) -> usize {
    power::no_list(
        "NetWakeSourceGetAdapter",
        globals,
        FailureCode::InvalidWakeSourceListSignature,
    )
    .unwrap_or(0)
}

extern "C" fn NetWakeSourceGetBitmapParameters(
    globals: Globals,
    _element: usize,
    _parameters: *mut c_void,
) {
    done(power::no_list::<()>(
        "NetWakeSourceGetBitmapParameters",
        globals,
        FailureCode::InvalidWakeSourceListSignature,
    ));
}

extern "C" fn NetWakeSourceGetMediaChangeParameters(
    globals: Globals,
    _element: usize,
    _parameters: *mut c_void,
) {
    done(power::no_list::<()>(
        "NetWakeSourceGetMediaChangeParameters",
        globals,
        FailureCode::InvalidWakeSourceListSignature,
    ));
}

extern "C" fn NetAdapterReportWakeReasonPacket(
    globals: Globals,
    adapter: Handle,
    _reason: *const c_void,
) {
    done(power::no_wake(
        "NetAdapterReportWakeReasonPacket",
        globals,
        adapter,
    ));
}

extern "C" fn NetAdapterReportWakeReasonMediaChange(
    globals: Globals,
    adapter: Handle,
    reason: u32,
) {
    done(power::wake_media_change(globals, adapter, reason));
}
