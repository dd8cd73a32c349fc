//! Power, wake and reset with C signatures.

#![allow(unsafe_code, non_snake_case)] // C's names, and the client's pointers passed on

use std::ffi::c_void;

use super::guard::Globals;
use super::power::{
    self, ArpParameters, BitmapCapabilities, BitmapParameters, CountCapabilities, FlagCapabilities,
    List, MediaChangeParameters, NsParameters, PreviewCallbacks, Reason, ResetCapabilities,
};
use super::{done, status};
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

/// What a list or an element is of.
const OFFLOADS: bool = false;
const WAKE_SOURCES: bool = true;

unsafe extern "C" fn NetAdapterPowerOffloadSetArpCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const CountCapabilities,
) {
    let call = "NetAdapterPowerOffloadSetArpCapabilities";
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::offer(call, globals, adapter, structure, |offered, can| {
            can.arp = offered.count();
        })
    });
}

unsafe extern "C" fn NetAdapterPowerOffloadSetNSCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const CountCapabilities,
) {
    let call = "NetAdapterPowerOffloadSetNSCapabilities";
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::offer(call, globals, adapter, structure, |offered, can| {
            can.neighbors = offered.count();
        })
    });
}

unsafe extern "C" fn NetAdapterWakeSetBitmapCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const BitmapCapabilities,
) {
    let call = "NetAdapterWakeSetBitmapCapabilities";
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::offer(call, globals, adapter, structure, |offered, can| {
            (can.patterns, can.pattern_size) = (offered.count(), offered.largest);
        })
    });
}

unsafe extern "C" fn NetAdapterWakeSetMediaChangeCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const FlagCapabilities,
) {
    let call = "NetAdapterWakeSetMediaChangeCapabilities";
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::offer(call, globals, adapter, structure, |offered, can| {
            (can.connect, can.disconnect) = offered.flags();
        })
    });
}

unsafe extern "C" fn NetAdapterWakeSetMagicPacketCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const FlagCapabilities,
) {
    let call = "NetAdapterWakeSetMagicPacketCapabilities";
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::offer(call, globals, adapter, structure, |offered, can| {
            can.magic = offered.flags().0;
        })
    });
}

unsafe extern "C" fn NetAdapterWakeSetEapolPacketCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const FlagCapabilities,
) {
    let call = "NetAdapterWakeSetEapolPacketCapabilities";
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::offer(call, globals, adapter, structure, |offered, can| {
            can.eapol = offered.flags().0;
        })
    });
}

unsafe extern "C" fn NetAdapterWakeSetPacketFilterCapabilities(
    globals: Globals,
    adapter: Handle,
    structure: *const FlagCapabilities,
) {
    let call = "NetAdapterWakeSetPacketFilterCapabilities";
    // SAFETY: the client called with C's prototype.
    done(unsafe {
        power::offer(call, globals, adapter, structure, |offered, can| {
            can.filter = offered.flags().0;
        })
    });
}

unsafe extern "C" fn NetDeviceInitSetPowerPolicyEventCallbacks(
    globals: Globals,
    init: *const c_void,
    callbacks: *const PreviewCallbacks,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe { power::set_previews(globals, init, callbacks) });
}

unsafe extern "C" fn NetDeviceInitSetResetCapabilities(
    globals: Globals,
    init: *const c_void,
    structure: *const ResetCapabilities,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe { power::set_reset(globals, init, structure) });
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

unsafe extern "C" fn NetDeviceGetPowerOffloadList(
    globals: Globals,
    device: Handle,
    list: *mut List,
) {
    let call = "NetDeviceGetPowerOffloadList";
    // SAFETY: the client called with C's prototype.
    done(unsafe { power::open_list(call, globals, device, list, OFFLOADS) });
}

unsafe extern "C" fn NetPowerOffloadListGetCount(globals: Globals, list: *const List) -> usize {
    let call = "NetPowerOffloadListGetCount";
    // SAFETY: the client called with C's prototype.
    unsafe { power::count(call, globals, list, OFFLOADS) }.unwrap_or(0)
}

