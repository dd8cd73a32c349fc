//! The in-process device, honest: what it does and what it notices.

mod common;

use common::{Nic, RX_HEADER, Shape, driver_ok, negotiate, open_queue, part};
use virtio::net::{FeatureSet, VirtioNetHdr};
use virtio::queue::{RingFeatures, SlotId};
use virtio::spec::feature::*;
use virtio::spec::net::feature::*;
use virtio::spec::net::{config, ctrl};
use virtio::spec::status;
use virtio::transport::in_process::*;
use virtio::{Iova, Transport};

const PLAIN: FeatureSet = FeatureSet::of(&[VIRTIO_F_VERSION_1]);
const EVENTS: FeatureSet = PLAIN.with(VIRTIO_F_EVENT_IDX);
const CONTROL: FeatureSet = PLAIN
    .with(VIRTIO_NET_F_CTRL_VQ)
    .with(VIRTIO_NET_F_CTRL_RX)
    .with(VIRTIO_NET_F_CTRL_MAC_ADDR);

/// The same on split rings and on packed ones, whose buffers are used in order or not.
fn on_all<const N: usize>(features: [FeatureSet; N]) -> impl Iterator<Item = FeatureSet> {
    features
        .into_iter()
        .flat_map(|split| [split, split.with(VIRTIO_F_RING_PACKED)])
        .flat_map(|any| [any, any.with(VIRTIO_F_IN_ORDER)])
}

fn frame_of(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn with_header(header: [u8; 12], frame: &[u8]) -> Vec<u8> {
    [&header[..], frame].concat()
}

fn assert_honest(device: &Device) {
    assert_eq!(device.violations(), []);
}

/// Does `act` to a card and returns what the device noticed.
fn noticed(features: FeatureSet, act: impl FnOnce(&mut Nic)) -> String {
    let mut nic = Nic::new(DeviceConfig::default(), Sink, features);
    act(&mut nic);
    nic.device.settle();
    let all: Vec<String> = nic
        .device
        .violations()
        .iter()
        .map(|v| v.to_string())
        .collect();
    all.join("; ")
}

#[test]
fn frames_go_out_and_come_back_unchanged() {
    for features in on_all([PLAIN, EVENTS, EVENTS.with(VIRTIO_NET_F_MRG_RXBUF)]) {
        let port = Port::default();
        let mut nic = Nic::new(DeviceConfig::default(), port.clone(), features);
        for len in [14, 60, 1499, 1514, 1518] {
            let frame = frame_of(len);
            nic.tx.send(SlotId(3), &with_header([0; 12], &frame));
            nic.device.settle();
            assert_eq!(nic.tx.vq.pop_used().unwrap().unwrap().slot, SlotId(3));
            let sent = port.take_sent().unwrap();
            assert_eq!(sent.payload(), frame);
            port.inject(&sent);
            nic.device.settle();
            assert_eq!(nic.rx.receive(), Some(with_header(RX_HEADER, &frame)));
        }
        assert_honest(&nic.device);
    }
}

#[test]
fn a_frame_may_fill_many_buffers_and_says_how_many() {
    for features in on_all([EVENTS.with(VIRTIO_NET_F_MRG_RXBUF)]) {
        let port = Port::default();
        let mut nic = Nic::with_slots(DeviceConfig::default(), port.clone(), features, 128, 128);
        let frame = frame_of(128 * 9);
        port.inject(&Frame::plain(&frame));
        nic.rx.vq.arm(10).unwrap();
        nic.device.settle();
        let mut got = Vec::new();
        for _ in 0..10 {
            let used = nic.rx.vq.pop_used().unwrap().expect("one of ten buffers");
            got.extend(nic.rx.read(used));
        }
        assert_eq!(nic.rx.vq.pop_used().unwrap(), None);
        assert_eq!(got[10..12], [10, 0], "num_buffers");
        assert_eq!(got[12..], frame);
        assert!(nic.rx.interrupted(), "the tenth of ten was asked for");
        assert_honest(&nic.device);
    }
}

#[test]
fn a_frame_waits_for_buffers_and_for_the_doorbell() {
    let port = Port::default();
    let config = DeviceConfig {
        queue_sizes: vec![2, 2, 2],
        ..Default::default()
    };
    for features in on_all([PLAIN, EVENTS]) {
        let mut nic = Nic::new(config.clone(), port.clone(), features);
        (0..3).for_each(|i| port.inject(&Frame::plain(&[i; 60])));
        nic.device.settle();
        let first = nic.rx.vq.pop_used().unwrap().unwrap();
        nic.rx.vq.add(first.slot);
        nic.rx.vq.publish();
        nic.device.settle();
        assert_eq!(
            nic.device.counters().rx_frames,
            2,
            "the doorbell is missing"
        );
        assert!(
            nic.rx.vq.kick_if_needed(&*nic.rx.bell),
            "a starved device wants it"
        );
        nic.device.settle();
        assert_eq!(nic.device.counters().rx_frames, 3);
        assert_honest(&nic.device);
    }
}

#[test]
fn a_frame_with_too_few_buffers_waits_for_the_doorbell_too() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let config = DeviceConfig {
            queue_sizes: vec![4, 4, 2],
            ..Default::default()
        };
        for plain in on_all([PLAIN, EVENTS]) {
            let features = plain.with(VIRTIO_NET_F_MRG_RXBUF);
            let port = Port::default();
            let mut nic = Nic::with_slots(config.clone(), port.clone(), features, 128, 128);
            // Two buffers, and then three where two are left.
            for count in [2, 3] {
                port.inject(&Frame::plain(&frame_of(count * 128 - 12)));
            }
            nic.device.settle();
            let counters = nic.device.counters();
            assert_eq!((counters.rx_frames, counters.rx_starved), (1, 1));
            let first = nic.rx.vq.pop_used().unwrap().unwrap();
            nic.rx.vq.add(first.slot);
            nic.rx.vq.publish();
            assert!(
                nic.rx.vq.kick_if_needed(&*nic.rx.bell),
                "a starved device wants it"
            );
            nic.device.settle();
            assert_eq!(nic.device.counters().rx_frames, 2);
            assert_honest(&nic.device);
        }
        done.send(()).unwrap();
    });
    let patience = std::time::Duration::from_secs(10);
    finished
        .recv_timeout(patience)
        .expect("the device looks at the same buffers for ever");
}

