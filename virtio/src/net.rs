//! What virtio-net adds to a virtio device (§ *Network Device*).

pub mod config;
pub mod ctrl;
pub mod features;
pub mod header;
pub mod rss;

pub use config::{ConfigError, NetConfig};
pub use ctrl::{Coalescing, ControlQueue, CtrlError, guest_offloads};
pub use features::FeatureSet;
pub use header::{HashReport, VirtioNetHdr, header_len};
pub use rss::{RssConfig, RssLimits};

/// § *Virtqueues*: the index of receive queue `pair`.
pub const fn receive_queue(pair: u16) -> u16 {
    2 * pair
}

/// § *Virtqueues*: the index of transmit queue `pair`.
pub const fn transmit_queue(pair: u16) -> u16 {
    2 * pair + 1
}

/// § *Virtqueues*: the index of the control queue of a device with `pairs` pairs.
pub const fn control_queue(pairs: u16) -> u16 {
    2 * pairs
}
