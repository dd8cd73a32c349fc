//! The IRQL: a number that each thread keeps.
//!
//! Nothing in user mode is held up by it. It says what a call would be worth in
//! the kernel: spin locks raise it, and so does the verifier around every
//! second Advance and every Cancel, so that a function that is for
//! PASSIVE_LEVEL only is seen where it does not belong.

use std::cell::Cell;

/// PASSIVE_LEVEL
pub(crate) const PASSIVE: u8 = 0;
/// DISPATCH_LEVEL
pub(crate) const DISPATCH: u8 = 2;
/// HIGH_LEVEL of a 64-bit machine.
pub(crate) const HIGH: u8 = 15;

thread_local!(static IRQL: Cell<u8> = const { Cell::new(PASSIVE) });

/// The thread's own.
pub(crate) fn current() -> u8 {
    IRQL.get()
}

/// Sets it; answers with the former one.
pub(crate) fn replace(irql: u8) -> u8 {
    IRQL.replace(irql)
}

/// Makes a call at an IRQL; whatever it leaves behind is set right.
pub(crate) fn at<T>(irql: u8, call: impl FnOnce() -> T) -> T {
    let before = replace(irql);
    let result = call();
    replace(before);
    result
}
