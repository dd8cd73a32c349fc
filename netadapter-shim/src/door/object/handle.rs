//! Handles: numbers that are looked up, and never followed.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::kind;

/// What C sees as `WDFOBJECT`, `NETADAPTER` and so on.
#[repr(transparent)]
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Handle(usize);

/// Numbers look like nothing that can be followed: beyond any user address.
static NEXT: AtomicUsize = AtomicUsize::new(0x4d00_0000_0000_0010);

impl Handle {
    /// No object.
    pub(crate) const NULL: Self = Self(0);

    /// Whether C passed NULL.
    pub(crate) fn is_null(self) -> bool {
        self == Self::NULL
    }

    /// The number itself.
    pub(crate) fn address(self) -> usize {
        self.0
    }

    /// The handle a number stands for, whether it exists or not.
    pub(crate) fn from_address(address: usize) -> Self {
        Self(address)
    }

    /// `None` for NULL.
    pub(crate) fn optional(self) -> Option<Self> {
        (!self.is_null()).then_some(self)
    }

    /// One that nobody has had.
    pub(super) fn fresh() -> Self {
        Self(NEXT.fetch_add(16, Ordering::Relaxed))
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind(*self) {
            Some(kind) => write!(f, "{kind:?} {:#x}", self.0),
            None => write!(f, "handle {:#x}", self.0),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
