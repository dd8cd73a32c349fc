//! One test per rule: a client that keeps it passes, one that breaks it is
//! named.

use super::*;
use crate::abi::{NetPacketLayer2Type as L2, NetPacketLayer3Type as L3, NetPacketLayer4Type as L4};
use crate::buffer_pool::BufferPool;
use crate::ring::{Extensions, Index};

const ELEMENTS: u32 = 8;

/// Rings whose elements [6, 3) the client owns, wrapping, with fragment
/// buffers of 128 bytes; poisoned as the framework does on Rx.
fn rings(direction: Direction) -> RingSet {
    let pool = BufferPool::new(ELEMENTS, 128, 1).unwrap();
    let mut set = RingSet::new(ELEMENTS, ELEMENTS, Extensions::default(), pool).unwrap();
    for ring in [&set.packets, &set.fragments] {
        ring.store_index(Index::Begin, 6);
        ring.store_index(Index::End, 3);
    }
    for index in [6, 7, 0, 1, 2] {
        let id = set.attach(index).unwrap();
        let view = NetRings::new(&set);
        view.post_fragment(index, id, 0);
        match direction {
            Direction::Rx => {
                Verifier::poison_packet(&set, index);
                Verifier::poison_fragment(&set, index);
            }
            Direction::Tx => view.set_packet(index, NetPacket::new(index, 1)),
        }
    }
    set
}

/// What the verifier says about a call of a client.
fn verdict(
    direction: Direction,
    client: impl FnOnce(&RingSet, NetRings<'_>),
) -> Option<FailureCode> {
    let set = rings(direction);
    let mut verifier = Verifier::default();
    verifier.before(&set);
    client(&set, NetRings::new(&set));
    verifier
        .after(&set, direction)
        .err()
        .map(|violation| violation.code)
}

/// Returns packet 6 in fragments [6, 6 + count), each 60 bytes, and moves
/// both Begins.
fn receive(view: NetRings<'_>, packet: NetPacket) {
    for step in 0..u32::from(packet.fragment_count).clamp(1, 5) {
        let index = view.fragment_ring().advance_index(6, step);
        fill(view, index, 0, 60);
    }
    view.set_packet(6, packet);
    view.packet_ring().set_begin_index(7);
    let returned = u32::from(packet.fragment_count).min(5);
    view.fragment_ring().set_begin_index(6 + returned);
}

fn fill(view: NetRings<'_>, index: u32, offset: u32, length: u32) {
    let fragment = view
        .fragment(index)
        .with_offset(offset)
        .with_valid_length(length);
    view.set_fragment(index, fragment);
}

fn layout(l2: (L2, u32), l3: (L3, u32), l4: (L4, u32)) -> NetPacket {
    NetPacket::new(6, 1).with_layout(NetPacketLayout::new(l2, l3, l4))
}

#[test]
fn honest_clients_pass() {
    assert_eq!(verdict(Direction::Rx, |_, _| ()), None);
    assert_eq!(verdict(Direction::Tx, |_, _| ()), None);
    let received = |_: &RingSet, view: NetRings<'_>| receive(view, NetPacket::new(6, 2));
    assert_eq!(verdict(Direction::Rx, received), None);
    let completed = |_: &RingSet, view: NetRings<'_>| {
        view.set_packet(7, view.packet(7).with_scratch(true));
        view.set_fragment(7, view.fragment(7).with_scratch(true));
        view.packet_ring().set_begin_index(0);
        view.fragment_ring().set_begin_index(0);
    };
    assert_eq!(verdict(Direction::Tx, completed), None);
    let cancelled = |_: &RingSet, view: NetRings<'_>| {
        for index in [6, 7, 0, 1, 2] {
            view.ignore_packet(index);
        }
        view.packet_ring().set_begin_index(3);
        view.fragment_ring().set_begin_index(3);
    };
    assert_eq!(verdict(Direction::Rx, cancelled), None);
}

#[test]
fn changed_head_is_seen() {
    for word in 0..12 {
        let code = verdict(Direction::Tx, |set, _| {
            set.packets.corrupt_head(word, 0x5555)
        });
        assert_eq!(code, Some(FailureCode::InvalidRingImmutable), "word {word}");
    }
    let next = verdict(Direction::Tx, |_, view| {
        view.packet_ring().set_next_index(7)
    });
    assert_eq!(next, None, "NextIndex is the client's");
}

