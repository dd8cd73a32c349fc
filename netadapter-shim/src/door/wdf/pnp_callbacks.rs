//! `WDF_PNPPOWER_EVENT_CALLBACKS` and how they are called.

use crate::abi::NtStatus;
use crate::door::foreign::Callback;
use crate::door::object::Handle;
use crate::door::types::c_enum;

c_enum! {
    /// `WDF_POWER_DEVICE_STATE`
    PowerDeviceState {
        /// Off, to come back.
        D3 = 4,
        /// Off for good: removal, or a stop that hardware is released for.
        D3_FINAL = 5,
    }
}

pub(crate) type Unused = Option<unsafe extern "C" fn()>;
type StateCallback = Option<Callback<unsafe extern "C" fn(Handle, PowerDeviceState) -> NtStatus>>;
type StatusCallback = Option<Callback<unsafe extern "C" fn(Handle) -> NtStatus>>;
type VoidCallback = Option<Callback<unsafe extern "C" fn(Handle)>>;

/// `WDF_PNPPOWER_EVENT_CALLBACKS`, as the client gave it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PnpCallbacks {
    pub(crate) size: u32,
    pub(crate) d0_entry: StateCallback,
    pub(crate) d0_entry_post_interrupts_enabled: StateCallback,
    pub(crate) d0_exit: StateCallback,
    pub(crate) d0_exit_pre_interrupts_disabled: StateCallback,
    pub(crate) prepare_hardware:
        Option<Callback<unsafe extern "C" fn(Handle, Handle, Handle) -> NtStatus>>,
    pub(crate) release_hardware: Option<Callback<unsafe extern "C" fn(Handle, Handle) -> NtStatus>>,
    pub(crate) self_managed_io_cleanup: VoidCallback,
    pub(crate) self_managed_io_flush: VoidCallback,
    pub(crate) self_managed_io_init: StatusCallback,
    pub(crate) self_managed_io_suspend: StatusCallback,
    pub(crate) self_managed_io_restart: StatusCallback,
    pub(crate) surprise_removal: VoidCallback,
    pub(crate) query_remove: StatusCallback,
    pub(crate) query_stop: StatusCallback,
    pub(crate) usage_notification: Unused,
    pub(crate) relations_query: Unused,
    pub(crate) usage_notification_ex: Unused,
}

/// `NTSTATUS` as a result.
fn result(status: NtStatus) -> Result<(), NtStatus> {
    match status.is_success() {
        true => Ok(()),
        false => Err(status),
    }
}

/// Calls a callback that the client may have left out: then all is well.
macro_rules! call {
    ($callback:expr $(, $argument:expr)*) => {
        match $callback {
            Some(callback) => result(callback.call($($argument),*)),
            None => Ok(()),
        }
    };
}

/// The same for one that returns nothing.
macro_rules! tell {
    ($callback:expr, $device:expr) => {
        if let Some(callback) = $callback {
            callback.call($device)
        }
    };
}

