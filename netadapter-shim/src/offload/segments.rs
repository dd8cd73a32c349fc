//! Segmentation in software: a large frame the client does not take whole is
//! cut into frames of its segment size.

use std::io;

use vm_memory::Bytes;

use super::{PROTOCOL_TCP, PROTOCOL_UDP, TCP_CHECKSUM, UDP_CHECKSUM, fold, pseudo_sum, sum_words};
use crate::abi::{NetPacketLayer4Type as L4, NetPacketLayout, NetPacketPartialChecksum};
use crate::buffer_pool::SystemBuffer;
use crate::port::TxFrame;

const IPV4_TOTAL_LENGTH: usize = 2;
const IPV4_IDENTIFICATION: usize = 4;
const IPV4_CHECKSUM: usize = 10;
const IPV6_PAYLOAD_LENGTH: usize = 4;
const IPV6_HEADER: usize = 40;
const TCP_SEQUENCE: usize = 4;
const TCP_FLAGS: usize = 13;
const UDP_LENGTH: usize = 4;
/// FIN and PSH belong to the last segment alone.
const LAST_ONLY: u8 = 0x09;
/// CWR belongs to the first segment alone.
const FIRST_ONLY: u8 = 0x80;

/// A large frame and how far it has been cut.
pub(crate) struct Segments {
    frame: Vec<u8>,
    layout: NetPacketLayout,
    headers: usize,
    size: usize,
    /// Bytes of payload cut off so far.
    done: usize,
    count: u16,
}

impl Segments {
    /// `None` if there is nothing to cut: no transport header, no payload.
    pub(crate) fn new(
        frame: Vec<u8>,
        layout: NetPacketLayout,
        partial: NetPacketPartialChecksum,
    ) -> Option<Self> {
        let headers = (layout.layer4_offset() + layout.layer4_header_length()) as usize;
        let known = matches!(layout.layer4_type(), L4::TCP | L4::UDP);
        let size = usize::from(partial.segment_size);
        (known && size > 0 && frame.len() > headers).then_some(Self {
            frame,
            layout,
            headers,
            size,
            done: 0,
            count: 0,
        })
    }

    /// Writes the next segment into `buffer`; `None` after the last one.
    pub(crate) fn next(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        let Some(segment) = self.cut() else {
            return Ok(None);
        };
        let written = buffer.frame().write_slice(&segment, 0);
        written.map_err(|_| io::ErrorKind::InvalidData)?;
        let field = match self.layout.layer4_type() {
            L4::TCP => TCP_CHECKSUM,
            _ => UDP_CHECKSUM,
        };
        let start = self.layout.layer4_offset() as u16;
        Ok(Some(TxFrame {
            length: segment.len(),
            partial: NetPacketPartialChecksum::partial(start, field as u16),
        }))
    }

    /// The next segment, its checksum the sum of the pseudo-header.
    fn cut(&mut self) -> Option<Vec<u8>> {
        let rest = self.frame.get(self.headers + self.done..)?;
        let payload = &rest[..self.size.min(rest.len())];
        if payload.is_empty() {
            return None;
        }
        let last = payload.len() == rest.len();
        let mut segment = self.frame[..self.headers].to_vec();
        segment.extend_from_slice(payload);
        self.correct_network(&mut segment);
        self.correct_transport(&mut segment, last)?;
        self.done += segment.len() - self.headers;
        self.count = self.count.wrapping_add(1);
        Some(segment)
    }

    fn correct_network(&self, segment: &mut [u8]) {
        let at = self.layout.layer2_header_length() as usize;
        let header = self.layout.layer3_header_length() as usize;
        let ip = &mut segment[at..];
        let length = ip.len();
        if !self.layout.layer3_type().is_ipv4() {
            return put(ip, IPV6_PAYLOAD_LENGTH, (length - IPV6_HEADER) as u16);
        }
        put(ip, IPV4_TOTAL_LENGTH, length as u16);
        let first = u16::from_be_bytes([ip[IPV4_IDENTIFICATION], ip[IPV4_IDENTIFICATION + 1]]);
        put(ip, IPV4_IDENTIFICATION, first.wrapping_add(self.count));
        put(ip, IPV4_CHECKSUM, 0);
        let sum = !fold(sum_words(&ip[..header]));
        put(ip, IPV4_CHECKSUM, sum);
    }

