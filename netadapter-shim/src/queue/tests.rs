//! Both halves of the framework's queues against clients that are scripts.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};

use vm_memory::Bytes;

mod coalescing;
mod pair;
mod random;
mod rx;
mod tx;
mod verified;

use super::*;
use crate::abi::{NetFragment, NetPacket, NetPacketPartialChecksum};
use crate::buffer_pool::{BufferPool, SystemBuffer};
use crate::offload::Covered;
use crate::port::{PortQueue, RxFrame, TxFrame};
use crate::ring::RingSet;
use crate::stats::Counters;
use crate::test_random::Random;

const ELEMENTS: u32 = 8;
const CAPACITY: usize = 96 << 10;

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
