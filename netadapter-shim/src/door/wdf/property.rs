//! Device properties. A software device has none but what its client
//! assigned.

#![allow(unsafe_code)] // copies between buffers of the client
#![allow(non_snake_case)] // C's names

use std::ffi::c_void;

use super::create::{Globals, read, required, status};
use super::device;
use crate::abi::NtStatus;
use crate::door::foreign::{Sized32, store};
use crate::door::object::Handle;
use crate::door::table::{Functions, entries};
use crate::door::types::Guid;

pub(crate) const FUNCTIONS: Functions = entries![
    WdfDeviceAssignProperty,
    WdfDeviceQueryPropertyEx,
    WdfDeviceQueryProperty,
    WdfDeviceAllocAndQueryProperty,
];

/// Longest property a client may assign.
const LONGEST: u32 = 1 << 20;

/// `DEVPROPKEY`
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PropertyKey {
    class: Guid,
    number: u32,
}

/// `WDF_DEVICE_PROPERTY_DATA`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct PropertyData {
    size: u32,
    key: *const PropertyKey,
    locale: u32,
    flags: u32,
}

// SAFETY: plain data in C's order.
unsafe impl Sized32 for PropertyData {}

/// What a client assigned: key, type, bytes.
pub(super) type Property = (PropertyKey, u32, Vec<u8>);

/// The key a call names.
///
/// # Safety
/// `data` is as C passes it.
unsafe fn key(call: &str, data: *const PropertyData) -> Result<PropertyKey, NtStatus> {
    // SAFETY: passed on from the caller.
    let data = unsafe { read(call, "DeviceProperty", data) }?;
    required(call, "PropertyKey", data.key)?;
    // SAFETY: not NULL, and the client's key.
    Ok(unsafe { data.key.read_unaligned() })
}

unsafe extern "C" fn WdfDeviceAssignProperty(
    _: Globals,
    device: Handle,
    data: *const PropertyData,
    kind: u32,
    size: u32,
    bytes: *const u8,
) -> NtStatus {
    let call = "WdfDeviceAssignProperty";
    status((|| {
        let found = device::checked(call, device)?;
        // SAFETY: passed on from the client.
        let key = unsafe { key(call, data) }?;
        let mut copy = vec![0u8; size.min(LONGEST) as usize];
        if size > LONGEST || (bytes.is_null() && size > 0) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        if size > 0 {
            // SAFETY: not NULL, and the client says that there are so many.
            unsafe { std::ptr::copy_nonoverlapping(bytes, copy.as_mut_ptr(), copy.len()) };
        }
        let mut state = found.state();
        state.properties.retain(|(other, _, _)| *other != key);
        if !bytes.is_null() {
            state.properties.push((key, kind, copy));
        }
        Ok(())
    })())
}

unsafe extern "C" fn WdfDeviceQueryPropertyEx(
    _: Globals,
    device: Handle,
    data: *const PropertyData,
    room: u32,
    buffer: *mut u8,
    needed: *mut u32,
    kind: *mut u32,
) -> NtStatus {
    let call = "WdfDeviceQueryPropertyEx";
    status((|| {
        let found = device::checked(call, device)?;
        // SAFETY: passed on from the client.
        let key = unsafe { key(call, data) }?;
        let properties = found.state().properties.clone();
        let known = properties.into_iter().find(|(other, _, _)| *other == key);
        let (_, its_kind, bytes) = known.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        // SAFETY: C's place for the size, or NULL.
        unsafe { store(needed, u32::try_from(bytes.len()).unwrap_or(0)) };
        // SAFETY: C's place for the type, or NULL.
        unsafe { store(kind, its_kind) };
        if (room as usize) < bytes.len() || buffer.is_null() {
            return Err(NtStatus::BUFFER_TOO_SMALL);
        }
        // SAFETY: not NULL, and the client says that there is the room.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len()) };
        Ok(())
    })())
}

unsafe extern "C" fn WdfDeviceQueryProperty(
    _: Globals,
    device: Handle,
    _property: u32,
    _room: u32,
    _buffer: *mut c_void,
    needed: *mut u32,
) -> NtStatus {
    if let Err(status) = device::checked("WdfDeviceQueryProperty", device) {
        return status;
    }
    // SAFETY: C's place for the size, or NULL.
    unsafe { store(needed, 0) };
    NtStatus::OBJECT_NAME_NOT_FOUND
}

unsafe extern "C" fn WdfDeviceAllocAndQueryProperty(
    _: Globals,
    device: Handle,
    _property: u32,
    _pool: u32,
    _attributes: *const c_void,
    memory: *mut Handle,
) -> NtStatus {
    if let Err(status) = device::checked("WdfDeviceAllocAndQueryProperty", device) {
        return status;
    }
    // SAFETY: C's place for a handle, or NULL.
    unsafe { store(memory, Handle::NULL) };
    NtStatus::OBJECT_NAME_NOT_FOUND
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::wdf::device::tests::device;
    use crate::door::wdf::test_client::TestClient;
    use std::ptr::{null, null_mut};

    #[test]
    fn a_property_is_what_the_client_assigned() {
        let client = TestClient::new();
        let device = device(&client);
        let key = PropertyKey {
            class: Guid::default(),
            number: 9,
        };
        let data = PropertyData {
            size: 24,
            key: &key,
            locale: 0,
            flags: 0,
        };
        let query = |room: &mut [u8]| {
            let (mut needed, mut kind) = (0, 0);
            let size = u32::try_from(room.len()).unwrap();
            let buffer = room.as_mut_ptr();
            // SAFETY: live structures and as much room as `size` says.
            let status = unsafe {
                WdfDeviceQueryPropertyEx(
                    null(),
                    device,
                    &data,
                    size,
                    buffer,
                    &raw mut needed,
                    &raw mut kind,
                )
            };
            (status, needed, kind)
        };
        assert_eq!(query(&mut []).0, NtStatus::OBJECT_NAME_NOT_FOUND);
        let assign = |bytes: *const u8, size| {
            // SAFETY: live structures.
            unsafe { WdfDeviceAssignProperty(null(), device, &data, 18, size, bytes) }
        };
        assert_eq!(assign(b"abc".as_ptr(), 3), NtStatus::SUCCESS);
        assert_eq!(query(&mut [0; 2]), (NtStatus::BUFFER_TOO_SMALL, 3, 18));
        let mut room = [0u8; 3];
        assert_eq!(query(&mut room), (NtStatus::SUCCESS, 3, 18));
        assert_eq!(&room, b"abc");
        assert_eq!(assign(null(), 0), NtStatus::SUCCESS);
        assert_eq!(query(&mut room).0, NtStatus::OBJECT_NAME_NOT_FOUND);
        assert_eq!(assign(null(), 4), NtStatus::INVALID_PARAMETER);
    }

    #[test]
    fn the_registry_knows_nothing_of_a_software_device() {
        let client = TestClient::new();
        let device = device(&client);
        let (mut needed, mut memory) = (7, Handle::NULL);
        // SAFETY: a live place for the size.
        let plain =
            unsafe { WdfDeviceQueryProperty(null(), device, 0, 0, null_mut(), &raw mut needed) };
        // SAFETY: a live place for the handle.
        let allocated = unsafe {
            WdfDeviceAllocAndQueryProperty(null(), device, 0, 1, null(), &raw mut memory)
        };
        assert_eq!([plain, allocated], [NtStatus::OBJECT_NAME_NOT_FOUND; 2]);
        assert!(needed == 0 && memory.is_null());
    }
}
