//! Telling the peers of an interface where its addresses are (RFC 5227 § 3, RFC 4861 § 7.2.6).
//!
//! A driver in the kernel has the stack do this (`NETDEV_NOTIFY_PEERS`). From outside the kernel
//! nothing does: toggling the carrier sends nothing, and setting the address anew, with `arp_notify`
//! on, forgets all neighbours, static ones included, and leaves out VLANs. So the frames are made
//! here, for the same interfaces and addresses as the stack would.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use log::debug;
use netadapter_shim::os::frame_socket::FrameSocket;

use super::interface::{Interfaces, Link, failed};
use super::{HostError, MacAddress};

/// Sends one announcement for each address of interface `index`, of the VLANs and MACVLANs on it, and
/// of the bridge it belongs to. Those in other network namespaces are left out.
///
/// Returns how many were sent. What an interface refuses, such as one that is down, is left out too.
///
/// # Errors
///
/// [`HostError::Netlink`].
pub fn announce(index: u32) -> Result<usize, HostError> {
    let mut interfaces = Interfaces::open()?;
    let links = interfaces.list()?;
    let told = reached_through(index, &links);
    let socket = FrameSocket::open().map_err(failed("open a packet socket"))?;
    let mut sent = 0;
    for address in interfaces.addresses()?.iter().filter(|a| !a.is_doubtful()) {
        let link = told.iter().find(|link| link.index == address.interface());
        let frame = link.and_then(|link| frame(link, address.ip()?));
        let (Some(link), Some(frame)) = (link, frame) else {
            continue;
        };
        match socket.send(link.index, &frame) {
            Ok(()) => sent += 1,
            Err(error) => debug!("{}: {address} is not announced: {error}", link.name),
        }
    }
    Ok(sent)
}

/// The interfaces whose frames leave by `index`, itself included.
fn reached_through(index: u32, links: &[Link]) -> Vec<&Link> {
    let mut known = BTreeSet::from([index]);
    loop {
        let before = known.len();
        for link in links {
            let master = link.master.filter(|_| known.contains(&link.index));
            let bridge = links.iter().find(|l| l.bridge && Some(l.index) == master);
            known.extend(bridge.map(|bridge| bridge.index));
            if link.lower.is_some_and(|lower| known.contains(&lower)) {
                known.insert(link.index);
            }
        }
        // It only grows, by interfaces that there are.
        if known.len() == before {
            break;
        }
    }
    links.iter().filter(|l| known.contains(&l.index)).collect()
}

fn frame(link: &Link, ip: IpAddr) -> Option<Vec<u8>> {
    let mac = link.mac?;
    match ip {
        IpAddr::V4(ip) if link.noarp || ip.is_loopback() => None,
        IpAddr::V4(ip) => Some(arp(mac, ip)),
        IpAddr::V6(ip) => Some(neighbour_advertisement(mac, ip, link.ipv6_router)),
    }
}

/// An ARP request for one's own address.
fn arp(MacAddress(mac): MacAddress, ip: Ipv4Addr) -> Vec<u8> {
    let ethernet = [&[0xff; 6], &mac, &[0x08, 0x06][..]].concat();
    // Ethernet and IPv4, of 6 and 4 bytes; a request.
    let head = [0, 1, 0x08, 0x00, 6, 4, 0, 1];
    let (sender, target) = ([&mac[..], &ip.octets()], [&[0; 6][..], &ip.octets()]);
    [ethernet, head.to_vec(), sender.concat(), target.concat()].concat()
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;

/// An advertisement nobody has asked for. A router that did not say it is one would no longer be
/// taken for one.
fn neighbour_advertisement(MacAddress(mac): MacAddress, ip: Ipv6Addr, router: bool) -> Vec<u8> {
    let ethernet = [&[0x33, 0x33, 0, 0, 0, 1], &mac, &[0x86, 0xdd][..]].concat();
    let flags = 0x20 | if router { 0x80 } else { 0 };
    // Type, code, checksum, flags; target; the option that tells its link-layer address.
    let mut icmp = [
        &[136, 0, 0, 0, flags, 0, 0, 0],
        &ip.octets()[..],
        &[2, 1],
        &mac,
    ]
    .concat();
    let ends = [ip.octets(), ALL_NODES.octets()].concat();
    let pseudo = [&ends[..], &[0, 0, 0, icmp.len() as u8, 0, 0, 0, ICMPV6]].concat();
    let sum = checksum(&[pseudo, icmp.clone()].concat());
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let head = [0x60, 0, 0, 0, 0, icmp.len() as u8, ICMPV6, 255];
    [ethernet, head.to_vec(), ends, icmp].concat()
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2);
    let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded >> 16) + (folded & 0xffff)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

    #[test]
    fn an_announcement_over_ipv4_asks_everybody_for_ones_own_address() {
        let frame = arp(MAC, Ipv4Addr::new(192, 0, 2, 7));
        let expected = [
            &[0xff; 6][..],
            &MAC.0,
            &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
            &MAC.0,
            &[192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 192, 0, 2, 7],
        ];
        assert_eq!(frame, expected.concat());
    }

    #[test]
    fn an_announcement_over_ipv6_sums_up_and_keeps_a_router_one() {
        let ip: Ipv6Addr = "2001:db8::7".parse().unwrap();
        for (router, flags) in [(false, 0x20), (true, 0xa0)] {
            let frame = neighbour_advertisement(MAC, ip, router);
            assert_eq!(frame.len(), 14 + 40 + 32);
            assert_eq!((frame[54], frame[58]), (136, flags));
            assert_eq!(frame[22..38], ip.octets());
            assert_eq!(frame[62..78], ip.octets());
            assert_eq!(frame[80..], MAC.0);
            let pseudo = [&frame[22..54], &[0, 0, 0, 32, 0, 0, 0, 58]].concat();
            // With the checksum in it, the sum is that of nothing missing.
            assert_eq!(checksum(&[&pseudo, &frame[54..]].concat()), 0);
        }
    }

    fn link(index: u32, lower: Option<u32>, master: Option<u32>) -> Link {
        Link {
            index,
            lower,
            master,
            ..Link::default()
        }
    }

    #[test]
    fn what_stands_on_an_interface_is_reached_through_it_and_nothing_else() {
        let bridge = Link {
            bridge: true,
            ..link(5, None, None)
        };
        let links = [
            // In no order: a VLAN on the VLAN, before it.
            link(9, Some(4), None),
            link(4, Some(2), None),
            link(2, None, Some(5)),
            bridge,
            link(6, Some(5), None),
            // Another port of the bridge, another interface, its VLAN, and one in a bond.
            link(7, None, Some(5)),
            link(3, None, Some(8)),
            link(10, Some(3), None),
            link(8, None, None),
        ];
        let of = |index| {
            let told = reached_through(index, &links);
            told.iter().map(|link| link.index).collect::<Vec<_>>()
        };
        assert_eq!(of(2), [9, 4, 2, 5, 6]);
        assert_eq!(of(3), [3, 10]);
        assert_eq!(of(1), [0; 0]);
    }
}
