//! The client: an echo. What the stack sends comes back to it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::io;
use std::ptr::null;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

mod echo;
mod queues;

pub(super) use self::echo::*;
pub(super) use self::queues::*;
use crate::abi::*;
use crate::adapter::AdapterConfig;
use crate::door::client_host::{self, ClientHost, ConfigurationScope};
use crate::door::configuration_store::{ConfigurationStore, ConfigurationTable};
use crate::door::globals::{self, Client};
use crate::door::net::device;
use crate::door::object::{self, Handle, Kind};
use crate::door::table;
use crate::os::loopback::{LoopbackSeat, loopback};
use crate::port::{PortOffloads, SystemPort};

pub(super) const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    /// Seats of the ports opened on a thread: adapters of a test are created on
    /// the test's own thread.
    static SEATS: RefCell<Vec<LoopbackSeat>> = const { RefCell::new(Vec::new()) };
    static OFFLOADS: RefCell<PortOffloads> = const { RefCell::new(PortOffloads {
        checksum: false, tso4: false, tso6: false, tso_ecn: false, uso: false,
    }) };
    pub(super) static TABLE: RefCell<Arc<ConfigurationTable>> = RefCell::default();
}

struct TestHost;

impl ClientHost for TestHost {
    fn open_port(&self, _adapter: usize) -> io::Result<Box<dyn SystemPort>> {
        let (port, seat) = loopback(1, OFFLOADS.with_borrow(|offloads| *offloads))?;
        SEATS.with_borrow_mut(|seats| seats.push(seat));
        Ok(Box::new(port))
    }

    fn configuration(&self, _scope: ConfigurationScope) -> Arc<dyn ConfigurationStore> {
        TABLE.with_borrow(|table| table.clone())
    }

    fn adapter_config(&self) -> AdapterConfig {
        AdapterConfig {
            tx_ring: 8,
            rx_ring: 8,
            deadline: Duration::from_secs(1),
            ..AdapterConfig::default()
        }
    }
}

/// The function of that name, as the loader hands it to a client.
pub(super) fn function<F: Copy>(name: &str) -> F {
    let entry = table::find(name).unwrap_or_else(|| panic!("{name} is not registered"));
    let address = entry.address();
    assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
    // SAFETY: F is a function pointer type of C's prototype.
    unsafe { std::mem::transmute_copy(&address) }
}

/// Calls a function by its name with C's prototype.
macro_rules! call {
    ($client:expr, $name:ident($($kind:ty = $argument:expr),*) -> $result:ty) => {{
        type Function = extern "C" fn(*const std::ffi::c_void $(, $kind)*) -> $result;
        let function: Function = super::client::function(stringify!($name));
        function($client.globals.pointer() $(, $argument)*)
    }};
    ($client:expr, $name:ident($($kind:ty = $argument:expr),*)) => {
        call!($client, $name($($kind = $argument),*) -> ())
    };
}
pub(super) use call;

/// What a test may ask of the client's callbacks; found by the adapter.
#[derive(Clone, Default)]
pub(super) struct Script {
    /// EvtAdapterCreateTxQueue and …Rx return this instead.
    pub(super) refuse: Option<NtStatus>,
    /// They succeed without a queue.
    pub(super) without_queue: bool,
    /// They create two queues.
    pub(super) twice: bool,
    /// They try it from another thread.
    pub(super) elsewhere: bool,
    /// They set the link state and a new address before they create.
    pub(super) talk: bool,
    /// Packets received are called valid by their checksums.
    pub(super) call_valid: bool,
    /// Cancel gives nothing back.
    pub(super) withhold: bool,
}

/// All that clients of this process did and know.
#[derive(Default)]
pub(super) struct Known {
    pub(super) queues: HashMap<Handle, Queue>,
    pub(super) scripts: HashMap<Handle, Script>,
    calls: HashMap<Handle, Vec<String>>,
    /// Which Tx queue had a frame last, and the tag it came with.
    last_tx: HashMap<Handle, (u32, NetPacketIeee8021Q)>,
    /// Frames on their way from Tx to Rx.
    wire: HashMap<Handle, Vec<Vec<u8>>>,
    pub(super) globals: usize,
}

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

pub(super) fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn note(adapter: Handle, call: impl Into<String>) {
    known().calls.entry(adapter).or_default().push(call.into());
}

/// Calls noted for an adapter since the last time.
pub(super) fn calls(adapter: Handle) -> Vec<String> {
    known().calls.remove(&adapter).unwrap_or_default()
}

/// One client with its device and one adapter.
pub(super) struct TestClient {
    pub(super) globals: Arc<Client>,
    pub(super) device: Handle,
    pub(super) adapter: Handle,
    pub(super) seat: LoopbackSeat,
}

static HOST: Once = Once::new();

pub(super) fn new_globals() -> Arc<Client> {
    HOST.call_once(|| client_host::install(Some(Arc::new(TestHost))));
    globals::bind("test", NetAdapterCxVersion::OFFERED)
}

impl TestClient {
    /// Everything up to EvtDevicePrepareHardware, capabilities not stated.
    pub(super) fn create() -> Self {
        Self::create_with(|_, _| ())
    }

    /// The same, with more done to the init object.
    pub(super) fn create_with(more: impl FnOnce(&Client, usize)) -> Self {
        let globals = new_globals();
        known().globals = globals.pointer().addr();
        let device = object::create(Kind::Device, None, Arc::new(())).unwrap();
        let adapter = create_adapter(&globals, device, more);
        let seat = SEATS.with_borrow_mut(Vec::pop).unwrap();
        Self {
            globals,
            device,
            adapter,
            seat,
        }
    }

    /// A client that has stated what is mandatory.
    pub(super) fn stated() -> Self {
        let client = Self::create();
        client.state();
        client
    }

