//! NETCONFIGURATION: a client's parameters, over the host's tables.

#![allow(unsafe_code, non_snake_case)] // C's names, and the client's pointers

pub(super) mod numbers;
mod objects;

use std::sync::Arc;

use super::adapter::AdapterObject;
use super::guard::{self, Globals, refuse};
use super::{device, status};
use crate::abi::{FailureCode, NetAdapterLinkLayerAddress, NtStatus};
use crate::door::client_host::{self, ConfigurationScope};
use crate::door::configuration_store::{ConfigurationStore, ConfigurationValue};
use crate::door::foreign::{store, unicode_string};
use crate::door::object::{self, Handle, Kind, Rules};
use crate::door::table::{Entry, entries};
use crate::door::types::{UnicodeString, WdfObjectAttributes};

type Result<T = ()> = std::result::Result<T, NtStatus>;

/// Every function of this part, by its C name.
pub(super) const FUNCTIONS: &[(&str, Entry)] = entries![
    NetDeviceOpenConfiguration,
    NetAdapterOpenConfiguration,
    NetConfigurationClose,
    NetConfigurationOpenSubConfiguration,
    NetConfigurationQueryUlong,
    NetConfigurationQueryLinkLayerAddress,
    NetConfigurationAssignUlong,
    NetConfigurationAssignUnicodeString,
];

/// The functions that answer with objects.
pub(super) const OBJECTS: &[(&str, Entry)] = objects::FUNCTIONS;

/// NET_CONFIGURATION_QUERY_ULONG_MAY_BE_STORED_AS_HEX_STRING
const HEX_STRING: u32 = 1;
/// Where the user writes an address of their own.
const NETWORK_ADDRESS: &str = "NetworkAddress";

/// What stands behind a NETCONFIGURATION.
struct Configuration {
    table: Arc<dyn ConfigurationStore>,
}

/// The configuration a call names.
fn configuration(call: &str, globals: Globals, handle: Handle) -> Result<Arc<Configuration>> {
    guard::client(call, globals)?;
    object::checked(call, handle, Kind::Configuration)
}

/// A name that a client passed.
///
/// # Safety
/// `name` is NULL or points to a UNICODE_STRING of readable text.
unsafe fn name(call: &str, name: *const UnicodeString) -> Result<String> {
    guard::given(call, "the name", name)?;
    // SAFETY: passed on from the caller.
    let units = unsafe { unicode_string(name) }.ok_or(NtStatus::INVALID_PARAMETER)?;
    Ok(String::from_utf16_lossy(&units))
}

/// Makes a configuration object under `parent`.
///
/// # Safety
/// The pointers are NULL or point to what C's prototype says.
unsafe fn open(
    call: &str,
    parent: Handle,
    table: Arc<dyn ConfigurationStore>,
    attributes: *const WdfObjectAttributes,
    opened: *mut Handle,
) -> Result {
    guard::given(call, "Configuration", opened)?;
    // SAFETY: passed on from the caller.
    let attributes = unsafe { object::Attributes::read(attributes, Rules::PLAIN) }?;
    let payload = Arc::new(Configuration { table });
    let handle = object::create_with(Kind::Configuration, Some(parent), &attributes, payload)?;
    // SAFETY: the caller vouches for the place.
    unsafe { store(opened, handle) };
    Ok(())
}

/// The host's table for `scope`.
fn table(call: &str, scope: ConfigurationScope) -> Result<Arc<dyn ConfigurationStore>> {
    let Some(host) = client_host::current() else {
        log::error!("{call}: no host that has a configuration");
        return Err(NtStatus::OBJECT_NAME_NOT_FOUND);
    };
    Ok(host.configuration(scope))
}

/// What an adapter is configured with.
///
/// # Errors
/// STATUS_OBJECT_NAME_NOT_FOUND without a host.
pub(super) fn adapter_table(
    call: &str,
    adapter: &AdapterObject,
) -> Result<Arc<dyn ConfigurationStore>> {
    let scope = ConfigurationScope::Adapter {
        device: device::number(adapter.device),
        adapter: adapter.number,
    };
    table(call, scope)
}

unsafe extern "C" fn NetDeviceOpenConfiguration(
    globals: Globals,
    device: Handle,
    attributes: *const WdfObjectAttributes,
    opened: *mut Handle,
) -> i32 {
    const CALL: &str = "NetDeviceOpenConfiguration";
    let open_it = || {
        guard::client(CALL, globals)?;
        if object::kind(device) != Some(Kind::Device) {
            let why = format_args!("{device} is no WDFDEVICE");
            return refuse(FailureCode::ShimInvalidObjectHandle, CALL, why);
        }
        let scope = ConfigurationScope::Device(device::number(device));
        // SAFETY: the client called with C's prototype.
        unsafe { open(CALL, device, table(CALL, scope)?, attributes, opened) }
    };
    status(open_it())
}

