//! The core's calls to a client, carried to its callbacks.

use std::sync::{Arc, Weak};

use super::adapter::AdapterObject;
use super::callbacks::succeeded;
use super::indication::Indication;
use super::queue::{ClientQueue, Creation, DefaultQueue};
use super::scaling;
use crate::abi::{NetPacketHashProtocolType, NetReceiveScalingHashType, NtStatus};
use crate::adapter::{ActiveOffloads, AdapterEvents, IndirectionEntry, ReceiveFilter};
use crate::door::object::{self, Handle};
use crate::queue::{Direction, PacketQueue, QueueInit};

/// What the core holds of a client.
pub(super) struct ClientEvents {
    adapter: Weak<AdapterObject>,
    /// Rx queues as they were created, by their numbers; for indirection.
    rx_queues: Vec<Handle>,
}

impl ClientEvents {
    pub(super) fn new(adapter: &Arc<AdapterObject>) -> Self {
        Self {
            adapter: Arc::downgrade(adapter),
            rx_queues: Vec::new(),
        }
    }

    fn adapter(&self) -> Result<Arc<AdapterObject>, NtStatus> {
        self.adapter.upgrade().ok_or(NtStatus::DELETE_PENDING)
    }

    fn create(
        &mut self,
        direction: Direction,
        init: &QueueInit,
    ) -> Result<Box<dyn PacketQueue>, NtStatus> {
        let adapter = self.adapter()?;
        let callbacks = adapter.callbacks();
        let create = match direction {
            Direction::Tx => callbacks.create_tx,
            Direction::Rx => callbacks.create_rx,
        };
        let Some(create) = create else {
            return Ok(Box::new(DefaultQueue(direction)));
        };
        let demux = adapter.demux.filter(|_| direction == Direction::Tx);
        let (number, creation) = Creation::open(direction, adapter.handle(), init, demux);
        let status = create.call(adapter.handle(), number);
        let created = creation.close(number);
        if let Err(status) = succeeded(status) {
            created.into_iter().for_each(object::delete);
            return Err(status);
        }
        let Some(queue) = created.and_then(ClientQueue::new) else {
            log::error!(
                "EvtAdapterCreate{direction}Queue of {} succeeded without a queue",
                adapter.handle()
            );
            return Err(NtStatus::UNSUCCESSFUL);
        };
        if let (Direction::Rx, Some(handle)) = (direction, created) {
            self.note_rx(init.queue_id(), handle);
        }
        Ok(Box::new(queue))
    }

    fn note_rx(&mut self, id: u32, handle: Handle) {
        let at = id as usize;
        self.rx_queues
            .resize(self.rx_queues.len().max(at + 1), Handle::NULL);
        self.rx_queues[at] = handle;
    }

    fn indicate(&self, indication: Indication) {
        if let Ok(adapter) = self.adapter() {
            adapter.indicate(indication);
        }
    }
}

impl AdapterEvents for ClientEvents {
    fn create_tx_queue(&mut self, init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        self.create(Direction::Tx, init)
    }

    fn create_rx_queue(&mut self, init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        self.create(Direction::Rx, init)
    }

    fn set_receive_filter(&mut self, filter: &ReceiveFilter) {
        self.indicate(Indication::Filter(filter.clone()));
    }

    fn offloads_changed(&mut self, active: &ActiveOffloads) {
        self.indicate(Indication::Offloads(active.enabled));
    }

    fn receive_scaling_enable(
        &mut self,
        hash_types: NetReceiveScalingHashType,
        protocols: NetPacketHashProtocolType,
    ) -> Result<(), NtStatus> {
        scaling::enable(&*self.adapter()?, hash_types, protocols)
    }

    fn receive_scaling_disable(&mut self) {
        if let Ok(adapter) = self.adapter() {
            scaling::disable(&adapter);
        }
    }

    fn receive_scaling_set_key(&mut self, key: &[u8]) -> Result<(), NtStatus> {
        scaling::set_key(&*self.adapter()?, key)
    }

    fn receive_scaling_set_entries(
        &mut self,
        entries: &mut [IndirectionEntry],
    ) -> Result<(), NtStatus> {
        scaling::set_entries(&*self.adapter()?, &self.rx_queues, entries)
    }
}
