//! What a client states: capabilities, addresses, MTU, link state, each in its
//! window.

use std::sync::atomic::Ordering;

use super::capabilities::invalid;
use super::{
    Adapter, AdapterError, OffloadGsoCapabilities, OffloadKeywords, OffloadRscCapabilities,
    OffloadTxChecksumCapabilities, ReceiveFilter, ReceiveFilterCapabilities, RxCapabilities,
    TxCapabilities,
};
use crate::abi::{
    FailureCode, NetAdapterLinkLayerAddress, NetAdapterLinkLayerCapabilities, NetAdapterLinkState,
    NetOffloadIeee8021qFlags, NetPacketFilterFlags, NtStatus,
};

impl Adapter {
    /// `NetAdapterSetDataPathCapabilities`
    ///
    /// # Errors
    /// DMA or driver-managed buffers are refused with `STATUS_NOT_SUPPORTED`,
    /// other breaches with `STATUS_INVALID_PARAMETER`; after
    /// [`Self::start`] with `AdapterAlreadyStarted`.
    pub fn set_datapath_capabilities(
        &mut self,
        tx: TxCapabilities,
        rx: RxCapabilities,
    ) -> Result<(), AdapterError> {
        self.before_start("NetAdapterSetDataPathCapabilities")?;
        tx.check()?;
        rx.check()?;
        self.settings.tx = Some(tx);
        self.settings.rx = Some(rx);
        Ok(())
    }

    /// `NetAdapterSetLinkLayerCapabilities`
    ///
    /// # Errors
    /// `AdapterAlreadyStarted`
    pub fn set_link_layer_capabilities(
        &mut self,
        capabilities: NetAdapterLinkLayerCapabilities,
    ) -> Result<(), AdapterError> {
        self.before_start("NetAdapterSetLinkLayerCapabilities")?;
        self.settings.link_layer = Some(capabilities);
        Ok(())
    }

    /// `NetAdapterSetLinkLayerMtuSize`: bytes of payload of a frame. Once queues
    /// run they are rebuilt, because the size of their buffers hangs on it.
    ///
    /// # Errors
    /// `MtuMustBeGreaterThanZero`, a failing port, or a failing rebuild.
    pub fn set_link_layer_mtu_size(&mut self, mtu: u32) -> Result<(), AdapterError> {
        if mtu == 0 {
            let why = "the MTU must be greater than 0".to_owned();
            return Err(invalid(FailureCode::MtuMustBeGreaterThanZero, why));
        }
        self.settings.mtu = mtu;
        let told = self.port.set_mtu(mtu);
        told.map_err(|source| AdapterError::Port {
            operation: "set the MTU",
            source,
        })?;
        self.rebuild()
    }

    /// `NetAdapterSetPermanentLinkLayerAddress`
    ///
    /// # Errors
    /// `AdapterAlreadyStarted`, `MacAddressLengthTooLong`
    pub fn set_permanent_link_layer_address(
        &mut self,
        address: NetAdapterLinkLayerAddress,
    ) -> Result<(), AdapterError> {
        self.before_start("NetAdapterSetPermanentLinkLayerAddress")?;
        self.settings.permanent_address = Some(checked_address(address)?);
        Ok(())
    }

    /// `NetAdapterSetCurrentLinkLayerAddress`. Once queues run they are rebuilt.
    ///
    /// # Errors
    /// `MacAddressLengthTooLong`, or a failing rebuild.
    pub fn set_current_link_layer_address(
        &mut self,
        address: NetAdapterLinkLayerAddress,
    ) -> Result<(), AdapterError> {
        self.settings.current_address = Some(checked_address(address)?);
        let told = self.port.set_address(address.bytes());
        told.map_err(|source| AdapterError::Port {
            operation: "set the address",
            source,
        })?;
        self.rebuild()
    }

    /// `NetAdapterSetLinkState`: shown to the stack when it changes.
    ///
    /// # Errors
    /// `InvalidLinkState`, or a failing port.
    pub fn set_link_state(&mut self, state: NetAdapterLinkState) -> Result<(), AdapterError> {
        check_link_state(&state)?;
        let before = std::mem::replace(&mut self.link_state, state);
        if self.interface_started && before.media_connect_state != state.media_connect_state {
            self.show_link()?;
        }
        Ok(())
    }

