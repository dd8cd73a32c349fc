//! The frames that are sent and received: the same bytes over and over, so that whoever gets
//! one can tell whether it arrived whole.

use netadapter_shim::abi::{NetPacketPartialChecksum, SegmentType};
use virtio::net::VirtioNetHdr;
use virtio::spec::net::header::{F_NEEDS_CSUM, GSO_TCPV4};

const ETHERNET: [u8; 14] = [
    0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x52, 0x54, 0, 0, 0, 1, 0x08, 0x00,
];
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Where the transport header begins.
const TRANSPORT: u16 = 34;
const TCP_HEADERS: u16 = 54;
/// Payload of each segment of a large frame, as TCP over Ethernet has it.
const SEGMENT: u16 = 1448;
/// Longer frames are several segments in one.
const LONGEST_PLAIN: usize = 1518;

/// The bytes of the driver's mergeable buffers. Each buffer of a large frame but the first looks
/// the same, so that a device need not write it again.
pub const STRETCH: usize = 4032;

/// What stands at byte `at` of a buffer inside a large frame.
pub fn stretch_at(at: usize) -> u8 {
    (at % 251 + at / 251) as u8
}

/// A frame: UDP over IPv4, or TCP to be cut where it is longer than a link carries.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    /// A frame of `len` bytes, from 64 on.
    pub fn new(len: usize) -> Self {
        let mut bytes = ETHERNET.to_vec();
        let total = (len - ETHERNET.len()).min(usize::from(u16::MAX)) as u16;
        let [high, low] = total.to_be_bytes();
        let protocol = if len > LONGEST_PLAIN { TCP } else { UDP };
        bytes.extend([0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0]);
        bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        let mut transport = [0; 20];
        transport[12] = 5 << 4;
        bytes.extend(transport);
        bytes.extend((bytes.len()..len).map(Self::payload_at));
        bytes.truncate(len);
        Self { bytes }
    }

    /// What stands at byte `at` of a frame's payload. It repeats every [`STRETCH`] bytes, counted
    /// from the header before the frame, and is shifted by one every 251 bytes in between.
    fn payload_at(at: usize) -> u8 {
        stretch_at((at + VirtioNetHdr::SIZE) % STRETCH)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A frame is never empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether it stands for several segments.
    pub fn is_segmented(&self) -> bool {
        self.len() > LONGEST_PLAIN
    }

    /// What the system says of the frame when it sends it.
    pub fn partial(&self) -> NetPacketPartialChecksum {
        if !self.is_segmented() {
            return NetPacketPartialChecksum::default();
        }
        NetPacketPartialChecksum::partial(TRANSPORT, 16).with_segments(
            SegmentType::TCPV4,
            SEGMENT,
            TCP_HEADERS,
        )
    }

    /// What the device says of the frame in the first of `num_buffers` buffers.
    pub fn header(&self, num_buffers: u16) -> VirtioNetHdr {
        let plain = VirtioNetHdr {
            num_buffers,
            ..VirtioNetHdr::default()
        };
        if !self.is_segmented() {
            return plain;
        }
        VirtioNetHdr {
            flags: F_NEEDS_CSUM,
            gso_type: GSO_TCPV4,
            hdr_len: TCP_HEADERS,
            gso_size: SEGMENT,
            csum_start: TRANSPORT,
            csum_offset: 16,
            ..plain
        }
    }

    /// Whether `bytes` are this frame. The checksum of a frame to be cut is not compared: the
    /// framework rewrites it.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let sum = usize::from(TRANSPORT) + 16;
        let end = if self.is_segmented() { sum + 2 } else { sum };
        self.len() == bytes.len()
            && self.bytes[..sum] == bytes[..sum]
            && self.bytes[end..] == bytes[end..]
    }
}

#[cfg(test)]
mod tests {
    use netadapter_shim::abi::NetPacketLayer4Type;
    use netadapter_shim::frame_layout::parse;

    use super::*;

    #[test]
    fn frames_are_as_long_as_asked_and_of_the_protocol_that_can_be_that_long() {
        for (len, protocol) in [
            (64, NetPacketLayer4Type::UDP),
            (1518, NetPacketLayer4Type::UDP),
            (65_536, NetPacketLayer4Type::TCP),
        ] {
            let frame = Frame::new(len);
            assert_eq!(frame.len(), len);
            assert_eq!(parse(&frame.bytes()[..64]).layer4_type(), protocol);
        }
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is() {
        for len in [64, 1518] {
            let frame = Frame::new(len);
            assert!(frame.matches(frame.bytes()));
            for at in 0..len {
                let mut other = frame.bytes().to_vec();
                other[at] ^= 1;
                assert!(!frame.matches(&other), "{len}: {at}");
            }
        }
    }
}
