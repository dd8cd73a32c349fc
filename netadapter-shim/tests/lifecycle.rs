//! An adapter's life: what may be stated when, starting, stopping, and
//! clients that do not do their part.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::*;
use netadapter_shim::abi::*;
use netadapter_shim::os::loopback::{StackFrame, loopback};
use netadapter_shim::*;

fn dma() -> Option<NetAdapterDmaCapabilities> {
    Some(NetAdapterDmaCapabilities {
        size: 32,
        dma_enabler: 0,
        maximum_physical_address: 0,
        cache_enabled: 0,
        preferred_node: 0,
    })
}

fn unstated() -> Adapter {
    let (port, _) = loopback(1, PortOffloads::ALL).unwrap();
    let events = Box::new(FakeDriver(Default::default()));
    Adapter::new(events, Box::new(port), config()).unwrap()
}

/// Status, failure code and text of a refused pair of capabilities.
fn refusal(tx: TxCapabilities, rx: RxCapabilities) -> (NtStatus, FailureCode, String) {
    let error = unstated().set_datapath_capabilities(tx, rx).unwrap_err();
    (
        error.status(),
        error.failure_code().unwrap(),
        error.to_string(),
    )
}

#[test]
fn dma_and_driver_managed_buffers_are_not_supported() {
    let (tx, rx) = (
        TxCapabilities::new(1),
        RxCapabilities::system_managed(1514, 1),
    );
    let mut cases = vec![];
    cases.push((
        refusal(
            TxCapabilities {
                dma_capabilities: dma(),
                ..tx
            },
            rx,
        ),
        "Tx DmaCapabilities",
    ));
    cases.push((
        refusal(
            tx,
            RxCapabilities {
                dma_capabilities: dma(),
                ..rx
            },
        ),
        "Rx DmaCapabilities",
    ));
    cases.push((
        refusal(tx, RxCapabilities::driver_managed(1514, 1)),
        "AllocationMode",
    ));
    let attached = NetRxFragmentBufferAttachmentMode::DRIVER;
    let by_driver = RxCapabilities {
        attachment_mode: attached,
        ..rx
    };
    cases.push((refusal(tx, by_driver), "AttachmentMode"));
    for ((status, _, text), field) in cases {
        assert_eq!(status, NtStatus::NOT_SUPPORTED, "{text}");
        assert!(text.contains(field) && text.contains("user"), "{text}");
    }
}

#[test]
fn mapping_and_malformed_capabilities_are_invalid() {
    let (tx, rx) = (
        TxCapabilities::new(1),
        RxCapabilities::system_managed(1514, 1),
    );
    let mapped = NetMemoryMappingRequirement::DMA_MAPPED;
    let cases = [
        refusal(
            TxCapabilities {
                mapping_requirement: mapped,
                ..tx
            },
            rx,
        ),
        refusal(
            tx,
            RxCapabilities {
                mapping_requirement: mapped,
                ..rx
            },
        ),
        refusal(TxCapabilities::new(0), rx),
        refusal(tx, RxCapabilities::system_managed(1514, 0)),
        refusal(tx, RxCapabilities::system_managed(0, 1)),
        refusal(
            TxCapabilities {
                fragment_buffer_alignment: 3,
                ..tx
            },
            rx,
        ),
        refusal(
            tx,
            RxCapabilities {
                fragment_ring_number_of_elements_hint: 12,
                ..rx
            },
        ),
    ];
    for (status, _, text) in &cases {
        assert_eq!(*status, NtStatus::INVALID_PARAMETER, "{text}");
    }
    assert_eq!(cases[0].1, FailureCode::InvalidAdapterTxCapabilities);
    assert_eq!(cases[1].1, FailureCode::InvalidAdapterRxCapabilities);
    assert_eq!(cases[4].1, FailureCode::ShimMaximumFrameSize);
    assert_eq!(cases[5].1, FailureCode::InvalidAdapterTxCapabilities);
    assert_eq!(cases[6].1, FailureCode::NotPowerOfTwo);
}

