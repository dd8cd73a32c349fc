//! Received TCP segments reach the system joined also where the device cannot join them, as long as
//! that is not switched off.

mod support;

use std::time::Duration;

use support::driven::Driven;
use umnet::card::CardConfig;
use virtio::net::FeatureSet;
use virtio::spec::net::feature::*;
use virtio::transport::in_process::{DeviceConfig, Frame, Honest, Port};

const PATIENCE: Duration = Duration::from_secs(10);
const PAYLOAD: usize = 1000;
/// Ethernet, IPv4, TCP.
const HEADERS: usize = 14 + 20 + 20;
/// Segments that arrive together.
const BURST: usize = 8;
/// Bursts until some of their segments meet in one turn, as good as always the first.
const BURSTS: usize = 1000;

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)))
        .sum()
}

fn checksum(sum: u32) -> [u8; 2] {
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!(folded as u16)).to_be_bytes()
}

/// A whole TCP segment.
fn segment(sequence: u32) -> Vec<u8> {
    let addresses = [&DeviceConfig::default().mac[..], &[2, 0, 0, 0, 0, 1]].concat();
    let length = ((20 + 20 + PAYLOAD) as u16).to_be_bytes();
    let mut ip = vec![0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, 6, 0, 0];
    ip.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    let ip_sum = checksum(sum(&ip));
    ip[10..12].copy_from_slice(&ip_sum);
    let mut tcp = vec![0x30, 0x39, 0x1f, 0x90];
    tcp.extend(sequence.to_be_bytes());
    tcp.extend([0, 0, 0, 1, 5 << 4, 0x10, 0x7f, 0xff, 0, 0, 0, 0]);
    tcp.extend((0..PAYLOAD).map(|at| (at as u32 + sequence) as u8));
    let pseudo = sum(&ip[12..20]) + 6 + tcp.len() as u32;
    let tcp_sum = checksum(sum(&tcp) + pseudo);
    tcp[16..18].copy_from_slice(&tcp_sum);
    [&addresses, &[8, 0][..], &ip, &tcp].concat()
}

struct Stream {
    driven: Driven,
    wire: Port,
    sequence: u32,
}

impl Stream {
    /// Receives a burst, in whatever frames, and returns the payloads of these.
    fn burst(&mut self) -> Vec<usize> {
        let first = self.sequence;
        for _ in 0..BURST {
            self.wire.inject(&Frame::plain(&segment(self.sequence)));
            self.sequence += PAYLOAD as u32;
        }
        let (mut payloads, mut bytes) = (Vec::new(), Vec::<u8>::new());
        while bytes.len() < BURST * PAYLOAD {
            let received = self.driven.seat.wait_receive(PATIENCE);
            let frame = received.expect("what was sent").bytes;
            payloads.push(frame.len() - HEADERS);
            bytes.extend(&frame[HEADERS..]);
        }
        let sent = (0..BURST * PAYLOAD).map(|at| {
            let (segment, at) = (at / PAYLOAD, at % PAYLOAD);
            (at as u32 + first + (segment * PAYLOAD) as u32) as u8
        });
        assert!(bytes.into_iter().eq(sent), "no byte is lost or moved");
        payloads
    }

    fn joined_within(&mut self, bursts: usize) -> bool {
        (0..bursts).any(|_| self.burst().iter().any(|&payload| payload > PAYLOAD))
    }
}

/// A driver of a device that offers all but these.
fn without(bits: &[u32], card: CardConfig) -> Stream {
    let config = DeviceConfig::default();
    let offered = config.offered.without(FeatureSet::of(bits));
    let wire = Port::default();
    let device = DeviceConfig { offered, ..config };
    Stream {
        driven: Driven::start(device, wire.clone(), Honest, card).unwrap(),
        wire,
        sequence: 0,
    }
}

const JOINING: [u32; 2] = [VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6];

#[test]
fn segments_are_joined_for_a_device_that_cannot_and_not_while_that_is_switched_off() {
    let mut stream = without(&JOINING, CardConfig::default());
    assert!(stream.joined_within(BURSTS));
    stream.driven.driver.set_gro(false);
    stream.burst(); // its turn may have begun before
    assert!(!stream.joined_within(50));
    stream.driven.driver.recover().unwrap();
    assert!(!stream.joined_within(50), "a reset changes nothing");
    stream.driven.driver.set_gro(true);
    assert!(stream.joined_within(BURSTS));
}

#[test]
fn segments_are_not_joined_where_the_user_does_not_want_large_frames() {
    let card = CardConfig {
        disabled: FeatureSet::of(&JOINING),
        ..CardConfig::default()
    };
    assert!(!without(&[], card).joined_within(50));
}

#[test]
fn what_a_device_that_can_join_leaves_apart_stays_apart() {
    assert!(!without(&[], CardConfig::default()).joined_within(50));
}
