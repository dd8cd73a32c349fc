//! What the shim itself costs per frame: a port that has frames at once and
//! takes them at once, and a client that returns packets untouched.
//!
//! `cargo bench -p netadapter-shim`
#![allow(missing_docs)]

mod stack;

use netadapter_shim::abi::*;
use netadapter_shim::*;
use stack::{LENGTH, Port, median_round};

struct Client {
    direction: Direction,
    receiving: bool,
}

impl PacketQueue for Client {
    fn advance(&mut self, rings: &NetRings<'_>) {
        let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
        let end = packets.end_index();
        if self.direction == Direction::Rx {
            if !self.receiving {
                return;
            }
            let mut index = packets.begin_index();
            while index != end {
                let fragment = rings.fragment(index).with_offset(0);
                rings.set_fragment(index, fragment.with_valid_length(LENGTH as u32));
                rings.set_packet(index, NetPacket::new(index, 1));
                index = packets.increment_index(index);
            }
        }
        packets.set_begin_index(end);
        fragments.set_begin_index(fragments.end_index());
    }

    fn set_notification_enabled(&mut self, _enabled: bool) {}

    fn cancel(&mut self, rings: &NetRings<'_>) {
        let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
        let mut index = packets.begin_index();
        while self.direction == Direction::Rx && index != packets.end_index() {
            rings.ignore_packet(index);
            index = packets.increment_index(index);
        }
        packets.set_begin_index(packets.end_index());
        fragments.set_begin_index(fragments.end_index());
    }
}

struct Driver {
    receiving: bool,
}

impl AdapterEvents for Driver {
    fn create_tx_queue(&mut self, _init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        Ok(Box::new(Client {
            direction: Direction::Tx,
            receiving: false,
        }))
    }

    fn create_rx_queue(&mut self, _init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        Ok(Box::new(Client {
            direction: Direction::Rx,
            receiving: self.receiving,
        }))
    }
}

/// Nanoseconds per frame, the median of some rounds.
fn measure(sending: bool) -> Result<f64, AdapterError> {
    let port = Port::new(sending);
    let config = AdapterConfig {
        verifier: false,
        ..AdapterConfig::default()
    };
    let driver = Driver {
        receiving: !sending,
    };
    let mut adapter = Adapter::new(Box::new(driver), Box::new(port), config)?;
    let rx = RxCapabilities::system_managed(2048, 1);
    adapter.set_datapath_capabilities(TxCapabilities::new(1), rx)?;
    adapter.set_link_layer_capabilities(NetAdapterLinkLayerCapabilities::new(1, 1))?;
    adapter.set_link_layer_mtu_size(1500)?;
    adapter.offload_set_tx_checksum_capabilities(OffloadTxChecksumCapabilities::all())?;
    adapter.start()?;
    adapter.io_start()?;
    let figure = median_round(|| adapter.statistics().total());
    adapter.io_stop()?;
    Ok(figure)
}

fn main() -> Result<(), AdapterError> {
    println!("tx {:7.1} ns per frame of {LENGTH} bytes", measure(true)?);
    println!("rx {:7.1} ns per frame of {LENGTH} bytes", measure(false)?);
    Ok(())
}
