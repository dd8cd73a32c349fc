//! `WdfDriver*`: the driver object, and how the host asks it for a device.

#![allow(non_snake_case)] // C's names

use std::ffi::c_void;
use std::ptr::null;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::create::{Globals, caller, caller_driver, read, required, status};
use super::device_init::DeviceInit;
use super::serialize::Scope;
use super::string;
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{Callback, In, Out};
use crate::door::globals::Client;
use crate::door::object::{self, Attributes, Handle, Kind, ParentRule, Rules};
use crate::door::table::{Functions, entries};
use crate::door::types::{Boolean, UnicodeString, WdfObjectAttributes};

pub(crate) const FUNCTIONS: Functions = entries![
    WdfDriverCreate,
    WdfDriverGetRegistryPath,
    WdfDriverWdmGetDriverObject,
    WdfDriverIsVersionAvailable,
    WdfDriverRetrieveVersionString,
    WdfGetDriver,
    WdfGetTriageInfo,
    WdfVerifierDbgBreakPoint,
    WdfVerifierKeBugCheck,
];

/// The UMDF version this host serves.
const UMDF: (u32, u32) = (2, 33);
const NON_PNP_DRIVER: u32 = 1;
const KNOWN_FLAGS: u32 = 0x7;

type DeviceAdd = Callback<unsafe extern "C" fn(Handle, Handle) -> NtStatus>;
type Unload = Callback<unsafe extern "C" fn(Handle)>;

/// `WDF_DRIVER_CONFIG`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct DriverConfig {
    size: u32,
    device_add: Option<DeviceAdd>,
    unload: Option<Unload>,
    init_flags: u32,
    pool_tag: u32,
}

/// `WDF_DRIVER_VERSION_AVAILABLE_PARAMS`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct VersionAvailable {
    size: u32,
    major: u32,
    minor: u32,
}

/// What `WDFDRIVER` stands for.
pub(crate) struct Driver {
    device_add: DeviceAdd,
    unload: Mutex<Option<Unload>>,
    /// NUL-terminated, for WdfDriverGetRegistryPath.
    registry_path: Arc<[u16]>,
    /// The `DRIVER_OBJECT` that DriverEntry was given.
    wdm: AtomicUsize,
    /// What its devices inherit.
    scope: Scope,
    /// The device that EvtDriverDeviceAdd is creating.
    added: Mutex<Option<Handle>>,
}

impl Driver {
    /// The synchronization scope that its devices inherit.
    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    /// The driver of a unit test's client.
    #[cfg(test)]
    pub(super) fn for_test(device_add: DeviceAdd) -> Self {
        Self {
            device_add,
            unload: Mutex::new(None),
            scope: Scope::NONE,
            registry_path: Arc::new([0]),
            wdm: AtomicUsize::new(0),
            added: Mutex::new(None),
        }
    }

    /// Tells [`add_device`] what WdfDeviceCreate made.
    pub(super) fn set_added(&self, device: Handle) {
        *self.added.lock().unwrap_or_else(PoisonError::into_inner) = Some(device);
    }

    fn take_added(&self) -> Option<Handle> {
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        added.take()
    }
}

/// Asks a driver to add a device, and returns the one it created.
///
/// # Errors
/// The client's status (then a device it created is gone again), or
/// STATUS_UNSUCCESSFUL if it succeeded without creating one.
pub(crate) fn add_device(driver: Handle) -> Result<Handle, NtStatus> {
    let found = object::payload::<Driver>(driver, Kind::Driver);
    let found = found.map_err(|_| NtStatus::INVALID_HANDLE)?;
    let init = DeviceInit::create(driver)?;
    let status = found.device_add.call(driver, init);
    object::delete(init);
    match found.take_added() {
        Some(device) if status.is_success() => Ok(device),
        Some(device) => {
            object::delete(device);
            Err(status)
        }
        None if status.is_success() => {
            log::error!("EvtDriverDeviceAdd succeeded without creating a device");
            Err(NtStatus::UNSUCCESSFUL)
        }
        None => Err(status),
    }
}

/// Calls EvtDriverUnload, if the client has one, and deletes the driver.
pub(crate) fn unload(driver: Handle) {
    let Ok(found) = object::payload::<Driver>(driver, Kind::Driver) else {
        return;
    };
    let callback = found
        .unload
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(callback) = callback {
        callback.call(driver);
    }
    object::delete(driver);
}

