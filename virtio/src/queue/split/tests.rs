use std::cell::Cell;
use std::sync::Arc;

use super::*;
use crate::mem::DmaRegion;
use crate::queue::virtqueue::Ring;
use crate::queue::{Arming, Used, Virtqueue};
use crate::transport::Doorbell;

const SLOT: usize = 128;

#[derive(Default)]
struct Bell(Cell<u32>);

impl Doorbell for Bell {
    fn ring(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A queue of `size` writable slots, with the device's hand in the test.
struct Rig {
    queue: Virtqueue,
    bell: Bell,
}

fn rig(size: u16, event_idx: bool) -> Rig {
    let size = QueueSize::new(size).unwrap();
    let memory = Arc::new(DmaRegion::new(1 << 20).unwrap()).at(Iova(0x10_0000));
    let slots = memory
        .slice(1 << 19, usize::from(size.get()) * SLOT)
        .unwrap();
    let parts = [Part {
        offset: 0,
        len: SLOT as u32,
        device_writes: true,
    }];
    let layout = SlotLayout {
        stride: SLOT,
        parts: &parts,
    };
    Rig {
        queue: Virtqueue::new(&memory, size, features(event_idx), &slots, layout).unwrap(),
        bell: Bell::default(),
    }
}

fn features(event_idx: bool) -> RingFeatures {
    RingFeatures {
        event_idx,
        ..RingFeatures::default()
    }
}

impl Rig {
    fn ring(&self) -> &SplitRing {
        match &self.queue.ring {
            Ring::Split(ring) => ring,
            Ring::Packed(_) | Ring::InOrder(_) => unreachable!("a split ring was asked for"),
        }
    }

    fn post(&mut self, slots: std::ops::Range<u16>) {
        slots.for_each(|slot| self.queue.add(SlotId(slot)));
        self.queue.publish();
    }

    fn device_uses(&self, at: u16, id: u32, len: u32) {
        let entry = used::RING + self.ring().size.position(at) * used::ENTRY_SIZE;
        self.ring().used.store_u32(entry, id, Ordering::Relaxed);
        self.ring()
            .used
            .store_u32(entry + 4, len, Ordering::Relaxed);
        self.ring()
            .used
            .store_u16(used::IDX, at.wrapping_add(1), Ordering::Release);
    }
}

#[test]
fn descriptors_are_written_once_with_slot_addresses() {
    let rig = rig(4, false);
    for k in 0..4usize {
        assert_eq!(
            rig.ring().desc.load_u64(k * 16, Ordering::Relaxed),
            0x18_0000 + (k * SLOT) as u64
        );
        assert_eq!(
            rig.ring().desc.load_u32(k * 16 + 8, Ordering::Relaxed),
            SLOT as u32
        );
        assert_eq!(
            rig.ring().desc.load_u16(k * 16 + 12, Ordering::Relaxed),
            desc::F_WRITE
        );
    }
}

#[test]
fn nothing_is_visible_before_publish() {
    let mut rig = rig(4, false);
    rig.queue.add(SlotId(2));
    assert_eq!(rig.ring().avail.load_u16(avail::IDX, Ordering::Relaxed), 0);
    rig.queue.publish();
    assert_eq!(rig.ring().avail.load_u16(avail::IDX, Ordering::Relaxed), 1);
    assert_eq!(rig.ring().avail.load_u16(avail::RING, Ordering::Relaxed), 2);
}

#[test]
fn a_batch_kicks_once_and_only_if_wanted() {
    let mut rig = rig(8, false);
    rig.post(0..4);
    assert!(rig.queue.kick_if_needed(&rig.bell));
    assert!(!rig.queue.kick_if_needed(&rig.bell), "nothing new");
    rig.ring()
        .used
        .store_u16(used::FLAGS, used::F_NO_NOTIFY, Ordering::Relaxed);
    rig.post(4..8);
    assert!(!rig.queue.kick_if_needed(&rig.bell));
    assert_eq!(rig.bell.0.get(), 1);
}

#[test]
fn avail_event_decides_over_the_kick() {
    let mut rig = rig(8, true);
    let event = rig.ring().avail_event_offset();
    rig.ring().used.store_u16(event, 2, Ordering::Relaxed);
    rig.post(0..2);
    assert!(
        !rig.queue.kick_if_needed(&rig.bell),
        "index 2 is not passed yet"
    );
    rig.post(2..3);
    assert!(rig.queue.kick_if_needed(&rig.bell));
}

#[test]
fn used_buffers_come_back_in_the_devices_order() {
    let mut rig = rig(4, false);
    rig.post(0..4);
    rig.device_uses(0, 3, 60);
    rig.device_uses(1, 0, 128);
    assert_eq!(
        rig.queue.pop_used(),
        Ok(Some(Used {
            slot: SlotId(3),
            len: Some(60)
        }))
    );
    assert_eq!(
        rig.queue.pop_used(),
        Ok(Some(Used {
            slot: SlotId(0),
            len: Some(128)
        }))
    );
    assert_eq!(rig.queue.pop_used(), Ok(None));
    assert_eq!(rig.queue.outstanding_count(), 2);
}

#[test]
fn a_length_beyond_the_slot_is_no_length() {
    let mut rig = rig(4, false);
    rig.post(0..1);
    rig.device_uses(0, 0, SLOT as u32 + 1);
    assert_eq!(
        rig.queue.pop_used(),
        Ok(Some(Used {
            slot: SlotId(0),
            len: None
        }))
    );
}

fn fault_of(tell: impl FnOnce(&mut Rig)) -> DeviceFault {
    let mut rig = rig(4, false);
    rig.post(0..2);
    tell(&mut rig);
    let fault = rig.queue.pop_used().expect_err("a lie");
    assert_eq!(
        rig.queue.pop_used(),
        Err(fault),
        "a broken queue stays broken"
    );
    assert_eq!(rig.queue.arm(1), Err(fault));
    fault
}

#[test]
fn lies_break_the_queue() {
    let outside = fault_of(|rig| rig.device_uses(0, 4, 0));
    assert_eq!(outside, DeviceFault::UsedIdOutOfRange { id: 4, size: 4 });
    let wide = fault_of(|rig| rig.device_uses(0, 0x1_0000, 0));
    assert_eq!(
        wide,
        DeviceFault::UsedIdOutOfRange {
            id: 0x1_0000,
            size: 4
        }
    );
    let foreign = fault_of(|rig| rig.device_uses(0, 3, 0));
    assert_eq!(foreign, DeviceFault::UsedIdNotOutstanding { id: 3 });
    let twice = fault_of(|rig| {
        rig.device_uses(0, 1, 0);
        rig.device_uses(1, 1, 0);
        assert!(rig.queue.pop_used().is_ok());
    });
    assert_eq!(twice, DeviceFault::UsedIdNotOutstanding { id: 1 });
    let jump = fault_of(|rig| rig.ring().used.store_u16(used::IDX, 3, Ordering::Relaxed));
    assert_eq!(
        jump,
        DeviceFault::UsedIndexJump {
            from: 0,
            to: 3,
            outstanding: 2
        }
    );
    let back = fault_of(|rig| {
        rig.ring()
            .used
            .store_u16(used::IDX, u16::MAX, Ordering::Relaxed)
    });
    assert_eq!(
        back,
        DeviceFault::UsedIndexJump {
            from: 0,
            to: u16::MAX,
            outstanding: 2
        }
    );
}

#[test]
fn an_index_may_not_cover_buffers_not_yet_published() {
    let mut rig = rig(4, false);
    rig.post(0..1);
    rig.queue.add(SlotId(1));
    rig.ring().used.store_u16(used::IDX, 2, Ordering::Relaxed);
    assert_eq!(
        rig.queue.pop_used(),
        Err(DeviceFault::UsedIndexJump {
            from: 0,
            to: 2,
            outstanding: 1
        })
    );
}

#[test]
fn the_second_descriptor_of_a_slot_is_not_a_head() {
    let size = QueueSize::new(4).unwrap();
    let memory = Arc::new(DmaRegion::new(1 << 16).unwrap()).at(Iova(0));
    let slots = memory.slice(1 << 12, 2 * SLOT).unwrap();
    let parts = [
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
    let layout = SlotLayout {
        stride: SLOT,
        parts: &parts,
    };
    let queue = Virtqueue::new(&memory, size, features(false), &slots, layout).unwrap();
    let mut rig = Rig {
        queue,
        bell: Bell::default(),
    };
    assert_eq!(rig.queue.slot_count(), 2);
    assert_eq!(
        rig.ring().desc.load_u16(12, Ordering::Relaxed),
        desc::F_NEXT
    );
    assert_eq!(rig.ring().desc.load_u16(14, Ordering::Relaxed), 1);
    assert_eq!(
        rig.ring().desc.load_u16(16 + 12, Ordering::Relaxed),
        desc::F_WRITE
    );
    rig.post(0..1);
    rig.device_uses(0, 1, 0);
    assert_eq!(
        rig.queue.pop_used(),
        Err(DeviceFault::UsedIdNotHead { id: 1 })
    );
}

#[test]
#[should_panic(expected = "already with the device")]
fn a_slot_is_not_added_twice() {
    let mut rig = rig(4, false);
    rig.queue.add(SlotId(1));
    rig.queue.add(SlotId(1));
}

#[test]
fn indices_run_past_65535_without_a_fault() {
    for event_idx in [false, true] {
        let mut rig = rig(4, event_idx);
        for turn in 0..70_000u32 {
            let at = turn as u16;
            rig.queue.add(SlotId(at % 4));
            rig.queue.publish();
            rig.device_uses(at, u32::from(at % 4), 9);
            assert_eq!(
                rig.queue.pop_used(),
                Ok(Some(Used {
                    slot: SlotId(at % 4),
                    len: Some(9)
                }))
            );
        }
    }
}

#[test]
fn arming_looks_once_more() {
    for event_idx in [false, true] {
        let mut rig = rig(4, event_idx);
        rig.post(0..4);
        assert_eq!(rig.queue.arm(1), Ok(Arming::Armed));
        rig.device_uses(0, 0, 1);
        assert_eq!(rig.queue.arm(1), Ok(Arming::MoreWork));
        assert_eq!(rig.queue.arm(2), Ok(Arming::Armed), "one is fewer than two");
        rig.device_uses(1, 1, 1);
        assert_eq!(rig.queue.arm(2), Ok(Arming::MoreWork));
    }
}

#[test]
fn arming_and_disarming_speak_the_negotiated_language() {
    let mut flags = rig(4, false);
    assert_eq!(
        flags.ring().avail.load_u16(avail::FLAGS, Ordering::Relaxed),
        avail::F_NO_INTERRUPT
    );
    flags.queue.arm(1).unwrap();
    assert_eq!(
        flags.ring().avail.load_u16(avail::FLAGS, Ordering::Relaxed),
        0
    );

    let mut events = rig(4, true);
    let event = events.ring().used_event_offset();
    assert_eq!(
        events.ring().avail.load_u16(event, Ordering::Relaxed),
        u16::MAX
    );
    events.queue.arm(3).unwrap();
    assert_eq!(events.ring().avail.load_u16(event, Ordering::Relaxed), 2);
    assert_eq!(
        events
            .ring()
            .avail
            .load_u16(avail::FLAGS, Ordering::Relaxed),
        0
    );
}

#[test]
fn a_length_is_stored_again_only_when_it_changes() {
    let mut rig = rig(4, false);
    let length_of = |rig: &Rig, slot: usize| {
        let at = slot * desc::SIZE + desc::LEN;
        rig.ring().desc.load_u32(at, Ordering::Relaxed)
    };
    let mark = |rig: &Rig, len| {
        let at = desc::SIZE + desc::LEN;
        rig.ring().desc.store_u32(at, len, Ordering::Relaxed);
    };
    let send = |rig: &mut Rig, at, len| {
        rig.queue.add_with_len(SlotId(1), len);
        rig.queue.publish();
        rig.device_uses(at, 1, 0);
        rig.queue.pop_used().unwrap();
    };
    send(&mut rig, 0, 64);
    assert_eq!(length_of(&rig, 1), 64);
    mark(&rig, 7);
    send(&mut rig, 1, 64);
    assert_eq!(length_of(&rig, 1), 7, "the same length was stored again");
    send(&mut rig, 2, 65);
    assert_eq!(length_of(&rig, 1), 65);
    assert_eq!(length_of(&rig, 0), SLOT as u32, "nobody else's");
}
