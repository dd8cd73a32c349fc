//! The walk through a device's capabilities by itself: for tools that have a copy of a
//! configuration space and no device.

use std::ops::Range;

use super::pci::{BAR_COUNT, Layout, Window};
use super::regs::Width;

/// A piece of a BAR: its number, and which bytes.
pub type BarRange = (u8, Range<u64>);

/// Where a device says that its structures lie, checked (§ *Virtio Structure PCI Capabilities*).
#[derive(Clone, Debug)]
pub struct Capabilities(Layout);

impl Capabilities {
    /// Reads them from `config`, a copy of the configuration space; `bar_len` are the sizes of
    /// the BARs, 0 for none.
    ///
    /// # Errors
    /// Why the device cannot be driven.
    pub fn parse(config: &[u8], bar_len: &[u64; BAR_COUNT]) -> Result<Self, String> {
        Layout::parse(config, bar_len)
            .map(Self)
            .map_err(|fault| fault.to_string())
    }

    /// Common configuration, and device configuration if there is one.
    pub fn structures(&self) -> Vec<BarRange> {
        let common = std::iter::once(self.0.common);
        common.chain(self.0.device).map(range).collect()
    }

    /// The MSI-X table and pending bits, wherever the device says they are.
    pub fn msix(&self) -> Vec<BarRange> {
        self.0.msix.iter().copied().map(range).collect()
    }

    /// The doorbells.
    pub fn notify(&self) -> BarRange {
        range(self.0.notify)
    }

    /// What is written to ring the doorbell with this `queue_notify_off`, from the start of
    /// [`Capabilities::notify`]; `None` if that must not be written.
    pub fn doorbell(&self, queue_notify_off: u16) -> Option<usize> {
        self.0.doorbell(queue_notify_off, Width::U16).ok()
    }
}

fn range(window: Window) -> BarRange {
    (window.bar, window.offset..window.end())
}