extern "C" fn WdfDriverCreate(
    globals: Globals,
    driver_object: *const c_void,
    registry_path: In<'_, UnicodeString>,
    attributes: In<'_, WdfObjectAttributes>,
    config: In<'_, DriverConfig>,
    driver: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfDriverCreate";
    status((|| {
        let client = caller(call, globals)?;
        required(call, "DriverObject", driver_object)?;
        required(call, "RegistryPath", registry_path)?;
        let config = read(call, "DriverConfig", config)?;
        let attributes = Attributes::of(attributes, Rules::ANY.parent(ParentRule::Forbidden))?;
        let path = registry_path.text().ok_or(NtStatus::INVALID_PARAMETER)?;
        let scope = Scope(attributes.synchronization_scope).or(Scope::NONE);
        let made = create(&client, &config, path, driver_object.addr(), scope)?;
        let handle = object::create_with(Kind::Driver, None, &attributes, made)?;
        client.set_driver(Some(handle));
        let owner = Arc::clone(&client);
        object::on_dispose(handle, Box::new(move || owner.set_driver(None)));
        driver.store(handle);
        Ok(())
    })())
}

fn create(
    client: &Arc<Client>,
    config: &DriverConfig,
    path: Vec<u16>,
    wdm: usize,
    scope: Scope,
) -> Result<Arc<Driver>, NtStatus> {
    if client.driver().is_some() {
        log::error!("WdfDriverCreate: the driver exists already; it is created once");
        return Err(NtStatus::DRIVER_INTERNAL_ERROR);
    }
    if config.init_flags & NON_PNP_DRIVER != 0 {
        log::error!("WdfDriverCreate: WdfDriverInitNonPnpDriver is not for network clients");
        return Err(NtStatus::NOT_SUPPORTED);
    }
    let (Some(device_add), 0) = (config.device_add, config.init_flags & !KNOWN_FLAGS) else {
        log::error!("WdfDriverCreate: DriverConfig lacks EvtDriverDeviceAdd or has unknown flags");
        return Err(NtStatus::INVALID_PARAMETER);
    };
    Ok(Arc::new(Driver {
        device_add,
        unload: Mutex::new(config.unload),
        scope,
        registry_path: path.into_iter().chain([0]).collect(),
        wdm: AtomicUsize::new(wdm),
        added: Mutex::new(None),
    }))
}

extern "C" fn WdfDriverGetRegistryPath(_: Globals, driver: Handle) -> *const u16 {
    let found = object::checked::<Driver>("WdfDriverGetRegistryPath", driver, Kind::Driver);
    found.map_or(null(), |driver| driver.registry_path.as_ptr())
}

extern "C" fn WdfDriverWdmGetDriverObject(_: Globals, driver: Handle) -> usize {
    let found = object::checked::<Driver>("WdfDriverWdmGetDriverObject", driver, Kind::Driver);
    found.map_or(0, |driver| driver.wdm.load(Ordering::Relaxed))
}

extern "C" fn WdfDriverIsVersionAvailable(
    _: Globals,
    driver: Handle,
    version: In<'_, VersionAvailable>,
) -> Boolean {
    let call = "WdfDriverIsVersionAvailable";
    if object::checked::<Driver>(call, driver, Kind::Driver).is_err() {
        return 0;
    }
    let asked = read(call, "VersionAvailableParams", version);
    let served = |asked: VersionAvailable| asked.major == UMDF.0 && asked.minor <= UMDF.1;
    Boolean::from(asked.is_ok_and(served))
}

extern "C" fn WdfDriverRetrieveVersionString(_: Globals, driver: Handle, text: Handle) -> NtStatus {
    let call = "WdfDriverRetrieveVersionString";
    status((|| {
        object::checked::<Driver>(call, driver, Kind::Driver)?;
        let version = format!("User-Mode Driver Framework v{}.{} (umnet)", UMDF.0, UMDF.1);
        let units: Vec<u16> = version.encode_utf16().collect();
        string::checked(call, text)?.set(&units)
    })())
}

extern "C" fn WdfGetDriver(globals: Globals) -> Handle {
    caller_driver("WdfGetDriver", globals).unwrap_or_default()
}

/// Clients keep this pointer for debuggers; nobody reads what it points to.
extern "C" fn WdfGetTriageInfo(_: Globals) -> *const AtomicU64 {
    static TRIAGE: [AtomicU64; 32] = [const { AtomicU64::new(0) }; 32];
    TRIAGE.as_ptr()
}

extern "C" fn WdfVerifierDbgBreakPoint(_: Globals) {
    let text = format_args!("WdfVerifierDbgBreakPoint was called by the client");
    breach(WdfFault::VerifierFatalError, text);
}

extern "C" fn WdfVerifierKeBugCheck(
    _: Globals,
    code: u32,
    first: usize,
    second: usize,
    third: usize,
    fourth: usize,
) {
    let text = format_args!(
        "WdfVerifierKeBugCheck({code:#x}, {first:#x}, {second:#x}, {third:#x}, {fourth:#x})"
    );
    breach(WdfFault::VerifierFatalError, text);
}

#[cfg(test)]
mod tests;
