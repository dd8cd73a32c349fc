//! The driver over a device with several pairs of queues, in one process.

mod support;

use std::time::{Duration, Instant};

use netadapter_shim::os::loopback::StackFrame;
use support::driven::Driven;
use umnet::card::{CardConfig, CardError};
use umnet::driver::DriverError;
use virtio::net::FeatureSet;
use virtio::spec::feature::VIRTIO_F_RING_PACKED;
use virtio::spec::net::ctrl::ACK_ERR;
use virtio::spec::net::feature::*;
use virtio::transport::in_process::{Answer, Conduct, DeviceConfig, Echo, Honest, all_offered};

const PATIENCE: Duration = Duration::from_secs(10);
const PAIRS: u16 = 4;
/// Frames of each flow.
const MANY: u64 = 300;

/// A driver between a port with [`PAIRS`] queues and a device that sends every frame back.
struct Rig(Driven);

impl Rig {
    fn new(config: DeviceConfig, conduct: impl Conduct + 'static) -> Self {
        Self::below(PAIRS, config, conduct)
    }

    /// The same below a port with so many queues.
    fn below(queues: u16, config: DeviceConfig, conduct: impl Conduct + 'static) -> Self {
        let (far, card) = (Echo::default(), CardConfig::default());
        let driven = Driven::start_with_queues(queues, config, far, conduct, card);
        Self(driven.unwrap())
    }

    /// Sends [`MANY`] frames of a flow of its own on each of `queues`, and waits for all of them.
    fn echo(&self, queues: u16) {
        for number in 0..MANY {
            for queue in 0..queues {
                let frame = datagram(queue);
                while !self
                    .0
                    .seat
                    .send_on(queue.into(), StackFrame::new(frame.clone()))
                {
                    std::thread::yield_now();
                }
            }
            if number % 16 == 0 {
                self.take_all();
            }
        }
    }

    fn take_all(&self) {
        while self.0.seat.receive().is_some() {}
    }

    fn counter(&self, queue: &str, counter: &str) -> u64 {
        let queues = self.0.driver.counters();
        let queue = queues.iter().find(|stats| stats.queue == queue);
        queue.expect("it is counted").counters[counter]
    }

