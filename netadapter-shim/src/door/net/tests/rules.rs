//! Every rule of the functions, broken once: the code, and the status where
//! there is one.

use std::ffi::c_void;
use std::ptr::null;

use super::client::*;
use crate::abi::FailureCode as Code;
use crate::abi::*;
use crate::door::fail::recorded;
use crate::door::net::device;
use crate::door::object::{self, Handle};

/// Calls a function with a structure for the adapter.
macro_rules! state {
    ($client:expr, $name:ident, $structure:expr) => {{
        let structure = $structure;
        call!($client, $name(Handle = $client.adapter, *const c_void = (&raw const structure).cast()))
    }};
}

fn filter_capabilities(flags: u32, addresses: usize) -> NetAdapterReceiveFilterCapabilities {
    NetAdapterReceiveFilterCapabilities {
        size: size_of::<NetAdapterReceiveFilterCapabilities>() as u32,
        supported_packet_filters: NetPacketFilterFlags(flags),
        maximum_multicast_addresses: addresses,
        evt_set_receive_filter: raw(set_filter as *const c_void),
    }
}

extern "C" fn set_filter(adapter: Handle, filter: usize) {
    let globals = std::ptr::without_provenance(known().globals);
    let flags: extern "C" fn(*const c_void, usize) -> u32 =
        function("NetReceiveFilterGetPacketFilter");
    let count: extern "C" fn(*const c_void, usize) -> usize =
        function("NetReceiveFilterGetMulticastAddressCount");
    let list: extern "C" fn(*const c_void, usize) -> *const NetAdapterLinkLayerAddress =
        function("NetReceiveFilterGetMulticastAddressList");
    let (flags, count) = (flags(globals, filter), count(globals, filter));
    let list = list(globals, filter);
    // SAFETY: `count` addresses, as the function says.
    let last = (count > 0).then(|| unsafe { list.wrapping_add(count - 1).read() });
    note(
        adapter,
        format!(
            "filter {flags:#x} {count} {:?}",
            last.map(|last| last.length)
        ),
    );
    let elsewhere: extern "C" fn(*const c_void, usize) -> u32 =
        function("NetReceiveFilterGetPacketFilter");
    let globals = globals as usize;
    let codes = std::thread::spawn(move || {
        elsewhere(std::ptr::without_provenance(globals), filter);
        recorded::take()
    });
    let codes = codes.join().unwrap();
    assert_eq!(codes[0].0, Code::SetReceiveFilterFromWrongThread.into());
}

#[test]
fn globals_that_are_none_are_noticed() {
    let client = TestClient::create();
    let start: extern "C" fn(*const c_void, Handle) -> i32 = function("NetAdapterStart");
    assert_eq!(
        NtStatus(start(null(), client.adapter)),
        NtStatus::INVALID_PARAMETER
    );
    recorded::take_one(Code::CorruptedPrivateGlobals);
}

#[test]
fn init_objects_are_checked_and_used_once() {
    let client = TestClient::create();
    let bogus = 0x1234;
    let callbacks = datapath_callbacks();
    call!(client, NetAdapterInitSetDatapathCallbacks(usize = bogus,
        *const NetAdapterDatapathCallbacks = &callbacks));
    recorded::take_one(Code::InvalidNetAdapterInitSignature);
    call!(client, NetAdapterInitFree(usize = bogus));
    recorded::take_one(Code::InvalidNetAdapterInitSignature);

    let init = call!(client, NetAdapterInitAllocate(Handle = client.device) -> usize);
    let mut half = callbacks;
    half.evt_adapter_create_rx_queue = None;
    call!(client, NetAdapterInitSetDatapathCallbacks(usize = init,
        *const NetAdapterDatapathCallbacks = &half));
    recorded::take_one(Code::InvalidDatapathCallbacks);
    half.size = 8;
    call!(client, NetAdapterInitSetDatapathCallbacks(usize = init,
        *const NetAdapterDatapathCallbacks = &half));
    recorded::take_one(Code::InvalidStructTypeSize);
    call!(client, NetAdapterInitSetDatapathCallbacks(usize = init,
        *const NetAdapterDatapathCallbacks = null()));
    recorded::take_one(Code::ParameterCantBeNull);

    let mut adapter = Handle::NULL;
    for expected in [NtStatus::SUCCESS, NtStatus::INVALID_PARAMETER] {
        let status = call!(client, NetAdapterCreate(usize = init, *const c_void = null(),
            *mut Handle = &mut adapter) -> i32);
        assert_eq!(NtStatus(status), expected);
    }
    recorded::take_one(Code::NetAdapterInitAlreadyUsed);
    assert_eq!(
        call!(client, NetAdapterInitAllocate(Handle = adapter) -> usize),
        0
    );
    recorded::take_one(Code::InvalidObjectHandle);
}

