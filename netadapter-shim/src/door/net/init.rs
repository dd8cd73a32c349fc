//! From WDFDEVICE_INIT to a NETADAPTER.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::adapter::{self, AdapterObject};
use super::callbacks::{AdapterCallbacks, CreateQueue};
use super::events::ClientEvents;
use super::guard::{self, Globals, refuse};
use super::power::NetworkDevice;
use super::{device, queue};
use crate::abi::{FailureCode, NetAdapterDatapathCallbacks, NetAdapterTxDemux, NtStatus};
use crate::adapter::{Adapter, AdapterConfig, DemandHook, TxDemux};
use crate::door::client_host;
use crate::door::fail::{breach, verifier};
use crate::door::foreign::{In, Out};
use crate::door::numbers::Numbers;
use crate::door::object::{self, Handle, Kind};
use crate::door::types::WdfObjectAttributes;
use crate::door::wdf::device_init;
use crate::execution::FaultHook;

/// What stands behind a NETADAPTER_INIT.
#[derive(Clone, Copy)]
struct Init {
    device: Handle,
    callbacks: AdapterCallbacks,
    demux: Option<TxDemux>,
    /// Why no adapter can be made of it.
    fault: Option<(&'static str, NtStatus)>,
    used: bool,
}

static INITS: LazyLock<Mutex<HashMap<usize, Init>>> = LazyLock::new(Mutex::default);
/// Numbers that look like nothing that can be followed.
static NEXT: AtomicUsize = AtomicUsize::new(0x4d30_0000_0000_0010);
/// Adapters of a process are numbered from 0 in the order of creation.
static ADAPTERS: Numbers = Numbers::new();

fn inits() -> MutexGuard<'static, HashMap<usize, Init>> {
    INITS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes an init object that has not been used yet.
fn change(call: &str, number: usize, change: impl FnOnce(&mut Init)) -> Result<(), NtStatus> {
    let mut all = inits();
    let Some(init) = all.get_mut(&number) else {
        drop(all);
        return unknown(call, number);
    };
    if init.used {
        drop(all);
        return used(call);
    }
    change(init);
    Ok(())
}

/// What is refused is remembered until the call succeeds: it returns nothing,
/// and so no adapter is created.
fn remembering(
    call: &'static str,
    number: usize,
    made: Result<(), NtStatus>,
) -> Result<(), NtStatus> {
    if let Some(init) = inits().get_mut(&number) {
        init.fault = match made {
            Err(status) => Some((call, status)),
            Ok(()) => init.fault.filter(|(earlier, _)| *earlier != call),
        };
    }
    made
}

fn unknown<T>(call: &str, number: usize) -> Result<T, NtStatus> {
    let why = format_args!("{number:#x} is not from NetAdapterInitAllocate, or was freed");
    refuse(FailureCode::InvalidNetAdapterInitSignature, call, why)
}

fn used<T>(call: &str) -> Result<T, NtStatus> {
    let why = format_args!("an adapter was created from this init object already");
    refuse(FailureCode::NetAdapterInitAlreadyUsed, call, why)
}

/// `NetDeviceInitConfig`
pub(super) fn device_init_config(globals: Globals, init: *mut c_void) -> Result<(), NtStatus> {
    const CALL: &str = "NetDeviceInitConfig";
    guard::client(CALL, globals)?;
    guard::given(CALL, "DeviceInit", init)?;
    let init = device_init::checked(CALL, Handle::from_address(init.addr()))?;
    init.statements().network = Some(Arc::new(NetworkDevice::default()));
    Ok(())
}

/// `NetAdapterInitAllocate`: 0 on failure.
pub(super) fn allocate(globals: Globals, device: Handle) -> usize {
    const CALL: &str = "NetAdapterInitAllocate";
    if guard::client(CALL, globals).is_err() {
        return 0;
    }
    if object::kind(device) != Some(Kind::Device) {
        breach(
            FailureCode::ShimInvalidObjectHandle,
            format_args!("{CALL}: {device} is no WDFDEVICE"),
        );
        return 0;
    }
    let number = NEXT.fetch_add(16, Ordering::Relaxed);
    let init = Init {
        device,
        callbacks: AdapterCallbacks::default(),
        demux: None,
        fault: None,
        used: false,
    };
    let mut all = inits();
    // One that a client never freed goes with its device.
    all.retain(|_, init| object::kind(init.device).is_some());
    all.insert(number, init);
    number
}

/// `NetAdapterInitFree`
pub(super) fn free(globals: Globals, number: usize) {
    const CALL: &str = "NetAdapterInitFree";
    if guard::client(CALL, globals).is_ok() && inits().remove(&number).is_none() {
        let _ = unknown::<()>(CALL, number);
    }
}

/// `NetAdapterInitSetDatapathCallbacks`
pub(super) fn set_datapath_callbacks(
    globals: Globals,
    number: usize,
    callbacks: In<'_, NetAdapterDatapathCallbacks>,
) -> Result<(), NtStatus> {
    guard::client(SET_DATAPATH_CALLBACKS, globals)?;
    let made = keep_callbacks(number, callbacks);
    remembering(SET_DATAPATH_CALLBACKS, number, made)
}

const SET_DATAPATH_CALLBACKS: &str = "NetAdapterInitSetDatapathCallbacks";

fn keep_callbacks(
    number: usize,
    callbacks: In<'_, NetAdapterDatapathCallbacks>,
) -> Result<(), NtStatus> {
    const CALL: &str = SET_DATAPATH_CALLBACKS;
    let raw = guard::read(CALL, callbacks)?;
    let create_tx = CreateQueue::from_raw(raw.evt_adapter_create_tx_queue);
    let create_rx = CreateQueue::from_raw(raw.evt_adapter_create_rx_queue);
    if create_tx.is_none() || create_rx.is_none() {
        return refuse(
            FailureCode::InvalidDatapathCallbacks,
            CALL,
            format_args!("EvtAdapterCreateTxQueue and EvtAdapterCreateRxQueue must both be given"),
        );
    }
    change(CALL, number, |init| {
        (init.callbacks.create_tx, init.callbacks.create_rx) = (create_tx, create_rx);
    })
}

/// `NetAdapterInitAddTxDemux`
pub(super) fn add_tx_demux(
    globals: Globals,
    number: usize,
    demux: In<'_, NetAdapterTxDemux>,
) -> Result<(), NtStatus> {
    guard::client(ADD_TX_DEMUX, globals)?;
    let made = keep_demux(number, demux);
    remembering(ADD_TX_DEMUX, number, made)
}

const ADD_TX_DEMUX: &str = "NetAdapterInitAddTxDemux";

fn keep_demux(number: usize, demux: In<'_, NetAdapterTxDemux>) -> Result<(), NtStatus> {
    const CALL: &str = ADD_TX_DEMUX;
    let raw = guard::read(CALL, demux)?;
    let demux = TxDemux::new(raw.kind, raw.range).map_err(|error| {
        if let Some(code) = error.failure_code() {
            breach(code, format_args!("{CALL}: {error}"));
        }
        error.status()
    })?;
    change(CALL, number, |init| init.demux = Some(demux))
}

/// `NetAdapterCreate`
pub(super) fn create(
    globals: Globals,
    number: usize,
    attributes: In<'_, WdfObjectAttributes>,
    adapter: Out<'_, Handle>,
) -> Result<(), NtStatus> {
    const CALL: &str = "NetAdapterCreate";
    guard::client(CALL, globals)?;
    guard::given(CALL, "Adapter", adapter)?;
    let attributes = queue::read_attributes(CALL, attributes)?;
    let mut taken = None;
    change(CALL, number, |init| {
        init.used = true;
        taken = Some(*init);
    })?;
    let init = taken.ok_or(NtStatus::INVALID_PARAMETER)?;
    let handle = build(CALL, init, &attributes).inspect_err(|_| {
        // A failed create may be tried again.
        if let Some(init) = inits().get_mut(&number) {
            init.used = false;
        }
    })?;
    adapter.store(handle);
    Ok(())
}

fn build(call: &str, init: Init, attributes: &object::Attributes) -> Result<Handle, NtStatus> {
    if let Some((earlier, status)) = init.fault {
        log::error!("{call}: {earlier} was refused");
        return Err(status);
    }
    let Some(host) = client_host::current() else {
        log::error!("{call}: no host to open a port");
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    };
    let claim = ADAPTERS.claim();
    let number = claim.get();
    let port = host.open_port(number).map_err(|error| {
        log::error!("{call}: adapter {number}: cannot open its port: {error}");
        NtStatus::INSUFFICIENT_RESOURCES
    })?;
    let demux = init.demux.map(|demux| demux.queues);
    let object = Arc::new(AdapterObject::new(
        claim,
        init.device,
        init.callbacks,
        demux,
    ));
    let events = Box::new(ClientEvents::new(&object));
    let mut core = Adapter::new(events, port, config(host.adapter_config(), &object))
        .map_err(|error| guard::report(call, Handle::NULL, &error))?;
    if let Some(demux) = init.demux {
        let set = core.set_tx_demux(demux);
        set.map_err(|error| guard::report(call, Handle::NULL, &error))?;
    }
    let payload = Arc::clone(&object);
    let handle = object::create_with(Kind::Adapter, Some(init.device), attributes, payload)?;
    object.complete(handle, core);
    let disposed = Arc::clone(&object);
    object::on_dispose(handle, Box::new(move || adapter::dispose(&disposed)));
    if device::is_powered(init.device) {
        // The client does not get the handle then.
        adapter::io_start(&object).inspect_err(|_| object::abandon(handle))?;
    }
    Ok(handle)
}

/// How a C client's adapter differs from the host's wish: packets that cannot
/// be sent are shown, faults are breaches at once, and Tx queues that are told
/// apart are created when they are needed.
fn config(config: AdapterConfig, adapter: &Arc<AdapterObject>) -> AdapterConfig {
    let number = adapter.number;
    let fault = FaultHook::new(move |_, fault| {
        breach(
            fault.failure_code(),
            format_args!("adapter {number}: {fault}"),
        );
    });
    let adapter = Arc::downgrade(adapter);
    let demand = DemandHook::new(move || {
        if let Some(adapter) = adapter.upgrade() {
            adapter.elsewhere("creating a Tx queue", Adapter::create_wanted_queues);
        }
    });
    AdapterConfig {
        queue_pairs: 1,
        verifier: verifier(),
        post_ignored: true,
        trust_rx_checksums: true,
        coalesce_received: true,
        fault_hook: Some(fault),
        demand_hook: Some(demand),
        ..config
    }
}
