//! The device's registers: status, features, configuration, queues, interrupts, memory.

use std::io;
use std::sync::Arc;

use vm_memory::{FileOffset, GuestAddress, GuestMemoryRegion, GuestRegionMmap, MmapRegion};
use vmm_sys_util::eventfd::EventFd;

use super::Link;
use super::bell::Bells;
use super::check::{Violation, Violations};
use super::config::DeviceConfig;
use super::control::ControlState;
use super::faults::Telling;
use super::nic::Traffic;
use super::ring::{Memory, Ring};
use crate::mem::{DmaRegion, Iova};
use crate::net::FeatureSet;
use crate::spec::feature::{VIRTIO_F_EVENT_IDX, VIRTIO_F_VERSION_1};
use crate::spec::net::config::S_LINK_UP;
use crate::spec::net::feature::*;
use crate::spec::status;
use crate::transport::{QueueSetup, TransportError};

/// All of the device that its lock protects.
pub(super) struct Core {
    pub(super) config: DeviceConfig,
    pub(super) status: u8,
    pub(super) accepted: FeatureSet,
    pub(super) generation: u8,
    /// Shared so that a queue can be served while the rest changes.
    pub(super) memory: Arc<Memory>,
    pub(super) rings: Vec<Ring>,
    pub(super) link: Box<dyn Link>,
    pub(super) control: ControlState,
    pub(super) traffic: Traffic,
    pub(super) violations: Violations,
    pub(super) bells: Arc<Bells>,
    pub(super) telling: Telling,
    vectors: Vec<Option<EventFd>>,
    config_vector: Option<u16>,
    next_iova: u64,
}

/// Device addresses start beyond what a 32-bit mistake reaches.
const FIRST_IOVA: u64 = 0x1_0000_0000;
/// Nothing is mapped for this far behind a region, so that running over its end is seen.
const GUARD: u64 = 1 << 30;

impl Core {
    pub(super) fn new(config: DeviceConfig, link: Box<dyn Link>, bells: Arc<Bells>) -> Self {
        let vectors = (0..config.vectors).map(|_| None).collect();
        Self {
            config,
            status: 0,
            accepted: FeatureSet::EMPTY,
            generation: 0,
            memory: Arc::default(),
            rings: Vec::new(),
            link,
            control: ControlState::default(),
            traffic: Traffic::default(),
            violations: Violations::default(),
            bells,
            telling: Telling::default(),
            vectors,
            config_vector: None,
            next_iova: FIRST_IOVA,
        }
    }

    pub(super) fn read_device_features(&mut self) -> Result<FeatureSet, TransportError> {
        self.here()?;
        Ok(self.config.offered)
    }

    pub(super) fn write_driver_features(&mut self, features: FeatureSet) {
        let section = "Device Initialization";
        self.violations
            .check(self.status & status::DRIVER == 0, section, || {
                "features are written before DRIVER is set".to_owned()
            });
        self.violations
            .check(self.status & status::FEATURES_OK != 0, section, || {
                "features are written after FEATURES_OK".to_owned()
            });
        self.accepted = features;
    }

    pub(super) fn read_status(&self) -> Result<u8, TransportError> {
        self.here()?;
        let stuck = if self.never_resets() {
            status::ACKNOWLEDGE
        } else {
            0
        };
        Ok(self.status | stuck)
    }

    pub(super) fn read_queue_count(&self) -> Result<u16, TransportError> {
        self.here()?;
        Ok(self.config.queue_sizes.len() as u16)
    }

    pub(super) fn read_max_queue_size(&self, queue: u16) -> Result<u16, TransportError> {
        self.here()?;
        Ok(self.config.max_queue_size(queue))
    }

    /// § *Device Status Field*: bits are only ever added, in order; 0 resets.
    pub(super) fn write_status(&mut self, value: u8) {
        if value == 0 && self.never_resets() {
            return;
        }
        if value == 0 {
            self.lie_at_reset();
            return self.reset();
        }
        let (section, old) = ("Device Status Field", self.status);
        // Bits that the device itself sets are not the driver's to write back.
        let own = old & !status::DEVICE_NEEDS_RESET;
        self.violations.check(own & !value != 0, section, || {
            format!("status goes from {old:#x} to {value:#x}: bits are taken back without a reset")
        });
        let skipped = |bit: u8, before: u8| value & bit != 0 && value & before == 0;
        self.violations.check(
            skipped(status::DRIVER, status::ACKNOWLEDGE)
                || skipped(status::FEATURES_OK, status::DRIVER)
                || skipped(status::DRIVER_OK, status::FEATURES_OK),
            "Device Initialization",
            || format!("status {value:#x} skips a step"),
        );
        self.status = value | (old & status::DEVICE_NEEDS_RESET);
        if self.status & !old & status::FEATURES_OK != 0 && !self.agrees_to_features() {
            self.status &= !status::FEATURES_OK;
        }
        if self.status & !old & status::DRIVER_OK != 0 {
            self.bells.set_live(true);
            self.bells.wake();
            if self.demands_reset_always() {
                self.demand_reset();
            }
        }
    }

