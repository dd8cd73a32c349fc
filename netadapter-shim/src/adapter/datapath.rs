//! Building and ending the queues of an adapter.

use std::sync::Arc;
use std::time::Duration;

use super::{Adapter, AdapterError};
use crate::buffer_pool::BufferPool;
use crate::execution::{CallError, ContextParts, ExecutionContext};
use crate::offload::Covered;
use crate::port::PortQueue;
use crate::queue::{
    ClientHalf, Direction, Notifier, PacketQueue, QueueInit, QueuePair, RingInfo, RxQueue,
    TxCoverage, TxQueue,
};
use crate::ring::RingSet;

use crate::wake::Waker;

/// Ethernet header and one VLAN tag.
const LINK_HEADER: usize = 18;
/// Longest IP and TCP headers in front of a large payload.
const LONGEST_HEADERS: usize = 120;
/// Larger rings only cost memory: the system half empties them in every turn.
const LARGEST_RING: u32 = 4096;

/// Both directions, in the order in which they are started and cancelled.
const BOTH: [Direction; 2] = [Direction::Tx, Direction::Rx];

/// What every queue pair of an adapter is built from.
struct Plan {
    tx: RingInfo,
    rx: RingInfo,
    tx_alignment: usize,
    rx_alignment: usize,
    coverage: TxCoverage,
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
        let mut interrupts = Vec::new();
        let tx_set = self.ring_set(plan.tx, plan.tx_alignment)?;
        let rx_set = self.ring_set(plan.rx, plan.rx_alignment)?;
        let mut create = |direction, info, set: &RingSet| {
            let notifier = Notifier::new(waker.clone());
            let mut init = QueueInit::new(index as u32, notifier, info, set.map());
            let queue = self.create_client(direction, &mut init)?;
            interrupts.extend(init.into_interrupts());
            Ok(ClientHalf::new(queue, direction, self.config.verifier))
        };
        let (tx, rx) = (
            create(Direction::Tx, plan.tx, &tx_set)?,
            create(Direction::Rx, plan.rx, &rx_set)?,
        );
        let parts = ContextParts {
            index,
            pair: QueuePair::new(
                TxQueue::new(tx, tx_set, plan.coverage),
                RxQueue::new(rx, rx_set),
                port,
                self.counters[index].clone(),
                self.config.execution.budget.max(1),
            ),
            waker,
            interrupts,
            faults: self.faults.clone(),
        };
        ExecutionContext::spawn(parts, &self.config.execution).map_err(failed("start a thread"))
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
            let wish = if hint == 0 { default } else { hint };
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
        })
    }

    /// The largest frame the stack can hand over.
    fn tx_capacity(&self) -> usize {
        let plain = LINK_HEADER + self.settings.mtu as usize;
        match self.settings.gso.filter(|_| self.active.tx.segmentation()) {
            Some(gso) => plain.max(LINK_HEADER + LONGEST_HEADERS + gso.maximum_offload_size),
            None => plain,
        }
    }

    fn coverage(&self) -> TxCoverage {
        let checksum = self.settings.tx_checksum.map(|caps| Covered {
            layer3: caps.layer3,
            layer4: caps.layer4,
        });
        let segmentation = self.settings.gso.map(|caps| Covered {
            layer3: caps.layer3,
            layer4: caps.layer4,
        });
        TxCoverage {
            checksum: checksum.unwrap_or_default(),
            segmentation: segmentation.unwrap_or_default(),
        }
    }

    fn pair_count(&self) -> usize {
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
