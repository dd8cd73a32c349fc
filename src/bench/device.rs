//! A device that moves indices and nothing else, so that what is measured is the driver.
//!
//! Its registers are those of the in-process device. Its data path is the least that a device
//! can do: a buffer for a received frame is written once, when the device first gets it, and
//! handed back as it is whenever it comes again; a buffer to be sent is handed back unread. It
//! works inside the doorbell, on the driver's own thread, as a queue pair shares a thread with
//! its device: there is no other processor to wait for, and no noise from one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use virtio::mem::OutOfRegion;
use virtio::net::{FeatureSet, VirtioNetHdr, receive_queue};
use virtio::spec::feature::VIRTIO_F_INDIRECT_DESC;
use virtio::spec::net::feature::VIRTIO_NET_F_CTRL_VQ;
use virtio::transport::in_process::{DeviceConfig, InProcess, Sink, all_offered};
use virtio::transport::{Doorbell, QueueSetup};
use virtio::{DmaRegion, DmaSlice, Iova, Transport, TransportError};
use vmm_sys_util::eventfd::EventFd;

use super::frames::{Frame, STRETCH, stretch_at};
use super::ring::Ring;
use super::tally::Tally;

/// Bytes at the start of a buffer that tell a frame's first buffer from the others: the header
/// and the frame's own headers.
const HEAD: usize = VirtioNetHdr::SIZE + 54;

/// What the data path here does not have.
const NOT_OFFERED: &[u32] = &[VIRTIO_F_INDIRECT_DESC, VIRTIO_NET_F_CTRL_VQ];

/// The driver's way to the device.
pub struct IndexOnly {
    registers: InProcess,
    pairs: Vec<Device>,
    memory: Option<DmaSlice>,
}

/// A handle on a pair of the device's queues.
#[derive(Clone)]
pub struct Device(Arc<Sides>);

struct Sides {
    frame: Frame,
    receive: Mutex<Option<Receive>>,
    transmit: Mutex<Option<Transmit>>,
    sent: Arc<Tally>,
}

impl IndexOnly {
    /// A device that gives the driver `frame`, and counts in `sent` what it is given.
    ///
    /// # Errors
    /// [`TransportError::Io`] when the process has no more descriptors.
    pub(super) fn counting(
        frame: Frame,
        sent: Arc<Tally>,
    ) -> Result<(Self, Device), TransportError> {
        let (transport, mut pairs) = Self::of_pairs(frame, vec![sent])?;
        Ok((transport, pairs.swap_remove(0)))
    }

    /// The same with a pair of queues for each of `sent`.
    ///
    /// # Errors
    /// As above.
    pub(super) fn of_pairs(
        frame: Frame,
        sent: Vec<Arc<Tally>>,
    ) -> Result<(Self, Vec<Device>), TransportError> {
        let config = DeviceConfig {
            name: "index-only".to_owned(),
            offered: all_offered().without(FeatureSet::of(NOT_OFFERED)),
            ..DeviceConfig::default().with_pairs(sent.len() as u16)
        };
        let (registers, _) = InProcess::new(config, Sink)?;
        let pair = |sent| {
            Device(Arc::new(Sides {
                frame: frame.clone(),
                receive: Mutex::default(),
                transmit: Mutex::default(),
                sent,
            }))
        };
        let pairs: Vec<_> = sent.into_iter().map(pair).collect();
        let transport = Self {
            registers,
            pairs: pairs.clone(),
            memory: None,
        };
        Ok((transport, pairs))
    }

    /// The same, for whoever counts frames without its help.
    ///
    /// # Errors
    /// As above.
    pub fn new(frame: Frame) -> Result<(Self, Device), TransportError> {
        Self::counting(frame, Arc::default())
    }

    fn connect(&mut self, setup: &QueueSetup) -> Result<(), TransportError> {
        let device = self.registers.name().to_owned();
        let unusable = |reason: String| TransportError::Unusable {
            device: device.clone(),
            reason,
        };
        let memory = self.memory.clone();
        let memory = memory.ok_or_else(|| unusable("no memory is mapped".to_owned()))?;
        let interrupt = match setup.vector {
            Some(vector) => Some(self.registers.interrupt(vector)?),
            None => None,
        };
        let Some(Device(sides)) = self.pairs.get(usize::from(setup.index / 2)) else {
            return Ok(());
        };
        let outside = |e: OutOfRegion| unusable(e.to_string());
        let ring = Ring::new(setup, &memory, interrupt).map_err(outside)?;
        if is_receive(setup.index) {
            *locked(&sides.receive) = Some(Receive::new(ring, memory, sides.frame.clone()));
        } else {
            let check = None;
            *locked(&sides.transmit) = Some(Transmit {
                ring,
                memory,
                check,
            });
        }
        Ok(())
    }
}