unsafe extern "C" fn NetPowerOffloadListGetElement(
    globals: Globals,
    list: *const List,
    index: usize,
) -> usize {
    let call = "NetPowerOffloadListGetElement";
    // SAFETY: the client called with C's prototype.
    unsafe { power::element(call, globals, list, index, OFFLOADS) }.unwrap_or(0)
}

extern "C" fn NetPowerOffloadGetType(globals: Globals, element: usize) -> u32 {
    power::kind("NetPowerOffloadGetType", globals, element, OFFLOADS).unwrap_or(0)
}

extern "C" fn NetPowerOffloadGetAdapter(globals: Globals, element: usize) -> Handle {
    let call = "NetPowerOffloadGetAdapter";
    power::adapter(call, globals, element, OFFLOADS).unwrap_or(Handle::NULL)
}

unsafe extern "C" fn NetPowerOffloadGetArpParameters(
    globals: Globals,
    element: usize,
    parameters: *mut ArpParameters,
) {
    let call = "NetPowerOffloadGetArpParameters";
    // SAFETY: the client called with C's prototype.
    done(unsafe { power::parameters(call, globals, element, parameters, OFFLOADS) });
}

unsafe extern "C" fn NetPowerOffloadGetNSParameters(
    globals: Globals,
    element: usize,
    parameters: *mut NsParameters,
) {
    let call = "NetPowerOffloadGetNSParameters";
    // SAFETY: the client called with C's prototype.
    done(unsafe { power::parameters(call, globals, element, parameters, OFFLOADS) });
}

unsafe extern "C" fn NetDeviceGetWakeSourceList(globals: Globals, device: Handle, list: *mut List) {
    let call = "NetDeviceGetWakeSourceList";
    // SAFETY: the client called with C's prototype.
    done(unsafe { power::open_list(call, globals, device, list, WAKE_SOURCES) });
}

unsafe extern "C" fn NetWakeSourceListGetCount(globals: Globals, list: *const List) -> usize {
    let call = "NetWakeSourceListGetCount";
    // SAFETY: the client called with C's prototype.
    unsafe { power::count(call, globals, list, WAKE_SOURCES) }.unwrap_or(0)
}

unsafe extern "C" fn NetWakeSourceListGetElement(
    globals: Globals,
    list: *const List,
    index: usize,
) -> usize {
    let call = "NetWakeSourceListGetElement";
    // SAFETY: the client called with C's prototype.
    unsafe { power::element(call, globals, list, index, WAKE_SOURCES) }.unwrap_or(0)
}

extern "C" fn NetWakeSourceGetType(globals: Globals, element: usize) -> u32 {
    power::kind("NetWakeSourceGetType", globals, element, WAKE_SOURCES).unwrap_or(0)
}

extern "C" fn NetWakeSourceGetAdapter(globals: Globals, element: usize) -> Handle {
    let call = "NetWakeSourceGetAdapter";
    power::adapter(call, globals, element, WAKE_SOURCES).unwrap_or(Handle::NULL)
}

unsafe extern "C" fn NetWakeSourceGetBitmapParameters(
    globals: Globals,
    element: usize,
    parameters: *mut BitmapParameters,
) {
    let call = "NetWakeSourceGetBitmapParameters";
    // SAFETY: the client called with C's prototype.
    done(unsafe { power::parameters(call, globals, element, parameters, WAKE_SOURCES) });
}

unsafe extern "C" fn NetWakeSourceGetMediaChangeParameters(
    globals: Globals,
    element: usize,
    parameters: *mut MediaChangeParameters,
) {
    let call = "NetWakeSourceGetMediaChangeParameters";
    // SAFETY: the client called with C's prototype.
    done(unsafe { power::parameters(call, globals, element, parameters, WAKE_SOURCES) });
}

unsafe extern "C" fn NetAdapterReportWakeReasonPacket(
    globals: Globals,
    adapter: Handle,
    reason: *const Reason,
) {
    // SAFETY: the client called with C's prototype.
    done(unsafe { power::wake_packet(globals, adapter, reason) });
}

extern "C" fn NetAdapterReportWakeReasonMediaChange(
    globals: Globals,
    adapter: Handle,
    reason: u32,
) {
    done(power::wake_media_change(globals, adapter, reason));
}
