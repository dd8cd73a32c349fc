//! Power and wake: what a client offers, what the system wants of it while the
//! device sleeps, and the lists of that which a client finds in its power
//! transitions. Resets on request stay beyond the user-mode surface.
//!
//! A TAP never sleeps, and umnet's own host wants nothing of a device while it
//! has no power. Whoever embeds the host may: its duties are previewed, listed
//! and answered for here.

mod foreign;
mod lists;
mod policy;

use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(in crate::door) use foreign::{
    ArpParameters, BitmapCapabilities, BitmapParameters, CountCapabilities, FlagCapabilities, List,
    MediaChangeParameters, NsParameters, PreviewCallbacks, Reason, ResetCapabilities,
};
use policy::{Capabilities, Duty, Policy};
pub use policy::{SleepDuty, WakeReason};

use super::adapter::AdapterObject;
use super::callbacks::{PreviewDuty, succeeded};
use super::guard::{self, Globals, refuse};
use crate::abi::{FailureCode, NtStatus};
use crate::door::foreign::{In, Out, Sized32};
use crate::door::object::{self, Handle, Kind};
use crate::door::wdf::device::Device;
use crate::door::wdf::device_init;

type Result<T = ()> = std::result::Result<T, NtStatus>;

/// Most bytes of reset diagnostics.
const LARGEST_DIAGNOSTICS: usize = 1 << 20;

/// What NetAdapterCx keeps of a device from its init object on.
#[derive(Default)]
pub(super) struct NetworkDevice {
    previews: Mutex<Previews>,
}

/// The client's vetoes.
#[derive(Clone, Copy, Default)]
struct Previews {
    pattern: Option<PreviewDuty>,
    arp: Option<PreviewDuty>,
    neighbors: Option<PreviewDuty>,
}

/// An adapter's half of all this.
#[derive(Default)]
pub(super) struct AdapterPower(Mutex<Policy>);

impl AdapterPower {
    fn lock(&self) -> MutexGuard<'_, Policy> {
        // Plain values, whole whoever panicked while holding the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn previews(device: Handle) -> Previews {
    let device = object::payload::<Device>(device, Kind::Device).ok();
    let network = device.and_then(|device| device.network().cloned());
    let network = network.and_then(|network| network.downcast::<NetworkDevice>().ok());
    network.map_or_else(Previews::default, |network| {
        *network
            .previews
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    })
}

/// The system wants one more thing of an adapter's device while it sleeps.
/// Tells the number under which it is taken back.
///
/// # Errors
/// See [`Policy::admit`]; or the status with which the client vetoes it.
pub(crate) fn add(adapter: &AdapterObject, what: SleepDuty) -> Result<u32> {
    let duty = {
        let mut policy = adapter.power.lock();
        policy.admit(&what)?;
        Arc::new(Duty {
            number: lists::fresh(),
            id: policy.next_id(),
            adapter: adapter.handle(),
            what,
        })
    };
    let previews = previews(adapter.device);
    let preview = match &duty.what {
        SleepDuty::Arp { .. } => previews.arp,
        SleepDuty::NeighborSolicitation { .. } => previews.neighbors,
        SleepDuty::BitmapPattern { .. } => previews.pattern,
        _ => None,
    };
    if let Some(preview) = preview {
        let ask = || preview.call(adapter.device, duty.number);
        succeeded(lists::preview(adapter.device, &duty, ask))?;
    }
    adapter.power.lock().give(duty.clone());
    Ok(duty.id)
}

/// The system does not want it any more; whether it did.
pub(crate) fn remove(adapter: &AdapterObject, id: u32) -> bool {
    adapter.power.lock().take(id)
}

/// Why the device woke, once.
pub(crate) fn take_wake_reason(adapter: &AdapterObject) -> Option<WakeReason> {
    adapter.power.lock().reason.take()
}

/// Runs a client's callback on the way to or from D0.
pub(crate) fn in_transition<T>(device: Handle, waking: bool, call: impl FnOnce() -> T) -> T {
    lists::in_transition(device, waking, call)
}