    /// Whether the accepted features make sense to this device.
    fn agrees_to_features(&mut self) -> bool {
        let unoffered = self.accepted.without(self.config.offered);
        let mut bad = self
            .violations
            .check(unoffered != FeatureSet::EMPTY, "Feature Bits", || {
                format!("features were accepted that were not offered: {unoffered:?}")
            });
        for &(bit, needs) in DEPENDENCIES {
            let unmet =
                self.accepted.has(bit) && !needs.iter().any(|&need| self.accepted.has(need));
            bad |= self
                .violations
                .check(unmet, "Feature bit requirements", || {
                    format!(
                        "{:?} without any of {:?}",
                        FeatureSet::of(&[bit]),
                        FeatureSet::of(needs)
                    )
                });
        }
        !bad && self.accepted.has(VIRTIO_F_VERSION_1) && !self.refuses_features()
    }

    pub(super) fn reset(&mut self) {
        self.bells.set_live(false);
        self.rings.clear();
        self.status = 0;
        self.accepted = FeatureSet::EMPTY;
        self.control = ControlState::default();
        self.config_vector = None;
    }

    /// The driver has let go of the device.
    pub(super) fn unplug(&mut self) {
        self.reset();
        self.memory = Arc::default();
    }

    pub(super) fn read_config_generation(&mut self) -> Result<u8, TransportError> {
        self.here()?;
        if self.moves_generation() {
            self.generation = self.generation.wrapping_add(1);
        }
        Ok(self.generation)
    }

    pub(super) fn read_config(
        &mut self,
        offset: usize,
        bytes: &mut [u8],
    ) -> Result<(), TransportError> {
        self.here()?;
        let limit = self.config.config_len;
        let end = offset.checked_add(bytes.len()).filter(|&end| end <= limit);
        if end.is_none() {
            return Err(TransportError::OutOfRange {
                device: self.config.name.clone(),
                offset,
                len: bytes.len(),
                limit,
            });
        }
        let mut space = self.config.bytes();
        if let Some(mac) = self.control.mac {
            space[..6].copy_from_slice(&mac);
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = space.get(offset + i).copied().unwrap_or(0);
        }
        Ok(())
    }

    pub(super) fn enable_queue(&mut self, setup: &QueueSetup) -> Result<(), TransportError> {
        self.check_vector(setup.vector)?;
        let section = "Virtqueue Configuration";
        let index = setup.index;
        self.violations
            .check(self.status & status::FEATURES_OK == 0, section, || {
                format!("queue {index} is set up before FEATURES_OK")
            });
        self.violations
            .check(self.status & status::DRIVER_OK != 0, section, || {
                format!("queue {index} is set up after DRIVER_OK")
            });
        let max = self.config.max_queue_size(index);
        self.violations.check(setup.size.get() > max, section, || {
            format!(
                "queue {index} is made {} long where at most {max} are allowed",
                setup.size.get()
            )
        });
        let again = self.rings.iter().any(|ring| ring.index == index);
        if self
            .violations
            .check(again, section, || format!("queue {index} is enabled twice"))
        {
            return Ok(());
        }
        let role = self.config.role(index, self.accepted);
        let event_idx = self.accepted.has(VIRTIO_F_EVENT_IDX);
        match Ring::new(setup, role, event_idx, &self.memory) {
            Ok(ring) => self.rings.push(ring),
            Err(violation) => self.violations.add(violation),
        }
        if self.interrupts_early() {
            self.raise(setup.vector);
        }
        Ok(())
    }

