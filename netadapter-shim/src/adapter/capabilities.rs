//! What a client states about itself before the adapter starts, in Rust's
//! form, and the checks of each. (netadaptercx.md §2.3, §2.4, §4, §5.1)

use super::AdapterError;
use crate::abi::{
    FailureCode, NetAdapterDmaCapabilities, NetMemoryMappingRequirement, NetOffloadLayer3Flags,
    NetOffloadLayer4Flags, NetPacketFilterFlags, NetRxFragmentBufferAllocationMode,
    NetRxFragmentBufferAttachmentMode, NtStatus,
};

/// NET_ADAPTER_TX_CAPABILITIES
#[derive(Clone, Copy, Debug)]
pub struct TxCapabilities {
    /// Must be `NONE`.
    pub mapping_requirement: NetMemoryMappingRequirement,
    /// Bytes of head-room the client wants before the payload, inside the
    /// buffer; not used, frames begin at offset 0 on the copying path.
    pub payload_backfill: usize,
    /// Fragments per packet; every packet here has one.
    pub maximum_number_of_fragments: usize,
    /// A power of two.
    pub fragment_buffer_alignment: usize,
    /// A power of two, or 0 for no wish.
    pub fragment_ring_number_of_elements_hint: u32,
    /// At least 1.
    pub maximum_number_of_queues: usize,
    /// Must be `None`: a user-mode client has no DMA.
    pub dma_capabilities: Option<NetAdapterDmaCapabilities>,
}

impl TxCapabilities {
    /// `NET_ADAPTER_TX_CAPABILITIES_INIT`
    pub fn new(maximum_number_of_queues: usize) -> Self {
        Self {
            mapping_requirement: NetMemoryMappingRequirement::NONE,
            payload_backfill: 0,
            maximum_number_of_fragments: usize::MAX,
            fragment_buffer_alignment: 1,
            fragment_ring_number_of_elements_hint: 0,
            maximum_number_of_queues,
            dma_capabilities: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        let code = FailureCode::InvalidAdapterTxCapabilities;
        check_dma(
            code,
            "Tx",
            self.dma_capabilities.as_ref(),
            self.mapping_requirement,
        )?;
        check_queues(code, "Tx", self.maximum_number_of_queues)?;
        check_alignment("Tx", self.fragment_buffer_alignment)?;
        check_hint("Tx", self.fragment_ring_number_of_elements_hint)
    }
}

/// NET_ADAPTER_RX_CAPABILITIES
#[derive(Clone, Copy, Debug)]
pub struct RxCapabilities {
    /// Must be `SYSTEM`.
    pub allocation_mode: NetRxFragmentBufferAllocationMode,
    /// Must be `SYSTEM`.
    pub attachment_mode: NetRxFragmentBufferAttachmentMode,
    /// A power of two, or 0 for no wish.
    pub fragment_ring_number_of_elements_hint: u32,
    /// Largest frame in bytes; the size of each system buffer.
    pub maximum_frame_size: usize,
    /// At least 1.
    pub maximum_number_of_queues: usize,
    /// Must be `NONE`.
    pub mapping_requirement: NetMemoryMappingRequirement,
    /// A power of two.
    pub fragment_buffer_alignment: usize,
    /// Must be `None`: a user-mode client has no DMA.
    pub dma_capabilities: Option<NetAdapterDmaCapabilities>,
}

impl RxCapabilities {
    /// `NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED`: the form of user mode.
    pub fn system_managed(maximum_frame_size: usize, maximum_number_of_queues: usize) -> Self {
        Self {
            allocation_mode: NetRxFragmentBufferAllocationMode::SYSTEM,
            attachment_mode: NetRxFragmentBufferAttachmentMode::SYSTEM,
            fragment_ring_number_of_elements_hint: 0,
            maximum_frame_size,
            maximum_number_of_queues,
            mapping_requirement: NetMemoryMappingRequirement::NONE,
            fragment_buffer_alignment: 1,
            dma_capabilities: None,
        }
    }

