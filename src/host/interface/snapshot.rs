//! All an interface carries, taken from one and given to another.
//!
//! Addresses and routes are kept as the kernel's own messages, so that nothing is lost in
//! translation: only what belongs to the old interface (its number, counters, flags that the
//! kernel sets itself) is changed before they are handed back.

use std::fmt;
use std::io;
use std::net::IpAddr;

use netlink_packet_core::{Emitable, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Parseable};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
    AddressScope,
};
use netlink_packet_route::link::LinkFlags;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteType,
};
use serde::{Deserialize, Serialize};

use super::{Interfaces, Link, failed};
use crate::host::{HostError, IfName, MacAddress};

/// Routing table of local and broadcast addresses; the kernel fills it by itself.
const TABLE_LOCAL: u32 = 255;
/// Ticks a second of the times in `struct rta_cacheinfo`.
const USER_HZ: u32 = 100;

/// An interface with all it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceSnapshot {
    /// Its name.
    pub name: IfName,
    /// Its Ethernet address.
    pub mac: Option<MacAddress>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// `ip link set promisc on`.
    #[serde(default)]
    pub promisc: bool,
    /// `ip link set allmulticast on`.
    #[serde(default)]
    pub allmulti: bool,
    /// Length of the transmit queue in packets.
    pub tx_queue_len: Option<u32>,
    /// The bridge, bond or VRF it belongs to.
    pub master: Option<String>,
    /// Its addresses, but not those the kernel makes for itself.
    pub addresses: Vec<Address>,
    /// The routes through it, but not those that follow from its addresses.
    pub routes: Vec<Route>,
}

impl Interfaces {
    /// Everything the interface of this name carries; `None` if there is no such interface.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`].
    pub fn snapshot(&mut self, name: &IfName) -> Result<Option<InterfaceSnapshot>, HostError> {
        let Some(link) = self.find(name.as_str())? else {
            return Ok(None);
        };
        let master = match link.master {
            Some(index) => self.get(index)?.map(|master| master.name),
            None => None,
        };
        Ok(Some(InterfaceSnapshot {
            name: name.clone(),
            mac: link.mac,
            mtu: link.mtu,
            up: link.up,
            promisc: link.promisc_flag,
            allmulti: link.allmulti_flag,
            tx_queue_len: link.tx_queue_len,
            master,
            addresses: self.addresses_of(&link)?,
            routes: self.routes_of(&link)?,
        }))
    }

    pub(super) fn addresses(&mut self) -> Result<Vec<Address>, HostError> {
        let answers = self
            .netlink
            .dump(Message::GetAddress(AddressMessage::default()))
            .map_err(failed("list addresses"))?;
        let addresses = answers.into_iter().filter_map(|answer| match answer {
            Message::NewAddress(message) => Some(Address(message)),
            _ => None,
        });
        Ok(addresses.collect())
    }

    fn addresses_of(&mut self, link: &Link) -> Result<Vec<Address>, HostError> {
        let mut addresses = self.addresses()?;
        addresses.retain(|a| a.interface() == link.index && !a.is_made_by_kernel(link.mac));
        // The kernel lists IPv4 addresses oldest first and IPv6 addresses newest first. Which one
        // packets leave with depends on it, so both are kept oldest first, as they were set.
        let (mut v6, mut oldest_first): (Vec<_>, Vec<_>) = addresses
            .into_iter()
            .partition(|a| matches!(a.ip(), Some(IpAddr::V6(_))));
        v6.reverse();
        oldest_first.append(&mut v6);
        Ok(oldest_first)
    }

    fn routes_of(&mut self, link: &Link) -> Result<Vec<Route>, HostError> {
        let routes = self.routes()?.into_iter().map(Route);
        let mut routes: Vec<Route> = routes.filter(|route| route.leaves_by(link.index)).collect();
        // A gateway can only be named once the route to it stands.
        routes.sort_by_key(Route::has_gateway);
        Ok(routes)
    }

    /// Gives interface `index` the name, addresses, routes and settings of the snapshot, and
    /// switches it on if the old one was on.
    ///
    /// Returns the number of addresses and routes the kernel would not take; each is logged with
    /// its reason.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`] if name, MAC, MTU or state cannot be set.
    pub fn apply(&mut self, index: u32, snapshot: &InterfaceSnapshot) -> Result<usize, HostError> {
        self.apply_name(index, snapshot.name.as_str())?;
        self.apply_link(index, snapshot)?;
        self.apply_addresses(index, snapshot)
    }

