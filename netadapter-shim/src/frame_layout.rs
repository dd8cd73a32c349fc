//! Finds the headers of an Ethernet frame. Pure: works on a private copy of
//! the frame's first bytes and never looks beyond it.

use crate::abi::{
    NetPacketLayer2Type as L2, NetPacketLayer3Type as L3, NetPacketLayer4Type as L4,
    NetPacketLayout,
};

/// How many bytes of a frame to look at: Ethernet with two tags, the longest
/// IPv4 header or IPv6 with some extensions, and a TCP header.
pub(crate) const HEAD_LENGTH: usize = 192;

const ETHERNET_LENGTH: usize = 14;
const TAG_LENGTH: usize = 4;
const MAXIMUM_TAGS: usize = 4;
const IPV4_MINIMUM: usize = 20;
const IPV6_LENGTH: usize = 40;
const UDP_LENGTH: usize = 8;
const TCP_MINIMUM: usize = 20;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_TAGS: [u16; 2] = [0x8100, 0x88a8];

const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const IPV6_HOP_BY_HOP: u8 = 0;
const IPV6_ROUTING: u8 = 43;
const IPV6_FRAGMENT: u8 = 44;
const IPV6_AUTHENTICATION: u8 = 51;
const IPV6_DESTINATION: u8 = 60;

/// Kind and length of one header.
type Header<T> = (T, u32);

const NO_LAYER3: Header<L3> = (L3::UNSPECIFIED, 0);
const NO_LAYER4: Header<L4> = (L4::UNSPECIFIED, 0);

/// What the headers at the start of a frame are. Whatever is cut off,
/// malformed or unknown is left unspecified, with everything behind it.
pub fn parse(head: &[u8]) -> NetPacketLayout {
    let Some((ethertype, at)) = link_header(head) else {
        return NetPacketLayout::default();
    };
    let rest = head.get(at..).unwrap_or_default();
    let (layer3, layer4) = match ethertype {
        ETHERTYPE_IPV4 => ipv4(rest),
        ETHERTYPE_IPV6 => ipv6(rest),
        _ => (NO_LAYER3, NO_LAYER4),
    };
    NetPacketLayout::new((L2::ETHERNET, at as u32), layer3, layer4)
}

/// The EtherType behind all tags and the length of the link header.
fn link_header(head: &[u8]) -> Option<(u16, usize)> {
    let mut at = ETHERNET_LENGTH;
    for _ in 0..=MAXIMUM_TAGS {
        let ethertype = be16(head, at - 2)?;
        if !ETHERTYPE_TAGS.contains(&ethertype) {
            return Some((ethertype, at));
        }
        at += TAG_LENGTH;
    }
    None
}

/// The 802.1p priority of a frame's outermost tag, 0 without one.
pub(crate) fn priority(head: &[u8]) -> u8 {
    let tagged = be16(head, ETHERNET_LENGTH - 2).is_some_and(|kind| ETHERTYPE_TAGS.contains(&kind));
    let tag = be16(head, ETHERNET_LENGTH).filter(|_| tagged);
    tag.map_or(0, |tag| (tag >> 13) as u8)
}

fn ipv4(packet: &[u8]) -> (Header<L3>, Header<L4>) {
    let Some(header) = packet.get(..IPV4_MINIMUM) else {
        return (NO_LAYER3, NO_LAYER4);
    };
    let length = usize::from(header[0] & 0xf) * 4;
    if header[0] >> 4 != 4 || length < IPV4_MINIMUM || packet.len() < length {
        return (NO_LAYER3, NO_LAYER4);
    }
    let options = length > IPV4_MINIMUM;
    let kind = if options {
        L3::IPV4_WITH_OPTIONS
    } else {
        L3::IPV4_NO_OPTIONS
    };
    // More fragments, or an offset.
    let fragmented = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    let layer4 = match fragmented {
        true => (L4::IP_FRAGMENT, 0),
        false => transport(header[9], &packet[length..]),
    };
    ((kind, length as u32), layer4)
}

