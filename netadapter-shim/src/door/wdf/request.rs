//! Requests: one read, write or device control on its way through a client.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::io_queue;
use super::io_queue::power::Stop;
use super::memory::{Buffer, Memory};
use super::serialize::hold;
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::Callback;
use crate::door::object::{self, Attributes, Handle, Kind};
use crate::door::types::c_enum;

c_enum! {
    /// `WDF_REQUEST_TYPE`
    RequestType {
        /// Opening a file.
        CREATE = 0x0,
        /// Reading.
        READ = 0x3,
        /// Writing.
        WRITE = 0x4,
        /// A device control.
        DEVICE_CONTROL = 0xE,
    }
}

/// What somebody outside asks of a device.
pub(crate) struct IoRequest {
    /// Which kind.
    pub(crate) kind: RequestType,
    /// The control code of a device control.
    pub(crate) code: u32,
    /// Bytes for the client.
    pub(crate) input: Vec<u8>,
    /// How many bytes the client may answer with.
    pub(crate) output: usize,
    /// The file it comes through.
    pub(crate) file: Option<Handle>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    /// What the client completed it with.
    pub(crate) status: NtStatus,
    /// Usually how many bytes were transferred.
    pub(crate) information: usize,
    /// The client's answer.
    pub(crate) output: Vec<u8>,
}

/// Who waits for a completion.
pub(crate) type Completed = Box<dyn FnOnce(Completion) + Send>;

/// `EVT_WDF_REQUEST_CANCEL`
pub(super) type Cancel = Callback<unsafe extern "C" fn(Handle)>;

/// What `WDFREQUEST` stands for.
pub(crate) struct Request {
    /// Made by WdfRequestCreate: nobody waits for it, it cannot be completed.
    pub(super) of_driver: bool,
    pub(super) kind: RequestType,
    pub(super) code: u32,
    pub(super) input: Buffer,
    pub(super) output: Buffer,
    pub(super) file: Option<Handle>,
    state: Mutex<State>,
}

/// What changes during a request's life.
pub(super) struct State {
    pub(super) status: NtStatus,
    pub(super) information: usize,
    pub(super) completed: bool,
    pub(super) canceled: bool,
    pub(super) cancel: Option<Cancel>,
    /// EvtIoInCallerContext has it, and may enqueue it.
    pub(super) loose: bool,
    /// Whether it is being stopped, for its device loses power.
    pub(super) stop: Stop,
    /// The queue it is in, or was taken from.
    pub(super) queue: Option<Handle>,
    pub(super) input_memory: Option<Handle>,
    pub(super) output_memory: Option<Handle>,
    waiting: Option<Completed>,
}

impl Request {
    /// One of WdfRequestCreate.
    ///
    /// # Errors
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub(super) fn of_driver() -> Result<Arc<Self>, NtStatus> {
        let nothing = IoRequest {
            kind: RequestType::READ,
            code: 0,
            input: Vec::new(),
            output: 0,
            file: None,
        };
        Ok(Arc::new(Self {
            of_driver: true,
            ..Self::new(nothing, None)?
        }))
    }

