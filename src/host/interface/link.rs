//! What an interface is, apart from what it carries.

use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use serde::{Deserialize, Serialize};

use crate::host::MacAddress;

/// An interface as the kernel announces it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address.
    pub mac: Option<MacAddress>,
    /// Largest packet in bytes, without the Ethernet header.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Up and with carrier.
    pub running: bool,
    /// Somebody wants all frames: by `ip link set promisc`, or a packet socket or bridge.
    pub promisc: bool,
    /// Somebody wants all multicast frames.
    pub allmulti: bool,
    /// Length of the transmit queue in packets.
    pub tx_queue_len: Option<u32>,
    /// Index of the bridge, bond or VRF it belongs to.
    pub master: Option<u32>,
    /// `ip link set promisc on` itself, without the others' wishes.
    pub promisc_flag: bool,
    /// `ip link set allmulticast on` itself.
    pub allmulti_flag: bool,
    /// It speaks no ARP.
    pub noarp: bool,
    /// Index of the interface that it is a VLAN or MACVLAN of, if that is in the same namespace.
    pub lower: Option<u32>,
    /// Whether it is a bridge.
    pub bridge: bool,
    /// Whether the host is a router for what comes in by it over IPv6.
    pub ipv6_router: bool,
}

impl Link {
    pub(in crate::host) fn from_message(message: &LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            index: message.header.index,
            up: flags.contains(LinkFlags::Up),
            running: flags.contains(LinkFlags::Running),
            promisc: flags.contains(LinkFlags::Promisc),
            allmulti: flags.contains(LinkFlags::Allmulti),
            promisc_flag: flags.contains(LinkFlags::Promisc),
            allmulti_flag: flags.contains(LinkFlags::Allmulti),
            noarp: flags.contains(LinkFlags::Noarp),
            lower: lower(message),
            bridge: kind(message) == Some(&InfoKind::Bridge),
            ..Self::default()
        };
        for attribute in &message.attributes {
            link.take(attribute);
        }
        link
    }

    fn take(&mut self, attribute: &LinkAttribute) {
        match attribute {
            LinkAttribute::IfName(name) => self.name.clone_from(name),
            LinkAttribute::Address(bytes) => {
                self.mac = bytes.as_slice().try_into().ok().map(MacAddress);
            }
            LinkAttribute::Mtu(mtu) => self.mtu = *mtu,
            LinkAttribute::TxQueueLen(len) => self.tx_queue_len = Some(*len),
            LinkAttribute::Controller(master) => self.master = Some(*master),
            // The flags leave out what packet sockets and bridges ask for; the counts do not.
            LinkAttribute::Promiscuity(count) => self.promisc |= *count > 0,
            LinkAttribute::AllMulticast(count) => self.allmulti |= *count > 0,
            LinkAttribute::AfSpecUnspec(families) => self.ipv6_router = is_ipv6_router(families),
            _ => {}
        }
    }
}

fn kind(message: &LinkMessage) -> Option<&InfoKind> {
    let infos = message.attributes.iter().filter_map(|a| match a {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    infos.flatten().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    })
}

fn lower(message: &LinkMessage) -> Option<u32> {
    let stacked = matches!(kind(message), Some(InfoKind::Vlan | InfoKind::MacVlan));
    let attributes = &message.attributes;
    let elsewhere = |a: &LinkAttribute| matches!(a, LinkAttribute::LinkNetNsId(_));
    if !stacked || attributes.iter().any(elsewhere) {
        return None;
    }
    attributes.iter().find_map(|a| match a {
        LinkAttribute::Link(index) => Some(*index),
        _ => None,
    })
}

fn is_ipv6_router(families: &[AfSpecUnspec]) -> bool {
    let ipv6 = families.iter().filter_map(|family| match family {
        AfSpecUnspec::Inet6(settings) => Some(settings),
        _ => None,
    });
    ipv6.flatten()
        .any(|setting| matches!(setting, AfSpecInet6::DevConf(conf) if conf.forwarding != 0))
}
