//! Feature bits: what a device offers, what this driver takes, and what needs what.

use std::fmt;

use crate::queue::RingFeatures;
use crate::spec::feature::*;
use crate::spec::net::feature::*;

/// A set of feature bits (§ *Feature Bits*), bit n of the specification being bit n here.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FeatureSet(pub u128);

impl FeatureSet {
    /// The set without bits.
    pub const EMPTY: Self = Self(0);

    /// The set of the given bit numbers.
    pub const fn of(bits: &[u32]) -> Self {
        let mut set = 0;
        let mut i = 0;
        while i < bits.len() {
            set |= 1 << bits[i];
            i += 1;
        }
        Self(set)
    }

    /// Whether `bit` is in the set.
    pub const fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// The set with `bit` in it.
    pub const fn with(self, bit: u32) -> Self {
        Self(self.0 | 1 << bit)
    }

    /// The set without the bits of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The bits in both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What of the set shapes a virtqueue.
    pub const fn ring(self) -> RingFeatures {
        RingFeatures {
            packed: self.has(VIRTIO_F_RING_PACKED),
            event_idx: self.has(VIRTIO_F_EVENT_IDX),
            in_order: self.has(VIRTIO_F_IN_ORDER),
        }
    }

    /// The bit numbers in the set, ascending.
    pub fn bits(self) -> impl Iterator<Item = u32> {
        (0..u128::BITS).filter(move |&bit| self.has(bit))
    }

    /// The names of the bits in the set; a bit without a name shows as its number.
    pub fn names(self) -> Vec<String> {
        self.bits().map(name_of).collect()
    }
}

impl fmt::Debug for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} [{}]", self.0, self.names().join(" "))
    }
}

/// One row of the table of features that this driver knows.
struct Feature {
    bit: u32,
    name: &'static str,
    /// At least one of these must be taken as well; none: no condition.
    needs: &'static [u32],
}

const fn row(bit: u32, name: &'static str, needs: &'static [u32]) -> Feature {
    Feature { bit, name, needs }
}

/// What this driver can take, each with what it depends on (§ *Feature bit requirements*).
/// A row stands below everything it needs, so that one pass from the top settles all.
const KNOWN: &[Feature] = &[
    row(VIRTIO_F_VERSION_1, "VERSION_1", &[]),
    row(VIRTIO_F_ACCESS_PLATFORM, "ACCESS_PLATFORM", &[]),
    row(VIRTIO_F_ORDER_PLATFORM, "ORDER_PLATFORM", &[]),
    row(VIRTIO_F_EVENT_IDX, "EVENT_IDX", &[]),
    row(VIRTIO_F_RING_PACKED, "RING_PACKED", &[]),
    row(VIRTIO_F_IN_ORDER, "IN_ORDER", &[]),
    row(VIRTIO_F_NOTIFICATION_DATA, "NOTIFICATION_DATA", &[]),
    row(VIRTIO_F_RING_RESET, "RING_RESET", &[]),
    row(VIRTIO_NET_F_MAC, "MAC", &[]),
    row(VIRTIO_NET_F_STATUS, "STATUS", &[]),
    row(VIRTIO_NET_F_MTU, "MTU", &[]),
    row(VIRTIO_NET_F_SPEED_DUPLEX, "SPEED_DUPLEX", &[]),
    row(VIRTIO_NET_F_MRG_RXBUF, "MRG_RXBUF", &[]),
    row(VIRTIO_NET_F_CSUM, "CSUM", &[]),
    row(VIRTIO_NET_F_HOST_TSO4, "HOST_TSO4", &[VIRTIO_NET_F_CSUM]),
    row(VIRTIO_NET_F_HOST_TSO6, "HOST_TSO6", &[VIRTIO_NET_F_CSUM]),
    row(VIRTIO_NET_F_HOST_USO, "HOST_USO", &[VIRTIO_NET_F_CSUM]),
    row(
        VIRTIO_NET_F_HOST_ECN,
        "HOST_ECN",
        &[VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6],
    ),
    row(VIRTIO_NET_F_GUEST_CSUM, "GUEST_CSUM", &[]),
    row(
        VIRTIO_NET_F_GUEST_TSO4,
        "GUEST_TSO4",
        &[VIRTIO_NET_F_GUEST_CSUM],
    ),
    row(
        VIRTIO_NET_F_GUEST_TSO6,
        "GUEST_TSO6",
        &[VIRTIO_NET_F_GUEST_CSUM],
    ),
    row(
        VIRTIO_NET_F_GUEST_USO4,
        "GUEST_USO4",
        &[VIRTIO_NET_F_GUEST_CSUM],
    ),
    row(
        VIRTIO_NET_F_GUEST_USO6,
        "GUEST_USO6",
        &[VIRTIO_NET_F_GUEST_CSUM],
    ),
    row(
        VIRTIO_NET_F_GUEST_ECN,
        "GUEST_ECN",
        &[VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6],
    ),
    row(VIRTIO_NET_F_CTRL_VQ, "CTRL_VQ", &[]),
    row(VIRTIO_NET_F_CTRL_RX, "CTRL_RX", &[VIRTIO_NET_F_CTRL_VQ]),
    row(
        VIRTIO_NET_F_CTRL_MAC_ADDR,
        "CTRL_MAC_ADDR",
        &[VIRTIO_NET_F_CTRL_VQ],
    ),
    row(VIRTIO_NET_F_CTRL_VLAN, "CTRL_VLAN", &[VIRTIO_NET_F_CTRL_VQ]),
    row(
        VIRTIO_NET_F_GUEST_ANNOUNCE,
        "GUEST_ANNOUNCE",
        &[VIRTIO_NET_F_CTRL_VQ],
    ),
    row(
        VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
        "CTRL_GUEST_OFFLOADS",
        &[VIRTIO_NET_F_CTRL_VQ],
    ),
    row(VIRTIO_NET_F_NOTF_COAL, "NOTF_COAL", &[VIRTIO_NET_F_CTRL_VQ]),
    row(VIRTIO_NET_F_MQ, "MQ", &[VIRTIO_NET_F_CTRL_VQ]),
    // The text asks for the control queue only; this driver begins with a number of pairs.
    row(VIRTIO_NET_F_RSS, "RSS", &[VIRTIO_NET_F_MQ]),
    // Here too: a hash is told of to those who spread by it, and its key comes with that command.
    row(VIRTIO_NET_F_HASH_REPORT, "HASH_REPORT", &[VIRTIO_NET_F_RSS]),
];

