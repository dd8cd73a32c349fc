//! The whole driver against every lie of the catalogue: a stack's seat at one end, a lying
//! device at the other. Whatever is said, frames pass again, or the driver says why not.

mod support;

use std::time::{Duration, Instant};

use netadapter_shim::ReceiveFilter;
use netadapter_shim::abi::{
    NetPacketChecksum, NetPacketChecksumState, NetPacketFilterFlags, NetPacketPartialChecksum,
    SegmentType,
};
use netadapter_shim::os::loopback::{LoopbackSeat, StackFrame};
use support::driven;
use umnet::card::CardConfig;
use umnet::driver::{Driver, DriverError};
use umnet::fault::Fault;
use virtio::spec::net::ctrl::ACK_ERR;
use virtio::spec::net::header::GSO_NONE;
use virtio::spec::status::DEVICE_NEEDS_RESET;
use virtio::transport::in_process::{DeviceThread, Frame, Port};
use virtio_hostile::*;

/// How long the driver waits for the device, and how long this test waits for the driver.
const DEADLINE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);

/// Slots of a transmit queue.
const RING: u32 = 256;

/// A driver between a seat and a lying device.
struct Rig {
    lie: &'static Lie,
    format: Format,
    driver: Driver,
    seat: LoopbackSeat,
    wire: Port,
    device: LyingDevice,
    _thread: DeviceThread,
    tag: u8,
    /// What the device was reset for.
    faults: Vec<Fault>,
}

impl Rig {
    fn start(lie: &'static Lie, format: Format) -> Result<Self, DriverError> {
        let wire = Port::default();
        let (transport, device) = lie.device(format.device(), wire.clone()).unwrap();
        let thread = device.run().unwrap();
        let card = CardConfig {
            timeout: DEADLINE,
            ..CardConfig::default()
        };
        let (driver, seat) = driven::drive(Box::new(transport), card, 1)?;
        Ok(Self {
            lie,
            format,
            driver,
            seat,
            wire,
            device,
            _thread: thread,
            tag: 0,
            faults: Vec::new(),
        })
    }

    fn started(lie: &'static Lie, format: Format) -> Self {
        let rig = Self::start(lie, format);
        let rig = rig.unwrap_or_else(|error| panic!("{}: {error}", lie.name));
        let packed = rig.device.accepted_features().ring().packed;
        assert_eq!(packed, format == Format::Packed);
        rig
    }

    fn tend(&mut self) -> Result<(), DriverError> {
        driven::tend(&mut self.driver, &mut self.faults)
    }

    fn wait_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(
                start.elapsed() < PATIENCE,
                "{}: {what} took too long: {:?} {:?} {:?}",
                self.lie.name,
                &self.driver.device_stats()[0],
                self.device.counters(),
                self.driver.adapter_statistics(),
            );
            self.tend()
                .unwrap_or_else(|error| panic!("{}: {error}", self.lie.name));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn next_frame(&mut self) -> Vec<u8> {
        self.tag = self.tag.wrapping_add(1);
        frames::arp(self.tag)
    }

    /// A frame comes in and one goes out. What a fault swallows on the way is sent again, as
    /// a stack would.
    fn pass(&mut self) {
        self.receive();
        self.send();
    }

    fn receive(&mut self) {
        let frame = self.next_frame();
        let mut sent_at = None;
        self.wait_until("receiving a frame", |rig| {
            if due(&mut sent_at) {
                rig.wire.inject(&Frame::plain(&frame));
            }
            let received = rig.seat.receive();
            received.is_some_and(|received| received.bytes == frame)
        });
    }

    fn send(&mut self) {
        let frame = self.next_frame();
        let mut sent_at = None;
        self.wait_until("sending a frame", |rig| {
            if due(&mut sent_at) {
                rig.seat.send(StackFrame::new(frame.clone()));
            }
            let sent = rig.wire.take_sent();
            sent.is_some_and(|sent| sent.payload() == frame)
        });
    }

    fn set_filter(&mut self) {
        let filter = ReceiveFilter {
            packet_filter: NetPacketFilterFlags::ALL,
            multicast_addresses: Vec::new(),
        };
        self.driver.set_filter(filter).unwrap();
    }

    /// Gives the device an occasion to lie.
    fn provoke(&mut self) {
        self.device.tell(self.lie);
        match self.lie.act {
            Act::Used(Role::Control, _) | Act::Answer(_) => self.set_filter(),
            Act::Used(Role::Transmit, _) | Act::Stall(Role::Transmit) => {
                let frame = self.next_frame();
                assert!(self.seat.send(StackFrame::new(frame)));
            }
            _ => {}
        }
    }

