//! The virtqueue against a model of sets and counters that never wrap, with an independent device
//! side between them: that of `virtio-queue` for split rings, one of these tests' own for packed.
//!
//! A million random sequences of operations run over queues of several shapes. Each begins
//! and ends with all slots at the driver, so that it can be repeated alone: a failure prints
//! the `UMNET_SEED` for that.

mod common;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::packed_device::{Found, PackedDevice};
use common::part;
use common::random::{Random, repeatable, seed_to_repeat};
use virtio::queue::{Arming, QueueSize, RingFeatures, RingLayout, SlotId, SlotLayout, Used};
use virtio::spec::ring::{packed, used};
use virtio::transport::{Doorbell, QueueSetup};
use virtio::{DeviceFault, DmaRegion, DmaSlice, Iova, Virtqueue};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

const SEQUENCES: usize = 1_000_000;
const BASE: u64 = 0x10_0000;
const STRIDE: usize = 64;
const READABLE: u32 = 40;
const WRITABLE: u32 = 24;

/// What tells one queue from another before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    size: u16,
    packed: bool,
    event_idx: bool,
    in_order: bool,
    /// A slot is a readable and a writable part, rather than one writable part.
    two_parts: bool,
}

fn split(event_idx: bool) -> RingFeatures {
    RingFeatures {
        event_idx,
        ..RingFeatures::default()
    }
}

impl Shape {
    fn all() -> Vec<Self> {
        let mut shapes = Vec::new();
        for size in [1, 2, 4, 8, 16, 32, 64] {
            for bits in 0..16 {
                let [packed, event_idx, two_parts, in_order] =
                    [1, 2, 4, 8].map(|bit| bits & bit != 0);
                if size > 1 || !two_parts {
                    shapes.push(Self {
                        size,
                        packed,
                        event_idx,
                        in_order,
                        two_parts,
                    });
                }
            }
        }
        shapes
    }

    fn features(self) -> RingFeatures {
        RingFeatures {
            packed: self.packed,
            event_idx: self.event_idx,
            in_order: self.in_order,
        }
    }

    /// After how many buffers the words repeat by which one names a buffer.
    fn period(self) -> u64 {
        match self.packed {
            true => 2 * u64::from(self.slot_count()),
            false => 1 << 16,
        }
    }

    fn descs_per_slot(self) -> u16 {
        1 + u16::from(self.two_parts)
    }

    fn slot_count(self) -> u16 {
        self.size / self.descs_per_slot()
    }

    fn writable(self) -> u32 {
        if self.two_parts { WRITABLE } else { READABLE }
    }
}

/// A buffer that the device has taken from the available ring, and by what it knows it.
struct Held {
    slot: u16,
    id: u16,
}

/// The device's side.
enum Side {
    Split(Queue),
    Packed(PackedDevice),
}

impl Side {
    fn new(memory: &GuestMemoryMmap, setup: QueueSetup, features: RingFeatures) -> Self {
        if features.packed {
            let mut device = PackedDevice::new(memory.clone(), setup, features);
            device.enable_notification();
            return Self::Packed(device);
        }
        let mut device = Queue::new(setup.size.get()).unwrap();
        device
            .try_set_desc_table_address(GuestAddress(setup.desc.0))
            .unwrap();
        device
            .try_set_avail_ring_address(GuestAddress(setup.driver.0))
            .unwrap();
        device
            .try_set_used_ring_address(GuestAddress(setup.device.0))
            .unwrap();
        device.set_event_idx(features.event_idx);
        device.set_ready(true);
        Self::Split(device)
    }

    fn take(&mut self, memory: &GuestMemoryMmap) -> Option<Found> {
        match self {
            Self::Packed(device) => device.take(),
            Self::Split(device) => {
                let chain = device.pop_descriptor_chain(memory)?;
                let id = chain.head_index();
                let parts = chain.map(|desc| (desc.addr().0, desc.len(), desc.is_write_only()));
                Some(Found {
                    id,
                    parts: parts.collect(),
                })
            }
        }
    }

