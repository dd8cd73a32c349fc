use std::ptr::null;

use super::*;
use crate::door::fail::{WdfFault, recorded};
use crate::door::wdf::test_client::{TestClient, attributes};

fn init(client: &TestClient) -> (Handle, Arc<DeviceInit>) {
    let handle = DeviceInit::create(client.driver()).unwrap();
    (handle, checked("test", handle).unwrap())
}

#[test]
fn pnp_callbacks_are_kept_if_their_size_is_right() {
    extern "C" fn entry(_: Handle, _: super::super::pnp_callbacks::PowerDeviceState) -> NtStatus {
        NtStatus::SUCCESS
    }
    let client = TestClient::new();
    let (handle, init) = init(&client);
    let mut callbacks = PnpCallbacks {
        size: 144,
        d0_entry: Some(Callback::of(entry)),
        ..PnpCallbacks::default()
    };
    WdfDeviceInitSetPnpPowerEventCallbacks(null(), handle, In::of(&callbacks));
    assert!(init.statements().pnp.d0_entry.is_some());
    callbacks.size = 136;
    callbacks.d0_entry = None;
    WdfDeviceInitSetPnpPowerEventCallbacks(null(), handle, In::of(&callbacks));
    let text = recorded::take_one(WdfFault::VerifierFatalError);
    assert!(text.contains("136, expected 144"), "{text}");
    assert!(init.statements().pnp.d0_entry.is_some());
    WdfDeviceInitSetPnpPowerEventCallbacks(null(), handle, In::NULL);
    recorded::take_one(WdfFault::RequiredParameterIsNull);
}

#[test]
fn a_power_policy_is_taken_and_said_to_have_no_effect() {
    extern "C" fn arm() {}
    let client = TestClient::new();
    let (handle, _) = init(&client);
    let mut policy = PowerPolicyCallbacks {
        size: 64,
        ..PowerPolicyCallbacks::default()
    };
    policy.callbacks[0] = Some(arm);
    WdfDeviceInitSetPowerPolicyEventCallbacks(null(), handle, In::of(&policy));
    let again = uncalled::say("a test", [(POWER_POLICY[0], true)]);
    assert!(again.is_empty(), "not said before: {again:?}");
    assert!(recorded::take().is_empty());
}

#[test]
fn a_freed_init_is_refused_by_every_setter() {
    let client = TestClient::new();
    let (handle, _) = init(&client);
    WdfDeviceInitFree(null(), handle);
    let setters: [fn(Handle); 11] = [
        |init| WdfDeviceInitFree(null(), init),
        |init| WdfDeviceInitSetPowerPolicyOwnership(null(), init, 1),
        |init| WdfDeviceInitSetIoType(null(), init, 2),
        |init| WdfDeviceInitSetExclusive(null(), init, 1),
        |init| WdfDeviceInitSetDeviceType(null(), init, 0x17),
        |init| WdfDeviceInitSetCharacteristics(null(), init, 0x100, 1),
        |init| WdfDeviceInitSetPowerPageable(null(), init),
        |init| WdfDeviceInitSetPowerNotPageable(null(), init),
        |init| WdfDeviceInitSetPowerInrush(null(), init),
        |init| WdfDeviceInitSetReleaseHardwareOrderOnFailure(null(), init, 1),
        |init| WdfFdoInitSetFilter(null(), init),
    ];
    for setter in setters {
        setter(handle);
        recorded::take_one(WdfFault::InvalidHandle);
    }
}

#[test]
fn plain_setters_are_accepted() {
    let client = TestClient::new();
    let (handle, init) = init(&client);
    WdfDeviceInitSetExclusive(null(), handle, 7);
    assert!(init.statements().exclusive);
    WdfDeviceInitSetPowerPolicyOwnership(null(), handle, 0);
    WdfDeviceInitSetIoType(null(), handle, 3);
    let config = IoTypeConfig {
        size: 16,
        read_write: 2,
        device_control: 2,
        direct_threshold: 0,
    };
    WdfDeviceInitSetIoTypeEx(null(), handle, In::of(&config));
    WdfDeviceInitSetDeviceType(null(), handle, 0x17);
    WdfDeviceInitSetCharacteristics(null(), handle, 0x100, 1);
    WdfDeviceInitSetPowerPageable(null(), handle);
    WdfDeviceInitSetPowerNotPageable(null(), handle);
    WdfDeviceInitSetPowerInrush(null(), handle);
    WdfDeviceInitSetReleaseHardwareOrderOnFailure(null(), handle, 1);
    WdfFdoInitSetFilter(null(), handle);
    assert!(recorded::take().is_empty());
}

#[test]
fn names_must_be_strings() {
    let client = TestClient::new();
    let (handle, _) = init(&client);
    let mut text: Vec<u16> = "\\Device\\x".encode_utf16().collect();
    let mut name = UnicodeString {
        length: 18,
        maximum_length: 18,
        buffer: text.as_mut_ptr(),
    };
    let assign_name =
        |name: &UnicodeString| WdfDeviceInitAssignName(null(), handle, In::from(name));
    assert_eq!(assign_name(&name), NtStatus::SUCCESS);
    name.length = 19;
    assert_eq!(assign_name(&name), NtStatus::INVALID_PARAMETER);
    let status = WdfDeviceInitAssignSDDLString(null(), handle, In::NULL);
    assert_eq!(status, NtStatus::SUCCESS);
}

#[test]
fn file_and_request_statements_are_kept() {
    extern "C" fn close(_: Handle) {}
    extern "C" fn caller(_: Handle, _: Handle) {}
    let client = TestClient::new();
    let (handle, init) = init(&client);
    let files = FileCallbacks {
        size: 40,
        close: Some(Callback::of(close)),
        ..FileCallbacks::default()
    };
    assert_eq!(size_of::<FileCallbacks>(), 40);
    let mut attributes = attributes();
    attributes.evt_cleanup = Some(Callback::of(close));
    WdfDeviceInitSetFileObjectConfig(null(), handle, In::of(&files), In::of(&attributes));
    WdfDeviceInitSetRequestAttributes(null(), handle, In::of(&attributes));
    WdfDeviceInitSetIoInCallerContextCallback(null(), handle, Some(Callback::of(caller)));
    let statements = init.statements().clone();
    assert!(statements.files.close.is_some());
    assert!(statements.file_attributes.cleanup.is_some());
    assert!(statements.request_attributes.cleanup.is_some());
    assert!(statements.in_caller_context.is_some());
    assert!(recorded::take().is_empty());
}
