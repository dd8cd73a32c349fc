//! The C headers and the Rust mirrors agree: a C program prints sizes, offsets
//! and the bytes of bit fields, and each line must be the one Rust expects.

use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

use netadapter_shim::abi::*;

/// Builds the program with `flags` and returns what it prints; `None` if there
/// is no C compiler.
fn c_facts(flags: &[&str], name: &str) -> Option<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let built = Command::new(&compiler)
        .args([
            "-std=c11",
            "-fms-extensions",
            "-fshort-wchar",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
        ])
        .arg(&program)
        .args(flags)
        .arg("-I")
        .arg(root.join("include"))
        .arg(root.join("tests/c/layout.c"))
        .output();
    let built = match built {
        Ok(built) => built,
        Err(error) => {
            println!("SKIP: no C compiler: {compiler}: {error}");
            return None;
        }
    };
    let complaints = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{complaints}");
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}

/// Size of a structure and offsets of its fields, as the C program prints them.
macro_rules! facts {
    ($list:ident: $($c:ident = $rust:ty { $($c_field:ident: $field:ident),* })+) => {$(
        $list.push(format!("{} size {}", stringify!($c), size_of::<$rust>()));
        $($list.push(format!(
            "{}.{} at {}", stringify!($c), stringify!($c_field), offset_of!($rust, $field)
        ));)*
    )+};
}

