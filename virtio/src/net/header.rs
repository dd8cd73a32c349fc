//! § *Device Operation*: `struct virtio_net_hdr`, which stands before every frame.

use super::FeatureSet;
use crate::spec::net::feature::VIRTIO_NET_F_HASH_REPORT;
use crate::spec::net::header::{HASH_SIZE, SIZE};

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

    /// The header in these three words, a private copy as numbers of this machine.
    #[inline]
    pub const fn from_words([first, second, third]: [u32; 3]) -> Self {
        Self {
            flags: first as u8,
            gso_type: (first >> 8) as u8,
            hdr_len: (first >> 16) as u16,
            gso_size: second as u16,
            csum_start: (second >> 16) as u16,
            csum_offset: third as u16,
            num_buffers: (third >> 16) as u16,
        }
    }

    /// The header that `bytes`, a private copy, hold.
    #[inline]
    pub fn from_bytes(bytes: &[u8; SIZE]) -> Self {
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
        Self::from_words([word(0), word(4), word(8)])
    }
}

/// Bytes of all that stands before a frame, either way, under the `agreed` features.
pub fn header_len(agreed: FeatureSet) -> usize {
    match agreed.has(VIRTIO_NET_F_HASH_REPORT) {
        true => SIZE + HASH_SIZE,
        false => SIZE,
    }
}

/// What `VIRTIO_NET_F_HASH_REPORT` puts between header and frame (§ *Hash reporting for incoming
/// packets*); of frames that are sent it is zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashReport {
    /// The hash.
    pub value: u32,
    /// Over what: [`crate::spec::net::header::HASH_REPORT_NONE`], or the number of the bit in
    /// [`crate::spec::net::hash`], and 1.
    pub report: u16,
}

impl HashReport {
    /// Bytes of it.
    pub const SIZE: usize = HASH_SIZE;

    /// The bit of [`crate::spec::net::hash`] that it names; 0: none, or one that there is not.
    pub const fn hash_type(self) -> u32 {
        match self.report {
            1..=32 => 1 << (self.report - 1),
            _ => 0,
        }
    }

    /// The report as it stands in memory.
    pub fn to_bytes(self) -> [u8; HASH_SIZE] {
        let mut bytes = [0; HASH_SIZE];
        bytes[..4].copy_from_slice(&self.value.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.report.to_le_bytes());
        bytes
    }

    /// The report in these two words, each read once.
    pub const fn from_words([value, report]: [u32; 2]) -> Self {
        Self {
            value: u32::from_le(value),
            report: u32::from_le(report) as u16, // padding is above
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

    #[test]
    fn a_report_names_the_bit_below_its_number() {
        let bytes = [1, 2, 3, 4, 5, 6, 0, 0];
        let words = [0, 4].map(|at| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap()));
        let report = HashReport::from_words(words);
        assert_eq!((report.value, report.report), (0x0403_0201, 0x0605));
        assert_eq!(report.to_bytes(), bytes);
        for number in 0..=u16::MAX {
            let report = HashReport {
                value: 0,
                report: number,
            };
            let bit = (1..=32).contains(&number).then(|| 1 << (number - 1));
            assert_eq!(report.hash_type(), bit.unwrap_or(0));
        }
    }
}
