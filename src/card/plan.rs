//! All that is decided of a card's queues before memory is allocated, and their place in it.

use std::time::Duration;

use virtio::init::Negotiated;
use virtio::net::{
    ControlQueue, NetConfig, control_queue, header_len, receive_queue, transmit_queue,
};
use virtio::queue::{QueueSize, RingFeatures};
use virtio::spec::net::feature::*;
use virtio::spec::net::{MAX_LARGE_FRAME, MAX_PLAIN_FRAME};
use virtio::transport::Doorbell;

use super::queue::QueuePlan;
use super::sizes::*;
use super::vectors::Vectors;
use super::{CardConfig, CardError, CardInfo, PairParts};
use crate::slots::{Carver, SlotShape};

/// The control queue with the doorbell that it gets once the card is started.
pub(super) type PendingCtrl = Option<(ControlQueue, Box<dyn Doorbell>)>;

/// All that is decided before memory is allocated.
pub(super) struct Plan {
    config: NetConfig,
    /// Receive and transmit queue of each pair, all of one size.
    pairs: Vec<[QueuePlan; 2]>,
    rx_ring: QueueSize,
    tx_ring: QueueSize,
    ring: RingFeatures,
    /// Index and size.
    ctrl: Option<(u16, QueueSize)>,
    max_rx_frame: usize,
    max_tx_frame: usize,
    frame_limit: usize,
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
        let count = there_are.min(most).max(1);
        let indices = || (0..count).map(|pair| (receive_queue(pair), transmit_queue(pair)));
        let frame_limit = usize::from(config.mtu.unwrap_or(MTU_LIMIT)) + LINK_HEADER;
        let frame_limit = frame_limit.max(MAX_PLAIN_FRAME);
        let max_rx_frame = if receives_segments(features) {
            MAX_LARGE_FRAME
        } else {
            frame_limit
        };
        let max_tx_frame = if sends_segments(features) {
            MAX_LARGE_FRAME
        } else {
            frame_limit
        };
        let head = header_len(features);
        let mergeable = features.has(VIRTIO_NET_F_MRG_RXBUF);
        let least_rx_slot = match mergeable {
            true => max_rx_frame.min(MERGEABLE_BUFFER - head),
            false => max_rx_frame,
        };
        let rx = indices().map(|(rx, _)| rx);
        let most = affordable(wish.rx_ring, count, least_rx_slot, head);
        let rx_size = common_size(device, rx, "receive", most)?;
        let tx = indices().map(|(_, tx)| tx);
        let most = affordable(wish.tx_ring, count, max_tx_frame, head);
        let tx_size = common_size(device, tx, "transmit", most)?;
        // Behind the queues of all pairs that there are, however many are used.
        let index = control_queue(told);
        let ctrl = features
            .has(VIRTIO_NET_F_CTRL_VQ)
            .then(|| {
                let size = ControlQueue::SIZE;
                let size = queue_size(device, index, "control", size..=size)?;
                Ok::<_, CardError>((index, size))
            })
            .transpose()?;
        let rx_slot = match mergeable {
            true => mergeable_slot(max_rx_frame, rx_size, head),
            false => max_rx_frame,
        };
        let plan = |index, size, frame, device_writes| QueuePlan {
            index,
            size,
            shape: SlotShape::for_frames_of(frame, head, device_writes),
            features: features.ring(),
        };
        let pair = |(rx, tx)| {
            [
                plan(rx, rx_size, rx_slot, true),
                plan(tx, tx_size, max_tx_frame, false),
            ]
        };
        Ok(Self {
            config,
            pairs: indices().map(pair).collect(),
            rx_ring: rx_size,
            tx_ring: tx_size,
            ring: features.ring(),
            ctrl,
            max_rx_frame,
            max_tx_frame,
            frame_limit,
        })
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
            rx_ring: self.rx_ring,
            tx_ring: self.tx_ring,
            pinned_bytes,
            max_rx_frame: self.max_rx_frame,
            max_tx_frame: self.max_tx_frame,
            frame_limit: self.frame_limit,
        }
    }
}
