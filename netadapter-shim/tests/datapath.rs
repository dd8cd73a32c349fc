//! Frames through a whole adapter: stack's seat, rings, a client driver, and
//! back.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::*;
use netadapter_shim::abi::*;
use netadapter_shim::os::loopback::StackFrame;
use netadapter_shim::*;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

const LENGTHS: [usize; 6] = [60, 61, 590, 1499, 1500, 1514];

fn length(number: u32) -> usize {
    LENGTHS[number as usize % LENGTHS.len()]
}

#[test]
fn frames_of_the_stack_reach_the_device_whole_and_in_order() {
    let bench = running();
    for number in 0..1000 {
        assert!(
            bench
                .seat
                .send(StackFrame::new(frame(number, length(number))))
        );
    }
    eventually("1000 frames sent", || bench.device.sent().len() == 1000);
    for (number, sent) in (0..).zip(bench.device.sent()) {
        assert_eq!(sent.bytes, frame(number, length(number)), "frame {number}");
    }
    let total = bench.adapter.statistics().total();
    assert_eq!((total.tx_packets, total.tx_dropped), (1000, 0));
    let bytes: usize = (0..1000).map(length).sum();
    assert_eq!(total.tx_bytes, bytes as u64);
}

#[test]
fn frames_of_the_device_reach_the_stack_whole_and_in_order() {
    let bench = running();
    for number in 0..1000 {
        bench
            .device
            .arrive(Arriving::new(frame(number, length(number))));
    }
    for number in 0..1000 {
        let got = bench.seat.wait_receive(PATIENCE).expect("a frame");
        assert_eq!(got.bytes, frame(number, length(number)), "frame {number}");
    }
    eventually("the counters", || {
        bench.adapter.statistics().total().rx_packets == 1000
    });
    let bytes: usize = (0..1000).map(length).sum();
    assert_eq!(bench.adapter.statistics().total().rx_bytes, bytes as u64);
}

#[test]
fn frame_in_several_buffers_arrives_as_one() {
    let bench = running();
    for number in 0..200 {
        let whole = frame(number, 1500);
        let pieces = whole
            .chunks(100 + number as usize)
            .map(<[u8]>::to_vec)
            .collect();
        let offset = number % 64;
        bench.device.arrive(Arriving {
            pieces,
            offset,
            ..Arriving::default()
        });
    }
    for number in 0..200 {
        let got = bench.seat.wait_receive(PATIENCE).expect("a frame");
        assert_eq!(got.bytes, frame(number, 1500), "frame {number}");
    }
}

#[test]
fn ignored_and_malformed_packets_go_no_further() {
    let bench = bench_without_verifier();
    let ignored = Arriving {
        ignore: true,
        ..Arriving::default()
    };
    let short = Arriving::new(vec![0; 13]);
    let sum_outside = Arriving {
        partial: NetPacketPartialChecksum::partial(59, 16),
        ..Arriving::new(frame(1, 60))
    };
    let no_size = Arriving {
        partial: NetPacketPartialChecksum::partial(34, 16).with_segments(SegmentType::TCPV4, 0, 54),
        ..Arriving::new(frame(1, 60))
    };
    for bad in [ignored, short, sum_outside, no_size] {
        bench.device.arrive(bad);
    }
    bench.device.arrive(Arriving::new(frame(7, 60)));
    let got = bench.seat.wait_receive(PATIENCE).expect("the good frame");
    assert_eq!(got.bytes, frame(7, 60));
    eventually("the counters", || {
        bench.adapter.statistics().total().rx_packets == 1
    });
    let total = bench.adapter.statistics().total();
    assert_eq!((total.rx_ignored, total.rx_dropped), (1, 3));
}

fn bench_without_verifier() -> Bench {
    let mut bench = bench_with(
        AdapterConfig {
            verifier: false,
            ..config()
        },
        1,
    );
    bench.adapter.start().unwrap();
    bench.adapter.io_start().unwrap();
    bench
}

#[test]
fn partial_checksum_facts_reach_the_stack() {
    let bench = running();
    let partial = NetPacketPartialChecksum::partial(34, 16).with_segments(
        SegmentType::TCPV4.with_ecn(),
        1000,
        54,
    );
    let checksum = NetPacketChecksum::default().with_layer4(NetPacketChecksumState::VALID);
    let arriving = Arriving {
        partial,
        checksum,
        ..Arriving::new(frame(1, 1500))
    };
    bench.device.arrive(arriving);
    let got = bench.seat.wait_receive(PATIENCE).expect("a frame");
    assert_eq!((got.partial, got.checksum), (partial, checksum));
}

