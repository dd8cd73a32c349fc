//! NETPACKETQUEUE: a client's queue, from its creation inside the create
//! callback to its deletion with the core's queue.

mod driven;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use super::callbacks::{QueueEvent, QueueNotification};
use super::guard::{self, Globals, refuse};
use crate::abi::{
    FailureCode, NetExtension, NetExtensionQuery, NetExtensionType, NetPacketQueueConfig, NtStatus,
};
use crate::door::fail::{advise, breach, verifier};
use crate::door::foreign::{In, Out};
use crate::door::object::{self, Handle, Kind, ParentRule, Rules};
use crate::door::types::WdfObjectAttributes;
use crate::queue::{Direction, Notifier, QueueInit};
use crate::ring::RingMap;
pub(super) use driven::{ClientQueue, DefaultQueue};

/// NET_PACKET_QUEUE_CONFIG of version 2.0, before ExecutionContext.
const CONFIG_2_0: u32 = 48;
/// Contexts are the client's memory for one object; more than this is a size
/// that was never meant.
const LARGEST_CONTEXT: usize = u32::MAX as usize;

/// What a client gave with NET_PACKET_QUEUE_CONFIG.
#[derive(Clone, Copy)]
struct QueueCallbacks {
    start: Option<QueueEvent>,
    stop: Option<QueueEvent>,
    advance: QueueEvent,
    set_notification_enabled: QueueNotification,
    cancel: QueueEvent,
}

/// The Rust half of a NETPACKETQUEUE.
pub(crate) struct QueueObject {
    pub(super) direction: Direction,
    pub(super) queue_id: u32,
    /// NET_RING_COLLECTION: packet ring, fragment ring, no data buffer ring.
    /// Never written after this.
    collection: Box<[usize; 3]>,
    map: RingMap,
    notifier: Notifier,
    callbacks: QueueCallbacks,
    demux: Option<u8>,
    /// From EvtStart to the end of EvtStop.
    running: AtomicBool,
    notifications: AtomicU64,
}

impl QueueObject {
    fn set_running(&self, running: bool) {
        self.running.store(running, Ordering::Release);
    }

    /// How often the client has notified.
    fn notifications(&self) -> u64 {
        self.notifications.load(Ordering::Acquire)
    }
}

/// A queue that is being created: what stands behind a NETTXQUEUE_INIT or
/// NETRXQUEUE_INIT.
pub(super) struct Creation {
    direction: Direction,
    thread: ThreadId,
    adapter: Handle,
    queue_id: u32,
    notifier: Notifier,
    map: RingMap,
    demux: Option<u8>,
    created: Mutex<Option<Handle>>,
}

static CREATIONS: LazyLock<Mutex<HashMap<usize, Arc<Creation>>>> = LazyLock::new(Mutex::default);
/// Numbers that look like nothing that can be followed.
static NEXT: AtomicUsize = AtomicUsize::new(0x4d10_0000_0000_0010);

