//! Placeholder: the whole data path over the in-process device.

use crate::run::RunError;

/// Runs the selftest.
///
/// # Errors
///
/// [`RunError`] with the first thing that is not as it should be.
pub fn run() -> Result<(), RunError> {
    Err(RunError::NotBuilt)
}
