//! The small slice of the Windows runtime that clients use.

pub(crate) mod clock;

use super::table::Functions;

/// The functions of every module of this part.
pub(crate) const FUNCTIONS: &[Functions] = &[];
