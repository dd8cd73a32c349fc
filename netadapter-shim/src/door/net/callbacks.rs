//! The client's callbacks, typed, and how they are called: always without a
//! lock of ours.

use std::ffi::c_void;

use crate::abi::NtStatus;
use crate::door::foreign::Callback;
use crate::door::object::Handle;
use crate::door::types::Boolean;

/// EVT_NET_ADAPTER_CREATE_TXQUEUE and …_RXQUEUE: of an adapter; the second
/// argument is an init object's number.
pub(super) type CreateQueue = Callback<unsafe extern "C" fn(Handle, usize) -> i32>;
/// EVT_NET_ADAPTER_SET_RECEIVE_FILTER, EVT_NET_ADAPTER_OFFLOAD_SET_…: of an
/// adapter; the second argument is valid during the call only.
pub(super) type AdapterAndNumber = Callback<unsafe extern "C" fn(Handle, usize)>;
/// EVT_NET_ADAPTER_RECEIVE_SCALING_ENABLE: of an adapter, hash types, protocols.
pub(super) type ScalingEnable = Callback<unsafe extern "C" fn(Handle, u32, u32) -> i32>;
/// EVT_NET_ADAPTER_RECEIVE_SCALING_DISABLE: of an adapter.
pub(super) type ScalingDisable = Callback<unsafe extern "C" fn(Handle)>;
/// EVT_NET_ADAPTER_RECEIVE_SCALING_SET_HASH_SECRET_KEY and
/// …_SET_INDIRECTION_ENTRIES: of an adapter, with a structure of ours.
pub(super) type ScalingSet = Callback<unsafe extern "C" fn(Handle, *mut c_void) -> i32>;
/// EVT_NET_DEVICE_PREVIEW_WAKE_SOURCE, …_POWER_OFFLOAD: of a device; the second
/// argument is valid during the call only.
pub(super) type PreviewDuty = Callback<unsafe extern "C" fn(Handle, usize) -> i32>;
/// EVT_PACKET_QUEUE_START, …_STOP, …_ADVANCE, …_CANCEL
pub(super) type QueueEvent = Callback<unsafe extern "C" fn(Handle)>;
/// EVT_PACKET_QUEUE_SET_NOTIFICATION_ENABLED
pub(super) type QueueNotification = Callback<unsafe extern "C" fn(Handle, Boolean)>;

/// Everything a client may have stated for an adapter.
#[derive(Clone, Copy, Default)]
pub(super) struct AdapterCallbacks {
    pub(super) create_tx: Option<CreateQueue>,
    pub(super) create_rx: Option<CreateQueue>,
    pub(super) set_receive_filter: Option<AdapterAndNumber>,
    pub(super) set_tx_checksum: Option<AdapterAndNumber>,
    pub(super) set_rx_checksum: Option<AdapterAndNumber>,
    pub(super) set_gso: Option<AdapterAndNumber>,
    pub(super) set_rsc: Option<AdapterAndNumber>,
    pub(super) scaling_enable: Option<ScalingEnable>,
    pub(super) scaling_disable: Option<ScalingDisable>,
    pub(super) scaling_key: Option<ScalingSet>,
    pub(super) scaling_entries: Option<ScalingSet>,
}

/// A client's status as a result.
pub(super) fn succeeded(status: i32) -> Result<(), NtStatus> {
    match NtStatus(status) {
        status if status.is_success() => Ok(()),
        status => Err(status),
    }
}
