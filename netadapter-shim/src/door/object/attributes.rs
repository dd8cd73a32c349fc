//! `WDF_OBJECT_ATTRIBUTES`: copied from the client once, checked the way WDF
//! checks them, then used as a value.

#![allow(unsafe_code)] // reads the client's structures and calls its callbacks

use std::any::Any;
use std::ffi::{CStr, CString};
use std::sync::Arc;

use super::context::{ContextType, allocate_context};
use super::{Handle, Kind, abandon, create};
use crate::abi::NtStatus;
use crate::door::foreign::{BadStruct, In, read_sized};
use crate::door::types::{ObjectCallback, WdfContextTypeInfo, WdfObjectAttributes};

/// A client's cleanup or destroy callback.
#[derive(Clone, Copy)]
pub(crate) struct Callback(ObjectCallback);

/// What a client said in its attributes; all defaults if it passed NULL.
#[derive(Clone, Default)]
pub(crate) struct Attributes {
    /// EvtCleanupCallback.
    pub(crate) cleanup: Option<Callback>,
    /// EvtDestroyCallback.
    pub(crate) destroy: Option<Callback>,
    /// ParentObject, if it is not NULL. Not looked up yet.
    pub(crate) parent: Option<Handle>,
    /// SynchronizationScope; 0 if there were no attributes.
    pub(crate) synchronization_scope: u32,
    /// The context to allocate.
    pub(crate) context: Option<ContextType>,
}

/// What a create call allows its attributes to say about the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParentRule {
    /// NULL stands for the default parent.
    Allowed,
    /// There is no default.
    Required,
    /// The framework chooses.
    Forbidden,
}

/// What a create call allows its attributes to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// ParentObject.
    pub(crate) parent: ParentRule,
    /// ExecutionLevel other than inherit.
    pub(crate) level: bool,
    /// SynchronizationScope other than inherit or none.
    pub(crate) scope: bool,
}

const INHERIT: u32 = 1;
const LEVEL_MAX: u32 = 3;
const SCOPE_NONE: u32 = 4;

impl Rules {
    /// Most objects: any parent, no levels.
    pub(crate) const PLAIN: Self = Self {
        parent: ParentRule::Allowed,
        level: false,
        scope: false,
    };
    /// Everything may be said.
    pub(crate) const ANY: Self = Self {
        parent: ParentRule::Allowed,
        level: true,
        scope: true,
    };

    /// These rules with another one for the parent.
    pub(crate) const fn parent(self, parent: ParentRule) -> Self {
        Self { parent, ..self }
    }
}

impl Callback {
    /// Calls the client. The handle exists while its callbacks run.
    pub(super) fn call(self, handle: Handle) {
        // SAFETY: the client gave this function for exactly this call, with
        // the attributes of this object; its library stays loaded as long as
        // its objects exist.
        unsafe { (self.0)(handle) }
    }
}

impl Attributes {
    /// A context that is a mere mark of a type, with its callbacks.
    pub(crate) fn custom_type(
        kind: ContextType,
        cleanup: Option<ObjectCallback>,
        destroy: Option<ObjectCallback>,
    ) -> Self {
        Self {
            cleanup: cleanup.map(Callback),
            destroy: destroy.map(Callback),
            context: Some(kind),
            ..Self::default()
        }
    }

    /// Copies and checks a client's attributes; NULL gives the defaults.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub(crate) fn of(given: In<'_, WdfObjectAttributes>, rules: Rules) -> Result<Self, NtStatus> {
        // SAFETY: NULL or the client's attributes, as the type says.
        unsafe { Self::read(given.pointer(), rules) }
    }

    /// Copies and checks a client's attributes; NULL gives the defaults.
    ///
    /// # Safety
    /// `pointer` is NULL or points to a `WDF_OBJECT_ATTRIBUTES` at least as
    /// large as its `Size` says; its type information is valid likewise, with
    /// a NUL-terminated name.
    ///
    /// # Errors
    /// WDF's: STATUS_INFO_LENGTH_MISMATCH for a wrong `Size`,
    /// STATUS_WDF_PARENT_NOT_SPECIFIED, …_PARENT_ASSIGNMENT_NOT_ALLOWED,
    /// …_OBJECT_ATTRIBUTES_INVALID, …_EXECUTION_LEVEL_INVALID or
    /// …_SYNCHRONIZATION_SCOPE_INVALID for what `rules` do not allow.
    pub(crate) unsafe fn read(
        pointer: *const WdfObjectAttributes,
        rules: Rules,
    ) -> Result<Self, NtStatus> {
        if pointer.is_null() {
            return match rules.parent {
                ParentRule::Required => Err(NtStatus::WDF_PARENT_NOT_SPECIFIED),
                _ => Ok(Self::default()),
            };
        }
        // SAFETY: the caller vouches for as many bytes as `Size` says.
        let raw = unsafe { read_sized(pointer) }.map_err(BadStruct::status)?;
        check(&raw, rules)?;
        // SAFETY: the caller vouches for the type information.
        let context = unsafe { context_type(&raw) }?;
        Ok(Self {
            cleanup: raw.evt_cleanup.map(Callback),
            destroy: raw.evt_destroy.map(Callback),
            parent: raw.parent.optional(),
            synchronization_scope: raw.synchronization_scope,
            context,
        })
    }
}