    /// Only MAC, MTU, queue length, master and flags of the snapshot, not its name or addresses.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    pub fn apply_link(
        &mut self,
        index: u32,
        snapshot: &InterfaceSnapshot,
    ) -> Result<(), HostError> {
        if let Some(mac) = snapshot.mac {
            self.set_mac(index, mac)?;
        }
        self.set_mtu(index, snapshot.mtu)?;
        if let Some(len) = snapshot.tx_queue_len {
            self.set_tx_queue_len(index, len)?;
        }
        if let Some(master) = &snapshot.master {
            self.join(index, master)?;
        }
        let flags = [
            (LinkFlags::Promisc, snapshot.promisc),
            (LinkFlags::Allmulti, snapshot.allmulti),
        ];
        for (flag, on) in flags {
            if on {
                self.set_flag(
                    index,
                    flag,
                    true,
                    format!("set {flag:?} on interface {index}"),
                )?;
            }
        }
        self.set_up(index, snapshot.up)
    }

    /// Only the addresses and routes of the snapshot.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`] if the interface is not there.
    pub fn apply_addresses(
        &mut self,
        index: u32,
        snapshot: &InterfaceSnapshot,
    ) -> Result<usize, HostError> {
        let Some(link) = self.get(index)? else {
            return Err(failed(format!("give interface {index} its addresses"))(
                rustix::io::Errno::NODEV.into(),
            ));
        };
        let mut refused = 0;
        for address in &snapshot.addresses {
            let message = address.on(index, &snapshot.name, &link.name);
            let change = Message::NewAddress(message);
            let result = self.netlink.change(change, NLM_F_CREATE | NLM_F_REPLACE);
            refused += refusal(&link.name, address, result);
        }
        for route in &snapshot.routes {
            let change = Message::NewRoute(route.on(index));
            let result = self.netlink.change(change, NLM_F_CREATE | NLM_F_EXCL);
            refused += refusal(&link.name, route, result);
        }
        Ok(refused)
    }

    fn apply_name(&mut self, index: u32, name: &str) -> Result<(), HostError> {
        let link = self.get(index)?;
        if link.as_ref().is_some_and(|link| link.name == name) {
            return Ok(());
        }
        if link.is_some_and(|link| link.up) {
            self.set_up(index, false)?;
        }
        self.rename(index, name)
    }

    fn join(&mut self, index: u32, master: &str) -> Result<(), HostError> {
        match self.find(master)? {
            Some(master) => self.set_master(index, master.index),
            None => {
                log::warn!("{master}, which the interface belonged to, is gone");
                Ok(())
            }
        }
    }
}

/// Logs what the kernel would not take; what is there already is as good as taken.
fn refusal(interface: &str, what: &dyn fmt::Display, result: io::Result<()>) -> usize {
    match result {
        Ok(()) => 0,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => 0,
        Err(e) => {
            log::warn!("{interface}: cannot restore {what}: {e}");
            1
        }
    }
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Record", into = "Record")]
pub struct Address(AddressMessage);

impl Address {
    /// The address itself.
    pub fn ip(&self) -> Option<IpAddr> {
        let local = self
            .0
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Local(ip) => Some(*ip),
                _ => None,
            });
        local.or_else(|| {
            self.0
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    AddressAttribute::Address(ip) => Some(*ip),
                    _ => None,
                })
        })
    }

    /// Index of the interface it was taken from.
    pub(super) fn interface(&self) -> u32 {
        self.0.header.index
    }

    /// Length of the network prefix in bits.
    pub fn prefix_len(&self) -> u8 {
        self.0.header.prefix_len
    }

    /// Whether this is the link-local address the kernel makes again by itself. Kernels before
    /// 5.18 do not say so; there it is known by its making from the MAC address.
    fn is_made_by_kernel(&self, mac: Option<MacAddress>) -> bool {
        let Some(IpAddr::V6(ip)) = self.ip() else {
            return false;
        };
        if self.0.header.scope != AddressScope::Link {
            return false;
        }
        let by_kernel = AddressAttribute::Protocol(AddressProtocol::LinkLocal);
        self.0.attributes.contains(&by_kernel)
            || mac.is_some_and(|mac| ip.octets()[8..] == eui64(mac))
    }

    /// The message that gives the address to interface `index`.
    fn on(&self, index: u32, old_name: &IfName, new_name: &str) -> AddressMessage {
        let mut message = self.0.clone();
        message.header.index = index;
        let flags = self.flags() & !MADE_BY_KERNEL;
        // It was ours a moment ago; looking for duplicates would only keep it unused for a second.
        let flags = match message.header.family {
            AddressFamily::Inet6 => flags | AddressFlags::Nodad,
            _ => flags,
        };
        message.header.flags = AddressHeaderFlags::from_bits_truncate(flags.bits() as u8);
        message
            .attributes
            .retain(|a| !matches!(a, AddressAttribute::Flags(_)));
        for attribute in &mut message.attributes {
            if let AddressAttribute::Label(label) = attribute {
                *label = relabel(label, old_name.as_str(), new_name);
            }
        }
        message.attributes.push(AddressAttribute::Flags(flags));
        message
    }

    fn flags(&self) -> AddressFlags {
        let wide = self
            .0
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Flags(flags) => Some(*flags),
                _ => None,
            });
        wide.unwrap_or(AddressFlags::from_bits_retain(
            self.0.header.flags.bits().into(),
        ))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(ip) => write!(f, "{ip}/{}", self.prefix_len()),
            None => write!(f, "address of family {:?}", self.0.header.family),
        }
    }
}

