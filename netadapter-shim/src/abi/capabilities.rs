//! Capability and state structures as a C client passes them.
//!
//! Every structure begins with its own size in bytes, by which a later
//! version of a client could be told apart.

use std::mem::offset_of;

use super::abi_enum;

/// A callback pointer of the C ABI that this layer only stores.
pub type RawCallback = Option<extern "C" fn()>;

abi_enum! {
    /// NET_MEMORY_MAPPING_REQUIREMENT
    NetMemoryMappingRequirement {
        /// The client works on virtual addresses: the only form of user mode.
        NONE = 0,
        /// The client wants buffers mapped for its device.
        DMA_MAPPED = 1,
    }
}

abi_enum! {
    /// NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE
    NetRxFragmentBufferAllocationMode {
        /// The system allocates: the only form of user mode.
        SYSTEM = 0,
        /// The driver allocates.
        DRIVER = 1,
    }
}

abi_enum! {
    /// NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE
    NetRxFragmentBufferAttachmentMode {
        /// The system attaches buffers to fragments: the only form of user mode.
        SYSTEM = 0,
        /// The driver attaches.
        DRIVER = 1,
    }
}

abi_enum! {
    /// NET_PACKET_FILTER_FLAGS, a bit set.
    NetPacketFilterFlags {
        /// Frames for the own address.
        DIRECTED = 1,
        /// Frames for a listed multicast address.
        MULTICAST = 2,
        /// Frames for any multicast address.
        ALL_MULTICAST = 4,
        /// Broadcast frames.
        BROADCAST = 8,
        /// Everything.
        PROMISCUOUS = 0x20,
    }
}

impl NetPacketFilterFlags {
    /// All five flags.
    pub const ALL: Self = Self(0x2f);

    /// Whether every flag of `other` is set here.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for NetPacketFilterFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

abi_enum! {
    /// Layer 3 bits of checksum, GSO and RSC capabilities.
    NetOffloadLayer3Flags {
        /// IPv4 with a header of 20 bytes.
        IPV4_NO_OPTIONS = 1,
        /// IPv4 with options.
        IPV4_WITH_OPTIONS = 2,
        /// IPv6 with a header of 40 bytes.
        IPV6_NO_EXTENSIONS = 4,
        /// IPv6 with extension headers.
        IPV6_WITH_EXTENSIONS = 8,
    }
}

abi_enum! {
    /// Layer 4 bits of checksum, GSO and RSC capabilities.
    NetOffloadLayer4Flags {
        /// TCP with a header of 20 bytes.
        TCP_NO_OPTIONS = 1,
        /// TCP with options.
        TCP_WITH_OPTIONS = 2,
        /// UDP
        UDP = 4,
    }
}

/// Set operations the offload flag types share.
macro_rules! flag_ops {
    ($($name:ident),+) => {$(
        impl $name {
            /// Whether every flag of `other` is set here.
            pub fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any flag of `other` is set here.
            pub fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }
        }

        impl std::ops::BitAnd for $name {
            type Output = Self;

            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    )+};
}
abi_enum! {
    /// NET_ADAPTER_OFFLOAD_IEEE8021Q_TAG_FLAGS, a bit set.
    NetOffloadIeee8021qFlags {
        /// The device inserts and strips priorities.
        PRIORITY_TAGGING = 1,
        /// The device inserts and strips VLAN identifiers.
        VLAN_TAGGING = 2,
    }
}

abi_enum! {
    /// NET_ADAPTER_RECEIVE_SCALING_HASH_TYPE, a bit set.
    NetReceiveScalingHashType {
        /// No hash.
        NONE = 0,
        /// Toeplitz.
        TOEPLITZ = 1,
    }
}

abi_enum! {
    /// Protocols a hash is taken over, a bit set (as in NET_PACKET_HASH).
    NetPacketHashProtocolType {
        /// IPv4 addresses.
        IPV4 = 1,
        /// IPv4 headers with options too.
        IPV4_OPTIONS = 2,
        /// IPv6 addresses.
        IPV6 = 4,
        /// IPv6 headers with extensions too.
        IPV6_EXTENSIONS = 8,
        /// TCP ports.
        TCP = 0x10,
        /// UDP ports.
        UDP = 0x20,
    }
}

flag_ops!(
    NetOffloadLayer3Flags,
    NetOffloadLayer4Flags,
    NetOffloadIeee8021qFlags,
    NetReceiveScalingHashType,
    NetPacketHashProtocolType
);

abi_enum! {
    /// NET_IF_MEDIA_CONNECT_STATE
    NetIfMediaConnectState {
        /// Not known.
        UNKNOWN = 0,
        /// Link up.
        CONNECTED = 1,
        /// Link down.
        DISCONNECTED = 2,
    }
}

abi_enum! {
    /// NET_IF_MEDIA_DUPLEX_STATE
    NetIfMediaDuplexState {
        /// Not known.
        UNKNOWN = 0,
        /// Half duplex.
        HALF = 1,
        /// Full duplex.
        FULL = 2,
    }
}

abi_enum! {
    /// NET_ADAPTER_PAUSE_FUNCTION_TYPE
    NetAdapterPauseFunctionType {
        /// No pause frames.
        UNSUPPORTED = 0,
        /// Sends them.
        SEND_ONLY = 1,
        /// Obeys them.
        RECEIVE_ONLY = 2,
        /// Both.
        SEND_AND_RECEIVE = 3,
        /// Not known.
        UNKNOWN = 4,
    }
}

/// NET_ADAPTER_LINK_LAYER_ADDRESS: up to 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetAdapterLinkLayerAddress {
    /// Bytes in use.
    pub length: u16,
    /// The address, then zeros.
    pub address: [u8; 32],
}

