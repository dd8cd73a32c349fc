//! What an interface is, apart from what it carries.

use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

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
            _ => {}
        }
    }
}
