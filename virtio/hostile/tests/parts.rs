//! The catalogue of lies against the parts of the driver that this crate holds: queues, start
//! and commands. What only a whole driver can judge is checked here to be really told.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use common::{Nic, RX_HEADER, Shape, driver_ok, negotiate, open_queue, part};
use virtio::init::{Idle, InitError, Running};
use virtio::net::features::all_known;
use virtio::net::{ConfigError, ControlQueue, CtrlError, FeatureSet, NetConfig};
use virtio::queue::{QueueSize, RingFeatures, SlotId, Used};
use virtio::spec::feature::*;
use virtio::spec::net::feature::*;
use virtio::transport::in_process::{Device, DeviceConfig, Frame, Port, Sink, all_offered};
use virtio::{DeviceFault, DmaRegion, Transport, TransportError};
use virtio_hostile::*;

fn lies(layer: Layer) -> impl Iterator<Item = &'static Lie> {
    CATALOGUE.iter().filter(move |lie| lie.layer == layer)
}

/// The lies of a layer, each in every format in which it can be told.
fn lies_in_rings(layer: Layer) -> impl Iterator<Item = (&'static Lie, Format)> {
    lies(layer)
        .flat_map(|lie| {
            let formats = Format::ALL.into_iter();
            formats.map(move |format| (lie, format))
        })
        .filter(|(lie, format)| lie.can_be_told_in(*format))
}

fn named(name: &str) -> &'static Lie {
    CATALOGUE.iter().find(|lie| lie.name == name).expect(name)
}

const EVENT_IDX: RingFeatures = RingFeatures {
    packed: false,
    event_idx: true,
    in_order: false,
};
const ALL: FeatureSet = FeatureSet::of(&[
    VIRTIO_F_VERSION_1,
    VIRTIO_F_EVENT_IDX,
    VIRTIO_NET_F_MRG_RXBUF,
    VIRTIO_NET_F_CTRL_VQ,
    VIRTIO_NET_F_CTRL_RX,
]);

/// A card whose device lies.
struct LiedTo {
    nic: Nic,
    device: LyingDevice,
}

impl Deref for LiedTo {
    type Target = Nic;

    fn deref(&self) -> &Nic {
        &self.nic
    }
}

impl DerefMut for LiedTo {
    fn deref_mut(&mut self) -> &mut Nic {
        &mut self.nic
    }
}

fn nic(lie: &Lie, features: FeatureSet) -> (LiedTo, Port) {
    nic_of(lie, Format::Split, features)
}

fn nic_of(lie: &Lie, format: Format, features: FeatureSet) -> (LiedTo, Port) {
    let mut config = format.device();
    (lie.made)(&mut config);
    let rings = FeatureSet::of(&[VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER]).and(config.offered);
    let features = FeatureSet(features.0 | rings.0);
    let (port, offered) = (Port::default(), config.offered);
    let sizes = config.queue_sizes.clone();
    let (transport, device) = lie.device(format.device(), port.clone()).unwrap();
    let honest = Device::clone(&device);
    let nic = Nic::on(
        transport,
        honest,
        &sizes,
        features.and(offered),
        2048,
        0x1_0080,
    );
    (LiedTo { nic, device }, port)
}

/// Sends a frame and lets one arrive; whether both passed unchanged.
fn exchange(nic: &mut Nic, port: &Port, tag: u8) -> Result<(), DeviceFault> {
    let frame = frames::arp(tag);
    let slot = SlotId(u16::from(tag) % nic.tx.vq.slot_count());
    nic.tx.send(slot, &[&[0; 12][..], &frame].concat());
    port.inject(&Frame::plain(&frame));
    nic.device.settle();
    assert_eq!(nic.tx.vq.pop_used()?.map(|used| used.slot), Some(slot));
    let used = nic.rx.vq.pop_used()?.expect("a received frame");
    assert_eq!(nic.rx.read(used), [&RX_HEADER[..], &frame].concat());
    nic.rx.vq.add(used.slot);
    nic.rx.flush();
    assert_eq!(
        port.take_sent().map(|sent| sent.payload().to_vec()),
        Some(frame)
    );
    Ok(())
}