#[test]
fn contradicting_offload_capabilities_are_refused() {
    let code = |result: Result<(), AdapterError>| result.unwrap_err().failure_code().unwrap();
    let sums = |layer3, layer4| OffloadTxChecksumCapabilities {
        layer3: NetOffloadLayer3Flags(layer3),
        layer4: NetOffloadLayer4Flags(layer4),
        ..OffloadTxChecksumCapabilities::default()
    };
    let mut adapter = unstated();
    let mut tx = |caps| code(adapter.offload_set_tx_checksum_capabilities(caps));
    assert_eq!(tx(sums(2, 1)), FailureCode::InvalidTxChecksumCapabilities);
    assert_eq!(
        tx(sums(0, 1)),
        FailureCode::InvalidTxChecksumLayer4Capabilities
    );
    assert_eq!(tx(sums(4, 0)), FailureCode::InvalidTxChecksumIPv6Flags);
    assert_eq!(
        tx(sums(0, 0)),
        FailureCode::InvalidTxChecksumHardwareCapabilities
    );
    let gso = OffloadGsoCapabilities::new(NetOffloadLayer3Flags(1), NetOffloadLayer4Flags(3));
    let empty = OffloadGsoCapabilities {
        maximum_offload_size: 0,
        ..gso
    };
    let refused = code(adapter.offload_set_gso_capabilities(empty));
    assert_eq!(refused, FailureCode::InvalidGsoCapabilities);
    let lone = OffloadGsoCapabilities {
        layer4: NetOffloadLayer4Flags(2),
        ..gso
    };
    let refused = code(adapter.offload_set_gso_capabilities(lone));
    assert_eq!(refused, FailureCode::InvalidGsoCapabilities);
    let filter = ReceiveFilterCapabilities {
        supported_packet_filters: NetPacketFilterFlags::MULTICAST,
        maximum_multicast_addresses: 0,
    };
    let refused = code(adapter.set_receive_filter_capabilities(filter));
    assert_eq!(refused, FailureCode::InvalidReceiveFilterCapabilities);
}

#[test]
fn adapter_that_has_not_stated_everything_does_not_start() {
    let mut adapter = unstated();
    let missing = adapter.start().unwrap_err();
    assert_eq!(missing.status(), NtStatus::INVALID_PARAMETER);
    assert!(
        missing
            .to_string()
            .contains("NetAdapterSetDataPathCapabilities"),
        "{missing}"
    );
    let (tx, rx) = (
        TxCapabilities::new(1),
        RxCapabilities::system_managed(1514, 1),
    );
    adapter.set_datapath_capabilities(tx, rx).unwrap();
    let missing = adapter.start().unwrap_err().to_string();
    assert!(
        missing.contains("NetAdapterSetLinkLayerCapabilities"),
        "{missing}"
    );
    let speeds = NetAdapterLinkLayerCapabilities::new(1, 1);
    adapter.set_link_layer_capabilities(speeds).unwrap();
    let missing = adapter.start().unwrap_err().to_string();
    assert!(missing.contains("Mtu"), "{missing}");
    adapter.set_link_layer_mtu_size(1500).unwrap();
    adapter.start().expect("addresses may be missing");
}

#[test]
fn statements_are_refused_after_start_and_allowed_after_stop() {
    let mut bench = bench();
    bench.adapter.start().unwrap();
    let address = NetAdapterLinkLayerAddress::ethernet([2; 6]);
    let speeds = NetAdapterLinkLayerCapabilities::new(1, 1);
    let (tx, rx) = (
        TxCapabilities::new(1),
        RxCapabilities::system_managed(1514, 1),
    );
    let gso = OffloadGsoCapabilities::new(NetOffloadLayer3Flags(1), NetOffloadLayer4Flags(3));
    let a = &mut bench.adapter;
    let refused = [
        a.set_datapath_capabilities(tx, rx),
        a.set_link_layer_capabilities(speeds),
        a.set_permanent_link_layer_address(address),
        a.offload_set_tx_checksum_capabilities(OffloadTxChecksumCapabilities::all()),
        a.offload_set_rx_checksum_capabilities(),
        a.offload_set_gso_capabilities(gso),
        a.start(),
    ];
    for refusal in refused {
        let code = refusal.unwrap_err().failure_code();
        assert_eq!(code, Some(FailureCode::AdapterAlreadyStarted));
    }
    a.set_current_link_layer_address(address)
        .expect("allowed any time");
    a.stop().unwrap();
    a.set_link_layer_capabilities(speeds)
        .expect("allowed after stop");
    a.start().expect("statements persist over stop");
}

