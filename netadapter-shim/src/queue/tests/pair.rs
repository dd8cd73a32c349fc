//! Both queues of a pair over one port.

use super::*;

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
