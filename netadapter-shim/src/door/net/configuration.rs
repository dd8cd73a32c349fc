//! NETCONFIGURATION: a client's parameters, over the host's tables.

#![allow(non_snake_case)] // C's names

pub(super) mod numbers;
mod objects;

use std::sync::Arc;

use super::adapter::AdapterObject;
use super::guard::{self, Globals, refuse};
use super::{device, status};
use crate::abi::{FailureCode, NetAdapterLinkLayerAddress, NtStatus};
use crate::door::client_host::{self, ConfigurationScope};
use crate::door::configuration_store::{ConfigurationStore, ConfigurationValue};
use crate::door::foreign::{In, Out};
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
fn name(call: &str, name: In<'_, UnicodeString>) -> Result<String> {
    guard::given(call, "the name", name)?;
    let units = name.text().ok_or(NtStatus::INVALID_PARAMETER)?;
    Ok(String::from_utf16_lossy(&units))
}

/// Makes a configuration object under `parent`.
fn open(
    call: &str,
    parent: Handle,
    table: Arc<dyn ConfigurationStore>,
    attributes: In<'_, WdfObjectAttributes>,
    opened: Out<'_, Handle>,
) -> Result {
    guard::given(call, "Configuration", opened)?;
    let attributes = object::Attributes::of(attributes, Rules::PLAIN)?;
    let payload = Arc::new(Configuration { table });
    let handle = object::create_with(Kind::Configuration, Some(parent), &attributes, payload)?;
    opened.store(handle);
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

extern "C" fn NetDeviceOpenConfiguration(
    globals: Globals,
    device: Handle,
    attributes: In<'_, WdfObjectAttributes>,
    opened: Out<'_, Handle>,
) -> i32 {
    const CALL: &str = "NetDeviceOpenConfiguration";
    let open_it = || {
        guard::client(CALL, globals)?;
        if object::kind(device) != Some(Kind::Device) {
            let why = format_args!("{device} is no WDFDEVICE");
            return refuse(FailureCode::ShimInvalidObjectHandle, CALL, why);
        }
        let scope = ConfigurationScope::Device(device::number(device));
        open(CALL, device, table(CALL, scope)?, attributes, opened)
    };
    status(open_it())
}

extern "C" fn NetAdapterOpenConfiguration(
    globals: Globals,
    adapter: Handle,
    attributes: In<'_, WdfObjectAttributes>,
    opened: Out<'_, Handle>,
) -> i32 {
    const CALL: &str = "NetAdapterOpenConfiguration";
    let open_it = || {
        let object = guard::adapter(CALL, globals, adapter)?;
        let table = adapter_table(CALL, &object)?;
        open(CALL, adapter, table, attributes, opened)
    };
    status(open_it())
}

extern "C" fn NetConfigurationClose(globals: Globals, handle: Handle) {
    if configuration("NetConfigurationClose", globals, handle).is_ok() {
        object::delete(handle);
    }
}

extern "C" fn NetConfigurationOpenSubConfiguration(
    globals: Globals,
    handle: Handle,
    sub: In<'_, UnicodeString>,
    attributes: In<'_, WdfObjectAttributes>,
    opened: Out<'_, Handle>,
) -> i32 {
    const CALL: &str = "NetConfigurationOpenSubConfiguration";
    let open_it = || {
        let above = configuration(CALL, globals, handle)?;
        let sub = name(CALL, sub)?;
        let table = above.table.table(&sub);
        let table = table.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        open(CALL, handle, table, attributes, opened)
    };
    status(open_it())
}

extern "C" fn NetConfigurationQueryUlong(
    globals: Globals,
    handle: Handle,
    flags: u32,
    value_name: In<'_, UnicodeString>,
    value: Out<'_, u32>,
) -> i32 {
    const CALL: &str = "NetConfigurationQueryUlong";
    let query = || {
        let configuration = configuration(CALL, globals, handle)?;
        guard::given(CALL, "Value", value)?;
        if flags > HEX_STRING {
            let why = format_args!("flags {flags:#x}; 0, or 1 for a string of hex digits");
            return refuse(FailureCode::InvalidQueryUlongFlag, CALL, why);
        }
        let name = name(CALL, value_name)?;
        let found = configuration.table.get(&name);
        let found = found.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let number = numbers::ulong(&found, flags == HEX_STRING)?;
        value.store(number);
        Ok(())
    };
    status(query())
}

extern "C" fn NetConfigurationQueryLinkLayerAddress(
    globals: Globals,
    handle: Handle,
    address: Out<'_, NetAdapterLinkLayerAddress>,
) -> i32 {
    const CALL: &str = "NetConfigurationQueryLinkLayerAddress";
    let query = || {
        let configuration = configuration(CALL, globals, handle)?;
        guard::given(CALL, "LinkLayerAddress", address)?;
        let found = configuration.table.get(NETWORK_ADDRESS);
        let found = found.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let found = numbers::address(&found)?;
        address.store(found);
        Ok(())
    };
    status(query())
}

extern "C" fn NetConfigurationAssignUlong(
    globals: Globals,
    handle: Handle,
    value_name: In<'_, UnicodeString>,
    value: u32,
) -> i32 {
    const CALL: &str = "NetConfigurationAssignUlong";
    let assigned = assign(CALL, globals, handle, value_name, || {
        Ok(ConfigurationValue::Ulong(value))
    });
    status(assigned)
}

extern "C" fn NetConfigurationAssignUnicodeString(
    globals: Globals,
    handle: Handle,
    value_name: In<'_, UnicodeString>,
    value: In<'_, UnicodeString>,
) -> i32 {
    const CALL: &str = "NetConfigurationAssignUnicodeString";
    let text = || name(CALL, value).map(ConfigurationValue::String);
    status(assign(CALL, globals, handle, value_name, text))
}

/// Writes a value.
fn assign(
    call: &str,
    globals: Globals,
    handle: Handle,
    value_name: In<'_, UnicodeString>,
    value: impl FnOnce() -> Result<ConfigurationValue>,
) -> Result {
    let configuration = configuration(call, globals, handle)?;
    let name = name(call, value_name)?;
    configuration.table.set(&name, value()?);
    Ok(())
}
