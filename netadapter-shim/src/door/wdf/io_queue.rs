//! I/O queues: from whom asks to the client's callbacks.

#![allow(unsafe_code)] // calls the client's callbacks

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::device::{self, Device};
use super::request::{self, Completed, IoRequest, Request, RequestType};
use crate::abi::NtStatus;
use crate::door::foreign::Sized32;
use crate::door::object::{self, Handle, Kind};
use crate::door::types::{Boolean, c_enum};

c_enum! {
    /// `WDF_IO_QUEUE_DISPATCH_TYPE`
    DispatchType {
        /// One request at a time.
        SEQUENTIAL = 1,
        /// As many as come, or as many as the client said.
        PARALLEL = 2,
        /// The client fetches them.
        MANUAL = 3,
    }
}

type Transfer = unsafe extern "C" fn(Handle, Handle, usize);
type Control = unsafe extern "C" fn(Handle, Handle, usize, usize, u32);
type Plain = unsafe extern "C" fn(Handle, Handle);

/// `EVT_WDF_IO_QUEUE_STATE` with its context.
pub(super) type StateCallback = unsafe extern "C" fn(Handle, usize);

/// `WDF_IO_QUEUE_CONFIG`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct QueueConfig {
    pub(super) size: u32,
    pub(super) dispatch: DispatchType,
    pub(super) power_managed: u32,
    pub(super) allow_zero_length: Boolean,
    pub(super) default_queue: Boolean,
    pub(super) default: Option<Plain>,
    pub(super) read: Option<Transfer>,
    pub(super) write: Option<Transfer>,
    pub(super) control: Option<Control>,
    pub(super) internal_control: Option<Control>,
    pub(super) stop: Option<unsafe extern "C" fn(Handle, Handle, u32)>,
    pub(super) resume: Option<Plain>,
    pub(super) canceled: Option<Plain>,
    pub(super) presented: u32,
    pub(super) driver: Handle,
}

// SAFETY: plain data in C's order; a callback is NULL or the client's own.
unsafe impl Sized32 for QueueConfig {}

/// What `WDFQUEUE` stands for.
pub(super) struct IoQueue {
    pub(super) device: Handle,
    config: QueueConfig,
    state: Mutex<State>,
    drained: Condvar,
}

/// What changes during a queue's life.
pub(super) struct State {
    /// Takes requests in.
    pub(super) accepting: bool,
    /// Gives requests out.
    pub(super) dispatching: bool,
    pub(super) waiting: VecDeque<Handle>,
    /// How many the client has.
    pub(super) with_client: usize,
    /// A thread is giving requests out; it will look once more.
    pumping: bool,
    again: bool,
    /// To be called when the client has none, and with `bool` none waits.
    pub(super) idle: Vec<(StateCallback, usize, bool)>,
    pub(super) ready: Option<(StateCallback, usize)>,
}

