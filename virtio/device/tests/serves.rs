//! The device, reached as any front end reaches it.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vhost_user_net_device::{InProcessModel, Server, Stopper, device_config};
use virtio::init::{Idle, InitError, Running};
use virtio::net::features::all_known;
use virtio::queue::{Part, QueueSize, RingLayout, SlotId, SlotLayout, Virtqueue};
use virtio::spec::feature::{VIRTIO_F_IN_ORDER, VIRTIO_F_RING_PACKED};
use virtio::transport::in_process::{Device, Echo, InProcess};
use virtio::transport::vhost_user::{Options, VhostUser};
use virtio::transport::{Doorbell, QueueSetup};
use virtio::{DmaRegion, DmaSlice, Iova, Transport, TransportError};

const PATIENCE: Duration = Duration::from_secs(10);
const RESET: Duration = Duration::from_secs(3);

/// A device that sends back what it gets, on a thread of its own.
struct Served {
    dir: TempDir,
    device: Device,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn start() -> Self {
        Self::offering(&[])
    }

    fn offering(bits: &[u32]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let config = device_config(1).offering(bits);
        let (registers, device) = InProcess::new(config, Echo::default()).unwrap();
        let served = device.clone();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let model = InProcessModel::new(registers, served);
            let mut server = Server::bind(&path, Box::new(model)).unwrap();
            tell.send(server.stopper()).unwrap();
            server.run().unwrap();
        });
        Self {
            dir,
            device,
            stopper: told.recv().unwrap(),
            thread: Some(thread),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    fn connect(&self, timeout: Duration) -> Result<(VhostUser, UnixStream), TransportError> {
        let stream = UnixStream::connect(self.path()).unwrap();
        let copy = stream.try_clone().unwrap();
        let options = Options {
            timeout,
            ..Options::default()
        };
        Ok((VhostUser::from_stream("test", stream, options)?, copy))
    }

    fn nic(&self) -> (Nic, UnixStream) {
        let (transport, stream) = self.connect(RESET).unwrap();
        (Nic::start(Box::new(transport)).unwrap(), stream)
    }

    /// Ends the device; it has nothing to say against its drivers.
    fn end(mut self) {
        self.stopper.stop();
        self.thread.take().unwrap().join().unwrap();
        assert_eq!(self.device.violations(), []);
    }
}

const SLOT: usize = 2048;
const SLOTS: u16 = 16;

struct Queue {
    queue: Virtqueue,
    slots: DmaSlice,
    doorbell: Box<dyn Doorbell>,
}

impl Queue {
    fn flush(&mut self) {
        self.queue.publish();
        self.queue.kick_if_needed(&*self.doorbell);
    }
}

/// The least of a driver.
struct Nic {
    device: Running,
    rx: Queue,
    tx: Queue,
}

impl Nic {
    fn start(transport: Box<dyn Transport>) -> Result<Self, InitError> {
        let idle = Idle::reset(transport, RESET).map_err(|failed| failed.error)?;
        let mut device = idle.negotiate(all_known()).map_err(|failed| failed.error)?;
        let features = device.features().ring();
        let size = QueueSize::new(SLOTS).unwrap();
        let (ring_len, slots_len) = (
            RingLayout::new(size, features).len,
            SLOT * usize::from(SLOTS),
        );
        let region = Arc::new(DmaRegion::new(2 * (ring_len + slots_len)).unwrap());
        let memory = region.at(device.transport().map_dma(&region)?);
        let mut open = |index: u16| {
            let at = usize::from(index) * (ring_len + slots_len);
            let ring = memory.slice(at, ring_len).unwrap();
            let slots = memory.slice(at + ring_len, slots_len).unwrap();
            let layout = SlotLayout {
                stride: SLOT,
                parts: &[Part {
                    offset: 0,
                    len: SLOT as u32,
                    device_writes: index == 0,
                }],
            };
            let queue = Virtqueue::new(&ring, size, features, &slots, layout).unwrap();
            let doorbell = device.enable_queue(index, &queue, Some(index + 1))?;
            Ok::<_, TransportError>(Queue {
                queue,
                slots,
                doorbell,
            })
        };
        let (mut rx, tx) = (open(0)?, open(1)?);
        (0..SLOTS).for_each(|slot| rx.queue.add(SlotId(slot)));
        rx.queue.publish();
        let device = device.driver_ok().map_err(|failed| failed.error)?;
        Ok(Self { device, rx, tx })
    }

