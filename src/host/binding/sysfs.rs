//! The four words sysfs understands about drivers.

use super::DEADLINE;
use crate::host::{Host, HostError, PciAddress, files};

impl Host {
    pub(super) fn driver_of(&self, card: PciAddress) -> Option<String> {
        files::link_target(&self.pci_dir(card).join("driver"))
    }

    /// Says which driver alone may have the card; with an empty name, any that fits.
    pub(super) fn reserve(&self, card: PciAddress, driver: &str) -> Result<(), HostError> {
        let file = self.pci_dir(card).join("driver_override");
        files::write(&file, &format!("{driver}\n"), DEADLINE)
    }

    pub(super) fn unbind(&self, card: PciAddress) -> Result<(), HostError> {
        let file = self.pci_dir(card).join("driver/unbind");
        files::write(&file, &card.to_string(), DEADLINE)
    }

    pub(super) fn probe(&self, card: PciAddress) -> Result<(), HostError> {
        let file = self.path("sys/bus/pci/drivers_probe");
        files::write(&file, &card.to_string(), DEADLINE)
    }

    /// Gives the card to `driver`: lets the kernel choose first, as it did at boot.
    pub(super) fn bind(&self, card: PciAddress, driver: &str) -> Result<(), HostError> {
        self.probe(card)?;
        if self.driver_of(card).is_none() {
            let file = self.path("sys/bus/pci/drivers").join(driver).join("bind");
            files::write(&file, &card.to_string(), DEADLINE)?;
        }
        files::wait_for(&format!("{driver} to take {card}"), DEADLINE, || {
            self.driver_of(card).filter(|present| present == driver)
        })
        .map(drop)
    }
}
