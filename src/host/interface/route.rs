//! A route, kept as the kernel's own message so that nothing is lost in translation.

use std::fmt;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteType,
};
use serde::{Deserialize, Serialize};

use super::record::Record;

/// Routing table of local and broadcast addresses; the kernel fills it by itself.
const TABLE_LOCAL: u32 = 255;
/// Ticks a second of the times in `struct rta_cacheinfo`.
const USER_HZ: u32 = 100;

/// A route through an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Record", into = "Record")]
pub struct Route(RouteMessage);

impl Route {
    pub(super) fn new(message: RouteMessage) -> Self {
        Self(message)
    }

    /// Whether the route leaves by this interface alone and somebody set it. Those the kernel
    /// makes from the addresses come back with the addresses.
    pub(super) fn leaves_by(&self, index: u32) -> bool {
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

    pub(super) fn has_gateway(&self) -> bool {
        let through =
            |a: &RouteAttribute| matches!(a, RouteAttribute::Gateway(_) | RouteAttribute::Via(_));
        self.0.attributes.iter().any(through)
    }

    /// The message that lays the route through interface `index`.
    pub(super) fn on(&self, index: u32) -> RouteMessage {
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
