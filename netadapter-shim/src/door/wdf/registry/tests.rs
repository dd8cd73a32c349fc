use std::ptr::null;

use super::*;
use crate::door::configuration_store::ConfigurationTable;
use crate::door::fail::{WdfFault, recorded};
use crate::door::wdf::test_client::TestClient;

/// A `UNICODE_STRING` and its text.
struct Wide(Vec<u16>, UnicodeString);

fn wide(text: &str) -> Box<Wide> {
    let mut units: Vec<u16> = text.encode_utf16().collect();
    let length = u16::try_from(units.len() * 2).unwrap();
    let buffer = units.as_mut_ptr();
    let string = UnicodeString {
        length,
        maximum_length: length,
        buffer,
    };
    Box::new(Wide(units, string))
}

fn key(client: &TestClient) -> Handle {
    let inner = ConfigurationTable::default().with("Depth", ConfigurationValue::Ulong(2));
    let texts = vec!["one".into(), "two".into()];
    let table = ConfigurationTable::default()
        .with("Speed", ConfigurationValue::Ulong(1000))
        .with("Name", ConfigurationValue::String("wire".into()))
        .with("List", ConfigurationValue::MultiString(texts))
        .with("Blob", ConfigurationValue::Binary(vec![1, 2, 3]))
        .with_table("Inner", Arc::new(inner));
    client.create(|globals, out| status(open("test", globals, Arc::new(table), In::NULL, out)))
}

fn number(key: Handle, name: &str) -> Result<u32, NtStatus> {
    let mut number = 0;
    let status = WdfRegistryQueryULong(null(), key, In::of(&wide(name).1), Out::of(&mut number));
    match status {
        NtStatus::SUCCESS => Ok(number),
        other => Err(other),
    }
}

#[test]
fn numbers_are_found_by_name_and_type() {
    let client = TestClient::new();
    let key = key(&client);
    assert_eq!(number(key, "speed"), Ok(1000));
    assert_eq!(number(key, "Name"), Err(NtStatus::OBJECT_TYPE_MISMATCH));
    assert_eq!(number(key, "Weight"), Err(NtStatus::OBJECT_NAME_NOT_FOUND));
    let status = WdfRegistryAssignULong(null(), key, In::of(&wide("Weight").1), 7);
    assert_eq!((status, number(key, "Weight")), (NtStatus::SUCCESS, Ok(7)));
    WdfRegistryClose(null(), key);
    assert_eq!(number(key, "speed"), Err(NtStatus::INVALID_HANDLE));
    recorded::take_one(WdfFault::InvalidHandle);
}

#[test]
fn texts_are_read_into_strings_of_both_kinds() {
    let client = TestClient::new();
    let key = key(&client);
    let none = Attributes::default();
    let text = string::create_with_units(client.driver(), &none, &[]).unwrap();
    let status = WdfRegistryQueryString(null(), key, In::of(&wide("Name").1), text);
    assert_eq!(status, NtStatus::SUCCESS);
    let units: Vec<u16> = "wire".encode_utf16().collect();
    assert_eq!(string::checked("test", text).unwrap().units(), units);
    let mut room = wide("......");
    let mut needed = 0;
    let query = |room: &mut UnicodeString, needed: &mut u16| {
        WdfRegistryQueryUnicodeString(
            null(),
            key,
            In::of(&wide("Name").1),
            Out::of(&mut *needed),
            Out::of(room),
        )
    };
    assert_eq!(query(&mut room.1, &mut needed), NtStatus::SUCCESS);
    assert_eq!((room.1.length, needed), (8, 10));
    room.1.maximum_length = 6;
    let status = query(&mut room.1, &mut needed);
    assert_eq!(status, NtStatus::BUFFER_OVERFLOW);
    assert_eq!(room.0.len(), 6);
}

#[test]
fn texts_are_written_from_strings_of_both_kinds() {
    let client = TestClient::new();
    let key = key(&client);
    let none = Attributes::default();
    let units: Vec<u16> = "cable".encode_utf16().collect();
    let text = string::create_with_units(client.driver(), &none, &units).unwrap();
    let first = WdfRegistryAssignString(null(), key, In::of(&wide("Name").1), text);
    let (name, value) = (wide("Other"), wide("radio"));
    let second = WdfRegistryAssignUnicodeString(null(), key, In::of(&name.1), In::of(&value.1));
    assert_eq!([first, second], [NtStatus::SUCCESS; 2]);
    let table = checked("test", key).unwrap();
    let got = |name| table.0.get(name);
    assert_eq!(
        got("name"),
        Some(ConfigurationValue::String("cable".into()))
    );
    assert_eq!(
        got("other"),
        Some(ConfigurationValue::String("radio".into()))
    );
}

