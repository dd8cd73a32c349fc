//! § *Device configuration layout* of a network device, read as a consistent whole.

use std::ops::RangeInclusive;

use crate::net::{FeatureSet, RssLimits};
use crate::spec::net::config::*;
use crate::spec::net::ctrl::{MQ_VQ_PAIRS_MAX, MQ_VQ_PAIRS_MIN};
use crate::spec::net::feature::*;
use crate::transport::{Transport, TransportError};

/// How many times a configuration that changes while it is read is read again.
const MAX_ATTEMPTS: u32 = 16;

/// Smallest MTU that IPv4 allows (RFC 791), below which a device is not usable.
pub const MIN_MTU: u16 = 68;

/// One less than the specification's most: behind 0x8000 pairs the control queue, which a device of
/// several pairs must have, would have an index that `queue_select` cannot hold.
const POSSIBLE_PAIRS: RangeInclusive<u16> = MQ_VQ_PAIRS_MIN..=MQ_VQ_PAIRS_MAX - 1;

/// What a device says of itself. A field is `None` when the feature for it is not agreed on,
/// when the device has no such field, or when the value means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetConfig {
    /// The device's address, if it is a unicast address.
    pub mac: Option<[u8; 6]>,
    /// Whether the link is up; without `VIRTIO_NET_F_STATUS` it always is.
    pub link_up: bool,
    /// Whether peers are to be told where the device is now; only with
    /// `VIRTIO_NET_F_GUEST_ANNOUNCE`.
    pub announce: bool,
    /// The largest packet without its link header, in bytes.
    pub mtu: Option<u16>,
    /// Link speed in Mbit/s.
    pub speed: Option<u32>,
    /// Whether the link carries both directions at once.
    pub full_duplex: Option<bool>,
    /// Pairs of queues that there are.
    pub max_pairs: Option<u16>,
    /// What the device can do to spread received frames by a hash.
    pub rss: Option<RssLimits>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The machine said no.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// It changed every time it was read.
    #[error("the configuration changed in each of {attempts} attempts to read it")]
    Unstable {
        /// How often it was read.
        attempts: u32,
    },
    /// The MTU is smaller than any network allows.
    #[error("the device says an MTU of {mtu}, below the minimum of {MIN_MTU}")]
    MtuTooSmall {
        /// What the device says.
        mtu: u16,
    },
    /// The number of pairs is none that there can be, so that nobody knows which queue is which.
    #[error(
        "the device says that it has {pairs} queue pairs, where {MQ_VQ_PAIRS_MIN} to {MQ_VQ_PAIRS_MAX} are possible"
    )]
    Pairs {
        /// What the device says.
        pairs: u16,
    },
}

impl NetConfig {
    /// Reads the fields that `features` make valid, again whenever the generation changes.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(transport: &mut dyn Transport, features: FeatureSet) -> Result<Self, ConfigError> {
        for _ in 0..MAX_ATTEMPTS {
            let before = transport.read_config_generation()?;
            let config = Self::read_once(transport, features)?;
            if transport.read_config_generation()? == before {
                return config.checked();
            }
        }
        Err(ConfigError::Unstable {
            attempts: MAX_ATTEMPTS,
        })
    }

    fn read_once(t: &mut dyn Transport, features: FeatureSet) -> Result<Self, TransportError> {
        let has = |bit| features.has(bit);
        let mac = if has(VIRTIO_NET_F_MAC) {
            read_mac(t)?
        } else {
            None
        };
        let status = if has(VIRTIO_NET_F_STATUS) {
            field(t, STATUS)?
        } else {
            None
        };
        let status = status.map(u16::from_le_bytes);
        let mtu = if has(VIRTIO_NET_F_MTU) {
            field(t, MTU)?
        } else {
            None
        };
        let says_speed = has(VIRTIO_NET_F_SPEED_DUPLEX);
        let speed = if says_speed { field(t, SPEED)? } else { None };
        let duplex: Option<[u8; 1]> = if says_speed { field(t, DUPLEX)? } else { None };
        let has_pairs = has(VIRTIO_NET_F_MQ) || has(VIRTIO_NET_F_RSS);
        let max_pairs = if has_pairs {
            field(t, MAX_VIRTQUEUE_PAIRS)?
        } else {
            None
        };
        let rss = if has(VIRTIO_NET_F_RSS) {
            read_rss(t)?
        } else {
            None
        };
        Ok(Self {
            mac: mac.filter(is_unicast),
            link_up: status.is_none_or(|status| status & S_LINK_UP != 0),
            announce: has(VIRTIO_NET_F_GUEST_ANNOUNCE)
                && status.is_some_and(|status| status & S_ANNOUNCE != 0),
            mtu: mtu.map(u16::from_le_bytes),
            speed: speed
                .map(u32::from_le_bytes)
                .filter(|&s| s <= i32::MAX as u32),
            full_duplex: duplex.and_then(|[d]| meaning_of_duplex(d)),
            max_pairs: max_pairs.map(u16::from_le_bytes),
            rss,
        })
    }

    fn checked(self) -> Result<Self, ConfigError> {
        match self.mtu {
            Some(mtu) if mtu < MIN_MTU => Err(ConfigError::MtuTooSmall { mtu }),
            _ => Ok(self),
        }
    }

    /// How many pairs of queues there are; a device that does not say has one.
    ///
    /// # Errors
    /// [`ConfigError::Pairs`].
    pub fn pairs(&self) -> Result<u16, ConfigError> {
        match self.max_pairs.unwrap_or(1) {
            pairs if POSSIBLE_PAIRS.contains(&pairs) => Ok(pairs),
            pairs => Err(ConfigError::Pairs { pairs }),
        }
    }
}

