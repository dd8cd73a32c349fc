//! How long the frames of a device are, and the slots for them.

use virtio::net::{FeatureSet, NetConfig, header_len};
use virtio::queue::QueueSize;
use virtio::spec::net::feature::*;
use virtio::spec::net::{MAX_LARGE_FRAME, MAX_PLAIN_FRAME};

/// Largest payload of a frame where the device does not say an MTU.
const MTU_LIMIT: u16 = 9216;
/// Link header and one VLAN tag.
const LINK_HEADER: usize = 18;
/// Buffers of mergeable receive queues: large enough that a frame of 64 KiB takes 17, small
/// enough that each lies in one page, and that all of them stay in the translation caches of an
/// IOMMU. With the header they are whole cache lines, so that a frame's parts are copied aligned.
pub(super) const MERGEABLE_BUFFER: usize = 4032;

/// Lengths of frames, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Frames {
    /// The longest that can be received.
    pub(super) longest_rx: usize,
    /// The longest that can be transmitted.
    pub(super) longest_tx: usize,
    /// The longest of either direction that is not several segments in one.
    pub(super) longest_single: usize,
    /// What stands before each.
    pub(super) head: usize,
    /// Whether a received one may lie in several buffers.
    mergeable: bool,
}

impl Frames {
    pub(super) fn of(config: &NetConfig, features: FeatureSet) -> Self {
        let single = usize::from(config.mtu.unwrap_or(MTU_LIMIT)) + LINK_HEADER;
        let single = single.max(MAX_PLAIN_FRAME);
        let longest = |segments| if segments { MAX_LARGE_FRAME } else { single };
        Self {
            longest_rx: longest(receives_segments(features)),
            longest_tx: longest(sends_segments(features)),
            longest_single: single,
            head: header_len(features),
            mergeable: features.has(VIRTIO_NET_F_MRG_RXBUF),
        }
    }

    /// Bytes of a frame that a slot of any receive queue holds, however long the ring is.
    pub(super) fn least_rx_slot(&self) -> usize {
        match self.mergeable {
            true => self.longest_rx.min(MERGEABLE_BUFFER - self.head),
            false => self.longest_rx,
        }
    }

    /// The same of one with so many slots. All slots of a small mergeable queue together hold the
    /// largest frame: a device that can never place a frame waits for ever with it, and with all
    /// frames behind it.
    pub(super) fn rx_slot(&self, size: QueueSize) -> usize {
        let share = match self.mergeable {
            true => self.longest_rx.div_ceil(usize::from(size.get())),
            false => self.longest_rx,
        };
        share.max(self.least_rx_slot())
    }
}

fn receives_segments(features: FeatureSet) -> bool {
    let bits = [
        VIRTIO_NET_F_GUEST_TSO4,
        VIRTIO_NET_F_GUEST_TSO6,
        VIRTIO_NET_F_GUEST_USO4,
        VIRTIO_NET_F_GUEST_USO6,
    ];
    bits.iter().any(|&bit| features.has(bit))
}

fn sends_segments(features: FeatureSet) -> bool {
    let bits = [
        VIRTIO_NET_F_HOST_TSO4,
        VIRTIO_NET_F_HOST_TSO6,
        VIRTIO_NET_F_HOST_USO,
    ];
    bits.iter().any(|&bit| features.has(bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mergeable(longest_rx: usize, head: usize) -> Frames {
        Frames {
            longest_rx,
            longest_tx: longest_rx,
            longest_single: longest_rx,
            head,
            mergeable: true,
        }
    }

    #[test]
    fn the_buffers_of_any_mergeable_queue_hold_the_largest_frame_together() {
        for shift in 2..=15 {
            let size = QueueSize::within(1 << shift, 1 << shift).unwrap();
            for max in [MAX_PLAIN_FRAME, usize::from(MTU_LIMIT), MAX_LARGE_FRAME] {
                for head in [12, 20] {
                    let slot = mergeable(max, head).rx_slot(size);
                    assert!(
                        slot <= max && slot * usize::from(size.get()) >= max,
                        "{size:?}, {max}"
                    );
                }
            }
        }
        let ordinary = QueueSize::within(256, 256).unwrap();
        for head in [12, 20] {
            let slot = mergeable(MAX_LARGE_FRAME, head).rx_slot(ordinary);
            assert_eq!(slot + head, MERGEABLE_BUFFER);
        }
    }
}