#[test]
fn values_out_of_range_are_refused_any_time() {
    let mut bench = bench();
    let code = |result: Result<(), AdapterError>| result.unwrap_err().failure_code();
    let mtu = code(bench.adapter.set_link_layer_mtu_size(0));
    assert_eq!(mtu, Some(FailureCode::MtuMustBeGreaterThanZero));
    let long = NetAdapterLinkLayerAddress {
        length: 33,
        address: [0; 32],
    };
    let address = code(bench.adapter.set_current_link_layer_address(long));
    assert_eq!(address, Some(FailureCode::MacAddressLengthTooLong));
    let state = NetAdapterLinkState {
        media_connect_state: NetIfMediaConnectState(3),
        ..NetAdapterLinkState::disconnected()
    };
    let link = code(bench.adapter.set_link_state(state));
    assert_eq!(link, Some(FailureCode::InvalidLinkState));
}

#[test]
fn queues_live_between_io_start_and_io_stop_in_the_documented_order() {
    let mut bench = bench();
    bench.adapter.start().unwrap();
    assert!(bench.device.calls().is_empty(), "no queues before power");
    bench.adapter.io_start().unwrap();
    bench.adapter.io_stop().unwrap();
    let calls = bench.device.calls();
    let expected = [
        "create tx0",
        "create rx0",
        "start tx0",
        "start rx0", //
        "cancel tx0",
        "cancel rx0",
        "stop tx0",
        "stop rx0",
    ];
    assert_eq!(calls, expected);
}

#[test]
fn late_start_creates_queues_before_it_returns() {
    let mut bench = bench();
    bench.adapter.io_start().unwrap();
    assert!(bench.device.calls().is_empty());
    bench.adapter.start().unwrap();
    assert!(bench.device.calls().contains(&"start rx0".to_owned()));
}

#[test]
fn frames_flow_again_after_each_power_cycle_and_the_port_stays() {
    let mut bench = running();
    for cycle in 0..20 {
        bench.seat.send(StackFrame::new(frame(cycle, 60)));
        eventually("a frame", || {
            bench.device.sent().len() == cycle as usize + 1
        });
        bench.adapter.io_stop().unwrap();
        bench.adapter.io_start().unwrap();
    }
    assert_eq!(
        bench.adapter.statistics().total().tx_packets,
        20,
        "counters go on"
    );
}

#[test]
fn frames_sent_while_stopped_wait_for_the_next_queues() {
    let mut bench = running();
    bench.adapter.io_stop().unwrap();
    bench.seat.send(StackFrame::new(frame(5, 60)));
    bench.adapter.io_start().unwrap();
    eventually("the frame", || bench.device.sent().len() == 1);
}

#[test]
fn held_tx_packets_are_waited_for() {
    let mut bench = running();
    bench.device.hold_tx.store(true, Ordering::SeqCst);
    bench.seat.send(StackFrame::new(frame(1, 60)));
    eventually("the frame", || bench.device.sent().len() == 1);
    let device = bench.device.clone();
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        device.hold_tx.store(false, Ordering::SeqCst);
    });
    let start = Instant::now();
    bench
        .adapter
        .io_stop()
        .expect("the client finishes on its own");
    assert!(start.elapsed() >= Duration::from_millis(90));
    release.join().unwrap();
}

#[test]
fn client_that_keeps_its_buffers_is_named_after_the_deadline() {
    let quick = AdapterConfig {
        deadline: Duration::from_millis(200),
        ..config()
    };
    let mut bench = bench_with(quick, 1);
    bench.adapter.start().unwrap();
    bench.adapter.io_start().unwrap();
    bench.device.withhold_rx.store(true, Ordering::SeqCst);
    bench.device.arrive(Arriving::new(frame(1, 60)));
    bench
        .seat
        .wait_receive(PATIENCE)
        .expect("a frame, so the ring was filled");
    let start = Instant::now();
    let error = bench.adapter.io_stop().unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(error.status(), NtStatus::IO_TIMEOUT);
    assert!(
        error.to_string().contains("still owns 0 Tx packets, 6"),
        "{error}"
    );
    bench.device.withhold_rx.store(false, Ordering::SeqCst);
    bench.adapter.io_start().expect("new queues all the same");
    bench.adapter.io_stop().unwrap();
}

