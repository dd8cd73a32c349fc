//! One device's callbacks: the client's, and what the framework does between them.

use std::sync::Arc;

use super::{Call, Calls, Low};
use crate::abi::NtStatus;
use crate::door::net;
use crate::door::object::{self, Handle, Kind};
use crate::door::watchdog::Watchdog;
use crate::door::wdf::device::{self, Device, FailedAction, FailedHook, PnpState, PowerState};
use crate::door::wdf::io_queue::power;
use crate::door::wdf::pnp_callbacks::PowerDeviceState;

/// Calls a device's client, under watch.
pub(crate) struct DeviceCalls {
    handle: Handle,
    device: Arc<Device>,
    watchdog: Arc<Watchdog>,
}

impl DeviceCalls {
    /// # Errors
    /// The handle is no device's.
    pub(crate) fn new(handle: Handle, watchdog: Arc<Watchdog>) -> Result<Self, NtStatus> {
        let device = object::payload::<Device>(handle, Kind::Device);
        Ok(Self {
            handle,
            device: device.map_err(|_| NtStatus::INVALID_HANDLE)?,
            watchdog,
        })
    }

    /// The device.
    pub(crate) fn handle(&self) -> Handle {
        self.handle
    }

    /// Has `hook` called when the client gives the device up.
    pub(crate) fn on_failed(&self, hook: FailedHook) {
        self.device.on_failed(hook);
    }

    /// What the client gave the device up with, if it has.
    pub(crate) fn failed(&self) -> Option<FailedAction> {
        self.device.failed()
    }

    /// Whether the client has made an I/O queue for the device.
    pub(crate) fn has_io_queue(&self) -> bool {
        !object::children(self.handle, Kind::IoQueue).is_empty()
    }

    fn client(&self, call: Call, low: Low) -> Result<(), NtStatus> {
        let (pnp, device) = (self.device.pnp(), self.handle);
        let state = match low {
            Low::Sleep => PowerDeviceState::D3,
            Low::Stop | Low::Final => PowerDeviceState::D3_FINAL,
        };
        match call {
            // A client without a device on a bus has no resources.
            Call::PrepareHardware => {
                let (raw, translated) = device::resources(device);
                pnp.prepare_hardware(device, raw, translated)
            }
            Call::D0Entry => pnp.d0_entry(device, state),
            Call::PostInterruptsEnabled => pnp.d0_entry_post_interrupts_enabled(device, state),
            Call::SelfManagedIoInit => pnp.self_managed_io_init(device),
            Call::SelfManagedIoRestart => pnp.self_managed_io_restart(device),
            Call::SelfManagedIoSuspend => pnp.self_managed_io_suspend(device),
            Call::PreInterruptsDisabled => pnp.d0_exit_pre_interrupts_disabled(device, state),
            Call::D0Exit => pnp.d0_exit(device, state),
            Call::ReleaseHardware => pnp.release_hardware(device, device::resources(device).1),
            Call::SelfManagedIoFlush => told(|| pnp.self_managed_io_flush(device)),
            Call::SelfManagedIoCleanup => told(|| pnp.self_managed_io_cleanup(device)),
            Call::SurpriseRemoval => told(|| pnp.surprise_removal(device)),
            Call::QueryStop => pnp.query_stop(device),
            Call::QueryRemove => pnp.query_remove(device),
            // Without a device on a bus there is no interrupt to enable.
            Call::InterruptEnable | Call::InterruptDisable => Ok(()),
            Call::IoStart => {
                net::device::io_start(device)?;
                told(|| power::power_up(device))
            }
            Call::IoStop => told(|| {
                power::power_down(device, low == Low::Final);
                net::device::io_stop(device);
            }),
            Call::AdapterStop => told(|| net::device::stop_adapters(device)),
        }
    }

    /// What the client sees of the state while the call is under way, or before it.
    fn show(&self, call: Call, low: Low) {
        let down = match low {
            Low::Sleep => (PnpState::STARTED, PowerState::DX),
            Low::Stop => (PnpState::STARTED, PowerState::STOPPED),
            Low::Final => (PnpState::STARTED, PowerState::FINAL),
        };
        let (pnp, power) = match call {
            Call::PrepareHardware => (PnpState::HARDWARE_AVAILABLE, PowerState::OBJECT_CREATED),
            Call::D0Entry => (PnpState::HARDWARE_AVAILABLE, PowerState::D0_STARTING),
            Call::IoStart => (PnpState::STARTED, PowerState::D0),
            Call::D0Exit => down,
            Call::SurpriseRemoval if self.device.failed().is_some() => {
                (PnpState::FAILED, PowerState::D0)
            }
            Call::SurpriseRemoval => (PnpState::SURPRISE_REMOVE, PowerState::D0),
            Call::ReleaseHardware if low == Low::Stop => (PnpState::STOPPED, PowerState::STOPPED),
            Call::ReleaseHardware => (PnpState::REMOVED, PowerState::FINAL),
            _ => return,
        };
        self.device.set_states(pnp, power);
    }
}

/// Whether a call is part of the way to D0, or from it; on it, power lists are open.
fn is_transition(call: Call) -> Option<bool> {
    match call {
        Call::D0Entry | Call::PostInterruptsEnabled => Some(true),
        Call::PreInterruptsDisabled | Call::D0Exit => Some(false),
        _ => None,
    }
}

fn told(call: impl FnOnce()) -> Result<(), NtStatus> {
    call();
    Ok(())
}

impl Calls for DeviceCalls {
    fn call(&self, call: Call, low: Low) -> Result<(), NtStatus> {
        log::debug!("{}: {call}", self.handle);
        self.show(call, low);
        if call == Call::SurpriseRemoval {
            net::device::surprise_remove(self.handle);
            net::device::io_stop(self.handle);
        }
        let call_client = || self.watchdog.watch(call.name(), || self.client(call, low));
        match is_transition(call) {
            Some(up) => {
                let waking = up && low == Low::Sleep;
                net::power::in_transition(self.handle, waking, call_client)
            }
            None => call_client(),
        }
    }
}
