//! The header of a frame to transmit, as the framework wants the device to complete it.

use netadapter_shim::abi::{
    NetPacketChecksum, NetPacketChecksumState, NetPacketGso, NetPacketLayer4Type, NetPacketLayout,
};
use virtio::net::VirtioNetHdr;
use virtio::spec::net::header::*;

use super::{TCP_CSUM, UDP_CSUM};

/// What the framework asks for a frame to transmit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToTransmit {
    /// The frame's headers.
    pub layout: NetPacketLayout,
    /// Which checksums the device must complete.
    pub checksum: NetPacketChecksum,
    /// The payload of each segment, if the device must cut the frame.
    pub gso: NetPacketGso,
    /// Whether segments carry ECN.
    pub ecn: bool,
}

/// Whether nothing is asked for of a frame to transmit.
#[inline]
pub fn asks_nothing(checksum: NetPacketChecksum, gso: NetPacketGso) -> bool {
    checksum.layer4() != NetPacketChecksumState::REQUIRED && gso.mss() == 0
}

/// What the device is told of a frame, and what must be changed in the copy of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transmit {
    /// The header.
    pub header: VirtioNetHdr,
    /// Where a length must be added to the checksum field: NetAdapterCx leaves the length out
    /// of the pseudo-header sum of frames to be segmented, virtio puts it in
    /// (§ *Packet Transmission*).
    pub add_length_at: Option<usize>,
}

/// The virtio header for a frame, or `None` when the request makes no sense: checksum or
/// segments of something that is neither TCP nor UDP.
#[inline]
pub fn transmit(request: ToTransmit) -> Option<Transmit> {
    let mss = request.gso.mss();
    if asks_nothing(request.checksum, request.gso) {
        return Some(Transmit::default());
    }
    let layout = request.layout;
    let csum_offset = match layout.layer4_type() {
        NetPacketLayer4Type::TCP => TCP_CSUM,
        NetPacketLayer4Type::UDP => UDP_CSUM,
        _ => return None,
    };
    let csum_start = layout.layer4_offset() as u16;
    let header = VirtioNetHdr {
        flags: F_NEEDS_CSUM,
        csum_start,
        csum_offset,
        ..Default::default()
    };
    if mss == 0 {
        return Some(Transmit {
            header,
            add_length_at: None,
        });
    }
    let gso_type = gso_type(layout)? | if request.ecn { GSO_ECN } else { 0 };
    let hdr_len = csum_start + layout.layer4_header_length() as u16;
    Some(Transmit {
        header: VirtioNetHdr {
            gso_type,
            gso_size: u16::try_from(mss).ok()?,
            hdr_len,
            ..header
        },
        add_length_at: Some(usize::from(csum_start + csum_offset)),
    })
}

fn gso_type(layout: NetPacketLayout) -> Option<u8> {
    match layout.layer4_type() {
        NetPacketLayer4Type::UDP => Some(GSO_UDP_L4),
        _ if layout.layer3_type().is_ipv4() => Some(GSO_TCPV4),
        _ if layout.layer3_type().is_ipv6() => Some(GSO_TCPV6),
        _ => None,
    }
}

/// Adds `length` to a folded, uncomplemented pseudo-header sum.
#[inline]
pub fn add_length(sum: u16, length: u32) -> u16 {
    let wide = u64::from(sum) + u64::from(length >> 16) + u64::from(length & 0xffff);
    let folded = (wide & 0xffff) + (wide >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use netadapter_shim::abi::{NetPacketLayer2Type, NetPacketLayer3Type};

    use super::*;

    fn tcp_layout(layer3: NetPacketLayer3Type) -> NetPacketLayout {
        NetPacketLayout::new(
            (NetPacketLayer2Type::ETHERNET, 14),
            (layer3, 20),
            (NetPacketLayer4Type::TCP, 32),
        )
    }

    fn required() -> NetPacketChecksum {
        NetPacketChecksum::default().with_layer4(NetPacketChecksumState::REQUIRED)
    }

    #[test]
    fn a_frame_without_requests_has_a_header_of_zeroes() {
        let layout = tcp_layout(NetPacketLayer3Type::IPV4_NO_OPTIONS);
        assert_eq!(
            transmit(ToTransmit {
                layout,
                ..Default::default()
            }),
            Some(Transmit::default())
        );
    }

    #[test]
    fn a_required_checksum_points_at_the_transport_header() {
        let layout = tcp_layout(NetPacketLayer3Type::IPV4_NO_OPTIONS);
        let request = ToTransmit {
            layout,
            checksum: required(),
            ..Default::default()
        };
        let header = transmit(request).unwrap().header;
        assert_eq!(
            (header.flags, header.csum_start, header.csum_offset),
            (F_NEEDS_CSUM, 34, 16)
        );
        assert_eq!((header.gso_type, header.num_buffers), (GSO_NONE, 0));
    }

    #[test]
    fn segmentation_names_family_size_and_headers() {
        for (layer3, gso_type) in [
            (NetPacketLayer3Type::IPV4_NO_OPTIONS, GSO_TCPV4),
            (NetPacketLayer3Type::IPV6_NO_EXTENSIONS, GSO_TCPV6),
        ] {
            let request = ToTransmit {
                layout: tcp_layout(layer3),
                checksum: required(),
                gso: NetPacketGso::new(1400),
                ecn: true,
            };
            let transmit = transmit(request).unwrap();
            assert_eq!(transmit.header.gso_type, gso_type | GSO_ECN);
            assert_eq!(
                (transmit.header.gso_size, transmit.header.hdr_len),
                (1400, 66)
            );
            assert_eq!(transmit.add_length_at, Some(50));
        }
    }

    #[test]
    fn offloads_of_other_protocols_make_no_sense() {
        let request = ToTransmit {
            checksum: required(),
            ..Default::default()
        };
        assert_eq!(transmit(request), None);
        let huge = ToTransmit {
            layout: tcp_layout(NetPacketLayer3Type::IPV4_NO_OPTIONS),
            checksum: required(),
            gso: NetPacketGso::new(0x1_0000),
            ecn: false,
        };
        assert_eq!(
            transmit(huge),
            None,
            "a segment size that virtio cannot say"
        );
    }

    #[test]
    fn adding_a_length_is_ones_complement() {
        assert_eq!(add_length(0x1234, 0x20), 0x1254);
        assert_eq!(add_length(0xffff, 1), 1);
        assert_eq!(
            add_length(0xfff0, 0x1_0020),
            0x12,
            "both halves of a long length count"
        );
    }
}
