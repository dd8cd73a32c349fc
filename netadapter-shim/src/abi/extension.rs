//! Packet and fragment extensions: facts that travel beside the core element.

use std::mem::offset_of;

use super::abi_enum;

abi_enum! {
    /// NET_EXTENSION_TYPE: which ring an extension belongs to.
    NetExtensionType {
        /// Extends NET_PACKET.
        PACKET = 1,
        /// Extends NET_FRAGMENT.
        FRAGMENT = 2,
        /// Extends data buffers; not used in user mode.
        BUFFER = 3,
    }
}

/// NET_EXTENSION as a C client holds it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NetExtension {
    /// `[0]` address of the extension of element 0, `[1]` stride.
    pub reserved: [usize; 4],
    /// Not zero if the extension is registered.
    pub enabled: usize,
}

const _: () = {
    assert!(size_of::<NetExtension>() == 40);
    assert!(offset_of!(NetExtension, enabled) == 32);
};

/// Checksum of one layer, two bits of [`NetPacketChecksum`]. Tx and Rx give
/// the numbers different meanings.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetPacketChecksumState(pub u8);

impl NetPacketChecksumState {
    /// Tx: leave the field alone.
    pub const PASSTHROUGH: Self = Self(0);
    /// Tx: the device must complete the checksum.
    pub const REQUIRED: Self = Self(2);
    /// Rx: nobody looked.
    pub const NOT_CHECKED: Self = Self(0);
    /// Rx: verified and right.
    pub const VALID: Self = Self(1);
    /// Rx: verified and wrong.
    pub const INVALID: Self = Self(2);
}

/// NET_PACKET_CHECKSUM, `ms_packet_checksum` version 1.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetPacketChecksum(pub u8);

impl NetPacketChecksum {
    #[inline]
    fn field(self, shift: u32) -> NetPacketChecksumState {
        NetPacketChecksumState(self.0 >> shift & 3)
    }

    #[inline]
    fn with_field(self, shift: u32, state: NetPacketChecksumState) -> Self {
        Self(self.0 & !(3 << shift) | (state.0 & 3) << shift)
    }

    /// Frame check sequence.
    #[inline]
    pub fn layer2(self) -> NetPacketChecksumState {
        self.field(0)
    }

    /// IPv4 header checksum.
    #[inline]
    pub fn layer3(self) -> NetPacketChecksumState {
        self.field(2)
    }

    /// TCP or UDP checksum.
    #[inline]
    pub fn layer4(self) -> NetPacketChecksumState {
        self.field(4)
    }

    /// With the state of the IPv4 header checksum.
    #[must_use]
    #[inline]
    pub fn with_layer3(self, state: NetPacketChecksumState) -> Self {
        self.with_field(2, state)
    }

    /// With the state of the TCP or UDP checksum.
    #[must_use]
    #[inline]
    pub fn with_layer4(self, state: NetPacketChecksumState) -> Self {
        self.with_field(4, state)
    }
}

/// NET_PACKET_GSO, `ms_packet_gso` version 1 (Tx). TCP or UDP by the packet's
/// layout.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetPacketGso(pub u32);

impl NetPacketGso {
    /// Asks for segments of `mss` payload bytes (20 bits).
    #[inline]
    pub fn new(mss: u32) -> Self {
        Self(mss & 0xf_ffff)
    }

    /// Payload bytes per segment; 0 means the packet is not to be segmented.
    #[inline]
    pub fn mss(self) -> u32 {
        self.0 & 0xf_ffff
    }
}

/// NET_PACKET_RSC, `ms_packet_rsc` (Rx). For UDP the second member is the size
/// of a segment.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetPacketRsc {
    /// Segments in this packet; 0 if it was not coalesced.
    pub coalesced_segment_count: u16,
    /// TCP: duplicate ACKs merged. UDP: payload bytes of one segment.
    pub duplicate_ack_count: u16,
}

/// NET_PACKET_RSC_TIMESTAMP, `ms_packet_rsc_timestamp` (Rx).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetPacketRscTimestamp {
    /// Largest minus smallest TCP timestamp of the merged segments.
    pub rsc_tcp_timestamp_delta: u32,
}

/// NET_PACKET_IEEE8021Q, `ms_packet_ieee8021q`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetPacketIeee8021Q {
    /// PriorityCodePoint in bits 0..3, VlanIdentifier in bits 3..15.
    pub tag: u16,
    /// Tx: priority tag required 1, VLAN tag required 2.
    pub tx_tagging: u8,
    reserved: u8,
}

