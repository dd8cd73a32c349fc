//! `WdfIoQueue*`, and which queue of a device takes what.

#![allow(non_snake_case)] // C's names

use std::sync::Arc;

use super::create::{Globals, create_object, read, required, status};
use super::device;
use super::io_queue::{self, DispatchType, IoQueue, QueueConfig, StateCallback};
use super::request::{self, Request, RequestType};
use super::serialize::{self, Scope};
use super::uncalled;
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{In, Out};
use crate::door::object::{self, Attributes, Handle, Kind, Rules};
use crate::door::table::{Functions, entries};
use crate::door::types::WdfObjectAttributes;

pub(crate) const FUNCTIONS: Functions = entries![
    WdfIoQueueCreate,
    WdfIoQueueGetDevice,
    WdfIoQueueGetState,
    WdfIoQueueRetrieveNextRequest,
    WdfIoQueueRetrieveRequestByFileObject,
    WdfIoQueueReadyNotify,
    WdfIoQueueStart,
    WdfIoQueueStop,
    WdfIoQueueStopSynchronously,
    WdfIoQueueDrain,
    WdfIoQueueDrainSynchronously,
    WdfIoQueuePurge,
    WdfIoQueuePurgeSynchronously,
    WdfDeviceConfigureRequestDispatching,
    WdfDeviceEnqueueRequest,
];

/// Bits of `WDF_IO_QUEUE_STATE`.
mod bits {
    pub(super) const ACCEPT_REQUESTS: u32 = 1;
    pub(super) const DISPATCH_REQUESTS: u32 = 2;
    pub(super) const NO_REQUESTS: u32 = 4;
    pub(super) const DRIVER_NO_REQUESTS: u32 = 8;
}

extern "C" fn WdfIoQueueCreate(
    _: Globals,
    device: Handle,
    config: In<'_, QueueConfig>,
    attributes: In<'_, WdfObjectAttributes>,
    queue: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfIoQueueCreate";
    status((|| {
        let owner = device::checked(call, device)?;
        let config = read(call, "Config", config)?;
        let attributes = Attributes::of(attributes, Rules::ANY)?;
        check(call, &config)?;
        let internal = config.internal_control.is_some();
        let why = "no other driver sends requests";
        uncalled::say(why, [("EvtIoInternalDeviceControl", internal)]);
        let is_default = config.default_queue != 0;
        if is_default && owner.state().default_queue.is_some() {
            log::error!("{call}: {device} has a default queue already");
            return Err(NtStatus::UNSUCCESSFUL);
        }
        let scope = Scope(attributes.synchronization_scope);
        let serialized = serialize::of_new_queue(&owner, scope);
        // A control device has no power to lose.
        let powered = owner.state().io_powered || owner.statements().control;
        let made = IoQueue::new(device, config, serialized, powered);
        let payload = Arc::clone(&made);
        let handle = create_object(call, Kind::IoQueue, device, &attributes, payload)?;
        object::on_dispose(
            handle,
            Box::new(move || {
                stop_taking(&made);
                io_queue::cancel_all_waiting(handle, &made);
            }),
        );
        if is_default {
            owner.state().default_queue = Some(handle);
        }
        queue.store(handle);
        Ok(())
    })())
}

