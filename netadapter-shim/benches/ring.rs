//! What the shim itself costs per frame: a port that has frames at once and
//! takes them at once, and a client that returns packets untouched.
//!
//! `cargo bench -p netadapter-shim`
#![allow(missing_docs)]

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netadapter_shim::abi::*;
use netadapter_shim::*;
use vm_memory::Bytes;

const LENGTH: usize = 60;
const ROUND: Duration = Duration::from_millis(300);
const ROUNDS: usize = 7;

/// A UDP datagram over IPv4, as the stack hands it over.
fn datagram() -> [u8; LENGTH] {
    let mut frame = [0; LENGTH];
    frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    frame[17] = 46;
    frame[23] = 17;
    frame
}

/// Sends for ever if told to; counts what it is given.
struct Port {
    sending: bool,
    indicated: Arc<AtomicU64>,
}

impl SystemPort for Port {
    fn open_queues(&mut self, _count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        let indicated = self.indicated.clone();
        Ok(vec![Box::new(Queue {
            sending: self.sending,
            indicated,
            frame: datagram(),
        })])
    }
}

struct Queue {
    sending: bool,
    indicated: Arc<AtomicU64>,
    frame: [u8; LENGTH],
}

impl PortQueue for Queue {
    fn poll_fd(&self) -> Option<RawFd> {
        None
    }

    fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        if !self.sending {
            return Ok(None);
        }
        let _ = buffer.frame().write_slice(&self.frame, 0);
        let partial = NetPacketPartialChecksum::partial(34, 6);
        Ok(Some(TxFrame {
            length: LENGTH,
            partial,
        }))
    }

    fn indicate(&mut self, _frame: &RxFrame<'_>) -> io::Result<()> {
        let count = self.indicated.load(Ordering::Relaxed);
        self.indicated.store(count + 1, Ordering::Relaxed);
        Ok(())
    }
}

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
    let port = Port {
        sending,
        indicated: Arc::default(),
    };
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
    let frames = || {
        let total = adapter.statistics().total();
        total.rx_packets + total.tx_packets
    };
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (start, before) = (Instant::now(), frames());
            std::thread::sleep(ROUND);
            start.elapsed().as_nanos() as f64 / (frames() - before).max(1) as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    adapter.io_stop()?;
    Ok(rounds[ROUNDS / 2])
}

fn main() -> Result<(), AdapterError> {
    println!("tx {:7.1} ns per frame of {LENGTH} bytes", measure(true)?);
    println!("rx {:7.1} ns per frame of {LENGTH} bytes", measure(false)?);
    Ok(())
}