    /// `NetAdapterSetReceiveFilterCapabilities`
    ///
    /// # Errors
    /// `InvalidReceiveFilterCapabilities`, `AdapterAlreadyStarted`
    pub fn set_receive_filter_capabilities(
        &mut self,
        capabilities: ReceiveFilterCapabilities,
    ) -> Result<(), AdapterError> {
        self.before_start("NetAdapterSetReceiveFilterCapabilities")?;
        capabilities.check()?;
        self.settings.receive_filter = Some(capabilities);
        Ok(())
    }

    /// `NetAdapterOffloadSetTxChecksumCapabilities`
    ///
    /// # Errors
    /// Flags that contradict each other, `AdapterAlreadyStarted`
    pub fn offload_set_tx_checksum_capabilities(
        &mut self,
        capabilities: OffloadTxChecksumCapabilities,
    ) -> Result<(), AdapterError> {
        self.before_start("NetAdapterOffloadSetTxChecksumCapabilities")?;
        capabilities.check()?;
        self.settings.tx_checksum = Some(capabilities);
        Ok(())
    }

    /// `NetAdapterOffloadSetRxChecksumCapabilities`: the client reports what it
    /// knows about received checksums.
    ///
    /// # Errors
    /// `AdapterAlreadyStarted`
    pub fn offload_set_rx_checksum_capabilities(&mut self) -> Result<(), AdapterError> {
        self.before_start("NetAdapterOffloadSetRxChecksumCapabilities")?;
        self.settings.rx_checksum = true;
        Ok(())
    }

    /// `NetAdapterOffloadSetGsoCapabilities`
    ///
    /// # Errors
    /// Flags that contradict each other, `AdapterAlreadyStarted`
    pub fn offload_set_gso_capabilities(
        &mut self,
        capabilities: OffloadGsoCapabilities,
    ) -> Result<(), AdapterError> {
        self.before_start("NetAdapterOffloadSetGsoCapabilities")?;
        capabilities.check()?;
        self.settings.gso = Some(capabilities);
        Ok(())
    }

    /// `NetAdapterOffloadSetRscCapabilities`
    ///
    /// # Errors
    /// `AdapterAlreadyStarted`
    pub fn offload_set_rsc_capabilities(
        &mut self,
        capabilities: OffloadRscCapabilities,
    ) -> Result<(), AdapterError> {
        self.before_start("NetAdapterOffloadSetRscCapabilities")?;
        self.settings.rsc = capabilities.any();
        Ok(())
    }

    /// `NetAdapterOffloadSetIeee8021qTagCapabilities`
    ///
    /// # Errors
    /// `AdapterAlreadyStarted`
    pub fn offload_set_ieee8021q_capabilities(
        &mut self,
        flags: NetOffloadIeee8021qFlags,
    ) -> Result<(), AdapterError> {
        self.before_start("NetAdapterOffloadSetIeee8021qTagCapabilities")?;
        self.settings.ieee8021q = flags;
        Ok(())
    }

    /// What a user switched off, by the standard keywords of the adapter's
    /// configuration.
    ///
    /// # Errors
    /// `AdapterAlreadyStarted`
    pub fn set_offload_keywords(&mut self, keywords: OffloadKeywords) -> Result<(), AdapterError> {
        self.before_start("reading the offload keywords")?;
        self.settings.keywords = keywords;
        Ok(())
    }

    /// Has received segments joined from the next turn of each queue on, or not; only where
    /// [`crate::AdapterConfig::coalesce_received`] asks for it at all.
    pub fn set_coalescing(&self, on: bool) {
        self.coalesces.store(on, Ordering::Relaxed);
    }

