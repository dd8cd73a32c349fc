//! Power, wake and reset with C signatures.

#![allow(non_snake_case)] // C's names

use std::ffi::c_void;

use super::guard::Globals;
use super::power::{
    self, ArpParameters, BitmapCapabilities, BitmapParameters, CountCapabilities, FlagCapabilities,
    List, MediaChangeParameters, NsParameters, PreviewCallbacks, Reason, ResetCapabilities,
};
use super::{done, status};
use crate::door::foreign::{In, Out};
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

/// Functions with which a client says what its device does while it sleeps.
macro_rules! offers {
    ($($name:ident($structure:ty): $state:expr;)+) => {$(
        extern "C" fn $name(globals: Globals, adapter: Handle, structure: In<'_, $structure>) {
            done(power::offer(stringify!($name), globals, adapter, structure, $state));
        }
    )+};
}

offers! {
    NetAdapterPowerOffloadSetArpCapabilities(CountCapabilities):
        |offered, can| can.arp = offered.count();
    NetAdapterPowerOffloadSetNSCapabilities(CountCapabilities):
        |offered, can| can.neighbors = offered.count();
    NetAdapterWakeSetBitmapCapabilities(BitmapCapabilities):
        |offered, can| (can.patterns, can.pattern_size) = (offered.count(), offered.largest);
    NetAdapterWakeSetMediaChangeCapabilities(FlagCapabilities):
        |offered, can| (can.connect, can.disconnect) = offered.flags();
    NetAdapterWakeSetMagicPacketCapabilities(FlagCapabilities):
        |offered, can| can.magic = offered.flags().0;
    NetAdapterWakeSetEapolPacketCapabilities(FlagCapabilities):
        |offered, can| can.eapol = offered.flags().0;
    NetAdapterWakeSetPacketFilterCapabilities(FlagCapabilities):
        |offered, can| can.filter = offered.flags().0;
}

extern "C" fn NetDeviceInitSetPowerPolicyEventCallbacks(
    globals: Globals,
    init: *const c_void,
    callbacks: In<'_, PreviewCallbacks>,
) {
    done(power::set_previews(globals, init, callbacks));
}

extern "C" fn NetDeviceInitSetResetCapabilities(
    globals: Globals,
    init: *const c_void,
    structure: In<'_, ResetCapabilities>,
) {
    done(power::set_reset(globals, init, structure));
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

extern "C" fn NetDeviceGetPowerOffloadList(globals: Globals, device: Handle, list: Out<'_, List>) {
    let call = "NetDeviceGetPowerOffloadList";
    done(power::open_list(call, globals, device, list, OFFLOADS));
}

extern "C" fn NetPowerOffloadListGetCount(globals: Globals, list: In<'_, List>) -> usize {
    let call = "NetPowerOffloadListGetCount";
    power::count(call, globals, list, OFFLOADS).unwrap_or(0)
}

extern "C" fn NetPowerOffloadListGetElement(
    globals: Globals,
    list: In<'_, List>,
    index: usize,
) -> usize {
    let call = "NetPowerOffloadListGetElement";
    power::element(call, globals, list, index, OFFLOADS).unwrap_or(0)
}

extern "C" fn NetPowerOffloadGetType(globals: Globals, element: usize) -> u32 {
    power::kind("NetPowerOffloadGetType", globals, element, OFFLOADS).unwrap_or(0)
}

extern "C" fn NetPowerOffloadGetAdapter(globals: Globals, element: usize) -> Handle {
    let call = "NetPowerOffloadGetAdapter";
    power::adapter(call, globals, element, OFFLOADS).unwrap_or(Handle::NULL)
}

extern "C" fn NetPowerOffloadGetArpParameters(
    globals: Globals,
    element: usize,
    parameters: Out<'_, ArpParameters>,
) {
    let call = "NetPowerOffloadGetArpParameters";
    done(power::parameters(
        call, globals, element, parameters, OFFLOADS,
    ));
}

extern "C" fn NetPowerOffloadGetNSParameters(
    globals: Globals,
    element: usize,
    parameters: Out<'_, NsParameters>,
) {
    let call = "NetPowerOffloadGetNSParameters";
    done(power::parameters(
        call, globals, element, parameters, OFFLOADS,
    ));
}

extern "C" fn NetDeviceGetWakeSourceList(globals: Globals, device: Handle, list: Out<'_, List>) {
    let call = "NetDeviceGetWakeSourceList";
    done(power::open_list(call, globals, device, list, WAKE_SOURCES));
}

extern "C" fn NetWakeSourceListGetCount(globals: Globals, list: In<'_, List>) -> usize {
    let call = "NetWakeSourceListGetCount";
    power::count(call, globals, list, WAKE_SOURCES).unwrap_or(0)
}

extern "C" fn NetWakeSourceListGetElement(
    globals: Globals,
    list: In<'_, List>,
    index: usize,
) -> usize {
    let call = "NetWakeSourceListGetElement";
    power::element(call, globals, list, index, WAKE_SOURCES).unwrap_or(0)
}

extern "C" fn NetWakeSourceGetType(globals: Globals, element: usize) -> u32 {
    power::kind("NetWakeSourceGetType", globals, element, WAKE_SOURCES).unwrap_or(0)
}

extern "C" fn NetWakeSourceGetAdapter(globals: Globals, element: usize) -> Handle {
    let call = "NetWakeSourceGetAdapter";
    power::adapter(call, globals, element, WAKE_SOURCES).unwrap_or(Handle::NULL)
}

extern "C" fn NetWakeSourceGetBitmapParameters(
    globals: Globals,
    element: usize,
    parameters: Out<'_, BitmapParameters>,
) {
    let call = "NetWakeSourceGetBitmapParameters";
    done(power::parameters(
        call,
        globals,
        element,
        parameters,
        WAKE_SOURCES,
    ));
}

extern "C" fn NetWakeSourceGetMediaChangeParameters(
    globals: Globals,
    element: usize,
    parameters: Out<'_, MediaChangeParameters>,
) {
    let call = "NetWakeSourceGetMediaChangeParameters";
    done(power::parameters(
        call,
        globals,
        element,
        parameters,
        WAKE_SOURCES,
    ));
}

extern "C" fn NetAdapterReportWakeReasonPacket(
    globals: Globals,
    adapter: Handle,
    reason: In<'_, Reason>,
) {
    done(power::wake_packet(globals, adapter, reason));
}

extern "C" fn NetAdapterReportWakeReasonMediaChange(
    globals: Globals,
    adapter: Handle,
    reason: u32,
) {
    done(power::wake_media_change(globals, adapter, reason));
}