impl NetAdapterLinkLayerAddress {
    /// An Ethernet address.
    pub fn ethernet(mac: [u8; 6]) -> Self {
        let mut address = [0; 32];
        address[..6].copy_from_slice(&mac);
        Self { length: 6, address }
    }

    /// The bytes in use.
    pub fn bytes(&self) -> &[u8] {
        &self.address[..usize::from(self.length).min(32)]
    }
}

/// NET_ADAPTER_LINK_LAYER_CAPABILITIES
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterLinkLayerCapabilities {
    /// Size of this structure.
    pub size: u32,
    /// bit/s
    pub max_tx_link_speed: u64,
    /// bit/s
    pub max_rx_link_speed: u64,
}

impl NetAdapterLinkLayerCapabilities {
    /// Speeds in bit/s.
    pub fn new(max_tx_link_speed: u64, max_rx_link_speed: u64) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            max_tx_link_speed,
            max_rx_link_speed,
        }
    }
}

/// NET_ADAPTER_LINK_STATE
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetAdapterLinkState {
    /// Size of this structure.
    pub size: u32,
    /// bit/s, [`Self::SPEED_UNKNOWN`] if not known.
    pub tx_link_speed: u64,
    /// bit/s, [`Self::SPEED_UNKNOWN`] if not known.
    pub rx_link_speed: u64,
    /// Whether there is carrier.
    pub media_connect_state: NetIfMediaConnectState,
    /// Duplex.
    pub media_duplex_state: NetIfMediaDuplexState,
    /// Pause frames.
    pub supported_pause_functions: NetAdapterPauseFunctionType,
    /// Transmit speed 1, receive speed 2, duplex 4, pause functions 8.
    pub auto_negotiation_flags: u32,
}

impl NetAdapterLinkState {
    /// Speed of a link whose speed nobody knows.
    pub const SPEED_UNKNOWN: u64 = u64::MAX;

    /// Link up at `speed` bit/s both ways.
    pub fn connected(speed: u64, duplex: NetIfMediaDuplexState) -> Self {
        Self {
            tx_link_speed: speed,
            rx_link_speed: speed,
            media_connect_state: NetIfMediaConnectState::CONNECTED,
            media_duplex_state: duplex,
            ..Self::disconnected()
        }
    }

    /// Microsoft's `NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED`.
    pub fn disconnected() -> Self {
        Self {
            size: size_of::<Self>() as u32,
            tx_link_speed: Self::SPEED_UNKNOWN,
            rx_link_speed: Self::SPEED_UNKNOWN,
            media_connect_state: NetIfMediaConnectState::DISCONNECTED,
            media_duplex_state: NetIfMediaDuplexState::UNKNOWN,
            supported_pause_functions: NetAdapterPauseFunctionType::UNSUPPORTED,
            auto_negotiation_flags: 0,
        }
    }
}

