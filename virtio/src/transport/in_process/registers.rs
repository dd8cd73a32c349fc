//! The device's registers: status, features, configuration, queues.

use super::conduct::Interrupts;
use super::config::{DeviceConfig, Role};
use super::core::Core;
use super::receive::Arriving;
use super::ring::Ring;
use crate::net::FeatureSet;
use crate::spec::feature::{VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1};
use crate::spec::net::config::{S_ANNOUNCE, S_LINK_UP};
use crate::spec::net::feature::*;
use crate::spec::status;
use crate::transport::{QueueSetup, TransportError};

impl Core {
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
        let stuck = match self.conduct.finishes_reset() {
            true => 0,
            false => status::ACKNOWLEDGE,
        };
        Ok(self.status | stuck)
    }

    /// § *Device Status Field*: bits are only ever added, in order; 0 resets.
    pub(super) fn write_status(&mut self, value: u8) {
        if value == 0 && !self.conduct.finishes_reset() {
            return;
        }
        if value == 0 {
            self.conduct.at_reset(&mut self.config);
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
            self.link.start(self.accepted);
            self.bells.set_live(true);
            self.bells.wake();
            if !self.conduct.works_when_started() {
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
        !bad && self.accepted.has(VIRTIO_F_VERSION_1) && self.conduct.agrees_to_features()
    }

    pub(super) fn read_config_generation(&mut self) -> Result<u8, TransportError> {
        self.here()?;
        self.generation = self.conduct.generation(self.generation);
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

    pub(super) fn read_queue_count(&self) -> Result<u16, TransportError> {
        self.here()?;
        let count = self.config.queue_sizes.len() as u16;
        Ok(self.config.queue_count.unwrap_or(count))
    }

    pub(super) fn read_max_queue_size(&self, queue: u16) -> Result<u16, TransportError> {
        self.here()?;
        Ok(self.config.max_queue_size(queue))
    }

    pub(super) fn enable_queue(&mut self, setup: &QueueSetup) -> Result<(), TransportError> {
        self.check_vector(setup.vector)?;
        let section = "Virtqueue Configuration";
        let index = setup.index;
        self.violations
            .check(self.status & status::FEATURES_OK == 0, section, || {
                format!("queue {index} is set up before FEATURES_OK")
            });
        let was_reset = self.reset_queues.iter().position(|&queue| queue == index);
        let late = self.status & status::DRIVER_OK != 0 && was_reset.is_none();
        self.violations.check(late, section, || {
            format!("queue {index} is set up after DRIVER_OK")
        });
        was_reset.map(|at| self.reset_queues.swap_remove(at));
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
        match Ring::new(setup, role, self.accepted.ring(), &self.memory) {
            Ok(ring) => self.take_ring(ring),
            Err(violation) => self.violations.add(violation),
        }
        if self.conduct.interrupts() == Interrupts::Early {
            self.raise(setup.vector);
        }
        Ok(())
    }

    fn take_ring(&mut self, ring: Ring) {
        if ring.role == Role::Receive {
            let pairs = self.arriving.len().max(usize::from(ring.pair()) + 1);
            self.arriving.resize_with(pairs, Arriving::default);
        }
        self.rings.push(ring);
    }

    /// § *Virtqueue Reset*.
    pub(super) fn write_queue_reset(&mut self, queue: u16) -> Result<(), TransportError> {
        self.here()?;
        let section = "Virtqueue Reset";
        let agreed = self.accepted.has(VIRTIO_F_RING_RESET);
        let at = self.rings.iter().position(|ring| ring.index == queue);
        self.violations.check(!agreed, section, || {
            format!("queue {queue} is reset without RING_RESET")
        });
        self.violations.check(at.is_none(), section, || {
            format!("queue {queue} is reset but was not enabled")
        });
        if let Some(at) = at.filter(|_| self.conduct.finishes_queue_reset()) {
            self.rings.remove(at);
            self.bells.forget(queue);
            self.reset_queues.push(queue);
        }
        Ok(())
    }

    pub(super) fn read_queue_reset_done(&self, queue: u16) -> Result<bool, TransportError> {
        self.here()?;
        Ok(self.rings.iter().all(|ring| ring.index != queue))
    }

    /// Changes the configuration and tells the driver.
    pub(super) fn change_config(&mut self, change: impl FnOnce(&mut DeviceConfig)) {
        change(&mut self.config);
        self.generation = self.generation.wrapping_add(1);
        self.raise(self.platform.config_vector);
    }

    pub(super) fn set_link_up(&mut self, up: bool) {
        self.change_config(|config| match up {
            true => config.status |= S_LINK_UP,
            false => config.status &= !S_LINK_UP,
        });
    }

    /// Asks the driver to tell its peers where it is, until it says that it has.
    pub(super) fn ask_for_announcement(&mut self) {
        self.change_config(|config| config.status |= S_ANNOUNCE);
    }

    /// The device meets an error it cannot recover from.
    pub(super) fn demand_reset(&mut self) {
        self.status |= status::DEVICE_NEEDS_RESET;
        self.raise(self.platform.config_vector);
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
    (VIRTIO_NET_F_NOTF_COAL, &[VIRTIO_NET_F_CTRL_VQ]),
    (VIRTIO_NET_F_MQ, &[VIRTIO_NET_F_CTRL_VQ]),
    (VIRTIO_NET_F_CTRL_MAC_ADDR, &[VIRTIO_NET_F_CTRL_VQ]),
    (VIRTIO_NET_F_RSS, &[VIRTIO_NET_F_CTRL_VQ]),
];
