//! The contexts that a thread has asked for lately, found without a lock.
//!
//! Clients ask for their contexts several times in every call of a queue. A
//! context stays where it is until its object is destroyed, and no handle is
//! used twice. What was found once therefore holds until the next destruction
//! of any object, which the age tells.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Handle;

/// Enough for the queues, adapters and devices that a thread works with.
const PLACES: usize = 64;

/// How many objects have been destroyed, and one.
static AGE: AtomicU64 = AtomicU64::new(1);

#[derive(Clone, Copy)]
struct Found {
    age: u64,
    handle: Handle,
    kind: usize,
    address: usize,
}

/// Of no age there has been.
const NOTHING: Found = Found {
    age: 0,
    handle: Handle::NULL,
    kind: 0,
    address: 0,
};

thread_local! {
    static RECENT: [Cell<Found>; PLACES] = const { [const { Cell::new(NOTHING) }; PLACES] };
}

fn place(handle: Handle, kind: usize) -> usize {
    // Handles are 16 apart, types at least 8.
    ((handle.address() / 16) ^ (kind / 8)) % PLACES
}

/// Where the context of that type is, if this thread has asked for it since the last destruction.
pub(super) fn find(handle: Handle, kind: usize) -> Option<usize> {
    let found = RECENT.with(|recent| recent[place(handle, kind)].get());
    let same = found.handle == handle && found.kind == kind;
    (same && found.age == age()).then_some(found.address)
}

/// The age that something is found in: to be asked for before it is looked up.
pub(super) fn age() -> u64 {
    AGE.load(Ordering::Acquire)
}

/// Keeps what was found.
pub(super) fn keep(age: u64, handle: Handle, kind: usize, address: usize) {
    let found = Found {
        age,
        handle,
        kind,
        address,
    };
    RECENT.with(|recent| recent[place(handle, kind)].set(found));
}

/// An object is not in the table any more, and its contexts are about to go: what anybody has found
/// counts no more, nor what somebody is still looking up.
pub(super) fn forget_all() {
    AGE.fetch_add(1, Ordering::AcqRel);
}
