//! What a client says its device can do with checksums and large frames, and
//! the checks of it.

use super::AdapterError;
use super::capabilities::invalid;
use crate::abi::{FailureCode, NetOffloadLayer3Flags, NetOffloadLayer4Flags};

/// NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffloadTxChecksumCapabilities {
    /// Network headers.
    pub layer3: NetOffloadLayer3Flags,
    /// Transport headers.
    pub layer4: NetOffloadLayer4Flags,
    /// Largest offset of the transport header; 0 for no limit.
    pub layer4_header_offset_limit: u16,
}

impl OffloadTxChecksumCapabilities {
    /// TCP and UDP over IPv4 and IPv6, with or without options.
    pub fn all() -> Self {
        Self {
            layer3: all_layer3(),
            layer4: all_layer4(),
            layer4_header_offset_limit: 0,
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
    /// Largest offset of the transport header; 0 for no limit.
    pub layer4_header_offset_limit: u16,
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
            layer4_header_offset_limit: 0,
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
