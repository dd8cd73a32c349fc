//! The device's registers, as far as a back end does not have them: status, configuration,
//! queues.

use std::sync::Arc;

use vmm_sys_util::eventfd::EventFd;

use super::features::{config_len, usable};
use super::session::Ring;
use super::{Kick, VECTORS, VhostUser};
use crate::mem::{DmaRegion, DmaSlice, Iova};
use crate::net::FeatureSet;
use crate::spec::net::config::{MAC, S_LINK_UP, STATUS};
use crate::spec::net::feature::{VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ};
use crate::spec::status;
use crate::transport::{Doorbell, QueueSetup, Transport, TransportError, memory_from};

/// The configuration as it was last read, in one piece: a driver reads fields of this copy, and
/// its generation changes when the copy does.
#[derive(Debug)]
pub(super) struct ConfigCopy {
    bytes: Vec<u8>,
    /// How much of it the back end has.
    len: usize,
    generation: u8,
    mac: Option<[u8; 6]>,
}

impl ConfigCopy {
    /// An empty configuration, or one with an address and no more.
    pub(super) fn new(mac: Option<[u8; 6]>) -> Self {
        let mut copy = Self {
            bytes: Vec::new(),
            len: 0,
            generation: 0,
            mac,
        };
        copy.replace(Vec::new());
        copy
    }

    fn replace(&mut self, mut bytes: Vec<u8>) {
        if let Some(mac) = self.mac {
            bytes.resize(bytes.len().max(MAC + mac.len()), 0);
            bytes[MAC..MAC + mac.len()].copy_from_slice(&mac);
        }
        if bytes != self.bytes {
            self.generation = self.generation.wrapping_add(1);
            self.bytes = bytes;
        }
    }

    /// Nobody is there: where there is a link status, it is down.
    fn pull_cable(&mut self) {
        let mut bytes = self.bytes.clone();
        if self.len >= STATUS + 2 {
            bytes[STATUS] &= !(S_LINK_UP as u8);
        }
        self.replace(bytes);
    }
}

impl VhostUser {
    fn refresh_config(&mut self) -> Result<(), TransportError> {
        if self.is_lost() {
            self.config.pull_cable();
            return Ok(());
        }
        let len = self.config.len;
        let bytes = match len {
            0 => Vec::new(),
            _ => self.session()?.read_config(len)?,
        };
        self.config.replace(bytes);
        Ok(())
    }

    /// A reply that never came or made no sense has ended the connection; a driver is to see
    /// that as a device that needs a reset, if it can be had again.
    fn read_own_status(&mut self) -> Result<u8, TransportError> {
        if self.is_lost() {
            return match self.connect {
                Some(_) => Ok(self.status),
                None => Err(self.disconnected()),
            };
        }
        let own = self.status;
        Ok(self.session()?.read_status()?.unwrap_or(own))
    }
}

impl Transport for VhostUser {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_behind_iommu(&self) -> bool {
        false // addresses are translated by the table that the back end was sent
    }

    fn read_device_features(&mut self) -> Result<FeatureSet, TransportError> {
        let session = self.session()?;
        let offered = session.read_features()?;
        let usable = usable(offered, session.protocol);
        self.pairs = session.read_pairs()?;
        self.config.len = config_len(usable);
        Ok(match self.options.mac {
            Some(_) => usable.with(VIRTIO_NET_F_MAC),
            None => usable,
        })
    }

    fn write_driver_features(&mut self, features: FeatureSet) -> Result<(), TransportError> {
        // Of several pairs the driver need not know: those that it enables are used.
        let pairs = match self.pairs {
            1 => FeatureSet::EMPTY,
            _ => FeatureSet::of(&[VIRTIO_NET_F_MQ]),
        };
        let session = self.session()?;
        // What was added here means nothing to the back end. It offers 64 bits.
        let accepted = (features.0 | pairs.0) as u64 & session.offered;
        session.set_features(accepted)
    }

    fn read_status(&mut self) -> Result<u8, TransportError> {
        let status = self.read_own_status()?;
        // A device that was reset is reset, whatever became of its connection.
        Ok(match self.status {
            0 => status,
            _ => status | self.trouble(),
        })
    }

