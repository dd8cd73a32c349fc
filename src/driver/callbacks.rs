//! What the adapter calls: queues made of what the card laid out, and what the system decides while
//! they run.

use std::sync::Arc;

use netadapter_shim::abi::{
    NetPacketFilterFlags as Filter, NetPacketHashProtocolType, NetReceiveScalingHashType, NtStatus,
};
use netadapter_shim::{AdapterEvents, IndirectionEntry, PacketQueue, QueueInit, ReceiveFilter};
use virtio::net::ControlQueue;
use virtio::spec::net::feature::*;

use super::mending::{Place, Returning};
use super::scaling::Scaling;
use super::shared::{Shared, take};
use crate::rx_queue::{RxParts, RxQueue};
use crate::tx_queue::{TxParts, TxQueue};

/// The adapter's callbacks.
pub(super) struct Events {
    shared: Arc<Shared>,
    scaling: Scaling,
}

impl Events {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let pairs = shared.stats.len() as u16;
        Self {
            shared,
            scaling: Scaling::over(pairs),
        }
    }
}

impl AdapterEvents for Events {
    fn create_tx_queue(&mut self, init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        let (shared, id) = (&self.shared, init.queue_id());
        let parts = take(&mut shared.hand_over().tx, id)?;
        init.register_interrupt(Arc::clone(&parts.interrupt));
        let (interrupt, laid_out) = (parts.interrupt, parts.laid_out);
        let parts = TxParts {
            name: format!("{} tx{id}", shared.name),
            queue: parts.queue,
            doorbell: parts.doorbell,
            slots: parts.slots,
            stats: Arc::clone(&shared.stats[id as usize].tx),
            faults: shared.faults.clone(),
        };
        let queue = TxQueue::new(parts, init.notifier());
        let place = Place::Tx(id);
        let queue = Returning::new(queue, place, interrupt, laid_out, shared);
        Ok(Box::new(queue))
    }

    fn create_rx_queue(&mut self, init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        let (shared, id) = (&self.shared, init.queue_id());
        let parts = take(&mut shared.hand_over().rx, id)?;
        init.register_interrupt(Arc::clone(&parts.interrupt));
        let (interrupt, laid_out) = (parts.interrupt, parts.laid_out);
        let parts = RxParts {
            name: format!("{} rx{id}", shared.name),
            queue: parts.queue,
            doorbell: parts.doorbell,
            slots: parts.slots,
            features: shared.features,
            frame_limit: shared.frame_limit,
            hash_types: shared.hash_types,
            stats: Arc::clone(&shared.stats[id as usize].rx),
            faults: shared.faults.clone(),
        };
        let queue = RxQueue::new(parts, init.notifier());
        let place = Place::Rx(id);
        let queue = Returning::new(queue, place, interrupt, laid_out, shared);
        Ok(Box::new(queue))
    }

    fn receive_scaling_set_entries(
        &mut self,
        entries: &mut [IndirectionEntry],
    ) -> Result<(), NtStatus> {
        self.scaling.set_entries(entries)
    }

    fn receive_scaling_set_key(&mut self, key: &[u8]) -> Result<(), NtStatus> {
        self.scaling.set_key(key)
    }

    fn receive_scaling_enable(
        &mut self,
        _hash_types: NetReceiveScalingHashType,
        protocols: NetPacketHashProtocolType,
    ) -> Result<(), NtStatus> {
        let rss = self.scaling.enabled(protocols);
        let what = "spread what it receives by a hash";
        let sent = |ctrl: &mut ControlQueue| ctrl.set_rss(&rss);
        match self.shared.command(VIRTIO_NET_F_RSS, what, sent) {
            true => Ok(()),
            false => Err(NtStatus::UNSUCCESSFUL),
        }
    }

    /// Back to what every device with several pairs does by itself.
    fn receive_scaling_disable(&mut self) {
        if let Some(pairs) = self.scaling.disabled() {
            let sent = |ctrl: &mut ControlQueue| ctrl.set_pairs(pairs);
            self.shared
                .command(VIRTIO_NET_F_MQ, "set the number of pairs", sent);
        }
    }

    fn set_receive_filter(&mut self, filter: &ReceiveFilter) {
        let has = |flag| filter.packet_filter.contains(flag);
        let (promisc, allmulti) = (has(Filter::PROMISCUOUS), has(Filter::ALL_MULTICAST));
        let multicast = &filter.multicast_addresses;
        self.shared
            .command(VIRTIO_NET_F_CTRL_RX, "set the receive filter", |ctrl| {
                ctrl.set_promisc(promisc)?;
                ctrl.set_allmulti(allmulti)?;
                ctrl.set_mac_table(&[], multicast)
            });
    }
}
