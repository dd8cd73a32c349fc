//! § *Receive-side scaling (RSS)*: which receive queue a frame goes to, by a hash of its
//! addresses and ports.

use crate::spec::net::hash::{KEY_SIZE, TYPES};

/// Entries of the indirection table that every device takes.
const LEAST_TABLE: u16 = 128;

/// What a device can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RssLimits {
    /// Most entries of the indirection table, a power of two.
    pub table_len: u16,
    /// What can be hashed: bits of [`crate::spec::net::hash`].
    pub hash_types: u32,
}

impl RssLimits {
    /// What of a device's words is of use; nothing where its key is too short for the ordinary
    /// one, its table shorter than the specification allows, or nothing is hashed.
    pub(crate) fn usable(key_size: u8, table_len: u16, hash_types: u32) -> Option<Self> {
        let hash_types = hash_types & TYPES;
        let usable = usize::from(key_size) >= KEY_SIZE && hash_types != 0;
        if !usable || table_len < LEAST_TABLE {
            return None;
        }
        Some(Self {
            table_len: 1 << table_len.ilog2(),
            hash_types,
        })
    }
}

/// How received frames are to be spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RssConfig {
    /// What is hashed: bits of [`crate::spec::net::hash`].
    pub hash_types: u32,
    /// The pair for each value of the hash's low bits; a power of two of them.
    pub table: Vec<u16>,
    /// The pair for frames that have no hash.
    pub unclassified: u16,
    /// Transmit queues in use.
    pub transmit_queues: u16,
    /// The Toeplitz key.
    pub key: [u8; KEY_SIZE],
}

impl RssConfig {
    /// `struct virtio_net_rss_config`.
    ///
    /// # Panics
    /// When the table's length is no power of two of 16 bits: a bug of the caller.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let len = self.table.len();
        assert!(len.is_power_of_two() && len <= 1 << 15, "a table of {len}");
        let mut bytes = Vec::with_capacity(11 + 2 * len + KEY_SIZE);
        bytes.extend(self.hash_types.to_le_bytes());
        bytes.extend((len as u16 - 1).to_le_bytes());
        bytes.extend(self.unclassified.to_le_bytes());
        bytes.extend(self.table.iter().flat_map(|pair| pair.to_le_bytes()));
        bytes.extend(self.transmit_queues.to_le_bytes());
        bytes.push(KEY_SIZE as u8);
        bytes.extend(self.key);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_where_the_specification_puts_them() {
        let config = RssConfig {
            hash_types: 0x0403_0201,
            table: vec![0x0605, 0x0807],
            unclassified: 0x0a09,
            transmit_queues: 0x0c0b,
            key: [7; KEY_SIZE],
        };
        let head = [1, 2, 3, 4, 1, 0, 9, 10, 5, 6, 7, 8, 11, 12, 40];
        let bytes = config.to_bytes();
        assert_eq!(bytes[..head.len()], head);
        assert_eq!(bytes[head.len()..], [7; KEY_SIZE]);
    }

    #[test]
    fn a_device_that_cannot_take_the_ordinary_key_and_table_does_not_spread() {
        let usable = |key, table, types| RssLimits::usable(key, table, types);
        let limits = RssLimits {
            table_len: 128,
            hash_types: 0x3f,
        };
        assert_eq!(usable(40, 128, 0x1ff), Some(limits));
        assert_eq!(usable(255, 200, 0x3f), Some(limits), "a power of two");
        assert_eq!(usable(39, 128, 0x3f), None);
        assert_eq!(usable(40, 127, 0x3f), None);
        assert_eq!(usable(40, 0, 0x3f), None);
        assert_eq!(usable(40, 128, 0x1c0), None, "nothing that is known");
    }
}
