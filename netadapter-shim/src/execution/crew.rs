//! Threads made ahead of their work, for a process that may not make any later on: one that has
//! given up the right to, or wants none of the cost on a way that has to be short.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::os::sched;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads that take jobs one after the other.
///
/// They end when the crew is dropped and their last job is done.
pub struct Crew {
    jobs: SyncSender<Job>,
    idle: Arc<AtomicUsize>,
}

impl Crew {
    /// Makes `count` threads called `name`, each of which has run once through what a thread does
    /// only at its start when this returns.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn new(count: usize, name: &str) -> io::Result<Self> {
        Self::made(count, name, &[])
    }

    /// The same, but each thread stays on a processor, one after the other in turn. Where the
    /// system does not say which there are, they stay free.
    ///
    /// # Errors
    /// As [`Crew::new`].
    pub fn pinned(count: usize, name: &str) -> io::Result<Self> {
        Self::made(count, name, &sched::processors())
    }

    fn made(count: usize, name: &str, processors: &[usize]) -> io::Result<Self> {
        let (jobs, taken) = sync_channel::<Job>(count);
        let taken = Arc::new(Mutex::new(taken));
        let idle = Arc::new(AtomicUsize::new(count));
        let (ready, readiness) = sync_channel(count);
        let mut in_turn = processors.iter().copied().cycle();
        for _ in 0..count {
            let (taken, idle, ready) = (Arc::clone(&taken), Arc::clone(&idle), ready.clone());
            let processor = in_turn.next();
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || {
                    warm_up();
                    stay_on(processor);
                    let _ = ready.send(());
                    drop(ready);
                    work(&taken, &idle);
                })?;
        }
        drop(ready);
        for _ in 0..count {
            let up = readiness.recv();
            up.map_err(|_| io::Error::other("a thread ended at once"))?;
        }
        Ok(Self { jobs, idle })
    }

    /// Has an idle thread do `job`. What a panic in it means is the job's own matter.
    ///
    /// # Errors
    /// `WouldBlock` when every thread is busy: nothing ever waits for one.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let one_less = |idle: usize| idle.checked_sub(1);
        let taken = self
            .idle
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
        if taken.is_err() {
            let text = "all threads that were made ahead are busy";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
        }
        // There is room: never more jobs are on their way than there are idle threads.
        self.jobs
            .try_send(Box::new(job))
            .map_err(|_| io::Error::other("the threads made ahead have ended"))
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = self.idle.load(Ordering::Relaxed);
        write!(f, "Crew({idle} idle)")
    }
}

/// What a thread asks of the system the first time only: the seed of its hash maps.
fn warm_up() {
    let _ = std::hash::RandomState::new();
}

/// What is not permitted is said and left.
fn stay_on(processor: Option<usize>) {
    if let Some(processor) = processor
        && let Err(error) = sched::pin(processor)
    {
        log::warn!("cannot keep a thread on processor {processor}: {error}");
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, idle: &AtomicUsize) {
    loop {
        // Whoever panicked did so in a job, without the lock.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A panic was printed by the hook already.
        let _ = catch_unwind(AssertUnwindSafe(job));
        idle.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    fn wait_for_idle(crew: &Crew, count: usize) {
        let start = Instant::now();
        while crew.idle.load(Ordering::Acquire) != count {
            assert!(start.elapsed() < Duration::from_secs(5), "{crew:?}");
            thread::yield_now();
        }
    }

    #[test]
    fn pinned_threads_share_out_the_processors() {
        let all = sched::processors();
        let crew = Crew::pinned(all.len(), "test").unwrap();
        let (sender, receiver) = channel();
        let (hold, held) = channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for _ in 0..all.len() {
            let (sender, held) = (sender.clone(), Arc::clone(&held));
            crew.run(move || {
                sender.send(sched::processors()).unwrap();
                // Nobody is done before all have begun.
                let _ = held.lock().unwrap().recv();
            })
            .unwrap();
        }
        let mut used: Vec<_> = receiver.iter().take(all.len()).flatten().collect();
        used.sort_unstable();
        drop(hold);
        assert_eq!(used, all);
    }

    #[test]
    fn a_job_that_finds_all_threads_busy_is_refused() {
        let crew = Crew::new(2, "crew").unwrap();
        let (go, wait) = channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        for _ in 0..2 {
            let wait = Arc::clone(&wait);
            let hold = move || while wait.lock().unwrap().recv().is_ok() {};
            crew.run(hold).unwrap();
        }
        let refused = crew.run(|| ()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(go);
        wait_for_idle(&crew, 2);
        crew.run(|| ()).unwrap();
    }

    #[test]
    fn jobs_run_on_the_threads_made_ahead_and_a_panic_costs_none() {
        let crew = Crew::new(1, "crew").unwrap();
        let (tell, told) = channel();
        for round in 0..6 {
            wait_for_idle(&crew, 1);
            let tell = tell.clone();
            crew.run(move || {
                tell.send(thread::current().id()).unwrap();
                assert!(round % 2 == 0, "as asked");
            })
            .unwrap();
        }
        drop(tell);
        let mut threads = BTreeSet::new();
        let seen = told.iter().map(|id| threads.insert(format!("{id:?}")));
        let count = seen.count();
        assert_eq!((count, threads.len()), (6, 1));
    }
}