    /// Sends a frame that nothing else looks like, and waits until it is back.
    fn exchange(&mut self, number: u32) {
        let mut frame = [0u8; 12 + 60];
        frame[12 + 14..][..4].copy_from_slice(&number.to_le_bytes());
        while self.tx.queue.pop_used().unwrap().is_some() {}
        let slot = SlotId((number % u32::from(SLOTS)) as u16);
        let at = usize::from(slot.0) * SLOT;
        self.tx.slots.range(at, frame.len()).copy_from(&frame[..]);
        self.tx.queue.add_with_len(slot, frame.len() as u32);
        self.tx.flush();
        let start = Instant::now();
        let used = loop {
            if let Some(used) = self.rx.queue.pop_used().unwrap() {
                break used;
            }
            assert!(start.elapsed() < PATIENCE, "frame {number}");
            std::thread::yield_now();
        };
        let mut back = [0; 12 + 60];
        assert_eq!(used.len, Some(back.len() as u32));
        let at = usize::from(used.slot.0) * SLOT;
        self.rx.slots.range(at, back.len()).copy_to(&mut back[..]);
        assert_eq!(back[12..], frame[12..], "frame {number}");
        self.rx.queue.add(used.slot);
        self.rx.flush();
    }
}

/// Each format, with and without order.
const RINGS: [&[u32]; 4] = [
    &[],
    &[VIRTIO_F_RING_PACKED],
    &[VIRTIO_F_IN_ORDER],
    &[VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER],
];

#[test]
fn frames_come_back_in_order_and_unchanged_over_rings_of_every_kind() {
    for offered in RINGS {
        let served = Served::offering(offered);
        for _ in 0..2 {
            let (mut nic, _) = served.nic();
            let agreed = nic.device.features();
            assert!(offered.iter().all(|&bit| agreed.has(bit)), "{agreed:?}");
            (0..2500).for_each(|number| nic.exchange(number));
        }
        served.end();
    }
}

#[test]
fn a_packed_ring_that_ends_in_the_middle_of_a_lap_begins_anew() {
    let served = Served::offering(&[VIRTIO_F_RING_PACKED]);
    for frames in [1, 15, 16, 17, 31, 33] {
        let (mut nic, _) = served.nic();
        (0..frames).for_each(|number| nic.exchange(number));
    }
    served.end();
}

#[test]
fn a_front_end_that_vanishes_leaves_a_device_for_the_next_one() {
    let served = Served::start();
    for round in 0..5 {
        let (mut nic, stream) = served.nic();
        (0..50).for_each(|number| nic.exchange(round * 50 + number));
        // As when the process is killed: no goodbye.
        stream.shutdown(Shutdown::Both).unwrap();
        drop(nic);
    }
    served.end();
}

#[test]
fn a_second_front_end_waits_and_the_first_is_not_disturbed() {
    let served = Served::start();
    let (mut nic, _) = served.nic();
    let short = Duration::from_millis(100);
    let waits = served.connect(short).err().unwrap().to_string();
    assert!(waits.contains("did not answer in time"), "{waits}");
    (0..50).for_each(|number| nic.exchange(number));
    drop(nic);
    served.end();
}

#[test]
fn a_ring_outside_the_shared_memory_is_refused() {
    let served = Served::start();
    let (transport, _) = served.connect(RESET).unwrap();
    let idle = Idle::reset(Box::new(transport), RESET).unwrap();
    let mut device = idle.negotiate(all_known()).unwrap();
    let region = Arc::new(DmaRegion::new(4096).unwrap());
    let inside = device.transport().map_dma(&region).unwrap();
    for index in 0..2 {
        let setup = QueueSetup {
            index,
            size: QueueSize::new(16).unwrap(),
            desc: inside,
            driver: inside,
            device: Iova(inside.0 + 4096),
            vector: None,
        };
        device.transport().enable_queue(&setup).unwrap();
    }
    let refused = device.driver_ok().err().unwrap().error.to_string();
    assert!(refused.contains("refused"), "{refused}");
    served.end();
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let served = Served::start();
    let model = || {
        let (registers, device) = InProcess::new(device_config(1), Echo::default()).unwrap();
        Box::new(InProcessModel::new(registers, device))
    };
    assert!(Server::bind(&served.path(), model()).is_err());
    let path = served.path().with_extension("stale");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(Server::bind(&path, model()).is_ok());
    served.end();
}
