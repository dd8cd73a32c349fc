//! I/O queues: from whom asks to the client's callbacks.
//!
//! ```text
//!   deliver ── EvtIoInCallerContext? ── waiting ── pump ── held by the client ── finished
//!                                          ▲                     │
//!                                          └── moves: requeue, forward, cancel
//! ```
//!
//! A power-managed queue gives nothing out while its device has no power (`power`).

mod moves;
pub(crate) mod power;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::device::{self, Device};
use super::request::{self, Completed, IoRequest, Request, RequestType};
use super::serialize::{Serialized, hold};
use crate::abi::NtStatus;
use crate::door::foreign::Callback;
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

pub(super) use moves::{cancel_all_waiting, cancel_waiting, forward, put_back, requeue, retrieve};

type Transfer = Callback<unsafe extern "C" fn(Handle, Handle, usize)>;
type Control = Callback<unsafe extern "C" fn(Handle, Handle, usize, usize, u32)>;
type Plain = Callback<unsafe extern "C" fn(Handle, Handle)>;
type Stop = Callback<unsafe extern "C" fn(Handle, Handle, u32)>;

/// `EVT_WDF_IO_QUEUE_STATE` with its context.
pub(super) type StateCallback = Callback<unsafe extern "C" fn(Handle, usize)>;

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
    pub(super) stop: Option<Stop>,
    pub(super) resume: Option<Plain>,
    pub(super) canceled: Option<Plain>,
    pub(super) presented: u32,
    pub(super) driver: Handle,
}

/// What `WDFQUEUE` stands for.
pub(super) struct IoQueue {
    pub(super) device: Handle,
    config: QueueConfig,
    serialized: Serialized,
    state: Mutex<State>,
    /// Somebody may be waiting for what has just changed.
    changed: Condvar,
}

/// What changes during a queue's life.
pub(super) struct State {
    /// Takes requests in.
    pub(super) accepting: bool,
    /// Gives requests out.
    pub(super) dispatching: bool,
    /// The device has power, or the queue does not care.
    powered: bool,
    pub(super) waiting: VecDeque<Handle>,
    /// Requests that the client has.
    pub(super) held: Vec<Handle>,
    /// A thread is giving requests out; it will look once more.
    pumping: bool,
    again: bool,
    /// To be called when the client has none, and with `bool` none waits.
    pub(super) idle: Vec<(StateCallback, usize, bool)>,
    pub(super) ready: Option<(StateCallback, usize)>,
}

impl IoQueue {
    pub(super) fn new(
        device: Handle,
        config: QueueConfig,
        serialized: Serialized,
        powered: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            device,
            config,
            serialized,
            state: Mutex::new(State {
                accepting: true,
                dispatching: true,
                powered: powered || !config.is_power_managed(),
                waiting: VecDeque::new(),
                held: Vec::new(),
                pumping: false,
                again: false,
                idle: Vec::new(),
                ready: None,
            }),
            changed: Condvar::new(),
        })
    }

    /// What its callbacks exclude each other by.
    pub(super) fn serialized(&self) -> &Serialized {
        &self.serialized
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
        state.gives_out() && state.held.len() < limit
    }

    /// Whether the client has that request.
    fn is_with_client(&self, handle: Handle) -> bool {
        self.state().held.contains(&handle)
    }

    /// Waits until the client has no request, and with `empty` none waits.
    pub(super) fn wait_idle(&self, empty: bool) {
        let mut state = self.state();
        while !state.held.is_empty() || (empty && !state.waiting.is_empty()) {
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// Whether the client may get requests.
    fn gives_out(&self) -> bool {
        self.dispatching && self.powered
    }
}

impl QueueConfig {
    /// Whether the queue stops when its device loses power: by default it does.
    fn is_power_managed(&self) -> bool {
        self.power_managed != NOT_POWER_MANAGED
    }
}

/// `WdfFalse`
pub(super) const NOT_POWER_MANAGED: u32 = 0;

/// The queue behind a handle, or a breach.
///
/// # Errors
/// STATUS_INVALID_HANDLE.
pub(super) fn checked(call: &str, queue: Handle) -> Result<Arc<IoQueue>, NtStatus> {
    object::checked(call, queue, Kind::IoQueue)
}

/// The lock of a queue that may be gone.
pub(super) fn serialized_of(queue: Handle) -> Serialized {
    find(queue).and_then(|queue| queue.serialized.clone())
}

fn find(queue: Handle) -> Option<Arc<IoQueue>> {
    object::payload(queue, Kind::IoQueue).ok()
}

/// Brings a request from outside to a device: to EvtIoInCallerContext if the client has that, or
/// else into a queue. `completed` is called once, also if no queue takes it. Returns the request,
/// to cancel it by.
pub(crate) fn deliver(device: Handle, asked: IoRequest, completed: Completed) -> Option<Handle> {
    let found = object::payload::<Device>(device, Kind::Device).ok()?;
    let said = found.statements();
    let kind = asked.kind;
    let handle = request::create(device, &said.request_attributes, asked, completed).ok()?;
    if let Some(callback) = said.in_caller_context {
        request::set_loose(handle, true);
        callback.call(device, handle);
    } else if let Err(status) = enqueue(&found, kind, handle) {
        request::complete("delivery", handle, status, Some(0));
    }
    Some(handle)
}

/// Puts a request into the queue its kind is configured for, or else the default one.
///
/// # Errors
/// STATUS_INVALID_DEVICE_REQUEST without such a queue, STATUS_INVALID_DEVICE_STATE if it takes
/// nothing.
pub(super) fn enqueue(device: &Device, kind: RequestType, handle: Handle) -> Result<(), NtStatus> {
    let queue = device::queue_for(device, kind).ok_or(NtStatus::INVALID_DEVICE_REQUEST)?;
    take_in(queue, handle)
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
        let _held = hold(&found.serialized);
        callback.call(queue, context);
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
            state.held.push(next);
            drop(state);
            hand_to_client(queue, found, next);
            state = found.state();
        }
    }
    state.pumping = false;
}

/// Calls the callback for a request's kind, or the default one; completes it
/// if there is neither.
fn hand_to_client(queue: Handle, found: &IoQueue, handle: Handle) {
    let Ok(asked) = object::payload::<Request>(handle, Kind::Request) else {
        return finished(queue, handle);
    };
    let config = &found.config;
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
    let _held = hold(&found.serialized);
    match (transfer, control, config.default) {
        (Some(transfer), _, _) => transfer.call(queue, handle, asked.length()),
        (_, Some(control), _) => control.call(queue, handle, output, input, asked.code),
        (_, _, Some(default)) => default.call(queue, handle),
        _ => {
            let status = NtStatus::INVALID_DEVICE_REQUEST;
            request::complete("delivery", handle, status, Some(0));
        }
    }
}

/// A request of this queue is done, be it one that the client had given back.
pub(super) fn finished(queue: Handle, handle: Handle) {
    let Some(found) = find(queue) else {
        return;
    };
    {
        let mut state = found.state();
        state.held.retain(|held| *held != handle);
        state.waiting.retain(|waiting| *waiting != handle);
    }
    pump(queue, &found);
    tell_idle(queue, &found);
}

/// Calls whoever wanted to know that the client has no request any more.
pub(super) fn tell_idle(queue: Handle, found: &IoQueue) {
    found.changed.notify_all();
    let due = {
        let mut state = found.state();
        if !state.held.is_empty() {
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
        let _held = hold(&found.serialized);
        callback.call(queue, context);
    }
}
