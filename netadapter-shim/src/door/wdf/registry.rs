//! `WdfRegistry*`: keys are tables of the host's configuration.

#![allow(unsafe_code)] // reads the client's structures and stores results
#![allow(non_snake_case)] // C's names

use std::ffi::c_void;
use std::sync::Arc;

use super::create::{Globals, caller_driver, create, required, status};
use super::registry_value::{REG_DWORD, decode, encode};
use super::{collection, device, memory, string};
use crate::abi::NtStatus;
use crate::door::client_host::{self, ConfigurationScope};
use crate::door::configuration_store::{ConfigurationStore, ConfigurationValue};
use crate::door::foreign::{store, unicode_string};
use crate::door::object::{self, Attributes, Handle, Kind, Rules};
use crate::door::table::{Functions, entries};
use crate::door::types::{UnicodeString, WdfObjectAttributes};

pub(crate) const FUNCTIONS: Functions = entries![
    WdfDriverOpenParametersRegistryKey,
    WdfDeviceOpenRegistryKey,
    WdfRegistryOpenKey,
    WdfRegistryClose,
    WdfRegistryQueryValue,
    WdfRegistryQueryULong,
    WdfRegistryQueryString,
    WdfRegistryQueryUnicodeString,
    WdfRegistryQueryMultiString,
    WdfRegistryQueryMemory,
    WdfRegistryAssignValue,
    WdfRegistryAssignULong,
    WdfRegistryAssignUnicodeString,
    WdfRegistryAssignString,
];

/// Longest value a client may write.
const LONGEST: u32 = 1 << 20;

/// What `WDFKEY` stands for.
pub(crate) struct Key(Arc<dyn ConfigurationStore>);

/// The host's table for `scope`.
fn table(scope: ConfigurationScope) -> Result<Arc<dyn ConfigurationStore>, NtStatus> {
    let host = client_host::current().ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
    Ok(host.configuration(scope))
}

/// Makes a key object.
///
/// # Safety
/// Attributes and place are as C passes them.
unsafe fn open(
    call: &'static str,
    globals: Globals,
    table: Arc<dyn ConfigurationStore>,
    attributes: *const WdfObjectAttributes,
    place: *mut Handle,
) -> Result<(), NtStatus> {
    let wanted = (attributes, Rules::PLAIN);
    let key = Arc::new(Key(table));
    // SAFETY: passed on from the caller.
    unsafe { create(call, globals, Kind::Key, wanted, key, place) }.map(drop)
}

fn checked(call: &str, key: Handle) -> Result<Arc<Key>, NtStatus> {
    object::checked(call, key, Kind::Key)
}

/// A name the client passes.
///
/// # Safety
/// `name` is as C passes it.
unsafe fn text(call: &str, name: *const UnicodeString) -> Result<String, NtStatus> {
    required(call, "the name", name)?;
    // SAFETY: passed on from the caller.
    let units = unsafe { unicode_string(name) }.ok_or(NtStatus::INVALID_PARAMETER)?;
    Ok(String::from_utf16_lossy(&units))
}

/// A key's value of that name.
///
/// # Safety
/// `name` is as C passes it.
unsafe fn value(
    call: &str,
    key: Handle,
    name: *const UnicodeString,
) -> Result<ConfigurationValue, NtStatus> {
    let key = checked(call, key)?;
    // SAFETY: passed on from the caller.
    let name = unsafe { text(call, name) }?;
    key.0.get(&name).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)
}

/// Writes a value.
///
/// # Safety
/// `name` is as C passes it.
unsafe fn assign(
    call: &str,
    key: Handle,
    name: *const UnicodeString,
    value: ConfigurationValue,
) -> Result<(), NtStatus> {
    let key = checked(call, key)?;
    // SAFETY: passed on from the caller.
    let name = unsafe { text(call, name) }?;
    key.0.set(&name, value);
    Ok(())
}

unsafe extern "C" fn WdfDriverOpenParametersRegistryKey(
    globals: Globals,
    driver: Handle,
    _access: u32,
    attributes: *const WdfObjectAttributes,
    key: *mut Handle,
) -> NtStatus {
    let call = "WdfDriverOpenParametersRegistryKey";
    status((|| {
        if caller_driver(call, globals)? != driver {
            object::checked::<super::driver::Driver>(call, driver, Kind::Driver)?;
        }
        let table = table(ConfigurationScope::Driver)?;
        // SAFETY: passed on from the client.
        unsafe { open(call, globals, table, attributes, key) }
    })())
}

