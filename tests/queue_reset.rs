//! A queue that met a fault is reset alone where the device can do that, and the device with it
//! where it cannot or does not finish. Whatever else the device has is left as it was.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netadapter_shim::os::loopback::StackFrame;
use support::driven::{self, Driven};
use umnet::card::CardConfig;
use virtio::net::FeatureSet;
use virtio::spec::feature::*;
use virtio::spec::ring::packed::desc;
use virtio::spec::ring::used;
use virtio::transport::in_process::*;
use vm_memory::{Bytes, GuestAddress};

const PATIENCE: Duration = Duration::from_secs(10);

/// What a device does wrong.
#[derive(Clone, Default)]
struct Wrong {
    /// The next buffer that is used, of a queue with this role, is another one.
    receive: Arc<AtomicBool>,
    transmit: Arc<AtomicBool>,
    /// A queue that is reset stays as it is.
    keeps_queues: Arc<AtomicBool>,
    device_resets: Arc<std::sync::atomic::AtomicU32>,
}

impl Conduct for Wrong {
    fn at_reset(&mut self, _config: &mut DeviceConfig) {
        self.device_resets.fetch_add(1, Ordering::SeqCst);
    }

    fn finishes_queue_reset(&self) -> bool {
        !self.keeps_queues.load(Ordering::SeqCst)
    }

    fn used(&mut self, ring: &RingView<'_>, _used: &[(u16, u32)]) -> Option<u16> {
        let told = match ring.role {
            Role::Receive => &self.receive,
            Role::Transmit => &self.transmit,
            Role::Control => return None,
        };
        if !told.swap(false, Ordering::SeqCst) {
            return None;
        }
        // An id that no queue has.
        let write = |at: u64, value: u16| {
            let _ = ring
                .memory
                .store(value.to_le(), GuestAddress(at), Ordering::Release);
        };
        if ring.packed {
            let at = ring.desc.0 + u64::from(ring.next_used & 0x7fff) * desc::SIZE as u64;
            let shown = if ring.next_used >> 15 == 1 {
                1 << 7 | 1 << 15
            } else {
                0
            };
            write(at + desc::ID as u64, u16::MAX);
            write(at + desc::FLAGS as u64, shown);
        } else {
            let place = usize::from(ring.next_used % ring.size) * used::ENTRY_SIZE;
            let entry = GuestAddress(ring.device.0 + (used::RING + place) as u64);
            let _ = ring.memory.write_obj(u32::MAX, entry);
            write(
                ring.device.0 + used::IDX as u64,
                ring.next_used.wrapping_add(1),
            );
        }
        Some(1)
    }
}

struct Rig {
    driven: Driven,
    wire: Port,
    wrong: Wrong,
    tag: u8,
}

impl Rig {
    fn start(rings: &[u32]) -> Self {
        let (wire, wrong) = (Port::default(), Wrong::default());
        let config = DeviceConfig::default().offering(rings);
        let card = CardConfig {
            timeout: Duration::from_millis(300),
            ..CardConfig::default()
        };
        let driven = Driven::start(config, wire.clone(), wrong.clone(), card).unwrap();
        wrong.device_resets.store(0, Ordering::SeqCst);
        Self {
            driven,
            wire,
            wrong,
            tag: 0,
        }
    }

    fn frame(&mut self) -> Vec<u8> {
        self.tag = self.tag.wrapping_add(1);
        driven::frame(&[self.tag; 60])
    }

    fn wait_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < PATIENCE, "{what} took too long");
            if self.driven.driver.take_fault().is_some() {
                self.driven.driver.recover().unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A frame each way; what is lost to a fault is sent again.
    fn pass(&mut self) {
        let (sent, arriving) = (self.frame(), self.frame());
        let mut at = None;
        self.wait_until("a frame out", |rig| {
            if due(&mut at) {
                rig.driven.seat.send(StackFrame::new(sent.clone()));
            }
            rig.wire.take_sent().is_some_and(|f| f.payload() == sent)
        });
        let mut at = None;
        self.wait_until("a frame in", |rig| {
            if due(&mut at) {
                rig.wire.inject(&Frame::plain(&arriving));
            }
            rig.driven
                .seat
                .receive()
                .is_some_and(|f| f.bytes == arriving)
        });
    }

    fn resets(&self) -> (u64, u64, u32) {
        let device = self.wrong.device_resets.load(Ordering::SeqCst);
        (
            self.driven.driver.resets(),
            self.driven.driver.queue_resets(),
            device,
        )
    }
}