fn rust_facts() -> Vec<String> {
    let mut list = Vec::new();
    facts! { list:
        NET_RING = NetRingHeader {
            ElementStride: element_stride, NumberOfElements: number_of_elements,
            ElementIndexMask: element_index_mask, EndIndex: end_index,
            OSReserved0: os_reserved0, BeginIndex: begin_index, NextIndex: next_index,
            Scratch: scratch
        }
    }
    list.push(format!(
        "NET_RING.Buffer at {}",
        NetRingHeader::BUFFER_OFFSET
    ));
    facts! { list:
        NET_RING_COLLECTION = NetRingCollection {}
        NET_PACKET_LAYOUT = NetPacketLayout {}
        NET_PACKET = NetPacket { FragmentCount: fragment_count, Layout: layout }
        NET_FRAGMENT = NetFragment {}
        NET_EXTENSION = NetExtension { Enabled: enabled }
        NET_PACKET_CHECKSUM = NetPacketChecksum {}
        NET_PACKET_GSO = NetPacketGso {}
        NET_PACKET_RSC = NetPacketRsc {}
        NET_PACKET_RSC_TIMESTAMP = NetPacketRscTimestamp {}
        NET_PACKET_IEEE8021Q = NetPacketIeee8021Q {}
        NET_PACKET_HASH = NetPacketHash { ProtocolType: protocol_type }
        NET_FRAGMENT_VIRTUAL_ADDRESS = usize {}
        NET_ADAPTER_DATAPATH_CALLBACKS = NetAdapterDatapathCallbacks {
            EvtAdapterCreateTxQueue: evt_adapter_create_tx_queue,
            EvtAdapterCreateRxQueue: evt_adapter_create_rx_queue
        }
        NET_PACKET_QUEUE_CONFIG = NetPacketQueueConfig {
            EvtStart: evt_start, EvtStop: evt_stop, EvtAdvance: evt_advance,
            EvtSetNotificationEnabled: evt_set_notification_enabled, EvtCancel: evt_cancel,
            ExecutionContext: execution_context
        }
        NET_ADAPTER_LINK_LAYER_ADDRESS = NetAdapterLinkLayerAddress { Address: address }
        NET_ADAPTER_LINK_LAYER_CAPABILITIES = NetAdapterLinkLayerCapabilities {
            MaxTxLinkSpeed: max_tx_link_speed, MaxRxLinkSpeed: max_rx_link_speed
        }
        NET_ADAPTER_LINK_STATE = NetAdapterLinkState {
            TxLinkSpeed: tx_link_speed, RxLinkSpeed: rx_link_speed,
            MediaConnectState: media_connect_state, MediaDuplexState: media_duplex_state,
            SupportedPauseFunctions: supported_pause_functions,
            AutoNegotiationFlags: auto_negotiation_flags
        }
        NET_ADAPTER_DMA_CAPABILITIES = NetAdapterDmaCapabilities {
            DmaEnabler: dma_enabler, MaximumPhysicalAddress: maximum_physical_address,
            CacheEnabled: cache_enabled, PreferredNode: preferred_node
        }
        NET_ADAPTER_TX_CAPABILITIES = NetAdapterTxCapabilities {
            MappingRequirement: mapping_requirement, PayloadBackfill: payload_backfill,
            MaximumNumberOfFragments: maximum_number_of_fragments,
            FragmentBufferAlignment: fragment_buffer_alignment,
            FragmentRingNumberOfElementsHint: fragment_ring_number_of_elements_hint,
            MaximumNumberOfQueues: maximum_number_of_queues, DmaCapabilities: dma_capabilities
        }
        NET_ADAPTER_RX_CAPABILITIES = NetAdapterRxCapabilities {
            AllocationMode: allocation_mode, AttachmentMode: attachment_mode,
            FragmentRingNumberOfElementsHint: fragment_ring_number_of_elements_hint,
            MaximumFrameSize: maximum_frame_size,
            MaximumNumberOfQueues: maximum_number_of_queues,
            MappingRequirement: mapping_requirement,
            FragmentBufferAlignment: fragment_buffer_alignment, DmaCapabilities: dma_capabilities
        }
        NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES = NetAdapterReceiveFilterCapabilities {
            SupportedPacketFilters: supported_packet_filters,
            MaximumMulticastAddresses: maximum_multicast_addresses,
            EvtSetReceiveFilter: evt_set_receive_filter
        }
        NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES = NetAdapterOffloadTxChecksumCapabilities {
            Layer3Flags: layer3_flags, Layer4Flags: layer4_flags,
            Layer3HeaderOffsetLimit: layer3_header_offset_limit,
            Layer4HeaderOffsetLimit: layer4_header_offset_limit,
            EvtAdapterOffloadSetTxChecksum: evt_adapter_offload_set_tx_checksum
        }
        NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES = NetAdapterOffloadRxChecksumCapabilities {
            EvtAdapterOffloadSetRxChecksum: evt_adapter_offload_set_rx_checksum
        }
        NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES = NetAdapterOffloadGsoCapabilities {
            Layer3Flags: layer3_flags, Layer4Flags: layer4_flags,
            Layer4HeaderOffsetLimit: layer4_header_offset_limit,
            MaximumOffloadSize: maximum_offload_size, MinimumSegmentCount: minimum_segment_count,
            EvtAdapterOffloadSetGso: evt_adapter_offload_set_gso
        }
        NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES = NetAdapterOffloadRscCapabilities {
            Layer3Flags: layer3_flags, Layer4Flags: layer4_flags,
            TcpTimestampOption: tcp_timestamp_option,
            EvtAdapterOffloadSetRsc: evt_adapter_offload_set_rsc
        }
    }
    list.extend(bit_fields());
    list
}

/// The same values as in `bit_fields` of the C program.
fn bit_fields() -> [String; 4] {
    let layout = NetPacketLayout::new(
        (NetPacketLayer2Type::ETHERNET, 18),
        (NetPacketLayer3Type::IPV6_WITH_EXTENSIONS, 300),
        (NetPacketLayer4Type::TCP, 60),
    );
    let packet = NetPacket::new(0x0102_0304, 0x0506)
        .with_layout(layout)
        .with_ignore(true)
        .with_scratch(true);
    let mut packet_bytes = packet.fragment_index.to_ne_bytes().to_vec();
    packet_bytes.extend(packet.fragment_count.to_ne_bytes());
    packet_bytes.extend(packet.layout.0);
    packet_bytes.push(u8::from(packet.ignore()) | u8::from(packet.scratch()) << 1);
    let fragment = NetFragment::default()
        .with_valid_length(1514)
        .with_capacity(65_550)
        .with_offset(1000)
        .with_scratch(true);
    let checksum = NetPacketChecksum::default()
        .with_layer3(NetPacketChecksumState::VALID)
        .with_layer4(NetPacketChecksumState::REQUIRED);
    let gso = NetPacketGso::new(1448);
    [
        hex("NET_PACKET", &packet_bytes),
        hex("NET_FRAGMENT", &fragment.0.to_ne_bytes()),
        hex("NET_PACKET_CHECKSUM", &[checksum.0]),
        hex("NET_PACKET_GSO", &gso.0.to_ne_bytes()),
    ]
}

