//! What a client says about its device's power, and what it may ask.
//!
//! A device here has power as long as its host runs it: idle and wake
//! settings are checked and taken, and nothing follows from them.

#![allow(unsafe_code)] // reads the client's structures
#![allow(non_snake_case)] // C's names

use super::create::{Globals, read, read_or_breach, status};
use super::device;
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{Sized32, store};
use crate::door::object::Handle;
use crate::door::table::{Functions, entries};
use crate::door::types::Boolean;

pub(crate) const FUNCTIONS: Functions = entries![
    WdfDeviceAssignS0IdleSettings,
    WdfDeviceAssignSxWakeSettings,
    WdfDeviceStopIdleNoTrack,
    WdfDeviceResumeIdleNoTrack,
    WdfDeviceSetPnpCapabilities,
    WdfDeviceSetPowerCapabilities,
    WdfDeviceGetDeviceState,
    WdfDeviceSetDeviceState,
    WdfDeviceSetStaticStopRemove,
    WdfDeviceSetAlignmentRequirement,
    WdfDeviceGetAlignmentRequirement,
];

/// A structure of `Size` and `N` further words, whose values are not used.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<const N: usize> {
    size: u32,
    words: [u32; N],
}

// SAFETY: integers in C's order.
unsafe impl<const N: usize> Sized32 for Words<N> {}

/// `WDF_DEVICE_POWER_POLICY_IDLE_SETTINGS`
pub(super) type IdleSettings = Words<8>;
/// `WDF_DEVICE_POWER_POLICY_WAKE_SETTINGS`
pub(super) type WakeSettings = Words<4>;
/// `WDF_DEVICE_PNP_CAPABILITIES`
pub(super) type PnpCapabilities = Words<11>;
/// `WDF_DEVICE_POWER_CAPABILITIES`
pub(super) type PowerCapabilities = Words<19>;
/// `WDF_DEVICE_STATE`: seven of `WDF_TRI_STATE`.
pub(super) type DeviceState = Words<7>;

/// IdleCannotWakeFromS0 ... IdleUsbSelectiveSuspend.
const IDLE_CAPS: std::ops::RangeInclusive<u32> = 1..=3;
/// `WdfUseDefault`
const USE_DEFAULT: u32 = 2;

unsafe extern "C" fn WdfDeviceAssignS0IdleSettings(
    _: Globals,
    device: Handle,
    settings: *const IdleSettings,
) -> NtStatus {
    let call = "WdfDeviceAssignS0IdleSettings";
    status((|| {
        device::checked(call, device)?;
        // SAFETY: the client's structure, or NULL.
        let settings = unsafe { read(call, "Settings", settings) }?;
        match IDLE_CAPS.contains(&settings.words[0]) {
            true => Ok(()),
            false => Err(NtStatus::INVALID_PARAMETER),
        }
    })())
}

unsafe extern "C" fn WdfDeviceAssignSxWakeSettings(
    _: Globals,
    device: Handle,
    settings: *const WakeSettings,
) -> NtStatus {
    let call = "WdfDeviceAssignSxWakeSettings";
    status((|| {
        device::checked(call, device)?;
        // SAFETY: the client's structure, or NULL.
        unsafe { read(call, "Settings", settings) }.map(drop)
    })())
}

/// The device has power already.
extern "C" fn WdfDeviceStopIdleNoTrack(_: Globals, device: Handle, _wait: Boolean) -> NtStatus {
    let known = device::checked("WdfDeviceStopIdle", device);
    status(known.map(drop))
}

extern "C" fn WdfDeviceResumeIdleNoTrack(_: Globals, device: Handle) {
    let _ = device::checked("WdfDeviceResumeIdle", device);
}

unsafe extern "C" fn WdfDeviceSetPnpCapabilities(
    _: Globals,
    device: Handle,
    capabilities: *const PnpCapabilities,
) {
    let call = "WdfDeviceSetPnpCapabilities";
    if device::checked(call, device).is_ok() {
        // SAFETY: the client's structure, or NULL.
        let _ = unsafe { read_or_breach(call, "PnpCapabilities", capabilities) };
    }
}

unsafe extern "C" fn WdfDeviceSetPowerCapabilities(
    _: Globals,
    device: Handle,
    capabilities: *const PowerCapabilities,
) {
    let call = "WdfDeviceSetPowerCapabilities";
    if device::checked(call, device).is_ok() {
        // SAFETY: the client's structure, or NULL.
        let _ = unsafe { read_or_breach(call, "PowerCapabilities", capabilities) };
    }
}

unsafe extern "C" fn WdfDeviceGetDeviceState(_: Globals, device: Handle, place: *mut DeviceState) {
    let call = "WdfDeviceGetDeviceState";
    // SAFETY: the client's structure, or NULL.
    let given = unsafe { read_or_breach(call, "DeviceState", place) };
    let (Ok(found), Some(given)) = (device::checked(call, device), given) else {
        return;
    };
    let words = found.state().reported.unwrap_or([USE_DEFAULT; 7]);
    let answer = DeviceState { words, ..given };
    // SAFETY: not NULL, and of that size.
    unsafe { store(place, answer) };
}

unsafe extern "C" fn WdfDeviceSetDeviceState(
    _: Globals,
    device: Handle,
    given: *const DeviceState,
) {
    let call = "WdfDeviceSetDeviceState";
    // SAFETY: the client's structure, or NULL.
    let given = unsafe { read_or_breach(call, "DeviceState", given) };
    let (Ok(found), Some(given)) = (device::checked(call, device), given) else {
        return;
    };
    if given.words.iter().any(|word| *word > USE_DEFAULT) {
        let text = format_args!("{call}: a WDF_TRI_STATE is out of range");
        return breach(WdfFault::PnpFatalError, text);
    }
    found.state().reported = Some(given.words);
}

