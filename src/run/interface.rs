//! The interface that a run gives: made, dressed in what the old one had, and watched.

use std::thread::sleep;
use std::time::{Duration, Instant};

use log::warn;
use netadapter_shim::os::tap::{Tap, TapConfig, TapError};

use super::RunError;
use crate::card::MAX_QUEUE_PAIRS;
use crate::channel::Report;
use crate::config::RunConfig;
use crate::host::binding::Binding;
use crate::host::interface::{Interfaces, Link};
use crate::host::{DeviceSpec, IfName, MacAddress};

/// How long the driver host of a supervisor that was killed may take to be gone.
const HOST_IS_DYING: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The way to the system.
pub(super) struct Port {
    pub(super) tap: Tap,
    pub(super) name: IfName,
    /// An earlier run has left the interface, with addresses of its own: it stays as it is.
    pub(super) kept: bool,
}

impl Port {
    pub(super) fn open(config: &RunConfig, binding: Option<&Binding>) -> Result<Self, TapError> {
        let name = interface_name(config, binding);
        let kept = config.host.has_interface(&name);
        let tap = TapConfig {
            attach: config.keep_interface,
            queues: queues(config),
            ..TapConfig::new(name.as_str())
        };
        let mut tap = match config.keep_interface {
            true => open_once_free(&tap)?,
            false => Tap::open(&tap)?,
        };
        if config.keep_interface {
            tap.set_persistent(true)?;
        }
        Ok(Self { tap, name, kept })
    }
}

/// A driver host dies with its supervisor, but not at once: for a moment it still has the interface.
fn open_once_free(config: &TapConfig) -> Result<Tap, TapError> {
    let deadline = Instant::now() + HOST_IS_DYING;
    loop {
        match Tap::open(config) {
            Err(TapError::Busy { .. }) if Instant::now() < deadline => sleep(LOOK_AGAIN),
            opened => return opened,
        }
    }
}

/// As many as were asked for; else for a card one for each processor, of which those are used that
/// it has pairs for. A back end may say that it has pairs which nobody there serves, and a device in
/// the host's own process has one thread whatever it is given: of such, one is used unasked.
fn queues(config: &RunConfig) -> usize {
    let unasked = || match config.device {
        DeviceSpec::VhostUser(_) | DeviceSpec::InProcess => 1,
        _ => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let wish = config.queues.map_or_else(unasked, usize::from);
    wish.clamp(1, MAX_QUEUE_PAIRS.into())
}

/// The name asked for, the old interface's, or a free one.
fn interface_name(config: &RunConfig, binding: Option<&Binding>) -> IfName {
    let asked = config.ifname.clone();
    let adopted = || Some(binding.and_then(Binding::interface)?.name.clone());
    asked.or_else(adopted).unwrap_or_else(|| free_name(config))
}

/// The first of `umnet0`, `umnet1` .. that no interface has.
fn free_name(config: &RunConfig) -> IfName {
    let names = (0u32..).filter_map(|n| format!("umnet{n}").parse::<IfName>().ok());
    names
        .into_iter()
        .find(|name| !config.host.has_interface(name))
        .unwrap_or_else(|| unreachable!("names do not run out"))
}

pub(super) fn find(interfaces: &mut Interfaces, name: &IfName) -> Result<Link, RunError> {
    interfaces.find(name.as_str())?.ok_or_else(missing)
}

/// The same by its index, which stays when it is renamed.
pub(super) fn look_at(index: u32) -> Result<Link, RunError> {
    Interfaces::open()?.get(index)?.ok_or_else(missing)
}

fn missing() -> RunError {
    RunError::Events {
        action: "find the interface just made",
        source: std::io::ErrorKind::NotFound.into(),
    }
}

/// Gives the new interface what the old one had, or what the device says.
pub(super) fn dress(
    config: &RunConfig,
    report: &Report,
    binding: Option<&Binding>,
    name: &IfName,
) -> Result<(), RunError> {
    let mut interfaces = Interfaces::open()?;
    let link = find(&mut interfaces, name)?;
    if let Some(mac) = report.mac {
        interfaces.set_mac(link.index, MacAddress(mac))?;
    }
    let mtu = config.mtu.unwrap_or(report.device_mtu);
    interfaces.set_mtu(link.index, mtu.into())?;
    match binding
        .filter(|_| config.adopt)
        .and_then(Binding::interface)
    {
        Some(snapshot) => {
            interfaces.apply_as(link.index, name, snapshot)?;
            if let Some(mtu) = config.mtu {
                interfaces.set_mtu(link.index, mtu.into())?;
            }
        }
        None => interfaces.set_up(link.index, true)?,
    }
    Ok(())
}

/// Removes an interface that was made to stay, for a run that did not come about.
pub(super) fn discard(name: &IfName) {
    let removed =
        Interfaces::open().and_then(|mut interfaces| match interfaces.find(name.as_str())? {
            Some(link) => interfaces.delete(link.index),
            None => Ok(()),
        });
    if let Err(error) = removed {
        warn!("{name} stays behind: {error}");
    }
}
