//! Checksums and large frames: between what a system port says (start, offset,
//! segment size, as in virtio and Linux) and what packet extensions say (which
//! layer, which size). Pure, on private copies.

mod segments;

use vm_memory::VolatileSlice;

use crate::abi::NetPacketLayer3Type as L3;
use crate::abi::{NetOffloadLayer3Flags as Flags3, NetOffloadLayer4Flags as Flags4};
use crate::abi::{
    NetPacketChecksum, NetPacketChecksumState, NetPacketGso, NetPacketLayer4Type as L4,
    NetPacketLayout, NetPacketPartialChecksum, NetPacketRsc, SegmentType,
};
use crate::frame_layout::parse;
pub(crate) use segments::Segments;

const TCP_CHECKSUM: u32 = 16;
const UDP_CHECKSUM: u32 = 6;
const PROTOCOL_TCP: u32 = 6;
const PROTOCOL_UDP: u32 = 17;

/// Headers whose checksum, or whose segmentation, the client takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Covered {
    /// Network headers under TCP.
    pub(crate) tcp: Flags3,
    /// Network headers under UDP.
    pub(crate) udp: Flags3,
    pub(crate) layer4: Flags4,
    /// Largest offset of the transport header; 0 for no limit.
    pub(crate) offset_limit: u16,
}

/// Which large frames the client takes whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segmentation {
    pub(crate) covered: Covered,
    /// Largest payload in bytes.
    pub(crate) maximum_size: usize,
    /// Fewest segments.
    pub(crate) minimum_count: usize,
}

impl Segmentation {
    fn takes(self, length: usize, layout: NetPacketLayout, size: u16) -> bool {
        let headers = (layout.layer4_offset() + layout.layer4_header_length()) as usize;
        let payload = length.saturating_sub(headers);
        self.covered.covers(layout)
            && payload <= self.maximum_size
            && payload.div_ceil(usize::from(size)) >= self.minimum_count
    }
}

impl Covered {
    /// Whether a packet of this layout is among them.
    fn covers(self, layout: NetPacketLayout) -> bool {
        let layer3 = match layout.layer3_type() {
            L3::IPV4_NO_OPTIONS => Flags3::IPV4_NO_OPTIONS,
            L3::IPV4_WITH_OPTIONS => Flags3::IPV4_WITH_OPTIONS,
            L3::IPV6_NO_EXTENSIONS => Flags3::IPV6_NO_EXTENSIONS,
            L3::IPV6_WITH_EXTENSIONS => Flags3::IPV6_WITH_EXTENSIONS,
            _ => return false,
        };
        let (under, layer4) = match (layout.layer4_type(), layout.layer4_header_length()) {
            (L4::TCP, 20) => (self.tcp, Flags4::TCP_NO_OPTIONS),
            (L4::TCP, _) => (self.tcp, Flags4::TCP_WITH_OPTIONS),
            (L4::UDP, _) => (self.udp, Flags4::UDP),
            _ => return false,
        };
        let near = self.offset_limit == 0 || layout.layer4_offset() <= u32::from(self.offset_limit);
        near && under.contains(layer3) && self.layer4.contains(layer4)
    }
}

/// Two bytes of a frame to overwrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) offset: usize,
    pub(crate) bytes: [u8; 2],
}

/// What is to be done about the checksum of a frame the stack sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TxPlan {
    /// Describe it so, after the patch.
    Describe {
        checksum: NetPacketChecksum,
        gso: NetPacketGso,
        patch: Option<Patch>,
    },
    /// No extension can express it, or the client does not cover it: complete
    /// the checksum here.
    Complete,
    /// Several segments that the client does not take whole: cut it here.
    Segment,
    /// Several segments, but not what it claims.
    Drop,
}

/// How to describe a frame of `length` bytes with these headers.
#[inline]
pub(crate) fn plan_tx(
    head: &[u8],
    length: usize,
    layout: NetPacketLayout,
    partial: NetPacketPartialChecksum,
    sums: Covered,
    segments: Segmentation,
) -> TxPlan {
    let expressible = is_standard(layout, partial);
    if partial.is_segmented() {
        let sane = expressible && kind_fits(layout, partial) && partial.segment_size > 0;
        return match sane && segments.takes(length, layout, partial.segment_size) {
            true => segmented(head, length, layout, partial),
            false if sane => TxPlan::Segment,
            false => TxPlan::Drop,
        };
    }
    match (partial.is_partial(), expressible && sums.covers(layout)) {
        (false, _) => describe(NetPacketChecksum::default(), NetPacketGso::default(), None),
        (true, true) => describe(required(layout, false), NetPacketGso::default(), None),
        (true, false) => TxPlan::Complete,
    }
}

fn describe(checksum: NetPacketChecksum, gso: NetPacketGso, patch: Option<Patch>) -> TxPlan {
    TxPlan::Describe {
        checksum,
        gso,
        patch,
    }
}

