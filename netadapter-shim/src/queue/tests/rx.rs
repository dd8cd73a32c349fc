//! What the client receives reaches the stack, or is dropped and counted.

use super::*;

#[test]
fn rx_buffers_no_packet_names_come_back() {
    let mut bench = rx();
    bench.script(|rings| {
        let fragments = rings.fragment_ring();
        let first = fragments.begin_index();
        let used = fragments.advance_index(first, 2);
        fill(rings, used, 9, 0, 60);
        rings.set_packet(rings.packet_ring().begin_index(), NetPacket::new(used, 1));
        let packets = rings.packet_ring();
        packets.set_begin_index(packets.increment_index(packets.begin_index()));
        fragments.set_begin_index(fragments.advance_index(first, 5));
    });
    for turn in 1..100 {
        bench.turn();
        assert_eq!(bench.port.indicated.len(), turn, "no buffer is lost");
    }
    assert_eq!(bench.dropped(), 0);
}

#[test]
fn rx_capacity_beyond_the_buffer_drops_the_frame() {
    let mut bench = rx();
    bench.script(|rings| {
        fill(rings, 0, 1, 0, 60);
        let lie = rings.fragment(0).with_capacity(CAPACITY as u32 + 1);
        rings.set_fragment(0, lie.with_valid_length(CAPACITY as u32 + 1));
        rings.set_packet(0, NetPacket::new(0, 1));
        rings.packet_ring().set_begin_index(1);
        rings.fragment_ring().set_begin_index(1);
    });
    bench.turn();
    assert_eq!((bench.port.indicated.len(), bench.dropped()), (0, 1));
}

#[test]
fn rx_data_beyond_capacity_drops_the_frame() {
    let mut bench = rx();
    bench.script(|rings| {
        let beyond = CAPACITY as u32 - 199;
        let fragment = rings.fragment(0).with_offset(200).with_valid_length(beyond);
        rings.set_fragment(0, fragment);
        rings.set_packet(0, NetPacket::new(0, 1));
        rings.packet_ring().set_begin_index(1);
        rings.fragment_ring().set_begin_index(1);
    });
    bench.turn();
    assert_eq!((bench.port.indicated.len(), bench.dropped()), (0, 1));
}

#[test]
fn rx_offset_in_a_later_fragment_drops_the_frame() {
    for (offset, expected) in [(0, (1, 0)), (1, (0, 1))] {
        let mut bench = rx();
        bench.script(move |rings| {
            fill(rings, 0, 1, 7, 60);
            fill(rings, 1, 2, offset, 60);
            rings.set_packet(0, NetPacket::new(0, 2));
            rings.packet_ring().set_begin_index(1);
            rings.fragment_ring().set_begin_index(2);
        });
        bench.turn();
        assert_eq!(
            (bench.port.indicated.len(), bench.dropped()),
            expected,
            "offset {offset}"
        );
    }
}

#[test]
fn rx_fragments_not_returned_taken_twice_or_out_of_range_drop_the_frame() {
    let cases = [(1, 1), (0, 2), (u32::MAX, 1), (8, 1), (0, 0), (0, u16::MAX)];
    for (index, count) in cases {
        let mut bench = rx();
        bench.script(move |rings| {
            fill(rings, 0, 1, 0, 60);
            rings.set_packet(0, NetPacket::new(index, count));
            rings.packet_ring().set_begin_index(1);
            rings.fragment_ring().set_begin_index(1);
        });
        bench.turn();
        let seen = (bench.port.indicated.len(), bench.dropped());
        assert_eq!(seen, (0, 1), "fragments {index} and {count} from it");
    }
}

#[test]
fn rx_fragments_of_another_packet_or_of_nobody_drop_the_second_frame() {
    // The first packet takes fragment 0 of the two that are returned.
    for (index, count) in [(0, 1), (0, 2), (1, 2)] {
        let mut bench = rx();
        bench.script(move |rings| {
            for fragment in [0, 1] {
                fill(rings, fragment, 1, 0, 60);
            }
            rings.set_packet(0, NetPacket::new(0, 1));
            rings.set_packet(1, NetPacket::new(index, count));
            rings.packet_ring().set_begin_index(2);
            rings.fragment_ring().set_begin_index(2);
        });
        bench.turn();
        let seen = (bench.port.indicated.len(), bench.dropped());
        assert_eq!(seen, (1, 1), "fragments {index} and {count} from it");
    }
}

#[test]
fn rx_posts_zeroed_packets_and_buffers_of_the_stated_capacity() {
    let mut bench = rx();
    bench.script(|rings| {
        let ring = rings.fragment_ring();
        assert_eq!(
            ring.range_count(ring.begin_index(), ring.end_index()),
            ELEMENTS - 1
        );
        for step in 0..ELEMENTS - 1 {
            let index = ring.advance_index(ring.begin_index(), step);
            let fragment = rings.fragment(index);
            assert_eq!(rings.packet(index), NetPacket::default());
            assert_eq!(
                fragment,
                NetFragment::default().with_capacity(CAPACITY as u32)
            );
            assert_eq!(rings.buffer(index).len(), CAPACITY);
        }
        let gap = rings.fragment(ring.end_index());
        assert_eq!(gap, NetFragment::default(), "the gap is not posted");
    });
    bench.turn();
}

#[test]
fn rx_elements_are_as_new_when_they_come_again() {
    let mut bench = rx();
    bench.script(|rings| {
        let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
        let index = packets.begin_index();
        assert_eq!(rings.packet(index), NetPacket::default());
        assert_eq!(rings.partial(index), NetPacketPartialChecksum::default());
        let posted = NetFragment::default().with_capacity(CAPACITY as u32);
        assert_eq!(rings.fragment(index), posted);
        fill(rings, index, 1, 7, 60);
        rings.set_packet(index, NetPacket::new(index, 1).with_scratch(true));
        rings.set_partial(index, NetPacketPartialChecksum::partial(34, 6));
        packets.set_begin_index(packets.increment_index(index));
        fragments.set_begin_index(fragments.increment_index(index));
    });
    for turn in 1..=3 * ELEMENTS as usize {
        bench.turn();
        assert_eq!(bench.port.indicated.len(), turn);
    }
}

#[test]
fn cancelled_rx_gets_nothing_more_and_is_idle_when_both_rings_are_empty() {
    let mut bench = rx();
    bench.turn();
    bench
        .queue
        .cancel(&mut bench.port, &bench.counters)
        .unwrap();
    bench.script(|rings| {
        let ring = rings.packet_ring();
        for step in 0..ring.range_count(ring.begin_index(), ring.end_index()) {
            rings.ignore_packet(ring.advance_index(ring.begin_index(), step));
        }
        ring.set_begin_index(ring.end_index());
    });
    bench.turn();
    assert!(!bench.queue.is_idle(), "fragments are still out");
    bench.script(|rings| {
        let ring = rings.fragment_ring();
        ring.set_begin_index(ring.end_index());
    });
    bench.turn();
    assert!(bench.queue.is_idle());
    assert_eq!(bench.counters.rx_ignored.get(), u64::from(ELEMENTS - 1));
}