    /// Uses `count` buffers of `descs` descriptors by one entry that names the last.
    fn complete(&mut self, memory: &GuestMemoryMmap, id: u16, len: u32, descs: u16, count: u16) {
        match self {
            Self::Packed(device) => device.complete(id, len, descs * count),
            Self::Split(device) => {
                let first = device.next_used();
                for _ in 0..count {
                    device.add_used(memory, id, len).unwrap();
                }
                // The entries behind the first one say nothing.
                for left_out in 1..count {
                    let at = u64::from(first.wrapping_add(left_out) % device.size()) * 8;
                    let entry = GuestAddress(device.used_ring() + 4 + at);
                    memory.write_obj(u64::MAX, entry).unwrap();
                }
            }
        }
    }

    fn needs_notification(&mut self, memory: &GuestMemoryMmap) -> bool {
        match self {
            Self::Packed(device) => device.needs_notification(),
            Self::Split(device) => device.needs_notification(memory).unwrap(),
        }
    }

    fn enable_notification(&mut self, memory: &GuestMemoryMmap) -> bool {
        match self {
            Self::Packed(device) => device.enable_notification(),
            Self::Split(device) => device.enable_notification(memory).unwrap(),
        }
    }

    fn disable_notification(&mut self, memory: &GuestMemoryMmap) {
        match self {
            Self::Packed(device) => device.disable_notification(),
            Self::Split(device) => device.disable_notification(memory).unwrap(),
        }
    }
}

/// Both sides of one queue and what the model knows of it. Counters count from the beginning
/// of the queue and do not wrap.
struct Lane {
    shape: Shape,
    queue: Virtqueue,
    memory: GuestMemoryMmap,
    device: Side,
    slots: DmaSlice,
    /// Slots with the driver.
    free: Vec<u16>,
    /// Added, not published: slot and readable length.
    staged: VecDeque<(u16, u32)>,
    /// Published, not taken by the device.
    visible: VecDeque<(u16, u32)>,
    held: Vec<Held>,
    /// Used by the device, not taken back: slot and length.
    used: VecDeque<(u16, u32)>,
    /// How many buffers each entry stands for that the driver has not read, and how many of the
    /// last one that it has are still to be taken.
    batches: VecDeque<u16>,
    batch_left: u16,
    published: u64,
    kicked: u64,
    taken: u64,
    completed: u64,
    signalled: u64,
    popped: u64,
    /// Where the device asked for the doorbell, and whether it did.
    avail_event: u64,
    doorbell_on: bool,
    /// Where the driver asked for an interrupt, and whether it did.
    used_event: u64,
    interrupt_on: bool,
}

struct NoBell;

impl Doorbell for NoBell {
    fn ring(&self) {}
}

impl Lane {
    fn new(shape: Shape) -> Self {
        let size = QueueSize::new(shape.size).unwrap();
        let at = RingLayout::new(size, shape.features());
        let len = at.len + usize::from(shape.size) * STRIDE;
        let region = Arc::new(DmaRegion::new(len).unwrap());
        let ring = region.at(Iova(BASE));
        let slots = ring.slice(at.len, len - at.len).unwrap();
        let one = [part(0, READABLE, true)];
        let two = [
            part(0, READABLE, false),
            part(READABLE as usize, WRITABLE, true),
        ];
        let parts = if shape.two_parts { &two[..] } else { &one[..] };
        let layout = SlotLayout {
            stride: STRIDE,
            parts,
        };
        let queue = Virtqueue::new(&ring, size, shape.features(), &slots, layout).unwrap();
        let file = FileOffset::new(region.file().try_clone().unwrap(), 0);
        let mapping = MmapRegion::from_file(file, region.len()).unwrap();
        let mapped = GuestRegionMmap::new(mapping, GuestAddress(BASE)).unwrap();
        let memory = GuestMemoryMmap::from_regions(vec![mapped]).unwrap();
        let device = Side::new(&memory, queue.setup(0, None), shape.features());
        Self {
            shape,
            queue,
            memory,
            device,
            slots,
            free: (0..shape.slot_count()).collect(),
            staged: VecDeque::new(),
            visible: VecDeque::new(),
            held: Vec::new(),
            used: VecDeque::new(),
            batches: VecDeque::new(),
            batch_left: 0,
            published: 0,
            kicked: 0,
            taken: 0,
            completed: 0,
            signalled: 0,
            popped: 0,
            avail_event: 0,
            doorbell_on: true,
            // A new queue is disarmed: the event stands just behind the first index.
            used_event: u64::from(u16::MAX),
            interrupt_on: false,
        }
    }

