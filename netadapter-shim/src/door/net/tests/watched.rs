//! What the verifier watches beyond the arguments of calls: the IRQL, when a
//! client notifies, its link, its queues.

use std::ffi::c_void;

use super::client::*;
use crate::abi::FailureCode as Code;
use crate::abi::*;
use crate::door::fail::recorded;
use crate::door::net::device;
use crate::door::object::{self, Handle};
use crate::door::runtime::irql;

#[test]
fn calls_above_their_irql_have_the_code_of_their_highest() {
    let client = TestClient::stated();
    let link = NetAdapterLinkState::disconnected();
    let mtu = || {
        call!(
            client,
            NetAdapterSetLinkLayerMtuSize(Handle = client.adapter, u32 = 1400)
        );
    };
    irql::at(irql::DISPATCH, || client.set_link(&link));
    assert!(recorded::take().is_empty(), "allowed at DISPATCH_LEVEL");
    irql::at(irql::DISPATCH, mtu);
    recorded::take_one(Code::IrqlIsNotPassive);
    irql::at(irql::HIGH, || client.set_link(&link));
    let text = recorded::take_one(Code::IrqlNotLessOrEqualDispatch);
    assert!(text.contains("at IRQL 15, its highest is 2"), "{text}");
    mtu();
    assert!(recorded::take().is_empty(), "the IRQL is back");
}

#[test]
fn notifying_is_allowed_at_any_irql() {
    let client = TestClient::running();
    let (tx, _) = client.queue(true);
    let notify = || {
        call!(
            client,
            NetTxQueueNotifyMoreCompletedPacketsAvailable(Handle = tx)
        );
    };
    irql::at(irql::HIGH, notify);
    assert!(recorded::take().is_empty());
}

extern "C" fn create_and_notify(adapter: Handle, init: usize) -> i32 {
    let (_, queue) = create_one(init, true, &queue_config());
    let notify: extern "C" fn(*const c_void, Handle) =
        function("NetTxQueueNotifyMoreCompletedPacketsAvailable");
    notify(std::ptr::without_provenance(known().globals), queue);
    recorded::take_one(Code::ShimNotifyOutsideStart);
    note(adapter, "too early");
    NtStatus::UNSUCCESSFUL.0
}

#[test]
fn notifying_before_start_is_told_of() {
    let client = TestClient::create_with(|globals, init| {
        struct Bare<'a> {
            globals: &'a crate::door::globals::Client,
        }
        let mut callbacks = datapath_callbacks();
        callbacks.evt_adapter_create_tx_queue = raw(create_and_notify as *const c_void);
        let bare = Bare { globals };
        call!(bare, NetAdapterInitSetDatapathCallbacks(usize = init,
            *const NetAdapterDatapathCallbacks = &callbacks));
    });
    client.state();
    assert_eq!(client.start(), NtStatus::SUCCESS);
    assert!(device::io_start(client.device).is_err());
    assert_eq!(client.calls(), ["too early"]);
}

#[test]
fn a_link_that_was_never_stated_is_told_of_when_the_power_goes() {
    let client = TestClient::create();
    client.state_without_link();
    assert_eq!(client.start(), NtStatus::SUCCESS);
    device::io_stop(client.device);
    assert!(recorded::take().is_empty(), "it had no power yet");
    device::io_start(client.device).unwrap();
    device::io_stop(client.device);
    let text = recorded::take_one(Code::ShimLinkStateNeverSet);
    assert!(text.contains("NetAdapterSetLinkState"), "{text}");
}

extern "C" fn refuse_to_spread(_: Handle, _: u32, _: u32) -> i32 {
    NtStatus::NOT_SUPPORTED.0
}

extern "C" fn quiet(_: Handle) {}

extern "C" fn agree(_: Handle, _: *mut c_void) -> i32 {
    0
}

/// A client that spreads over four queues and then does not want to.
fn spreading(client: &TestClient) {
    let capabilities = NetAdapterReceiveScalingCapabilities {
        size: 88,
        number_of_queues: 4,
        indirection_table_size: 128,
        unhashed_target_index: 0,
        unhashed_target_type: 0,
        hash_types: NetReceiveScalingHashType::TOEPLITZ,
        protocol_types: NetPacketHashProtocolType(0x15),
        outer_encapsulation: 0,
        inner_encapsulation: 0,
        synchronize_set_indirection_entries: 0,
        evt_enable: raw(refuse_to_spread as *const c_void),
        evt_disable: raw(quiet as *const c_void),
        evt_set_hash_secret_key: raw(agree as *const c_void),
        evt_set_indirection_entries: raw(agree as *const c_void),
    };
    type Capabilities = *const NetAdapterReceiveScalingCapabilities;
    call!(
        client,
        NetAdapterSetReceiveScalingCapabilities(
            Handle = client.adapter,
            Capabilities = &capabilities
        )
    );
    assert_eq!(client.start(), NtStatus::SUCCESS);
}

#[test]
fn refusing_to_spread_is_no_breach() {
    let client = TestClient::stated();
    spreading(&client);
    device::io_start(client.device).unwrap();
    assert!(recorded::take().is_empty(), "everything comes by queue 0");
}

/// Creates its queue, and deletes the one before.
extern "C" fn create_and_delete(adapter: Handle, init: usize) -> i32 {
    let (status, queue) = create_one(init, false, &queue_config());
    keep_queue(adapter, queue, 0, false);
    let before = object::children(adapter, object::Kind::PacketQueue);
    let rx = before.iter().rev().find(|other| **other != queue);
    rx.into_iter().for_each(|rx| object::delete(*rx));
    status
}

#[test]
fn an_entry_that_names_a_deleted_queue_is_not_pushed() {
    let client = TestClient::create_with(|globals, init| {
        struct Bare<'a> {
            globals: &'a crate::door::globals::Client,
        }
        let mut callbacks = datapath_callbacks();
        callbacks.evt_adapter_create_rx_queue = raw(create_and_delete as *const c_void);
        let bare = Bare { globals };
        call!(bare, NetAdapterInitSetDatapathCallbacks(usize = init,
            *const NetAdapterDatapathCallbacks = &callbacks));
    });
    client.state();
    spreading(&client);
    let _ = device::io_start(client.device);
    let text = recorded::take_one(Code::ShimScalingDeadQueue);
    assert!(text.contains("rx queue 0"), "{text}");
}
