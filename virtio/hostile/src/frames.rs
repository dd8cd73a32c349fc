//! Frames that are right in every field, so that a lie can be the only thing wrong.

use virtio::net::VirtioNetHdr;
use virtio::spec::net::header::{F_NEEDS_CSUM, GSO_TCPV4};

/// Bytes of the Ethernet, IPv4 and TCP headers of [`tcp4`].
pub const TCP4_HEADERS: usize = 14 + 20 + 20;
const IP: usize = 14;
const TRANSPORT: usize = IP + 20;
const TCP_CSUM: usize = 16;

/// A broadcast ARP request of 60 bytes, marked with `tag`.
pub fn arp(tag: u8) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&PEER);
    frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&PEER);
    frame[28..32].copy_from_slice(&[10, 0, 0, 2]);
    frame[38..42].copy_from_slice(&[10, 0, 0, tag]);
    frame
}

/// A TCP segment over IPv4 to everybody, of `payload` bytes, its checksum partial as
/// [`partial`] says.
pub fn tcp4(payload: usize) -> Vec<u8> {
    let mut frame = vec![0; TCP4_HEADERS + payload];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&PEER);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[IP] = 0x45;
    let total = (frame.len() - IP).min(0xffff) as u16;
    frame[IP + 2..IP + 4].copy_from_slice(&total.to_be_bytes());
    frame[IP + 8..IP + 10].copy_from_slice(&[64, TCP]);
    frame[IP + 12..TRANSPORT].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
    let header_sum = !fold(sum_of(&frame[IP..TRANSPORT]));
    frame[IP + 10..IP + 12].copy_from_slice(&header_sum.to_be_bytes());
    frame[TRANSPORT..TRANSPORT + 4].copy_from_slice(&[0x1f, 0x90, 0x9c, 0x40]);
    frame[TRANSPORT + 12..TRANSPORT + 14].copy_from_slice(&[0x50, 0x10]);
    for (i, byte) in frame[TCP4_HEADERS..].iter_mut().enumerate() {
        *byte = i as u8;
    }
    let length = (frame.len() - TRANSPORT) as u32;
    let pseudo = sum_of(&frame[IP + 12..TRANSPORT]) + u32::from(TCP) + length;
    let at = TRANSPORT + TCP_CSUM;
    frame[at..at + 2].copy_from_slice(&fold(pseudo).to_be_bytes());
    frame
}

/// The header of a [`tcp4`] that is one packet.
pub fn partial() -> VirtioNetHdr {
    VirtioNetHdr {
        flags: F_NEEDS_CSUM,
        csum_start: TRANSPORT as u16,
        csum_offset: TCP_CSUM as u16,
        ..Default::default()
    }
}

/// The header of a [`tcp4`] that is many segments.
pub fn segmented() -> VirtioNetHdr {
    VirtioNetHdr {
        gso_type: GSO_TCPV4,
        hdr_len: TCP4_HEADERS as u16,
        gso_size: 1448,
        ..partial()
    }
}

const PEER: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];
const TCP: u8 = 6;

fn sum_of(bytes: &[u8]) -> u32 {
    let (words, _) = bytes.as_chunks::<2>();
    words
        .iter()
        .map(|&word| u32::from(u16::from_be_bytes(word)))
        .sum()
}

fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use virtio::net::features::all_known;
    use virtio::transport::in_process::Frame;

    #[test]
    fn the_frames_are_right() {
        for (header, frame) in [
            (VirtioNetHdr::default(), arp(1)),
            (partial(), tcp4(1000)),
            (segmented(), tcp4(30_000)),
        ] {
            let frame = Frame::with_header(header, &frame);
            assert_eq!(frame.flaws(all_known(), 1500), [""; 0]);
        }
        assert_eq!(fold(sum_of(&tcp4(9)[IP..TRANSPORT])), 0xffff);
    }
}
