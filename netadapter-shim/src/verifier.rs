//! The queue verifier: holds a client to the ring contract around Advance and
//! Cancel.
//!
//! Before the call both rings are copied; what the client owes on Rx was
//! poisoned when it was posted; afterwards ring and copy are compared. Nothing
//! is compared *between* calls: a client's own threads may write elements it
//! owns at any time.

mod received;
mod snapshot;

use crate::abi::{FailureCode, NetFragment, NetPacket, NetPacketLayout};
use crate::queue::Direction;
use crate::ring::{NetRings, RingMemory, RingSet};
use received::check_received;
use snapshot::{Owned, Snapshot};

/// A broken rule, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail} ({code})")]
pub struct Violation {
    /// Microsoft's name for the rule.
    pub code: FailureCode,
    /// What was seen.
    pub detail: String,
}

impl Violation {
    pub(crate) fn new(code: FailureCode, detail: String) -> Self {
        Self { code, detail }
    }

    /// With the queue it was found on.
    pub(crate) fn of(self, direction: Direction, queue: u32) -> Self {
        let detail = format!("{direction} queue {queue}: {}", self.detail);
        Self { detail, ..self }
    }
}

/// FragmentIndex ~0, FragmentCount 0xFFFF, layout all ones but its reserved
/// bits.
const POISON_LAYOUT: NetPacketLayout = NetPacketLayout([0xff, 0xff, 0xff, 0xff, 0x0f]);

/// Copies of both rings.
#[derive(Default)]
pub(crate) struct Verifier {
    packets: Snapshot,
    fragments: Snapshot,
}

/// Which ring an element belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ring {
    Packet,
    Fragment,
}

impl Verifier {
    /// Overwrites what the client must write before it returns the packet.
    pub(crate) fn poison_packet(set: &RingSet, index: u32) {
        let poison = NetPacket::new(u32::MAX, u16::MAX).with_layout(POISON_LAYOUT);
        NetRings::new(set).set_packet(index, poison);
    }

    /// Overwrites what the client must write before it returns the fragment.
    pub(crate) fn poison_fragment(set: &RingSet, index: u32) {
        let view = NetRings::new(set);
        let poison = view
            .fragment(index)
            .with_valid_length(u32::MAX)
            .with_offset(u32::MAX);
        view.set_fragment(index, poison);
    }

    /// Copies both rings.
    pub(crate) fn before(&mut self, set: &RingSet) {
        self.packets.take(&set.packets);
        self.fragments.take(&set.fragments);
    }

    /// Compares both rings with the copies.
    pub(crate) fn after(&mut self, set: &RingSet, direction: Direction) -> Result<(), Violation> {
        let packets = self.check_ring(&set.packets, Ring::Packet)?;
        let fragments = self.check_ring(&set.fragments, Ring::Fragment)?;
        for index in packets.all() {
            self.check_packet(set, direction, index, packets.returned(index))?;
        }
        for index in fragments.all() {
            self.check_fragment(set, direction, index)?;
        }
        match direction {
            Direction::Tx => Ok(()),
            Direction::Rx => check_received(&NetRings::new(set), packets, fragments),
        }
    }

    /// The head, Begin, and the elements that are the framework's.
    fn check_ring(&self, memory: &RingMemory, ring: Ring) -> Result<Owned, Violation> {
        let copy = match ring {
            Ring::Packet => &self.packets,
            Ring::Fragment => &self.fragments,
        };
        let name = match ring {
            Ring::Packet => "packet",
            Ring::Fragment => "fragment",
        };
        if let Some(word) = copy.changed_head(memory) {
            let detail = format!(
                "the first 48 bytes of the {name} ring changed at {}; they are the framework's, \
                 EndIndex too",
                word * 4
            );
            return Err(Violation::new(FailureCode::InvalidRingImmutable, detail));
        }
        let owned = copy.owned(memory).map_err(|begin| {
            let detail = format!(
                "BeginIndex of the {name} ring is {begin}; it must stay in what the client owned, \
                 {} to {}",
                copy.begin(),
                copy.end()
            );
            Violation::new(FailureCode::InvalidRingBeginIndex, detail)
        })?;
        match copy.changed_outside(memory, owned) {
            None => Ok(owned),
            Some(index) => {
                let detail = format!(
                    "element {index} of the {name} ring changed; it is the framework's, the \
                     client owned {} to {}",
                    copy.begin(),
                    copy.end()
                );
                let code = FailureCode::InvalidRingImmutableFrameworkElement;
                Err(Violation::new(code, detail))
            }
        }
    }

    /// One packet the client owned before the call.
    fn check_packet(
        &self,
        set: &RingSet,
        direction: Direction,
        index: u32,
        returned: bool,
    ) -> Result<(), Violation> {
        let before = NetPacket::from_words(self.packets.element_words(index));
        let after = NetRings::new(set).packet(index);
        let same_but_scratch = after.with_scratch(false) == before.with_scratch(false);
        let same_but_ignore =
            after.with_scratch(false).with_ignore(before.ignore()) == before.with_scratch(false);
        let violated = |code, rule| {
            let detail = format!("packet {index} was {before:x?} and is {after:x?}; {rule}");
            Err(Violation::new(code, detail))
        };
        match direction {
            Direction::Tx if !same_but_scratch => {
                let rule = "only Scratch may change";
                violated(FailureCode::InvalidRingImmutableDriverTxPacket, rule)
            }
            Direction::Rx if returned && after.ignore() && !same_but_ignore => {
                let rule = "beside Ignore nothing may be written";
                violated(FailureCode::InvalidRingImmutableDriverRxPacketIgnore, rule)
            }
            Direction::Rx if reserved(after) != reserved(before) => {
                let rule = "reserved bits may not change";
                violated(FailureCode::InvalidRingModifiedRxPacket, rule)
            }
            _ => Ok(()),
        }
    }

    /// One fragment the client owned before the call.
    fn check_fragment(
        &self,
        set: &RingSet,
        direction: Direction,
        index: u32,
    ) -> Result<(), Violation> {
        let before = NetFragment(self.fragments.double_word(index));
        let after = NetRings::new(set).fragment(index);
        let (code, rule, same) = match direction {
            Direction::Tx => (
                FailureCode::InvalidRingImmutableDriverTxFragment,
                "only Scratch may change",
                after.without_scratch() == before.without_scratch(),
            ),
            Direction::Rx => (
                FailureCode::InvalidRingModifiedRxFragment,
                "Capacity, the address and the framework's bit may not change",
                after.framework_bits() == before.framework_bits(),
            ),
        };
        if same && !self.fragments.changed_behind_core(&set.fragments, index) {
            return Ok(());
        }
        let detail = format!("fragment {index} was {before:?} and is {after:?}; {rule}");
        Err(Violation::new(code, detail))
    }
}

/// The bits of a packet no client may change.
fn reserved(packet: NetPacket) -> (u8, u8) {
    (packet.reserved(), packet.layout.0[4] >> 4)
}

#[cfg(test)]
mod tests;