    fn write_status(&mut self, status: u8) -> Result<(), TransportError> {
        if status == 0 {
            return self.reset();
        }
        self.reconnect_if_lost()?;
        let starts = status & !self.status & status::DRIVER_OK != 0;
        let own = status & !status::DEVICE_NEEDS_RESET;
        if starts {
            self.start()?;
        }
        self.session()?.write_status(own)?;
        self.status = own;
        if starts {
            self.kick_all();
        }
        Ok(())
    }

    fn read_config_generation(&mut self) -> Result<u8, TransportError> {
        self.refresh_config()?;
        Ok(self.config.generation)
    }

    fn config_len(&self) -> usize {
        self.config.bytes.len()
    }

    fn read_config(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), TransportError> {
        let end = offset.checked_add(bytes.len());
        match end.and_then(|end| self.config.bytes.get(offset..end)) {
            Some(field) => {
                bytes.copy_from_slice(field);
                Ok(())
            }
            None => Err(TransportError::OutOfRange {
                device: self.name.to_string(),
                offset,
                len: bytes.len(),
                limit: self.config.bytes.len(),
            }),
        }
    }

    fn read_queue_count(&mut self) -> Result<u16, TransportError> {
        Ok(self.pairs.saturating_mul(2))
    }

    fn read_pairs(&mut self) -> Result<Option<u16>, TransportError> {
        Ok(Some(self.pairs))
    }

    fn read_max_queue_size(&mut self, queue: u16) -> Result<u16, TransportError> {
        Ok(if queue / 2 < self.pairs {
            self.options.max_queue_size
        } else {
            0
        })
    }

    fn enable_queue(&mut self, setup: &QueueSetup) -> Result<Box<dyn Doorbell>, TransportError> {
        let call = setup.vector.map(|vector| self.event(vector)).transpose()?;
        let kick = self.kick(setup.index)?;
        self.rings.push(Ring {
            setup: *setup,
            kick: Arc::clone(&kick),
            call,
        });
        Ok(Box::new(Kick(kick)))
    }

    fn vector_count(&self) -> u16 {
        VECTORS
    }

    fn interrupt(&mut self, vector: u16) -> Result<Arc<EventFd>, TransportError> {
        self.event(vector)
    }

    fn enable_config_interrupt(&mut self, vector: u16) -> Result<(), TransportError> {
        match vector {
            super::CONFIG_VECTOR => Ok(()),
            other => Err(TransportError::Unusable {
                device: self.name.to_string(),
                reason: format!("configuration changes come as interrupt 0, not {other}"),
            }),
        }
    }

    fn map_dma(&mut self, region: &Arc<DmaRegion>) -> Result<Iova, TransportError> {
        let added = self.memory.add(region);
        added.map_err(self.failed("sharing another region of memory"))
    }

    fn allocate_dma(&mut self, len: usize) -> Result<DmaSlice, TransportError> {
        let region = memory_from(&mut self.lender, len);
        let region = region.map_err(self.failed(&format!("getting {len} bytes to share")))?;
        Ok(region.at(self.map_dma(&region)?))
    }

    fn unmap_dma(&mut self, iova: Iova) -> Result<(), TransportError> {
        let removed = self.memory.remove(iova);
        removed.map_err(self.failed(&format!("taking {iova} back")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC_ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 9];

    #[test]
    fn the_generation_changes_with_the_bytes_and_not_otherwise() {
        let mut copy = ConfigCopy::new(None);
        let first = copy.generation;
        copy.replace(vec![1; 8]);
        let second = copy.generation;
        copy.replace(vec![1; 8]);
        assert!(first != second && copy.generation == second);
    }

    #[test]
    fn an_address_of_ones_own_stands_above_the_back_ends() {
        let mut copy = ConfigCopy::new(Some(MAC_ADDRESS));
        assert_eq!(copy.bytes, MAC_ADDRESS);
        copy.replace(vec![7; 12]);
        assert_eq!(copy.bytes[..6], MAC_ADDRESS);
        assert_eq!(copy.bytes[6..], [7; 6]);
    }

    #[test]
    fn a_pulled_cable_shows_where_there_is_a_link_status() {
        let mut copy = ConfigCopy::new(None);
        copy.len = 12;
        copy.replace(vec![1; 12]);
        let before = copy.generation;
        copy.pull_cable();
        assert_eq!((copy.bytes[STATUS], copy.generation), (0, before + 1));
        let mut none = ConfigCopy::new(Some(MAC_ADDRESS));
        none.pull_cable();
        assert_eq!(none.bytes, MAC_ADDRESS);
    }
}