#[test]
fn a_frame_too_large_for_its_buffer_is_lost_and_the_buffer_stays() {
    for features in on_all([PLAIN]) {
        let port = Port::default();
        let mut nic = Nic::new(DeviceConfig::default(), port.clone(), features);
        port.inject(&Frame::plain(&frame_of(4000)));
        port.inject(&Frame::plain(&frame_of(60)));
        nic.device.settle();
        assert_eq!(nic.rx.receive().unwrap().len(), 72);
        assert_eq!(nic.device.counters().rx_oversize, 1);
        assert_honest(&nic.device);
    }
}

#[test]
fn a_frame_larger_than_all_buffers_together_is_lost_and_holds_nothing_up() {
    for features in on_all([PLAIN.with(VIRTIO_NET_F_MRG_RXBUF)]) {
        let port = Port::default();
        let config = DeviceConfig {
            queue_sizes: vec![4, 4, 2],
            ..Default::default()
        };
        let mut nic = Nic::with_slots(config, port.clone(), features, 128, 128);
        port.inject(&Frame::plain(&frame_of(4 * 128)));
        port.inject(&Frame::plain(&frame_of(4 * 128 - 12)));
        nic.device.settle();
        assert_eq!(nic.device.counters().rx_oversize, 1);
        let got: Vec<u8> = (0..4).flat_map(|_| nic.rx.receive().unwrap()).collect();
        assert_eq!(got[12..], frame_of(4 * 128 - 12));
        assert_honest(&nic.device);
    }
}

