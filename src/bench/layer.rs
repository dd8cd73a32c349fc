//! The layers of the driver one by one, without the copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use netadapter_shim::abi::{
    NetAdapterLinkLayerCapabilities, NetOffloadLayer3Flags as L3, NetOffloadLayer4Flags as L4,
    NetPacket, NtStatus,
};
use netadapter_shim::{
    Adapter, AdapterConfig, AdapterEvents, NetRings, Notifier, OffloadGsoCapabilities,
    OffloadTxChecksumCapabilities, PacketQueue, QueueInit, RxCapabilities, TxCapabilities,
};
use virtio::net::VirtioNetHdr;

use crate::card::{Card, CardConfig, PairParts};
use crate::rx_queue::RINGS_A_ROUND;
use crate::slots::FreeSlots;
use crate::tx_queue::{CACHED_BYTES, LOW_WATER};

use super::BenchError;
use super::case::{Case, Direction};
use super::clock::Stopwatch;
use super::contender::Contender;
use super::device::{Device, IndexOnly};
use super::frames::Frame;
use super::port::Seat;
use super::tally::Tally;

/// Buffers that a turn of the driver sends at once.
const BATCH: u64 = 63;

/// The virtqueue alone: buffers are added, shown, and taken back. Nothing is copied.
pub(super) struct QueueLeg {
    case: Case,
    // Before the card, whose memory they use.
    pair: PairParts,
    free: FreeSlots,
    device: Device,
    buffers_per_frame: u64,
    _card: Card,
}

impl QueueLeg {
    /// Starts the device.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn new(case: Case) -> Result<Self, BenchError> {
        let (transport, device) = IndexOnly::new(Frame::new(case.len))?;
        let mut card = Card::new(Box::new(transport), CardConfig::default())?;
        let pair = card.start()?.pairs.swap_remove(0);
        let buffer = pair.rx.slots.shape().layout().parts[0].len as usize;
        let buffers_per_frame = (VirtioNetHdr::SIZE + case.len).div_ceil(buffer) as u64;
        Ok(Self {
            case,
            free: FreeSlots::all(pair.tx.queue.slot_count()),
            buffers_per_frame,
            pair,
            device,
            _card: card,
        })
    }

    /// As the receive queue does it, but for the frames.
    fn receive(&mut self, frames: u64) -> Result<(), BenchError> {
        self.device.give(frames);
        let rx = &mut self.pair.rx;
        let mut left = frames * self.buffers_per_frame;
        while left > 0 {
            let before = left;
            while let Some(used) = rx.queue.pop_used()? {
                rx.queue.add(used.slot);
                left -= 1;
            }
            rx.queue.publish();
            if left == before || rx.queue.unkicked_count() >= rx.queue.slot_count() / RINGS_A_ROUND
            {
                rx.queue.kick_if_needed(rx.doorbell.as_ref());
            }
        }
        Ok(())
    }

    /// As the transmit queue does it, but for the frames.
    fn transmit(&mut self, frames: u64) -> Result<(), BenchError> {
        let tx = &mut self.pair.tx;
        let (mut left, mut unlooked) = (frames, 0);
        while left > 0 {
            if self.free.len() < LOW_WATER || unlooked >= CACHED_BYTES {
                unlooked = 0;
                while let Some(used) = tx.queue.pop_used()? {
                    self.free.give_back(used.slot);
                }
            }
            for _ in 0..left.min(BATCH) {
                let Some(slot) = self.free.take() else { break };
                tx.queue.add_with_len(slot, self.case.len as u32);
                left -= 1;
                unlooked += self.case.len as u64;
            }
            tx.queue.publish();
            tx.queue.kick_if_needed(tx.doorbell.as_ref());
        }
        Ok(())
    }
}

impl Contender for QueueLeg {
    fn run(&mut self, frames: u64) -> Result<Duration, BenchError> {
        let watch = Stopwatch::start();
        match self.case.direction {
            Direction::Rx => self.receive(frames)?,
            Direction::Tx => self.transmit(frames)?,
        }
        Ok(watch.elapsed())
    }
}

/// The rings alone: the shipped framework between the port and a client that gives packets back
/// untouched. Nothing is copied, and there is no device.
pub(super) struct RingLeg {
    case: Case,
    _adapter: Adapter,
    seat: Seat,
    client: Arc<Share>,
    received: Arc<Tally>,
}

/// What the untouching client and the program share.
#[derive(Default)]
struct Share {
    /// Frames to be received.
    due: AtomicU64,
    sent: Tally,
    len: u32,
}

