//! Against a device side written from the specification alone, for these tests.

use std::cell::Cell;
use std::sync::Arc;

use super::*;
use crate::mem::DmaRegion;
use crate::queue::virtqueue::Ring;
use crate::queue::{Arming, Used, Virtqueue};
use crate::transport::Doorbell;

const SLOT: usize = 128;
const BASE: u64 = 0x10_0000;
const SLOTS: u64 = 0x18_0000;

#[derive(Default)]
struct Bell(Cell<u32>);

impl Doorbell for Bell {
    fn ring(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A buffer as the device finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    id: u16,
    /// Address, length, and whether the device writes.
    parts: Vec<(u64, u32, bool)>,
}

/// The other side of the ring.
struct Device {
    size: usize,
    next_avail: (usize, bool),
    next_used: (usize, bool),
}

impl Device {
    fn step((at, wrap): (usize, bool), count: usize, size: usize) -> (usize, bool) {
        let on = at + count;
        (on % size, wrap ^ (on >= size))
    }

    fn flags(ring: &DmaSlice, at: usize) -> u16 {
        ring.load_u16(at * 16 + 14, Ordering::Acquire)
    }

    fn take(&mut self, ring: &DmaSlice) -> Option<Found> {
        let mut parts = Vec::new();
        loop {
            let (at, wrap) = self.next_avail;
            let flags = Self::flags(ring, at);
            let (avail, used) = (flags & 1 << 7 != 0, flags & 1 << 15 != 0);
            if avail != wrap || used == wrap {
                assert!(parts.is_empty(), "half a buffer is visible");
                return None;
            }
            let addr = ring.load_u64(at * 16, Ordering::Relaxed);
            let len = ring.load_u32(at * 16 + 8, Ordering::Relaxed);
            parts.push((addr, len, flags & 2 != 0));
            self.next_avail = Self::step(self.next_avail, 1, self.size);
            if flags & 1 == 0 {
                let id = ring.load_u16(at * 16 + 12, Ordering::Relaxed);
                return Some(Found { id, parts });
            }
        }
    }

    /// Uses a buffer of `descs` descriptors; returns the position that tells of it.
    fn give(&mut self, ring: &DmaSlice, id: u16, len: u32, descs: usize) -> (usize, bool) {
        let (at, wrap) = self.next_used;
        ring.store_u32(at * 16 + 8, len, Ordering::Relaxed);
        ring.store_u16(at * 16 + 12, id, Ordering::Relaxed);
        let flags = if wrap { 1 << 7 | 1 << 15 } else { 0 } | 2;
        ring.store_u16(at * 16 + 14, flags, Ordering::Release);
        let told = self.next_used;
        self.next_used = Self::step(self.next_used, descs, self.size);
        told
    }
}

struct Rig {
    queue: Virtqueue,
    device: Device,
    bell: Bell,
    descs: usize,
}

fn rig(size: u16, event_idx: bool, parts: &[Part]) -> Rig {
    let features = RingFeatures {
        packed: true,
        event_idx,
        in_order: false,
    };
    let size = QueueSize::new(size).unwrap();
    let memory = Arc::new(DmaRegion::new(1 << 20).unwrap()).at(Iova(BASE));
    let slots = memory
        .slice(1 << 19, usize::from(size.get()) * SLOT)
        .unwrap();
    let layout = SlotLayout {
        stride: SLOT,
        parts,
    };
    let queue = Virtqueue::new(&memory, size, features, &slots, layout).unwrap();
    Rig {
        queue,
        device: Device {
            size: usize::from(size.get()),
            next_avail: (0, true),
            next_used: (0, true),
        },
        bell: Bell::default(),
        descs: parts.len(),
    }
}

const WRITABLE: [Part; 1] = [Part {
    offset: 0,
    len: SLOT as u32,
    device_writes: true,
}];
const COMMAND: [Part; 2] = [
    Part {
        offset: 0,
        len: 64,
        device_writes: false,
    },
    Part {
        offset: 64,
        len: 1,
        device_writes: true,
    },
];

impl Rig {
    fn ring(&self) -> &PackedRing {
        match &self.queue.ring {
            Ring::Packed(ring) => ring,
            Ring::Split(_) | Ring::InOrder(_) => unreachable!("a packed ring was asked for"),
        }
    }