    fn correct_transport(&self, segment: &mut [u8], last: bool) -> Option<()> {
        let at = self.layout.layer4_offset() as usize;
        let length = segment.len() - at;
        let tcp = self.layout.layer4_type() == L4::TCP;
        let (protocol, field) = match tcp {
            true => (PROTOCOL_TCP, TCP_CHECKSUM),
            false => (PROTOCOL_UDP, UDP_CHECKSUM),
        };
        let sum = pseudo_sum(segment, self.layout, protocol, length)?;
        let header = &mut segment[at..];
        put(header, field as usize, sum);
        if !tcp {
            put(header, UDP_LENGTH, length as u16);
            return Some(());
        }
        let sequence = header.get(TCP_SEQUENCE..)?.first_chunk::<4>()?;
        let sequence = u32::from_be_bytes(*sequence).wrapping_add(self.done as u32);
        header[TCP_SEQUENCE..TCP_SEQUENCE + 4].copy_from_slice(&sequence.to_be_bytes());
        if !last {
            header[TCP_FLAGS] &= !LAST_ONLY;
        }
        if self.count > 0 {
            header[TCP_FLAGS] &= !FIRST_ONLY;
        }
        Some(())
    }
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::SegmentType;
    use crate::frame_layout::parse;
    use crate::frame_layout::tests::{ethernet, ipv4_packet, ipv6_packet, tcp_segment};

    fn cut_all(frame: &[u8], size: u16) -> Vec<Vec<u8>> {
        let kind = SegmentType::TCPV4;
        let partial = NetPacketPartialChecksum::partial(34, 16).with_segments(kind, size, 54);
        let mut segments = Segments::new(frame.to_vec(), parse(frame), partial).unwrap();
        std::iter::from_fn(|| segments.cut()).collect()
    }

    #[test]
    fn tcp_segments_carry_the_payload_in_order_with_sound_headers() {
        let payload: Vec<u8> = (0..2500).map(|n| n as u8).collect();
        let mut segment = tcp_segment(12, &payload);
        segment[4..8].copy_from_slice(&0xffff_fff0_u32.to_be_bytes());
        segment[13] = 0x99; // CWR, ACK, PSH, FIN
        let frame = ethernet(&[], 0x0800, &ipv4_packet(6, 0, 0, &segment));
        let cut = cut_all(&frame, 1000);
        assert_eq!(cut.len(), 3);
        let all: Vec<u8> = cut.iter().flat_map(|one| one[66..].to_vec()).collect();
        assert_eq!(all, payload);
        for (index, one) in cut.iter().enumerate() {
            let length = u16::from_be_bytes([one[16], one[17]]);
            assert_eq!(usize::from(length), one.len() - 14);
            assert_eq!(
                fold(sum_words(&one[14..34])),
                0xffff,
                "IPv4 header checksum"
            );
            let sequence = u32::from_be_bytes(*one[38..].first_chunk().unwrap());
            assert_eq!(sequence, 0xffff_fff0_u32.wrapping_add(index as u32 * 1000));
        }
        let flags: Vec<u8> = cut.iter().map(|one| one[47]).collect();
        assert_eq!(flags, [0x90, 0x10, 0x19]);
    }

    #[test]
    fn udp_datagrams_say_their_own_length() {
        let mut datagram = vec![0, 1, 0, 2, 0, 0, 0, 0];
        datagram.extend([5; 900]);
        let frame = ethernet(&[], 0x86dd, &ipv6_packet(17, &datagram));
        let cut = cut_all(&frame, 400);
        let lengths: Vec<usize> = cut.iter().map(Vec::len).collect();
        assert_eq!(lengths, [462, 462, 162]);
        for one in &cut {
            let datagram = u16::from_be_bytes([one[58], one[59]]);
            let payload = u16::from_be_bytes([one[18], one[19]]);
            assert_eq!(usize::from(datagram), one.len() - 54);
            assert_eq!(payload, datagram);
        }
    }

    #[test]
    fn a_frame_without_payload_or_transport_header_is_not_cut() {
        let partial =
            NetPacketPartialChecksum::partial(34, 16).with_segments(SegmentType::TCPV4, 100, 54);
        let bare = ethernet(&[], 0x0800, &ipv4_packet(6, 0, 0, &tcp_segment(0, b"")));
        assert!(Segments::new(bare.clone(), parse(&bare), partial).is_none());
        let arp = ethernet(&[], 0x0806, &[0; 60]);
        assert!(Segments::new(arp.clone(), parse(&arp), partial).is_none());
    }
}
