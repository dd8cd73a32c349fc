//! Clients that take and give as chance will have it lose nothing and mix nothing up.

use super::*;

/// A client that takes and completes at random: every frame passes once, in
/// order, over many turns of the rings.
#[test]
fn tx_random_client_passes_every_frame_once_in_order() {
    let mut random = Random::from_env();
    let mut bench = tx();
    let (taken, state) = (Arc::new(Mutex::new(Vec::new())), random.next());
    let log = taken.clone();
    let mut client = Random::from_seed(state);
    bench.script(move |rings| random_tx(rings, &mut client, &mut log.lock().unwrap()));
    let mut sent = Vec::new();
    for _ in 0..20_000 {
        for _ in 0..random.below(4) {
            let number = sent.len() as u8;
            sent.push(number);
            bench.port.sending.push_back(frame(number));
        }
        bench
            .turn()
            .unwrap_or_else(|fault| panic!("{random}: {fault}"));
    }
    let waiting = bench.port.sending.len();
    let taken = taken.lock().unwrap();
    let behind = sent.len() - waiting - taken.len();
    assert!(
        behind < ELEMENTS as usize,
        "{random}: {behind} neither waiting nor taken"
    );
    assert_eq!(taken[..], sent[..taken.len()], "{random}");
}

/// Takes some new packets and completes some old ones.
fn random_tx(rings: &NetRings<'_>, random: &mut Random, taken: &mut Vec<u8>) {
    let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
    let fresh = packets.range_count(packets.next_index(), packets.end_index());
    for _ in 0..random.below(fresh + 1) {
        let index = packets.next_index();
        let packet = rings.packet(index);
        let mut byte = [0];
        rings
            .buffer(packet.fragment_index)
            .read_slice(&mut byte, 20)
            .unwrap();
        taken.push(byte[0]);
        packets.set_next_index(packets.increment_index(index));
    }
    let pending = packets.range_count(packets.begin_index(), packets.next_index());
    for _ in 0..random.below(pending + 1) {
        let index = packets.begin_index();
        let packet = rings.packet(index);
        let behind = u32::from(packet.fragment_count);
        fragments.set_begin_index(fragments.advance_index(packet.fragment_index, behind));
        packets.set_begin_index(packets.increment_index(index));
    }
}

/// A client that receives frames of one to three buffers, skips buffers and
/// ignores packets at random: what it sent is what the port sees.
#[test]
fn rx_random_client_passes_every_frame_once_in_order() {
    let mut random = Random::from_env();
    let mut bench = rx();
    let received = Arc::new(Mutex::new(Vec::new()));
    let log = received.clone();
    let mut client = Random::from_seed(random.next());
    bench.script(move |rings| random_rx(rings, &mut client, &mut log.lock().unwrap()));
    for _ in 0..20_000 {
        bench.turn();
    }
    assert!(
        bench.port.indicated == *received.lock().unwrap(),
        "{random}"
    );
    assert_eq!(bench.dropped(), 0, "{random}");
}

fn random_rx(rings: &NetRings<'_>, random: &mut Random, log: &mut Vec<Vec<u8>>) {
    let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
    for _ in 0..random.below(4) {
        let index = packets.begin_index();
        let first = fragments.advance_index(fragments.begin_index(), random.below(2));
        let count = 1 + random.below(3);
        let room = fragments.range_count(first, fragments.end_index());
        let owned = fragments.range_count(fragments.begin_index(), fragments.end_index());
        if index == packets.end_index() || room < count || owned == 0 || room > owned {
            return;
        }
        if random.below(5) == 0 {
            rings.ignore_packet(index);
        } else {
            log.push(random_frame(rings, random, first, count));
            rings.set_packet(index, NetPacket::new(first, count as u16));
            fragments.set_begin_index(fragments.advance_index(first, count));
        }
        packets.set_begin_index(packets.increment_index(index));
    }
}

fn random_frame(rings: &NetRings<'_>, random: &mut Random, first: u32, count: u32) -> Vec<u8> {
    let mut whole = Vec::new();
    for step in 0..count {
        let at = rings.fragment_ring().advance_index(first, step);
        let (byte, length) = (random.next() as u8, 20 + random.below(200));
        let offset = if step == 0 { random.below(30) } else { 0 };
        fill(rings, at, byte, offset, length);
        whole.extend(std::iter::repeat_n(byte, length as usize));
    }
    whole
}
