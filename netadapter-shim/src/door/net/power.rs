//! Power, wake and reset. None of it is confirmed for user mode: what a client
//! states is checked and noted, and as a TAP never sleeps nothing follows from
//! it. Lists exist in power transitions of the kind that never occur here, so
//! that asking for them is out of place.

#![allow(unsafe_code)] // reads the sizes of the client's structures

use std::ffi::c_void;

use super::guard::{self, Globals, refuse};
use crate::abi::{FailureCode, NtStatus};
use crate::door::foreign::{BadStruct, Sized32, size_of_foreign};
use crate::door::object::Handle;

type Result<T = ()> = std::result::Result<T, NtStatus>;

/// Most bytes of reset diagnostics.
const LARGEST_DIAGNOSTICS: usize = 1 << 20;

/// Any structure of which only `Size` is looked at.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct AnySized {
    size: u32,
}
// SAFETY: one integer.
unsafe impl Sized32 for AnySized {}

/// Capabilities that are accepted and have no effect; `size` is their size.
///
/// # Safety
/// `structure` is NULL or points to at least four bytes.
pub(super) unsafe fn accept(
    call: &str,
    globals: Globals,
    adapter: Handle,
    structure: *const AnySized,
    size: u32,
) -> Result {
    guard::adapter(call, globals, adapter)?;
    // SAFETY: passed on from the caller.
    unsafe { check_size(call, structure, size) }?;
    log::info!("{call}: noted for {adapter}; without effect, a TAP never sleeps");
    Ok(())
}

/// The same for a device that is being made.
///
/// # Safety
/// `structure` is NULL or points to at least four bytes.
pub(super) unsafe fn accept_init(
    call: &str,
    globals: Globals,
    init: *const c_void,
    structure: *const AnySized,
) -> Result {
    guard::client(call, globals)?;
    guard::given(call, "DeviceInit", init)?;
    guard::given(call, "the structure", structure)?;
    log::info!("{call}: noted; without effect, this device neither sleeps nor resets by itself");
    Ok(())
}

/// # Safety
/// `structure` is NULL or points to at least four bytes.
unsafe fn check_size(call: &str, structure: *const AnySized, expected: u32) -> Result {
    // SAFETY: passed on from the caller.
    let found =
        unsafe { size_of_foreign(structure) }.map_err(|bad| guard::bad_struct(call, bad))?;
    if found == expected {
        return Ok(());
    }
    let expected = expected as usize;
    Err(guard::bad_struct(call, BadStruct::Size { found, expected }))
}

/// A list that exists only while the device goes to sleep.
pub(super) fn no_transition<T>(call: &str, globals: Globals) -> Result<T> {
    guard::client(call, globals)?;
    let why = format_args!("the device is in no power transition; here it never is");
    refuse(FailureCode::PowerNotInTransition, call, why)
}

/// An element or a list that cannot have been given out here.
pub(super) fn no_list<T>(call: &str, globals: Globals, code: FailureCode) -> Result<T> {
    guard::client(call, globals)?;
    refuse(
        code,
        call,
        format_args!("no such list or element was given out"),
    )
}

/// A wake reason while nothing wakes up.
pub(super) fn no_wake(call: &str, globals: Globals, adapter: Handle) -> Result {
    guard::adapter(call, globals, adapter)?;
    let why = format_args!("{adapter} is not waking up; here it never sleeps");
    refuse(FailureCode::WakeNotInProgress, call, why)
}

/// `NetAdapterReportWakeReasonMediaChange`
pub(super) fn wake_media_change(globals: Globals, adapter: Handle, reason: u32) -> Result {
    const CALL: &str = "NetAdapterReportWakeReasonMediaChange";
    if !(1..=2).contains(&reason) {
        let why = format_args!("reason {reason}; connected is 1, disconnected 2");
        return refuse(
            FailureCode::InvalidNetAdapterWakeReasonMediaChange,
            CALL,
            why,
        );
    }
    no_wake(CALL, globals, adapter)
}

/// `NetDeviceRequestReset`
pub(super) fn request_reset(globals: Globals, device: Handle) -> Result {
    const CALL: &str = "NetDeviceRequestReset";
    guard::client(CALL, globals)?;
    log::error!(
        "{CALL}: {device}: resets on request are beyond the user-mode surface and are not done; \
         fail the device with WdfDeviceSetFailed to have it restarted"
    );
    Ok(())
}

/// `NetDeviceStoreResetDiagnostics`
pub(super) fn store_reset_diagnostics(globals: Globals, size: usize) -> Result {
    const CALL: &str = "NetDeviceStoreResetDiagnostics";
    guard::client(CALL, globals)?;
    if size > LARGEST_DIAGNOSTICS {
        let why = format_args!("{size} bytes, more than {LARGEST_DIAGNOSTICS}");
        return refuse(FailureCode::ResetDiagnosticsSizeTooLarge, CALL, why);
    }
    let why = format_args!("allowed only inside EvtDeviceCollectResetDiagnostics");
    refuse(FailureCode::IsNotCollectingResetDiagnostics, CALL, why)
}
