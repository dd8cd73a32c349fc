//! What a run has of its device before anybody drives it: the card away from the kernel, or a lock; and back.

use log::{error, info, warn};

use super::RunError;
use super::holding::Holding;
use crate::config::RunConfig;
use crate::host::DeviceSpec;
use crate::host::binding::{Binding, Released, Restore, TakeOptions};
use crate::host::state::{DeviceLock, Purpose};

/// `resumed`: its files are open already, and not only here if a service manager keeps them too.
pub(super) fn bind(config: &RunConfig, resumed: bool) -> Result<Option<Binding>, RunError> {
    match &config.device {
        DeviceSpec::InProcess | DeviceSpec::VhostUser(_) => Ok(None),
        device => {
            let card = config.host.find(device)?;
            let options = TakeOptions {
                force: config.force,
                purpose: Purpose::Run,
                resumed,
            };
            Ok(Some(Binding::take(&config.host, &card, options)?))
        }
    }
}

/// Opens the device, and takes the lock of one that no [`Binding`] holds.
pub(super) fn hold(
    config: &RunConfig,
    binding: Option<&Binding>,
) -> Result<(Holding, Option<DeviceLock>), RunError> {
    if let Some(binding) = binding {
        let holding = Holding::vfio(&binding.card().to_string())?;
        if !binding.has_interrupt_remapping() {
            warn!(
                "{}: NO INTERRUPT REMAPPING: whoever controls the device can raise any interrupt",
                holding.name()
            );
        }
        return Ok((holding, None));
    }
    let stem = config.device.file_stem();
    match &config.device {
        DeviceSpec::VhostUser(socket) => {
            let lock = DeviceLock::acquire(&config.host, &stem)?;
            let holding = Holding::BackEnd {
                name: config.device.to_string(),
                socket: socket.clone(),
                mac: config.mac.map(|mac| mac.0),
            };
            Ok((holding, Some(lock)))
        }
        _ => {
            let lock = DeviceLock::acquire_own(&config.host, &stem)?;
            let name = lock.device().to_owned();
            Ok((Holding::InProcess { name }, Some(lock)))
        }
    }
}

pub(super) fn release(binding: Option<Binding>, restore: Restore) {
    let Some(binding) = binding else { return };
    let card = binding.card();
    match binding.release(restore) {
        Ok(Some(Released {
            driver, interface, ..
        })) => info!(
            "{card}: back with {}, interface {}",
            driver.as_deref().unwrap_or("no driver"),
            interface.as_deref().unwrap_or("none")
        ),
        Ok(None) => info!("{card}: stays with vfio-pci, as it was"),
        Err(error) => {
            error!("{card}: cannot be given back: {error}; next: umnet release {card}");
        }
    }
}

pub(super) fn forget(binding: Binding) {
    let card = binding.card();
    match binding.forget() {
        Ok(()) => info!("{card}: unplugged"),
        Err(error) => error!("{card}: unplugged, but {error}"),
    }
}
