//! Device properties. A software device has none but what its client
//! assigned.

#![allow(non_snake_case)] // C's names

use std::ffi::c_void;

use super::create::{Globals, read, required, status};
use super::device;
use crate::abi::NtStatus;
use crate::door::foreign::{In, Out};
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
pub(super) struct PropertyData<'a> {
    size: u32,
    key: In<'a, PropertyKey>,
    locale: u32,
    flags: u32,
}

/// What a client assigned: key, type, bytes.
pub(super) type Property = (PropertyKey, u32, Vec<u8>);

/// The key a call names.
fn key(call: &str, data: In<'_, PropertyData<'_>>) -> Result<PropertyKey, NtStatus> {
    let data = read(call, "DeviceProperty", data)?;
    required(call, "PropertyKey", data.key)?;
    data.key.read().ok_or(NtStatus::INVALID_PARAMETER)
}

extern "C" fn WdfDeviceAssignProperty(
    _: Globals,
    device: Handle,
    data: In<'_, PropertyData<'_>>,
    kind: u32,
    size: u32,
    bytes: In<'_, u8>,
) -> NtStatus {
    let call = "WdfDeviceAssignProperty";
    status((|| {
        let found = device::checked(call, device)?;
        let key = key(call, data)?;
        if size > LONGEST {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let copy = bytes.bytes(size as usize);
        let copy = copy.ok_or(NtStatus::INVALID_PARAMETER)?;
        let mut state = found.state();
        state.properties.retain(|(other, _, _)| *other != key);
        if !bytes.is_null() {
            state.properties.push((key, kind, copy));
        }
        Ok(())
    })())
}

extern "C" fn WdfDeviceQueryPropertyEx(
    _: Globals,
    device: Handle,
    data: In<'_, PropertyData<'_>>,
    room: u32,
    buffer: Out<'_, u8>,
    needed: Out<'_, u32>,
    kind: Out<'_, u32>,
) -> NtStatus {
    let call = "WdfDeviceQueryPropertyEx";
    status((|| {
        let found = device::checked(call, device)?;
        let key = key(call, data)?;
        let properties = found.state().properties.clone();
        let known = properties.into_iter().find(|(other, _, _)| *other == key);
        let (_, its_kind, bytes) = known.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        needed.store(u32::try_from(bytes.len()).unwrap_or(0));
        kind.store(its_kind);
        match buffer.fill(&bytes, room as usize) {
            true => Ok(()),
            false => Err(NtStatus::BUFFER_TOO_SMALL),
        }
    })())
}

extern "C" fn WdfDeviceQueryProperty(
    _: Globals,
    device: Handle,
    _property: u32,
    _room: u32,
    _buffer: *mut c_void,
    needed: Out<'_, u32>,
) -> NtStatus {
    if let Err(status) = device::checked("WdfDeviceQueryProperty", device) {
        return status;
    }
    needed.store(0);
    NtStatus::OBJECT_NAME_NOT_FOUND
}

extern "C" fn WdfDeviceAllocAndQueryProperty(
    _: Globals,
    device: Handle,
    _property: u32,
    _pool: u32,
    _attributes: *const c_void,
    memory: Out<'_, Handle>,
) -> NtStatus {
    if let Err(status) = device::checked("WdfDeviceAllocAndQueryProperty", device) {
        return status;
    }
    memory.store(Handle::NULL);
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
            key: In::of(&key),
            locale: 0,
            flags: 0,
        };
        let query = |room: &mut [u8]| {
            let (mut needed, mut kind) = (0, 0);
            let size = u32::try_from(room.len()).unwrap();
            let buffer = room.as_mut_ptr();
            let status = WdfDeviceQueryPropertyEx(
                null(),
                device,
                In::of(&data),
                size,
                Out::from(buffer),
                Out::of(&mut needed),
                Out::of(&mut kind),
            );
            (status, needed, kind)
        };
        assert_eq!(query(&mut []).0, NtStatus::OBJECT_NAME_NOT_FOUND);
        let assign = |bytes: *const u8, size| {
            WdfDeviceAssignProperty(null(), device, In::of(&data), 18, size, In::from(bytes))
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
        let plain = WdfDeviceQueryProperty(null(), device, 0, 0, null_mut(), Out::of(&mut needed));
        let allocated =
            WdfDeviceAllocAndQueryProperty(null(), device, 0, 1, null(), Out::of(&mut memory));
        assert_eq!([plain, allocated], [NtStatus::OBJECT_NAME_NOT_FOUND; 2]);
        assert!(needed == 0 && memory.is_null());
    }
}