impl NetPacketIeee8021Q {
    /// [`Self::tx_tagging`]: the device must insert the priority.
    pub const PRIORITY_REQUIRED: u8 = 1;
    /// [`Self::tx_tagging`]: the device must insert the VLAN identifier.
    pub const VLAN_REQUIRED: u8 = 2;

    /// A tag with these fields; bits beyond a field are cut off.
    #[inline]
    pub fn new(priority: u8, vlan: u16, tx_tagging: u8) -> Self {
        Self {
            tag: u16::from(priority & 7) | (vlan & 0xfff) << 3,
            tx_tagging: tx_tagging & 3,
            reserved: 0,
        }
    }

    /// PriorityCodePoint
    #[inline]
    pub fn priority(self) -> u8 {
        (self.tag & 7) as u8
    }

    /// VlanIdentifier
    #[inline]
    pub fn vlan(self) -> u16 {
        self.tag >> 3 & 0xfff
    }

    /// The extension as the word it is stored as.
    #[inline]
    pub(crate) fn to_word(self) -> u32 {
        let [a, b] = self.tag.to_ne_bytes();
        u32::from_ne_bytes([a, b, self.tx_tagging, self.reserved])
    }

    /// The reverse of [`Self::to_word`].
    #[inline]
    pub(crate) fn from_word(word: u32) -> Self {
        let [a, b, tx_tagging, reserved] = word.to_ne_bytes();
        Self {
            tag: u16::from_ne_bytes([a, b]),
            tx_tagging,
            reserved,
        }
    }
}

/// NET_PACKET_HASH, `ms_packet_hash` (Rx).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetPacketHash {
    /// The hash.
    pub hash_value: u32,
    /// What was hashed: as in [`NetPacketHashProtocolType`], or 0: nothing.
    ///
    /// [`NetPacketHashProtocolType`]: super::NetPacketHashProtocolType
    pub protocol_type: u16,
    reserved: u16,
}

impl NetPacketHash {
    /// A hash over what `protocols` say.
    #[inline]
    pub fn new(hash_value: u32, protocols: super::NetPacketHashProtocolType) -> Self {
        Self {
            hash_value,
            protocol_type: protocols.0 as u16, // the flags that there are lie in it
            reserved: 0,
        }
    }

    /// The extension as the words it is stored as.
    #[inline]
    pub(crate) fn to_words(self) -> [u32; 2] {
        let high = u32::from(self.reserved) << 16;
        [self.hash_value, u32::from(self.protocol_type) | high]
    }

    /// The reverse of [`Self::to_words`].
    #[inline]
    pub(crate) fn from_words([hash_value, second]: [u32; 2]) -> Self {
        Self {
            hash_value,
            protocol_type: second as u16,
            reserved: (second >> 16) as u16,
        }
    }
}

const _: () = {
    assert!(size_of::<NetPacketChecksum>() == 1);
    assert!(size_of::<NetPacketGso>() == 4);
    assert!(size_of::<NetPacketRsc>() == 4);
    assert!(size_of::<NetPacketRscTimestamp>() == 4);
    assert!(size_of::<NetPacketIeee8021Q>() == 4);
    assert!(offset_of!(NetPacketIeee8021Q, tx_tagging) == 2);
    assert!(size_of::<NetPacketHash>() == 8);
    assert!(offset_of!(NetPacketHash, protocol_type) == 4);
};

/// Kind of segments in one large frame, [`NetPacketPartialChecksum::segment_type`].
/// The values are those of `virtio_net_hdr.gso_type`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentType(pub u8);

impl SegmentType {
    /// One frame, nothing to segment.
    pub const NONE: Self = Self(0);
    /// TCP over IPv4.
    pub const TCPV4: Self = Self(1);
    /// TCP over IPv6.
    pub const TCPV6: Self = Self(4);
    /// UDP datagrams (USO).
    pub const UDP: Self = Self(5);
    /// Bit: the first segment carries CWR.
    pub const ECN: u8 = 0x80;

    /// The type without the ECN bit.
    #[inline]
    pub fn base(self) -> Self {
        Self(self.0 & !Self::ECN)
    }

    /// Whether the ECN bit is set.
    #[inline]
    pub fn has_ecn(self) -> bool {
        self.0 & Self::ECN != 0
    }

