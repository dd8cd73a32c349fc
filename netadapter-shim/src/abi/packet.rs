//! NET_PACKET and NET_PACKET_LAYOUT.

use std::fmt;

use super::abi_enum;

abi_enum! {
    /// NET_PACKET_LAYER2_TYPE
    NetPacketLayer2Type {
        /// Not filled in.
        UNSPECIFIED = 0,
        /// No link header.
        NULL = 1,
        /// Ethernet II or 802.3, tags included in the header length.
        ETHERNET = 2,
        /// 802.11
        IEEE80211 = 3,
    }
}

abi_enum! {
    /// NET_PACKET_LAYER3_TYPE
    NetPacketLayer3Type {
        /// Not filled in, or not IP.
        UNSPECIFIED = 0,
        /// IPv4, options not looked at.
        IPV4_UNSPECIFIED_OPTIONS = 1,
        /// IPv4 with options.
        IPV4_WITH_OPTIONS = 2,
        /// IPv4 with a header of 20 bytes.
        IPV4_NO_OPTIONS = 3,
        /// IPv6, extension headers not looked at.
        IPV6_UNSPECIFIED_EXTENSIONS = 4,
        /// IPv6 with extension headers, counted in the header length.
        IPV6_WITH_EXTENSIONS = 5,
        /// IPv6 with a header of 40 bytes.
        IPV6_NO_EXTENSIONS = 6,
    }
}

impl NetPacketLayer3Type {
    /// Microsoft's `NetPacketIsIpv4`.
    #[inline]
    pub fn is_ipv4(self) -> bool {
        (1..=3).contains(&self.0)
    }

    /// Microsoft's `NetPacketIsIpv6`.
    #[inline]
    pub fn is_ipv6(self) -> bool {
        (4..=6).contains(&self.0)
    }
}

abi_enum! {
    /// NET_PACKET_LAYER4_TYPE
    NetPacketLayer4Type {
        /// Not filled in.
        UNSPECIFIED = 0,
        /// TCP
        TCP = 1,
        /// UDP
        UDP = 2,
        /// A fragment of an IP packet.
        IP_FRAGMENT = 3,
        /// Not a fragment, and neither TCP nor UDP.
        IP_NOT_FRAGMENT = 4,
    }
}

/// What the headers of a packet are and how long. Five bytes, packed, without
/// alignment.
#[repr(transparent)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct NetPacketLayout(pub [u8; 5]);

const _: () = assert!(size_of::<NetPacketLayout>() == 5 && align_of::<NetPacketLayout>() == 1);

impl NetPacketLayout {
    /// Layout of an Ethernet frame. Lengths are in bytes; bits beyond a field
    /// are cut off.
    #[inline]
    pub fn new(
        (layer2, layer2_length): (NetPacketLayer2Type, u32),
        (layer3, layer3_length): (NetPacketLayer3Type, u32),
        (layer4, layer4_length): (NetPacketLayer4Type, u32),
    ) -> Self {
        let lengths = (layer2_length & 0x7f) as u16 | ((layer3_length & 0x1ff) as u16) << 7;
        let [low, high] = lengths.to_le_bytes();
        Self([
            low,
            high,
            layer4_length as u8,
            (layer2.0 & 0xf) as u8 | ((layer3.0 & 0xf) as u8) << 4,
            (layer4.0 & 0xf) as u8,
        ])
    }

    #[inline]
    fn lengths(self) -> u16 {
        u16::from_le_bytes([self.0[0], self.0[1]])
    }

    /// Length of the link header, tags included.
    #[inline]
    pub fn layer2_header_length(self) -> u32 {
        u32::from(self.lengths() & 0x7f)
    }

    /// Length of the network header, options and extension headers included.
    #[inline]
    pub fn layer3_header_length(self) -> u32 {
        u32::from(self.lengths() >> 7)
    }

    /// Length of the transport header, options included.
    #[inline]
    pub fn layer4_header_length(self) -> u32 {
        u32::from(self.0[2])
    }

    /// Kind of link header.
    #[inline]
    pub fn layer2_type(self) -> NetPacketLayer2Type {
        NetPacketLayer2Type(u32::from(self.0[3] & 0xf))
    }

    /// Kind of network header.
    #[inline]
    pub fn layer3_type(self) -> NetPacketLayer3Type {
        NetPacketLayer3Type(u32::from(self.0[3] >> 4))
    }

    /// Kind of transport header.
    #[inline]
    pub fn layer4_type(self) -> NetPacketLayer4Type {
        NetPacketLayer4Type(u32::from(self.0[4] & 0xf))
    }

    /// Offset of the transport header from the start of the frame.
    #[inline]
    pub fn layer4_offset(self) -> u32 {
        self.layer2_header_length() + self.layer3_header_length()
    }
}

impl fmt::Debug for NetPacketLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = |kind: u32, length: u32| format!("{kind}:{length}");
        f.debug_struct("NetPacketLayout")
            .field(
                "layer2",
                &pair(self.layer2_type().0, self.layer2_header_length()),
            )
            .field(
                "layer3",
                &pair(self.layer3_type().0, self.layer3_header_length()),
            )
            .field(
                "layer4",
                &pair(self.layer4_type().0, self.layer4_header_length()),
            )
            .finish()
    }
}

