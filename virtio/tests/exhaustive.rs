//! A ring of two, and every sequence of a few steps of driver and device on it: whatever is
//! done in whatever order, the driver gets back what it gave and showed, once, and nothing else.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use virtio::queue::{
    Arming, Part, QueueSize, RingFeatures, RingLayout, SlotId, SlotLayout, Virtqueue,
};
use virtio::{DmaRegion, DmaSlice, Iova};

const SIZE: u16 = 2;
const SLOT_LEN: usize = 64;
const STEPS: usize = 6;

/// What either side may do next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Add(u16),
    Publish,
    Pop,
    Arm,
    /// The device names this id in the next used entry and shows it.
    Use(u16),
    /// The device shows an entry that it did not write.
    ShowMore,
    /// The device takes back what it showed last.
    ShowLess,
}

const ALL: [Step; 9] = [
    Step::Add(0),
    Step::Add(1),
    Step::Publish,
    Step::Pop,
    Step::Arm,
    Step::Use(0),
    Step::Use(1),
    Step::ShowMore,
    Step::ShowLess,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    WithDriver,
    Added,
    Shown,
}

struct Game {
    queue: Virtqueue,
    memory: DmaSlice,
    features: RingFeatures,
    at: RingLayout,
    idx: u16,
    slots: [Slot; SIZE as usize],
    broken: bool,
    returned: u32,
}

impl Game {
    fn new(memory: &DmaSlice, features: RingFeatures) -> Self {
        memory.clear();
        let size = QueueSize::new(SIZE).unwrap();
        let at = RingLayout::new(size, features);
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
        Self {
            queue: Virtqueue::new(memory, size, features, &slots, layout).unwrap(),
            memory: memory.clone(),
            features,
            at,
            idx: 0,
            slots: [Slot::WithDriver; SIZE as usize],
            broken: false,
            returned: 0,
        }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Add(slot) => self.add(slot),
            Step::Publish => self.publish(),
            Step::Pop => {
                self.pop();
            }
            Step::Arm => self.arm(),
            Step::Use(id) => {
                let place = usize::from(self.idx % SIZE);
                if self.features.packed {
                    self.memory.store_u16(place * 16 + 12, id, Relaxed);
                } else {
                    let entry = self.at.device + 4 + place * 8;
                    self.memory.store_u32(entry, id.into(), Relaxed);
                }
                self.show_more();
            }
            Step::ShowMore => self.show_more(),
            Step::ShowLess => self.show_less(),
        }
        let out = self.slots.iter().filter(|&&s| s != Slot::WithDriver);
        assert_eq!(usize::from(self.queue.outstanding_count()), out.count());
    }

    fn add(&mut self, slot: u16) {
        let place = &mut self.slots[usize::from(slot)];
        if *place == Slot::WithDriver {
            *place = Slot::Added;
            self.queue.add(SlotId(slot));
        }
    }

    fn publish(&mut self) {
        self.queue.publish();
        for slot in &mut self.slots {
            if *slot == Slot::Added {
                *slot = Slot::Shown;
            }
        }
    }

    fn pop(&mut self) -> bool {
        match self.queue.pop_used() {
            Ok(Some(used)) => {
                assert!(!self.broken, "a broken queue gives nothing back");
                let slot = &mut self.slots[usize::from(used.slot.0)];
                assert_eq!(*slot, Slot::Shown);
                *slot = Slot::WithDriver;
                self.returned += 1;
                true
            }
            Ok(None) => {
                assert!(!self.broken, "a broken queue says so");
                false
            }
            Err(_) => {
                self.broken = true;
                false
            }
        }
    }

    fn arm(&mut self) {
        match self.queue.arm(1) {
            Ok(Arming::MoreWork) => assert!(self.pop() || self.broken),
            Ok(Arming::Armed) => assert!(!self.pop()),
            Err(_) => self.broken = true,
        }
    }

    fn show_more(&mut self) {
        if self.features.packed {
            self.write_flags(self.idx, true);
        }
        self.show(self.idx.wrapping_add(1));
    }

    fn show_less(&mut self) {
        self.show(self.idx.wrapping_sub(1));
        if self.features.packed {
            self.write_flags(self.idx, false);
        }
    }

    fn show(&mut self, idx: u16) {
        self.idx = idx;
        if !self.features.packed {
            self.memory.store_u16(self.at.device + 2, idx, Relaxed);
        }
    }

    /// Makes the descriptor at `idx`, on its lap, look used or available.
    fn write_flags(&self, idx: u16, is_used: bool) {
        let wrap = (idx / SIZE).is_multiple_of(2);
        let (avail, used) = (wrap, wrap == is_used);
        let flags = u16::from(avail) << 7 | u16::from(used) << 15;
        let at = usize::from(idx % SIZE) * 16 + 14;
        self.memory.store_u16(at, flags, Relaxed);
    }
}

fn no_sequence_gives_back_what_was_not_shown(packed: bool, in_order: bool) {
    let features = RingFeatures {
        packed,
        event_idx: true,
        in_order,
    };
    let region = Arc::new(DmaRegion::new(512).unwrap());
    let memory = region.at(Iova(0x1000)).slice(0, 512).unwrap();
    let sequences = ALL.len().pow(STEPS as u32);
    let (mut returned, mut broken) = (0, 0);
    for sequence in 0..sequences {
        let mut game = Game::new(&memory, features);
        let mut rest = sequence;
        for _ in 0..STEPS {
            game.play(ALL[rest % ALL.len()]);
            rest /= ALL.len();
        }
        returned += u64::from(game.returned);
        broken += u64::from(game.broken);
    }
    println!("{sequences} sequences, {returned} buffers returned, {broken} queues broken");
    assert!(returned > 0 && broken > 0);
}

#[test]
fn no_sequence_of_six_steps_gives_back_what_was_not_shown_in_a_split_ring() {
    no_sequence_gives_back_what_was_not_shown(false, false);
}

#[test]
fn no_sequence_of_six_steps_gives_back_what_was_not_shown_in_a_packed_ring() {
    no_sequence_gives_back_what_was_not_shown(true, false);
}

#[test]
fn no_sequence_of_six_steps_gives_back_what_was_not_shown_in_order_in_a_split_ring() {
    no_sequence_gives_back_what_was_not_shown(false, true);
}

#[test]
fn no_sequence_of_six_steps_gives_back_what_was_not_shown_in_order_in_a_packed_ring() {
    no_sequence_gives_back_what_was_not_shown(true, true);
}
