//! Both halves of the framework's queues against clients that are scripts.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};

use vm_memory::Bytes;

mod coalescing;

use super::*;
use crate::abi::{NetFragment, NetPacket, NetPacketPartialChecksum};
use crate::buffer_pool::{BufferPool, SystemBuffer};
use crate::offload::Covered;
use crate::port::{PortQueue, RxFrame, TxFrame};
use crate::ring::RingSet;
use crate::stats::Counters;
use crate::test_random::Random;

const ELEMENTS: u32 = 8;
const CAPACITY: usize = 256;

/// What a client does in one Advance.
type Script = Box<dyn FnMut(&NetRings<'_>) + Send>;

struct Scripted {
    script: Arc<Mutex<Script>>,
    armed: Arc<Mutex<u32>>,
}

impl PacketQueue for Scripted {
    fn advance(&mut self, rings: &NetRings<'_>) {
        (self.script.lock().unwrap())(rings);
    }

    fn set_notification_enabled(&mut self, enabled: bool) {
        assert!(enabled);
        *self.armed.lock().unwrap() += 1;
    }

    fn cancel(&mut self, _rings: &NetRings<'_>) {}
}

/// Frames to send, and frames indicated.
#[derive(Default)]
struct Port {
    sending: VecDeque<Vec<u8>>,
    indicated: Vec<Vec<u8>>,
    partials: Vec<NetPacketPartialChecksum>,
}

impl PortQueue for Port {
    fn poll_fd(&self) -> Option<RawFd> {
        None
    }

    fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        let Some(frame) = self.sending.pop_front() else {
            return Ok(None);
        };
        buffer.frame().write_slice(&frame, 0).unwrap();
        Ok(Some(TxFrame {
            length: frame.len(),
            ..TxFrame::default()
        }))
    }

    fn indicate(&mut self, frame: &RxFrame<'_>) -> io::Result<()> {
        let mut bytes = vec![0; frame.length()];
        assert_eq!(frame.copy_to(&mut bytes), frame.length());
        self.indicated.push(bytes);
        self.partials.push(frame.partial());
        Ok(())
    }
}

/// One queue, its client's script, a port and counters.
struct Bench<Q> {
    queue: Q,
    script: Arc<Mutex<Script>>,
    armed: Arc<Mutex<u32>>,
    port: Port,
    counters: Counters,
}

impl<Q> Bench<Q> {
    fn new(direction: Direction, build: impl FnOnce(ClientHalf, RingSet) -> Q) -> Self {
        Self::watched(direction, false, build)
    }

    fn watched(
        direction: Direction,
        verify: bool,
        build: impl FnOnce(ClientHalf, RingSet) -> Q,
    ) -> Self {
        let nothing: Script = Box::new(|_| ());
        let script = Arc::new(Mutex::new(nothing));
        let armed = Arc::new(Mutex::new(0));
        let client = Scripted {
            script: script.clone(),
            armed: armed.clone(),
        };
        let half = ClientHalf::new(Box::new(client), direction, verify);
        let pool = BufferPool::new(ELEMENTS, CAPACITY, 1).unwrap();
        let set = RingSet::new(ELEMENTS, ELEMENTS, Extensions::default(), pool).unwrap();
        Self {
            queue: build(half, set),
            script,
            armed,
            port: Port::default(),
            counters: Counters::default(),
        }
    }

    fn script(&mut self, script: impl FnMut(&NetRings<'_>) + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }
}

fn tx() -> Bench<TxQueue> {
    let coverage = TxCoverage {
        checksum: Covered::default(),
        ..TxCoverage::default()
    };
    Bench::new(Direction::Tx, |client, set| {
        TxQueue::new(client, set, coverage)
    })
}

fn rx() -> Bench<RxQueue> {
    Bench::new(Direction::Rx, RxQueue::new)
}

impl Bench<TxQueue> {
    /// One turn; the port is asked.
    fn turn(&mut self) -> Result<u32, QueueFault> {
        let mut ready = true;
        self.queue
            .turn(&mut self.port, &mut ready, 64, &self.counters)
    }
}

impl Bench<RxQueue> {
    fn turn(&mut self) -> u32 {
        let turn = self.queue.turn(&mut self.port, &self.counters);
        turn.expect("no fault").work
    }

    fn dropped(&self) -> u64 {
        self.counters.rx_dropped.get()
    }
}

fn frame(number: u8) -> Vec<u8> {
    vec![number; 60]
}

/// Fills a fragment with `length` bytes of `byte`.
fn fill(rings: &NetRings<'_>, index: u32, byte: u8, offset: u32, length: u32) {
    let bytes = vec![byte; length as usize];
    rings
        .buffer(index)
        .write_slice(&bytes, offset as usize)
        .unwrap();
    let fragment = rings.fragment(index).with_offset(offset);
    rings.set_fragment(index, fragment.with_valid_length(length));
}

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
        let fragment = rings.fragment(0).with_offset(200).with_valid_length(57);
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

/// A pair over a port that can be waited for, with frames it may send; the
/// scripts of its Tx and Rx client.
struct PairBench {
    pair: QueuePair,
    sending: Arc<Mutex<VecDeque<Vec<u8>>>>,
    tx: Arc<Mutex<Script>>,
    rx: Arc<Mutex<Script>>,
}

/// Pretends to have a descriptor, as a TAP does.
struct WaitablePort(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl PortQueue for WaitablePort {
    fn poll_fd(&self) -> Option<RawFd> {
        Some(0)
    }

    fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        let sending = std::mem::take(&mut *self.0.lock().unwrap());
        let mut port = Port {
            sending,
            ..Port::default()
        };
        let frame = port.transmit(buffer);
        *self.0.lock().unwrap() = port.sending;
        frame
    }

    fn indicate(&mut self, _frame: &RxFrame<'_>) -> io::Result<()> {
        Ok(())
    }
}

fn pair() -> PairBench {
    let mut bench = stopped_pair();
    bench.pair.start(Direction::Tx);
    bench.pair.start(Direction::Rx);
    bench.pair.open();
    bench
}

fn stopped_pair() -> PairBench {
    let (tx, rx, sending) = (tx(), rx(), Arc::default());
    let port = Box::new(WaitablePort(Arc::clone(&sending)));
    let pair = QueuePair::new(
        Queues {
            tx: Some(tx.queue),
            rx: Some(rx.queue),
            sorter: None,
        },
        port,
        Arc::default(),
        64,
    );
    PairBench {
        pair,
        sending,
        tx: tx.script,
        rx: rx.script,
    }
}

fn return_all(rings: &NetRings<'_>) {
    for ring in [rings.packet_ring(), rings.fragment_ring()] {
        ring.set_begin_index(ring.end_index());
    }
}

/// Receives one frame.
fn receive_one(rings: &NetRings<'_>) {
    let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
    let (index, first) = (packets.begin_index(), fragments.begin_index());
    fill(rings, first, 1, 0, 60);
    rings.set_packet(index, NetPacket::new(first, 1));
    packets.set_begin_index(packets.increment_index(index));
    fragments.set_begin_index(fragments.increment_index(first));
}

#[test]
fn port_is_looked_at_while_frames_keep_arriving() {
    let mut bench = pair();
    *bench.tx.lock().unwrap() = Box::new(return_all);
    *bench.rx.lock().unwrap() = Box::new(receive_one);
    bench.pair.turn(); // finds nothing to send
    for _ in 0..20 {
        bench.sending.lock().unwrap().push_back(frame(1));
        let turns = (1..=80).find(|_| {
            bench.pair.turn();
            bench.sending.lock().unwrap().is_empty()
        });
        assert!(
            turns.is_some_and(|turns| turns <= 32),
            "after {turns:?} turns"
        );
    }
}

/// A client that gives back what it is sent needs buffers for it.
#[test]
fn nothing_is_sent_before_receive_buffers_are_there() {
    let mut bench = stopped_pair();
    let (posted, sent) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let (count_posted, count_sent) = (posted.clone(), sent.clone());
    *bench.rx.lock().unwrap() = Box::new(move |rings| {
        *count_posted.lock().unwrap() = rings.fragment_ring().end_index();
    });
    *bench.tx.lock().unwrap() = Box::new(move |rings| {
        *count_sent.lock().unwrap() += 1;
        return_all(rings);
    });
    bench.sending.lock().unwrap().push_back(frame(1));
    bench.pair.start(Direction::Tx);
    bench.pair.turn();
    assert_eq!(*posted.lock().unwrap(), 0);
    bench.pair.start(Direction::Rx);
    assert_eq!(*posted.lock().unwrap(), ELEMENTS - 1, "with the start");
    bench.pair.turn();
    assert_eq!(*sent.lock().unwrap(), 0, "other queues may not be started");
    bench.pair.open();
    bench.pair.turn();
    assert_eq!(*sent.lock().unwrap(), 1);
}

#[test]
fn queue_that_broke_the_contract_is_never_called_again() {
    let mut bench = pair();
    let calls = Arc::new(Mutex::new(0));
    let count = calls.clone();
    *bench.tx.lock().unwrap() = Box::new(move |rings| {
        *count.lock().unwrap() += 1;
        rings.packet_ring().set_begin_index(5);
    });
    bench.sending.lock().unwrap().push_back(frame(1));
    for _ in 0..10 {
        bench.pair.turn();
        bench.pair.arm();
    }
    assert_eq!(*calls.lock().unwrap(), 1);
    let fault = bench.pair.take_fault().expect("reported");
    assert_eq!(fault.failure_code(), FailureCode::InvalidRingBeginIndex);
    assert_eq!(bench.pair.take_fault(), None, "reported once");
}

fn verified_rx() -> Bench<RxQueue> {
    Bench::watched(Direction::Rx, true, RxQueue::new)
}

fn verified_tx(coverage: TxCoverage) -> Bench<TxQueue> {
    Bench::watched(Direction::Tx, true, |client, set| {
        TxQueue::new(client, set, coverage)
    })
}

/// Gives back all packets, ignored, and all fragments.
fn give_all_back(rings: &NetRings<'_>) {
    let ring = rings.packet_ring();
    let mut index = ring.begin_index();
    while index != ring.end_index() {
        rings.ignore_packet(index);
        index = ring.increment_index(index);
    }
    ring.set_begin_index(index);
    let fragments = rings.fragment_ring();
    fragments.set_begin_index(fragments.end_index());
}

fn code(turn: Result<impl std::fmt::Debug, QueueFault>) -> FailureCode {
    turn.unwrap_err().failure_code()
}

#[test]
fn a_write_behind_a_buffers_capacity_is_found_when_it_comes_back() {
    let mut bench = verified_rx();
    bench.script(|rings| {
        let buffer = rings.buffer(rings.fragment_ring().begin_index());
        let end = buffer.ptr_guard_mut().as_ptr().wrapping_add(CAPACITY);
        overwrite(end);
        give_all_back(rings);
    });
    let fault = bench.queue.turn(&mut bench.port, &bench.counters);
    assert_eq!(code(fault), FailureCode::ShimBufferOverrun);
}

#[test]
fn a_write_into_a_buffer_that_was_given_back_is_found_when_it_is_used_again() {
    let mut bench = verified_rx();
    let kept = Arc::new(Mutex::new(0));
    let keeping = kept.clone();
    bench.script(move |rings| {
        let buffer = rings.buffer(rings.fragment_ring().begin_index());
        *keeping.lock().unwrap() = buffer.ptr_guard_mut().as_ptr() as usize;
        give_all_back(rings);
    });
    let turn = bench.queue.turn(&mut bench.port, &bench.counters);
    assert_eq!(turn.unwrap().indicated, 0);
    overwrite(*kept.lock().unwrap() as *mut u8);
    let fault = bench.queue.turn(&mut bench.port, &bench.counters);
    assert_eq!(code(fault), FailureCode::ShimUseAfterCompletion);
}

/// Writes a byte, as a client with a stale or a bad pointer would.
#[allow(unsafe_code)] // plays a client that breaks the rules
fn overwrite(at: *mut u8) {
    // SAFETY: a byte of the pool's mapping, which lives on: only the rules
    // forbid the write.
    unsafe { at.write_volatile(0) };
}

#[test]
fn fragments_that_never_come_back_are_found_before_the_queue_stalls() {
    let mut bench = verified_tx(TxCoverage::default());
    bench.script(|rings| {
        let ring = rings.packet_ring();
        ring.set_begin_index(ring.end_index());
    });
    for number in 0..ELEMENTS as u8 - 1 {
        bench.port.sending.push_back(frame(number));
    }
    assert_eq!(code(bench.turn()), FailureCode::ShimTxFragmentsNotReturned);
}

#[test]
fn a_frame_that_cannot_be_described_is_shown_with_ignore_if_wanted() {
    let coverage = TxCoverage {
        post_ignored: true,
        ..TxCoverage::default()
    };
    let mut bench = verified_tx(coverage);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = seen.clone();
    bench.script(move |rings| {
        let ring = rings.packet_ring();
        let mut index = ring.begin_index();
        while index != ring.end_index() {
            let packet = rings.packet(index);
            seeing
                .lock()
                .unwrap()
                .push((packet.ignore(), packet.fragment_count));
            index = ring.increment_index(index);
        }
        ring.set_begin_index(index);
        let fragments = rings.fragment_ring();
        fragments.set_begin_index(fragments.end_index());
    });
    bench.port.sending.extend([frame(1), vec![0; 5], frame(2)]);
    bench.turn().unwrap();
    let expected = [(false, 1), (true, 0), (false, 1)];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(bench.counters.tx_dropped.get(), 1);
}
