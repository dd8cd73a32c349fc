//! Several Tx queues behind one end of a port: frames are sorted by 802.1p
//! priority before the queues look for them.
//!
//! ```text
//!   port ──► Sorter ──► lane 0 ──► LanePort ──► Tx queue 0
//!            (context   lane 3 ──► LanePort ──► Tx queue 3, which was created
//!             of Rx 0)                          when its first frame came
//! ```
//!
//! A lane's lock is taken once for all the frames of a turn, and the memory of
//! frames goes back and forth between sorter and queue.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_memory::Bytes;

use crate::buffer_pool::{BufferPool, SystemBuffer};
use crate::frame_layout::priority;
use crate::port::{PortQueue, RxFrame, TxFrame};
use crate::stats::Counters;
use crate::wake::Waker;

/// Bytes that may wait for one queue; what comes beyond is dropped, as by the
/// transmit queue of an interface. Nearly all that a socket may have under way,
/// so that a busy queue slows its senders down and loses them nothing.
const LIMIT: usize = 4 << 20;

/// NET_ADAPTER_TX_DEMUX by 802.1p priority: how many queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxDemux {
    /// 2 to 8.
    pub queues: u8,
}

impl TxDemux {
    /// The queue for frames of this priority: the one of that number, the last
    /// one for all priorities beyond it.
    pub fn queue(self, priority: u8) -> usize {
        usize::from((priority & 7).min(self.queues.saturating_sub(1)))
    }
}

/// Is called, by a queue's own thread, when frames wait for a Tx queue that
/// does not exist yet; see [`crate::Adapter::create_wanted_queues`].
#[derive(Clone)]
pub struct DemandHook(Arc<dyn Fn() + Send + Sync>);

impl DemandHook {
    /// Wraps a function, which must not wait for the adapter.
    pub fn new(hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }
}

impl std::fmt::Debug for DemandHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DemandHook")
    }
}

/// A frame read and waiting for its queue.
struct Waiting {
    bytes: Vec<u8>,
    frame: TxFrame,
}

/// What becomes of a lane's frames.
#[derive(Clone)]
enum Reader {
    /// Nobody has asked for the queue.
    None,
    /// Frames wait for the queue to be created.
    Wanted,
    /// The queue, and how its context is woken.
    Queue(Arc<Waker>),
    /// The queue could not be created.
    Refused,
}

struct Lane {
    waiting: VecDeque<Waiting>,
    /// Bytes of those.
    bytes: usize,
    /// Memory of frames that have gone.
    spare: Vec<Vec<u8>>,
    reader: Reader,
}

impl Lane {
    /// Keeps a frame; gives its memory back if there is no room.
    fn take(&mut self, waiting: Waiting) -> Option<Vec<u8>> {
        let refused = matches!(self.reader, Reader::Refused);
        let bytes = self.bytes + waiting.bytes.len();
        if refused || bytes > LIMIT {
            return Some(waiting.bytes);
        }
        self.bytes = bytes;
        self.waiting.push_back(waiting);
        None
    }
}

/// The lanes of an adapter, one per queue.
pub(crate) struct Lanes {
    rule: TxDemux,
    lanes: Vec<Mutex<Lane>>,
    demand: Option<DemandHook>,
}

impl Lanes {
    pub(crate) fn new(rule: TxDemux, queues: usize, demand: Option<DemandHook>) -> Arc<Self> {
        let lane = || {
            Mutex::new(Lane {
                waiting: VecDeque::new(),
                bytes: 0,
                spare: Vec::new(),
                reader: Reader::None,
            })
        };
        let mut lanes = Vec::new();
        lanes.resize_with(queues.max(1), lane);
        Arc::new(Self {
            rule,
            lanes,
            demand,
        })
    }

