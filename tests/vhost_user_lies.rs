//! The whole driver against lies that reach it over a vhost-user socket: the same device as in
//! `lies.rs`, with the protocol and another process's view of memory in between.
//!
//! Left out are lies that have no way through the protocol: those of registers, interrupts and
//! the control queue, which the front end plays itself.

mod support;

use std::os::unix::net::UnixDatagram;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netadapter_shim::os::loopback::{LoopbackSeat, StackFrame};
use support::driven::{drive, tend};
use umnet::card::CardConfig;
use umnet::driver::Driver;
use umnet::fault::Fault;
use vhost_user_net_device::{InProcessModel, Server, Stopper, Wire, device_config};
use virtio::net::VirtioNetHdr;
use virtio::transport::in_process::{Device, Frame};
use virtio::transport::vhost_user::{Options, VhostUser};
use virtio_hostile::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// A driver, a socket, and a lying device behind it.
struct Rig {
    lie: &'static Lie,
    driver: Driver,
    seat: LoopbackSeat,
    /// Where the device's frames go and come from.
    wire: UnixDatagram,
    device: LyingDevice,
    stopper: Stopper,
    server: Option<JoinHandle<()>>,
    tag: u8,
    faults: Vec<Fault>,
}

impl Rig {
    fn start(lie: &'static Lie, format: Format) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let (link, wire) = Wire::pair().unwrap();
        wire.set_nonblocking(true).unwrap();
        let config = match format {
            Format::Split => device_config(1),
            Format::Packed => device_config(1).with_packed_ring(),
        };
        let (registers, device) = lie.device(config, link.clone()).unwrap();
        let (tell, told) = mpsc::channel();
        let (listen, served) = (path.clone(), Device::clone(&device));
        let server = std::thread::spawn(move || {
            let model = InProcessModel::new(registers, served);
            let mut server = Server::bind(&listen, Box::new(model)).unwrap();
            server.watch_link(&link).unwrap();
            tell.send(server.stopper()).unwrap();
            server.run().unwrap();
        });
        let stopper = told.recv().unwrap();
        let transport = VhostUser::connect(lie.name, &path, Options::default()).unwrap();
        let driven = drive(Box::new(transport), CardConfig::default(), 1);
        let (driver, seat) = driven.unwrap_or_else(|error| panic!("{}: {error}", lie.name));
        Self {
            lie,
            driver,
            seat,
            wire,
            device,
            stopper,
            server: Some(server),
            tag: 0,
            faults: Vec::new(),
        }
    }

    fn tend(&mut self) {
        tend(&mut self.driver, &mut self.faults).unwrap();
    }

    /// Does `again` now and then until `done`.
    fn wait_until(
        &mut self,
        what: &str,
        mut again: impl FnMut(&mut Self),
        mut done: impl FnMut(&mut Self) -> bool,
    ) {
        let start = Instant::now();
        let mut next = start;
        while !done(self) {
            let stats = &self.driver.device_stats()[0];
            assert!(
                start.elapsed() < PATIENCE,
                "{}: {what}: {stats:?}",
                self.lie.name
            );
            self.tend();
            if Instant::now() >= next {
                next = Instant::now() + PATIENCE / 20;
                again(self);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn next_frame(&mut self) -> Vec<u8> {
        self.tag = self.tag.wrapping_add(1);
        frames::arp(self.tag)
    }

    /// A frame comes in and one goes out.
    fn pass(&mut self) {
        let arriving = self.next_frame();
        let datagram = Frame::plain(&arriving);
        self.wait_until(
            "receiving",
            |rig| drop(rig.wire.send(datagram.as_bytes())),
            |rig| {
                rig.seat
                    .receive()
                    .is_some_and(|frame| frame.bytes == arriving)
            },
        );
        let leaving = self.next_frame();
        self.wait_until(
            "sending",
            |rig| assert!(rig.seat.send(StackFrame::new(leaving.clone()))),
            |rig| {
                let mut bytes = [0; 2048];
                let sent = rig.wire.recv(&mut bytes).unwrap_or(0);
                bytes[..sent].get(VirtioNetHdr::SIZE..) == Some(&leaving[..])
            },
        );
    }

    /// Gives the device an occasion to lie.
    fn provoke(&mut self) {
        self.device.tell(self.lie);
        if let Act::Used(Role::Transmit, _) = self.lie.act {
            let frame = self.next_frame();
            assert!(self.seat.send(StackFrame::new(frame)));
        }
        // No frame, but the device looks, and finds the one that the lie comes with.
        self.wire.send(&[]).unwrap();
    }

    fn errors(&self) -> u64 {
        self.driver.device_stats()[0].rx.rx_errors.get()
    }

    fn finish(mut self) {
        self.driver.stop().unwrap();
        drop(self.driver);
        self.stopper.stop();
        self.server.take().unwrap().join().unwrap();
        assert_eq!(self.device.violations(), [], "{}", self.lie.name);
    }
}

/// Hashes are not agreed on without a control queue.
const NOT_AGREED_TO: &str = "Hash reporting for incoming packets";

/// Lies of frames and of the rings that carry them.
fn can_be_told(lie: &Lie) -> bool {
    match lie.act {
        _ if lie.section == NOT_AGREED_TO => false,
        Act::Frames(_) | Act::Overwrite(_) | Act::Suppression { .. } => true,
        Act::Used(role, _) => role != Role::Control,
        _ => false,
    }
}

fn each(outcome: Outcome, least: usize, check: fn(Rig)) {
    for format in Format::ALL {
        let lies = CATALOGUE.iter().filter(|lie| lie.outcome == outcome);
        let lies = lies.filter(|lie| lie.can_be_told_in(format));
        let lies: Vec<_> = lies.filter(|lie| can_be_told(lie)).collect();
        assert!(lies.len() >= least, "{} lies in {format:?}", lies.len());
        for lie in lies {
            println!("{} in {format:?}: not {}", lie.name, lie.rule);
            check(Rig::start(lie, format));
        }
    }
}

#[test]
fn frames_described_wrongly_are_dropped_and_counted() {
    each(Outcome::Drop, 10, |mut rig| {
        rig.pass();
        rig.provoke();
        rig.wait_until("counting", |_| {}, |rig| rig.errors() > 0);
        rig.pass();
        assert_eq!(rig.faults, [], "{}", rig.lie.name);
        rig.finish();
    });
}

#[test]
fn a_broken_ring_is_reset_and_frames_pass_again() {
    each(Outcome::Break, 4, |mut rig| {
        rig.pass();
        rig.provoke();
        rig.wait_until("noticing", |_| {}, |rig| !rig.faults.is_empty());
        rig.pass();
        let due = |fault: &Fault| matches!(fault, Fault::Protocol(_));
        let (lie, faults) = (rig.lie.name, &rig.faults);
        assert!(faults.iter().all(due), "{lie}: {faults:?}");
        rig.finish();
    });
}

#[test]
fn what_a_driver_has_no_use_for_is_ignored() {
    each(Outcome::Ignore, 2, |mut rig| {
        rig.provoke();
        (0..3).for_each(|_| rig.pass());
        assert_eq!(rig.faults, [], "{}", rig.lie.name);
        rig.finish();
    });
}
