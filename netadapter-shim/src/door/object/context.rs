//! The memory a client asks for with an object: zeroed, 16-byte aligned,
//! found again by its type. Rust never reads it.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{LazyLock, PoisonError, RwLock};

use super::attributes::Attributes;
use super::{Handle, Stage, find, recent};
use crate::abi::NtStatus;
use crate::door::block::Block;
use crate::door::types::ObjectCallback;

/// The type of a context.
#[derive(Clone, Debug)]
pub(crate) struct ContextType {
    /// Address of the instance that stands for the type.
    pub(crate) unique: usize,
    /// Its name; two objects of a library may each bring an instance.
    pub(crate) name: CString,
    /// Bytes to allocate.
    pub(crate) size: usize,
}

/// What one WDF_OBJECT_ATTRIBUTES added to an object.
pub(super) struct Context {
    kind: Option<ContextType>,
    memory: Block,
    pub(super) cleanup: Option<ObjectCallback>,
    pub(super) destroy: Option<ObjectCallback>,
}

static OWNERS: LazyLock<RwLock<HashMap<usize, Handle>>> = LazyLock::new(RwLock::default);

impl ContextType {
    fn is(&self, other: &Self) -> bool {
        self.unique == other.unique || self.name == other.name
    }
}

impl Context {
    fn new(attributes: &Attributes) -> Result<Self, NtStatus> {
        let size = attributes.context.as_ref().map_or(0, |kind| kind.size);
        Ok(Self {
            kind: attributes.context.clone(),
            memory: Block::zeroed(size)?,
            cleanup: attributes.cleanup,
            destroy: attributes.destroy,
        })
    }
}

/// Adds a context and its callbacks to an object, and returns its memory. A
/// type that the object has already is answered with STATUS_OBJECT_NAME_EXISTS
/// and the memory there is.
///
/// # Errors
/// STATUS_DELETE_PENDING once the object is being deleted,
/// STATUS_INVALID_HANDLE if it does not exist, STATUS_INSUFFICIENT_RESOURCES
/// for more memory than there is.
pub(crate) fn allocate_context(
    handle: Handle,
    attributes: &Attributes,
) -> Result<(NtStatus, *mut c_void), NtStatus> {
    let object = find(handle).ok_or(NtStatus::INVALID_HANDLE)?;
    let wanted = attributes.context.as_ref();
    if let Some(there) = wanted.and_then(|kind| context(handle, kind)) {
        return Ok((NtStatus::OBJECT_NAME_EXISTS, there));
    }
    let added = Context::new(attributes)?;
    let address = added.memory.address();
    let mut state = object.state();
    if state.stage != Stage::Alive {
        return Err(NtStatus::DELETE_PENDING);
    }
    state.contexts.push(added);
    let mut owners = OWNERS.write().unwrap_or_else(PoisonError::into_inner);
    owners.insert(address.addr(), handle);
    Ok((NtStatus::SUCCESS, address))
}

/// The object's context of that type, without a lock: if this thread has asked for it lately.
pub(crate) fn context_known(handle: Handle, unique: usize) -> Option<*mut c_void> {
    recent::find(handle, unique).map(std::ptr::with_exposed_provenance_mut)
}

/// The object's context of that type.
pub(crate) fn context(handle: Handle, wanted: &ContextType) -> Option<*mut c_void> {
    let age = recent::age();
    let object = find(handle)?;
    let state = object.state();
    let is_wanted = |context: &&Context| context.kind.as_ref().is_some_and(|kind| kind.is(wanted));
    let address = state.contexts.iter().find(is_wanted)?.memory.address();
    recent::keep(age, handle, wanted.unique, address.expose_provenance());
    Some(address)
}

/// The object whose context starts at that address.
pub(crate) fn owner_of_context(address: *const c_void) -> Option<Handle> {
    let owners = OWNERS.read().unwrap_or_else(PoisonError::into_inner);
    owners.get(&address.addr()).copied()
}

/// Forgets whose the contexts of a destroyed object were.
pub(super) fn disown(contexts: &[Context]) {
    let mut owners = OWNERS.write().unwrap_or_else(PoisonError::into_inner);
    for context in contexts {
        owners.remove(&context.memory.address().addr());
    }
}
