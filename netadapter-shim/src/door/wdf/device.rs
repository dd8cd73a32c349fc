//! `WdfDeviceCreate` and what a device knows about itself.

#![allow(non_snake_case)] // C's names

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::create::{Globals, required, status};
use super::device_init::{self, Statements};
use super::driver::Driver;
use super::hardware::Resources;
use super::interface::Interface;
use super::io_socket::IoSocket;
use super::pnp_callbacks::PnpCallbacks;
use super::property::Property;
use super::request::RequestType;
use super::serialize::{CallbackLock, Scope};
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{In, Out};
use crate::door::object::{self, Attributes, Handle, Kind, ParentRule, Rules};
use crate::door::table::{Functions, entries};
use crate::door::types::{WdfObjectAttributes, c_enum};

pub(crate) const FUNCTIONS: Functions = entries![
    WdfDeviceCreate,
    WdfDeviceGetDriver,
    WdfDeviceGetDefaultQueue,
    WdfDeviceGetIoTarget,
    WdfDeviceSetFailed,
    WdfDeviceGetSystemPowerAction,
    WdfDeviceGetDevicePnpState,
    WdfDeviceGetDevicePowerState,
];

c_enum! {
    /// `WDF_DEVICE_FAILED_ACTION`
    FailedAction {
        /// The driver wants to be started anew; counts like a crash.
        ATTEMPT_RESTART = 1,
        /// The device stays down.
        NO_RESTART = 2,
    }
}

c_enum! {
    /// `WDF_DEVICE_PNP_STATE`, as far as this host tells them apart.
    PnpState {
        /// Created, not started.
        OBJECT_CREATED = 0x100,
        /// Hardware is being or has been prepared.
        HARDWARE_AVAILABLE = 0x108,
        /// Working.
        STARTED = 0x119,
        /// Stopped for now.
        STOPPED = 0x11E,
        /// Pulled out.
        SURPRISE_REMOVE = 0x121,
        /// Given up.
        FAILED = 0x12B,
        /// Gone.
        REMOVED = 0x113,
    }
}

c_enum! {
    /// `WDF_DEVICE_POWER_STATE`, as far as this host tells them apart.
    PowerState {
        /// Never powered.
        OBJECT_CREATED = 0x300,
        /// Powered and working.
        D0 = 0x307,
        /// On the way to D0.
        D0_STARTING = 0x30F,
        /// Without power, to come back.
        DX = 0x31F,
        /// Stopped.
        STOPPED = 0x315,
        /// Without power for good.
        FINAL = 0x351,
    }
}

/// What the host wants to be called with when the client gives its device up.
pub(crate) type FailedHook = Box<dyn Fn(FailedAction) + Send>;

/// What `WDFDEVICE` stands for.
pub(crate) struct Device {
    driver: Handle,
    statements: Statements,
    scope: Scope,
    /// What its callbacks share if the scope is the device.
    lock: Arc<CallbackLock>,
    state: Mutex<State>,
}

/// What changes during a device's life.
pub(super) struct State {
    pnp: PnpState,
    power: PowerState,
    failed: Option<FailedAction>,
    on_failed: Option<FailedHook>,
    /// Power-managed queues give requests out.
    pub(super) io_powered: bool,
    /// The queue for what no other one was configured for.
    pub(super) default_queue: Option<Handle>,
    /// Queues of requests of one kind.
    queues: Vec<(RequestType, Handle)>,
    io_target: Option<Handle>,
    /// The raw and the translated resource list.
    resources: Option<(Handle, Handle)>,
    /// What WdfDeviceSetDeviceState said.
    pub(super) reported: Option<[u32; 7]>,
    pub(super) alignment: u32,
    /// Device interfaces.
    pub(super) interfaces: Vec<Interface>,
    /// What WdfDeviceAssignProperty assigned.
    pub(super) properties: Vec<Property>,
    /// Through which programs reach a control device.
    pub(super) socket: Option<IoSocket>,
}

impl Device {
    /// The driver it belongs to.
    pub(crate) fn driver(&self) -> Handle {
        self.driver
    }

