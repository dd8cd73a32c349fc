//! The stack's seat in the measurements: it has frames at once and takes them at
//! once.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netadapter_shim::abi::*;
use netadapter_shim::*;
use vm_memory::Bytes;

pub(crate) const LENGTH: usize = 60;
const ROUND: Duration = Duration::from_millis(300);
const ROUNDS: usize = 7;

/// A UDP datagram over IPv4, as the stack hands it over.
fn datagram() -> [u8; LENGTH] {
    let mut frame = [0; LENGTH];
    frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    frame[17] = 46;
    frame[23] = 17;
    frame
}

/// Sends for ever if told to; counts what it is given.
pub(crate) struct Port {
    sending: bool,
    indicated: Arc<AtomicU64>,
}

impl Port {
    pub(crate) fn new(sending: bool) -> Self {
        Self {
            sending,
            indicated: Arc::default(),
        }
    }
}

impl SystemPort for Port {
    fn open_queues(&mut self, _count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        let indicated = self.indicated.clone();
        Ok(vec![Box::new(Queue {
            sending: self.sending,
            indicated,
            frame: datagram(),
        })])
    }
}

struct Queue {
    sending: bool,
    indicated: Arc<AtomicU64>,
    frame: [u8; LENGTH],
}

impl PortQueue for Queue {
    fn poll_fd(&self) -> Option<RawFd> {
        None
    }

    fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        if !self.sending {
            return Ok(None);
        }
        let _ = buffer.frame().write_slice(&self.frame, 0);
        let partial = NetPacketPartialChecksum::partial(34, 6);
        Ok(Some(TxFrame {
            length: LENGTH,
            partial,
        }))
    }

    fn indicate(&mut self, _frame: &RxFrame<'_>) -> io::Result<()> {
        let count = self.indicated.load(Ordering::Relaxed);
        self.indicated.store(count + 1, Ordering::Relaxed);
        Ok(())
    }
}

/// Nanoseconds per frame, the median of some rounds.
pub(crate) fn median_round(total: impl Fn() -> QueueStatistics) -> f64 {
    let frames = || total().rx_packets + total().tx_packets;
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (start, before) = (Instant::now(), frames());
            std::thread::sleep(ROUND);
            start.elapsed().as_nanos() as f64 / (frames() - before).max(1) as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
