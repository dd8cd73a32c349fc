//! What goes through the rings beside plain frames, and the callbacks that
//! come with offloads.

use std::ffi::c_void;
use std::ptr::null;

use super::client::*;
use crate::abi::*;
use crate::door::fail::recorded;
use crate::door::net::device;
use crate::door::object::Handle;
use crate::frame_layout::tests::{ethernet, ipv4_packet, tcp_segment};
use crate::os::loopback::StackFrame;
use crate::port::PortOffloads;

fn globals() -> *const c_void {
    std::ptr::without_provenance(known().globals)
}

#[test]
fn a_frame_too_long_for_its_client_is_shown_with_ignore() {
    let client = TestClient::running();
    client.calls();
    let mut long = vec![0; 4000];
    long[12] = 8;
    assert!(client.seat.send(StackFrame::new(long)));
    let short = ethernet(&[], 0x88b5, &[1; 50]);
    assert!(client.seat.send(StackFrame::new(short.clone())));
    assert_eq!(client.seat.wait_receive(PATIENCE).unwrap().bytes, short);
    assert_eq!(client.calls(), ["ignored"]);
    assert!(recorded::take().is_empty());
}

#[test]
fn a_checksum_called_valid_is_not_left_to_the_stack_to_check() {
    let client = TestClient::stated();
    let capabilities = NetAdapterOffloadRxChecksumCapabilities {
        size: 16,
        evt_adapter_offload_set_rx_checksum: None,
    };
    call!(client, NetAdapterOffloadSetRxChecksumCapabilities(Handle = client.adapter,
        *const NetAdapterOffloadRxChecksumCapabilities = &capabilities));
    client.script(|script| script.call_valid = true);
    assert_eq!(client.start(), NtStatus::SUCCESS);
    device::io_start(client.device).unwrap();
    let frame = ethernet(
        &[],
        0x0800,
        &ipv4_packet(6, 0, 0, &tcp_segment(0, b"payload")),
    );
    assert!(client.seat.send(StackFrame::new(frame)));
    let back = client.seat.wait_receive(PATIENCE).unwrap();
    assert_eq!(back.partial, NetPacketPartialChecksum::partial(34, 16));
}

extern "C" fn offloads_set(adapter: Handle, offload: usize) {
    let asked = ["TxChecksumTcp", "LsoIPv4", "LsoIPv6", "UsoIPv4"].map(|what| {
        let name = format!("NetOffloadIs{what}Enabled");
        let get: extern "C" fn(*const c_void, usize) -> u8 = function(&name);
        get(globals(), offload)
    });
    note(adapter, format!("offloads {asked:?}"));
}

#[test]
fn a_client_hears_what_is_in_use_and_that_it_is_paused() {
    TestClient::offloads(PortOffloads::ALL);
    let client = TestClient::stated();
    let gso = NetAdapterOffloadGsoCapabilities {
        size: 40,
        layer3_flags: NetOffloadLayer3Flags::IPV4_NO_OPTIONS,
        layer4_flags: NetOffloadLayer4Flags(3),
        layer4_header_offset_limit: 0,
        maximum_offload_size: 65_535,
        minimum_segment_count: 2,
        evt_adapter_offload_set_gso: raw(offloads_set as *const c_void),
    };
    call!(client, NetAdapterOffloadSetGsoCapabilities(Handle = client.adapter,
        *const NetAdapterOffloadGsoCapabilities = &gso));
    assert_eq!(client.start(), NtStatus::SUCCESS);
    device::io_start(client.device).unwrap();
    let told = client.calls().pop().unwrap();
    assert_eq!(told, "offloads [0, 1, 0, 0]");
    assert!(client.seat.tx_offloads().tso4);
    call!(
        client,
        NetAdapterPauseOffloadCapabilities(Handle = client.adapter)
    );
    assert_eq!(client.calls(), ["offloads [0, 0, 0, 0]"]);
    assert_eq!(client.seat.tx_offloads(), PortOffloads::default());
    call!(
        client,
        NetAdapterResumeOffloadCapabilities(Handle = client.adapter)
    );
    assert_eq!(client.calls(), ["offloads [0, 1, 0, 0]"]);
    assert!(recorded::take().is_empty());
}

extern "C" fn scaling_enable(adapter: Handle, hash: u32, protocols: u32) -> i32 {
    note(adapter, format!("enable {hash} {protocols:#x}"));
    0
}

extern "C" fn scaling_disable(adapter: Handle) {
    note(adapter, "disable");
}

extern "C" fn scaling_key(adapter: Handle, key: *const NetReceiveScalingArray<*const u8>) -> i32 {
    // SAFETY: a structure of the framework's.
    let key = unsafe { key.read() };
    note(adapter, format!("key {}", key.length));
    0
}

type Entries = NetReceiveScalingArray<*mut NetReceiveScalingIndirectionEntry>;

extern "C" fn scaling_entries(adapter: Handle, entries: *const Entries) -> i32 {
    // SAFETY: a structure of the framework's.
    let entries = unsafe { entries.read() };
    // SAFETY: as many entries as it says.
    let all = unsafe { std::slice::from_raw_parts(entries.elements, entries.length) };
    let queues: std::collections::HashSet<usize> =
        all.iter().map(|entry| entry.packet_queue).collect();
    let known = known();
    let all_known = queues
        .iter()
        .all(|queue| known.queues.contains_key(&Handle::from_address(*queue)));
    drop(known);
    note(
        adapter,
        format!("entries {} over {} queues", all.len(), queues.len()),
    );
    assert!(all_known, "entries name queues that were created");
    0
}

