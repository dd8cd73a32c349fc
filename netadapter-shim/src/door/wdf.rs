//! The slice of WDF that user-mode clients need.
//!
//! Each function has WDF's name and signature, with the hidden first argument.
//! Its safety is C's: every pointer a client passes is NULL or points to what
//! the function's documentation says, for as long as the call, which its
//! argument types say (`foreign::{In, Out, Callback}`). What can be checked is:
//! NULL, `Size`, handles, ranges.

pub(crate) mod collection;
mod control;
pub(crate) mod create;
mod deferred;
mod deferred_api;
pub(crate) mod device;
pub(crate) mod device_init;
mod device_power;
pub(crate) mod driver;
pub(crate) mod file;
mod hardware;
mod interface;
pub(crate) mod io_queue;
mod io_queue_api;
pub(crate) mod io_socket;
mod io_target;
mod lock;
pub(crate) mod memory;
mod object_api;
mod plain;
pub(crate) mod pnp_callbacks;
mod property;
mod registry;
mod registry_value;
pub(crate) mod request;
mod request_api;
mod serialize;
pub(crate) mod string;
mod uncalled;

use super::table::Functions;

/// The functions of every module of this part.
pub(crate) const FUNCTIONS: &[Functions] = &[
    collection::FUNCTIONS,
    control::FUNCTIONS,
    deferred_api::FUNCTIONS,
    device::FUNCTIONS,
    device_init::FUNCTIONS,
    device_power::FUNCTIONS,
    driver::FUNCTIONS,
    file::FUNCTIONS,
    hardware::FUNCTIONS,
    interface::FUNCTIONS,
    io_queue_api::FUNCTIONS,
    io_target::FUNCTIONS,
    lock::FUNCTIONS,
    memory::FUNCTIONS,
    object_api::FUNCTIONS,
    property::FUNCTIONS,
    registry::FUNCTIONS,
    request_api::FUNCTIONS,
    string::FUNCTIONS,
];

#[cfg(test)]
mod layout_tests;
#[cfg(test)]
pub(crate) mod test_client;
