//! How the client makes its queues, and what it must not do meanwhile but can be told to.

use super::echo::{Queue, queue_config};
use super::*;

pub(super) extern "C" fn create_tx(adapter: Handle, init: usize) -> i32 {
    create_queue(adapter, init, true)
}

pub(super) extern "C" fn create_rx(adapter: Handle, init: usize) -> i32 {
    create_queue(adapter, init, false)
}

/// The globals of the calling test are those bound last; every test's work.
pub(super) fn my_globals() -> *const c_void {
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
pub(in crate::door::net::tests) fn create_one(
    init: usize,
    tx: bool,
    config: &NetPacketQueueConfig,
) -> (i32, Handle) {
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

pub(in crate::door::net::tests) fn keep_queue(adapter: Handle, queue: Handle, id: u32, tx: bool) {
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
pub(in crate::door::net::tests) fn extension(
    queue: Handle,
    tx: bool,
    name: &str,
    kind: u32,
) -> NetExtension {
    let wide: Vec<u16> = name.encode_utf16().chain([0]).collect();
    let query = NetExtensionQuery {
        size: size_of::<NetExtensionQuery>() as u32,
        name: wide.as_ptr(),
        version: 1,
        kind: NetExtensionType(kind),
    };
    query_extension(queue, tx, &query)
}

pub(in crate::door::net::tests) fn query_extension(
    queue: Handle,
    tx: bool,
    query: &NetExtensionQuery,
) -> NetExtension {
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
