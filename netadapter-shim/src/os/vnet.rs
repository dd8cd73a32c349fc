//! `virtio_net_hdr` as a TAP speaks it under `IFF_VNET_HDR`: 12 bytes, little
//! endian after TUNSETVNETLE. (virtio 1.3 §5.1.6)

use crate::abi::{NetPacketPartialChecksum, SegmentType};

/// Bytes in front of every frame: the header with `num_buffers`, which a TAP
/// ignores.
pub const HEADER_LENGTH: usize = 12;

const NEEDS_CSUM: u8 = 1;

/// What the stack left to the device.
pub fn decode(header: [u8; HEADER_LENGTH]) -> NetPacketPartialChecksum {
    let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let facts = match header[0] & NEEDS_CSUM != 0 {
        true => NetPacketPartialChecksum::partial(field(6), field(8)),
        false => NetPacketPartialChecksum::default(),
    };
    match SegmentType(header[1]) {
        SegmentType::NONE => facts,
        kind => facts.with_segments(kind, field(4), field(2)),
    }
}

/// What the stack is told about a received frame.
pub fn encode(facts: NetPacketPartialChecksum) -> [u8; HEADER_LENGTH] {
    let mut header = [0; HEADER_LENGTH];
    let mut set = |at: usize, value: u16| {
        header[at..at + 2].copy_from_slice(&value.to_le_bytes());
    };
    if facts.is_segmented() {
        set(2, facts.header_length);
        set(4, facts.segment_size);
    }
    if facts.is_partial() {
        set(6, facts.checksum_start);
        set(8, facts.checksum_offset);
        header[0] = NEEDS_CSUM;
    }
    if facts.is_segmented() {
        header[1] = facts.segment_type.0;
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_bytes_stand_where_the_specification_puts_them() {
        let facts = NetPacketPartialChecksum::partial(0x0122, 0x0010).with_segments(
            SegmentType::TCPV4.with_ecn(),
            0x05a8,
            0x0042,
        );
        let bytes = [1, 0x81, 0x42, 0, 0xa8, 5, 0x22, 1, 0x10, 0, 0, 0];
        assert_eq!(encode(facts), bytes);
        assert_eq!(decode(bytes), facts);
    }

    #[test]
    fn plain_frame_has_a_header_of_zeros() {
        assert_eq!(encode(NetPacketPartialChecksum::default()), [0; 12]);
        // hdr_len and the start are only hints without their flags.
        let noise = [2, 0, 9, 9, 9, 9, 9, 9, 9, 9, 1, 0];
        assert_eq!(decode(noise), NetPacketPartialChecksum::default());
    }
}