#[test]
fn begin_outside_the_owned_range_is_seen() {
    let expected = Some(FailureCode::InvalidRingBeginIndex);
    for begin in [4, 5] {
        let packets = verdict(Direction::Tx, |_, view| {
            view.packet_ring().set_begin_index(begin)
        });
        assert_eq!(packets, expected);
        let fragments = verdict(Direction::Tx, |_, view| {
            view.fragment_ring().set_begin_index(begin)
        });
        assert_eq!(fragments, expected);
    }
    assert_eq!(
        verdict(Direction::Tx, |set, _| set.packets.corrupt_head(12, 14)),
        expected
    );
}

#[test]
fn written_framework_element_is_seen() {
    let expected = Some(FailureCode::InvalidRingImmutableFrameworkElement);
    let packet = verdict(Direction::Rx, |_, view| {
        view.set_packet(4, NetPacket::new(1, 1))
    });
    assert_eq!(packet, expected);
    let extension = verdict(Direction::Rx, |set, _| {
        set.packets.element(3).store_u8(31, 1)
    });
    assert_eq!(extension, expected);
    let fragment = verdict(Direction::Tx, |_, view| fill(view, 5, 0, 1));
    assert_eq!(fragment, expected);
}

#[test]
fn tx_packet_and_fragment_are_read_only_but_scratch() {
    let packet = verdict(Direction::Tx, |_, view| {
        view.set_packet(0, view.packet(0).with_ignore(true));
    });
    assert_eq!(
        packet,
        Some(FailureCode::InvalidRingImmutableDriverTxPacket)
    );
    let fragment = verdict(Direction::Tx, |_, view| fill(view, 0, 0, 9));
    assert_eq!(
        fragment,
        Some(FailureCode::InvalidRingImmutableDriverTxFragment)
    );
    let address = verdict(Direction::Tx, |set, _| {
        set.fragments.element(0).store_u64(8, 1)
    });
    assert_eq!(
        address,
        Some(FailureCode::InvalidRingImmutableDriverTxFragment)
    );
}

#[test]
fn ignored_rx_packet_must_be_otherwise_untouched() {
    let code = verdict(Direction::Rx, |_, view| {
        view.set_packet(6, NetPacket::new(0, 0).with_ignore(true));
        view.packet_ring().set_begin_index(7);
    });
    assert_eq!(
        code,
        Some(FailureCode::InvalidRingImmutableDriverRxPacketIgnore)
    );
}

#[test]
fn reserved_bits_and_capacity_are_the_frameworks() {
    let reserved = verdict(Direction::Rx, |_, view| {
        let layout = NetPacketLayout([0, 0, 0, 0, 0x10]);
        receive(view, NetPacket::new(6, 1).with_layout(layout));
    });
    assert_eq!(reserved, Some(FailureCode::InvalidRingModifiedRxPacket));
    let capacity = verdict(Direction::Rx, |_, view| {
        view.set_fragment(1, view.fragment(1).with_capacity(127));
    });
    assert_eq!(capacity, Some(FailureCode::InvalidRingModifiedRxFragment));
}

#[test]
fn unwritten_rx_packet_and_fragment_are_seen() {
    let packet = verdict(Direction::Rx, |_, view| {
        view.packet_ring().set_begin_index(7)
    });
    assert_eq!(packet, Some(FailureCode::InvalidRingUnmodifiedRxPacket));
    let layout = verdict(Direction::Rx, |_, view| {
        let kept = view.packet(6).layout;
        receive(view, NetPacket::new(6, 1).with_layout(kept));
    });
    assert_eq!(layout, Some(FailureCode::InvalidRingUnmodifiedRxPacket));
    let offset = verdict(Direction::Rx, |_, view| {
        receive(view, NetPacket::new(6, 1));
        fill(view, 6, NetFragment::MAX_OFFSET, 60);
    });
    assert_eq!(offset, Some(FailureCode::InvalidRingUnmodifiedRxFragment));
}

#[test]
fn fragment_ranges_are_checked() {
    type Code = FailureCode;
    let of = |packet| verdict(Direction::Rx, move |_, view| receive(view, packet));
    let zero = Some(Code::InvalidRingRxPacketFragmentCountZero);
    assert_eq!(of(NetPacket::new(6, 0)), zero);
    let many = Some(Code::InvalidRingRxPacketFragmentCountOutOfRange);
    assert_eq!(of(NetPacket::new(6, 6)), many);
    let foreign = Some(Code::InvalidRingRxPacketFragmentIndexOutOfPreRange);
    assert_eq!(of(NetPacket::new(4, 1)), foreign);
    assert_eq!(of(NetPacket::new(14, 1)), foreign, "not masked");
    let beyond = Some(Code::InvalidRingRxPacketFragmentCountOutOfPreRange);
    assert_eq!(of(NetPacket::new(1, 4)), beyond);
    let kept = Some(Code::InvalidRingRxPacketFragmentIndexOutOfPostRange);
    assert_eq!(of(NetPacket::new(0, 1)), kept);
    let half = Some(Code::InvalidRingRxPacketFragmentCountOutOfPostRange);
    assert_eq!(of(NetPacket::new(7, 2)), half);
}

