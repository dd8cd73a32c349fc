//! What a client states about itself before the adapter starts, in Rust's
//! form, and the checks of each.

use super::AdapterError;
use crate::abi::{
    FailureCode, NetAdapterDmaCapabilities, NetMemoryMappingRequirement, NetPacketFilterFlags,
    NetRxFragmentBufferAllocationMode, NetRxFragmentBufferAttachmentMode, NtStatus,
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
        // Of the two directions only Rx has the general code for this.
        check_alignment(code, "Tx", self.fragment_buffer_alignment)?;
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
        let odd = FailureCode::NotPowerOfTwo;
        check_alignment(odd, "Rx", self.fragment_buffer_alignment)?;
        check_hint("Rx", self.fragment_ring_number_of_elements_hint)?;
        let largest = crate::abi::NetFragment::MAX_LENGTH as usize;
        if self.maximum_frame_size == 0 || self.maximum_frame_size > largest {
            let why = format!(
                "Rx MaximumFrameSize is {}; it must be 1 to {largest} bytes",
                self.maximum_frame_size
            );
            return Err(invalid(FailureCode::ShimMaximumFrameSize, why));
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

fn check_alignment(code: FailureCode, side: &str, alignment: usize) -> Result<(), AdapterError> {
    if !alignment.is_power_of_two() || alignment > 4096 {
        let why = format!(
            "{side} FragmentBufferAlignment is {alignment}; it must be a power of two up to 4096"
        );
        return Err(invalid(code, why));
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
        if filters.0 == 0 && self.maximum_multicast_addresses == 0 {
            let why = "no receive filter is supported; leave the capabilities unset instead";
            return Err(invalid(code, why.to_owned()));
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

impl ReceiveFilterCapabilities {
    /// A list longer than the device can hold becomes all multicast frames, or
    /// all frames; one that cannot do either gets as much of it as it holds.
    pub(crate) fn fit(&self, mut filter: ReceiveFilter) -> ReceiveFilter {
        use NetPacketFilterFlags as Flags;
        if filter.multicast_addresses.len() <= self.maximum_multicast_addresses {
            return filter;
        }
        let wider = [Flags::ALL_MULTICAST, Flags::PROMISCUOUS]
            .into_iter()
            .find(|flag| self.supported_packet_filters.contains(*flag));
        match wider {
            Some(flag) => {
                let kept = filter.packet_filter.0 & !Flags::MULTICAST.0;
                filter.packet_filter = Flags(kept) | flag;
                filter.multicast_addresses.clear();
            }
            None => filter
                .multicast_addresses
                .truncate(self.maximum_multicast_addresses),
        }
        filter
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
