//! Plans, sums and descriptions against plain arithmetic.

use super::*;
use crate::frame_layout::tests::{ethernet, ipv4_packet, ipv6_packet, tcp_segment};
use crate::test_random::Random;

const ALL: Covered = Covered {
    tcp: Flags3(0xf),
    udp: Flags3(0xf),
    layer4: Flags4(7),
    offset_limit: 0,
};

fn plan(frame: &[u8], partial: NetPacketPartialChecksum, covered: Covered) -> TxPlan {
    let segments = Segmentation {
        covered,
        maximum_size: 65_535,
        minimum_count: 1,
    };
    plan_tx(frame, frame.len(), parse(frame), partial, covered, segments)
}

/// Subtracting what was added gives the same sum, for every sum and a
/// spread of lengths; the two zeros of one's complement count as equal.
#[test]
fn pseudo_sum_conventions_are_inverse() {
    for sum in 0..=0xffff_u16 {
        for length in [8, 20, 1448, 65_515, 65_535, 65_536, 131_070, 200_000] {
            let bare = pseudo_sum_without_length(sum, length);
            let back = pseudo_sum_with_length(bare, length);
            assert_eq!(
                u32::from(back) % 0xffff,
                u32::from(sum) % 0xffff,
                "{sum} {length}"
            );
        }
    }
}

#[test]
fn pseudo_sum_without_length_is_the_sum_of_the_rest() {
    let random = &mut Random::from_env();
    for _ in 0..1000 {
        let addresses: Vec<u8> = (0..8).map(|_| random.next() as u8).collect();
        let length = random.below(65_000) as usize + 20;
        let linux = fold(sum_words(&addresses) + 6 + length as u64);
        let microsoft = fold(sum_words(&addresses) + 6);
        let got = pseudo_sum_without_length(linux, length);
        assert_eq!(
            u32::from(got) % 0xffff,
            u32::from(microsoft) % 0xffff,
            "{random}"
        );
    }
}

#[test]
fn standard_partial_checksum_is_left_to_the_client() {
    let frame = ethernet(&[], 0x0800, &ipv4_packet(6, 0, 0, &tcp_segment(0, b"x")));
    let plan = plan(&frame, NetPacketPartialChecksum::partial(34, 16), ALL);
    let TxPlan::Describe {
        checksum,
        gso,
        patch,
    } = plan
    else {
        panic!("{plan:?}");
    };
    assert_eq!(checksum.layer4(), NetPacketChecksumState::REQUIRED);
    assert_eq!(checksum.layer3(), NetPacketChecksumState::PASSTHROUGH);
    assert_eq!((gso.mss(), patch), (0, None));
}

#[test]
fn checksum_inside_a_tunnel_or_not_covered_is_completed_here() {
    let frame = ethernet(&[], 0x0800, &ipv4_packet(17, 0, 0, &[0; 60]));
    let inner = NetPacketPartialChecksum::partial(60, 16);
    assert_eq!(plan(&frame, inner, ALL), TxPlan::Complete);
    let outer = NetPacketPartialChecksum::partial(34, 6);
    let tcp_only = Covered {
        layer4: Flags4::TCP_NO_OPTIONS,
        ..ALL
    };
    assert_eq!(plan(&frame, outer, tcp_only), TxPlan::Complete);
    assert_ne!(plan(&frame, outer, ALL), TxPlan::Complete);
    let none_under_udp = Covered {
        udp: Flags3::IPV6_NO_EXTENSIONS,
        ..ALL
    };
    assert_eq!(plan(&frame, outer, none_under_udp), TxPlan::Complete);
    let none_under_tcp = Covered {
        tcp: Flags3::IPV6_NO_EXTENSIONS,
        ..ALL
    };
    assert_ne!(plan(&frame, outer, none_under_tcp), TxPlan::Complete);
}

#[test]
fn large_frame_gets_its_segment_size_and_a_sum_without_length() {
    let mut segment = tcp_segment(12, &[7; 4000]);
    let length = segment.len();
    segment[16..18].copy_from_slice(&pseudo_sum_with_length(0x1234, length).to_be_bytes());
    let frame = ethernet(&[], 0x0800, &ipv4_packet(6, 0, 0, &segment));
    let partial =
        NetPacketPartialChecksum::partial(34, 16).with_segments(SegmentType::TCPV4, 1448, 66);
    let plan = plan(&frame, partial, ALL);
    let TxPlan::Describe {
        checksum,
        gso,
        patch,
    } = plan
    else {
        panic!("{plan:?}");
    };
    assert_eq!(checksum.layer3(), NetPacketChecksumState::REQUIRED);
    assert_eq!(gso.mss(), 1448);
    assert_eq!(
        patch,
        Some(Patch {
            offset: 50,
            bytes: [0x12, 0x34]
        })
    );
}

#[test]
fn large_frame_beyond_what_the_client_takes_is_cut_here() {
    let frame = ethernet(
        &[],
        0x0800,
        &ipv4_packet(6, 0, 0, &tcp_segment(0, &[7; 3000])),
    );
    let partial =
        NetPacketPartialChecksum::partial(34, 16).with_segments(SegmentType::TCPV4, 1000, 54);
    let with = |covered, maximum_size, minimum_count| {
        let segments = Segmentation {
            covered,
            maximum_size,
            minimum_count,
        };
        plan_tx(&frame, frame.len(), parse(&frame), partial, ALL, segments)
    };
    assert!(matches!(with(ALL, 3000, 3), TxPlan::Describe { .. }));
    assert_eq!(with(ALL, 2999, 3), TxPlan::Segment, "too long");
    assert_eq!(with(ALL, 3000, 4), TxPlan::Segment, "too few");
    let near = Covered {
        offset_limit: 33,
        ..ALL
    };
    assert_eq!(with(near, 3000, 3), TxPlan::Segment, "too deep");
    assert_eq!(
        with(Covered::default(), 3000, 3),
        TxPlan::Segment,
        "not covered"
    );
}

