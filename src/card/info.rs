//! What is known of a card that was started.

use virtio::net::{FeatureSet, NetConfig};
use virtio::queue::QueueSize;

/// What was found out about a card when it was started.
#[derive(Clone, Copy, Debug)]
pub struct CardInfo {
    /// Features the device offers.
    pub offered: FeatureSet,
    /// Features agreed on.
    pub features: FeatureSet,
    /// What the device says of itself.
    pub config: NetConfig,
    /// Queue pairs in use.
    pub queue_pairs: u16,
    /// Descriptors of each receive queue.
    pub rx_ring: QueueSize,
    /// Descriptors of each transmit queue.
    pub tx_ring: QueueSize,
    /// Bytes of memory pinned for the device.
    pub pinned_bytes: usize,
    /// Longest frame that can be received.
    pub max_rx_frame: usize,
    /// Longest frame that can be transmitted.
    pub max_tx_frame: usize,
    /// Longest frame, of either direction, that is not several segments in one.
    pub frame_limit: usize,
}

impl CardInfo {
    /// The MTU of the interface: what the device says, else Ethernet's 1500.
    pub fn mtu(&self) -> u16 {
        self.config.mtu.unwrap_or(1500)
    }
}
