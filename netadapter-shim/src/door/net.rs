//! The NetAdapterCx functions over the core.
//!
//! Every function checks its hidden first argument, looks its handles up and
//! copies its structures once (`guard`). What it states goes to the core, which
//! is taken out for the length of a call and never locked (`adapter`); what
//! the core wants of the client goes to its callbacks (`events`, `queue`,
//! `indication`). `device` is what the PnP sequence calls.

pub(crate) mod adapter;
mod attention;
mod callbacks;
pub(crate) mod configuration;
pub(crate) mod device;
mod events;
mod functions_adapter;
mod functions_offload;
mod functions_power;
mod functions_queue;
mod guard;
mod indication;
pub(crate) mod init;
mod keywords;
pub(crate) mod pace;
pub(crate) mod power;
mod queue;
mod scaling;
mod setters;
#[cfg(test)]
mod tests;

use super::table::Entry;
use crate::abi::{FailureCode, NtStatus};

/// Every function of these parts, by its C name.
pub(crate) const FUNCTIONS: &[&[(&str, Entry)]] = &[
    functions_adapter::FUNCTIONS,
    functions_queue::FUNCTIONS,
    functions_offload::FUNCTIONS,
    functions_power::FUNCTIONS,
    configuration::FUNCTIONS,
    configuration::OBJECTS,
];

/// A result as C's NTSTATUS.
fn status(result: Result<(), NtStatus>) -> i32 {
    result.err().unwrap_or(NtStatus::SUCCESS).0
}

/// The end of a function without a result: what was wrong has been reported.
fn done(_result: Result<(), NtStatus>) {}

/// A function that was withdrawn before user mode existed.
fn deprecated(call: &str, globals: guard::Globals) {
    if guard::client(call, globals).is_ok() {
        super::fail::breach(
            FailureCode::DeprecatedFunction,
            format_args!("{call}: withdrawn with version 2.2; use the Tx and Rx forms"),
        );
    }
}
