//! One adapter's seat in the system: a TAP that appears when the adapter is started.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::{info, warn};
use netadapter_shim::abi::NetAdapterLinkLayerAddress;
use netadapter_shim::os::tap::{Tap, TapConfig};
use netadapter_shim::{Interface, PortOffloads, PortQueue, SystemPort};

use crate::host::interface::{Interfaces, Link};
use crate::host::{HostError, IfName, MacAddress};

/// What is known of an adapter's interface, shared with the control thread.
#[derive(Clone, Default)]
pub(super) struct Seat {
    /// The interface's name, once it is there.
    pub(super) name: Option<IfName>,
    /// Its number in the namespace it was made in.
    pub(super) index: u32,
    /// The adapter's address, if it has one of six bytes.
    pub(super) mac: Option<MacAddress>,
    /// The adapter's MTU.
    pub(super) mtu: u32,
    /// Whether the adapter is started and its link up.
    pub(super) link_up: bool,
    /// The interface of an adapter that is gone, for the one that takes its place: it keeps its
    /// addresses, routes and connections.
    spare: Arc<Mutex<Option<Tap>>>,
}

impl Seat {
    /// Nobody takes the adapter's place: its interface goes.
    pub(super) fn leave(&mut self) {
        let spare = Arc::clone(&self.spare);
        if lock(&spare).take().is_some() {
            self.name = None;
            self.index = 0;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain values, whole whoever panicked while holding the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A [`Seat`] and whoever looks at it.
pub(super) type SharedSeat = Arc<Mutex<Seat>>;

pub(super) fn look(seat: &SharedSeat) -> MutexGuard<'_, Seat> {
    lock(seat)
}

/// How interfaces are named: as wished, in the order in which adapters are created.
#[derive(Clone)]
pub(super) struct Names(pub(super) Vec<IfName>);

impl Names {
    /// The name wished for this adapter, or the first of `umnet0`, `umnet1` .. that nobody has
    /// or wishes for.
    fn of(&self, adapter: usize, taken: &[String]) -> Option<IfName> {
        if let Some(name) = self.0.get(adapter) {
            return Some(name.clone());
        }
        let free = |name: &IfName| {
            let wished = self.0.contains(name);
            !wished && !taken.iter().any(|other| other == name.as_str())
        };
        (0..u32::MAX)
            .filter_map(|number| format!("umnet{number}").parse().ok())
            .find(free)
    }
}

/// The port of one adapter.
pub(super) struct ClientPort {
    adapter: usize,
    names: Names,
    queues: usize,
    tap: Option<Tap>,
    seat: SharedSeat,
}

impl ClientPort {
    pub(super) fn new(adapter: usize, names: Names, queues: usize, seat: SharedSeat) -> Self {
        Self {
            adapter,
            names,
            queues,
            tap: None,
            seat,
        }
    }

    fn make(&mut self) -> io::Result<(Tap, IfName)> {
        let (name, spare) = {
            let seat = look(&self.seat);
            (seat.name.clone(), Arc::clone(&seat.spare))
        };
        let kept = lock(&spare).take();
        if let (Some(tap), Some(name)) = (kept, name) {
            return Ok((tap, name));
        }
        let links = Interfaces::open().and_then(|mut interfaces| interfaces.list());
        let links = links.map_err(io::Error::other)?;
        let taken: Vec<_> = links.into_iter().map(|link| link.name).collect();
        let name = self.names.of(self.adapter, &taken);
        let name = name.ok_or_else(|| io::Error::other("no interface name is free"))?;
        let config = TapConfig {
            queues: self.queues,
            ..TapConfig::new(name.as_str())
        };
        let tap = Tap::open(&config).map_err(io::Error::other)?;
        Ok((tap, name))
    }

    /// Gives the interface the adapter's address and MTU, and switches it on.
    fn dress(&self, link: &Link, interface: &Interface) -> Result<(), HostError> {
        let mut interfaces = Interfaces::open()?;
        if let Some(mac) = ethernet(&interface.current_address) {
            interfaces.set_mac(link.index, mac)?;
        }
        interfaces.set_mtu(link.index, interface.mtu)?;
        interfaces.set_up(link.index, true)
    }

    /// Does something to the interface. One that was moved to another namespace keeps what it
    /// has: the client's change is not worth its life.
    fn follow(
        &self,
        what: &str,
        change: impl FnOnce(&mut Interfaces, u32) -> Result<(), HostError>,
    ) {
        let (name, index) = {
            let seat = look(&self.seat);
            (seat.name.clone(), seat.index)
        };
        let Some(name) = name else { return };
        let done = Interfaces::open().and_then(|mut interfaces| change(&mut interfaces, index));
        if let Err(error) = done {
            warn!("{name}: the interface does not follow the adapter's {what}: {error}");
        }
    }
}

impl Drop for ClientPort {
    fn drop(&mut self) {
        let Some(mut tap) = self.tap.take() else {
            return;
        };
        // An interface without a driver has no carrier; one that is gone has none either.
        let _ = tap.set_link_state(false);
        let mut seat = look(&self.seat);
        seat.link_up = false;
        *lock(&Arc::clone(&seat.spare)) = Some(tap);
    }
}

impl SystemPort for ClientPort {
    fn open(&mut self, interface: &Interface) -> io::Result<()> {
        {
            let mut seat = look(&self.seat);
            seat.mac = ethernet(&interface.current_address);
            seat.mtu = interface.mtu;
        }
        if self.tap.is_some() {
            return Ok(());
        }
        let (tap, name) = self.make()?;
        let link = find(&name)?;
        self.dress(&link, interface).map_err(io::Error::other)?;
        info!("adapter {}: interface {name}", self.adapter);
        let mut seat = look(&self.seat);
        seat.mac = seat.mac.or(link.mac);
        seat.name = Some(name);
        seat.index = link.index;
        self.tap = Some(tap);
        Ok(())
    }

    fn max_queues(&self) -> usize {
        self.tap.as_ref().map_or(self.queues, Tap::max_queues)
    }

    fn rx_offloads(&self) -> PortOffloads {
        self.tap.as_ref().map(Tap::rx_offloads).unwrap_or_default()
    }

    fn tx_offloads(&self) -> PortOffloads {
        self.tap.as_ref().map(Tap::tx_offloads).unwrap_or_default()
    }

    fn set_tx_offloads(&mut self, offloads: PortOffloads) -> io::Result<()> {
        self.tap
            .as_mut()
            .map_or(Ok(()), |tap| tap.set_tx_offloads(offloads))
    }

    fn open_queues(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        let tap = self.tap.as_mut();
        tap.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?
            .open_queues(count)
    }

    fn open_indicators(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        let tap = self.tap.as_mut();
        tap.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?
            .open_indicators(count)
    }

    fn set_link_state(&mut self, up: bool) -> io::Result<()> {
        look(&self.seat).link_up = up;
        self.tap
            .as_mut()
            .map_or(Ok(()), |tap| tap.set_link_state(up))
    }

    fn set_mtu(&mut self, mtu: u32) -> io::Result<()> {
        look(&self.seat).mtu = mtu;
        self.follow("MTU", |interfaces, index| interfaces.set_mtu(index, mtu));
        Ok(())
    }

    fn set_address(&mut self, address: &[u8]) -> io::Result<()> {
        if let Some(mac) = six_bytes(address) {
            look(&self.seat).mac = Some(mac);
            self.follow("address", |interfaces, index| {
                interfaces.set_mac(index, mac)
            });
        }
        Ok(())
    }
}

fn find(name: &IfName) -> io::Result<Link> {
    let found = Interfaces::open().and_then(|mut interfaces| interfaces.find(name.as_str()));
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    found.map_err(io::Error::other)?.ok_or_else(missing)
}

fn ethernet(address: &NetAdapterLinkLayerAddress) -> Option<MacAddress> {
    six_bytes(address.address.get(..usize::from(address.length))?)
}

/// An Ethernet address; longer and shorter ones do not fit an interface.
fn six_bytes(address: &[u8]) -> Option<MacAddress> {
    address.try_into().ok().map(MacAddress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wished_names_are_given_in_order_and_kept_from_the_others() {
        let wished = ["wire0", "umnet0"].map(|name| name.parse().unwrap());
        let names = Names(wished.to_vec());
        let taken = ["umnet1".to_owned()];
        let name = |adapter| names.of(adapter, &taken).unwrap().to_string();
        assert_eq!([name(0), name(1), name(2)], ["wire0", "umnet0", "umnet2"]);
    }

    #[test]
    fn only_addresses_of_six_bytes_reach_an_interface() {
        let mut address = NetAdapterLinkLayerAddress::default();
        assert_eq!(ethernet(&address), None);
        address.length = 6;
        address.address[0] = 2;
        assert_eq!(ethernet(&address), Some(MacAddress([2, 0, 0, 0, 0, 0])));
        address.length = 8;
        assert_eq!(ethernet(&address), None);
    }
}