unsafe extern "C" fn WdfDeviceOpenRegistryKey(
    globals: Globals,
    device: Handle,
    _kind: u32,
    _access: u32,
    attributes: *const WdfObjectAttributes,
    key: *mut Handle,
) -> NtStatus {
    let call = "WdfDeviceOpenRegistryKey";
    status((|| {
        let found = device::checked(call, device)?;
        let number = device::number(device, found.driver());
        let table = table(ConfigurationScope::Device(number))?;
        // SAFETY: passed on from the client.
        unsafe { open(call, globals, table, attributes, key) }
    })())
}

unsafe extern "C" fn WdfRegistryOpenKey(
    globals: Globals,
    parent: Handle,
    name: *const UnicodeString,
    _access: u32,
    attributes: *const WdfObjectAttributes,
    key: *mut Handle,
) -> NtStatus {
    let call = "WdfRegistryOpenKey";
    status((|| {
        if parent.is_null() {
            log::error!("{call}: there is no registry; open a driver's or a device's key first");
            return Err(NtStatus::OBJECT_NAME_NOT_FOUND);
        }
        let above = checked(call, parent)?;
        // SAFETY: passed on from the client.
        let name = unsafe { text(call, name) }?;
        let table = above.0.table(&name);
        let table = table.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        // SAFETY: passed on from the client.
        unsafe { open(call, globals, table, attributes, key) }
    })())
}

extern "C" fn WdfRegistryClose(_: Globals, key: Handle) {
    if checked("WdfRegistryClose", key).is_ok() {
        object::delete(key);
    }
}

unsafe extern "C" fn WdfRegistryQueryValue(
    _: Globals,
    key: Handle,
    name: *const UnicodeString,
    room: u32,
    buffer: *mut u8,
    length: *mut u32,
    kind: *mut u32,
) -> NtStatus {
    let call = "WdfRegistryQueryValue";
    status((|| {
        // SAFETY: passed on from the client.
        let (its_kind, bytes) = encode(&unsafe { value(call, key, name) }?);
        // SAFETY: C's place for the length, or NULL.
        unsafe { store(length, u32::try_from(bytes.len()).unwrap_or(u32::MAX)) };
        // SAFETY: C's place for the type, or NULL.
        unsafe { store(kind, its_kind) };
        if buffer.is_null() || (room as usize) < bytes.len() {
            return Err(NtStatus::BUFFER_OVERFLOW);
        }
        // SAFETY: not NULL, and the client says that there is the room.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len()) };
        Ok(())
    })())
}

unsafe extern "C" fn WdfRegistryQueryULong(
    _: Globals,
    key: Handle,
    name: *const UnicodeString,
    place: *mut u32,
) -> NtStatus {
    let call = "WdfRegistryQueryULong";
    status((|| {
        required(call, "Value", place)?;
        // SAFETY: passed on from the client.
        let ConfigurationValue::Ulong(number) = unsafe { value(call, key, name) }? else {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        };
        // SAFETY: not NULL, and C's place for a number.
        unsafe { store(place, number) };
        Ok(())
    })())
}

/// The text of a value.
fn as_text(value: ConfigurationValue) -> Result<Vec<u16>, NtStatus> {
    match value {
        ConfigurationValue::String(text) => Ok(text.encode_utf16().collect()),
        _ => Err(NtStatus::OBJECT_TYPE_MISMATCH),
    }
}

unsafe extern "C" fn WdfRegistryQueryString(
    _: Globals,
    key: Handle,
    name: *const UnicodeString,
    to: Handle,
) -> NtStatus {
    let call = "WdfRegistryQueryString";
    status((|| {
        let to = string::checked(call, to)?;
        // SAFETY: passed on from the client.
        to.set(&as_text(unsafe { value(call, key, name) }?)?)
    })())
}

/// Copies the text into the buffer of the client's string, as far as it is
/// large enough.
unsafe extern "C" fn WdfRegistryQueryUnicodeString(
    _: Globals,
    key: Handle,
    name: *const UnicodeString,
    needed: *mut u16,
    to: *mut UnicodeString,
) -> NtStatus {
    let call = "WdfRegistryQueryUnicodeString";
    status((|| {
        // SAFETY: passed on from the client.
        let units = as_text(unsafe { value(call, key, name) }?)?;
        let bytes = u16::try_from(units.len() * 2).map_err(|_| NtStatus::BUFFER_OVERFLOW)?;
        // SAFETY: C's place for the length, or NULL.
        unsafe { store(needed, bytes.saturating_add(2)) };
        if to.is_null() {
            return Ok(());
        }
        // SAFETY: not NULL, and the client's string.
        let mut string = unsafe { to.read_unaligned() };
        if string.maximum_length < bytes || string.buffer.is_null() {
            return Err(NtStatus::BUFFER_OVERFLOW);
        }
        // SAFETY: the string's buffer has `MaximumLength` bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(units.as_ptr(), string.buffer, units.len());
        }
        string.length = bytes;
        // SAFETY: not NULL, and the client's string.
        unsafe { store(to, string) };
        Ok(())
    })())
}

