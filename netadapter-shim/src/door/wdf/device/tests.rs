use std::cell::Cell;
use std::ptr::null;
use std::sync::mpsc;

use super::*;
use crate::door::fail::recorded;
use crate::door::foreign::Callback;
use crate::door::wdf::device_init::DeviceInit;
use crate::door::wdf::driver::add_device;
use crate::door::wdf::test_client::{TestClient, attributes};

type Body = fn(Handle) -> NtStatus;

thread_local! {
    static CREATE: Cell<Option<Body>> = const { Cell::new(None) };
    static CLEANED: Cell<u32> = const { Cell::new(0) };
}

/// A device of a client, without having its driver asked for it.
pub(crate) fn device(client: &TestClient) -> Handle {
    let init = DeviceInit::create(client.driver()).unwrap();
    create("test", init, &Attributes::default()).unwrap()
}

extern "C" fn cleaned(_: Handle) {
    CLEANED.set(CLEANED.get() + 1);
}

extern "C" fn device_add(_: Handle, init: Handle) -> NtStatus {
    CREATE.get().unwrap()(init)
}

fn with_device(mut init: Handle) -> NtStatus {
    let (mut device, mut wanted) = (Handle::NULL, attributes());
    wanted.evt_cleanup = Some(Callback::of(cleaned));
    let status = WdfDeviceCreate(
        null(),
        Out::of(&mut init),
        In::of(&wanted),
        Out::of(&mut device),
    );
    assert!(init.is_null());
    assert!(object::is_alive(device));
    status
}

#[test]
fn a_driver_adds_the_device_that_its_callback_creates() {
    let client = TestClient::with_device_add(device_add);
    CREATE.set(Some(with_device));
    let device = add_device(client.driver()).unwrap();
    assert_eq!(WdfDeviceGetDriver(null(), device), client.driver());
    assert_eq!(object::parent(device), Some(client.driver()));
    assert_eq!(object::children(client.driver(), Kind::DeviceInit), []);
}

#[test]
fn a_device_of_a_callback_that_failed_is_deleted() {
    let client = TestClient::with_device_add(device_add);
    CREATE.set(Some(|init| {
        with_device(init);
        NtStatus::UNSUCCESSFUL
    }));
    assert_eq!(add_device(client.driver()), Err(NtStatus::UNSUCCESSFUL));
    assert_eq!(CLEANED.get(), 1);
    assert_eq!(object::children(client.driver(), Kind::Device), []);
}

#[test]
fn an_init_is_used_up_by_one_device() {
    let client = TestClient::new();
    let init = DeviceInit::create(client.driver()).unwrap();
    create("test", init, &Attributes::default()).unwrap();
    let (mut again, mut device) = (init, Handle::NULL);
    let status = WdfDeviceCreate(null(), Out::of(&mut again), In::NULL, Out::of(&mut device));
    assert_eq!(status, NtStatus::INVALID_HANDLE);
    recorded::take_one(WdfFault::InvalidHandle);
    assert_eq!(again, init, "a failed create leaves it to the client");
}

#[test]
fn a_device_with_a_parent_of_the_clients_choice_is_refused() {
    let client = TestClient::new();
    let mut init = DeviceInit::create(client.driver()).unwrap();
    let (mut device, mut wanted) = (Handle::NULL, attributes());
    wanted.parent = client.driver();
    let status = WdfDeviceCreate(
        null(),
        Out::of(&mut init),
        In::of(&wanted),
        Out::of(&mut device),
    );
    assert_eq!(status, NtStatus::WDF_PARENT_ASSIGNMENT_NOT_ALLOWED);
    assert!(object::is_alive(init));
}

#[test]
fn giving_a_device_up_calls_the_host_once() {
    let client = TestClient::new();
    let device = device(&client);
    let (sender, receiver) = mpsc::channel();
    let found = checked("test", device).unwrap();
    found.on_failed(Box::new(move |action| sender.send(action).unwrap()));
    WdfDeviceSetFailed(null(), device, FailedAction::NO_RESTART);
    WdfDeviceSetFailed(null(), device, FailedAction::ATTEMPT_RESTART);
    let heard: Vec<_> = receiver.iter().collect();
    assert_eq!(heard, [FailedAction::NO_RESTART]);
    assert_eq!(found.failed(), Some(FailedAction::NO_RESTART));
}

#[test]
fn an_unknown_way_of_giving_up_is_a_breach() {
    let client = TestClient::new();
    let device = device(&client);
    WdfDeviceSetFailed(null(), device, FailedAction(3));
    recorded::take_one(WdfFault::PnpFatalError);
    assert_eq!(checked("test", device).unwrap().failed(), None);
}

#[test]
fn a_device_tells_its_states() {
    let client = TestClient::new();
    let device = device(&client);
    let found = checked("test", device).unwrap();
    found.set_states(PnpState::STARTED, PowerState::D0);
    assert_eq!(WdfDeviceGetDevicePnpState(null(), device), PnpState(0x119));
    assert_eq!(
        WdfDeviceGetDevicePowerState(null(), device),
        PowerState(0x307)
    );
    assert_eq!(WdfDeviceGetSystemPowerAction(null(), device), 0);
    let target = WdfDeviceGetIoTarget(null(), device);
    assert_eq!(object::kind(target), Some(Kind::IoTarget));
    assert_eq!(WdfDeviceGetIoTarget(null(), device), target);
    assert!(WdfDeviceGetDefaultQueue(null(), device).is_null());
}

#[test]
fn getters_refuse_what_is_no_device() {
    let client = TestClient::new();
    assert!(WdfDeviceGetDriver(null(), client.driver()).is_null());
    recorded::take_one(WdfFault::InvalidHandle);
    assert!(WdfDeviceGetIoTarget(null(), Handle::NULL).is_null());
    recorded::take_one(WdfFault::InvalidHandle);
}
