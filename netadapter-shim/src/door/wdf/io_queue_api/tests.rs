#![allow(unsafe_code)] // plays the client

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::door::fail::recorded;
use crate::door::foreign::Callback;
use crate::door::table;
use crate::door::wdf::device::tests::device;
use crate::door::wdf::device_init::{self, DeviceInit};
use crate::door::wdf::io_queue::{NOT_POWER_MANAGED, deliver};
use crate::door::wdf::request::{Completion, IoRequest, cancel};
use crate::door::wdf::test_client::{TestClient, attributes};

thread_local! {
    static SEEN: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
    static COMPLETE: Cell<bool> = const { Cell::new(false) };
    static TOLD: Cell<usize> = const { Cell::new(0) };
}

/// Calls a function of another module the way a client does, by its name.
macro_rules! client_calls {
    ($name:literal as $kind:ty, $($argument:expr),*) => {{
        let entry = table::find($name).unwrap().address();
        // SAFETY: the registry's function of that name has that signature.
        let function = unsafe { std::mem::transmute::<*mut c_void, $kind>(entry) };
        function(null(), $($argument),*)
    }};
}

pub(in crate::door::wdf) fn complete(request: Handle, status: NtStatus, information: usize) {
    client_calls!(
        "WdfRequestCompleteWithInformation" as extern "C" fn(Globals, Handle, NtStatus, usize),
        request,
        status,
        information
    );
}

pub(in crate::door::wdf) fn mark(
    request: Handle,
    callback: unsafe extern "C" fn(Handle),
) -> NtStatus {
    client_calls!(
        "WdfRequestMarkCancelableEx"
            as extern "C" fn(Globals, Handle, unsafe extern "C" fn(Handle)) -> NtStatus,
        request,
        callback
    )
}

extern "C" fn on_any(_: Handle, request: Handle) {
    SEEN.with_borrow_mut(|seen| seen.push(request));
    if COMPLETE.get() {
        complete(request, NtStatus::SUCCESS, 0);
    }
}

extern "C" fn on_transfer(queue: Handle, request: Handle, length: usize) {
    assert_eq!(length, 4);
    on_any(queue, request);
}

extern "C" fn on_control(queue: Handle, request: Handle, output: usize, input: usize, code: u32) {
    assert_eq!((output, input, code), (8, 3, 0x22_2000));
    on_any(queue, request);
}

extern "C" fn on_state(_: Handle, context: usize) {
    TOLD.set(TOLD.get() + context);
}

pub(in crate::door::wdf) fn config(dispatch: DispatchType) -> QueueConfig {
    QueueConfig {
        size: 96,
        dispatch,
        power_managed: NOT_POWER_MANAGED,
        allow_zero_length: 0,
        default_queue: 1,
        default: (dispatch != DispatchType::MANUAL).then(|| Callback::of(on_any as _)),
        read: None,
        write: None,
        control: None,
        internal_control: None,
        stop: None,
        resume: None,
        canceled: None,
        presented: 0,
        driver: Handle::NULL,
    }
}

pub(in crate::door::wdf) fn create(device: Handle, config: &QueueConfig) -> (NtStatus, Handle) {
    let mut queue = Handle::NULL;
    let status = WdfIoQueueCreate(
        null(),
        device,
        In::from(config),
        In::NULL,
        Out::of(&mut queue),
    );
    (status, queue)
}

/// Requests that callbacks of this thread were given.
pub(in crate::door::wdf) fn seen() -> Vec<Handle> {
    SEEN.take()
}

fn queue(client: &TestClient, dispatch: DispatchType) -> (Handle, Handle) {
    let device = device(client);
    let (status, queue) = create(device, &config(dispatch));
    assert_eq!(status, NtStatus::SUCCESS);
    (device, queue)
}

