use super::*;
use crate::abi::NtStatus;
use crate::door::fail::recorded;
use crate::door::object::Attributes;
use crate::door::wdf::device::tests::device as added_device;
use crate::door::wdf::io_queue::DispatchType;
use crate::door::wdf::io_queue::QueueConfig;
use crate::door::wdf::io_queue_api::tests::{ask, complete, config, create, seen};
use crate::door::wdf::object_api;
use crate::door::wdf::request::RequestType;
use crate::door::wdf::test_client::TestClient;
use std::ptr::null;

fn control_device(client: &TestClient) -> Handle {
    let init = WdfControlDeviceInitAllocate(null(), client.driver(), null());
    device::create("test", init, &Attributes::default()).unwrap()
}

#[test]
fn a_control_device_is_the_clients_to_delete() {
    let client = TestClient::new();
    let device = control_device(&client);
    object_api::delete_for_test(device);
    assert!(!object::is_alive(device));
    let added = added_device(&client);
    object_api::delete_for_test(added);
    recorded::take_one(WdfFault::ObjectError);
    assert!(object::is_alive(added));
}

#[test]
fn control_devices_are_not_counted_among_the_added_ones() {
    let client = TestClient::new();
    control_device(&client);
    added_device(&client);
    let second = added_device(&client);
    assert_eq!(device::number(second, client.driver()), 1);
}

#[test]
fn queues_of_a_control_device_wait_for_no_power() {
    let client = TestClient::new();
    let device = control_device(&client);
    let by_default = QueueConfig {
        power_managed: 2,
        ..config(DispatchType::PARALLEL)
    };
    assert_eq!(create(device, &by_default).0, NtStatus::SUCCESS);
    let (request, _answer) = ask(device, RequestType::READ);
    assert_eq!(seen(), [request]);
    complete(request, NtStatus::SUCCESS, 0);
}

#[test]
fn only_a_control_device_is_finished() {
    let client = TestClient::new();
    WdfControlFinishInitializing(null(), control_device(&client));
    assert!(recorded::take().is_empty());
    WdfControlFinishInitializing(null(), added_device(&client));
    recorded::take_one(WdfFault::InvalidHandle);
    WdfControlDeviceInitAllocate(null(), Handle::NULL, null());
    recorded::take_one(WdfFault::InvalidHandle);
}