#[test]
fn stuck_client_does_not_hold_up_the_control_thread() {
    let quick = AdapterConfig {
        deadline: Duration::from_millis(200),
        ..config()
    };
    let mut bench = bench_with(quick, 1);
    bench.adapter.start().unwrap();
    bench.adapter.io_start().unwrap();
    bench.device.stick_in_advance.store(true, Ordering::SeqCst);
    bench.device.notify();
    std::thread::sleep(Duration::from_millis(20));
    let start = Instant::now();
    let error = bench.adapter.io_stop().unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(error.to_string().contains("does not return"), "{error}");
    bench.device.stick_in_advance.store(false, Ordering::SeqCst);
    // The bench and the driver hold the device; the queues let go of it.
    eventually("the abandoned thread's end", || {
        Arc::strong_count(&bench.device) == 2
    });
}

#[test]
fn panicking_client_is_reported_and_new_queues_can_be_built() {
    let mut bench = running();
    bench.device.panic_in_advance.store(true, Ordering::SeqCst);
    bench.device.notify();
    let error = bench.adapter.io_stop().unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    bench.device.panic_in_advance.store(false, Ordering::SeqCst);
    bench.adapter.io_start().unwrap();
    bench.device.arrive(Arriving::new(frame(3, 60)));
    assert!(bench.seat.wait_receive(PATIENCE).is_some());
}

#[test]
fn refused_queue_leaves_nothing_running() {
    let mut bench = bench_with(
        AdapterConfig {
            queue_pairs: 2,
            ..config()
        },
        2,
    );
    bench.adapter.start().unwrap();
    bench.device.refuse_queue.store(2, Ordering::SeqCst);
    let error = bench.adapter.io_start().unwrap_err();
    assert_eq!(error.status(), NtStatus::INSUFFICIENT_RESOURCES);
    assert!(error.to_string().contains("tx queue 1"), "{error}");
    bench.device.refuse_queue.store(0, Ordering::SeqCst);
    bench.adapter.io_start().expect("a second try");
    bench.seat.send(StackFrame::new(frame(1, 60)));
    eventually("the frame", || bench.device.sent().len() == 1);
}

/// Waits for the adapter's fault descriptor and takes what it tells of.
fn fault_of(bench: &Bench) -> (usize, QueueFault) {
    let mut faults = Vec::new();
    eventually("a fault", || {
        faults.extend(bench.adapter.take_faults());
        !faults.is_empty()
    });
    faults.remove(0)
}

#[test]
fn verifier_names_the_rule_and_ends_the_queue() {
    let mut bench = running();
    bench.device.return_unwritten.store(true, Ordering::SeqCst);
    bench.device.notify();
    let (queue, fault) = fault_of(&bench);
    assert_eq!(queue, 0);
    assert_eq!(
        fault.failure_code(),
        FailureCode::InvalidRingUnmodifiedRxPacket
    );
    bench.device.return_unwritten.store(false, Ordering::SeqCst);
    bench.seat.send(StackFrame::new(frame(1, 60)));
    eventually("the Tx queue still works", || {
        bench.device.sent().len() == 1
    });
    bench
        .adapter
        .io_stop()
        .expect("a queue that is not called any more is idle");
}

#[test]
fn impossible_begin_index_is_caught_without_the_verifier() {
    let mut bench = bench_with(
        AdapterConfig {
            verifier: false,
            ..config()
        },
        1,
    );
    bench.adapter.start().unwrap();
    bench.adapter.io_start().unwrap();
    bench.device.break_begin.store(true, Ordering::SeqCst);
    bench.seat.send(StackFrame::new(frame(1, 60)));
    let (_, fault) = fault_of(&bench);
    assert_eq!(fault.failure_code(), FailureCode::InvalidRingBeginIndex);
}

#[test]
fn link_state_reaches_the_stack_only_while_started() {
    let mut bench = bench();
    let up = NetAdapterLinkState::connected(1_000_000_000, NetIfMediaDuplexState::FULL);
    bench
        .adapter
        .set_link_state(up)
        .expect("legal before start");
    assert!(!bench.seat.link_is_up());
    bench.adapter.start().unwrap();
    assert!(bench.seat.link_is_up());
    bench
        .adapter
        .set_link_state(NetAdapterLinkState::disconnected())
        .unwrap();
    assert!(!bench.seat.link_is_up());
    bench.adapter.set_link_state(up).unwrap();
    bench.adapter.stop().unwrap();
    assert!(!bench.seat.link_is_up());
}