/// Whether it is time to do it (again).
fn due(at: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    let due = at.is_none_or(|at| now - at > Duration::from_millis(200));
    if due {
        *at = Some(now);
    }
    due
}

const RINGS: [&[u32]; 4] = [
    &[],
    &[VIRTIO_F_RING_PACKED],
    &[VIRTIO_F_IN_ORDER, VIRTIO_F_NOTIFICATION_DATA],
    &[VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER],
];

#[test]
fn a_queue_that_met_a_fault_is_reset_alone() {
    for rings in RINGS {
        let mut rig = Rig::start(&[rings, &[VIRTIO_F_RING_RESET]].concat());
        rig.pass();
        let commands = rig.driven.device.counters().commands;
        for (count, of) in [(1, &rig.wrong.receive), (2, &rig.wrong.transmit)]
            .map(|(count, of)| (count, Arc::clone(of)))
        {
            of.store(true, Ordering::SeqCst);
            rig.pass();
            rig.wait_until("the reset", |rig| rig.driven.driver.resets() == count);
            (0..300).for_each(|_| rig.pass());
            assert_eq!(rig.resets(), (count, count, 0), "{rings:?}");
        }
        assert_eq!(rig.driven.device.violations(), [], "{rings:?}");
        // The filter is told again, and nothing else.
        assert!(rig.driven.device.counters().commands <= commands + 6);
        rig.driven.driver.stop().unwrap();
    }
}

#[test]
fn the_frames_of_a_healthy_queue_are_not_lost_with_its_neighbour() {
    let mut rig = Rig::start(&[VIRTIO_F_RING_RESET]);
    rig.pass();
    rig.wrong.transmit.store(true, Ordering::SeqCst);
    let first = rig.frame();
    rig.driven.seat.send(StackFrame::new(first));
    let start = Instant::now();
    // The queues have ended or are about to; frames go on arriving in the device's buffers.
    let arriving: Vec<_> = (0..100).map(|_| rig.frame()).collect();
    for frame in &arriving {
        rig.wire.inject(&Frame::plain(frame));
    }
    let mut received = Vec::new();
    rig.wait_until("what arrived", |rig| {
        received.extend(rig.driven.seat.receive().map(|frame| frame.bytes));
        received.len() == arriving.len() && rig.driven.driver.queue_resets() == 1
    });
    assert!(start.elapsed() < PATIENCE);
    assert_eq!(received, arriving);
}

#[test]
fn a_queue_whose_reset_does_not_end_takes_the_device_with_it() {
    let mut rig = Rig::start(&[VIRTIO_F_RING_RESET]);
    rig.wrong.keeps_queues.store(true, Ordering::SeqCst);
    rig.wrong.receive.store(true, Ordering::SeqCst);
    let start = Instant::now();
    rig.pass();
    rig.wait_until("the reset", |rig| rig.driven.driver.resets() == 1);
    rig.pass();
    let (resets, queue_resets, device) = rig.resets();
    assert_eq!((resets, queue_resets), (1, 0));
    assert!(device > 0 && start.elapsed() < PATIENCE);
}

#[test]
fn without_the_feature_the_device_is_reset() {
    let mut rig = Rig::start(&[]);
    assert!(
        !rig.driven
            .device
            .accepted_features()
            .has(VIRTIO_F_RING_RESET)
    );
    rig.wrong.receive.store(true, Ordering::SeqCst);
    rig.pass();
    rig.wait_until("the reset", |rig| rig.driven.driver.resets() == 1);
    let (resets, queue_resets, device) = rig.resets();
    assert_eq!((resets, queue_resets), (1, 0));
    assert!(device > 0);
}

#[test]
fn a_device_that_asks_for_it_is_reset_whole() {
    let mut rig = Rig::start(&[VIRTIO_F_RING_RESET]);
    assert_ne!(rig.driven.device.accepted_features(), FeatureSet::EMPTY);
    rig.driven.device.demand_reset();
    rig.driven.driver.config_changed().unwrap();
    rig.wait_until("the reset", |rig| rig.driven.driver.resets() == 1);
    rig.pass();
    assert_eq!(rig.driven.driver.queue_resets(), 0);
}