/// What the queue of `role` says after the device has lied about it once.
fn lied_to(nic: &mut Nic, role: Role) -> Result<Option<Used>, DeviceFault> {
    match role {
        Role::Receive => nic.device.settle(),
        Role::Transmit => {
            nic.tx.send(SlotId(4), &[0; 72]);
            nic.device.settle();
        }
        Role::Control => {
            nic.ctrl.send(SlotId(0), &[0, 0, 1]);
            nic.device.settle();
        }
    }
    let queue = match role {
        Role::Receive => &mut nic.rx,
        Role::Transmit => &mut nic.tx,
        Role::Control => &mut nic.ctrl,
    };
    let said = queue.vq.pop_used()?;
    // A lie about the second entry shows when it is read.
    queue.vq.pop_used()?;
    Ok(said)
}

fn fault_named(name: &str, format: Format) -> fn(&DeviceFault) -> bool {
    use DeviceFault::*;
    match name {
        // An id is that of a buffer, whatever its descriptors: this is another one's.
        "used-id-inside-a-chain" if format == Format::Packed => {
            |f| matches!(f, UsedIdNotOutstanding { id: 1 })
        }
        "used-id-beyond-table" => |f| matches!(f, UsedIdOutOfRange { id: 256, size: 256 }),
        "used-id-wider-than-an-index" => |f| matches!(f, UsedIdOutOfRange { id: 0x1_0000, .. }),
        "used-id-never-given" => |f| matches!(f, UsedIdNotOutstanding { .. }),
        "used-id-twice" => |f| matches!(f, UsedIdNotOutstanding { id: 0 }),
        "used-id-inside-a-chain" => |f| matches!(f, UsedIdNotHead { id: 1 }),
        "used-idx-jumps" => |f| {
            matches!(
                f,
                UsedIndexJump {
                    from: 0,
                    to: 257,
                    outstanding: 256
                }
            )
        },
        "in-order-goes-back" => |f| {
            matches!(
                f,
                UsedOutOfOrder {
                    id: 255,
                    next: 0,
                    limit: 1
                }
            )
        },
        "in-order-batch-beyond-index" => |f| {
            matches!(
                f,
                UsedOutOfOrder {
                    id: 1,
                    next: 0,
                    limit: 1
                }
            )
        },
        "used-idx-runs-backwards" => |f| matches!(f, UsedIndexJump { to: 0xffff, .. }),
        other => panic!("no fault is known for {other}"),
    }
}

#[test]
fn lies_about_used_entries_break_the_queue_or_lose_the_length() {
    for (lie, format) in lies_in_rings(Layer::Queue) {
        let Act::Used(role, _) = lie.act else {
            continue;
        };
        let (mut nic, port) = nic_of(lie, format, ALL);
        nic.device.tell(lie);
        let said = lied_to(&mut nic, role);
        match lie.outcome {
            Outcome::Break => {
                let fault = said.expect_err(lie.name);
                let expected = fault_named(lie.name, format);
                assert!(expected(&fault), "{}: {format:?}: {fault}", lie.name);
            }
            Outcome::Drop | Outcome::Ignore => {
                let used = said.unwrap().expect(lie.name);
                assert_eq!(used.len, None, "{}", lie.name);
                if role == Role::Receive {
                    nic.rx.vq.add(used.slot);
                }
                while port.take_sent().is_some() {}
                for tag in 0..20 {
                    exchange(&mut nic, &port, tag).unwrap();
                }
            }
            other => panic!("{}: a queue does not know {other:?}", lie.name),
        }
        assert_eq!(nic.device.violations(), [], "{}", lie.name);
    }
}

