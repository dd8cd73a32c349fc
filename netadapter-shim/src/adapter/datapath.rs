//! Building and ending the queues of an adapter.

use std::sync::Arc;
use std::time::Duration;

use vmm_sys_util::eventfd::EventFd;

use super::{Adapter, AdapterError};
use crate::buffer_pool::BufferPool;
use crate::execution::{CallError, ContextParts, ExecutionContext};
use crate::offload::{Covered, Segmentation};
use crate::port::PortQueue;
use crate::queue::{
    ClientHalf, Demux, Direction, Notifier, PacketQueue, QueueInit, QueuePair, RingInfo, RxQueue,
    TxCoverage, TxQueue,
};
use crate::ring::RingSet;
use crate::wake::Waker;

/// Ethernet header and one VLAN tag.
const LINK_HEADER: usize = 18;
/// Longest IP and TCP headers in front of a large payload.
const LONGEST_HEADERS: usize = 120;
/// Longest frame of several segments that the stack makes.
const LARGEST_FRAME: usize = 65_535;
/// Larger rings only cost memory: the system half empties them in every turn.
const LARGEST_RING: u32 = 4096;
/// Rings of this size are worth their memory whatever the buffers' size; longer
/// ones are shortened to it where the client has no wish and their buffers
/// would take more than [`MOST_BUFFERS`] bytes.
const LEAST_RING: u32 = 64;
const MOST_BUFFERS: usize = 128 << 20;

/// Rx queues that a device may spread over.
const MOST_RX_QUEUES: usize = 64;

/// Both directions, in the order in which they are started and cancelled.
const BOTH: [Direction; 2] = [Direction::Tx, Direction::Rx];

/// What every queue pair of an adapter is built from.
struct Plan {
    tx: RingInfo,
    rx: RingInfo,
    tx_alignment: usize,
    rx_alignment: usize,
    coverage: TxCoverage,
    /// Queues of each kind that share a context.
    tx_queues: u32,
    rx_queues: u32,
}

/// What the queues of one context share while they are created.
struct QueueBuilder<'a> {
    waker: &'a Arc<Waker>,
    interrupts: Vec<Arc<EventFd>>,
}

impl QueueBuilder<'_> {
    fn init(&self, id: u32, info: RingInfo, set: &RingSet) -> QueueInit {
        QueueInit::new(id, Notifier::new(self.waker.clone()), info, set.map())
    }

    fn keep(&mut self, init: QueueInit) {
        self.interrupts.extend(init.into_interrupts());
    }
}

impl Adapter {
    /// Creates all queues, then starts all Tx and all Rx queues. Nothing is
    /// left behind if that fails.
    pub(super) fn build_queues(&mut self) -> Result<(), AdapterError> {
        let built = self.create_pairs().and_then(|()| self.start_pairs());
        if built.is_err() {
            // The first error is the one worth telling.
            let _ = self.tear_down_queues();
        }
        built
    }

    fn create_pairs(&mut self) -> Result<(), AdapterError> {
        let Some(plan) = self.plan() else {
            return Err(AdapterError::NotReady {
                why: "call NetAdapterSetDataPathCapabilities first, and let it succeed",
            });
        };
        let count = self.pair_count();
        let opened = self.port.open_queues(count);
        let ports = opened.map_err(|source| AdapterError::Port {
            operation: "open its queues",
            source,
        })?;
        self.counters.resize_with(count, Arc::default);
        for (index, port) in ports.into_iter().enumerate() {
            let context = self.create_pair(index, port, &plan)?;
            self.contexts.push((index, context));
        }
        log::info!(
            "{count} queue pair(s), rings of {} Tx and {} Rx packets, {} KiB of system buffers",
            plan.tx.packets,
            plan.rx.packets,
            self.pool_bytes / 1024
        );
        Ok(())
    }

