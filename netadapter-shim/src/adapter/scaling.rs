//! Several Rx queues fed by a hash (receive scaling), several Tx queues told
//! apart by priority (demultiplexing).

use super::capabilities::invalid;
use super::{Adapter, AdapterError, TxDemux};
use crate::abi::{
    FailureCode, NetPacketHashProtocolType as Protocol, NetReceiveScalingHashType as Hash, NtStatus,
};

/// Bytes of a Toeplitz key.
const KEY_LENGTH: usize = 40;
/// Entries beyond this only cost memory.
const LARGEST_TABLE: usize = 4096;
/// Every protocol bit that is declared.
const PROTOCOLS: u32 = 0x3f;
/// NVGRE, VXLAN and VLAN.
const ENCAPSULATIONS: u32 = 7;

/// NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveScalingCapabilities {
    /// Rx queues the device can spread over, a power of two.
    pub number_of_queues: usize,
    /// Entries of the indirection table, a power of two.
    pub indirection_table_size: usize,
    /// Hash functions.
    pub hash_types: Hash,
    /// What is hashed.
    pub protocol_types: Protocol,
    /// Encapsulations of outer and inner headers.
    pub encapsulation_types: [u32; 2],
}

impl ReceiveScalingCapabilities {
    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        let sizes = [self.number_of_queues, self.indirection_table_size];
        if !sizes.iter().all(|size| size.is_power_of_two()) || sizes[1] > LARGEST_TABLE {
            let why = format!(
                "receive scaling: NumberOfQueues is {} and IndirectionTableSize {}; both must be \
                 powers of two, the table at most {LARGEST_TABLE}",
                sizes[0], sizes[1]
            );
            return Err(invalid(FailureCode::NotPowerOfTwo, why));
        }
        let ranges = [
            (
                self.hash_types.0 <= Hash::TOEPLITZ.0,
                FailureCode::InvalidReceiveScalingHashType,
            ),
            (
                self.protocol_types.0 & !PROTOCOLS == 0,
                FailureCode::InvalidReceiveScalingProtocolType,
            ),
            (
                self.encapsulation_types
                    .iter()
                    .all(|bits| bits & !ENCAPSULATIONS == 0),
                FailureCode::InvalidReceiveScalingEncapsulationType,
            ),
        ];
        match ranges.into_iter().find(|(sound, _)| !sound) {
            Some((_, code)) => Err(invalid(code, format!("receive scaling: {self:x?}"))),
            None => Ok(()),
        }
    }
}

/// One entry of the indirection table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndirectionEntry {
    /// Which entry.
    pub index: u32,
    /// The Rx queue it leads to.
    pub queue: u32,
    /// What the client made of it.
    pub status: NtStatus,
}

impl TxDemux {
    /// The only type there is: 802.1p priorities.
    const PRIORITIES: u32 = 1;

    /// A wish as a C client states it.
    ///
    /// # Errors
    /// `InvalidTxDemuxType`, `InvalidTxDemuxRange`
    pub fn new(kind: u32, range: u8) -> Result<Self, AdapterError> {
        if kind != Self::PRIORITIES {
            let why = format!("Tx demux type {kind} is unknown; NetAdapterTxDemuxType8021p is 1");
            return Err(invalid(FailureCode::InvalidTxDemuxType, why));
        }
        if !(2..=8).contains(&range) {
            let why = format!("Tx demux range {range} must be 2 to 8 queues");
            return Err(invalid(FailureCode::InvalidTxDemuxRange, why));
        }
        Ok(Self { queues: range })
    }
}

impl Adapter {
    /// `NetAdapterSetReceiveScalingCapabilities`
    ///
    /// # Errors
    /// Numbers that are no powers of two, unknown types, `AdapterAlreadyStarted`
    pub fn set_receive_scaling_capabilities(
        &mut self,
        capabilities: ReceiveScalingCapabilities,
    ) -> Result<(), AdapterError> {
        self.before_start("NetAdapterSetReceiveScalingCapabilities")?;
        capabilities.check()?;
        self.settings.receive_scaling = Some(capabilities);
        Ok(())
    }

    /// `NetAdapterInitAddTxDemux`: several Tx queues, told apart by priority.
    ///
    /// # Errors
    /// `AdapterAlreadyStarted`
    pub fn set_tx_demux(&mut self, demux: TxDemux) -> Result<(), AdapterError> {
        self.before_start("NetAdapterInitAddTxDemux")?;
        self.settings.tx_demux = Some(demux);
        Ok(())
    }

