//! One virtio-net device: its DMA memory, its queues, and the way from reset to running.
//!
//! A card knows nothing of packets or of the system. [`Card::start`] hands out the parts of
//! which queues are made; [`Card::stop`] resets the device, after which nothing that the
//! device wrote is trusted: rings are rebuilt from zeroed memory.

use std::io;
use std::ops::RangeInclusive;

use std::sync::Arc;
use std::time::Duration;

use virtio::init::{Failed, Idle, InitError, Negotiated, Running};
use virtio::mem::OutOfRegion;
use virtio::net::features::all_known;
use virtio::net::{
    Coalescing, ConfigError, ControlQueue, CtrlError, FeatureSet, NetConfig, control_queue,
    header_len, receive_queue, transmit_queue,
};
use virtio::queue::{QueueSize, RingFeatures, RingLayout, SlotId, Virtqueue};
use virtio::spec::feature::VIRTIO_F_RING_RESET;
use virtio::spec::net::feature::*;
use virtio::spec::net::{MAX_LARGE_FRAME, MAX_PLAIN_FRAME};
use virtio::transport::Doorbell;
use virtio::{DmaSlice, Transport, TransportError};

use vmm_sys_util::eventfd::EventFd;

use crate::slots::{Carver, FrameSlots, SlotShape};

/// Largest payload of a frame where the device does not say an MTU.
const MTU_LIMIT: u16 = 9216;
/// Link header and one VLAN tag.
const LINK_HEADER: usize = 18;
/// Buffers of mergeable receive queues: large enough that a frame of 64 KiB takes 17, small
/// enough that each lies in one page, and that all of them stay in the translation caches of an
/// IOMMU. With the header they are whole cache lines, so that a frame's parts are copied aligned.
const MERGEABLE_BUFFER: usize = 4032;
/// Most memory of the slots of one queue, in bytes. A ring of the largest size takes half of it where
/// slots are no larger than a page; one whose slots hold 64 KiB each has 2048 of them at most.
const SLOT_MEMORY: usize = 256 << 20;
/// Most memory of all slots; each queue has the same share of it.
const ALL_SLOT_MEMORY: usize = 768 << 20;
const CONFIG_VECTOR: u16 = 0;
/// Features that are known and not taken: with a filter of VLANs a device drops the frames of all that
/// it is not told of, and nobody tells of all ([why](../docs/decisions/0007-no-vlan-filter.md)).
pub const LEFT_OUT: FeatureSet = FeatureSet::of(&[VIRTIO_NET_F_CTRL_VLAN]);
/// The same for people who see that the feature was offered.
pub const WHY_LEFT_OUT: &str =
    "the device would drop the frames of each VLAN that it is not told of, and not all are known";
/// Queue pairs that are ever used.
pub const MAX_QUEUE_PAIRS: u16 = 8;

/// What the card is asked for.
#[derive(Clone, Debug)]
pub struct CardConfig {
    /// Most receive descriptors. The device may have fewer, and each has a slot: there are no more
    /// than take 256 MiB, and all queues together 768 MiB.
    pub rx_ring: u16,
    /// Most transmit descriptors; the same goes for them.
    pub tx_ring: u16,
    /// Most queue pairs; the device may have fewer.
    pub queue_pairs: u16,
    /// Features not to use even if offered.
    pub disabled: FeatureSet,
    /// How long a device that can (`VIRTIO_NET_F_NOTF_COAL`) may put notifications of receive queues
    /// off; nothing: it is told nothing.
    pub rx_coalescing: Option<Coalescing>,
    /// The same of transmit queues.
    pub tx_coalescing: Option<Coalescing>,
    /// How long to wait for a reset or a control command.
    pub timeout: Duration,
}

impl Default for CardConfig {
    fn default() -> Self {
        Self {
            rx_ring: 256,
            tx_ring: 256,
            queue_pairs: MAX_QUEUE_PAIRS,
            disabled: FeatureSet::EMPTY,
            rx_coalescing: None,
            tx_coalescing: None,
            timeout: Duration::from_secs(3),
        }
    }
}