#[test]
fn large_frame_reaches_the_device_with_its_segment_size() {
    let bench = running();
    let mut bytes = tcp_frame(60_000);
    let pseudo = pseudo_sum_with_length(0x4321, bytes.len() - 34);
    bytes[50..52].copy_from_slice(&pseudo.to_be_bytes());
    let partial = NetPacketPartialChecksum::partial(34, 16).with_segments(
        SegmentType::TCPV4.with_ecn(),
        1448,
        54,
    );
    bench.seat.send(StackFrame {
        partial,
        ..StackFrame::new(bytes.clone())
    });
    eventually("the frame", || bench.device.sent().len() == 1);
    let sent = &bench.device.sent()[0];
    assert_eq!(sent.mss, 1448);
    assert_eq!(sent.layout.layer4_type(), NetPacketLayer4Type::TCP);
    assert_eq!(sent.checksum.layer4(), NetPacketChecksumState::REQUIRED);
    assert_eq!(sent.partial, partial, "with the ECN bit");
    assert_eq!(
        sent.bytes[50..52],
        [0x43, 0x21],
        "the sum without the length"
    );
    bytes[50..52].copy_from_slice(&[0x43, 0x21]);
    assert_eq!(sent.bytes, bytes, "nothing else changed");
}

fn tcp_frame(payload: usize) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    bytes.extend(((40 + payload) as u16).to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([
        0, 80, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
    ]);
    bytes.extend((0..payload).map(|at| at as u8));
    bytes
}

#[test]
fn frame_too_long_or_too_short_is_dropped_and_counted() {
    let bench = running();
    bench.seat.send(StackFrame::new(frame(0, 70_000)));
    bench.seat.send(StackFrame::new(vec![1; 13]));
    bench.seat.send(StackFrame::new(frame(1, 1514)));
    eventually("the good frame", || bench.device.sent().len() == 1);
    assert_eq!(bench.device.sent()[0].bytes, frame(1, 1514));
    assert_eq!(bench.adapter.statistics().total().tx_dropped, 2);
}

#[test]
fn coalesced_frame_of_a_client_that_only_counts_gets_its_facts() {
    let bench = running();
    let rsc = NetPacketRsc {
        coalesced_segment_count: 2,
        duplicate_ack_count: 0,
    };
    bench.device.arrive(Arriving {
        rsc,
        ..Arriving::new(tcp_frame(1400))
    });
    let got = bench.seat.wait_receive(PATIENCE).expect("a frame");
    assert!(got.partial.is_partial());
    assert_eq!(got.partial.segment_type, SegmentType::TCPV4);
    assert_eq!(
        (got.partial.segment_size, got.partial.header_length),
        (700, 54)
    );
}

/// The client keeps its packets; the stack's frames wait; nothing is lost.
#[test]
fn full_tx_ring_holds_the_stack_back_and_goes_on_after_a_late_notification() {
    let bench = running();
    bench.device.hold_tx.store(true, Ordering::SeqCst);
    for number in 0..500 {
        bench.seat.send(StackFrame::new(frame(number, 60)));
    }
    eventually("a full ring", || bench.device.sent().len() == 63);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(
        bench.device.sent().len(),
        63,
        "one element always stays free"
    );
    bench.device.hold_tx.store(false, Ordering::SeqCst);
    bench.device.notify();
    eventually("the rest", || bench.device.sent().len() == 500);
    for (number, sent) in (0..).zip(bench.device.sent()) {
        assert_eq!(sent.bytes, frame(number, 60));
    }
}

#[test]
fn interrupt_of_the_device_wakes_the_queue() {
    let mut bench = bench();
    let interrupt = Arc::new(EventFd::new(EFD_NONBLOCK).unwrap());
    *bench.device.interrupt.lock().unwrap() = Some(interrupt.clone());
    bench.adapter.start().unwrap();
    bench.adapter.io_start().unwrap();
    for number in 0..100 {
        bench
            .device
            .arriving
            .lock()
            .unwrap()
            .push_back(Arriving::new(frame(number, 60)));
        interrupt.write(1).unwrap();
        let got = bench
            .seat
            .wait_receive(PATIENCE)
            .expect("woken by the interrupt");
        assert_eq!(got.bytes, frame(number, 60));
    }
}