/// NET_ADAPTER_DMA_CAPABILITIES: declared so that clients compile, refused at
/// run time.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterDmaCapabilities {
    /// Size of this structure.
    pub size: u32,
    /// WDFDMAENABLER
    pub dma_enabler: usize,
    /// PHYSICAL_ADDRESS
    pub maximum_physical_address: u64,
    /// WDF_TRI_STATE
    pub cache_enabled: u32,
    /// NUMA node
    pub preferred_node: u32,
}

/// NET_ADAPTER_TX_CAPABILITIES
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterTxCapabilities {
    /// Size of this structure.
    pub size: u32,
    /// See [`NetMemoryMappingRequirement`].
    pub mapping_requirement: NetMemoryMappingRequirement,
    /// Bytes of head-room before the payload.
    pub payload_backfill: usize,
    /// Per packet.
    pub maximum_number_of_fragments: usize,
    /// A power of two.
    pub fragment_buffer_alignment: usize,
    /// A power of two, or 0 for no wish.
    pub fragment_ring_number_of_elements_hint: u32,
    /// At least 1.
    pub maximum_number_of_queues: usize,
    /// Must be null in user mode.
    pub dma_capabilities: *const NetAdapterDmaCapabilities,
}

/// NET_ADAPTER_RX_CAPABILITIES in its system-managed form; the driver-managed
/// form overlays the return callback over `mapping_requirement`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterRxCapabilities {
    /// Size of this structure.
    pub size: u32,
    /// Test this before anything from `mapping_requirement` on.
    pub allocation_mode: NetRxFragmentBufferAllocationMode,
    /// Who attaches buffers.
    pub attachment_mode: NetRxFragmentBufferAttachmentMode,
    /// A power of two, or 0 for no wish.
    pub fragment_ring_number_of_elements_hint: u32,
    /// Largest frame the device may deliver.
    pub maximum_frame_size: usize,
    /// At least 1.
    pub maximum_number_of_queues: usize,
    /// See [`NetMemoryMappingRequirement`].
    pub mapping_requirement: NetMemoryMappingRequirement,
    /// A power of two.
    pub fragment_buffer_alignment: usize,
    /// Must be null in user mode.
    pub dma_capabilities: *const NetAdapterDmaCapabilities,
}

/// NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterReceiveFilterCapabilities {
    /// Size of this structure.
    pub size: u32,
    /// Filters the device has.
    pub supported_packet_filters: NetPacketFilterFlags,
    /// Length of the multicast list the device can hold.
    pub maximum_multicast_addresses: usize,
    /// Called with every new filter.
    pub evt_set_receive_filter: RawCallback,
}

/// NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterOffloadTxChecksumCapabilities {
    /// Size of this structure.
    pub size: u32,
    /// Network headers.
    pub layer3_flags: NetOffloadLayer3Flags,
    /// Transport headers.
    pub layer4_flags: NetOffloadLayer4Flags,
    /// Largest offset of the network header, 0 for no limit.
    pub layer3_header_offset_limit: u16,
    /// Largest offset of the transport header, 0 for no limit.
    pub layer4_header_offset_limit: u16,
    /// Called with the active set.
    pub evt_adapter_offload_set_tx_checksum: RawCallback,
}

/// NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterOffloadRxChecksumCapabilities {
    /// Size of this structure.
    pub size: u32,
    /// Called with the active set.
    pub evt_adapter_offload_set_rx_checksum: RawCallback,
}

/// NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterOffloadGsoCapabilities {
    /// Size of this structure.
    pub size: u32,
    /// Network headers.
    pub layer3_flags: NetOffloadLayer3Flags,
    /// Transport headers.
    pub layer4_flags: NetOffloadLayer4Flags,
    /// Largest offset of the transport header, 0 for no limit.
    pub layer4_header_offset_limit: u16,
    /// Largest payload in bytes.
    pub maximum_offload_size: usize,
    /// Fewest segments worth asking for.
    pub minimum_segment_count: usize,
    /// Called with the active set.
    pub evt_adapter_offload_set_gso: RawCallback,
}

/// NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterOffloadRscCapabilities {
    /// Size of this structure.
    pub size: u32,
    /// Network headers.
    pub layer3_flags: NetOffloadLayer3Flags,
    /// Transport headers.
    pub layer4_flags: NetOffloadLayer4Flags,
    /// Segments with TCP timestamps are coalesced too (BOOLEAN).
    pub tcp_timestamp_option: u8,
    /// Called with the active set.
    pub evt_adapter_offload_set_rsc: RawCallback,
}

/// NET_ADAPTER_OFFLOAD_IEEE8021Q_TAG_CAPABILITIES
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterOffloadIeee8021qTagCapabilities {
    /// Size of this structure.
    pub size: u32,
    /// What the device does.
    pub flags: NetOffloadIeee8021qFlags,
}

/// NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterReceiveScalingCapabilities {
    /// Size of this structure.
    pub size: u32,
    /// Rx queues, a power of two.
    pub number_of_queues: usize,
    /// Entries of the indirection table, a power of two.
    pub indirection_table_size: usize,
    /// Where frames without a hash go.
    pub unhashed_target_index: usize,
    /// What that index means: unspecified 0, an entry of the table 1.
    pub unhashed_target_type: u32,
    /// Hash functions.
    pub hash_types: NetReceiveScalingHashType,
    /// What is hashed.
    pub protocol_types: NetPacketHashProtocolType,
    /// Encapsulations of outer headers: NVGRE 1, VXLAN 2, VLAN 4.
    pub outer_encapsulation: u32,
    /// Encapsulations of inner headers.
    pub inner_encapsulation: u32,
    /// BOOLEAN
    pub synchronize_set_indirection_entries: u8,
    /// EVT_NET_ADAPTER_RECEIVE_SCALING_ENABLE
    pub evt_enable: RawCallback,
    /// EVT_NET_ADAPTER_RECEIVE_SCALING_DISABLE
    pub evt_disable: RawCallback,
    /// EVT_NET_ADAPTER_RECEIVE_SCALING_SET_HASH_SECRET_KEY
    pub evt_set_hash_secret_key: RawCallback,
    /// EVT_NET_ADAPTER_RECEIVE_SCALING_SET_INDIRECTION_ENTRIES
    pub evt_set_indirection_entries: RawCallback,
}

/// NET_ADAPTER_RECEIVE_SCALING_HASH_SECRET_KEY, and with another element type
/// NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRIES: an address and a length.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetReceiveScalingArray<T> {
    /// First element.
    pub elements: T,
    /// Elements.
    pub length: usize,
}

/// NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRY
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetReceiveScalingIndirectionEntry {
    /// NETPACKETQUEUE
    pub packet_queue: usize,
    /// NTSTATUS, the client's to set.
    pub status: i32,
    /// Which entry of the table.
    pub index: u32,
}

/// NET_ADAPTER_TX_DEMUX
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterTxDemux {
    /// Size of this structure.
    pub size: u32,
    /// 802.1p priorities 1.
    pub kind: u32,
    /// Queues, 2 to 8.
    pub range: u8,
}

/// NET_EXTENSION_QUERY
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetExtensionQuery {
    /// Size of this structure.
    pub size: u32,
    /// UTF-16, NUL-terminated.
    pub name: *const u16,
    /// Least version.
    pub version: u32,
    /// Which ring.
    pub kind: super::NetExtensionType,
}

/// NET_PACKET_QUEUE_CONFIG; version 2.0 ends before `execution_context`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetPacketQueueConfig {
    /// Size of this structure in the client's version: 48 or 56.
    pub size: u32,
    /// Optional.
    pub evt_start: RawCallback,
    /// Optional.
    pub evt_stop: RawCallback,
    /// Mandatory.
    pub evt_advance: RawCallback,
    /// Mandatory.
    pub evt_set_notification_enabled: RawCallback,
    /// Mandatory.
    pub evt_cancel: RawCallback,
    /// NETEXECUTIONCONTEXT
    pub execution_context: usize,
}

/// NET_ADAPTER_DATAPATH_CALLBACKS
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetAdapterDatapathCallbacks {
    /// Size of this structure.
    pub size: u32,
    /// EVT_NET_ADAPTER_CREATE_TXQUEUE
    pub evt_adapter_create_tx_queue: RawCallback,
    /// EVT_NET_ADAPTER_CREATE_RXQUEUE
    pub evt_adapter_create_rx_queue: RawCallback,
}