    fn check_vector(&self, vector: Option<u16>) -> Result<(), TransportError> {
        match vector {
            Some(vector) if vector >= self.vector_count() => Err(self.unusable(format!(
                "interrupt {vector} does not exist (the device has {})",
                self.vector_count()
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn vector_count(&self) -> u16 {
        self.vectors.len() as u16
    }

    pub(super) fn interrupt(&mut self, vector: u16) -> Result<EventFd, TransportError> {
        self.check_vector(Some(vector))?;
        let name = &self.config.name;
        let io = |source: io::Error| TransportError::Io {
            device: name.clone(),
            operation: "eventfd".to_owned(),
            source,
        };
        let place = &mut self.vectors[usize::from(vector)];
        let event = match place {
            Some(event) => event,
            None => place.insert(EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC).map_err(io)?),
        };
        event.try_clone().map_err(io)
    }

    pub(super) fn enable_config_interrupt(&mut self, vector: u16) -> Result<(), TransportError> {
        self.check_vector(Some(vector))?;
        self.config_vector = Some(vector);
        Ok(())
    }

    /// Raises interrupt `vector`; whether anybody can hear it.
    pub(super) fn raise(&mut self, vector: Option<u16>) -> bool {
        if self.interrupts_never() {
            return false;
        }
        let event = vector.and_then(|vector| self.vectors.get(usize::from(vector))?.as_ref());
        let Some(event) = event else { return false };
        self.traffic.counters.interrupts += 1;
        // Fails only when the counter is full, and then the interrupt is pending anyway.
        let _ = event.write(1);
        true
    }

    /// Changes the configuration and tells the driver.
    pub(super) fn change_config(&mut self, change: impl FnOnce(&mut DeviceConfig)) {
        change(&mut self.config);
        self.generation = self.generation.wrapping_add(1);
        self.raise(self.config_vector);
    }

    pub(super) fn set_link_up(&mut self, up: bool) {
        self.change_config(|config| match up {
            true => config.status |= S_LINK_UP,
            false => config.status &= !S_LINK_UP,
        });
    }

    /// The device meets an error it cannot recover from.
    pub(super) fn demand_reset(&mut self) {
        self.status |= status::DEVICE_NEEDS_RESET;
        self.raise(self.config_vector);
    }

    pub(super) fn map_dma(&mut self, region: &Arc<DmaRegion>) -> Result<Iova, TransportError> {
        let iova = self.next_iova;
        let file = region
            .file()
            .try_clone()
            .map_err(|source| TransportError::Io {
                device: self.config.name.clone(),
                operation: "dup of a DMA region".to_owned(),
                source,
            })?;
        let mapped = MmapRegion::from_file(FileOffset::new(file, 0), region.len())
            .map_err(|e| e.to_string())
            .and_then(|mapping| {
                GuestRegionMmap::new(mapping, GuestAddress(iova))
                    .ok_or("address overflow".to_owned())
            })
            .and_then(|region| {
                self.memory
                    .insert_region(Arc::new(region))
                    .map_err(|e| e.to_string())
            })
            .map_err(|e| self.unusable(format!("a DMA region cannot be mapped: {e}")))?;
        self.memory = Arc::new(mapped);
        self.next_iova = iova + region.len() as u64 + GUARD;
        Ok(Iova(iova))
    }

    pub(super) fn unmap_dma(&mut self, iova: Iova) -> Result<(), TransportError> {
        self.violations
            .check(!self.rings.is_empty(), "Device Reset", || {
                format!("{iova} is taken away from a running device")
            });
        let region =
            vm_memory::GuestMemoryBackend::find_region(&*self.memory, GuestAddress(iova.0));
        let removed = region
            .filter(|region| region.start_addr().0 == iova.0)
            .map(GuestMemoryRegion::len)
            .and_then(|len| self.memory.remove_region(GuestAddress(iova.0), len).ok());
        match removed {
            Some((memory, _)) => {
                self.memory = Arc::new(memory);
                Ok(())
            }
            None => Err(self.unusable(format!("{iova} is not the start of a mapping"))),
        }
    }

    pub(super) fn unusable(&self, reason: String) -> TransportError {
        TransportError::Unusable {
            device: self.config.name.clone(),
            reason,
        }
    }

    /// All that the driver did wrong.
    pub(super) fn all_violations(&self) -> Vec<Violation> {
        let early = self.bells.early_rings();
        let rung = (early > 0).then(|| {
            let what = format!("doorbells were rung {early} times outside DRIVER_OK");
            Violation::new("Device Initialization", what)
        });
        self.violations.kept().iter().cloned().chain(rung).collect()
    }
}

/// § *Feature bit requirements*, read a second time.
const DEPENDENCIES: &[(u32, &[u32])] = &[
    (VIRTIO_NET_F_GUEST_TSO4, &[VIRTIO_NET_F_GUEST_CSUM]),
    (VIRTIO_NET_F_GUEST_TSO6, &[VIRTIO_NET_F_GUEST_CSUM]),
    (
        VIRTIO_NET_F_GUEST_ECN,
        &[VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6],
    ),
    (VIRTIO_NET_F_GUEST_UFO, &[VIRTIO_NET_F_GUEST_CSUM]),
    (VIRTIO_NET_F_GUEST_USO4, &[VIRTIO_NET_F_GUEST_CSUM]),
    (VIRTIO_NET_F_GUEST_USO6, &[VIRTIO_NET_F_GUEST_CSUM]),
    (VIRTIO_NET_F_HOST_TSO4, &[VIRTIO_NET_F_CSUM]),
    (VIRTIO_NET_F_HOST_TSO6, &[VIRTIO_NET_F_CSUM]),
    (
        VIRTIO_NET_F_HOST_ECN,
        &[VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6],
    ),
    (VIRTIO_NET_F_HOST_UFO, &[VIRTIO_NET_F_CSUM]),
    (VIRTIO_NET_F_HOST_USO, &[VIRTIO_NET_F_CSUM]),
    (VIRTIO_NET_F_CTRL_RX, &[VIRTIO_NET_F_CTRL_VQ]),
    (VIRTIO_NET_F_CTRL_VLAN, &[VIRTIO_NET_F_CTRL_VQ]),
    (VIRTIO_NET_F_GUEST_ANNOUNCE, &[VIRTIO_NET_F_CTRL_VQ]),
    (VIRTIO_NET_F_MQ, &[VIRTIO_NET_F_CTRL_VQ]),
    (VIRTIO_NET_F_CTRL_MAC_ADDR, &[VIRTIO_NET_F_CTRL_VQ]),
    (VIRTIO_NET_F_RSS, &[VIRTIO_NET_F_CTRL_VQ]),
];
