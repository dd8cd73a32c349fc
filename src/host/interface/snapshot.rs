//! All an interface carries, taken from one and given to another.
//!
//! Only what belongs to the old interface (its number, counters, flags that the kernel sets
//! itself) is changed before addresses and routes are handed back.

use std::fmt;
use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkFlags;
use serde::{Deserialize, Serialize};

use super::{Address, Interfaces, Link, Route, failed};
use crate::host::{HostError, IfName, MacAddress};

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
        let link = self.find(name.as_str())?;
        link.map(|link| self.snapshot_as(&link, name)).transpose()
    }

    /// Everything that interface `index` carries, whatever it is called by now; in the snapshot
    /// it is called `name`. `None` if there is no such interface.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`].
    pub fn snapshot_at(
        &mut self,
        index: u32,
        name: &IfName,
    ) -> Result<Option<InterfaceSnapshot>, HostError> {
        let link = self.get(index)?;
        link.map(|link| self.snapshot_as(&link, name)).transpose()
    }

    fn snapshot_as(&mut self, link: &Link, name: &IfName) -> Result<InterfaceSnapshot, HostError> {
        let master = match link.master {
            Some(index) => self.get(index)?.map(|master| master.name),
            None => None,
        };
        Ok(InterfaceSnapshot {
            name: name.clone(),
            mac: link.mac,
            mtu: link.mtu,
            up: link.up,
            promisc: link.promisc_flag,
            allmulti: link.allmulti_flag,
            tx_queue_len: link.tx_queue_len,
            master,
            addresses: self.addresses_of(link)?,
            routes: self.routes_of(link)?,
        })
    }

    pub(in crate::host) fn addresses(&mut self) -> Result<Vec<Address>, HostError> {
        let answers = self
            .netlink
            .dump(Message::GetAddress(AddressMessage::default()))
            .map_err(failed("list addresses"))?;
        let addresses = answers.into_iter().filter_map(|answer| match answer {
            Message::NewAddress(message) => Some(Address::new(message)),
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
        let routes = self.routes()?.into_iter().map(Route::new);
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
        self.apply_as(index, &snapshot.name, snapshot)
    }

    /// As [`Self::apply`], but under another name.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    pub fn apply_as(
        &mut self,
        index: u32,
        name: &IfName,
        snapshot: &InterfaceSnapshot,
    ) -> Result<usize, HostError> {
        self.apply_name(index, name.as_str())?;
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
