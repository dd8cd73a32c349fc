//! Queue and header: driver and device take turns as the input says, on a split or a packed ring;
//! whatever the device writes, the driver gets back only what it gave, and believes only what a
//! slot can hold.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use umnet::offload;
use umnet::slots::{FrameSlots, SlotShape};
use virtio::net::features::all_known;
use virtio::net::{FeatureSet, VirtioNetHdr};
use virtio::queue::{Arming, QueueSize, RingFeatures, RingLayout, SlotId, Used, Virtqueue};
use virtio::spec::ring::{packed::desc, used};
use virtio::transport::Doorbell;
use virtio::{DmaRegion, DmaSlice, Iova};

use crate::input::Input;

const SIZE: u16 = 8;
const FRAME_LEN: usize = 112;

/// Where a slot is, as this body keeps count of it.
#[derive(Clone, Copy, PartialEq)]
enum Slot {
    WithDriver,
    Added,
    Published,
}

struct Silent;

impl Doorbell for Silent {
    fn ring(&self) {}
}

struct Game {
    queue: Virtqueue,
    slots: FrameSlots,
    ring: DmaSlice,
    frames: DmaSlice,
    ring_features: RingFeatures,
    features: FeatureSet,
    model: [Slot; SIZE as usize],
    /// Where the device uses the next buffer: an index that runs freely.
    idx: u16,
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let settings = input.u8();
    let ring = RingFeatures {
        packed: settings & 4 != 0,
        event_idx: settings & 1 != 0,
        in_order: settings & 8 != 0,
    };
    let mut game = Game::new(ring, settings & 2 != 0);
    while !input.is_empty() {
        if !game.turn(&mut input) {
            return;
        }
    }
}

impl Game {
    fn new(ring_features: RingFeatures, offloads: bool) -> Self {
        let memory = memory();
        memory.clear();
        let size = size();
        let shape = SlotShape::for_frames_of(FRAME_LEN, VirtioNetHdr::SIZE, true);
        let ring_len = RingLayout::new(size, ring_features).len;
        let ring = memory.slice(0, ring_len).expect("it fits");
        let frames = memory
            .slice(ring_len, usize::from(SIZE) * shape.stride())
            .expect("it fits");
        let queue =
            Virtqueue::new(&ring, size, ring_features, &frames, shape.layout()).expect("it fits");
        Self {
            queue,
            slots: FrameSlots::new(frames.clone(), shape),
            ring,
            frames,
            ring_features,
            features: if offloads {
                all_known()
            } else {
                FeatureSet::EMPTY
            },
            model: [Slot::WithDriver; SIZE as usize],
            idx: 0,
        }
    }

    /// One move of either side; false when the queue is broken, which ends the game.
    fn turn(&mut self, input: &mut Input<'_>) -> bool {
        match input.u8() % 8 {
            0 => return self.pop(),
            1 => self.add(input.u8()),
            2 => self.publish(),
            3 => return self.arm(input.u8()),
            4 => self.device_uses(u32::from(input.u8()), input.u8().into()),
            5 => self.device_uses(input.u32(), input.u32()),
            6 => self.device_moves(input.u16()),
            _ => self.device_writes(input),
        }
        true
    }

    fn pop(&mut self) -> bool {
        match self.queue.pop_used() {
            Ok(Some(used)) => self.popped(used),
            Ok(None) => {}
            Err(fault) => {
                assert_eq!(self.queue.pop_used(), Err(fault), "a fault stays");
                assert_eq!(self.queue.arm(1), Err(fault), "a fault stays");
                return false;
            }
        }
        true
    }

    fn popped(&mut self, used: Used) {
        let slot = &mut self.model[usize::from(used.slot.0)];
        assert!(*slot == Slot::Published, "{used:?} was not with the device");
        *slot = Slot::WithDriver;
        assert!(!self.queue.is_outstanding(used.slot));
        let header = VirtioNetHdr::from_words(self.slots.read_header(used.slot));
        let Some(len) = used.len else { return };
        let Some(len) = (len as usize).checked_sub(VirtioNetHdr::SIZE) else {
            return;
        };
        assert!(len <= self.slots.shape().frame_capacity(), "{used:?}");
        let frame = self.slots.frame(used.slot, 0, len);
        if let Ok(received) = offload::received(header, &frame, self.features) {
            let end = received.partial.checksum_start as usize
                + received.partial.checksum_offset as usize;
            assert!(!received.partial.is_partial() || end + 2 <= len);
        }
    }

