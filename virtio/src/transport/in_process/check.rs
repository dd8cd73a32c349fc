//! What a driver may not do, and what it did.

use std::fmt;

use crate::net::FeatureSet;
use crate::spec::net::feature::*;
use crate::spec::net::header;

/// A rule of the specification that the driver broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Section that states the rule.
    pub section: &'static str,
    /// What the driver did.
    pub what: String,
}

impl Violation {
    pub(super) fn new(section: &'static str, what: impl Into<String>) -> Self {
        Self {
            section,
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "§ {}: {}", self.section, self.what)
    }
}

/// The violations so far. Only the first few are kept: a driver that breaks a rule for each
/// frame would fill memory.
#[derive(Debug, Default)]
pub(super) struct Violations {
    kept: Vec<Violation>,
}

const KEPT: usize = 64;

impl Violations {
    pub(super) fn add(&mut self, violation: Violation) {
        if self.kept.len() < KEPT {
            log::debug!("in-process device: {violation}");
            self.kept.push(violation);
        }
    }

    /// Adds a violation of `section` if `broken`; whether it is.
    pub(super) fn check(
        &mut self,
        broken: bool,
        section: &'static str,
        what: impl FnOnce() -> String,
    ) -> bool {
        if broken {
            self.add(Violation::new(section, what()));
        }
        broken
    }

    pub(super) fn kept(&self) -> &[Violation] {
        &self.kept
    }
}

/// A `virtio_net_hdr` taken apart. The driver has its own codec; this is a second reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed {
    pub(super) flags: u8,
    pub(super) gso_type: u8,
    pub(super) hdr_len: u16,
    pub(super) gso_size: u16,
    pub(super) csum_start: u16,
    pub(super) csum_offset: u16,
    pub(super) num_buffers: u16,
}

impl Parsed {
    pub(super) fn new(bytes: [u8; header::SIZE]) -> Self {
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

    pub(super) fn needs_csum(&self) -> bool {
        self.flags & header::F_NEEDS_CSUM != 0
    }

    /// The segmentation without the ECN bit.
    pub(super) fn gso(&self) -> u8 {
        self.gso_type & !header::GSO_ECN
    }

    /// Where the checksum is to be stored, if that is within `frame_len` bytes.
    pub(super) fn csum_at(&self, frame_len: usize) -> Option<usize> {
        let at = usize::from(self.csum_start) + usize::from(self.csum_offset);
        (at + 2 <= frame_len).then_some(at)
    }
}

/// § *Packet Transmission*: what is wrong with a frame to be sent, by the text and by the
/// frame's own headers.
pub(super) fn transmitted(
    bytes: [u8; header::SIZE],
    frame: &[u8],
    accepted: FeatureSet,
    mtu: u16,
) -> Vec<String> {
    let parsed = Parsed::new(bytes);
    let mut wrong = Vec::new();
    let mut check = |broken: bool, what: &str| {
        if broken {
            wrong.push(format!("{what}: {parsed:?}, {} bytes", frame.len()));
        }
    };
    check(frame.len() < 14, "a frame shorter than its Ethernet header");
    check(parsed.num_buffers != 0, "num_buffers is not 0");
    check(
        parsed.flags & !header::F_NEEDS_CSUM != 0,
        "flags beyond NEEDS_CSUM",
    );
    check(
        usize::from(parsed.hdr_len) > frame.len(),
        "hdr_len beyond the frame",
    );
    if parsed.needs_csum() {
        check(!accepted.has(VIRTIO_NET_F_CSUM), "NEEDS_CSUM without CSUM");
        check(
            !pseudo_sum_is_right(&parsed, frame),
            "no pseudo-header sum where the checksum belongs",
        );
    }
    if parsed.gso() == header::GSO_NONE {
        check(
            frame.len() > largest_plain(accepted, mtu),
            "larger than the MTU without segmentation",
        );
        check(
            parsed.gso_type != header::GSO_NONE,
            "ECN without segmentation",
        );
    } else {
        check(
            !may_segment(parsed.gso(), accepted),
            "a segmentation that was not accepted",
        );
        check(!parsed.needs_csum(), "segmentation without NEEDS_CSUM");
        check(parsed.gso_size == 0, "segments of no bytes");
        check(
            !is_of_type(parsed.gso(), frame),
            "another protocol than the segmentation names",
        );
        let ecn = parsed.gso_type & header::GSO_ECN != 0;
        check(
            ecn && !accepted.has(VIRTIO_NET_F_HOST_ECN),
            "ECN without HOST_ECN",
        );
    }
    wrong
}

/// Ethernet header and one VLAN tag.
const LINK_HEADER: usize = 18;

fn largest_plain(accepted: FeatureSet, mtu: u16) -> usize {
    let mtu = if accepted.has(VIRTIO_NET_F_MTU) {
        mtu
    } else {
        u16::MAX
    };
    usize::from(mtu) + LINK_HEADER
}

fn may_segment(gso: u8, accepted: FeatureSet) -> bool {
    match gso {
        header::GSO_TCPV4 => accepted.has(VIRTIO_NET_F_HOST_TSO4),
        header::GSO_TCPV6 => accepted.has(VIRTIO_NET_F_HOST_TSO6),
        header::GSO_UDP => accepted.has(VIRTIO_NET_F_HOST_UFO),
        header::GSO_UDP_L4 => accepted.has(VIRTIO_NET_F_HOST_USO),
        _ => false,
    }
}

/// Whether the driver may be given segmentation `gso_type`.
pub(super) fn may_coalesce(gso_type: u8, accepted: FeatureSet, frame: &[u8]) -> bool {
    let ecn = gso_type & header::GSO_ECN == 0 || accepted.has(VIRTIO_NET_F_GUEST_ECN);
    ecn && match gso_type & !header::GSO_ECN {
        header::GSO_NONE => true,
        header::GSO_TCPV4 => accepted.has(VIRTIO_NET_F_GUEST_TSO4),
        header::GSO_TCPV6 => accepted.has(VIRTIO_NET_F_GUEST_TSO6),
        header::GSO_UDP => accepted.has(VIRTIO_NET_F_GUEST_UFO),
        header::GSO_UDP_L4 => match network_of(frame) {
            Some(Network { v6: true, .. }) => accepted.has(VIRTIO_NET_F_GUEST_USO6),
            _ => accepted.has(VIRTIO_NET_F_GUEST_USO4),
        },
        _ => false,
    }
}

/// What the network header of a frame says.
struct Network<'a> {
    v6: bool,
    protocol: u8,
    /// Where the transport header begins.
    transport: usize,
    /// Both addresses, source first.
    addresses: &'a [u8],
}

