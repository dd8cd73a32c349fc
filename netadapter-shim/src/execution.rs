//! Execution contexts: one thread per pair of queues that polls, arms, polls
//! once more and sleeps.
//!
//! ```text
//!   turn ── work ──> turn
//!     │ none
//!   look on for a while, if that has paid lately
//!     │ none
//!   arm both clients
//!     │
//!   turn ── work ──> turn        arming without this look loses wake-ups
//!     │ none
//!   sleep until the port is readable, an interrupt, or a notification
//! ```
//!
//! While there is work no descriptor is asked whether it is ready; an idle
//! context sleeps without a timer, unless a client wants its tick.

mod busy_poll;
mod context;
mod crew;
#[cfg(all(test, loom))]
mod models;
mod rest;
mod sources;

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::queue::{Direction, QueueFault, QueuePair};
use crate::wake::Waker;
use context::Context;
pub use crew::Crew;
use sources::Sources;

/// How an adapter's execution contexts run.
#[derive(Clone, Debug)]
pub struct ExecutionConfig {
    /// Threads are called this, followed by `-q` and the pair's number. The
    /// system cuts names at 15 bytes.
    pub name: String,
    /// Runs the threads under `SCHED_BATCH`: a wake-up then does not preempt
    /// who caused it, so on one processor frames come in batches. Costs latency
    /// when the processor is busy.
    pub sched_batch: bool,
    /// Nice value of the threads. Below 0, who is woken by a received frame does not take the
    /// processor away before the batch is through, as with the kernel's soft interrupts.
    pub nice: i32,
    /// Received frames after which a thread that has not slept sleeps for some microseconds,
    /// so that those it woke can take them. Worth it where they share its processor.
    pub pause_after: Option<u32>,
    /// Longest time that a thread which finds nothing looks on before it sleeps; none: it sleeps at
    /// once. It looks only when the last waits were no longer than that. Takes a processor while
    /// frames come, so it is for machines that have one more than the adapter has contexts.
    pub busy_poll: Duration,
    /// Most frames taken from the port per turn; large ones end it after 256 KiB.
    pub budget: u32,
    /// Threads to run on, which keep the name and the scheduling they were made with; without any,
    /// each context gets a thread of its own when its queues are created.
    pub crew: Option<Arc<Crew>>,
}

impl Default for ExecutionConfig {
    fn default() -> Self {
        Self {
            name: "umnet".to_owned(),
            sched_batch: false,
            nice: 0,
            pause_after: None,
            busy_poll: Duration::ZERO,
            budget: 64,
            crew: None,
        }
    }
}

impl ExecutionConfig {
    /// Has the system schedule the calling thread as contexts want to be, for a [`Crew`] to be
    /// made by it. What is not permitted is said in the log and left.
    pub fn schedule_this_thread(&self) {
        self.scheduling().apply();
    }

    fn scheduling(&self) -> Scheduling {
        Scheduling {
            batch: self.sched_batch,
            nice: self.nice,
            exact_timers: self.pause_after.is_some(),
        }
    }
}

/// What the control thread asks of a context.
#[derive(Clone, Copy, Debug)]
enum Task {
    Start(Direction),
    Open,
    Cancel(Direction),
    /// Answered once both clients have given everything back, or at the
    /// deadline.
    Drain(Instant),
    Stop(Direction),
    /// Nothing: the answer says that the poll loop goes round.
    Pulse,
    /// The last one.
    Exit,
}

type Reply = Result<(), String>;

/// A task and where its answer goes.
struct Request {
    task: Task,
    reply: SyncSender<Reply>,
}

/// Why a context did not do what it was asked.
#[derive(Debug)]
pub(crate) enum CallError {
    /// It answered that it cannot.
    Refused(String),
    /// It did not answer in time: the client is stuck in a callback.
    Stuck,
    /// Its thread is gone: the client panicked.
    Gone,
}

/// Is called with the number of the pair as soon as a client breaks the ring
/// contract, by the queue's own thread.
#[derive(Clone)]
pub struct FaultHook(Arc<Hook>);

type Hook = dyn Fn(usize, &QueueFault) + Send + Sync;

