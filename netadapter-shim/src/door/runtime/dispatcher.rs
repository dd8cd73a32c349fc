//! What can be waited for, and waiting for it.
//!
//! One lock guards the state of all objects, as in the system this follows:
//! only so can several objects be taken at once or not at all. A waiting
//! thread sleeps on a condition variable of its own that it leaves with every
//! object it waits for.

#![allow(unsafe_code)] // an event may lie in the client's memory

use std::collections::HashMap;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::clock::Timeout;
use crate::door::foreign::AnyBits;

/// What `HANDLE` stands for, or the address of a `KEVENT`.
pub(super) type Key = usize;

/// The state of an object that can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waitable {
    /// An event; `manual` ones stay set when a wait ends.
    Event { manual: bool, set: bool },
    /// A mutex and the thread that holds it, how many times.
    Mutex { owner: u64, depth: u32 },
    /// A semaphore.
    Semaphore { count: i32, maximum: i32 },
    /// A thread; over once it has an exit code.
    Thread { exit_code: Option<u32> },
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// The object of that index was taken, or all were.
    Taken(usize),
    /// The time was over first.
    TimedOut,
    /// One of the objects does not exist (any more).
    BadHandle,
}

/// What all threads share.
#[derive(Default)]
pub(super) struct Dispatcher {
    objects: HashMap<Key, Waitable>,
    /// How many references there are beside the handle itself.
    references: HashMap<Key, u32>,
    waiters: HashMap<Key, Vec<Arc<Condvar>>>,
    made: usize,
}

/// `KEVENT`, `KMUTEX` or `KSEMAPHORE` as far as they are used.
#[repr(C)]
pub(super) struct ClientEvent {
    kind: u8,
    reserved: [u8; 3],
    /// Whether an event is set, how often a mutex is held, a semaphore's count.
    signal_state: i32,
    /// A semaphore's maximum.
    limit: i32,
    reserved2: u32,
    /// Who holds a mutex.
    owner: u64,
}

/// What `kind` says; the numbers are the system's own.
const SYNCHRONIZATION_EVENT: u8 = 1;
const MUTEX: u8 = 2;
const SEMAPHORE: u8 = 5;

static DISPATCHER: LazyLock<Mutex<Dispatcher>> = LazyLock::new(Mutex::default);

/// Handles are multiples of four beyond any user address, and never reused.
const FIRST_HANDLE: usize = 0x4e00_0000_0000_0000;

/// Whether a number is a handle, of an object that exists or did, and no address.
pub(super) fn is_handle(key: Key) -> bool {
    key >= FIRST_HANDLE
}

/// The state of all objects.
pub(super) fn lock() -> MutexGuard<'static, Dispatcher> {
    DISPATCHER.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waitable {
    /// Whether the calling thread could take it.
    fn is_free(self, thread: u64) -> bool {
        match self {
            Self::Event { set, .. } => set,
            Self::Mutex { owner, .. } => owner == 0 || owner == thread,
            Self::Semaphore { count, .. } => count > 0,
            Self::Thread { exit_code } => exit_code.is_some(),
        }
    }

    /// Its state after the calling thread took it.
    fn taken(self, thread: u64) -> Self {
        match self {
            Self::Event { manual, .. } => Self::Event {
                manual,
                set: manual,
            },
            Self::Mutex { depth, .. } => Self::Mutex {
                owner: thread,
                depth: depth.saturating_add(1),
            },
            Self::Semaphore { count, maximum } => Self::Semaphore {
                count: count - 1,
                maximum,
            },
            Self::Thread { .. } => self,
        }
    }
}

impl Dispatcher {
    /// Makes an object and its handle.
    pub(super) fn create(&mut self, object: Waitable) -> Key {
        self.made += 1;
        let key = FIRST_HANDLE + 4 * self.made;
        self.objects.insert(key, object);
        key
    }

    /// The state of the object behind a handle.
    pub(super) fn get(&self, key: Key) -> Option<Waitable> {
        self.objects.get(&key).copied()
    }

    /// Changes an object and wakes whoever waits for it.
    pub(super) fn set(&mut self, key: Key, object: Waitable) {
        self.objects.insert(key, object);
        self.wake(key);
    }

    /// Adds a reference, which takes a close of its own; says whether there is such an object.
    pub(super) fn reference(&mut self, key: Key) -> bool {
        let known = self.objects.contains_key(&key);
        if known {
            let references = self.references.entry(key).or_default();
            *references = references.saturating_add(1);
        }
        known
    }

    /// Ends a handle or a reference, and with the last one the object; says
    /// whether there was one.
    pub(super) fn close(&mut self, key: Key) -> bool {
        if let Some(references) = self.references.get_mut(&key) {
            *references -= 1;
            if *references == 0 {
                self.references.remove(&key);
            }
            return true;
        }
        let known = self.objects.remove(&key).is_some();
        self.wake(key);
        known
    }

    fn wake(&self, key: Key) {
        for waiter in self.waiters.get(&key).into_iter().flatten() {
            waiter.notify_one();
        }
    }

    /// The object behind a handle, or the event in the client's memory.
    fn state(&self, place: Place) -> Option<Waitable> {
        match place {
            Place::Handle(key) => self.get(key),
            Place::Memory(event) => Some(event.read()),
        }
    }

    /// Takes one or all of the objects for the calling thread, if it can.
    fn try_take(&mut self, places: &[Place], all: bool, thread: u64) -> Option<Waited> {
        let mut states = Vec::with_capacity(places.len());
        for place in places {
            match self.state(*place) {
                Some(state) => states.push(state),
                None => return Some(Waited::BadHandle),
            }
        }
        let mut free = states.iter().map(|state| state.is_free(thread));
        if all {
            free.all(|free| free).then(|| {
                (0..places.len()).for_each(|index| self.take(places[index], thread));
                Waited::Taken(0)
            })
        } else {
            let index = free.position(|free| free)?;
            self.take(places[index], thread);
            Some(Waited::Taken(index))
        }
    }