#[test]
fn a_frame_that_waits_is_lost_in_a_reset() {
    let port = Port::default();
    let config = DeviceConfig {
        queue_sizes: vec![2, 2, 2],
        ..Default::default()
    };
    let mut nic = Nic::new(config, port.clone(), PLAIN.with(VIRTIO_NET_F_GUEST_CSUM));
    let partial = VirtioNetHdr {
        flags: 1,
        csum_start: 20,
        csum_offset: 2,
        ..Default::default()
    };
    (0..3).for_each(|_| port.inject(&Frame::with_header(partial, &frame_of(60))));
    nic.device.settle();
    assert_eq!(
        (nic.device.counters().rx_frames, port.arriving_count()),
        (2, 0)
    );
    assert!(negotiate(&mut nic.transport, PLAIN));
    let parts = [part(0, 2048, true)];
    let shape = Shape {
        size: 2,
        stride: 2048,
        parts: &parts,
    };
    let mut rx = open_queue(&mut nic.transport, 0, RingFeatures::default(), shape);
    driver_ok(&mut nic.transport);
    rx.post_all();
    nic.device.settle();
    assert_eq!(rx.receive(), None);
}

#[test]
fn two_cards_on_one_cable_hear_each_other() {
    let (left, right) = Cable::pair();
    let mut a = Nic::new(DeviceConfig::default(), left, EVENTS);
    let mut b = Nic::new(DeviceConfig::default(), right, PLAIN);
    for turn in 0..300u32 {
        let frame = frame_of(60 + turn as usize);
        a.tx.send(SlotId(0), &with_header([0; 12], &frame));
        a.device.settle();
        b.device.settle();
        assert_eq!(b.rx.receive(), Some(with_header(RX_HEADER, &frame)));
        a.tx.vq.pop_used().unwrap().unwrap();
    }
    assert_honest(&a.device);
    assert_honest(&b.device);
}

#[test]
fn an_echo_with_a_thread_of_its_own_answers() {
    let mut nic = Nic::new(DeviceConfig::default(), Echo::default(), EVENTS);
    let running = nic.device.run().unwrap();
    for turn in 0..2000u32 {
        nic.tx.send(
            SlotId(0),
            &with_header([0; 12], &turn.to_le_bytes().repeat(15)),
        );
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let echo = loop {
            if let Some(echo) = nic.rx.receive() {
                break echo;
            }
            assert!(
                deadline > std::time::Instant::now(),
                "no echo of frame {turn}"
            );
            std::thread::yield_now();
        };
        assert_eq!(echo[12..16], turn.to_le_bytes());
        while nic.tx.vq.pop_used().unwrap().is_none() {}
    }
    drop(running);
    assert_honest(&nic.device);
}

#[test]
fn a_device_thread_stops_whenever_it_is_told() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (_transport, device) = InProcess::new(DeviceConfig::default(), Sink).unwrap();
        for turn in 0..10_000u32 {
            let running = device.run().unwrap();
            // Meets the thread at each point of its first turns.
            (0..turn * 37 % 4000).for_each(|_| std::hint::spin_loop());
            drop(running);
        }
        done.send(()).unwrap();
    });
    let patience = std::time::Duration::from_secs(60);
    finished
        .recv_timeout(patience)
        .expect("the thread of a device sleeps for ever");
}

#[test]
fn a_driver_without_guest_csum_gets_complete_checksums() {
    let port = Port::default();
    let mut nic = Nic::new(DeviceConfig::default(), port.clone(), PLAIN);
    // Bytes 20.. are to be summed, the sum goes to 22.
    let mut frame = frame_of(61);
    frame[22..24].copy_from_slice(&[0, 0]);
    port.inject(&Frame::with_header(
        VirtioNetHdr {
            flags: 1,
            csum_start: 20,
            csum_offset: 2,
            ..Default::default()
        },
        &frame,
    ));
    nic.device.settle();
    let got = nic.rx.receive().unwrap();
    assert_eq!(got[..12], RX_HEADER);
    let sum: u32 = got[12 + 20..]
        .chunks(2)
        .map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0)))
        .sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
}

