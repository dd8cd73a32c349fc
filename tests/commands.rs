//! What a device asks of its driver and is told by it beside frames, and told again after a reset.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::driven::Driven;
use umnet::card::CardConfig;
use umnet::fault::Fault;
use virtio::net::{FeatureSet, guest_offloads};
use virtio::spec::net::config::{S_ANNOUNCE, S_LINK_UP};
use virtio::spec::net::feature::*;
use virtio::transport::in_process::{Answer, Conduct, DeviceConfig, Frame, Port};

/// How long the driver waits for an answer.
const DEADLINE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers no command any more once that is set.
#[derive(Clone, Default)]
struct Mute(Arc<AtomicBool>);

impl Conduct for Mute {
    fn answer(&self, ack: u8) -> Answer {
        match self.0.load(Ordering::Relaxed) {
            true => Answer::Never,
            false => Answer::Byte(ack),
        }
    }
}

struct Rig {
    driven: Driven,
    wire: Port,
    mute: Mute,
}

impl Rig {
    fn new(config: DeviceConfig) -> Self {
        let (mute, wire) = (Mute::default(), Port::default());
        let card = CardConfig {
            timeout: DEADLINE,
            ..CardConfig::default()
        };
        let driven = Driven::start(config, wire.clone(), mute.clone(), card);
        Self {
            driven: driven.unwrap(),
            wire,
            mute,
        }
    }

    fn offering(bits: &[u32]) -> Self {
        Self::new(DeviceConfig::default().offering(bits))
    }

    /// Waits for the interrupt that tells of another configuration, and looks.
    fn look(&mut self) {
        let start = Instant::now();
        while self.driven.driver.config_interrupt().read().is_err() {
            assert!(start.elapsed() < PATIENCE, "no interrupt");
            std::thread::yield_now();
        }
        self.driven.driver.config_changed().unwrap();
    }

    fn announced(&self) -> u32 {
        self.driven.device.control_state().announced
    }
}

#[test]
fn a_device_is_told_that_its_peers_are_told_and_only_then_stops_asking() {
    let mut rig = Rig::offering(&[VIRTIO_NET_F_GUEST_ANNOUNCE]);
    for _ in 0..2 {
        assert!(!rig.driven.driver.wants_announcement());
        rig.driven.device.ask_for_announcement();
        rig.look();
        assert!(rig.driven.driver.wants_announcement() && rig.driven.driver.config().link_up);
        rig.driven.driver.config_changed().unwrap();
        assert!(
            rig.driven.driver.wants_announcement(),
            "it was not told yet"
        );
        let before = rig.announced();
        rig.driven.driver.announced();
        assert_eq!(rig.announced(), before + 1);
        assert!(!rig.driven.driver.wants_announcement());
        rig.driven.driver.config_changed().unwrap();
        assert!(!rig.driven.driver.wants_announcement());
        rig.driven.driver.recover().unwrap();
    }
    assert!(rig.driven.driver.take_fault().is_none());
    assert_eq!(rig.driven.device.violations(), []);
}

#[test]
fn what_a_device_asks_for_before_it_is_started_is_not_forgotten() {
    let status = S_LINK_UP | S_ANNOUNCE;
    let asking = |bits: &[u32]| {
        Rig::new(DeviceConfig {
            status,
            ..DeviceConfig::default().offering(bits)
        })
    };
    let mut rig = asking(&[VIRTIO_NET_F_GUEST_ANNOUNCE]);
    assert!(rig.driven.driver.wants_announcement());
    rig.driven.driver.recover().unwrap();
    assert!(rig.driven.driver.wants_announcement(), "nor over a reset");
    rig.driven.driver.announced();
    assert_eq!(rig.announced(), 1);
    // One that has not said that it would ask does not mean it.
    assert!(!asking(&[]).driven.driver.wants_announcement());
}

