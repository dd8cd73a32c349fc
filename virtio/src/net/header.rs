//! § *Device Operation*: `struct virtio_net_hdr`, which stands before every frame.

use crate::spec::net::header::SIZE;

/// The header as a device with `VIRTIO_F_VERSION_1` has it, 12 bytes without hash or tunnel
/// fields. What it means is for the driver to check; here is only the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtioNetHdr {
    /// `F_NEEDS_CSUM`, `F_DATA_VALID`, `F_RSC_INFO`.
    pub flags: u8,
    /// `GSO_…`, with `GSO_ECN` or'ed in.
    pub gso_type: u8,
    /// Bytes of all headers; a hint.
    pub hdr_len: u16,
    /// Payload bytes of each segment.
    pub gso_size: u16,
    /// Where the checksum starts to be summed, from the start of the frame.
    pub csum_start: u16,
    /// Where the checksum is stored, from `csum_start`.
    pub csum_offset: u16,
    /// Receive: how many buffers the frame spans. Transmit: 0.
    pub num_buffers: u16,
}

impl VirtioNetHdr {
    /// Bytes of the header.
    pub const SIZE: usize = SIZE;

    /// The header as it stands in memory.
    #[inline]
    pub fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[0] = self.flags;
        bytes[1] = self.gso_type;
        bytes[2..4].copy_from_slice(&self.hdr_len.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.gso_size.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.csum_start.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.csum_offset.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.num_buffers.to_le_bytes());
        bytes
    }

    /// The header that `bytes`, a private copy, hold.
    #[inline]
    pub fn from_bytes(bytes: &[u8; SIZE]) -> Self {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self {
            flags: bytes[0],
            gso_type: bytes[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
            num_buffers: word(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_where_the_specification_puts_them() {
        let bytes = [1, 0x81, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let header = VirtioNetHdr::from_bytes(&bytes);
        assert_eq!(
            header,
            VirtioNetHdr {
                flags: 1,
                gso_type: 0x81,
                hdr_len: 0x0302,
                gso_size: 0x0504,
                csum_start: 0x0706,
                csum_offset: 0x0908,
                num_buffers: 0x0b0a,
            }
        );
        assert_eq!(header.to_bytes(), bytes);
    }
}
