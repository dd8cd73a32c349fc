//! TCP segments that a client gives one by one reach the stack together, and nothing else does.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::abi::SegmentType;

const TRANSPORT: usize = 34;
const HEADERS: usize = 54;

fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    words.sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn pseudo(frame: &[u8], transport: usize) -> u32 {
    sum(&frame[26..34]) + 6 + transport as u32
}

/// A TCP segment from 10.0.0.2 with a right checksum; `port` tells streams apart.
fn segment(port: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0]);
    frame.extend((40 + payload.len() as u16).to_be_bytes());
    frame.extend([0, sequence as u8, 0x40, 0, 64, 6, 0, 0]);
    frame.extend([10, 0, 0, 2, 10, 0, 0, 1]);
    let header = !fold(sum(&frame[14..34]));
    frame[24..26].copy_from_slice(&header.to_be_bytes());
    frame.extend([0, port, 0, 7]);
    frame.extend(sequence.to_be_bytes());
    frame.extend([0, 0, 0, 1, 5 << 4, 0x10, 1, 0, 0, 0, 0, 0]);
    frame.extend(payload);
    let transport = pseudo(&frame, frame.len() - TRANSPORT) + sum(&frame[TRANSPORT..]);
    frame[50..52].copy_from_slice(&(!fold(transport)).to_be_bytes());
    frame
}

/// What the port gets of frames that a client gives in one turn.
fn indicated(coalescing: Coalescing, frames: Vec<Vec<u8>>) -> Port {
    indicated_while(true, coalescing, frames)
}

fn indicated_while(on: bool, coalescing: Coalescing, frames: Vec<Vec<u8>>) -> Port {
    let switch = Arc::new(AtomicBool::new(on));
    let mut bench = Bench::new(Direction::Rx, |client, set| {
        RxQueue::new(client, set).coalescing(coalescing, &switch)
    });
    let count = frames.len() as u32;
    bench.script(move |rings| {
        for (index, frame) in frames.iter().enumerate() {
            let index = index as u32;
            let element = rings.fragment(index).with_offset(0);
            rings.set_fragment(index, element.with_valid_length(frame.len() as u32));
            rings.buffer(index).write_slice(frame, 0).unwrap();
            rings.set_packet(index, NetPacket::new(index, 1));
        }
        rings.packet_ring().set_begin_index(count);
        rings.fragment_ring().set_begin_index(count);
    });
    bench.turn();
    assert_eq!(bench.counters.rx_packets.get(), u64::from(count));
    assert_eq!(bench.dropped(), 0);
    bench.port
}

const BOTH: Coalescing = Coalescing {
    ipv4: true,
    ipv6: true,
};

#[test]
fn segments_of_a_stream_are_one_frame_that_can_be_cut_again() {
    let payloads: [&[u8]; 3] = [&[1; 100], &[2; 100], &[3; 40]];
    let mut sequence = u32::MAX - 50;
    let frames = payloads.map(|payload| {
        let frame = segment(9, sequence, payload);
        sequence = sequence.wrapping_add(payload.len() as u32);
        frame
    });
    let port = indicated(BOTH, frames.to_vec());
    let [frame] = &port.indicated[..] else {
        panic!("{} frames", port.indicated.len());
    };
    assert_eq!(frame[HEADERS..], payloads.concat());
    assert_eq!(frame[16..18], 280u16.to_be_bytes(), "total length");
    assert_eq!(fold(sum(&frame[14..34])), 0xffff, "IPv4 header checksum");
    let pseudo = fold(pseudo(frame, frame.len() - TRANSPORT));
    assert_eq!(frame[50..52], pseudo.to_be_bytes(), "left to the stack");
    let partial = port.partials[0];
    assert!(partial.is_partial() && partial.is_segmented());
    assert_eq!(partial.segment_type, SegmentType::TCPV4);
    let described = (
        partial.segment_size,
        usize::from(partial.header_length),
        usize::from(partial.checksum_start),
    );
    assert_eq!(described, (100, HEADERS, TRANSPORT));
}

#[test]
fn streams_and_gaps_stay_apart_and_in_order() {
    let frames = vec![
        segment(1, 0, &[1; 100]),
        segment(2, 0, &[2; 100]),
        segment(1, 100, &[3; 100]),
        segment(1, 200, &[4; 100]),
        segment(1, 301, &[5; 100]),
    ];
    let port = indicated(BOTH, frames.clone());
    let payloads: Vec<&[u8]> = port.indicated.iter().map(|f| &f[HEADERS..]).collect();
    let joined = [&frames[2][HEADERS..], &frames[3][HEADERS..]].concat();
    let expected: [&[u8]; 4] = [
        &frames[0][HEADERS..],
        &frames[1][HEADERS..],
        &joined,
        &frames[4][HEADERS..],
    ];
    assert_eq!(payloads, expected);
}

#[test]
fn a_wrong_checksum_is_passed_on_as_it_came() {
    let mut wrong = segment(1, 100, &[2; 100]);
    wrong[HEADERS] ^= 1;
    let frames = vec![segment(1, 0, &[1; 100]), wrong.clone()];
    let port = indicated(BOTH, frames);
    assert_eq!(port.indicated.len(), 2);
    assert_eq!(port.indicated[1], wrong);
    assert!(!port.partials[1].is_partial(), "the stack checks it");
}

#[test]
fn nothing_is_joined_where_it_is_not_asked_for() {
    let frames = vec![segment(1, 0, &[1; 100]), segment(1, 100, &[2; 100])];
    for coalescing in [
        Coalescing::default(),
        Coalescing {
            ipv4: false,
            ipv6: true,
        },
    ] {
        let port = indicated(coalescing, frames.clone());
        assert_eq!(port.indicated, frames);
    }
    let switched_off = indicated_while(false, BOTH, frames.clone());
    assert_eq!(switched_off.indicated, frames);
}
