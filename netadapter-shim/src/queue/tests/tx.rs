//! What is sent goes through the client and comes back.

use super::*;
use crate::abi::NetPacketLayer2Type;

#[test]
fn tx_packets_alone_do_not_free_buffers() {
    let mut bench = tx();
    bench.port.sending.extend((0..20).map(frame));
    bench.script(|rings| {
        let ring = rings.packet_ring();
        ring.set_begin_index(ring.end_index());
    });
    for _ in 0..5 {
        bench.turn().unwrap();
    }
    assert_eq!(
        bench.port.sending.len(),
        20 - 7,
        "fragment Begin never moved"
    );
    bench.script(|rings| {
        for ring in [rings.packet_ring(), rings.fragment_ring()] {
            ring.set_begin_index(ring.end_index());
        }
    });
    bench.queue.cancel().unwrap();
    assert_eq!(bench.queue.owned(), (0, 7));
}

#[test]
fn tx_element_is_zero_again_after_completion() {
    let mut bench = tx();
    bench.port.sending.push_back(frame(1));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    bench.script(move |rings| {
        let states = [0, 1].map(|index| rings.packet(index));
        log.lock().unwrap().push(states);
        for ring in [rings.packet_ring(), rings.fragment_ring()] {
            ring.set_begin_index(ring.end_index());
        }
    });
    bench.turn().unwrap();
    bench.port.sending.push_back(frame(2));
    bench.turn().unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0][0].fragment_count, 1);
    assert_eq!(
        seen[1][0],
        NetPacket::default(),
        "zeroed before it is posted again"
    );
    assert_eq!(seen[1][1].fragment_index, 1);
}

#[test]
fn tx_is_advanced_and_armed_only_with_packets() {
    let mut bench = tx();
    let advances = Arc::new(Mutex::new(0));
    let count = advances.clone();
    bench.script(move |_| *count.lock().unwrap() += 1);
    bench.turn().unwrap();
    bench.queue.arm();
    assert_eq!(
        (*advances.lock().unwrap(), *bench.armed.lock().unwrap()),
        (0, 0)
    );
    bench.port.sending.push_back(frame(1));
    bench.turn().unwrap();
    bench.queue.arm();
    assert_eq!(
        (*advances.lock().unwrap(), *bench.armed.lock().unwrap()),
        (1, 1)
    );
}

#[test]
fn tx_begin_beyond_end_is_a_fault() {
    let mut bench = tx();
    bench.port.sending.push_back(frame(1));
    bench.script(|rings| rings.packet_ring().set_begin_index(2));
    let fault = bench.turn().unwrap_err();
    assert_eq!(fault.failure_code(), FailureCode::InvalidRingBeginIndex);
}

#[test]
fn tx_requests_do_not_outlive_their_frame() {
    let mut bench = tx();
    let turns = 3 * ELEMENTS as u8;
    bench.port.sending.extend((0..turns).map(frame));
    bench.script(|rings| {
        let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
        let index = packets.begin_index();
        let none = NetPacketPartialChecksum::default();
        assert_eq!(rings.partial(index), none, "of the frame before");
        rings.set_partial(index, NetPacketPartialChecksum::partial(34, 6));
        packets.set_begin_index(packets.increment_index(index));
        fragments.set_begin_index(fragments.increment_index(index));
    });
    for _ in 0..turns {
        bench.turn().unwrap();
    }
    assert!(bench.port.sending.is_empty());
}

#[test]
fn tx_takes_no_more_bytes_in_a_turn_than_stay_in_a_cache() {
    let mut bench = tx();
    let large = vec![1; CAPACITY];
    let in_cache = (256_usize << 10).div_ceil(CAPACITY);
    bench.port.sending = vec![large; ELEMENTS as usize - 1].into();
    bench.turn().unwrap();
    assert_eq!(bench.queue.owned().0 as usize, in_cache);
    bench.turn().unwrap();
    assert_eq!(bench.queue.owned().0 as usize, 2 * in_cache);
}

#[test]
fn tx_layout_of_a_frame_that_asks_for_nothing_is_told_unless_it_is_of_no_use() {
    let layer2 = |rings: &NetRings<'_>| rings.packet(0).layout.layer2_type();
    for (unread, told) in [
        (false, NetPacketLayer2Type::ETHERNET),
        (true, NetPacketLayer2Type::UNSPECIFIED),
    ] {
        let coverage = TxCoverage {
            unread,
            ..TxCoverage::default()
        };
        let mut bench = Bench::new(Direction::Tx, |client, set| {
            TxQueue::new(client, set, coverage)
        });
        bench.port.sending.push_back(frame(1));
        let seen = Arc::new(Mutex::new(None));
        let found = Arc::clone(&seen);
        bench.script(move |rings| *found.lock().unwrap() = Some(layer2(rings)));
        bench.turn().unwrap();
        assert_eq!(*seen.lock().unwrap(), Some(told));
    }
}