#[test]
fn attributes_with_a_parent_are_refused() {
    let client = TestClient::create();
    let init = call!(client, NetAdapterInitAllocate(Handle = client.device) -> usize);
    let attributes = crate::door::types::WdfObjectAttributes {
        size: 56,
        evt_cleanup: None,
        evt_destroy: None,
        execution_level: 1,
        synchronization_scope: 1,
        parent: client.device,
        context_size_override: 0,
        context_type: null(),
    };
    let mut adapter = Handle::NULL;
    let status = call!(client, NetAdapterCreate(usize = init,
        *const crate::door::types::WdfObjectAttributes = &attributes,
        *mut Handle = &mut adapter) -> i32);
    assert!(status < 0);
    recorded::take_one(Code::ParentObjectNotNull);
    let kind = crate::door::types::WdfContextTypeInfo {
        size: 40,
        name: c"HUGE".as_ptr(),
        context_size: 1 << 40,
        unique_type: null(),
        get_unique_type: null(),
    };
    let huge = crate::door::types::WdfObjectAttributes {
        parent: Handle::NULL,
        context_type: &kind,
        ..attributes
    };
    let status = call!(client, NetAdapterCreate(usize = init,
        *const crate::door::types::WdfObjectAttributes = &huge,
        *mut Handle = &mut adapter) -> i32);
    assert!(status < 0);
    recorded::take_one(Code::ObjectAttributesContextSizeTooLarge);
}

#[test]
fn statements_after_start_are_refused() {
    let client = TestClient::stated();
    assert_eq!(client.start(), NtStatus::SUCCESS);
    client.set_datapath(&tx_capabilities(), &rx_capabilities());
    recorded::take_one(Code::AdapterAlreadyStarted);
    state!(
        client,
        NetAdapterSetLinkLayerCapabilities,
        NetAdapterLinkLayerCapabilities::new(1, 1)
    );
    recorded::take_one(Code::AdapterAlreadyStarted);
    assert_eq!(client.start(), NtStatus::INVALID_DEVICE_REQUEST);
    recorded::take_one(Code::AdapterAlreadyStarted);
}

#[test]
fn offloads_are_paused_only_while_started_and_resumed_only_when_paused() {
    let client = TestClient::stated();
    call!(
        client,
        NetAdapterPauseOffloadCapabilities(Handle = client.adapter)
    );
    recorded::take_one(Code::AdapterNotStarted);
    assert_eq!(client.start(), NtStatus::SUCCESS);
    call!(
        client,
        NetAdapterResumeOffloadCapabilities(Handle = client.adapter)
    );
    recorded::take_one(Code::OffloadNotPaused);
    call!(
        client,
        NetAdapterPauseOffloadCapabilities(Handle = client.adapter)
    );
    call!(
        client,
        NetAdapterResumeOffloadCapabilities(Handle = client.adapter)
    );
    assert!(recorded::take().is_empty());
}

#[test]
fn an_adapter_that_lacks_a_statement_does_not_start() {
    let client = TestClient::create();
    assert_eq!(client.start(), NtStatus::INVALID_PARAMETER);
    client.state();
    let short = NetAdapterLinkLayerAddress {
        length: 4,
        ..NetAdapterLinkLayerAddress::default()
    };
    state!(client, NetAdapterSetCurrentLinkLayerAddress, short);
    assert_eq!(client.start(), NtStatus::INVALID_PARAMETER, "two lengths");
    let six = NetAdapterLinkLayerAddress::ethernet([2; 6]);
    state!(client, NetAdapterSetCurrentLinkLayerAddress, six);
    assert_eq!(client.start(), NtStatus::SUCCESS);
    assert!(recorded::take().is_empty());
}

