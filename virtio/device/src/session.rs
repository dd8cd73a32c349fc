//! What one front end has said, until there is enough of it to start.
//!
//! The `vhost` crate reads the protocol; here its requests become calls of a [`Model`]. The device
//! starts at the first kick with the pairs that have all their parts by then, and stops at the first
//! question where a ring stands.

use std::fs::File;
use std::io;

use vhost::vhost_user::message::*;
use vhost::vhost_user::{Error, GpuBackend, Result, VhostUserBackendReqHandlerMut};
use virtio::net::FeatureSet;
use virtio::queue::QueueSize;
use virtio::spec::feature::VIRTIO_F_RING_PACKED;
use virtio::spec::vhost_user::{F_PROTOCOL_FEATURES, MAX_CONFIG_LEN, vring_base};
use virtio::{Iova, TransportError};

use crate::model::{Model, Ring, SharedRegion};
use crate::poller::Poller;

/// A ring as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    size: Option<QueueSize>,
    /// Descriptor table, available and used ring.
    addresses: Option<[u64; 3]>,
    kick: bool,
    enabled: bool,
}

/// Where the front end says that memory lies, and what it is called in descriptors.
#[derive(Clone, Copy, Debug)]
struct Translation {
    user: u64,
    guest: u64,
    len: u64,
}

pub(crate) struct Session {
    model: Box<dyn Model + Send>,
    poller: Poller,
    accepted: u64,
    protocol: bool,
    memory: Vec<Translation>,
    queues: Vec<Parts>,
    /// Where rings stood when the device was stopped.
    positions: Vec<(u16, u16)>,
    running: bool,
    /// A kick came that nothing was started for.
    kicked: bool,
}

impl Session {
    pub(crate) fn new(model: Box<dyn Model + Send>, poller: Poller) -> Self {
        let queues = vec![Parts::default(); model.queue_count().into()];
        Self {
            model,
            poller,
            accepted: 0,
            protocol: false,
            memory: Vec::new(),
            queues,
            positions: Vec::new(),
            running: false,
            kicked: false,
        }
    }

    pub(crate) fn model(&mut self) -> &mut dyn Model {
        &mut *self.model
    }

    /// The front end has gone: nothing of it stays.
    pub(crate) fn end(&mut self) {
        self.stop();
        self.poller.remove_kicks(None);
        self.queues.fill(Parts::default());
        self.kicked = false;
        self.memory.clear();
        self.accepted = 0;
        self.protocol = false;
        if let Err(error) = self.model.share(Vec::new()) {
            log::warn!("{error}");
        }
    }

    fn stop(&mut self) {
        if std::mem::take(&mut self.running) {
            self.positions = self.model.stop();
            log::info!("stopped; rings stand at {:?}", self.positions);
        }
    }

    fn is_packed(&self) -> bool {
        FeatureSet(self.accepted.into()).has(VIRTIO_F_RING_PACKED)
    }

    fn parts(&mut self, index: u32) -> Result<&mut Parts> {
        let found = self.queues.get_mut(index as usize);
        found.ok_or(Error::InvalidParam)
    }

    fn translate(&self, user: u64) -> Result<Iova> {
        let region = self
            .memory
            .iter()
            .find(|region| user >= region.user && user - region.user < region.len);
        let region = region.ok_or(Error::InvalidParam)?;
        Ok(Iova(region.guest + (user - region.user)))
    }

    fn ring(&self, queue: u16, parts: &Parts) -> Result<Option<Ring>> {
        let ready = parts.kick && (parts.enabled || !self.protocol);
        let (Some(size), Some([desc, avail, used]), true) = (parts.size, parts.addresses, ready)
        else {
            return Ok(None);
        };
        Ok(Some(Ring {
            queue,
            size,
            desc: self.translate(desc)?,
            avail: self.translate(avail)?,
            used: self.translate(used)?,
        }))
    }

    /// The driver rang for `queue`.
    pub(crate) fn kick(&mut self, queue: u16) {
        self.kicked |= !self.running;
        if self.kicked
            && let Err(error) = self.start_if_ready()
        {
            log::warn!("cannot start: {error}");
        }
        self.model.kick(queue);
    }

