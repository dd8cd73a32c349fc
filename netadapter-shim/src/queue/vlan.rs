//! 802.1Q tags between a frame's bytes and the packet's extension.
//!
//! On the stack's side a tag always stands in the frame. A client that inserts
//! and strips tags finds it beside the packet; what it does not cover stays in
//! the frame, which is the fallback in software.

use vm_memory::{Bytes, VolatileSlice};

use crate::abi::{NetOffloadIeee8021qFlags as Flags, NetPacketIeee8021Q as Tag};
use crate::port::TxFrame;

/// Both addresses, in front of the tag.
const ADDRESSES: usize = 12;
/// EtherType of the tag and the tag.
pub(crate) const TAG_LENGTH: usize = 4;
const ETHERTYPE: [u8; 2] = [0x81, 0x00];
/// Drop eligible: the extension has no place for it.
const DROP_ELIGIBLE: u16 = 0x1000;

/// The tag of a frame, if a client with these flags inserts all of it.
fn covered(head: [u8; TAG_LENGTH], flags: Flags) -> Option<Tag> {
    let control = u16::from_be_bytes([head[2], head[3]]);
    let (priority, vlan) = ((control >> 13) as u8, control & 0xfff);
    let priority_fits = priority == 0 || flags.contains(Flags::PRIORITY_TAGGING);
    let vlan_fits = vlan == 0 || flags.contains(Flags::VLAN_TAGGING);
    let says_something = priority != 0 || vlan != 0;
    let fits = priority_fits && vlan_fits && says_something && control & DROP_ELIGIBLE == 0;
    if head[..2] != ETHERTYPE || !fits {
        return None;
    }
    let required = |needed: bool, bit: u8| if needed { bit } else { 0 };
    let tagging =
        required(priority != 0, Tag::PRIORITY_REQUIRED) | required(vlan != 0, Tag::VLAN_REQUIRED);
    Some(Tag::new(priority, vlan, tagging))
}

/// Takes the tag out of a frame in a buffer, if the client inserts it.
pub(super) fn lift(bytes: VolatileSlice<'_>, frame: TxFrame, flags: Flags) -> (TxFrame, Tag) {
    let mut head = [0; TAG_LENGTH];
    let read = bytes.read_slice(&mut head, ADDRESSES);
    let tag = covered(head, flags).filter(|_| read.is_ok());
    let lifted = tag.and_then(|tag| Some((close_gap(bytes, frame)?, tag)));
    lifted.unwrap_or((frame, Tag::default()))
}

fn close_gap(bytes: VolatileSlice<'_>, frame: TxFrame) -> Option<TxFrame> {
    let behind = ADDRESSES + TAG_LENGTH;
    let mut rest = vec![0; frame.length.checked_sub(behind)?];
    bytes.read_slice(&mut rest, behind).ok()?;
    bytes.write_slice(&rest, ADDRESSES).ok()?;
    Some(moved(
        frame,
        |at| at.saturating_sub(TAG_LENGTH as u16),
        frame.length - TAG_LENGTH,
    ))
}

/// The frame with its facts moved along.
fn moved(frame: TxFrame, shift: impl Fn(u16) -> u16, length: usize) -> TxFrame {
    let mut partial = frame.partial;
    if partial.is_partial() {
        partial.checksum_start = shift(partial.checksum_start);
    }
    if partial.is_segmented() {
        partial.header_length = shift(partial.header_length);
    }
    TxFrame { length, partial }
}

/// Puts a tag back into a copy of the frame.
pub(super) fn restore(mut bytes: Vec<u8>, frame: TxFrame, tag: Tag) -> (Vec<u8>, TxFrame) {
    if tag.tx_tagging == 0 || bytes.len() < ADDRESSES {
        return (bytes, frame);
    }
    bytes.splice(ADDRESSES..ADDRESSES, encode(tag));
    let length = bytes.len();
    (
        bytes,
        moved(frame, |at| at.saturating_add(TAG_LENGTH as u16), length),
    )
}

/// The bytes of a tag.
pub(crate) fn encode(tag: Tag) -> [u8; TAG_LENGTH] {
    let control = u16::from(tag.priority()) << 13 | tag.vlan();
    let [high, low] = control.to_be_bytes();
    [ETHERTYPE[0], ETHERTYPE[1], high, low]
}

/// Whether a received packet's extension names a tag that was stripped.
pub(crate) fn was_stripped(tag: Tag) -> bool {
    tag.priority() != 0 || tag.vlan() != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::NetPacketPartialChecksum;

    const BOTH: Flags = Flags(3);

    fn tagged(control: u16) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..12).collect();
        bytes.extend(ETHERTYPE);
        bytes.extend(control.to_be_bytes());
        bytes.extend([8, 0]);
        bytes.extend([0xab; 50]);
        bytes
    }

    fn lifted(bytes: &mut [u8], flags: Flags) -> (TxFrame, Tag) {
        let frame = TxFrame {
            length: bytes.len(),
            partial: NetPacketPartialChecksum::partial(38, 16),
        };
        lift(VolatileSlice::from(bytes), frame, flags)
    }

    #[test]
    fn a_tag_the_client_inserts_is_taken_out_of_the_frame() {
        let mut bytes = tagged(5 << 13 | 100);
        let before = bytes.clone();
        let (frame, tag) = lifted(&mut bytes, BOTH);
        assert_eq!((tag.priority(), tag.vlan(), tag.tx_tagging), (5, 100, 3));
        assert_eq!(frame.length, before.len() - 4);
        assert_eq!(frame.partial.checksum_start, 34);
        assert_eq!(bytes[..12], before[..12]);
        assert_eq!(bytes[12..frame.length], before[16..]);
        let (back, again) = restore(bytes[..frame.length].to_vec(), frame, tag);
        assert_eq!((back, again.partial.checksum_start), (before, 38));
    }

    #[test]
    fn what_the_client_does_not_insert_stays_in_the_frame() {
        let cases = [
            (tagged(5 << 13 | 100), Flags::PRIORITY_TAGGING),
            (tagged(5 << 13 | 100), Flags::VLAN_TAGGING),
            (tagged(0x1000 | 100), BOTH),
            (tagged(0), BOTH),
            (vec![0; 60], BOTH),
        ];
        for (mut bytes, flags) in cases {
            let before = bytes.clone();
            let (frame, tag) = lifted(&mut bytes, flags);
            assert_eq!((frame.length, tag), (before.len(), Tag::default()));
            assert_eq!(bytes, before);
        }
    }

    #[test]
    fn one_half_of_a_tag_needs_one_flag_only() {
        let (_, tag) = lifted(&mut tagged(5 << 13), Flags::PRIORITY_TAGGING);
        assert_eq!(tag.tx_tagging, Tag::PRIORITY_REQUIRED);
        let (_, tag) = lifted(&mut tagged(7), Flags::VLAN_TAGGING);
        assert_eq!(tag.tx_tagging, Tag::VLAN_REQUIRED);
    }
}
