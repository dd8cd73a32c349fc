//! The queues' functions with their C signatures.

#![allow(non_snake_case)] // C's names

use super::guard::{self, Globals};
use super::{done, queue, status};
use crate::abi::{NetExtension, NetExtensionQuery, NetPacketQueueConfig};
use crate::door::foreign::{In, Out};
use crate::door::object::Handle;
use crate::door::table::{Entry, entries};
use crate::door::types::WdfObjectAttributes;
use crate::queue::Direction;

/// NET_EUI48_ADDRESS
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct NetEui48Address([u8; 6]);

/// Every function of this part, by its C name.
pub(super) const FUNCTIONS: &[(&str, Entry)] = entries![
    NetTxQueueCreate,
    NetTxQueueInitGetQueueId,
    NetTxQueueGetRingCollection,
    NetTxQueueGetExtension,
    NetTxQueueNotifyMoreCompletedPacketsAvailable,
    NetRxQueueCreate,
    NetRxQueueInitGetQueueId,
    NetRxQueueGetRingCollection,
    NetRxQueueGetExtension,
    NetRxQueueNotifyMoreReceivedPacketsAvailable,
    NetTxQueueGetDemux8021p,
    NetTxQueueGetDemuxWmmInfo,
    NetTxQueueGetDemuxPeerAddress,
];

extern "C" fn NetTxQueueCreate(
    globals: Globals,
    init: usize,
    attributes: In<'_, WdfObjectAttributes>,
    config: In<'_, NetPacketQueueConfig>,
    queue: Out<'_, Handle>,
) -> i32 {
    status(queue::create(
        "NetTxQueueCreate",
        globals,
        Direction::Tx,
        init,
        attributes,
        config,
        queue,
    ))
}

extern "C" fn NetTxQueueInitGetQueueId(globals: Globals, init: usize) -> u32 {
    queue::queue_id("NetTxQueueInitGetQueueId", globals, Direction::Tx, init)
}

extern "C" fn NetTxQueueGetRingCollection(globals: Globals, queue: Handle) -> *const [usize; 3] {
    queue::collection("NetTxQueueGetRingCollection", globals, Direction::Tx, queue)
}

extern "C" fn NetTxQueueGetExtension(
    globals: Globals,
    queue: Handle,
    query: In<'_, NetExtensionQuery>,
    extension: Out<'_, NetExtension>,
) {
    done(queue::extension(
        "NetTxQueueGetExtension",
        globals,
        Direction::Tx,
        queue,
        query,
        extension,
    ));
}

extern "C" fn NetTxQueueNotifyMoreCompletedPacketsAvailable(globals: Globals, queue: Handle) {
    queue::notify(
        "NetTxQueueNotifyMoreCompletedPacketsAvailable",
        globals,
        Direction::Tx,
        queue,
    );
}

extern "C" fn NetRxQueueCreate(
    globals: Globals,
    init: usize,
    attributes: In<'_, WdfObjectAttributes>,
    config: In<'_, NetPacketQueueConfig>,
    queue: Out<'_, Handle>,
) -> i32 {
    status(queue::create(
        "NetRxQueueCreate",
        globals,
        Direction::Rx,
        init,
        attributes,
        config,
        queue,
    ))
}

extern "C" fn NetRxQueueInitGetQueueId(globals: Globals, init: usize) -> u32 {
    queue::queue_id("NetRxQueueInitGetQueueId", globals, Direction::Rx, init)
}

extern "C" fn NetRxQueueGetRingCollection(globals: Globals, queue: Handle) -> *const [usize; 3] {
    queue::collection("NetRxQueueGetRingCollection", globals, Direction::Rx, queue)
}

extern "C" fn NetRxQueueGetExtension(
    globals: Globals,
    queue: Handle,
    query: In<'_, NetExtensionQuery>,
    extension: Out<'_, NetExtension>,
) {
    done(queue::extension(
        "NetRxQueueGetExtension",
        globals,
        Direction::Rx,
        queue,
        query,
        extension,
    ));
}

extern "C" fn NetRxQueueNotifyMoreReceivedPacketsAvailable(globals: Globals, queue: Handle) {
    queue::notify(
        "NetRxQueueNotifyMoreReceivedPacketsAvailable",
        globals,
        Direction::Rx,
        queue,
    );
}

extern "C" fn NetTxQueueGetDemux8021p(globals: Globals, queue: Handle) -> u8 {
    queue::demux("NetTxQueueGetDemux8021p", globals, queue).unwrap_or(0)
}

extern "C" fn NetTxQueueGetDemuxWmmInfo(globals: Globals, queue: Handle) -> u8 {
    let call = "NetTxQueueGetDemuxWmmInfo";
    guard::queue(call, globals, queue)
        .and_then(|_| queue::no_demux(call, queue))
        .unwrap_or(0)
}

extern "C" fn NetTxQueueGetDemuxPeerAddress(globals: Globals, queue: Handle) -> NetEui48Address {
    let call = "NetTxQueueGetDemuxPeerAddress";
    let none = guard::queue(call, globals, queue).and_then(|_| queue::no_demux(call, queue));
    none.unwrap_or_default()
}
