//! One virtio-net device: its DMA memory, its queues, and the way from reset to running.
//!
//! A card knows nothing of packets or of the system. [`Card::start`] hands out the parts of
//! which queues are made; [`Card::stop`] resets the device, after which nothing that the
//! device wrote is trusted: rings are rebuilt from zeroed memory.

mod config;
mod error;
mod frames;
mod info;
mod plan;
mod queue;
mod rings;
mod vectors;

use std::sync::Arc;

use virtio::init::{Failed, Idle, Negotiated, Running};
use virtio::net::features::all_known;
use virtio::net::{Coalescing, ControlQueue, CtrlError, FeatureSet, NetConfig};
use virtio::spec::feature::VIRTIO_F_RING_RESET;
use virtio::spec::net::feature::VIRTIO_NET_F_MQ;
use virtio::transport::Doorbell;
use virtio::{DmaSlice, Transport};
use vmm_sys_util::eventfd::EventFd;

pub use self::config::{CardConfig, LEFT_OUT, MAX_QUEUE_PAIRS, WHY_LEFT_OUT};
pub use self::error::CardError;
pub use self::info::CardInfo;
use self::plan::{PendingCtrl, Plan};
pub use self::queue::{LaidOut, PairParts, QueueParts};
use self::vectors::{CONFIG_VECTOR, Vectors};
use crate::slots::Carver;

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
        if self.agreed.replace(device.features()).is_none() {
            let name = &self.name;
            plan.shortened().for_each(|why| log::warn!("{name}: {why}"));
        }
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

fn connected(mut ctrl: ControlQueue, doorbell: Box<dyn Doorbell>) -> ControlQueue {
    ctrl.connect(doorbell);
    ctrl
}
