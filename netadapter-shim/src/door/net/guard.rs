//! What every NetAdapterCx function checks first.

#![allow(unsafe_code)] // declares which structures may be copied from a client

use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;

use crate::abi::*;
use crate::adapter::AdapterError;
use crate::door::fail::breach;
use crate::door::foreign::{BadStruct, Sized32, read_sized};
use crate::door::globals;
use crate::door::object::{self, Handle, Kind};
use crate::door::runtime::irql;

use super::adapter::AdapterObject;
use super::queue::QueueObject;

/// The hidden first argument.
pub(super) type Globals = *const c_void;

macro_rules! sized {
    ($($name:ty),+ $(,)?) => {$(
        // SAFETY: `repr(C)` with a `u32` size first; integers, pointers and
        // optional function pointers, so that every bit pattern is a value.
        unsafe impl Sized32 for $name {}
    )+};
}
sized!(
    NetAdapterDatapathCallbacks,
    NetAdapterLinkLayerCapabilities,
    NetAdapterLinkState,
    NetAdapterOffloadGsoCapabilities,
    NetAdapterOffloadIeee8021qTagCapabilities,
    NetAdapterOffloadRscCapabilities,
    NetAdapterOffloadRxChecksumCapabilities,
    NetAdapterOffloadTxChecksumCapabilities,
    NetAdapterReceiveFilterCapabilities,
    NetAdapterReceiveScalingCapabilities,
    NetAdapterRxCapabilities,
    NetAdapterTxCapabilities,
    NetAdapterTxDemux,
    NetExtensionQuery,
    NetPacketQueueConfig,
);

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
///
/// # Safety
/// `pointer` is NULL or points to as many readable bytes as its `Size` says.
pub(super) unsafe fn read<T: Sized32>(call: &str, pointer: *const T) -> Result<T, NtStatus> {
    // SAFETY: passed on from the caller.
    unsafe { read_sized(pointer) }.map_err(|bad| bad_struct(call, bad))
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
pub(super) fn given<T>(call: &str, what: &str, pointer: *const T) -> Result<(), NtStatus> {
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
