//! Several Tx queues behind one end of a port: frames are sorted by 802.1p
//! priority before the queues look for them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;

use vm_memory::Bytes;

use crate::buffer_pool::{BufferPool, SystemBuffer};
use crate::frame_layout::priority;
use crate::port::{PortQueue, RxFrame, TxFrame};
use crate::stats::Counters;

/// Frames that may wait for one queue; more are dropped, as a transmit queue of
/// an interface would.
const LIMIT: usize = 512;

/// NET_ADAPTER_TX_DEMUX by 802.1p priority: how many queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxDemux {
    /// 2 to 8.
    pub queues: u8,
}

impl TxDemux {
    /// The queue for frames of this priority: equal shares, the highest
    /// priorities in the last queue.
    pub fn queue(self, priority: u8) -> usize {
        usize::from(priority & 7) * usize::from(self.queues) / 8
    }
}

/// A frame read and waiting for its queue.
struct Waiting {
    bytes: Vec<u8>,
    frame: TxFrame,
}

/// What one Tx queue sees of the port.
#[derive(Default)]
pub(crate) struct Lane {
    waiting: VecDeque<Waiting>,
}

impl PortQueue for Lane {
    fn poll_fd(&self) -> Option<RawFd> {
        None
    }

    fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        let Some(next) = self.waiting.pop_front() else {
            return Ok(None);
        };
        let copied = buffer.frame().write_slice(&next.bytes, 0);
        copied.map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Some(next.frame))
    }

    fn indicate(&mut self, _frame: &RxFrame<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Sorts frames into lanes.
pub(crate) struct Demux {
    rule: TxDemux,
    lanes: Vec<Lane>,
    /// One buffer, into which the port reads.
    pool: BufferPool,
}

impl Demux {
    /// `pool` has at least one buffer as large as those of the queues.
    pub(crate) fn new(rule: TxDemux, queues: usize, pool: BufferPool) -> Self {
        let mut lanes = Vec::new();
        lanes.resize_with(queues, Lane::default);
        Self { rule, lanes, pool }
    }

    /// One lane per queue, in the order of their numbers.
    pub(crate) fn lanes(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.lanes.iter_mut()
    }

    /// Takes up to `budget` frames from the port; clears `ready` once it has no
    /// more.
    pub(crate) fn sort(
        &mut self,
        port: &mut dyn PortQueue,
        ready: &mut bool,
        budget: u32,
        counters: &Counters,
    ) {
        let Some(id) = self.pool.take() else { return };
        for _ in 0..budget {
            let buffer = self.pool.buffer(id);
            match port.transmit(&buffer) {
                Ok(Some(frame)) => {
                    let bytes = copy(&buffer, frame.length);
                    keep(&mut self.lanes, self.rule, bytes, frame, counters);
                }
                Ok(None) => {
                    *ready = false;
                    break;
                }
                Err(_) => {
                    counters.tx_errors.add(1);
                    *ready = false;
                    break;
                }
            }
        }
        self.pool.give_back(id);
    }
}

/// As much of a frame as lies in the buffer.
fn copy(buffer: &SystemBuffer<'_>, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length.min(buffer.capacity())];
    let read = buffer.frame().read_slice(&mut bytes, 0);
    debug_assert!(read.is_ok());
    bytes
}

fn keep(lanes: &mut [Lane], rule: TxDemux, bytes: Vec<u8>, frame: TxFrame, counters: &Counters) {
    let queue = rule.queue(priority(&bytes)).min(lanes.len() - 1);
    let lane = &mut lanes[queue].waiting;
    match lane.len() < LIMIT {
        true => lane.push_back(Waiting { bytes, frame }),
        false => counters.tx_dropped.add(1),
    }
}
