//! The C door: what client drivers written in C and C++ call.
//!
//! ```text
//!   client.so --- table of functions --- door::{net, wdf, runtime} --- the core
//!                                            |
//!                                       object, fail
//! ```
//!
//! Nothing that comes from a client is trusted: handles are looked up,
//! structures are copied once and checked, enumerations are range-checked.
//! A broken rule ends in its documented status or in `fail::breach`.
//! The core never imports this module.

pub(crate) mod block;
pub mod client_host;
pub mod configuration_store;
pub(crate) mod fail;
pub(crate) mod foreign;
pub(crate) mod globals;
pub mod hosted;
pub mod loader;
pub(crate) mod net;
mod numbers;
pub(crate) mod object;
pub(crate) mod pnp;
mod restart;
pub(crate) mod runtime;
pub(crate) mod table;
pub(crate) mod types;
mod watchdog;
pub(crate) mod wdf;
