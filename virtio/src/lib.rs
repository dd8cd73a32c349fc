//! The driver side of virtio-net, for a driver that is an ordinary process.
//!
//! Section names in this crate refer to the OASIS *Virtual I/O Device* specification,
//! version 1.2 (fields that later versions added are marked where they stand).
//!
//! ```text
//! spec         layouts and constants, no logic
//! mem          memory shared with the device, and the address it knows it by
//! queue        the split virtqueue: add, publish, kick_if_needed, pop_used, arm
//! transport    how registers, interrupts and DMA are reached
//! init         reset .. DRIVER_OK, steps that consume each other
//! net          what virtio-net adds: features, configuration, header, control queue
//! ```
//!
//! Everything a device can write is foreign: each value is read once into a private copy,
//! the copy is checked, and only the copy is used. What a device says wrongly is a
//! [`DeviceFault`], which never panics; what the machine refuses is a [`TransportError`].

pub mod init;
pub mod mem;
pub mod net;
pub mod queue;
pub mod spec;
mod sync;
pub mod transport;

pub use mem::{DmaRegion, DmaSlice, Iova};
pub use queue::{DeviceFault, Virtqueue};
pub use transport::{Transport, TransportError};