/// Bits this driver never takes, named so that `status` can say what a device offered.
const NAMED_ONLY: &[(u32, &str)] = &[
    (VIRTIO_NET_F_GUEST_UFO, "GUEST_UFO"),
    (VIRTIO_NET_F_HOST_UFO, "HOST_UFO"),
    (VIRTIO_NET_F_CTRL_RX_EXTRA, "CTRL_RX_EXTRA"),
    (VIRTIO_F_INDIRECT_DESC, "INDIRECT_DESC"),
    (VIRTIO_F_SR_IOV, "SR_IOV"),
    (VIRTIO_F_NOTIF_CONFIG_DATA, "NOTIF_CONFIG_DATA"),
    (VIRTIO_NET_F_GUEST_HDRLEN, "GUEST_HDRLEN"),
    (VIRTIO_NET_F_STANDBY, "STANDBY"),
];

fn name_of(bit: u32) -> String {
    let known = KNOWN.iter().find(|f| f.bit == bit).map(|f| f.name);
    let named = || {
        NAMED_ONLY
            .iter()
            .find(|(b, _)| *b == bit)
            .map(|(_, name)| *name)
    };
    known
        .or_else(named)
        .map_or_else(|| format!("bit{bit}"), str::to_owned)
}

/// The bit that `name` stands for, with or without its `VIRTIO_F_` or `VIRTIO_NET_F_`.
pub fn bit_named(name: &str) -> Option<u32> {
    let short = name.strip_prefix("VIRTIO_").map_or(name, |rest| {
        rest.strip_prefix("NET_F_")
            .or_else(|| rest.strip_prefix("F_"))
            .unwrap_or(rest)
    });
    KNOWN
        .iter()
        .map(|f| (f.bit, f.name))
        .chain(NAMED_ONLY.iter().copied())
        .find(|(_, n)| *n == short)
        .map(|(b, _)| b)
}

/// Why no feature set can be agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeatureRefusal {
    /// The device speaks only the legacy interface.
    #[error(
        "the device does not offer VIRTIO_F_VERSION_1 (offered: {offered:?}); legacy devices are not supported; in QEMU use disable-legacy=on"
    )]
    Legacy {
        /// What the device offers.
        offered: FeatureSet,
    },
    /// The device would take translated addresses for guest-physical ones.
    #[error(
        "the device is behind an IOMMU but does not offer VIRTIO_F_ACCESS_PLATFORM (offered: {offered:?}): it would take the driver's addresses for guest-physical ones and reach other memory; in QEMU add iommu_platform=on to the device"
    )]
    IgnoresIommu {
        /// What the device offers.
        offered: FeatureSet,
    },
}