unsafe extern "C" fn WdfRegistryQueryMultiString(
    _: Globals,
    key: Handle,
    name: *const UnicodeString,
    attributes: *const WdfObjectAttributes,
    to: Handle,
) -> NtStatus {
    let call = "WdfRegistryQueryMultiString";
    status((|| {
        let list = collection::checked(call, to)?;
        // SAFETY: passed on from the client.
        let ConfigurationValue::MultiString(texts) = unsafe { value(call, key, name) }? else {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        };
        // SAFETY: the client's attributes, or NULL.
        let attributes = unsafe { Attributes::read(attributes, Rules::PLAIN) }?;
        for text in texts {
            let units: Vec<u16> = text.encode_utf16().collect();
            list.add(string::create_with_units(key, &attributes, &units)?);
        }
        Ok(())
    })())
}

unsafe extern "C" fn WdfRegistryQueryMemory(
    _: Globals,
    key: Handle,
    name: *const UnicodeString,
    _pool: u32,
    attributes: *const WdfObjectAttributes,
    place: *mut Handle,
    kind: *mut u32,
) -> NtStatus {
    let call = "WdfRegistryQueryMemory";
    status((|| {
        required(call, "Memory", place)?;
        // SAFETY: passed on from the client.
        let (its_kind, bytes) = encode(&unsafe { value(call, key, name) }?);
        // SAFETY: the client's attributes, or NULL.
        let attributes = unsafe { Attributes::read(attributes, Rules::PLAIN) }?;
        let made = memory::create_with_bytes(key, &attributes, &bytes)?;
        // SAFETY: C's place for the type, or NULL.
        unsafe { store(kind, its_kind) };
        // SAFETY: not NULL, and C's place for a handle.
        unsafe { store(place, made) };
        Ok(())
    })())
}

unsafe extern "C" fn WdfRegistryAssignValue(
    _: Globals,
    key: Handle,
    name: *const UnicodeString,
    kind: u32,
    length: u32,
    bytes: *const c_void,
) -> NtStatus {
    let call = "WdfRegistryAssignValue";
    status((|| {
        if length > LONGEST || (bytes.is_null() && length > 0) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let mut copy = vec![0u8; length as usize];
        if length > 0 {
            // SAFETY: not NULL, and the client says that there are so many.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.cast(), copy.as_mut_ptr(), copy.len());
            }
        }
        let value = decode(kind, copy).ok_or(NtStatus::INVALID_PARAMETER)?;
        // SAFETY: passed on from the client.
        unsafe { assign(call, key, name, value) }
    })())
}

unsafe extern "C" fn WdfRegistryAssignULong(
    _: Globals,
    key: Handle,
    name: *const UnicodeString,
    number: u32,
) -> NtStatus {
    debug_assert!(encode(&ConfigurationValue::Ulong(number)).0 == REG_DWORD);
    let (call, value) = ("WdfRegistryAssignULong", ConfigurationValue::Ulong(number));
    // SAFETY: passed on from the client.
    status(unsafe { assign(call, key, name, value) })
}

unsafe extern "C" fn WdfRegistryAssignUnicodeString(
    _: Globals,
    key: Handle,
    name: *const UnicodeString,
    value: *const UnicodeString,
) -> NtStatus {
    let call = "WdfRegistryAssignUnicodeString";
    status((|| {
        // SAFETY: passed on from the client.
        let value = ConfigurationValue::String(unsafe { text(call, value) }?);
        // SAFETY: passed on from the client.
        unsafe { assign(call, key, name, value) }
    })())
}

unsafe extern "C" fn WdfRegistryAssignString(
    _: Globals,
    key: Handle,
    name: *const UnicodeString,
    value: Handle,
) -> NtStatus {
    let call = "WdfRegistryAssignString";
    status((|| {
        let units = string::checked(call, value)?.units();
        let value = ConfigurationValue::String(String::from_utf16_lossy(&units));
        // SAFETY: passed on from the client.
        unsafe { assign(call, key, name, value) }
    })())
}

#[cfg(test)]
mod tests;
