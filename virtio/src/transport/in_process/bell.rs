//! Doorbells: how the driver's threads and the link reach the device without its lock.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use vmm_sys_util::eventfd::EventFd;

/// All doorbells of a device and the event its thread sleeps on.
#[derive(Debug)]
pub(super) struct Bells {
    rung: Box<[AtomicBool]>,
    /// Up to where the last ring of each queue said that there are buffers, or [`NOT_TOLD`].
    told: Box<[AtomicU32]>,
    /// Something happened since the device last looked.
    pending: AtomicBool,
    /// The device's thread is about to sleep or sleeps.
    sleeping: AtomicBool,
    wake: EventFd,
    /// Whether ringing is allowed: from DRIVER_OK to reset.
    live: AtomicBool,
    early: AtomicU64,
    rings: AtomicU64,
}

/// No position, which has 16 bits.
const NOT_TOLD: u32 = u32::MAX;

impl Bells {
    pub(super) fn new(queues: usize) -> io::Result<Self> {
        Ok(Self {
            rung: (0..queues).map(|_| AtomicBool::new(false)).collect(),
            told: (0..queues).map(|_| AtomicU32::new(NOT_TOLD)).collect(),
            pending: AtomicBool::new(false),
            sleeping: AtomicBool::new(false),
            wake: EventFd::new(libc::EFD_CLOEXEC)?,
            live: AtomicBool::new(false),
            early: AtomicU64::new(0),
            rings: AtomicU64::new(0),
        })
    }

    /// The driver rings for `queue`, and says up to where it has buffers.
    pub(super) fn ring(&self, queue: u16, position: Option<u16>) {
        self.rings.fetch_add(1, Ordering::Relaxed);
        if !self.live.load(Ordering::Acquire) {
            self.early.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(told) = self.told.get(usize::from(queue)) {
            told.store(position.map_or(NOT_TOLD, u32::from), Ordering::Relaxed);
        }
        if let Some(rung) = self.rung.get(usize::from(queue)) {
            rung.store(true, Ordering::Release);
        }
        self.wake();
    }

    /// Up to where the last ring of `queue` said that there are buffers.
    pub(super) fn told(&self, queue: u16) -> Option<u16> {
        let told = self.told.get(usize::from(queue))?.load(Ordering::Relaxed);
        u16::try_from(told).ok()
    }

    /// Makes the device look, for whatever reason.
    pub(super) fn wake(&self) {
        // The order of these two and of their mirror image in `sleep` is what loses no wake-up.
        self.pending.store(true, Ordering::SeqCst);
        if self.sleeping.swap(false, Ordering::SeqCst) {
            // Fails only when 2^64 - 2 wake-ups are waiting to be seen.
            let _ = self.wake.write(1);
        }
    }

    /// The device looks now; what happens from here on wakes it again.
    pub(super) fn start_looking(&self) {
        self.pending.store(false, Ordering::SeqCst);
    }

    /// Takes the ring of `queue`, if it was rung.
    pub(super) fn take(&self, queue: u16) -> bool {
        self.rung
            .get(usize::from(queue))
            .is_some_and(|rung| rung.swap(false, Ordering::Acquire))
    }

    /// Forgets that `queue` was rung.
    pub(super) fn forget(&self, queue: u16) {
        self.take(queue);
    }

    /// Leaves `queue` rung, because there is more than could be served now.
    pub(super) fn again(&self, queue: u16) {
        if let Some(rung) = self.rung.get(usize::from(queue)) {
            rung.store(true, Ordering::Release);
        }
        self.pending.store(true, Ordering::SeqCst);
    }

    /// Sleeps until woken, unless something happened since [`Bells::start_looking`].
    pub(super) fn sleep(&self) {
        self.sleeping.store(true, Ordering::SeqCst);
        if self.pending.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst) {
            return;
        }
        // Either nothing has happened, or the waker has seen `sleeping` and writes the event.
        let _ = self.wake.read();
    }

    /// Allows or forbids ringing, and forgets old rings.
    pub(super) fn set_live(&self, live: bool) {
        if !live {
            self.rung
                .iter()
                .for_each(|rung| rung.store(false, Ordering::Relaxed));
        }
        self.live.store(live, Ordering::Release);
    }

    /// How often a doorbell was rung while that was not allowed.
    pub(super) fn early_rings(&self) -> u64 {
        self.early.load(Ordering::Relaxed)
    }

    /// How often doorbells were rung.
    pub(super) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Relaxed)
    }
}
