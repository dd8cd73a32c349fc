//! Which structures of the interface are copied from a client as they are.

#![allow(unsafe_code)] // promises that the structures are plain data

use super::{AnyBits, Atomics, Sized32};
use crate::abi::*;
use crate::door::net::power::{
    ArpParameters, BitmapCapabilities, BitmapParameters, CountCapabilities, FlagCapabilities, List,
    MediaChangeParameters, NsParameters, PreviewCallbacks, Reason, ResetCapabilities,
};
use crate::door::object::Handle;
use crate::door::runtime::{CriticalSection, GroupAffinity};
use crate::door::types::{Guid, UnicodeString, WdfContextTypeInfo, WdfObjectAttributes};

macro_rules! sized {
    ($($name:ty),+ $(,)?) => {$(
        // SAFETY: `repr(C)` with a `u32` size first; integers, pointers and
        // callbacks that are NULL or the client's own, so that every bit
        // pattern is a value.
        unsafe impl Sized32 for $name {}
    )+};
}
sized!(
    ArpParameters,
    BitmapCapabilities,
    BitmapParameters,
    CountCapabilities,
    FlagCapabilities,
    List,
    MediaChangeParameters,
    NetAdapterDatapathCallbacks,
    NetAdapterLinkLayerCapabilities,
    NetAdapterLinkState,
    NetAdapterOffloadGsoCapabilities,
    NetAdapterOffloadIeee8021qTagCapabilities,
    NetAdapterOffloadRscCapabilities,
    NetAdapterOffloadRxChecksumCapabilities,
    NetAdapterOffloadTxChecksumCapabilities,
    NetAdapterReceiveFilterCapabilities,
    NetAdapterReceiveScalingCapabilities,
    NetAdapterRxCapabilities,
    NetAdapterTxCapabilities,
    NetAdapterTxDemux,
    NetExtensionQuery,
    NetPacketQueueConfig,
    NsParameters,
    PreviewCallbacks,
    Reason,
    ResetCapabilities,
    WdfContextTypeInfo,
    WdfObjectAttributes,
);

// SAFETY: an integer.
unsafe impl AnyBits for i64 {}
// SAFETY: an integer, or a handle that is looked up.
unsafe impl AnyBits for usize {}
// SAFETY: integers.
unsafe impl AnyBits for GroupAffinity {}
// SAFETY: integers.
unsafe impl AnyBits for Guid {}
// SAFETY: an address that is looked up and not followed.
unsafe impl AnyBits for Handle {}
// SAFETY: integers.
unsafe impl AnyBits for NetAdapterLinkLayerAddress {}
// SAFETY: two integers and an address that is followed with its own argument.
unsafe impl AnyBits for UnicodeString {}

// SAFETY: atomics, and numbers that are never used.
unsafe impl Atomics for CriticalSection {}