fn creations() -> MutexGuard<'static, HashMap<usize, Arc<Creation>>> {
    CREATIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Creation {
    /// Opens a window in which the client may create its queue; the number is
    /// that of the init object.
    pub(super) fn open(
        direction: Direction,
        adapter: Handle,
        init: &QueueInit,
        demux: Option<u8>,
    ) -> (usize, Arc<Self>) {
        let creation = Arc::new(Self {
            direction,
            thread: std::thread::current().id(),
            adapter,
            queue_id: init.queue_id(),
            notifier: init.notifier(),
            map: init.ring_map().clone(),
            demux,
            created: Mutex::new(None),
        });
        let number = NEXT.fetch_add(16, Ordering::Relaxed);
        creations().insert(number, Arc::clone(&creation));
        (number, creation)
    }

    /// Ends the window; the queue that was created in it, if one was.
    pub(super) fn close(&self, number: usize) -> Option<Handle> {
        creations().remove(&number);
        self.created().take()
    }

    fn created(&self) -> MutexGuard<'_, Option<Handle>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The creation an init object stands for, asked for on its thread.
fn creation(call: &str, direction: Direction, number: usize) -> Result<Arc<Creation>, NtStatus> {
    let found = creations().get(&number).cloned();
    let Some(found) = found.filter(|found| found.direction == direction) else {
        return refuse(
            FailureCode::BadQueueInitContext,
            call,
            format_args!("{number:#x} is no init object of a create callback under way"),
        );
    };
    if found.thread != std::thread::current().id() {
        return refuse(
            FailureCode::CreatingNetQueueFromWrongThread,
            call,
            format_args!("it must be called on the create callback's own thread"),
        );
    }
    Ok(found)
}

/// `Net{Tx,Rx}QueueInitGetQueueId`
pub(super) fn queue_id(call: &str, globals: Globals, direction: Direction, init: usize) -> u32 {
    let found = guard::client(call, globals).and_then(|_| creation(call, direction, init));
    found.map_or(0, |creation| creation.queue_id)
}

/// `Net{Tx,Rx}QueueCreate`
pub(super) fn create(
    call: &str,
    globals: Globals,
    direction: Direction,
    init: usize,
    attributes: In<'_, WdfObjectAttributes>,
    config: In<'_, NetPacketQueueConfig>,
    queue: Out<'_, Handle>,
) -> Result<(), NtStatus> {
    guard::client(call, globals)?;
    guard::given(call, "PacketQueue", queue)?;
    let creation = creation(call, direction, init)?;
    if creation.created().is_some() {
        refuse::<()>(
            FailureCode::QueueAlreadyCreated,
            call,
            format_args!("this callback has created its queue already"),
        )?;
    }
    let callbacks = read_config(call, config)?;
    let attributes = read_attributes(call, attributes)?;
    let [packets, fragments] = creation.map.rings();
    let payload = QueueObject {
        direction,
        queue_id: creation.queue_id,
        collection: Box::new([packets, fragments, 0]),
        map: creation.map.clone(),
        notifier: creation.notifier.clone(),
        callbacks,
        demux: creation.demux,
        running: AtomicBool::new(false),
        notifications: AtomicU64::new(0),
    };
    let parent = Some(creation.adapter);
    let handle = object::create_with(Kind::PacketQueue, parent, &attributes, Arc::new(payload))?;
    *creation.created() = Some(handle);
    queue.store(handle);
    Ok(())
}

/// Attributes of an adapter or a queue: the framework chooses the parent.
pub(super) fn read_attributes(
    call: &str,
    attributes: In<'_, WdfObjectAttributes>,
) -> Result<object::Attributes, NtStatus> {
    let rules = Rules::ANY.parent(ParentRule::Forbidden);
    let read = object::Attributes::of(attributes, rules);
    let attributes = read.inspect_err(|status| {
        let code = match *status {
            NtStatus::WDF_PARENT_ASSIGNMENT_NOT_ALLOWED => FailureCode::ParentObjectNotNull,
            NtStatus::INFO_LENGTH_MISMATCH => FailureCode::InvalidStructTypeSize,
            NtStatus::INSUFFICIENT_RESOURCES => FailureCode::ObjectAttributesContextSizeTooLarge,
            _ => return,
        };
        breach(
            code,
            format_args!("{call}: the object attributes: {status}"),
        );
    })?;
    let size = attributes
        .context
        .as_ref()
        .map_or(0, |context| context.size);
    if size > LARGEST_CONTEXT {
        return refuse(
            FailureCode::ObjectAttributesContextSizeTooLarge,
            call,
            format_args!("a context of {size} bytes"),
        );
    }
    Ok(attributes)
}

fn read_config(
    call: &str,
    config: In<'_, NetPacketQueueConfig>,
) -> Result<QueueCallbacks, NtStatus> {
    let raw = config.sized_since(CONFIG_2_0, EMPTY_CONFIG);
    let raw = raw.map_err(|bad| guard::bad_struct(call, bad))?;
    complete_config(call, &raw)
}

const EMPTY_CONFIG: NetPacketQueueConfig = NetPacketQueueConfig {
    size: 0,
    evt_start: None,
    evt_stop: None,
    evt_advance: None,
    evt_set_notification_enabled: None,
    evt_cancel: None,
    execution_context: 0,
};

fn complete_config(call: &str, raw: &NetPacketQueueConfig) -> Result<QueueCallbacks, NtStatus> {
    let mandatory = (
        QueueEvent::from_raw(raw.evt_advance),
        QueueNotification::from_raw(raw.evt_set_notification_enabled),
        QueueEvent::from_raw(raw.evt_cancel),
    );
    let (Some(advance), Some(set_notification_enabled), Some(cancel)) = mandatory else {
        return refuse(
            FailureCode::NetQueueInvalidConfiguration,
            call,
            format_args!("EvtAdvance, EvtSetNotificationEnabled and EvtCancel must all be given"),
        );
    };
    if raw.execution_context != 0 {
        return refuse(
            FailureCode::InvalidExecutionContextConfig,
            call,
            format_args!("ExecutionContext must be NULL in user mode"),
        );
    }
    Ok(QueueCallbacks {
        start: QueueEvent::from_raw(raw.evt_start),
        stop: QueueEvent::from_raw(raw.evt_stop),
        advance,
        set_notification_enabled,
        cancel,
    })
}

/// The queue of a call that is for one direction only.
fn of_direction(
    call: &str,
    globals: Globals,
    handle: Handle,
    direction: Direction,
) -> Result<Arc<QueueObject>, NtStatus> {
    let queue = guard::queue(call, globals, handle)?;
    if queue.direction == direction {
        return Ok(queue);
    }
    refuse(
        FailureCode::InvalidQueueHandle,
        call,
        format_args!("{handle} is an {} queue", queue.direction),
    )
}

/// `Net{Tx,Rx}QueueGetRingCollection`
pub(super) fn collection(
    call: &str,
    globals: Globals,
    direction: Direction,
    handle: Handle,
) -> *const [usize; 3] {
    match of_direction(call, globals, handle, direction) {
        Ok(queue) => &raw const *queue.collection,
        Err(_) => std::ptr::null(),
    }
}

/// `Net{Tx,Rx}QueueNotifyMore…Available`
pub(super) fn notify(call: &str, globals: Globals, direction: Direction, handle: Handle) {
    let Ok(queue) = of_direction(call, globals, handle, direction) else {
        return;
    };
    // No more than advice: Tx queues start before Rx queues, and one that is
    // fed by the other may be notified too early. Surplus calls are harmless.
    if !queue.running.load(Ordering::Acquire) && verifier() {
        let text = format_args!(
            "{call}: {direction} queue {} ({handle}) is not started, or stopped; notify between \
             EvtPacketQueueStart and EvtPacketQueueStop",
            queue.queue_id
        );
        advise(FailureCode::ShimNotifyOutsideStart, text);
    }
    queue.notifications.fetch_add(1, Ordering::Release);
    queue.notifier.notify();
}

/// `Net{Tx,Rx}QueueGetExtension`
pub(super) fn extension(
    call: &str,
    globals: Globals,
    direction: Direction,
    handle: Handle,
    query: In<'_, NetExtensionQuery>,
    extension: Out<'_, NetExtension>,
) -> Result<(), NtStatus> {
    guard::given(call, "Extension", extension)?;
    // Whatever goes wrong, the client finds an extension that is absent.
    extension.store(NetExtension::default());
    let queue = of_direction(call, globals, handle, direction)?;
    let query = query.query();
    let (query, name) = query.map_err(|bad| guard::bad_struct(call, bad))?;
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return refuse(
            FailureCode::InvalidNetExtensionName,
            call,
            format_args!("the extension's name is NULL, empty or without end"),
        );
    };
    let name = String::from_utf16_lossy(&name);
    check_query(call, &name, query)?;
    let found = queue.map.extension(&name, query.version, query.kind);
    extension.store(found);
    Ok(())
}

