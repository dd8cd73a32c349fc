//! The object model: handles, parents and children, references, contexts.
//!
//! What a client holds is a number that is looked up, never an address that
//! is followed. Numbers are not used twice, so that a stale handle is
//! recognised for as long as the process lives.
//!
//! Deletion walks the way WDF does: children are cleaned up before their
//! parent, in the order of their creation; then, again children first, the
//! creation reference of each is dropped, and whoever loses its last
//! reference is destroyed. Every callback runs without a lock of ours.

mod attributes;
mod context;
mod handle;
mod hash;
mod recent;

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock};

pub(crate) use attributes::{Attributes, ParentRule, Rules, create_with};
pub(crate) use context::{ContextType, allocate_context, context, context_known, owner_of_context};
pub(crate) use handle::Handle;
pub(crate) use hash::SpreadState;

use super::fail::{WdfFault, breach};
use super::types::ObjectCallback;
use crate::abi::NtStatus;
use context::Context;

/// What a handle stands for.
#[allow(missing_docs)] // each is WDF's or NetAdapterCx's object of that name
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Driver,
    Device,
    Adapter,
    PacketQueue,
    Configuration,
    Memory,
    Request,
    IoQueue,
    SpinLock,
    WaitLock,
    Timer,
    WorkItem,
    Collection,
    String,
    FileObject,
    IoTarget,
    Key,
    ResourceList,
    /// What `WDFDEVICE_INIT *` stands for; no WDF object, but looked up like one.
    DeviceInit,
    Dpc,
    /// Made by WdfObjectCreate.
    General,
}

/// The hook of an object's owner inside the door, run before the client's
/// cleanup callback.
pub(crate) type DisposeHook = Box<dyn FnOnce() + Send>;

/// A handle that is none, none any more, or one of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{handle} is {}, expected a {expected:?}", Found(*found))]
pub(crate) struct BadHandle {
    handle: Handle,
    expected: Kind,
    found: Option<Kind>,
}

/// Prints what a bad handle turned out to be.
struct Found(Option<Kind>);

/// The Rust half of an object, whatever it is.
type Payload = Arc<dyn Any + Send + Sync>;