    /// `NET_ADAPTER_RX_CAPABILITIES_INIT_DRIVER_MANAGED`: always refused.
    pub fn driver_managed(maximum_frame_size: usize, maximum_number_of_queues: usize) -> Self {
        Self {
            allocation_mode: NetRxFragmentBufferAllocationMode::DRIVER,
            attachment_mode: NetRxFragmentBufferAttachmentMode::DRIVER,
            ..Self::system_managed(maximum_frame_size, maximum_number_of_queues)
        }
    }

    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        let code = FailureCode::InvalidAdapterRxCapabilities;
        // Modes first: in the driver-managed form the fields behind them mean
        // something else.
        self.check_modes(code)?;
        check_dma(
            code,
            "Rx",
            self.dma_capabilities.as_ref(),
            self.mapping_requirement,
        )?;
        check_queues(code, "Rx", self.maximum_number_of_queues)?;
        check_alignment("Rx", self.fragment_buffer_alignment)?;
        check_hint("Rx", self.fragment_ring_number_of_elements_hint)?;
        let largest = crate::abi::NetFragment::MAX_LENGTH as usize;
        if self.maximum_frame_size == 0 || self.maximum_frame_size > largest {
            return Err(invalid(
                code,
                format!(
                    "Rx MaximumFrameSize is {}; it must be 1 to {largest} bytes",
                    self.maximum_frame_size
                ),
            ));
        }
        Ok(())
    }

    fn check_modes(&self, code: FailureCode) -> Result<(), AdapterError> {
        if self.allocation_mode != NetRxFragmentBufferAllocationMode::SYSTEM {
            return Err(unsupported(
                code,
                "Rx AllocationMode must be NetRxFragmentBufferAllocationModeSystem: in user mode \
                 the system allocates every buffer; use \
                 NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED",
            ));
        }
        if self.attachment_mode != NetRxFragmentBufferAttachmentMode::SYSTEM {
            return Err(unsupported(
                code,
                "Rx AttachmentMode must be NetRxFragmentBufferAttachmentModeSystem: in user mode \
                 the system attaches every buffer; use \
                 NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED",
            ));
        }
        Ok(())
    }
}

fn check_dma(
    code: FailureCode,
    side: &str,
    dma: Option<&NetAdapterDmaCapabilities>,
    mapping: NetMemoryMappingRequirement,
) -> Result<(), AdapterError> {
    if dma.is_some() {
        return Err(unsupported(
            code,
            &format!(
                "{side} DmaCapabilities must be NULL: a user-mode client has no DMA into system \
                 buffers; copy between the buffer and memory of the driver's own"
            ),
        ));
    }
    if mapping != NetMemoryMappingRequirement::NONE {
        return Err(invalid(
            code,
            format!(
                "{side} MappingRequirement is {}; in user mode it must be \
                 NetMemoryMappingRequirementNone (0)",
                mapping.0
            ),
        ));
    }
    Ok(())
}

fn check_queues(code: FailureCode, side: &str, queues: usize) -> Result<(), AdapterError> {
    if queues == 0 {
        return Err(invalid(
            code,
            format!("{side} MaximumNumberOfQueues is 0; it must be at least 1"),
        ));
    }
    Ok(())
}

fn check_alignment(side: &str, alignment: usize) -> Result<(), AdapterError> {
    if !alignment.is_power_of_two() || alignment > 4096 {
        let why = format!(
            "{side} FragmentBufferAlignment is {alignment}; it must be a power of two up to 4096"
        );
        return Err(invalid(FailureCode::NotPowerOfTwo, why));
    }
    Ok(())
}

