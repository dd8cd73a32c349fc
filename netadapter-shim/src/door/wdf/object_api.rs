//! `WdfObject*`.

#![allow(non_snake_case)] // C's names

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::ptr::null_mut;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::create::{Globals, caller_driver, create_object, required, status};
use super::lock::Lock;
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{In, Out};
use crate::door::object::{self, Attributes, ContextType, Handle, Kind, Rules};
use crate::door::table::{Functions, entries};
use crate::door::types::{Boolean, ObjectCallback, WdfContextTypeInfo, WdfObjectAttributes};

pub(crate) const FUNCTIONS: Functions = entries![
    WdfObjectCreate,
    WdfObjectDelete,
    WdfObjectAllocateContext,
    WdfObjectGetTypedContextWorker,
    WdfObjectContextGetObject,
    WdfObjectReferenceActual,
    WdfObjectDereferenceActual,
    WdfObjectAddCustomType,
    WdfObjectIsCustomType,
    WdfObjectAcquireLock,
    WdfObjectReleaseLock,
];

extern "C" fn WdfObjectCreate(
    globals: Globals,
    attributes: In<'_, WdfObjectAttributes>,
    object: Out<'_, Handle>,
) -> NtStatus {
    let rules = Rules {
        level: true,
        ..Rules::PLAIN
    };
    let call = "WdfObjectCreate";
    status((|| {
        required(call, "Object", object)?;
        let driver = caller_driver(call, globals)?;
        let attributes = Attributes::of(attributes, rules)?;
        let handle = create_object(call, Kind::General, driver, &attributes, Arc::new(()))?;
        object.store(handle);
        Ok(())
    })())
}

extern "C" fn WdfObjectDelete(_: Globals, object: Handle) {
    let Ok(kind) = object::checked_kind("WdfObjectDelete", object) else {
        return;
    };
    if is_framework_owned(kind) && !super::device::is_control(object) {
        let text = format_args!("WdfObjectDelete: {object} is deleted by the framework only");
        return breach(WdfFault::ObjectError, text);
    }
    object::delete(object);
}

/// What a client's WdfObjectDelete does.
#[cfg(test)]
pub(super) fn delete_for_test(object: Handle) {
    WdfObjectDelete(std::ptr::null(), object);
}

/// What a client may not delete.
fn is_framework_owned(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Driver
            | Kind::Device
            | Kind::DeviceInit
            | Kind::PacketQueue
            | Kind::FileObject
            | Kind::ResourceList
    )
}

extern "C" fn WdfObjectAllocateContext(
    _: Globals,
    object: Handle,
    attributes: In<'_, WdfObjectAttributes>,
    context: Out<'_, *mut c_void>,
) -> NtStatus {
    let call = "WdfObjectAllocateContext";
    let result = (|| {
        required(call, "ContextAttributes", attributes)?;
        object::checked_kind(call, object)?;
        let attributes = Attributes::of(attributes, Rules::ANY)?;
        if attributes.parent.is_some() {
            return Err(NtStatus::WDF_PARENT_ASSIGNMENT_NOT_ALLOWED);
        }
        if attributes.context.is_none() {
            return Err(NtStatus::OBJECT_NAME_INVALID);
        }
        object::allocate_context(object, &attributes)
    })();
    match result {
        Ok((status, memory)) => {
            context.store(memory);
            status
        }
        Err(status) => status,
    }
}

extern "C" fn WdfObjectGetTypedContextWorker(
    _: Globals,
    object: Handle,
    kind: In<'_, WdfContextTypeInfo>,
) -> *mut c_void {
    let call = "WdfObjectGetTypedContextWorker";
    let unique = ContextType::unique_of(kind);
    if let Some(known) = unique.and_then(|unique| object::context_known(object, unique)) {
        return known;
    }
    if object::checked_kind(call, object).is_err() {
        return null_mut();
    }
    let wanted = ContextType::of(kind);
    wanted
        .and_then(|wanted| object::context(object, &wanted))
        .unwrap_or(null_mut())
}

extern "C" fn WdfObjectContextGetObject(_: Globals, context: *const c_void) -> Handle {
    object::owner_of_context(context).unwrap_or_else(|| {
        let text = format_args!("WdfObjectContextGetObject: {context:p} is no object's context");
        breach(WdfFault::InvalidHandle, text);
        Handle::NULL
    })
}

extern "C" fn WdfObjectReferenceActual(
    _: Globals,
    object: Handle,
    _tag: *const c_void,
    _line: i32,
    _file: *const c_char,
) {
    object::reference(object);
}

extern "C" fn WdfObjectDereferenceActual(
    _: Globals,
    object: Handle,
    _tag: *const c_void,
    _line: i32,
    _file: *const c_char,
) {
    object::dereference(object);
}

extern "C" fn WdfObjectAddCustomType(
    _: Globals,
    object: Handle,
    kind: In<'_, WdfContextTypeInfo>,
    _data: usize,
    cleanup: Option<ObjectCallback>,
    destroy: Option<ObjectCallback>,
) -> NtStatus {
    let call = "WdfObjectAddCustomType";
    status((|| {
        object::checked_kind(call, object)?;
        required(call, "CustomType", kind)?;
        let kind = ContextType::of(kind).ok_or(NtStatus::INFO_LENGTH_MISMATCH)?;
        let attributes = Attributes::custom_type(kind, cleanup, destroy);
        match object::allocate_context(object, &attributes)?.0 {
            NtStatus::OBJECT_NAME_EXISTS => Err(NtStatus::OBJECT_NAME_EXISTS),
            _ => Ok(()),
        }
    })())
}

extern "C" fn WdfObjectIsCustomType(
    _: Globals,
    object: Handle,
    kind: In<'_, WdfContextTypeInfo>,
) -> Boolean {
    let known = object::checked_kind("WdfObjectIsCustomType", object);
    let wanted = ContextType::of(kind);
    let found = wanted.and_then(|wanted| object::context(object, &wanted));
    Boolean::from(known.is_ok() && found.is_some())
}

/// Locks of devices and I/O queues, made when they are first asked for.
static LOCKS: LazyLock<Mutex<HashMap<Handle, Arc<Lock>>>> = LazyLock::new(Mutex::default);

/// The lock of a device or I/O queue; other objects have none.
fn lock_of(call: &str, object: Handle) -> Option<Arc<Lock>> {
    let kind = object::checked_kind(call, object).ok()?;
    if !matches!(kind, Kind::Device | Kind::IoQueue) {
        let text = format_args!("{call}: {object} has no lock; only devices and I/O queues do");
        breach(WdfFault::InvalidLockOperation, text);
        return None;
    }
    let mut locks = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(lock) = locks.get(&object) {
        return Some(Arc::clone(lock));
    }
    // Until it is destroyed, cleanup callbacks may lock an object that is being deleted.
    locks.retain(|object, _| object::kind(*object).is_some());
    Some(Arc::clone(locks.entry(object).or_default()))
}

extern "C" fn WdfObjectAcquireLock(_: Globals, object: Handle) {
    if let Some(lock) = lock_of("WdfObjectAcquireLock", object) {
        lock.acquire("WdfObjectAcquireLock", object);
    }
}

extern "C" fn WdfObjectReleaseLock(_: Globals, object: Handle) {
    if let Some(lock) = lock_of("WdfObjectReleaseLock", object) {
        lock.release("WdfObjectReleaseLock", object);
    }
}

#[cfg(test)]
mod tests;
