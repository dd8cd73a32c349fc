//! `GetLastError` and `SetLastError`.

#![allow(non_snake_case)] // C's names

use std::cell::Cell;

use crate::door::table::{Functions, entries};

pub(crate) const FUNCTIONS: Functions = entries![GetLastError, SetLastError];

/// `ERROR_INVALID_HANDLE`
pub(super) const INVALID_HANDLE: u32 = 6;
/// `ERROR_NOT_ENOUGH_MEMORY`
pub(super) const NOT_ENOUGH_MEMORY: u32 = 8;
/// `ERROR_INVALID_PARAMETER`
pub(super) const INVALID_PARAMETER: u32 = 87;
/// `ERROR_NOT_OWNER`
pub(super) const NOT_OWNER: u32 = 288;
/// `ERROR_TOO_MANY_POSTS`
pub(super) const TOO_MANY_POSTS: u32 = 298;
/// `ERROR_TIMEOUT`
pub(super) const TIMEOUT: u32 = 1460;

thread_local!(static LAST: Cell<u32> = const { Cell::new(0) });

/// Notes why a call failed.
pub(super) fn set(error: u32) {
    LAST.set(error);
}

/// Notes why a call failed and returns FALSE.
pub(super) fn refuse(error: u32) -> i32 {
    set(error);
    0
}

extern "C" fn GetLastError() -> u32 {
    LAST.get()
}

extern "C" fn SetLastError(error: u32) {
    set(error);
}

#[cfg(test)]
pub(super) fn last() -> u32 {
    GetLastError()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own_last_error() {
        SetLastError(5);
        let other = std::thread::spawn(|| GetLastError());
        assert_eq!((GetLastError(), other.join().unwrap()), (5, 0));
    }
}
