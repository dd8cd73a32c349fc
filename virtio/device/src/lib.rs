//! A virtio-net device as a process of its own: the in-process device of [`virtio`], served as a
//! vhost-user back end.
//!
//! ```text
//! front end ── socket ── server ── session ── model ── link
//!  (umnet,     vhost crate: the      what a    the in-process   TAP, echo
//!   QEMU..)    protocol, read a      ring is   device, honest
//!              second time           made of   or lying
//! ```
//!
//! The device outlives its drivers: when a front end goes, rings and memory go with it, and the
//! next one is awaited. One thread does everything.
//!
//! Another device is a [`Model`]; a lying one is an [`InProcessModel`] of a device that was told to
//! lie. Left out: rings that do not start at 0, logging, in-flight tracking, the channel for
//! requests of the back end.

pub mod cli;
mod model;
mod poller;
mod server;
mod session;
mod tap;
mod wire;

pub use model::{InProcessModel, Model, Ring, SharedRegion, device_config};
pub use server::{Server, ServerError, Stopper};
pub use tap::{Tap, TapError};
pub use wire::Wire;
