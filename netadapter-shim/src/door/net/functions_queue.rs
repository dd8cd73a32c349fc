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

/// The functions that each direction has under names of its own.
macro_rules! queue_functions {
    ($direction:ident: $create:ident, $id:ident, $collection:ident, $extension:ident, $notify:ident) => {
        extern "C" fn $create(
            globals: Globals,
            init: usize,
            attributes: In<'_, WdfObjectAttributes>,
            config: In<'_, NetPacketQueueConfig>,
            queue: Out<'_, Handle>,
        ) -> i32 {
            let (call, direction) = (stringify!($create), Direction::$direction);
            status(queue::create(
                call, globals, direction, init, attributes, config, queue,
            ))
        }

        extern "C" fn $id(globals: Globals, init: usize) -> u32 {
            queue::queue_id(stringify!($id), globals, Direction::$direction, init)
        }

        extern "C" fn $collection(globals: Globals, queue: Handle) -> *const [usize; 3] {
            let call = stringify!($collection);
            queue::collection(call, globals, Direction::$direction, queue)
        }

        extern "C" fn $extension(
            globals: Globals,
            queue: Handle,
            query: In<'_, NetExtensionQuery>,
            extension: Out<'_, NetExtension>,
        ) {
            let (call, direction) = (stringify!($extension), Direction::$direction);
            done(queue::extension(
                call, globals, direction, queue, query, extension,
            ));
        }

        extern "C" fn $notify(globals: Globals, queue: Handle) {
            queue::notify(stringify!($notify), globals, Direction::$direction, queue);
        }
    };
}

queue_functions!(
    Tx: NetTxQueueCreate,
    NetTxQueueInitGetQueueId,
    NetTxQueueGetRingCollection,
    NetTxQueueGetExtension,
    NetTxQueueNotifyMoreCompletedPacketsAvailable
);
queue_functions!(
    Rx: NetRxQueueCreate,
    NetRxQueueInitGetQueueId,
    NetRxQueueGetRingCollection,
    NetRxQueueGetExtension,
    NetRxQueueNotifyMoreReceivedPacketsAvailable
);

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