    /// Tells a client with several Rx queues how to spread: the table first,
    /// then the key, then on. A client that refuses keeps to queue 0.
    pub(super) fn push_receive_scaling(&mut self, queues: usize) {
        let Some(capabilities) = self.settings.scaling().filter(|_| queues > 1) else {
            return;
        };
        let pushed = self
            .push_table(capabilities.indirection_table_size, queues)
            .and_then(|()| {
                self.events.receive_scaling_disable();
                self.events.receive_scaling_set_key(&key())?;
                let wanted = capabilities.protocol_types;
                self.events
                    .receive_scaling_enable(capabilities.hash_types, wanted)
            });
        if let Err(status) = pushed {
            log::warn!("the client driver does not spread what it receives: {status}");
        }
    }

    fn push_table(&mut self, size: usize, queues: usize) -> Result<(), NtStatus> {
        let mut entries: Vec<_> = (0..size)
            .map(|index| IndirectionEntry {
                index: index as u32,
                queue: (index % queues) as u32,
                status: NtStatus::SUCCESS,
            })
            .collect();
        self.events.receive_scaling_set_entries(&mut entries)?;
        let refused = entries.iter().find(|entry| !entry.status.is_success());
        refused.map_or(Ok(()), |entry| Err(entry.status))
    }
}

/// A key whose hashes spread well: no two bytes in a row repeat.
fn key() -> [u8; KEY_LENGTH] {
    let mut state = 0x6d5a_56da_u32;
    std::array::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities() -> ReceiveScalingCapabilities {
        ReceiveScalingCapabilities {
            number_of_queues: 4,
            indirection_table_size: 128,
            hash_types: Hash::TOEPLITZ,
            protocol_types: Protocol::IPV4 | Protocol::TCP,
            encapsulation_types: [0, 4],
        }
    }

    fn code(capabilities: ReceiveScalingCapabilities) -> Option<FailureCode> {
        capabilities
            .check()
            .err()
            .and_then(|error| error.failure_code())
    }

    #[test]
    fn each_receive_scaling_rule_has_its_code() {
        let sound = capabilities();
        assert_eq!(code(sound), None);
        let mut odd = sound;
        odd.number_of_queues = 3;
        assert_eq!(code(odd), Some(FailureCode::NotPowerOfTwo));
        let mut table = sound;
        table.indirection_table_size = 0;
        assert_eq!(code(table), Some(FailureCode::NotPowerOfTwo));
        let mut hash = sound;
        hash.hash_types = Hash(2);
        assert_eq!(code(hash), Some(FailureCode::InvalidReceiveScalingHashType));
        let mut protocol = sound;
        protocol.protocol_types = Protocol(0x40);
        assert_eq!(
            code(protocol),
            Some(FailureCode::InvalidReceiveScalingProtocolType)
        );
        let mut encapsulation = sound;
        encapsulation.encapsulation_types = [8, 0];
        assert_eq!(
            code(encapsulation),
            Some(FailureCode::InvalidReceiveScalingEncapsulationType)
        );
    }

    #[test]
    fn each_priority_has_the_queue_of_its_number_as_far_as_there_are_queues() {
        let queues = |count| {
            let demux = TxDemux::new(1, count).unwrap();
            (0..8)
                .map(|priority| demux.queue(priority))
                .collect::<Vec<_>>()
        };
        let expected: [(u8, Vec<usize>); 3] = [
            (2, vec![0, 1, 1, 1, 1, 1, 1, 1]),
            (4, vec![0, 1, 2, 3, 3, 3, 3, 3]),
            (8, (0..8).collect()),
        ];
        for (count, expected) in expected {
            assert_eq!(queues(count), expected, "{count} queues");
        }
    }

    #[test]
    fn demux_of_another_type_or_range_is_refused() {
        let code = |kind, range| TxDemux::new(kind, range).unwrap_err().failure_code();
        assert_eq!(code(0, 2), Some(FailureCode::InvalidTxDemuxType));
        assert_eq!(code(1, 1), Some(FailureCode::InvalidTxDemuxRange));
        assert_eq!(code(1, 9), Some(FailureCode::InvalidTxDemuxRange));
    }
}