/// Names of the framework's own that exist in some version, registered or not.
const BUILTIN: [&str; 15] = [
    "ms_packet_checksum",
    "ms_packet_gso",
    "ms_packet_lso",
    "ms_packet_rsc",
    "ms_packet_rsc_timestamp",
    "ms_packet_ieee8021q",
    "ms_packet_hash",
    "ms_packet_wifiexemptionaction",
    "ms_fragment_virtualaddress",
    "ms_fragment_logicaladdress",
    "ms_fragment_mdl",
    "ms_fragment_wdfmemory",
    "ms_fragment_returncontext",
    "ms_fragment_databuffer",
    "ms_fragment_netmemory",
];

fn check_query(call: &str, name: &str, query: NetExtensionQuery) -> Result<(), NtStatus> {
    type Code = FailureCode;
    if name.starts_with("ms_") && !BUILTIN.contains(&name) {
        let why = format_args!("no extension of the framework's is called {name}");
        return refuse(Code::InvalidNetExtensionName, call, why);
    }
    if query.version == 0 {
        let why = format_args!("version 0 of {name}; versions begin at 1");
        return refuse(Code::InvalidNetExtensionVersion, call, why);
    }
    let kinds = NetExtensionType::PACKET.0..=NetExtensionType::BUFFER.0;
    if !kinds.contains(&query.kind.0) {
        let why = format_args!("type {} of {name}; packets 1, fragments 2", query.kind.0);
        return refuse(Code::InvalidNetExtensionType, call, why);
    }
    Ok(())
}

/// `NetTxQueueGetDemux8021p`
pub(super) fn demux(call: &str, globals: Globals, handle: Handle) -> Result<u8, NtStatus> {
    let queue = of_direction(call, globals, handle, Direction::Tx)?;
    match queue.demux {
        Some(_) => Ok(queue.queue_id as u8),
        None => no_demux(call, handle),
    }
}

/// A property that frames are not told apart by.
pub(super) fn no_demux<T>(call: &str, handle: Handle) -> Result<T, NtStatus> {
    refuse(
        FailureCode::DemuxNotPresent,
        call,
        format_args!("the queues of {handle}'s adapter are not told apart by this"),
    )
}
