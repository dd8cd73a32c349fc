//! The client's callbacks, typed, and how they are called: always without a
//! lock of ours.

#![allow(unsafe_code)] // calls the client

use crate::abi::{NtStatus, RawCallback};
use crate::door::object::Handle;
use crate::door::types::Boolean;

/// A callback of one kind, given by the client for exactly this use.
macro_rules! callback {
    ($(#[$meta:meta])* $name:ident($($argument:ident: $kind:ty),*) -> $result:ty) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        pub(super) struct $name(unsafe extern "C" fn($($kind),*) -> $result);

        impl $name {
            /// Takes the pointer a client put into a structure of ours.
            pub(super) fn from_raw(raw: RawCallback) -> Option<Self> {
                // SAFETY: the client declared this member of the structure to
                // have this very type; both are plain function pointers.
                raw.map(|raw| Self(unsafe {
                    std::mem::transmute::<extern "C" fn(), unsafe extern "C" fn($($kind),*) -> $result>(raw)
                }))
            }

            /// Calls the client.
            pub(super) fn call(self, $($argument: $kind),*) -> $result {
                // SAFETY: the client gave this function for exactly this call;
                // its library stays loaded as long as its objects exist.
                unsafe { (self.0)($($argument),*) }
            }
        }
    };
}

callback!(
    /// EVT_NET_ADAPTER_CREATE_TXQUEUE and …_RXQUEUE; the second argument is an
    /// init object's number.
    CreateQueue(adapter: Handle, init: usize) -> i32
);
callback!(
    /// EVT_NET_ADAPTER_SET_RECEIVE_FILTER, EVT_NET_ADAPTER_OFFLOAD_SET_…: the
    /// second argument is valid during the call only.
    AdapterAndNumber(adapter: Handle, number: usize) -> ()
);
callback!(
    /// EVT_NET_ADAPTER_RECEIVE_SCALING_ENABLE
    ScalingEnable(adapter: Handle, hash_type: u32, protocols: u32) -> i32
);
callback!(
    /// EVT_NET_ADAPTER_RECEIVE_SCALING_DISABLE
    ScalingDisable(adapter: Handle) -> ()
);
callback!(
    /// EVT_NET_ADAPTER_RECEIVE_SCALING_SET_HASH_SECRET_KEY and
    /// …_SET_INDIRECTION_ENTRIES: a structure of ours.
    ScalingSet(adapter: Handle, structure: *mut std::ffi::c_void) -> i32
);
callback!(
    /// EVT_NET_DEVICE_PREVIEW_WAKE_SOURCE, …_POWER_OFFLOAD: the second argument
    /// is valid during the call only.
    PreviewDuty(device: Handle, number: usize) -> i32
);
callback!(
    /// EVT_PACKET_QUEUE_START, …_STOP, …_ADVANCE, …_CANCEL
    QueueEvent(queue: Handle) -> ()
);
callback!(
    /// EVT_PACKET_QUEUE_SET_NOTIFICATION_ENABLED
    QueueNotification(queue: Handle, enabled: Boolean) -> ()
);

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