    fn errors(&self) -> u64 {
        self.driver.device_stats()[0].rx.rx_errors.get()
    }

    /// How many frames were dropped for the reason that the lie gives.
    fn dropped(&self) -> u64 {
        let counters = self.driver.device_stats()[0].rx.snapshot();
        let reason = counters.iter().find(|(name, _)| *name == counter(self.lie));
        reason.expect("a counter").1
    }

    /// Ends the run; the driver reset the device for nothing but the lie, and broke no rule
    /// itself on the way.
    fn finish(mut self) {
        let others: Vec<_> = self
            .faults
            .iter()
            .filter(|f| !is_due_to(self.lie, f))
            .collect();
        assert!(others.is_empty(), "{}: {others:?}", self.lie.name);
        self.driver
            .stop()
            .unwrap_or_else(|error| panic!("{}: {error}", self.lie.name));
        let (lie, format) = (self.lie.name, self.format);
        assert_eq!(self.device.violations(), [], "{lie}, {format:?}");
    }
}

/// Which counter tells of the frames that are dropped because of `lie`.
fn counter(lie: &Lie) -> &'static str {
    match lie.name {
        "used-len-beyond-buffer" | "used-len-below-header" => "rx_length_errors",
        "frame-empty" | "frame-shorter-than-ethernet" => "rx_length_errors",
        "frame-larger-than-mtu" | "merged-frame-too-large" => "rx_over_errors",
        "merged-buffer-not-full" => "rx_buffer_errors",
        name if name.starts_with("num-buffers") => "rx_buffer_errors",
        _ => "rx_header_errors",
    }
}

/// Whether `fault` is what a driver resets the device for because of `lie`.
fn is_due_to(lie: &Lie, fault: &Fault) -> bool {
    match lie.act {
        Act::Used(Role::Control, _) | Act::Answer(_) => *fault == Fault::Control,
        Act::Used(..) if lie.outcome == Outcome::Reset => {
            matches!(fault, Fault::TransmitStalled { .. })
        }
        Act::Used(..) => matches!(fault, Fault::Protocol(_)),
        Act::Stall(_) => matches!(fault, Fault::TransmitStalled { .. }),
        _ => *fault == Fault::NeedsReset,
    }
}

/// What the stack learns of a frame whose header means what it says and nothing more.
fn honestly(frame: &Frame) -> (NetPacketPartialChecksum, NetPacketChecksum) {
    if frame.header().gso_type == GSO_NONE {
        return Default::default();
    }
    let honest = frames::segmented();
    let partial = NetPacketPartialChecksum::partial(honest.csum_start, honest.csum_offset);
    let headers = frames::TCP4_HEADERS as u16;
    (
        partial.with_segments(SegmentType::TCPV4, honest.gso_size, headers),
        NetPacketChecksum::default().with_layer4(NetPacketChecksumState::VALID),
    )
}

/// What a driver says that refuses a device because of `lie`.
fn reason(lie: &Lie) -> &'static str {
    match lie.name {
        "receive-queue-absent" => "queue 0 (receive) cannot be used: the device has 3 queues",
        "transmit-queue-absent" => "queue 1 (transmit) cannot be used: the device has 3 queues",
        "control-queue-absent" | "control-queue-of-one" => {
            "queue 2 (control) cannot be used: the device has 3 queues"
        }
        "max-pairs-beyond-queues" => "queue 8 (control) cannot be used: the device has 3 queues",
        "max-pairs-change-at-reset" => "queue 6 (control) cannot be used: the device has 3 queues",
        "queues-too-few" => "queue 1 (transmit) cannot be used: the device has 1 queues",
        "control-queue-beyond-count" => "queue 2 (control) cannot be used: the device has 2 queues",
        "version-1-missing" => "does not offer VIRTIO_F_VERSION_1",
        "access-platform-missing" => "does not offer VIRTIO_F_ACCESS_PLATFORM",
        "features-refused" => "the device refused the features",
        "features-change-at-reset" => "after its reset the device agrees only to",
        "generation-never-stable" => "the configuration changed in each of 16 attempts",
        "mtu-too-small" => "an MTU of 67",
        "interrupt-refused" => "was refused",
        other => panic!("no reason is known for {other}"),
    }
}