    fn create_pair(
        &mut self,
        index: usize,
        port: Box<dyn PortQueue>,
        plan: &Plan,
    ) -> Result<ExecutionContext, AdapterError> {
        let failed = |operation| {
            move |source| AdapterError::Execution {
                operation,
                queue: index,
                source,
            }
        };
        let waker = Waker::new().map_err(failed("create an eventfd"))?;
        let mut builder = QueueBuilder {
            waker: &waker,
            interrupts: Vec::new(),
        };
        let (tx, rx) = self.create_queues(index as u32, plan, &mut builder)?;
        let interrupts = builder.interrupts;
        let parts = ContextParts {
            index,
            pair: QueuePair::new(
                tx,
                rx,
                self.demux(plan)?,
                port,
                self.counters[index].clone(),
                self.config.execution.budget.max(1),
            ),
            waker,
            interrupts,
            faults: self.faults.clone(),
            pause_after: self.config.execution.pause_after,
        };
        ExecutionContext::spawn(parts, &self.config.execution).map_err(failed("start a thread"))
    }

    /// Tx first, then Rx; further Rx queues and how to spread over them, then
    /// further Tx queues.
    fn create_queues(
        &mut self,
        first: u32,
        plan: &Plan,
        builder: &mut QueueBuilder<'_>,
    ) -> Result<(Vec<TxQueue>, Vec<RxQueue>), AdapterError> {
        let mut tx = vec![self.create_tx(first, plan, builder)?];
        let mut rx = Vec::new();
        for id in 0..plan.rx_queues {
            rx.push(self.create_rx(first + id, plan, builder)?);
        }
        self.push_receive_scaling(rx.len());
        for id in 1..plan.tx_queues {
            tx.push(self.create_tx(first + id, plan, builder)?);
        }
        Ok((tx, rx))
    }

    fn create_tx(
        &mut self,
        id: u32,
        plan: &Plan,
        builder: &mut QueueBuilder<'_>,
    ) -> Result<TxQueue, AdapterError> {
        let set = self.ring_set(plan.tx, plan.tx_alignment)?;
        let mut init = builder.init(id, plan.tx, &set);
        let client = self.create_client(Direction::Tx, &mut init)?;
        builder.keep(init);
        let half = ClientHalf::new(client, Direction::Tx, self.config.verifier).numbered(id);
        Ok(TxQueue::new(half, set, plan.coverage))
    }

    fn create_rx(
        &mut self,
        id: u32,
        plan: &Plan,
        builder: &mut QueueBuilder<'_>,
    ) -> Result<RxQueue, AdapterError> {
        let set = self.ring_set(plan.rx, plan.rx_alignment)?;
        let mut init = builder.init(id, plan.rx, &set);
        let client = self.create_client(Direction::Rx, &mut init)?;
        builder.keep(init);
        let half = ClientHalf::new(client, Direction::Rx, self.config.verifier).numbered(id);
        Ok(RxQueue::new(half, set).trusting(self.config.trust_rx_checksums))
    }

    fn demux(&mut self, plan: &Plan) -> Result<Option<Demux>, AdapterError> {
        let Some(rule) = self.settings.tx_demux.filter(|_| plan.tx_queues > 1) else {
            return Ok(None);
        };
        let pool = BufferPool::new(1, plan.tx.buffer_capacity, 1);
        let pool = pool.map_err(|_| AdapterError::Memory {
            what: "a buffer to sort frames in",
        })?;
        Ok(Some(Demux::new(rule, plan.tx_queues as usize, pool)))
    }

    fn create_client(
        &mut self,
        direction: Direction,
        init: &mut QueueInit,
    ) -> Result<Box<dyn PacketQueue>, AdapterError> {
        let created = match direction {
            Direction::Tx => self.events.create_tx_queue(init),
            Direction::Rx => self.events.create_rx_queue(init),
        };
        created.map_err(|status| AdapterError::CreateQueue {
            direction,
            queue: init.queue_id(),
            status,
        })
    }