    /// Moves buffers round until the indices stand at `start`, which they have not passed.
    fn advance_to(&mut self, start: u64) {
        while self.published < start {
            self.add(0, READABLE);
            self.settle();
        }
    }

    // The driver's operations, each compared with the model.

    fn add(&mut self, which: usize, len: u32) {
        if self.free.is_empty() {
            return;
        }
        let slot = self.free.swap_remove(which % self.free.len());
        if self.shape.two_parts {
            self.queue.add_with_len(SlotId(slot), len);
        } else {
            self.queue.add(SlotId(slot));
        }
        self.staged.push_back((slot, len));
    }

    fn publish(&mut self) {
        self.queue.publish();
        self.published += self.staged.len() as u64;
        self.visible.append(&mut self.staged);
    }

    fn kick(&mut self) {
        // In words: the index stood at the device's event when one of the buffers was published.
        let passed = self.passes(self.kicked..self.published, self.avail_event);
        let wanted = match self.shape {
            Shape {
                packed: true,
                event_idx,
                ..
            } => self.doorbell_on && (passed || !event_idx),
            Shape {
                event_idx: true, ..
            } => passed,
            Shape {
                event_idx: false, ..
            } => self.doorbell_on,
        };
        let expected = wanted && self.kicked != self.published;
        assert_eq!(self.queue.kick_if_needed(&NoBell), expected, "kick");
        self.kicked = self.published;
    }

    /// Whether one of these buffers is the one that an event names.
    fn passes(&self, buffers: Range<u64>, event: u64) -> bool {
        let period = self.shape.period();
        let named = event % period;
        buffers.into_iter().any(|idx| idx % period == named)
    }

    fn pop(&mut self) {
        let expected = self.used.pop_front().map(|(slot, len)| Used {
            slot: SlotId(slot),
            len: (len <= self.shape.writable()).then_some(len),
        });
        assert_eq!(self.queue.pop_used(), Ok(expected), "pop_used");
        if let Some(used) = expected {
            self.free.push(used.slot.0);
            self.popped += 1;
            if self.batch_left == 0 {
                self.batch_left = self.batches.pop_front().unwrap();
            }
            self.batch_left -= 1;
        }
    }

    fn arm(&mut self, count: u16) {
        // In a packed ring no more can be waited for than there are.
        let most = match self.shape.packed {
            true => self.shape.slot_count(),
            false => u16::MAX,
        };
        // The rest of a batch is there without being asked for.
        let ahead = count.max(1).saturating_sub(self.batch_left).min(most);
        let (used, left) = (self.used.len(), usize::from(self.batch_left));
        let enough = used >= left + usize::from(ahead);
        // What a batch leaves out cannot be waited for in a packed ring, so anything is enough.
        let enough = enough || (self.shape.in_order && self.shape.packed && used > left);
        let expected = if enough {
            Arming::MoreWork
        } else {
            Arming::Armed
        };
        assert_eq!(self.queue.arm(count), Ok(expected), "arm({count})");
        if ahead > 0 {
            self.used_event = self.read() + u64::from(ahead) - 1;
            self.interrupt_on = true;
        }
    }

    fn disarm(&mut self) {
        self.queue.disarm();
        self.used_event = self.read().wrapping_sub(1);
        self.interrupt_on = false;
    }