pub(in crate::door::wdf) fn ask(
    device: Handle,
    kind: RequestType,
) -> (Handle, Receiver<Completion>) {
    let (sender, receiver) = channel();
    let asked = IoRequest {
        kind,
        code: 0x22_2000,
        input: match kind {
            RequestType::DEVICE_CONTROL => b"abc".to_vec(),
            RequestType::WRITE => b"data".to_vec(),
            _ => Vec::new(),
        },
        output: match kind {
            RequestType::DEVICE_CONTROL => 8,
            RequestType::READ => 4,
            _ => 0,
        },
        file: None,
    };
    let completed = move |completion| sender.send(completion).unwrap_or_default();
    let handle = deliver(device, asked, Box::new(completed)).unwrap();
    (handle, receiver)
}

pub(in crate::door::wdf) fn state(queue: Handle) -> (u32, u32, u32) {
    let (mut waiting, mut with_client) = (9, 9);
    let bits = WdfIoQueueGetState(
        null(),
        queue,
        Out::of(&mut waiting),
        Out::of(&mut with_client),
    );
    (bits, waiting, with_client)
}

#[test]
fn a_device_control_reaches_its_callback_and_its_answer_the_caller() {
    let client = TestClient::new();
    let device = device(&client);
    let mut wanted = config(DispatchType::PARALLEL);
    wanted.control = Some(Callback::of(on_control));
    let (_, queue) = create(device, &wanted);
    let (request, answer) = ask(device, RequestType::DEVICE_CONTROL);
    assert_eq!(SEEN.take(), [request]);
    assert_eq!(WdfIoQueueGetDevice(null(), queue), device);
    type Retrieve = extern "C" fn(Globals, Handle, usize, *mut *mut c_void, *mut usize) -> NtStatus;
    let (mut buffer, mut length) = (null_mut(), 0);
    let status = client_calls!(
        "WdfRequestRetrieveInputBuffer" as Retrieve,
        request,
        3,
        &raw mut buffer,
        &raw mut length
    );
    assert_eq!((status, length), (NtStatus::SUCCESS, 3));
    // SAFETY: the request's buffer of three bytes.
    assert_eq!(unsafe { buffer.cast::<[u8; 3]>().read() }, *b"abc");
    let status = client_calls!(
        "WdfRequestRetrieveOutputBuffer" as Retrieve,
        request,
        9,
        &raw mut buffer,
        null_mut()
    );
    assert_eq!(status, NtStatus::BUFFER_TOO_SMALL);
    let status = client_calls!(
        "WdfRequestRetrieveOutputBuffer" as Retrieve,
        request,
        0,
        &raw mut buffer,
        null_mut()
    );
    assert_eq!(status, NtStatus::SUCCESS);
    // SAFETY: the request's buffer of eight bytes.
    unsafe { buffer.cast::<[u8; 2]>().write(*b"ok") };
    complete(request, NtStatus::SUCCESS, 2);
    let got = answer.recv().unwrap();
    let wanted = Completion {
        status: NtStatus::SUCCESS,
        information: 2,
        output: b"ok".to_vec(),
    };
    assert_eq!(got, wanted);
    assert_eq!(object::kind(request), None);
    complete(request, NtStatus::SUCCESS, 0);
    recorded::take_one(WdfFault::InvalidHandle);
}

#[test]
fn reads_and_writes_have_callbacks_of_their_own() {
    let client = TestClient::new();
    let device = device(&client);
    let mut wanted = config(DispatchType::PARALLEL);
    wanted.read = Some(Callback::of(on_transfer));
    wanted.write = Some(Callback::of(on_transfer));
    create(device, &wanted);
    COMPLETE.set(true);
    for kind in [RequestType::READ, RequestType::WRITE] {
        let (_, answer) = ask(device, kind);
        assert_eq!(answer.recv().unwrap().status, NtStatus::SUCCESS);
    }
    assert_eq!(SEEN.take().len(), 2);
}