/// The two queues of a pair take turns, the receive queue first.
fn is_receive(queue: u16) -> bool {
    queue == receive_queue(queue / 2)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    /// Lets `count` more frames arrive at the driver.
    pub fn give(&self, count: u64) {
        if let Some(receive) = locked(&self.0.receive).as_mut() {
            receive.due += count;
            receive.serve();
            receive.ring.interrupt_if_asked(true);
        }
    }

    /// Compares what the driver sends from now on, or no longer does.
    pub(super) fn compare(&self, on: bool) {
        if let Some(transmit) = locked(&self.0.transmit).as_mut() {
            transmit.check = on.then(|| self.0.frame.clone());
        }
    }

    fn serve(&self, queue: u16) {
        if is_receive(queue) {
            if let Some(receive) = locked(&self.0.receive).as_mut() {
                receive.serve();
                receive.ring.interrupt_if_asked(false);
            }
        } else if let Some(transmit) = locked(&self.0.transmit).as_mut() {
            transmit.serve(&self.0.sent);
            transmit.ring.interrupt_if_asked(false);
        }
    }
}

/// What a receive buffer was left with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nothing,
    First,
    Further,
}

/// The receive queue, as the device has it.
struct Receive {
    ring: Ring,
    memory: DmaSlice,
    frame: Frame,
    /// Frames still to be given.
    due: u64,
    /// Made when the first buffer is there.
    layout: Option<Layout>,
}

/// How the frame lies in buffers.
struct Layout {
    /// Bytes that each buffer of a frame is said to hold.
    lens: Box<[u32]>,
    /// The first buffer of a frame, and a further one.
    first: Vec<u8>,
    further: Vec<u8>,
    holds: Box<[Holds]>,
}

impl Layout {
    /// `None` if the frame does not fit into one buffer and these are not those of a large frame.
    fn new(frame: &Frame, buffer: usize, ring_size: usize) -> Option<Self> {
        let whole = VirtioNetHdr::SIZE + frame.len();
        let count = whole.div_ceil(buffer.max(1));
        if count > 1 && buffer != STRETCH {
            return None;
        }
        let mut first = frame.header(count as u16).to_bytes().to_vec();
        first.extend(frame.bytes());
        first.truncate(buffer);
        Some(Self {
            lens: (0..count)
                .map(|i| buffer.min(whole - i * buffer) as u32)
                .collect(),
            further: match count {
                1 => first.clone(),
                _ => (0..buffer).map(stretch_at).collect(),
            },
            first,
            holds: vec![Holds::Nothing; ring_size].into(),
        })
    }

    /// Makes a buffer what it is to be; all of it only the first time.
    #[cold]
    fn write(&mut self, ring: &Ring, memory: &DmaSlice, head: u16, role: Holds) {
        let buffer = ring.buffer(head, memory);
        let before = std::mem::replace(&mut self.holds[usize::from(head)], role);
        if before == Holds::Nothing {
            // What a further buffer has beyond its head, the first one has too.
            let all = &self.further;
            buffer.range(0, all.len()).copy_from(all);
        }
        let now = match role {
            Holds::First => &self.first,
            _ => &self.further,
        };
        let len = HEAD.min(now.len());
        buffer.range(0, len).copy_from(&now[..len]);
    }
}

impl Receive {
    fn new(ring: Ring, memory: DmaSlice, frame: Frame) -> Self {
        Self {
            ring,
            memory,
            frame,
            due: 0,
            layout: None,
        }
    }

    /// Hands buffers back for as long as frames are due and buffers are there.
    fn serve(&mut self) {
        if self.due > 0 && self.layout.is_none() && self.ring.available() > 0 {
            self.layout = Layout::new(&self.frame, self.ring.buffer_len(), self.ring.size());
        }
        let Some(layout) = &mut self.layout else {
            self.ring.available();
            self.ring.ask_for_doorbell(1);
            return;
        };
        loop {
            let buffers = layout.lens.len();
            let frames = (self.ring.available() / buffers).min(self.due as usize);
            for _ in 0..frames {
                hand_over(&mut self.ring, layout, &self.memory);
            }
            self.due -= frames as u64;
            self.ring.publish();
            if !self.ring.ask_for_doorbell(buffers) || self.due == 0 {
                return;
            }
        }
    }
}