impl IoQueue {
    pub(super) fn new(device: Handle, config: QueueConfig) -> Arc<Self> {
        Arc::new(Self {
            device,
            config,
            state: Mutex::new(State {
                accepting: true,
                dispatching: true,
                waiting: VecDeque::new(),
                with_client: 0,
                pumping: false,
                again: false,
                idle: Vec::new(),
                ready: None,
            }),
            drained: Condvar::new(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request may be given out by itself.
    fn may_dispatch(&self, state: &State) -> bool {
        let limit = match self.config.dispatch {
            DispatchType::SEQUENTIAL => 1,
            DispatchType::PARALLEL if self.config.presented > 0 => self.config.presented as usize,
            DispatchType::PARALLEL => usize::MAX,
            _ => 0,
        };
        state.dispatching && state.with_client < limit
    }

    /// Waits until the client has no request, and with `empty` none waits.
    pub(super) fn wait_idle(&self, empty: bool) {
        let mut state = self.state();
        while state.with_client > 0 || (empty && !state.waiting.is_empty()) {
            let waited = self.drained.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The queue behind a handle, or a breach.
///
/// # Errors
/// STATUS_INVALID_HANDLE.
pub(super) fn checked(call: &str, queue: Handle) -> Result<Arc<IoQueue>, NtStatus> {
    object::checked(call, queue, Kind::IoQueue)
}

fn find(queue: Handle) -> Option<Arc<IoQueue>> {
    object::payload(queue, Kind::IoQueue).ok()
}

/// Brings a request from outside to a device: into the queue its kind is
/// configured for, or else the default one. `completed` is called once, also
/// if no queue takes it. Returns the request, to cancel it by.
pub(crate) fn deliver(device: Handle, asked: IoRequest, completed: Completed) -> Option<Handle> {
    let found = object::payload::<Device>(device, Kind::Device).ok()?;
    let queue = device::queue_for(&found, asked.kind);
    let attributes = &found.statements().request_attributes;
    let handle = request::create(device, attributes, asked, completed).ok()?;
    let taken = match queue {
        Some(queue) => take_in(queue, handle),
        None => Err(NtStatus::INVALID_DEVICE_REQUEST),
    };
    if let Err(status) = taken {
        request::complete("delivery", handle, status, Some(0));
    }
    Some(handle)
}

/// Puts a request into a queue and gives out what can be given out.
fn take_in(queue: Handle, handle: Handle) -> Result<(), NtStatus> {
    let found = find(queue).ok_or(NtStatus::INVALID_DEVICE_STATE)?;
    let length =
        object::payload::<Request>(handle, Kind::Request).map_err(|_| NtStatus::INVALID_HANDLE)?;
    let transfer = matches!(length.kind, RequestType::READ | RequestType::WRITE);
    if transfer && length.length() == 0 && found.config.allow_zero_length == 0 {
        request::complete("delivery", handle, NtStatus::SUCCESS, Some(0));
        return Ok(());
    }
    let ready = {
        let mut state = found.state();
        if !state.accepting {
            return Err(NtStatus::INVALID_DEVICE_STATE);
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.push_back(handle);
        length.state().queue = Some(queue);
        state.ready.filter(|_| was_empty)
    };
    if let Some((callback, context)) = ready {
        // SAFETY: the client gave this function and context for this call.
        unsafe { callback(queue, context) };
    }
    pump(queue, &found);
    Ok(())
}

/// Gives requests out while that is possible. One thread does it at a time; a
/// completion from within a callback only has it look again.
pub(super) fn pump(queue: Handle, found: &IoQueue) {
    let mut state = found.state();
    state.again = true;
    if state.pumping && found.config.dispatch != DispatchType::PARALLEL {
        return;
    }
    state.pumping = true;
    while std::mem::take(&mut state.again) {
        while found.may_dispatch(&state) {
            let Some(next) = state.waiting.pop_front() else {
                break;
            };
            state.with_client += 1;
            drop(state);
            hand_to_client(queue, &found.config, next);
            state = found.state();
        }
    }
    state.pumping = false;
}

/// Calls the callback for a request's kind, or the default one; completes it
/// if there is neither.
fn hand_to_client(queue: Handle, config: &QueueConfig, handle: Handle) {
    let Ok(asked) = object::payload::<Request>(handle, Kind::Request) else {
        return finished(queue);
    };
    let (input, output) = (asked.input.len(), asked.output.len());
    let transfer = match asked.kind {
        RequestType::READ => config.read,
        RequestType::WRITE => config.write,
        _ => None,
    };
    let control = match asked.kind {
        RequestType::DEVICE_CONTROL => config.control,
        _ => None,
    };
    match (transfer, control, config.default) {
        // SAFETY: the client gave these functions for these calls; queue and
        // request exist. Likewise below.
        (Some(callback), _, _) => unsafe { callback(queue, handle, asked.length()) },
        // SAFETY: as above.
        (_, Some(callback), _) => unsafe { callback(queue, handle, output, input, asked.code) },
        // SAFETY: as above.
        (_, _, Some(callback)) => unsafe { callback(queue, handle) },
        _ => {
            let status = NtStatus::INVALID_DEVICE_REQUEST;
            request::complete("delivery", handle, status, Some(0));
        }
    }
}

/// The client is done with one request of this queue.
pub(super) fn finished(queue: Handle) {
    let Some(found) = find(queue) else {
        return;
    };
    {
        let mut state = found.state();
        state.with_client = state.with_client.saturating_sub(1);
    }
    pump(queue, &found);
    tell_idle(queue, &found);
}

/// Calls whoever wanted to know that the client has no request any more.
pub(super) fn tell_idle(queue: Handle, found: &IoQueue) {
    found.drained.notify_all();
    let due = {
        let mut state = found.state();
        if state.with_client > 0 {
            return;
        }
        let empty = state.waiting.is_empty();
        let all = std::mem::take(&mut state.idle);
        let (due, rest) = all.into_iter().partition(|(_, _, drain)| empty || !drain);
        state.idle = rest;
        let due: Vec<_> = due;
        due
    };
    for (callback, context, _) in due {
        // SAFETY: the client gave this function and context for this call.
        unsafe { callback(queue, context) };
    }
}

/// Takes the next request that fits out for the client.
pub(super) fn retrieve(
    found: &IoQueue,
    fits: impl Fn(&Request) -> bool,
) -> Result<Handle, NtStatus> {
    let mut state = found.state();
    if !state.dispatching {
        return Err(NtStatus::WDF_PAUSED);
    }
    let fits = |handle: &Handle| {
        let request = object::payload::<Request>(*handle, Kind::Request);
        request.is_ok_and(|request| fits(&request))
    };
    let index = state.waiting.iter().position(fits);
    let next = index.and_then(|index| state.waiting.remove(index));
    let next = next.ok_or(NtStatus::NO_MORE_ENTRIES)?;
    state.with_client += 1;
    Ok(next)
}

/// Hands a request of the client to another queue of the same device.
///
/// # Errors
/// STATUS_INVALID_DEVICE_REQUEST for another device's queue or its own,
/// STATUS_WDF_BUSY for one that takes nothing.
pub(super) fn forward(call: &str, handle: Handle, to: Handle) -> Result<(), NtStatus> {
    let (asked, target) = (request::checked_open(call, handle)?, checked(call, to)?);
    let from = asked.state().queue;
    let same_device = from
        .and_then(find)
        .is_some_and(|from| from.device == target.device);
    if !same_device || from == Some(to) || asked.state().cancel.is_some() {
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    }
    if !target.state().accepting {
        return Err(NtStatus::WDF_BUSY);
    }
    take_in(to, handle)?;
    if let Some(from) = from {
        finished(from);
    }
    Ok(())
}

/// Gives a request back to the head of the manual queue it came from.
///
/// # Errors
/// STATUS_INVALID_DEVICE_REQUEST if its queue is not a manual one.
pub(super) fn requeue(call: &str, handle: Handle) -> Result<(), NtStatus> {
    let asked = request::checked_open(call, handle)?;
    let queue = asked.state().queue.and_then(find);
    let queue = queue.filter(|queue| queue.config.dispatch == DispatchType::MANUAL);
    let queue = queue.ok_or(NtStatus::INVALID_DEVICE_REQUEST)?;
    let mut state = queue.state();
    state.with_client = state.with_client.saturating_sub(1);
    state.waiting.push_front(handle);
    Ok(())
}

/// Takes a request that still waits out of its queue and completes it as
/// cancelled.
pub(super) fn cancel_waiting(queue: Handle, handle: Handle) {
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
        state.with_client += 1;
    }
    match found.config.canceled {
        // SAFETY: the client gave this function for this call, and completes
        // the request.
        Some(callback) => unsafe { callback(queue, handle) },
        None => request::complete("cancellation", handle, NtStatus::CANCELLED, Some(0)),
    }
}

/// Completes everything that waits as cancelled.
pub(super) fn cancel_all_waiting(queue: Handle, found: &IoQueue) {
    loop {
        let next = found.state().waiting.front().copied();
        match next {
            Some(next) => cancel_waiting(queue, next),
            None => return,
        }
    }
}