#[test]
fn a_driver_is_not_given_what_it_did_not_accept() {
    let port = Port::default();
    let mut nic = Nic::new(
        DeviceConfig::default(),
        port.clone(),
        PLAIN.with(VIRTIO_NET_F_GUEST_CSUM),
    );
    port.inject(&Frame::with_header(
        VirtioNetHdr {
            flags: 1,
            gso_type: 1,
            gso_size: 100,
            ..Default::default()
        },
        &frame_of(1000),
    ));
    nic.device.settle();
    assert_eq!(nic.rx.receive(), None);
    assert_eq!(nic.device.counters().rx_unsupported, 1);
}

#[test]
fn commands_are_carried_out_and_kept_until_reset() {
    for features in on_all([CONTROL]) {
        let mut nic = Nic::new(DeviceConfig::default(), Sink, features);
        assert_eq!(nic.command(&[0, 0, 1]), ctrl::ACK_OK);
        assert_eq!(nic.command(&[1, 1, 2, 2, 2, 2, 2, 2]), ctrl::ACK_OK);
        let state = nic.device.control_state();
        assert_eq!((state.promiscuous, state.mac), (true, Some([2; 6])));
        let mut mac = [0; 6];
        nic.transport.read_config(config::MAC, &mut mac).unwrap();
        assert_eq!(mac, [2; 6]);
        assert_honest(&nic.device);
        nic.transport.write_status(0).unwrap();
        assert_eq!(nic.device.control_state(), ControlState::default());
    }
}

#[test]
fn a_bad_command_is_refused_and_noticed() {
    let said = noticed(CONTROL, |nic| {
        assert_eq!(nic.command(&[1, 1, 2, 2, 2]), ctrl::ACK_ERR);
    });
    assert!(
        said.contains("§ Control Virtqueue: command [01, 01, 02, 02, 02]"),
        "{said}"
    );
}

#[test]
fn pulling_the_cable_is_seen_and_told() {
    let (mut transport, device) = InProcess::new(DeviceConfig::default(), Sink).unwrap();
    let event = transport.interrupt(3).unwrap();
    transport.enable_config_interrupt(3).unwrap();
    let before = transport.read_config_generation().unwrap();
    device.set_link_up(false);
    let mut state = [0; 2];
    transport.read_config(config::STATUS, &mut state).unwrap();
    assert_eq!(state, [0, 0]);
    assert_ne!(transport.read_config_generation().unwrap(), before);
    assert_eq!(event.read().unwrap(), 1);
}

#[test]
fn suppressed_interrupts_do_not_come() {
    for features in on_all([PLAIN, EVENTS]) {
        let port = Port::default();
        let mut nic = Nic::new(DeviceConfig::default(), port.clone(), features);
        // More than twice round the ring.
        for _ in 0..600 {
            port.inject(&Frame::plain(&frame_of(60)));
            nic.device.settle();
            assert!(
                !nic.rx.interrupted(),
                "neither a new queue nor a disarmed one"
            );
            nic.rx.receive().unwrap();
            nic.rx.vq.arm(1).unwrap();
            port.inject(&Frame::plain(&frame_of(60)));
            nic.device.settle();
            assert!(nic.rx.interrupted());
            nic.rx.receive().unwrap();
            nic.rx.vq.disarm();
            port.inject(&Frame::plain(&frame_of(60)));
            nic.device.settle();
            assert!(!nic.rx.interrupted());
            nic.rx.receive().unwrap();
        }
    }
}