fn segmented(
    head: &[u8],
    length: usize,
    layout: NetPacketLayout,
    partial: NetPacketPartialChecksum,
) -> TxPlan {
    let start = usize::from(partial.checksum_start);
    let offset = start + usize::from(partial.checksum_offset);
    let Some(&field) = head.get(offset..).and_then(|rest| rest.first_chunk::<2>()) else {
        return TxPlan::Drop;
    };
    let sum = pseudo_sum_without_length(u16::from_be_bytes(field), length.saturating_sub(start));
    let patch = Patch {
        offset,
        bytes: sum.to_be_bytes(),
    };
    let gso = NetPacketGso::new(u32::from(partial.segment_size));
    describe(required(layout, true), gso, Some(patch))
}

/// The checksum is TCP's or UDP's own, where the headers say it is.
fn is_standard(layout: NetPacketLayout, partial: NetPacketPartialChecksum) -> bool {
    let offset = match layout.layer4_type() {
        L4::TCP => TCP_CHECKSUM,
        L4::UDP => UDP_CHECKSUM,
        _ => return false,
    };
    partial.is_partial()
        && u32::from(partial.checksum_start) == layout.layer4_offset()
        && u32::from(partial.checksum_offset) == offset
}

fn kind_fits(layout: NetPacketLayout, partial: NetPacketPartialChecksum) -> bool {
    match partial.segment_type.base() {
        SegmentType::TCPV4 => layout.layer4_type() == L4::TCP && layout.layer3_type().is_ipv4(),
        SegmentType::TCPV6 => layout.layer4_type() == L4::TCP && layout.layer3_type().is_ipv6(),
        SegmentType::UDP => layout.layer4_type() == L4::UDP,
        _ => false,
    }
}

fn required(layout: NetPacketLayout, segmented: bool) -> NetPacketChecksum {
    let sums = NetPacketChecksum::default().with_layer4(NetPacketChecksumState::REQUIRED);
    // Every segment gets an IPv4 header of its own; otherwise Linux has filled
    // in the header's checksum.
    match segmented && layout.layer3_type().is_ipv4() {
        true => sums.with_layer3(NetPacketChecksumState::REQUIRED),
        false => sums,
    }
}

/// **The one place where the two conventions of a large frame meet, seen from
/// Linux.** Before segmentation the checksum field holds the folded sum of the
/// pseudo-header. Linux and virtio count the length of the whole large packet
/// in it; Microsoft leaves the length out, because each segment will have its
/// own. `length` is that of the transport header and everything behind it.
/// [`pseudo_sum_with_length`] is the way back.
pub fn pseudo_sum_without_length(sum: u16, length: usize) -> u16 {
    // Subtraction in one's complement is addition of the complement.
    fold(u64::from(sum) + u64::from(!fold(length as u64)))
}

/// The other direction of [`pseudo_sum_without_length`]: from Microsoft's
/// convention to the one of virtio.
pub fn pseudo_sum_with_length(sum: u16, length: usize) -> u16 {
    fold(u64::from(sum) + length as u64)
}

/// Completes a checksum that is only the pseudo-header sum so far. `None` if
/// it does not lie within the frame.
pub(crate) fn complete(
    frame: VolatileSlice<'_>,
    partial: NetPacketPartialChecksum,
) -> Option<Patch> {
    let start = usize::from(partial.checksum_start);
    let offset = start + usize::from(partial.checksum_offset);
    if offset + 2 > frame.len() {
        return None;
    }
    let sum = sum_volatile(frame.offset(start).ok()?);
    // 0 would mean "no checksum" to UDP; the other zero is as right.
    let sum = if !sum == 0 { 0xffff } else { !sum };
    Some(Patch {
        offset,
        bytes: sum.to_be_bytes(),
    })
}

/// A frame whose checksum the client calls valid, as the stack believes it
/// without looking: with the sum of the pseudo-header in the checksum's place.
/// `None` where there is no such checksum.
pub(crate) fn describe_valid(head: &[u8]) -> Option<(NetPacketPartialChecksum, Patch)> {
    let layout = parse(head);
    let start = layout.layer4_offset() as usize;
    let (protocol, field) = match layout.layer4_type() {
        L4::TCP => (PROTOCOL_TCP, TCP_CHECKSUM),
        L4::UDP => (PROTOCOL_UDP, UDP_CHECKSUM),
        _ => return None,
    };
    let offset = start + field as usize;
    let present = head.get(offset..offset + 2)?;
    if protocol == PROTOCOL_UDP && present == [0, 0] {
        return None;
    }
    let sum = pseudo_sum(head, layout, protocol, transport_length(head, layout)?)?;
    let patch = Patch {
        offset,
        bytes: sum.to_be_bytes(),
    };
    let partial = NetPacketPartialChecksum::partial(start as u16, field as u16);
    Some((partial, patch))
}

/// Length of the transport header and its payload as the network header says:
/// a short frame is padded behind them.
pub(crate) fn transport_length(head: &[u8], layout: NetPacketLayout) -> Option<usize> {
    let ip = head.get(layout.layer2_header_length() as usize..)?;
    let word = |at: usize| {
        Some(usize::from(u16::from_be_bytes(
            *ip.get(at..)?.first_chunk()?,
        )))
    };
    let header = layout.layer3_header_length() as usize;
    match layout.layer3_type().is_ipv4() {
        true => word(2)?.checked_sub(header),
        false => (word(4)? + 40).checked_sub(header),
    }
}

