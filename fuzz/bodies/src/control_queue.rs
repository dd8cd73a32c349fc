//! Commands to a device that answers as the input says: each ends at once, and counts as carried
//! out only if the device said so.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use virtio::net::{ControlQueue, FeatureSet};
use virtio::queue::{QueueSize, RingFeatures, RingLayout};
use virtio::spec::feature::{VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_PACKED};
use virtio::spec::net::ctrl::ACK_OK;
use virtio::spec::ring::packed::desc;
use virtio::transport::Doorbell;
use virtio::{DmaRegion, DmaSlice, Iova};

use crate::input::Input;

/// The device's part: what it writes each time its doorbell is rung.
struct Answers {
    script: Mutex<Vec<u8>>,
    ring: DmaSlice,
    features: RingFeatures,
    /// Commands used so far, as the device counts them.
    used: AtomicU16,
    commands: DmaSlice,
    /// Whether the byte in the place of the answer is a yes.
    said_yes: Arc<AtomicBool>,
}

impl Doorbell for Answers {
    fn ring(&self) {
        let mut script = self.script.lock().expect("nobody panics with it");
        let mut input = Input::new(&script);
        self.answer(&mut input);
        *script = input.rest().to_vec();
    }
}

impl Answers {
    fn answer(&self, input: &mut Input<'_>) {
        let (how, ack_at) = (input.u8(), ACK_OFFSET);
        if how & 1 != 0 {
            let ack = input.u8();
            self.commands.range(ack_at, 1).copy_from(&[ack]);
            self.said_yes.store(ack == ACK_OK, Relaxed);
        }
        if how & 32 != 0 {
            let at = usize::from(input.u16()) % (self.ring.len() - 8);
            self.ring.range(at, 8).copy_from(&input.array::<8>());
        }
        if self.features.packed {
            self.use_descriptor(how, input);
        } else {
            self.use_entry(how, input);
        }
    }

    fn use_entry(&self, how: u8, input: &mut Input<'_>) {
        let used = RingLayout::new(size(), self.features).device;
        if how & 2 != 0 {
            let at = used + 4 + usize::from(input.u8() % 2) * 8;
            self.ring.store_u32(at, u32::from(input.u8() % 4), Relaxed);
        }
        if how & 4 != 0 {
            let at = used + 4 + usize::from(input.u8() % 2) * 8;
            self.ring.store_u32(at, input.u32(), Relaxed);
            self.ring.store_u32(at + 4, input.u32(), Relaxed);
        }
        if how & 8 != 0 {
            let idx = self.ring.load_u16(used + 2, Relaxed).wrapping_add(1);
            self.ring.store_u16(used + 2, idx, Relaxed);
        }
        if how & 16 != 0 {
            self.ring.store_u16(used + 2, input.u16(), Relaxed);
        }
    }

    /// Each command takes the ring once round, so it is used where the ring begins.
    fn use_descriptor(&self, how: u8, input: &mut Input<'_>) {
        if how & 2 != 0 {
            self.ring
                .store_u16(desc::ID, u16::from(input.u8() % 4), Relaxed);
        }
        if how & 4 != 0 {
            self.ring.store_u16(desc::ID, input.u16(), Relaxed);
            self.ring.store_u32(desc::LEN, input.u32(), Relaxed);
        }
        if how & 8 != 0 {
            let flags = match self.used.fetch_add(1, Relaxed) % 2 {
                0 => desc::F_AVAIL | desc::F_USED,
                _ => 0,
            };
            self.ring.store_u16(desc::FLAGS, flags, Relaxed);
        }
        if how & 16 != 0 {
            self.ring.store_u16(desc::FLAGS, input.u16(), Relaxed);
        }
    }
}

/// Where a command's answer lies: behind its longest text.
const ACK_OFFSET: usize = 1024;

/// Runs one input: the number of commands, then what the device does.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let settings = input.u8();
    let memory = memory();
    memory.clear();
    let mut features = FeatureSet::EMPTY;
    for (bit, feature) in [(1, VIRTIO_F_EVENT_IDX), (2, VIRTIO_F_RING_PACKED)] {
        if settings & bit != 0 {
            features = features.with(feature);
        }
    }
    let mut control =
        ControlQueue::new(&memory, size(), features, Duration::ZERO).expect("it fits");
    let ring_len = RingLayout::new(size(), features.ring()).len;
    let said_yes = Arc::new(AtomicBool::new(false));
    control.connect(Box::new(Answers {
        script: Mutex::new(input.rest().to_vec()),
        ring: memory.slice(0, ring_len).expect("it fits"),
        features: features.ring(),
        used: AtomicU16::new(0),
        commands: memory
            .slice(ring_len, memory.len() - ring_len)
            .expect("it fits"),
        said_yes: Arc::clone(&said_yes),
    }));
    for n in 0..settings >> 4 {
        said_yes.store(false, Relaxed);
        let result = match n % 3 {
            0 => control.set_promisc(true),
            1 => control.set_mac([2, 0, 0, 0, 0, n]),
            _ => control.set_mac_table(&[[2; 6]], &[[3; 6]; 20]),
        };
        assert_eq!(result.is_ok(), result.is_ok() && said_yes.load(Relaxed));
    }
}

fn size() -> QueueSize {
    QueueSize::new(ControlQueue::SIZE).expect("a power of two")
}

/// The same memory for every input: making it costs more than the commands.
fn memory() -> DmaSlice {
    thread_local! {
        static MEMORY: OnceCell<DmaSlice> = const { OnceCell::new() };
    }
    MEMORY.with(|memory| memory.get_or_init(new_memory).clone())
}

fn new_memory() -> DmaSlice {
    let packed = RingFeatures {
        packed: true,
        ..RingFeatures::default()
    };
    let len = [packed, RingFeatures::default()].map(|ring| ControlQueue::memory_len(size(), ring));
    let len = len[0].max(len[1]);
    let region = Arc::new(DmaRegion::new(len).expect("a page or two"));
    let whole = region.at(Iova(0x1_0000));
    whole.slice(0, len).expect("it was made as long")
}
