//! What the client gets from its host, which mostly asks its supervisor for it.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netadapter_shim::door::client_host::{ClientHost, ConfigurationScope, IoListener};
use netadapter_shim::door::configuration_store::ConfigurationStore;
use netadapter_shim::{AdapterConfig, ExecutionConfig, SystemPort};

use super::port::ClientPort;
use crate::channel::{Ask, ClientAsk, ClientSetup, Place, SharedLine, exactly_one};
use crate::config::Stores;

/// Ring elements for clients that have no wish. Many emulate a link on a thread of their own and
/// drop what finds the receive ring full: it must last for as long as the scheduler may keep the
/// queue's thread waiting, which is milliseconds where processors are few.
const TX_RING: u32 = 128;
const RX_RING: u32 = 1024;

/// Whether the host is about to end. What becomes of interfaces and sockets from then on is not its
/// matter: the next host may be about to begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaving(Arc<AtomicBool>);

impl Leaving {
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Adapters that are gone and had an interface.
pub(super) type Vacated = Arc<Mutex<BTreeSet<usize>>>;

/// The ground that the client stands on.
pub(super) struct Ground {
    line: SharedLine,
    pub(super) leaving: Leaving,
    stores: Stores,
    verifier: bool,
    deadline: Duration,
    /// Adapters created so far.
    adapters: AtomicUsize,
    vacated: Vacated,
}

impl Ground {
    pub(super) fn new(setup: &ClientSetup, line: SharedLine, leaving: Leaving) -> Self {
        Self {
            line,
            leaving,
            stores: Stores::new(setup.section.clone()),
            verifier: setup.verifier,
            deadline: Duration::from_millis(setup.deadline_ms),
            adapters: AtomicUsize::new(0),
            vacated: Vacated::default(),
        }
    }

    /// How many adapters were created so far.
    pub(super) fn adapters(&self) -> usize {
        self.adapters.load(Ordering::Relaxed)
    }

    /// Nobody takes the places of those that are gone: their interfaces go.
    pub(super) fn leave_vacated(&self) {
        for adapter in std::mem::take(&mut *lock(&self.vacated)) {
            self.ask(ClientAsk::Leave(adapter));
        }
    }

    /// Has something done that does not matter enough to fail because of it.
    fn ask(&self, ask: ClientAsk) {
        if let Err(error) = self.line.have_done(Ask::Client(ask.clone())) {
            log::warn!("{ask:?}: {error}");
        }
    }

    fn listen(&self, place: Place) -> io::Result<Option<IoListener>> {
        let ask = Ask::Client(ClientAsk::Listen(place));
        let (_, fds) = self.line.lock().ask(ask)?;
        let [fd] = exactly_one(fds)?;
        let (line, leaving) = (self.line.clone(), self.leaving.clone());
        let closed = move || {
            if !leaving.has_begun() {
                // A supervisor that is gone has closed it already.
                let _ = line.have_done(Ask::Client(ClientAsk::Close(place)));
            }
        };
        Ok(Some(IoListener::new(UnixListener::from(fd), closed)))
    }
}

fn lock(vacated: &Vacated) -> MutexGuard<'_, BTreeSet<usize>> {
    // Plain values, whole whoever panicked while holding the lock.
    vacated.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An adapter that had an interface is gone.
pub(super) fn vacate(vacated: &Vacated, adapter: usize) {
    lock(vacated).insert(adapter);
}

impl ClientHost for Ground {
    fn open_port(&self, adapter: usize) -> io::Result<Box<dyn SystemPort>> {
        self.adapters.fetch_max(adapter + 1, Ordering::Relaxed);
        lock(&self.vacated).remove(&adapter);
        let vacated = Arc::clone(&self.vacated);
        let port = ClientPort::new(adapter, self.line.clone(), self.leaving.clone(), vacated);
        Ok(Box::new(port))
    }

    fn configuration(&self, scope: ConfigurationScope) -> Arc<dyn ConfigurationStore> {
        self.stores.open(scope)
    }

    fn io_socket(&self, device: usize) -> io::Result<Option<IoListener>> {
        self.listen(Place::Device(device))
    }

    fn control_socket(&self, device: usize) -> io::Result<Option<IoListener>> {
        self.listen(Place::Control(device))
    }

    fn adapter_config(&self) -> AdapterConfig {
        AdapterConfig {
            execution: ExecutionConfig::default(),
            verifier: self.verifier,
            // Before the callback that waits for the queues counts as one that does not return.
            deadline: (self.deadline / 2).min(Duration::from_secs(10)),
            tx_ring: TX_RING,
            rx_ring: RX_RING,
            ..AdapterConfig::default()
        }
    }
}