    fn post(&mut self, slots: std::ops::Range<u16>) {
        slots.for_each(|slot| self.queue.add(SlotId(slot)));
        self.queue.publish();
    }

    fn device_takes(&mut self) -> Option<Found> {
        let ring = self.ring().ring.clone();
        self.device.take(&ring)
    }

    fn device_uses(&mut self, id: u16, len: u32) -> (usize, bool) {
        let ring = self.ring().ring.clone();
        self.device.give(&ring, id, len, self.descs)
    }

    fn device_asks(&self, word: u16, flags: u16) {
        let request = u32::from(word) | u32::from(flags) << 16;
        self.ring()
            .device_event
            .store_u32(0, request, Ordering::Relaxed);
    }

    fn pop(&mut self) -> Option<(u16, Option<u32>)> {
        let used: Option<Used> = self.queue.pop_used().unwrap();
        used.map(|used| (used.slot.0, used.len))
    }
}

#[test]
fn the_device_finds_each_slot_with_its_parts() {
    let mut rig = rig(8, false, &COMMAND);
    assert_eq!(rig.queue.slot_count(), 4);
    rig.queue.add(SlotId(2));
    rig.queue.add_with_len(SlotId(0), 7);
    rig.queue.publish();
    let part = |slot: u64, len| {
        let at = SLOTS + slot * SLOT as u64;
        vec![(at, len, false), (at + 64, 1, true)]
    };
    let (id, parts) = (2, part(2, 64));
    assert_eq!(rig.device_takes(), Some(Found { id, parts }));
    let (id, parts) = (0, part(0, 7));
    assert_eq!(rig.device_takes(), Some(Found { id, parts }));
    assert_eq!(rig.device_takes(), None);
}

#[test]
fn nothing_of_a_batch_is_visible_before_publish() {
    let mut rig = rig(8, false, &WRITABLE);
    (0..3).for_each(|slot| rig.queue.add(SlotId(slot)));
    assert_eq!(rig.device_takes(), None);
    rig.queue.publish();
    let seen: Vec<u16> = std::iter::from_fn(|| rig.device_takes().map(|b| b.id)).collect();
    assert_eq!(seen, [0, 1, 2]);
}

#[test]
fn buffers_go_round_for_many_laps_in_any_order() {
    for (size, parts, descs) in [
        (8, &WRITABLE[..], 1),
        (8, &COMMAND[..], 2),
        (1, &WRITABLE, 1),
    ] {
        for event_idx in [false, true] {
            let mut rig = rig(size, event_idx, parts);
            let slots = size / descs;
            rig.post(0..slots);
            for turn in 0..1000u32 {
                let mut held: Vec<u16> =
                    std::iter::from_fn(|| rig.device_takes().map(|b| b.id)).collect();
                let by = turn as usize % held.len();
                held.rotate_left(by);
                let give_back = 1 + turn as usize % held.len();
                held.iter().for_each(|&id| {
                    rig.device_uses(id, u32::from(id == 0));
                });
                for &id in &held[..give_back] {
                    assert_eq!(rig.pop(), Some((id, Some(u32::from(id == 0)))));
                    rig.queue.add(SlotId(id));
                }
                for &id in &held[give_back..] {
                    assert_eq!(rig.pop(), Some((id, Some(u32::from(id == 0)))));
                    rig.queue.add(SlotId(id));
                }
                assert_eq!(rig.pop(), None);
                rig.queue.publish();
                assert_eq!(rig.queue.outstanding_count(), slots);
            }
        }
    }
}

#[test]
fn a_used_buffer_without_the_write_flag_has_its_length_all_the_same() {
    let mut rig = rig(4, false, &WRITABLE);
    rig.post(0..1);
    rig.ring().ring.store_u32(8, 99, Ordering::Relaxed);
    let flags = 1 << 7 | 1 << 15;
    rig.ring().ring.store_u16(14, flags, Ordering::Release);
    assert_eq!(rig.pop(), Some((0, Some(99))));
}

#[test]
fn a_length_beyond_the_slot_is_no_length() {
    let mut rig = rig(4, false, &WRITABLE);
    rig.post(0..1);
    rig.device_uses(0, SLOT as u32 + 1);
    assert_eq!(rig.pop(), Some((0, None)));
}

#[test]
fn ids_that_are_not_with_the_device_break_the_queue() {
    let outstanding = |id| DeviceFault::UsedIdNotOutstanding { id };
    let cases = [
        (4, DeviceFault::UsedIdOutOfRange { id: 4, size: 4 }),
        (
            0xffff,
            DeviceFault::UsedIdOutOfRange {
                id: 0xffff,
                size: 4,
            },
        ),
        (3, outstanding(3)),
        (2, outstanding(2)),
    ];
    for (id, fault) in cases {
        let mut rig = rig(4, false, &WRITABLE);
        rig.post(0..2);
        rig.queue.add(SlotId(2));
        rig.device_uses(id, 0);
        assert_eq!(rig.queue.pop_used(), Err(fault), "id {id}");
        assert_eq!(
            rig.queue.pop_used(),
            Err(fault),
            "a broken queue stays broken"
        );
        assert_eq!(rig.queue.arm(1), Err(fault));
    }
}

#[test]
fn a_buffer_does_not_come_back_twice() {
    let mut rig = rig(4, false, &WRITABLE);
    rig.post(0..2);
    rig.device_uses(1, 0);
    rig.device_uses(1, 0);
    assert_eq!(rig.pop(), Some((1, Some(0))));
    let twice = DeviceFault::UsedIdNotOutstanding { id: 1 };
    assert_eq!(rig.queue.pop_used(), Err(twice));
}

#[test]
fn a_buffer_added_again_is_not_the_devices_before_it_is_published() {
    let mut rig = rig(4, false, &WRITABLE);
    rig.post(0..2);
    rig.device_uses(1, 0);
    assert_eq!(rig.pop(), Some((1, Some(0))));
    rig.queue.add(SlotId(1));
    rig.device_uses(1, 0);
    let early = DeviceFault::UsedIdNotOutstanding { id: 1 };
    assert_eq!(rig.queue.pop_used(), Err(early));
}

#[test]
fn the_doorbell_follows_the_devices_flags() {
    let mut rig = rig(8, false, &WRITABLE);
    rig.post(0..2);
    assert!(rig.queue.kick_if_needed(&rig.bell), "0 asks for all");
    assert!(!rig.queue.kick_if_needed(&rig.bell), "nothing new");
    rig.device_asks(0, 1);
    rig.post(2..4);
    assert!(!rig.queue.kick_if_needed(&rig.bell));
    rig.device_asks(7, 2);
    rig.post(4..5);
    let rang = rig.queue.kick_if_needed(&rig.bell);
    assert!(
        rang,
        "one descriptor only is not agreed on: rather too often"
    );
    assert_eq!(rig.bell.0.get(), 2);
}

/// The definition in words: of the descriptors made available since the last decision, one
/// stood where the event word says, on that lap.
#[test]
fn every_event_word_decides_as_counting_descriptors_does() {
    for size in [1u16, 2, 8] {
        for start in 0..2 * size {
            for batch in 1..=size {
                for word_at in 0..size {
                    for word_wrap in [false, true] {
                        one_event(size, start, batch, word_at, word_wrap);
                    }
                }
            }
        }
    }
}

fn one_event(size: u16, start: u16, batch: u16, word_at: u16, word_wrap: bool) {
    let mut rig = rig(size, true, &WRITABLE);
    for _ in 0..start {
        rig.post(0..1);
        rig.queue.kick_if_needed(&rig.bell);
        rig.device_uses(0, 0);
        rig.pop();
    }
    rig.device_asks(word_at | u16::from(word_wrap) << 15, 2);
    rig.post(0..batch);
    let lap = |n: u16| (n % size, (n / size).is_multiple_of(2));
    let passed = (start..start + batch).any(|n| lap(n) == (word_at, word_wrap));
    let rang = rig.queue.kick_if_needed(&rig.bell);
    assert_eq!(
        rang, passed,
        "size {size}, {batch} from {start}, word {word_at}/{word_wrap}"
    );
}

#[test]
fn arming_looks_once_more_and_says_where() {
    for event_idx in [false, true] {
        let mut rig = rig(4, event_idx, &WRITABLE);
        for lap in 0..5u32 {
            rig.post(0..4);
            assert_eq!(rig.queue.arm(1), Ok(Arming::Armed));
            let told = rig.device_uses(0, 1);
            let word = rig.ring().driver_event.load_u32(0, Ordering::Relaxed);
            let expected = told.0 as u32 | u32::from(told.1) << 15 | 2 << 16;
            assert_eq!(word & 0x3_0000, if event_idx { 2 << 16 } else { 0 });
            assert!(!event_idx || word == expected, "lap {lap}");
            assert_eq!(rig.queue.arm(1), Ok(Arming::MoreWork));
            assert_eq!(rig.queue.arm(2), Ok(Arming::Armed), "one is fewer than two");
            assert_eq!(rig.queue.arm(9), Ok(Arming::Armed), "all there are at most");
            for id in 1..4 {
                rig.device_uses(id, 1);
            }
            assert_eq!(rig.queue.arm(4), Ok(Arming::MoreWork));
            for _ in 0..4 {
                assert!(rig.pop().is_some());
            }
            rig.queue.disarm();
            let word = rig.ring().driver_event.load_u32(0, Ordering::Relaxed);
            assert_eq!(word >> 16, 1);
        }
    }
}

#[test]
fn a_batch_that_is_shown_from_its_end_is_no_work_before_its_beginning() {
    let mut rig = rig(4, true, &WRITABLE);
    rig.post(0..4);
    let ring = rig.ring().ring.clone();
    ring.store_u16(16 + 14, 1 << 7 | 1 << 15, Ordering::Release);
    assert_eq!(rig.queue.arm(2), Ok(Arming::Armed));
    assert_eq!(rig.pop(), None);
    rig.device_uses(0, 1);
    assert_eq!(rig.queue.arm(2), Ok(Arming::MoreWork));
}

#[test]
fn whatever_the_device_writes_ends_and_gives_back_only_what_it_had() {
    // Every flags and id pattern in every descriptor of a ring of two, with one buffer out.
    for flags in 0..=3u16 {
        for id in [0u16, 1, 2, 0x7fff, 0xffff] {
            for other in 0..=3u16 {
                let mut rig = rig(2, true, &WRITABLE);
                rig.post(0..1);
                let bits = |two: u16| (two & 1) << 7 | (two >> 1) << 15 | 2;
                let ring = rig.ring().ring.clone();
                ring.store_u16(12, id, Ordering::Relaxed);
                ring.store_u16(14, bits(flags), Ordering::Relaxed);
                ring.store_u16(16 + 14, bits(other), Ordering::Relaxed);
                let mut came = 0;
                for _ in 0..4 {
                    match rig.queue.pop_used() {
                        Ok(Some(used)) => {
                            assert_eq!(used.slot, SlotId(0));
                            came += 1;
                        }
                        Ok(None) | Err(_) => break,
                    }
                }
                assert!(came <= 1 && rig.queue.outstanding_count() == 1 - came);
            }
        }
    }
}
