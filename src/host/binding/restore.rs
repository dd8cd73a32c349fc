//! The interface's half of giving a card back.

use std::time::Duration;

use super::{DEADLINE, Restore};
use crate::host::interface::{InterfaceSnapshot, Interfaces};
use crate::host::{Host, HostError, PciAddress, files};

/// How long udev may take to give a new interface its name.
const UDEV_DEADLINE: Duration = Duration::from_secs(2);

/// Waits for the kernel's interface and makes it what it was. Returns its name.
pub(super) fn restore_interface(
    host: &Host,
    card: PciAddress,
    snapshot: &InterfaceSnapshot,
    restore: Restore,
) -> Result<(Option<String>, usize), HostError> {
    let what = format!("the kernel's interface on {card}");
    let present = || host.card(card).ok()?.interface().map(str::to_owned);
    let mut current = files::wait_for(&what, DEADLINE, present)?;
    if restore == Restore::DriverOnly {
        return Ok((Some(current), 0));
    }
    let wanted = snapshot.name.as_str();
    if current != wanted && host.path("run/udev/control").exists() {
        // udev may be about to give the same name; whoever comes second would fail.
        let named = || present().filter(|name| name == wanted);
        current = files::wait_for(&what, UDEV_DEADLINE, named)
            .or_else(|_| files::wait_for(&what, DEADLINE, present))?;
    }
    let mut interfaces = Interfaces::open()?;
    let Some(link) = interfaces.find(&current)? else {
        log::warn!("{card}: interface {current} is in another network namespace");
        return Ok((Some(current), 0));
    };
    if current != wanted && interfaces.find(wanted)?.is_some() {
        log::warn!(
            "{card}: the name {wanted} is taken; its interface stays {current}, without its old \
             addresses (sudo ip link del {wanted}, then rename it)"
        );
        return Ok((Some(current), 0));
    }
    let refused = interfaces.apply(link.index, snapshot)?;
    Ok((Some(wanted.to_owned()), refused))
}
