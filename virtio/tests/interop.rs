//! The driver's queue and the in-process device's on two threads, with doorbells and
//! interrupts as they are negotiated and nothing else to wake anybody. A wake-up that is lost
//! stops the traffic, and a watchdog says so.

mod common;

use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

use common::random::Random;
use common::{Nic, RX_HEADER};
use virtio::net::FeatureSet;
use virtio::queue::{Arming, SlotId};
use virtio::spec::feature::*;
use virtio::spec::net::feature::*;
use virtio::transport::in_process::{Device, DeviceConfig, Echo};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

const BUFFERS: u32 = 100_000;
const WATCHDOG_MS: i32 = 20_000;
const FRAME: usize = 60;
const FRAMES: FeatureSet = FeatureSet::of(&[VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF]);

/// A driver that keeps as many frames on their way as it may and checks what comes back.
struct Traffic {
    nic: Nic,
    idle: Vec<SlotId>,
    window: u32,
    sent: u32,
    received: u32,
    epoll: Epoll,
    random: Random,
}

impl Traffic {
    fn new(size: u16, ring: FeatureSet) -> Self {
        let config = DeviceConfig {
            queue_sizes: vec![size, size, 2],
            ..Default::default()
        };
        let features = FeatureSet(ring.0 | FRAMES.0);
        let nic = Nic::with_slots(config, Echo::default(), features, 128, 128);
        let epoll = Epoll::new().unwrap();
        for queue in [&nic.rx, &nic.tx] {
            let event = EpollEvent::new(EventSet::IN, 0);
            let fd = queue.interrupt.as_raw_fd();
            epoll.ctl(ControlOperation::Add, fd, event).unwrap();
        }
        Self {
            idle: (0..nic.tx.vq.slot_count()).map(SlotId).collect(),
            // Whatever the size, so many that the echo neither loses frames nor empties.
            window: 1000,
            nic,
            sent: 0,
            received: 0,
            epoll,
            random: Random(u64::from(size)),
        }
    }

    /// The frame that is sent as number `count`.
    fn frame(count: u32) -> [u8; FRAME] {
        std::array::from_fn(|i| (count >> (8 * (i % 4))) as u8)
    }

    fn send(&mut self) -> bool {
        let before = self.sent;
        while self.sent < BUFFERS && self.sent - self.received < self.window {
            let Some(slot) = self.idle.pop() else { break };
            let frame = [&[0; 12][..], &Self::frame(self.sent)].concat();
            self.nic.tx.write(slot, &frame);
            self.nic.tx.vq.add_with_len(slot, frame.len() as u32);
            self.sent += 1;
        }
        self.nic.tx.flush();
        self.sent != before
    }

    fn reap(&mut self) -> bool {
        let before = self.idle.len();
        while let Some(used) = self.nic.tx.vq.pop_used().unwrap() {
            self.idle.push(used.slot);
        }
        self.idle.len() != before
    }

    fn receive(&mut self) -> bool {
        let before = self.received;
        while let Some(used) = self.nic.rx.vq.pop_used().unwrap() {
            let bytes = self.nic.rx.read(used);
            assert_eq!(bytes[..12], RX_HEADER);
            assert_eq!(
                bytes[12..],
                Self::frame(self.received),
                "frame {}",
                self.received
            );
            self.nic.rx.vq.add(used.slot);
            self.received += 1;
        }
        self.nic.rx.flush();
        self.received != before
    }

    /// Lets the device's thread come to another point of what it does.
    fn dawdle(&mut self) {
        (0..self.random.below(30)).for_each(|_| std::hint::spin_loop());
    }

    /// Sleeps until an interrupt, unless work came while that was being asked for.
    fn sleep(&mut self) {
        self.dawdle();
        let rx = self.nic.rx.vq.arm(1).unwrap();
        let tx = self.nic.tx.vq.arm(1).unwrap();
        if (rx, tx) == (Arming::Armed, Arming::Armed) {
            let mut events = [EpollEvent::default(); 2];
            let woken = self.epoll.wait(WATCHDOG_MS, &mut events).unwrap();
            assert!(
                woken > 0,
                "a wake-up was lost: {} sent, {} received",
                self.sent,
                self.received
            );
            self.nic.rx.interrupted();
            self.nic.tx.interrupted();
        }
        self.nic.rx.vq.disarm();
        self.nic.tx.vq.disarm();
        self.dawdle();
    }

    fn run(mut self) -> Device {
        let device = self.nic.device.clone();
        let _thread = device.run().unwrap();
        while self.received < BUFFERS {
            // Sometimes it waits a little before it sleeps, so as to be awake when the device
            // is about to sleep.
            let patience = self.random.below(2) * self.random.below(200);
            let busy = (0..=patience).any(|_| self.receive() | self.reap() | self.send());
            if !busy {
                self.sleep();
            }
        }
        device
    }
}

/// One at a time, so that driver and device have a processor each where there are two.
static TURN: Mutex<()> = Mutex::new(());

fn all_buffers_pass(size: u16) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let kinds = [
        &[][..],
        &[VIRTIO_F_EVENT_IDX],
        &[VIRTIO_F_RING_PACKED],
        &[VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_PACKED],
        &[VIRTIO_F_EVENT_IDX, VIRTIO_F_IN_ORDER],
        &[VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER],
    ];
    for bits in kinds {
        let ring = FeatureSet::of(bits);
        let device = Traffic::new(size, ring).run();
        assert_eq!(device.violations(), []);
        let counters = device.counters();
        assert_eq!(counters.rx_frames, u64::from(BUFFERS));
        println!("size {size}, {ring:?}: {counters:?}");
    }
}

#[test]
fn all_buffers_pass_through_1() {
    all_buffers_pass(1);
}

#[test]
fn all_buffers_pass_through_2() {
    all_buffers_pass(2);
}

#[test]
fn all_buffers_pass_through_8() {
    all_buffers_pass(8);
}

#[test]
fn all_buffers_pass_through_256() {
    all_buffers_pass(256);
}

#[test]
fn all_buffers_pass_through_1024() {
    all_buffers_pass(1024);
}

#[test]
fn all_buffers_pass_through_32768() {
    all_buffers_pass(32_768);
}
