//! Numbered UDP datagrams as Ethernet frames, behind the virtio header of a TAP.

use std::net::Ipv4Addr;

/// The interface's own end.
pub(super) const HERE: End = End {
    mac: [0x52, 0x54, 0, 0x78, 0, 1],
    address: Ipv4Addr::new(10, 99, 0, 1),
};
/// The end that nobody has: frames to it come out of the TAP, and those from it are made here.
pub(super) const THERE: End = End {
    mac: [0x52, 0x54, 0, 0x78, 0, 2],
    address: Ipv4Addr::new(10, 99, 0, 2),
};
/// Of both ends.
pub(super) const PORT: u16 = 5001;

/// `struct virtio_net_hdr`: all zero, nothing is left to do.
pub(super) const VNET: usize = 10;
pub(super) const ETHERNET: usize = 14;
const IP: usize = 20;
const UDP: usize = 8;
const HEADERS: usize = ETHERNET + IP + UDP;

/// Ethernet's shortest frame.
pub(super) const SMALLEST: usize = 60;
/// What the largest datagram comes to.
pub(super) const LARGEST: usize = 65_507 + HEADERS;

/// One end of the link.
pub(super) struct End {
    pub(super) mac: [u8; 6],
    pub(super) address: Ipv4Addr,
}

/// What the datagram of a number carries in a frame of `size` bytes.
pub(super) fn payload(size: usize, number: u32) -> Vec<u8> {
    let mut payload = vec![0x5a; size - HEADERS];
    payload[..4].copy_from_slice(&number.to_le_bytes());
    payload
}

/// Whether a datagram carries what that of this number does.
pub(super) fn carries(payload: &[u8], number: u32) -> bool {
    let (head, rest) = payload.split_at(payload.len().min(4));
    head == number.to_le_bytes() && rest.iter().all(|byte| *byte == 0x5a)
}

/// Whether a slot has the frame of this number, on its way from here.
pub(super) fn is_sent(slot: &[u8], number: u32) -> bool {
    slot[VNET..].starts_with(&THERE.mac) && carries(&slot[VNET + HEADERS..], number)
}

/// Makes the frame of this number, on its way to here, as large as the slot.
pub(super) fn make(slot: &mut [u8], number: u32) {
    let size = slot.len() - VNET;
    slot[..VNET].fill(0);
    let (ethernet, packet) = slot[VNET..].split_at_mut(ETHERNET);
    ethernet[..6].copy_from_slice(&HERE.mac);
    ethernet[6..12].copy_from_slice(&THERE.mac);
    ethernet[12..].copy_from_slice(&[8, 0]);
    let (ip, datagram) = packet.split_at_mut(IP);
    let length = (size - ETHERNET) as u16;
    ip.fill(0);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    // Hops left, and UDP.
    ip[8..10].copy_from_slice(&[64, 17]);
    ip[12..16].copy_from_slice(&THERE.address.octets());
    ip[16..20].copy_from_slice(&HERE.address.octets());
    let checksum = !folded_sum(ip);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    let (udp, carried) = datagram.split_at_mut(UDP);
    udp[..2].copy_from_slice(&PORT.to_be_bytes());
    udp[2..4].copy_from_slice(&PORT.to_be_bytes());
    udp[4..6].copy_from_slice(&(length - IP as u16).to_be_bytes());
    // There is no checksum.
    udp[6..].fill(0);
    carried.copy_from_slice(&payload(size, number));
}

/// RFC 1071, of an even number of bytes.
fn folded_sum(bytes: &[u8]) -> u16 {
    let words = bytes.as_chunks::<2>().0.iter();
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_made_is_whole() {
        let mut slot = vec![0xff; VNET + SMALLEST];
        make(&mut slot, 7);
        let ip = &slot[VNET + ETHERNET..][..IP];
        assert_eq!(folded_sum(ip), 0xffff, "its checksum is right");
        assert_eq!(ip[2..4], [0, 46]);
        let datagram = &slot[VNET + ETHERNET + IP..];
        assert_eq!(datagram[4..6], [0, 26]);
        assert!(carries(&datagram[UDP..], 7));
        assert!(!is_sent(&slot, 7), "it goes the other way");
    }

    #[test]
    fn another_number_and_other_bytes_are_seen() {
        let mut datagram = payload(SMALLEST, 7);
        assert!(carries(&datagram, 7) && !carries(&datagram, 8));
        datagram[17] = 0;
        assert!(!carries(&datagram, 7) && !carries(&[], 7));
    }
}
