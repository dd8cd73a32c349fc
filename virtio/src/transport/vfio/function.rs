//! The registers of a PCI function, as one process has them mapped.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::common::CommonConfig;
use super::config_space::{ConfigSpace, bar_regions};
use super::info::RegionInfo;
use super::pci::{Layout, PciFault, Window};
use super::regs::{self, RegisterBlock, Registers};
use super::sys::Device;
use super::{RESET_DEADLINE, RESET_POLL, failure};
use crate::transport::TransportError;

/// What of a virtio device lies in its BARs.
pub(super) struct Function {
    pub(super) name: Arc<str>,
    pub(super) layout: Layout,
    pub(super) common: CommonConfig,
    pub(super) notify: Arc<dyn Registers>,
    pub(super) config: Option<RegisterBlock>,
}

impl Function {
    /// Reads where the device has its structures, checks that, and maps them.
    pub(super) fn open(
        name: &Arc<str>,
        device: &Arc<Device>,
        space: &ConfigSpace,
    ) -> Result<Self, TransportError> {
        let bars = bar_regions(device).map_err(failure(name, "asking for the BARs"))?;
        let layout = read_layout(name, space, &bars)?;
        let open = |window: Window| {
            let region = &bars[usize::from(window.bar)];
            regs::open(device, region, window, &layout.msix)
        };
        let block = |structure, window| RegisterBlock::new(name, structure, open(window));
        Ok(Self {
            common: CommonConfig::new(block("common", layout.common)),
            notify: open(layout.notify),
            config: layout.device.map(|window| block("config", window)),
            name: Arc::clone(name),
            layout,
        })
    }

    /// Whether reaching any register takes no system call.
    pub(super) fn is_mapped(&self) -> bool {
        let config = self.config.as_ref();
        self.common.is_mapped()
            && self.notify.is_mapped()
            && config.is_none_or(RegisterBlock::is_mapped)
    }

    /// Status 0, and the device's word for it within [`RESET_DEADLINE`].
    pub(super) fn reset(&self) -> Result<(), TransportError> {
        self.common.write_status(0)?;
        let start = Instant::now();
        while self.common.read_status()? != 0 {
            if start.elapsed() > RESET_DEADLINE {
                let reason = format!("its reset is not done after {RESET_DEADLINE:?}");
                return Err(self.common.unusable(reason));
            }
            std::thread::sleep(RESET_POLL);
        }
        Ok(())
    }

    pub(super) fn failed(
        &self,
        operation: &str,
    ) -> impl FnOnce(io::Error) -> TransportError + use<> {
        failure(&self.name, operation)
    }
}

fn read_layout(
    name: &str,
    space: &ConfigSpace,
    bars: &[RegionInfo],
) -> Result<Layout, TransportError> {
    let copy = space
        .read()
        .map_err(failure(name, "reading configuration space"))?;
    let bar_len = bars.iter().map(|bar| bar.size).collect::<Vec<u64>>();
    let device = name.to_owned();
    let layout = Layout::parse(&copy, &bar_len).map_err(|fault| match fault {
        PciFault::Absent => TransportError::Gone { device },
        fault => TransportError::Unusable {
            device,
            reason: fault.to_string(),
        },
    })?;
    log::debug!("{name}: {layout:x?}");
    Ok(layout)
}
