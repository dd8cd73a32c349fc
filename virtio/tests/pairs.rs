//! The in-process device with several pairs of queues: which frames go where.

mod common;

use common::{Queue, Shape, driver_ok, negotiate, open_queue, part};
use virtio::net::{FeatureSet, VirtioNetHdr, control_queue, receive_queue, transmit_queue};
use virtio::queue::SlotId;
use virtio::spec::feature::{VIRTIO_F_EVENT_IDX, VIRTIO_F_VERSION_1};
use virtio::spec::net::feature::*;
use virtio::spec::net::{ctrl, hash};
use virtio::transport::in_process::{Device, DeviceConfig, Echo, Frame, InProcess, Link, Port};

const PAIRS: u16 = 4;
const FEATURES: FeatureSet = FeatureSet::of(&[
    VIRTIO_F_VERSION_1,
    VIRTIO_F_EVENT_IDX,
    VIRTIO_NET_F_CTRL_VQ,
    VIRTIO_NET_F_MQ,
    VIRTIO_NET_F_RSS,
]);
const LEN: u32 = 2048;

/// A driver that has set up every queue of a device with [`PAIRS`] pairs.
struct Nic {
    rx: Vec<Queue>,
    tx: Vec<Queue>,
    ctrl: Queue,
    device: Device,
    _transport: InProcess,
}

impl Nic {
    fn new(link: impl Link + 'static) -> Self {
        let config = DeviceConfig::default().with_pairs(PAIRS);
        let (mut transport, device) = InProcess::new(config, link).unwrap();
        assert!(negotiate(&mut transport, FEATURES));
        let mut open = |index, size, stride, parts: &[_]| {
            let shape = Shape {
                size,
                stride,
                parts,
            };
            open_queue(&mut transport, index, FEATURES.ring(), shape)
        };
        let mut data =
            |index, device_writes| open(index, 64, LEN as usize, &[part(0, LEN, device_writes)]);
        let mut rx: Vec<_> = (0..PAIRS).map(|k| data(receive_queue(k), true)).collect();
        let tx = (0..PAIRS).map(|k| data(transmit_queue(k), false)).collect();
        let parts = [part(0, 500, false), part(500, 1, true)];
        let ctrl = open(control_queue(PAIRS), 64, 512, &parts);
        for queue in &mut rx {
            (0..queue.vq.slot_count()).for_each(|slot| queue.vq.add(SlotId(slot)));
            queue.vq.publish();
        }
        driver_ok(&mut transport);
        rx.iter_mut().for_each(Queue::flush);
        Self {
            rx,
            tx,
            ctrl,
            device,
            _transport: transport,
        }
    }

    fn command(&mut self, command: &[u8]) -> u8 {
        self.ctrl.send(SlotId(0), command);
        self.device.settle();
        self.ctrl.vq.pop_used().unwrap().expect("an answer");
        let mut ack = [0xff];
        self.ctrl.slots.range(500, 1).copy_to(&mut ack[..]);
        ack[0]
    }

    /// How many frames each pair has received.
    fn received(&mut self) -> [usize; PAIRS as usize] {
        self.device.settle();
        let count = |queue: &mut Queue| std::iter::from_fn(|| queue.receive()).count();
        std::array::from_fn(|k| count(&mut self.rx[k]))
    }
}

/// A UDP datagram of the flow with that number, in one direction or in the other.
fn datagram(flow: u16, answer: bool) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[23] = 17;
    let ends = [([10, 0, 0, 1], 1000 + flow), ([10, 0, 0, 2], 53)];
    let [from, to] = if answer { [ends[1], ends[0]] } else { ends };
    frame[26..30].copy_from_slice(&from.0);
    frame[30..34].copy_from_slice(&to.0);
    frame[34..36].copy_from_slice(&from.1.to_be_bytes());
    frame[36..38].copy_from_slice(&to.1.to_be_bytes());
    frame
}

fn with_header(frame: &[u8]) -> Vec<u8> {
    [&VirtioNetHdr::default().to_bytes()[..], frame].concat()
}