const TCP: u8 = 6;
const UDP: u8 = 17;

fn network_of(frame: &[u8]) -> Option<Network<'_>> {
    let mut at = 12;
    while frame.get(at..at + 2)? == [0x81, 0x00] {
        at += 4;
    }
    let ip = at + 2;
    match frame.get(at..ip)? {
        [0x08, 0x00] => Some(Network {
            v6: false,
            protocol: *frame.get(ip + 9)?,
            transport: ip + usize::from(frame[ip] & 15) * 4,
            addresses: frame.get(ip + 12..ip + 20)?,
        }),
        [0x86, 0xdd] => Some(Network {
            v6: true,
            protocol: *frame.get(ip + 6)?,
            transport: ip + 40,
            addresses: frame.get(ip + 8..ip + 40)?,
        }),
        _ => None,
    }
}

fn is_of_type(gso: u8, frame: &[u8]) -> bool {
    let Some(network) = network_of(frame) else {
        return false;
    };
    match gso {
        header::GSO_TCPV4 => !network.v6 && network.protocol == TCP,
        header::GSO_TCPV6 => network.v6 && network.protocol == TCP,
        _ => network.protocol == UDP,
    }
}

/// Whether the checksum field holds the folded, uncomplemented pseudo-header sum. Only told of
/// plain TCP and UDP: of anything else it is enough that the field lies in the frame.
fn pseudo_sum_is_right(parsed: &Parsed, frame: &[u8]) -> bool {
    let Some(at) = parsed.csum_at(frame.len()) else {
        return false;
    };
    let Some(network) = network_of(frame) else {
        return true;
    };
    let known = matches!(network.protocol, TCP | UDP);
    if !known || network.transport != usize::from(parsed.csum_start) {
        return true;
    }
    let length = (frame.len() - network.transport) as u32;
    let words = [length >> 16, length & 0xffff, u32::from(network.protocol)];
    let sum = words.into_iter().sum::<u32>() + sum_of(network.addresses);
    fold(sum) == u16::from_be_bytes([frame[at], frame[at + 1]])
}

fn sum_of(bytes: &[u8]) -> u32 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let odd = rest.first().map_or(0, |&last| u32::from(last) << 8);
    pairs
        .iter()
        .map(|&pair| u32::from(u16::from_be_bytes(pair)))
        .sum::<u32>()
        + odd
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// Completes a partial checksum in place, as a device does for a driver without `GUEST_CSUM`.
pub(super) fn complete_checksum(parsed: &Parsed, frame: &mut [u8]) {
    let Some(at) = parsed.csum_at(frame.len()) else {
        return;
    };
    let sum = !fold(sum_of(&frame[usize::from(parsed.csum_start)..]));
    let is_udp = network_of(frame).is_some_and(|network| network.protocol == UDP);
    // A UDP checksum of 0 would mean "none".
    let sum = if sum == 0 && is_udp { 0xffff } else { sum };
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests;
