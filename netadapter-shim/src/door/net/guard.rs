//! What every NetAdapterCx function checks first.

use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;

use crate::abi::*;
use crate::adapter::AdapterError;
use crate::door::fail::breach;
use crate::door::foreign::{BadStruct, In, Pointer, Sized32};
use crate::door::globals;
use crate::door::object::{self, Handle, Kind};
use crate::door::runtime::irql;

use super::adapter::AdapterObject;
use super::queue::QueueObject;

/// The hidden first argument.
pub(super) type Globals = *const c_void;

/// Checks that a client calls; a pointer that is none of a client's is a
/// breach, and so is an IRQL above the call's own.
pub(super) fn client(call: &str, globals: Globals) -> Result<(), NtStatus> {
    check_irql(call, irql::current());
    if globals::is_known(globals) {
        return Ok(());
    }
    let text = format_args!("{call}: the driver globals {globals:p} were not given out here");
    breach(FailureCode::CorruptedPrivateGlobals, text);
    Err(NtStatus::INVALID_PARAMETER)
}

/// Nothing goes wrong here above an IRQL: the call goes on, if the verifier is
/// off.
fn check_irql(call: &str, found: u8) {
    if found == irql::PASSIVE || found <= highest_irql(call) {
        return;
    }
    let code = match highest_irql(call) {
        irql::PASSIVE => FailureCode::IrqlIsNotPassive,
        _ => FailureCode::IrqlNotLessOrEqualDispatch,
    };
    let most = highest_irql(call);
    let text = format_args!(
        "{call}: called at IRQL {found}, its highest is {most}; spin locks raise it, and the \
         verifier does around Cancel and every second Advance"
    );
    breach(code, text);
}

/// The IRQL a function may be called at (section 1.4).
fn highest_irql(call: &str) -> u8 {
    match call {
        "NetTxQueueNotifyMoreCompletedPacketsAvailable"
        | "NetRxQueueNotifyMoreReceivedPacketsAvailable" => irql::HIGH,
        "NetAdapterSetLinkState"
        | "NetReceiveFilterGetPacketFilter"
        | "NetReceiveFilterGetMulticastAddressCount"
        | "NetReceiveFilterGetMulticastAddressList" => irql::DISPATCH,
        _ => irql::PASSIVE,
    }
}

/// The adapter a call names.
pub(super) fn adapter(
    call: &str,
    globals: Globals,
    handle: Handle,
) -> Result<Arc<AdapterObject>, NtStatus> {
    client(call, globals)?;
    object::payload(handle, Kind::Adapter).map_err(|bad| {
        breach(
            FailureCode::ShimInvalidObjectHandle,
            format_args!("{call}: {bad}"),
        );
        NtStatus::INVALID_HANDLE
    })
}

/// The queue a call names, of either direction.
pub(super) fn queue(
    call: &str,
    globals: Globals,
    handle: Handle,
) -> Result<Arc<QueueObject>, NtStatus> {
    client(call, globals)?;
    object::payload(handle, Kind::PacketQueue).map_err(|bad| {
        breach(
            FailureCode::InvalidQueueHandle,
            format_args!("{call}: {bad}"),
        );
        NtStatus::INVALID_HANDLE
    })
}

/// Copies a structure whose Size must be right.
pub(super) fn read<T: Sized32>(call: &str, pointer: In<'_, T>) -> Result<T, NtStatus> {
    pointer.sized().map_err(|bad| bad_struct(call, bad))
}

/// Reports a structure that was not read.
pub(super) fn bad_struct(call: &str, bad: BadStruct) -> NtStatus {
    let code = match bad {
        BadStruct::Null => FailureCode::ParameterCantBeNull,
        BadStruct::Size { .. } => FailureCode::InvalidStructTypeSize,
    };
    breach(code, format_args!("{call}: {bad}"));
    NtStatus::INVALID_PARAMETER
}

/// A pointer that must be given.
pub(super) fn given(call: &str, what: &str, pointer: impl Pointer) -> Result<(), NtStatus> {
    if !pointer.is_null() {
        return Ok(());
    }
    refuse(
        FailureCode::ParameterCantBeNull,
        call,
        format_args!("{what} is NULL"),
    )
}

/// Reports a broken rule and answers with the usual status.
pub(super) fn refuse<T>(
    code: FailureCode,
    call: &str,
    why: fmt::Arguments<'_>,
) -> Result<T, NtStatus> {
    breach(code, format_args!("{call}: {why}"));
    Err(NtStatus::INVALID_PARAMETER)
}

/// What the core refused under a code is a breach; the rest is only logged.
pub(super) fn report(call: &str, adapter: Handle, error: &AdapterError) -> NtStatus {
    match error.failure_code() {
        Some(code) => breach(code, format_args!("{call}: {adapter}: {error}")),
        None => log::error!("{call}: {adapter}: {error}"),
    }
    error.status()
}
