//! Hardware: declared, so that clients with a card compile and load, and
//! refused. A client here has an empty resource list, as a software-only
//! device of Windows has.

#![allow(non_snake_case)] // C's names

use std::ffi::c_void;
use std::ptr::null_mut;

use super::create::Globals;
use super::device;
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::Out;
use crate::door::object::{self, Handle, Kind};
use crate::door::table::{Functions, entries};
use crate::door::types::Boolean;

pub(crate) const FUNCTIONS: Functions = entries![
    WdfCmResourceListGetCount,
    WdfCmResourceListGetDescriptor,
    WdfDeviceMapIoSpace,
    WdfDeviceUnmapIoSpace,
    WdfDeviceGetHardwareRegisterMappedAddress,
    WdfDeviceReadFromHardware,
    WdfDeviceWriteToHardware,
    WdfInterruptCreate,
    WdfInterruptQueueDpcForIsr,
    WdfInterruptQueueWorkItemForIsr,
    WdfInterruptSynchronize,
    WdfInterruptTryToAcquireLock,
    WdfInterruptAcquireLock,
    WdfInterruptReleaseLock,
    WdfInterruptEnable,
    WdfInterruptDisable,
    WdfInterruptGetInfo,
    WdfInterruptGetDevice,
    WdfDmaEnablerCreate,
    WdfCommonBufferCreate,
    WdfCommonBufferCreateWithConfig,
    WdfCommonBufferGetAlignedVirtualAddress,
    WdfCommonBufferGetAlignedLogicalAddress,
    WdfCommonBufferGetLength,
];

/// What a resource list holds: nothing.
pub(super) struct Resources;

/// Refuses a call that returns a status, with a line that says so.
fn refuse(call: &str, what: &str) -> NtStatus {
    log::error!("{call}: {what} are not given to client drivers yet; only software devices run");
    NtStatus::NOT_SUPPORTED
}

/// No list has an entry, so that no descriptor or handle of one can exist.
fn impossible(call: &str, handle: Handle) {
    let text = format_args!("{call}: {handle} is not of a device with hardware");
    breach(WdfFault::InvalidHandle, text);
}

extern "C" fn WdfCmResourceListGetCount(_: Globals, list: Handle) -> u32 {
    let _ = object::checked::<Resources>("WdfCmResourceListGetCount", list, Kind::ResourceList);
    0
}

/// NULL, as beyond the end of any list.
extern "C" fn WdfCmResourceListGetDescriptor(_: Globals, list: Handle, _index: u32) -> *mut c_void {
    let call = "WdfCmResourceListGetDescriptor";
    let _ = object::checked::<Resources>(call, list, Kind::ResourceList);
    null_mut()
}

extern "C" fn WdfDeviceMapIoSpace(
    _: Globals,
    device: Handle,
    _address: i64,
    _bytes: usize,
    _caching: u32,
    place: Out<'_, *mut c_void>,
) -> NtStatus {
    let call = "WdfDeviceMapIoSpace";
    if let Err(status) = device::checked(call, device) {
        return status;
    }
    place.store(null_mut());
    refuse(call, "registers")
}

extern "C" fn WdfDeviceUnmapIoSpace(
    _: Globals,
    device: Handle,
    _address: *mut c_void,
    _bytes: usize,
) {
    impossible("WdfDeviceUnmapIoSpace", device);
}

extern "C" fn WdfDeviceGetHardwareRegisterMappedAddress(
    _: Globals,
    device: Handle,
    _address: *mut c_void,
) -> *mut c_void {
    impossible("WdfDeviceGetHardwareRegisterMappedAddress", device);
    null_mut()
}

extern "C" fn WdfDeviceReadFromHardware(
    _: Globals,
    device: Handle,
    _kind: u32,
    _size: u32,
    _address: *mut c_void,
    _buffer: *mut c_void,
    _count: u32,
) -> usize {
    impossible("WdfDeviceReadFromHardware", device);
    0
}

