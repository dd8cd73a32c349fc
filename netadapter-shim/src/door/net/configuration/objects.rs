//! Queries that answer with objects, and the assignments that take them.

use crate::door::table::Entry;

/// Every function of this part, by its C name.
pub(super) const FUNCTIONS: &[(&str, Entry)] = &[];
