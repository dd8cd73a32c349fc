//! PCI configuration space, through VFIO: read once, and the command register.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use vfio_bindings::bindings::vfio::{VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX};

use super::info::RegionInfo;
use super::pci::{BAR_COUNT, CONFIG_LEN, header};
use super::sys::Device;

/// The configuration space of a device, as VFIO shows it.
pub(super) struct ConfigSpace {
    device: Arc<Device>,
    offset: u64,
}

impl ConfigSpace {
    pub(super) fn open(device: &Arc<Device>) -> io::Result<Self> {
        let region = device.region_info(VFIO_PCI_CONFIG_REGION_INDEX)?;
        Ok(Self::at(device, region.offset))
    }

    pub(super) fn at(device: &Arc<Device>, offset: u64) -> Self {
        Self {
            device: Arc::clone(device),
            offset,
        }
    }

    /// A private copy of the part that holds capabilities.
    pub(super) fn read(&self) -> io::Result<[u8; CONFIG_LEN]> {
        let mut copy = [0; CONFIG_LEN];
        self.device.file().read_exact_at(&mut copy, self.offset)?;
        Ok(copy)
    }

    /// Lets the device answer at its BARs and reach memory. VFIO opens it with the latter off.
    pub(super) fn enable(&self) -> io::Result<()> {
        self.update_command(header::COMMAND_MEMORY | header::COMMAND_MASTER, 0)
    }

    /// Keeps the device from reaching memory; its BARs stay, because they may still be mapped.
    pub(super) fn disable_bus_mastering(&self) -> io::Result<()> {
        self.update_command(0, header::COMMAND_MASTER)
    }

    fn update_command(&self, set: u16, clear: u16) -> io::Result<()> {
        let at = self.offset + header::COMMAND as u64;
        let mut command = [0; 2];
        self.device.file().read_exact_at(&mut command, at)?;
        let updated = (u16::from_le_bytes(command) | set) & !clear;
        self.device.file().write_all_at(&updated.to_le_bytes(), at)
    }
}

/// What the kernel says of each BAR; one that does not exist has no bytes.
pub(super) fn bar_regions(device: &Device) -> io::Result<[RegionInfo; BAR_COUNT]> {
    let mut bars: [RegionInfo; BAR_COUNT] = Default::default();
    for (index, bar) in (VFIO_PCI_BAR0_REGION_INDEX..).zip(&mut bars) {
        *bar = device.region_info(index)?;
    }
    Ok(bars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::DmaRegion;

    const AT: u64 = 0x100;

    /// A file that stands in for the device's, with configuration space at [`AT`].
    fn device() -> Arc<Device> {
        let file = DmaRegion::new(4096).unwrap().file().try_clone().unwrap();
        file.write_all_at(&[0xf4, 0x1a, 0x41, 0x10, 0x01, 0x04], AT)
            .unwrap();
        Arc::new(Device::new(file.into()))
    }

    #[test]
    fn only_the_asked_bits_of_the_command_register_change() {
        let device = device();
        let config = ConfigSpace::at(&device, AT);
        config.enable().unwrap();
        assert_eq!(config.read().unwrap()[4..6], [0x07, 0x04]);
        config.disable_bus_mastering().unwrap();
        assert_eq!(config.read().unwrap()[4..6], [0x03, 0x04]);
        assert_eq!(config.read().unwrap()[..4], [0xf4, 0x1a, 0x41, 0x10]);
    }

    #[test]
    fn a_configuration_space_that_ends_early_is_an_error() {
        assert!(ConfigSpace::at(&device(), 4000).read().is_err());
    }
}
