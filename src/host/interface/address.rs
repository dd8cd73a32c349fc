//! An address, kept as the kernel's own message so that nothing is lost in translation.

use std::fmt;
use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
    AddressScope,
};
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::host::{IfName, MacAddress};

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

    /// Whether it is not known, or not yet known, to be nobody else's.
    pub(in crate::host) fn is_doubtful(&self) -> bool {
        let doubt = AddressFlags::Tentative | AddressFlags::Dadfailed;
        self.flags().intersects(doubt)
    }

    /// Index of the interface it was taken from.
    pub(in crate::host) fn interface(&self) -> u32 {
        self.0.header.index
    }

    /// Length of the network prefix in bits.
    pub fn prefix_len(&self) -> u8 {
        self.0.header.prefix_len
    }

    pub(super) fn new(message: AddressMessage) -> Self {
        Self(message)
    }

    /// Whether this is the link-local address the kernel makes again by itself. Kernels before
    /// 5.18 do not say so; there it is known by its making from the MAC address.
    pub(super) fn is_made_by_kernel(&self, mac: Option<MacAddress>) -> bool {
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
    pub(super) fn on(&self, index: u32, old_name: &IfName, new_name: &str) -> AddressMessage {
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
