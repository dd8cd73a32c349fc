//! umnet: a virtio network card driven from user mode.

pub mod cli;
pub mod config;
pub mod control;
pub mod exit;
pub mod host;
pub mod run;
pub mod selftest;
