//! What a client states about its adapter, each statement in its window.

use super::adapter::AdapterObject;
use super::callbacks::{
    AdapterAndNumber, AdapterCallbacks, ScalingDisable, ScalingEnable, ScalingSet,
};
use super::guard::{self, Globals, refuse, report};
use crate::abi::*;
use crate::adapter::*;
use crate::door::foreign::In;
use crate::door::object::Handle;
use std::sync::{Arc, PoisonError};

type Result<T = ()> = std::result::Result<T, NtStatus>;

/// The adapter of a call that is allowed only while it is stopped.
fn stopped(call: &str, globals: Globals, handle: Handle) -> Result<Arc<AdapterObject>> {
    let adapter = guard::adapter(call, globals, handle)?;
    if adapter.is_started() {
        let why = format_args!("{handle} is started; state this before NetAdapterStart");
        return refuse(FailureCode::AdapterAlreadyStarted, call, why);
    }
    Ok(adapter)
}

/// A statement that is allowed only while the adapter is stopped. What is
/// refused is remembered: these calls return nothing, and so the adapter does
/// not start.
fn stating(
    call: &'static str,
    globals: Globals,
    handle: Handle,
    statement: impl FnOnce(&Arc<AdapterObject>) -> Result,
) -> Result {
    let adapter = stopped(call, globals, handle)?;
    let stated = statement(&adapter);
    adapter.remember(call, stated);
    stated
}

/// States something to the core.
fn state(
    call: &str,
    adapter: &AdapterObject,
    statement: impl FnOnce(&mut Adapter) -> std::result::Result<(), AdapterError>,
) -> Result {
    let stated = adapter.with(call, statement)?;
    stated.map_err(|error| report(call, adapter.handle(), &error))
}

/// Keeps callbacks that come with a statement.
fn keep(adapter: &AdapterObject, change: impl FnOnce(&mut AdapterCallbacks)) {
    change(
        &mut adapter
            .callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    );
}

pub(super) fn link_layer_capabilities(
    globals: Globals,
    handle: Handle,
    capabilities: In<'_, NetAdapterLinkLayerCapabilities>,
) -> Result {
    const CALL: &str = "NetAdapterSetLinkLayerCapabilities";
    stating(CALL, globals, handle, |adapter| {
        let capabilities = guard::read(CALL, capabilities)?;
        state(CALL, adapter, |core| {
            core.set_link_layer_capabilities(capabilities)
        })
    })
}

pub(super) fn mtu(globals: Globals, handle: Handle, mtu: u32) -> Result {
    const CALL: &str = "NetAdapterSetLinkLayerMtuSize";
    let adapter = guard::adapter(CALL, globals, handle)?;
    if mtu == 0 {
        let why = format_args!("the MTU of {handle} must be greater than 0");
        return refuse(FailureCode::MtuMustBeGreaterThanZero, CALL, why);
    }
    adapter.soon(CALL, move |core| core.set_link_layer_mtu_size(mtu));
    Ok(())
}

/// Copies an address; its length is checked by the core.
fn read_address(
    call: &str,
    address: In<'_, NetAdapterLinkLayerAddress>,
) -> Result<NetAdapterLinkLayerAddress> {
    guard::given(call, "LinkLayerAddress", address)?;
    let address = address.read().ok_or(NtStatus::INVALID_PARAMETER)?;
    if address.length > 32 {
        let why = format_args!("an address has at most 32 bytes, not {}", address.length);
        return refuse(FailureCode::MacAddressLengthTooLong, call, why);
    }
    Ok(address)
}

pub(super) fn permanent_address(
    globals: Globals,
    handle: Handle,
    address: In<'_, NetAdapterLinkLayerAddress>,
) -> Result {
    const CALL: &str = "NetAdapterSetPermanentLinkLayerAddress";
    stating(CALL, globals, handle, |adapter| {
        let address = read_address(CALL, address)?;
        state(CALL, adapter, |core| {
            core.set_permanent_link_layer_address(address)
        })
    })
}

pub(super) fn current_address(
    globals: Globals,
    handle: Handle,
    address: In<'_, NetAdapterLinkLayerAddress>,
) -> Result {
    const CALL: &str = "NetAdapterSetCurrentLinkLayerAddress";
    let adapter = guard::adapter(CALL, globals, handle)?;
    let address = read_address(CALL, address)?;
    adapter.soon(CALL, move |core| {
        core.set_current_link_layer_address(address)
    });
    Ok(())
}

pub(super) fn link_state(
    globals: Globals,
    handle: Handle,
    link: In<'_, NetAdapterLinkState>,
) -> Result {
    const CALL: &str = "NetAdapterSetLinkState";
    let adapter = guard::adapter(CALL, globals, handle)?;
    let link = guard::read(CALL, link)?;
    if let Err(error) = check_link_state(&link) {
        return Err(report(CALL, handle, &error));
    }
    adapter.set_link_stated();
    adapter.soon(CALL, move |core| core.set_link_state(link));
    Ok(())
}