#[test]
fn a_sequential_queue_gives_out_one_request_after_the_other() {
    let client = TestClient::new();
    let (device, queue) = queue(&client, DispatchType::SEQUENTIAL);
    let (first, _first) = ask(device, RequestType::READ);
    let (second, second_answer) = ask(device, RequestType::READ);
    assert_eq!(SEEN.take(), [first]);
    assert_eq!(state(queue), (1 | 2, 1, 1));
    complete(first, NtStatus::SUCCESS, 0);
    assert_eq!(SEEN.take(), [second]);
    COMPLETE.set(true);
    let (_third, third_answer) = ask(device, RequestType::READ);
    complete(second, NtStatus::UNSUCCESSFUL, 0);
    assert_eq!(second_answer.recv().unwrap().status, NtStatus::UNSUCCESSFUL);
    assert!(third_answer.recv().unwrap().status.is_success());
    assert_eq!(state(queue), (15, 0, 0));
}

#[test]
fn a_manual_queue_waits_to_be_asked() {
    let client = TestClient::new();
    let (device, queue) = queue(&client, DispatchType::MANUAL);
    let ready = WdfIoQueueReadyNotify(null(), queue, Some(Callback::of(on_state)), 5);
    assert_eq!(ready, NtStatus::SUCCESS);
    let again = WdfIoQueueReadyNotify(null(), queue, Some(Callback::of(on_state)), 5);
    assert_eq!(again, NtStatus::INVALID_DEVICE_REQUEST);
    let mut next = Handle::NULL;
    let mut retrieve = || {
        let status = WdfIoQueueRetrieveNextRequest(null(), queue, Out::of(&mut next));
        (status, next)
    };
    assert_eq!(retrieve().0, NtStatus::NO_MORE_ENTRIES);
    let (request, answer) = ask(device, RequestType::WRITE);
    assert_eq!(TOLD.get(), 5);
    assert_eq!(retrieve(), (NtStatus::SUCCESS, request));
    let back = client_calls!(
        "WdfRequestRequeue" as extern "C" fn(Globals, Handle) -> NtStatus,
        request
    );
    assert_eq!(back, NtStatus::SUCCESS);
    let file = Handle::from_address(1);
    let mut other = Handle::NULL;
    let status = WdfIoQueueRetrieveRequestByFileObject(null(), queue, file, Out::of(&mut other));
    assert_eq!(status, NtStatus::NO_MORE_ENTRIES);
    assert_eq!(retrieve(), (NtStatus::SUCCESS, request));
    complete(request, NtStatus::SUCCESS, 4);
    assert_eq!(answer.recv().unwrap().information, 4);
}

type Requeue = extern "C" fn(Globals, Handle) -> NtStatus;

/// A manual queue, and a request that the client has taken out of it.
fn taken_request(client: &TestClient) -> (Handle, Handle, Handle) {
    let (device, queue) = queue(client, DispatchType::MANUAL);
    let (asked, _answer) = ask(device, RequestType::READ);
    let mut taken = Handle::NULL;
    let status = WdfIoQueueRetrieveNextRequest(null(), queue, Out::of(&mut taken));
    assert_eq!((status, taken), (NtStatus::SUCCESS, asked));
    (device, queue, taken)
}

#[test]
fn a_request_that_was_given_back_is_not_the_clients_to_move() {
    let client = TestClient::new();
    let (device, queue, request) = taken_request(&client);
    let mut second = config(DispatchType::MANUAL);
    second.default_queue = 0;
    let (_, second) = create(device, &second);
    let requeue = || client_calls!("WdfRequestRequeue" as Requeue, request);
    assert_eq!(requeue(), NtStatus::SUCCESS);
    assert_eq!(requeue(), NtStatus::INVALID_DEVICE_REQUEST, "twice");
    type Forward = extern "C" fn(Globals, Handle, Handle) -> NtStatus;
    let forward = client_calls!("WdfRequestForwardToIoQueue" as Forward, request, second);
    assert_eq!(forward, NtStatus::INVALID_DEVICE_REQUEST);
    assert_eq!((state(queue).1, state(second).1), (1, 0));
}

