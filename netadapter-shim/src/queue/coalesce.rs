//! Segments of a TCP stream that follow each other become one frame, for clients that do not
//! coalesce themselves.
//!
//! A run of segments is kept from one packet to the next of the same turn, while their buffers
//! are the framework's. Nothing is copied: the frame is the first segment, and behind it the
//! payloads of the others. Whatever the stack could not take apart again into the same segments
//! ends the run: other headers or options, a gap, a length beyond the first one's.

use crate::abi::{NetPacketLayer3Type as L3, NetPacketLayer4Type as L4, NetPacketLayout};
use crate::frame_layout::parse;
use crate::offload::{fold, sum_words, transport_length};

/// Longest headers of a segment: Ethernet with two tags, IPv6, TCP with all options.
pub(crate) const MAX_HEADERS: usize = 22 + 40 + 60;
/// Longest network packet that a length of 16 bits can tell.
const MAX_PACKET: usize = 65535;

/// Offsets in an IPv4, an IPv6 and a TCP header.
mod at {
    pub(super) const IPV4_LENGTH: usize = 2;
    pub(super) const IPV4_ID: usize = 4;
    pub(super) const IPV4_FRAGMENT: usize = 6;
    pub(super) const IPV4_CHECKSUM: usize = 10;
    pub(super) const IPV6_LENGTH: usize = 4;
    pub(super) const TCP_SEQUENCE: usize = 4;
    pub(super) const TCP_FLAGS: usize = 13;
    pub(super) const TCP_CHECKSUM: usize = 16;
}

const FLAG_PSH: u8 = 0x08;
const FLAG_ACK: u8 = 0x10;
const DONT_FRAGMENT: u16 = 0x4000;

/// A TCP segment that may be part of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) layout: NetPacketLayout,
    /// Bytes of all headers.
    pub(crate) headers: usize,
    payload: usize,
    sequence: u32,
    /// The sender had nothing more to send.
    pushed: bool,
    /// The headers without what may differ between segments of a run.
    constant: [u8; MAX_HEADERS],
}

impl Segment {
    /// Reads the `head` of a frame of `length` bytes; `None` if it is no segment of that kind.
    pub(crate) fn read(head: &[u8], length: usize) -> Option<Self> {
        let layout = parse(head);
        if layout.layer4_type() != L4::TCP {
            return None;
        }
        let (network, transport) = (
            layout.layer2_header_length() as usize,
            layout.layer4_offset() as usize,
        );
        let headers = transport + layout.layer4_header_length() as usize;
        let payload = length.checked_sub(headers).filter(|&bytes| bytes > 0)?;
        let whole = transport_length(head, layout)? == length - transport;
        let mut constant = [0; MAX_HEADERS];
        constant
            .get_mut(..headers)?
            .copy_from_slice(head.get(..headers)?);
        let sequence = word32(head, transport + at::TCP_SEQUENCE)?;
        let flags = *head.get(transport + at::TCP_FLAGS)?;
        let plain = flags & !FLAG_PSH == FLAG_ACK;
        if !whole || !plain || !is_unfragmented(head, network, layout.layer3_type()) {
            return None;
        }
        let mut clear = |from: usize, count: usize| constant[from..from + count].fill(0);
        if layout.layer3_type().is_ipv4() {
            clear(network + at::IPV4_LENGTH, 2);
            clear(network + at::IPV4_ID, 2);
            clear(network + at::IPV4_CHECKSUM, 2);
        } else {
            clear(network + at::IPV6_LENGTH, 2);
        }
        clear(transport + at::TCP_SEQUENCE, 4);
        clear(transport + at::TCP_FLAGS, 1);
        clear(transport + at::TCP_CHECKSUM, 2);
        Some(Self {
            layout,
            headers,
            payload,
            sequence,
            pushed: flags & FLAG_PSH != 0,
            constant,
        })
    }

    /// Where the transport header begins.
    fn transport(&self) -> usize {
        self.layout.layer4_offset() as usize
    }
}