#[test]
fn raw_values_come_and_go_with_their_types() {
    let client = TestClient::new();
    let key = key(&client);
    let (mut length, mut kind) = (0, 0);
    let mut query = |name: &str, room: &mut [u8]| {
        let size = u32::try_from(room.len()).unwrap();
        let buffer = room.as_mut_ptr();
        let status = WdfRegistryQueryValue(
            null(),
            key,
            In::of(&wide(name).1),
            size,
            Out::from(buffer),
            Out::of(&mut length),
            Out::of(&mut kind),
        );
        (status, length, kind)
    };
    let mut room = [0u8; 4];
    assert_eq!(query("Blob", &mut room), (NtStatus::SUCCESS, 3, 3));
    assert_eq!(room, [1, 2, 3, 0]);
    assert_eq!(query("Blob", &mut [0; 2]).0, NtStatus::BUFFER_OVERFLOW);
    let assign = |kind, length, bytes: *const u8| {
        WdfRegistryAssignValue(
            null(),
            key,
            In::of(&wide("Blob").1),
            kind,
            length,
            In::from(bytes),
        )
    };
    assert_eq!(assign(4, 4, [5u8, 0, 0, 0].as_ptr()), NtStatus::SUCCESS);
    assert_eq!(
        assign(4, 3, [5u8, 0, 0].as_ptr()),
        NtStatus::INVALID_PARAMETER
    );
    assert_eq!(assign(3, 1, null()), NtStatus::INVALID_PARAMETER);
    assert_eq!(query("Blob", &mut room), (NtStatus::SUCCESS, 4, 4));
    let (mut made, mut kind) = (Handle::NULL, 0);
    let status = WdfRegistryQueryMemory(
        null(),
        key,
        In::of(&wide("Blob").1),
        1,
        In::NULL,
        Out::of(&mut made),
        Out::of(&mut kind),
    );
    assert_eq!((status, kind), (NtStatus::SUCCESS, 4));
    assert_eq!(object::parent(made), Some(key));
}

#[test]
fn several_texts_go_into_a_collection() {
    let client = TestClient::new();
    let key = key(&client);
    let made = Arc::<collection::Collection>::default();
    let list = object::create(Kind::Collection, None, Arc::clone(&made) as _).unwrap();
    let query = |name: &str| {
        WdfRegistryQueryMultiString(null(), key, In::of(&wide(name).1), In::NULL, list)
    };
    assert_eq!(query("List"), NtStatus::SUCCESS);
    let second = string::checked("test", made.items()[1]).unwrap();
    assert_eq!(String::from_utf16(&second.units()).unwrap(), "two");
    assert_eq!(query("Name"), NtStatus::OBJECT_TYPE_MISMATCH);
}

#[test]
fn tables_in_a_table_are_opened_by_name() {
    let client = TestClient::new();
    let key = key(&client);
    let open = |parent, name: &str| {
        let mut inner = Handle::NULL;
        let globals = client.globals();
        let status = WdfRegistryOpenKey(
            globals,
            parent,
            In::of(&wide(name).1),
            0,
            In::NULL,
            Out::of(&mut inner),
        );
        (status, inner)
    };
    let (status, inner) = open(key, "inner");
    assert_eq!((status, number(inner, "Depth")), (NtStatus::SUCCESS, Ok(2)));
    let missing = NtStatus::OBJECT_NAME_NOT_FOUND;
    assert_eq!(open(key, "outer").0, missing);
    assert_eq!(open(Handle::NULL, "inner").0, missing);
}

#[test]
fn keys_of_a_bad_driver_or_device_are_breaches() {
    let client = TestClient::new();
    let globals = client.globals();
    let driver = WdfDriverOpenParametersRegistryKey(globals, Handle::NULL, 0, In::NULL, Out::NULL);
    let device = WdfDeviceOpenRegistryKey(globals, Handle::NULL, 1, 0, In::NULL, Out::NULL);
    assert_eq!([driver, device], [NtStatus::INVALID_HANDLE; 2]);
    assert_eq!(recorded::take().len(), 2);
}
