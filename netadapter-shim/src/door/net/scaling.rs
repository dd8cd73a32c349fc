//! Receive scaling: the core's wishes, carried to the client's callbacks.

use std::ffi::c_void;

use super::adapter::AdapterObject;
use super::callbacks::{ScalingSet, succeeded};
use crate::abi::{
    FailureCode, NetPacketHashProtocolType, NetReceiveScalingArray, NetReceiveScalingHashType,
    NetReceiveScalingIndirectionEntry, NtStatus,
};
use crate::adapter::IndirectionEntry;
use crate::door::fail::breach;
use crate::door::object::{self, Handle, Kind};

pub(super) fn enable(
    adapter: &AdapterObject,
    hash: NetReceiveScalingHashType,
    protocols: NetPacketHashProtocolType,
) -> Result<(), NtStatus> {
    let enable = adapter.callbacks().scaling_enable;
    let enable = enable.ok_or(NtStatus::NOT_SUPPORTED)?;
    succeeded(enable.call(adapter.handle(), hash.0, protocols.0))
}

pub(super) fn disable(adapter: &AdapterObject) {
    if let Some(disable) = adapter.callbacks().scaling_disable {
        disable.call(adapter.handle());
    }
}

pub(super) fn set_key(adapter: &AdapterObject, key: &[u8]) -> Result<(), NtStatus> {
    let mut structure = NetReceiveScalingArray {
        elements: key.as_ptr(),
        length: key.len(),
    };
    call(
        adapter,
        adapter.callbacks().scaling_key,
        (&raw mut structure).cast(),
    )
}

pub(super) fn set_entries(
    adapter: &AdapterObject,
    queues: &[Handle],
    entries: &mut [IndirectionEntry],
) -> Result<(), NtStatus> {
    check_alive(adapter, queues)?;
    let foreign = entries
        .iter()
        .map(|entry| NetReceiveScalingIndirectionEntry {
            packet_queue: queues
                .get(entry.queue as usize)
                .map_or(0, |queue| queue.address()),
            status: entry.status.0,
            index: entry.index,
        });
    let mut foreign: Vec<_> = foreign.collect();
    let mut structure = NetReceiveScalingArray {
        elements: foreign.as_mut_ptr(),
        length: foreign.len(),
    };
    let callback = adapter.callbacks().scaling_entries;
    let set = call(adapter, callback, (&raw mut structure).cast());
    for (entry, foreign) in entries.iter_mut().zip(&foreign) {
        entry.status = NtStatus(foreign.status);
    }
    set
}

/// No entry may name a queue that the client has deleted by itself.
fn check_alive(adapter: &AdapterObject, queues: &[Handle]) -> Result<(), NtStatus> {
    let alive = |queue: &Handle| object::kind(*queue) == Some(Kind::PacketQueue);
    let Some(dead) = queues.iter().position(|queue| !alive(queue)) else {
        return Ok(());
    };
    let text = format_args!(
        "{}: entries of the indirection table would name rx queue {dead}, which was deleted; the \
         framework alone deletes queues",
        adapter.handle()
    );
    breach(FailureCode::ShimScalingDeadQueue, text);
    Err(NtStatus::INVALID_DEVICE_STATE)
}

fn call(
    adapter: &AdapterObject,
    callback: Option<ScalingSet>,
    structure: *mut c_void,
) -> Result<(), NtStatus> {
    let callback = callback.ok_or(NtStatus::NOT_SUPPORTED)?;
    succeeded(callback.call(adapter.handle(), structure))
}