#[test]
fn a_reset_takes_the_queues_and_dropping_the_transport_takes_the_memory() {
    let port = Port::default();
    let mut nic = Nic::new(DeviceConfig::default(), port.clone(), PLAIN);
    nic.transport.write_status(0).unwrap();
    port.inject(&Frame::plain(&frame_of(60)));
    nic.device.settle();
    assert_eq!(nic.rx.vq.pop_used(), Ok(None));
    assert_eq!(nic.device.accepted_features(), FeatureSet::EMPTY);
    drop(nic.transport);
    nic.device.settle();
    assert_honest(&nic.device);
    assert_eq!(port.arriving_count(), 1);
}

#[test]
fn a_device_that_demands_a_reset_stands_still_until_it_gets_one() {
    let port = Port::default();
    let mut nic = Nic::new(DeviceConfig::default(), port.clone(), PLAIN);
    nic.device.demand_reset();
    assert_ne!(
        nic.transport.read_status().unwrap() & status::DEVICE_NEEDS_RESET,
        0
    );
    port.inject(&Frame::plain(&frame_of(60)));
    nic.device.settle();
    assert_eq!(nic.rx.vq.pop_used(), Ok(None));
    assert!(negotiate(&mut nic.transport, PLAIN));
    assert_honest(&nic.device);
}

#[test]
fn memory_is_given_and_taken_back_by_its_address() {
    let (mut transport, _device) = InProcess::new(DeviceConfig::default(), Sink).unwrap();
    let region = std::sync::Arc::new(virtio::DmaRegion::new(8192).unwrap());
    let first = transport.map_dma(&region).unwrap();
    let second = transport.map_dma(&region).unwrap();
    assert_ne!(first, second);
    assert!(transport.unmap_dma(Iova(first.0 + 4096)).is_err());
    transport.unmap_dma(first).unwrap();
    assert!(transport.unmap_dma(first).is_err());
    transport.unmap_dma(second).unwrap();
}

#[test]
fn steps_out_of_order_are_noticed() {
    let (mut transport, device) = InProcess::new(DeviceConfig::default(), Sink).unwrap();
    transport.write_driver_features(PLAIN).unwrap();
    transport.write_status(status::DRIVER).unwrap();
    transport.write_status(status::ACKNOWLEDGE).unwrap();
    let shape = Shape {
        size: 4,
        stride: 64,
        parts: &[part(0, 64, true)],
    };
    let queue = open_queue(&mut transport, 0, RingFeatures::default(), shape);
    queue.bell.ring();
    let said: Vec<String> = device.violations().iter().map(|v| v.what.clone()).collect();
    assert_eq!(
        said,
        [
            "features are written before DRIVER is set",
            "status 0x2 skips a step",
            "status goes from 0x2 to 0x1: bits are taken back without a reset",
            "queue 0 is set up before FEATURES_OK",
            "doorbells were rung 1 times outside DRIVER_OK",
        ]
    );
}

#[test]
fn features_that_were_not_offered_or_lack_their_need_are_refused() {
    let plain_offer = DeviceConfig {
        offered: PLAIN,
        ..Default::default()
    };
    let (mut transport, device) = InProcess::new(plain_offer, Sink).unwrap();
    assert!(!negotiate(&mut transport, EVENTS));
    assert!(device.violations()[0].what.contains("not offered"));
    assert!(negotiate(&mut transport, PLAIN));
    let (mut transport, device) = InProcess::new(DeviceConfig::default(), Sink).unwrap();
    assert!(!negotiate(
        &mut transport,
        PLAIN.with(VIRTIO_NET_F_HOST_TSO4)
    ));
    assert!(device.violations()[0].what.contains("HOST_TSO4"));
    transport.write_driver_features(PLAIN).unwrap();
    assert!(
        !negotiate(&mut transport, FeatureSet::EMPTY),
        "VERSION_1 is required"
    );
}

