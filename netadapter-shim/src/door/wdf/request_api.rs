//! `WdfRequest*`.

#![allow(non_snake_case)] // C's names

use std::ffi::c_void;

use super::create::{Globals, create, read_or_breach, required, status};
use super::io_queue;
use super::memory::Buffer;
use super::request::{self, Cancel, Request, RequestType, State};
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{In, Out};
use crate::door::object::{self, Handle, Kind, Rules};
use crate::door::table::{Functions, entries};
use crate::door::types::{Boolean, WdfObjectAttributes};

pub(crate) const FUNCTIONS: Functions = entries![
    WdfRequestCreate,
    WdfRequestReuse,
    WdfRequestComplete,
    WdfRequestCompleteWithInformation,
    WdfRequestCompleteWithPriorityBoost,
    WdfRequestGetStatus,
    WdfRequestGetParameters,
    WdfRequestSetInformation,
    WdfRequestGetInformation,
    WdfRequestRetrieveInputBuffer,
    WdfRequestRetrieveOutputBuffer,
    WdfRequestRetrieveInputMemory,
    WdfRequestRetrieveOutputMemory,
    WdfRequestMarkCancelable,
    WdfRequestMarkCancelableEx,
    WdfRequestUnmarkCancelable,
    WdfRequestIsCanceled,
    WdfRequestGetIoQueue,
    WdfRequestGetFileObject,
    WdfRequestForwardToIoQueue,
    WdfRequestRequeue,
    WdfRequestStopAcknowledge,
    WdfRequestGetRequestorProcessId,
    WdfRequestGetRequestorMode,
];

/// `WDF_REQUEST_REUSE_PARAMS`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct ReuseParams {
    size: u32,
    flags: u32,
    status: NtStatus,
    irp: usize,
}

/// `WDF_REQUEST_PARAMETERS`; its size is 16 bits wide.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    size: u16,
    minor: u8,
    kind: u32,
    values: [usize; 4],
}

const REUSE_SET_NEW_IRP: u32 = 1;
/// `UserMode`
const USER_MODE: i8 = 1;

extern "C" fn WdfRequestCreate(
    globals: Globals,
    attributes: In<'_, WdfObjectAttributes>,
    target: Handle,
    place: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfRequestCreate";
    if let Some(target) = target.optional()
        && object::checked::<()>(call, target, Kind::IoTarget).is_err()
    {
        return NtStatus::INVALID_HANDLE;
    }
    status(Request::of_driver().and_then(|payload| {
        let wanted = (attributes, Rules::PLAIN);
        create(call, globals, Kind::Request, wanted, payload, place).map(drop)
    }))
}

extern "C" fn WdfRequestReuse(_: Globals, handle: Handle, params: In<'_, ReuseParams>) -> NtStatus {
    let call = "WdfRequestReuse";
    let params = read_or_breach(call, "ReuseParams", params);
    let (Ok(found), Some(params)) = (request::checked(call, handle), params) else {
        return NtStatus::INVALID_PARAMETER;
    };
    if !found.of_driver || params.flags & REUSE_SET_NEW_IRP != 0 {
        log::error!("{call}: only a request of WdfRequestCreate is reused, and without an IRP");
        return NtStatus::INVALID_DEVICE_REQUEST;
    }
    let mut state = found.state();
    state.status = params.status;
    state.information = 0;
    state.canceled = false;
    NtStatus::SUCCESS
}

extern "C" fn WdfRequestComplete(_: Globals, handle: Handle, status: NtStatus) {
    request::complete("WdfRequestComplete", handle, status, None);
}

extern "C" fn WdfRequestCompleteWithInformation(
    _: Globals,
    handle: Handle,
    status: NtStatus,
    information: usize,
) {
    let call = "WdfRequestCompleteWithInformation";
    request::complete(call, handle, status, Some(information));
}

extern "C" fn WdfRequestCompleteWithPriorityBoost(
    _: Globals,
    handle: Handle,
    status: NtStatus,
    _boost: i8,
) {
    request::complete("WdfRequestCompleteWithPriorityBoost", handle, status, None);
}

extern "C" fn WdfRequestGetStatus(_: Globals, handle: Handle) -> NtStatus {
    let found = request::checked("WdfRequestGetStatus", handle);
    found.map_or_else(|status| status, |found| found.state().status)
}