    /// Up to where the driver has read used entries.
    fn read(&self) -> u64 {
        self.popped + u64::from(self.batch_left)
    }

    // The device's operations.

    fn take(&mut self) {
        let found = self.device.take(&self.memory);
        let expected = self.visible.pop_front();
        assert_eq!(found.is_some(), expected.is_some(), "a buffer to take");
        let (Some(found), Some((slot, len))) = (found, expected) else {
            return;
        };
        self.check_parts(&found.parts, slot, len);
        let id = found.id;
        assert_eq!(id, self.expected_id(slot), "the oldest is taken first");
        self.held.push(Held { slot, id });
        self.taken += 1;
    }

    /// By what the device knows the next buffer: in order, by where it comes in the ring.
    fn expected_id(&self, slot: u16) -> u16 {
        let descs = self.shape.descs_per_slot();
        match self.shape {
            Shape { in_order: true, .. } => {
                (self.taken * u64::from(descs) % u64::from(self.shape.size)) as u16
            }
            Shape { packed: true, .. } => slot,
            Shape { packed: false, .. } => slot * descs,
        }
    }

    fn check_parts(&self, found: &[(u64, u32, bool)], slot: u16, len: u32) {
        let start = self.slots.iova().0 + (usize::from(slot) * STRIDE) as u64;
        if self.shape.two_parts {
            let parts = [
                (start, len, false),
                (start + u64::from(READABLE), WRITABLE, true),
            ];
            assert_eq!(found, parts, "slot {slot}");
        } else {
            assert_eq!(found, [(start, READABLE, true)], "slot {slot}");
        }
    }

    fn complete(&mut self, which: usize, len: u32) {
        if self.held.is_empty() {
            return;
        }
        let which = which % self.held.len();
        let descs = self.shape.descs_per_slot();
        let batch: Vec<Held> = match self.shape.in_order {
            true => self.held.drain(..=which).collect(),
            false => vec![self.held.swap_remove(which)],
        };
        let (last, before) = batch.split_last().unwrap();
        let count = batch.len() as u16;
        self.device
            .complete(&self.memory, last.id, len, descs, count);
        let writable = self.shape.writable();
        self.used.extend(before.iter().map(|b| (b.slot, writable)));
        self.used.push_back((last.slot, len));
        self.batches.push_back(count);
        self.completed += u64::from(count);
    }

    fn signal(&mut self) {
        let wanted = self.device.needs_notification(&self.memory);
        let passed = self.passes(self.signalled..self.completed, self.used_event);
        let news = self.signalled != self.completed;
        match (&self.device, self.shape.event_idx) {
            (Side::Packed(_), true) => {
                assert_eq!(wanted, passed && self.interrupt_on, "interrupt");
            }
            (Side::Packed(_), false) => assert_eq!(wanted, news && self.interrupt_on, "interrupt"),
            (Side::Split(_), true) => assert_eq!(wanted, passed, "interrupt"),
            (Side::Split(device), false) => {
                let at = GuestAddress(device.avail_ring());
                let flags: u16 = self.memory.read_obj(at).unwrap();
                assert_eq!(flags, u16::from(!self.interrupt_on), "avail.flags");
            }
        }
        self.signalled = self.completed;
    }

    fn ask_for_doorbell(&mut self) {
        let more = self.device.enable_notification(&self.memory);
        assert_eq!(more, !self.visible.is_empty(), "work seen after enabling");
        self.avail_event = self.taken;
        self.doorbell_on = true;
    }

    fn refuse_doorbell(&mut self) {
        self.device.disable_notification(&self.memory);
        self.doorbell_on = false;
    }

