//! Which of WDF's structures are copied from the client as they are.

#![allow(unsafe_code)] // promises that the structures are plain data

use super::deferred_api::{RoutineConfig, TimerConfig};
use super::device_init::{FileCallbacks, IoTypeConfig, PowerPolicyCallbacks};
use super::device_power::{
    DeviceState, IdleSettings, PnpCapabilities, PowerCapabilities, WakeSettings,
};
use super::driver::{DriverConfig, VersionAvailable};
use super::io_queue::QueueConfig;
use super::io_target::CompletionParams;
use super::pnp_callbacks::PnpCallbacks;
use super::property::{PropertyData, PropertyKey};
use super::request_api::{Parameters, ReuseParams};
use crate::door::foreign::{AnyBits, Sized16, Sized32};

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
    CompletionParams,
    DeviceState,
    DriverConfig,
    FileCallbacks,
    IdleSettings,
    IoTypeConfig,
    PnpCallbacks,
    PnpCapabilities,
    PowerCapabilities,
    PowerPolicyCallbacks,
    PropertyData<'_>,
    QueueConfig,
    ReuseParams,
    RoutineConfig,
    TimerConfig,
    VersionAvailable,
    WakeSettings,
];

// SAFETY: integers.
unsafe impl AnyBits for PropertyKey {}
// SAFETY: `repr(C)` with a `u16` size first.
unsafe impl Sized16 for Parameters {}