    pub(super) fn offloads(offloads: PortOffloads) {
        OFFLOADS.set(offloads);
    }

    pub(super) fn state(&self) {
        self.state_without_link();
        self.set_link(&NetAdapterLinkState::connected(
            1_000,
            NetIfMediaDuplexState::FULL,
        ));
    }

    pub(super) fn state_without_link(&self) {
        let link = NetAdapterLinkLayerCapabilities::new(1_000_000_000, 1_000_000_000);
        call!(self, NetAdapterSetLinkLayerCapabilities(Handle = self.adapter,
            *const NetAdapterLinkLayerCapabilities = &link));
        call!(
            self,
            NetAdapterSetLinkLayerMtuSize(Handle = self.adapter, u32 = 1500)
        );
        let (tx, rx) = (tx_capabilities(), rx_capabilities());
        self.set_datapath(&tx, &rx);
        let address = NetAdapterLinkLayerAddress::ethernet([2, 0, 0, 0, 0, 7]);
        call!(self, NetAdapterSetPermanentLinkLayerAddress(Handle = self.adapter,
            *const NetAdapterLinkLayerAddress = &address));
    }

    pub(super) fn set_datapath(
        &self,
        tx: &NetAdapterTxCapabilities,
        rx: &NetAdapterRxCapabilities,
    ) {
        call!(self, NetAdapterSetDataPathCapabilities(Handle = self.adapter,
            *const NetAdapterTxCapabilities = tx, *const NetAdapterRxCapabilities = rx));
    }

    pub(super) fn set_link(&self, state: &NetAdapterLinkState) {
        call!(self, NetAdapterSetLinkState(Handle = self.adapter,
            *const NetAdapterLinkState = state));
    }

    pub(super) fn start(&self) -> NtStatus {
        NtStatus(call!(self, NetAdapterStart(Handle = self.adapter) -> i32))
    }

    pub(super) fn stop(&self) {
        call!(self, NetAdapterStop(Handle = self.adapter));
    }

    /// Stated, started, powered.
    pub(super) fn running() -> Self {
        let client = Self::stated();
        assert_eq!(client.start(), NtStatus::SUCCESS);
        device::io_start(client.device).unwrap();
        client
    }

    pub(super) fn script(&self, change: impl FnOnce(&mut Script)) {
        change(known().scripts.entry(self.adapter).or_default());
    }

    pub(super) fn calls(&self) -> Vec<String> {
        calls(self.adapter)
    }

    /// A queue of the adapter.
    pub(super) fn queue(&self, tx: bool) -> (Handle, Queue) {
        let known = known();
        let mut queues = known.queues.iter();
        let found = queues.find(|(_, queue)| queue.adapter == self.adapter && queue.tx == tx);
        let (handle, queue) = found.expect("no queue");
        (*handle, *queue)
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        device::io_stop(self.device);
        device::stop_adapters(self.device);
        // The globals stay: callbacks of other tests may use them.
        object::delete(self.device);
    }
}

fn create_adapter(
    globals: &Arc<Client>,
    device: Handle,
    more: impl FnOnce(&Client, usize),
) -> Handle {
    struct Bare<'a> {
        globals: &'a Arc<Client>,
    }
    let client = Bare { globals };
    let init = call!(client, NetAdapterInitAllocate(Handle = device) -> usize);
    assert_ne!(init, 0);
    let callbacks = datapath_callbacks();
    call!(client, NetAdapterInitSetDatapathCallbacks(usize = init,
        *const NetAdapterDatapathCallbacks = &callbacks));
    more(globals, init);
    let mut adapter = Handle::NULL;
    let status = call!(client, NetAdapterCreate(usize = init, *const c_void = null(),
        *mut Handle = &mut adapter) -> i32);
    assert_eq!(NtStatus(status), NtStatus::SUCCESS);
    call!(client, NetAdapterInitFree(usize = init));
    adapter
}

pub(super) fn datapath_callbacks() -> NetAdapterDatapathCallbacks {
    NetAdapterDatapathCallbacks {
        size: size_of::<NetAdapterDatapathCallbacks>() as u32,
        evt_adapter_create_tx_queue: raw(create_tx as *const c_void),
        evt_adapter_create_rx_queue: raw(create_rx as *const c_void),
    }
}

/// A function as a structure of C holds it.
pub(super) fn raw(function: *const c_void) -> RawCallback {
    // SAFETY: the address of a function; it is called with its own type.
    Some(unsafe { std::mem::transmute::<*const c_void, extern "C" fn()>(function) })
}

pub(super) fn tx_capabilities() -> NetAdapterTxCapabilities {
    NetAdapterTxCapabilities {
        size: size_of::<NetAdapterTxCapabilities>() as u32,
        mapping_requirement: NetMemoryMappingRequirement::NONE,
        payload_backfill: 0,
        maximum_number_of_fragments: usize::MAX,
        fragment_buffer_alignment: 1,
        fragment_ring_number_of_elements_hint: 0,
        maximum_number_of_queues: 4,
        dma_capabilities: null(),
    }
}

pub(super) fn rx_capabilities() -> NetAdapterRxCapabilities {
    NetAdapterRxCapabilities {
        size: size_of::<NetAdapterRxCapabilities>() as u32,
        allocation_mode: NetRxFragmentBufferAllocationMode::SYSTEM,
        attachment_mode: NetRxFragmentBufferAttachmentMode::SYSTEM,
        fragment_ring_number_of_elements_hint: 0,
        maximum_frame_size: 2048,
        maximum_number_of_queues: 4,
        mapping_requirement: NetMemoryMappingRequirement::NONE,
        fragment_buffer_alignment: 1,
        dma_capabilities: null(),
    }
}
