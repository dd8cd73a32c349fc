//! All that is decided of a card's queues before memory is allocated, and their place in it.

use std::time::Duration;

use virtio::init::Negotiated;
use virtio::net::{ControlQueue, NetConfig, control_queue, receive_queue, transmit_queue};
use virtio::queue::{QueueSize, RingFeatures};
use virtio::spec::net::feature::VIRTIO_NET_F_CTRL_VQ;
use virtio::transport::Doorbell;

use super::frames::Frames;
use super::queue::QueuePlan;
use super::rings::{RingWish, Rings, queue_size};
use super::vectors::Vectors;
use super::{CardConfig, CardError, CardInfo, PairParts};
use crate::slots::{Carver, SlotShape};

/// The control queue with the doorbell that it gets once the card is started.
pub(super) type PendingCtrl = Option<(ControlQueue, Box<dyn Doorbell>)>;

/// All that is decided before memory is allocated.
pub(super) struct Plan {
    config: NetConfig,
    frames: Frames,
    /// Receive and transmit queue of each pair.
    pairs: Vec<[QueuePlan; 2]>,
    rx_rings: Rings,
    tx_rings: Rings,
    ring: RingFeatures,
    /// Index and size.
    ctrl: Option<(u16, QueueSize)>,
}

impl Plan {
    pub(super) fn new(
        device: &mut Negotiated,
        wish: &CardConfig,
        most: u16,
    ) -> Result<Self, CardError> {
        let features = device.features();
        let config = NetConfig::read(device.transport(), features)?;
        let told = config.pairs()?;
        let there_are = device.transport().read_pairs()?.unwrap_or(told);
        let pairs = there_are.min(most).max(1);
        let frames = Frames::of(&config, features);
        let ring = |purpose, most, frame, device_writes| RingWish {
            purpose,
            most,
            slot: SlotShape::for_frames_of(frame, frames.head, device_writes).stride(),
            pairs,
        };
        let rx = ring("receive", wish.rx_ring, frames.least_rx_slot(), true);
        let rx_rings = Rings::new(device, (0..pairs).map(receive_queue), rx)?;
        let tx = ring("transmit", wish.tx_ring, frames.longest_tx, false);
        let tx_rings = Rings::new(device, (0..pairs).map(transmit_queue), tx)?;
        // Behind the queues of all pairs that there are, however many are used.
        let ctrl = plan_ctrl(device, control_queue(told))?;
        let queue = |index, size, frame, device_writes| QueuePlan {
            index,
            size,
            shape: SlotShape::for_frames_of(frame, frames.head, device_writes),
            features: features.ring(),
        };
        let (rx_size, tx_size) = (rx_rings.size, tx_rings.size);
        let pair = |pair| {
            [
                queue(receive_queue(pair), rx_size, frames.rx_slot(rx_size), true),
                queue(transmit_queue(pair), tx_size, frames.longest_tx, false),
            ]
        };
        Ok(Self {
            config,
            frames,
            pairs: (0..pairs).map(pair).collect(),
            rx_rings,
            tx_rings,
            ring: features.ring(),
            ctrl,
        })
    }

    /// What to tell of rings that there is not memory enough for.
    pub(super) fn shortened(&self) -> impl Iterator<Item = String> {
        let rings = [&self.rx_rings, &self.tx_rings];
        rings.into_iter().filter_map(Rings::shortened)
    }

    pub(super) fn pair_count(&self) -> u16 {
        self.pairs.len() as u16 // at most that of a device
    }

    pub(super) fn memory_len(&self) -> usize {
        let ctrl = self.ctrl.map_or(0, |(_, size)| {
            Carver::taken_by(ControlQueue::memory_len(size, self.ring))
        });
        let queues = self.pairs.iter().flatten();
        queues.map(QueuePlan::memory_len).sum::<usize>() + ctrl
    }

    pub(super) fn lay_out_pairs(
        &self,
        carver: &mut Carver,
        device: &mut Negotiated,
        vectors: Vectors,
    ) -> Result<Vec<PairParts>, CardError> {
        let pairs = self.pairs.iter().zip(0..).map(|([rx, tx], pair)| {
            let (rx_vector, tx_vector) = vectors.of(pair);
            let mut rx = rx.lay_out(carver, device, rx_vector)?;
            rx.make_all_available();
            let tx = tx.lay_out(carver, device, tx_vector)?;
            Ok(PairParts { rx, tx })
        });
        pairs.collect()
    }

    pub(super) fn lay_out_ctrl(
        &self,
        carver: &mut Carver,
        device: &mut Negotiated,
        timeout: Duration,
    ) -> Result<PendingCtrl, CardError> {
        let Some((index, size)) = self.ctrl else {
            return Ok(None);
        };
        let memory = carver.take(ControlQueue::memory_len(size, self.ring))?;
        memory.clear();
        let ctrl = ControlQueue::new(&memory, size, device.features(), timeout)?;
        let doorbell = device.enable_queue(index, ctrl.queue(), None)?;
        Ok(Some((ctrl, doorbell)))
    }

    pub(super) fn info(&self, device: &Negotiated, pinned_bytes: usize) -> CardInfo {
        CardInfo {
            offered: device.offered(),
            features: device.features(),
            config: self.config,
            queue_pairs: self.pair_count(),
            rx_ring: self.rx_rings.size,
            tx_ring: self.tx_rings.size,
            pinned_bytes,
            max_rx_frame: self.frames.longest_rx,
            max_tx_frame: self.frames.longest_tx,
            frame_limit: self.frames.longest_single,
        }
    }
}

/// Index and size of the control queue, if there is one.
fn plan_ctrl(device: &mut Negotiated, index: u16) -> Result<Option<(u16, QueueSize)>, CardError> {
    if !device.features().has(VIRTIO_NET_F_CTRL_VQ) {
        return Ok(None);
    }
    let size = ControlQueue::SIZE;
    let size = queue_size(device, index, "control", size..=size)?;
    Ok(Some((index, size)))
}
