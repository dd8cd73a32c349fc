//! The slice of WDF that user-mode clients need.

use super::table::Functions;

/// The functions of every module of this part.
pub(crate) const FUNCTIONS: &[Functions] = &[];
