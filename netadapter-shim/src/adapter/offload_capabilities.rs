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
        type Code = FailureCode;
        check_layer3_options(Code::InvalidTxChecksumCapabilities, self.layer3)?;
        check_tcp_options(Code::InvalidTxChecksumCapabilities, self.layer4)?;
        let refuse = |code, why: &str| Err(invalid(code, format!("Tx checksum: {why}")));
        match (self.layer3.0, self.layer4.0) {
            (0, 0) => refuse(
                Code::InvalidTxChecksumHardwareCapabilities,
                "no flag is set; leave the capabilities unset instead",
            ),
            (0, _) => refuse(
                Code::InvalidTxChecksumLayer4Capabilities,
                "Layer4Flags are set but no Layer3Flags",
            ),
            (_, 0) if self.is_ipv6_alone() => refuse(
                Code::InvalidTxChecksumIPv6Flags,
                "IPv6 alone has no checksum of its own; Layer4Flags must be set",
            ),
            _ => Ok(()),
        }
    }

    fn is_ipv6_alone(&self) -> bool {
        type L3 = NetOffloadLayer3Flags;
        self.layer3.contains(L3::IPV6_NO_EXTENSIONS) && !self.layer3.contains(L3::IPV4_NO_OPTIONS)
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
        if self.layer3.0 == 0 && self.layer4.0 == 0 {
            let why = "GSO: no flag is set; leave the capabilities unset instead";
            return Err(invalid(
                FailureCode::InvalidGsoHardwareCapabilities,
                why.to_owned(),
            ));
        }
        check_tcp_options(code, self.layer4)?;
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
        Ok(())
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
    /// Without a header of both layers nothing can be coalesced: the same as
    /// no statement.
    pub(crate) fn any(self) -> Option<Self> {
        (self.layer3.0 != 0 && self.layer4.0 != 0).then_some(self)
    }
}

/// IP "with options" without "no options" makes no sense for any device.
fn check_layer3_options(
    code: FailureCode,
    flags: NetOffloadLayer3Flags,
) -> Result<(), AdapterError> {
    type L3 = NetOffloadLayer3Flags;
    let lone = |with, without| flags.contains(with) && !flags.contains(without);
    if lone(L3::IPV4_WITH_OPTIONS, L3::IPV4_NO_OPTIONS)
        || lone(L3::IPV6_WITH_EXTENSIONS, L3::IPV6_NO_EXTENSIONS)
    {
        let why = "Layer3Flags name headers with options but not those without";
        return Err(invalid(code, why.to_owned()));
    }
    Ok(())
}

/// The same for TCP.
fn check_tcp_options(code: FailureCode, flags: NetOffloadLayer4Flags) -> Result<(), AdapterError> {
    type L4 = NetOffloadLayer4Flags;
    if flags.contains(L4::TCP_WITH_OPTIONS) && !flags.contains(L4::TCP_NO_OPTIONS) {
        let why = "Layer4Flags name TCP with options but not without";
        return Err(invalid(code, why.to_owned()));
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