extern "C" fn WdfRequestGetParameters(_: Globals, handle: Handle, place: Out<'_, Parameters>) {
    let call = "WdfRequestGetParameters";
    if required(call, "Parameters", place).is_err() {
        return;
    }
    let size = place.given().size().unwrap_or_default();
    if usize::from(size) != size_of::<Parameters>() {
        let expected = size_of::<Parameters>();
        let text = format_args!("{call}: Parameters: Size is {size}, expected {expected}");
        return breach(WdfFault::VerifierFatalError, text);
    }
    if let Ok(found) = request::checked_open(call, handle) {
        place.store(parameters(&found));
    }
}

fn parameters(request: &Request) -> Parameters {
    let (input, output) = (request.input.len(), request.output.len());
    let values = match request.kind {
        RequestType::DEVICE_CONTROL => [output, input, request.code as usize, 0],
        _ => [request.length(), 0, 0, 0],
    };
    Parameters {
        size: size_of::<Parameters>() as u16,
        minor: 0,
        kind: request.kind.0,
        values,
    }
}

extern "C" fn WdfRequestSetInformation(_: Globals, handle: Handle, information: usize) {
    if let Ok(found) = request::checked("WdfRequestSetInformation", handle) {
        found.state().information = information;
    }
}

extern "C" fn WdfRequestGetInformation(_: Globals, handle: Handle) -> usize {
    let found = request::checked("WdfRequestGetInformation", handle);
    found.map_or(0, |found| found.state().information)
}

/// One of a request's two buffers: what it reads from, and what it writes to.
#[derive(Clone, Copy)]
struct Side {
    buffer: fn(&Request) -> Result<&Buffer, NtStatus>,
    /// Where its memory object is kept.
    memory: fn(&mut State) -> &mut Option<Handle>,
}

const INPUT: Side = Side {
    buffer: Request::readable,
    memory: |state| &mut state.input_memory,
};
const OUTPUT: Side = Side {
    buffer: Request::writable,
    memory: |state| &mut state.output_memory,
};