/// A change to Tx or Rx capabilities, the code of its breach and the status of
/// the start that follows.
type CapabilityCase = (
    fn(&mut NetAdapterTxCapabilities, &mut NetAdapterRxCapabilities),
    Code,
    NtStatus,
);

#[test]
fn capabilities_user_mode_forbids_are_breaches_and_the_adapter_does_not_start() {
    const NOT: NtStatus = NtStatus::NOT_SUPPORTED;
    const BAD: NtStatus = NtStatus::INVALID_PARAMETER;
    let dma = 64 as *const NetAdapterDmaCapabilities;
    assert!(!dma.is_null());
    let cases: [CapabilityCase; 9] = [
        (
            |tx, _| tx.dma_capabilities = 64 as *const _,
            Code::InvalidAdapterTxCapabilities,
            NOT,
        ),
        (
            |_, rx| rx.dma_capabilities = 64 as *const _,
            Code::InvalidAdapterRxCapabilities,
            NOT,
        ),
        (
            |tx, _| tx.mapping_requirement.0 = 1,
            Code::InvalidAdapterTxCapabilities,
            BAD,
        ),
        (
            |_, rx| rx.mapping_requirement.0 = 1,
            Code::InvalidAdapterRxCapabilities,
            BAD,
        ),
        (
            |_, rx| rx.allocation_mode.0 = 1,
            Code::InvalidAdapterRxCapabilities,
            NOT,
        ),
        (
            |_, rx| rx.attachment_mode.0 = 1,
            Code::InvalidAdapterRxCapabilities,
            NOT,
        ),
        (
            |tx, _| tx.maximum_number_of_queues = 0,
            Code::InvalidAdapterTxCapabilities,
            BAD,
        ),
        (
            |tx, _| tx.fragment_buffer_alignment = 3,
            Code::NotPowerOfTwo,
            BAD,
        ),
        (
            |_, rx| rx.fragment_ring_number_of_elements_hint = 6,
            Code::NotPowerOfTwo,
            BAD,
        ),
    ];
    for (change, code, status) in cases {
        let client = TestClient::stated();
        let (mut tx, mut rx) = (tx_capabilities(), rx_capabilities());
        change(&mut tx, &mut rx);
        client.set_datapath(&tx, &rx);
        recorded::take_one(code);
        assert_eq!(client.start(), status);
    }
    let client = TestClient::stated();
    let mut tx = tx_capabilities();
    tx.size = 48;
    client.set_datapath(&tx, &rx_capabilities());
    recorded::take_one(Code::InvalidStructTypeSize);
}

#[test]
fn mtu_address_and_link_state_have_their_codes() {
    let client = TestClient::create();
    call!(
        client,
        NetAdapterSetLinkLayerMtuSize(Handle = client.adapter, u32 = 0)
    );
    recorded::take_one(Code::MtuMustBeGreaterThanZero);
    let long = NetAdapterLinkLayerAddress {
        length: 33,
        ..NetAdapterLinkLayerAddress::default()
    };
    state!(client, NetAdapterSetPermanentLinkLayerAddress, long);
    recorded::take_one(Code::MacAddressLengthTooLong);
    state!(client, NetAdapterSetCurrentLinkLayerAddress, long);
    recorded::take_one(Code::MacAddressLengthTooLong);
    let changes: [fn(&mut NetAdapterLinkState); 4] = [
        |state| state.media_connect_state.0 = 3,
        |state| state.media_duplex_state.0 = 3,
        |state| state.supported_pause_functions.0 = 5,
        |state| state.auto_negotiation_flags = 0x10,
    ];
    for change in changes {
        let mut state = NetAdapterLinkState::disconnected();
        change(&mut state);
        client.set_link(&state);
        recorded::take_one(Code::InvalidLinkState);
    }
}

