//! `WDF_OBJECT_ATTRIBUTES`: copied from the client once, checked the way WDF
//! checks them, then used as a value.

use std::any::Any;
use std::sync::Arc;

use super::context::{ContextType, allocate_context};
use super::{Handle, Kind, abandon, create};
use crate::abi::NtStatus;
use crate::door::foreign::{BadStruct, In};
use crate::door::types::{ObjectCallback, WdfContextTypeInfo, WdfObjectAttributes};

/// What a client said in its attributes; all defaults if it passed NULL.
#[derive(Clone, Default)]
pub(crate) struct Attributes {
    /// EvtCleanupCallback.
    pub(crate) cleanup: Option<ObjectCallback>,
    /// EvtDestroyCallback.
    pub(crate) destroy: Option<ObjectCallback>,
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

impl Attributes {
    /// A context that is a mere mark of a type, with its callbacks.
    pub(crate) fn custom_type(
        kind: ContextType,
        cleanup: Option<ObjectCallback>,
        destroy: Option<ObjectCallback>,
    ) -> Self {
        Self {
            cleanup,
            destroy,
            context: Some(kind),
            ..Self::default()
        }
    }

    /// Copies and checks a client's attributes; NULL gives the defaults.
    ///
    /// # Errors
    /// WDF's: STATUS_INFO_LENGTH_MISMATCH for a wrong `Size`,
    /// STATUS_WDF_PARENT_NOT_SPECIFIED, …_PARENT_ASSIGNMENT_NOT_ALLOWED,
    /// …_OBJECT_ATTRIBUTES_INVALID, …_EXECUTION_LEVEL_INVALID or
    /// …_SYNCHRONIZATION_SCOPE_INVALID for what `rules` do not allow.
    pub(crate) fn of(given: In<'_, WdfObjectAttributes>, rules: Rules) -> Result<Self, NtStatus> {
        if given.is_null() {
            return match rules.parent {
                ParentRule::Required => Err(NtStatus::WDF_PARENT_NOT_SPECIFIED),
                _ => Ok(Self::default()),
            };
        }
        let (raw, kind) = given.attributes().map_err(BadStruct::status)?;
        check(&raw, rules)?;
        Ok(Self {
            cleanup: raw.evt_cleanup,
            destroy: raw.evt_destroy,
            parent: raw.parent.optional(),
            synchronization_scope: raw.synchronization_scope,
            context: context_type(kind, raw.context_size_override)?,
        })
    }
}

impl ContextType {
    /// Copies a client's type information; `None` for NULL or a wrong `Size`.
    pub(crate) fn of(given: In<'_, WdfContextTypeInfo>) -> Option<Self> {
        let (raw, name) = given.context_type().ok()?;
        Some(Self {
            unique: unique(given, &raw),
            name,
            size: raw.context_size,
        })
    }

    /// The address that stands for a client's type; `None` for NULL or a wrong `Size`.
    pub(crate) fn unique_of(given: In<'_, WdfContextTypeInfo>) -> Option<usize> {
        Some(unique(given, &given.sized().ok()?))
    }
}

fn unique(given: In<'_, WdfContextTypeInfo>, raw: &WdfContextTypeInfo) -> usize {
    match raw.unique_type.is_null() {
        true => given.pointer().addr(),
        false => raw.unique_type.addr(),
    }
}

/// Reads the type and applies the override of its size.
fn context_type(
    given: In<'_, WdfContextTypeInfo>,
    wanted: usize,
) -> Result<Option<ContextType>, NtStatus> {
    if given.is_null() {
        return match wanted {
            0 => Ok(None),
            _ => Err(NtStatus::WDF_OBJECT_ATTRIBUTES_INVALID),
        };
    }
    let mut found = ContextType::of(given).ok_or(NtStatus::INFO_LENGTH_MISMATCH)?;
    let nameless = found.size > 0 && found.name.is_empty();
    if nameless || (wanted > 0 && wanted < found.size) {
        return Err(NtStatus::WDF_OBJECT_ATTRIBUTES_INVALID);
    }
    found.size = found.size.max(wanted);
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