#[test]
fn a_device_that_does_not_hear_that_peers_are_told_is_reset() {
    let mut rig = Rig::offering(&[VIRTIO_NET_F_GUEST_ANNOUNCE]);
    rig.driven.device.ask_for_announcement();
    rig.look();
    rig.mute.0.store(true, Ordering::Relaxed);
    let start = Instant::now();
    rig.driven.driver.announced();
    assert!(start.elapsed() >= DEADLINE && start.elapsed() < PATIENCE);
    let report = rig.driven.driver.take_fault().expect("silence is a fault");
    assert!(matches!(report.fault, Fault::Control), "{}", report.fault);
    rig.mute.0.store(false, Ordering::Relaxed);
    rig.driven.driver.recover().unwrap();
    rig.driven.device.ask_for_announcement();
    rig.look();
    assert!(rig.driven.driver.wants_announcement());
    rig.driven.driver.announced();
    assert!(rig.driven.driver.take_fault().is_none());
}

#[test]
fn receive_offloads_are_switched_while_frames_flow_and_again_after_a_reset() {
    let mut rig = Rig::offering(&[VIRTIO_NET_F_CTRL_GUEST_OFFLOADS]);
    let all = rig.driven.driver.info().features.and(guest_offloads());
    let sums = FeatureSet::of(&[VIRTIO_NET_F_GUEST_CSUM]);
    assert_ne!(all, sums, "there is something to switch");
    let told = |rig: &Rig| rig.driven.device.control_state().guest_offloads;
    assert_eq!(told(&rig), None, "all are on at first");
    for _ in 0..2 {
        rig.driven.driver.set_gro(false);
        assert_eq!(told(&rig), Some(sums));
        assert_eq!(rig.driven.driver.switched_off(), all.without(sums));
        rig.driven.driver.recover().unwrap();
        assert_eq!(told(&rig), Some(sums), "a reset forgets it");
        rig.driven.driver.set_gro(true);
        assert_eq!(told(&rig), Some(all));
        assert_eq!(rig.driven.driver.switched_off(), FeatureSet::EMPTY);
        rig.driven.driver.recover().unwrap();
        assert_eq!(told(&rig), None, "there is nothing to tell");
    }
    assert_eq!(rig.driven.device.violations(), []);
}

#[test]
fn receive_offloads_stay_as_they_are_where_they_cannot_be_switched() {
    let joining = [
        VIRTIO_NET_F_GUEST_TSO4,
        VIRTIO_NET_F_GUEST_TSO6,
        VIRTIO_NET_F_GUEST_USO4,
        VIRTIO_NET_F_GUEST_USO6,
    ];
    let none = DeviceConfig::default().offering(&[VIRTIO_NET_F_CTRL_GUEST_OFFLOADS]);
    let offered = none.offered.without(FeatureSet::of(&joining));
    for config in [DeviceConfig::default(), DeviceConfig { offered, ..none }] {
        let mut rig = Rig::new(config);
        rig.driven.driver.set_gro(false);
        assert_eq!(rig.driven.device.control_state().guest_offloads, None);
        assert_eq!(rig.driven.driver.switched_off(), FeatureSet::EMPTY);
        assert!(rig.driven.driver.take_fault().is_none());
    }
}

#[test]
fn frames_of_every_vlan_are_received_from_a_device_that_could_filter_them() {
    let mut rig = Rig::offering(&[VIRTIO_NET_F_CTRL_VLAN]);
    for vlan in [0, 7, 4094u16] {
        let tag = vlan.to_be_bytes();
        let head = [&DeviceConfig::default().mac[..], &[2, 0, 0, 0, 0, 1]].concat();
        let frame = [&head, &[0x81, 0][..], &tag, &[0x88, 0xb5], &[0; 60]].concat();
        rig.wire.inject(&Frame::plain(&frame));
        let received = rig.driven.seat.wait_receive(PATIENCE);
        assert_eq!(
            received.map(|frame| frame.bytes),
            Some(frame),
            "VLAN {vlan}"
        );
        rig.driven.driver.recover().unwrap();
    }
}