pub(super) fn datapath_capabilities(
    globals: Globals,
    handle: Handle,
    tx: In<'_, NetAdapterTxCapabilities>,
    rx: In<'_, NetAdapterRxCapabilities>,
) -> Result {
    const CALL: &str = "NetAdapterSetDataPathCapabilities";
    stating(CALL, globals, handle, |adapter| {
        let tx = guard::read(CALL, tx)?;
        let rx = guard::read(CALL, rx)?;
        let (tx, rx) = (tx_capabilities(tx), rx_capabilities(rx));
        state(CALL, adapter, |core| core.set_datapath_capabilities(tx, rx))
    })
}

fn tx_capabilities(raw: NetAdapterTxCapabilities) -> TxCapabilities {
    TxCapabilities {
        mapping_requirement: raw.mapping_requirement,
        payload_backfill: raw.payload_backfill,
        maximum_number_of_fragments: raw.maximum_number_of_fragments,
        fragment_buffer_alignment: raw.fragment_buffer_alignment,
        fragment_ring_number_of_elements_hint: raw.fragment_ring_number_of_elements_hint,
        maximum_number_of_queues: raw.maximum_number_of_queues,
        dma_capabilities: dma(raw.dma_capabilities),
    }
}

/// In the driver-managed form the members from MappingRequirement on are
/// something else; the core refuses that form by its modes.
fn rx_capabilities(raw: NetAdapterRxCapabilities) -> RxCapabilities {
    RxCapabilities {
        allocation_mode: raw.allocation_mode,
        attachment_mode: raw.attachment_mode,
        fragment_ring_number_of_elements_hint: raw.fragment_ring_number_of_elements_hint,
        maximum_frame_size: raw.maximum_frame_size,
        maximum_number_of_queues: raw.maximum_number_of_queues,
        mapping_requirement: raw.mapping_requirement,
        fragment_buffer_alignment: raw.fragment_buffer_alignment,
        dma_capabilities: dma(raw.dma_capabilities),
    }
}

/// That they are there is all that matters: user mode refuses them unread.
fn dma(pointer: *const NetAdapterDmaCapabilities) -> Option<NetAdapterDmaCapabilities> {
    (!pointer.is_null()).then_some(NetAdapterDmaCapabilities {
        size: size_of::<NetAdapterDmaCapabilities>() as u32,
        dma_enabler: 0,
        maximum_physical_address: 0,
        cache_enabled: 0,
        preferred_node: 0,
    })
}

pub(super) fn receive_filter_capabilities(
    globals: Globals,
    handle: Handle,
    capabilities: In<'_, NetAdapterReceiveFilterCapabilities>,
) -> Result {
    const CALL: &str = "NetAdapterSetReceiveFilterCapabilities";
    stating(CALL, globals, handle, |adapter| {
        let raw = guard::read(CALL, capabilities)?;
        let callback = AdapterAndNumber::from_raw(raw.evt_set_receive_filter);
        if raw.supported_packet_filters.0 != 0 && callback.is_none() {
            let why = format_args!("filters are supported, but EvtSetReceiveFilter is NULL");
            return refuse(FailureCode::InvalidSetReceiveFilterCallBack, CALL, why);
        }
        let stated = ReceiveFilterCapabilities {
            supported_packet_filters: raw.supported_packet_filters,
            maximum_multicast_addresses: raw.maximum_multicast_addresses,
        };
        state(CALL, adapter, |core| {
            core.set_receive_filter_capabilities(stated)
        })?;
        keep(adapter, |callbacks| callbacks.set_receive_filter = callback);
        Ok(())
    })
}

pub(super) fn tx_checksum(
    globals: Globals,
    handle: Handle,
    capabilities: In<'_, NetAdapterOffloadTxChecksumCapabilities>,
) -> Result {
    const CALL: &str = "NetAdapterOffloadSetTxChecksumCapabilities";
    stating(CALL, globals, handle, |adapter| {
        let raw = guard::read(CALL, capabilities)?;
        let stated = OffloadTxChecksumCapabilities {
            layer3: raw.layer3_flags,
            layer4: raw.layer4_flags,
            layer4_header_offset_limit: raw.layer4_header_offset_limit,
        };
        state(CALL, adapter, |core| {
            core.offload_set_tx_checksum_capabilities(stated)
        })?;
        let callback = AdapterAndNumber::from_raw(raw.evt_adapter_offload_set_tx_checksum);
        keep(adapter, |callbacks| callbacks.set_tx_checksum = callback);
        Ok(())
    })
}

pub(super) fn rx_checksum(
    globals: Globals,
    handle: Handle,
    capabilities: In<'_, NetAdapterOffloadRxChecksumCapabilities>,
) -> Result {
    const CALL: &str = "NetAdapterOffloadSetRxChecksumCapabilities";
    stating(CALL, globals, handle, |adapter| {
        let raw = guard::read(CALL, capabilities)?;
        state(CALL, adapter, Adapter::offload_set_rx_checksum_capabilities)?;
        let callback = AdapterAndNumber::from_raw(raw.evt_adapter_offload_set_rx_checksum);
        keep(adapter, |callbacks| callbacks.set_rx_checksum = callback);
        Ok(())
    })
}