    /// The system wants other frames received. The client hears of it at once
    /// if the device is powered, otherwise after the next [`Self::io_start`].
    ///
    /// # Errors
    /// A filter the device does not have: `STATUS_NOT_SUPPORTED`. A list of
    /// multicast addresses that is too long is not an error: such a list is
    /// widened to all multicast frames if the device can do that.
    pub fn set_receive_filter(&mut self, filter: ReceiveFilter) -> Result<(), AdapterError> {
        let supported = self
            .settings
            .receive_filter
            .map(|caps| caps.supported_packet_filters);
        if !supported.unwrap_or_default().contains(filter.packet_filter) {
            let why = format!(
                "packet filter {:#x} is not among the supported ones, {:#x}",
                filter.packet_filter.0,
                supported.unwrap_or_default().0
            );
            let code = FailureCode::InvalidReceiveFilterCapabilities;
            return Err(AdapterError::refused(code, NtStatus::NOT_SUPPORTED, why));
        }
        self.filter = match &self.settings.receive_filter {
            Some(capabilities) => capabilities.fit(filter),
            None => filter,
        };
        if self.io_started {
            self.push_filter();
        }
        Ok(())
    }

    /// What the client can be told to receive; nothing if it has not said so.
    pub fn supported_packet_filters(&self) -> NetPacketFilterFlags {
        let capabilities = self.settings.receive_filter;
        capabilities.map_or_else(Default::default, |caps| caps.supported_packet_filters)
    }

    /// What a system wants of any interface until it says otherwise: frames for
    /// it, broadcasts, and multicast frames as far as the device goes.
    ///
    /// # Errors
    /// None that [`Self::set_receive_filter`] does not have.
    pub fn set_initial_filter(&mut self) -> Result<(), AdapterError> {
        use NetPacketFilterFlags as Flags;
        let Some(capabilities) = self.settings.receive_filter else {
            return Ok(());
        };
        let supported = capabilities.supported_packet_filters;
        if self.filter != ReceiveFilter::default() || supported.0 == 0 {
            return Ok(());
        }
        let wanted = Flags::DIRECTED | Flags::BROADCAST | Flags::ALL_MULTICAST;
        let mut flags = Flags(wanted.0 & supported.0);
        let mut list = Vec::new();
        if !supported.contains(Flags::ALL_MULTICAST) && supported.contains(Flags::MULTICAST) {
            flags = flags | Flags::MULTICAST;
            list.extend(multicast_of(self.settings.current_address));
        }
        self.set_receive_filter(ReceiveFilter {
            packet_filter: flags,
            multicast_addresses: list,
        })
    }

    pub(super) fn before_start(&self, call: &str) -> Result<(), AdapterError> {
        if !self.interface_started {
            return Ok(());
        }
        let why =
            format!("{call} is allowed only before the adapter is started or after it is stopped");
        let status = NtStatus::INVALID_DEVICE_REQUEST;
        Err(AdapterError::refused(
            FailureCode::AdapterAlreadyStarted,
            status,
            why,
        ))
    }
}

/// Groups that every host is in: all nodes of IPv4 and IPv6, mDNS is not, and
/// the group by which a neighbour asks for the address made from the MAC.
fn multicast_of(address: Option<NetAdapterLinkLayerAddress>) -> Vec<[u8; 6]> {
    let mut groups = vec![[0x33, 0x33, 0, 0, 0, 1], [0x01, 0, 0x5e, 0, 0, 1]];
    if let Some([_, _, _, a, b, c]) = address.as_ref().map(|address| address.bytes()) {
        groups.push([0x33, 0x33, 0xff, *a, *b, *c]);
    }
    groups
}

fn checked_address(
    address: NetAdapterLinkLayerAddress,
) -> Result<NetAdapterLinkLayerAddress, AdapterError> {
    if address.length <= 32 {
        return Ok(address);
    }
    let why = format!(
        "a link layer address has at most 32 bytes, not {}",
        address.length
    );
    Err(invalid(FailureCode::MacAddressLengthTooLong, why))
}

/// Whether every field of a link state is in range.
///
/// # Errors
/// `InvalidLinkState`
pub(crate) fn check_link_state(state: &NetAdapterLinkState) -> Result<(), AdapterError> {
    let known = state.media_connect_state.0 <= 2
        && state.media_duplex_state.0 <= 2
        && state.supported_pause_functions.0 <= 4
        && state.auto_negotiation_flags <= 0xf;
    if known {
        return Ok(());
    }
    let why = format!("a field of the link state is out of range: {state:?}");
    Err(invalid(FailureCode::InvalidLinkState, why))
}
