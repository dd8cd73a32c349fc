//! What the system wants of a device while it sleeps, and which of it a client offers.

use std::sync::Arc;

use crate::abi::NtStatus;
use crate::door::object::Handle;

/// Something a device does while it sleeps: answers for the system, or wakes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SleepDuty {
    /// Answers ARP requests.
    Arp {
        /// Who may ask; zeros for anybody.
        remote: [u8; 4],
        /// For which address.
        host: [u8; 4],
        /// With what.
        link_layer: [u8; 6],
    },
    /// Answers neighbor solicitations.
    NeighborSolicitation {
        /// Who may ask; zeros for anybody.
        remote: [u8; 16],
        /// The group that is asked.
        solicited_node: [u8; 16],
        /// For which addresses; zeros for none.
        targets: [[u8; 16]; 2],
        /// With what.
        link_layer: [u8; 6],
    },
    /// Wakes for frames that have these bytes.
    BitmapPattern {
        /// One bit for each byte that counts, lowest bit first.
        mask: Vec<u8>,
        /// The bytes.
        pattern: Vec<u8>,
    },
    /// Wakes for a magic packet.
    MagicPacket,
    /// Wakes when the link comes or goes.
    MediaChange {
        /// When it comes.
        connect: bool,
        /// When it goes.
        disconnect: bool,
    },
    /// Wakes for frames that the receive filter lets through.
    PacketFilterMatch,
    /// Wakes for EAPOL frames.
    EapolPacket,
}

/// Why a device woke, as its client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// A packet came.
    Packet {
        /// The pattern it matched; the largest numbers stand for magic, filter and EAPOL packets.
        pattern: u32,
        /// Bytes of the packet.
        size: u32,
    },
    /// The link came (`true`) or went.
    MediaChange(bool),
}

impl SleepDuty {
    /// Whether it wakes the system.
    pub fn is_wake_source(&self) -> bool {
        !matches!(self, Self::Arp { .. } | Self::NeighborSolicitation { .. })
    }

    /// NET_POWER_OFFLOAD_TYPE or NET_WAKE_SOURCE_TYPE
    pub(super) fn kind(&self) -> u32 {
        match self {
            Self::Arp { .. } | Self::BitmapPattern { .. } => 1,
            Self::NeighborSolicitation { .. } | Self::MagicPacket => 2,
            Self::MediaChange { .. } => 3,
            Self::PacketFilterMatch => 4,
            Self::EapolPacket => 5,
        }
    }
}

/// A duty that one adapter was given.
pub(super) struct Duty {
    /// NETPOWEROFFLOAD or NETWAKESOURCE
    pub(super) number: usize,
    /// Tells the duties of an adapter apart.
    pub(super) id: u32,
    pub(super) adapter: Handle,
    pub(super) what: SleepDuty,
}

/// What a client offers; nothing until it says so.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Capabilities {
    /// How many ARP duties.
    pub(in super::super) arp: usize,
    /// How many neighbor solicitation duties.
    pub(in super::super) neighbors: usize,
    /// How many patterns, and bytes of one.
    pub(in super::super) patterns: usize,
    pub(in super::super) pattern_size: usize,
    pub(in super::super) connect: bool,
    pub(in super::super) disconnect: bool,
    pub(in super::super) magic: bool,
    pub(in super::super) filter: bool,
    pub(in super::super) eapol: bool,
}

/// What an adapter offers and has been given.
#[derive(Default)]
pub(super) struct Policy {
    pub(super) capabilities: Capabilities,
    duties: Vec<Arc<Duty>>,
    last_id: u32,
    pub(super) reason: Option<WakeReason>,
}

impl Policy {
    /// Whether there is room for one more of its kind.
    ///
    /// # Errors
    /// STATUS_NOT_SUPPORTED, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER for a mask
    /// that is shorter than its pattern.
    pub(super) fn admit(&self, duty: &SleepDuty) -> Result<(), NtStatus> {
        let can = &self.capabilities;
        let most = match duty {
            SleepDuty::Arp { .. } => can.arp,
            SleepDuty::NeighborSolicitation { .. } => can.neighbors,
            SleepDuty::BitmapPattern { mask, pattern } => {
                if mask.len() * 8 < pattern.len() {
                    return Err(NtStatus::INVALID_PARAMETER);
                }
                let fits = pattern.len() <= can.pattern_size;
                if fits { can.patterns } else { 0 }
            }
            SleepDuty::MediaChange {
                connect,
                disconnect,
            } => usize::from((can.connect || !connect) && (can.disconnect || !disconnect)),
            SleepDuty::MagicPacket => usize::from(can.magic),
            SleepDuty::PacketFilterMatch => usize::from(can.filter),
            SleepDuty::EapolPacket => usize::from(can.eapol),
        };
        let same = std::mem::discriminant(duty);
        let alike = |given: &&Arc<Duty>| std::mem::discriminant(&given.what) == same;
        match self.duties.iter().filter(alike).count() {
            _ if most == 0 => Err(NtStatus::NOT_SUPPORTED),
            count if count >= most => Err(NtStatus::INSUFFICIENT_RESOURCES),
            _ => Ok(()),
        }
    }

    /// A number for the next duty.
    pub(super) fn next_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn give(&mut self, duty: Arc<Duty>) {
        self.duties.push(duty);
    }

    /// Takes a duty away; whether it was there.
    pub(super) fn take(&mut self, id: u32) -> bool {
        let before = self.duties.len();
        self.duties.retain(|duty| duty.id != id);
        self.duties.len() < before
    }

    /// The duties of one list.
    pub(super) fn duties(&self, wake: bool) -> impl Iterator<Item = Arc<Duty>> + '_ {
        let listed = move |duty: &&Arc<Duty>| duty.what.is_wake_source() == wake;
        self.duties.iter().filter(listed).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(length: usize) -> SleepDuty {
        SleepDuty::BitmapPattern {
            mask: vec![0xff; length.div_ceil(8)],
            pattern: vec![7; length],
        }
    }

    #[test]
    fn only_what_is_offered_is_admitted_and_no_more_of_it() {
        let mut policy = Policy::default();
        assert_eq!(policy.admit(&pattern(8)), Err(NtStatus::NOT_SUPPORTED));
        policy.capabilities.patterns = 1;
        policy.capabilities.pattern_size = 16;
        assert_eq!(policy.admit(&pattern(16)), Ok(()));
        assert_eq!(policy.admit(&pattern(17)), Err(NtStatus::NOT_SUPPORTED));
        let id = policy.next_id();
        policy.give(Arc::new(Duty {
            number: 16,
            id,
            adapter: Handle::NULL,
            what: pattern(8),
        }));
        assert_eq!(
            policy.admit(&pattern(8)),
            Err(NtStatus::INSUFFICIENT_RESOURCES)
        );
        assert_eq!(
            (policy.duties(true).count(), policy.duties(false).count()),
            (1, 0)
        );
        assert!(policy.take(id) && !policy.take(id));
        assert_eq!(policy.admit(&pattern(8)), Ok(()));
    }

    #[test]
    fn half_a_media_change_is_not_all_of_it() {
        let mut policy = Policy::default();
        policy.capabilities.connect = true;
        let media = |connect, disconnect| SleepDuty::MediaChange {
            connect,
            disconnect,
        };
        assert_eq!(policy.admit(&media(true, false)), Ok(()));
        assert_eq!(
            policy.admit(&media(true, true)),
            Err(NtStatus::NOT_SUPPORTED)
        );
    }
}