extern "C" fn WdfDeviceWriteToHardware(
    _: Globals,
    device: Handle,
    _kind: u32,
    _size: u32,
    _address: *mut c_void,
    _value: usize,
    _buffer: *const c_void,
    _count: u32,
) {
    impossible("WdfDeviceWriteToHardware", device);
}

extern "C" fn WdfInterruptCreate(
    _: Globals,
    device: Handle,
    _config: *const c_void,
    _attributes: *const c_void,
    place: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfInterruptCreate";
    if let Err(status) = device::checked(call, device) {
        return status;
    }
    place.store(Handle::NULL);
    refuse(call, "interrupts")
}

extern "C" fn WdfInterruptQueueDpcForIsr(_: Globals, interrupt: Handle) -> Boolean {
    impossible("WdfInterruptQueueDpcForIsr", interrupt);
    0
}

extern "C" fn WdfInterruptQueueWorkItemForIsr(_: Globals, interrupt: Handle) -> Boolean {
    impossible("WdfInterruptQueueWorkItemForIsr", interrupt);
    0
}

extern "C" fn WdfInterruptSynchronize(
    _: Globals,
    interrupt: Handle,
    _callback: *const c_void,
    _context: usize,
) -> Boolean {
    impossible("WdfInterruptSynchronize", interrupt);
    0
}

extern "C" fn WdfInterruptTryToAcquireLock(_: Globals, interrupt: Handle) -> Boolean {
    impossible("WdfInterruptTryToAcquireLock", interrupt);
    0
}

extern "C" fn WdfInterruptAcquireLock(_: Globals, interrupt: Handle) {
    impossible("WdfInterruptAcquireLock", interrupt);
}

extern "C" fn WdfInterruptReleaseLock(_: Globals, interrupt: Handle) {
    impossible("WdfInterruptReleaseLock", interrupt);
}

extern "C" fn WdfInterruptEnable(_: Globals, interrupt: Handle) {
    impossible("WdfInterruptEnable", interrupt);
}

extern "C" fn WdfInterruptDisable(_: Globals, interrupt: Handle) {
    impossible("WdfInterruptDisable", interrupt);
}

extern "C" fn WdfInterruptGetInfo(_: Globals, interrupt: Handle, _info: *mut c_void) {
    impossible("WdfInterruptGetInfo", interrupt);
}

extern "C" fn WdfInterruptGetDevice(_: Globals, interrupt: Handle) -> Handle {
    impossible("WdfInterruptGetDevice", interrupt);
    Handle::NULL
}

/// User mode has no DMA.
extern "C" fn WdfDmaEnablerCreate(
    _: Globals,
    device: Handle,
    _config: *const c_void,
    _attributes: *const c_void,
    place: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfDmaEnablerCreate";
    if let Err(status) = device::checked(call, device) {
        return status;
    }
    place.store(Handle::NULL);
    log::error!("{call}: user mode has no DMA; the client copies instead");
    NtStatus::NOT_SUPPORTED
}

extern "C" fn WdfCommonBufferCreate(
    _: Globals,
    enabler: Handle,
    _length: usize,
    _attributes: *const c_void,
    _place: *mut Handle,
) -> NtStatus {
    impossible("WdfCommonBufferCreate", enabler);
    NtStatus::NOT_SUPPORTED
}

extern "C" fn WdfCommonBufferCreateWithConfig(
    _: Globals,
    enabler: Handle,
    _length: usize,
    _config: *const c_void,
    _attributes: *const c_void,
    _place: *mut Handle,
) -> NtStatus {
    impossible("WdfCommonBufferCreateWithConfig", enabler);
    NtStatus::NOT_SUPPORTED
}

extern "C" fn WdfCommonBufferGetAlignedVirtualAddress(_: Globals, buffer: Handle) -> *mut c_void {
    impossible("WdfCommonBufferGetAlignedVirtualAddress", buffer);
    null_mut()
}

extern "C" fn WdfCommonBufferGetAlignedLogicalAddress(_: Globals, buffer: Handle) -> i64 {
    impossible("WdfCommonBufferGetAlignedLogicalAddress", buffer);
    0
}

