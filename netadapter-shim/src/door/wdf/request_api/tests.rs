use std::cell::Cell;
use std::ptr::{null, null_mut};

use super::*;
use crate::door::fail::recorded;
use crate::door::foreign::Callback;
use crate::door::wdf::device::tests::device;
use crate::door::wdf::request::IoRequest;
use crate::door::wdf::test_client::TestClient;

thread_local!(static CANCELED: Cell<u32> = const { Cell::new(0) });

extern "C" fn canceled(_: Handle) {
    CANCELED.set(CANCELED.get() + 1);
}

fn of_driver(client: &TestClient) -> Handle {
    client.create(|globals, out| WdfRequestCreate(globals, In::NULL, Handle::NULL, out))
}

fn from_outside(client: &TestClient, kind: RequestType) -> Handle {
    let asked = IoRequest {
        kind,
        code: 0x1234,
        input: b"in".to_vec(),
        output: 5,
        file: None,
    };
    let none = object::Attributes::default();
    request::create(device(client), &none, asked, Box::new(|_| ())).unwrap()
}

fn parameters_of(request: Handle) -> Parameters {
    let mut parameters = Parameters {
        size: 40,
        ..Parameters::default()
    };
    WdfRequestGetParameters(null(), request, Out::of(&mut parameters));
    parameters
}

#[test]
fn a_request_of_the_driver_is_reused_but_never_completed() {
    let client = TestClient::new();
    let request = of_driver(&client);
    assert_eq!(WdfRequestGetStatus(null(), request), NtStatus::SUCCESS);
    WdfRequestSetInformation(null(), request, 7);
    assert_eq!(WdfRequestGetInformation(null(), request), 7);
    let params = ReuseParams {
        size: 24,
        flags: 0,
        status: NtStatus::NOT_SUPPORTED,
        irp: 0,
    };
    let reuse = |params: &ReuseParams| WdfRequestReuse(null(), request, In::from(params));
    assert_eq!(reuse(&params), NtStatus::SUCCESS);
    assert_eq!(
        WdfRequestGetStatus(null(), request),
        NtStatus::NOT_SUPPORTED
    );
    assert_eq!(WdfRequestGetInformation(null(), request), 0);
    let with_irp = ReuseParams { flags: 1, ..params };
    assert_eq!(reuse(&with_irp), NtStatus::INVALID_DEVICE_REQUEST);
    WdfRequestComplete(null(), request, NtStatus::SUCCESS);
    recorded::take_one(WdfFault::RequestFatalError);
    assert!(object::is_alive(request));
}

#[test]
fn a_reuse_with_a_wrong_size_is_a_breach() {
    let client = TestClient::new();
    let params = ReuseParams {
        size: 16,
        flags: 0,
        status: NtStatus::SUCCESS,
        irp: 0,
    };
    let status = WdfRequestReuse(null(), of_driver(&client), In::of(&params));
    assert_eq!(status, NtStatus::INVALID_PARAMETER);
    recorded::take_one(WdfFault::VerifierFatalError);
}

#[test]
fn a_target_must_be_one() {
    let client = TestClient::new();
    let mut handle = Handle::NULL;
    let status = WdfRequestCreate(
        client.globals(),
        In::NULL,
        client.driver(),
        Out::of(&mut handle),
    );
    assert_eq!(status, NtStatus::INVALID_HANDLE);
    recorded::take_one(WdfFault::InvalidHandle);
}

#[test]
fn parameters_depend_on_the_kind() {
    let client = TestClient::new();
    let control = parameters_of(from_outside(&client, RequestType::DEVICE_CONTROL));
    assert_eq!((control.kind, control.values), (0xE, [5, 2, 0x1234, 0]));
    let read = parameters_of(from_outside(&client, RequestType::READ));
    assert_eq!((read.kind, read.values[0]), (3, 5));
    let write = parameters_of(from_outside(&client, RequestType::WRITE));
    assert_eq!((write.kind, write.values[0]), (4, 2));
    let mut wrong = Parameters::default();
    let request = from_outside(&client, RequestType::READ);
    WdfRequestGetParameters(null(), request, Out::of(&mut wrong));
    recorded::take_one(WdfFault::VerifierFatalError);
    assert_eq!(wrong, Parameters::default());
}

