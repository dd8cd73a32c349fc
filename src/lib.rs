//! umnet: a virtio network card driven from user mode.

pub mod exit;
pub mod host;
