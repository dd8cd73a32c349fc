//! `WDFDEVICE_INIT`: what a client says about a device before it creates it.

#![allow(non_snake_case)] // C's names

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::create::{Globals, read_or_breach};
use super::pnp_callbacks::PnpCallbacks;
use super::uncalled;
use crate::abi::NtStatus;
use crate::door::foreign::{Callback, In};
use crate::door::object::{self, Attributes, Handle, Kind, Rules};
use crate::door::table::{Functions, entries};
use crate::door::types::{Boolean, UnicodeString, WdfObjectAttributes};

pub(crate) const FUNCTIONS: Functions = entries![
    WdfDeviceInitFree,
    WdfDeviceInitSetPnpPowerEventCallbacks,
    WdfDeviceInitSetPowerPolicyEventCallbacks,
    WdfDeviceInitSetPowerPolicyOwnership,
    WdfDeviceInitSetIoType,
    WdfDeviceInitSetIoTypeEx,
    WdfDeviceInitSetExclusive,
    WdfDeviceInitSetDeviceType,
    WdfDeviceInitAssignName,
    WdfDeviceInitAssignSDDLString,
    WdfDeviceInitSetCharacteristics,
    WdfDeviceInitSetPowerPageable,
    WdfDeviceInitSetPowerNotPageable,
    WdfDeviceInitSetPowerInrush,
    WdfDeviceInitSetReleaseHardwareOrderOnFailure,
    WdfDeviceInitSetFileObjectConfig,
    WdfDeviceInitSetRequestAttributes,
    WdfDeviceInitSetIoInCallerContextCallback,
    WdfFdoInitSetFilter,
];

/// What `WDFDEVICE_INIT *` stands for.
pub(crate) struct DeviceInit {
    driver: Handle,
    statements: Mutex<Statements>,
}

/// What the client has said so far.
#[derive(Clone, Default)]
pub(crate) struct Statements {
    /// The PnP and power callbacks.
    pub(crate) pnp: PnpCallbacks,
    /// The callbacks of files.
    pub(crate) files: FileCallbacks,
    /// The client's attributes for files.
    pub(crate) file_attributes: Attributes,
    /// The client's attributes for requests.
    pub(crate) request_attributes: Attributes,
    /// EvtIoInCallerContext.
    pub(crate) in_caller_context: Option<InCallerContext>,
    /// One open file at a time.
    pub(crate) exclusive: bool,
    /// Made by WdfControlDeviceInitAllocate.
    pub(crate) control: bool,
    /// What NetDeviceInitConfig left; once it is there, some setters are not
    /// the client's any more.
    pub(crate) network: Option<Arc<dyn Any + Send + Sync>>,
}

/// `EVT_WDF_IO_IN_CALLER_CONTEXT`
pub(crate) type InCallerContext = Callback<unsafe extern "C" fn(Handle, Handle)>;

/// `WDF_POWER_POLICY_EVENT_CALLBACKS`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PowerPolicyCallbacks {
    size: u32,
    callbacks: [Option<unsafe extern "C" fn()>; 7],
}

/// Their names, in their order.
const POWER_POLICY: [&str; 7] = [
    "EvtDeviceArmWakeFromS0",
    "EvtDeviceDisarmWakeFromS0",
    "EvtDeviceWakeFromS0Triggered",
    "EvtDeviceArmWakeFromSx",
    "EvtDeviceDisarmWakeFromSx",
    "EvtDeviceWakeFromSxTriggered",
    "EvtDeviceArmWakeFromSxWithReason",
];

/// `WDF_FILEOBJECT_CONFIG`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FileCallbacks {
    size: u32,
    /// EvtDeviceFileCreate
    pub(crate) create: Option<Callback<unsafe extern "C" fn(Handle, Handle, Handle)>>,
    /// EvtFileClose
    pub(crate) close: Option<Callback<unsafe extern "C" fn(Handle)>>,
    /// EvtFileCleanup
    pub(crate) cleanup: Option<Callback<unsafe extern "C" fn(Handle)>>,
    auto_forward: u32,
    class: u32,
}

