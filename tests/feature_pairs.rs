//! Every pair of features that the in-process device offers, alone with what they need, and the sets
//! that devices come with: bring-up, frames both ways, and the same again after a reset.

mod support;

use std::time::{Duration, Instant};

use netadapter_shim::abi::{NetPacketPartialChecksum, SegmentType};
use netadapter_shim::os::loopback::{LoopbackSeat, StackFrame};
use support::driven::{self, Driven};
use umnet::card::{CardConfig, CardError, LEFT_OUT};
use umnet::driver::DriverError;
use virtio::init::InitError;
use virtio::net::features::{FeatureRefusal, all_known, choose};
use virtio::net::{Coalescing, FeatureSet};
use virtio::spec::feature::*;
use virtio::spec::net::feature::*;
use virtio::transport::in_process::{DeviceConfig, Frame, Honest, Port};
use virtio_hostile::frames;

const PATIENCE: Duration = Duration::from_secs(10);
/// More than a ring of eight holds, so that it turns over.
const FRAMES: u8 = 10;

/// Frames one after the other in both directions, each unchanged.
fn exchange(seat: &LoopbackSeat, wire: &Port, what: &str) {
    for tag in 0..FRAMES {
        let sent = driven::frame(&[tag; 100]);
        assert!(seat.send(StackFrame::new(sent.clone())), "{what}");
        wire.inject(&Frame::plain(&sent));
        let received = wait(what, || seat.receive());
        assert_eq!(received.bytes, sent, "{what}");
        assert_eq!(wait(what, || wire.take_sent()).payload(), sent, "{what}");
    }
}