#[test]
fn receive_filter_is_checked_and_delivered_only_under_power() {
    let mut bench = bench();
    let directed = NetPacketFilterFlags::DIRECTED | NetPacketFilterFlags::BROADCAST;
    let caps = ReceiveFilterCapabilities {
        supported_packet_filters: directed | NetPacketFilterFlags::PROMISCUOUS,
        maximum_multicast_addresses: 0,
    };
    bench.adapter.set_receive_filter_capabilities(caps).unwrap();
    bench.adapter.start().unwrap();
    let filter = |flags| ReceiveFilter {
        packet_filter: flags,
        multicast_addresses: vec![],
    };
    bench.adapter.set_receive_filter(filter(directed)).unwrap();
    assert!(bench.device.filters.lock().unwrap().is_empty());
    bench.adapter.io_start().unwrap();
    assert_eq!(
        bench.device.filters.lock().unwrap().last(),
        Some(&filter(directed))
    );
    bench
        .adapter
        .set_receive_filter(filter(NetPacketFilterFlags::PROMISCUOUS))
        .unwrap();
    assert_eq!(bench.device.filters.lock().unwrap().len(), 2);
    let refused = bench
        .adapter
        .set_receive_filter(filter(NetPacketFilterFlags::ALL_MULTICAST));
    assert_eq!(refused.unwrap_err().status(), NtStatus::NOT_SUPPORTED);
}

#[test]
fn multicast_list_too_long_is_widened_not_refused() {
    use NetPacketFilterFlags as Flags;
    for (supported, expected, left) in [
        (Flags::ALL, Flags::DIRECTED | Flags::ALL_MULTICAST, 0),
        (Flags(0x2b), Flags::DIRECTED | Flags::PROMISCUOUS, 0),
        (Flags(0x0b), Flags::DIRECTED | Flags::MULTICAST, 2),
    ] {
        let mut bench = bench();
        let caps = ReceiveFilterCapabilities {
            supported_packet_filters: supported,
            maximum_multicast_addresses: 2,
        };
        bench.adapter.set_receive_filter_capabilities(caps).unwrap();
        bench.adapter.start().unwrap();
        bench.adapter.io_start().unwrap();
        let filter = ReceiveFilter {
            packet_filter: Flags::DIRECTED | Flags::MULTICAST,
            multicast_addresses: vec![[1, 0, 0x5e, 0, 0, 1]; 3],
        };
        bench.adapter.set_receive_filter(filter).unwrap();
        let got = bench
            .device
            .filters
            .lock()
            .unwrap()
            .last()
            .cloned()
            .unwrap();
        assert_eq!(
            (got.packet_filter, got.multicast_addresses.len()),
            (expected, left)
        );
    }
}

#[test]
fn offloads_are_what_client_and_port_have_in_common() {
    let common = PortOffloads {
        uso: false,
        tso6: false,
        ..PortOffloads::ALL
    };
    let (port, seat) = loopback(1, common).unwrap();
    let device = Arc::new(Device::default());
    let events = Box::new(FakeDriver(device.clone()));
    let mut adapter = Adapter::new(events, Box::new(port), config()).unwrap();
    state_all(&mut adapter, 1);
    adapter.start().unwrap();
    assert_eq!(adapter.active_offloads().tx, common);
    assert_eq!(seat.tx_offloads(), common);
    assert_eq!(device.offloads.lock().unwrap().unwrap().rx, common);
}

#[test]
fn mtu_change_rebuilds_running_queues() {
    let mut bench = running();
    bench.adapter.set_link_layer_mtu_size(9000).unwrap();
    assert_eq!(bench.seat.mtu(), 9000);
    let creations = bench
        .device
        .calls()
        .iter()
        .filter(|call| *call == "create tx0")
        .count();
    assert_eq!(creations, 2);
    bench.seat.send(StackFrame::new(frame(1, 9014)));
    eventually("a jumbo frame", || bench.device.sent().len() == 1);
}
