//! Control devices: devices of the driver's own, beside those with hardware or
//! adapters. They have no power and no PnP life; programs reach their I/O
//! queues through a socket, from WdfControlFinishInitializing on.
//!
//! UMDF has none of these; clients that were written as KMDF ones do.

#![allow(non_snake_case)] // C's names

use std::sync::atomic::{AtomicUsize, Ordering};

use super::create::Globals;
use super::device::{self, Device};
use super::device_init::{self, DeviceInit};
use super::driver::Driver;
use super::io_socket::IoSocket;
use crate::door::client_host;
use crate::door::fail::{WdfFault, breach};
use crate::door::object::{self, Handle, Kind};
use crate::door::table::{Functions, entries};
use crate::door::types::UnicodeString;

pub(crate) const FUNCTIONS: Functions =
    entries![WdfControlDeviceInitAllocate, WdfControlFinishInitializing];

/// Numbers the sockets.
static FINISHED: AtomicUsize = AtomicUsize::new(0);

/// The security descriptor is not looked at: who may open the socket is a
/// matter of the run folder's permissions.
extern "C" fn WdfControlDeviceInitAllocate(
    _: Globals,
    driver: Handle,
    _descriptor: *const UnicodeString,
) -> Handle {
    let call = "WdfControlDeviceInitAllocate";
    if object::checked::<Driver>(call, driver, Kind::Driver).is_err() {
        return Handle::NULL;
    }
    let Ok(init) = DeviceInit::create(driver) else {
        return Handle::NULL;
    };
    if let Ok(said) = device_init::checked(call, init) {
        said.statements().control = true;
    }
    init
}

/// Opens the device to programs. A second call does nothing.
extern "C" fn WdfControlFinishInitializing(_: Globals, device: Handle) {
    let call = "WdfControlFinishInitializing";
    let Ok(found) = device::checked(call, device) else {
        return;
    };
    if !found.statements().control {
        let text = format_args!("{call}: {device} is no control device");
        return breach(WdfFault::InvalidHandle, text);
    }
    if found.state().socket.is_some() {
        return;
    }
    let number = FINISHED.fetch_add(1, Ordering::Relaxed);
    let listening = match client_host::current().map(|host| host.control_socket(number)) {
        None | Some(Ok(None)) => return,
        Some(Ok(Some(listener))) => IoSocket::listen(listener, device),
        Some(Err(error)) => Err(error),
    };
    match listening {
        Ok(socket) => {
            log::info!("{call}: programs reach {device} as control device {number}");
            found.state().socket = Some(socket);
            object::on_dispose(device, Box::new(move || close(&found)));
        }
        Err(error) => log::warn!("{call}: no program reaches {device}: {error}"),
    }
}

/// Ends the listening, without the device's lock.
fn close(device: &Device) {
    let socket = device.state().socket.take();
    drop(socket);
}

#[cfg(test)]
mod tests;
