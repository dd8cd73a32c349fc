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

/// Offsets in a descriptor of a packed ring, and its flags (§ *Packed Virtqueues*).
const LEN: usize = 8;
const ID: usize = 12;
const DESC_FLAGS: usize = 14;
const AVAILABLE: u16 = 1 << 7;
const USED: u16 = 1 << 7 | 1 << 15;
/// Event suppression: offset 0 of the first lap, and flags above it.
const FIRST_DESC: u32 = 1 << 15 | 2 << 16;
const DISABLED: u32 = 1 << 16;

const FORMATS: [RingFeatures; 4] = [
    format(false, false),
    format(false, true),
    format(true, false),
    format(true, true),
];

const fn format(packed: bool, event_idx: bool) -> RingFeatures {
    RingFeatures {
        packed,
        event_idx,
        in_order: false,
    }
}

/// A ring in memory of its own, and the queue on it.
fn queue(features: RingFeatures) -> (Virtqueue, Ring) {
    let size = QueueSize::new(SIZE).unwrap();
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
    let (driver_len, device_len) = match features.packed {
        true => (4, 4),
        false => (RingLayout::avail_len(size), RingLayout::used_len(size)),
    };
    let ring = Ring {
        desc: memory.slice(at.desc, usize::from(SIZE) * 16).unwrap(),
        avail: memory.slice(at.driver, driver_len).unwrap(),
        used: memory.slice(at.device, device_len).unwrap(),
        features,
    };
    (queue, ring)
}

/// The ring as its device has it, on the first lap.
#[derive(Clone)]
struct Ring {
    desc: DmaSlice,
    /// Driver and device area.
    avail: DmaSlice,
    used: DmaSlice,
    features: RingFeatures,
}

impl Ring {
    /// Uses buffer `idx`; whether the driver wants an interrupt for it.
    fn use_buffer(&self, idx: u16) -> bool {
        if self.features.packed {
            return self.use_descriptor(idx);
        }
        let entry = RING + usize::from(idx % SIZE) * 8;
        self.used.store_u32(entry, idx.into(), Relaxed);
        self.used.store_u32(entry + 4, 1, Relaxed);
        self.used.store_u16(IDX, idx + 1, Release);
        fence(SeqCst);
        match self.features.event_idx {
            true => self.avail.load_u16(USED_EVENT, Relaxed) == idx,
            false => self.avail.load_u16(FLAGS, Relaxed) == 0,
        }
    }

    fn use_descriptor(&self, idx: u16) -> bool {
        let at = usize::from(idx) * 16;
        self.desc.store_u32(at + LEN, 1, Relaxed);
        self.desc.store_u16(at + ID, idx, Relaxed);
        self.desc.store_u16(at + DESC_FLAGS, USED, Release);
        fence(SeqCst);
        let request = self.avail.load_u32(0, Relaxed);
        match request >> 16 {
            0 => true,
            2 => request as u16 == idx | 1 << 15,
            _ => false,
        }
    }

    /// Whether the driver has made its first buffer available.
    fn has_buffer(&self) -> bool {
        match self.features.packed {
            true => self.desc.load_u16(DESC_FLAGS, Acquire) & USED == AVAILABLE,
            false => self.avail.load_u16(IDX, Acquire) != 0,
        }
    }

    fn ask_for_doorbell(&self) {
        match self.features {
            RingFeatures {
                packed: true,
                event_idx: true,
                ..
            } => self.used.store_u32(0, FIRST_DESC, Relaxed),
            RingFeatures {
                packed: true,
                event_idx: false,
                ..
            } => self.used.store_u32(0, 0, Relaxed),
            RingFeatures {
                event_idx: true, ..
            } => self.used.store_u16(AVAIL_EVENT, 0, Relaxed),
            RingFeatures {
                event_idx: false, ..
            } => self.used.store_u16(FLAGS, 0, Relaxed),
        }
    }

    fn refuse_doorbell(&self) {
        match self.features {
            RingFeatures { packed: true, .. } => self.used.store_u32(0, DISABLED, Relaxed),
            RingFeatures {
                event_idx: true, ..
            } => self.used.store_u16(AVAIL_EVENT, 0xffff, Relaxed),
            RingFeatures {
                event_idx: false, ..
            } => self.used.store_u16(FLAGS, 1, Relaxed),
        }
    }

    /// Asks for the doorbell once there is a buffer, and looks once more.
    fn wait_for_buffer(&self, doorbell: &Notify) {
        if self.has_buffer() {
            return;
        }
        self.ask_for_doorbell();
        fence(SeqCst);
        // The checker also wakes for nothing.
        while !self.has_buffer() {
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
fn arming_races_with_a_completion(features: RingFeatures) {
    loom::model(move || {
        let (mut queue, ring) = queue(features);
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
fn no_completion_is_slept_over() {
    FORMATS.into_iter().for_each(arming_races_with_a_completion);
}

/// The driver publishes a buffer while the device falls asleep: the device wakes up.
fn kicking_races_with_falling_asleep(features: RingFeatures) {
    loom::model(move || {
        let (mut queue, ring) = queue(features);
        // The device has not asked for a doorbell yet.
        ring.refuse_doorbell();
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
fn no_buffer_is_slept_over() {
    FORMATS
        .into_iter()
        .for_each(kicking_races_with_falling_asleep);
}

/// Two buffers come back one by one while the driver takes them: each once, in order.
#[test]
fn what_is_shown_is_complete() {
    [format(false, true), format(true, true)]
        .into_iter()
        .for_each(shown_buffers_are_complete);
}

fn shown_buffers_are_complete(features: RingFeatures) {
    loom::model(move || {
        let (mut queue, ring) = queue(features);
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