pub(super) fn gso(
    globals: Globals,
    handle: Handle,
    capabilities: In<'_, NetAdapterOffloadGsoCapabilities>,
) -> Result {
    const CALL: &str = "NetAdapterOffloadSetGsoCapabilities";
    stating(CALL, globals, handle, |adapter| {
        let raw = guard::read(CALL, capabilities)?;
        let stated = OffloadGsoCapabilities {
            maximum_offload_size: raw.maximum_offload_size,
            minimum_segment_count: raw.minimum_segment_count,
            layer4_header_offset_limit: raw.layer4_header_offset_limit,
            ..OffloadGsoCapabilities::new(raw.layer3_flags, raw.layer4_flags)
        };
        state(CALL, adapter, |core| {
            core.offload_set_gso_capabilities(stated)
        })?;
        let callback = AdapterAndNumber::from_raw(raw.evt_adapter_offload_set_gso);
        keep(adapter, |callbacks| callbacks.set_gso = callback);
        Ok(())
    })
}

pub(super) fn rsc(
    globals: Globals,
    handle: Handle,
    capabilities: In<'_, NetAdapterOffloadRscCapabilities>,
) -> Result {
    const CALL: &str = "NetAdapterOffloadSetRscCapabilities";
    stating(CALL, globals, handle, |adapter| {
        let raw = guard::read(CALL, capabilities)?;
        let stated = OffloadRscCapabilities {
            layer3: raw.layer3_flags,
            layer4: raw.layer4_flags,
            tcp_timestamp_option: raw.tcp_timestamp_option != 0,
        };
        state(CALL, adapter, |core| {
            core.offload_set_rsc_capabilities(stated)
        })?;
        let callback = AdapterAndNumber::from_raw(raw.evt_adapter_offload_set_rsc);
        keep(adapter, |callbacks| callbacks.set_rsc = callback);
        Ok(())
    })
}

pub(super) fn ieee8021q(
    globals: Globals,
    handle: Handle,
    capabilities: In<'_, NetAdapterOffloadIeee8021qTagCapabilities>,
) -> Result {
    const CALL: &str = "NetAdapterOffloadSetIeee8021qTagCapabilities";
    stating(CALL, globals, handle, |adapter| {
        let raw = guard::read(CALL, capabilities)?;
        state(CALL, adapter, |core| {
            core.offload_set_ieee8021q_capabilities(raw.flags)
        })
    })
}

pub(super) fn receive_scaling(
    globals: Globals,
    handle: Handle,
    capabilities: In<'_, NetAdapterReceiveScalingCapabilities>,
) -> Result {
    const CALL: &str = "NetAdapterSetReceiveScalingCapabilities";
    stating(CALL, globals, handle, |adapter| {
        let raw = guard::read(CALL, capabilities)?;
        let callbacks = (
            ScalingEnable::from_raw(raw.evt_enable),
            ScalingDisable::from_raw(raw.evt_disable),
            ScalingSet::from_raw(raw.evt_set_hash_secret_key),
            ScalingSet::from_raw(raw.evt_set_indirection_entries),
        );
        let (Some(enable), Some(disable), Some(key), Some(entries)) = callbacks else {
            let why = format_args!("all four callbacks must be given");
            return refuse(FailureCode::InvalidRSSConfiguration, CALL, why);
        };
        let stated = ReceiveScalingCapabilities {
            number_of_queues: raw.number_of_queues,
            indirection_table_size: raw.indirection_table_size,
            hash_types: raw.hash_types,
            protocol_types: raw.protocol_types,
            encapsulation_types: [raw.outer_encapsulation, raw.inner_encapsulation],
        };
        state(CALL, adapter, |core| {
            core.set_receive_scaling_capabilities(stated)
        })?;
        keep(adapter, |callbacks| {
            callbacks.scaling_enable = Some(enable);
            callbacks.scaling_disable = Some(disable);
            callbacks.scaling_key = Some(key);
            callbacks.scaling_entries = Some(entries);
        });
        Ok(())
    })
}

/// `NetAdapterPauseOffloadCapabilities`, `NetAdapterResumeOffloadCapabilities`
pub(super) fn pause(call: &'static str, globals: Globals, handle: Handle, pause: bool) -> Result {
    let adapter = guard::adapter(call, globals, handle)?;
    if !adapter.is_started() {
        let why = format_args!("{handle} is not started");
        return refuse(FailureCode::AdapterNotStarted, call, why);
    }
    let was_paused = adapter.set_paused(pause);
    if !pause && !was_paused {
        let why = format_args!("the offloads of {handle} are not paused");
        return refuse(FailureCode::OffloadNotPaused, call, why);
    }
    adapter.soon(call, move |core| core.pause_offloads(pause));
    Ok(())
}