/// Whether a device that offers several pairs says a number of them that there can be. Where it does
/// not, nobody knows which queue is the control queue once that offer is taken.
pub(crate) fn says_possible_pairs(t: &mut dyn Transport) -> Result<bool, TransportError> {
    let pairs = field(t, MAX_VIRTQUEUE_PAIRS)?.map(u16::from_le_bytes);
    Ok(pairs.is_none_or(|pairs| POSSIBLE_PAIRS.contains(&pairs)))
}

/// Reads one field; `None` when it lies beyond what the device has, whatever its features say.
fn field<const N: usize>(
    t: &mut dyn Transport,
    offset: usize,
) -> Result<Option<[u8; N]>, TransportError> {
    if offset + N > t.config_len() {
        return Ok(None);
    }
    let mut bytes = [0; N];
    t.read_config(offset, &mut bytes)?;
    Ok(Some(bytes))
}

fn read_rss(t: &mut dyn Transport) -> Result<Option<RssLimits>, TransportError> {
    let key: Option<[u8; 1]> = field(t, RSS_MAX_KEY_SIZE)?;
    let table = field(t, RSS_MAX_INDIRECTION_TABLE_LENGTH)?;
    let types = field(t, SUPPORTED_HASH_TYPES)?;
    Ok(key
        .zip(table)
        .zip(types)
        .and_then(|(([key], table), types)| {
            RssLimits::usable(key, u16::from_le_bytes(table), u32::from_le_bytes(types))
        }))
}

fn read_mac(t: &mut dyn Transport) -> Result<Option<[u8; 6]>, TransportError> {
    if MAC + 6 > t.config_len() {
        return Ok(None);
    }
    let mut mac = [0; 6];
    for (i, byte) in mac.iter_mut().enumerate() {
        t.read_config(MAC + i, std::slice::from_mut(byte))?;
    }
    Ok(Some(mac))
}

/// A device may own neither a group address nor the zero address.
fn is_unicast(mac: &[u8; 6]) -> bool {
    mac[0] & 1 == 0 && *mac != [0; 6]
}

/// The text of the specification contradicts itself; devices agree on this.
fn meaning_of_duplex(duplex: u8) -> Option<bool> {
    match duplex {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLANK: NetConfig = NetConfig {
        mac: None,
        link_up: true,
        announce: false,
        mtu: None,
        speed: None,
        full_duplex: None,
        max_pairs: None,
        rss: None,
    };

    #[test]
    fn an_mtu_below_68_is_refused() {
        assert!(matches!(
            NetConfig {
                mtu: Some(67),
                ..BLANK
            }
            .checked(),
            Err(ConfigError::MtuTooSmall { mtu: 67 })
        ));
        assert!(
            NetConfig {
                mtu: Some(68),
                ..BLANK
            }
            .checked()
            .is_ok()
        );
    }

    #[test]
    fn pairs_that_cannot_be_are_refused() {
        let pairs = |max_pairs| NetConfig { max_pairs, ..BLANK }.pairs();
        for good in [1, 2, 0x7fff] {
            assert_eq!(pairs(Some(good)).unwrap(), good);
        }
        for bad in [0, 0x8000, 0x8001, u16::MAX] {
            assert!(pairs(Some(bad)).is_err(), "{bad}");
        }
        assert_eq!(pairs(None).unwrap(), 1);
    }

    #[test]
    fn group_and_zero_addresses_are_no_addresses() {
        assert!(!is_unicast(&[0; 6]));
        assert!(!is_unicast(&[1, 0, 0x5e, 0, 0, 1]));
        assert!(is_unicast(&[0x52, 0x54, 0, 0x12, 0x34, 0x56]));
    }

    #[test]
    fn only_zero_and_one_are_duplexes() {
        assert_eq!(
            [0, 1, 2, 0xff].map(meaning_of_duplex),
            [Some(false), Some(true), None, None]
        );
    }
}