/// Why a card cannot be driven, or not any longer.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// Bringing the device up failed.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The machine said no.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A queue that is needed does not exist or is too short.
    #[error(
        "queue {index} ({purpose}) cannot be used: the device has {count} queues and says size {max_size} of it, where {least} is the least"
    )]
    NoQueue {
        /// Which queue.
        index: u16,
        /// What it is for.
        purpose: &'static str,
        /// Queues there are.
        count: u16,
        /// What the device says of its size.
        max_size: u16,
        /// The smallest size that is of use.
        least: u16,
    },
    /// The device has no interrupts that can be told apart.
    #[error(
        "the device has no MSI-X vectors, and a driver that never sleeps is not offered; in QEMU leave out vectors=0"
    )]
    NoInterrupts,
    /// After a reset the device no longer agrees to what the system was told.
    #[error("after its reset the device agrees only to {now:?}, before it was {before:?}")]
    FeaturesChanged {
        /// What was agreed on at first.
        before: FeatureSet,
        /// What it agrees to now.
        now: FeatureSet,
    },
    /// After a reset the device has fewer queue pairs than the system was told.
    #[error("after its reset the device lets {now} queue pairs be used, before it were {before}")]
    PairsChanged {
        /// Pairs in use at first.
        before: u16,
        /// Pairs there are now.
        now: u16,
    },
    /// The device did not say whether it uses the pairs it was told to.
    #[error("setting the number of queue pairs: {0}")]
    Control(#[from] CtrlError),
    /// Memory for the device could not be had.
    #[error("cannot allocate {len} bytes of memory for the device")]
    Memory {
        /// How much.
        len: usize,
        /// What the system answered.
        source: io::Error,
    },
    /// The card was lost in an earlier failure.
    #[error("the device was given up after an earlier failure")]
    Lost,
    /// A layout that does not fit its own memory: a bug of the driver.
    #[error("driver bug: {0}")]
    Layout(#[from] OutOfRegion),
}

impl CardError {
    /// Whether the device is one that cannot be driven, whatever is tried.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Init(InitError::Refused(_)) | Self::NoInterrupts)
    }

    /// Whether the device is there no longer.
    pub fn is_gone(&self) -> bool {
        let (Self::Transport(error)
        | Self::Init(InitError::Transport(error))
        | Self::Config(ConfigError::Transport(error))) = self
        else {
            return false;
        };
        matches!(error, TransportError::Gone { .. })
    }
}

/// What was found out about a card when it was started.
#[derive(Clone, Copy, Debug)]
pub struct CardInfo {
    /// Features the device offers.
    pub offered: FeatureSet,
    /// Features agreed on.
    pub features: FeatureSet,
    /// What the device says of itself.
    pub config: NetConfig,
    /// Queue pairs in use.
    pub queue_pairs: u16,
    /// Descriptors of each receive queue.
    pub rx_ring: QueueSize,
    /// Descriptors of each transmit queue.
    pub tx_ring: QueueSize,
    /// Bytes of memory pinned for the device.
    pub pinned_bytes: usize,
    /// Longest frame that can be received.
    pub max_rx_frame: usize,
    /// Longest frame that can be transmitted.
    pub max_tx_frame: usize,
    /// Longest frame, of either direction, that is not several segments in one.
    pub frame_limit: usize,
}

impl CardInfo {
    /// The MTU of the interface: what the device says, else Ethernet's 1500.
    pub fn mtu(&self) -> u16 {
        self.config.mtu.unwrap_or(1500)
    }
}

/// A queue that the device knows, with its slots.
pub struct QueueParts {
    /// The queue.
    pub queue: Virtqueue,
    /// Its doorbell, to be rung once the card is started.
    pub doorbell: Box<dyn Doorbell>,
    /// Its slots.
    pub slots: FrameSlots,
    /// Fires when the device has used buffers.
    pub interrupt: Arc<EventFd>,
    /// How it was made, so that it can be made anew.
    pub laid_out: LaidOut,
}

impl QueueParts {
    /// Gives every slot to the device, before it is started.
    fn make_all_available(&mut self) {
        (0..self.queue.slot_count())
            .map(SlotId)
            .for_each(|slot| self.queue.add(slot));
        self.queue.publish();
    }
}

/// The two queues of a pair.
pub struct PairParts {
    /// The receive queue, filled.
    pub rx: QueueParts,
    /// The transmit queue.
    pub tx: QueueParts,
}

/// A card that has been started.
pub struct Started {
    /// The pairs that the device uses, at least one.
    pub pairs: Vec<PairParts>,
    /// The control queue, if the device has one.
    pub ctrl: Option<ControlQueue>,
    /// Fires when the configuration changes.
    pub config_interrupt: Arc<EventFd>,
    /// What was found out.
    pub info: CardInfo,
}