/// Hands the buffers of one frame back.
#[inline]
fn hand_over(ring: &mut Ring, layout: &mut Layout, memory: &DmaSlice) {
    for i in 0..layout.lens.len() {
        let head = ring.take();
        let role = if i == 0 { Holds::First } else { Holds::Further };
        if layout.holds[usize::from(head)] != role {
            layout.write(ring, memory, head, role);
        }
        ring.put(head, layout.lens[i]);
    }
}

/// The transmit queue, as the device has it.
struct Transmit {
    ring: Ring,
    memory: DmaSlice,
    check: Option<Frame>,
}

impl Transmit {
    fn serve(&mut self, sent: &Tally) {
        loop {
            let count = self.ring.available();
            for _ in 0..count {
                let head = self.ring.take();
                if let Some(frame) = &self.check {
                    let buffer = self.ring.buffer(head, &self.memory);
                    sent.compared(frame.matches(&payload(&buffer, self.ring.len_of(head))));
                }
                self.ring.put(head, 0);
            }
            self.ring.publish();
            sent.add(count as u64);
            if !self.ring.ask_for_doorbell(1) {
                return;
            }
        }
    }
}

/// A copy of the frame in a transmit buffer of which the device is to read `len` bytes.
fn payload(buffer: &DmaSlice, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len.saturating_sub(VirtioNetHdr::SIZE)];
    buffer
        .range(VirtioNetHdr::SIZE, bytes.len())
        .copy_to(&mut bytes[..]);
    bytes
}

struct Bell {
    device: Device,
    queue: u16,
}

impl Doorbell for Bell {
    fn ring(&self) {
        self.device.serve(self.queue);
    }
}

impl Drop for IndexOnly {
    fn drop(&mut self) {
        for Device(sides) in &self.pairs {
            *locked(&sides.receive) = None;
            *locked(&sides.transmit) = None;
        }
    }
}

impl Transport for IndexOnly {
    fn name(&self) -> &str {
        self.registers.name()
    }

    fn is_behind_iommu(&self) -> bool {
        self.registers.is_behind_iommu()
    }

    fn read_device_features(&mut self) -> Result<FeatureSet, TransportError> {
        self.registers.read_device_features()
    }

    fn write_driver_features(&mut self, features: FeatureSet) -> Result<(), TransportError> {
        self.registers.write_driver_features(features)
    }

    fn read_status(&mut self) -> Result<u8, TransportError> {
        self.registers.read_status()
    }

    fn write_status(&mut self, status: u8) -> Result<(), TransportError> {
        self.registers.write_status(status)
    }

    fn read_config_generation(&mut self) -> Result<u8, TransportError> {
        self.registers.read_config_generation()
    }

    fn config_len(&self) -> usize {
        self.registers.config_len()
    }

    fn read_config(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), TransportError> {
        self.registers.read_config(offset, bytes)
    }

    fn read_queue_count(&mut self) -> Result<u16, TransportError> {
        self.registers.read_queue_count()
    }

    fn read_pairs(&mut self) -> Result<Option<u16>, TransportError> {
        Ok(Some(self.pairs.len() as u16))
    }

    fn read_max_queue_size(&mut self, queue: u16) -> Result<u16, TransportError> {
        self.registers.read_max_queue_size(queue)
    }

    fn enable_queue(&mut self, setup: &QueueSetup) -> Result<Box<dyn Doorbell>, TransportError> {
        let bell = self.registers.enable_queue(setup)?;
        self.connect(setup)?;
        let pair = self.pairs.get(usize::from(setup.index / 2));
        Ok(match pair {
            Some(pair) => Box::new(Bell {
                device: pair.clone(),
                queue: setup.index,
            }),
            None => bell,
        })
    }

    fn vector_count(&self) -> u16 {
        self.registers.vector_count()
    }

    fn interrupt(&mut self, vector: u16) -> Result<Arc<EventFd>, TransportError> {
        self.registers.interrupt(vector)
    }

    fn enable_config_interrupt(&mut self, vector: u16) -> Result<(), TransportError> {
        self.registers.enable_config_interrupt(vector)
    }

    fn map_dma(&mut self, region: &Arc<DmaRegion>) -> Result<Iova, TransportError> {
        let iova = self.registers.map_dma(region)?;
        self.memory = Some(region.at(iova));
        Ok(iova)
    }

    fn unmap_dma(&mut self, iova: Iova) -> Result<(), TransportError> {
        self.memory = None;
        self.registers.unmap_dma(iova)
    }
}
