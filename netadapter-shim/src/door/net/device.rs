//! What the device's PnP and power sequence asks of NetAdapterCx.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::adapter::{self, AdapterObject};
use crate::abi::NtStatus;
use crate::door::numbers::{Number, Numbers};
use crate::door::object::{self, Handle, Kind};

/// Devices that were seen here.
static DEVICES: LazyLock<Mutex<HashMap<Handle, Device>>> = LazyLock::new(Mutex::default);
static NUMBERS: Numbers = Numbers::new();

struct Device {
    number: Number,
    powered: bool,
}

fn devices() -> MutexGuard<'static, HashMap<Handle, Device>> {
    DEVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The device's entry, made at first sight.
fn with<T>(device: Handle, use_it: impl FnOnce(&mut Device) -> T) -> T {
    let mut all = devices();
    all.retain(|known, _| *known == device || object::kind(*known).is_some());
    let new = || Device {
        number: NUMBERS.claim(),
        powered: false,
    };
    use_it(all.entry(device).or_insert_with(new))
}

/// Devices are numbered from 0 in the order in which they were first seen here; the number of one
/// that is gone is free.
pub(super) fn number(device: Handle) -> usize {
    with(device, |device| device.number.get())
}

/// Whether [`io_start`] was the last that was heard.
pub(super) fn is_powered(device: Handle) -> bool {
    with(device, |device| device.powered)
}

fn set_powered(device: Handle, powered: bool) {
    with(device, |device| device.powered = powered);
}

fn adapters(device: Handle) -> impl Iterator<Item = Arc<AdapterObject>> {
    let handles = object::children(device, Kind::Adapter).into_iter();
    handles.filter_map(|handle| object::payload(handle, Kind::Adapter).ok())
}

/// After interrupts were enabled: queues of all started adapters are created
/// and polled. Nothing runs any more if one fails.
///
/// # Errors
/// The client's status, or the core's.
pub(crate) fn io_start(device: Handle) -> Result<(), NtStatus> {
    set_powered(device, true);
    let mut started = adapters(device).map(|adapter| adapter::io_start(&adapter));
    let failed = started.find_map(Result::err);
    match failed {
        None => Ok(()),
        Some(status) => {
            io_stop(device);
            Err(status)
        }
    }
}

/// Before interrupts are disabled: queues are cancelled, drained, stopped and
/// deleted.
pub(crate) fn io_stop(device: Handle) {
    set_powered(device, false);
    adapters(device).for_each(|adapter| adapter::io_stop(&adapter));
}

/// Before `EvtDeviceReleaseHardware`: NetAdapterStop on behalf of the client.
pub(crate) fn stop_adapters(device: Handle) {
    adapters(device).for_each(|adapter| adapter::stop(&adapter));
}

/// Before the client's `EvtDeviceSurpriseRemoval`: adapters cannot be started
/// any more.
pub(crate) fn surprise_remove(device: Handle) {
    adapters(device).for_each(|adapter| adapter.set_removed());
}