/// Hands a buffer out, if it has as much as the client needs.
fn retrieve_buffer(
    call: &str,
    handle: Handle,
    side: Side,
    minimum: usize,
    (place, length): (Out<'_, *mut c_void>, Out<'_, usize>),
) -> Result<(), NtStatus> {
    let found = request::checked_open(call, handle)?;
    required(call, "Buffer", place)?;
    let buffer = (side.buffer)(&found)?;
    if buffer.len() == 0 || buffer.len() < minimum {
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    place.store(buffer.pointer());
    length.store(buffer.len());
    Ok(())
}

/// Hands out a buffer's memory object.
fn retrieve_memory(
    call: &str,
    handle: Handle,
    side: Side,
    memory: Out<'_, Handle>,
) -> Result<(), NtStatus> {
    let found = request::checked_open(call, handle)?;
    required(call, "Memory", memory)?;
    let buffer = (side.buffer)(&found)?;
    memory.store(request::memory_of(handle, &found, buffer, side.memory)?);
    Ok(())
}

extern "C" fn WdfRequestRetrieveInputBuffer(
    _: Globals,
    handle: Handle,
    minimum: usize,
    buffer: Out<'_, *mut c_void>,
    length: Out<'_, usize>,
) -> NtStatus {
    let call = "WdfRequestRetrieveInputBuffer";
    status(retrieve_buffer(
        call,
        handle,
        INPUT,
        minimum,
        (buffer, length),
    ))
}

extern "C" fn WdfRequestRetrieveOutputBuffer(
    _: Globals,
    handle: Handle,
    minimum: usize,
    buffer: Out<'_, *mut c_void>,
    length: Out<'_, usize>,
) -> NtStatus {
    let call = "WdfRequestRetrieveOutputBuffer";
    status(retrieve_buffer(
        call,
        handle,
        OUTPUT,
        minimum,
        (buffer, length),
    ))
}

extern "C" fn WdfRequestRetrieveInputMemory(
    _: Globals,
    handle: Handle,
    memory: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfRequestRetrieveInputMemory";
    status(retrieve_memory(call, handle, INPUT, memory))
}

extern "C" fn WdfRequestRetrieveOutputMemory(
    _: Globals,
    handle: Handle,
    memory: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfRequestRetrieveOutputMemory";
    status(retrieve_memory(call, handle, OUTPUT, memory))
}

/// Marks a request, unless it is cancelled already.
fn mark(call: &str, handle: Handle, callback: Option<Cancel>) -> Result<(), NtStatus> {
    let found = request::checked_open(call, handle)?;
    let Some(callback) = callback else {
        let text = format_args!("{call}: EvtRequestCancel is NULL");
        breach(WdfFault::RequiredParameterIsNull, text);
        return Err(NtStatus::INVALID_PARAMETER);
    };
    let mut state = found.state();
    if state.canceled {
        return Err(NtStatus::CANCELLED);
    }
    if state.cancel.is_some() {
        drop(state);
        let text = format_args!("{call}: {handle} is cancelable already");
        breach(WdfFault::RequestFatalError, text);
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    }
    state.cancel = Some(callback);
    Ok(())
}

/// Without a status to return, a request that is cancelled already has its
/// callback called at once.
extern "C" fn WdfRequestMarkCancelable(_: Globals, handle: Handle, callback: Option<Cancel>) {
    let marked = mark("WdfRequestMarkCancelable", handle, callback);
    if let (Err(NtStatus::CANCELLED), Some(callback)) = (marked, callback) {
        callback.call(handle);
    }
}

extern "C" fn WdfRequestMarkCancelableEx(
    _: Globals,
    handle: Handle,
    callback: Option<Cancel>,
) -> NtStatus {
    status(mark("WdfRequestMarkCancelableEx", handle, callback))
}

extern "C" fn WdfRequestUnmarkCancelable(_: Globals, handle: Handle) -> NtStatus {
    let call = "WdfRequestUnmarkCancelable";
    status(request::checked_open(call, handle).and_then(|found| {
        let mut state = found.state();
        match (state.cancel.take(), state.canceled) {
            (Some(_), _) => Ok(()),
            (None, true) => Err(NtStatus::CANCELLED),
            (None, false) => Err(NtStatus::INVALID_PARAMETER),
        }
    }))
}

extern "C" fn WdfRequestIsCanceled(_: Globals, handle: Handle) -> Boolean {
    let found = request::checked("WdfRequestIsCanceled", handle);
    found.is_ok_and(|found| found.state().canceled).into()
}

extern "C" fn WdfRequestGetIoQueue(_: Globals, handle: Handle) -> Handle {
    let found = request::checked("WdfRequestGetIoQueue", handle).ok();
    let queue = found.and_then(|found| found.state().queue);
    queue.unwrap_or(Handle::NULL)
}

extern "C" fn WdfRequestGetFileObject(_: Globals, handle: Handle) -> Handle {
    let found = request::checked("WdfRequestGetFileObject", handle).ok();
    found.and_then(|found| found.file).unwrap_or(Handle::NULL)
}

extern "C" fn WdfRequestForwardToIoQueue(_: Globals, handle: Handle, queue: Handle) -> NtStatus {
    status(io_queue::forward(
        "WdfRequestForwardToIoQueue",
        handle,
        queue,
    ))
}

extern "C" fn WdfRequestRequeue(_: Globals, handle: Handle) -> NtStatus {
    status(io_queue::requeue("WdfRequestRequeue", handle))
}

/// A request that the client keeps or gives back while its queue is stopped.
extern "C" fn WdfRequestStopAcknowledge(_: Globals, handle: Handle, requeue: Boolean) {
    let call = "WdfRequestStopAcknowledge";
    // What is wrong was a breach.
    let _ = io_queue::power::acknowledge(call, handle, requeue != 0);
}

extern "C" fn WdfRequestGetRequestorProcessId(_: Globals, handle: Handle) -> u32 {
    let _ = request::checked("WdfRequestGetRequestorProcessId", handle);
    0
}

extern "C" fn WdfRequestGetRequestorMode(_: Globals, handle: Handle) -> i8 {
    let _ = request::checked("WdfRequestGetRequestorMode", handle);
    USER_MODE
}

#[cfg(test)]
mod tests;