    /// What is true after every operation: each slot is in exactly one place.
    fn check(&self, slot: u16) {
        let count = self.staged.len() + self.visible.len() + self.held.len() + self.used.len();
        assert_eq!(
            usize::from(self.queue.outstanding_count()),
            count,
            "outstanding"
        );
        let lost = usize::from(self.shape.slot_count()) - count - self.free.len();
        assert_eq!(lost, 0, "slots are neither lost nor doubled");
        assert_eq!(
            self.queue.is_outstanding(SlotId(slot)),
            !self.free.contains(&slot),
            "slot {slot}"
        );
    }

    /// Brings all slots back to the driver.
    fn settle(&mut self) {
        self.publish();
        self.kick();
        while !self.visible.is_empty() {
            self.take();
        }
        while !self.held.is_empty() {
            self.complete(0, 0);
        }
        self.signal();
        for _ in 0..=self.used.len() {
            self.pop();
        }
        self.free.sort_unstable();
        assert!(
            self.free.iter().copied().eq(0..self.shape.slot_count()),
            "all slots are back"
        );
    }

    fn random_op(&mut self, random: &mut Random) {
        let (which, len) = (random.below(64), random.below(READABLE as usize + 1) as u32);
        match random.below(16) {
            0..4 => self.add(which, len),
            4..6 => {
                self.publish();
                // The words of a packed ring's events tell two laps apart and no more, so each
                // batch is decided on by itself.
                if self.shape.packed {
                    self.kick();
                }
            }
            6 => self.kick(),
            7..9 => self.take(),
            9..11 => self.complete(
                which,
                if random.one_in(8) {
                    u32::MAX - len
                } else {
                    len
                },
            ),
            11 => self.signal(),
            12..14 => self.pop(),
            14 => match random.below(3) {
                0 => self.disarm(),
                // From 0, which counts as 1, to more than the queue holds.
                _ => self.arm(random.below(usize::from(self.shape.size) + 3) as u16),
            },
            _ => match random.below(2) {
                0 => self.ask_for_doorbell(),
                _ => self.refuse_doorbell(),
            },
        }
    }

    fn sequence(&mut self, seed: u64) {
        let mut random = Random(seed);
        for _ in 0..16 + random.below(49) {
            self.random_op(&mut random);
            self.check(random.below(usize::from(self.shape.slot_count())) as u16);
        }
        // The doorbell is asked for again, so that the next sequence does not depend on this.
        self.settle();
        self.ask_for_doorbell();
        self.disarm();
    }
}

/// Where a sequence can be found again: its shape, where the indices stand, its own seed.
fn name(shape: Shape, start: u64, seed: u64) -> String {
    let Shape {
        size,
        packed,
        event_idx,
        in_order,
        two_parts,
    } = shape;
    let [packed, event_idx, in_order, two_parts] =
        [packed, event_idx, in_order, two_parts].map(u8::from);
    format!("{size}/{packed}/{event_idx}/{in_order}/{two_parts}/{start}/{seed}")
}

fn repeat(name: &str) {
    let parts: Vec<u64> = name
        .split('/')
        .map(|part| part.parse().expect("a number"))
        .collect();
    let &[size, packed, event_idx, in_order, two_parts, start, seed] = &parts[..] else {
        panic!("UMNET_SEED is size/packed/event_idx/in_order/two_parts/start/seed, not {name}");
    };
    let mut lane = Lane::new(Shape {
        size: size as u16,
        packed: packed == 1,
        event_idx: event_idx == 1,
        in_order: in_order == 1,
        two_parts: two_parts == 1,
    });
    lane.advance_to(start);
    lane.ask_for_doorbell();
    lane.disarm();
    lane.sequence(seed);
}