fn hex(name: &str, bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
    format!("{name} bytes{digits}")
}

#[test]
fn c_headers_and_rust_mirrors_have_the_same_layout() {
    let Some(facts) = c_facts(&[], "layout") else {
        return;
    };
    assert_eq!(facts, rust_facts());
}

/// Microsoft's own rules for bit fields give the same bytes.
#[test]
fn microsoft_bit_field_rules_give_the_same_layout() {
    if !cfg!(target_arch = "x86_64") {
        println!("SKIP: -mms-bitfields is for x86");
        return;
    }
    let Some(facts) = c_facts(&["-mms-bitfields"], "layout-ms") else {
        return;
    };
    assert_eq!(facts, rust_facts());
}

/// Constants and extension names, as C spells them and as Rust has them.
const CONSTANTS: &[(&str, i64)] = &[
    ("NetRingTypePacket", 0),
    ("NetRingTypeFragment", 1),
    ("NetExtensionTypePacket", 1),
    ("NetExtensionTypeFragment", 2),
    ("NetPacketLayer2TypeEthernet", 2),
    ("NetPacketLayer3TypeIPv6NoExtensions", 6),
    ("NetPacketLayer4TypeIPNotFragment", 4),
    ("NetPacketTxChecksumActionRequired", 2),
    ("NetPacketRxChecksumEvaluationInvalid", 2),
    ("NetPacketFilterFlagPromiscuous", 0x20),
    ("NetAdapterPauseFunctionTypeUnknown", 4),
    ("NetAdapterOffloadLayer3FlagIPv6WithExtensions", 8),
    ("NetAdapterOffloadLayer4FlagUdp", 4),
    ("NetAdapterReceiveScalingProtocolTypeUdp", 0x20),
    ("NetPacketHashProtocolTypeTcp", 0x10),
    ("MediaConnectStateDisconnected", 2),
    ("MediaDuplexStateFull", 2),
    ("WdfUseDefault", 2),
    ("STATUS_NOT_SUPPORTED", NtStatus::NOT_SUPPORTED.0 as i64),
    (
        "STATUS_INVALID_PARAMETER",
        NtStatus::INVALID_PARAMETER.0 as i64,
    ),
    (
        "STATUS_OBJECT_NAME_NOT_FOUND",
        NtStatus::OBJECT_NAME_NOT_FOUND.0 as i64,
    ),
    ("sizeof(LONG)", 4),
    ("sizeof(WCHAR)", 2),
    ("sizeof(HRESULT)", 4),
    ("sizeof(NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES)", 88),
    (
        "offsetof(NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES, EvtAdapterReceiveScalingEnable)",
        56,
    ),
    ("sizeof(NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRY)", 16),
    (
        "offsetof(NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRY, Status)",
        8,
    ),
    ("sizeof(NET_ADAPTER_RECEIVE_SCALING_HASH_SECRET_KEY)", 16),
    ("sizeof(NET_ADAPTER_TX_DEMUX)", 12),
    ("sizeof(NET_ADAPTER_OFFLOAD_IEEE8021Q_TAG_CAPABILITIES)", 8),
    ("sizeof(NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES)", 16),
    ("sizeof(NET_ADAPTER_POWER_OFFLOAD_ARP_CAPABILITIES)", 16),
    ("sizeof(NET_ADAPTER_WAKE_BITMAP_CAPABILITIES)", 24),
    ("sizeof(NET_ADAPTER_WAKE_MAGIC_PACKET_CAPABILITIES)", 8),
    ("sizeof(NET_EXTENSION_QUERY)", 24),
    ("sizeof(WDF_OBJECT_ATTRIBUTES)", 56),
    ("sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO)", 40),
    ("sizeof(WDF_DRIVER_CONFIG)", 32),
    ("sizeof(WDF_PNPPOWER_EVENT_CALLBACKS)", 144),
    ("sizeof(WDF_IO_QUEUE_CONFIG)", 96),
    ("sizeof(WDF_REQUEST_PARAMETERS)", 40),
    ("sizeof(CM_PARTIAL_RESOURCE_DESCRIPTOR)", 20),
    ("sizeof(UNICODE_STRING)", 16),
    ("sizeof(GUID)", 16),
];