fn check(call: &str, config: &QueueConfig) -> Result<(), NtStatus> {
    let kinds = DispatchType::SEQUENTIAL.0..=DispatchType::MANUAL.0;
    if !kinds.contains(&config.dispatch.0) {
        log::error!("{call}: DispatchType is {}", config.dispatch.0);
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let silent = config.default.is_none()
        && config.read.is_none()
        && config.write.is_none()
        && config.control.is_none()
        && config.internal_control.is_none();
    match (config.dispatch == DispatchType::MANUAL, silent) {
        (false, true) => Err(NtStatus::WDF_NO_CALLBACK),
        (true, false) => Err(NtStatus::INVALID_PARAMETER),
        _ => Ok(()),
    }
}

fn stop_taking(queue: &IoQueue) {
    let mut state = queue.state();
    (state.accepting, state.dispatching) = (false, false);
}

extern "C" fn WdfIoQueueGetDevice(_: Globals, queue: Handle) -> Handle {
    let found = io_queue::checked("WdfIoQueueGetDevice", queue);
    found.map_or(Handle::NULL, |found| found.device)
}

extern "C" fn WdfIoQueueGetState(
    _: Globals,
    queue: Handle,
    waiting: Out<'_, u32>,
    with_client: Out<'_, u32>,
) -> u32 {
    let Ok(found) = io_queue::checked("WdfIoQueueGetState", queue) else {
        return 0;
    };
    let state = found.state();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    waiting.store(count(state.waiting.len()));
    with_client.store(count(state.held.len()));
    let bit = |set: bool, bit: u32| if set { bit } else { 0 };
    bit(state.accepting, bits::ACCEPT_REQUESTS)
        | bit(state.dispatching, bits::DISPATCH_REQUESTS)
        | bit(state.waiting.is_empty(), bits::NO_REQUESTS)
        | bit(state.held.is_empty(), bits::DRIVER_NO_REQUESTS)
}

/// Hands out the first request that is wanted.
fn hand_out(
    call: &str,
    queue: Handle,
    place: Out<'_, Handle>,
    wanted: impl Fn(&Request) -> bool,
) -> Result<(), NtStatus> {
    required(call, "OutRequest", place)?;
    let found = io_queue::checked(call, queue)?;
    place.store(io_queue::retrieve(&found, wanted)?);
    Ok(())
}

extern "C" fn WdfIoQueueRetrieveNextRequest(
    _: Globals,
    queue: Handle,
    place: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfIoQueueRetrieveNextRequest";
    status(hand_out(call, queue, place, |_| true))
}

extern "C" fn WdfIoQueueRetrieveRequestByFileObject(
    _: Globals,
    queue: Handle,
    file: Handle,
    place: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfIoQueueRetrieveRequestByFileObject";
    status(hand_out(call, queue, place, |request| {
        request.file == Some(file)
    }))
}

/// Has the client told when a request comes into an empty queue.
extern "C" fn WdfIoQueueReadyNotify(
    _: Globals,
    queue: Handle,
    callback: Option<StateCallback>,
    context: usize,
) -> NtStatus {
    let found = match io_queue::checked("WdfIoQueueReadyNotify", queue) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let mut state = found.state();
    if callback.is_some() && state.ready.is_some() {
        return NtStatus::INVALID_DEVICE_REQUEST;
    }
    state.ready = callback.map(|callback| (callback, context));
    NtStatus::SUCCESS
}

extern "C" fn WdfIoQueueStart(_: Globals, queue: Handle) {
    if let Ok(found) = io_queue::checked("WdfIoQueueStart", queue) {
        {
            let mut state = found.state();
            (state.accepting, state.dispatching) = (true, true);
        }
        io_queue::pump(queue, &found);
    }
}

/// How a queue is brought to rest.
#[derive(Clone, Copy)]
struct Rest {
    accepting: bool,
    dispatching: bool,
    /// What waits is cancelled, and what the client can cancel.
    purge: bool,
    /// Over when nothing waits either.
    empty: bool,
}

const STOP: Rest = Rest {
    accepting: true,
    dispatching: false,
    purge: false,
    empty: false,
};
const DRAIN: Rest = Rest {
    accepting: false,
    dispatching: true,
    purge: false,
    empty: true,
};
const PURGE: Rest = Rest {
    accepting: false,
    dispatching: false,
    purge: true,
    empty: true,
};

fn bring_to(call: &str, queue: Handle, rest: Rest) -> Option<Arc<IoQueue>> {
    let found = io_queue::checked(call, queue).ok()?;
    {
        let mut state = found.state();
        (state.accepting, state.dispatching) = (rest.accepting, rest.dispatching);
    }
    if rest.purge {
        io_queue::cancel_all_waiting(queue, &found);
        for request in object::children(found.device, Kind::Request) {
            if is_of(queue, request) {
                request::cancel(request);
            }
        }
    }
    Some(found)
}

/// Whether a request came out of that queue.
fn is_of(queue: Handle, request: Handle) -> bool {
    let found = object::payload::<Request>(request, Kind::Request);
    found.is_ok_and(|found| found.state().queue == Some(queue))
}

fn rest_later(
    call: &str,
    queue: Handle,
    rest: Rest,
    (callback, context): (Option<StateCallback>, usize),
) {
    let Some(found) = bring_to(call, queue, rest) else {
        return;
    };
    if let Some(callback) = callback {
        found.state().idle.push((callback, context, rest.empty));
    }
    io_queue::tell_idle(queue, &found);
}

fn rest_now(call: &str, queue: Handle, rest: Rest) {
    if let Some(found) = bring_to(call, queue, rest) {
        found.wait_idle(rest.empty);
    }
}

/// The two functions that bring a queue to the same rest: one tells when it is
/// there, one waits.
macro_rules! rest {
    ($rest:ident: $later:ident, $now:ident) => {
        extern "C" fn $later(
            _: Globals,
            queue: Handle,
            callback: Option<StateCallback>,
            context: usize,
        ) {
            rest_later(stringify!($later), queue, $rest, (callback, context));
        }

        extern "C" fn $now(_: Globals, queue: Handle) {
            rest_now(stringify!($now), queue, $rest);
        }
    };
}

rest!(STOP: WdfIoQueueStop, WdfIoQueueStopSynchronously);
rest!(DRAIN: WdfIoQueueDrain, WdfIoQueueDrainSynchronously);
rest!(PURGE: WdfIoQueuePurge, WdfIoQueuePurgeSynchronously);

extern "C" fn WdfDeviceConfigureRequestDispatching(
    _: Globals,
    device: Handle,
    queue: Handle,
    kind: RequestType,
) -> NtStatus {
    let call = "WdfDeviceConfigureRequestDispatching";
    status((|| {
        let (owner, found) = (
            device::checked(call, device)?,
            io_queue::checked(call, queue)?,
        );
        let kinds = [
            RequestType::CREATE,
            RequestType::READ,
            RequestType::WRITE,
            RequestType::DEVICE_CONTROL,
        ];
        if found.device != device || !kinds.contains(&kind) {
            log::error!(
                "{call}: the queue is another device's, or RequestType {}",
                kind.0
            );
            return Err(NtStatus::INVALID_PARAMETER);
        }
        device::configure(&owner, kind, queue)
    })())
}

/// Only from EvtIoInCallerContext, or later for a request that it has kept.
extern "C" fn WdfDeviceEnqueueRequest(_: Globals, device: Handle, handle: Handle) -> NtStatus {
    let call = "WdfDeviceEnqueueRequest";
    status((|| {
        let owner = device::checked(call, device)?;
        let asked = request::checked_open(call, handle)?;
        if !request::set_loose(handle, false) {
            let text = format_args!("{call}: {handle} is in a queue or with the client already");
            breach(WdfFault::RequestFatalError, text);
            return Err(NtStatus::INVALID_DEVICE_REQUEST);
        }
        io_queue::enqueue(&owner, asked.kind, handle).inspect_err(|_| {
            // The client's to complete.
            request::set_loose(handle, true);
        })
    })())
}

#[cfg(test)]
pub(super) mod tests;