/// `WDF_IO_TYPE_CONFIG`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct IoTypeConfig {
    size: u32,
    read_write: u32,
    device_control: u32,
    direct_threshold: u32,
}

impl DeviceInit {
    /// One for a driver whose EvtDriverDeviceAdd is about to be called.
    ///
    /// # Errors
    /// The driver is being deleted.
    pub(crate) fn create(driver: Handle) -> Result<Handle, NtStatus> {
        let init = Self {
            driver,
            statements: Mutex::default(),
        };
        object::create(Kind::DeviceInit, Some(driver), Arc::new(init))
    }

    /// The driver that was asked to add a device.
    pub(crate) fn driver(&self) -> Handle {
        self.driver
    }

    /// What was said, to be read or changed; held for a moment only.
    pub(crate) fn statements(&self) -> MutexGuard<'_, Statements> {
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The init object behind C's pointer, or a breach.
///
/// # Errors
/// STATUS_INVALID_HANDLE: freed, used up by WdfDeviceCreate, or never one.
pub(crate) fn checked(call: &str, init: Handle) -> Result<Arc<DeviceInit>, NtStatus> {
    object::checked(call, init, Kind::DeviceInit)
}

/// A setter that NetDeviceInitConfig takes from the client: it has no effect
/// here, and after that call it is a mistake worth a line.
fn accept(call: &str, init: Handle) {
    if let Ok(init) = checked(call, init)
        && init.statements().network.is_some()
    {
        log::warn!("{call} after NetDeviceInitConfig, which sets this itself: ignored");
    }
}

extern "C" fn WdfDeviceInitFree(_: Globals, init: Handle) {
    if checked("WdfDeviceInitFree", init).is_ok() {
        object::delete(init);
    }
}

extern "C" fn WdfDeviceInitSetPnpPowerEventCallbacks(
    _: Globals,
    init: Handle,
    callbacks: In<'_, PnpCallbacks>,
) {
    let call = "WdfDeviceInitSetPnpPowerEventCallbacks";
    let callbacks = read_or_breach(call, "PnpPowerEventCallbacks", callbacks);
    if let (Ok(init), Some(callbacks)) = (checked(call, init), callbacks) {
        uncalled::say("they are of kernel mode", callbacks.of_kernel_mode());
        init.statements().pnp = callbacks;
    }
}

extern "C" fn WdfDeviceInitSetPowerPolicyEventCallbacks(
    _: Globals,
    init: Handle,
    callbacks: In<'_, PowerPolicyCallbacks>,
) {
    let call = "WdfDeviceInitSetPowerPolicyEventCallbacks";
    let callbacks = read_or_breach(call, "PowerPolicyEventCallbacks", callbacks);
    if let (Ok(_), Some(callbacks)) = (checked(call, init), callbacks) {
        let given = callbacks.callbacks.map(|callback| callback.is_some());
        let why = "nothing here wakes a device up";
        uncalled::say(why, POWER_POLICY.into_iter().zip(given));
    }
}

extern "C" fn WdfDeviceInitSetPowerPolicyOwnership(_: Globals, init: Handle, _owner: Boolean) {
    let _ = checked("WdfDeviceInitSetPowerPolicyOwnership", init);
}

extern "C" fn WdfDeviceInitSetIoType(_: Globals, init: Handle, _io_type: u32) {
    accept("WdfDeviceInitSetIoType", init);
}

extern "C" fn WdfDeviceInitSetIoTypeEx(_: Globals, init: Handle, config: In<'_, IoTypeConfig>) {
    let call = "WdfDeviceInitSetIoTypeEx";
    if read_or_breach(call, "IoTypeConfig", config).is_some() {
        accept(call, init);
    }
}

extern "C" fn WdfDeviceInitSetExclusive(_: Globals, init: Handle, exclusive: Boolean) {
    if let Ok(init) = checked("WdfDeviceInitSetExclusive", init) {
        init.statements().exclusive = exclusive != 0;
    }
}

extern "C" fn WdfDeviceInitSetDeviceType(_: Globals, init: Handle, _device_type: u32) {
    accept("WdfDeviceInitSetDeviceType", init);
}

/// A name that would be assigned has to be readable at least.
fn assign(call: &str, init: Handle, name: In<'_, UnicodeString>) -> NtStatus {
    if let Err(status) = checked(call, init) {
        return status;
    }
    match name.is_null() || name.text().is_some() {
        true => NtStatus::SUCCESS,
        false => NtStatus::INVALID_PARAMETER,
    }
}

extern "C" fn WdfDeviceInitAssignName(
    _: Globals,
    init: Handle,
    name: In<'_, UnicodeString>,
) -> NtStatus {
    accept("WdfDeviceInitAssignName", init);
    assign("WdfDeviceInitAssignName", init, name)
}

extern "C" fn WdfDeviceInitAssignSDDLString(
    _: Globals,
    init: Handle,
    descriptor: In<'_, UnicodeString>,
) -> NtStatus {
    assign("WdfDeviceInitAssignSDDLString", init, descriptor)
}

extern "C" fn WdfDeviceInitSetCharacteristics(
    _: Globals,
    init: Handle,
    _characteristics: u32,
    _or_in: Boolean,
) {
    accept("WdfDeviceInitSetCharacteristics", init);
}

extern "C" fn WdfDeviceInitSetPowerPageable(_: Globals, init: Handle) {
    accept("WdfDeviceInitSetPowerPageable", init);
}

extern "C" fn WdfDeviceInitSetPowerNotPageable(_: Globals, init: Handle) {
    accept("WdfDeviceInitSetPowerNotPageable", init);
}

extern "C" fn WdfDeviceInitSetPowerInrush(_: Globals, init: Handle) {
    let _ = checked("WdfDeviceInitSetPowerInrush", init);
}

extern "C" fn WdfDeviceInitSetReleaseHardwareOrderOnFailure(_: Globals, init: Handle, _order: u32) {
    accept("WdfDeviceInitSetReleaseHardwareOrderOnFailure", init);
}

extern "C" fn WdfDeviceInitSetFileObjectConfig(
    _: Globals,
    init: Handle,
    config: In<'_, FileCallbacks>,
    attributes: In<'_, WdfObjectAttributes>,
) {
    let call = "WdfDeviceInitSetFileObjectConfig";
    let config = read_or_breach(call, "FileObjectConfig", config);
    let attributes = Attributes::of(attributes, Rules::ANY);
    let (Ok(init), Some(config)) = (checked(call, init), config) else {
        return;
    };
    match attributes {
        Ok(attributes) => {
            let mut statements = init.statements();
            statements.files = config;
            statements.file_attributes = attributes;
        }
        Err(status) => log::error!("{call}: the object attributes are refused with {status}"),
    }
}

extern "C" fn WdfDeviceInitSetRequestAttributes(
    _: Globals,
    init: Handle,
    attributes: In<'_, WdfObjectAttributes>,
) {
    let call = "WdfDeviceInitSetRequestAttributes";
    let attributes = Attributes::of(attributes, Rules::PLAIN);
    match (checked(call, init), attributes) {
        (Ok(init), Ok(attributes)) => init.statements().request_attributes = attributes,
        (_, Err(status)) => log::error!("{call}: the attributes are refused with {status}"),
        _ => {}
    }
}

extern "C" fn WdfDeviceInitSetIoInCallerContextCallback(
    _: Globals,
    init: Handle,
    callback: Option<InCallerContext>,
) {
    if let Ok(init) = checked("WdfDeviceInitSetIoInCallerContextCallback", init) {
        init.statements().in_caller_context = callback;
    }
}

extern "C" fn WdfFdoInitSetFilter(_: Globals, init: Handle) {
    let _ = checked("WdfFdoInitSetFilter", init);
}

#[cfg(test)]
mod tests;