impl ContextType {
    /// Copies a client's type information; `None` for NULL or a wrong `Size`.
    pub(crate) fn of(given: In<'_, WdfContextTypeInfo>) -> Option<Self> {
        // SAFETY: NULL or the client's type information, as the type says.
        unsafe { Self::read(given.pointer()) }
    }

    /// The address that stands for a client's type; `None` for NULL or a wrong `Size`.
    pub(crate) fn unique_of(given: In<'_, WdfContextTypeInfo>) -> Option<usize> {
        // SAFETY: as above.
        unsafe { Self::unique(given.pointer()) }
    }

    /// The address that stands for a client's type; `None` for NULL or a wrong `Size`.
    ///
    /// # Safety
    /// As for [`Self::read`].
    pub(crate) unsafe fn unique(pointer: *const WdfContextTypeInfo) -> Option<usize> {
        // SAFETY: passed on from the caller.
        let raw = unsafe { read_sized(pointer) }.ok()?;
        Some(match raw.unique_type.is_null() {
            true => pointer.addr(),
            false => raw.unique_type.addr(),
        })
    }

    /// Copies a client's type information; `None` for NULL or a wrong `Size`.
    ///
    /// # Safety
    /// `pointer` is NULL or points to a `WDF_OBJECT_CONTEXT_TYPE_INFO` at
    /// least as large as its `Size` says, with a NUL-terminated name or none.
    pub(crate) unsafe fn read(pointer: *const WdfContextTypeInfo) -> Option<Self> {
        // SAFETY: the caller vouches for as many bytes as `Size` says.
        let raw = unsafe { read_sized(pointer) }.ok()?;
        let name = match raw.name.is_null() {
            true => CString::default(),
            // SAFETY: the caller vouches for the terminator.
            false => unsafe { CStr::from_ptr(raw.name) }.to_owned(),
        };
        Some(Self {
            // SAFETY: passed on from the caller.
            unique: unsafe { Self::unique(pointer) }?,
            name,
            size: raw.context_size,
        })
    }
}

/// Reads the type and applies the override of its size.
///
/// # Safety
/// As for [`ContextType::read`].
unsafe fn context_type(raw: &WdfObjectAttributes) -> Result<Option<ContextType>, NtStatus> {
    if raw.context_type.is_null() {
        return match raw.context_size_override {
            0 => Ok(None),
            _ => Err(NtStatus::WDF_OBJECT_ATTRIBUTES_INVALID),
        };
    }
    // SAFETY: passed on from the caller.
    let found = unsafe { ContextType::read(raw.context_type) };
    let mut found = found.ok_or(NtStatus::INFO_LENGTH_MISMATCH)?;
    let nameless = found.size > 0 && found.name.is_empty();
    let wanted = raw.context_size_override;
    if nameless || (wanted > 0 && wanted < found.size) {
        return Err(NtStatus::WDF_OBJECT_ATTRIBUTES_INVALID);
    }
    found.size = found.size.max(wanted);
    if found.size > isize::MAX as usize / 2 {
        return Err(NtStatus::INSUFFICIENT_RESOURCES);
    }
    Ok(Some(found))
}

fn check(raw: &WdfObjectAttributes, rules: Rules) -> Result<(), NtStatus> {
    match rules.parent {
        ParentRule::Forbidden if !raw.parent.is_null() => {
            return Err(NtStatus::WDF_PARENT_ASSIGNMENT_NOT_ALLOWED);
        }
        ParentRule::Required if raw.parent.is_null() => {
            return Err(NtStatus::WDF_PARENT_NOT_SPECIFIED);
        }
        _ => {}
    }
    let (level, scope) = (raw.execution_level, raw.synchronization_scope);
    if !(INHERIT..=LEVEL_MAX).contains(&level) || !(INHERIT..=SCOPE_NONE).contains(&scope) {
        return Err(NtStatus::WDF_OBJECT_ATTRIBUTES_INVALID);
    }
    if !rules.scope && scope != INHERIT && scope != SCOPE_NONE {
        return Err(NtStatus::WDF_SYNCHRONIZATION_SCOPE_INVALID);
    }
    if !rules.level && level != INHERIT {
        return Err(NtStatus::WDF_EXECUTION_LEVEL_INVALID);
    }
    Ok(())
}

/// Adds the client's context and callbacks to an object made by
/// [`super::create`]; called last, so that a failed create fires none of them.
fn attach(handle: Handle, attributes: &Attributes) -> Result<(), NtStatus> {
    let nothing = attributes.context.is_none()
        && attributes.cleanup.is_none()
        && attributes.destroy.is_none();
    if nothing {
        return Ok(());
    }
    allocate_context(handle, attributes).map(|_| ())
}

/// Makes an object as a create call of C does: under the parent that the
/// attributes name or else `default_parent`, with the client's context.
///
/// # Errors
/// Those of [`create`], and STATUS_DELETE_PENDING; then there is no object and no callback
/// has run.
pub(crate) fn create_with(
    kind: Kind,
    default_parent: Option<Handle>,
    attributes: &Attributes,
    payload: Arc<dyn Any + Send + Sync>,
) -> Result<Handle, NtStatus> {
    let handle = create(kind, attributes.parent.or(default_parent), payload)?;
    attach(handle, attributes).inspect_err(|_| abandon(handle))?;
    Ok(handle)
}