#[test]
fn a_queue_that_broke_stays_broken_and_a_reset_mends_the_device() {
    for (lie, format) in lies_in_rings(Layer::Queue) {
        if lie.outcome != Outcome::Break {
            continue;
        }
        let Act::Used(role, _) = lie.act else {
            panic!("{}", lie.name)
        };
        let (mut nic, port) = nic_of(lie, format, ALL);
        nic.device.tell(lie);
        let fault = lied_to(&mut nic, role).unwrap_err();
        let queue = match role {
            Role::Receive => &mut nic.rx,
            Role::Transmit => &mut nic.tx,
            Role::Control => &mut nic.ctrl,
        };
        assert_eq!(queue.vq.pop_used(), Err(fault));
        assert_eq!(queue.vq.arm(1), Err(fault));
        assert!(negotiate(&mut nic.transport, ALL));
        let buffer = [part(0, 2048, true)];
        let shape = Shape {
            size: 8,
            stride: 2048,
            parts: &buffer,
        };
        let mut rx = open_queue(&mut nic.transport, 0, EVENT_IDX, shape);
        driver_ok(&mut nic.transport);
        rx.post_all();
        port.inject(&Frame::plain(&frames::arp(1)));
        nic.device.settle();
        assert!(rx.receive().is_some(), "{}", lie.name);
        assert_eq!(nic.device.violations(), [], "{}", lie.name);
    }
}

#[test]
fn a_buffer_that_was_given_anew_and_not_shown_is_not_used_again() {
    let lie = named("used-id-twice");
    for format in Format::ALL {
        let (mut nic, _) = nic_of(lie, format, ALL);
        nic.device.tell(lie);
        nic.device.settle();
        let used = nic.rx.vq.pop_used().unwrap().unwrap();
        nic.rx.vq.add(used.slot);
        let fault = DeviceFault::UsedIdNotOutstanding { id: 0 };
        assert_eq!(nic.rx.vq.pop_used(), Err(fault));
    }
}

#[test]
fn lies_about_what_the_driver_wrote_change_nothing() {
    for features in [ALL, FeatureSet::of(&[VIRTIO_F_VERSION_1])] {
        for (lie, format) in lies_in_rings(Layer::Queue) {
            if matches!(lie.act, Act::Used(..)) {
                continue;
            }
            assert_eq!(lie.outcome, Outcome::Ignore, "{}", lie.name);
            let (mut nic, port) = nic_of(lie, format, features);
            nic.device.tell(lie);
            // More than twice round the ring of 256.
            for turn in 0..600u32 {
                exchange(&mut nic, &port, turn as u8).unwrap();
            }
            assert_eq!(nic.device.violations(), [], "{}", lie.name);
        }
    }
}

/// How far a device came, and what it said on the way.
struct Started {
    running: Running,
    offered: FeatureSet,
    config: NetConfig,
    /// Sizes of receive, transmit and control queue, where they can be used.
    sizes: [Option<u16>; 3],
}

const PATIENCE: Duration = Duration::from_millis(50);

fn start(lie: &Lie) -> Result<Started, InitError> {
    start_in(lie, Format::Split)
}

fn start_in(lie: &Lie, format: Format) -> Result<Started, InitError> {
    let (transport, device) = lie.device(format.device(), Sink).unwrap();
    let started = start_on(Box::new(transport));
    assert_eq!(device.violations(), [], "{}", lie.name);
    started
}

fn start_on(transport: Box<dyn Transport>) -> Result<Started, InitError> {
    let idle = Idle::reset(transport, PATIENCE).map_err(|failed| failed.error)?;
    let mut negotiated = idle.negotiate(all_known()).map_err(|failed| failed.error)?;
    let features = negotiated.features();
    let config = NetConfig::read(negotiated.transport(), features)?;
    let count = negotiated.transport().read_queue_count()?;
    let mut sizes = [None; 3];
    for (index, size) in (0..count).zip(&mut sizes) {
        let max = negotiated.transport().read_max_queue_size(index)?;
        *size = QueueSize::within(max, 1024).map(QueueSize::get);
    }
    let offered = negotiated.offered();
    let running = negotiated.driver_ok().map_err(|failed| failed.error)?;
    Ok(Started {
        running,
        offered,
        config,
        sizes,
    })
}