/// `NetAdapterPowerOffloadSet…Capabilities`, `NetAdapterWakeSet…Capabilities`
pub(super) fn offer<T: Sized32>(
    call: &str,
    globals: Globals,
    adapter: Handle,
    structure: In<'_, T>,
    state: impl FnOnce(T, &mut Capabilities),
) -> Result {
    let adapter = guard::adapter(call, globals, adapter)?;
    let offered = guard::read(call, structure)?;
    state(offered, &mut adapter.power.lock().capabilities);
    Ok(())
}

/// `NetDeviceInitSetPowerPolicyEventCallbacks`
pub(super) fn set_previews(
    globals: Globals,
    init: *const c_void,
    callbacks: In<'_, PreviewCallbacks>,
) -> Result {
    const CALL: &str = "NetDeviceInitSetPowerPolicyEventCallbacks";
    let network = network(CALL, globals, init)?;
    let raw = guard::read(CALL, callbacks)?;
    let previews = Previews {
        pattern: PreviewDuty::from_raw(raw.pattern),
        arp: PreviewDuty::from_raw(raw.arp),
        neighbors: PreviewDuty::from_raw(raw.neighbors),
    };
    *network
        .previews
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = previews;
    Ok(())
}

/// What NetDeviceInitConfig left at an init object.
fn network(call: &str, globals: Globals, init: *const c_void) -> Result<Arc<NetworkDevice>> {
    guard::client(call, globals)?;
    guard::given(call, "DeviceInit", init)?;
    let init = device_init::checked(call, Handle::from_address(init.addr()))?;
    let network = init.statements().network.clone();
    let network = network.and_then(|network| network.downcast::<NetworkDevice>().ok());
    network.ok_or_else(|| {
        log::error!("{call} before NetDeviceInitConfig: ignored");
        NtStatus::INVALID_DEVICE_REQUEST
    })
}

/// `NetDeviceInitSetResetCapabilities`
pub(super) fn set_reset(
    globals: Globals,
    init: *const c_void,
    structure: In<'_, ResetCapabilities>,
) -> Result {
    const CALL: &str = "NetDeviceInitSetResetCapabilities";
    network(CALL, globals, init)?;
    guard::read(CALL, structure)?;
    log::warn!(
        "{CALL}: resets on request are beyond the user-mode surface: \
         EvtNetDeviceCollectResetDiagnostics is never called"
    );
    Ok(())
}

/// `NetDeviceGetPowerOffloadList`, `NetDeviceGetWakeSourceList`
pub(super) fn open_list(
    call: &str,
    globals: Globals,
    device: Handle,
    list: Out<'_, List>,
    wake: bool,
) -> Result {
    guard::client(call, globals)?;
    let given = guard::read(call, list.given())?;
    if !lists::is_in_transition(device) {
        let why = format_args!(
            "{device} is in no power transition: call it from EvtDeviceD0Entry or EvtDeviceD0Exit"
        );
        return refuse(FailureCode::PowerNotInTransition, call, why);
    }
    let adapters = object::children(device, Kind::Adapter).into_iter();
    let adapters =
        adapters.filter_map(|handle| object::payload::<AdapterObject>(handle, Kind::Adapter).ok());
    let duties = adapters.flat_map(|adapter| adapter.power.lock().duties(wake).collect::<Vec<_>>());
    let number = lists::open(device, wake, duties.collect());
    list.store(given.numbered(number));
    Ok(())
}

fn list_code(wake: bool) -> FailureCode {
    match wake {
        true => FailureCode::InvalidWakeSourceListSignature,
        false => FailureCode::InvalidPowerOffloadListSignature,
    }
}

/// `Net…ListGetCount`
pub(super) fn count(call: &str, globals: Globals, list: In<'_, List>, wake: bool) -> Result<usize> {
    guard::client(call, globals)?;
    let list = guard::read(call, list)?;
    match lists::count(list.number(), wake) {
        Some(count) => Ok(count),
        None => refuse(list_code(wake), call, format_args!("no such list is open")),
    }
}

/// `Net…ListGetElement`
pub(super) fn element(
    call: &str,
    globals: Globals,
    list: In<'_, List>,
    index: usize,
    wake: bool,
) -> Result<usize> {
    guard::client(call, globals)?;
    let list = guard::read(call, list)?;
    match lists::element(list.number(), wake, index) {
        Some(element) => Ok(element),
        None => refuse(
            list_code(wake),
            call,
            format_args!("no such list is open, or it has no element {index}"),
        ),
    }
}

