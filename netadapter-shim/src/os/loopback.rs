//! A stack's seat in memory: tests, the self-test and benchmarks sit in it and
//! play the network stack. Needs no privileges.
//!
//! Frames given to [`LoopbackSeat::send`] come out of the client's Tx queue;
//! frames the client receives are waiting at [`LoopbackSeat::receive`].

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vm_memory::Bytes;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::abi::{NetPacketChecksum, NetPacketHash, NetPacketPartialChecksum, NetPacketRsc};
use crate::buffer_pool::SystemBuffer;
use crate::port::{Indicator, Interface, PortOffloads, PortQueue, RxFrame, SystemPort, TxFrame};

/// Frames one queue holds in either direction before it drops more, as the
/// transmit queue of an interface does.
const LIMIT: usize = 4096;

/// A frame as the stack sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackFrame {
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
    /// What was left to the other side.
    pub partial: NetPacketPartialChecksum,
    /// Received frames: what the client knows about checksums.
    pub checksum: NetPacketChecksum,
    /// Received frames: how many segments were merged.
    pub rsc: NetPacketRsc,
    /// Received frames: the hash by which they came to their queue.
    pub hash: NetPacketHash,
}

impl StackFrame {
    /// A frame that lacks nothing.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }
}

/// One queue in both directions.
struct Lane {
    to_send: Mutex<VecDeque<StackFrame>>,
    received: Mutex<VecDeque<StackFrame>>,
    arrival: Condvar,
    event: EventFd,
}

/// What the port shows of itself.
#[derive(Default)]
struct Shown {
    link_up: bool,
    tx_offloads: PortOffloads,
    mtu: u32,
    opened: Interface,
    address: Vec<u8>,
}

struct Shared {
    lanes: Vec<Lane>,
    shown: Mutex<Shown>,
}

/// The end the adapter holds.
pub struct LoopbackPort {
    shared: Arc<Shared>,
    offloads: PortOffloads,
}

/// The end the test holds.
#[derive(Clone)]
pub struct LoopbackSeat {
    shared: Arc<Shared>,
}

/// A port of `queues` queues with these offloads both ways, and its seat.
///
/// # Errors
/// No more file descriptors.
pub fn loopback(queues: usize, offloads: PortOffloads) -> io::Result<(LoopbackPort, LoopbackSeat)> {
    let lane = |_| {
        Ok(Lane {
            to_send: Mutex::default(),
            received: Mutex::default(),
            arrival: Condvar::new(),
            event: EventFd::new(EFD_NONBLOCK)?,
        })
    };
    let lanes: io::Result<Vec<Lane>> = (0..queues.max(1)).map(lane).collect();
    let shared = Arc::new(Shared {
        lanes: lanes?,
        shown: Mutex::default(),
    });
    let port = LoopbackPort {
        shared: shared.clone(),
        offloads,
    };
    Ok((port, LoopbackSeat { shared }))
}

/// The lock of plain data, whole whoever panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LoopbackSeat {
    /// Sends a frame through queue 0; false if the queue is full.
    pub fn send(&self, frame: StackFrame) -> bool {
        self.send_on(0, frame)
    }

    /// Sends a frame through one queue; false if it is full or does not exist.
    pub fn send_on(&self, queue: usize, frame: StackFrame) -> bool {
        let Some(lane) = self.shared.lanes.get(queue) else {
            return false;
        };
        let mut to_send = lock(&lane.to_send);
        if to_send.len() >= LIMIT {
            return false;
        }
        to_send.push_back(frame);
        drop(to_send);
        // The counter is never read; every write is an edge.
        lane.event.write(1).is_ok()
    }

    /// A frame the client received, from any queue; `None` if there is none.
    pub fn receive(&self) -> Option<StackFrame> {
        self.shared
            .lanes
            .iter()
            .find_map(|lane| lock(&lane.received).pop_front())
    }

    /// Waits for a frame on queue 0.
    pub fn wait_receive(&self, patience: Duration) -> Option<StackFrame> {
        let lane = self.shared.lanes.first()?;
        let received = lock(&lane.received);
        let waited = lane
            .arrival
            .wait_timeout_while(received, patience, |frames| frames.is_empty());
        let (mut received, _) = waited.unwrap_or_else(PoisonError::into_inner);
        received.pop_front()
    }

    /// Whether the adapter shows a carrier.
    pub fn link_is_up(&self) -> bool {
        lock(&self.shared.shown).link_up
    }

    /// What the adapter allowed the stack to leave to it.
    pub fn tx_offloads(&self) -> PortOffloads {
        lock(&self.shared.shown).tx_offloads
    }

    /// What the adapter was when it was last started.
    pub fn interface(&self) -> Interface {
        lock(&self.shared.shown).opened
    }

    /// The address it has taken since then; empty if none.
    pub fn address(&self) -> Vec<u8> {
        lock(&self.shared.shown).address.clone()
    }

    /// The MTU the adapter stated last.
    pub fn mtu(&self) -> u32 {
        lock(&self.shared.shown).mtu
    }
}