const IGNORE: u8 = 1;
const SCRATCH: u8 = 2;
const RESERVED: u8 = 0xfc;

/// A packet: a run of fragments and what is known about the headers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetPacket {
    /// First fragment, an index of the fragment ring.
    pub fragment_index: u32,
    /// Number of consecutive (wrapping) fragments; 0 on an ignored packet.
    pub fragment_count: u16,
    /// Headers: filled by the framework on Tx, optional on Rx.
    pub layout: NetPacketLayout,
    bits: u8,
}

const _: () = {
    assert!(size_of::<NetPacket>() == 12 && align_of::<NetPacket>() == 4);
    assert!(std::mem::offset_of!(NetPacket, fragment_index) == 0);
    assert!(std::mem::offset_of!(NetPacket, fragment_count) == 4);
    assert!(std::mem::offset_of!(NetPacket, layout) == 6);
    assert!(std::mem::offset_of!(NetPacket, bits) == 11);
};

impl NetPacket {
    /// A received packet of `count` fragments from `index` on.
    #[inline]
    pub fn new(index: u32, count: u16) -> Self {
        Self {
            fragment_index: index,
            fragment_count: count,
            ..Self::default()
        }
    }

    /// Tx: the framework could not translate the packet. Rx: returned unused.
    #[inline]
    pub fn ignore(self) -> bool {
        self.bits & IGNORE != 0
    }

    /// The bit that is the client's own.
    #[inline]
    pub fn scratch(self) -> bool {
        self.bits & SCRATCH != 0
    }

    /// With the ignore bit set or cleared.
    #[must_use]
    #[inline]
    pub fn with_ignore(self, ignore: bool) -> Self {
        let bits = self.bits & !IGNORE | u8::from(ignore);
        Self { bits, ..self }
    }

    /// With the client's own bit set or cleared.
    #[must_use]
    #[inline]
    pub fn with_scratch(self, scratch: bool) -> Self {
        let bits = self.bits & !SCRATCH | u8::from(scratch) << 1;
        Self { bits, ..self }
    }

    /// With the headers described.
    #[must_use]
    #[inline]
    pub fn with_layout(self, layout: NetPacketLayout) -> Self {
        Self { layout, ..self }
    }

    /// The bits no client may change.
    #[inline]
    pub(crate) fn reserved(self) -> u8 {
        self.bits & RESERVED
    }

    /// The element as the three words it is stored as: the ring is read and
    /// written word by word, never as a structure.
    #[inline]
    pub(crate) fn to_words(self) -> [u32; 3] {
        let [l0, l1, l2, l3, l4] = self.layout.0;
        let [c0, c1] = self.fragment_count.to_ne_bytes();
        [
            self.fragment_index,
            u32::from_ne_bytes([c0, c1, l0, l1]),
            u32::from_ne_bytes([l2, l3, l4, self.bits]),
        ]
    }

    /// The reverse of [`Self::to_words`].
    #[inline]
    pub(crate) fn from_words(words: [u32; 3]) -> Self {
        let [c0, c1, l0, l1] = words[1].to_ne_bytes();
        let [l2, l3, l4, bits] = words[2].to_ne_bytes();
        Self {
            fragment_index: words[0],
            fragment_count: u16::from_ne_bytes([c0, c1]),
            layout: NetPacketLayout([l0, l1, l2, l3, l4]),
            bits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_fields_do_not_disturb_each_other() {
        let layout = NetPacketLayout::new(
            (NetPacketLayer2Type::ETHERNET, 127),
            (NetPacketLayer3Type::IPV6_WITH_EXTENSIONS, 511),
            (NetPacketLayer4Type::TCP, 60),
        );
        assert_eq!(layout.layer2_header_length(), 127);
        assert_eq!(layout.layer3_header_length(), 511);
        assert_eq!(layout.layer4_header_length(), 60);
        assert_eq!(layout.layer2_type(), NetPacketLayer2Type::ETHERNET);
        assert!(layout.layer3_type().is_ipv6() && !layout.layer3_type().is_ipv4());
        assert_eq!(layout.layer4_type(), NetPacketLayer4Type::TCP);
    }

    #[test]
    fn words_carry_every_field_both_ways() {
        let layout = NetPacketLayout([1, 2, 3, 4, 5]);
        let packet = NetPacket::new(0x0102_0304, 0x0506)
            .with_layout(layout)
            .with_ignore(true)
            .with_scratch(true);
        assert_eq!(NetPacket::from_words(packet.to_words()), packet);
        let bytes: Vec<u8> = packet
            .to_words()
            .iter()
            .flat_map(|w| w.to_ne_bytes())
            .collect();
        assert_eq!(&bytes[6..11], &[1, 2, 3, 4, 5], "layout sits at offset 6");
        assert_eq!(bytes[11], 3, "ignore and scratch sit in the last byte");
    }
}
