//! Which of WDF's structures are copied from the client as they are.

#![allow(unsafe_code)] // promises that the structures are plain data

use super::deferred_api::{RoutineConfig, TimerConfig};
use super::device_init::{FileCallbacks, IoTypeConfig, PowerPolicyCallbacks};
use super::io_queue::QueueConfig;
use crate::door::foreign::Sized32;

macro_rules! plain {
    ($($name:ty),* $(,)?) => {
        $(
            // SAFETY: `repr(C)` with a `u32` size first; the rest is integers, pointers and
            // callbacks that are NULL or the client's own.
            unsafe impl Sized32 for $name {}
        )*
    };
}

plain![
    FileCallbacks,
    IoTypeConfig,
    PowerPolicyCallbacks,
    QueueConfig,
    RoutineConfig,
    TimerConfig,
];
