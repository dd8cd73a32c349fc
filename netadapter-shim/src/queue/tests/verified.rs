//! What the verifier finds beside broken rings, and what it lets a client ask for.

use super::*;

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
