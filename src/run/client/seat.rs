//! One adapter's seat in the system: an interface that outlives the client host.

use std::os::fd::OwnedFd;

use log::{info, warn};
use netadapter_shim::SystemPort;
use netadapter_shim::os::tap::{Tap, TapConfig};
use serde::{Deserialize, Serialize};

use super::filter::filter_of;
use crate::channel::{AdapterWish, Filter, PortSetup};
use crate::config::MTU;
use crate::host::interface::{Interfaces, Link};
use crate::host::watch::{LinkEvent, LinkWatch};
use crate::host::{HostError, IfName, MacAddress};
use crate::run::handover::port_setup;

/// An interface, as it was last seen, and what the adapter wants of it.
pub(super) struct Seat {
    pub(super) tap: Tap,
    pub(super) name: IfName,
    pub(super) watch: LinkWatch,
    link: Link,
    /// Whether it is still in the namespace it was made in.
    here: bool,
    /// The adapter's address, if it has an Ethernet one.
    pub(super) mac: Option<MacAddress>,
    /// The adapter's MTU.
    pub(super) mtu: u32,
    /// Whether the adapter is started and its link up.
    pub(super) link_up: bool,
    /// Whether one host has left it and the next has not started yet: it keeps its carrier then.
    pub(super) changes_hands: bool,
    /// What the client was told last.
    pub(super) told: Option<Filter>,
    /// Whether somebody waits for what is watched.
    pub(super) is_watched: bool,
}

/// What another program has to know of a seat.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptSeat {
    /// Its queues are the seat's descriptors.
    pub(super) port: PortSetup,
    name: IfName,
    link: Link,
    here: bool,
    mac: Option<MacAddress>,
    mtu: u32,
    link_up: bool,
    changes_hands: bool,
    told: Option<Filter>,
}

/// Whether an interface can have this address.
pub(super) fn check_mac(mac: [u8; 6]) -> Result<MacAddress, String> {
    let mac = MacAddress(mac);
    match mac.0[0] & 1 == 0 && mac.0 != [0; 6] {
        true => Ok(mac),
        false => Err(format!("{mac} is no address of an interface")),
    }
}

/// Whether an interface can have this MTU.
pub(super) fn check_mtu(mtu: u32) -> Result<u32, String> {
    match MTU.allows(mtu.into()) {
        true => Ok(mtu),
        false => Err(format!("MTU {mtu}: allowed is {MTU}")),
    }
}

impl Seat {
    /// A new interface, with the adapter's address and MTU, switched on.
    pub(super) fn make(wish: &AdapterWish, name: IfName) -> Result<Self, String> {
        let config = TapConfig {
            queues: wish.queues,
            ..TapConfig::new(name.as_str())
        };
        let tap = Tap::open(&config).map_err(|error| error.to_string())?;
        let dressed = dress(wish, &name).map_err(|error| error.to_string())?;
        let (link, watch) = dressed.ok_or_else(|| format!("{name} was removed at once"))?;
        info!("adapter {}: interface {name}", wish.adapter);
        Ok(Self {
            tap,
            name,
            watch,
            here: true,
            mac: wish.mac.map(MacAddress).or(link.mac),
            link,
            mtu: wish.mtu,
            link_up: false,
            changes_hands: false,
            told: None,
            is_watched: false,
        })
    }

    /// What another program needs to go on with it, beside its queues.
    pub(super) fn keep(&self) -> KeptSeat {
        KeptSeat {
            port: port_setup(&self.tap),
            name: self.name.clone(),
            link: self.link.clone(),
            here: self.here,
            mac: self.mac,
            mtu: self.mtu,
            link_up: self.link_up,
            changes_hands: self.changes_hands,
            told: self.told.clone(),
        }
    }

    /// From what another program has kept.
    pub(super) fn resume(kept: KeptSeat, queues: Vec<OwnedFd>) -> Result<Self, HostError> {
        let watch = LinkWatch::new(kept.link.index)?;
        // What has happened to it while nobody watched.
        let now = match kept.here {
            true => Interfaces::open()?.get(kept.link.index)?,
            false => None,
        };
        Ok(Self {
            tap: Tap::attached(&kept.port.name, queues, kept.port.uso),
            name: kept.name,
            watch,
            here: now.is_some(),
            link: now.unwrap_or(kept.link),
            mac: kept.mac,
            mtu: kept.mtu,
            link_up: kept.link_up,
            changes_hands: kept.changes_hands,
            told: kept.told,
            is_watched: false,
        })
    }

