//! Whether a received header can be believed, and what it says to the framework.

use netadapter_shim::abi::{
    NetPacketChecksum, NetPacketChecksumState, NetPacketLayer4Type, NetPacketLayout,
    NetPacketPartialChecksum, NetPacketRsc, SegmentType,
};
use netadapter_shim::frame_layout;
use virtio::net::{FeatureSet, VirtioNetHdr};
use virtio::spec::net::feature::*;
use virtio::spec::net::header::*;
use vm_memory::VolatileSlice;

use super::{TCP_CSUM, UDP_CSUM};

/// Bytes of a frame that hold all its headers: Ethernet with two tags, IPv6 with extensions
/// that segmentation allows, TCP with options.
const HEADERS_MAX: usize = 192;
const ETHERNET_HEADER: usize = 14;

/// What is known of a received frame besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Whether the transport checksum can be trusted.
    pub checksum: NetPacketChecksum,
    /// How to complete the checksum and to cut the frame, should it travel on.
    pub partial: NetPacketPartialChecksum,
    /// How many segments the frame stands for.
    pub rsc: NetPacketRsc,
    /// The frame's headers, where they had to be read.
    pub layout: NetPacketLayout,
}

/// Why a received header cannot be believed (§ *Processing of Incoming Packets*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// It uses an offload that was not agreed on.
    NotNegotiated,
    /// The checksum would be summed or stored outside the frame's payload, or, for segments,
    /// elsewhere than where their protocol has it.
    ChecksumOutsideFrame,
    /// Segments of no bytes, of an unknown kind, or with a checksum that is not partial.
    ImpossibleSegments,
    /// Segments of a protocol that the frame does not carry.
    OtherProtocol,
}

/// Whether a received `header` says nothing of its frame.
#[inline]
pub fn is_plain(header: VirtioNetHdr) -> bool {
    header.flags & (F_NEEDS_CSUM | F_DATA_VALID) == 0 && header.gso_type == GSO_NONE
}

/// Checks a received `header` against the agreed `features` and the `frame`, a copy.
///
/// # Errors
/// [`BadHeader`]: the frame is to be dropped.
#[inline]
pub fn received(
    header: VirtioNetHdr,
    frame: &VolatileSlice<'_>,
    features: FeatureSet,
) -> Result<Received, BadHeader> {
    if is_plain(header) {
        return Ok(Received::default());
    }
    if !features.has(VIRTIO_NET_F_GUEST_CSUM) {
        return Err(BadHeader::NotNegotiated);
    }
    let checksum = NetPacketChecksum::default().with_layer4(NetPacketChecksumState::VALID);
    let mut received = Received {
        checksum,
        ..Received::default()
    };
    if header.flags & F_NEEDS_CSUM != 0 {
        received.partial = partial_checksum(header, frame.len())?;
    }
    if header.gso_type == GSO_NONE {
        return Ok(received);
    }
    segments(header, frame, features, received)
}

fn partial_checksum(
    header: VirtioNetHdr,
    frame_len: usize,
) -> Result<NetPacketPartialChecksum, BadHeader> {
    let start = usize::from(header.csum_start);
    let end = start + usize::from(header.csum_offset) + 2;
    if start < ETHERNET_HEADER || end > frame_len {
        return Err(BadHeader::ChecksumOutsideFrame);
    }
    Ok(NetPacketPartialChecksum::partial(
        header.csum_start,
        header.csum_offset,
    ))
}

/// A kind of segmentation offload, and what a frame must be to be of it.
struct SegmentKind {
    segment_type: SegmentType,
    layer4: NetPacketLayer4Type,
    /// Where its checksum lies, from its header on.
    csum_offset: u16,
    feature: u32,
}