#[test]
fn receive_filter_rules_have_their_codes() {
    let client = TestClient::create();
    for (flags, addresses) in [(0x40, 0), (0x10, 0), (2, 0), (1, 4), (0, 4)] {
        let capabilities = filter_capabilities(flags, addresses);
        state!(client, NetAdapterSetReceiveFilterCapabilities, capabilities);
        recorded::take_one(Code::InvalidReceiveFilterCapabilities);
    }
    let mut silent = filter_capabilities(1, 0);
    silent.evt_set_receive_filter = None;
    state!(client, NetAdapterSetReceiveFilterCapabilities, silent);
    recorded::take_one(Code::InvalidSetReceiveFilterCallBack);
}

#[test]
fn the_receive_filter_is_told_with_power_and_read_inside_its_callback_only() {
    let client = TestClient::stated();
    state!(
        client,
        NetAdapterSetReceiveFilterCapabilities,
        filter_capabilities(0xb, 8)
    );
    assert_eq!(client.start(), NtStatus::SUCCESS);
    assert_eq!(client.calls(), Vec::<String>::new());
    device::io_start(client.device).unwrap();
    let told = client.calls().pop().unwrap();
    assert_eq!(told, "filter 0xb 3 Some(6)");
    let get = |name| function::<extern "C" fn(*const c_void, usize) -> usize>(name);
    let get = get("NetReceiveFilterGetMulticastAddressCount");
    assert_eq!(get(client.globals.pointer(), 1), 0);
    recorded::take_one(Code::SetReceiveFilterFromWrongThread);
}

#[test]
fn queues_are_created_once_by_the_callbacks_own_thread() {
    let client = TestClient::stated();
    assert_eq!(client.start(), NtStatus::SUCCESS);
    client.script(|script| script.twice = true);
    assert!(device::io_start(client.device).is_err());
    recorded::take_one(Code::QueueAlreadyCreated);
    client.script(|script| (script.twice, script.elsewhere) = (false, true));
    client.calls();
    assert!(device::io_start(client.device).is_err());
    let calls = client.calls();
    assert_eq!(calls[1], "FailureCode_CreatingNetQueueFromWrongThread");
    client.script(|script| script.elsewhere = false);
    device::io_start(client.device).unwrap();

    let (status, _) = create_one(77, true, &queue_config());
    assert_eq!(NtStatus(status), NtStatus::INVALID_PARAMETER);
    recorded::take_one(Code::BadQueueInitContext);
    assert_eq!(
        call!(client, NetTxQueueInitGetQueueId(usize = 77) -> u32),
        0
    );
    recorded::take_one(Code::BadQueueInitContext);
}

extern "C" fn create_badly(adapter: Handle, init: usize) -> i32 {
    let mut short = queue_config();
    short.size = 40;
    assert!(create_one(init, true, &short).0 < 0);
    recorded::take_one(Code::InvalidStructTypeSize);
    let mut mute = queue_config();
    mute.evt_cancel = None;
    assert!(create_one(init, true, &mute).0 < 0);
    recorded::take_one(Code::InvalidQueueConfiguration);
    let mut context = queue_config();
    context.execution_context = 1;
    assert!(create_one(init, true, &context).0 < 0);
    recorded::take_one(Code::InvalidExecutionContextConfig);
    assert!(create_one(init, false, &queue_config()).0 < 0);
    recorded::take_one(Code::BadQueueInitContext);
    // Version 2.0 of the structure ends before ExecutionContext.
    context.size = 48;
    let (status, queue) = create_one(init, true, &context);
    assert_eq!(status, 0);
    let nothing = object::payload::<u8>(queue, object::Kind::PacketQueue);
    assert!(nothing.is_err());
    note(adapter, "all refused");
    NtStatus::UNSUCCESSFUL.0
}