/// Flags that tell how an address fared, not what it is.
const MADE_BY_KERNEL: AddressFlags = AddressFlags::Secondary
    .union(AddressFlags::Tentative)
    .union(AddressFlags::Dadfailed)
    .union(AddressFlags::Deprecated)
    .union(AddressFlags::Permanent)
    .union(AddressFlags::StablePrivacy);

/// The label of an IPv4 address begins with the interface's name: `eth0:web` follows to `eth1:web`.
fn relabel(label: &str, old_name: &str, new_name: &str) -> String {
    match label.strip_prefix(old_name) {
        Some(rest) => format!("{new_name}{rest}"),
        None => new_name.to_owned(),
    }
}

/// Interface identifier made from a MAC address (RFC 4291 appendix A).
fn eui64(mac: MacAddress) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac.0;
    [a ^ 2, b, c, 0xff, 0xfe, d, e, f]
}

/// A route through an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Record", into = "Record")]
pub struct Route(RouteMessage);

impl Route {
    /// Whether the route leaves by this interface alone and somebody set it. Those the kernel
    /// makes from the addresses come back with the addresses.
    fn leaves_by(&self, index: u32) -> bool {
        let header = &self.0.header;
        let by_kernel = header.protocol == RouteProtocol::Kernel;
        let ours = self.0.attributes.contains(&RouteAttribute::Oif(index));
        let cloned = header.flags.contains(RouteFlags::Cloned);
        let local = self.table() == TABLE_LOCAL
            || matches!(
                header.kind,
                RouteType::Local | RouteType::Broadcast | RouteType::Anycast
            );
        ours && !by_kernel && !local && !cloned
    }

    fn table(&self) -> u32 {
        let wide = self
            .0
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                RouteAttribute::Table(table) => Some(*table),
                _ => None,
            });
        wide.unwrap_or(self.0.header.table.into())
    }

    fn has_gateway(&self) -> bool {
        let through =
            |a: &RouteAttribute| matches!(a, RouteAttribute::Gateway(_) | RouteAttribute::Via(_));
        self.0.attributes.iter().any(through)
    }

    /// The message that lays the route through interface `index`.
    fn on(&self, index: u32) -> RouteMessage {
        let mut message = self.0.clone();
        message.header.flags &= RouteFlags::Onlink;
        let mut expires = None;
        message.attributes.retain_mut(|attribute| match attribute {
            RouteAttribute::Oif(oif) => {
                *oif = index;
                true
            }
            RouteAttribute::CacheInfo(info) => {
                expires = Some(info.expires / USER_HZ).filter(|left| *left > 0);
                false
            }
            // Gone with the old interface; gateway and interface are given beside it.
            RouteAttribute::NhId(_) => false,
            _ => true,
        });
        if let (Some(left), AddressFamily::Inet6) = (expires, message.header.address_family) {
            message.attributes.push(RouteAttribute::Expires(left));
        }
        message
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_destination(f, &self.0)?;
        for attribute in &self.0.attributes {
            match attribute {
                RouteAttribute::Gateway(via) => write!(f, " via {}", Ip(via))?,
                RouteAttribute::Priority(metric) => write!(f, " metric {metric}")?,
                _ => {}
            }
        }
        match self.table() {
            table if table == u32::from(RouteHeader::RT_TABLE_MAIN) => Ok(()),
            table => write!(f, " table {table}"),
        }
    }
}

fn write_destination(f: &mut fmt::Formatter<'_>, route: &RouteMessage) -> fmt::Result {
    let destination = route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(to) => Some(to),
            _ => None,
        });
    match destination {
        Some(to) => write!(f, "{}/{}", Ip(to), route.header.destination_prefix_length),
        None => f.write_str("default"),
    }
}

struct Ip<'a>(&'a RouteAddress);

impl fmt::Display for Ip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RouteAddress::Inet(ip) => ip.fmt(f),
            RouteAddress::Inet6(ip) => ip.fmt(f),
            other => write!(f, "{other:?}"),
        }
    }
}

/// How addresses and routes stand in a state file: a line for people, the message for the kernel.
#[derive(Serialize, Deserialize)]
struct Record {
    text: String,
    netlink: String,
}

impl Record {
    fn new(text: String, message: &impl Emitable) -> Self {
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        let netlink = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, netlink }
    }

    fn message<M: Parseable<[u8]>>(&self) -> Result<M, String> {
        let bytes = unhex(&self.netlink).ok_or("not hexadecimal")?;
        M::parse(&bytes).map_err(|e| e.to_string())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match *pair {
            [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

impl From<Address> for Record {
    fn from(address: Address) -> Self {
        Self::new(address.to_string(), &address.0)
    }
}

impl TryFrom<Record> for Address {
    type Error = String;

    fn try_from(record: Record) -> Result<Self, String> {
        record.message().map(Self)
    }
}

impl From<Route> for Record {
    fn from(route: Route) -> Self {
        Self::new(route.to_string(), &route.0)
    }
}

impl TryFrom<Record> for Route {
    type Error = String;

    fn try_from(record: Record) -> Result<Self, String> {
        record.message().map(Self)
    }
}
