//! Control devices: beyond what a network client's host offers. Programs
//! reach a client through its device's default I/O queue instead.

#![allow(non_snake_case)] // C's names

use super::create::Globals;
use super::driver::Driver;
use crate::door::object::{self, Handle, Kind};
use crate::door::table::{Functions, entries};
use crate::door::types::UnicodeString;

pub(crate) const FUNCTIONS: Functions =
    entries![WdfControlDeviceInitAllocate, WdfControlFinishInitializing];

/// NULL, which a client has to expect anyway.
extern "C" fn WdfControlDeviceInitAllocate(
    _: Globals,
    driver: Handle,
    _descriptor: *const UnicodeString,
) -> Handle {
    let call = "WdfControlDeviceInitAllocate";
    if object::checked::<Driver>(call, driver, Kind::Driver).is_ok() {
        log::error!("{call}: control devices are not offered; use the device's default I/O queue");
    }
    Handle::NULL
}

extern "C" fn WdfControlFinishInitializing(_: Globals, device: Handle) {
    let _ = super::device::checked("WdfControlFinishInitializing", device);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::{WdfFault, recorded};
    use crate::door::wdf::test_client::TestClient;
    use std::ptr::null;

    #[test]
    fn a_control_device_is_refused() {
        let client = TestClient::new();
        let init = WdfControlDeviceInitAllocate(null(), client.driver(), null());
        assert!(init.is_null() && recorded::take().is_empty());
        WdfControlDeviceInitAllocate(null(), Handle::NULL, null());
        recorded::take_one(WdfFault::InvalidHandle);
        WdfControlFinishInitializing(null(), Handle::NULL);
        recorded::take_one(WdfFault::InvalidHandle);
    }
}