/// Chooses the features to accept: those `offered`, `wanted`, known, and whose prerequisites
/// are accepted too. Never accepts a bit that was not offered.
///
/// # Errors
/// [`FeatureRefusal`] when the device cannot be driven safely at all.
pub fn choose(
    offered: FeatureSet,
    wanted: FeatureSet,
    behind_iommu: bool,
) -> Result<FeatureSet, FeatureRefusal> {
    if !offered.has(VIRTIO_F_VERSION_1) {
        return Err(FeatureRefusal::Legacy { offered });
    }
    if behind_iommu && !offered.has(VIRTIO_F_ACCESS_PLATFORM) {
        return Err(FeatureRefusal::IgnoresIommu { offered });
    }
    let candidates = offered.and(
        wanted
            .with(VIRTIO_F_VERSION_1)
            .with(VIRTIO_F_ACCESS_PLATFORM)
            .with(VIRTIO_F_ORDER_PLATFORM),
    );
    Ok(KNOWN.iter().fold(FeatureSet::EMPTY, |accepted, feature| {
        let met = feature.needs.is_empty() || feature.needs.iter().any(|&bit| accepted.has(bit));
        if candidates.has(feature.bit) && met {
            accepted.with(feature.bit)
        } else {
            accepted
        }
    }))
}

/// Every feature that this driver knows how to use.
pub fn all_known() -> FeatureSet {
    KNOWN
        .iter()
        .fold(FeatureSet::EMPTY, |set, feature| set.with(feature.bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: FeatureSet = FeatureSet::of(&[VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM]);

    #[test]
    fn prerequisites_stand_above_what_needs_them() {
        for (i, feature) in KNOWN.iter().enumerate() {
            for need in feature.needs {
                assert!(
                    KNOWN[..i].iter().any(|f| f.bit == *need),
                    "{} before its need",
                    feature.name
                );
            }
        }
    }

    #[test]
    fn every_bit_alone_is_taken_only_if_it_needs_nothing() {
        for feature in KNOWN {
            let chosen = choose(BASE.with(feature.bit), all_known(), true).unwrap();
            let stands_alone = feature.needs.is_empty();
            assert_eq!(chosen.has(feature.bit), stands_alone, "{}", feature.name);
        }
    }

    #[test]
    fn a_chain_of_needs_falls_with_its_root() {
        let offer = all_known().without(FeatureSet::of(&[VIRTIO_NET_F_GUEST_CSUM]));
        let chosen = choose(offer, all_known(), true).unwrap();
        for bit in [
            VIRTIO_NET_F_GUEST_TSO4,
            VIRTIO_NET_F_GUEST_ECN,
            VIRTIO_NET_F_GUEST_USO6,
        ] {
            assert!(!chosen.has(bit), "{}", name_of(bit));
        }
        assert!(chosen.has(VIRTIO_NET_F_HOST_TSO4));
    }

    #[test]
    fn nothing_beyond_offer_wish_and_table_is_taken() {
        let all = FeatureSet(u128::MAX);
        assert_eq!(choose(all, all, true).unwrap(), all_known());
        assert_eq!(choose(BASE, all, true).unwrap(), BASE);
        assert_eq!(
            choose(all, FeatureSet::EMPTY, true).unwrap(),
            BASE.with(VIRTIO_F_ORDER_PLATFORM)
        );
    }

    #[test]
    fn a_legacy_device_is_refused() {
        let offered = all_known().without(FeatureSet::of(&[VIRTIO_F_VERSION_1]));
        assert_eq!(
            choose(offered, all_known(), false),
            Err(FeatureRefusal::Legacy { offered })
        );
    }

    #[test]
    fn a_device_that_ignores_its_iommu_is_refused_only_behind_one() {
        let offered = FeatureSet::of(&[VIRTIO_F_VERSION_1]);
        assert_eq!(
            choose(offered, all_known(), true),
            Err(FeatureRefusal::IgnoresIommu { offered })
        );
        assert_eq!(choose(offered, all_known(), false), Ok(offered));
    }

    #[test]
    fn names_and_bits_are_one_to_one() {
        let set = FeatureSet(u128::MAX);
        for (bit, name) in set.bits().zip(set.names()) {
            let back = bit_named(&format!("VIRTIO_NET_F_{name}"));
            assert_eq!(back, (!name.starts_with("bit")).then_some(bit));
        }
    }
}
