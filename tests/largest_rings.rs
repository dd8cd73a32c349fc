//! Rings of the largest size there is, filled to the last slot, and gone round several times: past
//! where indices of 16 bits begin again.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use netadapter_shim::os::loopback::StackFrame;
use support::driven::{self, Driven};
use umnet::card::CardConfig;
use virtio::net::FeatureSet;
use virtio::spec::feature::*;
use virtio::spec::net::feature::*;
use virtio::spec::ring::MAX_QUEUE_SIZE;
use virtio::transport::in_process::{Conduct, DeviceConfig, Frame, Link, Role, all_offered};

const PATIENCE: Duration = Duration::from_secs(120);
const LAPS: u32 = 3;
const FRAMES: u32 = LAPS * MAX_QUEUE_SIZE as u32;
/// Received frames that the seat may have to keep.
const WINDOW: u32 = 512;

/// Leaves what it is given to send where it is, for as long as that is set.
#[derive(Clone, Default)]
struct Idle(Arc<AtomicBool>);

impl Conduct for Idle {
    fn serves(&self, role: Role) -> bool {
        role != Role::Transmit || !self.0.load(Ordering::Relaxed)
    }
}

/// The far end: takes frames in their order, and gives as many as it is allowed to.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Ends>>);

#[derive(Default)]
struct Ends {
    taken: u32,
    /// The first frame that was not the next.
    wrong: Option<(u32, Vec<u8>)>,
    given: u32,
    allowed: u32,
}

impl Wire {
    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap()
    }

    /// How many frames it has taken, all of them in their order.
    fn taken(&self) -> u32 {
        let ends = self.ends();
        assert_eq!(ends.wrong, None, "frame {}", ends.taken);
        ends.taken
    }
}

impl Link for Wire {
    fn send(&mut self, sent: &Frame) {
        let mut ends = self.ends();
        if sent.payload() != frame(ends.taken) && ends.wrong.is_none() {
            ends.wrong = Some((ends.taken, sent.payload().to_vec()));
        }
        ends.taken += 1;
    }

    fn receive(&mut self, next: &mut Frame) -> bool {
        let mut ends = self.ends();
        let more = ends.given < ends.allowed;
        if more {
            *next = Frame::plain(&frame(ends.given));
            ends.given += 1;
        }
        more
    }
}

struct Rig {
    driven: Driven,
    wire: Wire,
    idle: Idle,
    /// Frames that were sent, and that were received.
    sent: u32,
    received: u32,
}

impl Rig {
    fn new(ring: &[u32], offered: FeatureSet) -> Self {
        let config = DeviceConfig {
            offered,
            queue_sizes: vec![MAX_QUEUE_SIZE; 3],
            behind_iommu: false,
            ..DeviceConfig::default()
        };
        let (idle, wire) = (Idle::default(), Wire::default());
        let card = CardConfig {
            rx_ring: MAX_QUEUE_SIZE,
            tx_ring: MAX_QUEUE_SIZE,
            ..CardConfig::default()
        };
        let driven = Driven::start(config.offering(ring), wire.clone(), idle.clone(), card);
        Self {
            driven: driven.unwrap(),
            wire,
            idle,
            sent: 0,
            received: 0,
        }
    }

    /// Descriptors of both rings, and MiB of memory that the device reaches.
    fn size(&self) -> (u16, u16, usize) {
        let info = self.driven.driver.info();
        let pinned = info.pinned_bytes >> 20;
        (info.rx_ring.get(), info.tx_ring.get(), pinned)
    }

    /// Frames that the driver has given to the device.
    fn given_away(&self) -> u64 {
        let counters = self.driven.driver.device_stats()[0].tx.snapshot();
        let of_frames = counters.iter().find(|(name, _)| *name == "tx_packets");
        of_frames.map_or(0, |(_, count)| *count)
    }

    fn send(&mut self) -> bool {
        let sent = self.driven.seat.send(StackFrame::new(frame(self.sent)));
        self.sent += u32::from(sent);
        sent
    }

    fn all_arrive(&self) {
        until("a sent frame is lost", || self.wire.taken() == self.sent);
    }

    /// The driver gives away every slot of its ring while the device takes none; then all arrive.
    fn fill(&mut self) {
        self.idle.0.store(true, Ordering::Relaxed);
        let (before, full) = (self.given_away(), u64::from(MAX_QUEUE_SIZE));
        until("the ring does not fill", || {
            while self.send() {}
            self.given_away() - before >= full
        });
        // There is no slot for one more.
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(self.given_away() - before, full);
        self.idle.0.store(false, Ordering::Relaxed);
        self.driven.device.wake();
        self.all_arrive();
    }

    /// Frames in both directions.
    fn go_round(&mut self) {
        let (sent, received) = (self.sent + FRAMES, self.received + FRAMES);
        until("frames are lost", || {
            while self.sent < sent && self.send() {}
            while let Some(next) = self.driven.seat.receive() {
                assert_eq!(next.bytes, frame(self.received));
                self.received += 1;
            }
            self.wire.ends().allowed = received.min(self.received + WINDOW);
            self.driven.device.wake();
            (self.sent, self.received) == (sent, received)
        });
        self.all_arrive();
    }
}

fn frame(number: u32) -> Vec<u8> {
    driven::frame(&[&number.to_be_bytes()[..], &[0; 42]].concat())
}

/// Does it until it works.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn works(ring: &[u32]) {
    // No frame is larger than a page.
    let offered = FeatureSet::of(&[
        VIRTIO_F_VERSION_1,
        VIRTIO_F_EVENT_IDX,
        VIRTIO_NET_F_MTU,
        VIRTIO_NET_F_MRG_RXBUF,
    ]);
    let mut rig = Rig::new(ring, offered);
    assert_eq!(rig.size(), (MAX_QUEUE_SIZE, MAX_QUEUE_SIZE, 101));
    rig.fill();
    rig.go_round();
    rig.fill();
    rig.driven.driver.recover().unwrap();
    rig.fill();
    rig.driven.driver.stop().unwrap();
    assert_eq!(rig.driven.device.violations(), []);
}

#[test]
fn the_largest_split_ring_is_filled_and_goes_round() {
    works(&[]);
}

#[test]
fn the_largest_packed_ring_is_filled_and_goes_round() {
    works(&[VIRTIO_F_RING_PACKED]);
}

#[test]
fn the_largest_rings_in_order_are_filled_and_go_round() {
    works(&[VIRTIO_F_IN_ORDER]);
    works(&[VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER]);
}

#[test]
fn rings_of_large_slots_are_as_long_as_there_is_memory_for() {
    let rig = Rig::new(&[], all_offered());
    assert_eq!(rig.size(), (MAX_QUEUE_SIZE, 2048, 257));
    let whole = FeatureSet::of(&[VIRTIO_NET_F_MRG_RXBUF]);
    let rig = Rig::new(&[], all_offered().without(whole));
    assert_eq!(rig.size(), (2048, 2048, 256));
}