#[test]
fn a_queue_outside_mapped_memory_or_too_long_is_noticed() {
    let (mut transport, device) = InProcess::new(DeviceConfig::default(), Sink).unwrap();
    assert!(negotiate(&mut transport, PLAIN));
    let parts = [part(0, 64, true)];
    let shape = |size| Shape {
        size,
        stride: 64,
        parts: &parts,
    };
    let queue = open_queue(&mut transport, 0, RingFeatures::default(), shape(4));
    let mut setup = queue.vq.setup(1, None);
    setup.device = Iova(0);
    transport.enable_queue(&setup).unwrap();
    let long = shape(128);
    open_queue(&mut transport, 2, RingFeatures::default(), long);
    transport.enable_queue(&queue.vq.setup(0, None)).unwrap();
    driver_ok(&mut transport);
    transport.enable_queue(&queue.vq.setup(1, None)).unwrap();
    let said: Vec<String> = device.violations().iter().map(|v| v.what.clone()).collect();
    assert!(
        said[0].starts_with("queue 1 lies outside mapped memory"),
        "{said:?}"
    );
    assert_eq!(
        said[1..],
        [
            "queue 2 is made 128 long where at most 64 are allowed",
            "queue 0 is enabled twice",
            "queue 1 is set up after DRIVER_OK",
        ]
    );
    let far = transport.enable_queue(&queue.vq.setup(1, Some(4)));
    assert!(
        far.err()
            .unwrap()
            .to_string()
            .contains("interrupt 4 does not exist")
    );
}

#[test]
fn wrong_buffers_are_noticed_and_stop_the_device() {
    let readable = noticed(PLAIN, |nic| {
        nic.tx.send(SlotId(0), &[0; 11]);
    });
    assert!(readable.contains("shorter than its header"), "{readable}");
    let beyond = noticed(PLAIN, |nic| {
        // Slot 255 is the last: its neighbour is not mapped.
        nic.tx.vq.add_with_len(SlotId(255), 0x1_0080 + 0x1000);
        nic.tx.flush();
        nic.device.settle();
        assert_ne!(nic.device.status() & status::DEVICE_NEEDS_RESET, 0);
    });
    assert!(
        beyond.contains("too large") || beyond.contains("DMA fault"),
        "{beyond}"
    );
}

#[test]
fn receive_buffers_that_are_small_or_not_writable_are_noticed() {
    let said = |len: u32, writable: bool| {
        let port = Port::default();
        let (mut transport, device) =
            InProcess::new(DeviceConfig::default(), port.clone()).unwrap();
        assert!(negotiate(&mut transport, PLAIN));
        let shape = Shape {
            size: 4,
            stride: 2048,
            parts: &[part(0, len, writable)],
        };
        let mut rx = open_queue(&mut transport, 0, RingFeatures::default(), shape);
        driver_ok(&mut transport);
        rx.post_all();
        port.inject(&Frame::plain(&frame_of(60)));
        device.settle();
        device
            .violations()
            .first()
            .map_or(String::new(), |v| v.to_string())
    };
    assert_eq!(said(1526, true), "");
    assert!(said(1525, true).contains("1525 bytes is smaller than 1526"));
    assert!(said(1526, false).contains("may not write"));
}

const PACKED: FeatureSet = PLAIN.with(VIRTIO_F_RING_PACKED);

#[test]
fn wrong_descriptors_of_a_packed_ring_are_noticed() {
    let said = |at: usize, byte: u8| {
        noticed(PACKED, |nic| {
            for slot in 0..2 {
                nic.tx.vq.add_with_len(SlotId(slot), 72);
            }
            nic.tx.vq.publish();
            nic.tx.ring.range(at, 1).copy_from(&[byte]);
            nic.tx.vq.kick_always(&*nic.tx.bell);
        })
    };
    let (available, second) = (1 << 7, 16);
    assert!(!said(14, available).contains("Packed"));
    assert!(said(second + 13, 1).contains("descriptor 257 is beyond the table"));
    assert!(said(second + 14, available | 1).contains("only the beginning of a buffer"));
    assert!(said(14, available | 4).contains("an indirect descriptor was not agreed on"));
}