    fn lane(&self, queue: usize) -> MutexGuard<'_, Lane> {
        // Plain values, whole whoever panicked while holding the lock.
        let lane = self.lanes[queue].lock();
        lane.unwrap_or_else(PoisonError::into_inner)
    }

    /// How many queues there may be.
    pub(crate) fn count(&self) -> usize {
        self.lanes.len()
    }

    /// The queues that frames wait for and that do not exist; all that do not
    /// exist, if nobody is told of waiting frames.
    pub(crate) fn wanted(&self) -> Vec<usize> {
        let eager = self.demand.is_none();
        let wanted = |queue: &usize| match self.lane(*queue).reader {
            Reader::Wanted => true,
            Reader::None => eager,
            Reader::Queue(_) | Reader::Refused => false,
        };
        (0..self.count()).filter(wanted).collect()
    }

    /// The queue exists and takes its frames through this end.
    pub(crate) fn attach(self: &Arc<Self>, queue: usize, waker: &Arc<Waker>) -> Box<dyn PortQueue> {
        self.lane(queue).reader = Reader::Queue(Arc::clone(waker));
        Box::new(LanePort {
            lanes: Arc::clone(self),
            queue,
            waiting: VecDeque::new(),
            used: Vec::new(),
        })
    }

    /// The queue will never exist: its frames are dropped.
    pub(crate) fn refuse(&self, queue: usize) {
        let mut lane = self.lane(queue);
        lane.reader = Reader::Refused;
        lane.waiting.clear();
        lane.bytes = 0;
    }

    /// Frames that no queue has taken.
    pub(crate) fn left(&self) -> usize {
        let lanes = 0..self.count();
        lanes.map(|queue| self.lane(queue).waiting.len()).sum()
    }

    /// Hands over the frames of one turn, and fetches memory for others.
    fn hand_over(
        &self,
        queue: usize,
        staged: &mut Vec<Waiting>,
        spare: &mut Vec<Vec<u8>>,
        counters: &Counters,
    ) {
        let mut lane = self.lane(queue);
        spare.append(&mut lane.spare);
        for waiting in staged.drain(..) {
            if let Some(bytes) = lane.take(waiting) {
                counters.tx_dropped.add(1);
                spare.push(bytes);
            }
        }
        let reader = lane.reader.clone();
        if matches!(reader, Reader::None) {
            lane.reader = Reader::Wanted;
        }
        drop(lane);
        match (reader, &self.demand) {
            (Reader::Queue(waker), _) => waker.notify(),
            (Reader::None, Some(demand)) => (demand.0)(),
            _ => {}
        }
    }
}

/// What one Tx queue sees of the port.
struct LanePort {
    lanes: Arc<Lanes>,
    queue: usize,
    /// Taken out of the lane and not sent yet.
    waiting: VecDeque<Waiting>,
    /// Memory to give back.
    used: Vec<Vec<u8>>,
}

impl LanePort {
    /// Takes all that waits in the lane.
    fn fetch(&mut self) {
        let mut lane = self.lanes.lane(self.queue);
        std::mem::swap(&mut lane.waiting, &mut self.waiting);
        lane.bytes = 0;
        lane.spare.append(&mut self.used);
    }
}

impl PortQueue for LanePort {
    fn poll_fd(&self) -> Option<RawFd> {
        None
    }

    fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        if self.waiting.is_empty() {
            self.fetch();
        }
        let Some(Waiting { bytes, frame }) = self.waiting.pop_front() else {
            return Ok(None);
        };
        let copied = buffer.frame().write_slice(&bytes, 0);
        self.used.push(bytes);
        copied.map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Some(frame))
    }

    fn indicate(&mut self, _frame: &RxFrame<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Takes the port's frames and sorts them into lanes.
pub(crate) struct Sorter {
    lanes: Arc<Lanes>,
    /// By lane, the frames of this turn.
    staged: Vec<Vec<Waiting>>,
    spare: Vec<Vec<u8>>,
    /// One buffer, into which the port reads.
    pool: BufferPool,
}

impl Sorter {
    /// `pool` has at least one buffer as large as those of the queues.
    pub(crate) fn new(lanes: Arc<Lanes>, pool: BufferPool) -> Self {
        let mut staged = Vec::new();
        staged.resize_with(lanes.count(), Vec::new);
        Self {
            lanes,
            staged,
            spare: Vec::new(),
            pool,
        }
    }

    /// Takes up to `budget` frames from the port and tells how many; clears
    /// `ready` once it has no more.
    pub(crate) fn turn(
        &mut self,
        port: &mut dyn PortQueue,
        ready: &mut bool,
        budget: u32,
        counters: &Counters,
    ) -> u32 {
        if !*ready {
            return 0;
        }
        let Some(id) = self.pool.take() else { return 0 };
        let mut sorted = 0;
        while sorted < budget {
            let buffer = self.pool.buffer(id);
            let read = port.transmit(&buffer);
            counters.tx_errors.add(u64::from(read.is_err()));
            let Ok(Some(frame)) = read else {
                // After an error the descriptor's next edge tries again.
                *ready = false;
                break;
            };
            let mut bytes = self.spare.pop().unwrap_or_default();
            copy(&buffer, frame.length, &mut bytes);
            let lane = self.lanes.rule.queue(priority(&bytes));
            let lane = lane.min(self.staged.len() - 1);
            self.staged[lane].push(Waiting { bytes, frame });
            sorted += 1;
        }
        self.pool.give_back(id);
        for (queue, staged) in self.staged.iter_mut().enumerate() {
            if !staged.is_empty() {
                self.lanes
                    .hand_over(queue, staged, &mut self.spare, counters);
            }
        }
        sorted
    }
}

/// As much of a frame as lies in the buffer.
fn copy(buffer: &SystemBuffer<'_>, length: usize, bytes: &mut Vec<u8>) {
    bytes.resize(length.min(buffer.capacity()), 0);
    let read = buffer.frame().read_slice(bytes, 0);
    debug_assert!(read.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Frames with these priorities, once.
    struct Source(VecDeque<u8>);

    impl PortQueue for Source {
        fn poll_fd(&self) -> Option<RawFd> {
            None
        }

        fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
            let Some(priority) = self.0.pop_front() else {
                return Ok(None);
            };
            let frame = tagged(priority);
            buffer.frame().write_slice(&frame, 0).unwrap();
            Ok(Some(TxFrame {
                length: frame.len(),
                ..TxFrame::default()
            }))
        }

        fn indicate(&mut self, _frame: &RxFrame<'_>) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn tagged(priority: u8) -> Vec<u8> {
        let mut frame = vec![priority; 1000];
        frame[12..16].copy_from_slice(&[0x81, 0, priority << 5, 7]);
        frame
    }

    fn sorter(lanes: &Arc<Lanes>) -> Sorter {
        Sorter::new(lanes.clone(), BufferPool::new(1, 2048, 1).unwrap())
    }

    fn sort(sorter: &mut Sorter, priorities: &[u8], counters: &Counters) {
        let mut source = Source(priorities.iter().copied().collect());
        let mut ready = true;
        let sorted = sorter.turn(&mut source, &mut ready, u32::MAX, counters);
        assert_eq!((sorted as usize, ready), (priorities.len(), false));
    }

    fn sent(port: &mut dyn PortQueue) -> Vec<u8> {
        let mut pool = BufferPool::new(1, 2048, 1).unwrap();
        let id = pool.take().unwrap();
        let buffer = pool.buffer(id);
        let mut first = [0];
        std::iter::from_fn(|| {
            let frame = port.transmit(&buffer).unwrap()?;
            assert_eq!(frame.length, 1000);
            buffer.frame().read_slice(&mut first, 0).unwrap();
            Some(first[0])
        })
        .collect()
    }

    #[test]
    fn a_queue_is_asked_for_once_and_gets_what_waited_for_it() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let hook = DemandHook::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let lanes = Lanes::new(TxDemux { queues: 4 }, 4, Some(hook));
        let (mut sorter, counters) = (sorter(&lanes), Counters::default());
        assert!(lanes.wanted().is_empty());
        sort(&mut sorter, &[2, 6, 2], &counters);
        sort(&mut sorter, &[2], &counters);
        assert_eq!((lanes.wanted(), lanes.left()), (vec![2, 3], 4));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        let waker = Waker::new().unwrap();
        let mut port = lanes.attach(2, &waker);
        assert_eq!(lanes.wanted(), [3]);
        assert_eq!(sent(port.as_mut()), [2, 2, 2]);
        waker.begin_turn();
        sort(&mut sorter, &[2], &counters);
        assert!(waker.begin_turn(), "the queue's context is woken");
        assert_eq!(sent(port.as_mut()), [2]);
        lanes.refuse(3);
        sort(&mut sorter, &[6], &counters);
        assert_eq!((lanes.left(), counters.tx_dropped.get()), (0, 1));
    }

    #[test]
    fn a_full_lane_drops_and_other_lanes_go_on() {
        let lanes = Lanes::new(TxDemux { queues: 2 }, 2, None);
        assert_eq!(lanes.wanted(), [0, 1], "at once, if nobody is told");
        let (mut sorter, counters) = (sorter(&lanes), Counters::default());
        let room = LIMIT / 1000;
        sort(&mut sorter, &vec![0; room + 3], &counters);
        sort(&mut sorter, &[1], &counters);
        assert_eq!((lanes.left(), counters.tx_dropped.get()), (room + 1, 3));
        let waker = Waker::new().unwrap();
        assert_eq!(sent(lanes.attach(0, &waker).as_mut()).len(), room);
        sort(&mut sorter, &[0], &counters);
        assert_eq!((lanes.left(), counters.tx_dropped.get()), (2, 3));
    }
}