#[test]
fn a_million_random_sequences_agree_with_the_model() {
    match seed_to_repeat() {
        Some(name) if name.contains('/') => return repeat(&name),
        Some(_) => return println!("SKIP: UMNET_SEED names a sequence of another test"),
        None => {}
    }
    let shapes = Shape::all();
    let count = shapes.len();
    let each = SEQUENCES.div_ceil(count);
    for (i, shape) in shapes.into_iter().enumerate() {
        let mut lane = Lane::new(shape);
        // Indices start a little before they wrap, and wrap again in the course of the run; a
        // packed ring has none.
        let start = if shape.packed { 0 } else { 65_536 - 300 };
        lane.advance_to(start);
        lane.ask_for_doorbell();
        lane.disarm();
        for turn in 0..each {
            let seed = (i * each + turn) as u64;
            let start = lane.published;
            repeatable(|| name(shape, start, seed), || lane.sequence(seed));
        }
        assert!(lane.published > start + 600, "{shape:?} has wrapped");
    }
    println!("{} sequences of {} shapes", each * count, count);
}

const HOSTILE_SEQUENCES: u64 = 200_000;

/// Where a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Driver,
    /// Added, not shown to the device.
    Staged,
    Device,
}

/// A queue whose device writes whatever it likes, wherever it may.
struct Hostile {
    queue: Virtqueue,
    ring: DmaSlice,
    size: u16,
    packed: bool,
    places: Vec<Place>,
    broken: Option<DeviceFault>,
}

impl Hostile {
    fn new(memory: &DmaSlice, random: &mut Random) -> Self {
        let size = QueueSize::new(1 << random.below(7)).unwrap();
        let two_parts = size.get() > 1 && random.one_in(3);
        let features = RingFeatures {
            packed: random.one_in(2),
            event_idx: random.one_in(2),
            in_order: random.one_in(2),
        };
        let at = RingLayout::new(size, features);
        let ring = memory.slice(0, at.len).unwrap();
        ring.clear();
        let slots = memory
            .slice(at.len, usize::from(size.get()) * STRIDE)
            .unwrap();
        let both = [
            part(0, READABLE, false),
            part(READABLE as usize, WRITABLE, true),
        ];
        let parts = if two_parts { &both[..] } else { &both[1..] };
        let layout = SlotLayout {
            stride: STRIDE,
            parts,
        };
        let queue = Virtqueue::new(&ring, size, features, &slots, layout).unwrap();
        let places = vec![Place::Driver; usize::from(queue.slot_count())];
        Self {
            queue,
            ring,
            size: size.get(),
            packed: features.packed,
            places,
            broken: None,
        }
    }

    fn add_some(&mut self, random: &mut Random) {
        for slot in 0..self.queue.slot_count() {
            let place = &mut self.places[usize::from(slot)];
            if *place == Place::Driver && random.one_in(2) {
                self.queue.add(SlotId(slot));
                *place = Place::Staged;
            }
        }
    }

    fn publish(&mut self) {
        self.queue.publish();
        self.queue.kick_if_needed(&NoBell);
        let staged = self
            .places
            .iter_mut()
            .filter(|place| **place == Place::Staged);
        staged.for_each(|place| *place = Place::Device);
    }

    /// Takes all there is. However the index lies, that ends.
    fn pop_all(&mut self, random: &mut Random) {
        for _ in 0..=self.places.len() {
            match self.queue.pop_used() {
                Ok(None) => return assert_eq!(self.broken, None),
                Ok(Some(used)) => {
                    assert_eq!(self.broken, None, "a broken queue yields nothing");
                    let place = &mut self.places[usize::from(used.slot.0)];
                    assert_eq!(*place, Place::Device, "{used:?}");
                    assert!(used.len.is_none_or(|len| len <= WRITABLE));
                    *place = Place::Driver;
                    // As a driver does that gives each buffer back at once.
                    if random.one_in(2) {
                        self.queue.add(used.slot);
                        *place = Place::Staged;
                    }
                }
                Err(fault) => {
                    assert_eq!(*self.broken.get_or_insert(fault), fault);
                    return;
                }
            }
        }
        panic!("more buffers came back than were given");
    }

    /// An id that is right, or nearly, or not at all.
    fn some_id(&self, random: &mut Random) -> u32 {
        match random.below(8) {
            0 => random.next() as u32,
            1 => u32::from(self.size) + random.below(2) as u32,
            _ => random.below(self.size.into()) as u32,
        }
    }