#[test]
fn a_cancelable_request_is_not_given_back() {
    extern "C" fn canceled(_: Handle) {}
    let client = TestClient::new();
    let (_, queue, request) = taken_request(&client);
    assert_eq!(mark(request, canceled), NtStatus::SUCCESS);
    let requeue = client_calls!("WdfRequestRequeue" as Requeue, request);
    assert_eq!(requeue, NtStatus::INVALID_DEVICE_REQUEST);
    assert_eq!((state(queue).1, state(queue).2), (0, 1));
}

#[test]
fn a_request_that_is_completed_in_its_queue_does_not_stay_there() {
    let client = TestClient::new();
    let (_, queue, request) = taken_request(&client);
    let requeue = client_calls!("WdfRequestRequeue" as Requeue, request);
    assert_eq!(requeue, NtStatus::SUCCESS);
    complete(request, NtStatus::SUCCESS, 0);
    assert_eq!((state(queue).1, state(queue).2), (0, 0));
    WdfIoQueueDrainSynchronously(null(), queue);
}

#[test]
fn whoever_waits_for_a_queue_to_stop_is_told_when_the_last_request_is_given_back() {
    let client = TestClient::new();
    let (_, queue, request) = taken_request(&client);
    let before = TOLD.get();
    WdfIoQueueStop(null(), queue, Some(Callback::of(on_state)), 5);
    assert_eq!(TOLD.get(), before);
    let requeue = client_calls!("WdfRequestRequeue" as Requeue, request);
    assert_eq!((requeue, TOLD.get()), (NtStatus::SUCCESS, before + 5));
}

#[test]
fn queues_are_refused_with_wdfs_statuses() {
    let client = TestClient::new();
    let (device, _) = queue(&client, DispatchType::PARALLEL);
    type Case = (NtStatus, fn(&mut QueueConfig));
    let cases: [Case; 4] = [
        (NtStatus::UNSUCCESSFUL, |_| ()),
        (NtStatus::INFO_LENGTH_MISMATCH, |config| config.size = 88),
        (NtStatus::INVALID_PARAMETER, |config| {
            config.dispatch = DispatchType(4)
        }),
        (NtStatus::WDF_NO_CALLBACK, |config| config.default = None),
    ];
    for (status, edit) in cases {
        let mut config = config(DispatchType::PARALLEL);
        edit(&mut config);
        assert_eq!(create(device, &config).0, status);
    }
}

#[test]
fn a_device_without_a_queue_refuses_what_is_asked() {
    let client = TestClient::new();
    let (_, answer) = ask(device(&client), RequestType::READ);
    let status = answer.recv().unwrap().status;
    assert_eq!(status, NtStatus::INVALID_DEVICE_REQUEST);
}

#[test]
fn a_configured_queue_comes_before_the_default_one() {
    let client = TestClient::new();
    let (device, default) = queue(&client, DispatchType::PARALLEL);
    let mut second = config(DispatchType::MANUAL);
    second.default_queue = 0;
    let (_, second) = create(device, &second);
    let configure = |kind| WdfDeviceConfigureRequestDispatching(null(), device, second, kind);
    assert_eq!(configure(RequestType::WRITE), NtStatus::SUCCESS);
    assert_eq!(configure(RequestType::WRITE), NtStatus::WDF_BUSY);
    assert_eq!(configure(RequestType(9)), NtStatus::INVALID_PARAMETER);
    ask(device, RequestType::WRITE);
    assert_eq!((state(second).1, SEEN.take().len()), (1, 0));
    ask(device, RequestType::READ);
    assert_eq!((state(default).2, SEEN.take().len()), (1, 1));
}

