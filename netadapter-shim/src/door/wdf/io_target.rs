//! I/O targets: what is below the device. Below a software device is nothing:
//! what is sent fails at once.

#![allow(non_snake_case)] // C's names

use std::ffi::c_void;

use super::create::{Globals, read_or_breach};
use super::request;
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::Out;
use crate::door::object::{self, Handle, Kind};
use crate::door::table::{Functions, entries};
use crate::door::types::Boolean;

pub(crate) const FUNCTIONS: Functions = entries![
    WdfIoTargetGetDevice,
    WdfIoTargetStart,
    WdfIoTargetStop,
    WdfIoTargetSendReadSynchronously,
    WdfIoTargetSendWriteSynchronously,
    WdfIoTargetSendIoctlSynchronously,
    WdfRequestSend,
    WdfRequestCancelSentRequest,
    WdfRequestSetCompletionRoutine,
    WdfRequestGetCompletionParams,
    WdfRequestFormatRequestUsingCurrentType,
];

/// `WDF_REQUEST_COMPLETION_PARAMS`: the status block, and no parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct CompletionParams {
    size: u32,
    kind: u32,
    status: usize,
    information: usize,
    parameters: [usize; 6],
}

fn target(call: &str, target: Handle) -> Result<(), NtStatus> {
    object::checked::<()>(call, target, Kind::IoTarget).map(drop)
}

extern "C" fn WdfIoTargetGetDevice(_: Globals, handle: Handle) -> Handle {
    let found = target("WdfIoTargetGetDevice", handle);
    let device = found.ok().and_then(|()| object::parent(handle));
    device.unwrap_or(Handle::NULL)
}

extern "C" fn WdfIoTargetStart(_: Globals, handle: Handle) -> NtStatus {
    target("WdfIoTargetStart", handle)
        .err()
        .unwrap_or(NtStatus::SUCCESS)
}

extern "C" fn WdfIoTargetStop(_: Globals, handle: Handle, _action: u32) {
    let _ = target("WdfIoTargetStop", handle);
}

/// What every synchronous request ends with.
fn nobody_below(call: &str, handle: Handle) -> NtStatus {
    match target(call, handle) {
        Ok(()) => log::error!("{call}: there is no driver below {handle}"),
        Err(status) => return status,
    }
    NtStatus::INVALID_DEVICE_REQUEST
}

extern "C" fn WdfIoTargetSendReadSynchronously(
    _: Globals,
    handle: Handle,
    _request: Handle,
    _output: *const c_void,
    _offset: *const i64,
    _options: *const c_void,
    _bytes: *mut usize,
) -> NtStatus {
    nobody_below("WdfIoTargetSendReadSynchronously", handle)
}

extern "C" fn WdfIoTargetSendWriteSynchronously(
    _: Globals,
    handle: Handle,
    _request: Handle,
    _input: *const c_void,
    _offset: *const i64,
    _options: *const c_void,
    _bytes: *mut usize,
) -> NtStatus {
    nobody_below("WdfIoTargetSendWriteSynchronously", handle)
}

extern "C" fn WdfIoTargetSendIoctlSynchronously(
    _: Globals,
    handle: Handle,
    _request: Handle,
    _code: u32,
    _input: *const c_void,
    _output: *const c_void,
    _options: *const c_void,
    _bytes: *mut usize,
) -> NtStatus {
    nobody_below("WdfIoTargetSendIoctlSynchronously", handle)
}

/// FALSE, and the request's status says why.
extern "C" fn WdfRequestSend(
    _: Globals,
    handle: Handle,
    to: Handle,
    _options: *const c_void,
) -> Boolean {
    let call = "WdfRequestSend";
    if let (Ok(found), Ok(())) = (request::checked_open(call, handle), target(call, to)) {
        log::error!("{call}: there is no driver below {to}");
        found.state().status = NtStatus::INVALID_DEVICE_REQUEST;
    }
    0
}

/// No request is ever on its way.
extern "C" fn WdfRequestCancelSentRequest(_: Globals, handle: Handle) -> Boolean {
    let _ = request::checked("WdfRequestCancelSentRequest", handle);
    0
}

