//! One adapter's way to the system: frames go through descriptors of its own, everything else is
//! asked for.

use std::io;

use netadapter_shim::abi::NetAdapterLinkLayerAddress;
use netadapter_shim::os::tap::Tap;
use netadapter_shim::{Interface, PortOffloads, PortQueue, SystemPort};

use super::ground::{Leaving, Vacated, vacate};
use crate::channel::{AdapterWish, Answer, Ask, ClientAsk, SharedLine};

/// Queues of an adapter's interface. Further receive queues of the adapter share it.
const QUEUES: usize = 1;

/// A TAP whose interface belongs to the supervisor, once the adapter is started.
pub(super) struct ClientPort {
    adapter: usize,
    line: SharedLine,
    leaving: Leaving,
    vacated: Vacated,
    tap: Option<Tap>,
}

impl ClientPort {
    pub(super) fn new(
        adapter: usize,
        line: SharedLine,
        leaving: Leaving,
        vacated: Vacated,
    ) -> Self {
        Self {
            adapter,
            line,
            leaving,
            vacated,
            tap: None,
        }
    }

    fn ask(&self, ask: ClientAsk) -> io::Result<()> {
        match self.tap {
            Some(_) => self.line.have_done(Ask::Client(ask)),
            None => Ok(()),
        }
    }
}

impl Drop for ClientPort {
    fn drop(&mut self) {
        if self.tap.is_none() || self.leaving.has_begun() {
            return;
        }
        // An interface without a driver has no carrier.
        let _ = self.set_link_state(false);
        vacate(&self.vacated, self.adapter);
    }
}

impl SystemPort for ClientPort {
    fn open(&mut self, interface: &Interface) -> io::Result<()> {
        let ask = ClientAsk::Interface(AdapterWish {
            adapter: self.adapter,
            mac: ethernet(&interface.current_address),
            mtu: interface.mtu,
            queues: QUEUES,
        });
        let (answer, fds) = self.line.lock().ask(Ask::Client(ask))?;
        let Answer::Port(port) = answer else {
            let text = format!("asked for an interface and got {answer:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        if fds.len() != port.queues || fds.is_empty() {
            let text = format!("{} queues came, not {}", fds.len(), port.queues);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.tap = Some(Tap::attached(&port.name, fds, port.uso));
        Ok(())
    }

    fn max_queues(&self) -> usize {
        self.tap.as_ref().map_or(QUEUES, Tap::max_queues)
    }

    fn rx_offloads(&self) -> PortOffloads {
        self.tap.as_ref().map(Tap::rx_offloads).unwrap_or_default()
    }

    fn tx_offloads(&self) -> PortOffloads {
        self.tap.as_ref().map(Tap::tx_offloads).unwrap_or_default()
    }

    fn set_tx_offloads(&mut self, offloads: PortOffloads) -> io::Result<()> {
        self.ask(ClientAsk::Offloads {
            adapter: self.adapter,
            offloads: offloads.into(),
        })
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
        if self.leaving.has_begun() {
            return Ok(());
        }
        self.ask(ClientAsk::Carrier {
            adapter: self.adapter,
            up,
        })
    }

    fn set_mtu(&mut self, mtu: u32) -> io::Result<()> {
        self.ask(ClientAsk::Mtu {
            adapter: self.adapter,
            mtu,
        })
    }

    fn set_address(&mut self, address: &[u8]) -> io::Result<()> {
        match six_bytes(address) {
            Some(mac) => self.ask(ClientAsk::Address {
                adapter: self.adapter,
                mac,
            }),
            None => Ok(()),
        }
    }
}

fn ethernet(address: &NetAdapterLinkLayerAddress) -> Option<[u8; 6]> {
    six_bytes(address.address.get(..usize::from(address.length))?)
}

/// An Ethernet address; longer and shorter ones do not fit an interface.
fn six_bytes(address: &[u8]) -> Option<[u8; 6]> {
    address.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_six_bytes_reach_an_interface() {
        let mut address = NetAdapterLinkLayerAddress::default();
        assert_eq!(ethernet(&address), None);
        address.length = 6;
        address.address[0] = 2;
        assert_eq!(ethernet(&address), Some([2, 0, 0, 0, 0, 0]));
        address.length = 8;
        assert_eq!(ethernet(&address), None);
    }
}