    fn take(&mut self, place: Place, thread: u64) {
        let Some(state) = self.state(place) else {
            return;
        };
        match place {
            Place::Handle(key) => {
                self.objects.insert(key, state.taken(thread));
            }
            Place::Memory(event) => event.write(state.taken(thread)),
        }
    }

    fn enlist(&mut self, places: &[Place], waiter: &Arc<Condvar>) {
        for place in places {
            let waiters = self.waiters.entry(place.key()).or_default();
            waiters.push(Arc::clone(waiter));
        }
    }

    fn delist(&mut self, places: &[Place], waiter: &Arc<Condvar>) {
        for place in places {
            if let Some(waiters) = self.waiters.get_mut(&place.key()) {
                waiters.retain(|other| !Arc::ptr_eq(other, waiter));
                if waiters.is_empty() {
                    self.waiters.remove(&place.key());
                }
            }
        }
    }
}

/// Where an object's state is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Behind a handle.
    Handle(Key),
    /// In the client's memory.
    Memory(EventInMemory),
}

/// `PRKEVENT`, `PRKMUTEX`, `PRKSEMAPHORE`, or a thread's handle: NULL, a handle, or an object of the
/// client's that lives until the last call for it has returned.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct ObjectPointer(*mut ClientEvent);

// SAFETY: an address, which is followed under its own argument.
unsafe impl AnyBits for ObjectPointer {}

impl ObjectPointer {
    /// The handle, if it is one.
    pub(super) fn handle(self) -> Option<Key> {
        is_handle(self.0.addr()).then_some(self.0.addr())
    }

    /// The object in the client's memory; `None` for NULL, a handle, and an address where none can
    /// be.
    pub(super) fn in_memory(self) -> Option<EventInMemory> {
        let usable = !self.0.is_null() && self.0.is_aligned() && self.handle().is_none();
        usable.then_some(EventInMemory(self.0))
    }

    /// A unit test's.
    #[cfg(test)]
    pub(super) fn at(place: *mut ClientEvent) -> Self {
        Self(place)
    }
}

/// A `KEVENT` of the client: not NULL, aligned, and touched under the dispatcher's lock only.
#[derive(Clone, Copy)]
pub(super) struct EventInMemory(*mut ClientEvent);

impl Place {
    fn key(self) -> Key {
        match self {
            Self::Handle(key) => key,
            Self::Memory(event) => event.0.addr(),
        }
    }
}

impl EventInMemory {
    /// Its state.
    fn read(self) -> Waitable {
        // SAFETY: alive, as [`ObjectPointer`] says, and nobody writes meanwhile.
        let event = unsafe { self.0.read() };
        match event.kind {
            MUTEX => Waitable::Mutex {
                owner: event.owner,
                depth: event.signal_state.unsigned_abs(),
            },
            SEMAPHORE => Waitable::Semaphore {
                count: event.signal_state,
                maximum: event.limit,
            },
            kind => Waitable::Event {
                manual: kind != SYNCHRONIZATION_EVENT,
                set: event.signal_state != 0,
            },
        }
    }

    fn write(self, state: Waitable) {
        let (kind, signal_state, limit, owner) = match state {
            Waitable::Event { manual, set } => (u8::from(!manual), i32::from(set), 0, 0),
            Waitable::Mutex { owner, depth } => (MUTEX, depth.cast_signed(), 0, owner),
            Waitable::Semaphore { count, maximum } => (SEMAPHORE, count, maximum, 0),
            Waitable::Thread { .. } => return,
        };
        let event = ClientEvent {
            kind,
            reserved: [0; 3],
            signal_state,
            limit,
            reserved2: 0,
            owner,
        };
        // SAFETY: alive, as [`ObjectPointer`] says, and nobody reads meanwhile.
        unsafe { self.0.write(event) }
    }

    /// Gives it a kind and a state.
    pub(super) fn initialize(self, state: Waitable) {
        let _guard = lock();
        self.write(state);
    }

    /// Looks at its state and, if `change` gives another one, writes that and
    /// wakes whoever waits.
    pub(super) fn change(self, change: impl FnOnce(Waitable) -> Option<Waitable>) -> Waitable {
        let guard = lock();
        let before = self.read();
        if let Some(after) = change(before) {
            self.write(after);
            guard.wake(self.0.addr());
        }
        before
    }

    /// Sets or clears it; says whether it was set before.
    pub(super) fn signal(self, set: bool) -> bool {
        let guard = lock();
        let Waitable::Event { manual, set: was } = self.read() else {
            return false;
        };
        self.write(Waitable::Event { manual, set });
        if set {
            guard.wake(self.0.addr());
        }
        was
    }

    /// Whether it is set.
    pub(super) fn is_set(self) -> bool {
        let _guard = lock();
        self.read().is_free(0)
    }
}

/// Waits until one or all of the objects can be taken, and takes them.
pub(super) fn wait(places: &[Place], all: bool, timeout: Timeout, thread: u64) -> Waited {
    let deadline = timeout.deadline();
    let waiter = Arc::new(Condvar::new());
    let mut guard = lock();
    loop {
        if let Some(end) = guard.try_take(places, all, thread) {
            return end;
        }
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Waited::TimedOut;
        }
        guard.enlist(places, &waiter);
        guard = match left {
            None => waiter.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(left) => {
                let waited = waiter.wait_timeout(guard, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        guard.delist(places, &waiter);
    }
}
