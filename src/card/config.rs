//! What a card is asked for, and what none is ever asked for.

use std::time::Duration;

use virtio::net::{Coalescing, FeatureSet};
use virtio::spec::net::feature::VIRTIO_NET_F_CTRL_VLAN;

/// Features that are known and not taken: with a filter of VLANs a device drops the frames of all that
/// it is not told of, and nobody tells of all ([why](../../docs/decisions/0007-no-vlan-filter.md)).
pub const LEFT_OUT: FeatureSet = FeatureSet::of(&[VIRTIO_NET_F_CTRL_VLAN]);
/// The same for people who see that the feature was offered.
pub const WHY_LEFT_OUT: &str =
    "the device would drop the frames of each VLAN that it is not told of, and not all are known";
/// Queue pairs that are ever used.
pub const MAX_QUEUE_PAIRS: u16 = 8;

/// What the card is asked for.
#[derive(Clone, Debug)]
pub struct CardConfig {
    /// Most receive descriptors. The device may have fewer, and each has a slot: there are no more
    /// than take 256 MiB, and all queues together 768 MiB.
    pub rx_ring: u16,
    /// Most transmit descriptors; the same goes for them.
    pub tx_ring: u16,
    /// Most queue pairs; the device may have fewer.
    pub queue_pairs: u16,
    /// Features not to use even if offered.
    pub disabled: FeatureSet,
    /// How long a device that can (`VIRTIO_NET_F_NOTF_COAL`) may put notifications of receive queues
    /// off; nothing: it is told nothing.
    pub rx_coalescing: Option<Coalescing>,
    /// The same of transmit queues.
    pub tx_coalescing: Option<Coalescing>,
    /// How long to wait for a reset or a control command.
    pub timeout: Duration,
}

impl Default for CardConfig {
    fn default() -> Self {
        Self {
            rx_ring: 256,
            tx_ring: 256,
            queue_pairs: MAX_QUEUE_PAIRS,
            disabled: FeatureSet::EMPTY,
            rx_coalescing: None,
            tx_coalescing: None,
            timeout: Duration::from_secs(3),
        }
    }
}