    /// Starts the device if the rings of a pair are known.
    fn start_if_ready(&mut self) -> Result<()> {
        let rings = (0..).zip(&self.queues);
        let rings = rings.map(|(queue, parts)| self.ring(queue, parts));
        let rings = rings.collect::<Result<Vec<Option<Ring>>>>()?;
        // The rings of a pair stand side by side.
        let pairs = rings.chunks_exact(2).map_while(|pair| pair[0].zip(pair[1]));
        let rings: Vec<Ring> = pairs.flat_map(|(rx, tx)| [rx, tx]).collect();
        if rings.is_empty() {
            return Ok(());
        }
        let features = FeatureSet(self.accepted.into());
        self.model.start(features, &rings).map_err(refused)?;
        (self.running, self.kicked) = (true, false);
        log::info!("started with {features:?}");
        Ok(())
    }
}

fn refused(error: TransportError) -> Error {
    log::warn!("{error}");
    Error::ReqHandlerError(io::Error::other(error))
}

fn not_here<T>() -> Result<T> {
    Err(Error::InvalidOperation("not offered"))
}

const PROTOCOL: u64 = 1 << F_PROTOCOL_FEATURES;
/// The beginning of a packed ring.
const WRAPS: u32 = vring_base::WRAP | vring_base::WRAP << vring_base::USED_SHIFT;

impl VhostUserBackendReqHandlerMut for Session {
    fn set_owner(&mut self) -> Result<()> {
        Ok(())
    }

    fn reset_owner(&mut self) -> Result<()> {
        self.stop();
        Ok(())
    }

    fn reset_device(&mut self) -> Result<()> {
        self.stop();
        self.queues.fill(Parts::default());
        self.poller.remove_kicks(None);
        self.accepted = 0;
        Ok(())
    }

    fn get_features(&mut self) -> Result<u64> {
        Ok(self.model.offered().0 as u64 | PROTOCOL)
    }

    fn set_features(&mut self, features: u64) -> Result<()> {
        self.protocol = features & PROTOCOL != 0;
        self.accepted = features & !PROTOCOL;
        Ok(())
    }

    fn set_mem_table(
        &mut self,
        table: &[VhostUserMemoryRegion],
        files: Vec<File>,
        _postcopy: Option<bool>,
    ) -> Result<Option<Vec<u64>>> {
        self.stop();
        self.memory.clear();
        let mut regions = Vec::new();
        for (row, file) in table.iter().zip(files) {
            self.memory.push(Translation {
                user: row.user_addr,
                guest: row.guest_phys_addr,
                len: row.memory_size,
            });
            regions.push(SharedRegion {
                address: Iova(row.guest_phys_addr),
                file,
                offset: row.mmap_offset,
                len: row.memory_size as usize,
            });
        }
        self.model.share(regions).map_err(refused)?;
        Ok(None)
    }

    fn set_vring_num(&mut self, index: u32, num: u32) -> Result<()> {
        let size = u16::try_from(num).ok().map(QueueSize::new);
        let Some(Ok(size)) = size else {
            return Err(Error::InvalidParam);
        };
        self.parts(index)?.size = Some(size);
        Ok(())
    }

    fn set_vring_addr(
        &mut self,
        index: u32,
        _flags: VhostUserVringAddrFlags,
        descriptor: u64,
        used: u64,
        available: u64,
        _log: u64,
    ) -> Result<()> {
        self.parts(index)?.addresses = Some([descriptor, available, used]);
        Ok(())
    }

    fn set_vring_base(&mut self, index: u32, base: u32) -> Result<()> {
        self.parts(index)?;
        let beginning = match self.is_packed() {
            // There are front ends that name one of the two positions only.
            true => [WRAPS, WRAPS & vring_base::WRAP].contains(&base),
            false => base == 0,
        };
        match beginning {
            true => Ok(()),
            false => Err(Error::InvalidOperation(
                "rings start at their beginning here",
            )),
        }
    }