    fn ring_set(&mut self, info: RingInfo, alignment: usize) -> Result<RingSet, AdapterError> {
        let out_of_memory = || AdapterError::Memory {
            what: "rings and system buffers",
        };
        let pool = BufferPool::new(info.fragments, info.buffer_capacity, alignment)
            .map_err(|_| out_of_memory())?;
        self.pool_bytes += pool.size();
        RingSet::new(info.packets, info.fragments, info.extensions, pool).ok_or_else(out_of_memory)
    }

    fn plan(&self) -> Option<Plan> {
        let (tx, rx) = (self.settings.tx?, self.settings.rx?);
        let ring = |hint: u32, default: u32, buffer_capacity| {
            let wish = match hint {
                0 => affordable(default, buffer_capacity),
                wish => wish,
            };
            let elements = wish.clamp(2, LARGEST_RING).next_power_of_two();
            RingInfo {
                packets: elements,
                fragments: elements,
                buffer_capacity,
                extensions: self.settings.extensions(),
            }
        };
        let tx_hint = tx.fragment_ring_number_of_elements_hint;
        let rx_hint = rx.fragment_ring_number_of_elements_hint;
        Some(Plan {
            tx: ring(tx_hint, self.config.tx_ring, self.tx_capacity()),
            rx: ring(rx_hint, self.config.rx_ring, rx.maximum_frame_size),
            tx_alignment: tx.fragment_buffer_alignment,
            rx_alignment: rx.fragment_buffer_alignment,
            coverage: self.coverage(),
            tx_queues: self.tx_queue_count(),
            rx_queues: self.rx_queue_count(),
        })
    }

    /// The largest frame the stack can hand over.
    fn tx_capacity(&self) -> usize {
        let plain = LINK_HEADER + self.settings.mtu as usize;
        match self.settings.gso.filter(|_| self.active.tx.segmentation()) {
            // The stack knows no limit below its own: what the client does not
            // take whole is cut here.
            Some(gso) => {
                let largest = gso.maximum_offload_size.max(LARGEST_FRAME);
                plain.max(LINK_HEADER + LONGEST_HEADERS + largest)
            }
            None => plain,
        }
    }

    fn coverage(&self) -> TxCoverage {
        let checksum = self.settings.tx_checksum.map(|caps| Covered {
            layer3: caps.layer3,
            layer4: caps.layer4,
            offset_limit: caps.layer4_header_offset_limit,
        });
        let segmentation = self.settings.gso.map(|caps| Segmentation {
            covered: Covered {
                layer3: caps.layer3,
                layer4: caps.layer4,
                offset_limit: caps.layer4_header_offset_limit,
            },
            maximum_size: caps.maximum_offload_size,
            minimum_count: caps.minimum_segment_count,
        });
        TxCoverage {
            checksum: checksum.unwrap_or_default(),
            segmentation: segmentation.unwrap_or_default(),
            tagging: self.settings.ieee8021q,
            post_ignored: self.config.post_ignored,
        }
    }

    /// Tx queues of one context: several only for several priorities.
    fn tx_queue_count(&self) -> u32 {
        let most = self.settings.tx.map_or(1, |tx| tx.maximum_number_of_queues);
        let wanted = self
            .settings
            .tx_demux
            .map_or(1, |demux| u32::from(demux.queues));
        wanted.min(u32::try_from(most).unwrap_or(u32::MAX)).max(1)
    }

    /// Rx queues of one context: several only where the device spreads.
    fn rx_queue_count(&self) -> u32 {
        let most = self.settings.rx.map_or(1, |rx| rx.maximum_number_of_queues);
        let scaling = self.settings.receive_scaling;
        let wanted = scaling.map_or(1, |scaling| scaling.number_of_queues);
        wanted.min(most).clamp(1, MOST_RX_QUEUES) as u32
    }