fn ipv6(packet: &[u8]) -> (Header<L3>, Header<L4>) {
    let Some(header) = packet.get(..IPV6_LENGTH) else {
        return (NO_LAYER3, NO_LAYER4);
    };
    if header[0] >> 4 != 6 {
        return (NO_LAYER3, NO_LAYER4);
    }
    let (mut protocol, mut length) = (header[6], IPV6_LENGTH);
    loop {
        match extension_length(protocol, packet.get(length..).unwrap_or_default()) {
            Extension::None => break,
            Extension::Fragment => {
                let layer3 = (L3::IPV6_WITH_EXTENSIONS, length as u32 + 8);
                return (layer3, (L4::IP_FRAGMENT, 0));
            }
            Extension::Cut => {
                return (
                    (L3::IPV6_UNSPECIFIED_EXTENSIONS, IPV6_LENGTH as u32),
                    NO_LAYER4,
                );
            }
            Extension::Next { next, size } => (protocol, length) = (next, length + size),
        }
    }
    let extended = length > IPV6_LENGTH;
    let kind = if extended {
        L3::IPV6_WITH_EXTENSIONS
    } else {
        L3::IPV6_NO_EXTENSIONS
    };
    let rest = packet.get(length..).unwrap_or_default();
    ((kind, length as u32), transport(protocol, rest))
}

/// What stands at one place of a chain of IPv6 headers.
enum Extension {
    /// Not an extension header: the chain ends.
    None,
    /// A fragment header.
    Fragment,
    /// An extension header that does not lie within the bytes at hand, or
    /// would make the chain longer than NET_PACKET_LAYOUT can say.
    Cut,
    /// Another extension header.
    Next { next: u8, size: usize },
}

fn extension_length(protocol: u8, rest: &[u8]) -> Extension {
    let unit = match protocol {
        IPV6_HOP_BY_HOP | IPV6_ROUTING | IPV6_DESTINATION => 8,
        IPV6_AUTHENTICATION => 4,
        IPV6_FRAGMENT if rest.len() >= 8 => return Extension::Fragment,
        IPV6_FRAGMENT => return Extension::Cut,
        _ => return Extension::None,
    };
    let Some(&[next, units]) = rest.first_chunk::<2>() else {
        return Extension::Cut;
    };
    // RFC 8200 counts units of 8 beyond the first 8 bytes; RFC 4302 counts
    // units of 4 beyond the first 8.
    let size = 8 + usize::from(units) * unit;
    if size > rest.len() {
        return Extension::Cut;
    }
    Extension::Next { next, size }
}

fn transport(protocol: u8, segment: &[u8]) -> Header<L4> {
    match protocol {
        PROTOCOL_TCP => tcp(segment),
        PROTOCOL_UDP if segment.len() >= UDP_LENGTH => (L4::UDP, UDP_LENGTH as u32),
        PROTOCOL_UDP => NO_LAYER4,
        _ => (L4::IP_NOT_FRAGMENT, 0),
    }
}

