//! Power, wake and reset with C signatures.

#![allow(unsafe_code, non_snake_case)] // C's names, and the client's pointers passed on

use std::ffi::c_void;

use super::guard::Globals;
use super::power::{self, AnySized};
use super::{done, status};
use crate::abi::FailureCode;
use crate::door::object::Handle;
use crate::door::table::{Entry, entries};

/// Every function of this part, by its C name.
pub(super) const FUNCTIONS: &[(&str, Entry)] = entries![
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
