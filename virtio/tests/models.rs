//! The races of a queue, in every order in which driver and device may see each other's stores.
//!
//! The driver's half is the shipped `Virtqueue`; the device's half is written here from the
//! specification. A wake-up that is lost shows as a deadlock. `make models` runs this.
#![cfg(loom)]

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use loom::sync::Notify;
use loom::sync::atomic::fence;
use virtio::queue::{
    Arming, Part, QueueSize, RingFeatures, RingLayout, SlotId, SlotLayout, Virtqueue,
};
use virtio::transport::Doorbell;
use virtio::{DmaRegion, DmaSlice, Iova};

const SIZE: u16 = 2;
/// Offsets in the available and the used ring (§ *Split Virtqueues*).
const FLAGS: usize = 0;
const IDX: usize = 2;
const RING: usize = 4;
const USED_EVENT: usize = RING + 2 * SIZE as usize;
const AVAIL_EVENT: usize = RING + 8 * SIZE as usize;
const SLOT_LEN: usize = 16;

/// A ring in memory of its own, and the queue on it.
fn queue(event_idx: bool) -> (Virtqueue, Ring) {
    let size = QueueSize::new(SIZE).unwrap();
    let features = RingFeatures {
        packed: false,
        event_idx,
    };
    let at = RingLayout::new(size, features);
    let region = Arc::new(DmaRegion::new(at.len + usize::from(SIZE) * SLOT_LEN).unwrap());
    let memory = region.at(Iova(0x1000));
    let slots = memory.slice(at.len, usize::from(SIZE) * SLOT_LEN).unwrap();
    let part = Part {
        offset: 0,
        len: SLOT_LEN as u32,
        device_writes: true,
    };
    let layout = SlotLayout {
        stride: SLOT_LEN,
        parts: &[part],
    };
    let queue = Virtqueue::new(&memory, size, features, &slots, layout).unwrap();
    let ring = Ring {
        avail: memory
            .slice(at.driver, RingLayout::avail_len(size))
            .unwrap(),
        used: memory.slice(at.device, RingLayout::used_len(size)).unwrap(),
        event_idx,
    };
    (queue, ring)
}

/// The ring as its device has it.
#[derive(Clone)]
struct Ring {
    avail: DmaSlice,
    used: DmaSlice,
    event_idx: bool,
}

impl Ring {
    /// Uses buffer `idx`; whether the driver wants an interrupt for it.
    fn use_buffer(&self, idx: u16) -> bool {
        let entry = RING + usize::from(idx % SIZE) * 8;
        self.used.store_u32(entry, idx.into(), Relaxed);
        self.used.store_u32(entry + 4, 1, Relaxed);
        self.used.store_u16(IDX, idx + 1, Release);
        fence(SeqCst);
        match self.event_idx {
            true => self.avail.load_u16(USED_EVENT, Relaxed) == idx,
            false => self.avail.load_u16(FLAGS, Relaxed) == 0,
        }
    }

    /// Asks for the doorbell once there is a buffer, and looks once more.
    fn wait_for_buffer(&self, doorbell: &Notify) {
        if self.avail.load_u16(IDX, Acquire) != 0 {
            return;
        }
        match self.event_idx {
            true => self.used.store_u16(AVAIL_EVENT, 0, Relaxed),
            false => self.used.store_u16(FLAGS, 0, Relaxed),
        }
        fence(SeqCst);
        // The checker also wakes for nothing.
        while self.avail.load_u16(IDX, Acquire) == 0 {
            doorbell.wait();
        }
    }
}

struct Bell(Arc<Notify>);

impl Doorbell for Bell {
    fn ring(&self) {
        self.0.notify();
    }
}

/// The driver arms and sleeps while the device uses a buffer: it wakes up.
fn arming_races_with_a_completion(event_idx: bool) {
    loom::model(move || {
        let (mut queue, ring) = queue(event_idx);
        queue.add(SlotId(0));
        queue.publish();
        let interrupt = Arc::new(Notify::new());
        let device = {
            let interrupt = Arc::clone(&interrupt);
            loom::thread::spawn(move || {
                if ring.use_buffer(0) {
                    interrupt.notify();
                }
            })
        };
        let mut popped = queue.pop_used().unwrap();
        if popped.is_none() && queue.arm(1) == Ok(Arming::MoreWork) {
            popped = queue.pop_used().unwrap();
            assert!(popped.is_some(), "no work where there was to be more");
        }
        while popped.is_none() {
            // The checker also wakes for nothing.
            interrupt.wait();
            popped = queue.pop_used().unwrap();
        }
        assert_eq!(popped.map(|used| used.slot), Some(SlotId(0)));
        device.join().unwrap();
    });
}

#[test]
fn no_completion_is_slept_over_with_event_index() {
    arming_races_with_a_completion(true);
}

#[test]
fn no_completion_is_slept_over_with_flags() {
    arming_races_with_a_completion(false);
}

/// The driver publishes a buffer while the device falls asleep: the device wakes up.
fn kicking_races_with_falling_asleep(event_idx: bool) {
    loom::model(move || {
        let (mut queue, ring) = queue(event_idx);
        // The device has not asked for a doorbell yet.
        match event_idx {
            true => ring.used.store_u16(AVAIL_EVENT, 0xffff, Relaxed),
            false => ring.used.store_u16(FLAGS, 1, Relaxed),
        }
        let doorbell = Arc::new(Notify::new());
        let device = {
            let doorbell = Arc::clone(&doorbell);
            loom::thread::spawn(move || ring.wait_for_buffer(&doorbell))
        };
        queue.add(SlotId(0));
        queue.publish();
        queue.kick_if_needed(&Bell(doorbell));
        device.join().unwrap();
    });
}

#[test]
fn no_buffer_is_slept_over_with_event_index() {
    kicking_races_with_falling_asleep(true);
}

#[test]
fn no_buffer_is_slept_over_with_flags() {
    kicking_races_with_falling_asleep(false);
}

/// Two buffers come back one by one while the driver takes them: each once, in order.
#[test]
fn what_is_shown_is_complete() {
    loom::model(|| {
        let (mut queue, ring) = queue(true);
        (0..SIZE).for_each(|slot| queue.add(SlotId(slot)));
        queue.publish();
        let device = loom::thread::spawn(move || {
            (0..SIZE).for_each(|idx| {
                ring.use_buffer(idx);
            });
        });
        let mut seen = 0;
        for _ in 0..SIZE {
            if let Some(used) = queue.pop_used().unwrap() {
                assert_eq!((used.slot, used.len), (SlotId(seen), Some(1)));
                seen += 1;
            }
        }
        device.join().unwrap();
        while let Some(used) = queue.pop_used().unwrap() {
            assert_eq!((used.slot, used.len), (SlotId(seen), Some(1)));
            seen += 1;
        }
        assert_eq!(seen, SIZE);
    });
}