fn segment_kind(gso_type: u8, layout: NetPacketLayout) -> Result<SegmentKind, BadHeader> {
    let v4 = layout.layer3_type().is_ipv4();
    let v6 = layout.layer3_type().is_ipv6();
    let (segment_type, layer4, family, feature) = match gso_type {
        GSO_TCPV4 => (
            SegmentType::TCPV4,
            NetPacketLayer4Type::TCP,
            v4,
            VIRTIO_NET_F_GUEST_TSO4,
        ),
        GSO_TCPV6 => (
            SegmentType::TCPV6,
            NetPacketLayer4Type::TCP,
            v6,
            VIRTIO_NET_F_GUEST_TSO6,
        ),
        GSO_UDP_L4 if v6 => (
            SegmentType::UDP,
            NetPacketLayer4Type::UDP,
            v6,
            VIRTIO_NET_F_GUEST_USO6,
        ),
        GSO_UDP_L4 => (
            SegmentType::UDP,
            NetPacketLayer4Type::UDP,
            v4,
            VIRTIO_NET_F_GUEST_USO4,
        ),
        _ => return Err(BadHeader::ImpossibleSegments),
    };
    if !family {
        return Err(BadHeader::OtherProtocol);
    }
    let csum_offset = if layer4 == NetPacketLayer4Type::TCP {
        TCP_CSUM
    } else {
        UDP_CSUM
    };
    Ok(SegmentKind {
        segment_type,
        layer4,
        csum_offset,
        feature,
    })
}

fn segments(
    header: VirtioNetHdr,
    frame: &VolatileSlice<'_>,
    features: FeatureSet,
    received: Received,
) -> Result<Received, BadHeader> {
    if header.gso_size == 0 || !received.partial.is_partial() {
        return Err(BadHeader::ImpossibleSegments);
    }
    let layout = layout_of(frame);
    let kind = segment_kind(header.gso_type & !GSO_ECN, layout)?;
    let ecn = header.gso_type & GSO_ECN != 0;
    if !features.has(kind.feature) || ecn && !features.has(VIRTIO_NET_F_GUEST_ECN) {
        return Err(BadHeader::NotNegotiated);
    }
    let layer4_offset = layout.layer4_offset();
    if layout.layer4_type() != kind.layer4 || layer4_offset != u32::from(header.csum_start) {
        return Err(BadHeader::OtherProtocol);
    }
    if header.csum_offset != kind.csum_offset {
        return Err(BadHeader::ChecksumOutsideFrame);
    }
    // The device's hdr_len is a hint and never used: the frame's own headers are.
    let headers = (layer4_offset + layout.layer4_header_length()) as usize;
    let payload = frame
        .len()
        .checked_sub(headers)
        .ok_or(BadHeader::OtherProtocol)?;
    let count = payload.div_ceil(usize::from(header.gso_size)).max(1);
    let segment_type = if ecn {
        kind.segment_type.with_ecn()
    } else {
        kind.segment_type
    };
    Ok(Received {
        partial: received
            .partial
            .with_segments(segment_type, header.gso_size, headers as u16),
        rsc: NetPacketRsc {
            coalesced_segment_count: count.min(0xffff) as u16,
            duplicate_ack_count: 0,
        },
        layout,
        ..received
    })
}

