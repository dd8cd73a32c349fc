//! The structures of power and wake as C has them.

use super::policy::SleepDuty;
use crate::abi::{NetAdapterLinkLayerAddress, RawCallback};
use crate::door::foreign::Sized32;

/// NET_POWER_OFFLOAD_LIST, NET_WAKE_SOURCE_LIST: the first word is our number.
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::door) struct List {
    size: u32,
    reserved: [usize; 4],
}

impl List {
    pub(super) fn number(self) -> usize {
        self.reserved[0]
    }

    pub(super) fn numbered(mut self, number: usize) -> Self {
        self.reserved = [number, 0, 0, 0];
        self
    }
}

/// NET_ADAPTER_POWER_OFFLOAD_ARP_CAPABILITIES, …_NS_…
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::door) struct CountCapabilities {
    size: u32,
    offered: u8,
    most: usize,
}

impl CountCapabilities {
    /// How many are offered.
    pub(in super::super) fn count(self) -> usize {
        if self.offered != 0 { self.most } else { 0 }
    }
}

/// NET_ADAPTER_WAKE_BITMAP_CAPABILITIES
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::door) struct BitmapCapabilities {
    size: u32,
    offered: u8,
    most: usize,
    pub(in super::super) largest: usize,
}

impl BitmapCapabilities {
    /// How many are offered.
    pub(in super::super) fn count(self) -> usize {
        if self.offered != 0 { self.most } else { 0 }
    }
}

/// The other NET_ADAPTER_WAKE_…_CAPABILITIES: one BOOLEAN, or two.
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::door) struct FlagCapabilities {
    size: u32,
    first: u8,
    second: u8,
}

impl FlagCapabilities {
    /// The BOOLEANs.
    pub(in super::super) fn flags(self) -> (bool, bool) {
        (self.first != 0, self.second != 0)
    }
}

/// NET_DEVICE_POWER_POLICY_EVENT_CALLBACKS
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::door) struct PreviewCallbacks {
    size: u32,
    pub(super) pattern: RawCallback,
    pub(super) arp: RawCallback,
    pub(super) neighbors: RawCallback,
}

/// NET_DEVICE_RESET_CAPABILITIES
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::door) struct ResetCapabilities {
    size: u32,
    guid: [u32; 4],
    collect: RawCallback,
}

/// NET_ADAPTER_WAKE_REASON_PACKET
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::door) struct Reason {
    size: u32,
    pub(super) pattern_id: u32,
    pub(super) original_packet_size: u32,
    wake_packet: usize,
}

/// NET_POWER_OFFLOAD_ARP_PARAMETERS
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::door) struct ArpParameters {
    size: u32,
    id: u32,
    remote: [u8; 4],
    host: [u8; 4],
    link_layer: NetAdapterLinkLayerAddress,
}

/// NET_POWER_OFFLOAD_NS_PARAMETERS; an address there can be read as two numbers.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(in crate::door) struct NsParameters {
    size: u32,
    id: u32,
    remote: [u8; 16],
    solicited_node: [u8; 16],
    targets: [[u8; 16]; 2],
    link_layer: NetAdapterLinkLayerAddress,
}

/// NET_WAKE_SOURCE_BITMAP_PARAMETERS
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::door) struct BitmapParameters {
    size: u32,
    id: u32,
    pattern: *const u8,
    pattern_size: usize,
    mask: *const u8,
    mask_size: usize,
}

/// NET_WAKE_SOURCE_MEDIA_CHANGE_PARAMETERS
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::door) struct MediaChangeParameters {
    size: u32,
    connect: u8,
    disconnect: u8,
}

macro_rules! of_size {
    ($($name:ty = $size:literal),+ $(,)?) => {$(
        const _: () = assert!(size_of::<$name>() == $size);
    )+};
}
of_size!(
    List = 40,
    CountCapabilities = 16,
    BitmapCapabilities = 24,
    FlagCapabilities = 8,
    PreviewCallbacks = 32,
    ResetCapabilities = 32,
    Reason = 24,
    ArpParameters = 52,
    NsParameters = 112,
    BitmapParameters = 40,
    MediaChangeParameters = 8,
);

/// A structure that tells of one kind of duty.
pub(in super::super) trait Parameters: Sized32 {
    /// Filled for a duty; `None` for one of another kind.
    fn of(id: u32, duty: &SleepDuty) -> Option<Self>;
}

impl Parameters for ArpParameters {
    fn of(id: u32, duty: &SleepDuty) -> Option<Self> {
        let SleepDuty::Arp {
            remote,
            host,
            link_layer,
        } = duty
        else {
            return None;
        };
        Some(Self {
            size: size_of::<Self>() as u32,
            id,
            remote: *remote,
            host: *host,
            link_layer: NetAdapterLinkLayerAddress::ethernet(*link_layer),
        })
    }
}

impl Parameters for NsParameters {
    fn of(id: u32, duty: &SleepDuty) -> Option<Self> {
        let SleepDuty::NeighborSolicitation {
            remote,
            solicited_node,
            targets,
            link_layer,
        } = duty
        else {
            return None;
        };
        Some(Self {
            size: size_of::<Self>() as u32,
            id,
            remote: *remote,
            solicited_node: *solicited_node,
            targets: *targets,
            link_layer: NetAdapterLinkLayerAddress::ethernet(*link_layer),
        })
    }
}

impl Parameters for BitmapParameters {
    /// The pointers stay good for as long as the element is shown, which holds the duty.
    fn of(id: u32, duty: &SleepDuty) -> Option<Self> {
        let SleepDuty::BitmapPattern { mask, pattern } = duty else {
            return None;
        };
        Some(Self {
            size: size_of::<Self>() as u32,
            id,
            mask_size: mask.len(),
            mask: mask.as_ptr(),
            pattern_size: pattern.len(),
            pattern: pattern.as_ptr(),
        })
    }
}

impl Parameters for MediaChangeParameters {
    fn of(_id: u32, duty: &SleepDuty) -> Option<Self> {
        let SleepDuty::MediaChange {
            connect,
            disconnect,
        } = duty
        else {
            return None;
        };
        Some(Self {
            size: size_of::<Self>() as u32,
            connect: u8::from(*connect),
            disconnect: u8::from(*disconnect),
        })
    }
}