#[test]
fn one_pair_is_used_until_the_driver_asks_for_more() {
    let port = Port::default();
    let mut nic = Nic::new(port.clone());
    let all = || (0..32).for_each(|flow| port.inject(&Frame::plain(&datagram(flow, true))));
    all();
    assert_eq!(nic.received(), [32, 0, 0, 0]);
    assert_eq!(nic.command(&[4, 0, 2, 0]), ctrl::ACK_OK);
    all();
    let [first, second, ..] = nic.received();
    assert!(first > 0 && second > 0, "{first} {second}");
    assert_eq!(first + second, 32);
    assert_eq!(nic.device.violations(), []);
    nic.tx[2].send(SlotId(0), &with_header(&datagram(0, false)));
    nic.device.settle();
    let said = nic.device.violations()[0].to_string();
    assert!(said.contains("on pair 2, and 2 are in use"), "{said}");
}

#[test]
fn what_is_echoed_comes_back_on_the_pair_it_was_sent_on() {
    let mut nic = Nic::new(Echo::default());
    assert_eq!(nic.command(&[4, 0, PAIRS as u8, 0]), ctrl::ACK_OK);
    for round in 0..3 {
        for flow in 0..16 {
            // A flow that moves takes its answers with it.
            let pair = (flow + round) % PAIRS;
            let queue = &mut nic.tx[usize::from(pair)];
            queue.send(SlotId(flow), &with_header(&datagram(flow, false)));
            nic.device.settle();
            queue_emptied(&mut nic.tx[usize::from(pair)]);
        }
        assert_eq!(nic.received(), [4; PAIRS as usize]);
    }
    assert_eq!(nic.device.violations(), []);
}

fn queue_emptied(queue: &mut Queue) {
    while queue.vq.pop_used().unwrap().is_some() {}
}

#[test]
fn a_table_says_which_pair_receives_whatever_was_sent() {
    let port = Port::default();
    let mut nic = Nic::new(port.clone());
    let table = |pair: u16| {
        let entries = [pair.to_le_bytes(); 128].concat();
        let types = hash::TYPE_UDPV4.to_le_bytes();
        let head = [&[4, 1][..], &types, &[127, 0, 2, 0]].concat();
        [head, entries, vec![4, 0, 40], vec![7; 40]].concat()
    };
    for pair in [3, 1] {
        assert_eq!(nic.command(&table(pair)), ctrl::ACK_OK);
        (0..8).for_each(|flow| port.inject(&Frame::plain(&datagram(flow, true))));
        let mut expected = [0; PAIRS as usize];
        expected[usize::from(pair)] = 8;
        assert_eq!(nic.received(), expected);
    }
    port.inject(&Frame::plain(&[0xff; 60]));
    assert_eq!(nic.received(), [0, 0, 1, 0], "it has no hash");
    assert_eq!(nic.command(&table(PAIRS)), ctrl::ACK_ERR, "no such pair");
}

#[test]
fn a_pair_without_buffers_holds_no_other_up() {
    let port = Port::default();
    let mut nic = Nic::new(port.clone());
    assert_eq!(nic.command(&[4, 0, 2, 0]), ctrl::ACK_OK);
    // Of each flow the driver says by sending where it wants the answers.
    for pair in [0, 1] {
        let queue = &mut nic.tx[usize::from(pair)];
        queue.send(SlotId(0), &with_header(&datagram(pair, false)));
    }
    nic.device.settle();
    for _ in 0..100 {
        port.inject(&Frame::plain(&datagram(0, true)));
    }
    port.inject(&Frame::plain(&datagram(1, true)));
    nic.device.settle();
    // Pair 0 has 64 buffers, of which none was given back.
    assert!(nic.rx[1].receive().is_some(), "behind a hundred for pair 0");
    assert_eq!(nic.device.counters().rx_overruns, 0);
    // The rest comes once the driver has shown the buffers it emptied.
    let received = nic.received()[0] + nic.received()[0];
    assert_eq!(received, 100, "and none of those was lost");
}
