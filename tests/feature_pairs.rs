//! Every pair of features that the in-process device offers, alone with what they need: bring-up,
//! frames both ways, and the same again after a reset.

use std::time::{Duration, Instant};

use netadapter_shim::PortOffloads;
use netadapter_shim::os::loopback::{LoopbackSeat, StackFrame, loopback};
use umnet::card::LEFT_OUT;
use umnet::driver::{Driver, DriverConfig};
use virtio::net::features::{all_known, choose};
use virtio::net::{Coalescing, FeatureSet};
use virtio::spec::feature::VIRTIO_F_VERSION_1;
use virtio::spec::net::feature::VIRTIO_NET_F_NOTF_COAL;
use virtio::transport::in_process::{DeviceConfig, Frame, InProcess, Port};

const PATIENCE: Duration = Duration::from_secs(10);
/// More than a ring of eight holds, so that it turns over.
const FRAMES: u8 = 10;

fn frame(tag: u8) -> Vec<u8> {
    let addresses = [0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1];
    [&addresses[..], &[0x88, 0xb5], &[tag; 100]].concat()
}

/// Frames one after the other in both directions, each unchanged.
fn exchange(seat: &LoopbackSeat, wire: &Port, what: &str) {
    for tag in 0..FRAMES {
        let sent = frame(tag);
        assert!(seat.send(StackFrame::new(sent.clone())), "{what}");
        wire.inject(&Frame::plain(&sent));
        let received = seat.wait_receive(PATIENCE);
        let received = received.unwrap_or_else(|| panic!("{what}: frame {tag} did not arrive"));
        assert_eq!(received.bytes, sent, "{what}");
        let start = Instant::now();
        let left = loop {
            match wire.take_sent() {
                Some(left) => break left,
                None => assert!(
                    start.elapsed() < PATIENCE,
                    "{what}: frame {tag} did not leave"
                ),
            }
            std::thread::yield_now();
        };
        assert_eq!(left.payload(), sent, "{what}");
    }
}

/// A device that offers these features and no others.
fn passes(offered: FeatureSet, pairs: u16) {
    let what = format!("{offered:?}");
    let config = DeviceConfig {
        offered,
        queue_sizes: vec![8, 8, 4],
        behind_iommu: false,
        ..DeviceConfig::default()
    }
    .with_pairs(pairs);
    let wire = Port::default();
    let (transport, device) = InProcess::new(config, wire.clone()).unwrap();
    let thread = device.run().unwrap();
    let (port, seat) = loopback(1, PortOffloads::ALL).unwrap();
    let driver = Driver::start(Box::new(transport), DriverConfig::default(), Box::new(port));
    let mut driver = driver.unwrap_or_else(|error| panic!("{what}: {error}"));
    let wanted = choose(offered, all_known().without(LEFT_OUT), false).unwrap();
    assert_eq!(
        device.accepted_features(),
        wanted,
        "{what}: all that is of use"
    );
    exchange(&seat, &wire, &what);
    driver
        .recover()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    exchange(&seat, &wire, &what);
    driver.stop().unwrap();
    drop(thread);
    assert_eq!(device.violations(), [], "{what}");
}

/// `bit` with one feature of each kind that it needs.
fn with_needs(bit: u32) -> FeatureSet {
    let base = FeatureSet::of(&[VIRTIO_F_VERSION_1]);
    let whole = all_known();
    // What can be left out without losing the bit is none of its needs.
    whole.bits().fold(whole, |set, other| {
        let less = set.without(FeatureSet::of(&[other]));
        let less = FeatureSet(less.0 | base.0);
        let keeps = choose(less, whole, false).is_ok_and(|chosen| chosen.has(bit));
        if other != bit && keeps { less } else { set }
    })
}

#[test]
fn every_pair_of_features_starts_carries_frames_and_starts_again() {
    let needs: Vec<_> = all_known().bits().map(with_needs).collect();
    let pairs: Vec<_> = needs
        .iter()
        .enumerate()
        .flat_map(|(i, a)| needs[i..].iter().map(|b| FeatureSet(a.0 | b.0)))
        .collect();
    let started = Instant::now();
    for &offered in &pairs {
        passes(offered, 1);
    }
    println!("{} offers in {:?}", pairs.len(), started.elapsed());
    assert!(pairs.len() > 300);
}

#[test]
fn all_features_together_start_carry_frames_and_start_again() {
    passes(all_known(), 1);
}

#[test]
fn how_long_notifications_may_be_put_off_is_told_again_after_a_reset() {
    let [rx, tx] = [16, 64].map(|max_packets| Coalescing {
        max_packets,
        max_usecs: 50,
    });
    let told = |bits: &[u32], wanted: [Option<Coalescing>; 2]| {
        let config = DeviceConfig::default().offering(bits);
        let (transport, device) = InProcess::new(config, Port::default()).unwrap();
        let _thread = device.run().unwrap();
        let (port, _seat) = loopback(1, PortOffloads::ALL).unwrap();
        let mut config = DriverConfig::default();
        [config.card.rx_coalescing, config.card.tx_coalescing] = wanted;
        let mut driver = Driver::start(Box::new(transport), config, Box::new(port)).unwrap();
        let read = || {
            let state = device.control_state();
            (state.rx_coalescing, state.tx_coalescing)
        };
        let first = read();
        driver.recover().unwrap();
        assert_eq!(device.violations(), []);
        (first, read())
    };
    let (none, can) = (Coalescing::default(), [VIRTIO_NET_F_NOTF_COAL]);
    let twice = |state| (state, state);
    assert_eq!(told(&can, [Some(rx), Some(tx)]), twice((rx, tx)));
    assert_eq!(told(&can, [None, Some(tx)]), twice((none, tx)));
    assert_eq!(told(&can, [None, None]), twice((none, none)));
    assert_eq!(told(&[], [Some(rx), Some(tx)]), twice((none, none)));
}