/// Whether it is time to try, for the first time or again.
fn due(last: &mut Option<Instant>) -> bool {
    let due = last.is_none_or(|last| last.elapsed() > PATIENCE / 2);
    if due {
        *last = Some(Instant::now());
    }
    due
}

/// Checks every lie that is to end in one of `outcomes`, in rings of each format, all of them
/// even if one fails; both formats at a time, because the driver mostly waits. `UMNET_LIE` names
/// a single one.
fn each(outcomes: &[Outcome], check: fn(&'static Lie, Format)) {
    let failed = std::thread::scope(|scope| {
        let checks =
            Format::ALL.map(|format| scope.spawn(move || each_in(format, outcomes, check)));
        let failed = checks.map(|check| check.join().expect("panics are caught"));
        failed.concat()
    });
    assert!(
        failed.is_empty(),
        "{} lies did their harm: {failed:?}",
        failed.len()
    );
}

fn each_in(
    format: Format,
    outcomes: &[Outcome],
    check: fn(&'static Lie, Format),
) -> Vec<(&'static str, Format)> {
    let only = std::env::var("UMNET_LIE").ok();
    let mut failed = Vec::new();
    for lie in CATALOGUE.iter().filter(|lie| {
        outcomes.contains(&lie.outcome)
            && lie.can_be_told_in(format)
            && only.as_ref().is_none_or(|only| only == lie.name)
    }) {
        println!("{}, {format:?}: not {}", lie.name, lie.rule);
        let start = Instant::now();
        let passed = std::panic::catch_unwind(|| check(lie, format)).is_ok();
        if !passed || start.elapsed() > 4 * PATIENCE {
            failed.push((lie.name, format));
        }
    }
    failed
}

#[test]
fn the_page_has_a_row_for_every_lie_with_its_rule_and_outcome() {
    let page = include_str!("../docs/lies.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: Vec<_> = rows.map(|row| row.split(" | ").take(3)).collect();
    for (row, lie) in told.iter().zip(CATALOGUE.iter()) {
        let name = format!("{}`", lie.name);
        let rule = format!("{}: {}", lie.section, lie.rule);
        let outcome = format!("{:?}", lie.outcome);
        assert!(row.clone().eq([name, rule, outcome]), "{}", lie.name);
    }
    assert_eq!(told.len(), CATALOGUE.len());
    let count = format!("tells {} lies", CATALOGUE.len());
    assert!(page.contains(&count), "{count}");
}

#[test]
fn frames_described_wrongly_are_dropped_and_counted() {
    each(&[Outcome::Drop], |lie, format| {
        if matches!(lie.act, Act::Flicker) {
            return;
        }
        let mut rig = Rig::started(lie, format);
        rig.pass();
        let expected = match lie.act {
            Act::Frames(deliveries) => deliveries().len() as u64,
            _ => 1,
        };
        rig.provoke();
        rig.wait_until("counting", |rig| rig.errors() >= expected);
        assert_eq!(rig.seat.receive(), None, "{}", lie.name);
        rig.pass();
        let counted = (rig.errors(), rig.dropped());
        assert_eq!(counted, (expected, expected), "{}", lie.name);
        assert_eq!(rig.driver.resets(), 0, "{}", lie.name);
        rig.finish();
    });
}

#[test]
fn a_header_that_changes_while_it_is_read_is_believed_whole_or_not_at_all() {
    let lie = CATALOGUE
        .iter()
        .find(|lie| matches!(lie.act, Act::Flicker))
        .unwrap();
    for format in Format::ALL {
        let mut rig = Rig::started(lie, format);
        let honest = frames::segmented();
        let (mut passed, mut dropped) = (0, 0);
        for _ in 0..200 {
            let before = rig.errors();
            rig.provoke();
            let start = Instant::now();
            while rig.errors() == before && start.elapsed() < PATIENCE {
                let Some(frame) = rig.seat.receive() else {
                    std::thread::yield_now();
                    continue;
                };
                let (says, size) = (frame.partial.checksum_start, frame.partial.segment_size);
                assert_eq!((says, size), (honest.csum_start, honest.gso_size));
                passed += 1;
                break;
            }
            dropped += rig.errors() - before;
        }
        println!("{passed} passed, {dropped} dropped");
        assert_eq!(passed + dropped, 200);
        rig.pass();
        assert_eq!(rig.driver.resets(), 0);
        rig.finish();
    }
}

#[test]
fn lies_that_concern_nobody_change_nothing() {
    each(&[Outcome::Ignore, Outcome::Adapt], |lie, format| {
        let mut rig = Rig::started(lie, format);
        let lasting = |rig: &Rig| {
            let config = rig.driver.config();
            (rig.driver.mac(), config.mtu, config.max_pairs)
        };
        let before = lasting(&rig);
        if !lie.is_told_at_birth() {
            // Only receives: frames sent would have the driver look at its queues for
            // another reason than the one that may fail.
            rig.receive();
            rig.provoke();
        }
        if let Act::Frames(deliveries) = lie.act {
            for delivery in deliveries() {
                let received = rig.seat.wait_receive(PATIENCE).expect(lie.name);
                assert_eq!(received.bytes, delivery.frame.payload(), "{}", lie.name);
                let told = (received.partial, received.checksum);
                assert_eq!(told, honestly(&delivery.frame), "{}", lie.name);
            }
        }
        if matches!(lie.act, Act::Stall(Role::Receive)) {
            // Nothing can be asked of the direction that stands still.
            rig.send();
        } else {
            // Frames that were sent are taken back when few slots are left, or after more bytes than these.
            let sends_lie = matches!(
                lie.act,
                Act::Used(Role::Transmit, _) | Act::Overwrite(Overwrite::TransmitBuffers)
            );
            (0..if sends_lie { RING } else { 3 }).for_each(|_| rig.pass());
        }
        rig.tend().unwrap();
        assert_eq!(lasting(&rig), before, "{}", lie.name);
        assert_eq!((rig.errors(), rig.driver.resets()), (0, 0), "{}", lie.name);
        rig.finish();
    });
}

#[test]
fn a_broken_protocol_ends_in_a_reset_after_which_frames_pass() {
    each(&[Outcome::Break, Outcome::Reset], |lie, format| {
        let mut rig = Rig::started(lie, format);
        rig.pass();
        rig.provoke();
        rig.wait_until("resetting", |rig| rig.driver.resets() > 0);
        rig.pass();
        assert_eq!(rig.driver.resets(), 1, "{}", lie.name);
        rig.finish();
    });
}

#[test]
fn commands_that_fail_leave_frames_passing() {
    each(&[Outcome::Fail, Outcome::TimeOut], |lie, format| {
        if !matches!(lie.act, Act::Answer(_)) {
            return;
        }
        let mut rig = Rig::started(lie, format);
        rig.pass();
        let start = Instant::now();
        rig.provoke();
        assert!(start.elapsed() < 10 * DEADLINE, "{}", lie.name);
        rig.tend().unwrap();
        rig.pass();
        let nonsense = !matches!(lie.act, Act::Answer(Answer::Byte(ACK_ERR)));
        assert_eq!(rig.driver.resets(), u64::from(nonsense), "{}", lie.name);
        rig.finish();
    });
}

#[test]
fn devices_that_cannot_be_driven_are_refused_with_the_reason() {
    each(&[Outcome::Refuse], |lie, format| {
        if lie.is_told_at_birth() {
            let error = Rig::start(lie, format).err().expect(lie.name);
            return assert!(error.to_string().contains(reason(lie)), "{error}");
        }
        let mut rig = Rig::started(lie, format);
        rig.pass();
        rig.provoke();
        let error = rig.driver.recover().expect_err(lie.name);
        assert!(error.to_string().contains(reason(lie)), "{error}");
    });
}

#[test]
fn a_device_that_cannot_be_reset_or_is_gone_ends_the_driver_in_time() {
    each(&[Outcome::TimeOut, Outcome::Gone], |lie, format| {
        if matches!(lie.act, Act::Answer(_)) {
            return;
        }
        let mut rig = Rig::started(lie, format);
        rig.pass();
        rig.provoke();
        let start = Instant::now();
        assert!(rig.driver.recover().is_err(), "{}", lie.name);
        assert!(rig.driver.recover().is_err(), "{}: and for good", lie.name);
        drop(rig.driver);
        assert!(start.elapsed() < PATIENCE, "{}", lie.name);
    });
}

#[test]
fn a_device_that_always_demands_a_reset_is_noticed_each_time() {
    each(&[Outcome::GiveUp], |lie, format| {
        let mut rig = Rig::started(lie, format);
        rig.pass();
        rig.provoke();
        // When to stop trying is decided by `umnet::recovery`, with tests of its own.
        rig.wait_until("three resets", |rig| rig.driver.resets() >= 3);
        assert_ne!(rig.device.status() & DEVICE_NEEDS_RESET, 0, "{}", lie.name);
        rig.finish();
    });
}
