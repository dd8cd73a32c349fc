//! Building and ending the queues of an adapter.

use std::sync::Arc;
use std::time::Duration;

use vmm_sys_util::eventfd::EventFd;

use super::plan::Plan;
use super::{Adapter, AdapterError, TxDemux};
use crate::abi::NetOffloadLayer3Flags as L3;
use crate::buffer_pool::BufferPool;
use crate::execution::{CallError, ContextParts, ExecutionContext};
use crate::port::PortQueue;
use crate::queue::{
    ClientHalf, Coalescing, Direction, Lanes, Notifier, PacketQueue, QueueInit, QueuePair, Queues,
    RingInfo, RxQueue, Sorter, TxQueue,
};
use crate::ring::RingSet;
use crate::wake::Waker;

/// Both directions, in the order in which they are started and cancelled.
const BOTH: [Direction; 2] = [Direction::Tx, Direction::Rx];

/// A context in the making.
struct Seat {
    index: usize,
    waker: Arc<Waker>,
    interrupts: Vec<Arc<EventFd>>,
    queues: Queues,
    port: Box<dyn PortQueue>,
}

impl Seat {
    fn new(index: usize, port: Box<dyn PortQueue>) -> Result<Self, AdapterError> {
        Ok(Self::woken_by(index, waker(index)?, port))
    }

    fn woken_by(index: usize, waker: Arc<Waker>, port: Box<dyn PortQueue>) -> Self {
        Self {
            index,
            waker,
            interrupts: Vec::new(),
            queues: Queues::default(),
            port,
        }
    }

    fn init(&self, id: usize, info: RingInfo, set: &RingSet) -> QueueInit {
        let notifier = Notifier::new(self.waker.clone());
        QueueInit::new(id as u32, notifier, info, set.map())
    }
}

fn waker(index: usize) -> Result<Arc<Waker>, AdapterError> {
    Waker::new().map_err(execution_failed("create an eventfd", index))
}

impl Adapter {
    /// Creates all queues, then starts all Tx and all Rx queues. Nothing is
    /// left behind if that fails.
    pub(super) fn build_queues(&mut self) -> Result<(), AdapterError> {
        let built = self.create_contexts().and_then(|()| self.start_contexts());
        if built.is_err() {
            // The first error is the one worth telling.
            let _ = self.tear_down_queues();
        }
        built
    }

    fn create_contexts(&mut self) -> Result<(), AdapterError> {
        let Some(plan) = self.plan() else {
            return Err(AdapterError::NotReady {
                why: "call NetAdapterSetDataPathCapabilities first, and let it succeed",
            });
        };
        for seat in self.create_seats(&plan)? {
            self.spawn(seat)?;
        }
        if self.config.demand_hook.is_none() {
            self.create_wanted(&plan)?;
        }
        log::info!(
            "{} queue context(s), rings of {} Tx and {} Rx packets, {} KiB of system buffers",
            self.contexts.len(),
            plan.tx.packets,
            plan.rx.packets,
            self.pool_bytes / 1024
        );
        Ok(())
    }

    /// Tx first, then Rx; further Rx queues, then how to spread over them.
    fn create_seats(&mut self, plan: &Plan) -> Result<Vec<Seat>, AdapterError> {
        let mut seats = Vec::new();
        for (index, port) in self.open_port_queues(plan)?.into_iter().enumerate() {
            let mut seat = Seat::new(index, port)?;
            match plan.demux {
                _ if index >= plan.pairs => {}
                None => self.create_tx(&mut seat, index, plan)?,
                Some((rule, queues)) => self.create_lanes(&mut seat, rule, queues, plan)?,
            }
            self.create_rx(&mut seat, plan)?;
            seats.push(seat);
        }
        self.push_receive_scaling(seats.len());
        Ok(seats)
    }

    /// One handle for each context: queues for the pairs, the others only
    /// receive.
    fn open_port_queues(&mut self, plan: &Plan) -> Result<Vec<Box<dyn PortQueue>>, AdapterError> {
        let queues = self.port.open_queues(plan.pairs);
        let opened = queues.and_then(|mut queues| {
            queues.extend(self.port.open_indicators(plan.further_rx)?);
            Ok(queues)
        });
        opened.map_err(|source| AdapterError::Port {
            operation: "open its queues",
            source,
        })
    }

    /// Frames to send are told apart; queues for them come when they come.
    fn create_lanes(
        &mut self,
        seat: &mut Seat,
        rule: TxDemux,
        queues: usize,
        plan: &Plan,
    ) -> Result<(), AdapterError> {
        let pool = BufferPool::new(1, plan.tx.buffer_capacity, 1);
        let pool = pool.map_err(|_| AdapterError::Memory {
            what: "a buffer to sort frames in",
        })?;
        let lanes = Lanes::new(rule, queues, self.config.demand_hook.clone());
        self.lanes = Some(Arc::clone(&lanes));
        seat.queues.sorter = Some(Sorter::new(lanes, pool));
        Ok(())
    }

    /// Creates the Tx queues that frames wait for, each in a context of its
    /// own; see [`DemandHook`](crate::adapter::DemandHook). Nothing happens if no frames wait.
    ///
    /// # Errors
    /// A queue the client did not create; its frames are dropped from now on.
    pub fn create_wanted_queues(&mut self) -> Result<(), AdapterError> {
        let running = self.contexts.len();
        let Some(plan) = self.plan().filter(|_| running > 0) else {
            return Ok(());
        };
        let created = self.create_wanted(&plan);
        let patience = self.config.deadline;
        self.on_each(running, patience, "start", |context, patience| {
            context.start(Direction::Tx, patience)
        })?;
        self.on_each(running, patience, "open", ExecutionContext::open)?;
        created
    }

