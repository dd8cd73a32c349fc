//! The client: an echo. What the stack sends comes back to it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::io;
use std::ptr::null;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

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

/// A queue as the client keeps it.
#[derive(Clone, Copy)]
pub(super) struct Queue {
    adapter: Handle,
    pub(super) rings: *const [*mut u8; 3],
    virtual_address: NetExtension,
    checksum: NetExtension,
    tag: NetExtension,
    id: u32,
    tx: bool,
}
// SAFETY: ring memory is only touched inside the queue's own callbacks.
unsafe impl Send for Queue {}

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

pub(super) fn queue_config() -> NetPacketQueueConfig {
    NetPacketQueueConfig {
        size: size_of::<NetPacketQueueConfig>() as u32,
        evt_start: raw(evt_start as *const c_void),
        evt_stop: raw(evt_stop as *const c_void),
        evt_advance: raw(evt_advance as *const c_void),
        evt_set_notification_enabled: raw(evt_arm as *const c_void),
        evt_cancel: raw(evt_cancel as *const c_void),
        execution_context: 0,
    }
}

extern "C" fn create_tx(adapter: Handle, init: usize) -> i32 {
    create_queue(adapter, init, true)
}

extern "C" fn create_rx(adapter: Handle, init: usize) -> i32 {
    create_queue(adapter, init, false)
}

/// The globals of the calling test are those bound last; every test's work.
fn my_globals() -> *const c_void {
    std::ptr::without_provenance(known().globals)
}

type Create = extern "C" fn(
    *const c_void,
    usize,
    *const c_void,
    *const NetPacketQueueConfig,
    *mut Handle,
) -> i32;

/// NetTxQueueCreate or NetRxQueueCreate.
pub(super) fn create_one(init: usize, tx: bool, config: &NetPacketQueueConfig) -> (i32, Handle) {
    let name = if tx {
        "NetTxQueueCreate"
    } else {
        "NetRxQueueCreate"
    };
    let create: Create = function(name);
    let mut queue = Handle::NULL;
    let globals = my_globals();
    let status = create(globals, init, null(), config, &mut queue);
    (status, queue)
}

fn create_queue(adapter: Handle, init: usize, tx: bool) -> i32 {
    let script = known().scripts.get(&adapter).cloned().unwrap_or_default();
    note(adapter, if tx { "create tx" } else { "create rx" });
    if script.talk {
        talk(adapter);
    }
    if let Some(status) = script.refuse {
        return status.0;
    }
    if script.without_queue {
        return 0;
    }
    let config = queue_config();
    if script.elsewhere {
        return std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let config = queue_config();
                let status = create_one(init, tx, &config).0;
                let breaches = crate::door::fail::recorded::take();
                assert_eq!(breaches.len(), 1);
                note(adapter, format!("{}", breaches[0].0));
                status
            });
            other.join().unwrap()
        });
    }
    let (status, queue) = create_one(init, tx, &config);
    if status < 0 {
        return status;
    }
    if script.twice {
        return create_one(init, tx, &config).0;
    }
    let name = if tx {
        "NetTxQueueInitGetQueueId"
    } else {
        "NetRxQueueInitGetQueueId"
    };
    let id: extern "C" fn(*const c_void, usize) -> u32 = function(name);
    keep_queue(adapter, queue, id(my_globals(), init), tx);
    status
}

pub(super) fn keep_queue(adapter: Handle, queue: Handle, id: u32, tx: bool) {
    let name = if tx {
        "NetTxQueueGetRingCollection"
    } else {
        "NetRxQueueGetRingCollection"
    };
    let get: extern "C" fn(*const c_void, Handle) -> *const [*mut u8; 3] = function(name);
    let rings = get(my_globals(), queue);
    assert_eq!(get(my_globals(), queue), rings, "the collection is stable");
    let kept = Queue {
        adapter,
        rings,
        virtual_address: extension(queue, tx, "ms_fragment_virtualaddress", 2),
        checksum: extension(queue, tx, "ms_packet_checksum", 1),
        tag: extension(queue, tx, "ms_packet_ieee8021q", 1),
        id,
        tx,
    };
    known().queues.insert(queue, kept);
}

/// NetTxQueueGetExtension or NetRxQueueGetExtension.
pub(super) fn extension(queue: Handle, tx: bool, name: &str, kind: u32) -> NetExtension {
    let wide: Vec<u16> = name.encode_utf16().chain([0]).collect();
    let query = NetExtensionQuery {
        size: size_of::<NetExtensionQuery>() as u32,
        name: wide.as_ptr(),
        version: 1,
        kind: NetExtensionType(kind),
    };
    query_extension(queue, tx, &query)
}