    /// The adapter that takes the place of another one wants it like this. What that one wanted too
    /// stays as it is: somebody may have changed the interface.
    pub(super) fn take(&mut self, wish: &AdapterWish) {
        if wish.mtu != self.mtu {
            self.set_mtu(wish.mtu);
        }
        if let Some(mac) = wish
            .mac
            .map(MacAddress)
            .filter(|mac| self.mac != Some(*mac))
        {
            self.set_mac(mac);
        }
    }

    pub(super) fn set_mtu(&mut self, mtu: u32) {
        self.mtu = mtu;
        self.follow("MTU", |interfaces, index| interfaces.set_mtu(index, mtu));
    }

    pub(super) fn set_mac(&mut self, mac: MacAddress) {
        self.mac = Some(mac);
        self.follow("address", |interfaces, index| {
            interfaces.set_mac(index, mac)
        });
    }

    /// Does something to the interface. One that was moved to another namespace keeps what it
    /// has: the client's change is not worth its life.
    fn follow(
        &self,
        what: &str,
        change: impl FnOnce(&mut Interfaces, u32) -> Result<(), HostError>,
    ) {
        let index = self.link.index;
        let done = Interfaces::open().and_then(|mut interfaces| change(&mut interfaces, index));
        if let Err(error) = done {
            let name = &self.name;
            warn!("{name}: the interface does not follow the adapter's {what}: {error}");
        }
    }

    /// The adapter's link is up or down now.
    pub(super) fn set_link(&mut self, up: bool) {
        self.link_up = up;
        if up || !self.changes_hands {
            self.show_carrier();
        }
    }

    /// Shows the carrier that the adapter has.
    pub(super) fn show_carrier(&mut self) {
        if let Err(error) = self.tap.set_link_state(self.link_up) {
            warn!("{}: {error}", self.name);
        }
    }

    /// Something has happened to the interface.
    pub(super) fn changed(&mut self) -> Result<(), HostError> {
        while let Some(event) = self.watch.next_event()? {
            match event {
                LinkEvent::Changed(link) => self.link = link,
                LinkEvent::Removed => {
                    info!(
                        "{}: moved to another network namespace, or removed by somebody else",
                        self.name
                    );
                    self.here = false;
                }
            }
        }
        Ok(())
    }

    /// What the interface wants received, if the client was told otherwise.
    pub(super) fn new_filter(&mut self, adapter: usize, groups: Option<&str>) -> Option<Filter> {
        let groups = groups.filter(|_| self.here);
        let wanted = filter_of(adapter, &self.link, groups);
        if self.told.as_ref() == Some(&wanted) {
            return None;
        }
        self.told = Some(wanted.clone());
        Some(wanted)
    }
}

/// Gives a new interface what the adapter has. Nothing, if it is there no longer.
fn dress(wish: &AdapterWish, name: &IfName) -> Result<Option<(Link, LinkWatch)>, HostError> {
    let mut interfaces = Interfaces::open()?;
    let Some(link) = interfaces.find(name.as_str())? else {
        return Ok(None);
    };
    let watch = LinkWatch::new(link.index)?;
    if let Some(mac) = wish.mac {
        interfaces.set_mac(link.index, MacAddress(mac))?;
    }
    interfaces.set_mtu(link.index, wish.mtu)?;
    interfaces.set_up(link.index, true)?;
    let link = interfaces.get(link.index)?;
    Ok(link.map(|link| (link, watch)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_interface_can_have_is_refused() {
        assert!(check_mac([2, 0, 0, 0, 0, 1]).is_ok());
        for wrong in [[0; 6], [1, 0, 0, 0, 0, 1], [0xff; 6]] {
            assert!(check_mac(wrong).is_err(), "{wrong:?}");
        }
        assert!(check_mtu(68).is_ok() && check_mtu(65_521).is_ok());
        for wrong in [0, 67, 65_522, u32::MAX] {
            assert!(check_mtu(wrong).is_err(), "{wrong}");
        }
    }
}