const NAMES: &[(&str, &str)] = &[
    ("NET_PACKET_EXTENSION_CHECKSUM_NAME", "ms_packet_checksum"),
    ("NET_PACKET_EXTENSION_GSO_NAME", "ms_packet_gso"),
    ("NET_PACKET_EXTENSION_LSO_NAME", "ms_packet_lso"),
    ("NET_PACKET_EXTENSION_RSC_NAME", "ms_packet_rsc"),
    (
        "NET_PACKET_EXTENSION_RSC_TIMESTAMP_NAME",
        "ms_packet_rsc_timestamp",
    ),
    ("NET_PACKET_EXTENSION_IEEE8021Q_NAME", "ms_packet_ieee8021q"),
    ("NET_PACKET_EXTENSION_HASH_NAME", "ms_packet_hash"),
    (
        "NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME",
        "ms_fragment_virtualaddress",
    ),
    (
        "NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_NAME",
        "ms_fragment_logicaladdress",
    ),
    (
        "NET_FRAGMENT_EXTENSION_RETURN_CONTEXT_NAME",
        "ms_fragment_returncontext",
    ),
];

/// What Rust believes, as assertions that a C++ compiler checks without running anything.
fn assertions() -> String {
    let mut text = String::from(
        "#include <windows.h>\n#include <wdf.h>\n#include <netadaptercx.h>\n#include <net/checksum.h>\n\
         #include <net/gso.h>\n#include <net/lso.h>\n#include <net/ieee8021q.h>\n#include <net/packethash.h>\n\
         #include <net/rsc.h>\n#include <net/virtualaddress.h>\n#include <net/logicaladdress.h>\n\
         constexpr bool same(const wchar_t *a, const wchar_t *b) { return *a == *b && (*a == 0 || same(a + 1, b + 1)); }\n",
    );
    for fact in rust_facts() {
        let words: Vec<&str> = fact.split(' ').collect();
        let expression = match words[..] {
            [name, "size", _] => format!("sizeof({name})"),
            [place, "at", _] => format!("offsetof({})", place.replace('.', ", ")),
            _ => continue,
        };
        text.push_str(&format!(
            "static_assert({expression} == {}, \"{fact}\");\n",
            words[2]
        ));
    }
    for (name, value) in CONSTANTS {
        text.push_str(&format!(
            "static_assert((long long)({name}) == {value}, \"{name}\");\n"
        ));
    }
    for (name, value) in NAMES {
        text.push_str(&format!(
            "static_assert(same({name}, L\"{value}\"), \"{name}\");\n"
        ));
    }
    text
}

/// The Windows compiler among them stands for Windows: same sizes, offsets, constants, names.
#[test]
fn every_compiler_agrees_with_rust_on_layouts_constants_and_names() {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("assertions.cpp");
    std::fs::write(&source, assertions()).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let mut asked = 0;
    for compiler in ["clang++", "g++", "x86_64-w64-mingw32-g++"] {
        let flags: &[&str] = if compiler.contains("mingw") {
            &[]
        } else {
            &["-fshort-wchar"]
        };
        let output = Command::new(compiler)
            .args([
                "-std=c++17",
                "-fms-extensions",
                "-Wno-invalid-offsetof",
                "-fsyntax-only",
                "-I",
            ])
            .arg(&include)
            .args(flags)
            .arg(&source)
            .output();
        let Ok(output) = output else {
            println!("SKIP: {compiler} is not installed");
            continue;
        };
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{compiler}: {complaints}");
        asked += 1;
    }
    println!("asked {asked} compilers");
}
