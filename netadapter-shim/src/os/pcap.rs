//! A port wrapped around another one that writes every frame into a pcap file:
//! classic format, microseconds, link type Ethernet.
//!
//! Frames are written as they pass the port: sent ones may still lack a
//! checksum, and large ones are not segmented yet.

use std::io::{self, Write};
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use vm_memory::VolatileSlice;

use crate::buffer_pool::SystemBuffer;
use crate::port::{PortOffloads, PortQueue, RxFrame, SystemPort, TxFrame};

const MAGIC: u32 = 0xa1b2_c3d4;
const LINK_TYPE_ETHERNET: u32 = 1;

/// How much a capture may grow.
#[derive(Clone, Copy, Debug)]
pub struct CaptureLimits {
    /// Bytes kept of each frame, at most 64 KiB.
    pub snap_length: usize,
    /// Bytes of the whole file; frames beyond it are counted, not written.
    pub file_size: u64,
}

impl Default for CaptureLimits {
    fn default() -> Self {
        Self {
            snap_length: 65_536,
            file_size: 256 << 20,
        }
    }
}

/// Writes pcap records to any writer, which is flushed after each turn's worth
/// of frames only when it is dropped; wrap a file in a `BufWriter`.
struct Capture {
    target: Box<dyn Write + Send>,
    limits: CaptureLimits,
    written: u64,
    missed: u64,
    scratch: Vec<u8>,
}

impl Capture {
    fn new(mut target: Box<dyn Write + Send>, limits: CaptureLimits) -> io::Result<Self> {
        let snap_length = limits.snap_length.clamp(64, 65_536);
        let limits = CaptureLimits {
            snap_length,
            ..limits
        };
        let mut head = Vec::with_capacity(24);
        head.extend(MAGIC.to_le_bytes());
        head.extend([2, 0, 4, 0]); // version 2.4
        head.extend([0; 8]); // time zone, accuracy
        head.extend((snap_length as u32).to_le_bytes());
        head.extend(LINK_TYPE_ETHERNET.to_le_bytes());
        target.write_all(&head)?;
        Ok(Self {
            target,
            limits,
            written: head.len() as u64,
            missed: 0,
            scratch: vec![0; snap_length],
        })
    }

    /// Writes a frame of `length` bytes, of which `copy` puts the first ones
    /// into a buffer and tells how many.
    fn record(&mut self, length: usize, copy: impl FnOnce(&mut [u8]) -> usize) {
        let room = length.min(self.limits.snap_length);
        let size = 16 + room as u64;
        if self.written + size > self.limits.file_size {
            self.missed += 1;
            return;
        }
        let kept = copy(&mut self.scratch[..room]);
        let head = record_head(kept, length);
        let target = &mut self.target;
        let done = target
            .write_all(&head)
            .and_then(|()| target.write_all(&self.scratch[..kept]));
        match done {
            Ok(()) => self.written += size,
            // A full disk must not stop traffic: the rest is missed.
            Err(_) => self.limits.file_size = 0,
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if let Err(error) = self.target.flush() {
            log::warn!("the capture is not complete: {error}");
        }
        if self.missed > 0 {
            log::warn!("{} frames did not fit the capture's limit", self.missed);
        }
    }
}

fn record_head(kept: usize, length: usize) -> [u8; 16] {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let fields = [
        now.as_secs() as u32,
        now.subsec_micros(),
        kept as u32,
        length as u32,
    ];
    let mut head = [0; 16];
    for (word, field) in head.chunks_exact_mut(4).zip(fields) {
        word.copy_from_slice(&field.to_le_bytes());
    }
    head
}

/// A port whose frames are captured in both directions.
pub struct PcapPort {
    inner: Box<dyn SystemPort>,
    capture: Arc<Mutex<Capture>>,
}

impl PcapPort {
    /// Wraps a port; the head of the file is written at once.
    ///
    /// # Errors
    /// A target that cannot be written.
    pub fn new(
        inner: Box<dyn SystemPort>,
        target: Box<dyn Write + Send>,
        limits: CaptureLimits,
    ) -> io::Result<Self> {
        let capture = Arc::new(Mutex::new(Capture::new(target, limits)?));
        Ok(Self { inner, capture })
    }
}

impl PcapPort {
    fn wrap(&self, queues: Vec<Box<dyn PortQueue>>) -> Vec<Box<dyn PortQueue>> {
        let wrap = |inner| {
            let capture = self.capture.clone();
            Box::new(PcapQueue { inner, capture }) as Box<dyn PortQueue>
        };
        queues.into_iter().map(wrap).collect()
    }
}

impl SystemPort for PcapPort {
    fn max_queues(&self) -> usize {
        self.inner.max_queues()
    }

    fn rx_offloads(&self) -> PortOffloads {
        self.inner.rx_offloads()
    }

    fn tx_offloads(&self) -> PortOffloads {
        self.inner.tx_offloads()
    }

    fn set_tx_offloads(&mut self, offloads: PortOffloads) -> io::Result<()> {
        self.inner.set_tx_offloads(offloads)
    }

    fn open_queues(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        let queues = self.inner.open_queues(count)?;
        Ok(self.wrap(queues))
    }

    fn open_indicators(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        let indicators = self.inner.open_indicators(count)?;
        Ok(self.wrap(indicators))
    }

    fn set_link_state(&mut self, up: bool) -> io::Result<()> {
        self.inner.set_link_state(up)
    }

    fn set_mtu(&mut self, mtu: u32) -> io::Result<()> {
        self.inner.set_mtu(mtu)
    }
}

struct PcapQueue {
    inner: Box<dyn PortQueue>,
    capture: Arc<Mutex<Capture>>,
}

impl PcapQueue {
    fn record(&self, length: usize, copy: impl FnOnce(&mut [u8]) -> usize) {
        let mut capture = self.capture.lock().unwrap_or_else(PoisonError::into_inner);
        capture.record(length, copy);
    }
}

impl PortQueue for PcapQueue {
    fn poll_fd(&self) -> Option<RawFd> {
        self.inner.poll_fd()
    }

    fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        let frame = self.inner.transmit(buffer)?;
        if let Some(frame) = frame.filter(|frame| frame.length <= buffer.capacity()) {
            let bytes: VolatileSlice<'_> = buffer.frame();
            self.record(frame.length, |target| bytes.copy_to(target));
        }
        Ok(frame)
    }

    fn indicate(&mut self, frame: &RxFrame<'_>) -> io::Result<()> {
        self.record(frame.length(), |target| frame.copy_to(target));
        self.inner.indicate(frame)
    }
}