fn started(name: &str) -> Started {
    start(named(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn refused(name: &str) -> InitError {
    match start(named(name)) {
        Ok(_) => panic!("{name} went unnoticed"),
        Err(error) => error,
    }
}

#[test]
fn devices_that_cannot_be_driven_are_refused_with_the_reason() {
    use virtio::net::features::FeatureRefusal::*;
    assert!(matches!(
        refused("version-1-missing"),
        InitError::Refused(Legacy { .. })
    ));
    assert!(matches!(
        refused("access-platform-missing"),
        InitError::Refused(IgnoresIommu { .. })
    ));
    let error = refused("features-refused");
    assert!(matches!(error, InitError::FeaturesRefused { .. }));
    assert!(
        error.to_string().contains("MRG_RXBUF"),
        "both masks are told: {error}"
    );
    let unstable = refused("generation-never-stable");
    assert!(matches!(
        unstable,
        InitError::Config(ConfigError::Unstable { .. })
    ));
    let mtu = refused("mtu-too-small");
    assert!(matches!(
        mtu,
        InitError::Config(ConfigError::MtuTooSmall { mtu: 67 })
    ));
}

#[test]
fn queues_that_are_absent_or_of_a_wrong_size_are_seen() {
    assert_eq!(
        started("receive-queue-absent").sizes,
        [None, Some(256), Some(64)]
    );
    assert_eq!(
        started("transmit-queue-absent").sizes,
        [Some(256), None, Some(64)]
    );
    assert_eq!(
        started("control-queue-absent").sizes,
        [Some(256), Some(256), None]
    );
    assert_eq!(started("queues-too-few").sizes, [Some(256), None, None]);
    assert_eq!(
        started("control-queue-beyond-count").sizes,
        [Some(256), Some(256), None]
    );
    assert_eq!(started("queue-size-no-power-of-two").sizes[0], Some(64));
    assert_eq!(started("queue-size-beyond-limit").sizes[0], Some(1024));
}

#[test]
fn features_are_taken_only_where_they_make_sense() {
    let lacking = started("feature-without-its-need");
    assert!(lacking.offered.has(VIRTIO_NET_F_HOST_TSO4));
    for bit in [
        VIRTIO_NET_F_HOST_TSO4,
        VIRTIO_NET_F_GUEST_ECN,
        VIRTIO_NET_F_CTRL_RX,
    ] {
        assert!(!lacking.running.features().has(bit), "bit {bit}");
    }
    let undefined = started("features-undefined");
    assert!(undefined.offered.has(30) && undefined.offered.has(100));
    assert_eq!(undefined.running.features(), all_offered());
    let pairs = started("max-pairs-zero");
    assert!(!pairs.running.features().has(VIRTIO_NET_F_MQ));
}

#[test]
fn configuration_that_means_nothing_is_not_believed() {
    for name in ["mac-multicast", "mac-zero"] {
        assert_eq!(started(name).config.mac, None, "{name}");
    }
    for name in ["announce-unasked", "status-unknown-bits"] {
        assert!(started(name).config.link_up, "{name}");
    }
    assert_eq!(started("speed-absurd").config.speed, None);
    assert_eq!(started("duplex-undefined").config.full_duplex, None);
    let short = started("config-too-short").config;
    assert_eq!((short.mtu, short.speed, short.link_up), (None, None, true));
    assert!(short.mac.is_some());
}

#[test]
fn every_start_lie_ends_as_the_catalogue_says() {
    for (lie, format) in lies_in_rings(Layer::Start) {
        let begin = Instant::now();
        // That a queue is missing is for a driver to see, in the sizes.
        let absent = lie.section == "Virtqueue Configuration";
        match (lie.outcome, start_in(lie, format)) {
            (Outcome::Refuse, result) => assert!(absent || result.is_err(), "{}", lie.name),
            (_, result) => assert!(result.is_ok(), "{}", lie.name),
        }
        assert!(begin.elapsed() < Duration::from_secs(2), "{}", lie.name);
    }
}

#[test]
fn a_reset_that_never_ends_is_given_up() {
    let (transport, device) = named("reset-never-ends")
        .device(DeviceConfig::default(), Sink)
        .unwrap();
    let started = start_on(Box::new(transport)).unwrap();
    device.tell(named("reset-never-ends"));
    let begin = Instant::now();
    let failed = started.running.reset(PATIENCE).unwrap_err();
    assert!(matches!(failed.error, InitError::ResetTimeout { status, .. } if status != 0));
    assert!(begin.elapsed() < 20 * PATIENCE);
}

#[test]
fn a_device_that_is_gone_ends_every_wait() {
    let (transport, device) = named("all-ones")
        .device(DeviceConfig::default(), Sink)
        .unwrap();
    let mut started = start_on(Box::new(transport)).unwrap();
    device.tell(named("all-ones"));
    assert!(matches!(
        started.running.read_needs_reset(),
        Err(TransportError::Gone { .. })
    ));
    let begin = Instant::now();
    let failed = started.running.reset(Duration::from_secs(60)).unwrap_err();
    assert!(matches!(
        failed.error,
        InitError::Transport(TransportError::Gone { .. })
    ));
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert!(matches!(
        start_on(failed.transport),
        Err(InitError::Transport(TransportError::Gone { .. }))
    ));
}

/// A running device with a control queue on a thread of its own; what `set_promisc` answers to
/// `lie`, and then to none.
fn answers(lie: &Lie, format: Format) -> [Result<(), CtrlError>; 2] {
    let (transport, device) = lie.device(format.device(), Sink).unwrap();
    let idle = Idle::reset(Box::new(transport), PATIENCE).unwrap();
    let mut negotiated = idle.negotiate(all_known()).unwrap();
    let size = QueueSize::new(ControlQueue::SIZE).unwrap();
    let features = negotiated.features();
    let len = ControlQueue::memory_len(size, features.ring());
    let region = std::sync::Arc::new(DmaRegion::new(len).unwrap());
    let iova = negotiated.transport().map_dma(&region).unwrap();
    let mut control = ControlQueue::new(&region.at(iova), size, features, PATIENCE).unwrap();
    let doorbell = negotiated.enable_queue(2, control.queue(), None).unwrap();
    control.connect(doorbell);
    let _running = negotiated.driver_ok().unwrap();
    let _thread = device.run().unwrap();
    assert_eq!(control.set_promisc(true), Ok(()));
    device.tell(lie);
    [control.set_promisc(false), control.set_promisc(true)]
}

#[test]
fn commands_end_whatever_is_answered() {
    for (lie, format) in lies_in_rings(Layer::Control) {
        let begin = Instant::now();
        let [first, second] = answers(lie, format);
        let error = first.expect_err(lie.name);
        let told = match lie.name {
            "ack-undefined" => matches!(error, CtrlError::BadAck { ack: 0x77, .. }),
            "ack-not-written" => matches!(error, CtrlError::BadAck { .. }),
            "ack-always-error" => matches!(error, CtrlError::Refused { .. }),
            "ack-never" => matches!(error, CtrlError::Timeout { .. }),
            other => panic!("no error is known for {other}"),
        };
        assert!(told, "{}: {error}", lie.name);
        assert!(second.is_err(), "{}: the lie goes on", lie.name);
        assert_eq!(
            matches!(error, CtrlError::Timeout { .. }),
            lie.outcome == Outcome::TimeOut
        );
        assert!(begin.elapsed() < 40 * PATIENCE, "{}", lie.name);
    }
}

#[test]
fn a_false_length_of_a_command_is_ignored_and_a_false_id_is_a_fault() {
    for format in Format::ALL {
        let [first, second] = answers(named("used-len-on-control"), format);
        assert_eq!((first, second), (Ok(()), Ok(())));
        let [first, second] = answers(named("used-id-inside-a-chain"), format);
        let fault = match format {
            Format::Split => DeviceFault::UsedIdNotHead { id: 1 },
            // There is room for one command, so this is no id at all.
            Format::Packed => DeviceFault::UsedIdOutOfRange { id: 1, size: 1 },
        };
        assert_eq!(first, Err(CtrlError::Fault(fault)));
        assert!(second.is_err(), "the command is still out");
    }
}

#[test]
fn frames_that_lie_arrive_as_they_are() {
    let mergeable = ALL.with(VIRTIO_NET_F_GUEST_CSUM);
    for (lie, format) in lies_in_rings(Layer::Driver) {
        let Act::Frames(deliveries) = lie.act else {
            continue;
        };
        let mut config = DeviceConfig::default();
        (lie.made)(&mut config);
        let features = mergeable.and(config.offered).with(VIRTIO_F_VERSION_1);
        let (mut nic, _) = nic_of(lie, format, features);
        nic.device.tell(lie);
        for delivery in deliveries().into_iter().take(50) {
            nic.device.settle();
            let first = nic.rx.receive().expect(lie.name);
            let header = delivery.frame.header().to_bytes();
            assert_eq!(first[..10], header[..10], "{}", lie.name);
            if let Some(num_buffers) = delivery.num_buffers {
                assert_eq!(first[10..12], num_buffers.to_le_bytes(), "{}", lie.name);
            }
            let told = &delivery.frame.payload()[..first.len() - 12];
            assert_eq!(&first[12..], told, "{}", lie.name);
        }
        assert_eq!(nic.device.violations(), [], "{}", lie.name);
    }
}

#[test]
fn a_header_changes_after_the_driver_was_given_it() {
    let lie = named("header-changes-while-read");
    for format in Format::ALL {
        let (mut nic, _) = nic_of(lie, format, ALL);
        nic.device.tell(lie);
        nic.device.settle();
        let now = nic.rx.receive().unwrap();
        assert_eq!((&now[4..6], &now[6..8]), (&[0, 0][..], &[0xff, 0xff][..]));
    }
}

#[test]
fn doorbells_and_interrupts_lie_as_told() {
    let never = named("doorbell-never-wanted");
    let beyond = named("event-offset-beyond-ring");
    for (lie, format, features) in [
        (never, Format::Split, ALL),
        (never, Format::Split, FeatureSet::of(&[VIRTIO_F_VERSION_1])),
        (never, Format::Packed, ALL),
        (never, Format::Packed, FeatureSet::of(&[VIRTIO_F_VERSION_1])),
        (beyond, Format::Packed, ALL),
    ] {
        let (mut nic, port) = nic_of(lie, format, features);
        exchange(&mut nic, &port, 1).unwrap();
        nic.device.tell(lie);
        nic.device.settle();
        nic.tx.send(SlotId(0), &[0; 72]);
        nic.device.settle();
        assert_eq!(nic.tx.vq.pop_used(), Ok(None), "the device was not told");
        let tx = &mut nic.tx;
        tx.vq.kick_always(&*tx.bell);
        nic.device.settle();
        assert!(nic.tx.vq.pop_used().unwrap().is_some(), "a watchdog helps");
    }
    let (mut never, port) = nic(named("interrupt-never"), ALL);
    never.device.tell(named("interrupt-never"));
    never.rx.vq.arm(1).unwrap();
    port.inject(&Frame::plain(&frames::arp(1)));
    never.device.settle();
    assert!(!never.rx.interrupted() && never.rx.vq.pop_used().unwrap().is_some());
    let (mut storm, _) = nic(named("interrupt-storm"), ALL);
    storm.device.tell(named("interrupt-storm"));
    storm.device.settle();
    assert!(storm.rx.interrupted() && storm.rx.vq.pop_used() == Ok(None));
    let (mut early, _device) = named("interrupt-before-start")
        .device(DeviceConfig::default(), Sink)
        .unwrap();
    assert!(negotiate(&mut early, ALL));
    let buffer = [part(0, 2048, true)];
    let shape = Shape {
        size: 8,
        stride: 2048,
        parts: &buffer,
    };
    assert!(open_queue(&mut early, 0, EVENT_IDX, shape).interrupted());
}

#[test]
fn the_device_as_a_whole_lies_as_told() {
    let (mut stalled, port) = nic(named("transmit-stalls"), ALL);
    stalled.device.tell(named("transmit-stalls"));
    stalled.tx.send(SlotId(0), &[0; 72]);
    stalled.device.settle();
    assert_eq!(stalled.tx.vq.pop_used(), Ok(None));
    port.inject(&Frame::plain(&frames::arp(1)));
    stalled.device.settle();
    assert!(stalled.rx.receive().is_some(), "only one direction stalls");

    let (mut deaf, port) = nic(named("receive-stalls"), ALL);
    deaf.device.tell(named("receive-stalls"));
    port.inject(&Frame::plain(&frames::arp(1)));
    deaf.device.settle();
    assert_eq!(deaf.rx.receive(), None);

    for (name, again) in [("needs-reset", false), ("needs-reset-for-ever", true)] {
        let (mut nic, _) = nic(named(name), ALL);
        nic.device.tell(named(name));
        assert_ne!(nic.device.status() & 64, 0, "{name}");
        assert!(negotiate(
            &mut nic.transport,
            FeatureSet::of(&[VIRTIO_F_VERSION_1])
        ));
        driver_ok(&mut nic.transport);
        assert_eq!(nic.device.status() & 64 != 0, again, "{name}");
    }

    let lie = named("features-change-at-reset");
    let (mut nic, _) = nic(lie, ALL);
    nic.device.tell(lie);
    assert!(negotiate(
        &mut nic.transport,
        FeatureSet::of(&[VIRTIO_F_VERSION_1])
    ));
    assert!(
        !nic.transport
            .read_device_features()
            .unwrap()
            .has(VIRTIO_NET_F_MRG_RXBUF)
    );
}

#[test]
fn a_packed_ring_lies_about_used_descriptors_as_told() {
    for name in ["used-wrap-counter-wrong", "used-descriptor-left-out"] {
        let lie = named(name);
        let (mut nic, port) = nic_of(lie, Format::Packed, ALL);
        exchange(&mut nic, &port, 1).unwrap();
        nic.device.tell(lie);
        nic.tx.send(SlotId(4), &[0; 72]);
        nic.device.settle();
        assert!(port.take_sent().is_some(), "{name}: the frame has left");
        assert_eq!(nic.tx.vq.pop_used(), Ok(None), "{name}");
    }
    for name in ["used-flags-stray", "used-write-flag-missing"] {
        let lie = named(name);
        let (mut nic, port) = nic_of(lie, Format::Packed, ALL);
        nic.device.tell(lie);
        nic.device.settle();
        let flags = nic
            .rx
            .ring
            .load_u16(14, std::sync::atomic::Ordering::Relaxed);
        assert_ne!(flags, 1 << 7 | 1 << 15 | 2, "{name}");
        assert_eq!(
            nic.rx.receive().map(|frame| frame.len()),
            Some(72),
            "{name}"
        );
        (0..20).for_each(|tag| exchange(&mut nic, &port, tag).unwrap());
        assert_eq!(nic.device.violations(), [], "{name}");
    }
}

#[test]
fn configuration_changes_are_told_as_lies() {
    for (name, offset) in [("mtu-changes", 10), ("mac-changes", 0)] {
        let (mut nic, _) = nic(named(name), ALL);
        let mut before = [0; 2];
        nic.transport.read_config(offset, &mut before).unwrap();
        nic.device.tell(named(name));
        let mut after = [0; 2];
        nic.transport.read_config(offset, &mut after).unwrap();
        assert_ne!(before, after, "{name}");
    }
}
