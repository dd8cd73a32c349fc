use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::mem::{DmaRegion, DmaSlice, Iova};
use crate::queue::{
    Arming, DeviceFault, Part, QueueSize, RingFeatures, RingLayout, SlotId, SlotLayout, Used,
    Virtqueue,
};
use crate::spec::ring::{desc, used};

const BASE: u64 = 0x10_0000;
const SLOTS: usize = 1 << 12;
const SLOT: usize = 128;
const LEN: u32 = 100;

/// A queue whose buffers are used in order, with the device's hand in the test.
struct Rig {
    queue: Virtqueue,
    memory: DmaSlice,
    at: RingLayout,
    packed: bool,
    size: u16,
}

fn rig(size: u16, packed: bool, parts: &[Part]) -> Rig {
    let features = RingFeatures {
        packed,
        event_idx: true,
        in_order: true,
    };
    let size = QueueSize::new(size).unwrap();
    let memory = Arc::new(DmaRegion::new(2 * SLOTS).unwrap()).at(Iova(BASE));
    let slots = memory.slice(SLOTS, SLOTS).unwrap();
    let layout = SlotLayout {
        stride: SLOT,
        parts,
    };
    Rig {
        queue: Virtqueue::new(&memory, size, features, &slots, layout).unwrap(),
        at: RingLayout::new(size, features),
        memory,
        packed,
        size: size.get(),
    }
}

const WRITABLE: [Part; 1] = [Part {
    offset: 0,
    len: LEN,
    device_writes: true,
}];

impl Rig {
    fn post(&mut self, slots: &[u16]) {
        slots.iter().for_each(|&slot| self.queue.add(SlotId(slot)));
        self.queue.publish();
    }

    /// The used entry at `at`, and an index that stands at `idx` behind it.
    fn device_uses(&self, at: u16, id: u16, len: u32, idx: u16) {
        let place = usize::from(at % self.size);
        if self.packed {
            let first_lap = (at / self.size).is_multiple_of(2);
            let flags = if first_lap { 1 << 7 | 1 << 15 } else { 0 };
            self.memory.store_u32(place * 16 + 8, len, Relaxed);
            self.memory.store_u16(place * 16 + 12, id, Relaxed);
            self.memory.store_u16(place * 16 + 14, flags, Relaxed);
        } else {
            let entry = self.at.device + used::RING + place * used::ENTRY_SIZE;
            self.memory.store_u32(entry, id.into(), Relaxed);
            self.memory.store_u32(entry + 4, len, Relaxed);
            self.memory
                .store_u16(self.at.device + used::IDX, idx, Relaxed);
        }
    }

    fn pop(&mut self) -> Option<(u16, u32)> {
        let used = self.queue.pop_used().unwrap();
        used.map(|Used { slot, len }| (slot.0, len.unwrap()))
    }
}

#[test]
fn one_entry_brings_a_batch_back_in_the_order_in_which_it_was_given() {
    for packed in [false, true] {
        let mut rig = rig(4, packed, &WRITABLE);
        rig.post(&[2, 0, 3, 1]);
        rig.device_uses(0, 2, 7, 3);
        assert_eq!(rig.pop(), Some((2, LEN)), "left out, so written completely");
        assert_eq!(rig.pop(), Some((0, LEN)));
        rig.post(&[2]);
        assert_eq!(rig.pop(), Some((3, 7)), "the one that is named");
        assert_eq!(rig.pop(), None);
        rig.device_uses(3, 0, 9, 5);
        assert_eq!(rig.pop(), Some((1, LEN)), "round the end of the ring");
        assert_eq!(rig.pop(), Some((2, 9)));
        assert_eq!(rig.queue.outstanding_count(), 0);
    }
}

#[test]
fn an_entry_without_order_breaks_the_queue() {
    let fault = |packed, id, idx| {
        let mut rig = rig(8, packed, &WRITABLE);
        rig.post(&[0, 1, 2]);
        rig.queue.add(SlotId(3));
        rig.device_uses(0, id, 0, idx);
        let fault = rig.queue.pop_used().unwrap_err();
        assert_eq!(rig.queue.pop_used(), Err(fault), "it stays broken");
        fault
    };
    let no_order = |id, limit| DeviceFault::UsedOutOfOrder { id, next: 0, limit };
    assert_eq!(fault(false, 1, 1), no_order(1, 1), "beyond the index");
    assert_eq!(fault(false, 7, 3), no_order(7, 3), "before the oldest");
    assert_eq!(fault(true, 7, 0), no_order(7, 3), "before the oldest");
    assert_eq!(fault(true, 3, 0), no_order(3, 3), "not yet published");
    for packed in [false, true] {
        let beyond = DeviceFault::UsedIdOutOfRange { id: 8, size: 8 };
        assert_eq!(fault(packed, 8, 1), beyond);
    }
}

#[test]
fn an_entry_that_names_the_inside_of_a_chain_breaks_the_queue() {
    for packed in [false, true] {
        let mut rig = rig(8, packed, &CHAIN);
        rig.post(&[0, 1]);
        rig.device_uses(0, 1, 0, 1);
        let inside = DeviceFault::UsedIdNotHead { id: 1 };
        assert_eq!(rig.queue.pop_used(), Err(inside));
    }
}

const CHAIN: [Part; 3] = [
    Part {
        offset: 0,
        len: 10,
        device_writes: false,
    },
    Part {
        offset: 10,
        len: 20,
        device_writes: false,
    },
    Part {
        offset: 30,
        len: 40,
        device_writes: true,
    },
];

#[test]
fn descriptors_are_used_in_the_order_of_the_table_and_round_its_end() {
    let mut rig = rig(8, false, &CHAIN);
    rig.post(&[1, 0]);
    let read = |rig: &Rig, index: usize| {
        let at = index * desc::SIZE;
        let next = rig.memory.load_u16(at + desc::NEXT, Relaxed);
        (rig.memory.load_u64(at, Relaxed) - BASE, next)
    };
    let slot = |slot: usize, offset: usize| (SLOTS + slot * SLOT + offset) as u64;
    assert_eq!(read(&rig, 0), (slot(1, 0), 1));
    assert_eq!(read(&rig, 1), (slot(1, 10), 2));
    assert_eq!(read(&rig, 3), (slot(0, 0), 4));
    rig.device_uses(0, 0, 0, 1);
    assert_eq!(rig.pop(), Some((1, 0)));
    rig.post(&[1]);
    assert_eq!(read(&rig, 6), (slot(1, 0), 7));
    assert_eq!(
        read(&rig, 7),
        (slot(1, 10), 0),
        "behind the last, the first"
    );
    assert_eq!(read(&rig, 0), (slot(1, 30), 0));
    rig.device_uses(1, 6, 5, 3);
    assert_eq!([rig.pop(), rig.pop()], [Some((0, 40)), Some((1, 5))]);
}

#[test]
fn what_a_packed_batch_leaves_out_is_not_waited_for() {
    let mut rig = rig(8, true, &WRITABLE);
    rig.post(&[0, 1, 2, 3]);
    assert_eq!(rig.queue.arm(3), Ok(Arming::Armed));
    rig.device_uses(0, 3, 0, 4);
    assert_eq!(rig.queue.arm(3), Ok(Arming::MoreWork));
    assert!(rig.pop().is_some());
    assert_eq!(
        rig.queue.arm(3),
        Ok(Arming::MoreWork),
        "the rest of the batch"
    );
    (0..3).for_each(|_| assert!(rig.pop().is_some()));
    assert_eq!(rig.queue.arm(3), Ok(Arming::Armed));
}
