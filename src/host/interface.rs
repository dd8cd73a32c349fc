//! Network interfaces: what they carry, and giving one what another one had.
//!
//! One interface is a [`Link`]; with addresses and routes it is an [`InterfaceSnapshot`].

mod address;
mod link;
mod record;
mod route;
mod snapshot;

use std::io;
use std::net::IpAddr;

use netlink_packet_core::NLM_F_REQUEST;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use super::netlink::RtNetlink;
use super::{HostError, MacAddress};

pub use address::Address;
pub use link::Link;
pub use route::Route;
pub use snapshot::InterfaceSnapshot;

/// The interfaces of one network namespace.
pub struct Interfaces {
    netlink: RtNetlink,
}

impl Interfaces {
    /// The interfaces of the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`] if the kernel gives no rtnetlink socket.
    pub fn open() -> Result<Self, HostError> {
        let netlink = RtNetlink::open().map_err(failed("open a netlink socket"))?;
        Ok(Self { netlink })
    }

    /// All interfaces.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`].
    pub fn list(&mut self) -> Result<Vec<Link>, HostError> {
        let answers = self
            .netlink
            .dump(Message::GetLink(LinkMessage::default()))
            .map_err(failed("list network interfaces"))?;
        Ok(answers.iter().filter_map(as_link).collect())
    }

    /// The interface of this name, if there is one.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`].
    pub fn find(&mut self, name: &str) -> Result<Option<Link>, HostError> {
        Ok(self.list()?.into_iter().find(|link| link.name == name))
    }

    /// The interface with this index, if there is one.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`].
    pub fn get(&mut self, index: u32) -> Result<Option<Link>, HostError> {
        match self.netlink.get(Message::GetLink(link_message(index))) {
            Ok(answers) => Ok(answers.iter().find_map(as_link)),
            Err(e) if is_no_device(&e) => Ok(None),
            Err(e) => Err(failed(format!("look at interface number {index}"))(e)),
        }
    }

    /// Gives the interface another name. Before Linux 6.2 it has to be down for that.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`]; so for all the setters below.
    pub fn rename(&mut self, index: u32, name: &str) -> Result<(), HostError> {
        let wanted = LinkAttribute::IfName(name.to_owned());
        self.set(index, wanted, format!("rename interface {index} to {name}"))
    }

    /// Sets the Ethernet address.
    ///
    /// # Errors
    ///
    /// As [`Self::rename`].
    pub fn set_mac(&mut self, index: u32, mac: MacAddress) -> Result<(), HostError> {
        let wanted = LinkAttribute::Address(mac.0.to_vec());
        self.set(
            index,
            wanted,
            format!("give interface {index} the address {mac}"),
        )
    }