unsafe extern "C" fn NetAdapterOpenConfiguration(
    globals: Globals,
    adapter: Handle,
    attributes: *const WdfObjectAttributes,
    opened: *mut Handle,
) -> i32 {
    const CALL: &str = "NetAdapterOpenConfiguration";
    let open_it = || {
        let object = guard::adapter(CALL, globals, adapter)?;
        let table = adapter_table(CALL, &object)?;
        // SAFETY: the client called with C's prototype.
        unsafe { open(CALL, adapter, table, attributes, opened) }
    };
    status(open_it())
}

extern "C" fn NetConfigurationClose(globals: Globals, handle: Handle) {
    if configuration("NetConfigurationClose", globals, handle).is_ok() {
        object::delete(handle);
    }
}

unsafe extern "C" fn NetConfigurationOpenSubConfiguration(
    globals: Globals,
    handle: Handle,
    sub: *const UnicodeString,
    attributes: *const WdfObjectAttributes,
    opened: *mut Handle,
) -> i32 {
    const CALL: &str = "NetConfigurationOpenSubConfiguration";
    let open_it = || {
        let above = configuration(CALL, globals, handle)?;
        // SAFETY: the client called with C's prototype.
        let sub = unsafe { name(CALL, sub) }?;
        let table = above.table.table(&sub);
        let table = table.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        // SAFETY: the client called with C's prototype.
        unsafe { open(CALL, handle, table, attributes, opened) }
    };
    status(open_it())
}

unsafe extern "C" fn NetConfigurationQueryUlong(
    globals: Globals,
    handle: Handle,
    flags: u32,
    value_name: *const UnicodeString,
    value: *mut u32,
) -> i32 {
    const CALL: &str = "NetConfigurationQueryUlong";
    let query = || {
        let configuration = configuration(CALL, globals, handle)?;
        guard::given(CALL, "Value", value)?;
        if flags > HEX_STRING {
            let why = format_args!("flags {flags:#x}; 0, or 1 for a string of hex digits");
            return refuse(FailureCode::InvalidQueryUlongFlag, CALL, why);
        }
        // SAFETY: the client called with C's prototype.
        let name = unsafe { name(CALL, value_name) }?;
        let found = configuration.table.get(&name);
        let found = found.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let number = numbers::ulong(&found, flags == HEX_STRING)?;
        // SAFETY: not NULL, so that the caller vouches for the place.
        unsafe { store(value, number) };
        Ok(())
    };
    status(query())
}

unsafe extern "C" fn NetConfigurationQueryLinkLayerAddress(
    globals: Globals,
    handle: Handle,
    address: *mut NetAdapterLinkLayerAddress,
) -> i32 {
    const CALL: &str = "NetConfigurationQueryLinkLayerAddress";
    let query = || {
        let configuration = configuration(CALL, globals, handle)?;
        guard::given(CALL, "LinkLayerAddress", address)?;
        let found = configuration.table.get(NETWORK_ADDRESS);
        let found = found.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let found = numbers::address(&found)?;
        // SAFETY: not NULL, so that the caller vouches for the place.
        unsafe { store(address, found) };
        Ok(())
    };
    status(query())
}

unsafe extern "C" fn NetConfigurationAssignUlong(
    globals: Globals,
    handle: Handle,
    value_name: *const UnicodeString,
    value: u32,
) -> i32 {
    const CALL: &str = "NetConfigurationAssignUlong";
    // SAFETY: the client called with C's prototype.
    let assigned = unsafe {
        assign(CALL, globals, handle, value_name, || {
            Ok(ConfigurationValue::Ulong(value))
        })
    };
    status(assigned)
}

unsafe extern "C" fn NetConfigurationAssignUnicodeString(
    globals: Globals,
    handle: Handle,
    value_name: *const UnicodeString,
    value: *const UnicodeString,
) -> i32 {
    const CALL: &str = "NetConfigurationAssignUnicodeString";
    // SAFETY: the client called with C's prototype.
    let text = || unsafe { name(CALL, value) }.map(ConfigurationValue::String);
    // SAFETY: as above.
    status(unsafe { assign(CALL, globals, handle, value_name, text) })
}

/// Writes a value.
///
/// # Safety
/// `value_name` is NULL or points to a UNICODE_STRING of readable text.
unsafe fn assign(
    call: &str,
    globals: Globals,
    handle: Handle,
    value_name: *const UnicodeString,
    value: impl FnOnce() -> Result<ConfigurationValue>,
) -> Result {
    let configuration = configuration(call, globals, handle)?;
    // SAFETY: passed on from the caller.
    let name = unsafe { name(call, value_name) }?;
    configuration.table.set(&name, value()?);
    Ok(())
}
