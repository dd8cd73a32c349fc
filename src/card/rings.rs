//! How long frames, slots and rings are: as the device says, and as far as memory goes.

use std::ops::RangeInclusive;

use virtio::init::Negotiated;
use virtio::net::FeatureSet;
use virtio::queue::QueueSize;
use virtio::spec::net::feature::*;

use super::CardError;
use crate::slots::SlotShape;

/// Largest payload of a frame where the device does not say an MTU.
pub(super) const MTU_LIMIT: u16 = 9216;
/// Link header and one VLAN tag.
pub(super) const LINK_HEADER: usize = 18;
/// Buffers of mergeable receive queues: large enough that a frame of 64 KiB takes 17, small
/// enough that each lies in one page, and that all of them stay in the translation caches of an
/// IOMMU. With the header they are whole cache lines, so that a frame's parts are copied aligned.
pub(super) const MERGEABLE_BUFFER: usize = 4032;
/// Most memory of the slots of one queue, in bytes. A ring of the largest size takes half of it where
/// slots are no larger than a page; one whose slots hold 64 KiB each has 2048 of them at most.
const SLOT_MEMORY: usize = 256 << 20;
/// Most memory of all slots; each queue has the same share of it.
const ALL_SLOT_MEMORY: usize = 768 << 20;

pub(super) fn receives_segments(features: FeatureSet) -> bool {
    let bits = [
        VIRTIO_NET_F_GUEST_TSO4,
        VIRTIO_NET_F_GUEST_TSO6,
        VIRTIO_NET_F_GUEST_USO4,
        VIRTIO_NET_F_GUEST_USO6,
    ];
    bits.iter().any(|&bit| features.has(bit))
}

pub(super) fn sends_segments(features: FeatureSet) -> bool {
    let bits = [
        VIRTIO_NET_F_HOST_TSO4,
        VIRTIO_NET_F_HOST_TSO6,
        VIRTIO_NET_F_HOST_USO,
    ];
    bits.iter().any(|&bit| features.has(bit))
}

/// Bytes of a frame that one buffer of a mergeable receive queue holds. All buffers of a small
/// queue together hold the largest frame: a device that can never place a frame waits for ever
/// with it, and with all frames behind it.
pub(super) fn mergeable_slot(max_rx_frame: usize, size: QueueSize, head: usize) -> usize {
    let share = max_rx_frame.div_ceil(usize::from(size.get()));
    share.max(MERGEABLE_BUFFER - head).min(max_rx_frame)
}

/// How many slots of `wish` there is memory for in each queue of `pairs`, where one holds `frame`
/// bytes.
pub(super) fn affordable(wish: u16, pairs: u16, frame: usize, head: usize) -> u16 {
    let share = SLOT_MEMORY.min(ALL_SLOT_MEMORY / (2 * usize::from(pairs)));
    let slot = SlotShape::for_frames_of(frame, head, false).stride();
    u16::try_from(share / slot).map_or(wish, |most| wish.min(most))
}

/// The size that queues of one purpose can all have, as large as possible up to `most`.
pub(super) fn common_size(
    device: &mut Negotiated,
    queues: impl Iterator<Item = u16>,
    purpose: &'static str,
    most: u16,
) -> Result<QueueSize, CardError> {
    let mut largest = most;
    let mut size = None;
    for queue in queues {
        let own = queue_size(device, queue, purpose, 1..=largest)?;
        largest = own.get();
        size = Some(own);
    }
    Ok(size.unwrap_or_else(|| unreachable!("there is at least one pair")))
}

/// The size of a queue that must exist, the largest possible within `sizes`.
pub(super) fn queue_size(
    device: &mut Negotiated,
    index: u16,
    purpose: &'static str,
    sizes: RangeInclusive<u16>,
) -> Result<QueueSize, CardError> {
    let count = device.transport().read_queue_count()?;
    let max_size = if index < count {
        device.transport().read_max_queue_size(index)?
    } else {
        0
    };
    QueueSize::within(max_size, *sizes.end())
        .filter(|size| sizes.contains(&size.get()))
        .ok_or(CardError::NoQueue {
            index,
            purpose,
            count,
            max_size,
            least: *sizes.start(),
        })
}

#[cfg(test)]
mod tests {
    use virtio::spec::net::{MAX_LARGE_FRAME, MAX_PLAIN_FRAME};

    use super::*;
    use crate::card::{CardConfig, MAX_QUEUE_PAIRS};

    #[test]
    fn the_largest_ring_is_had_for_ordinary_frames_and_a_shorter_one_for_large() {
        for head in [12, 20] {
            let most = |pairs, frame| affordable(32_768, pairs, frame, head);
            assert_eq!(most(1, MERGEABLE_BUFFER - head), 32_768);
            assert_eq!(most(1, MAX_PLAIN_FRAME), 32_768);
            assert!((2048..4096).contains(&most(1, MAX_LARGE_FRAME)));
            // However many pairs there are, the default is not too long.
            let default = CardConfig::default().tx_ring;
            let all = affordable(default, MAX_QUEUE_PAIRS, MAX_LARGE_FRAME, head);
            assert_eq!(all, default);
        }
    }

    #[test]
    fn the_buffers_of_any_mergeable_queue_hold_the_largest_frame_together() {
        for shift in 2..=15 {
            let size = QueueSize::within(1 << shift, 1 << shift).unwrap();
            for max in [MAX_PLAIN_FRAME, usize::from(MTU_LIMIT), MAX_LARGE_FRAME] {
                for head in [12, 20] {
                    let slot = mergeable_slot(max, size, head);
                    assert!(
                        slot <= max && slot * usize::from(size.get()) >= max,
                        "{size:?}, {max}"
                    );
                }
            }
        }
        let ordinary = QueueSize::within(256, 256).unwrap();
        for head in [12, 20] {
            let slot = mergeable_slot(MAX_LARGE_FRAME, ordinary, head);
            assert_eq!(slot + head, MERGEABLE_BUFFER);
        }
    }
}