    /// Sets the largest packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`Self::rename`].
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), HostError> {
        let wanted = LinkAttribute::Mtu(mtu);
        self.set(
            index,
            wanted,
            format!("give interface {index} an MTU of {mtu}"),
        )
    }

    /// Sets the length of the transmit queue in packets.
    ///
    /// # Errors
    ///
    /// As [`Self::rename`].
    pub fn set_tx_queue_len(&mut self, index: u32, len: u32) -> Result<(), HostError> {
        let wanted = LinkAttribute::TxQueueLen(len);
        self.set(
            index,
            wanted,
            format!("give interface {index} a queue of {len} packets"),
        )
    }

    /// Makes the interface part of a bridge, bond or VRF.
    ///
    /// # Errors
    ///
    /// As [`Self::rename`].
    pub fn set_master(&mut self, index: u32, master: u32) -> Result<(), HostError> {
        let wanted = LinkAttribute::Controller(master);
        self.set(
            index,
            wanted,
            format!("make interface {index} part of {master}"),
        )
    }

    /// Switches the interface on or off.
    ///
    /// # Errors
    ///
    /// As [`Self::rename`].
    pub fn set_up(&mut self, index: u32, up: bool) -> Result<(), HostError> {
        let state = if up { "up" } else { "down" };
        self.set_flag(
            index,
            LinkFlags::Up,
            up,
            format!("set interface {index} {state}"),
        )
    }

    /// Removes the interface, if it is of a kind that can be removed.
    ///
    /// # Errors
    ///
    /// As [`Self::rename`].
    pub fn delete(&mut self, index: u32) -> Result<(), HostError> {
        self.netlink
            .change(Message::DelLink(link_message(index)), 0)
            .map_err(failed(format!("remove interface {index}")))
    }

    /// Index of the interface through which packets to `peer` leave; `None` if nothing leads
    /// there.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`].
    pub fn route_to(&mut self, peer: IpAddr) -> Result<Option<u32>, HostError> {
        match self.netlink.get(Message::GetRoute(question(peer))) {
            Ok(answers) => Ok(answers.iter().filter_map(as_route).find_map(outgoing)),
            Err(e) if is_unreachable(&e) => Ok(None),
            Err(e) => Err(failed(format!("look up the route to {peer}"))(e)),
        }
    }

    /// Indices of the interfaces that carry a default route, of either family.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`].
    pub fn default_routes(&mut self) -> Result<Vec<u32>, HostError> {
        let routes = self.routes()?;
        Ok(routes
            .iter()
            .filter(|route| is_default(route))
            .flat_map(all_outgoing)
            .collect())
    }

    /// Index of the interface that has the address `ip`.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`].
    pub fn owner_of(&mut self, ip: IpAddr) -> Result<Option<u32>, HostError> {
        let addresses = self.addresses()?;
        Ok(addresses
            .iter()
            .find(|a| a.ip() == Some(ip))
            .map(Address::interface))
    }

    pub(super) fn routes(&mut self) -> Result<Vec<RouteMessage>, HostError> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RouteMessage::default();
            question.header.address_family = family;
            let answers = self
                .netlink
                .dump(Message::GetRoute(question))
                .map_err(failed("list routes"))?;
            routes.extend(answers.into_iter().filter_map(|answer| match answer {
                Message::NewRoute(route) => Some(route),
                _ => None,
            }));
        }
        Ok(routes)
    }

    fn set(&mut self, index: u32, wanted: LinkAttribute, action: String) -> Result<(), HostError> {
        let mut message = link_message(index);
        message.attributes.push(wanted);
        self.netlink
            .change(Message::SetLink(message), NLM_F_REQUEST)
            .map_err(failed(action))
    }

    fn set_flag(
        &mut self,
        index: u32,
        flag: LinkFlags,
        on: bool,
        action: String,
    ) -> Result<(), HostError> {
        let mut message = link_message(index);
        message.header.change_mask = flag;
        message.header.flags = if on { flag } else { LinkFlags::empty() };
        self.netlink
            .change(Message::SetLink(message), NLM_F_REQUEST)
            .map_err(failed(action))
    }
}

fn link_message(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn as_link(answer: &Message) -> Option<Link> {
    match answer {
        Message::NewLink(message) => Some(Link::from_message(message)),
        _ => None,
    }
}

fn as_route(answer: &Message) -> Option<&RouteMessage> {
    match answer {
        Message::NewRoute(route) => Some(route),
        _ => None,
    }
}

fn question(peer: IpAddr) -> RouteMessage {
    let (family, bits, address) = match peer {
        IpAddr::V4(ip) => (AddressFamily::Inet, 32, RouteAddress::Inet(ip)),
        IpAddr::V6(ip) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(ip)),
    };
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.destination_prefix_length = bits;
    message
        .attributes
        .push(RouteAttribute::Destination(address));
    message
}

fn outgoing(route: &RouteMessage) -> Option<u32> {
    route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        })
}

/// The one interface of a plain route, or all those of a multipath route.
fn all_outgoing(route: &RouteMessage) -> Vec<u32> {
    let hops = route
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            RouteAttribute::MultiPath(hops) => Some(hops.iter().map(|hop| hop.interface_index)),
            _ => None,
        });
    outgoing(route).into_iter().chain(hops.flatten()).collect()
}

fn is_default(route: &RouteMessage) -> bool {
    route.header.destination_prefix_length == 0 && route.header.kind == RouteType::Unicast
}

/// Puts what was being done before the kernel's answer.
pub(super) fn failed(action: impl Into<String>) -> impl FnOnce(io::Error) -> HostError {
    let action = action.into();
    move |source| HostError::Netlink { action, source }
}

fn is_no_device(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

fn is_unreachable(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let silent = [
        Errno::NETUNREACH,
        Errno::HOSTUNREACH,
        Errno::ACCESS,
        Errno::INVAL,
    ];
    silent
        .iter()
        .any(|e| error.raw_os_error() == Some(e.raw_os_error()))
}