fn tcp(segment: &[u8]) -> Header<L4> {
    let length = segment.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4);
    if length < TCP_MINIMUM || segment.len() < length {
        return NO_LAYER4;
    }
    (L4::TCP, length as u32)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*pair))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::test_random::Random;

    /// An Ethernet header with the given tags, then `rest`.
    pub(crate) fn ethernet(tags: &[u16], ethertype: u16, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 5]);
        }
        frame.extend(ethertype.to_be_bytes());
        frame.extend(rest);
        frame
    }

    /// An IPv4 header with `options` bytes of options, then `rest`.
    pub(crate) fn ipv4_packet(protocol: u8, options: usize, flags: u16, rest: &[u8]) -> Vec<u8> {
        let length = 20 + options;
        let mut packet = vec![0x40 | (length / 4) as u8, 0];
        packet.extend(((length + rest.len()) as u16).to_be_bytes());
        packet.extend([0, 1]);
        packet.extend(flags.to_be_bytes());
        packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(std::iter::repeat_n(1, options));
        packet.extend(rest);
        packet
    }

    /// An IPv6 header, then `rest`.
    pub(crate) fn ipv6_packet(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((rest.len() as u16).to_be_bytes());
        packet.extend([next, 64]);
        packet.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        packet.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        packet.extend(rest);
        packet
    }

    /// A TCP header with `options` bytes of options.
    pub(crate) fn tcp_segment(options: usize, payload: &[u8]) -> Vec<u8> {
        let mut segment = vec![0; 20 + options];
        segment[12] = (((20 + options) / 4) << 4) as u8;
        segment.extend(payload);
        segment
    }

    #[test]
    fn tcp_over_ipv4_is_found_behind_tags() {
        for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100]] {
            let frame = ethernet(
                tags,
                0x0800,
                &ipv4_packet(6, 0, 0x4000, &tcp_segment(12, b"x")),
            );
            let layout = parse(&frame);
            assert_eq!(layout.layer2_header_length() as usize, 14 + 4 * tags.len());
            assert_eq!(layout.layer3_type(), L3::IPV4_NO_OPTIONS);
            assert_eq!(layout.layer3_header_length(), 20);
            assert_eq!(
                (layout.layer4_type(), layout.layer4_header_length()),
                (L4::TCP, 32)
            );
        }
    }

    #[test]
    fn ipv4_options_and_fragments_are_told_apart() {
        let options = parse(&ethernet(&[], 0x0800, &ipv4_packet(17, 8, 0, &[0; 8])));
        assert_eq!(options.layer3_type(), L3::IPV4_WITH_OPTIONS);
        assert_eq!(
            (options.layer3_header_length(), options.layer4_type()),
            (28, L4::UDP)
        );
        for flags in [0x2000, 0x0001, 0x1fff] {
            let fragment = parse(&ethernet(&[], 0x0800, &ipv4_packet(6, 0, flags, &[0; 40])));
            assert_eq!(fragment.layer4_type(), L4::IP_FRAGMENT, "flags {flags:#x}");
        }
    }

    #[test]
    fn ipv6_extension_headers_count_as_layer_3() {
        let mut chain = vec![43, 0, 0, 0, 0, 0, 0, 0]; // hop by hop, then routing
        chain.extend([17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // 16 bytes, then UDP
        chain.extend([0; 8]);
        let layout = parse(&ethernet(&[], 0x86dd, &ipv6_packet(0, &chain)));
        assert_eq!(layout.layer3_type(), L3::IPV6_WITH_EXTENSIONS);
        assert_eq!(layout.layer3_header_length(), 40 + 8 + 16);
        assert_eq!(
            (layout.layer4_type(), layout.layer4_header_length()),
            (L4::UDP, 8)
        );
        let plain = parse(&ethernet(&[], 0x86dd, &ipv6_packet(58, &[0; 8])));
        assert_eq!(plain.layer3_type(), L3::IPV6_NO_EXTENSIONS);
        assert_eq!(plain.layer4_type(), L4::IP_NOT_FRAGMENT);
    }

    #[test]
    fn ipv6_fragment_and_endless_chain_end() {
        let fragment = parse(&ethernet(
            &[],
            0x86dd,
            &ipv6_packet(44, &[6, 0, 0, 0, 0, 0, 0, 0]),
        ));
        assert_eq!(fragment.layer4_type(), L4::IP_FRAGMENT);
        // Hop-by-hop headers that name each other until the bytes run out.
        let endless = parse(&ethernet(&[], 0x86dd, &ipv6_packet(0, &[0; 120])));
        assert_eq!(endless.layer3_type(), L3::IPV6_UNSPECIFIED_EXTENSIONS);
        assert_eq!(endless.layer4_type(), L4::UNSPECIFIED);
    }

    #[test]
    fn arp_and_short_frames_are_left_unspecified() {
        let arp = parse(&ethernet(&[], 0x0806, &[0; 28]));
        assert_eq!(arp.layer2_header_length(), 14);
        assert_eq!(arp.layer3_type(), L3::UNSPECIFIED);
        assert_eq!(parse(&[0; 13]), NetPacketLayout::default());
        assert_eq!(
            parse(&ethernet(&[0x8100; 9], 0x0800, &[0; 60])),
            NetPacketLayout::default()
        );
    }

    /// No input makes the parser look beyond the bytes it has.
    #[test]
    fn headers_never_reach_beyond_the_bytes_at_hand() {
        let mut random = Random::from_env();
        let seeds = [
            ethernet(
                &[0x8100],
                0x0800,
                &ipv4_packet(6, 8, 0, &tcp_segment(8, b"data")),
            ),
            ethernet(&[], 0x86dd, &ipv6_packet(0, &[0; 64])),
        ];
        for _ in 0..100_000 {
            let mut frame = seeds[random.below(2) as usize].clone();
            for _ in 0..random.below(4) {
                let at = random.below(frame.len() as u32) as usize;
                frame[at] = random.next() as u8;
            }
            frame.truncate(random.below(frame.len() as u32 + 1) as usize);
            let layout = parse(&frame);
            let end = layout.layer4_offset() + layout.layer4_header_length();
            let known = layout.layer4_type() != L4::UNSPECIFIED;
            assert!(
                !known || end as usize <= frame.len(),
                "{random} {frame:x?} {layout:?}"
            );
        }
    }
}