struct Object {
    kind: Kind,
    payload: Payload,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    parent: Option<Handle>,
    /// Handles grow, so that the order is that of creation.
    children: BTreeSet<Handle>,
    references: u32,
    contexts: Vec<Context>,
    hooks: Vec<DisposeHook>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Stage {
    Alive,
    Disposed,
    Deleted,
    Destroyed,
}

static OBJECTS: LazyLock<RwLock<HashMap<Handle, Arc<Object>, SpreadState>>> =
    LazyLock::new(RwLock::default);

/// Makes an object with one reference, its creation.
///
/// # Errors
/// STATUS_DELETE_PENDING under a parent that is being deleted,
/// STATUS_INVALID_HANDLE under one that does not exist.
pub(crate) fn create(
    kind: Kind,
    parent: Option<Handle>,
    payload: Payload,
) -> Result<Handle, NtStatus> {
    let handle = Handle::fresh();
    let object = Object {
        kind,
        payload,
        state: Mutex::new(State {
            stage: Stage::Alive,
            parent,
            children: BTreeSet::new(),
            references: 1,
            contexts: Vec::new(),
            hooks: Vec::new(),
        }),
    };
    insert(handle, Arc::new(object));
    if let Some(parent) = parent {
        adopt(parent, handle).inspect_err(|_| forget(handle))?;
    }
    Ok(handle)
}

fn adopt(parent: Handle, child: Handle) -> Result<(), NtStatus> {
    let object = find(parent).ok_or(NtStatus::INVALID_HANDLE)?;
    let mut state = object.state();
    if state.stage != Stage::Alive {
        return Err(NtStatus::DELETE_PENDING);
    }
    state.children.insert(child);
    Ok(())
}

/// The Rust half of an object.
///
/// # Errors
/// The handle is not (any more) one of that kind.
pub(crate) fn payload<T: Any + Send + Sync>(
    handle: Handle,
    kind: Kind,
) -> Result<Arc<T>, BadHandle> {
    let found = recent::payload(handle, kind).map_or_else(|| look_up(handle, kind), Ok)?;
    Arc::downcast(found).map_err(|_| BadHandle {
        handle,
        expected: kind,
        found: Some(kind),
    })
}

/// The same from the table, which takes its lock.
fn look_up(handle: Handle, kind: Kind) -> Result<Payload, BadHandle> {
    let age = recent::age();
    let objects = OBJECTS.read().unwrap_or_else(PoisonError::into_inner);
    let object = objects.get(&handle);
    let bad = BadHandle {
        handle,
        expected: kind,
        found: object.map(|object| object.kind),
    };
    let object = object.filter(|object| object.kind == kind).ok_or(bad)?;
    recent::keep_payload(age, handle, kind, &object.payload);
    Ok(Arc::clone(&object.payload))
}

/// [`payload`] for a function that C calls: a bad handle is a breach that
/// names the call.
///
/// # Errors
/// STATUS_INVALID_HANDLE, if the verifier is off.
pub(crate) fn checked<T: Any + Send + Sync>(
    call: &str,
    handle: Handle,
    kind: Kind,
) -> Result<Arc<T>, NtStatus> {
    payload(handle, kind).map_err(|bad| {
        breach(WdfFault::InvalidHandle, format_args!("{call}: {bad}"));
        NtStatus::INVALID_HANDLE
    })
}

/// What a handle stands for; a handle that stands for nothing is a breach.
///
/// # Errors
/// STATUS_INVALID_HANDLE, if the verifier is off.
pub(crate) fn checked_kind(call: &str, handle: Handle) -> Result<Kind, NtStatus> {
    kind(handle).ok_or_else(|| {
        let text = format_args!("{call}: {handle} is no object, or one that was destroyed");
        breach(WdfFault::InvalidHandle, text);
        NtStatus::INVALID_HANDLE
    })
}

/// What a handle stands for.
pub(crate) fn kind(handle: Handle) -> Option<Kind> {
    find(handle).map(|object| object.kind)
}

/// The parent; `None` also once deletion has begun.
pub(crate) fn parent(handle: Handle) -> Option<Handle> {
    find(handle).and_then(|object| object.state().parent)
}

/// The nearest object of `kind` among `handle` itself and those above it.
pub(crate) fn ancestor(handle: Handle, wanted: Kind) -> Option<Handle> {
    let mut next = Some(handle);
    while let Some(current) = next {
        if kind(current)? == wanted {
            return Some(current);
        }
        next = parent(current);
    }
    None
}

/// The children of one kind, in the order of their creation.
pub(crate) fn children(handle: Handle, wanted: Kind) -> Vec<Handle> {
    let all = find(handle).map(|object| object.state().children.clone());
    let all = all.unwrap_or_default().into_iter();
    all.filter(|child| kind(*child) == Some(wanted)).collect()
}

/// Whether the object exists and its deletion has not begun.
#[cfg(test)]
pub(crate) fn is_alive(handle: Handle) -> bool {
    find(handle).is_some_and(|object| object.state().stage == Stage::Alive)
}

/// Has `hook` run when the object is cleaned up, before the client's own
/// callback and after the object's children were cleaned up; at once, if its
/// deletion has begun: another thread may have deleted the parent.
pub(crate) fn on_dispose(handle: Handle, hook: DisposeHook) {
    if let Some(object) = find(handle) {
        let mut state = object.state();
        if state.stage == Stage::Alive {
            return state.hooks.push(hook);
        }
    }
    hook();
}

/// Deletes an object: cleans up its children and it, then drops the creation
/// references. A second deletion does nothing, as in WDF.
pub(crate) fn delete(handle: Handle) {
    let Some(parent) = begin_deletion(handle) else {
        return;
    };
    if let Some(parent) = parent.and_then(find) {
        parent.state().children.remove(&handle);
    }
    finish_disposal(handle);
    drop_tree(handle);
}

/// Drops an object that no client has seen yet, without any callback.
pub(crate) fn abandon(handle: Handle) {
    if let Some(object) = find(handle) {
        object.state().contexts.clear();
    }
    delete(handle);
}

/// Starts the disposal of an object; answers with its former parent, or with
/// `None` if it had started before.
fn begin_deletion(handle: Handle) -> Option<Option<Handle>> {
    let object = find(handle)?;
    let mut state = object.state();
    if state.stage != Stage::Alive {
        return None;
    }
    state.stage = Stage::Disposed;
    Some(state.parent.take())
}

/// Children first, then the owner's hooks, then the client's callbacks.
fn finish_disposal(handle: Handle) {
    let Some(object) = find(handle) else {
        return;
    };
    let children = object.state().children.clone();
    for child in children {
        if begin_deletion(child).is_some() {
            finish_disposal(child);
        }
    }
    let hooks = std::mem::take(&mut object.state().hooks);
    hooks.into_iter().for_each(|hook| hook());
    call_each(&object, handle, |context| context.cleanup.take());
}

/// Drops the creation references of a disposed tree, children first.
fn drop_tree(handle: Handle) {
    let Some(object) = find(handle) else {
        return;
    };
    object.state().stage = Stage::Deleted;
    let children = std::mem::take(&mut object.state().children);
    children.into_iter().for_each(drop_tree);
    release(&object, handle);
}

/// Runs one callback of each context, in the order the contexts were added.
fn call_each(
    object: &Object,
    handle: Handle,
    mut take: impl FnMut(&mut Context) -> Option<ObjectCallback>,
) {
    for index in 0.. {
        let callback = match object.state().contexts.get_mut(index) {
            Some(context) => take(context),
            None => return,
        };
        if let Some(callback) = callback {
            callback.call(handle);
        }
    }
}

/// Adds a reference.
pub(crate) fn reference(handle: Handle) {
    let object = find(handle);
    let known = object.is_some_and(|object| {
        let mut state = object.state();
        state.references = state.references.saturating_add(1);
        state.stage != Stage::Destroyed
    });
    if !known {
        let text = format_args!("reference: {handle} is no object, or one being destroyed");
        breach(WdfFault::InvalidHandle, text);
    }
}

/// Drops a reference; the last one destroys a deleted object.
pub(crate) fn dereference(handle: Handle) {
    match find(handle) {
        Some(object) => release(&object, handle),
        None => breach(
            WdfFault::InvalidHandle,
            format_args!("dereference: {handle} is no object, or one that was destroyed"),
        ),
    }
}

fn release(object: &Object, handle: Handle) {
    let mut state = object.state();
    let last = state.references <= 1;
    if last && state.stage != Stage::Deleted {
        drop(state);
        let text = format_args!("{handle} lost more references than it was given");
        return breach(WdfFault::ObjectError, text);
    }
    state.references -= 1;
    if !last {
        return;
    }
    state.stage = Stage::Destroyed;
    drop(state);
    call_each(object, handle, |context| context.cleanup.take());
    call_each(object, handle, |context| context.destroy.take());
    forget(handle);
}

fn insert(handle: Handle, object: Arc<Object>) {
    let mut objects = OBJECTS.write().unwrap_or_else(PoisonError::into_inner);
    objects.insert(handle, object);
}

fn find(handle: Handle) -> Option<Arc<Object>> {
    let objects = OBJECTS.read().unwrap_or_else(PoisonError::into_inner);
    objects.get(&handle).cloned()
}

/// Takes an object out of the table; its payload is dropped outside the lock.
fn forget(handle: Handle) {
    let gone = OBJECTS
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&handle);
    recent::forget_all();
    if let Some(object) = gone {
        context::disown(&object.state().contexts);
    }
}

impl Object {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(kind) => write!(f, "a {kind:?}"),
            None => f.write_str("no object, or one that was destroyed"),
        }
    }
}

#[cfg(test)]
mod tests;