#[test]
fn buffers_are_there_for_the_kinds_that_have_them() {
    let client = TestClient::new();
    let (read, write) = (
        from_outside(&client, RequestType::READ),
        from_outside(&client, RequestType::WRITE),
    );
    let (mut buffer, mut length) = (null_mut(), 0);
    let input = |request, minimum| {
        WdfRequestRetrieveInputBuffer(
            null(),
            request,
            minimum,
            Out::of(&mut buffer),
            Out::of(&mut length),
        )
    };
    let mut input = input;
    assert_eq!(input(write, 2), NtStatus::SUCCESS);
    assert_eq!(input(write, 3), NtStatus::BUFFER_TOO_SMALL);
    assert_eq!(input(read, 0), NtStatus::INVALID_DEVICE_REQUEST);
    assert_eq!(length, 2);
    let output = |request| {
        WdfRequestRetrieveOutputBuffer(
            null(),
            request,
            0,
            Out::of(&mut buffer),
            Out::of(&mut length),
        )
    };
    let mut output = output;
    assert_eq!(output(read), NtStatus::SUCCESS);
    assert_eq!(output(write), NtStatus::INVALID_DEVICE_REQUEST);
    assert_eq!(length, 5);
    let status = WdfRequestRetrieveInputBuffer(null(), write, 0, Out::NULL, Out::NULL);
    assert_eq!(status, NtStatus::INVALID_PARAMETER);
    recorded::take_one(WdfFault::RequiredParameterIsNull);
}

#[test]
fn the_memory_of_a_request_is_made_once_and_is_its_child() {
    let client = TestClient::new();
    let request = from_outside(&client, RequestType::DEVICE_CONTROL);
    type Retrieve = extern "C" fn(Globals, Handle, Out<'_, Handle>) -> NtStatus;
    let memory = |retrieve: Retrieve| {
        let mut memory = Handle::NULL;
        let status = retrieve(null(), request, Out::of(&mut memory));
        assert_eq!(status, NtStatus::SUCCESS);
        memory
    };
    let first = memory(WdfRequestRetrieveInputMemory);
    let again = memory(WdfRequestRetrieveInputMemory);
    let output = memory(WdfRequestRetrieveOutputMemory);
    assert_eq!(first, again);
    assert_ne!(first, output);
    assert_eq!(object::parent(output), Some(request));
    WdfRequestComplete(null(), request, NtStatus::SUCCESS);
    assert_eq!(object::kind(first), None);
}

#[test]
fn marks_are_set_taken_back_and_checked_on_completion() {
    let client = TestClient::new();
    let request = from_outside(&client, RequestType::READ);
    let unmark = || WdfRequestUnmarkCancelable(null(), request);
    assert_eq!(unmark(), NtStatus::INVALID_PARAMETER);
    WdfRequestMarkCancelable(null(), request, Some(Callback::of(canceled)));
    let twice = WdfRequestMarkCancelableEx(null(), request, Some(Callback::of(canceled)));
    assert_eq!(twice, NtStatus::INVALID_DEVICE_REQUEST);
    recorded::take_one(WdfFault::RequestFatalError);
    WdfRequestCompleteWithInformation(null(), request, NtStatus::SUCCESS, 1);
    let text = recorded::take_one(WdfFault::RequestFatalError);
    assert!(text.contains("cancelable"), "{text}");
    assert_eq!(unmark(), NtStatus::SUCCESS);
    assert_eq!(WdfRequestIsCanceled(null(), request), 0);
    request::cancel(request);
    assert_eq!(WdfRequestIsCanceled(null(), request), 1);
    assert_eq!(unmark(), NtStatus::CANCELLED);
    WdfRequestMarkCancelable(null(), request, Some(Callback::of(canceled)));
    assert_eq!(CANCELED.get(), 1, "called at once");
    WdfRequestMarkCancelableEx(null(), request, None);
    recorded::take_one(WdfFault::RequiredParameterIsNull);
    WdfRequestCompleteWithPriorityBoost(null(), request, NtStatus::CANCELLED, 0);
    assert!(recorded::take().is_empty());
}

#[test]
fn a_request_outside_a_queue_cannot_be_moved() {
    let client = TestClient::new();
    let request = from_outside(&client, RequestType::READ);
    assert!(WdfRequestGetIoQueue(null(), request).is_null());
    assert!(WdfRequestGetFileObject(null(), request).is_null());
    let requeued = WdfRequestRequeue(null(), request);
    assert_eq!(requeued, NtStatus::INVALID_DEVICE_REQUEST);
    for requeue in [0, 1] {
        WdfRequestStopAcknowledge(null(), request, requeue);
        recorded::take_one(WdfFault::RequestFatalError);
    }
    let forwarded = WdfRequestForwardToIoQueue(null(), request, request);
    assert_eq!(forwarded, NtStatus::INVALID_HANDLE);
    recorded::take_one(WdfFault::InvalidHandle);
    assert_eq!(WdfRequestGetRequestorMode(null(), request), USER_MODE);
    assert_eq!(WdfRequestGetRequestorProcessId(null(), request), 0);
}
