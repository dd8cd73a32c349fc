//! What a client says about its device's power, and what it may ask.
//!
//! A device here has power as long as its host runs it: idle and wake
//! settings are checked and taken, and nothing follows from them.

#![allow(non_snake_case)] // C's names

use super::create::{Globals, read, read_or_breach, status};
use super::device;
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{In, Out};
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

extern "C" fn WdfDeviceAssignS0IdleSettings(
    _: Globals,
    device: Handle,
    settings: In<'_, IdleSettings>,
) -> NtStatus {
    let call = "WdfDeviceAssignS0IdleSettings";
    status((|| {
        device::checked(call, device)?;
        let settings = read(call, "Settings", settings)?;
        match IDLE_CAPS.contains(&settings.words[0]) {
            true => Ok(()),
            false => Err(NtStatus::INVALID_PARAMETER),
        }
    })())
}

extern "C" fn WdfDeviceAssignSxWakeSettings(
    _: Globals,
    device: Handle,
    settings: In<'_, WakeSettings>,
) -> NtStatus {
    let call = "WdfDeviceAssignSxWakeSettings";
    status((|| {
        device::checked(call, device)?;
        read(call, "Settings", settings).map(drop)
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

extern "C" fn WdfDeviceSetPnpCapabilities(
    _: Globals,
    device: Handle,
    capabilities: In<'_, PnpCapabilities>,
) {
    let call = "WdfDeviceSetPnpCapabilities";
    if device::checked(call, device).is_ok() {
        let _ = read_or_breach(call, "PnpCapabilities", capabilities);
    }
}

extern "C" fn WdfDeviceSetPowerCapabilities(
    _: Globals,
    device: Handle,
    capabilities: In<'_, PowerCapabilities>,
) {
    let call = "WdfDeviceSetPowerCapabilities";
    if device::checked(call, device).is_ok() {
        let _ = read_or_breach(call, "PowerCapabilities", capabilities);
    }
}

extern "C" fn WdfDeviceGetDeviceState(_: Globals, device: Handle, place: Out<'_, DeviceState>) {
    let call = "WdfDeviceGetDeviceState";
    let given = read_or_breach(call, "DeviceState", place.given());
    let (Ok(found), Some(given)) = (device::checked(call, device), given) else {
        return;
    };
    let words = found.state().reported.unwrap_or([USE_DEFAULT; 7]);
    let answer = DeviceState { words, ..given };
    place.store(answer);
}

extern "C" fn WdfDeviceSetDeviceState(_: Globals, device: Handle, given: In<'_, DeviceState>) {
    let call = "WdfDeviceSetDeviceState";
    let given = read_or_breach(call, "DeviceState", given);
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
            WdfDeviceAssignS0IdleSettings(null(), device, In::from(settings))
        };
        assert_eq!(idle(&words(1)), NtStatus::SUCCESS);
        assert_eq!(idle(&words(4)), NtStatus::INVALID_PARAMETER);
        let short = IdleSettings {
            size: 32,
            ..words(1)
        };
        assert_eq!(idle(&short), NtStatus::INFO_LENGTH_MISMATCH);
        let wake: WakeSettings = words(4);
        let status = WdfDeviceAssignSxWakeSettings(null(), device, In::of(&wake));
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
        WdfDeviceSetPnpCapabilities(null(), device, In::of(&pnp));
        WdfDeviceSetPowerCapabilities(null(), device, In::of(&power));
        assert!(recorded::take().is_empty());
        let short = PnpCapabilities { size: 44, ..pnp };
        WdfDeviceSetPnpCapabilities(null(), device, In::of(&short));
        recorded::take_one(WdfFault::VerifierFatalError);
        WdfDeviceSetPowerCapabilities(null(), device, In::NULL);
        recorded::take_one(WdfFault::RequiredParameterIsNull);
    }

    #[test]
    fn a_device_state_is_given_back_as_it_was_set() {
        let client = TestClient::new();
        let device = device(&client);
        let mut state: DeviceState = words(0);
        WdfDeviceGetDeviceState(null(), device, Out::of(&mut state));
        assert_eq!(state.words, [2; 7]);
        state.words[2] = 1;
        WdfDeviceSetDeviceState(null(), device, In::of(&state));
        let mut read: DeviceState = words(0);
        WdfDeviceGetDeviceState(null(), device, Out::of(&mut read));
        assert_eq!(read.words, state.words);
        state.words[0] = 3;
        WdfDeviceSetDeviceState(null(), device, In::of(&state));
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