extern "C" fn WdfDeviceSetStaticStopRemove(_: Globals, device: Handle, _stoppable: Boolean) {
    let _ = device::checked("WdfDeviceSetStaticStopRemove", device);
}

extern "C" fn WdfDeviceSetAlignmentRequirement(_: Globals, device: Handle, alignment: u32) {
    if let Ok(found) = device::checked("WdfDeviceSetAlignmentRequirement", device) {
        found.state().alignment = alignment;
    }
}

extern "C" fn WdfDeviceGetAlignmentRequirement(_: Globals, device: Handle) -> u32 {
    let found = device::checked("WdfDeviceGetAlignmentRequirement", device);
    found.map_or(0, |found| found.state().alignment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::recorded;
    use crate::door::wdf::device::tests::device;
    use crate::door::wdf::test_client::TestClient;
    use std::ptr::null;

    fn words<const N: usize>(first: u32) -> Words<N> {
        let mut words = [0; N];
        words[0] = first;
        Words {
            size: size_of::<Words<N>>() as u32,
            words,
        }
    }

    #[test]
    fn sizes_are_those_of_umdf_2_33() {
        let sizes = [
            size_of::<IdleSettings>(),
            size_of::<WakeSettings>(),
            size_of::<PnpCapabilities>(),
            size_of::<PowerCapabilities>(),
            size_of::<DeviceState>(),
        ];
        assert_eq!(sizes, [36, 20, 48, 80, 32]);
    }

    #[test]
    fn idle_and_wake_settings_are_checked_and_taken() {
        let client = TestClient::new();
        let device = device(&client);
        let idle = |settings: &IdleSettings| {
            // SAFETY: a live structure.
            unsafe { WdfDeviceAssignS0IdleSettings(null(), device, settings) }
        };
        assert_eq!(idle(&words(1)), NtStatus::SUCCESS);
        assert_eq!(idle(&words(4)), NtStatus::INVALID_PARAMETER);
        let short = IdleSettings {
            size: 32,
            ..words(1)
        };
        assert_eq!(idle(&short), NtStatus::INFO_LENGTH_MISMATCH);
        let wake: WakeSettings = words(4);
        // SAFETY: a live structure.
        let status = unsafe { WdfDeviceAssignSxWakeSettings(null(), device, &wake) };
        assert_eq!(status, NtStatus::SUCCESS);
        let stopped = WdfDeviceStopIdleNoTrack(null(), device, 1);
        assert_eq!(stopped, NtStatus::SUCCESS);
        WdfDeviceResumeIdleNoTrack(null(), device);
        assert!(recorded::take().is_empty());
        let none = WdfDeviceStopIdleNoTrack(null(), Handle::NULL, 1);
        assert_eq!(none, NtStatus::INVALID_HANDLE);
        recorded::take_one(WdfFault::InvalidHandle);
    }

    #[test]
    fn capabilities_of_a_wrong_size_are_a_breach() {
        let client = TestClient::new();
        let device = device(&client);
        let (pnp, power): (PnpCapabilities, PowerCapabilities) = (words(2), words(2));
        // SAFETY: a live structure.
        unsafe { WdfDeviceSetPnpCapabilities(null(), device, &pnp) };
        // SAFETY: a live structure.
        unsafe { WdfDeviceSetPowerCapabilities(null(), device, &power) };
        assert!(recorded::take().is_empty());
        let short = PnpCapabilities { size: 44, ..pnp };
        // SAFETY: a live structure.
        unsafe { WdfDeviceSetPnpCapabilities(null(), device, &short) };
        recorded::take_one(WdfFault::VerifierFatalError);
        // SAFETY: NULL is what is tested.
        unsafe { WdfDeviceSetPowerCapabilities(null(), device, null()) };
        recorded::take_one(WdfFault::RequiredParameterIsNull);
    }

    #[test]
    fn a_device_state_is_given_back_as_it_was_set() {
        let client = TestClient::new();
        let device = device(&client);
        let mut state: DeviceState = words(0);
        // SAFETY: a live structure.
        unsafe { WdfDeviceGetDeviceState(null(), device, &raw mut state) };
        assert_eq!(state.words, [2; 7]);
        state.words[2] = 1;
        // SAFETY: a live structure.
        unsafe { WdfDeviceSetDeviceState(null(), device, &state) };
        let mut read: DeviceState = words(0);
        // SAFETY: a live structure.
        unsafe { WdfDeviceGetDeviceState(null(), device, &raw mut read) };
        assert_eq!(read.words, state.words);
        state.words[0] = 3;
        // SAFETY: a live structure.
        unsafe { WdfDeviceSetDeviceState(null(), device, &state) };
        recorded::take_one(WdfFault::PnpFatalError);
    }

    #[test]
    fn small_settings_are_kept() {
        let client = TestClient::new();
        let device = device(&client);
        assert_eq!(WdfDeviceGetAlignmentRequirement(null(), device), 0);
        WdfDeviceSetAlignmentRequirement(null(), device, 63);
        assert_eq!(WdfDeviceGetAlignmentRequirement(null(), device), 63);
        WdfDeviceSetStaticStopRemove(null(), device, 0);
        assert!(recorded::take().is_empty());
    }
}
