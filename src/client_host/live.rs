//! What the control thread of a client's run shares with those who ask it: what there is now, and
//! what they want to happen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netadapter_shim::door::hosted::HostedAdapter;
use vmm_sys_util::eventfd::EventFd;

use super::port::SharedSeat;
use crate::control::DeviceEvent;

/// What changes during a run, as those who ask are to see it.
#[derive(Default)]
pub(super) struct Shared {
    adapters: Mutex<Vec<Seated>>,
    restarts: AtomicU64,
}

/// An adapter with its seat in the system.
pub(super) type Seated = (HostedAdapter, SharedSeat);

impl Shared {
    fn locked(&self) -> MutexGuard<'_, Vec<Seated>> {
        self.adapters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The adapters there are.
    pub(super) fn adapters(&self) -> Vec<Seated> {
        self.locked().clone()
    }

    /// How often a device was restarted.
    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// The adapters there are now, and how often a device was restarted by now.
    pub(super) fn update(&self, adapters: Vec<Seated>, restarts: u64) {
        *self.locked() = adapters;
        self.restarts.store(restarts, Ordering::Relaxed);
    }
}

/// Something that is to happen to the devices, and who waits for it.
pub(super) struct Wish {
    pub(super) event: DeviceEvent,
    pub(super) done: Sender<Result<(), String>>,
}

/// Brings wishes to the control thread of the run.
pub(super) struct EventSender {
    wishes: Mutex<Sender<Wish>>,
    waker: EventFd,
}

/// How long a client may take for what is to happen, before whoever asked is told to look later.
const PATIENCE: Duration = Duration::from_secs(8);

impl EventSender {
    pub(super) fn new(wishes: Sender<Wish>, waker: EventFd) -> Self {
        Self {
            wishes: Mutex::new(wishes),
            waker,
        }
    }

    fn send(&self, wish: Wish) -> Result<(), String> {
        let wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = |_| "the run is ending".to_owned();
        wishes.send(wish).map_err(ended)?;
        self.waker.write(1).map_err(|error| error.to_string())
    }

    /// Has something happen, and waits for it.
    ///
    /// # Errors
    /// What went wrong, in a sentence.
    pub(super) fn happen(&self, event: DeviceEvent) -> Result<(), String> {
        let (done, answer) = channel();
        self.send(Wish { event, done })?;
        let late = |_| format!("not done within {PATIENCE:?}; it goes on");
        answer.recv_timeout(PATIENCE).map_err(late)?
    }
}