impl SystemPort for LoopbackPort {
    fn open(&mut self, interface: &Interface) -> io::Result<()> {
        let mut shown = lock(&self.shared.shown);
        shown.opened = *interface;
        shown.address.clear();
        Ok(())
    }

    fn max_queues(&self) -> usize {
        self.shared.lanes.len()
    }

    fn rx_offloads(&self) -> PortOffloads {
        self.offloads
    }

    fn takes_hash(&self) -> bool {
        true
    }

    fn tx_offloads(&self) -> PortOffloads {
        self.offloads
    }

    fn set_tx_offloads(&mut self, offloads: PortOffloads) -> io::Result<()> {
        lock(&self.shared.shown).tx_offloads = offloads;
        Ok(())
    }

    fn open_queues(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        let queue = |index| {
            let shared = self.shared.clone();
            Box::new(LoopbackQueue { shared, index }) as Box<dyn PortQueue>
        };
        Ok((0..count.min(self.shared.lanes.len())).map(queue).collect())
    }

    fn open_indicators(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        let indicator = |_| {
            let shared = self.shared.clone();
            Box::new(Indicator(LoopbackQueue { shared, index: 0 })) as Box<dyn PortQueue>
        };
        Ok((0..count).map(indicator).collect())
    }

    fn set_link_state(&mut self, up: bool) -> io::Result<()> {
        lock(&self.shared.shown).link_up = up;
        Ok(())
    }

    fn set_mtu(&mut self, mtu: u32) -> io::Result<()> {
        lock(&self.shared.shown).mtu = mtu;
        Ok(())
    }

    fn set_address(&mut self, address: &[u8]) -> io::Result<()> {
        lock(&self.shared.shown).address = address.to_vec();
        Ok(())
    }
}

struct LoopbackQueue {
    shared: Arc<Shared>,
    index: usize,
}

impl LoopbackQueue {
    fn lane(&self) -> &Lane {
        &self.shared.lanes[self.index]
    }
}

impl PortQueue for LoopbackQueue {
    fn poll_fd(&self) -> Option<RawFd> {
        Some(self.lane().event.as_raw_fd())
    }

    fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        let Some(frame) = lock(&self.lane().to_send).pop_front() else {
            return Ok(None);
        };
        let length = frame.bytes.len();
        if length <= buffer.capacity() {
            let copied = buffer.frame().write_slice(&frame.bytes, 0);
            copied.map_err(|_| io::ErrorKind::InvalidData)?;
        }
        let partial = frame.partial;
        Ok(Some(TxFrame { length, partial }))
    }

    fn indicate(&mut self, frame: &RxFrame<'_>) -> io::Result<()> {
        let mut bytes = vec![0; frame.length()];
        frame.copy_to(&mut bytes);
        let mut received = lock(&self.lane().received);
        if received.len() >= LIMIT {
            return Err(io::ErrorKind::StorageFull.into());
        }
        received.push_back(StackFrame {
            bytes,
            partial: frame.partial(),
            checksum: frame.checksum(),
            rsc: frame.rsc(),
            hash: frame.hash(),
        });
        self.lane().arrival.notify_one();
        Ok(())
    }
}
