//! A device whose registers read as the input says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use virtio::mem::Iova;
use virtio::net::FeatureSet;
use virtio::net::features::all_known;
use virtio::transport::{Doorbell, QueueSetup};
use virtio::{DmaRegion, Transport, TransportError};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

const CONFIG: [u8; 24] = [
    0x52, 0x54, 0, 0x12, 0x34, 0x56, 1, 0, 1, 0, 0xdc, 5, 0x10, 0x27, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
];
const QUEUE_SIZE: u16 = 16;

/// What the driver told the device, for a body to look at.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) features: FeatureSet,
    pub(crate) queues: Vec<QueueSetup>,
    /// Start and length of what may be reached.
    pub(crate) mapped: Vec<(u64, u64)>,
    pub(crate) config_reads: usize,
}

/// A device. Each read takes a byte of the input: where it is odd, or there is none left, the
/// register tells the truth, otherwise it reads as the bytes that follow.
pub(crate) struct FuzzedDevice {
    script: VecDeque<u8>,
    status: u8,
    heard: Arc<Mutex<Heard>>,
}

struct Silent;

impl Doorbell for Silent {
    fn ring(&self) {}
}

impl FuzzedDevice {
    pub(crate) fn new(script: &[u8]) -> (Self, Arc<Mutex<Heard>>) {
        let heard = Arc::default();
        let device = Self {
            script: script.iter().copied().collect(),
            status: 0,
            heard: Arc::clone(&heard),
        };
        (device, heard)
    }

    fn read<const N: usize>(&mut self, truth: [u8; N]) -> [u8; N] {
        if self.script.pop_front().is_none_or(|byte| byte & 1 == 1) {
            return truth;
        }
        [(); N].map(|()| self.script.pop_front().unwrap_or(0))
    }

    /// Whether something fails that may.
    fn fails(&mut self) -> bool {
        self.read([0]) == [0x80]
    }

    fn gone<T>(&self) -> Result<T, TransportError> {
        let device = "fuzzed".to_owned();
        Err(TransportError::Gone { device })
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for FuzzedDevice {
    fn name(&self) -> &str {
        "fuzzed"
    }

    fn is_behind_iommu(&self) -> bool {
        true
    }

    fn read_device_features(&mut self) -> Result<FeatureSet, TransportError> {
        let truth = all_known().0.to_le_bytes();
        Ok(FeatureSet(u128::from_le_bytes(self.read(truth))))
    }

    fn write_driver_features(&mut self, features: FeatureSet) -> Result<(), TransportError> {
        self.heard().features = features;
        Ok(())
    }

    fn read_status(&mut self) -> Result<u8, TransportError> {
        match self.read([self.status]) {
            [0xff] => self.gone(),
            [status] => Ok(status),
        }
    }

    fn write_status(&mut self, status: u8) -> Result<(), TransportError> {
        self.status = status;
        if status == 0 {
            self.heard().queues.clear();
        }
        Ok(())
    }

    fn read_config_generation(&mut self) -> Result<u8, TransportError> {
        Ok(self.read([0])[0])
    }

    fn config_len(&self) -> usize {
        // The next byte, without taking it: this is not a register.
        self.script.front().map_or(CONFIG.len(), |&len| len.into())
    }

    fn read_config(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), TransportError> {
        self.heard().config_reads += 1;
        for (i, byte) in bytes.iter_mut().enumerate() {
            let truth = CONFIG.get(offset + i).copied().unwrap_or(0);
            [*byte] = self.read([truth]);
        }
        if self.fails() { self.gone() } else { Ok(()) }
    }

    fn read_queue_count(&mut self) -> Result<u16, TransportError> {
        Ok(u16::from_le_bytes(self.read(3u16.to_le_bytes())))
    }

    fn read_max_queue_size(&mut self, _queue: u16) -> Result<u16, TransportError> {
        Ok(u16::from_le_bytes(self.read(QUEUE_SIZE.to_le_bytes())))
    }

    fn enable_queue(&mut self, setup: &QueueSetup) -> Result<Box<dyn Doorbell>, TransportError> {
        if self.fails() {
            return self.gone();
        }
        self.heard().queues.push(*setup);
        Ok(Box::new(Silent))
    }

    fn vector_count(&self) -> u16 {
        self.script.front().map_or(4, |&count| count.into())
    }

    fn interrupt(&mut self, vector: u16) -> Result<Arc<EventFd>, TransportError> {
        let operation = format!("interrupt {vector}");
        let event = EventFd::new(EFD_NONBLOCK).map(Arc::new);
        event.map_err(|source| TransportError::Io {
            device: "fuzzed".to_owned(),
            operation,
            source,
        })
    }

    fn enable_config_interrupt(&mut self, _vector: u16) -> Result<(), TransportError> {
        if self.fails() { self.gone() } else { Ok(()) }
    }

    fn map_dma(&mut self, region: &Arc<DmaRegion>) -> Result<Iova, TransportError> {
        let mut heard = self.heard();
        let start = 0x1000 + heard.mapped.iter().map(|m| m.1 + 0x1000).sum::<u64>();
        heard.mapped.push((start, region.len() as u64));
        Ok(Iova(start))
    }

    fn unmap_dma(&mut self, _iova: Iova) -> Result<(), TransportError> {
        Ok(())
    }
}
