//! The system's seat in the measurements: it has frames at once, and takes them at once.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use netadapter_shim::{PortOffloads, PortQueue, RxFrame, SystemBuffer, SystemPort, TxFrame};
use vm_memory::Bytes;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::frames::Frame;
use super::tally::Tally;

/// What the port and the program share.
struct Shared {
    frame: Frame,
    /// Frames still to be sent.
    due: AtomicU64,
    received: Arc<Tally>,
    compare: AtomicBool,
    event: EventFd,
}

/// The program's handle on a port.
#[derive(Clone)]
pub(super) struct Seat(Arc<Shared>);

impl Seat {
    /// A seat whose frames are all `frame`, and which counts in `received` those it is given.
    ///
    /// # Errors
    /// When the process has no more descriptors.
    pub(super) fn new(frame: Frame, received: Arc<Tally>) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared {
            frame,
            due: AtomicU64::new(0),
            received,
            compare: AtomicBool::new(false),
            event: EventFd::new(EFD_NONBLOCK)?,
        })))
    }

    /// The port to go with it.
    pub(super) fn port(&self) -> Box<dyn SystemPort> {
        Self::port_of(std::slice::from_ref(self))
    }

    /// The port to go with several, each of which has a queue of it.
    pub(super) fn port_of(seats: &[Self]) -> Box<dyn SystemPort> {
        Box::new(Port(seats.to_vec()))
    }

    /// Sends `count` frames.
    pub(super) fn send(&self, count: u64) {
        self.0.due.fetch_add(count, Ordering::Release);
        self.wake();
    }

    /// Makes the execution context look.
    pub(super) fn wake(&self) {
        // The counter is never read; its edges are enough.
        let _ = self.0.event.write(1);
    }

    /// Compares what is received from now on, or no longer does.
    pub(super) fn compare(&self, on: bool) {
        self.0.compare.store(on, Ordering::Relaxed);
    }
}

struct Port(Vec<Seat>);

impl SystemPort for Port {
    fn max_queues(&self) -> usize {
        self.0.len()
    }

    fn rx_offloads(&self) -> PortOffloads {
        PortOffloads::ALL
    }

    fn tx_offloads(&self) -> PortOffloads {
        PortOffloads::ALL
    }

    fn open_queues(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        let queue = |seat: &Seat| Box::new(Queue::new(&seat.0)) as Box<dyn PortQueue>;
        Ok(self.0.iter().take(count).map(queue).collect())
    }
}

struct Queue {
    shared: Arc<Shared>,
    due: u64,
    /// What it says of every frame.
    sent: TxFrame,
    /// The last word of a frame, where it can be read at once, and what it is.
    mark: (usize, u64),
}

impl Queue {
    fn new(shared: &Arc<Shared>) -> Self {
        let frame = &shared.frame;
        let (words, _) = frame.bytes().as_chunks::<8>();
        let last = words.len() - 1;
        Self {
            shared: Arc::clone(shared),
            due: 0,
            sent: TxFrame {
                length: frame.len(),
                partial: frame.partial(),
            },
            mark: (last * 8, u64::from_ne_bytes(words[last])),
        }
    }
}

impl PortQueue for Queue {
    fn poll_fd(&self) -> Option<RawFd> {
        Some(self.shared.event.as_raw_fd())
    }

    /// Buffers go round, and nobody writes to a frame that is sent: most have it already. Only
    /// the verifier does, which unoptimised builds run with.
    fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        if self.due == 0 {
            self.due = self.shared.due.swap(0, Ordering::Acquire);
            if self.due == 0 {
                return Ok(None);
            }
        }
        self.due -= 1;
        let (target, (at, mark)) = (buffer.frame(), self.mark);
        let found: Option<u64> = target.load(at, Ordering::Relaxed).ok();
        if cfg!(debug_assertions) || found != Some(mark) {
            let _ = target.write_slice(self.shared.frame.bytes(), 0);
        }
        Ok(Some(self.sent))
    }

    fn indicate(&mut self, frame: &RxFrame<'_>) -> io::Result<()> {
        if self.shared.compare.load(Ordering::Relaxed) {
            let mut bytes = vec![0; frame.length()];
            frame.copy_to(&mut bytes);
            self.shared
                .received
                .compared(self.shared.frame.matches(&bytes));
        }
        self.shared.received.add(1);
        Ok(())
    }
}