/// Waits for what `take` gives.
fn wait<T>(what: &str, mut take: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(taken) = take() {
            return taken;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: a frame did not arrive");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// A frame of several segments with its checksum open, in each direction that has them.
fn exchange_segments(seat: &LoopbackSeat, wire: &Port, features: FeatureSet, what: &str) {
    let (bytes, header) = (frames::tcp4(20_000), frames::segmented());
    let partial = NetPacketPartialChecksum::partial(header.csum_start, header.csum_offset)
        .with_segments(SegmentType::TCPV4, header.gso_size, header.hdr_len);
    if features.has(VIRTIO_NET_F_HOST_TSO4) {
        let bytes = bytes.clone();
        let mut sent = StackFrame::new(bytes.clone());
        sent.partial = partial;
        assert!(seat.send(sent), "{what}");
        let left = wait(what, || wire.take_sent());
        assert_eq!(
            (left.payload(), left.header()),
            (&bytes[..], header),
            "{what}"
        );
    }
    if features.has(VIRTIO_NET_F_GUEST_TSO4) {
        wire.inject(&Frame::with_header(header, &bytes));
        // It may come by any of the queues: by its hash, where there is one.
        let received = wait(what, || seat.receive());
        assert_eq!(
            (received.bytes, received.partial),
            (bytes, partial),
            "{what}"
        );
    }
}

/// A device that offers these features and no others, of which `wanted` are of use.
fn passes(offered: FeatureSet, wanted: FeatureSet, pairs: u16) {
    let what = format!("{offered:?}");
    let config = DeviceConfig {
        offered,
        queue_sizes: vec![8, 8, 4],
        behind_iommu: false,
        ..DeviceConfig::default()
    }
    .with_pairs(pairs);
    let wire = Port::default();
    let card = CardConfig::default();
    let rig = Driven::start_with_queues(pairs, config, wire.clone(), Honest, card);
    let mut rig = rig.unwrap_or_else(|error| panic!("{what}: {error}"));
    let device = rig.device.clone();
    assert_eq!(device.accepted_features(), wanted, "{what}");
    for start in 0..2 {
        if start > 0 {
            let recovered = rig.driver.recover();
            recovered.unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        exchange(&rig.seat, &wire, &what);
        exchange_segments(&rig.seat, &wire, wanted, &what);
    }
    rig.driver.stop().unwrap();
    drop(rig);
    assert_eq!(device.violations(), [], "{what}");
}

fn of_use(offered: FeatureSet) -> FeatureSet {
    choose(offered, all_known().without(LEFT_OUT), false).unwrap()
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
        passes(offered, of_use(offered), 1);
    }
    println!("{} offers in {:?}", pairs.len(), started.elapsed());
    assert!(pairs.len() > 300);
}

/// What devices offer, each with all of those before it, and how many pairs of queues they have.
const PROFILES: [(&[u32], u16); 5] = [
    (&[VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM], 1),
    (
        &[
            VIRTIO_NET_F_MRG_RXBUF,
            VIRTIO_F_EVENT_IDX,
            VIRTIO_F_INDIRECT_DESC,
        ],
        1,
    ),
    (
        &[
            VIRTIO_NET_F_CSUM,
            VIRTIO_NET_F_GUEST_CSUM,
            VIRTIO_NET_F_HOST_TSO4,
            VIRTIO_NET_F_HOST_TSO6,
            VIRTIO_NET_F_HOST_ECN,
            VIRTIO_NET_F_HOST_USO,
            VIRTIO_NET_F_GUEST_TSO4,
            VIRTIO_NET_F_GUEST_TSO6,
            VIRTIO_NET_F_GUEST_ECN,
            VIRTIO_NET_F_GUEST_USO4,
            VIRTIO_NET_F_GUEST_USO6,
        ],
        1,
    ),
    (
        &[
            VIRTIO_NET_F_CTRL_VQ,
            VIRTIO_NET_F_CTRL_RX,
            VIRTIO_NET_F_CTRL_VLAN,
            VIRTIO_NET_F_CTRL_MAC_ADDR,
            VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
            VIRTIO_NET_F_MQ,
        ],
        4,
    ),
    (
        &[
            VIRTIO_NET_F_RSS,
            VIRTIO_NET_F_HASH_REPORT,
            VIRTIO_NET_F_NOTF_COAL,
        ],
        4,
    ),
];

#[test]
fn what_devices_come_with_starts_carries_frames_and_starts_again() {
    let forms: [&[u32]; 7] = [
        &[],
        &[VIRTIO_F_RING_PACKED],
        &[VIRTIO_F_IN_ORDER],
        &[VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER],
        &[VIRTIO_F_NOTIFICATION_DATA],
        &[VIRTIO_F_RING_PACKED, VIRTIO_F_NOTIFICATION_DATA],
        &[VIRTIO_F_RING_RESET],
    ];
    let of_no_use = FeatureSet::of(&[VIRTIO_F_INDIRECT_DESC, VIRTIO_NET_F_CTRL_VLAN]);
    let mut offered = FeatureSet::EMPTY;
    for (more, pairs) in PROFILES {
        offered = more.iter().fold(offered, |set, &bit| set.with(bit));
        for form in forms {
            let offered = form.iter().fold(offered, |set, &bit| set.with(bit));
            passes(offered, offered.without(of_no_use), pairs);
        }
    }
}

#[test]
fn a_legacy_device_is_refused_in_words() {
    let offered = FeatureSet::of(&[VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS]);
    let config = DeviceConfig {
        offered,
        behind_iommu: false,
        ..DeviceConfig::default()
    };
    let refused = Driven::start(config, Port::default(), Honest, CardConfig::default());
    let Err(DriverError::Card(CardError::Init(InitError::Refused(why)))) = refused else {
        panic!("it was not refused");
    };
    assert_eq!(why, FeatureRefusal::Legacy { offered });
}

#[test]
fn all_features_together_start_carry_frames_and_start_again() {
    passes(all_known(), of_use(all_known()), 1);
}

#[test]
fn how_long_notifications_may_be_put_off_is_told_again_after_a_reset() {
    let [rx, tx] = [16, 64].map(|max_packets| Coalescing {
        max_packets,
        max_usecs: 50,
    });
    let told = |bits: &[u32], wanted: [Option<Coalescing>; 2]| {
        let config = DeviceConfig::default().offering(bits);
        let mut card = CardConfig::default();
        [card.rx_coalescing, card.tx_coalescing] = wanted;
        let mut rig = Driven::start(config, Port::default(), Honest, card).unwrap();
        let device = rig.device.clone();
        let read = || {
            let state = device.control_state();
            (state.rx_coalescing, state.tx_coalescing)
        };
        let first = read();
        rig.driver.recover().unwrap();
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
