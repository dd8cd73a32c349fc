//! What virtio-net adds to a virtio device (§ *Network Device*).

pub mod features;

pub use features::FeatureSet;