#[test]
fn queue_configurations_are_checked_and_the_old_size_is_accepted() {
    let client = TestClient::create_with(|client, init| {
        struct Bare<'a> {
            globals: &'a crate::door::globals::Client,
        }
        let mut callbacks = datapath_callbacks();
        callbacks.evt_adapter_create_tx_queue = raw(create_badly as *const c_void);
        let bare = Bare { globals: client };
        call!(bare, NetAdapterInitSetDatapathCallbacks(usize = init,
            *const NetAdapterDatapathCallbacks = &callbacks));
    });
    client.state();
    assert_eq!(client.start(), NtStatus::SUCCESS);
    assert!(device::io_start(client.device).is_err());
    assert_eq!(client.calls(), ["all refused"]);
}

#[test]
fn queue_functions_know_their_direction_and_their_queues() {
    let client = TestClient::running();
    let (tx, queue) = client.queue(true);
    let rings = call!(client, NetRxQueueGetRingCollection(Handle = tx) -> *const c_void);
    assert!(rings.is_null());
    recorded::take_one(Code::InvalidQueueHandle);
    call!(
        client,
        NetRxQueueNotifyMoreReceivedPacketsAvailable(Handle = tx)
    );
    recorded::take_one(Code::InvalidQueueHandle);
    assert_eq!(call!(client, NetTxQueueGetDemux8021p(Handle = tx) -> u8), 0);
    recorded::take_one(Code::DemuxNotPresent);
    // Both rings are there, the third is not.
    // SAFETY: the collection lives as long as the queue.
    let rings = unsafe { *queue.rings };
    assert!(!rings[0].is_null() && !rings[1].is_null() && rings[2].is_null());
    device::io_stop(client.device);
    call!(
        client,
        NetTxQueueNotifyMoreCompletedPacketsAvailable(Handle = tx)
    );
    recorded::take_one(Code::InvalidQueueHandle);
}

#[test]
fn extensions_are_found_or_absent_and_odd_queries_have_their_codes() {
    let client = TestClient::running();
    let (tx, _) = client.queue(true);
    for (name, kind) in [("ms_fragment_virtualaddress", 2), ("ms_packet_lso", 1)] {
        assert_eq!(extension(tx, true, name, kind).enabled, 1, "{name}");
    }
    let absent = extension(tx, true, "ms_packet_gso", 1);
    assert_eq!((absent.enabled, absent.reserved), (0, [0; 4]));
    assert_eq!(extension(tx, true, "vendor_extension", 1).enabled, 0);
    assert!(recorded::take().is_empty());
    assert_eq!(extension(tx, true, "ms_packet_fast", 1).enabled, 0);
    recorded::take_one(Code::InvalidNetExtensionName);
    extension(tx, true, "ms_packet_gso", 4);
    recorded::take_one(Code::InvalidNetExtensionType);
    let name: Vec<u16> = "ms_packet_gso\0".encode_utf16().collect();
    let mut query = NetExtensionQuery {
        size: size_of::<NetExtensionQuery>() as u32,
        name: name.as_ptr(),
        version: 0,
        kind: NetExtensionType::PACKET,
    };
    query_extension(tx, true, &query);
    recorded::take_one(Code::InvalidNetExtensionVersion);
    (query.version, query.size) = (1, 20);
    query_extension(tx, true, &query);
    recorded::take_one(Code::InvalidStructTypeSize);
}

