//! `WdfRegistry*`: keys are tables of the host's configuration.

#![allow(non_snake_case)] // C's names

use std::sync::Arc;

use super::create::{Globals, caller_driver, create, required, status};
use super::registry_value::{REG_DWORD, decode, encode};
use super::{collection, device, memory, string};
use crate::abi::NtStatus;
use crate::door::client_host::{self, ConfigurationScope};
use crate::door::configuration_store::{ConfigurationStore, ConfigurationValue};
use crate::door::foreign::{In, Out};
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
fn open(
    call: &'static str,
    globals: Globals,
    table: Arc<dyn ConfigurationStore>,
    attributes: In<'_, WdfObjectAttributes>,
    place: Out<'_, Handle>,
) -> Result<(), NtStatus> {
    let wanted = (attributes, Rules::PLAIN);
    let key = Arc::new(Key(table));
    create(call, globals, Kind::Key, wanted, key, place).map(drop)
}

fn checked(call: &str, key: Handle) -> Result<Arc<Key>, NtStatus> {
    object::checked(call, key, Kind::Key)
}

/// A name the client passes.
fn text(call: &str, name: In<'_, UnicodeString>) -> Result<String, NtStatus> {
    required(call, "the name", name)?;
    let units = name.text().ok_or(NtStatus::INVALID_PARAMETER)?;
    Ok(String::from_utf16_lossy(&units))
}

/// A key's value of that name.
fn value(
    call: &str,
    key: Handle,
    name: In<'_, UnicodeString>,
) -> Result<ConfigurationValue, NtStatus> {
    let key = checked(call, key)?;
    let name = text(call, name)?;
    key.0.get(&name).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)
}

/// Writes a value.
fn assign(
    call: &str,
    key: Handle,
    name: In<'_, UnicodeString>,
    value: ConfigurationValue,
) -> Result<(), NtStatus> {
    let key = checked(call, key)?;
    let name = text(call, name)?;
    key.0.set(&name, value);
    Ok(())
}

extern "C" fn WdfDriverOpenParametersRegistryKey(
    globals: Globals,
    driver: Handle,
    _access: u32,
    attributes: In<'_, WdfObjectAttributes>,
    key: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfDriverOpenParametersRegistryKey";
    status((|| {
        if caller_driver(call, globals)? != driver {
            object::checked::<super::driver::Driver>(call, driver, Kind::Driver)?;
        }
        let table = table(ConfigurationScope::Driver)?;
        open(call, globals, table, attributes, key)
    })())
}

extern "C" fn WdfDeviceOpenRegistryKey(
    globals: Globals,
    device: Handle,
    _kind: u32,
    _access: u32,
    attributes: In<'_, WdfObjectAttributes>,
    key: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfDeviceOpenRegistryKey";
    status((|| {
        let found = device::checked(call, device)?;
        let number = device::number(device, found.driver());
        let table = table(ConfigurationScope::Device(number))?;
        open(call, globals, table, attributes, key)
    })())
}

extern "C" fn WdfRegistryOpenKey(
    globals: Globals,
    parent: Handle,
    name: In<'_, UnicodeString>,
    _access: u32,
    attributes: In<'_, WdfObjectAttributes>,
    key: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfRegistryOpenKey";
    status((|| {
        if parent.is_null() {
            log::error!("{call}: there is no registry; open a driver's or a device's key first");
            return Err(NtStatus::OBJECT_NAME_NOT_FOUND);
        }
        let above = checked(call, parent)?;
        let name = text(call, name)?;
        let table = above.0.table(&name);
        let table = table.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        open(call, globals, table, attributes, key)
    })())
}

extern "C" fn WdfRegistryClose(_: Globals, key: Handle) {
    if checked("WdfRegistryClose", key).is_ok() {
        object::delete(key);
    }
}

