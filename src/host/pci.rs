//! virtio-net cards on the PCI bus, found in sysfs (virtio 1.2 §4.1.2).
//!
//! Reads only. What may be done with a card is judged in [`super::obstacle`].

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use super::state::DeviceState;
use super::{DeviceSpec, Host, HostError, MacAddress, PciAddress, files};

const VENDOR_VIRTIO: u64 = 0x1af4;
/// Virtio device type 1 as a modern device: 0x1040 + 1.
const DEVICE_NET_MODERN: u64 = 0x1041;
/// Network card with the transitional numbering.
const DEVICE_NET_TRANSITIONAL: u64 = 0x1000;
/// Base class and subclass of PCI-to-PCI and host bridges, as sysfs `class` >> 8.
const CLASS_BRIDGES: [u64; 2] = [0x0600, 0x0604];

/// The driver that hands a PCI device to user mode.
pub const VFIO_DRIVER: &str = "vfio-pci";

/// Which interfaces of the spec the card offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// Modern device id: virtio 1.0 and later only.
    Modern,
    /// Transitional id with the modern capabilities beside the legacy interface.
    Transitional,
    /// Transitional id without modern capabilities; nothing umnet can drive.
    Legacy,
    /// Transitional id whose capabilities only root may read.
    Unknown,
}

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

/// Bytes of configuration space everybody may read.
const PUBLIC_CONFIG: usize = 64;

/// Looks for the modern common configuration among the capabilities of a card with the
/// transitional id (virtio 1.2 §4.1.4).
fn generation_of(config: &[u8]) -> Generation {
    const STATUS: usize = 0x06;
    const STATUS_CAPABILITIES: u8 = 0x10;
    const CAPABILITIES: usize = 0x34;
    const CAP_VENDOR: u8 = 0x09;
    const CFG_TYPE_COMMON: u8 = 1;

    if config
        .get(STATUS)
        .is_none_or(|status| status & STATUS_CAPABILITIES == 0)
    {
        return Generation::Legacy;
    }
    let mut next = config.get(CAPABILITIES).copied().unwrap_or(0);
    // A list longer than the space it lives in runs in a circle.
    for _ in 0..PUBLIC_CONFIG {
        let at = usize::from(next & !3);
        if at == 0 {
            return Generation::Legacy;
        }
        let Some(&[id, following, _, cfg_type]) = config.get(at..at + 4) else {
            return Generation::Unknown;
        };
        if id == CAP_VENDOR && cfg_type == CFG_TYPE_COMMON {
            return Generation::Transitional;
        }
        next = following;
    }
    Generation::Legacy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(capabilities: &[(u8, [u8; 4])]) -> Vec<u8> {
        let mut config = vec![0; 256];
        config[0x06] = 0x10;
        config[0x34] = capabilities.first().map_or(0, |(at, _)| *at);
        for (at, bytes) in capabilities {
            config[usize::from(*at)..][..4].copy_from_slice(bytes);
        }
        config
    }

    #[test]
    fn a_common_configuration_behind_other_capabilities_is_found() {
        let space = config(&[(0x98, [0x11, 0x84, 3, 0]), (0x84, [0x09, 0, 16, 1])]);
        assert_eq!(generation_of(&space), Generation::Transitional);
    }

    #[test]
    fn no_common_configuration_means_legacy() {
        assert_eq!(
            generation_of(&config(&[(0x98, [0x11, 0, 3, 0])])),
            Generation::Legacy
        );
        assert_eq!(generation_of(&[0; 256]), Generation::Legacy);
    }

    #[test]
    fn a_circle_of_capabilities_ends() {
        assert_eq!(
            generation_of(&config(&[(0x40, [0x11, 0x40, 0, 0])])),
            Generation::Legacy
        );
    }

    #[test]
    fn capabilities_beyond_what_may_be_read_are_unknown() {
        let mut space = config(&[(0x98, [0x09, 0, 16, 1])]);
        space.truncate(PUBLIC_CONFIG);
        assert_eq!(generation_of(&space), Generation::Unknown);
    }
}
