//! virtio-net cards on the PCI bus, found in sysfs (virtio 1.2 §4.1.2).
//!
//! Reads only. What may be done with a card is judged in [`super::obstacle`].

mod generation;

use std::fs;
use std::path::PathBuf;

use generation::generation_of;
use serde::Serialize;

use super::state::DeviceState;
use super::{DeviceSpec, Host, HostError, MacAddress, PciAddress, files};

pub use generation::Generation;

const VENDOR_VIRTIO: u64 = 0x1af4;
/// Virtio device type 1 as a modern device: 0x1040 + 1.
const DEVICE_NET_MODERN: u64 = 0x1041;
/// Network card with the transitional numbering.
const DEVICE_NET_TRANSITIONAL: u64 = 0x1000;
/// Base class and subclass of PCI-to-PCI and host bridges, as sysfs `class` >> 8.
const CLASS_BRIDGES: [u64; 2] = [0x0600, 0x0604];

/// The driver that hands a PCI device to user mode.
pub const VFIO_DRIVER: &str = "vfio-pci";

/// One PCI function in an IOMMU group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupMember {
    /// Its address.
    pub address: PciAddress,
    /// Its driver, if one is bound.
    pub driver: Option<String>,
    /// Whether it is a bridge: those stay with the kernel without harm.
    pub is_bridge: bool,
}

/// The set of functions an IOMMU cannot tell apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IommuGroup {
    /// The group's number.
    pub id: u32,
    /// How the kernel's own drivers see it: `DMA`, `DMA-FQ` or `identity`.
    pub kind: Option<String>,
    /// Everybody in it, the card included.
    pub members: Vec<GroupMember>,
}

/// A virtio-net card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VirtioNetCard {
    /// Where it sits.
    pub address: PciAddress,
    /// What of the spec it speaks.
    pub generation: Generation,
    /// The driver bound to it.
    pub driver: Option<String>,
    /// The driver it is reserved for, if any.
    pub driver_override: Option<String>,
    /// The kernel's interfaces on it; the first one is the card's own.
    pub interfaces: Vec<String>,
    /// Its MAC address; not known while nobody drives it.
    pub mac: Option<MacAddress>,
    /// Its IOMMU group.
    pub iommu_group: Option<IommuGroup>,
    /// Its line interrupt; none if 0.
    pub irq: Option<u32>,
    /// Message-signalled interrupts in use.
    pub msi_irqs: usize,
}

impl VirtioNetCard {
    /// Name of the kernel's interface on the card.
    pub fn interface(&self) -> Option<&str> {
        self.interfaces.first().map(String::as_str)
    }

    /// Whether vfio-pci drives it already.
    pub fn on_vfio(&self) -> bool {
        self.driver.as_deref() == Some(VFIO_DRIVER)
    }
}

impl Host {
    /// All virtio-net cards, in the order of their addresses.
    pub fn cards(&self) -> Vec<VirtioNetCard> {
        files::names(&self.path("sys/bus/pci/devices"))
            .iter()
            .filter_map(|name| name.parse().ok())
            .filter_map(|address| self.card(address).ok())
            .collect()
    }

    /// The card at `address`.
    ///
    /// # Errors
    ///
    /// [`HostError::NoSuchCard`] if nothing is there, or something that is not virtio-net.
    pub fn card(&self, address: PciAddress) -> Result<VirtioNetCard, HostError> {
        let dir = self.pci_dir(address);
        let id = |file| files::read_number(&dir.join(file));
        match (id("vendor"), id("device")) {
            (Some(VENDOR_VIRTIO), Some(DEVICE_NET_MODERN)) => {
                Ok(self.read_card(address, Generation::Modern))
            }
            (Some(VENDOR_VIRTIO), Some(DEVICE_NET_TRANSITIONAL)) => {
                Ok(self.read_card(address, self.transitional(address)))
            }
            (Some(vendor), Some(device)) => Err(no_card(
                DeviceSpec::Pci(address),
                format!(
                    "the device there is {vendor:04x}:{device:04x}, not virtio-net (1af4:1041 or 1af4:1000)"
                ),
            )),
            _ => Err(no_card(
                DeviceSpec::Pci(address),
                "there is no PCI device at this address".to_owned(),
            )),
        }
    }