    fn add(&mut self, slot: u8) {
        let slot = SlotId(u16::from(slot) % SIZE);
        let place = &mut self.model[usize::from(slot.0)];
        if *place == Slot::WithDriver {
            *place = Slot::Added;
            self.queue.add(slot);
        }
    }

    fn publish(&mut self) {
        self.queue.publish();
        self.queue.kick_if_needed(&Silent);
        for slot in &mut self.model {
            if *slot == Slot::Added {
                *slot = Slot::Published;
            }
        }
        let out = self.model.iter().filter(|&&s| s != Slot::WithDriver);
        assert_eq!(usize::from(self.queue.outstanding_count()), out.count());
    }

    fn arm(&mut self, count: u8) -> bool {
        match self.queue.arm(count.into()) {
            Ok(Arming::MoreWork) => {
                assert_ne!(
                    self.queue
                        .pop_used()
                        .map(|used| used.map(|u| self.popped(u))),
                    Ok(None)
                );
            }
            Ok(Arming::Armed) => self.queue.disarm(),
            Err(fault) => {
                assert_eq!(self.queue.pop_used(), Err(fault), "a fault stays");
                return false;
            }
        }
        true
    }

    /// The device writes the next used entry and shows it.
    fn device_uses(&mut self, id: u32, len: u32) {
        if self.ring_features.packed {
            let at = usize::from(self.idx % SIZE) * desc::SIZE;
            self.ring.store_u32(at + desc::LEN, len, Relaxed);
            self.ring.store_u16(at + desc::ID, id as u16, Relaxed);
        } else {
            let at = self.layout().device + used::RING + usize::from(self.idx % SIZE) * 8;
            self.ring.store_u32(at, id, Relaxed);
            self.ring.store_u32(at + used::ENTRY_LEN, len, Relaxed);
        }
        self.device_moves(self.idx.wrapping_add(1));
    }

    /// The device shows the entry before `idx`; in a split ring, all entries before it.
    fn device_moves(&mut self, idx: u16) {
        self.idx = idx;
        if self.ring_features.packed {
            let shown = idx.wrapping_sub(1);
            let flags = match (shown / SIZE).is_multiple_of(2) {
                true => desc::F_AVAIL | desc::F_USED,
                false => 0,
            };
            let at = usize::from(shown % SIZE) * desc::SIZE + desc::FLAGS;
            self.ring.store_u16(at, flags, Relaxed);
        } else {
            let at = self.layout().device + used::IDX;
            self.ring.store_u16(at, idx, Relaxed);
        }
    }

    fn layout(&self) -> RingLayout {
        RingLayout::new(size(), self.ring_features)
    }

    /// The device writes where it likes: rings or frames.
    fn device_writes(&mut self, input: &mut Input<'_>) {
        let (at, len) = (usize::from(input.u16()), usize::from(input.u8() % 64));
        let memory = if at & 1 == 0 {
            &self.frames
        } else {
            &self.ring
        };
        let bytes = input.take(len);
        let at = at / 2 % (memory.len() - 64);
        memory.range(at, bytes.len()).copy_from(bytes);
    }
}

fn size() -> QueueSize {
    QueueSize::new(SIZE).expect("a power of two")
}

/// The same memory for every input: making it costs more than a game.
fn memory() -> DmaSlice {
    thread_local! {
        static MEMORY: OnceCell<DmaSlice> = const { OnceCell::new() };
    }
    MEMORY.with(|memory| memory.get_or_init(new_memory).clone())
}

fn new_memory() -> DmaSlice {
    let region = Arc::new(DmaRegion::new(4096).expect("one page"));
    region.at(Iova(0x1_0000))
}
