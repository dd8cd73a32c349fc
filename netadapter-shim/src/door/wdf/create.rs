//! What the create functions share.

use std::any::Any;
use std::ffi::c_void;
use std::sync::Arc;

use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{BadStruct, In, Out, Pointer, Sized32};
use crate::door::globals::{Client, client};
use crate::door::object::{self, Attributes, Handle, Kind, Rules};
use crate::door::types::WdfObjectAttributes;

/// The hidden first argument, `PWDF_DRIVER_GLOBALS` or `PNET_DRIVER_GLOBALS`.
pub(crate) type Globals = *const c_void;

/// The client that calls.
///
/// # Errors
/// STATUS_INVALID_PARAMETER after a breach: the globals are not of a client.
pub(crate) fn caller(call: &str, globals: Globals) -> Result<Arc<Client>, NtStatus> {
    client(globals).ok_or_else(|| {
        let text = format_args!("{call}: the driver globals are not those of a loaded client");
        breach(WdfFault::VerifierFatalError, text);
        NtStatus::INVALID_PARAMETER
    })
}

/// The driver object of the client that calls.
///
/// # Errors
/// STATUS_INVALID_DEVICE_REQUEST before WdfDriverCreate.
pub(crate) fn caller_driver(call: &str, globals: Globals) -> Result<Handle, NtStatus> {
    caller(call, globals)?.driver().ok_or_else(|| {
        let text = format_args!("{call} was called before WdfDriverCreate");
        breach(WdfFault::VerifierFatalError, text);
        NtStatus::INVALID_DEVICE_REQUEST
    })
}

/// Refuses a NULL pointer where there must be one.
///
/// # Errors
/// STATUS_INVALID_PARAMETER after a breach.
pub(crate) fn required(call: &str, name: &str, pointer: impl Pointer) -> Result<(), NtStatus> {
    if !pointer.is_null() {
        return Ok(());
    }
    let text = format_args!("{call}: {name} is NULL");
    breach(WdfFault::RequiredParameterIsNull, text);
    Err(NtStatus::INVALID_PARAMETER)
}

/// Copies a structure of a call that returns a status: NULL is a breach, a
/// wrong `Size` is the call's failure, and logged.
///
/// # Errors
/// STATUS_INVALID_PARAMETER, STATUS_INFO_LENGTH_MISMATCH.
pub(crate) fn read<T: Sized32>(call: &str, name: &str, pointer: In<'_, T>) -> Result<T, NtStatus> {
    required(call, name, pointer)?;
    pointer.sized().map_err(|bad| {
        log::error!("{call}: {name}: {bad}");
        bad.status()
    })
}

/// Copies a structure of a call that returns nothing: whatever is wrong with
/// it is a breach.
pub(crate) fn read_or_breach<T: Sized32>(call: &str, name: &str, pointer: In<'_, T>) -> Option<T> {
    let result = pointer.sized();
    let fault = match result {
        Ok(value) => return Some(value),
        Err(BadStruct::Null) => WdfFault::RequiredParameterIsNull,
        Err(BadStruct::Size { .. }) => WdfFault::VerifierFatalError,
    };
    if let Err(bad) = result {
        breach(fault, format_args!("{call}: {name}: {bad}"));
    }
    None
}

/// Makes an object the way most create functions do: attributes checked, under
/// the parent they name or else the driver, with the client's context.
///
/// # Errors
/// Those of [`Attributes::of`] and [`object::create_with`].
pub(crate) fn create(
    call: &'static str,
    globals: Globals,
    kind: Kind,
    (attributes, rules): (In<'_, WdfObjectAttributes>, Rules),
    payload: Arc<dyn Any + Send + Sync>,
    out: Out<'_, Handle>,
) -> Result<Handle, NtStatus> {
    required(call, "the handle to return", out)?;
    let driver = caller_driver(call, globals)?;
    let attributes = Attributes::of(attributes, rules).inspect_err(|status| {
        log::error!("{call}: the object attributes are refused with {status}");
    })?;
    let handle = create_object(call, kind, driver, &attributes, payload)?;
    out.store(handle);
    Ok(handle)
}

/// The checked half of [`create`]: a parent that is no object is a breach.
///
/// # Errors
/// Those of [`object::create_with`].
pub(crate) fn create_object(
    call: &str,
    kind: Kind,
    default_parent: Handle,
    attributes: &Attributes,
    payload: Arc<dyn Any + Send + Sync>,
) -> Result<Handle, NtStatus> {
    if let Some(parent) = attributes.parent {
        object::checked_kind(call, parent)?;
    }
    object::create_with(kind, Some(default_parent), attributes, payload)
}

/// The status a C function returns for a result without a value.
pub(crate) fn status(result: Result<(), NtStatus>) -> NtStatus {
    result.err().unwrap_or(NtStatus::SUCCESS)
}
