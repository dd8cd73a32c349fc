use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::door::fail::recorded;
use crate::door::foreign::Callback;
use crate::door::wdf::device::tests::device;
use crate::door::wdf::io_queue::{DispatchType, QueueConfig};
use crate::door::wdf::io_queue_api::tests::{ask, complete, config, create, mark, seen, state};
use crate::door::wdf::request::RequestType;
use crate::door::wdf::test_client::TestClient;

thread_local! {
    static CALLS: RefCell<Vec<(&'static str, u32)>> = const { RefCell::new(Vec::new()) };
    /// What EvtIoStop does: acknowledge with requeue, without, or complete.
    static ANSWER: Cell<u32> = const { Cell::new(KEEP) };
}
const SOON: Duration = Duration::from_secs(10);
const KEEP: u32 = 0;
const REQUEUE: u32 = 1;
const COMPLETE: u32 = 2;

extern "C" fn stopped(_: Handle, request: Handle, flags: u32) {
    CALLS.with_borrow_mut(|calls| calls.push(("stop", flags)));
    match ANSWER.get() {
        COMPLETE => complete(request, NtStatus::CANCELLED, 0),
        requeue => acknowledge("test", request, requeue == REQUEUE).unwrap(),
    }
}

extern "C" fn resumed(_: Handle, _: Handle) {
    CALLS.with_borrow_mut(|calls| calls.push(("resume", 0)));
}

extern "C" fn canceled(request: Handle) {
    CALLS.with_borrow_mut(|calls| calls.push(("cancel", 0)));
    complete(request, NtStatus::CANCELLED, 0);
}

fn managed_config(answer: u32) -> QueueConfig {
    ANSWER.set(answer);
    QueueConfig {
        power_managed: 2,
        stop: Some(Callback::of(stopped)),
        resume: Some(Callback::of(resumed)),
        ..config(DispatchType::PARALLEL)
    }
}

/// A device with a power-managed queue, and the queue.
fn managed(client: &TestClient, config: &QueueConfig) -> (Handle, Handle) {
    let device = device(client);
    let (status, queue) = create(device, config);
    assert_eq!(status, NtStatus::SUCCESS);
    (device, queue)
}

#[test]
fn a_managed_queue_gives_nothing_out_without_power() {
    let client = TestClient::new();
    let (device, queue) = managed(&client, &managed_config(KEEP));
    let (request, _answer) = ask(device, RequestType::READ);
    assert_eq!(
        (seen().len(), state(queue).1),
        (0, 1),
        "before the first power"
    );
    power_up(device);
    assert_eq!(seen(), [request]);
    complete(request, NtStatus::SUCCESS, 0);
    power_down(device, false);
    let (later, _answer) = ask(device, RequestType::READ);
    assert!(seen().is_empty(), "without power");
    power_up(device);
    assert_eq!(seen(), [later]);
    let (_, unmanaged) = managed(&client, &config(DispatchType::MANUAL));
    assert!(find(unmanaged).unwrap().state().gives_out());
}

#[test]
fn a_kept_request_is_resumed_when_power_comes_back() {
    let client = TestClient::new();
    let (device, queue) = managed(&client, &managed_config(KEEP));
    power_up(device);
    let (request, answer) = ask(device, RequestType::READ);
    power_down(device, false);
    assert_eq!(CALLS.take(), [("stop", action::SUSPEND)]);
    assert_eq!(state(queue).2, 1, "still the client's");
    power_up(device);
    assert_eq!(CALLS.take(), [("resume", 0)]);
    assert_eq!(seen(), [request], "not given out again");
    complete(request, NtStatus::SUCCESS, 0);
    assert!(answer.recv_timeout(SOON).unwrap().status.is_success());
}

#[test]
fn a_request_given_back_comes_anew() {
    let client = TestClient::new();
    let (device, queue) = managed(&client, &managed_config(REQUEUE));
    power_up(device);
    let (request, _answer) = ask(device, RequestType::READ);
    power_down(device, false);
    assert_eq!((state(queue).1, state(queue).2), (1, 0));
    power_up(device);
    assert_eq!(CALLS.take(), [("stop", action::SUSPEND)], "and no resume");
    assert_eq!(seen(), [request, request]);
}

#[test]
fn the_last_power_down_purges() {
    let client = TestClient::new();
    let (device, _) = managed(&client, &managed_config(COMPLETE));
    power_up(device);
    let (held, held_answer) = ask(device, RequestType::READ);
    assert_eq!(mark(held, canceled), NtStatus::SUCCESS);
    // Cannot complete what is cancelable: the client unmarks it first.
    object::payload::<Request>(held, Kind::Request)
        .unwrap()
        .state()
        .cancel = None;
    power_down(device, true);
    assert_eq!(CALLS.take(), [("stop", action::PURGE)]);
    assert_eq!(
        held_answer.recv_timeout(SOON).unwrap().status,
        NtStatus::CANCELLED
    );
    let (_, refused) = ask(device, RequestType::READ);
    let status = refused.recv_timeout(SOON).unwrap().status;
    assert_eq!(status, NtStatus::INVALID_DEVICE_STATE);
}

#[test]
fn without_a_stop_callback_a_purge_cancels_what_can_be_cancelled() {
    let client = TestClient::new();
    let without = QueueConfig {
        stop: None,
        ..managed_config(KEEP)
    };
    let (device, _) = managed(&client, &without);
    power_up(device);
    let (held, answer) = ask(device, RequestType::READ);
    assert_eq!(mark(held, canceled), NtStatus::SUCCESS);
    power_down(device, true);
    assert_eq!(CALLS.take(), [("cancel", 0)]);
    assert_eq!(
        answer.recv_timeout(SOON).unwrap().status,
        NtStatus::CANCELLED
    );
}

#[test]
fn power_goes_when_the_client_has_let_go() {
    let client = TestClient::new();
    let without = QueueConfig {
        stop: None,
        ..managed_config(KEEP)
    };
    let (device, _) = managed(&client, &without);
    power_up(device);
    let (held, _answer) = ask(device, RequestType::READ);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(60));
            done.store(true, Ordering::SeqCst);
            complete(held, NtStatus::SUCCESS, 0);
        });
        power_down(device, false);
        assert!(done.load(Ordering::SeqCst), "power went too soon");
    });
}

#[test]
fn only_a_stop_is_acknowledged_and_not_what_is_cancelable_given_back() {
    let client = TestClient::new();
    let (device, _) = managed(&client, &managed_config(KEEP));
    power_up(device);
    let (held, _answer) = ask(device, RequestType::READ);
    acknowledge("test", held, false).unwrap_err();
    recorded::take_one(WdfFault::RequestFatalError);
    assert_eq!(mark(held, canceled), NtStatus::SUCCESS);
    power_down(device, false);
    assert_eq!(
        CALLS.take(),
        [("stop", action::SUSPEND | action::CANCELABLE)]
    );
    let asked = object::payload::<Request>(held, Kind::Request).unwrap();
    asked.state().stop = Stop::Asked;
    acknowledge("test", held, true).unwrap_err();
    let text = recorded::take_one(WdfFault::RequestFatalError);
    assert!(text.contains("unmarked"), "{text}");
}
