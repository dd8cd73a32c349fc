//! NETCONFIGURATION.

use super::super::table::Entry;

/// Every function of this part, by its C name.
pub(super) const FUNCTIONS: &[(&str, Entry)] = &[];
