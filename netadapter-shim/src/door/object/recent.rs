//! The objects and contexts that a thread has asked for lately, found without a
//! lock.
//!
//! Clients ask for their contexts and pass their handles several times in every
//! call of a queue. A context stays where it is until its object is destroyed,
//! and no handle is used twice. What was found once therefore holds until the
//! next destruction of any object, which the age tells. No object lives longer
//! for having been found.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::{Handle, Kind, Payload};

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

/// An object of that handle and kind.
struct Known {
    age: u64,
    handle: Handle,
    kind: Kind,
    payload: Weak<dyn Any + Send + Sync>,
}

thread_local! {
    static KNOWN: RefCell<[Option<Known>; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
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

/// The Rust half of an object of that kind, if this thread has asked for it since the last
/// destruction.
pub(super) fn payload(handle: Handle, kind: Kind) -> Option<Payload> {
    let found = KNOWN.try_with(|known| {
        let known = known.borrow();
        let known = known[place(handle, 0)].as_ref()?;
        let same = known.handle == handle && known.kind == kind && known.age == age();
        same.then(|| known.payload.upgrade())?
    });
    // A thread that ends has forgotten everything.
    found.ok().flatten()
}

/// Keeps what was found.
pub(super) fn keep_payload(age: u64, handle: Handle, kind: Kind, payload: &Payload) {
    let known = Known {
        age,
        handle,
        kind,
        payload: Arc::downgrade(payload),
    };
    let _ = KNOWN.try_with(|all| all.borrow_mut()[place(handle, 0)] = Some(known));
}

/// An object is not in the table any more, and its contexts are about to go: what anybody has found
/// counts no more, nor what somebody is still looking up.
pub(super) fn forget_all() {
    AGE.fetch_add(1, Ordering::AcqRel);
}