enum State {
    Idle(Idle),
    Running(Running),
    Lost,
}

/// One device.
pub struct Card {
    name: String,
    config: CardConfig,
    state: State,
    memory: Option<DmaSlice>,
    agreed: Option<FeatureSet>,
    /// Pairs in use since the first start.
    pairs: Option<u16>,
}

impl Card {
    /// Takes a device over and resets it.
    ///
    /// # Errors
    /// [`CardError::Init`] when the reset does not finish.
    pub fn new(transport: Box<dyn Transport>, config: CardConfig) -> Result<Self, CardError> {
        let name = transport.name().to_owned();
        let idle = Idle::reset(transport, config.timeout).map_err(|failed| failed.error)?;
        Ok(Self {
            name,
            config,
            state: State::Idle(idle),
            memory: None,
            agreed: None,
            pairs: None,
        })
    }

    /// How long notifications of receive and transmit queues may be put off, as far as anything was
    /// said of it.
    pub fn coalescing(&self) -> [Option<Coalescing>; 2] {
        [self.config.rx_coalescing, self.config.tx_coalescing]
    }

    /// The name that people know the device by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Brings the device from reset to running.
    ///
    /// # Errors
    /// [`CardError`]; the device is left failed, and [`Card::stop`] resets it for another try.
    pub fn start(&mut self) -> Result<Started, CardError> {
        let State::Idle(idle) = std::mem::replace(&mut self.state, State::Lost) else {
            return Err(CardError::Lost);
        };
        let wanted = self
            .agreed
            .unwrap_or(all_known().without(LEFT_OUT).without(self.config.disabled));
        let mut device = idle
            .negotiate(wanted)
            .map_err(|failed| self.keep(*failed))?;
        let outcome = self.set_up(&mut device);
        match outcome {
            Ok(mut started) => {
                let running = device.driver_ok().map_err(|failed| self.keep(*failed))?;
                self.state = State::Running(running);
                if let Some((ctrl, doorbell)) = started.1.take() {
                    started.0.ctrl = Some(connected(ctrl, doorbell));
                }
                self.use_pairs(&mut started.0)?;
                Ok(started.0)
            }
            Err(error) => {
                self.reset_transport(device.into_transport());
                Err(error)
            }
        }
    }

    /// Stops the device: its reset is confirmed when this returns.
    ///
    /// # Errors
    /// [`CardError::Init`] when the reset does not finish; the card is then lost, and its
    /// memory stays mapped until the card is dropped.
    pub fn stop(&mut self) -> Result<(), CardError> {
        let transport = match std::mem::replace(&mut self.state, State::Lost) {
            State::Idle(idle) => idle.into_transport(),
            State::Running(running) => match running.reset(self.config.timeout) {
                Ok(idle) => idle.into_transport(),
                Err(failed) => return Err(failed.error.into()),
            },
            State::Lost => return Err(CardError::Lost),
        };
        let idle = Idle::reset(transport, self.config.timeout).map_err(|failed| failed.error)?;
        self.state = State::Idle(idle);
        Ok(())
    }

    /// The present configuration, and whether the device asks to be reset.
    ///
    /// # Errors
    /// [`CardError::Config`], or [`CardError::Lost`] when the card does not run.
    pub fn read_config(&mut self) -> Result<(NetConfig, bool), CardError> {
        let State::Running(running) = &mut self.state else {
            return Err(CardError::Lost);
        };
        let needs_reset = running.read_needs_reset()?;
        Ok((running.read_config()?, needs_reset))
    }

