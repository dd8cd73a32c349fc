//! The small slice of the Windows runtime that clients use: threads, events
//! and waits, locks, clocks, memory, tracing.
//!
//! These functions have no hidden argument. Their safety is C's: every
//! pointer is NULL or points to what the function's documentation says.

pub(crate) mod clock;
mod clock_api;
mod dispatcher;
pub(crate) mod irql;
mod kernel;
mod kernel_lock;
mod kernel_objects;
mod last_error;
mod lock_api;
mod memory;
mod sync;
pub(crate) mod sys;
mod thread;
mod trace;
mod word_lock;

use super::table::Functions;
pub(super) use lock_api::CriticalSection;
pub(super) use thread::GroupAffinity;

/// The functions of every module of this part.
pub(crate) const FUNCTIONS: &[Functions] = &[
    clock_api::FUNCTIONS,
    kernel::FUNCTIONS,
    kernel_lock::FUNCTIONS,
    kernel_objects::FUNCTIONS,
    last_error::FUNCTIONS,
    lock_api::FUNCTIONS,
    memory::FUNCTIONS,
    sync::FUNCTIONS,
    thread::FUNCTIONS,
    trace::FUNCTIONS,
];
