//! NETCONFIGURATION through its functions.

use std::ffi::c_void;
use std::ptr::null;
use std::sync::Arc;

use super::client::*;
use crate::abi::*;
use crate::door::configuration_store::{ConfigurationTable, ConfigurationValue as Value};
use crate::door::fail::recorded;
use crate::door::object::{self, Handle, Kind};
use crate::door::types::UnicodeString;
use crate::door::wdf::{collection, string};

type Name = *const UnicodeString;

/// A UNICODE_STRING and its text.
struct Text {
    string: UnicodeString,
    _units: Vec<u16>,
}

fn text(text: &str) -> Text {
    let mut units: Vec<u16> = text.encode_utf16().collect();
    let length = units.len() as u16 * 2;
    Text {
        string: UnicodeString {
            length,
            maximum_length: length,
            buffer: units.as_mut_ptr(),
        },
        _units: units,
    }
}

fn opened() -> (TestClient, Handle) {
    let inner = ConfigurationTable::default().with("Depth", Value::Ulong(3));
    let table = ConfigurationTable::default()
        .with("Rings", Value::Ulong(64))
        .with("Hex", Value::String("1f".to_owned()))
        .with(
            "Names",
            Value::MultiString(vec!["a".to_owned(), "bc".to_owned()]),
        )
        .with("Key", Value::Binary(vec![1, 2, 3]))
        .with(
            "NetworkAddress",
            Value::String("02-00-00-00-00-09".to_owned()),
        )
        .with_table("Inner", Arc::new(inner));
    TABLE.set(Arc::new(table));
    let client = TestClient::create();
    let mut handle = Handle::NULL;
    let status = call!(client, NetAdapterOpenConfiguration(Handle = client.adapter,
        *const c_void = null(), *mut Handle = &mut handle) -> i32);
    assert_eq!(NtStatus(status), NtStatus::SUCCESS);
    (client, handle)
}

fn ulong(client: &TestClient, handle: Handle, flags: u32, name: &str) -> Result<u32, NtStatus> {
    let (name, mut value) = (text(name), 0);
    let status = call!(client, NetConfigurationQueryUlong(Handle = handle, u32 = flags,
        Name = &name.string, *mut u32 = &mut value) -> i32);
    match NtStatus(status) {
        NtStatus::SUCCESS => Ok(value),
        status => Err(status),
    }
}

#[test]
fn numbers_are_found_by_name_in_tables_and_their_tables() {
    let (client, handle) = opened();
    assert_eq!(ulong(&client, handle, 0, "rings"), Ok(64));
    assert_eq!(ulong(&client, handle, 1, "Hex"), Ok(0x1f));
    assert_eq!(
        ulong(&client, handle, 0, "None"),
        Err(NtStatus::OBJECT_NAME_NOT_FOUND)
    );
    assert_eq!(
        ulong(&client, handle, 0, "Key"),
        Err(NtStatus::OBJECT_TYPE_MISMATCH)
    );
    let (name, mut inner) = (text("Inner"), Handle::NULL);
    let status = call!(client, NetConfigurationOpenSubConfiguration(Handle = handle,
        Name = &name.string, *const c_void = null(), *mut Handle = &mut inner) -> i32);
    assert_eq!(NtStatus(status), NtStatus::SUCCESS);
    assert_eq!(ulong(&client, inner, 0, "Depth"), Ok(3));
    call!(client, NetConfigurationClose(Handle = handle));
    assert_eq!(object::kind(inner), None, "closed with its parent");
    assert!(recorded::take().is_empty());
}

#[test]
fn an_unknown_flag_is_a_breach() {
    let (client, handle) = opened();
    assert_eq!(
        ulong(&client, handle, 2, "Rings"),
        Err(NtStatus::INVALID_PARAMETER)
    );
    recorded::take_one(FailureCode::InvalidQueryUlongFlag);
}

#[test]
fn the_users_address_is_found_under_its_well_known_name() {
    let (client, handle) = opened();
    let mut address = NetAdapterLinkLayerAddress::default();
    let status = call!(client, NetConfigurationQueryLinkLayerAddress(Handle = handle,
        *mut NetAdapterLinkLayerAddress = &mut address) -> i32);
    assert_eq!(NtStatus(status), NtStatus::SUCCESS);
    assert_eq!(address.bytes(), [2, 0, 0, 0, 0, 9]);
}

#[test]
fn strings_lists_and_bytes_are_answered_with_objects_of_the_configuration() {
    let (client, handle) = opened();
    let (name, mut made) = (text("Hex"), Handle::NULL);
    let status = call!(client, NetConfigurationQueryString(Handle = handle, Name = &name.string,
        *const c_void = null(), *mut Handle = &mut made) -> i32);
    assert_eq!(NtStatus(status), NtStatus::SUCCESS);
    assert_eq!(string::checked("test", made).unwrap().units(), [0x31, 0x66]);
    assert_eq!(object::parent(made), Some(handle));

    let list = Arc::new(collection::Collection::default());
    let into = object::create(Kind::Collection, None, list.clone()).unwrap();
    let name = text("Names");
    let status = call!(client, NetConfigurationQueryMultiString(Handle = handle,
        Name = &name.string, *const c_void = null(), Handle = into) -> i32);
    assert_eq!(NtStatus(status), NtStatus::SUCCESS);
    assert_eq!(list.items().len(), 2);

    let other = text("Copy");
    let status = call!(client, NetConfigurationAssignMultiString(Handle = handle,
        Name = &other.string, Handle = into) -> i32);
    assert_eq!(NtStatus(status), NtStatus::SUCCESS);
    let table = TABLE.with_borrow(Arc::clone);
    let copied = crate::door::configuration_store::ConfigurationStore::get(&*table, "Copy");
    assert_eq!(
        copied,
        Some(Value::MultiString(vec!["a".to_owned(), "bc".to_owned()]))
    );

    let mut made = Handle::NULL;
    let (name, number) = (text("Key"), text("Rings"));
    for (name, expected) in [(name, NtStatus::SUCCESS), (number, NtStatus::NOT_FOUND)] {
        let status = call!(client, NetConfigurationQueryBinary(Handle = handle,
            Name = &name.string, u32 = 0, *const c_void = null(), *mut Handle = &mut made) -> i32);
        assert_eq!(NtStatus(status), expected);
    }
    assert_eq!(object::kind(made), Some(Kind::Memory));
    object::delete(into);
}

#[test]
fn what_is_assigned_is_found() {
    let (client, handle) = opened();
    let name = text("New");
    let assigned = call!(client, NetConfigurationAssignUlong(Handle = handle,
        Name = &name.string, u32 = 12) -> i32);
    assert_eq!(assigned, 0);
    assert_eq!(ulong(&client, handle, 0, "new"), Ok(12));
    let value = text("77");
    let assigned = call!(client, NetConfigurationAssignUnicodeString(Handle = handle,
        Name = &name.string, Name = &value.string) -> i32);
    assert_eq!(assigned, 0);
    assert_eq!(ulong(&client, handle, 0, "new"), Ok(77));
    let bytes = [9u8, 8];
    let assigned = call!(client, NetConfigurationAssignBinary(Handle = handle,
        Name = &name.string, *const u8 = bytes.as_ptr(), u32 = 2) -> i32);
    assert_eq!(assigned, 0);
    assert_eq!(
        ulong(&client, handle, 0, "new"),
        Err(NtStatus::OBJECT_TYPE_MISMATCH)
    );
}
