//! A client driver over a device that is two queues in memory, and the adapter
//! around it.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses its part

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netadapter_shim::abi::*;
use netadapter_shim::os::loopback::{LoopbackSeat, loopback};
use netadapter_shim::*;
use vm_memory::Bytes;
use vmm_sys_util::eventfd::EventFd;

pub const PATIENCE: Duration = Duration::from_secs(10);

/// A frame the client gave to its device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub bytes: Vec<u8>,
    pub layout: NetPacketLayout,
    pub checksum: NetPacketChecksum,
    pub mss: u32,
    pub partial: NetPacketPartialChecksum,
}

/// A frame the device has for the client, in one or several buffers.
#[derive(Clone, Debug, Default)]
pub struct Arriving {
    pub pieces: Vec<Vec<u8>>,
    pub offset: u32,
    pub checksum: NetPacketChecksum,
    pub rsc: NetPacketRsc,
    pub partial: NetPacketPartialChecksum,
    pub ignore: bool,
}

impl Arriving {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            pieces: vec![bytes],
            ..Self::default()
        }
    }
}

/// The device, and levers to make its driver misbehave.
#[derive(Default)]
pub struct Device {
    pub sent: Mutex<Vec<Sent>>,
    pub arriving: Mutex<VecDeque<Arriving>>,
    /// Tx packets stay with the client until this is false again.
    pub hold_tx: AtomicBool,
    /// Rx buffers are not given back on Cancel.
    pub withhold_rx: AtomicBool,
    pub stick_in_advance: AtomicBool,
    pub panic_in_advance: AtomicBool,
    /// Moves BeginIndex of Tx beyond EndIndex.
    pub break_begin: AtomicBool,
    /// Returns Rx packets without writing them.
    pub return_unwritten: AtomicBool,
    /// Refuses to create the queue of this id (plus one; 0 is none).
    pub refuse_queue: AtomicU32,
    /// The driver wants to hear of the next arrival.
    pub armed: AtomicBool,
    pub tick_wanted: AtomicBool,
    pub calls: Mutex<Vec<String>>,
    pub notifiers: Mutex<Vec<Notifier>>,
    pub interrupt: Mutex<Option<Arc<EventFd>>>,
    /// The device at the other end of the wire, if there is one.
    pub wire: Mutex<Option<Arc<Device>>>,
    /// Bytes of the largest frame sent over the wire.
    pub largest: Mutex<usize>,
    pub filters: Mutex<Vec<ReceiveFilter>>,
    pub offloads: Mutex<Option<ActiveOffloads>>,
}

impl Device {
    pub fn note(&self, call: impl Into<String>) {
        self.calls.lock().unwrap().push(call.into());
    }

    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub fn notify(&self) {
        for notifier in self.notifiers.lock().unwrap().iter() {
            notifier.notify();
        }
    }

