//! What a device is made to be, and its configuration space (§ *Device configuration layout*).

use crate::net::FeatureSet;
use crate::net::features::all_known;
use crate::spec::feature::{
    VIRTIO_F_IN_ORDER, VIRTIO_F_NOTIFICATION_DATA, VIRTIO_F_RING_PACKED, VIRTIO_F_RING_RESET,
};
use crate::spec::net::feature::*;
use crate::spec::net::{config, hash};

/// An in-process device before it exists. Nothing is checked: a device may be made wrong.
#[derive(Clone, Debug)]
pub struct DeviceConfig {
    /// Name in messages.
    pub name: String,
    /// Features on offer.
    pub offered: FeatureSet,
    /// The address, whatever the features say.
    pub mac: [u8; 6],
    /// `status`: [`config::S_LINK_UP`] and others.
    pub status: u16,
    /// `max_virtqueue_pairs`.
    pub max_pairs: u16,
    /// `rss_max_key_size`.
    pub rss_key_size: u8,
    /// `rss_max_indirection_table_length`.
    pub rss_table_len: u16,
    /// `supported_hash_types`.
    pub hash_types: u32,
    /// `mtu`.
    pub mtu: u16,
    /// `speed`, in Mbit/s.
    pub speed: u32,
    /// `duplex`: 1 full, 0 half, 0xff unknown.
    pub duplex: u8,
    /// Bytes of configuration that exist.
    pub config_len: usize,
    /// The largest size of each queue, as the device says it.
    pub queue_sizes: Vec<u16>,
    /// What `num_queues` says instead of the number of those.
    pub queue_count: Option<u16>,
    /// Interrupts that can be told apart.
    pub vectors: u16,
    /// Whether the driver is to believe in an IOMMU; addresses are checked either way.
    pub behind_iommu: bool,
    /// Whether the device keeps frames for others away from the driver.
    pub filters: bool,
}

/// Features that take another path than the plain one, or ask more of a driver:
/// [`DeviceConfig::offering`] adds them.
const ON_REQUEST: FeatureSet = FeatureSet::of(&[
    VIRTIO_F_RING_PACKED,
    VIRTIO_F_IN_ORDER,
    VIRTIO_F_NOTIFICATION_DATA,
    VIRTIO_F_RING_RESET,
    VIRTIO_NET_F_CTRL_VLAN,
    VIRTIO_NET_F_GUEST_ANNOUNCE,
    VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
    VIRTIO_NET_F_NOTF_COAL,
    VIRTIO_NET_F_HASH_REPORT,
]);

/// What a device offers that was not asked for more: all that the driver side knows but for
/// packed rings, buffers in order, doorbells with data, the reset of single queues, hashes in
/// headers, and the commands about VLANs, announcements, receive offloads and coalescing.
pub fn all_offered() -> FeatureSet {
    all_known().without(ON_REQUEST)
}

impl Default for DeviceConfig {
    /// One pair of 256 entries and a control queue of 64, plain split rings, all other features.
    fn default() -> Self {
        Self {
            name: "in-process".to_owned(),
            offered: all_offered(),
            mac: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56],
            status: config::S_LINK_UP,
            max_pairs: 1,
            rss_key_size: hash::KEY_SIZE as u8,
            rss_table_len: 128,
            hash_types: hash::TYPES,
            mtu: 1500,
            speed: 10_000,
            duplex: 1,
            config_len: 24,
            queue_sizes: vec![256, 256, 64],
            queue_count: None,
            vectors: 4,
            behind_iommu: true,
            filters: false,
        }
    }
}

impl DeviceConfig {
    /// The same device, which also offers packed rings.
    #[must_use]
    pub fn with_packed_ring(self) -> Self {
        self.offering(&[VIRTIO_F_RING_PACKED])
    }

    /// The same device, which offers these features too.
    #[must_use]
    pub fn offering(self, bits: &[u32]) -> Self {
        let offered = bits.iter().fold(self.offered, |set, &bit| set.with(bit));
        Self { offered, ..self }
    }

    /// The same device with so many pairs of queues, each with an interrupt of its own.
    #[must_use]
    pub fn with_pairs(self, pairs: u16) -> Self {
        let [rx, tx, ctrl] = [0, 1, 2].map(|queue| self.max_queue_size(queue));
        let data = [rx, tx].repeat(pairs.into());
        Self {
            max_pairs: pairs,
            queue_sizes: [&data[..], &[ctrl]].concat(),
            vectors: 2 * pairs + 2,
            ..self
        }
    }

    /// The configuration space as bytes.
    pub(super) fn bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[config::MAC..][..6].copy_from_slice(&self.mac);
        bytes[config::STATUS..][..2].copy_from_slice(&self.status.to_le_bytes());
        bytes[config::MAX_VIRTQUEUE_PAIRS..][..2].copy_from_slice(&self.max_pairs.to_le_bytes());
        bytes[config::MTU..][..2].copy_from_slice(&self.mtu.to_le_bytes());
        bytes[config::SPEED..][..4].copy_from_slice(&self.speed.to_le_bytes());
        bytes[config::DUPLEX] = self.duplex;
        bytes[config::RSS_MAX_KEY_SIZE] = self.rss_key_size;
        bytes[config::RSS_MAX_INDIRECTION_TABLE_LENGTH..][..2]
            .copy_from_slice(&self.rss_table_len.to_le_bytes());
        bytes[config::SUPPORTED_HASH_TYPES..][..4].copy_from_slice(&self.hash_types.to_le_bytes());
        bytes
    }

    /// What the device says the largest size of `queue` is; 0 where there is none.
    pub(super) fn max_queue_size(&self, queue: u16) -> u16 {
        self.queue_sizes
            .get(usize::from(queue))
            .copied()
            .unwrap_or(0)
    }

    /// Pairs of data queues under `accepted` (§ *Virtqueues*).
    pub(super) fn pairs(&self, accepted: FeatureSet) -> u16 {
        let several = accepted.has(VIRTIO_NET_F_MQ) || accepted.has(VIRTIO_NET_F_RSS);
        if several { self.max_pairs } else { 1 }
    }

    /// What queue `index` is for under `accepted` (§ *Virtqueues*).
    pub(super) fn role(&self, index: u16, accepted: FeatureSet) -> Role {
        let control = self.pairs(accepted).saturating_mul(2);
        match index {
            _ if index == control && accepted.has(VIRTIO_NET_F_CTRL_VQ) => Role::Control,
            _ if index.is_multiple_of(2) => Role::Receive,
            _ => Role::Transmit,
        }
    }
}

/// What a queue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Frames for the driver.
    Receive,
    /// Frames from the driver.
    Transmit,
    /// Commands from the driver.
    Control,
}