    fn new(asked: IoRequest, waiting: Option<Completed>) -> Result<Self, NtStatus> {
        Ok(Self {
            of_driver: false,
            kind: asked.kind,
            code: asked.code,
            input: Buffer::copy_of(&asked.input)?,
            output: Buffer::owned(asked.output)?,
            file: asked.file,
            state: Mutex::new(State {
                status: NtStatus::SUCCESS,
                information: 0,
                completed: false,
                canceled: false,
                cancel: None,
                loose: false,
                stop: Stop::No,
                queue: None,
                input_memory: None,
                output_memory: None,
                waiting,
            }),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The length EvtIoRead or EvtIoWrite is told.
    pub(super) fn length(&self) -> usize {
        match self.kind {
            RequestType::READ => self.output.len(),
            _ => self.input.len(),
        }
    }

    /// The buffer with what the client is to read, if it has one.
    pub(super) fn readable(&self) -> Result<&Buffer, NtStatus> {
        match self.kind {
            RequestType::WRITE | RequestType::DEVICE_CONTROL => Ok(&self.input),
            _ => Err(NtStatus::INVALID_DEVICE_REQUEST),
        }
    }

    /// The buffer for what the client answers, if it has one.
    pub(super) fn writable(&self) -> Result<&Buffer, NtStatus> {
        match self.kind {
            RequestType::READ | RequestType::DEVICE_CONTROL => Ok(&self.output),
            _ => Err(NtStatus::INVALID_DEVICE_REQUEST),
        }
    }
}

/// Makes a request object for a device; `completed` is called once, by the
/// thread that completes it.
///
/// # Errors
/// The device is going, or there is no memory for the request's.
pub(super) fn create(
    device: Handle,
    attributes: &Attributes,
    asked: IoRequest,
    completed: Completed,
) -> Result<Handle, NtStatus> {
    let request = Arc::new(Request::new(asked, Some(completed))?);
    let handle = object::create_with(Kind::Request, Some(device), attributes, request)?;
    object::on_dispose(handle, Box::new(move || leave_nobody_waiting(handle)));
    Ok(handle)
}

/// A request that is deleted uncompleted was cancelled.
fn leave_nobody_waiting(request: Handle) {
    let Ok(found) = object::payload::<Request>(request, Kind::Request) else {
        return;
    };
    let waiting = found.state().waiting.take();
    if let Some(waiting) = waiting {
        waiting(Completion {
            status: NtStatus::CANCELLED,
            information: 0,
            output: Vec::new(),
        });
    }
}

/// The request behind a handle, or a breach.
///
/// # Errors
/// STATUS_INVALID_HANDLE.
pub(super) fn checked(call: &str, request: Handle) -> Result<Arc<Request>, NtStatus> {
    object::checked(call, request, Kind::Request)
}

/// A request that is the client's to work on.
///
/// # Errors
/// STATUS_INVALID_HANDLE, or STATUS_INTERNAL_ERROR once it was completed.
pub(super) fn checked_open(call: &str, request: Handle) -> Result<Arc<Request>, NtStatus> {
    let found = checked(call, request)?;
    if found.state().completed {
        return Err(NtStatus::INTERNAL_ERROR);
    }
    Ok(found)
}

/// Says whether EvtIoInCallerContext has a request; answers whether it had.
pub(super) fn set_loose(request: Handle, loose: bool) -> bool {
    let found = object::payload::<Request>(request, Kind::Request);
    found.is_ok_and(|found| std::mem::replace(&mut found.state().loose, loose))
}

/// Completes a request: whoever waits for it gets the answer, the object is
/// deleted, its queue may go on.
pub(super) fn complete(call: &str, request: Handle, status: NtStatus, information: Option<usize>) {
    let Ok(found) = checked(call, request) else {
        return;
    };
    let mut state = found.state();
    if found.of_driver || state.completed || state.cancel.is_some() {
        let why = match (found.of_driver, state.completed) {
            (true, _) => "was made by WdfRequestCreate, which is deleted instead",
            (_, true) => "was completed already",
            _ => "is cancelable; it has to be unmarked first",
        };
        drop(state);
        let text = format_args!("{call}: {request} {why}");
        return breach(WdfFault::RequestFatalError, text);
    }
    state.completed = true;
    state.status = status;
    let information = information.unwrap_or(state.information);
    state.information = information;
    let (waiting, queue) = (state.waiting.take(), state.queue.take());
    drop(state);
    if let Some(waiting) = waiting {
        waiting(Completion {
            status,
            information,
            output: found.output.to_vec(information),
        });
    }
    object::delete(request);
    if let Some(queue) = queue {
        io_queue::finished(queue, request);
    }
}

/// Cancels a request from outside. A client that marked it cancelable is
/// called; one that did not is left to finish it; one that has not seen it
/// never will.
pub(crate) fn cancel(request: Handle) {
    let Ok(found) = object::payload::<Request>(request, Kind::Request) else {
        return;
    };
    let (callback, queue) = {
        let mut state = found.state();
        state.canceled = true;
        (state.cancel.take(), state.queue)
    };
    if let Some(callback) = callback {
        let serialized = queue.and_then(io_queue::serialized_of);
        let _held = hold(&serialized);
        callback.call(request);
    } else if let Some(queue) = queue {
        io_queue::cancel_waiting(queue, request);
    }
}

/// The memory object of a request's buffer, made when it is first asked for.
pub(super) fn memory_of(
    request: Handle,
    found: &Request,
    buffer: &Buffer,
    place: impl Fn(&mut State) -> &mut Option<Handle>,
) -> Result<Handle, NtStatus> {
    if buffer.len() == 0 {
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    if let Some(there) = *place(&mut found.state()) {
        return Ok(there);
    }
    let made = object::create(Kind::Memory, Some(request), Memory::new(buffer.clone()))?;
    *place(&mut found.state()) = Some(made);
    Ok(made)
}