#[test]
fn descriptors_out_of_order_are_noticed_by_a_device_that_keeps_it() {
    let said = |at: usize, index: u16| {
        noticed(CONTROL.with(VIRTIO_F_IN_ORDER), |nic| {
            nic.ctrl.vq.add_with_len(SlotId(3), 3);
            nic.ctrl.vq.publish();
            nic.ctrl.ring.range(at, 2).copy_from(&index.to_le_bytes());
            nic.ctrl.vq.kick_always(&*nic.ctrl.bell);
        })
    };
    let (first_entry, first_next) = (64 * 16 + 4, 14);
    assert!(!said(first_entry, 0).contains("is next"));
    assert!(said(first_entry, 4).contains("descriptor Some(4) comes where 0 is next"));
    assert!(said(first_next, 9).contains("descriptor Some(9) comes where 1 is next"));
}

#[test]
fn doorbells_say_up_to_where_there_are_buffers() {
    for features in on_all([PLAIN, EVENTS]) {
        let features = features.with(VIRTIO_F_NOTIFICATION_DATA);
        let mut nic = Nic::new(DeviceConfig::default(), Sink, features);
        let told = |nic: &Nic, queue| nic.device.doorbell_position(queue);
        let full = if features.ring().packed { 0 } else { 256 };
        assert_eq!(told(&nic, 0), Some(full), "the second lap of a packed ring");
        for turn in 0..600 {
            let tx = &mut nic.tx;
            tx.vq.add_with_len(SlotId(turn % 256), 72);
            tx.vq.publish();
            // Not yet published, so not to be told.
            tx.vq.add_with_len(SlotId((turn + 1) % 256), 72);
            tx.vq.kick_always(&*tx.bell);
            nic.device.settle();
            assert_eq!(told(&nic, 1), nic.device.ring_position(1), "turn {turn}");
            nic.tx.flush();
            nic.device.settle();
            while nic.tx.vq.pop_used().unwrap().is_some() {}
        }
        assert_honest(&nic.device);
    }
}

#[test]
fn a_doorbell_that_says_too_much_is_noticed() {
    for features in on_all([PLAIN]) {
        let features = features.with(VIRTIO_F_NOTIFICATION_DATA);
        let said = noticed(features, |nic| nic.tx.bell.ring_at(3 | 1 << 15));
        assert!(said.contains("the doorbell says"), "{said}");
        let said = noticed(features, |nic| nic.tx.bell.ring());
        assert!(said.contains("the doorbell says None"), "{said}");
    }
}

#[test]
fn tagged_frames_arrive_once_their_vlan_is_listed() {
    let port = Port::default();
    let config = DeviceConfig::default().offering(&[VIRTIO_NET_F_CTRL_VLAN]);
    let features = CONTROL.with(VIRTIO_NET_F_CTRL_VLAN);
    let mut nic = Nic::new(config, port.clone(), features);
    let mut tagged = frame_of(60);
    tagged[12..16].copy_from_slice(&[0x81, 0, 0xa0, 5]);
    let arrives = |nic: &mut Nic, frame: &[u8]| {
        port.inject(&Frame::plain(frame));
        nic.device.settle();
        nic.rx.receive().is_some()
    };
    assert!(arrives(&mut nic, &frame_of(60)), "one without a tag");
    assert!(!arrives(&mut nic, &tagged));
    assert_eq!(nic.command(&[2, 0, 5, 0]), ctrl::ACK_OK);
    assert!(arrives(&mut nic, &tagged), "whatever its priority");
    assert_eq!(nic.command(&[2, 1, 5, 0]), ctrl::ACK_OK);
    assert!(!arrives(&mut nic, &tagged));
    assert_honest(&nic.device);
}