/// Asserts the size of a structure and the offset of some of its fields.
macro_rules! assert_layout {
    ($name:ty, $size:expr $(, $field:ident @ $offset:expr)*) => {
        const _: () = {
            assert!(size_of::<$name>() == $size);
            $(assert!(offset_of!($name, $field) == $offset);)*
        };
    };
}

assert_layout!(NetAdapterLinkLayerAddress, 34, address @ 2);
assert_layout!(NetAdapterLinkLayerCapabilities, 24, max_tx_link_speed @ 8, max_rx_link_speed @ 16);
assert_layout!(NetAdapterLinkState, 40, tx_link_speed @ 8, rx_link_speed @ 16,
    media_connect_state @ 24, media_duplex_state @ 28, supported_pause_functions @ 32,
    auto_negotiation_flags @ 36);
assert_layout!(NetAdapterDmaCapabilities, 32, dma_enabler @ 8, maximum_physical_address @ 16,
    cache_enabled @ 24, preferred_node @ 28);
assert_layout!(NetAdapterTxCapabilities, 56, mapping_requirement @ 4, payload_backfill @ 8,
    maximum_number_of_fragments @ 16, fragment_buffer_alignment @ 24,
    fragment_ring_number_of_elements_hint @ 32, maximum_number_of_queues @ 40,
    dma_capabilities @ 48);
assert_layout!(NetAdapterRxCapabilities, 56, allocation_mode @ 4, attachment_mode @ 8,
    fragment_ring_number_of_elements_hint @ 12, maximum_frame_size @ 16,
    maximum_number_of_queues @ 24, mapping_requirement @ 32, fragment_buffer_alignment @ 40,
    dma_capabilities @ 48);
assert_layout!(NetAdapterReceiveFilterCapabilities, 24, supported_packet_filters @ 4,
    maximum_multicast_addresses @ 8, evt_set_receive_filter @ 16);
assert_layout!(NetAdapterOffloadTxChecksumCapabilities, 24, layer3_flags @ 4, layer4_flags @ 8,
    layer3_header_offset_limit @ 12, layer4_header_offset_limit @ 14,
    evt_adapter_offload_set_tx_checksum @ 16);
assert_layout!(NetAdapterOffloadRxChecksumCapabilities, 16,
    evt_adapter_offload_set_rx_checksum @ 8);
assert_layout!(NetAdapterOffloadGsoCapabilities, 40, layer3_flags @ 4, layer4_flags @ 8,
    layer4_header_offset_limit @ 12, maximum_offload_size @ 16, minimum_segment_count @ 24,
    evt_adapter_offload_set_gso @ 32);
assert_layout!(NetAdapterOffloadRscCapabilities, 24, layer3_flags @ 4, layer4_flags @ 8,
    tcp_timestamp_option @ 12, evt_adapter_offload_set_rsc @ 16);
assert_layout!(NetPacketQueueConfig, 56, evt_start @ 8, evt_stop @ 16, evt_advance @ 24,
    evt_set_notification_enabled @ 32, evt_cancel @ 40, execution_context @ 48);
assert_layout!(NetAdapterDatapathCallbacks, 24, evt_adapter_create_tx_queue @ 8,
    evt_adapter_create_rx_queue @ 16);
assert_layout!(NetAdapterOffloadIeee8021qTagCapabilities, 8, flags @ 4);
assert_layout!(NetAdapterReceiveScalingCapabilities, 88, number_of_queues @ 8,
    indirection_table_size @ 16, unhashed_target_index @ 24, unhashed_target_type @ 32,
    hash_types @ 36, protocol_types @ 40, outer_encapsulation @ 44, inner_encapsulation @ 48,
    synchronize_set_indirection_entries @ 52, evt_enable @ 56, evt_disable @ 64,
    evt_set_hash_secret_key @ 72, evt_set_indirection_entries @ 80);
assert_layout!(NetReceiveScalingArray<*const u8>, 16, length @ 8);
assert_layout!(NetReceiveScalingIndirectionEntry, 16, status @ 8, index @ 12);
assert_layout!(NetAdapterTxDemux, 12, kind @ 4, range @ 8);
assert_layout!(NetExtensionQuery, 24, name @ 8, version @ 16, kind @ 20);
