//! Who runs what is due: one thread that keeps the time, and a few that work.
//!
//! ```text
//!   schedule ── due, by time ── the timekeeper ── ready ── a worker
//! ```
//!
//! A routine that waits keeps its worker. As long as nothing starves, a few
//! workers are enough; when something has been ready for a while, one more is
//! started.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What is run.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Workers that are started as soon as there is work for them.
const FEW: usize = 4;
/// Workers there are at most.
const MOST: usize = 64;
/// How long a job may be ready before it counts as starving.
const STARVING: Duration = Duration::from_millis(50);
/// How long a worker waits for work before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// A timekeeper and its workers.
pub(super) struct Pool {
    state: Mutex<State>,
    /// Something is due earlier, or became ready: for the timekeeper.
    sooner: Condvar,
    /// A job is ready: for workers.
    work: Condvar,
}

struct State {
    /// By time, and by number where the time is the same.
    due: BTreeMap<(Instant, u64), Job>,
    ready: VecDeque<(Instant, Job)>,
    next_number: u64,
    workers: usize,
    idle: usize,
    keeps_time: bool,
}

/// The one of the process.
pub(super) static POOL: Pool = Pool::new();

impl Pool {
    const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                due: BTreeMap::new(),
                ready: VecDeque::new(),
                next_number: 0,
                workers: 0,
                idle: 0,
                keeps_time: false,
            }),
            sooner: Condvar::new(),
            work: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a job run at that time or soon after; says whether anybody will.
    pub(super) fn schedule(&'static self, due: Instant, job: Job) -> bool {
        let mut state = self.state();
        if !state.keeps_time {
            state.keeps_time = started("umnet-timer", || self.keep_time());
        }
        let number = state.next_number;
        state.next_number += 1;
        state.due.insert((due, number), job);
        self.sooner.notify_one();
        state.keeps_time
    }

    /// Moves jobs whose time has come, and starts workers.
    fn keep_time(&'static self) {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            while let Some(job) = state.take_due(now) {
                state.ready.push_back((now, job));
                self.work.notify_one();
            }
            if state.needs_worker(now) && started("umnet-deferred", || self.work_off()) {
                state.workers += 1;
            }
            state = self.wait_for(&self.sooner, state, now);
        }
    }

    /// Until something is due or starving, or the condition says so.
    fn wait_for<'a>(
        &self,
        condition: &Condvar,
        state: MutexGuard<'a, State>,
        now: Instant,
    ) -> MutexGuard<'a, State> {
        match state.next_look(now) {
            Some(patience) => {
                let waited = condition.wait_timeout(state, patience);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => condition
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Runs jobs until there have been none for a while.
    fn work_off(&self) {
        let mut state = self.state();
        loop {
            if let Some((_, job)) = state.ready.pop_front() {
                drop(state);
                job();
                state = self.state();
                continue;
            }
            state.idle += 1;
            let waited = self.work.wait_timeout(state, IDLE);
            let (back, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = back;
            state.idle -= 1;
            if timeout.timed_out() && state.ready.is_empty() {
                state.workers -= 1;
                return;
            }
        }
    }
}

impl State {
    fn take_due(&mut self, now: Instant) -> Option<Job> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Whether what is ready waits for a worker that does not exist.
    fn needs_worker(&self, now: Instant) -> bool {
        let Some((since, _)) = self.ready.front() else {
            return false;
        };
        let starving = now.saturating_duration_since(*since) >= STARVING;
        self.ready.len() > self.idle && (self.workers < FEW || (starving && self.workers < MOST))
    }

    /// How long the timekeeper may sleep; `None` until it is woken.
    fn next_look(&self, now: Instant) -> Option<Duration> {
        let due = self.due.first_key_value().map(|((due, _), _)| *due);
        let starving = self
            .ready
            .front()
            .map(|(since, _)| (*since + STARVING).max(now + STARVING / 4));
        let next = due.into_iter().chain(starving).min()?;
        Some(next.saturating_duration_since(now))
    }
}

fn started(name: &str, run: impl FnOnce() + Send + 'static) -> bool {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    if let Err(error) = &spawned {
        log::error!("no thread for timers and work items: {error}");
    }
    spawned.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn pool() -> &'static Pool {
        Box::leak(Box::new(Pool::new()))
    }

    #[test]
    fn jobs_run_in_the_order_of_their_times() {
        let (pool, now) = (pool(), Instant::now());
        let (sender, order) = channel();
        for (name, after) in [("late", 40), ("soon", 10), ("middle", 25)] {
            let sender = sender.clone();
            let job = Box::new(move || sender.send(name).unwrap());
            assert!(pool.schedule(now + Duration::from_millis(after), job));
        }
        drop(sender);
        assert_eq!(order.iter().collect::<Vec<_>>(), ["soon", "middle", "late"]);
        assert!(now.elapsed() >= Duration::from_millis(40));
    }

    #[test]
    fn many_jobs_share_a_few_workers() {
        let (pool, now) = (pool(), Instant::now());
        let (sender, done) = channel();
        for _ in 0..200 {
            let sender = sender.clone();
            let job = Box::new(move || sender.send(thread::current().id()).unwrap());
            pool.schedule(now, job);
        }
        drop(sender);
        let workers: std::collections::HashSet<_> = done.iter().collect();
        assert!(workers.len() <= FEW, "{} workers", workers.len());
    }

    #[test]
    fn jobs_that_wait_do_not_stop_the_others() {
        let (pool, now) = (pool(), Instant::now());
        let (release, gate) = channel::<()>();
        let gate = std::sync::Arc::new(Mutex::new(gate));
        for _ in 0..2 * FEW {
            let gate = std::sync::Arc::clone(&gate);
            let wait = move || gate.lock().unwrap().recv().unwrap_or_default();
            pool.schedule(now, Box::new(wait));
        }
        let (sender, done) = channel();
        pool.schedule(now, Box::new(move || sender.send(()).unwrap()));
        let waited = done.recv_timeout(Duration::from_secs(10));
        drop(release);
        waited.unwrap();
    }
}