fn check_hint(side: &str, hint: u32) -> Result<(), AdapterError> {
    if hint != 0 && !hint.is_power_of_two() {
        let why = format!(
            "{side} FragmentRingNumberOfElementsHint is {hint}; it must be 0 or a power of two"
        );
        return Err(invalid(FailureCode::NotPowerOfTwo, why));
    }
    Ok(())
}

pub(super) fn invalid(code: FailureCode, why: String) -> AdapterError {
    AdapterError::refused(code, NtStatus::INVALID_PARAMETER, why)
}

fn unsupported(code: FailureCode, why: &str) -> AdapterError {
    AdapterError::refused(code, NtStatus::NOT_SUPPORTED, why.to_owned())
}

/// NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffloadTxChecksumCapabilities {
    /// Network headers.
    pub layer3: NetOffloadLayer3Flags,
    /// Transport headers.
    pub layer4: NetOffloadLayer4Flags,
}

impl OffloadTxChecksumCapabilities {
    /// TCP and UDP over IPv4 and IPv6, with or without options.
    pub fn all() -> Self {
        Self {
            layer3: all_layer3(),
            layer4: all_layer4(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        type L3 = NetOffloadLayer3Flags;
        let l4 = FailureCode::InvalidTxChecksumLayer4Capabilities;
        let hardware = FailureCode::InvalidTxChecksumHardwareCapabilities;
        let ipv6 = L3::IPV6_NO_EXTENSIONS | L3::IPV6_WITH_EXTENSIONS;
        check_options(hardware, "Tx checksum", self.layer3, self.layer4)?;
        if self.layer4.0 != 0 && self.layer3.0 == 0 {
            let why = "Tx checksum Layer4Flags are set but no Layer3Flags";
            return Err(invalid(l4, why.to_owned()));
        }
        if self.layer4.0 == 0 && self.layer3.intersects(ipv6) {
            let why = "Tx checksum of IPv6 is set without Layer4Flags; IPv6 has no checksum itself";
            return Err(invalid(
                FailureCode::InvalidTxChecksumIPv6Flags,
                why.to_owned(),
            ));
        }
        if self.layer3.0 == 0 {
            let why = "Tx checksum capabilities name no header at all; do not set them instead";
            return Err(invalid(
                FailureCode::InvalidTxChecksumCapabilities,
                why.to_owned(),
            ));
        }
        Ok(())
    }
}

/// NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffloadGsoCapabilities {
    /// Network headers.
    pub layer3: NetOffloadLayer3Flags,
    /// Transport headers: TCP for LSO, UDP for USO.
    pub layer4: NetOffloadLayer4Flags,
    /// The TCP segmentation of the device handles CWR. Beyond Microsoft's
    /// structure: without it the stack segments such frames itself.
    pub tcp_ecn: bool,
    /// Largest payload in bytes.
    pub maximum_offload_size: usize,
    /// Fewest segments worth asking for, at least 1.
    pub minimum_segment_count: usize,
}

impl OffloadGsoCapabilities {
    /// Segmentation over the given headers, frames of up to 64 KiB.
    pub fn new(layer3: NetOffloadLayer3Flags, layer4: NetOffloadLayer4Flags) -> Self {
        Self {
            layer3,
            layer4,
            tcp_ecn: false,
            maximum_offload_size: 65_535,
            minimum_segment_count: 1,
        }
    }

    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        let code = FailureCode::InvalidGsoCapabilities;
        if self.maximum_offload_size == 0 || self.minimum_segment_count == 0 {
            let why = "GSO MaximumOffloadSize and MinimumSegmentCount must not be 0";
            return Err(invalid(code, why.to_owned()));
        }
        if self.maximum_offload_size > MAXIMUM_OFFLOAD_SIZE {
            let why = format!(
                "GSO MaximumOffloadSize is {}; it must be at most {MAXIMUM_OFFLOAD_SIZE}",
                self.maximum_offload_size
            );
            return Err(invalid(code, why));
        }
        if self.layer3.0 == 0 || self.layer4.0 == 0 {
            let why = "GSO capabilities must name a layer 3 and a layer 4 header";
            return Err(invalid(
                FailureCode::InvalidGsoHardwareCapabilities,
                why.to_owned(),
            ));
        }
        check_options(
            FailureCode::InvalidGsoHardwareCapabilities,
            "GSO",
            self.layer3,
            self.layer4,
        )
    }
}