    fn get_vring_base(&mut self, index: u32) -> Result<VhostUserVringState> {
        self.stop();
        *self.parts(index)? = Parts::default();
        self.poller.remove_kicks(Some(index as u16));
        let stood = self.positions.iter();
        let position = stood.filter(|(queue, _)| u32::from(*queue) == index);
        let base = match (
            position.map(|(_, at)| u32::from(*at)).next(),
            self.is_packed(),
        ) {
            // Nothing is in flight in a ring that was stopped: what was taken was used.
            (Some(at), true) => at | at << vring_base::USED_SHIFT,
            (Some(at), false) => at,
            (None, true) => WRAPS,
            (None, false) => 0,
        };
        Ok(VhostUserVringState::new(index, base))
    }

    fn set_vring_kick(&mut self, index: u8, fd: Option<File>) -> Result<()> {
        let kick = fd.ok_or(Error::InvalidOperation("rings are not polled here"))?;
        let parts = self.parts(index.into())?;
        parts.kick = true;
        // Refused here, where the front end hears of it: nobody answers the kick that starts a device.
        for address in parts.addresses.into_iter().flatten() {
            self.translate(address)?;
        }
        let added = self.poller.add_kick(index.into(), kick);
        added.map_err(Error::ReqHandlerError)
    }

    fn set_vring_call(&mut self, index: u8, fd: Option<File>) -> Result<()> {
        self.parts(index.into())?;
        match fd {
            Some(call) => self.model.connect(index.into(), call).map_err(refused),
            None => Ok(()),
        }
    }

    fn set_vring_err(&mut self, index: u8, _fd: Option<File>) -> Result<()> {
        self.parts(index.into()).map(drop)
    }

    fn get_protocol_features(&mut self) -> Result<VhostUserProtocolFeatures> {
        use VhostUserProtocolFeatures as P;
        Ok(P::MQ | P::REPLY_ACK | P::CONFIG | P::RESET_DEVICE)
    }

    fn set_protocol_features(&mut self, _features: u64) -> Result<()> {
        Ok(())
    }

    /// Of a network device, pairs are counted.
    fn get_queue_num(&mut self) -> Result<u64> {
        Ok(u64::from(self.model.queue_count() / 2))
    }

    fn set_vring_enable(&mut self, index: u32, enable: bool) -> Result<()> {
        self.parts(index)?.enabled = enable;
        if !enable {
            self.stop();
        }
        match self.kicked {
            true => self.start_if_ready(),
            false => Ok(()),
        }
    }

    fn get_config(
        &mut self,
        offset: u32,
        size: u32,
        _flags: VhostUserConfigFlags,
    ) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (size as usize).min(MAX_CONFIG_LEN)];
        self.model
            .read_config(offset as usize, &mut bytes)
            .map_err(refused)?;
        Ok(bytes)
    }

    fn set_config(&mut self, _offset: u32, _b: &[u8], _flags: VhostUserConfigFlags) -> Result<()> {
        not_here()
    }

    fn set_gpu_socket(&mut self, _gpu_backend: GpuBackend) -> Result<()> {
        not_here()
    }

    fn get_shared_object(&mut self, _uuid: VhostUserSharedMsg) -> Result<File> {
        not_here()
    }

    fn get_inflight_fd(
        &mut self,
        _inflight: &VhostUserInflight,
    ) -> Result<(VhostUserInflight, File)> {
        not_here()
    }

    fn set_inflight_fd(&mut self, _inflight: &VhostUserInflight, _file: File) -> Result<()> {
        not_here()
    }

    fn get_max_mem_slots(&mut self) -> Result<u64> {
        not_here()
    }

    fn add_mem_region(
        &mut self,
        _region: &VhostUserSingleMemoryRegion,
        _fd: File,
        _postcopy: Option<bool>,
    ) -> Result<Option<u64>> {
        not_here()
    }

    fn remove_mem_region(&mut self, _region: &VhostUserSingleMemoryRegion) -> Result<()> {
        not_here()
    }

    fn set_device_state_fd(
        &mut self,
        _direction: VhostTransferStateDirection,
        _phase: VhostTransferStatePhase,
        _fd: File,
    ) -> Result<Option<File>> {
        not_here()
    }

    fn check_device_state(&mut self) -> Result<()> {
        not_here()
    }

    fn get_shmem_config(&mut self) -> Result<VhostUserShMemConfig> {
        not_here()
    }

    fn set_log_base(&mut self, _log: &VhostUserLog, _file: File) -> Result<()> {
        not_here()
    }
}
