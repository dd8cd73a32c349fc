//! A back end that goes and comes back under traffic: what it had been handed and had not given
//! back is counted, and with that every frame is accounted for.

mod support;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netadapter_shim::os::loopback::{LoopbackSeat, StackFrame};
use support::driven::{self, drive};
use umnet::card::CardConfig;
use umnet::fault::Fault;
use vhost_user_net_device::{
    InProcessModel, Model, Ring, Server, SharedRegion, Stopper, device_config,
};
use virtio::TransportError;
use virtio::net::FeatureSet;
use virtio::spec::feature::{VIRTIO_F_IN_ORDER, VIRTIO_F_RING_PACKED};
use virtio::transport::in_process::{Frame, InProcess, Link};
use virtio::transport::vhost_user::{Options, VhostUser};

const PATIENCE: Duration = Duration::from_secs(20);

/// A far end that counts.
#[derive(Clone, Default)]
struct Far(Arc<AtomicU64>);

impl Link for Far {
    fn send(&mut self, _frame: &Frame) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn receive(&mut self, _frame: &mut Frame) -> bool {
        false
    }
}

/// A device that can be made to look at its rings no more.
struct Tiring {
    device: InProcessModel,
    tired: Arc<AtomicBool>,
}

impl Model for Tiring {
    fn work(&mut self) -> bool {
        !self.tired.load(Ordering::SeqCst) && self.device.work()
    }

    fn offered(&mut self) -> FeatureSet {
        self.device.offered()
    }

    fn queue_count(&self) -> u16 {
        self.device.queue_count()
    }

    fn read_config(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), TransportError> {
        self.device.read_config(offset, bytes)
    }

    fn share(&mut self, regions: Vec<SharedRegion>) -> Result<(), TransportError> {
        self.device.share(regions)
    }

    fn connect(&mut self, queue: u16, call: File) -> Result<(), TransportError> {
        self.device.connect(queue, call)
    }

    fn start(&mut self, features: FeatureSet, rings: &[Ring]) -> Result<(), TransportError> {
        self.device.start(features, rings)
    }

    fn stop(&mut self) -> Vec<(u16, u16)> {
        self.device.stop()
    }

    fn kick(&mut self, queue: u16) {
        self.device.kick(queue);
    }
}

/// A back end that goes with what it has.
struct BackEnd {
    tired: Arc<AtomicBool>,
    stopper: Stopper,
    thread: JoinHandle<()>,
}

impl BackEnd {
    fn start(path: &std::path::Path, far: &Far, offered: &[u32]) -> Self {
        let (path, far, offered) = (path.to_owned(), far.clone(), offered.to_owned());
        let (tell, told) = mpsc::channel();
        let tired = <Arc<AtomicBool>>::default();
        let flag = Arc::clone(&tired);
        let thread = std::thread::spawn(move || {
            let config = device_config(1).offering(&offered);
            let (registers, device) = InProcess::new(config, far).unwrap();
            let device = InProcessModel::new(registers, device);
            let model = Tiring {
                device,
                tired: flag,
            };
            let mut server = Server::bind(&path, Box::new(model)).unwrap();
            tell.send(server.stopper()).unwrap();
            server.run().unwrap();
        });
        Self {
            tired,
            stopper: told.recv().unwrap(),
            thread,
        }
    }

    fn end(self) {
        self.stopper.stop();
        self.thread.join().unwrap();
    }
}

fn send(seat: &LoopbackSeat) {
    // A port that has no room loses it before it is handed to anybody.
    let _ = seat.send(StackFrame::new(driven::frame(&[7; 100])));
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Frames until the back end goes, again and again; those that were in doubt.
fn in_doubt_over(offered: &[u32]) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let far = Far::default();
    let mut back_end = BackEnd::start(&path, &far, offered);
    let transport = VhostUser::connect("test", &path, Options::default()).unwrap();
    let (mut driver, seat) = drive(Box::new(transport), CardConfig::default(), 1).unwrap();
    let stats = Arc::clone(&driver.device_stats()[0].tx);
    for round in 0..8 {
        let before = far.0.load(Ordering::SeqCst);
        until("nothing is sent", || {
            (0..16).for_each(|_| send(&seat));
            far.0.load(Ordering::SeqCst) > before + 100 + 13 * round
        });
        back_end.tired.store(true, Ordering::SeqCst);
        let handed = stats.tx_packets.get();
        until("nothing is handed over", || {
            send(&seat);
            stats.tx_packets.get() > handed + 5 * round
        });
        back_end.end();
        until("nobody notices", || {
            if driver.config_interrupt().read().is_ok() {
                driver.config_changed().unwrap();
            }
            driver.take_fault().map(|report| report.fault) == Some(Fault::NeedsReset)
        });
        back_end = BackEnd::start(&path, &far, offered);
        driver.recover().unwrap();
    }
    driver.stop().unwrap();
    drop(driver);
    back_end.end();
    let (handed, doubt) = (stats.tx_packets.get(), stats.tx_unconfirmed.get());
    let arrived = far.0.load(Ordering::SeqCst);
    assert_eq!(arrived + doubt, handed, "{offered:?}: {doubt} in doubt");
    doubt
}

#[test]
fn every_frame_arrived_or_is_counted_as_unconfirmed() {
    let rings: [&[u32]; 4] = [
        &[],
        &[VIRTIO_F_RING_PACKED],
        &[VIRTIO_F_IN_ORDER],
        &[VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER],
    ];
    for offered in rings {
        let doubt = in_doubt_over(offered);
        println!("{offered:?}: {doubt} frames were with the back end when it went");
        assert!(doubt > 100, "{offered:?}: it went when it had little");
    }
}