    /// Keeps a frame, or hands it to the other end of the wire: as a virtio
    /// device would, whose large frames count their length in the checksum.
    fn send(&self, mut sent: Sent) {
        let wire = self.wire.lock().unwrap().clone();
        let Some(peer) = wire else {
            return self.sent.lock().unwrap().push(sent);
        };
        let start = usize::from(sent.partial.checksum_start);
        let field = start + usize::from(sent.partial.checksum_offset);
        if sent.mss > 0 {
            let bare = u16::from_be_bytes([sent.bytes[field], sent.bytes[field + 1]]);
            let sum = pseudo_sum_with_length(bare, sent.bytes.len() - start);
            sent.bytes[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        }
        let mut largest = self.largest.lock().unwrap();
        *largest = sent.bytes.len().max(*largest);
        drop(largest);
        peer.arrive(Arriving {
            partial: sent.partial,
            ..Arriving::new(sent.bytes)
        });
    }

    /// A frame arrives; the driver is told.
    pub fn arrive(&self, frame: Arriving) {
        self.arriving.lock().unwrap().push_back(frame);
        // A device signals once after it was asked to, as virtio devices do.
        if self.armed.swap(false, Ordering::SeqCst) {
            self.notify();
        }
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

pub struct FakeTx {
    device: Arc<Device>,
    id: u32,
}

impl PacketQueue for FakeTx {
    fn start(&mut self, rings: &NetRings<'_>) {
        let ring = rings.packet_ring();
        assert_eq!(
            (ring.begin_index(), ring.next_index(), ring.end_index()),
            (0, 0, 0)
        );
        self.device.note(format!("start tx{}", self.id));
    }

    fn advance(&mut self, rings: &NetRings<'_>) {
        let ring = rings.packet_ring();
        assert_ne!(
            ring.begin_index(),
            ring.end_index(),
            "Advance only with packets"
        );
        let mut index = ring.next_index();
        while index != ring.end_index() {
            self.device.send(read_packet(rings, index));
            index = ring.increment_index(index);
        }
        ring.set_next_index(index);
        if self.device.break_begin.load(Ordering::SeqCst) {
            ring.set_begin_index(ring.increment_index(index));
            return;
        }
        if !self.device.hold_tx.load(Ordering::SeqCst) {
            ring.set_begin_index(index);
            let fragments = rings.fragment_ring();
            fragments.set_begin_index(fragments.end_index());
        }
    }

    fn set_notification_enabled(&mut self, enabled: bool) {
        assert!(enabled, "FALSE is never sent");
    }

    fn cancel(&mut self, _rings: &NetRings<'_>) {
        self.device.note(format!("cancel tx{}", self.id));
    }

    fn stop(&mut self) {
        self.device.note(format!("stop tx{}", self.id));
    }
}

fn read_packet(rings: &NetRings<'_>, index: u32) -> Sent {
    let packet = rings.packet(index);
    let mut bytes = Vec::new();
    for step in 0..u32::from(packet.fragment_count) {
        let at = rings
            .fragment_ring()
            .advance_index(packet.fragment_index, step);
        let fragment = rings.fragment(at);
        let mut piece = vec![0; fragment.valid_length() as usize];
        let buffer = rings.buffer(at);
        buffer
            .read_slice(&mut piece, fragment.offset() as usize)
            .unwrap();
        bytes.extend(piece);
    }
    Sent {
        bytes,
        layout: packet.layout,
        checksum: rings.checksum(index),
        mss: rings.gso(index).mss(),
        partial: rings.partial(index),
    }
}

pub struct FakeRx {
    device: Arc<Device>,
    id: u32,
}

impl FakeRx {
    fn deliver(&self, rings: &NetRings<'_>, frame: &Arriving) {
        let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
        let index = packets.begin_index();
        let first = fragments.begin_index();
        if frame.ignore {
            rings.ignore_packet(index);
            packets.set_begin_index(packets.increment_index(index));
            return;
        }
        for (step, piece) in frame.pieces.iter().enumerate() {
            let at = fragments.advance_index(first, step as u32);
            let offset = if step == 0 { frame.offset } else { 0 };
            let fragment = rings.fragment(at).with_offset(offset);
            rings.set_fragment(at, fragment.with_valid_length(piece.len() as u32));
            rings
                .buffer(at)
                .write_slice(piece, offset as usize)
                .unwrap();
        }
        rings.set_packet(index, NetPacket::new(first, frame.pieces.len() as u16));
        rings.set_checksum(index, frame.checksum);
        rings.set_rsc(index, frame.rsc);
        rings.set_partial(index, frame.partial);
        fragments.set_begin_index(fragments.advance_index(first, frame.pieces.len() as u32));
        packets.set_begin_index(packets.increment_index(index));
    }

    fn has_room(&self, rings: &NetRings<'_>, pieces: usize) -> bool {
        let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
        let free = fragments.range_count(fragments.begin_index(), fragments.end_index());
        packets.begin_index() != packets.end_index() && free as usize >= pieces
    }
}

impl PacketQueue for FakeRx {
    fn start(&mut self, _rings: &NetRings<'_>) {
        self.device.note(format!("start rx{}", self.id));
    }

    fn advance(&mut self, rings: &NetRings<'_>) {
        while self.device.stick_in_advance.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(
            !self.device.panic_in_advance.load(Ordering::SeqCst),
            "asked to panic"
        );
        if self.device.return_unwritten.load(Ordering::SeqCst) {
            let ring = rings.packet_ring();
            ring.set_begin_index(ring.end_index());
        }
        let mut arriving = self.device.arriving.lock().unwrap();
        while let Some(frame) = arriving.front() {
            if !self.has_room(rings, frame.pieces.len()) {
                break;
            }
            self.deliver(rings, frame);
            arriving.pop_front();
        }
    }

    fn set_notification_enabled(&mut self, enabled: bool) {
        assert!(enabled, "FALSE is never sent");
        self.device.armed.store(true, Ordering::SeqCst);
    }

    fn cancel(&mut self, rings: &NetRings<'_>) {
        self.device.note(format!("cancel rx{}", self.id));
        if self.device.withhold_rx.load(Ordering::SeqCst) {
            return;
        }
        let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
        let mut index = packets.begin_index();
        while index != packets.end_index() {
            rings.ignore_packet(index);
            index = packets.increment_index(index);
        }
        packets.set_begin_index(index);
        fragments.set_begin_index(fragments.end_index());
    }

    fn stop(&mut self) {
        self.device.note(format!("stop rx{}", self.id));
    }

    fn wants_tick(&self) -> bool {
        self.device.tick_wanted.load(Ordering::SeqCst)
    }

    fn tick(&mut self) {
        self.device.note("tick");
    }
}

pub struct FakeDriver(pub Arc<Device>);

impl FakeDriver {
    fn prepare(&self, init: &mut QueueInit) -> Result<(), NtStatus> {
        if self.0.refuse_queue.load(Ordering::SeqCst) == init.queue_id() + 1 {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        // Those of the queues before these are of no use any more.
        let mut notifiers = self.0.notifiers.lock().unwrap();
        if init.queue_id() == 0 {
            notifiers.clear();
        }
        notifiers.push(init.notifier());
        drop(notifiers);
        if let Some(interrupt) = &*self.0.interrupt.lock().unwrap() {
            init.register_interrupt(interrupt.clone());
        }
        Ok(())
    }
}

impl AdapterEvents for FakeDriver {
    fn create_tx_queue(&mut self, init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        self.prepare(init)?;
        let (device, id) = (self.0.clone(), init.queue_id());
        device.note(format!("create tx{id}"));
        Ok(Box::new(FakeTx { device, id }))
    }

    fn create_rx_queue(&mut self, init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        self.prepare(init)?;
        let (device, id) = (self.0.clone(), init.queue_id());
        device.note(format!("create rx{id}"));
        Ok(Box::new(FakeRx { device, id }))
    }

    fn set_receive_filter(&mut self, filter: &ReceiveFilter) {
        self.0.filters.lock().unwrap().push(filter.clone());
    }

    fn offloads_changed(&mut self, active: &ActiveOffloads) {
        *self.0.offloads.lock().unwrap() = Some(*active);
    }
}

/// Device, adapter and the stack's seat; the adapter has stated everything and
/// is not started.
pub struct Bench {
    pub device: Arc<Device>,
    pub adapter: Adapter,
    pub seat: LoopbackSeat,
}

pub fn config() -> AdapterConfig {
    AdapterConfig {
        verifier: true,
        ..AdapterConfig::default()
    }
}

pub fn bench() -> Bench {
    bench_with(config(), 1)
}

pub fn bench_with(config: AdapterConfig, queues: usize) -> Bench {
    let (port, seat) = loopback(queues, PortOffloads::ALL).unwrap();
    let device = Arc::new(Device::default());
    let events = Box::new(FakeDriver(device.clone()));
    let mut adapter = Adapter::new(events, Box::new(port), config).unwrap();
    state_all(&mut adapter, queues);
    Bench {
        device,
        adapter,
        seat,
    }
}

pub fn state_all(adapter: &mut Adapter, queues: usize) {
    let rx = RxCapabilities::system_managed(2048, queues);
    adapter
        .set_datapath_capabilities(TxCapabilities::new(queues), rx)
        .unwrap();
    let speeds = NetAdapterLinkLayerCapabilities::new(10_000_000_000, 10_000_000_000);
    adapter.set_link_layer_capabilities(speeds).unwrap();
    adapter.set_link_layer_mtu_size(1500).unwrap();
    let address = NetAdapterLinkLayerAddress::ethernet([2, 0, 0, 0, 0, 1]);
    adapter.set_permanent_link_layer_address(address).unwrap();
    adapter.offload_set_rx_checksum_capabilities().unwrap();
    adapter
        .offload_set_tx_checksum_capabilities(OffloadTxChecksumCapabilities::all())
        .unwrap();
    let all = (NetOffloadLayer3Flags(0xf), NetOffloadLayer4Flags(7));
    let gso = OffloadGsoCapabilities {
        tcp_ecn: true,
        ..OffloadGsoCapabilities::new(all.0, all.1)
    };
    adapter.offload_set_gso_capabilities(gso).unwrap();
    let rsc = OffloadRscCapabilities {
        layer3: all.0,
        layer4: all.1,
        tcp_timestamp_option: false,
    };
    adapter.offload_set_rsc_capabilities(rsc).unwrap();
}

pub fn running() -> Bench {
    let mut bench = bench();
    bench.adapter.start().unwrap();
    bench.adapter.io_start().unwrap();
    bench
}

/// Waits until something is true; says what did not become true.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A frame whose bytes can be told from those of every other number.
pub fn frame(number: u32, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length)
        .map(|at| (at as u32 ^ number.wrapping_mul(2_654_435_761)) as u8)
        .collect();
    // An EtherType nobody parses.
    bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
    bytes[14..18].copy_from_slice(&number.to_be_bytes());
    bytes
}