#[test]
fn a_request_is_forwarded_to_another_queue_of_its_device() {
    let client = TestClient::new();
    let (device, default) = queue(&client, DispatchType::SEQUENTIAL);
    let mut second = config(DispatchType::MANUAL);
    second.default_queue = 0;
    let (_, second) = create(device, &second);
    let (request, _answer) = ask(device, RequestType::READ);
    type Forward = extern "C" fn(Globals, Handle, Handle) -> NtStatus;
    let forward = |to| client_calls!("WdfRequestForwardToIoQueue" as Forward, request, to);
    assert_eq!(forward(default), NtStatus::INVALID_DEVICE_REQUEST);
    assert_eq!(forward(second), NtStatus::SUCCESS);
    assert_eq!((state(default).2, state(second).1), (0, 1));
}

#[test]
fn a_stopped_queue_keeps_and_a_purged_one_cancels() {
    let client = TestClient::new();
    let (device, queue) = queue(&client, DispatchType::PARALLEL);
    WdfIoQueueStop(null(), queue, Some(Callback::of(on_state)), 3);
    assert_eq!(TOLD.get(), 3, "nothing was with the client");
    let (request, answer) = ask(device, RequestType::READ);
    assert_eq!((state(queue), SEEN.take().len()), ((1 | 8, 1, 0), 0));
    WdfIoQueueStart(null(), queue);
    assert_eq!(SEEN.take(), [request]);
    extern "C" fn canceled(request: Handle) {
        complete(request, NtStatus::CANCELLED, 0);
    }
    assert_eq!(mark(request, canceled), NtStatus::SUCCESS);
    WdfIoQueuePurgeSynchronously(null(), queue);
    assert_eq!(answer.recv().unwrap().status, NtStatus::CANCELLED);
    let (_, refused) = ask(device, RequestType::READ);
    assert!(!refused.recv().unwrap().status.is_success());
    WdfIoQueueStart(null(), queue);
    COMPLETE.set(true);
    let (_, served) = ask(device, RequestType::READ);
    assert!(served.recv().unwrap().status.is_success());
}

#[test]
fn draining_waits_for_what_is_there_and_takes_no_more() {
    let client = TestClient::new();
    let (device, queue) = queue(&client, DispatchType::SEQUENTIAL);
    let (request, _answer) = ask(device, RequestType::READ);
    WdfIoQueueDrain(null(), queue, Some(Callback::of(on_state)), 7);
    assert_eq!(TOLD.get(), 0);
    complete(request, NtStatus::SUCCESS, 0);
    assert_eq!(TOLD.get(), 7);
    WdfIoQueueDrainSynchronously(null(), queue);
    WdfIoQueueStopSynchronously(null(), queue);
    WdfIoQueuePurge(null(), queue, Some(Callback::of(on_state)), 1);
    assert_eq!((TOLD.get(), state(queue).0), (8, 4 | 8));
}

#[test]
fn cancelling_from_outside_ends_a_waiting_request_and_tells_about_others() {
    let client = TestClient::new();
    let (device, _) = queue(&client, DispatchType::SEQUENTIAL);
    let (first, _first) = ask(device, RequestType::READ);
    let (second, answer) = ask(device, RequestType::READ);
    cancel(second);
    assert_eq!(answer.recv().unwrap().status, NtStatus::CANCELLED);
    cancel(first);
    let canceled = client_calls!(
        "WdfRequestIsCanceled" as extern "C" fn(Globals, Handle) -> u8,
        first
    );
    assert_eq!(canceled, 1);
    extern "C" fn never(_: Handle) {}
    assert_eq!(mark(first, never), NtStatus::CANCELLED);
    complete(first, NtStatus::CANCELLED, 0);
    assert!(recorded::take().is_empty());
}

#[test]
fn deleting_the_device_answers_everybody() {
    let client = TestClient::new();
    let (device, _) = queue(&client, DispatchType::SEQUENTIAL);
    let (_, first) = ask(device, RequestType::READ);
    let (_, second) = ask(device, RequestType::READ);
    object::delete(device);
    assert_eq!(first.recv().unwrap().status, NtStatus::CANCELLED);
    assert_eq!(second.recv().unwrap().status, NtStatus::CANCELLED);
}