#[test]
fn offload_capabilities_that_contradict_themselves_have_their_codes() {
    let client = TestClient::create();
    let sums = |layer3, layer4| NetAdapterOffloadTxChecksumCapabilities {
        size: 24,
        layer3_flags: NetOffloadLayer3Flags(layer3),
        layer4_flags: NetOffloadLayer4Flags(layer4),
        layer3_header_offset_limit: 0,
        layer4_header_offset_limit: 0,
        evt_adapter_offload_set_tx_checksum: None,
    };
    for (layer3, layer4, code) in [
        (2, 1, Code::InvalidTxChecksumHardwareCapabilities),
        (0, 1, Code::InvalidTxChecksumLayer4Capabilities),
        (4, 0, Code::InvalidTxChecksumIPv6Flags),
        (0, 0, Code::InvalidTxChecksumCapabilities),
    ] {
        state!(
            client,
            NetAdapterOffloadSetTxChecksumCapabilities,
            sums(layer3, layer4)
        );
        recorded::take_one(code);
    }
    let gso = |layer4, size| NetAdapterOffloadGsoCapabilities {
        size: 40,
        layer3_flags: NetOffloadLayer3Flags(1),
        layer4_flags: NetOffloadLayer4Flags(layer4),
        layer4_header_offset_limit: 0,
        maximum_offload_size: size,
        minimum_segment_count: 1,
        evt_adapter_offload_set_gso: None,
    };
    state!(client, NetAdapterOffloadSetGsoCapabilities, gso(1, 0));
    recorded::take_one(Code::InvalidGsoCapabilities);
    state!(client, NetAdapterOffloadSetGsoCapabilities, gso(2, 1000));
    recorded::take_one(Code::InvalidGsoHardwareCapabilities);
    let rsc = NetAdapterOffloadRscCapabilities {
        size: 24,
        layer3_flags: NetOffloadLayer3Flags(0),
        layer4_flags: NetOffloadLayer4Flags(1),
        tcp_timestamp_option: 0,
        evt_adapter_offload_set_rsc: None,
    };
    state!(client, NetAdapterOffloadSetRscCapabilities, rsc);
    recorded::take_one(Code::InvalidRscCapabilities);
    call!(client, NetAdapterOffloadSetChecksumCapabilities(Handle = client.adapter,
        *const c_void = null()));
    recorded::take_one(Code::DeprecatedFunction);
    call!(client, NetOffloadIsUdpRscEnabled(usize = 5) -> u8);
    recorded::take_one(Code::InvalidObjectHandle);
}

#[test]
fn demux_wishes_have_their_codes() {
    let client = TestClient::create();
    let init = call!(client, NetAdapterInitAllocate(Handle = client.device) -> usize);
    let demux = |kind, range| NetAdapterTxDemux {
        size: 12,
        kind,
        range,
    };
    for (wish, code) in [
        (demux(2, 2), Code::InvalidTxDemuxType),
        (demux(1, 9), Code::InvalidTxDemuxRange),
    ] {
        call!(client, NetAdapterInitAddTxDemux(usize = init, *const NetAdapterTxDemux = &wish));
        recorded::take_one(code);
    }
}

#[test]
fn power_wake_and_reset_are_noted_or_out_of_place() {
    let client = TestClient::create();
    let arp = [16u32, 1, 4, 0];
    state!(client, NetAdapterPowerOffloadSetArpCapabilities, arp);
    assert!(recorded::take().is_empty());
    state!(
        client,
        NetAdapterPowerOffloadSetNSCapabilities,
        [15u32, 1, 4, 0]
    );
    recorded::take_one(Code::InvalidStructTypeSize);
    let mut list = [40usize, 0, 0, 0, 0];
    call!(client, NetDeviceGetWakeSourceList(Handle = client.device, *mut usize = list.as_mut_ptr()));
    recorded::take_one(Code::PowerNotInTransition);
    let count = call!(client, NetWakeSourceListGetCount(*const usize = list.as_ptr()) -> usize);
    assert_eq!(count, 0);
    recorded::take_one(Code::InvalidWakeSourceListSignature);
    call!(client, NetPowerOffloadListGetCount(*const usize = list.as_ptr()) -> usize);
    recorded::take_one(Code::InvalidPowerOffloadListSignature);
    let reason = [24usize, 0, 0];
    call!(client, NetAdapterReportWakeReasonPacket(Handle = client.adapter,
        *const usize = reason.as_ptr()));
    recorded::take_one(Code::WakeNotInProgress);
    call!(
        client,
        NetAdapterReportWakeReasonMediaChange(Handle = client.adapter, u32 = 0)
    );
    recorded::take_one(Code::InvalidNetAdapterWakeReasonMediaChange);
    let store = |size| {
        call!(client, NetDeviceStoreResetDiagnostics(Handle = client.device, usize = size,
            *const u8 = null()) -> i32)
    };
    assert!(store(1 << 21) < 0);
    recorded::take_one(Code::ResetDiagnosticsSizeTooLarge);
    assert!(store(16) < 0);
    recorded::take_one(Code::IsNotCollectingResetDiagnostics);
}