    /// With the ECN bit.
    #[must_use]
    #[inline]
    pub fn with_ecn(self) -> Self {
        Self(self.0 | Self::ECN)
    }
}

/// `umnet_packet_partial_checksum` version 1, private: what a frame still
/// lacks. C clients never see it.
///
/// On Rx the client fills it for frames whose checksum is only the
/// pseudo-header sum, or that are several segments in one, so that the system
/// port can pass the facts on and the frame stays right when it is forwarded.
/// On Tx the framework fills it beside the public extensions; it then carries
/// what those cannot say (the ECN bit, the length of the headers).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetPacketPartialChecksum {
    /// First byte the checksum covers, from the start of the frame.
    pub checksum_start: u16,
    /// Where the checksum is stored, from `checksum_start`.
    pub checksum_offset: u16,
    /// Payload bytes of one segment, if there are several.
    pub segment_size: u16,
    /// Length of all headers, if there are several segments.
    pub header_length: u16,
    /// What the segments are.
    pub segment_type: SegmentType,
    /// [`Self::PARTIAL`] or 0.
    pub flags: u8,
    reserved: u16,
}

const _: () = {
    assert!(size_of::<NetPacketPartialChecksum>() == 12);
    assert!(offset_of!(NetPacketPartialChecksum, segment_type) == 8);
};

impl NetPacketPartialChecksum {
    /// Flag: the checksum field holds only the pseudo-header sum.
    pub const PARTIAL: u8 = 1;

    /// A frame whose checksum from `start` on is to be stored `offset` bytes
    /// behind it.
    #[inline]
    pub fn partial(start: u16, offset: u16) -> Self {
        Self {
            checksum_start: start,
            checksum_offset: offset,
            flags: Self::PARTIAL,
            ..Self::default()
        }
    }

    /// The same, of several segments of `size` payload bytes behind
    /// `header_length` bytes of headers.
    #[must_use]
    #[inline]
    pub fn with_segments(self, kind: SegmentType, size: u16, header_length: u16) -> Self {
        Self {
            segment_type: kind,
            segment_size: size,
            header_length,
            ..self
        }
    }

    /// Whether the checksum is only partial.
    #[inline]
    pub fn is_partial(self) -> bool {
        self.flags & Self::PARTIAL != 0
    }

    /// Whether the frame is several segments in one.
    #[inline]
    pub fn is_segmented(self) -> bool {
        self.segment_type.base() != SegmentType::NONE
    }

    /// The extension as the words it is stored as.
    #[inline]
    pub(crate) fn to_words(self) -> [u32; 3] {
        let pair = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
        let kind = u16::from(self.segment_type.0) | u16::from(self.flags) << 8;
        [
            pair(self.checksum_start, self.checksum_offset),
            pair(self.segment_size, self.header_length),
            pair(kind, self.reserved),
        ]
    }

    /// The reverse of [`Self::to_words`].
    #[inline]
    pub(crate) fn from_words(words: [u32; 3]) -> Self {
        let low = |word: u32| word as u16;
        let high = |word: u32| (word >> 16) as u16;
        Self {
            checksum_start: low(words[0]),
            checksum_offset: high(words[0]),
            segment_size: low(words[1]),
            header_length: high(words[1]),
            segment_type: SegmentType(words[2] as u8),
            flags: (words[2] >> 8) as u8,
            reserved: high(words[2]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_layers_do_not_disturb_each_other() {
        let sums = NetPacketChecksum::default()
            .with_layer3(NetPacketChecksumState::VALID)
            .with_layer4(NetPacketChecksumState::INVALID);
        assert_eq!(sums.layer2(), NetPacketChecksumState::NOT_CHECKED);
        assert_eq!(sums.layer3(), NetPacketChecksumState::VALID);
        assert_eq!(sums.layer4(), NetPacketChecksumState::INVALID);
        assert_eq!(sums.0, 0b10_01_00);
    }

    #[test]
    fn partial_checksum_words_come_back() {
        let facts = NetPacketPartialChecksum::partial(34, 16).with_segments(
            SegmentType::TCPV6.with_ecn(),
            1440,
            74,
        );
        let back = NetPacketPartialChecksum::from_words(facts.to_words());
        assert_eq!(back, facts);
        assert!(back.is_partial() && back.is_segmented() && back.segment_type.has_ecn());
        assert_eq!(back.segment_type.base(), SegmentType::TCPV6);
    }
}