    /// Has the device use the pairs that were set up (§ *Automatic receive steering in multiqueue
    /// mode*: it begins with the first alone). One that will not is used with that one.
    fn use_pairs(&mut self, started: &mut Started) -> Result<(), CardError> {
        let wanted = started.info.queue_pairs;
        let told_by_queue = started.info.features.has(VIRTIO_NET_F_MQ) && wanted > 1;
        if let Some(ctrl) = started.ctrl.as_mut().filter(|_| told_by_queue) {
            match ctrl.set_pairs(wanted) {
                Ok(()) => {}
                Err(refused @ CtrlError::Refused { .. }) => {
                    log::warn!("{}: one queue pair is used: {refused}", self.name);
                    started.pairs.truncate(1);
                    started.info.queue_pairs = 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let now = started.info.queue_pairs;
        match self.pairs {
            Some(before) if now < before => Err(CardError::PairsChanged { before, now }),
            _ => {
                self.pairs = Some(now);
                Ok(())
            }
        }
    }

    /// Whether single queues can be reset.
    pub fn resets_queues(&self) -> bool {
        self.agreed
            .is_some_and(|features| features.has(VIRTIO_F_RING_RESET))
    }

    /// Resets one queue of the running device and makes it anew; a receive queue is filled.
    /// All else of the device goes on.
    ///
    /// # Errors
    /// [`CardError::Init`] when the reset does not finish: the queue is lost, and only
    /// [`Card::stop`] takes its memory from the device.
    pub fn reset_queue(&mut self, mut parts: QueueParts) -> Result<QueueParts, CardError> {
        let State::Running(running) = &mut self.state else {
            return Err(CardError::Lost);
        };
        let LaidOut { plan, vector, .. } = parts.laid_out;
        running.reset_queue(plan.index, self.config.timeout)?;
        parts.queue = parts.laid_out.queue()?;
        let receives = plan.index.is_multiple_of(2);
        if receives {
            parts.make_all_available();
        }
        parts.doorbell = running.enable_queue(plan.index, &parts.queue, Some(vector))?;
        if receives {
            parts.queue.kick_always(parts.doorbell.as_ref());
        }
        Ok(parts)
    }

    /// A step failed: what is left of the device is reset for another try.
    fn keep(&mut self, failed: Failed) -> CardError {
        self.reset_transport(failed.transport);
        failed.error.into()
    }

    fn reset_transport(&mut self, transport: Box<dyn Transport>) {
        if let Ok(idle) = Idle::reset(transport, self.config.timeout) {
            self.state = State::Idle(idle);
        }
    }

    fn set_up(&mut self, device: &mut Negotiated) -> Result<(Started, PendingCtrl), CardError> {
        let most = self.pairs.unwrap_or(self.config.queue_pairs);
        let plan = Plan::new(device, &self.config, most)?;
        if let Some(before) = self.pairs.filter(|&before| plan.pair_count() < before) {
            let now = plan.pair_count();
            return Err(CardError::PairsChanged { before, now });
        }
        if let Some(before) = self.agreed.filter(|&before| before != device.features()) {
            return Err(CardError::FeaturesChanged {
                before,
                now: device.features(),
            });
        }
        self.agreed = Some(device.features());
        let memory = self.memory_of(device, plan.memory_len())?;
        let mut carver = Carver::new(memory.clone());
        let vectors = Vectors::share(device.transport().vector_count(), plan.pair_count())?;
        let pairs = plan.lay_out_pairs(&mut carver, device, vectors)?;
        let ctrl = plan.lay_out_ctrl(&mut carver, device, self.config.timeout)?;
        device.transport().enable_config_interrupt(CONFIG_VECTOR)?;
        let config_interrupt = device.transport().interrupt(CONFIG_VECTOR)?;
        let info = plan.info(device, memory.len());
        Ok((
            Started {
                pairs,
                ctrl: None,
                config_interrupt,
                info,
            },
            ctrl,
        ))
    }

    /// Memory of at least `len` bytes, mapped for the device; the same as last time where it
    /// suffices, with what was left in it: rings are cleared when they are laid out, and slots
    /// hold what the device may have written at any time anyway.
    fn memory_of(&mut self, device: &mut Negotiated, len: usize) -> Result<DmaSlice, CardError> {
        if let Some(memory) = self.memory.take_if(|memory| memory.len() < len) {
            device.transport().unmap_dma(memory.iova())?;
        }
        if let Some(memory) = &self.memory {
            return Ok(memory.clone());
        }
        let memory = device.transport().allocate_dma(len)?;
        self.memory = Some(memory.clone());
        Ok(memory)
    }
}

type PendingCtrl = Option<(ControlQueue, Box<dyn Doorbell>)>;

fn connected(mut ctrl: ControlQueue, doorbell: Box<dyn Doorbell>) -> ControlQueue {
    ctrl.connect(doorbell);
    ctrl
}

/// Which interrupt each queue gets: their own where there are enough, else one a pair, else one
/// for all.
#[derive(Clone, Copy)]
enum Vectors {
    ByQueue,
    ByPair,
    Shared(u16),
}

impl Vectors {
    fn share(count: u16, pairs: u16) -> Result<Self, CardError> {
        match count {
            0 => Err(CardError::NoInterrupts),
            1 => Ok(Self::Shared(CONFIG_VECTOR)),
            _ if count > 2 * pairs => Ok(Self::ByQueue),
            _ if count > pairs => Ok(Self::ByPair),
            _ => Ok(Self::Shared(CONFIG_VECTOR + 1)),
        }
    }

    /// Those of a pair's receive and transmit queue.
    fn of(self, pair: u16) -> (u16, u16) {
        match self {
            Self::ByQueue => (1 + 2 * pair, 2 + 2 * pair),
            Self::ByPair => (1 + pair, 1 + pair),
            Self::Shared(vector) => (vector, vector),
        }
    }
}

/// What a queue was made of.
#[derive(Clone)]
pub struct LaidOut {
    plan: QueuePlan,
    ring: DmaSlice,
    slots: DmaSlice,
    vector: u16,
}

impl LaidOut {
    /// The queue on a cleared ring, all slots with the driver.
    fn queue(&self) -> Result<Virtqueue, OutOfRegion> {
        let QueuePlan {
            size,
            shape,
            features,
            ..
        } = self.plan;
        self.ring.clear();
        Virtqueue::new(&self.ring, size, features, &self.slots, shape.layout())
    }
}

/// A queue to be: its size and the shape of its slots.
#[derive(Clone, Copy)]
struct QueuePlan {
    index: u16,
    size: QueueSize,
    shape: SlotShape,
    features: RingFeatures,
}

impl QueuePlan {
    fn memory_len(&self) -> usize {
        let slots = usize::from(self.size.get()) * self.shape.stride();
        Carver::taken_by(RingLayout::new(self.size, self.features).len) + Carver::taken_by(slots)
    }

    fn lay_out(
        &self,
        carver: &mut Carver,
        device: &mut Negotiated,
        vector: u16,
    ) -> Result<QueueParts, CardError> {
        let laid_out = LaidOut {
            plan: *self,
            ring: carver.take(RingLayout::new(self.size, self.features).len)?,
            slots: carver.take(usize::from(self.size.get()) * self.shape.stride())?,
            vector,
        };
        let queue = laid_out.queue()?;
        let doorbell = device.enable_queue(self.index, &queue, Some(vector))?;
        let interrupt = device.transport().interrupt(vector)?;
        Ok(QueueParts {
            queue,
            doorbell,
            slots: FrameSlots::new(laid_out.slots.clone(), self.shape),
            interrupt,
            laid_out,
        })
    }
}

/// All that is decided before memory is allocated.
struct Plan {
    config: NetConfig,
    /// Receive and transmit queue of each pair, all of one size.
    pairs: Vec<[QueuePlan; 2]>,
    rx_ring: QueueSize,
    tx_ring: QueueSize,
    ring: RingFeatures,
    /// Index and size.
    ctrl: Option<(u16, QueueSize)>,
    max_rx_frame: usize,
    max_tx_frame: usize,
    frame_limit: usize,
}

impl Plan {
    fn new(device: &mut Negotiated, wish: &CardConfig, most: u16) -> Result<Self, CardError> {
        let features = device.features();
        let config = NetConfig::read(device.transport(), features)?;
        let told = config.pairs()?;
        let there_are = device.transport().read_pairs()?.unwrap_or(told);
        let count = there_are.min(most).max(1);
        let indices = || (0..count).map(|pair| (receive_queue(pair), transmit_queue(pair)));
        let frame_limit = usize::from(config.mtu.unwrap_or(MTU_LIMIT)) + LINK_HEADER;
        let frame_limit = frame_limit.max(MAX_PLAIN_FRAME);
        let max_rx_frame = if receives_segments(features) {
            MAX_LARGE_FRAME
        } else {
            frame_limit
        };
        let max_tx_frame = if sends_segments(features) {
            MAX_LARGE_FRAME
        } else {
            frame_limit
        };
        let head = header_len(features);
        let mergeable = features.has(VIRTIO_NET_F_MRG_RXBUF);
        let least_rx_slot = match mergeable {
            true => max_rx_frame.min(MERGEABLE_BUFFER - head),
            false => max_rx_frame,
        };
        let rx = indices().map(|(rx, _)| rx);
        let most = affordable(wish.rx_ring, count, least_rx_slot, head);
        let rx_size = common_size(device, rx, "receive", most)?;
        let tx = indices().map(|(_, tx)| tx);
        let most = affordable(wish.tx_ring, count, max_tx_frame, head);
        let tx_size = common_size(device, tx, "transmit", most)?;
        // Behind the queues of all pairs that there are, however many are used.
        let index = control_queue(told);
        let ctrl = features
            .has(VIRTIO_NET_F_CTRL_VQ)
            .then(|| {
                let size = ControlQueue::SIZE;
                let size = queue_size(device, index, "control", size..=size)?;
                Ok::<_, CardError>((index, size))
            })
            .transpose()?;
        let rx_slot = match mergeable {
            true => mergeable_slot(max_rx_frame, rx_size, head),
            false => max_rx_frame,
        };
        let plan = |index, size, frame, device_writes| QueuePlan {
            index,
            size,
            shape: SlotShape::for_frames_of(frame, head, device_writes),
            features: features.ring(),
        };
        let pair = |(rx, tx)| {
            [
                plan(rx, rx_size, rx_slot, true),
                plan(tx, tx_size, max_tx_frame, false),
            ]
        };
        Ok(Self {
            config,
            pairs: indices().map(pair).collect(),
            rx_ring: rx_size,
            tx_ring: tx_size,
            ring: features.ring(),
            ctrl,
            max_rx_frame,
            max_tx_frame,
            frame_limit,
        })
    }

    fn pair_count(&self) -> u16 {
        self.pairs.len() as u16 // at most that of a device
    }

    fn memory_len(&self) -> usize {
        let ctrl = self.ctrl.map_or(0, |(_, size)| {
            Carver::taken_by(ControlQueue::memory_len(size, self.ring))
        });
        let queues = self.pairs.iter().flatten();
        queues.map(QueuePlan::memory_len).sum::<usize>() + ctrl
    }

    fn lay_out_pairs(
        &self,
        carver: &mut Carver,
        device: &mut Negotiated,
        vectors: Vectors,
    ) -> Result<Vec<PairParts>, CardError> {
        let pairs = self.pairs.iter().zip(0..).map(|([rx, tx], pair)| {
            let (rx_vector, tx_vector) = vectors.of(pair);
            let mut rx = rx.lay_out(carver, device, rx_vector)?;
            rx.make_all_available();
            let tx = tx.lay_out(carver, device, tx_vector)?;
            Ok(PairParts { rx, tx })
        });
        pairs.collect()
    }

    fn lay_out_ctrl(
        &self,
        carver: &mut Carver,
        device: &mut Negotiated,
        timeout: Duration,
    ) -> Result<PendingCtrl, CardError> {
        let Some((index, size)) = self.ctrl else {
            return Ok(None);
        };
        let memory = carver.take(ControlQueue::memory_len(size, self.ring))?;
        memory.clear();
        let ctrl = ControlQueue::new(&memory, size, device.features(), timeout)?;
        let doorbell = device.enable_queue(index, ctrl.queue(), None)?;
        Ok(Some((ctrl, doorbell)))
    }

    fn info(&self, device: &Negotiated, pinned_bytes: usize) -> CardInfo {
        CardInfo {
            offered: device.offered(),
            features: device.features(),
            config: self.config,
            queue_pairs: self.pair_count(),
            rx_ring: self.rx_ring,
            tx_ring: self.tx_ring,
            pinned_bytes,
            max_rx_frame: self.max_rx_frame,
            max_tx_frame: self.max_tx_frame,
            frame_limit: self.frame_limit,
        }
    }
}

fn receives_segments(features: FeatureSet) -> bool {
    let bits = [
        VIRTIO_NET_F_GUEST_TSO4,
        VIRTIO_NET_F_GUEST_TSO6,
        VIRTIO_NET_F_GUEST_USO4,
        VIRTIO_NET_F_GUEST_USO6,
    ];
    bits.iter().any(|&bit| features.has(bit))
}

fn sends_segments(features: FeatureSet) -> bool {
    let bits = [
        VIRTIO_NET_F_HOST_TSO4,
        VIRTIO_NET_F_HOST_TSO6,
        VIRTIO_NET_F_HOST_USO,
    ];
    bits.iter().any(|&bit| features.has(bit))
}

/// Bytes of a frame that one buffer of a mergeable receive queue holds. All buffers of a small
/// queue together hold the largest frame: a device that can never place a frame waits for ever
/// with it, and with all frames behind it.
fn mergeable_slot(max_rx_frame: usize, size: QueueSize, head: usize) -> usize {
    let share = max_rx_frame.div_ceil(usize::from(size.get()));
    share.max(MERGEABLE_BUFFER - head).min(max_rx_frame)
}

/// How many slots of `wish` there is memory for in each queue of `pairs`, where one holds `frame`
/// bytes.
fn affordable(wish: u16, pairs: u16, frame: usize, head: usize) -> u16 {
    let share = SLOT_MEMORY.min(ALL_SLOT_MEMORY / (2 * usize::from(pairs)));
    let slot = SlotShape::for_frames_of(frame, head, false).stride();
    u16::try_from(share / slot).map_or(wish, |most| wish.min(most))
}

/// The size that queues of one purpose can all have, as large as possible up to `most`.
fn common_size(
    device: &mut Negotiated,
    queues: impl Iterator<Item = u16>,
    purpose: &'static str,
    most: u16,
) -> Result<QueueSize, CardError> {
    let mut largest = most;
    let mut size = None;
    for queue in queues {
        let own = queue_size(device, queue, purpose, 1..=largest)?;
        largest = own.get();
        size = Some(own);
    }
    Ok(size.unwrap_or_else(|| unreachable!("there is at least one pair")))
}

/// The size of a queue that must exist, the largest possible within `sizes`.
fn queue_size(
    device: &mut Negotiated,
    index: u16,
    purpose: &'static str,
    sizes: RangeInclusive<u16>,
) -> Result<QueueSize, CardError> {
    let count = device.transport().read_queue_count()?;
    let max_size = if index < count {
        device.transport().read_max_queue_size(index)?
    } else {
        0
    };
    QueueSize::within(max_size, *sizes.end())
        .filter(|size| sizes.contains(&size.get()))
        .ok_or(CardError::NoQueue {
            index,
            purpose,
            count,
            max_size,
            least: *sizes.start(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_share_interrupts_only_where_there_are_too_few() {
        let of = |count, pairs| {
            let vectors = Vectors::share(count, pairs).unwrap();
            (0..pairs).map(|pair| vectors.of(pair)).collect::<Vec<_>>()
        };
        assert_eq!(of(5, 2), [(1, 2), (3, 4)]);
        assert_eq!(of(4, 2), [(1, 1), (2, 2)]);
        assert_eq!(of(3, 2), [(1, 1), (2, 2)]);
        assert_eq!(of(2, 2), [(1, 1), (1, 1)]);
        assert_eq!(of(1, 2), [(0, 0), (0, 0)]);
        assert_eq!(of(3, 1), [(1, 2)]);
        assert!(Vectors::share(0, 1).is_err());
    }

    #[test]
    fn the_largest_ring_is_had_for_ordinary_frames_and_a_shorter_one_for_large() {
        for head in [12, 20] {
            let most = |pairs, frame| affordable(32_768, pairs, frame, head);
            assert_eq!(most(1, MERGEABLE_BUFFER - head), 32_768);
            assert_eq!(most(1, MAX_PLAIN_FRAME), 32_768);
            assert!((2048..4096).contains(&most(1, MAX_LARGE_FRAME)));
            // However many pairs there are, the default is not too long.
            let default = CardConfig::default().tx_ring;
            let all = affordable(default, MAX_QUEUE_PAIRS, MAX_LARGE_FRAME, head);
            assert_eq!(all, default);
        }
    }

    #[test]
    fn the_buffers_of_any_mergeable_queue_hold_the_largest_frame_together() {
        for shift in 2..=15 {
            let size = QueueSize::within(1 << shift, 1 << shift).unwrap();
            for max in [MAX_PLAIN_FRAME, usize::from(MTU_LIMIT), MAX_LARGE_FRAME] {
                for head in [12, 20] {
                    let slot = mergeable_slot(max, size, head);
                    assert!(
                        slot <= max && slot * usize::from(size.get()) >= max,
                        "{size:?}, {max}"
                    );
                }
            }
        }
        let ordinary = QueueSize::within(256, 256).unwrap();
        for head in [12, 20] {
            let slot = mergeable_slot(MAX_LARGE_FRAME, ordinary, head);
            assert_eq!(slot + head, MERGEABLE_BUFFER);
        }
    }
}
