#![allow(unsafe_code)] // plays the client

use std::cell::Cell;

use super::*;
use crate::abi::NetAdapterCxVersion;
use crate::door::fail::recorded;
use crate::door::globals;
use crate::door::wdf::test_client::attributes;

thread_local! {
    static UNLOADED: Cell<Handle> = const { Cell::new(Handle::NULL) };
    static ANSWER: Cell<NtStatus> = const { Cell::new(NtStatus::SUCCESS) };
}

extern "C" fn device_add(_: Handle, _: Handle) -> NtStatus {
    ANSWER.get()
}

extern "C" fn unloaded(driver: Handle) {
    UNLOADED.set(driver);
}

fn config() -> DriverConfig {
    DriverConfig {
        size: 32,
        device_add: Some(Callback::of(device_add)),
        unload: Some(Callback::of(unloaded)),
        init_flags: 0,
        pool_tag: 0,
    }
}

struct Entry {
    client: Arc<Client>,
    path: Vec<u16>,
}

impl Entry {
    fn new() -> Self {
        let client = globals::bind("entry", NetAdapterCxVersion::OFFERED);
        let path = "\\Registry\\x".encode_utf16().collect();
        Self { client, path }
    }

    fn create_with(
        &mut self,
        config: &DriverConfig,
        attributes: *const WdfObjectAttributes,
    ) -> (NtStatus, Handle) {
        let length = u16::try_from(self.path.len() * 2).unwrap();
        let path = UnicodeString {
            length,
            maximum_length: length,
            buffer: self.path.as_mut_ptr(),
        };
        let mut driver = Handle::NULL;
        let object = (&raw const *self).cast();
        let status = WdfDriverCreate(
            self.client.pointer(),
            object,
            In::of(&path),
            In::from(attributes),
            In::from(config),
            Out::of(&mut driver),
        );
        (status, driver)
    }

    fn create(&mut self) -> Handle {
        let (status, driver) = self.create_with(&config(), null());
        assert_eq!(status, NtStatus::SUCCESS);
        driver
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(driver) = self.client.driver() {
            object::delete(driver);
        }
        globals::unbind(&self.client);
    }
}

#[test]
fn a_driver_is_created_once() {
    let mut entry = Entry::new();
    let driver = entry.create();
    assert_eq!(entry.client.driver(), Some(driver));
    assert_eq!(WdfGetDriver(entry.client.pointer()), driver);
    let again = entry.create_with(&config(), null());
    assert_eq!(again, (NtStatus::DRIVER_INTERNAL_ERROR, Handle::NULL));
}

#[test]
fn the_driver_remembers_what_driver_entry_was_given() {
    let mut entry = Entry::new();
    let driver = entry.create();
    let wdm = WdfDriverWdmGetDriverObject(null(), driver);
    assert_eq!(wdm, (&raw const entry).addr());
    let path = WdfDriverGetRegistryPath(null(), driver);
    // SAFETY: NUL-terminated, and the driver lives.
    let text = unsafe { std::slice::from_raw_parts(path, entry.path.len() + 1) };
    assert_eq!(text.strip_suffix(&[0]), Some(&entry.path[..]));
}

#[test]
fn bad_configurations_have_their_statuses() {
    let mut entry = Entry::new();
    type Case = (NtStatus, fn(&mut DriverConfig));
    let cases: [Case; 4] = [
        (NtStatus::INFO_LENGTH_MISMATCH, |config| config.size = 24),
        (NtStatus::INVALID_PARAMETER, |config| {
            config.device_add = None
        }),
        (NtStatus::INVALID_PARAMETER, |config| config.init_flags = 8),
        (NtStatus::NOT_SUPPORTED, |config| config.init_flags = 1),
    ];
    for (status, edit) in cases {
        let mut config = config();
        edit(&mut config);
        let result = entry.create_with(&config, null());
        assert_eq!(result, (status, Handle::NULL));
    }
    let mut attributes = attributes();
    attributes.parent = Handle::from_address(16);
    let refused = entry.create_with(&config(), &attributes);
    assert_eq!(refused.0, NtStatus::WDF_PARENT_ASSIGNMENT_NOT_ALLOWED);
    assert_eq!(entry.client.driver(), None);
}

#[test]
fn missing_parameters_are_breaches() {
    let entry = Entry::new();
    let globals = entry.client.pointer().cast_const();
    let create =
        |globals, object| WdfDriverCreate(globals, object, In::NULL, In::NULL, In::NULL, Out::NULL);
    assert_eq!(create(globals, null()), NtStatus::INVALID_PARAMETER);
    recorded::take_one(WdfFault::RequiredParameterIsNull);
    assert_eq!(create(globals, globals), NtStatus::INVALID_PARAMETER);
    recorded::take_one(WdfFault::RequiredParameterIsNull);
    assert_eq!(create(null(), globals), NtStatus::INVALID_PARAMETER);
    recorded::take_one(WdfFault::VerifierFatalError);
}

#[test]
fn a_device_add_without_a_device_fails() {
    let mut entry = Entry::new();
    let driver = entry.create();
    assert_eq!(add_device(driver), Err(NtStatus::UNSUCCESSFUL));
    ANSWER.set(NtStatus::INSUFFICIENT_RESOURCES);
    assert_eq!(add_device(driver), Err(NtStatus::INSUFFICIENT_RESOURCES));
    assert_eq!(object::children(driver, Kind::DeviceInit), []);
}

#[test]
fn unloading_tells_the_client_and_deletes_the_driver() {
    let mut entry = Entry::new();
    let driver = entry.create();
    unload(driver);
    assert_eq!(UNLOADED.get(), driver);
    assert_eq!(entry.client.driver(), None);
    assert_eq!(object::kind(driver), None);
}

#[test]
fn only_versions_up_to_the_served_one_are_available() {
    let mut entry = Entry::new();
    let driver = entry.create();
    let asks = |major, minor| {
        let version = VersionAvailable {
            size: 12,
            major,
            minor,
        };
        WdfDriverIsVersionAvailable(null(), driver, In::of(&version))
    };
    assert_eq!(
        [asks(2, 15), asks(2, 33), asks(2, 34), asks(1, 33)],
        [1, 1, 0, 0]
    );
}

#[test]
fn the_version_can_be_read() {
    let mut entry = Entry::new();
    let driver = entry.create();
    let none = Attributes::default();
    let text = string::create_with_units(driver, &none, &[]).unwrap();
    let status = WdfDriverRetrieveVersionString(null(), driver, text);
    assert_eq!(status, NtStatus::SUCCESS);
    let units = string::checked("test", text).unwrap().units();
    assert!(String::from_utf16(&units).unwrap().contains("v2.33"));
    let status = WdfDriverRetrieveVersionString(null(), driver, driver);
    assert_eq!(status, NtStatus::INVALID_HANDLE);
    recorded::take_one(WdfFault::InvalidHandle);
}

#[test]
fn break_points_and_bug_checks_are_breaches() {
    WdfVerifierDbgBreakPoint(null());
    recorded::take_one(WdfFault::VerifierFatalError);
    WdfVerifierKeBugCheck(null(), 0x10d, 1, 2, 3, 4);
    let text = recorded::take_one(WdfFault::VerifierFatalError);
    assert!(text.contains("0x10d"), "{text}");
    assert!(!WdfGetTriageInfo(null()).is_null());
}