#[test]
fn overlapping_packets_are_seen() {
    let code = verdict(Direction::Rx, |_, view| {
        receive(view, NetPacket::new(6, 1));
        fill(view, 7, 0, 60);
        view.set_packet(7, NetPacket::new(6, 1));
        view.packet_ring().set_begin_index(0);
        view.fragment_ring().set_begin_index(0);
    });
    assert_eq!(
        code,
        Some(FailureCode::InvalidRingRxPacketFragmentIndexOverlap)
    );
}

#[test]
fn packets_that_share_their_border_fragment_are_seen() {
    let code = verdict(Direction::Rx, |_, view| {
        receive(view, NetPacket::new(6, 2));
        fill(view, 0, 0, 60);
        view.set_packet(7, NetPacket::new(7, 2));
        view.packet_ring().set_begin_index(0);
        view.fragment_ring().set_begin_index(1);
    });
    assert_eq!(
        code,
        Some(FailureCode::InvalidRingRxPacketFragmentCountOverlap)
    );
}

#[test]
fn data_beyond_the_buffer_is_seen() {
    let with = |offset, length| {
        verdict(Direction::Rx, move |_, view| {
            receive(view, NetPacket::new(6, 1));
            fill(view, 6, offset, length);
        })
    };
    assert_eq!(with(28, 100), None);
    let offset = Some(FailureCode::InvalidRingRxPacketFragmentOffsetInvalid);
    assert_eq!(with(129, 0), offset);
    let length = Some(FailureCode::InvalidRingRxPacketFragmentLengthInvalid);
    assert_eq!(with(28, 101), length);
}

#[test]
fn impossible_layouts_are_seen() {
    type Code = FailureCode;
    let none = (
        (L2::UNSPECIFIED, 0),
        (L3::UNSPECIFIED, 0),
        (L4::UNSPECIFIED, 0),
    );
    let of = |l2, l3, l4| {
        verdict(Direction::Rx, move |_, view| {
            receive(view, layout(l2, l3, l4))
        })
    };
    let good = (
        (L2::ETHERNET, 18),
        (L3::IPV4_WITH_OPTIONS, 24),
        (L4::TCP, 60),
    );
    assert_eq!(of(good.0, good.1, good.2), None);
    let l2_type = Some(Code::InvalidRingRxPacketLayer2Type);
    assert_eq!(of((L2(4), 0), none.1, none.2), l2_type);
    let l3_type = Some(Code::InvalidRingRxPacketLayer3Type);
    assert_eq!(of(none.0, (L3(7), 0), none.2), l3_type);
    let l4_type = Some(Code::InvalidRingRxPacketLayer4Type);
    assert_eq!(of(none.0, none.1, (L4(5), 0)), l4_type);
    let null = Some(Code::InvalidRingRxPacketLayer2TypeNullLengthNonZero);
    assert_eq!(of((L2::NULL, 14), none.1, none.2), null);
    assert_eq!(of((L2::NULL, 0), none.1, none.2), None);
    let ethernet = Some(Code::InvalidRingRxPacketLayer2TypeEthernetLengthInvalid);
    assert_eq!(of((L2::ETHERNET, 13), none.1, none.2), ethernet);
    let ipv4 = Some(Code::InvalidRingRxPacketLayer3TypeIPv4LengthInvalid);
    assert_eq!(of(none.0, (L3::IPV4_NO_OPTIONS, 19), none.2), ipv4);
    let ipv6 = Some(Code::InvalidRingRxPacketLayer3TypeIPv6LengthInvalid);
    assert_eq!(of(none.0, (L3::IPV6_NO_EXTENSIONS, 39), none.2), ipv6);
    let tcp = Some(Code::InvalidRingRxPacketLayer4TypeTcpLengthInvalid);
    for length in [19, 22, 64] {
        assert_eq!(of(none.0, none.1, (L4::TCP, length)), tcp, "{length}");
    }
    let udp = Some(Code::InvalidRingRxPacketLayer4TypeUdpLengthInvalid);
    assert_eq!(of(none.0, none.1, (L4::UDP, 7)), udp);
}
