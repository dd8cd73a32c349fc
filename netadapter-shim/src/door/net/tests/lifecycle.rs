//! What a client goes through.

use std::ffi::c_void;
use std::time::Instant;

use super::client::*;
use crate::abi::*;
use crate::door::fail::recorded;
use crate::door::net::device;
use crate::door::object::{self, Handle};
use crate::os::loopback::StackFrame;

fn frame(number: u8) -> Vec<u8> {
    let mut bytes = vec![number; 60];
    bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
    bytes
}

#[test]
fn frames_come_back_through_a_clients_queues() {
    let client = TestClient::running();
    for number in 0..100 {
        assert!(client.seat.send(StackFrame::new(frame(number))));
        let back = client.seat.wait_receive(PATIENCE).expect("a frame");
        assert_eq!(back.bytes, frame(number));
    }
    assert!(recorded::take().is_empty());
}

#[test]
fn queues_are_created_started_and_ended_in_order_and_anew_at_every_power_up() {
    let client = TestClient::running();
    let up = ["create tx", "create rx", "start tx", "start rx"];
    let down = ["cancel tx", "cancel rx", "stop tx", "stop rx"];
    assert_eq!(client.calls(), up);
    let (first, _) = client.queue(true);
    device::io_stop(client.device);
    assert_eq!(client.calls(), down);
    device::io_start(client.device).unwrap();
    assert_eq!(client.calls(), up);
    assert_ne!(client.queue(true).0, first, "a new queue");
    client.stop();
    assert_eq!(client.calls(), down);
    assert!(!client.seat.link_is_up());
}

#[test]
fn late_start_creates_queues_before_it_returns() {
    let client = TestClient::stated();
    device::io_start(client.device).unwrap();
    assert_eq!(client.calls(), Vec::<String>::new());
    assert_eq!(client.start(), NtStatus::SUCCESS);
    assert_eq!(client.calls().len(), 4);
    assert!(client.seat.link_is_up());
}

#[test]
fn an_mtu_or_address_change_rebuilds_the_queues() {
    let client = TestClient::running();
    client.calls();
    call!(
        client,
        NetAdapterSetLinkLayerMtuSize(Handle = client.adapter, u32 = 1400)
    );
    assert_eq!(client.calls().len(), 8, "down and up again");
    assert_eq!(client.seat.mtu(), 1400);
    let address = NetAdapterLinkLayerAddress::ethernet([2, 0, 0, 0, 0, 8]);
    call!(client, NetAdapterSetCurrentLinkLayerAddress(Handle = client.adapter,
        *const NetAdapterLinkLayerAddress = &address));
    assert_eq!(client.calls().len(), 8);
    assert!(client.seat.send(StackFrame::new(frame(1))));
    assert!(client.seat.wait_receive(PATIENCE).is_some());
}

#[test]
fn a_create_callback_may_call_its_adapter() {
    let client = TestClient::stated();
    assert_eq!(client.start(), NtStatus::SUCCESS);
    client.script(|script| script.talk = true);
    let began = Instant::now();
    device::io_start(client.device).unwrap();
    assert!(began.elapsed() < PATIENCE, "no deadlock");
    // It took the link down, twice, while the core was at work.
    assert!(!client.seat.link_is_up());
    let breaches = recorded::take();
    assert!(
        breaches
            .iter()
            .all(|(code, _)| *code == FailureCode::AdapterAlreadyStarted.into())
    );
    assert_eq!(breaches.len(), 2);
}

#[test]
fn link_state_may_be_set_from_many_threads_while_queues_come_and_go() {
    let client = TestClient::running();
    let (globals, adapter) = (client.globals.pointer().addr(), client.adapter);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            scope.spawn(move || {
                let set: extern "C" fn(*const c_void, Handle, *const NetAdapterLinkState) =
                    function("NetAdapterSetLinkState");
                for round in 0..200 {
                    let state = match (round + thread) % 2 {
                        0 => NetAdapterLinkState::disconnected(),
                        _ => NetAdapterLinkState::connected(1, NetIfMediaDuplexState::FULL),
                    };
                    set(std::ptr::without_provenance(globals), adapter, &state);
                }
            });
        }
        for _ in 0..5 {
            device::io_stop(client.device);
            device::io_start(client.device).unwrap();
        }
    });
    client.set_link(&NetAdapterLinkState::connected(
        1,
        NetIfMediaDuplexState::FULL,
    ));
    assert!(client.seat.link_is_up());
}

#[test]
fn a_create_callback_that_fails_or_makes_no_queue_fails_the_power_up() {
    let client = TestClient::stated();
    assert_eq!(client.start(), NtStatus::SUCCESS);
    client.script(|script| script.refuse = Some(NtStatus::INSUFFICIENT_RESOURCES));
    let status = device::io_start(client.device).unwrap_err();
    assert_eq!(status, NtStatus::INSUFFICIENT_RESOURCES);
    client.script(|script| {
        script.refuse = None;
        script.without_queue = true;
    });
    let status = device::io_start(client.device).unwrap_err();
    assert_eq!(status, NtStatus::UNSUCCESSFUL);
    client.script(|script| script.without_queue = false);
    device::io_start(client.device).unwrap();
    assert!(recorded::take().is_empty());
}

#[test]
fn a_started_adapter_ends_with_its_device() {
    let client = TestClient::running();
    client.calls();
    let adapter = client.adapter;
    object::delete(client.device);
    recorded::take_one(FailureCode::RemovingDeviceWithAdapters);
    assert_eq!(
        calls(adapter),
        ["cancel tx", "cancel rx", "stop tx", "stop rx"]
    );
}

#[test]
fn after_surprise_removal_an_adapter_is_not_started_again() {
    let client = TestClient::running();
    device::surprise_remove(client.device);
    device::io_stop(client.device);
    device::stop_adapters(client.device);
    assert_eq!(client.start(), NtStatus::INVALID_DEVICE_REQUEST);
}

#[test]
fn a_queue_that_gives_nothing_back_is_a_breach_and_the_device_goes_on() {
    let client = TestClient::running();
    // A frame through, so that buffers are known to be posted.
    assert!(client.seat.send(StackFrame::new(frame(1))));
    assert!(client.seat.wait_receive(PATIENCE).is_some());
    client.script(|script| script.withhold = true);
    device::io_stop(client.device);
    let text = recorded::take_one(FailureCode::ShimQueueNotIdle);
    assert!(text.contains("Rx packets"), "{text}");
    client.script(|script| script.withhold = false);
    device::io_start(client.device).unwrap();
    assert!(client.seat.send(StackFrame::new(frame(1))));
    assert!(client.seat.wait_receive(PATIENCE).is_some());
}
