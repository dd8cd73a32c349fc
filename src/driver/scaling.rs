//! NetAdapterCx's receive scaling on a virtio device: what the framework pushes piece by piece,
//! and the one command that it comes to.

use netadapter_shim::abi::{
    NetPacketHashProtocolType as Protocol, NetReceiveScalingHashType as Hash, NtStatus,
};
use netadapter_shim::{IndirectionEntry, ReceiveScalingCapabilities};
use virtio::net::{RssConfig, RssLimits};
use virtio::spec::net::hash::KEY_SIZE;

use crate::hash::{protocols, types};

/// Entries of the table: what every device with receive scaling takes, and enough for a few pairs.
const TABLE: u16 = 128;

/// What is told of a device with these `limits` that uses so many pairs.
pub(super) fn capabilities(limits: RssLimits, pairs: usize) -> ReceiveScalingCapabilities {
    ReceiveScalingCapabilities {
        // The framework wants a power of two, and makes no more queues than there are pairs.
        number_of_queues: pairs.next_power_of_two(),
        indirection_table_size: TABLE.into(),
        hash_types: Hash::TOEPLITZ,
        protocol_types: protocols(limits.hash_types),
        encapsulation_types: [0, 0],
    }
}

/// How the framework wants received frames spread, as far as it has said.
pub(super) struct Scaling {
    wanted: RssConfig,
    on: bool,
}

impl Scaling {
    pub(super) fn over(pairs: u16) -> Self {
        let wanted = RssConfig {
            hash_types: 0,
            table: vec![0; TABLE.into()],
            unclassified: 0,
            transmit_queues: pairs,
            key: [0; KEY_SIZE],
        };
        Self { wanted, on: false }
    }

    pub(super) fn set_entries(&mut self, entries: &mut [IndirectionEntry]) -> Result<(), NtStatus> {
        for entry in entries {
            let place = self.wanted.table.get_mut(entry.index as usize);
            let queue = u16::try_from(entry.queue).ok();
            let queue = queue.filter(|&queue| queue < self.wanted.transmit_queues);
            entry.status = match (place, queue) {
                (Some(place), Some(queue)) => {
                    *place = queue;
                    NtStatus::SUCCESS
                }
                _ => NtStatus::INVALID_PARAMETER,
            };
        }
        Ok(())
    }

    pub(super) fn set_key(&mut self, key: &[u8]) -> Result<(), NtStatus> {
        self.wanted.key = key.try_into().map_err(|_| NtStatus::INVALID_PARAMETER)?;
        Ok(())
    }

    /// The command for it, now that it is to be.
    pub(super) fn enabled(&mut self, protocols: Protocol) -> RssConfig {
        self.wanted.hash_types = types(protocols);
        self.on = true;
        self.wanted.clone()
    }

    /// Over how many pairs the device is to spread by itself, if it does not do so already.
    pub(super) fn disabled(&mut self) -> Option<u16> {
        std::mem::take(&mut self.on).then_some(self.wanted.transmit_queues)
    }
}

#[cfg(test)]
mod tests {
    use virtio::spec::net::hash::TYPE_IPV4;

    use super::*;

    #[test]
    fn entries_and_keys_that_make_no_sense_are_refused_one_by_one() {
        let mut scaling = Scaling::over(2);
        let entry = |index, queue| IndirectionEntry {
            index,
            queue,
            status: NtStatus::SUCCESS,
        };
        let mut entries = [entry(5, 1), entry(128, 0), entry(0, 2)];
        scaling.set_entries(&mut entries).unwrap();
        let good = entries.map(|entry| entry.status.is_success());
        assert_eq!(good, [true, false, false]);
        assert!(scaling.set_key(&[1; 39]).is_err());
        scaling.set_key(&[1; 40]).unwrap();
        let rss = scaling.enabled(Protocol::IPV4);
        assert_eq!((rss.table[5], rss.table[0], rss.key), (1, 0, [1; 40]));
        assert_eq!(rss.hash_types, TYPE_IPV4);
        assert_eq!(scaling.disabled(), Some(2));
        assert_eq!(scaling.disabled(), None, "it is off");
    }
}