/// Larger offload sizes have no use on Ethernet and would only cost memory.
const MAXIMUM_OFFLOAD_SIZE: usize = 1 << 18;

/// NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffloadRscCapabilities {
    /// Network headers.
    pub layer3: NetOffloadLayer3Flags,
    /// Transport headers: TCP, and UDP from 2.5 on.
    pub layer4: NetOffloadLayer4Flags,
    /// Segments with TCP timestamps are coalesced too.
    pub tcp_timestamp_option: bool,
}

impl OffloadRscCapabilities {
    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        if self.layer3.0 == 0 || self.layer4.0 == 0 {
            let why = "RSC capabilities must name a layer 3 and a layer 4 header";
            return Err(invalid(FailureCode::InvalidRscCapabilities, why.to_owned()));
        }
        Ok(())
    }
}

/// "With options" without "no options" makes no sense for any device.
fn check_options(
    code: FailureCode,
    what: &str,
    layer3: NetOffloadLayer3Flags,
    layer4: NetOffloadLayer4Flags,
) -> Result<(), AdapterError> {
    type L3 = NetOffloadLayer3Flags;
    type L4 = NetOffloadLayer4Flags;
    let lone = |with: bool, without: bool| with && !without;
    let ipv4 = lone(
        layer3.contains(L3::IPV4_WITH_OPTIONS),
        layer3.contains(L3::IPV4_NO_OPTIONS),
    );
    let ipv6 = lone(
        layer3.contains(L3::IPV6_WITH_EXTENSIONS),
        layer3.contains(L3::IPV6_NO_EXTENSIONS),
    );
    let tcp = lone(
        layer4.contains(L4::TCP_WITH_OPTIONS),
        layer4.contains(L4::TCP_NO_OPTIONS),
    );
    if ipv4 || ipv6 || tcp {
        let why = format!("{what} flags name headers with options but not those without");
        return Err(invalid(code, why));
    }
    Ok(())
}

/// Every layer 3 flag.
pub(crate) fn all_layer3() -> NetOffloadLayer3Flags {
    NetOffloadLayer3Flags(0xf)
}

/// Every layer 4 flag.
pub(crate) fn all_layer4() -> NetOffloadLayer4Flags {
    NetOffloadLayer4Flags(0x7)
}

/// NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveFilterCapabilities {
    /// Filters the device has.
    pub supported_packet_filters: NetPacketFilterFlags,
    /// Length of the multicast list the device can hold.
    pub maximum_multicast_addresses: usize,
}

impl ReceiveFilterCapabilities {
    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        let code = FailureCode::InvalidReceiveFilterCapabilities;
        let filters = self.supported_packet_filters;
        if !NetPacketFilterFlags::ALL.contains(filters) {
            let why = format!("receive filter flags {:#x} have unknown bits", filters.0);
            return Err(invalid(code, why));
        }
        let multicast = filters.contains(NetPacketFilterFlags::MULTICAST);
        if multicast != (self.maximum_multicast_addresses > 0) {
            let why = format!(
                "the Multicast filter and MaximumMulticastAddresses ({}) must be set together",
                self.maximum_multicast_addresses
            );
            return Err(invalid(code, why));
        }
        Ok(())
    }
}

/// What the system wants received (NETRECEIVEFILTER).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiveFilter {
    /// Wanted kinds of frames.
    pub packet_filter: NetPacketFilterFlags,
    /// Multicast addresses, if `MULTICAST` is set.
    pub multicast_addresses: Vec<[u8; 6]>,
}
