//! Frames that the stack sends in these tests.

/// An Ethernet frame, with an 802.1Q tag if one is given.
pub(crate) fn ethernet(tag: Option<u16>, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0x51, 1, 2, 0, 0, 0, 0x51, 2];
    if let Some(control) = tag {
        frame.extend(0x8100u16.to_be_bytes());
        frame.extend(control.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

fn folded(sum: u32) -> u16 {
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn words(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum()
}

/// The sum over the pseudo-header, as Linux leaves it in an unfinished checksum.
fn pseudo(addresses: &[u8], protocol: u8, length: usize) -> u16 {
    folded(words(addresses) + u32::from(protocol) + length as u32)
}

const V4: [u8; 8] = [192, 0, 2, 1, 192, 0, 2, 2];

fn v6() -> [u8; 32] {
    let mut addresses = [0; 32];
    addresses[..2].copy_from_slice(&[0x20, 1]);
    addresses[15] = 1;
    addresses[16..18].copy_from_slice(&[0x20, 1]);
    addresses[31] = 2;
    addresses
}

fn ipv4(protocol: u8, transport: &[u8]) -> Vec<u8> {
    let length = (20 + transport.len()) as u16;
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
    header.extend(V4);
    let sum = !folded(words(&header));
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend(transport);
    ethernet(None, 0x0800, &header)
}

fn ipv6(protocol: u8, transport: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((transport.len() as u16).to_be_bytes());
    header.extend([protocol, 64]);
    header.extend(v6());
    header.extend(transport);
    ethernet(None, 0x86dd, &header)
}

/// A TCP segment without a checksum; `options` are NOPs.
fn tcp(payload: usize, options: usize) -> Vec<u8> {
    let mut segment = vec![0; 20];
    segment[..4].copy_from_slice(&[0x30, 0x39, 0, 80]);
    segment[12] = ((5 + options / 4) << 4) as u8;
    segment[13] = 0x10;
    segment.extend(vec![1; options]);
    segment.extend((0..payload).map(|at| at as u8));
    segment
}

fn udp(payload: usize) -> Vec<u8> {
    let mut datagram = vec![0x30, 0x39, 0, 53];
    datagram.extend(((8 + payload) as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend((0..payload).map(|at| at as u8));
    datagram
}

/// How a frame is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) v6: bool,
    pub(crate) udp: bool,
    /// Bytes of TCP options.
    pub(crate) options: usize,
    pub(crate) payload: usize,
}

impl Kind {
    pub(crate) const fn tcp4(payload: usize) -> Self {
        let (v6, udp, options) = (false, false, 0);
        Self {
            v6,
            udp,
            options,
            payload,
        }
    }

    pub(crate) const fn tcp6(payload: usize) -> Self {
        Self {
            v6: true,
            ..Self::tcp4(payload)
        }
    }

    pub(crate) const fn udp4(payload: usize) -> Self {
        Self {
            udp: true,
            ..Self::tcp4(payload)
        }
    }

    pub(crate) const fn udp6(payload: usize) -> Self {
        Self {
            v6: true,
            ..Self::udp4(payload)
        }
    }

    pub(crate) fn transport_at(self) -> usize {
        14 + if self.v6 { 40 } else { 20 }
    }

    pub(crate) fn field(self) -> usize {
        if self.udp { 6 } else { 16 }
    }

    pub(crate) fn headers(self) -> usize {
        self.transport_at() + if self.udp { 8 } else { 20 + self.options }
    }

    /// The frame with the sum of the pseudo-header in the checksum's place.
    pub(crate) fn unfinished(self) -> Vec<u8> {
        let mut transport = match self.udp {
            true => udp(self.payload),
            false => tcp(self.payload, self.options),
        };
        let protocol = if self.udp { 17 } else { 6 };
        let sum = match self.v6 {
            true => pseudo(&v6(), protocol, transport.len()),
            false => pseudo(&V4, protocol, transport.len()),
        };
        let field = self.field();
        transport[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        match self.v6 {
            true => ipv6(protocol, &transport),
            false => ipv4(protocol, &transport),
        }
    }

    /// The frame with all its checksums.
    pub(crate) fn finished(self) -> Vec<u8> {
        let mut frame = self.unfinished();
        let at = self.transport_at();
        let sum = match !folded(words(&frame[at..])) {
            0 if self.udp => 0xffff,
            sum => sum,
        };
        frame[at + self.field()..][..2].copy_from_slice(&sum.to_be_bytes());
        frame
    }
}