fn layout_of(frame: &VolatileSlice<'_>) -> NetPacketLayout {
    let mut bytes = [0u8; HEADERS_MAX];
    let len = frame.copy_to(&mut bytes);
    frame_layout::parse(&bytes[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENTS: FeatureSet = FeatureSet::of(&[
        VIRTIO_NET_F_GUEST_CSUM,
        VIRTIO_NET_F_GUEST_TSO4,
        VIRTIO_NET_F_GUEST_TSO6,
        VIRTIO_NET_F_GUEST_USO4,
        VIRTIO_NET_F_GUEST_ECN,
    ]);

    /// An IPv4 frame of `protocol` with 20 bytes of network header and `rest`.
    fn ipv4(protocol: u8, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x52; 12];
        frame.extend([0x08, 0x00]);
        frame.extend([0x45, 0]);
        frame.extend(((20 + rest.len()) as u16).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(rest);
        frame
    }

    fn tcp(payload: usize) -> Vec<u8> {
        let mut segment = vec![0; 20 + payload];
        segment[12] = 5 << 4;
        ipv4(6, &segment)
    }

    fn tcp_header() -> VirtioNetHdr {
        VirtioNetHdr {
            flags: F_NEEDS_CSUM,
            gso_type: GSO_TCPV4,
            hdr_len: 54,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
            num_buffers: 1,
        }
    }

    fn judge(
        header: VirtioNetHdr,
        mut frame: Vec<u8>,
        features: FeatureSet,
    ) -> Result<Received, BadHeader> {
        received(header, &VolatileSlice::from(&mut frame[..]), features)
    }

    #[test]
    fn a_plain_frame_needs_no_features() {
        assert_eq!(
            judge(VirtioNetHdr::default(), tcp(10), FeatureSet::EMPTY),
            Ok(Received::default())
        );
    }

    #[test]
    fn a_verified_checksum_is_valid_and_complete() {
        let header = VirtioNetHdr {
            flags: F_DATA_VALID,
            ..Default::default()
        };
        let received = judge(header, tcp(10), SEGMENTS).unwrap();
        assert_eq!(received.checksum.layer4(), NetPacketChecksumState::VALID);
        assert!(!received.partial.is_partial());
        assert_eq!(
            judge(header, tcp(10), FeatureSet::EMPTY),
            Err(BadHeader::NotNegotiated)
        );
    }

    #[test]
    fn a_partial_checksum_must_lie_in_the_frame() {
        let at = |csum_start, csum_offset| {
            let header = VirtioNetHdr {
                flags: F_NEEDS_CSUM,
                csum_start,
                csum_offset,
                ..Default::default()
            };
            judge(header, tcp(0), SEGMENTS).map(|r| r.partial)
        };
        assert_eq!(at(34, 16), Ok(NetPacketPartialChecksum::partial(34, 16)));
        assert!(at(34, 18).is_ok(), "the last two bytes");
        assert_eq!(at(34, 19), Err(BadHeader::ChecksumOutsideFrame));
        assert_eq!(at(13, 16), Err(BadHeader::ChecksumOutsideFrame));
        assert_eq!(at(0xffff, 0xffff), Err(BadHeader::ChecksumOutsideFrame));
    }

    #[test]
    fn segments_carry_what_the_frame_says_and_not_the_hint() {
        let header = VirtioNetHdr {
            hdr_len: 9999,
            ..tcp_header()
        };
        let received = judge(header, tcp(4000), SEGMENTS).unwrap();
        assert_eq!(received.rsc.coalesced_segment_count, 3);
        assert_eq!(received.partial.segment_size, 1448);
        assert_eq!(received.partial.header_length, 54);
        assert_eq!(received.partial.segment_type.base(), SegmentType::TCPV4);
        assert_eq!(received.layout.layer4_type(), NetPacketLayer4Type::TCP);
    }

    #[test]
    fn ecn_is_carried_only_if_agreed() {
        let header = VirtioNetHdr {
            gso_type: GSO_TCPV4 | GSO_ECN,
            ..tcp_header()
        };
        assert!(
            judge(header, tcp(4000), SEGMENTS)
                .unwrap()
                .partial
                .segment_type
                .has_ecn()
        );
        let without = SEGMENTS.without(FeatureSet::of(&[VIRTIO_NET_F_GUEST_ECN]));
        assert_eq!(
            judge(header, tcp(4000), without),
            Err(BadHeader::NotNegotiated)
        );
    }

    #[test]
    fn impossible_segments_are_refused() {
        let bad = |change: fn(&mut VirtioNetHdr), frame: Vec<u8>, features| {
            let mut header = tcp_header();
            change(&mut header);
            judge(header, frame, features).expect_err("must be refused")
        };
        let no_tso = FeatureSet::of(&[VIRTIO_NET_F_GUEST_CSUM]);
        assert_eq!(
            bad(|h| h.gso_size = 0, tcp(4000), SEGMENTS),
            BadHeader::ImpossibleSegments
        );
        assert_eq!(
            bad(|h| h.flags = 0, tcp(4000), SEGMENTS),
            BadHeader::ImpossibleSegments
        );
        assert_eq!(
            bad(|h| h.gso_type = 2, tcp(4000), SEGMENTS),
            BadHeader::ImpossibleSegments
        );
        assert_eq!(
            bad(|h| h.gso_type = 3, tcp(4000), SEGMENTS),
            BadHeader::ImpossibleSegments
        );
        assert_eq!(bad(|_| {}, tcp(4000), no_tso), BadHeader::NotNegotiated);
        assert_eq!(
            bad(|h| h.gso_type = GSO_TCPV6, tcp(4000), SEGMENTS),
            BadHeader::OtherProtocol
        );
        assert_eq!(
            bad(|h| h.gso_type = GSO_UDP_L4, tcp(4000), SEGMENTS),
            BadHeader::OtherProtocol
        );
        assert_eq!(
            bad(|h| h.csum_start = 40, tcp(4000), SEGMENTS),
            BadHeader::OtherProtocol
        );
        assert_eq!(
            bad(|_| {}, ipv4(17, &[0; 4000]), SEGMENTS),
            BadHeader::OtherProtocol
        );
        assert_eq!(
            bad(|_| {}, vec![0; 4000], SEGMENTS),
            BadHeader::OtherProtocol
        );
    }
}