#[test]
fn a_device_that_spreads_gets_its_queues_then_table_key_and_enable() {
    let client = TestClient::stated();
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
        evt_enable: raw(scaling_enable as *const c_void),
        evt_disable: raw(scaling_disable as *const c_void),
        evt_set_hash_secret_key: raw(scaling_key as *const c_void),
        evt_set_indirection_entries: raw(scaling_entries as *const c_void),
    };
    let mut silent = capabilities;
    silent.evt_disable = None;
    type Capabilities = *const NetAdapterReceiveScalingCapabilities;
    call!(
        client,
        NetAdapterSetReceiveScalingCapabilities(Handle = client.adapter, Capabilities = &silent)
    );
    recorded::take_one(FailureCode::InvalidRSSConfiguration);
    call!(
        client,
        NetAdapterSetReceiveScalingCapabilities(
            Handle = client.adapter,
            Capabilities = &capabilities
        )
    );
    assert_eq!(client.start(), NtStatus::SUCCESS);
    device::io_start(client.device).unwrap();
    let expected = [
        "create tx",
        "create rx",
        "create rx",
        "create rx",
        "create rx",
        "entries 128 over 4 queues",
        "disable",
        "key 40",
        "enable 1 0x15",
        "start tx",
        "start rx",
        "start rx",
        "start rx",
        "start rx",
    ];
    assert_eq!(client.calls(), expected);
    let (rx, _) = client.queue(false);
    assert_eq!(extension(rx, false, "ms_packet_hash", 1).enabled, 1);
    assert!(recorded::take().is_empty());
}

/// The priorities of the Tx queues there are.
fn tx_priorities(client: &TestClient) -> Vec<u8> {
    let queues: Vec<Handle> = {
        let known = known();
        let mine = known
            .queues
            .iter()
            .filter(|(_, queue)| queue.is_tx_of(client.adapter));
        mine.map(|(handle, _)| *handle).collect()
    };
    let priority = |queue| call!(client, NetTxQueueGetDemux8021p(Handle = queue) -> u8);
    let mut priorities: Vec<u8> = queues.into_iter().map(priority).collect();
    priorities.sort_unstable();
    priorities
}

#[test]
fn priorities_have_queues_of_their_own_as_soon_as_frames_come() {
    let client = TestClient::create_with(|globals, init| {
        struct Bare<'a> {
            globals: &'a crate::door::globals::Client,
        }
        let bare = Bare { globals };
        let demux = NetAdapterTxDemux {
            size: 12,
            kind: 1,
            range: 4,
        };
        call!(bare, NetAdapterInitAddTxDemux(usize = init, *const NetAdapterTxDemux = &demux));
    });
    client.state();
    assert_eq!(client.start(), NtStatus::SUCCESS);
    device::io_start(client.device).unwrap();
    let created = || tx_priorities(&client);
    assert_eq!(created(), [], "no queue before its first frame");
    for (priority, queues) in [
        (2u8, &[2][..]),
        (0, &[0, 2]),
        (7, &[0, 2, 3]),
        (2, &[0, 2, 3]),
        (1, &[0, 1, 2, 3]),
        (5, &[0, 1, 2, 3]),
    ] {
        let tag = u16::from(priority) << 13 | 7;
        let mut frame = ethernet(&[], 0x8100, &[priority; 60]);
        frame[14..16].copy_from_slice(&tag.to_be_bytes());
        assert!(client.seat.send(StackFrame::new(frame.clone())));
        assert_eq!(client.seat.wait_receive(PATIENCE).unwrap().bytes, frame);
        assert_eq!(created(), queues, "after priority {priority}");
        let advanced = advanced_tx(client.adapter);
        assert_eq!(
            advanced,
            Some(u32::from(priority.min(3))),
            "priority {priority}"
        );
    }
    assert!(recorded::take().is_empty());
}

#[test]
fn tags_travel_beside_the_packet_where_the_client_inserts_them() {
    let client = TestClient::stated();
    let capabilities = NetAdapterOffloadIeee8021qTagCapabilities {
        size: 8,
        flags: NetOffloadIeee8021qFlags(3),
    };
    call!(client, NetAdapterOffloadSetIeee8021qTagCapabilities(Handle = client.adapter,
        *const NetAdapterOffloadIeee8021qTagCapabilities = &capabilities));
    assert_eq!(client.start(), NtStatus::SUCCESS);
    device::io_start(client.device).unwrap();
    let mut tagged = ethernet(&[], 0x8100, &[3; 60]);
    tagged[14..16].copy_from_slice(&(5u16 << 13 | 100).to_be_bytes());
    assert!(client.seat.send(StackFrame::new(tagged.clone())));
    // The echo drops the tag, which is the device's to carry.
    let back = client.seat.wait_receive(PATIENCE).unwrap();
    assert_eq!(back.bytes.len(), tagged.len() - 4);
    assert_eq!(back.bytes[12..], tagged[16..]);
    assert_eq!(last_tag(client.adapter), Some((5, 100, 3)));
}

#[test]
fn without_datapath_callbacks_what_is_sent_is_completed_at_once() {
    let client = TestClient::create();
    let init = call!(client, NetAdapterInitAllocate(Handle = client.device) -> usize);
    let mut adapter = Handle::NULL;
    let status = call!(client, NetAdapterCreate(usize = init, *const c_void = null(),
        *mut Handle = &mut adapter) -> i32);
    assert_eq!(NtStatus(status), NtStatus::SUCCESS);
    call!(client, NetAdapterInitFree(usize = init));
    let bare = TestClient {
        adapter,
        globals: client.globals.clone(),
        device: client.device,
        seat: client.seat.clone(),
    };
    bare.state();
    assert_eq!(bare.start(), NtStatus::SUCCESS);
    device::io_start(bare.device).unwrap();
    device::io_stop(bare.device);
    assert!(recorded::take().is_empty());
}