/// What the framework must add to a coalesced frame whose client has said no
/// more than the number of segments: kind, size and a checksum field that
/// holds the pseudo-header sum. `None` if the frame is not what it claims.
pub(crate) fn describe_coalesced(
    head: &[u8],
    length: usize,
    rsc: NetPacketRsc,
) -> Option<(NetPacketPartialChecksum, Patch)> {
    let layout = parse(head);
    let start = layout.layer4_offset() as usize;
    let headers = start + layout.layer4_header_length() as usize;
    let payload = length.checked_sub(headers)?;
    let (kind, field, protocol, size) = match (layout.layer4_type(), layout.layer3_type()) {
        (L4::TCP, ip) => {
            let kind = if ip.is_ipv4() {
                SegmentType::TCPV4
            } else {
                SegmentType::TCPV6
            };
            let size = payload.div_ceil(usize::from(rsc.coalesced_segment_count).max(1));
            (kind, TCP_CHECKSUM, PROTOCOL_TCP, size)
        }
        // For UDP the second member is the size of a segment.
        (L4::UDP, _) => {
            let size = usize::from(rsc.duplicate_ack_count);
            (SegmentType::UDP, UDP_CHECKSUM, PROTOCOL_UDP, size)
        }
        _ => return None,
    };
    if size == 0 {
        return None;
    }
    let sum = pseudo_sum(head, layout, protocol, length - start)?;
    let partial = NetPacketPartialChecksum::partial(start as u16, field as u16).with_segments(
        kind,
        u16::try_from(size).ok()?,
        headers as u16,
    );
    let patch = Patch {
        offset: start + field as usize,
        bytes: sum.to_be_bytes(),
    };
    Some((partial, patch))
}

/// The same for a frame of TCP segments with `size` bytes of payload each, the last of them at
/// most: writes the pseudo-header sum into `head`.
pub(crate) fn describe_run(
    head: &mut [u8],
    layout: NetPacketLayout,
    length: usize,
    size: usize,
) -> Option<NetPacketPartialChecksum> {
    let start = layout.layer4_offset() as usize;
    let headers = start + layout.layer4_header_length() as usize;
    let kind = match layout.layer3_type().is_ipv4() {
        true => SegmentType::TCPV4,
        false => SegmentType::TCPV6,
    };
    let sum = pseudo_sum(head, layout, PROTOCOL_TCP, length.checked_sub(start)?)?;
    let field = start + TCP_CHECKSUM as usize;
    head.get_mut(field..field + 2)?
        .copy_from_slice(&sum.to_be_bytes());
    let partial = NetPacketPartialChecksum::partial(start as u16, TCP_CHECKSUM as u16);
    Some(partial.with_segments(kind, u16::try_from(size).ok()?, headers as u16))
}

/// Whether the TCP checksum of a frame that lies in `frame` as a whole is right.
pub(crate) fn is_tcp_sum_right(
    frame: VolatileSlice<'_>,
    head: &[u8],
    layout: NetPacketLayout,
) -> bool {
    let start = layout.layer4_offset() as usize;
    let length = frame.len().saturating_sub(start);
    let (Some(pseudo), Ok(segment)) = (
        pseudo_sum(head, layout, PROTOCOL_TCP, length),
        frame.offset(start),
    ) else {
        return false;
    };
    fold(u64::from(pseudo) + u64::from(sum_volatile(segment))) == u16::MAX
}

/// Folded sum of the pseudo-header of a segment of `length` bytes.
fn pseudo_sum(head: &[u8], layout: NetPacketLayout, protocol: u32, length: usize) -> Option<u16> {
    let ip = head.get(layout.layer2_header_length() as usize..)?;
    let addresses = match layout.layer3_type().is_ipv4() {
        true => ip.get(12..20)?,
        false => ip.get(8..40)?,
    };
    Some(fold(
        sum_words(addresses) + u64::from(protocol) + length as u64,
    ))
}

/// Folded sum of big-endian words; an odd byte at the end counts as a high byte.
///
/// Eight bytes at a time and as they lie: a sum whose carries come back in at the other end is the
/// same in either order of bytes, but for the order of its own two (RFC 1071).
pub(crate) fn sum_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let sum = words.iter().chain([&last]).fold(0_u64, |sum, word| {
        let (sum, carry) = sum.overflowing_add(u64::from_le_bytes(*word));
        sum + u64::from(carry)
    });
    let sum = fold((sum & 0xffff_ffff) + (sum >> 32));
    sum.swap_bytes().into()
}

/// Folded sum of bytes others may be writing: taken over private copies.
fn sum_volatile(bytes: VolatileSlice<'_>) -> u16 {
    let mut chunk = [0; 512];
    let (mut sum, mut at) = (0, 0);
    while let Ok(rest) = bytes.offset(at) {
        let count = rest.copy_to(&mut chunk[..]);
        if count == 0 {
            break;
        }
        sum += sum_words(&chunk[..count]);
        at += count;
    }
    fold(sum)
}

/// Folds carries back in until 16 bits are left.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests;