extern "C" fn WdfCommonBufferGetLength(_: Globals, buffer: Handle) -> usize {
    impossible("WdfCommonBufferGetLength", buffer);
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::recorded;
    use crate::door::wdf::device::tests::device;
    use crate::door::wdf::test_client::TestClient;
    use std::ptr::null;

    #[test]
    fn the_resource_lists_are_empty() {
        let client = TestClient::new();
        let device = device(&client);
        let (raw, translated) = device::resources(device);
        assert_ne!(raw, translated);
        for list in [raw, translated] {
            assert_eq!(WdfCmResourceListGetCount(null(), list), 0);
            assert!(WdfCmResourceListGetDescriptor(null(), list, 0).is_null());
        }
        assert_eq!(device::resources(device), (raw, translated));
        assert!(recorded::take().is_empty());
        WdfCmResourceListGetCount(null(), device);
        recorded::take_one(WdfFault::InvalidHandle);
    }

    #[test]
    fn registers_interrupts_and_dma_are_refused() {
        let client = TestClient::new();
        let device = device(&client);
        let (mut pointer, mut handle) = (null_mut(), Handle::NULL);
        let map = WdfDeviceMapIoSpace(null(), device, 0, 4096, 0, Out::of(&mut pointer));
        let interrupt = WdfInterruptCreate(null(), device, null(), null(), Out::of(&mut handle));
        let dma = WdfDmaEnablerCreate(null(), device, null(), null(), Out::of(&mut handle));
        assert_eq!([map, interrupt, dma], [NtStatus::NOT_SUPPORTED; 3]);
        assert!(recorded::take().is_empty() && pointer.is_null() && handle.is_null());
    }

    #[test]
    fn what_needs_hardware_is_a_breach() {
        let calls: [fn(Handle); 17] = [
            |none| WdfDeviceUnmapIoSpace(null(), none, null_mut(), 0),
            |none| {
                WdfDeviceGetHardwareRegisterMappedAddress(null(), none, null_mut());
            },
            |none| {
                WdfDeviceReadFromHardware(null(), none, 1, 3, null_mut(), null_mut(), 0);
            },
            |none| WdfDeviceWriteToHardware(null(), none, 1, 3, null_mut(), 0, null(), 0),
            |none| assert_eq!(WdfInterruptQueueDpcForIsr(null(), none), 0),
            |none| assert_eq!(WdfInterruptQueueWorkItemForIsr(null(), none), 0),
            |none| assert_eq!(WdfInterruptSynchronize(null(), none, null(), 0), 0),
            |none| assert_eq!(WdfInterruptTryToAcquireLock(null(), none), 0),
            |none| WdfInterruptAcquireLock(null(), none),
            |none| WdfInterruptReleaseLock(null(), none),
            |none| WdfInterruptEnable(null(), none),
            |none| WdfInterruptDisable(null(), none),
            |none| WdfInterruptGetInfo(null(), none, null_mut()),
            |none| assert!(WdfInterruptGetDevice(null(), none).is_null()),
            |none| assert!(WdfCommonBufferGetAlignedVirtualAddress(null(), none).is_null()),
            |none| assert_eq!(WdfCommonBufferGetAlignedLogicalAddress(null(), none), 0),
            |none| assert_eq!(WdfCommonBufferGetLength(null(), none), 0),
        ];
        for call in calls {
            call(Handle::NULL);
            recorded::take_one(WdfFault::InvalidHandle);
        }
        let status = WdfCommonBufferCreate(null(), Handle::NULL, 64, null(), null_mut());
        assert_eq!(status, NtStatus::NOT_SUPPORTED);
        recorded::take_one(WdfFault::InvalidHandle);
        let (none, place) = (Handle::NULL, null_mut());
        let status = WdfCommonBufferCreateWithConfig(null(), none, 64, null(), null(), place);
        assert_eq!(status, NtStatus::NOT_SUPPORTED);
        recorded::take_one(WdfFault::InvalidHandle);
    }
}
