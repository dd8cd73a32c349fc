//! umnet: a virtio network card driven from an ordinary process.
//!
//! ```text
//! Rx  device -> virtqueue -> copy -> system buffer -> NET_RING -> TAP
//! Tx  device <- virtqueue <- copy <- system buffer <- NET_RING <- TAP
//! ```
//!
//! One frame, one copy, one direction. `virtio` knows devices and rings, `netadapter-shim`
//! knows packets and the system; this crate is the only place where both meet.

pub mod bench;
pub mod cage;
pub mod card;
pub mod channel;
pub mod cli;
pub mod client_host;
mod client_sources;
pub mod config;
pub mod control;
pub mod copy;
pub mod driver;
pub mod driver_host;
pub mod exit;
pub mod fault;
pub mod hash;
pub mod host;
pub mod hosting;
pub mod offload;
pub mod poller;
pub mod recovery;
pub mod run;
pub mod rx_queue;
pub mod selftest;
mod signals;
pub mod slots;
pub mod stats;
pub mod tx_queue;