    /// Which of its callbacks exclude each other.
    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    /// What they exclude each other by, if that is the whole device.
    pub(super) fn lock(&self) -> &Arc<CallbackLock> {
        &self.lock
    }

    /// What the client said before the device was created.
    pub(crate) fn statements(&self) -> &Statements {
        &self.statements
    }

    /// The client's PnP and power callbacks.
    pub(crate) fn pnp(&self) -> PnpCallbacks {
        self.statements.pnp
    }

    /// What NetDeviceInitConfig left; `None` if this is no network device.
    pub(crate) fn network(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.statements.network.as_ref()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where the PnP and power state machines are, for the client to ask.
    pub(crate) fn set_states(&self, pnp: PnpState, power: PowerState) {
        let mut state = self.state();
        (state.pnp, state.power) = (pnp, power);
    }

    /// What the client gave the device up with.
    pub(crate) fn failed(&self) -> Option<FailedAction> {
        self.state().failed
    }

    /// Has `hook` called, once, when the client gives the device up. It runs
    /// on the client's thread, and must not wait for the client.
    pub(crate) fn on_failed(&self, hook: FailedHook) {
        self.state().on_failed = Some(hook);
    }

    /// Gives the device up, as WdfDeviceSetFailed does; the first call counts.
    pub(crate) fn set_failed(&self, action: FailedAction) {
        let hook = {
            let mut state = self.state();
            if state.failed.is_some() {
                return;
            }
            state.failed = Some(action);
            state.on_failed.take()
        };
        if let Some(hook) = hook {
            hook(action);
        }
    }
}

/// The raw and the translated resource list of a device, both empty.
pub(crate) fn resources(device: Handle) -> (Handle, Handle) {
    let Ok(found) = object::payload::<Device>(device, Kind::Device) else {
        return (Handle::NULL, Handle::NULL);
    };
    let mut state = found.state();
    if state.resources.is_none() {
        let list = || object::create(Kind::ResourceList, Some(device), Arc::new(Resources));
        state.resources = list().ok().zip(list().ok());
    }
    state.resources.unwrap_or_default()
}

/// The queue that takes requests of a kind.
pub(super) fn queue_for(device: &Device, kind: RequestType) -> Option<Handle> {
    let state = device.state();
    let own = state.queues.iter().find(|(other, _)| *other == kind);
    own.map(|(_, queue)| *queue).or(state.default_queue)
}

/// Whether a queue was configured for a kind of request.
pub(super) fn has_queue_of_its_own(device: &Device, kind: RequestType) -> bool {
    let state = device.state();
    state.queues.iter().any(|(other, _)| *other == kind)
}

/// Has a queue take requests of a kind.
///
/// # Errors
/// STATUS_WDF_BUSY if one does already.
pub(super) fn configure(device: &Device, kind: RequestType, queue: Handle) -> Result<(), NtStatus> {
    let mut state = device.state();
    if state.queues.iter().any(|(other, _)| *other == kind) {
        return Err(NtStatus::WDF_BUSY);
    }
    state.queues.push((kind, queue));
    Ok(())
}

/// Whether a handle is that of a control device, which is the client's to delete.
pub(super) fn is_control(device: Handle) -> bool {
    let found = object::payload::<Device>(device, Kind::Device);
    found.is_ok_and(|device| device.statements().control)
}

/// A device's number among those that EvtDriverDeviceAdd made.
pub(super) fn number(device: Handle, driver: Handle) -> usize {
    let siblings = object::children(driver, Kind::Device);
    let mut added = siblings.into_iter().filter(|other| !is_control(*other));
    added.position(|other| other == device).unwrap_or(0)
}

/// The device behind a handle, or a breach.
///
/// # Errors
/// STATUS_INVALID_HANDLE.
pub(crate) fn checked(call: &str, device: Handle) -> Result<Arc<Device>, NtStatus> {
    object::checked(call, device, Kind::Device)
}

extern "C" fn WdfDeviceCreate(
    _: Globals,
    init: Out<'_, Handle>,
    attributes: In<'_, WdfObjectAttributes>,
    device: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfDeviceCreate";
    status((|| {
        required(call, "DeviceInit", init)?;
        required(call, "Device", device)?;
        let init_handle = init.given().read().unwrap_or_default();
        let attributes = Attributes::of(attributes, Rules::ANY.parent(ParentRule::Forbidden))?;
        let handle = create(call, init_handle, &attributes)?;
        device.store(handle);
        init.store(Handle::NULL);
        Ok(())
    })())
}

/// Makes a device of an init object, which is used up.
pub(super) fn create(
    call: &str,
    init: Handle,
    attributes: &Attributes,
) -> Result<Handle, NtStatus> {
    let said = device_init::checked(call, init)?;
    let driver = object::checked::<Driver>(call, said.driver(), Kind::Driver)?;
    let control = said.statements().control;
    let device = Device {
        driver: said.driver(),
        statements: said.statements().clone(),
        scope: Scope(attributes.synchronization_scope).or(driver.scope()),
        lock: Arc::default(),
        state: Mutex::new(State {
            pnp: PnpState::OBJECT_CREATED,
            power: PowerState::OBJECT_CREATED,
            failed: None,
            on_failed: None,
            io_powered: false,
            default_queue: None,
            queues: Vec::new(),
            io_target: None,
            resources: None,
            reported: None,
            alignment: 0,
            interfaces: Vec::new(),
            properties: Vec::new(),
            socket: None,
        }),
    };
    let parent = Some(said.driver());
    let handle = object::create_with(Kind::Device, parent, attributes, Arc::new(device))?;
    object::delete(init);
    if !control {
        driver.set_added(handle);
    }
    Ok(handle)
}

extern "C" fn WdfDeviceGetDriver(_: Globals, device: Handle) -> Handle {
    checked("WdfDeviceGetDriver", device).map_or(Handle::NULL, |device| device.driver)
}

extern "C" fn WdfDeviceGetDefaultQueue(_: Globals, device: Handle) -> Handle {
    let found = checked("WdfDeviceGetDefaultQueue", device).ok();
    let queue = found.and_then(|device| device.state().default_queue);
    queue.unwrap_or(Handle::NULL)
}

/// The target below a software device: it can be named, and sending to it
/// fails, for there is no driver below.
extern "C" fn WdfDeviceGetIoTarget(_: Globals, device: Handle) -> Handle {
    let Ok(found) = checked("WdfDeviceGetIoTarget", device) else {
        return Handle::NULL;
    };
    let mut state = found.state();
    if state.io_target.is_none() {
        state.io_target = object::create(Kind::IoTarget, Some(device), Arc::new(())).ok();
    }
    state.io_target.unwrap_or(Handle::NULL)
}

extern "C" fn WdfDeviceSetFailed(_: Globals, device: Handle, action: FailedAction) {
    let call = "WdfDeviceSetFailed";
    let Ok(found) = checked(call, device) else {
        return;
    };
    if !matches!(
        action,
        FailedAction::ATTEMPT_RESTART | FailedAction::NO_RESTART
    ) {
        let text = format_args!("{call}: FailedAction is {}, expected 1 or 2", action.0);
        return breach(WdfFault::PnpFatalError, text);
    }
    log::error!("{call}: the client gives {device} up");
    found.set_failed(action);
}

/// No system power transition is ever under way here: PowerActionNone.
extern "C" fn WdfDeviceGetSystemPowerAction(_: Globals, device: Handle) -> u32 {
    let _ = checked("WdfDeviceGetSystemPowerAction", device);
    0
}

extern "C" fn WdfDeviceGetDevicePnpState(_: Globals, device: Handle) -> PnpState {
    checked("WdfDeviceGetDevicePnpState", device)
        .map_or(PnpState::default(), |device| device.state().pnp)
}

extern "C" fn WdfDeviceGetDevicePowerState(_: Globals, device: Handle) -> PowerState {
    checked("WdfDeviceGetDevicePowerState", device)
        .map_or(PowerState::default(), |device| device.state().power)
}

#[cfg(test)]
pub(crate) mod tests;
