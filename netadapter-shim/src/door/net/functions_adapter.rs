//! The adapter's functions with their C signatures.

#![allow(non_snake_case)] // C's names

use std::ffi::c_void;

use super::guard::{self, Globals};
use super::{adapter, indication, init, setters};
use super::{done, status};
use crate::abi::*;
use crate::door::foreign::{In, Out};
use crate::door::object::Handle;
use crate::door::table::{Entry, entries};
use crate::door::types::WdfObjectAttributes;

/// Every function of this part, by its C name.
pub(super) const FUNCTIONS: &[(&str, Entry)] = entries![
    NetDeviceInitConfig,
    NetAdapterInitAllocate,
    NetAdapterInitFree,
    NetAdapterInitSetDatapathCallbacks,
    NetAdapterInitAddTxDemux,
    NetAdapterCreate,
    NetAdapterStart,
    NetAdapterStop,
    NetAdapterGetNetLuid,
    NetAdapterSetLinkLayerCapabilities,
    NetAdapterSetPermanentLinkLayerAddress,
    NetAdapterSetCurrentLinkLayerAddress,
    NetAdapterSetLinkState,
    NetAdapterSetReceiveFilterCapabilities,
    NetAdapterOffloadSetTxChecksumCapabilities,
    NetAdapterOffloadSetRxChecksumCapabilities,
    NetAdapterOffloadSetGsoCapabilities,
    NetAdapterOffloadSetRscCapabilities,
    NetAdapterOffloadSetIeee8021qTagCapabilities,
    NetAdapterSetReceiveScalingCapabilities,
    NetAdapterSetLinkLayerMtuSize,
    NetAdapterSetDataPathCapabilities,
    NetAdapterPauseOffloadCapabilities,
    NetAdapterResumeOffloadCapabilities,
    NetReceiveFilterGetPacketFilter,
    NetReceiveFilterGetMulticastAddressCount,
    NetReceiveFilterGetMulticastAddressList,
];

extern "C" fn NetDeviceInitConfig(globals: Globals, init: *mut c_void) -> i32 {
    status(init::device_init_config(globals, init))
}

extern "C" fn NetAdapterInitAllocate(globals: Globals, device: Handle) -> usize {
    init::allocate(globals, device)
}

extern "C" fn NetAdapterInitFree(globals: Globals, init: usize) {
    init::free(globals, init);
}

extern "C" fn NetAdapterInitSetDatapathCallbacks(
    globals: Globals,
    init: usize,
    callbacks: In<'_, NetAdapterDatapathCallbacks>,
) {
    done(init::set_datapath_callbacks(globals, init, callbacks));
}

extern "C" fn NetAdapterInitAddTxDemux(
    globals: Globals,
    init: usize,
    demux: In<'_, NetAdapterTxDemux>,
) {
    done(init::add_tx_demux(globals, init, demux));
}

extern "C" fn NetAdapterCreate(
    globals: Globals,
    init: usize,
    attributes: In<'_, WdfObjectAttributes>,
    adapter: Out<'_, Handle>,
) -> i32 {
    status(init::create(globals, init, attributes, adapter))
}

extern "C" fn NetAdapterStart(globals: Globals, adapter: Handle) -> i32 {
    status(
        guard::adapter("NetAdapterStart", globals, adapter)
            .and_then(|adapter| adapter::start(&adapter)),
    )
}

extern "C" fn NetAdapterStop(globals: Globals, adapter: Handle) {
    if let Ok(adapter) = guard::adapter("NetAdapterStop", globals, adapter) {
        adapter::stop(&adapter);
    }
}

extern "C" fn NetAdapterGetNetLuid(globals: Globals, adapter: Handle) -> u64 {
    let adapter = guard::adapter("NetAdapterGetNetLuid", globals, adapter);
    adapter.map_or(0, |adapter| adapter.luid())
}

/// What a client states of its adapter in one structure.
macro_rules! statements {
    ($($name:ident($structure:ty): $setter:ident;)+) => {$(
        extern "C" fn $name(globals: Globals, adapter: Handle, structure: In<'_, $structure>) {
            done(setters::$setter(globals, adapter, structure));
        }
    )+};
}

statements! {
    NetAdapterSetLinkLayerCapabilities(NetAdapterLinkLayerCapabilities): link_layer_capabilities;
    NetAdapterSetPermanentLinkLayerAddress(NetAdapterLinkLayerAddress): permanent_address;
    NetAdapterSetCurrentLinkLayerAddress(NetAdapterLinkLayerAddress): current_address;
    NetAdapterSetLinkState(NetAdapterLinkState): link_state;
    NetAdapterSetReceiveFilterCapabilities(NetAdapterReceiveFilterCapabilities): receive_filter_capabilities;
    NetAdapterOffloadSetTxChecksumCapabilities(NetAdapterOffloadTxChecksumCapabilities): tx_checksum;
    NetAdapterOffloadSetRxChecksumCapabilities(NetAdapterOffloadRxChecksumCapabilities): rx_checksum;
    NetAdapterOffloadSetGsoCapabilities(NetAdapterOffloadGsoCapabilities): gso;
    NetAdapterOffloadSetRscCapabilities(NetAdapterOffloadRscCapabilities): rsc;
    NetAdapterOffloadSetIeee8021qTagCapabilities(NetAdapterOffloadIeee8021qTagCapabilities): ieee8021q;
    NetAdapterSetReceiveScalingCapabilities(NetAdapterReceiveScalingCapabilities): receive_scaling;
}

extern "C" fn NetAdapterSetLinkLayerMtuSize(globals: Globals, adapter: Handle, mtu: u32) {
    done(setters::mtu(globals, adapter, mtu));
}

extern "C" fn NetAdapterSetDataPathCapabilities(
    globals: Globals,
    adapter: Handle,
    tx: In<'_, NetAdapterTxCapabilities>,
    rx: In<'_, NetAdapterRxCapabilities>,
) {
    done(setters::datapath_capabilities(globals, adapter, tx, rx));
}

extern "C" fn NetAdapterPauseOffloadCapabilities(globals: Globals, adapter: Handle) {
    done(setters::pause(
        "NetAdapterPauseOffloadCapabilities",
        globals,
        adapter,
        true,
    ));
}

extern "C" fn NetAdapterResumeOffloadCapabilities(globals: Globals, adapter: Handle) {
    done(setters::pause(
        "NetAdapterResumeOffloadCapabilities",
        globals,
        adapter,
        false,
    ));
}

extern "C" fn NetReceiveFilterGetPacketFilter(globals: Globals, filter: usize) -> u32 {
    indication::packet_filter(globals, filter)
}

extern "C" fn NetReceiveFilterGetMulticastAddressCount(globals: Globals, filter: usize) -> usize {
    indication::multicast_count(globals, filter)
}

extern "C" fn NetReceiveFilterGetMulticastAddressList(
    globals: Globals,
    filter: usize,
) -> *const NetAdapterLinkLayerAddress {
    indication::multicast_list(globals, filter)
}
