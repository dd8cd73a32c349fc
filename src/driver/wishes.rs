//! What the system and the device ask of a driver while it runs.

use netadapter_shim::ReceiveFilter;
use netadapter_shim::abi::NetAdapterLinkLayerAddress;
use virtio::net::{ControlQueue, FeatureSet, guest_offloads};
use virtio::spec::net::feature::*;

use super::{Driver, DriverError};

/// Receive offloads by which segments come joined.
const JOINING: FeatureSet = FeatureSet::of(&[
    VIRTIO_NET_F_GUEST_TSO4,
    VIRTIO_NET_F_GUEST_TSO6,
    VIRTIO_NET_F_GUEST_ECN,
    VIRTIO_NET_F_GUEST_USO4,
    VIRTIO_NET_F_GUEST_USO6,
]);

impl Driver {
    /// Whether the device asks that the interface's peers be told where it is now (§ *Gratuitous
    /// Packet Sending*), since the last [`Driver::config_changed`]; then somebody who knows its
    /// addresses is to do that, and [`Driver::announced`] is to be called.
    pub fn wants_announcement(&self) -> bool {
        self.config.announce
    }

    /// Tells the device that its peers are told: it stops asking.
    pub fn announced(&mut self) {
        self.config.announce = false;
        let what = "say that peers were told";
        let sent = ControlQueue::acknowledge_announcement;
        self.shared.command(VIRTIO_NET_F_GUEST_ANNOUNCE, what, sent);
    }

    /// Changes the MTU of the interface, in bytes of payload.
    ///
    /// # Errors
    /// [`DriverError`], as for [`Driver::recover`].
    pub fn set_mtu(&mut self, mtu: u32) -> Result<(), DriverError> {
        self.pause()?;
        self.mtu = mtu;
        self.adapter.set_link_layer_mtu_size(mtu)?;
        self.resume()
    }

    /// Changes the address of the interface.
    ///
    /// # Errors
    /// [`DriverError`], as for [`Driver::recover`].
    pub fn set_mac(&mut self, mac: [u8; 6]) -> Result<(), DriverError> {
        self.pause()?;
        self.mac = Some(mac);
        let address = NetAdapterLinkLayerAddress::ethernet(mac);
        self.adapter.set_current_link_layer_address(address)?;
        self.resume()
    }

    /// Changes which frames are received.
    ///
    /// # Errors
    /// [`DriverError::Adapter`].
    pub fn set_filter(&mut self, filter: ReceiveFilter) -> Result<(), DriverError> {
        Ok(self.adapter.set_receive_filter(filter)?)
    }

    /// Has received segments joined, or not. Where the framework does that it is so from the next
    /// frames on; a device that does it goes on as was agreed, unless it can be told so while it runs
    /// (`VIRTIO_NET_F_CTRL_GUEST_OFFLOADS`), see [`Driver::switched_off`].
    pub fn set_gro(&mut self, on: bool) {
        self.gro = on;
        self.adapter.set_coalescing(on);
        self.switch_offloads();
    }

    /// Receive offloads that were agreed on and are switched off.
    pub fn switched_off(&self) -> FeatureSet {
        self.switched_off
    }

    /// Tells the device which receive offloads are on, where that is not what it knows.
    pub(super) fn switch_offloads(&mut self) {
        let agreed = self.info.features.and(guest_offloads());
        let off = match self.gro {
            true => FeatureSet::EMPTY,
            false => agreed.and(JOINING),
        };
        if off == self.switched_off {
            return;
        }
        let what = "switch receive offloads";
        let sent = |ctrl: &mut ControlQueue| ctrl.set_guest_offloads(agreed.without(off));
        let bit = VIRTIO_NET_F_CTRL_GUEST_OFFLOADS;
        if self.shared.command(bit, what, sent) {
            self.switched_off = off;
        }
    }
}