    /// Descriptors that look used, on either lap, and words of anything.
    fn scribble_packed(&self, random: &mut Random) {
        for _ in 0..random.below(8) {
            let at = random.below(self.size.into()) * packed::desc::SIZE;
            let flags = match random.below(8) {
                0 => random.next() as u16,
                1..5 => packed::desc::F_AVAIL | packed::desc::F_USED,
                _ => 0,
            };
            let id = self.some_id(random) as u16;
            let len = random.next() as u32 >> random.below(32);
            self.ring
                .store_u32(at + packed::desc::LEN, len, Ordering::Relaxed);
            self.ring
                .store_u16(at + packed::desc::ID, id, Ordering::Relaxed);
            self.ring
                .store_u16(at + packed::desc::FLAGS, flags, Ordering::Release);
        }
        if random.one_in(4) {
            let anywhere = random.below(self.ring.len() / 2) * 2;
            self.ring
                .store_u16(anywhere, random.next() as u16, Ordering::Relaxed);
        }
    }

    /// Mostly values that are nearly right, because those come furthest.
    fn scribble(&self, random: &mut Random) {
        if self.packed {
            return self.scribble_packed(random);
        }
        let size = QueueSize::new(self.size).unwrap();
        let used = self
            .ring
            .slice(
                RingLayout::new(size, split(false)).device,
                RingLayout::used_len(size),
            )
            .unwrap();
        for _ in 0..random.below(8) {
            let entry = used::RING + random.below(size.get().into()) * used::ENTRY_SIZE;
            let id = self.some_id(random);
            used.store_u32(entry, id, Ordering::Relaxed);
            used.store_u32(
                entry + 4,
                random.next() as u32 >> random.below(32),
                Ordering::Relaxed,
            );
        }
        let idx = used.load_u16(used::IDX, Ordering::Relaxed);
        let idx = match random.below(16) {
            0 => random.next() as u16,
            1 => idx.wrapping_sub(1),
            _ => idx.wrapping_add(random.below(3) as u16),
        };
        used.store_u16(used::IDX, idx, Ordering::Release);
        let anywhere = random.below(self.ring.len() / 2) * 2;
        if random.one_in(4) && anywhere != RingLayout::new(size, split(false)).device + used::IDX {
            self.ring
                .store_u16(anywhere, random.next() as u16, Ordering::Relaxed);
        }
    }

    fn sequence(&mut self, random: &mut Random) {
        for _ in 0..16 + random.below(16) {
            match random.below(5) {
                0 => self.add_some(random),
                1 => self.publish(),
                2 => self.pop_all(random),
                3 => drop(self.queue.arm(random.below(4) as u16)),
                _ => self.scribble(random),
            }
            let away = self.places.iter().filter(|place| **place != Place::Driver);
            assert_eq!(usize::from(self.queue.outstanding_count()), away.count());
        }
    }
}

#[test]
fn whatever_a_device_writes_no_slot_comes_back_that_was_not_given() {
    let memory = Arc::new(DmaRegion::new(1 << 16).unwrap()).at(Iova(BASE));
    let only = seed_to_repeat().map(|seed| seed.parse());
    if let Some(Err(_)) = only {
        return println!("SKIP: UMNET_SEED names a sequence of another test");
    }
    let only = only.and_then(Result::ok);
    let seeds = only.map_or(0..HOSTILE_SEQUENCES, |seed| seed..seed + 1);
    let mut broken = 0;
    for seed in seeds.clone() {
        repeatable(
            || seed.to_string(),
            || {
                let mut random = Random(seed);
                let mut hostile = Hostile::new(&memory, &mut random);
                hostile.sequence(&mut random);
                broken += u64::from(hostile.broken.is_some());
            },
        );
    }
    // Otherwise either the lies or the checks are too tame to say anything.
    assert!(
        only.is_some() || (HOSTILE_SEQUENCES / 4..HOSTILE_SEQUENCES).contains(&broken),
        "{broken} broke"
    );
}
