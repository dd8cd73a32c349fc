//! A driver small enough to be read at a glance: registers by hand, three queues, plain slots.
#![allow(dead_code, unreachable_pub)] // each test file uses another part

pub mod packed_device;
pub mod random;

use std::sync::Arc;

use virtio::net::FeatureSet;
use virtio::queue::{Part, QueueSize, RingFeatures, RingLayout, SlotId, SlotLayout, Used};
use virtio::spec::feature::{VIRTIO_F_IN_ORDER, VIRTIO_F_NOTIFICATION_DATA, VIRTIO_F_RING_PACKED};
use virtio::spec::status::*;
use virtio::transport::Doorbell;
use virtio::transport::in_process::{Device, DeviceConfig, InProcess, Link};
use virtio::{DmaRegion, DmaSlice, Transport, Virtqueue};
use vmm_sys_util::eventfd::EventFd;

/// A queue with its slots, its doorbell and its interrupt.
pub struct Queue {
    pub vq: Virtqueue,
    pub ring: DmaSlice,
    pub slots: DmaSlice,
    pub stride: usize,
    pub bell: Box<dyn Doorbell>,
    pub interrupt: Arc<EventFd>,
}

/// How the slots of a queue are made.
pub struct Shape<'a> {
    pub size: u16,
    pub stride: usize,
    pub parts: &'a [Part],
}

pub const fn part(offset: usize, len: u32, device_writes: bool) -> Part {
    Part {
        offset,
        len,
        device_writes,
    }
}

/// Makes queue `index` in memory of its own and enables it with interrupt `index`.
pub fn open_queue(
    transport: &mut InProcess,
    index: u16,
    features: RingFeatures,
    shape: Shape<'_>,
) -> Queue {
    let size = QueueSize::new(shape.size).unwrap();
    let ring_len = RingLayout::new(size, features).len;
    let len = ring_len + usize::from(shape.size) * shape.stride;
    let region = Arc::new(DmaRegion::new(len).unwrap());
    let memory = region.at(transport.map_dma(&region).unwrap());
    let slots = memory.slice(ring_len, len - ring_len).unwrap();
    let layout = SlotLayout {
        stride: shape.stride,
        parts: shape.parts,
    };
    let vq = Virtqueue::new(&memory, size, features, &slots, layout).unwrap();
    let interrupt = transport.interrupt(index).unwrap();
    let bell = transport
        .enable_queue(&vq.setup(index, Some(index)))
        .unwrap();
    Queue {
        vq,
        ring: memory.slice(0, ring_len).unwrap(),
        slots,
        stride: shape.stride,
        bell,
        interrupt,
    }
}

impl Queue {
    /// Makes every slot available.
    pub fn post_all(&mut self) {
        (0..self.vq.slot_count()).for_each(|slot| self.vq.add(SlotId(slot)));
        self.flush();
    }

    pub fn flush(&mut self) {
        self.vq.publish();
        self.vq.kick_if_needed(&*self.bell);
    }

    pub fn write(&self, slot: SlotId, bytes: &[u8]) {
        let at = usize::from(slot.0) * self.stride;
        self.slots.range(at, bytes.len()).copy_from(bytes);
    }

    pub fn read(&self, used: Used) -> Vec<u8> {
        let len = used.len.expect("a length") as usize;
        let mut bytes = vec![0; len];
        let at = usize::from(used.slot.0) * self.stride;
        self.slots.range(at, len).copy_to(&mut bytes[..]);
        bytes
    }

    /// Sends `bytes` (header and frame) from `slot`.
    pub fn send(&mut self, slot: SlotId, bytes: &[u8]) {
        self.write(slot, bytes);
        self.vq.add_with_len(slot, bytes.len() as u32);
        self.flush();
    }

    /// The next used buffer's bytes; its slot is made available again.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let used = self.vq.pop_used().unwrap()?;
        let bytes = self.read(used);
        self.vq.add(used.slot);
        self.flush();
        Some(bytes)
    }

    /// Whether an interrupt has come since the last look.
    pub fn interrupted(&mut self) -> bool {
        self.interrupt.read().is_ok()
    }
}