/// Fragments are no segments, and a packet that may be fragmented has an id that counts.
fn is_unfragmented(head: &[u8], network: usize, kind: L3) -> bool {
    if kind == L3::IPV6_NO_EXTENSIONS {
        return true;
    }
    let field = word16(head, network + at::IPV4_FRAGMENT);
    kind == L3::IPV4_NO_OPTIONS && field == Some(DONT_FRAGMENT)
}

fn word16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Segments that go on as one frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentRun {
    first: Segment,
    count: u16,
    payload: usize,
    pushed: bool,
    /// The last segment was shorter than the first: nothing can follow it.
    ended: bool,
}

impl SegmentRun {
    /// A run of one.
    pub(crate) fn begin(first: Segment) -> Self {
        Self {
            count: 1,
            payload: first.payload,
            pushed: first.pushed,
            ended: false,
            first,
        }
    }

    /// Takes `segment` if it follows the last one; whether it did.
    pub(crate) fn take(&mut self, segment: &Segment) -> bool {
        let first = &self.first;
        let expected = first.sequence.wrapping_add(self.payload as u32);
        let packet = first.headers - first.layout.layer2_header_length() as usize;
        let fits = packet + self.payload + segment.payload <= MAX_PACKET;
        let follows = segment.sequence == expected && segment.payload <= first.payload;
        if self.pushed || self.ended || !fits || !follows || segment.constant != first.constant {
            return false;
        }
        self.count += 1;
        self.payload += segment.payload;
        self.pushed = segment.pushed;
        self.ended = segment.payload < first.payload;
        true
    }

    /// Segments so far.
    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    /// The headers of all of them.
    pub(crate) fn layout(&self) -> NetPacketLayout {
        self.first.layout
    }

    /// Payload of every segment but the last.
    pub(crate) fn segment_size(&self) -> usize {
        self.first.payload
    }

    /// Bytes of the frame.
    pub(crate) fn length(&self) -> usize {
        self.first.headers + self.payload
    }

    /// Makes `head`, the first segment's, that of the frame, but for the transport checksum;
    /// returns how many bytes of it count.
    pub(crate) fn rewrite(&self, head: &mut [u8]) -> usize {
        let Segment {
            layout, headers, ..
        } = self.first;
        let network = layout.layer2_header_length() as usize;
        let packet = self.length() - network;
        if layout.layer3_type().is_ipv4() {
            put16(head, network + at::IPV4_LENGTH, packet as u16);
            put16(head, network + at::IPV4_CHECKSUM, 0);
            let sum = header_checksum(&head[network..self.first.transport()]);
            put16(head, network + at::IPV4_CHECKSUM, sum);
        } else {
            put16(head, network + at::IPV6_LENGTH, (packet - 40) as u16);
        }
        if self.pushed {
            head[self.first.transport() + at::TCP_FLAGS] |= FLAG_PSH;
        }
        headers
    }
}

fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// Checksum of an IPv4 header whose own field is 0 (RFC 1071).
fn header_checksum(header: &[u8]) -> u16 {
    !fold(sum_words(header))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: usize = 14;
    const TRANSPORT: usize = 34;

    /// A segment of `payload` bytes at `sequence`.
    fn frame(sequence: u32, payload: usize) -> Vec<u8> {
        let mut frame = vec![0; TRANSPORT + 20 + payload];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[NETWORK] = 0x45;
        put16(&mut frame, NETWORK + 2, (40 + payload) as u16);
        put16(&mut frame, NETWORK + 4, sequence as u16);
        put16(&mut frame, NETWORK + 6, DONT_FRAGMENT);
        frame[NETWORK + 8] = 64;
        frame[NETWORK + 9] = 6;
        frame[TRANSPORT + 4..TRANSPORT + 8].copy_from_slice(&sequence.to_be_bytes());
        frame[TRANSPORT + 12] = 5 << 4;
        frame[TRANSPORT + 13] = FLAG_ACK;
        frame
    }

    fn segment(frame: &[u8]) -> Option<Segment> {
        Segment::read(frame, frame.len())
    }

    fn run_of(frames: &[Vec<u8>]) -> u16 {
        let mut run = SegmentRun::begin(segment(&frames[0]).unwrap());
        for frame in &frames[1..] {
            if !segment(frame).is_some_and(|next| run.take(&next)) {
                break;
            }
        }
        run.count()
    }

    #[test]
    fn segments_in_order_are_one_frame_up_to_a_short_one() {
        let frames = [
            frame(u32::MAX - 99, 100),
            frame(0, 100),
            frame(100, 60),
            frame(160, 60),
        ];
        assert_eq!(run_of(&frames), 3, "nothing follows a short one");
        let growing = [frame(0, 100), frame(100, 101)];
        assert_eq!(run_of(&growing), 1);
    }

    #[test]
    fn a_push_ends_the_run_and_is_kept() {
        let mut frames = [frame(0, 100), frame(100, 100), frame(200, 100)];
        frames[1][TRANSPORT + 13] |= FLAG_PSH;
        assert_eq!(run_of(&frames), 2);
        let mut run = SegmentRun::begin(segment(&frames[0]).unwrap());
        assert!(run.take(&segment(&frames[1]).unwrap()));
        let mut head = frames[0].clone();
        assert_eq!(run.rewrite(&mut head), 54);
        assert_eq!(head[TRANSPORT + 13], FLAG_ACK | FLAG_PSH);
        assert_eq!(word16(&head, NETWORK + 2), Some(240));
        let mut header = head[NETWORK..TRANSPORT].to_vec();
        let sum = word16(&header, 10).unwrap();
        put16(&mut header, 10, 0);
        assert_eq!(header_checksum(&header), sum);
        assert_eq!((run.length(), run.segment_size()), (254, 100));
    }

    #[test]
    fn every_other_difference_ends_the_run() {
        let first = frame(0, 100);
        let follows = frame(100, 100);
        let may_differ = |at: usize| {
            let network = [2, 3, 4, 5, 10, 11].map(|n| n + NETWORK);
            let transport = [4, 5, 6, 7, 16, 17].map(|n| n + TRANSPORT);
            network.contains(&at) || transport.contains(&at)
        };
        for at in 0..TRANSPORT + 20 {
            let mut other = follows.clone();
            other[at] ^= 1;
            let joined = run_of(&[first.clone(), other]) == 2;
            // A changed length or sequence is no difference of headers, and no neighbour.
            let neighbour = [2, 3].iter().all(|n| at != n + NETWORK)
                && !(TRANSPORT + 4..TRANSPORT + 8).contains(&at);
            assert_eq!(joined, may_differ(at) && neighbour, "byte {at}");
        }
    }

    #[test]
    fn only_whole_plain_segments_with_data_are_taken() {
        let good = frame(0, 100);
        assert!(segment(&good).is_some());
        let without_data = frame(0, 0);
        let mut padded = good.clone();
        padded.push(0);
        let with = |at: usize, value: u8| {
            let mut frame = good.clone();
            frame[at] = value;
            frame
        };
        let refused = [
            without_data,
            padded,
            with(TRANSPORT + 13, FLAG_ACK | 0x01),
            with(TRANSPORT + 13, FLAG_ACK | 0x80),
            with(TRANSPORT + 13, FLAG_ACK | 0x40),
            with(NETWORK + 6, 0),
            with(NETWORK + 6, 0x60),
            with(NETWORK + 7, 1),
            with(NETWORK + 9, 17),
            with(NETWORK, 0x46),
        ];
        for frame in refused {
            assert!(segment(&frame).is_none(), "{frame:x?}");
        }
        (0..good.len()).for_each(|cut| assert!(segment(&good[..cut]).is_none()));
    }

    #[test]
    fn a_run_is_never_longer_than_a_length_can_say() {
        let mut run = SegmentRun::begin(segment(&frame(0, 1460)).unwrap());
        let mut sequence = 1460;
        while run.take(&segment(&frame(sequence, 1460)).unwrap()) {
            sequence += 1460;
        }
        assert_eq!(run.count(), 44);
        assert!(run.length() - NETWORK <= MAX_PACKET);
    }
}