/// A routine that is never called, as nothing that was sent completes.
extern "C" fn WdfRequestSetCompletionRoutine(
    _: Globals,
    handle: Handle,
    _routine: Option<unsafe extern "C" fn()>,
    _context: usize,
) {
    let _ = request::checked_open("WdfRequestSetCompletionRoutine", handle);
}

extern "C" fn WdfRequestGetCompletionParams(
    _: Globals,
    handle: Handle,
    place: Out<'_, CompletionParams>,
) {
    let call = "WdfRequestGetCompletionParams";
    let given = read_or_breach(call, "Params", place.given());
    let (Ok(found), Some(given)) = (request::checked(call, handle), given) else {
        return;
    };
    let state = found.state();
    let answer = CompletionParams {
        kind: found.kind.0,
        status: u32::from_ne_bytes(state.status.0.to_ne_bytes()) as usize,
        information: state.information,
        parameters: [0; 6],
        ..given
    };
    place.store(answer);
}

extern "C" fn WdfRequestFormatRequestUsingCurrentType(_: Globals, handle: Handle) {
    let call = "WdfRequestFormatRequestUsingCurrentType";
    if let Ok(found) = request::checked_open(call, handle)
        && found.of_driver
    {
        let text = format_args!("{call}: {handle} was made by WdfRequestCreate and has no type");
        breach(WdfFault::RequestFatalError, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::recorded;
    use crate::door::wdf::device::tests::device;
    use crate::door::wdf::test_client::TestClient;
    use std::ptr::null;
    use std::sync::Arc;

    fn request_and_target(client: &TestClient) -> (Handle, Handle) {
        let device = device(client);
        let made = request::Request::of_driver().unwrap();
        let request = object::create(Kind::Request, Some(device), made).unwrap();
        let target = object::create(Kind::IoTarget, Some(device), Arc::new(())).unwrap();
        assert_eq!(WdfIoTargetGetDevice(null(), target), device);
        (request, target)
    }

    #[test]
    fn what_is_sent_fails_and_says_so() {
        let client = TestClient::new();
        let (request, target) = request_and_target(&client);
        assert_eq!(WdfIoTargetStart(null(), target), NtStatus::SUCCESS);
        WdfRequestSetCompletionRoutine(null(), request, None, 0);
        assert_eq!(WdfRequestSend(null(), request, target, null()), 0);
        let mut params = CompletionParams {
            size: 72,
            kind: 9,
            status: 0,
            information: 9,
            parameters: [9; 6],
        };
        WdfRequestGetCompletionParams(null(), request, Out::of(&mut params));
        assert_eq!((params.status, params.information), (0xC000_0010, 0));
        assert_eq!(WdfRequestCancelSentRequest(null(), request), 0);
        let (none, nothing) = (Handle::NULL, std::ptr::null_mut());
        let (buffer, offset) = (null(), null());
        let refused = [
            WdfIoTargetSendReadSynchronously(null(), target, none, buffer, offset, null(), nothing),
            WdfIoTargetSendWriteSynchronously(
                null(),
                target,
                none,
                buffer,
                offset,
                null(),
                nothing,
            ),
            WdfIoTargetSendIoctlSynchronously(
                null(),
                target,
                none,
                1,
                buffer,
                buffer,
                null(),
                nothing,
            ),
        ];
        assert_eq!(refused, [NtStatus::INVALID_DEVICE_REQUEST; 3]);
        WdfIoTargetStop(null(), target, 1);
        assert!(recorded::take().is_empty());
    }

    #[test]
    fn bad_targets_sizes_and_types_are_breaches() {
        let client = TestClient::new();
        let (request, target) = request_and_target(&client);
        assert_eq!(WdfRequestSend(null(), request, request, null()), 0);
        recorded::take_one(WdfFault::InvalidHandle);
        assert_eq!(WdfIoTargetStart(null(), request), NtStatus::INVALID_HANDLE);
        recorded::take_one(WdfFault::InvalidHandle);
        WdfRequestFormatRequestUsingCurrentType(null(), request);
        recorded::take_one(WdfFault::RequestFatalError);
        WdfRequestGetCompletionParams(null(), target, Out::NULL);
        assert_eq!(recorded::take().len(), 2);
    }
}