impl PnpCallbacks {
    /// Those that are never called, and whether they were given.
    pub(super) fn of_kernel_mode(&self) -> [(&'static str, bool); 3] {
        [
            (
                "EvtDeviceUsageNotification",
                self.usage_notification.is_some(),
            ),
            ("EvtDeviceRelationsQuery", self.relations_query.is_some()),
            (
                "EvtDeviceUsageNotificationEx",
                self.usage_notification_ex.is_some(),
            ),
        ]
    }

    /// EvtDevicePrepareHardware with the raw and the translated resources.
    ///
    /// # Errors
    /// The client's status; likewise below.
    pub(crate) fn prepare_hardware(
        &self,
        device: Handle,
        raw: Handle,
        translated: Handle,
    ) -> Result<(), NtStatus> {
        call!(self.prepare_hardware, device, raw, translated)
    }

    /// EvtDeviceReleaseHardware with the translated resources.
    pub(crate) fn release_hardware(
        &self,
        device: Handle,
        translated: Handle,
    ) -> Result<(), NtStatus> {
        call!(self.release_hardware, device, translated)
    }

    /// EvtDeviceD0Entry, coming from `previous`.
    pub(crate) fn d0_entry(
        &self,
        device: Handle,
        previous: PowerDeviceState,
    ) -> Result<(), NtStatus> {
        call!(self.d0_entry, device, previous)
    }

    /// EvtDeviceD0EntryPostInterruptsEnabled, coming from `previous`.
    pub(crate) fn d0_entry_post_interrupts_enabled(
        &self,
        device: Handle,
        previous: PowerDeviceState,
    ) -> Result<(), NtStatus> {
        call!(self.d0_entry_post_interrupts_enabled, device, previous)
    }

    /// EvtDeviceD0ExitPreInterruptsDisabled, going to `target`.
    pub(crate) fn d0_exit_pre_interrupts_disabled(
        &self,
        device: Handle,
        target: PowerDeviceState,
    ) -> Result<(), NtStatus> {
        call!(self.d0_exit_pre_interrupts_disabled, device, target)
    }

    /// EvtDeviceD0Exit, going to `target`.
    pub(crate) fn d0_exit(&self, device: Handle, target: PowerDeviceState) -> Result<(), NtStatus> {
        call!(self.d0_exit, device, target)
    }

    /// EvtDeviceSelfManagedIoInit.
    pub(crate) fn self_managed_io_init(&self, device: Handle) -> Result<(), NtStatus> {
        call!(self.self_managed_io_init, device)
    }

    /// EvtDeviceSelfManagedIoSuspend.
    pub(crate) fn self_managed_io_suspend(&self, device: Handle) -> Result<(), NtStatus> {
        call!(self.self_managed_io_suspend, device)
    }

    /// EvtDeviceSelfManagedIoRestart.
    pub(crate) fn self_managed_io_restart(&self, device: Handle) -> Result<(), NtStatus> {
        call!(self.self_managed_io_restart, device)
    }

    /// EvtDeviceSelfManagedIoFlush.
    pub(crate) fn self_managed_io_flush(&self, device: Handle) {
        tell!(self.self_managed_io_flush, device);
    }

    /// EvtDeviceSelfManagedIoCleanup.
    pub(crate) fn self_managed_io_cleanup(&self, device: Handle) {
        tell!(self.self_managed_io_cleanup, device);
    }

    /// EvtDeviceSurpriseRemoval.
    pub(crate) fn surprise_removal(&self, device: Handle) {
        tell!(self.surprise_removal, device);
    }

    /// EvtDeviceQueryRemove: whether the device may be removed.
    pub(crate) fn query_remove(&self, device: Handle) -> Result<(), NtStatus> {
        call!(self.query_remove, device)
    }

    /// EvtDeviceQueryStop: whether the device may be stopped.
    pub(crate) fn query_stop(&self, device: Handle) -> Result<(), NtStatus> {
        call!(self.query_stop, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn the_layout_is_that_of_umdf_2_33() {
        assert_eq!(size_of::<PnpCallbacks>(), 144);
        assert_eq!(offset_of!(PnpCallbacks, prepare_hardware), 40);
        assert_eq!(offset_of!(PnpCallbacks, surprise_removal), 96);
        assert_eq!(offset_of!(PnpCallbacks, usage_notification_ex), 136);
    }

    #[test]
    fn an_absent_callback_succeeds_and_a_present_one_decides() {
        extern "C" fn refuse(_: Handle, previous: PowerDeviceState) -> NtStatus {
            assert_eq!(previous, PowerDeviceState::D3_FINAL);
            NtStatus::UNSUCCESSFUL
        }
        let mut callbacks = PnpCallbacks::default();
        let enter =
            |callbacks: &PnpCallbacks| callbacks.d0_entry(Handle::NULL, PowerDeviceState::D3_FINAL);
        assert_eq!(enter(&callbacks), Ok(()));
        callbacks.d0_entry = Some(Callback::of(refuse));
        assert_eq!(enter(&callbacks), Err(NtStatus::UNSUCCESSFUL));
    }
}
