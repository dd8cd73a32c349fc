//! What a vhost-user back end may offer, and what of it means anything here.
//!
//! A back end moves frames; the rest of a virtio device is the front end's part. So bits for what
//! there is not (a control queue, doorbells that carry a number, a register for the reset of one
//! queue) or that the driver need not see (several pairs) are left out, and bits that name fields of
//! the configuration count only where the back end has one to read.

use crate::net::FeatureSet;
use crate::spec::feature::*;
use crate::spec::net::config;
use crate::spec::net::feature::*;
use crate::spec::vhost_user::protocol_feature::*;

/// Features of rings and frames: the back end's own business.
const FRAMES: FeatureSet = FeatureSet::of(&[
    VIRTIO_F_VERSION_1,
    VIRTIO_F_EVENT_IDX,
    VIRTIO_F_RING_PACKED,
    VIRTIO_F_IN_ORDER,
    VIRTIO_F_ORDER_PLATFORM,
    VIRTIO_NET_F_MRG_RXBUF,
    VIRTIO_NET_F_CSUM,
    VIRTIO_NET_F_HOST_TSO4,
    VIRTIO_NET_F_HOST_TSO6,
    VIRTIO_NET_F_HOST_ECN,
    VIRTIO_NET_F_HOST_USO,
    VIRTIO_NET_F_GUEST_CSUM,
    VIRTIO_NET_F_GUEST_TSO4,
    VIRTIO_NET_F_GUEST_TSO6,
    VIRTIO_NET_F_GUEST_ECN,
    VIRTIO_NET_F_GUEST_USO4,
    VIRTIO_NET_F_GUEST_USO6,
]);

/// Features that name fields of the configuration, with where the field ends.
const FIELDS: [(u32, usize); 4] = [
    (VIRTIO_NET_F_MAC, config::MAC + 6),
    (VIRTIO_NET_F_STATUS, config::STATUS + 2),
    (VIRTIO_NET_F_MTU, config::MTU + 2),
    (VIRTIO_NET_F_SPEED_DUPLEX, config::DUPLEX + 1),
];

/// Those of the `offered` features that a driver may see.
pub(super) fn usable(offered: FeatureSet, protocol: Protocol) -> FeatureSet {
    let fields = FIELDS
        .iter()
        .filter(|_| protocol.has_config())
        .fold(FeatureSet::EMPTY, |set, &(bit, _)| set.with(bit));
    offered.and(FeatureSet(FRAMES.0 | fields.0))
}

/// How much configuration there is to read: up to the last field that is offered.
pub(super) fn config_len(usable: FeatureSet) -> usize {
    let fields = FIELDS.iter().filter(|(bit, _)| usable.has(*bit));
    fields.map(|&(_, end)| end).max().unwrap_or(0)
}

/// Extensions of the protocol that both sides have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Protocol(u64);

const TAKEN: [u32; 6] = [MQ, REPLY_ACK, BACKEND_REQ, CONFIG, RESET_DEVICE, STATUS];

impl Protocol {
    /// Those of the `offered` ones that this front end has.
    pub(super) fn choose(offered: u64) -> Self {
        let known = TAKEN.iter().fold(0, |set, bit| set | 1 << bit);
        Self(offered & known)
    }

    /// As they are sent.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    pub(super) fn several_queues(self) -> bool {
        self.has(MQ)
    }

    pub(super) fn acknowledges(self) -> bool {
        self.has(REPLY_ACK)
    }

    pub(super) fn has_config(self) -> bool {
        self.has(CONFIG)
    }

    /// Whether the back end can tell that its configuration changed.
    pub(super) fn tells_of_config(self) -> bool {
        self.has(CONFIG) && self.has(BACKEND_REQ)
    }

    pub(super) fn resets(self) -> bool {
        self.has(RESET_DEVICE)
    }

    pub(super) fn has_status(self) -> bool {
        self.has(STATUS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: FeatureSet = FeatureSet(u64::MAX as u128);

    #[test]
    fn without_configuration_its_fields_are_not_offered() {
        let bare = usable(EVERYTHING, Protocol::default());
        assert_eq!(bare, FRAMES);
        assert_eq!(config_len(bare), 0);
        let full = usable(EVERYTHING, Protocol::choose(1 << CONFIG));
        assert!(full.has(VIRTIO_NET_F_MAC) && full.has(VIRTIO_NET_F_STATUS));
        assert_eq!(config_len(full), 17);
    }

    #[test]
    fn what_needs_a_control_queue_an_iommu_or_registers_is_never_offered() {
        let full = usable(EVERYTHING, Protocol::choose(u64::MAX));
        for bit in [
            VIRTIO_NET_F_CTRL_VQ,
            VIRTIO_NET_F_MQ,
            VIRTIO_F_ACCESS_PLATFORM,
            VIRTIO_F_NOTIFICATION_DATA,
            VIRTIO_F_RING_RESET,
        ] {
            assert!(!full.has(bit), "{bit}");
        }
        assert_eq!(
            usable(FeatureSet::EMPTY, Protocol::choose(u64::MAX)),
            FeatureSet::EMPTY
        );
    }

    #[test]
    fn only_extensions_that_both_have_are_taken() {
        assert_eq!(Protocol::choose(0), Protocol::default());
        let all = Protocol::choose(u64::MAX);
        assert_eq!(all.bits().count_ones() as usize, TAKEN.len());
        assert!(all.has_status() && all.tells_of_config() && all.resets());
        assert!(!Protocol::choose(1 << CONFIG).tells_of_config());
    }
}