    fn create_wanted(&mut self, plan: &Plan) -> Result<(), AdapterError> {
        let Some(lanes) = self.lanes.clone() else {
            return Ok(());
        };
        for queue in lanes.wanted() {
            self.create_lane(queue, &lanes, plan)
                .inspect_err(|_| lanes.refuse(queue))?;
        }
        Ok(())
    }

    fn create_lane(
        &mut self,
        queue: usize,
        lanes: &Arc<Lanes>,
        plan: &Plan,
    ) -> Result<(), AdapterError> {
        let index = plan.pairs + plan.further_rx + queue;
        let waker = waker(index)?;
        let port = lanes.attach(queue, &waker);
        let mut seat = Seat::woken_by(index, waker, port);
        self.create_tx(&mut seat, queue, plan)?;
        self.spawn(seat)
    }

    fn spawn(&mut self, seat: Seat) -> Result<(), AdapterError> {
        let index = seat.index;
        let counted = self.counters.len().max(index + 1);
        self.counters.resize_with(counted, Arc::default);
        let budget = self.config.execution.budget.max(1);
        let counters = self.counters[index].clone();
        let parts = ContextParts {
            index,
            pair: QueuePair::new(seat.queues, seat.port, counters, budget),
            waker: seat.waker,
            interrupts: seat.interrupts,
            faults: self.faults.clone(),
            pause_after: self.config.execution.pause_after,
            busy_poll: self.config.execution.busy_poll,
        };
        let context = ExecutionContext::spawn(parts, &self.config.execution);
        let context = context.map_err(execution_failed("start a thread", index))?;
        self.contexts.push((index, context));
        Ok(())
    }

    fn create_tx(&mut self, seat: &mut Seat, id: usize, plan: &Plan) -> Result<(), AdapterError> {
        let set = self.ring_set(plan.tx, plan.tx_alignment)?;
        let mut init = seat.init(id, plan.tx, &set);
        let client = self.create_client(Direction::Tx, &mut init)?;
        let half = ClientHalf::new(client, Direction::Tx, self.config.verifier);
        let half = half.numbered(init.queue_id());
        seat.interrupts.extend(init.into_interrupts());
        seat.queues.tx = Some(TxQueue::new(half, set, plan.coverage));
        Ok(())
    }

    fn create_rx(&mut self, seat: &mut Seat, plan: &Plan) -> Result<(), AdapterError> {
        let set = self.ring_set(plan.rx, plan.rx_alignment)?;
        let mut init = seat.init(seat.index, plan.rx, &set);
        let client = self.create_client(Direction::Rx, &mut init)?;
        let half = ClientHalf::new(client, Direction::Rx, self.config.verifier);
        let half = half.numbered(init.queue_id());
        seat.interrupts.extend(init.into_interrupts());
        let rx = RxQueue::new(half, set)
            .trusting(self.config.trust_rx_checksums)
            .coalescing(self.coalescing(), &self.coalesces);
        seat.queues.rx = Some(rx);
        Ok(())
    }

    /// What the client leaves to the framework, as far as the stack takes it and
    /// it is not switched off.
    fn coalescing(&self) -> Coalescing {
        let (stack, client) = (self.port.rx_offloads(), &self.active.enabled);
        let wanted = self.config.coalesce_received;
        let on = self.settings.keywords.rsc;
        Coalescing {
            ipv4: wanted && stack.tso4 && !client.tcp_rsc_ipv4 && on.contains(L3::IPV4_NO_OPTIONS),
            ipv6: wanted
                && stack.tso6
                && !client.tcp_rsc_ipv6
                && on.contains(L3::IPV6_NO_EXTENSIONS),
        }
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

    fn start_contexts(&mut self) -> Result<(), AdapterError> {
        let patience = self.config.deadline;
        for direction in BOTH {
            self.on_each(0, patience, "start", |context, patience| {
                context.start(direction, patience)
            })?;
        }
        self.on_each(0, patience, "open", ExecutionContext::open)
    }

    /// Asks something of each context from the one at `first` on, until one
    /// fails.
    pub(super) fn on_each(
        &self,
        first: usize,
        patience: Duration,
        operation: &'static str,
        call: impl Fn(&ExecutionContext, Duration) -> Result<(), CallError>,
    ) -> Result<(), AdapterError> {
        let contexts = self.contexts.get(first..).unwrap_or_default();
        contexts.iter().try_for_each(|(index, context)| {
            let called = call(context, patience);
            called.map_err(|error| call_failed(*index, operation, patience, error))
        })
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
        self.drop_waiting();
        first_error.map_or(Ok(()), Err)
    }

    /// Frames that were told apart and that no queue took are dropped, as the
    /// ones an interface holds when it goes down.
    fn drop_waiting(&mut self) {
        let left = self.lanes.take().map_or(0, |lanes| lanes.left());
        if let Some(counters) = self.counters.first().filter(|_| left > 0) {
            // Their writer, the context that sorted, has ended.
            counters.tx_dropped.add(left as u64);
        }
    }
}

fn execution_failed(
    operation: &'static str,
    queue: usize,
) -> impl FnOnce(std::io::Error) -> AdapterError {
    move |source| AdapterError::Execution {
        operation,
        queue,
        source,
    }
}

pub(super) fn call_failed(
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