    /// Contexts, each with a pair of queues. Queues that are told apart here or
    /// by the device share one context, because the port has but one queue for
    /// all that the stack sends.
    fn pair_count(&self) -> usize {
        if self.settings.receive_scaling.is_some() || self.settings.tx_demux.is_some() {
            return 1;
        }
        let tx = self
            .settings
            .tx
            .map_or(1, |caps| caps.maximum_number_of_queues);
        let rx = self
            .settings
            .rx
            .map_or(1, |caps| caps.maximum_number_of_queues);
        let wanted = self.config.queue_pairs.min(tx).min(rx);
        wanted.min(self.port.max_queues()).max(1)
    }

    fn start_pairs(&mut self) -> Result<(), AdapterError> {
        let patience = self.config.deadline;
        for direction in BOTH {
            for (index, context) in &self.contexts {
                let started = context.start(direction, patience);
                started.map_err(|error| call_failed(*index, "start", patience, error))?;
            }
        }
        Ok(())
    }

    /// Cancel on all queues, Advance until idle, Stop on all, then the threads
    /// end. Every queue is gone afterwards, except a stuck one, whose thread is
    /// left behind and ends if it ever comes back.
    pub(super) fn tear_down_queues(&mut self) -> Result<(), AdapterError> {
        let patience = self.config.deadline;
        let mut contexts = std::mem::take(&mut self.contexts);
        self.pool_bytes = 0;
        let mut first_error = None;
        let mut on_all = |operation, call: &dyn Fn(&ExecutionContext) -> Result<(), CallError>| {
            contexts.retain(|(index, context)| match call(context) {
                Ok(()) => true,
                Err(error) => {
                    let usable = matches!(error, CallError::Refused(_));
                    let error = call_failed(*index, operation, patience, error);
                    log::error!("{error}");
                    first_error.get_or_insert(error);
                    usable
                }
            });
        };
        for direction in BOTH {
            on_all("cancel", &|context| context.cancel(direction, patience));
        }
        on_all("drain", &|context| context.drain(patience));
        for direction in BOTH {
            on_all("stop", &|context| context.stop(direction, patience));
        }
        for (index, context) in contexts {
            let exited = context.exit(patience);
            if let Err(error) = exited {
                first_error.get_or_insert(call_failed(index, "end", patience, error));
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// As many of the elements wished for as have buffers within [`MOST_BUFFERS`],
/// a power of two.
fn affordable(wish: u32, buffer_capacity: usize) -> u32 {
    let wish = wish.clamp(2, LARGEST_RING).next_power_of_two();
    let most = MOST_BUFFERS / buffer_capacity.max(1);
    let most = u32::try_from(most).unwrap_or(u32::MAX).max(LEAST_RING);
    match most.checked_ilog2() {
        Some(bits) => wish.min(1 << bits),
        None => wish,
    }
}

fn call_failed(
    queue: usize,
    operation: &'static str,
    patience: Duration,
    error: CallError,
) -> AdapterError {
    let why = match error {
        CallError::Refused(why) => why,
        CallError::Stuck => "the client driver does not return from a callback".to_owned(),
        CallError::Gone => "its thread has ended: the client driver panicked".to_owned(),
    };
    AdapterError::Timeout {
        queue,
        operation,
        seconds: patience.as_secs_f32(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_nobody_wished_for_are_as_long_as_their_buffers_are_cheap() {
        assert_eq!(affordable(1024, 2048), 1024);
        assert_eq!(affordable(1024, 65_535), 1024);
        assert_eq!(affordable(1024, 1 << 20), 128);
        assert_eq!(affordable(1000, 2048), 1024, "a power of two");
        assert_eq!(affordable(64, 1 << 30), LEAST_RING);
        assert_eq!(affordable(16, 1 << 30), 16, "no longer than wished for");
        assert_eq!(affordable(u32::MAX, 0), LARGEST_RING);
    }
}
