//! Requests that leave the way from the queue to the client and back: fetched, forwarded, given
//! back, cancelled.

use super::{DispatchType, IoQueue, checked, find, finished, hold, take_in, tell_idle};
use crate::abi::NtStatus;
use crate::door::object::{self, Handle, Kind};
use crate::door::wdf::request::{self, Request};

/// Takes the next request that fits out for the client.
pub(in crate::door::wdf) fn retrieve(
    found: &IoQueue,
    fits: impl Fn(&Request) -> bool,
) -> Result<Handle, NtStatus> {
    let mut state = found.state();
    if !state.gives_out() {
        return Err(NtStatus::WDF_PAUSED);
    }
    let fits = |handle: &Handle| {
        let request = object::payload::<Request>(*handle, Kind::Request);
        request.is_ok_and(|request| fits(&request))
    };
    let index = state.waiting.iter().position(fits);
    let next = index.and_then(|index| state.waiting.remove(index));
    let next = next.ok_or(NtStatus::NO_MORE_ENTRIES)?;
    state.held.push(next);
    Ok(next)
}

/// Hands a request of the client to another queue of the same device.
///
/// # Errors
/// STATUS_INVALID_DEVICE_REQUEST for another device's queue or its own, or for
/// a request that waits in its queue; STATUS_WDF_BUSY for a queue that takes
/// nothing.
pub(in crate::door::wdf) fn forward(
    call: &str,
    handle: Handle,
    to: Handle,
) -> Result<(), NtStatus> {
    let (asked, target) = (request::checked_open(call, handle)?, checked(call, to)?);
    let from = asked.state().queue;
    let movable = from
        .and_then(find)
        .is_some_and(|from| from.device == target.device && from.is_with_client(handle));
    if !movable || from == Some(to) || asked.state().cancel.is_some() {
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    }
    if !target.state().accepting {
        return Err(NtStatus::WDF_BUSY);
    }
    take_in(to, handle)?;
    if let Some(from) = from {
        finished(from, handle);
    }
    Ok(())
}

/// Gives a request back to the head of the manual queue it came from.
///
/// # Errors
/// STATUS_INVALID_DEVICE_REQUEST if its queue is not a manual one, or the
/// request waits there already or is cancelable.
pub(in crate::door::wdf) fn requeue(call: &str, handle: Handle) -> Result<(), NtStatus> {
    let asked = request::checked_open(call, handle)?;
    let (queue, cancelable) = {
        let state = asked.state();
        (state.queue, state.cancel.is_some())
    };
    let (queue, found) = queue
        .and_then(|queue| Some((queue, find(queue)?)))
        .filter(|(_, found)| found.config.dispatch == DispatchType::MANUAL && !cancelable)
        .ok_or(NtStatus::INVALID_DEVICE_REQUEST)?;
    if !put_back(&found, handle) {
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    }
    tell_idle(queue, &found);
    Ok(())
}

/// The client gives a request back unfinished: it is the next to be given out.
/// Says whether the client had it.
pub(in crate::door::wdf) fn put_back(queue: &IoQueue, handle: Handle) -> bool {
    let mut state = queue.state();
    let Some(index) = state.held.iter().position(|held| *held == handle) else {
        return false;
    };
    state.held.remove(index);
    state.waiting.push_front(handle);
    drop(state);
    queue.changed.notify_all();
    true
}

/// Takes a request that still waits out of its queue and completes it as
/// cancelled.
pub(in crate::door::wdf) fn cancel_waiting(queue: Handle, handle: Handle) {
    let Some(found) = find(queue) else {
        return;
    };
    {
        let mut state = found.state();
        let index = state.waiting.iter().position(|other| *other == handle);
        if index
            .and_then(|index| state.waiting.remove(index))
            .is_none()
        {
            return;
        }
        state.held.push(handle);
    }
    match found.config.canceled {
        // The client completes the request.
        Some(callback) => {
            let _held = hold(&found.serialized);
            callback.call(queue, handle);
        }
        None => request::complete("cancellation", handle, NtStatus::CANCELLED, Some(0)),
    }
}

/// Completes everything that waits as cancelled.
pub(in crate::door::wdf) fn cancel_all_waiting(queue: Handle, found: &IoQueue) {
    loop {
        let next = found.state().waiting.front().copied();
        match next {
            Some(next) => cancel_waiting(queue, next),
            None => return,
        }
    }
}