/// Walks to FEATURES_OK and returns whether the device agreed to `features`.
pub fn negotiate(transport: &mut InProcess, features: FeatureSet) -> bool {
    transport.write_status(0).unwrap();
    assert_eq!(transport.read_status().unwrap(), 0);
    transport.write_status(ACKNOWLEDGE).unwrap();
    transport.write_status(ACKNOWLEDGE | DRIVER).unwrap();
    transport.write_driver_features(features).unwrap();
    transport
        .write_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)
        .unwrap();
    transport.read_status().unwrap() & FEATURES_OK != 0
}

pub fn driver_ok(transport: &mut InProcess) {
    transport
        .write_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
        .unwrap();
}

/// A card that is up: receive buffers posted, transmit and control queues ready.
pub struct Nic {
    pub transport: InProcess,
    pub device: Device,
    pub rx: Queue,
    pub tx: Queue,
    pub ctrl: Queue,
}

impl Nic {
    pub fn new(config: DeviceConfig, link: impl Link + 'static, features: FeatureSet) -> Self {
        Self::with_slots(config, link, features, 2048, 0x1_0080)
    }

    /// The same with receive and transmit slots of so many bytes. What rings are to be like is
    /// offered where it is to be taken.
    pub fn with_slots(
        mut config: DeviceConfig,
        link: impl Link + 'static,
        features: FeatureSet,
        rx_len: u32,
        tx_len: u32,
    ) -> Self {
        let rings = [
            VIRTIO_F_RING_PACKED,
            VIRTIO_F_IN_ORDER,
            VIRTIO_F_NOTIFICATION_DATA,
        ];
        for bit in rings {
            if features.has(bit) {
                config = config.offering(&[bit]);
            }
        }
        let sizes = config.queue_sizes.clone();
        let (transport, device) = InProcess::new(config, link).unwrap();
        Self::on(transport, device, &sizes, features, rx_len, tx_len)
    }

    /// The same on a device that was made elsewhere, with queues of these sizes.
    pub fn on(
        mut transport: InProcess,
        device: Device,
        sizes: &[u16],
        features: FeatureSet,
        rx_len: u32,
        tx_len: u32,
    ) -> Self {
        assert!(negotiate(&mut transport, features));
        let mut open = |index: u16, stride, parts: &[Part]| {
            let size = sizes[usize::from(index)];
            let shape = Shape {
                size,
                stride,
                parts,
            };
            open_queue(&mut transport, index, features.ring(), shape)
        };
        let mut rx = open(0, rx_len as usize, &[part(0, rx_len, true)]);
        let tx = open(1, tx_len as usize, &[part(0, tx_len, false)]);
        let ctrl = open(2, 512, &[part(0, 500, false), part(500, 1, true)]);
        (0..rx.vq.slot_count()).for_each(|slot| rx.vq.add(SlotId(slot)));
        rx.vq.publish();
        driver_ok(&mut transport);
        rx.vq.kick_if_needed(&*rx.bell);
        Self {
            transport,
            device,
            rx,
            tx,
            ctrl,
        }
    }

    /// Runs one command and returns its acknowledgement.
    pub fn command(&mut self, command: &[u8]) -> u8 {
        self.ctrl.write(SlotId(0), &[0xff; 501]);
        self.ctrl.send(SlotId(0), command);
        self.device.settle();
        let used = self
            .ctrl
            .vq
            .pop_used()
            .unwrap()
            .expect("a completed command");
        assert_eq!(used.slot, SlotId(0));
        let mut ack = [0];
        self.ctrl.slots.range(500, 1).copy_to(&mut ack[..]);
        ack[0]
    }
}

/// Header bytes with `num_buffers` at 1, as a device without mergeable buffers writes them.
pub const RX_HEADER: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