#[test]
fn large_frame_of_another_kind_than_it_claims_is_dropped() {
    let frame = ethernet(
        &[],
        0x0800,
        &ipv4_packet(6, 0, 0, &tcp_segment(0, &[7; 4000])),
    );
    let claim =
        |kind, size| NetPacketPartialChecksum::partial(34, 16).with_segments(kind, size, 54);
    assert_eq!(
        plan(&frame, claim(SegmentType::TCPV6, 1000), ALL),
        TxPlan::Drop
    );
    assert_eq!(
        plan(&frame, claim(SegmentType::UDP, 1000), ALL),
        TxPlan::Drop
    );
    assert_eq!(plan(&frame, claim(SegmentType(7), 1000), ALL), TxPlan::Drop);
    assert_eq!(
        plan(&frame, claim(SegmentType::TCPV4, 0), ALL),
        TxPlan::Drop
    );
    let good = plan(&frame, claim(SegmentType::TCPV4.with_ecn(), 1000), ALL);
    assert!(matches!(good, TxPlan::Describe { .. }), "{good:?}");
}

/// A completed checksum verifies: the sum over pseudo-header and segment
/// is all ones.
#[test]
fn completed_checksum_verifies() {
    let random = &mut Random::from_env();
    for _ in 0..500 {
        let payload: Vec<u8> = (0..random.below(1400))
            .map(|_| random.next() as u8)
            .collect();
        let mut segment = tcp_segment(0, &payload);
        let base = fold(sum_words(&[10, 0, 0, 1, 10, 0, 0, 2]) + 6 + segment.len() as u64);
        segment[16..18].copy_from_slice(&base.to_be_bytes());
        let mut frame = ethernet(&[], 0x0800, &ipv4_packet(6, 0, 0, &segment));
        let partial = NetPacketPartialChecksum::partial(34, 16);
        let patch = complete(VolatileSlice::from(&mut frame[..]), partial).unwrap();
        frame[patch.offset..patch.offset + 2].copy_from_slice(&patch.bytes);
        let pseudo = sum_words(&[10, 0, 0, 1, 10, 0, 0, 2]) + 6 + segment.len() as u64;
        assert_eq!(fold(pseudo + sum_words(&frame[34..])), 0xffff, "{random}");
    }
}

#[test]
fn checksum_field_beyond_the_frame_is_refused() {
    let mut frame = [0; 51];
    let partial = NetPacketPartialChecksum::partial(34, 16);
    assert_eq!(complete(VolatileSlice::from(&mut frame[..]), partial), None);
}

#[test]
fn coalesced_tcp_gets_size_kind_and_pseudo_sum() {
    let segment = tcp_segment(0, &[1; 3000]);
    let frame = ethernet(&[], 0x86dd, &ipv6_packet(6, &segment));
    let rsc = NetPacketRsc {
        coalesced_segment_count: 3,
        duplicate_ack_count: 0,
    };
    let (partial, patch) = describe_coalesced(&frame, frame.len(), rsc).unwrap();
    assert_eq!(partial.segment_type, SegmentType::TCPV6);
    assert_eq!((partial.segment_size, partial.header_length), (1000, 74));
    assert_eq!((partial.checksum_start, patch.offset), (54, 70));
    let addresses = &frame[22..54];
    let expected = fold(sum_words(addresses) + 6 + segment.len() as u64);
    assert_eq!(patch.bytes, expected.to_be_bytes());
}

#[test]
fn valid_checksum_becomes_one_the_stack_does_not_check() {
    let segment = tcp_segment(0, b"hello");
    let mut frame = ethernet(&[], 0x0800, &ipv4_packet(6, 0, 0, &segment));
    let real = frame.len();
    frame.resize(real + 9, 0);
    let (partial, patch) = describe_valid(&frame).unwrap();
    assert_eq!(partial, NetPacketPartialChecksum::partial(34, 16));
    let expected = fold(sum_words(&frame[26..34]) + 6 + segment.len() as u64);
    assert_eq!((patch.offset, patch.bytes), (50, expected.to_be_bytes()));
}

#[test]
fn there_is_nothing_to_call_valid_without_a_transport_checksum() {
    let udp = ethernet(&[], 0x0800, &ipv4_packet(17, 0, 0, &[0; 60]));
    assert_eq!(describe_valid(&udp), None, "UDP without a checksum");
    let arp = ethernet(&[], 0x0806, &[0; 60]);
    assert_eq!(describe_valid(&arp), None);
}

#[test]
fn coalesced_frame_without_transport_header_is_refused() {
    let rsc = NetPacketRsc {
        coalesced_segment_count: 3,
        duplicate_ack_count: 0,
    };
    let arp = ethernet(&[], 0x0806, &[0; 40]);
    assert_eq!(describe_coalesced(&arp, arp.len(), rsc), None);
    let udp = ethernet(&[], 0x0800, &ipv4_packet(17, 0, 0, &[0; 60]));
    assert_eq!(
        describe_coalesced(&udp, udp.len(), rsc),
        None,
        "UDP needs a size"
    );
}