#[test]
fn what_is_switched_off_is_not_received() {
    let port = Port::default();
    let config = DeviceConfig::default().offering(&[VIRTIO_NET_F_CTRL_GUEST_OFFLOADS]);
    let features = CONTROL
        .with(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)
        .with(VIRTIO_NET_F_GUEST_CSUM);
    let mut nic = Nic::new(config, port.clone(), features);
    let verified = VirtioNetHdr {
        flags: 2,
        ..VirtioNetHdr::default()
    };
    let flags = |nic: &mut Nic| {
        port.inject(&Frame::with_header(verified, &frame_of(60)));
        nic.device.settle();
        nic.rx.receive().unwrap()[0]
    };
    assert_eq!(flags(&mut nic), 2);
    assert_eq!(nic.command(&[5, 0, 0, 0, 0, 0, 0, 0, 0, 0]), ctrl::ACK_OK);
    assert_eq!(flags(&mut nic), 0);
    assert_eq!(nic.command(&[5, 0, 2, 0, 0, 0, 0, 0, 0, 0]), ctrl::ACK_OK);
    assert_eq!(flags(&mut nic), 2);
    assert_honest(&nic.device);
}

/// A device that keeps every command.
struct Keeps;

impl Conduct for Keeps {
    fn answer(&self, _ack: u8) -> Answer {
        Answer::Never
    }
}

#[test]
fn descriptors_made_available_over_what_the_device_holds_are_noticed() {
    // Of the second lap over the first command, and with its id in a place of its own.
    let available = |flags: u16| flags.to_le_bytes();
    let cases = [
        (
            2,
            14,
            available(1 << 15),
            "more is available than the ring holds",
        ),
        (
            1,
            2 * 16 + 14,
            available(1 << 7),
            "descriptor 0 is made available twice",
        ),
    ];
    for (commands, at, flags, what) in cases {
        let config = DeviceConfig::default().with_packed_ring();
        let (transport, device) = InProcess::with_conduct(config, Sink, Keeps).unwrap();
        let features = CONTROL.with(VIRTIO_F_RING_PACKED);
        let mut nic = Nic::on(transport, device, &[2, 2, 4], features, 2048, 2048);
        (0..commands).for_each(|slot| nic.ctrl.send(SlotId(slot), &[0, 0, 1]));
        nic.device.settle();
        assert_honest(&nic.device);
        nic.ctrl.ring.range(at, 2).copy_from(&flags);
        nic.ctrl.vq.kick_always(&*nic.ctrl.bell);
        nic.device.settle();
        let said = nic.device.violations();
        assert!(
            said.iter().any(|v| v.what.contains(what)),
            "{what}: {said:?}"
        );
    }
}

#[test]
fn a_bad_transmit_header_is_noticed() {
    let said = noticed(PLAIN, |nic| {
        nic.tx
            .send(SlotId(0), &with_header(RX_HEADER, &frame_of(60)))
    });
    assert!(
        said.contains("§ Packet Transmission: num_buffers is not 0"),
        "{said}"
    );
}

#[test]
fn what_lies_beyond_the_configuration_is_an_error() {
    let config = DeviceConfig {
        config_len: 10,
        ..Default::default()
    };
    let (mut transport, _device) = InProcess::new(config, Sink).unwrap();
    assert!(transport.read_config(8, &mut [0; 2]).is_ok());
    assert!(transport.read_config(9, &mut [0; 2]).is_err());
    assert!(transport.read_config(usize::MAX, &mut [0; 2]).is_err());
}

#[test]
fn filters_keep_strangers_away_until_promiscuous() {
    let port = Port::default();
    let config = DeviceConfig {
        filters: true,
        ..Default::default()
    };
    let mut nic = Nic::new(config, port.clone(), CONTROL);
    port.inject(&Frame::plain(&[2; 60]));
    nic.device.settle();
    assert_eq!(nic.rx.receive(), None);
    assert_eq!(nic.command(&[0, 0, 1]), ctrl::ACK_OK);
    port.inject(&Frame::plain(&[2; 60]));
    nic.device.settle();
    assert!(nic.rx.receive().is_some());
    assert_eq!(nic.device.counters().rx_filtered, 1);
}