impl RingLeg {
    /// Starts the adapter.
    ///
    /// # Errors
    /// What the framework says.
    pub(super) fn new(case: Case) -> Result<Self, BenchError> {
        let received = Arc::<Tally>::default();
        let seat = Seat::new(Frame::new(case.len), Arc::clone(&received))?;
        let client = Arc::new(Share {
            len: case.len as u32,
            ..Share::default()
        });
        let events = Box::new(Untouched(Arc::clone(&client)));
        let config = AdapterConfig {
            layout_of_plain_frames: false, // as the driver has it
            ..AdapterConfig::default()
        };
        let mut adapter = Adapter::new(events, seat.port(), config)?;
        let capacity = virtio::spec::net::MAX_LARGE_FRAME;
        let rx = RxCapabilities::system_managed(capacity, 1);
        adapter.set_datapath_capabilities(TxCapabilities::new(1), rx)?;
        adapter.set_link_layer_capabilities(NetAdapterLinkLayerCapabilities::new(1, 1))?;
        adapter.set_link_layer_mtu_size(1500)?;
        adapter.offload_set_tx_checksum_capabilities(OffloadTxChecksumCapabilities::all())?;
        let ipv4 = L3::IPV4_NO_OPTIONS;
        let tcp = L4::TCP_NO_OPTIONS | L4::TCP_WITH_OPTIONS;
        adapter.offload_set_gso_capabilities(OffloadGsoCapabilities::new(ipv4, tcp))?;
        adapter.start()?;
        adapter.io_start()?;
        Ok(Self {
            case,
            _adapter: adapter,
            seat,
            client,
            received,
        })
    }
}

impl Contender for RingLeg {
    fn run(&mut self, frames: u64) -> Result<Duration, BenchError> {
        match self.case.direction {
            Direction::Tx => self.client.sent.time(frames, || self.seat.send(frames)),
            Direction::Rx => self.received.time(frames, || {
                self.client.due.fetch_add(frames, Ordering::Release);
                self.seat.wake();
            }),
        }
    }
}

struct Untouched(Arc<Share>);

impl AdapterEvents for Untouched {
    fn create_tx_queue(&mut self, _init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        Ok(Box::new(Tx(Arc::clone(&self.0))))
    }

    fn create_rx_queue(&mut self, init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        Ok(Box::new(Rx {
            share: Arc::clone(&self.0),
            notifier: init.notifier(),
        }))
    }
}

struct Tx(Arc<Share>);

impl PacketQueue for Tx {
    fn advance(&mut self, rings: &NetRings<'_>) {
        let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
        let (begin, end) = (packets.begin_index(), packets.end_index());
        self.0.sent.add(packets.range_count(begin, end).into());
        packets.set_begin_index(end);
        fragments.set_begin_index(fragments.end_index());
    }

    fn set_notification_enabled(&mut self, _enabled: bool) {}

    fn cancel(&mut self, rings: &NetRings<'_>) {
        for ring in [rings.packet_ring(), rings.fragment_ring()] {
            ring.set_begin_index(ring.end_index());
        }
    }
}

struct Rx {
    share: Arc<Share>,
    notifier: Notifier,
}

impl PacketQueue for Rx {
    fn advance(&mut self, rings: &NetRings<'_>) {
        let due = self.share.due.load(Ordering::Acquire);
        let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
        let (mut index, end) = (packets.begin_index(), packets.end_index());
        let mut given = 0;
        while index != end && given < due {
            let fragment = rings.fragment(index).with_offset(0);
            rings.set_fragment(index, fragment.with_valid_length(self.share.len));
            rings.set_packet(index, NetPacket::new(index, 1));
            index = packets.increment_index(index);
            given += 1;
        }
        packets.set_begin_index(index);
        fragments.set_begin_index(index);
        self.share.due.fetch_sub(given, Ordering::AcqRel);
    }

    fn set_notification_enabled(&mut self, _enabled: bool) {
        if self.share.due.load(Ordering::Acquire) > 0 {
            self.notifier.notify();
        }
    }

    fn cancel(&mut self, rings: &NetRings<'_>) {
        let packets = rings.packet_ring();
        let mut index = packets.begin_index();
        while index != packets.end_index() {
            rings.ignore_packet(index);
            index = packets.increment_index(index);
        }
        for ring in [packets, rings.fragment_ring()] {
            ring.set_begin_index(ring.end_index());
        }
    }
}