    /// Waits until receive queue `pair` has had so many frames.
    fn wait_received(&self, pair: u16, count: u64) {
        let start = Instant::now();
        while self.counter(&format!("rx{pair}"), "rx_packets") < count {
            self.take_all();
            let counters = self.0.driver.counters();
            assert!(start.elapsed() < PATIENCE, "pair {pair}: {counters:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends a frame and waits until it is back; with which hash, and over what.
    fn hash_of(&self, frame: Vec<u8>) -> (u32, u16) {
        assert!(self.0.seat.send(StackFrame::new(frame.clone())));
        let start = Instant::now();
        loop {
            if let Some(back) = self.0.seat.receive() {
                assert_eq!(back.bytes, frame);
                return (back.hash.hash_value, back.hash.protocol_type);
            }
            assert!(start.elapsed() < PATIENCE, "{:?}", self.0.driver.counters());
            std::thread::yield_now();
        }
    }

    fn assert_honest(&self) {
        assert_eq!(self.0.device.violations(), []);
    }
}

fn datagram(flow: u16) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[..6].copy_from_slice(&DeviceConfig::default().mac);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[23] = 17;
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[34..36].copy_from_slice(&(1000 + flow).to_be_bytes());
    frame
}

fn several() -> DeviceConfig {
    DeviceConfig::default().with_pairs(PAIRS)
}

fn without_rss() -> DeviceConfig {
    DeviceConfig {
        offered: all_offered().without(FeatureSet::of(&[VIRTIO_NET_F_RSS])),
        ..several()
    }
}

#[test]
fn answers_come_on_the_pair_of_their_question_also_after_a_reset() {
    let mut rig = Rig::new(without_rss(), Honest);
    assert_eq!(rig.0.driver.info().queue_pairs, PAIRS);
    for round in 1..=2 {
        rig.echo(PAIRS);
        for pair in 0..PAIRS {
            rig.wait_received(pair, round * MANY);
            let sent = rig.counter(&format!("tx{pair}"), "tx_packets");
            assert_eq!(sent, round * MANY);
        }
        let state = rig.0.device.control_state();
        assert_eq!((state.pairs, state.rss), (Some(PAIRS), None));
        rig.assert_honest();
        rig.0.driver.recover().unwrap();
    }
    rig.0.driver.stop().unwrap();
}

#[test]
fn a_device_with_receive_scaling_is_given_table_and_key_again_after_a_reset() {
    let mut rig = Rig::new(several(), Honest);
    let rss = rig.0.device.control_state().rss.expect("it was told to");
    let spread: Vec<u16> = (0..128).map(|entry| entry % PAIRS).collect();
    assert_eq!(rss.table, spread);
    assert_eq!((rss.transmit_queues, rss.hash_types), (PAIRS, 0x3f));
    assert!(rss.key.iter().any(|&byte| byte != 0));
    rig.echo(PAIRS);
    let total = || {
        (0..PAIRS)
            .map(|pair| rig.counter(&format!("rx{pair}"), "rx_packets"))
            .sum::<u64>()
    };
    let start = Instant::now();
    while total() < MANY * u64::from(PAIRS) {
        rig.take_all();
        assert!(start.elapsed() < PATIENCE, "{:?}", rig.0.driver.counters());
    }
    rig.assert_honest();
    rig.0.driver.recover().unwrap();
    assert_eq!(rig.0.device.control_state().rss, Some(rss));
    rig.0.driver.stop().unwrap();
}

/// The Toeplitz hash of `input`: for each of its bits that is set, the key from there on.
fn toeplitz(key: &[u8], input: &[u8]) -> u32 {
    let bit = |bytes: &[u8], at: usize| u32::from(bytes[at / 8] >> (7 - at % 8) & 1);
    let window = |at| (at..at + 32).fold(0, |word, at| word << 1 | bit(key, at));
    let set = (0..8 * input.len()).filter(|&at| bit(input, at) == 1);
    set.fold(0, |hash, at| hash ^ window(at))
}

#[test]
fn the_hash_by_which_a_frame_came_is_told_with_it_also_after_a_reset() {
    const IPV4_UDP: u16 = 0x21;
    for rings in [&[][..], &[VIRTIO_F_RING_PACKED]] {
        let config = several().offering(&[VIRTIO_NET_F_HASH_REPORT]);
        let mut rig = Rig::new(config.offering(rings), Honest);
        assert!(rig.0.driver.info().features.has(VIRTIO_NET_F_HASH_REPORT));
        let key = rig
            .0
            .device
            .control_state()
            .rss
            .expect("it was told to")
            .key;
        for _ in 0..2 {
            for flow in 0..64 {
                let mut frame = datagram(flow);
                frame.resize(60 + usize::from(flow) * 20, 7);
                let hash = toeplitz(&key, &frame[26..38]);
                assert_eq!(rig.hash_of(frame), (hash, IPV4_UDP), "flow {flow}");
            }
            let mut of_no_flow = datagram(0);
            of_no_flow[12] = 0x88;
            assert_eq!(rig.hash_of(of_no_flow), (0, 0), "nothing to hash");
            rig.0.driver.recover().unwrap();
        }
        rig.assert_honest();
        rig.0.driver.stop().unwrap();
    }
}

#[test]
fn no_more_pairs_are_used_than_wanted_and_the_control_queue_stands_behind_all() {
    let rig = Rig::below(2, several(), Honest);
    assert_eq!(rig.0.driver.info().queue_pairs, 2);
    assert_eq!(rig.0.device.control_state().pairs, Some(2));
    rig.assert_honest();
}

/// Says no to every command.
struct Refusing;

impl Conduct for Refusing {
    fn answer(&self, _ack: u8) -> Answer {
        Answer::Byte(ACK_ERR)
    }
}

#[test]
fn a_device_that_wants_one_pair_only_is_used_with_one() {
    let mut rig = Rig::new(several(), Refusing);
    assert_eq!(rig.0.driver.info().queue_pairs, 1);
    rig.echo(1);
    rig.wait_received(0, MANY);
    rig.0.driver.stop().unwrap();
}

#[test]
fn fewer_interrupts_than_queues_are_shared() {
    for vectors in 1..=2 * PAIRS {
        let config = DeviceConfig {
            vectors,
            ..without_rss()
        };
        let mut rig = Rig::new(config, Honest);
        rig.echo(PAIRS);
        (0..PAIRS).for_each(|pair| rig.wait_received(pair, MANY));
        rig.assert_honest();
        rig.0.driver.stop().unwrap();
    }
}

#[test]
fn a_device_that_comes_back_with_fewer_pairs_is_not_driven_with_them() {
    let mut rig = Rig::new(without_rss(), Honest);
    rig.0.device.change_config(|config| config.max_pairs = 2);
    // The control queue is where it was, and the device says elsewhere.
    let error = rig.0.driver.recover().unwrap_err();
    assert!(
        matches!(
            error,
            DriverError::Card(CardError::PairsChanged { before: 4, now: 2 })
        ),
        "{error}"
    );
    rig.0
        .device
        .change_config(|config| config.max_pairs = PAIRS);
    rig.0.driver.recover().unwrap();
    rig.echo(PAIRS);
    rig.wait_received(PAIRS - 1, MANY);
    rig.0.driver.stop().unwrap();
}
