//! What a driver may not do, and what it did.

use std::fmt;

use crate::net::{FeatureSet, VirtioNetHdr};
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

/// The segmentation that a header asks for, without the ECN bit.
fn gso(header: &VirtioNetHdr) -> u8 {
    header.gso_type & !header::GSO_ECN
}

/// Whether the checksum of the frame is partial.
pub(super) fn needs_csum(header: &VirtioNetHdr) -> bool {
    header.flags & header::F_NEEDS_CSUM != 0
}

/// Where the checksum is to be stored, if that is within `frame_len` bytes.
fn csum_at(header: &VirtioNetHdr, frame_len: usize) -> Option<usize> {
    let at = usize::from(header.csum_start) + usize::from(header.csum_offset);
    (at + 2 <= frame_len).then_some(at)
}

/// § *Packet Transmission*: what is wrong with a frame to be sent, by the text and by the
/// frame's own headers.
pub(super) fn transmitted(
    hdr: VirtioNetHdr,
    frame: &[u8],
    accepted: FeatureSet,
    mtu: u16,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |broken: bool, what: &str| {
        if broken {
            wrong.push(format!("{what}: {hdr:?}, {} bytes", frame.len()));
        }
    };
    check(frame.len() < 14, "a frame shorter than its Ethernet header");
    check(hdr.num_buffers != 0, "num_buffers is not 0");
    check(
        hdr.flags & !header::F_NEEDS_CSUM != 0,
        "flags beyond NEEDS_CSUM",
    );
    check(
        usize::from(hdr.hdr_len) > frame.len(),
        "hdr_len beyond the frame",
    );
    if needs_csum(&hdr) {
        check(!accepted.has(VIRTIO_NET_F_CSUM), "NEEDS_CSUM without CSUM");
        check(
            !pseudo_sum_is_right(&hdr, frame),
            "no pseudo-header sum where the checksum belongs",
        );
    }
    if gso(&hdr) == header::GSO_NONE {
        check(
            frame.len() > largest_plain(accepted, mtu),
            "larger than the MTU without segmentation",
        );
        check(hdr.gso_type != header::GSO_NONE, "ECN without segmentation");
    } else {
        check(
            !may_segment(gso(&hdr), accepted),
            "a segmentation that was not accepted",
        );
        check(!needs_csum(&hdr), "segmentation without NEEDS_CSUM");
        check(hdr.gso_size == 0, "segments of no bytes");
        check(
            !is_of_type(gso(&hdr), frame),
            "another protocol than the segmentation names",
        );
        let ecn = hdr.gso_type & header::GSO_ECN != 0;
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
pub(super) struct Network<'a> {
    pub(super) v6: bool,
    pub(super) protocol: u8,
    /// Part of a packet, so that what follows is no transport header.
    pub(super) fragment: bool,
    /// Where the transport header begins.
    pub(super) transport: usize,
    /// Both addresses, source first.
    pub(super) addresses: &'a [u8],
}

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
/// Of the fragment word of IPv4: more follow, or how many bytes came before.
const FRAGMENT: u16 = 0x3fff;

pub(super) fn network_of(frame: &[u8]) -> Option<Network<'_>> {
    let mut at = 12;
    while frame.get(at..at + 2)? == [0x81, 0x00] {
        at += 4;
    }
    let ip = at + 2;
    match frame.get(at..ip)? {
        [0x08, 0x00] => Some(Network {
            v6: false,
            protocol: *frame.get(ip + 9)?,
            fragment: u16::from_be_bytes([frame[ip + 6], frame[ip + 7]]) & FRAGMENT != 0,
            transport: ip + usize::from(frame[ip] & 15) * 4,
            addresses: frame.get(ip + 12..ip + 20)?,
        }),
        [0x86, 0xdd] => Some(Network {
            v6: true,
            protocol: *frame.get(ip + 6)?,
            fragment: false,
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
fn pseudo_sum_is_right(hdr: &VirtioNetHdr, frame: &[u8]) -> bool {
    let Some(at) = csum_at(hdr, frame.len()) else {
        return false;
    };
    let Some(network) = network_of(frame) else {
        return true;
    };
    let known = matches!(network.protocol, TCP | UDP);
    if !known || network.transport != usize::from(hdr.csum_start) {
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
pub(super) fn complete_checksum(hdr: &VirtioNetHdr, frame: &mut [u8]) {
    let Some(at) = csum_at(hdr, frame.len()) else {
        return;
    };
    let sum = !fold(sum_of(&frame[usize::from(hdr.csum_start)..]));
    let is_udp = network_of(frame).is_some_and(|network| network.protocol == UDP);
    // A UDP checksum of 0 would mean "none".
    let sum = if sum == 0 && is_udp { 0xffff } else { sum };
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests;