impl FaultHook {
    /// Wraps a function.
    pub fn new(hook: impl Fn(usize, &QueueFault) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn call(&self, queue: usize, fault: &QueueFault) {
        (self.0)(queue, fault);
    }
}

impl std::fmt::Debug for FaultHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultHook")
    }
}

/// Faults of all queues of an adapter, and a descriptor that tells of them.
pub(crate) struct Faults {
    list: Mutex<Vec<(usize, QueueFault)>>,
    event: EventFd,
    hook: Option<FaultHook>,
}

impl Faults {
    pub(crate) fn new(hook: Option<FaultHook>) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            list: Mutex::new(Vec::new()),
            event: EventFd::new(EFD_NONBLOCK)?,
            hook,
        }))
    }

    /// Readable after a fault.
    pub(crate) fn event(&self) -> &EventFd {
        &self.event
    }

    fn note(&self, queue: usize, fault: QueueFault) {
        log::error!("queue pair {queue}: {fault}; the queue is not called any more");
        if let Some(hook) = &self.hook {
            hook.call(queue, &fault);
        }
        self.list().push((queue, fault));
        let _ = self.event.write(1);
    }

    pub(crate) fn take(&self) -> Vec<(usize, QueueFault)> {
        let _ = self.event.read();
        std::mem::take(&mut *self.list())
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<(usize, QueueFault)>> {
        // A list of plain values is whole whoever panicked while holding it.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The control thread's handle of one context.
pub(crate) struct ExecutionContext {
    waker: Arc<Waker>,
    requests: Sender<Request>,
    /// Hears once when the thread has left the poll loop; closed if it panicked.
    ended: Receiver<()>,
}

/// What a context is built from.
pub(crate) struct ContextParts {
    pub(crate) index: usize,
    pub(crate) pair: QueuePair,
    pub(crate) waker: Arc<Waker>,
    pub(crate) interrupts: Vec<Arc<EventFd>>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) pause_after: Option<u32>,
    pub(crate) busy_poll: Duration,
}

impl ExecutionContext {
    /// Starts the thread; it polls nothing until its queues are started.
    pub(crate) fn spawn(parts: ContextParts, config: &ExecutionConfig) -> io::Result<Self> {
        let name = format!("{}-q{}", config.name, parts.index);
        let (requests, tasks) = channel();
        let (ready, readiness) = sync_channel(1);
        let waker = parts.waker.clone();
        let scheduling = config.crew.is_none().then(|| config.scheduling());
        let (end, ended) = sync_channel(1);
        let poll = move || {
            run(parts, tasks, scheduling, &ready);
            let _ = end.send(());
        };
        match &config.crew {
            Some(crew) => crew.run(poll)?,
            None => drop(std::thread::Builder::new().name(name).spawn(poll)?),
        }
        let built = readiness.recv();
        built.unwrap_or_else(|_| Err(io::Error::other("the thread ended at once")))?;
        Ok(Self {
            waker,
            requests,
            ended,
        })
    }

    /// EvtStart of one queue.
    pub(crate) fn start(&self, direction: Direction, patience: Duration) -> Result<(), CallError> {
        self.call(Task::Start(direction), patience)
    }

    /// All queues of the adapter are started: the stack may send.
    pub(crate) fn open(&self, patience: Duration) -> Result<(), CallError> {
        self.call(Task::Open, patience)
    }

    /// EvtCancel of one queue.
    pub(crate) fn cancel(&self, direction: Direction, patience: Duration) -> Result<(), CallError> {
        self.call(Task::Cancel(direction), patience)
    }

    /// Advances until both clients have given everything back.
    pub(crate) fn drain(&self, deadline: Duration) -> Result<(), CallError> {
        let at = Instant::now() + deadline;
        // The context keeps the deadline itself; beyond it only a stuck
        // client keeps it from answering.
        self.call(Task::Drain(at), deadline + Duration::from_millis(500))
    }

    /// EvtStop of one queue.
    pub(crate) fn stop(&self, direction: Direction, patience: Duration) -> Result<(), CallError> {
        self.call(Task::Stop(direction), patience)
    }

    /// Asks whether the poll loop goes round, with neither client stuck in a callback; the answer
    /// is waited for when several have been asked.
    pub(crate) fn ask_pulse(&self) -> Result<Answer, CallError> {
        self.ask(Task::Pulse)
    }

    /// What the poll loop is asked by, beside this.
    pub(crate) fn heart(&self) -> Heart {
        Heart {
            waker: Arc::clone(&self.waker),
            requests: self.requests.clone(),
        }
    }

    /// Ends the poll loop and waits for it. A stuck one is left behind.
    pub(crate) fn exit(self, patience: Duration) -> Result<(), CallError> {
        self.call(Task::Exit, patience)?;
        match self.ended.recv_timeout(patience) {
            Ok(()) => Ok(()),
            Err(RecvTimeoutError::Timeout) => Err(CallError::Stuck),
            Err(RecvTimeoutError::Disconnected) => Err(CallError::Gone),
        }
    }

    fn call(&self, task: Task, patience: Duration) -> Result<(), CallError> {
        self.ask(task)?.wait(patience)
    }

    fn ask(&self, task: Task) -> Result<Answer, CallError> {
        ask(&self.waker, &self.requests, task)
    }
}

/// A poll loop, as one that can be asked whether it goes round, without the adapter that it is
/// part of.
pub struct Heart {
    waker: Arc<Waker>,
    requests: Sender<Request>,
}

impl Heart {
    /// Whether the poll loop goes round, sleeps, or has ended meanwhile: neither client is stuck in
    /// a callback. One that sleeps is left to sleep, so that nobody's queue is looked at because of
    /// it, and a client that should have notified is not helped.
    pub fn beats(&self, patience: Duration) -> bool {
        let pulse = || ask(&self.waker, &self.requests, Task::Pulse)?.wait(patience);
        self.waker.is_asleep() || !matches!(pulse(), Err(CallError::Stuck))
    }
}

fn ask(waker: &Waker, requests: &Sender<Request>, task: Task) -> Result<Answer, CallError> {
    let (reply, answer) = sync_channel(1);
    let request = Request { task, reply };
    requests.send(request).map_err(|_| CallError::Gone)?;
    waker.notify();
    Ok(Answer(answer))
}

/// What a context will say to what it was asked.
pub(crate) struct Answer(Receiver<Reply>);

impl Answer {
    pub(crate) fn wait(self, patience: Duration) -> Result<(), CallError> {
        match self.0.recv_timeout(patience) {
            Ok(answer) => answer.map_err(CallError::Refused),
            Err(RecvTimeoutError::Timeout) => Err(CallError::Stuck),
            Err(RecvTimeoutError::Disconnected) => Err(CallError::Gone),
        }
    }
}

impl Drop for ExecutionContext {
    fn drop(&mut self) {
        // A context that was left behind ends when it finds that nobody can
        // ask anything of it any more.
        let (nobody, _) = channel();
        self.requests = nobody;
        self.waker.notify();
    }
}

/// How the system is to schedule the thread.
#[derive(Clone, Copy)]
struct Scheduling {
    batch: bool,
    nice: i32,
    exact_timers: bool,
}

impl Scheduling {
    /// For the calling thread. What is not permitted is said and left.
    fn apply(self) {
        if self.batch
            && let Err(error) = crate::os::sched::set_batch()
        {
            log::warn!("cannot run under SCHED_BATCH: {error}");
        }
        if self.nice != 0
            && let Err(error) = crate::os::sched::set_nice(self.nice)
        {
            log::warn!("cannot set the nice value {}: {error}", self.nice);
        }
        if self.exact_timers
            && let Err(error) = crate::os::sched::set_least_timer_slack()
        {
            log::warn!("cannot set the timer slack: {error}");
        }
    }
}

/// The thread: builds its sources, says whether that went well, and polls.
fn run(
    parts: ContextParts,
    tasks: Receiver<Request>,
    scheduling: Option<Scheduling>,
    ready: &SyncSender<io::Result<()>>,
) {
    if let Some(scheduling) = scheduling {
        scheduling.apply();
    }
    let built = Sources::new(&parts.waker, parts.pair.poll_fd(), &parts.interrupts);
    match built {
        Ok(sources) => {
            let _ = ready.send(Ok(()));
            Context::new(parts, sources, tasks).run();
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
}
