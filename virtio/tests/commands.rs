//! Commands of the control queue that change what is received and told, and what the device makes
//! of them.

use std::sync::Arc;
use std::time::Duration;

use virtio::init::{Idle, Running};
use virtio::net::features::all_known;
use virtio::net::{Coalescing, ControlQueue, CtrlError, FeatureSet, guest_offloads};
use virtio::queue::QueueSize;
use virtio::spec::feature::*;
use virtio::spec::net::config::{S_ANNOUNCE, STATUS};
use virtio::spec::net::feature::*;
use virtio::transport::in_process::*;
use virtio::{DmaRegion, DmaSlice};

const PATIENCE: Duration = Duration::from_secs(5);

/// A device with a control queue and nothing else.
struct Commanded {
    ctrl: ControlQueue,
    running: Running,
    device: Device,
    _memory: DmaSlice,
    _thread: DeviceThread,
}

fn commanded(bits: &[u32]) -> Commanded {
    let config = DeviceConfig::default().offering(bits);
    let (transport, device) = InProcess::new(config, Port::default()).unwrap();
    let idle = Idle::reset(Box::new(transport), PATIENCE).unwrap();
    let without_pairs = all_known().without(FeatureSet::of(&[VIRTIO_NET_F_MQ]));
    let mut negotiated = idle.negotiate(without_pairs).unwrap();
    let size = QueueSize::new(ControlQueue::SIZE).unwrap();
    let features = negotiated.features();
    let len = ControlQueue::memory_len(size, features.ring());
    let region = Arc::new(DmaRegion::new(len).unwrap());
    let memory = region.at(negotiated.transport().map_dma(&region).unwrap());
    let mut ctrl = ControlQueue::new(&memory, size, features, PATIENCE).unwrap();
    let doorbell = negotiated.enable_queue(2, ctrl.queue(), None).unwrap();
    ctrl.connect(doorbell);
    let running = negotiated.driver_ok().unwrap();
    let thread = device.run().unwrap();
    Commanded {
        ctrl,
        running,
        device,
        _memory: memory,
        _thread: thread,
    }
}

/// A command that was not agreed on.
fn is_refused(outcome: Result<(), CtrlError>) -> bool {
    matches!(outcome, Err(CtrlError::Refused { .. }))
}

#[test]
fn vlans_are_added_and_removed() {
    let mut card = commanded(&[VIRTIO_NET_F_CTRL_VLAN]);
    card.ctrl.add_vlan(5).unwrap();
    card.ctrl.add_vlan(4095).unwrap();
    card.ctrl.remove_vlan(5).unwrap();
    let vlans = card.device.control_state().vlans;
    assert_eq!(vlans.into_iter().collect::<Vec<_>>(), [4095]);
    assert!(is_refused(card.ctrl.add_vlan(4096)), "12 bits");
    assert!(is_refused(commanded(&[]).ctrl.add_vlan(5)));
}

#[test]
fn a_device_asks_for_an_announcement_until_it_is_acknowledged() {
    let mut card = commanded(&[VIRTIO_NET_F_GUEST_ANNOUNCE]);
    let asks = |running: &mut Running| {
        let mut status = [0; 2];
        running
            .transport()
            .read_config(STATUS, &mut status)
            .unwrap();
        u16::from_le_bytes(status) & S_ANNOUNCE != 0
    };
    assert!(!asks(&mut card.running));
    card.device.ask_for_announcement();
    assert!(asks(&mut card.running));
    card.ctrl.acknowledge_announcement().unwrap();
    assert!(!asks(&mut card.running));
    assert!(is_refused(commanded(&[]).ctrl.acknowledge_announcement()));
}

#[test]
fn receive_offloads_are_switched_within_what_was_agreed_on() {
    let mut card = commanded(&[VIRTIO_NET_F_CTRL_GUEST_OFFLOADS]);
    let sum = FeatureSet::of(&[VIRTIO_NET_F_GUEST_CSUM]);
    for on in [FeatureSet::EMPTY, sum, sum.with(VIRTIO_NET_F_GUEST_TSO6)] {
        card.ctrl.set_guest_offloads(on).unwrap();
        assert_eq!(card.device.control_state().guest_offloads, Some(on));
    }
    let tso = FeatureSet::of(&[VIRTIO_NET_F_GUEST_TSO4]);
    assert!(is_refused(card.ctrl.set_guest_offloads(tso)), "its need");
    let beyond = sum.with(VIRTIO_NET_F_GUEST_UFO);
    assert!(
        is_refused(card.ctrl.set_guest_offloads(beyond)),
        "never agreed"
    );
    // What is no offload is nobody's to switch.
    let all = guest_offloads().without(FeatureSet::of(&[VIRTIO_NET_F_GUEST_UFO]));
    let more = FeatureSet(all.0 | 1 << VIRTIO_F_VERSION_1);
    card.ctrl.set_guest_offloads(more).unwrap();
    assert_eq!(card.device.control_state().guest_offloads, Some(all));
    assert!(is_refused(commanded(&[]).ctrl.set_guest_offloads(sum)));
}

#[test]
fn notifications_are_put_off_by_limits_of_each_direction() {
    let mut card = commanded(&[VIRTIO_NET_F_NOTF_COAL]);
    let limits = |max_packets, max_usecs| Coalescing {
        max_packets,
        max_usecs,
    };
    card.ctrl.set_tx_coalescing(limits(64, 100)).unwrap();
    card.ctrl.set_rx_coalescing(limits(8, 70_000)).unwrap();
    let told = card.device.control_state();
    assert_eq!(
        (told.tx_coalescing, told.rx_coalescing),
        (limits(64, 100), limits(8, 70_000))
    );
    assert!(is_refused(
        commanded(&[]).ctrl.set_rx_coalescing(limits(1, 1))
    ));
}