fn duty(call: &str, globals: Globals, number: usize, wake: bool) -> Result<Arc<Duty>> {
    guard::client(call, globals)?;
    match lists::duty(number, wake) {
        Some(duty) => Ok(duty),
        None => refuse(
            list_code(wake),
            call,
            format_args!("{number:#x} is no element of a list that is open"),
        ),
    }
}

/// `NetPowerOffloadGetType`, `NetWakeSourceGetType`
pub(super) fn kind(call: &str, globals: Globals, number: usize, wake: bool) -> Result<u32> {
    Ok(duty(call, globals, number, wake)?.what.kind())
}

/// `NetPowerOffloadGetAdapter`, `NetWakeSourceGetAdapter`
pub(super) fn adapter(call: &str, globals: Globals, number: usize, wake: bool) -> Result<Handle> {
    Ok(duty(call, globals, number, wake)?.adapter)
}

/// `Net…Get…Parameters`: fills the structure of the element's own type.
pub(super) fn parameters<T: foreign::Parameters>(
    call: &str,
    globals: Globals,
    number: usize,
    parameters: Out<'_, T>,
    wake: bool,
) -> Result {
    let duty = duty(call, globals, number, wake)?;
    guard::read(call, parameters.given())?;
    let Some(filled) = T::of(duty.id, &duty.what) else {
        let why = format_args!(
            "the element is of type {}; ask for that first",
            duty.what.kind()
        );
        return refuse(list_code(wake), call, why);
    };
    parameters.store(filled);
    Ok(())
}

fn wake(call: &str, adapter: &AdapterObject, reason: WakeReason) -> Result {
    if !lists::is_waking(adapter.device) {
        let why = format_args!("{} is not waking up", adapter.handle());
        return refuse(FailureCode::WakeNotInProgress, call, why);
    }
    log::info!("{call}: {}: {reason:?}", adapter.handle());
    adapter.power.lock().reason = Some(reason);
    Ok(())
}

/// `NetAdapterReportWakeReasonPacket`
pub(super) fn wake_packet(globals: Globals, handle: Handle, reason: In<'_, Reason>) -> Result {
    const CALL: &str = "NetAdapterReportWakeReasonPacket";
    let adapter = guard::adapter(CALL, globals, handle)?;
    let reason = guard::read(CALL, reason)?;
    let (pattern, size) = (reason.pattern_id, reason.original_packet_size);
    wake(CALL, &adapter, WakeReason::Packet { pattern, size })
}

/// `NetAdapterReportWakeReasonMediaChange`
pub(super) fn wake_media_change(globals: Globals, handle: Handle, reason: u32) -> Result {
    const CALL: &str = "NetAdapterReportWakeReasonMediaChange";
    let adapter = guard::adapter(CALL, globals, handle)?;
    if !(1..=2).contains(&reason) {
        let why = format_args!("reason {reason}; connected is 1, disconnected 2");
        return refuse(
            FailureCode::InvalidNetAdapterWakeReasonMediaChange,
            CALL,
            why,
        );
    }
    wake(CALL, &adapter, WakeReason::MediaChange(reason == 1))
}

/// `NetDeviceRequestReset`
pub(super) fn request_reset(globals: Globals, device: Handle) -> Result {
    const CALL: &str = "NetDeviceRequestReset";
    guard::client(CALL, globals)?;
    log::error!(
        "{CALL}: {device}: resets on request are beyond the user-mode surface and are not done; \
         fail the device with WdfDeviceSetFailed to have it restarted"
    );
    Ok(())
}

/// `NetDeviceStoreResetDiagnostics`
pub(super) fn store_reset_diagnostics(globals: Globals, size: usize) -> Result {
    const CALL: &str = "NetDeviceStoreResetDiagnostics";
    guard::client(CALL, globals)?;
    if size > LARGEST_DIAGNOSTICS {
        let why = format_args!("{size} bytes, more than {LARGEST_DIAGNOSTICS}");
        return refuse(FailureCode::ResetDiagnosticsSizeTooLarge, CALL, why);
    }
    let why = format_args!("allowed only inside EvtDeviceCollectResetDiagnostics");
    refuse(FailureCode::IsNotCollectingResetDiagnostics, CALL, why)
}