extern "C" fn WdfRegistryQueryValue(
    _: Globals,
    key: Handle,
    name: In<'_, UnicodeString>,
    room: u32,
    buffer: Out<'_, u8>,
    length: Out<'_, u32>,
    kind: Out<'_, u32>,
) -> NtStatus {
    let call = "WdfRegistryQueryValue";
    status((|| {
        let (its_kind, bytes) = encode(&value(call, key, name)?);
        length.store(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        kind.store(its_kind);
        match buffer.fill(&bytes, room as usize) {
            true => Ok(()),
            false => Err(NtStatus::BUFFER_OVERFLOW),
        }
    })())
}

extern "C" fn WdfRegistryQueryULong(
    _: Globals,
    key: Handle,
    name: In<'_, UnicodeString>,
    place: Out<'_, u32>,
) -> NtStatus {
    let call = "WdfRegistryQueryULong";
    status((|| {
        required(call, "Value", place)?;
        let ConfigurationValue::Ulong(number) = value(call, key, name)? else {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        };
        place.store(number);
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

extern "C" fn WdfRegistryQueryString(
    _: Globals,
    key: Handle,
    name: In<'_, UnicodeString>,
    to: Handle,
) -> NtStatus {
    let call = "WdfRegistryQueryString";
    status((|| {
        let to = string::checked(call, to)?;
        to.set(&as_text(value(call, key, name)?)?)
    })())
}

/// Copies the text into the buffer of the client's string, as far as it is
/// large enough.
extern "C" fn WdfRegistryQueryUnicodeString(
    _: Globals,
    key: Handle,
    name: In<'_, UnicodeString>,
    needed: Out<'_, u16>,
    to: Out<'_, UnicodeString>,
) -> NtStatus {
    let call = "WdfRegistryQueryUnicodeString";
    status((|| {
        let units = as_text(value(call, key, name)?)?;
        let bytes = u16::try_from(units.len() * 2).map_err(|_| NtStatus::BUFFER_OVERFLOW)?;
        needed.store(bytes.saturating_add(2));
        if to.is_null() {
            return Ok(());
        }
        match to.fill_text(&units) {
            true => Ok(()),
            false => Err(NtStatus::BUFFER_OVERFLOW),
        }
    })())
}

extern "C" fn WdfRegistryQueryMultiString(
    _: Globals,
    key: Handle,
    name: In<'_, UnicodeString>,
    attributes: In<'_, WdfObjectAttributes>,
    to: Handle,
) -> NtStatus {
    let call = "WdfRegistryQueryMultiString";
    status((|| {
        let list = collection::checked(call, to)?;
        let ConfigurationValue::MultiString(texts) = value(call, key, name)? else {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        };
        let attributes = Attributes::of(attributes, Rules::PLAIN)?;
        for text in texts {
            let units: Vec<u16> = text.encode_utf16().collect();
            list.add(string::create_with_units(key, &attributes, &units)?);
        }
        Ok(())
    })())
}

extern "C" fn WdfRegistryQueryMemory(
    _: Globals,
    key: Handle,
    name: In<'_, UnicodeString>,
    _pool: u32,
    attributes: In<'_, WdfObjectAttributes>,
    place: Out<'_, Handle>,
    kind: Out<'_, u32>,
) -> NtStatus {
    let call = "WdfRegistryQueryMemory";
    status((|| {
        required(call, "Memory", place)?;
        let (its_kind, bytes) = encode(&value(call, key, name)?);
        let attributes = Attributes::of(attributes, Rules::PLAIN)?;
        let made = memory::create_with_bytes(key, &attributes, &bytes)?;
        kind.store(its_kind);
        place.store(made);
        Ok(())
    })())
}

extern "C" fn WdfRegistryAssignValue(
    _: Globals,
    key: Handle,
    name: In<'_, UnicodeString>,
    kind: u32,
    length: u32,
    bytes: In<'_, u8>,
) -> NtStatus {
    let call = "WdfRegistryAssignValue";
    status((|| {
        if length > LONGEST {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let copy = bytes.bytes(length as usize);
        let copy = copy.ok_or(NtStatus::INVALID_PARAMETER)?;
        let value = decode(kind, copy).ok_or(NtStatus::INVALID_PARAMETER)?;
        assign(call, key, name, value)
    })())
}

extern "C" fn WdfRegistryAssignULong(
    _: Globals,
    key: Handle,
    name: In<'_, UnicodeString>,
    number: u32,
) -> NtStatus {
    debug_assert!(encode(&ConfigurationValue::Ulong(number)).0 == REG_DWORD);
    let (call, value) = ("WdfRegistryAssignULong", ConfigurationValue::Ulong(number));
    status(assign(call, key, name, value))
}

extern "C" fn WdfRegistryAssignUnicodeString(
    _: Globals,
    key: Handle,
    name: In<'_, UnicodeString>,
    value: In<'_, UnicodeString>,
) -> NtStatus {
    let call = "WdfRegistryAssignUnicodeString";
    status((|| {
        let value = ConfigurationValue::String(text(call, value)?);
        assign(call, key, name, value)
    })())
}

extern "C" fn WdfRegistryAssignString(
    _: Globals,
    key: Handle,
    name: In<'_, UnicodeString>,
    value: Handle,
) -> NtStatus {
    let call = "WdfRegistryAssignString";
    status((|| {
        let units = string::checked(call, value)?.units();
        let value = ConfigurationValue::String(String::from_utf16_lossy(&units));
        assign(call, key, name, value)
    })())
}

#[cfg(test)]
mod tests;