pub(super) fn query_extension(queue: Handle, tx: bool, query: &NetExtensionQuery) -> NetExtension {
    type Get = extern "C" fn(*const c_void, Handle, *const NetExtensionQuery, *mut NetExtension);
    let name = if tx {
        "NetTxQueueGetExtension"
    } else {
        "NetRxQueueGetExtension"
    };
    let get: Get = function(name);
    let mut extension = NetExtension {
        reserved: [9; 4],
        enabled: 9,
    };
    get(my_globals(), queue, query, &mut extension);
    extension
}

/// Calls the adapter from inside one of its callbacks.
fn talk(adapter: Handle) {
    let down = NetAdapterLinkState::disconnected();
    let link: extern "C" fn(*const c_void, Handle, *const NetAdapterLinkState) =
        function("NetAdapterSetLinkState");
    link(my_globals(), adapter, &down);
    let start: extern "C" fn(*const c_void, Handle) -> i32 = function("NetAdapterStart");
    assert!(start(my_globals(), adapter) < 0, "started already");
}

fn queue_of(handle: Handle) -> Queue {
    known().queues[&handle]
}

extern "C" fn evt_start(handle: Handle) {
    let queue = queue_of(handle);
    note(
        queue.adapter,
        if queue.tx { "start tx" } else { "start rx" },
    );
}

extern "C" fn evt_stop(handle: Handle) {
    let queue = queue_of(handle);
    note(queue.adapter, if queue.tx { "stop tx" } else { "stop rx" });
    known().queues.remove(&handle);
}

extern "C" fn evt_arm(handle: Handle, enabled: u8) {
    assert_eq!(enabled, 1);
    let queue = queue_of(handle);
    // Whoever is armed late finds what came meanwhile.
    if !queue.tx
        && known()
            .wire
            .get(&queue.adapter)
            .is_some_and(|wire| !wire.is_empty())
    {
        notify_rx(queue.adapter);
    }
}

fn notify_rx(adapter: Handle) {
    let known = known();
    let rx = known
        .queues
        .iter()
        .find(|(_, queue)| queue.adapter == adapter && !queue.tx);
    let rx = rx.map(|(handle, _)| *handle);
    drop(known);
    let notify: extern "C" fn(*const c_void, Handle) =
        function("NetRxQueueNotifyMoreReceivedPacketsAvailable");
    if let Some(rx) = rx {
        notify(my_globals(), rx);
    }
}

pub(super) static ADVANCES: AtomicU32 = AtomicU32::new(0);

extern "C" fn evt_advance(handle: Handle) {
    ADVANCES.fetch_add(1, Ordering::Relaxed);
    let queue = queue_of(handle);
    match queue.tx {
        true => advance_tx(queue),
        false => advance_rx(queue),
    }
}

extern "C" fn evt_cancel(handle: Handle) {
    let queue = queue_of(handle);
    note(
        queue.adapter,
        if queue.tx { "cancel tx" } else { "cancel rx" },
    );
    let script = known().scripts.get(&queue.adapter).cloned();
    if queue.tx || script.is_some_and(|script| script.withhold) {
        return;
    }
    let (packets, fragments) = (queue.ring(0), queue.ring(1));
    let mut index = packets.begin();
    while index != packets.end() {
        let packet = packets.element::<NetPacket>(index);
        // SAFETY: an element the client owns.
        let kept = unsafe { packet.read() };
        // SAFETY: as above.
        unsafe { packet.write(kept.with_ignore(true)) };
        index = packets.next(index);
    }
    packets.set_begin(index);
    fragments.set_begin(fragments.end());
}

/// A NET_RING as C sees it.
#[derive(Clone, Copy)]
pub(super) struct Ring(*mut u8);

impl Queue {
    pub(super) fn is_tx_of(&self, adapter: Handle) -> bool {
        self.tx && self.adapter == adapter
    }

    pub(super) fn ring(&self, which: usize) -> Ring {
        // SAFETY: the collection lives as long as the queue.
        Ring(unsafe { (*self.rings)[which] })
    }

    fn bytes(&self, fragment: u32) -> *mut u8 {
        let [base, stride, ..] = self.virtual_address.reserved;
        let at = base + stride * fragment as usize;
        // SAFETY: the extension of an element of the fragment ring.
        unsafe { (at as *const *mut u8).read() }
    }
}

impl Ring {
    fn word(self, offset: usize) -> u32 {
        // SAFETY: a word of the ring's head; others write it atomically.
        unsafe { self.0.wrapping_add(offset).cast::<u32>().read_volatile() }
    }

    pub(super) fn begin(self) -> u32 {
        self.word(48)
    }