#[test]
fn enqueueing_a_request_that_is_in_a_queue_is_a_breach() {
    let client = TestClient::new();
    let (device, _) = queue(&client, DispatchType::PARALLEL);
    let (request, _answer) = ask(device, RequestType::READ);
    let status = WdfDeviceEnqueueRequest(null(), device, request);
    assert_eq!(status, NtStatus::INVALID_DEVICE_REQUEST);
    recorded::take_one(WdfFault::RequestFatalError);
}

thread_local! {
    /// What EvtIoInCallerContext does, and with which status it was answered.
    static ENQUEUE: Cell<Option<NtStatus>> = const { Cell::new(None) };
}

extern "C" fn in_caller_context(device: Handle, request: Handle) {
    ENQUEUE.set(Some(WdfDeviceEnqueueRequest(null(), device, request)));
}

/// A device whose client sees requests before any queue does.
fn device_with_caller_context(client: &TestClient) -> Handle {
    let init = DeviceInit::create(client.driver()).unwrap();
    let said = device_init::checked("test", init).unwrap();
    said.statements().in_caller_context = Some(Callback::of(in_caller_context));
    device::create("test", init, &Attributes::default()).unwrap()
}

#[test]
fn a_request_comes_to_the_callers_context_before_its_queue() {
    let client = TestClient::new();
    let device = device_with_caller_context(&client);
    let (request, _answer) = ask(device, RequestType::READ);
    assert_eq!(
        ENQUEUE.take(),
        Some(NtStatus::INVALID_DEVICE_REQUEST),
        "no queue yet"
    );
    complete(request, NtStatus::UNSUCCESSFUL, 0);
    create(device, &config(DispatchType::PARALLEL));
    let (request, _answer) = ask(device, RequestType::READ);
    assert_eq!(ENQUEUE.take(), Some(NtStatus::SUCCESS));
    assert_eq!(SEEN.take(), [request]);
    let again = WdfDeviceEnqueueRequest(null(), device, request);
    assert_eq!(again, NtStatus::INVALID_DEVICE_REQUEST);
    recorded::take_one(WdfFault::RequestFatalError);
}

/// How many callbacks of the serialized queue run, and the most that did at a time.
static INSIDE: (AtomicU32, AtomicU32) = (AtomicU32::new(0), AtomicU32::new(0));

extern "C" fn dawdle(_: Handle, request: Handle) {
    let inside = INSIDE.0.fetch_add(1, Ordering::SeqCst) + 1;
    INSIDE.1.fetch_max(inside, Ordering::SeqCst);
    std::thread::sleep(std::time::Duration::from_millis(10));
    INSIDE.0.fetch_sub(1, Ordering::SeqCst);
    complete(request, NtStatus::SUCCESS, 0);
}

/// The most callbacks of a parallel queue at a time, with that synchronization scope.
fn most_at_a_time(scope: u32) -> u32 {
    let client = TestClient::new();
    let device = device(&client);
    let wanted = QueueConfig {
        default: Some(Callback::of(dawdle)),
        ..config(DispatchType::PARALLEL)
    };
    let mut attributes = attributes();
    attributes.synchronization_scope = scope;
    let mut queue = Handle::NULL;
    let status = WdfIoQueueCreate(
        null(),
        device,
        In::of(&wanted),
        In::of(&attributes),
        Out::of(&mut queue),
    );
    assert_eq!(status, NtStatus::SUCCESS);
    INSIDE.1.store(0, Ordering::SeqCst);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ask(device, RequestType::READ).1.recv().unwrap());
        }
    });
    INSIDE.1.load(Ordering::SeqCst)
}

#[test]
fn callbacks_of_a_synchronized_queue_exclude_each_other() {
    const QUEUE: u32 = 3;
    const NONE: u32 = 4;
    assert_eq!(most_at_a_time(QUEUE), 1);
    assert!(most_at_a_time(NONE) > 1, "a parallel queue otherwise");
}
