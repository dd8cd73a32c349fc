//! Counting frames at their destination, and telling when all of them have come.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::BenchError;
use super::clock::Stopwatch;

/// How long frames may stand still before they count as lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// What has arrived, counted by one thread and awaited by another.
#[derive(Debug)]
pub(super) struct Tally {
    count: AtomicU64,
    until: AtomicU64,
    changed: AtomicU64,
    done: Sender<()>,
    arrival: Mutex<Receiver<()>>,
}

impl Default for Tally {
    fn default() -> Self {
        let (done, arrival) = channel();
        Self {
            count: AtomicU64::new(0),
            until: AtomicU64::new(0),
            changed: AtomicU64::new(0),
            done,
            arrival: Mutex::new(arrival),
        }
    }
}

impl Tally {
    /// Counts frames that arrived; the one thread that does must not be told of more than are
    /// awaited.
    #[inline]
    pub(super) fn add(&self, frames: u64) {
        let count = self.count.load(Ordering::Relaxed) + frames;
        self.count.store(count, Ordering::Relaxed);
        if count == self.until.load(Ordering::Acquire) && frames > 0 {
            // Nobody waits any more when a measurement was given up.
            let _ = self.done.send(());
        }
    }

    /// What has arrived so far.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Notes whether a frame arrived as it was sent.
    pub(super) fn compared(&self, same: bool) {
        self.changed.fetch_add(u64::from(!same), Ordering::Relaxed);
    }

    /// Frames that arrived changed.
    pub(super) fn changed(&self) -> u64 {
        self.changed.load(Ordering::Relaxed)
    }

    /// Lets `begin` set `frames` on their way; how long it takes until the last has arrived.
    ///
    /// # Errors
    /// [`BenchError::Lost`] when they do not all arrive.
    pub(super) fn time(&self, frames: u64, begin: impl FnOnce()) -> Result<Duration, BenchError> {
        self.await_more(frames);
        let watch = Stopwatch::start();
        begin();
        self.wait(frames)?;
        Ok(watch.elapsed())
    }

    /// Expects so many frames more.
    pub(super) fn await_more(&self, frames: u64) {
        self.until.fetch_add(frames, Ordering::Release);
    }

    /// Waits until all frames have arrived, the last of which were so many.
    ///
    /// # Errors
    /// As for [`Self::time`].
    pub(super) fn wait(&self, frames: u64) -> Result<(), BenchError> {
        let arrival = self.arrival.lock();
        let arrival = arrival.unwrap_or_else(std::sync::PoisonError::into_inner);
        match arrival.recv_timeout(PATIENCE) {
            Ok(()) => Ok(()),
            Err(_) => Err(BenchError::Lost {
                missing: self.until.load(Ordering::Relaxed) - self.count.load(Ordering::Relaxed),
                frames,
            }),
        }
    }
}
