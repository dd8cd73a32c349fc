//! The C door: what client drivers written in C and C++ call.

pub mod client_host;
pub mod configuration_store;