#[test]
fn idle_context_sleeps_without_turning() {
    let bench = running();
    let turns = || bench.adapter.statistics().total().polls;
    // It settles, then makes no turn at all.
    let settled = || {
        let before = turns();
        std::thread::sleep(Duration::from_millis(50));
        turns() == before
    };
    eventually("a quiet context", settled);
    let before = turns();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(turns(), before);
}

/// Every notification must be served although most of them meet a context
/// that is just falling asleep.
#[test]
fn no_notification_is_lost_at_the_edge_of_sleep() {
    let bench = running();
    let start = Instant::now();
    for number in 0..20_000_u32 {
        bench.device.arrive(Arriving::new(frame(number, 60)));
        let got = bench.seat.wait_receive(PATIENCE);
        assert_eq!(got.expect("not lost").bytes, frame(number, 60));
        // A pause that grows and shrinks meets the loop at every place.
        for _ in 0..(number * 7) % 300 {
            std::hint::spin_loop();
        }
        if start.elapsed() > Duration::from_secs(20) {
            println!("slow machine: {number} notifications");
            break;
        }
    }
}

#[test]
fn frames_to_send_do_not_starve_under_a_flood_of_received_ones() {
    let bench = running();
    let flood = 20_000;
    {
        let mut arriving = bench.device.arriving.lock().unwrap();
        arriving.extend((0..flood).map(|number| Arriving::new(frame(number, 60))));
    }
    bench.device.notify();
    for number in 0..200 {
        bench.seat.send(StackFrame::new(frame(number, 60)));
    }
    let mut behind = 0;
    eventually("200 frames sent", || {
        while bench.seat.receive().is_some() {}
        behind = bench.device.arriving.lock().unwrap().len();
        bench.device.sent().len() == 200
    });
    println!("{behind} of {flood} frames still to come when the last one was sent");
    eventually("the flood's end", || {
        while bench.seat.receive().is_some() {}
        bench.device.arriving.lock().unwrap().is_empty()
    });
}

/// Has so many frames arrive at once and be taken; the pauses this took.
fn pauses_in_a_flood(pause_after: Option<u32>, flood: u32) -> u64 {
    let mut config = config();
    config.execution.pause_after = pause_after;
    let mut bench = bench_with(config, 1);
    bench.adapter.start().unwrap();
    bench.adapter.io_start().unwrap();
    bench
        .device
        .arriving
        .lock()
        .unwrap()
        .extend((0..flood).map(|number| Arriving::new(frame(number, 60))));
    bench.device.notify();
    let mut taken = 0;
    eventually("the flood's end", || {
        while bench.seat.receive().is_some() {
            taken += 1;
        }
        taken == flood
    });
    bench.adapter.statistics().total().pauses
}

#[test]
fn busy_context_makes_room_once_per_so_many_received_frames() {
    let flood = 4096;
    let pauses = pauses_in_a_flood(Some(128), flood);
    // Sleeping for other reasons starts the count anew.
    assert!((8..=32).contains(&pauses), "{pauses} pauses");
    assert_eq!(pauses_in_a_flood(None, flood), 0);
}

#[test]
fn tick_comes_only_while_it_is_wanted() {
    let bench = running();
    let ticks = || {
        bench
            .device
            .calls()
            .iter()
            .filter(|call| *call == "tick")
            .count()
    };
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(ticks(), 0);
    bench.device.tick_wanted.store(true, Ordering::SeqCst);
    bench.device.notify();
    eventually("two ticks", || ticks() >= 2);
    bench.device.tick_wanted.store(false, Ordering::SeqCst);
    eventually("no tick any more", || {
        let before = ticks();
        std::thread::sleep(Duration::from_millis(1200));
        ticks() == before
    });
}

#[test]
fn pairs_of_queues_work_side_by_side() {
    let mut bench = bench_with(
        AdapterConfig {
            queue_pairs: 3,
            ..config()
        },
        3,
    );
    bench.adapter.start().unwrap();
    bench.adapter.io_start().unwrap();
    for queue in 0..3 {
        for number in 0..100 {
            let frame = StackFrame::new(frame(queue * 1000 + number, 60));
            assert!(bench.seat.send_on(queue as usize, frame));
        }
    }
    eventually("300 frames", || bench.device.sent().len() == 300);
    let statistics = bench.adapter.statistics();
    assert_eq!(statistics.queues.len(), 3);
    for queue in statistics.queues {
        assert_eq!(queue.tx_packets, 100);
    }
}