    pub(super) fn end(self) -> u32 {
        self.word(12)
    }

    pub(super) fn set_begin(self, index: u32) {
        // SAFETY: as above.
        unsafe { self.0.wrapping_add(48).cast::<u32>().write_volatile(index) };
    }

    pub(super) fn next(self, index: u32) -> u32 {
        (index + 1) & self.word(8)
    }

    pub(super) fn element<T>(self, index: u32) -> *mut T {
        let stride = self.word(0) >> 16;
        self.0.wrapping_add(64 + (index * stride) as usize).cast()
    }
}

/// The number of the Tx queue that had a frame last.
pub(super) fn advanced_tx(adapter: Handle) -> Option<u32> {
    known().last_tx.get(&adapter).map(|(id, _)| *id)
}

/// Priority, VLAN and tagging of the frame that was sent last.
pub(super) fn last_tag(adapter: Handle) -> Option<(u8, u16, u8)> {
    let tag = known().last_tx.get(&adapter).map(|(_, tag)| *tag)?;
    Some((tag.priority(), tag.vlan(), tag.tx_tagging))
}

/// Notes which queue sends, and with which tag.
fn note_sending(queue: Queue, index: u32) {
    let [base, stride, ..] = queue.tag.reserved;
    let tag = match queue.tag.enabled {
        0 => NetPacketIeee8021Q::default(),
        // SAFETY: the extension of an element the client owns.
        _ => unsafe { ((base + stride * index as usize) as *const NetPacketIeee8021Q).read() },
    };
    known().last_tx.insert(queue.adapter, (queue.id, tag));
}

fn advance_tx(queue: Queue) {
    let (packets, fragments) = (queue.ring(0), queue.ring(1));
    while packets.begin() != packets.end() {
        // SAFETY: elements the client owns.
        let packet = unsafe { packets.element::<NetPacket>(packets.begin()).read() };
        if packet.ignore() {
            assert_eq!(packet.fragment_count, 0);
            note(queue.adapter, "ignored");
        } else {
            note_sending(queue, packets.begin());
            let index = packet.fragment_index;
            // SAFETY: as above.
            let fragment = unsafe { fragments.element::<NetFragment>(index).read() };
            let from = queue.bytes(index).wrapping_add(fragment.offset() as usize);
            let length = fragment.valid_length() as usize;
            // SAFETY: the buffer has as many bytes as the fragment says.
            let bytes = unsafe { std::slice::from_raw_parts(from, length) };
            known()
                .wire
                .entry(queue.adapter)
                .or_default()
                .push(bytes.to_vec());
            fragments.set_begin(fragments.next(index));
        }
        packets.set_begin(packets.next(packets.begin()));
    }
    notify_rx(queue.adapter);
}

fn advance_rx(queue: Queue) {
    let (packets, fragments) = (queue.ring(0), queue.ring(1));
    let waiting = std::mem::take(known().wire.entry(queue.adapter).or_default());
    let mut frames = waiting.into_iter();
    while packets.begin() != packets.end() && fragments.begin() != fragments.end() {
        let Some(frame) = frames.next() else { break };
        let index = fragments.begin();
        let element = fragments.element::<NetFragment>(index);
        // SAFETY: an element the client owns.
        let fragment = unsafe { element.read() };
        assert!(frame.len() <= fragment.capacity() as usize);
        let to = queue.bytes(index);
        // SAFETY: the buffer has as many bytes as the fragment says.
        unsafe { std::ptr::copy_nonoverlapping(frame.as_ptr(), to, frame.len()) };
        let written = fragment
            .with_valid_length(frame.len() as u32)
            .with_offset(0);
        // SAFETY: an element the client owns.
        unsafe { element.write(written) };
        let packet = packets.element::<NetPacket>(packets.begin());
        // SAFETY: as above.
        unsafe { packet.write(NetPacket::new(index, 1)) };
        call_valid(queue, packets.begin());
        fragments.set_begin(fragments.next(index));
        packets.set_begin(packets.next(packets.begin()));
    }
    let rest: Vec<_> = frames.collect();
    known().wire.entry(queue.adapter).or_default().extend(rest);
}

fn call_valid(queue: Queue, index: u32) {
    let script = known()
        .scripts
        .get(&queue.adapter)
        .cloned()
        .unwrap_or_default();
    if !script.call_valid || queue.checksum.enabled == 0 {
        return;
    }
    let [base, stride, ..] = queue.checksum.reserved;
    let valid = NetPacketChecksum::default().with_layer4(NetPacketChecksumState::VALID);
    // SAFETY: the extension of an element the client owns.
    unsafe { ((base + stride * index as usize) as *mut u8).write(valid.0) };
}