    /// The card the user means. Cards that umnet or vfio-pci has taken are found by the name and
    /// MAC address they had before.
    ///
    /// # Errors
    ///
    /// [`HostError::NoSuchCard`]; also for the forms that name no PCI device.
    pub fn find(&self, device: &DeviceSpec) -> Result<VirtioNetCard, HostError> {
        let (known, reason): (&dyn Fn(&DeviceState) -> bool, _) = match device {
            DeviceSpec::Pci(address) => return self.card(*address),
            DeviceSpec::Mac(mac) => {
                if let Some(card) = self.cards().into_iter().find(|c| c.mac == Some(*mac)) {
                    return Ok(card);
                }
                (
                    &|state: &DeviceState| state.mac() == Some(*mac),
                    "no card has this MAC address".to_owned(),
                )
            }
            DeviceSpec::Interface(name) => {
                let named =
                    |card: &VirtioNetCard| card.interfaces.iter().any(|i| i == name.as_str());
                if let Some(card) = self.cards().into_iter().find(named) {
                    return Ok(card);
                }
                (
                    &|state: &DeviceState| state.interface_name() == Some(name.as_str()),
                    self.not_a_card(name.as_str()),
                )
            }
            DeviceSpec::VhostUser(_) | DeviceSpec::InProcess => {
                return Err(no_card(
                    device.clone(),
                    "it is not on the PCI bus".to_owned(),
                ));
            }
        };
        match DeviceState::all(self).into_iter().find(known) {
            Some(state) => self.card(state.device),
            None => Err(no_card(device.clone(), reason)),
        }
    }

    fn not_a_card(&self, name: &str) -> String {
        let dir = self.path("sys/class/net").join(name);
        match files::link_target(&dir.join("device/driver")) {
            Some(driver) => format!("the interface is there, driven by {driver}"),
            None if dir.exists() => {
                "the interface is there, but no PCI card is behind it".to_owned()
            }
            None => "there is no such interface".to_owned(),
        }
    }

    /// The card's folder in sysfs.
    pub(super) fn pci_dir(&self, address: PciAddress) -> PathBuf {
        self.path("sys/bus/pci/devices").join(address.to_string())
    }

    fn read_card(&self, address: PciAddress, generation: Generation) -> VirtioNetCard {
        let dir = self.pci_dir(address);
        let interfaces = self.interfaces_of(address);
        let mac = interfaces.first().and_then(|(_, mac)| *mac);
        let unset = |text: &String| !text.is_empty() && text != "(null)";
        VirtioNetCard {
            address,
            generation,
            driver: files::link_target(&dir.join("driver")),
            driver_override: files::read(&dir.join("driver_override")).filter(unset),
            interfaces: interfaces.into_iter().map(|(name, _)| name).collect(),
            mac,
            iommu_group: self.iommu_group(address),
            irq: files::read_number(&dir.join("irq"))
                .and_then(|irq| u32::try_from(irq).ok())
                .filter(|irq| *irq != 0),
            msi_irqs: files::names(&dir.join("msi_irqs")).len(),
        }
    }

    /// The kernel's interfaces on the card: `virtioN/net/NAME` below it.
    fn interfaces_of(&self, address: PciAddress) -> Vec<(String, Option<MacAddress>)> {
        let dir = self.pci_dir(address);
        let virtio = |name: &String| name.starts_with("virtio");
        let nets = files::names(&dir)
            .into_iter()
            .filter(virtio)
            .map(|name| dir.join(name).join("net"));
        nets.flat_map(|net| {
            files::names(&net).into_iter().map(move |name| {
                let mac = files::read(&net.join(&name).join("address"));
                (name, mac.and_then(|text| text.parse().ok()))
            })
        })
        .collect()
    }

    fn iommu_group(&self, address: PciAddress) -> Option<IommuGroup> {
        let id = files::link_target(&self.pci_dir(address).join("iommu_group"))?
            .parse()
            .ok()?;
        let dir = self.path(format!("sys/kernel/iommu_groups/{id}"));
        let members = files::names(&dir.join("devices"));
        Some(IommuGroup {
            id,
            kind: files::read(&dir.join("type")),
            members: members
                .iter()
                .filter_map(|name| Some(self.group_member(name.parse().ok()?)))
                .collect(),
        })
    }

    fn group_member(&self, address: PciAddress) -> GroupMember {
        let dir = self.pci_dir(address);
        let class = files::read_number(&dir.join("class")).unwrap_or(0) >> 8;
        GroupMember {
            address,
            driver: files::link_target(&dir.join("driver")),
            is_bridge: CLASS_BRIDGES.contains(&class),
        }
    }

    fn transitional(&self, address: PciAddress) -> Generation {
        match fs::read(self.pci_dir(address).join("config")) {
            Ok(config) => generation_of(&config),
            Err(_) => Generation::Unknown,
        }
    }
}

fn no_card(device: DeviceSpec, reason: String) -> HostError {
    HostError::NoSuchCard { device, reason }
}
