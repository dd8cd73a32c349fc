//! What becomes of a device's power-managed queues when it loses its power and gets it back.
//!
//! The device does not lose its power before the client has said of every
//! request it holds that it has stopped working on it: by completing it, by
//! giving it back, or by keeping it with WdfRequestStopAcknowledge.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::{IoQueue, cancel_all_waiting, find, hold, pump, put_back};
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::object::{self, Handle, Kind};
use crate::door::wdf::device::Device;
use crate::door::wdf::request::{self, Request};

/// Bits of `WDF_REQUEST_STOP_ACTION_FLAGS`.
mod action {
    pub(super) const SUSPEND: u32 = 1;
    pub(super) const PURGE: u32 = 2;
    pub(super) const CANCELABLE: u32 = 0x1000_0000;
}

/// Longest wait for a client to let go; the host's watchdog is usually less patient.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether a request is being stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::door::wdf) enum Stop {
    /// It is not.
    #[default]
    No,
    /// The client was asked to, and has not answered.
    Asked,
    /// The client keeps it and does not work on it.
    Acknowledged,
}

fn managed(device: Handle) -> impl Iterator<Item = (Handle, Arc<IoQueue>)> {
    let queues = object::children(device, Kind::IoQueue).into_iter();
    let found = queues.filter_map(|queue| Some((queue, find(queue)?)));
    found.filter(|(_, found)| found.config.is_power_managed())
}

fn set_powered(device: Handle, powered: bool) {
    if let Ok(found) = object::payload::<Device>(device, Kind::Device) {
        found.state().io_powered = powered;
    }
}

/// The device has power: kept requests are resumed, waiting ones given out.
pub(crate) fn power_up(device: Handle) {
    set_powered(device, true);
    for (queue, found) in managed(device) {
        let held = {
            let mut state = found.state();
            state.powered = true;
            state.held.clone()
        };
        for handle in held {
            resume(queue, &found, handle);
        }
        pump(queue, &found);
    }
}

fn resume(queue: Handle, found: &IoQueue, handle: Handle) {
    let Ok(asked) = object::payload::<Request>(handle, Kind::Request) else {
        return;
    };
    let before = std::mem::take(&mut asked.state().stop);
    if let (Stop::Acknowledged, Some(callback)) = (before, found.config.resume) {
        let _held = hold(&found.serialized);
        callback.call(queue, handle);
    }
}

/// The device is about to lose its power; returns when the client has stopped. With `purge` for
/// good: nothing is taken in any more, and what waits is cancelled.
pub(crate) fn power_down(device: Handle, purge: bool) {
    set_powered(device, false);
    for (queue, found) in managed(device) {
        let held = {
            let mut state = found.state();
            state.powered = false;
            state.accepting &= !purge;
            state.held.clone()
        };
        if purge {
            cancel_all_waiting(queue, &found);
        }
        held.iter()
            .for_each(|handle| stop(queue, &found, *handle, purge));
        wait_until_stopped(queue, &found, purge);
    }
}

fn stop(queue: Handle, found: &IoQueue, handle: Handle, purge: bool) {
    let Ok(asked) = object::payload::<Request>(handle, Kind::Request) else {
        return;
    };
    let cancelable = {
        let mut state = asked.state();
        state.stop = Stop::Asked;
        state.cancel.is_some()
    };
    let reason = if purge {
        action::PURGE
    } else {
        action::SUSPEND
    };
    let flags = reason | if cancelable { action::CANCELABLE } else { 0 };
    match found.config.stop {
        Some(callback) => {
            let _held = hold(&found.serialized);
            callback.call(queue, handle, flags);
        }
        None if purge => request::cancel(handle),
        None => {}
    }
}

/// Whether the client works on a request: it holds it and has not acknowledged the stop. Of what
/// is purged nothing may stay.
fn is_worked_on(handle: Handle, purge: bool) -> bool {
    let asked = object::payload::<Request>(handle, Kind::Request);
    asked.is_ok_and(|asked| purge || asked.state().stop != Stop::Acknowledged)
}

fn wait_until_stopped(queue: Handle, found: &IoQueue, purge: bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut state = found.state();
    loop {
        let held = state.held.clone();
        drop(state);
        if !held.iter().any(|handle| is_worked_on(*handle, purge)) {
            return;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return log::error!("{queue}: the client does not let go of its requests");
        }
        state = found.state();
        // Looked at anew now and then: an acknowledgement may have come in between.
        let step = left.min(Duration::from_millis(20));
        let waited = found.changed.wait_timeout(state, step);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// `WdfRequestStopAcknowledge`: the client keeps the request, or gives it back.
///
/// # Errors
/// After a breach: the request is not being stopped, or is given back while it is cancelable.
pub(in crate::door::wdf) fn acknowledge(
    call: &str,
    handle: Handle,
    requeue: bool,
) -> Result<(), NtStatus> {
    let asked = request::checked_open(call, handle)?;
    let (stop, cancelable, queue) = {
        let state = asked.state();
        (
            state.stop,
            state.cancel.is_some(),
            state.queue.and_then(find),
        )
    };
    let wrong = match (stop, cancelable && requeue) {
        (Stop::Asked, false) => None,
        (Stop::Asked, true) => Some("is cancelable; it has to be unmarked before it is given back"),
        _ => Some("is not being stopped; only EvtIoStop is answered with this call"),
    };
    let (None, Some(queue)) = (wrong, queue) else {
        let why = wrong.unwrap_or("is in no queue");
        breach(
            WdfFault::RequestFatalError,
            format_args!("{call}: {handle} {why}"),
        );
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    };
    if requeue {
        asked.state().stop = Stop::No;
        // Not if it was given back meanwhile.
        let _ = put_back(&queue, handle);
    } else {
        asked.state().stop = Stop::Acknowledged;
        queue.changed.notify_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
