//! Watches how long queue callbacks take.
//!
//! A callback that comes back late is found by the thread that called it; one
//! that does not come back by a thread of its own, which looks around a few
//! times a second.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::abi::FailureCode;
use crate::door::fail::{breach, verifier};

/// How long a callback of a queue may take: far more than any that keeps to
/// the contract, which is not to wait.
static BUDGET_MS: AtomicU64 = AtomicU64::new(2_000);
/// When a callback counts as one that never returns.
static STUCK_MS: AtomicU64 = AtomicU64::new(10_000);
/// Pause between two looks at the callbacks under way.
const LOOK: Duration = Duration::from_millis(100);

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
static WATCHED: Mutex<Vec<Weak<Watched>>> = Mutex::new(Vec::new());
static RUNNING: AtomicBool = AtomicBool::new(false);

/// Sets both limits for the whole process.
pub(crate) fn set_limits(budget: Duration, stuck: Duration) {
    BUDGET_MS.store(budget.as_millis() as u64, Ordering::Relaxed);
    STUCK_MS.store(stuck.as_millis() as u64, Ordering::Relaxed);
}

/// Milliseconds since the first use, never 0.
fn now() -> u64 {
    EPOCH.elapsed().as_millis() as u64 + 1
}

/// One queue's calls.
struct Watched {
    queue: String,
    /// When the call under way began; 0 between calls.
    since: AtomicU64,
    name: Mutex<&'static str>,
}

/// Times the callbacks of one queue.
pub(super) struct Pace(Arc<Watched>);

impl Pace {
    pub(super) fn new(queue: String) -> Self {
        let watched = Arc::new(Watched {
            queue,
            since: AtomicU64::new(0),
            name: Mutex::new(""),
        });
        let mut all = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::downgrade(&watched));
        drop(all);
        look_around();
        Self(watched)
    }

    /// Makes a call and times it, if the verifier is on.
    pub(super) fn time<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> T {
        if !verifier() {
            return call();
        }
        let began = now();
        *self.0.name.lock().unwrap_or_else(PoisonError::into_inner) = name;
        self.0.since.store(began, Ordering::Release);
        let result = call();
        self.0.since.store(0, Ordering::Release);
        let (took, budget) = (now() - began, BUDGET_MS.load(Ordering::Relaxed));
        if took > budget {
            breach(
                FailureCode::ShimCallbackOverBudget,
                format_args!(
                    "{}: {name} took {took} ms, more than its {budget} ms; queue callbacks must \
                     not wait",
                    self.0.queue
                ),
            );
        }
        result
    }
}

/// Starts the watching thread once.
fn look_around() {
    if RUNNING.swap(true, Ordering::AcqRel) {
        return;
    }
    let spawned = std::thread::Builder::new()
        .name("umnet-watch".to_owned())
        .spawn(|| {
            loop {
                std::thread::sleep(LOOK);
                look();
            }
        });
    if let Err(error) = spawned {
        log::warn!("callbacks that never return will not be noticed: {error}");
    }
}

/// Looks at all queues; forgets those that are gone.
fn look() {
    let mut all = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|watched| watched.strong_count() > 0);
    let alive: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
    drop(all);
    for watched in alive {
        watched.check();
    }
}

impl Watched {
    fn check(&self) {
        let since = self.since.load(Ordering::Acquire);
        let limit = STUCK_MS.load(Ordering::Relaxed);
        if since == 0 || now().saturating_sub(since) < limit {
            return;
        }
        // Told once, unless the call returns and another one hangs.
        let told = self
            .since
            .compare_exchange(since, 0, Ordering::AcqRel, Ordering::Acquire);
        if told.is_ok() {
            let name = *self.name.lock().unwrap_or_else(PoisonError::into_inner);
            breach(
                FailureCode::ShimCallbackStuck,
                format_args!(
                    "{}: {name} has not returned for {limit} ms; it must return at once",
                    self.queue
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::recorded;

    #[test]
    fn a_slow_call_is_a_breach_that_names_queue_and_callback() {
        let pace = Pace::new("tx queue 3".to_owned());
        pace.time("EvtStart", || ());
        assert!(recorded::take().is_empty());
        let limits = BUDGET_MS.swap(5, Ordering::Relaxed);
        pace.time("EvtPacketQueueAdvance", || {
            std::thread::sleep(Duration::from_millis(20))
        });
        BUDGET_MS.store(limits, Ordering::Relaxed);
        let text = recorded::take_one(FailureCode::ShimCallbackOverBudget);
        assert!(
            text.starts_with("tx queue 3: EvtPacketQueueAdvance took"),
            "{text}"
        );
    }

    #[test]
    fn a_call_that_does_not_return_is_told_once() {
        let watched = Watched {
            queue: "rx queue 0".to_owned(),
            since: AtomicU64::new(0),
            name: Mutex::new("EvtPacketQueueCancel"),
        };
        watched.check();
        assert!(recorded::take().is_empty(), "no call is under way");
        let limit = STUCK_MS.load(Ordering::Relaxed);
        let _ = now();
        // A call that began as long ago as a call may take.
        STUCK_MS.store(0, Ordering::Relaxed);
        watched.since.store(1, Ordering::Relaxed);
        watched.check();
        watched.check();
        STUCK_MS.store(limit, Ordering::Relaxed);
        let text = recorded::take_one(FailureCode::ShimCallbackStuck);
        assert!(
            text.contains("EvtPacketQueueCancel has not returned"),
            "{text}"
        );
    }
}
