//! NETADAPTER: the core's adapter as C clients reach it.
//!
//! The core is driven by one caller at a time and calls the client back while
//! it works: to create queues, to tell a filter. Such a callback may call the
//! adapter again, and so may any other thread of the client meanwhile. No lock
//! is therefore held while the core works. Whoever uses the core *takes it
//! out*; who finds it gone waits for its return, or, if the call allows that,
//! leaves word and returns at once. Before the core is put back all that was
//! left is done.
//!
//! Waiting from inside a callback that the core is waiting for would be a
//! deadlock: such calls are refused, or done later where they return nothing.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::callbacks::AdapterCallbacks;
use super::guard::report;
use super::indication::Outbox;
use super::keywords;
use super::power::AdapterPower;
use crate::abi::{FailureCode, NtStatus};
use crate::adapter::{Adapter, AdapterError, ReceiveFilter};
use crate::door::fail::{advise, breach, verifier};
use crate::door::numbers::Number;
use crate::door::object::Handle;

/// Longest wait for another thread that works with the core: longer than the
/// deadlines of all that it may do.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a call leaves for whoever has the core.
type Later = Box<dyn FnOnce(&mut Adapter) -> Result<(), AdapterError> + Send>;

/// The Rust half of a NETADAPTER.
pub(crate) struct AdapterObject {
    /// Adapters of a process are numbered from 0 in the order of creation.
    pub(crate) number: usize,
    /// The right to that number, until the object is disposed of.
    claim: Mutex<Option<Number>>,
    pub(super) device: Handle,
    /// The client's, as far as it has stated them.
    pub(super) callbacks: Mutex<AdapterCallbacks>,
    pub(super) demux: Option<u8>,
    handle: OnceLock<Handle>,
    core: Mutex<Core>,
    returned: Condvar,
    started: AtomicBool,
    paused: AtomicBool,
    removed: AtomicBool,
    /// NetAdapterSetLinkState was called.
    link_stated: AtomicBool,
    /// Queues and callbacks that wait for threads refuse what would wait for
    /// the core.
    refused: Mutex<Vec<(&'static str, NtStatus)>>,
    /// What the client is yet to be told.
    pub(super) outbox: Outbox,
    pub(super) power: AdapterPower,
}

struct Core {
    adapter: Option<Box<Adapter>>,
    taken_by: Option<ThreadId>,
    later: Vec<(&'static str, Later)>,
}

thread_local! {
    /// How many queue callbacks this thread is in: the core may be waiting for
    /// them.
    static IN_QUEUE: Cell<u32> = const { Cell::new(0) };
}

/// Marks the thread as being inside a queue's callback.
pub(super) fn inside_queue<T>(call: impl FnOnce() -> T) -> T {
    IN_QUEUE.set(IN_QUEUE.get() + 1);
    let result = call();
    IN_QUEUE.set(IN_QUEUE.get() - 1);
    result
}

fn is_inside_queue() -> bool {
    IN_QUEUE.get() > 0
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain values, whole whoever panicked while holding the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AdapterObject {
    pub(super) fn new(
        number: Number,
        device: Handle,
        callbacks: AdapterCallbacks,
        demux: Option<u8>,
    ) -> Self {
        Self {
            number: number.get(),
            claim: Mutex::new(Some(number)),
            device,
            callbacks: Mutex::new(callbacks),
            demux,
            handle: OnceLock::new(),
            core: Mutex::new(Core {
                adapter: None,
                taken_by: None,
                later: Vec::new(),
            }),
            returned: Condvar::new(),
            started: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            link_stated: AtomicBool::new(false),
            refused: Mutex::default(),
            outbox: Outbox::default(),
            power: AdapterPower::default(),
        }
    }

    /// The adapter is complete: it has a core and a handle.
    pub(super) fn complete(&self, handle: Handle, core: Adapter) {
        let _ = self.handle.set(handle);
        lock(&self.core).adapter = Some(Box::new(core));
    }

    /// The client's handle.
    pub(super) fn handle(&self) -> Handle {
        self.handle.get().copied().unwrap_or(Handle::NULL)
    }

    /// A copy of the client's callbacks.
    pub(super) fn callbacks(&self) -> AdapterCallbacks {
        *lock(&self.callbacks)
    }

    /// Whether NetAdapterStart has succeeded and NetAdapterStop not been called.
    pub(crate) fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Offloads are paused or resumed; tells what they were before.
    pub(super) fn set_paused(&self, paused: bool) -> bool {
        self.paused.swap(paused, Ordering::AcqRel)
    }

    /// The client has said what its link does.
    pub(super) fn set_link_stated(&self) {
        self.link_stated.store(true, Ordering::Release);
    }

    /// The device is gone for good.
    pub(super) fn set_removed(&self) {
        self.removed.store(true, Ordering::Release);
    }

    /// NET_LUID: an Ethernet interface (type 6) with the adapter's number, which
    /// begins at 1.
    pub(super) fn luid(&self) -> u64 {
        const ETHERNET: u64 = 6;
        ETHERNET << 48 | (self.number as u64 + 1) << 24
    }

    /// Remembers how a statement ended. The adapter does not start while one
    /// is refused; the last of a kind counts.
    pub(super) fn remember(&self, call: &'static str, stated: Result<(), NtStatus>) {
        let mut refused = lock(&self.refused);
        refused.retain(|(earlier, _)| *earlier != call);
        if let Err(status) = stated {
            refused.push((call, status));
        }
    }

    /// Works with the core, waiting for it if another thread has it.
    ///
    /// # Errors
    /// STATUS_INVALID_DEVICE_REQUEST from inside a callback that the core, or
    /// a queue, waits for; STATUS_IO_TIMEOUT; STATUS_DELETE_PENDING once the
    /// adapter is being deleted.
    pub(crate) fn with<T>(
        &self,
        call: &str,
        work: impl FnOnce(&mut Adapter) -> T,
    ) -> Result<T, NtStatus> {
        let mut core = self.take(call)?;
        let result = work(&mut core);
        self.put_back(core);
        Ok(result)
    }

    /// Looks at the core, unless another thread has it. Waits for nobody, and does nothing that
    /// others have left to be done; they wait for `look`.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&Adapter) -> T) -> Option<T> {
        lock(&self.core).adapter.as_deref().map(look)
    }

    /// As [`Self::with`], but if somebody has the core, or the call comes from
    /// a queue's callback, the work is left to be done by another.
    pub(super) fn soon(
        self: &Arc<Self>,
        call: &'static str,
        work: impl FnOnce(&mut Adapter) -> Result<(), AdapterError> + Send + 'static,
    ) {
        match (self.leave(call, Box::new(work)), is_inside_queue()) {
            // Whoever has it does the work before putting it back.
            (true, _) => {}
            (false, false) => self.catch_up(),
            (false, true) => self.catch_up_elsewhere(),
        }
    }

    /// As [`Self::soon`], but never on the calling thread, which the core may
    /// have to wait for.
    pub(super) fn elsewhere(
        self: &Arc<Self>,
        call: &'static str,
        work: impl FnOnce(&mut Adapter) -> Result<(), AdapterError> + Send + 'static,
    ) {
        if !self.leave(call, Box::new(work)) {
            self.catch_up_elsewhere();
        }
    }

    /// Leaves work; tells whether somebody has the core, and so will do it.
    fn leave(&self, call: &'static str, work: Later) -> bool {
        let mut core = lock(&self.core);
        core.later.push((call, work));
        core.adapter.is_none()
    }

    /// Does what was left, unless somebody else is about to.
    fn catch_up(&self) {
        if let Some(core) = self.try_take() {
            self.put_back(core);
        }
    }

    /// The work may end with the queues being rebuilt, which waits for the very
    /// callback it was asked for in.
    fn catch_up_elsewhere(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let spawned = std::thread::Builder::new()
            .name("umnet-adapter".to_owned())
            .spawn(move || this.catch_up());
        if let Err(error) = spawned {
            log::error!(
                "adapter {}: no thread for deferred work: {error}",
                self.number
            );
        }
    }

    fn try_take(&self) -> Option<Box<Adapter>> {
        let mut core = lock(&self.core);
        let adapter = core.adapter.take()?;
        core.taken_by = Some(std::thread::current().id());
        Some(adapter)
    }

    fn take(&self, call: &str) -> Result<Box<Adapter>, NtStatus> {
        let deadline = Instant::now() + PATIENCE;
        let me = std::thread::current().id();
        let mut core = lock(&self.core);
        loop {
            if core.taken_by == Some(me) || is_inside_queue() {
                log::error!(
                    "{call}: adapter {}: called from inside a callback that it would wait for",
                    self.number
                );
                return Err(NtStatus::INVALID_DEVICE_REQUEST);
            }
            if let Some(adapter) = core.adapter.take() {
                core.taken_by = Some(me);
                return Ok(adapter);
            }
            if core.taken_by.is_none() {
                return Err(NtStatus::DELETE_PENDING);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                log::error!("{call}: adapter {}: another call does not end", self.number);
                return Err(NtStatus::IO_TIMEOUT);
            }
            let waited = self.returned.wait_timeout(core, left);
            core = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn put_back(&self, mut adapter: Box<Adapter>) {
        loop {
            let mut core = lock(&self.core);
            if core.later.is_empty() {
                core.adapter = Some(adapter);
                core.taken_by = None;
                drop(core);
                self.returned.notify_all();
                return self.deliver();
            }
            let later = std::mem::take(&mut core.later);
            drop(core);
            for (call, work) in later {
                if let Err(error) = work(&mut adapter) {
                    report(call, self.handle(), &error);
                }
            }
        }
    }

    /// Takes the core out for good.
    fn retire(&self) -> Option<Box<Adapter>> {
        let adapter = self.take("deleting the adapter").ok()?;
        lock(&self.core).taken_by = None;
        self.returned.notify_all();
        Some(adapter)
    }
}

/// `NetAdapterStart`
pub(super) fn start(adapter: &AdapterObject) -> Result<(), NtStatus> {
    const CALL: &str = "NetAdapterStart";
    if adapter.is_started() {
        let text = format_args!("{CALL}: {} is started already", adapter.handle());
        breach(FailureCode::AdapterAlreadyStarted, text);
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    }
    if adapter.removed.load(Ordering::Acquire) {
        log::error!("{CALL}: adapter {}: its device was removed", adapter.number);
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    }
    if let Some((call, status)) = lock(&adapter.refused).first().copied() {
        log::error!("{CALL}: adapter {}: {call} was refused", adapter.number);
        return Err(status);
    }
    // Before the core starts, so that callbacks find the phase it tells of.
    adapter.started.store(true, Ordering::Release);
    let keywords = keywords::read(adapter);
    let started = adapter
        .with(CALL, |core| {
            core.set_offload_keywords(keywords)?;
            core.start()
        })
        .and_then(|started| started.map_err(|error| report(CALL, adapter.handle(), &error)));
    if started.is_err() {
        adapter.started.store(false, Ordering::Release);
    }
    started
}

/// `NetAdapterStop`: nothing happens if it is stopped.
pub(super) fn stop(adapter: &AdapterObject) {
    const CALL: &str = "NetAdapterStop";
    if !adapter.is_started() {
        return;
    }
    let stopped = adapter.with(CALL, Adapter::stop);
    if let Ok(Err(error)) = &stopped {
        not_ended(CALL, adapter, error);
    }
    if stopped.is_ok() {
        adapter.started.store(false, Ordering::Release);
        adapter.set_paused(false);
    }
}

/// The device has power: the adapter's queues are created and started.
pub(super) fn io_start(adapter: &AdapterObject) -> Result<(), NtStatus> {
    const CALL: &str = "creating the queues";
    let started = adapter.with(CALL, |core| {
        core.io_start()?;
        core.set_initial_filter()
    })?;
    started.map_err(|error| report(CALL, adapter.handle(), &error))?;
    adapter.set_powered(true);
    adapter.deliver();
    Ok(())
}

/// The system wants other frames received.
pub(crate) fn set_receive_filter(
    adapter: &AdapterObject,
    filter: ReceiveFilter,
) -> Result<(), NtStatus> {
    let set = adapter.with("setting the receive filter", |core| {
        core.set_receive_filter(filter)
    })?;
    set.map_err(|error| {
        log::warn!("{}: {error}", adapter.handle());
        error.status()
    })
}

/// The device is about to lose power: the adapter's queues end.
pub(super) fn io_stop(adapter: &AdapterObject) {
    const CALL: &str = "ending the queues";
    let had_power = adapter.set_powered(false);
    if let Ok(Err(error)) = adapter.with(CALL, Adapter::io_stop) {
        not_ended(CALL, adapter, &error);
    }
    let unstated = had_power && adapter.is_started() && verifier();
    if unstated && !adapter.link_stated.load(Ordering::Acquire) {
        let text = format_args!(
            "{}: it had power and never stated its link; call NetAdapterSetLinkState, if only to \
             say that there is none",
            adapter.handle()
        );
        advise(FailureCode::ShimLinkStateNeverSet, text);
    }
}

/// A queue that does not end holds up the device: a breach of its own.
fn not_ended(call: &str, adapter: &AdapterObject, error: &AdapterError) {
    match error {
        AdapterError::Timeout { .. } => breach(
            FailureCode::ShimQueueNotIdle,
            format_args!("{call}: {}: {error}", adapter.handle()),
        ),
        _ => log::error!("{call}: {}: {error}", adapter.handle()),
    }
}

/// The object is being deleted: what still runs is ended.
pub(super) fn dispose(adapter: &AdapterObject) {
    if adapter.is_started() {
        breach(
            FailureCode::RemovingDeviceWithAdapters,
            format_args!("{} is deleted while it is started", adapter.handle()),
        );
        io_stop(adapter);
        stop(adapter);
    }
    drop(adapter.retire());
    lock(&adapter.claim).take();
}
