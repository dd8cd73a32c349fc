//! Programs the runner has started: their numbers, output files and ends.
//!
//! Output goes to files rather than pipes: a daemon that keeps its parent's standard output open
//! cannot hold up the answer, and what a running job has said so far can be read at any time.

use guest_runner::protocol::Ending;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// All jobs that have not been forgotten.
pub(super) struct Jobs {
    directory: PathBuf,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last: u64,
    jobs: HashMap<u64, Arc<Job>>,
}

impl Jobs {
    /// An empty table with a directory of its own for the jobs' files.
    pub(super) fn new() -> io::Result<Self> {
        static SESSIONS: AtomicU64 = AtomicU64::new(0);
        let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
        let name = format!("guest-runner.{}.{session}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory)?;
        Ok(Self {
            directory,
            table: Mutex::default(),
        })
    }

    /// Starts a program in a process group of its own and returns the job's number.
    pub(super) fn start(&self, argv: &[String], stdin: &[u8]) -> io::Result<u64> {
        let number = self.next_number();
        let job = Job::start(self.directory.join(number.to_string()), argv, stdin)?;
        lock(&self.table).jobs.insert(number, job);
        Ok(number)
    }

    pub(super) fn get(&self, number: u64) -> io::Result<Arc<Job>> {
        let job = lock(&self.table).jobs.get(&number).cloned();
        job.ok_or_else(|| io::Error::other(format!("there is no job {number}")))
    }

    pub(super) fn forget(&self, number: u64) {
        lock(&self.table).jobs.remove(&number);
    }

    fn next_number(&self) -> u64 {
        let mut table = lock(&self.table);
        table.last += 1;
        table.last
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// One program; its files go when it goes.
pub(super) struct Job {
    pid: Pid,
    files: PathBuf,
    end: Mutex<Option<ExitStatus>>,
    ended: Condvar,
}

impl Job {
    fn start(files: PathBuf, argv: &[String], stdin: &[u8]) -> io::Result<Arc<Self>> {
        let (program, arguments) = argv
            .split_first()
            .ok_or_else(|| io::Error::other("an empty command"))?;
        let input = if stdin.is_empty() {
            Stdio::null()
        } else {
            std::fs::write(files.with_extension("in"), stdin)?;
            File::open(files.with_extension("in"))?.into()
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(input)
            .stdout(File::create(files.with_extension("out"))?)
            .stderr(File::create(files.with_extension("err"))?)
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        let pid = Pid::from_child(&child);
        let job = Arc::new(Self {
            pid,
            files,
            end: Mutex::new(None),
            ended: Condvar::new(),
        });
        let watched = Arc::clone(&job);
        std::thread::spawn(move || {
            let status = child
                .wait()
                .unwrap_or_else(|_| ExitStatus::from_raw(0xff00));
            *lock(&watched.end) = Some(status);
            watched.ended.notify_all();
        });
        Ok(job)
    }

    /// How the program ended, within `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> Ending {
        let waited = self
            .ended
            .wait_timeout_while(lock(&self.end), timeout, |end| end.is_none());
        match *waited.unwrap_or_else(PoisonError::into_inner).0 {
            None => Ending::TimedOut,
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Ending::Code(code),
                (None, signal) => Ending::Signal(signal.unwrap_or_default()),
            },
        }
    }

    /// Ends the program and what it started, and waits until it is gone.
    pub(super) fn kill(&self) {
        if self.signal(Signal::KILL.as_raw()).is_ok() {
            self.wait(Duration::from_secs(5));
        }
    }

    /// Sends a signal to the program and what it started. After its end that is no error while
    /// others of its process group live.
    pub(super) fn signal(&self, signal: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(signal)
            .ok_or_else(|| io::Error::other(format!("no signal {signal}")))?;
        Ok(kill_process_group(self.pid, signal)?)
    }

    /// Standard output and standard error so far.
    pub(super) fn output(&self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let read = |extension| std::fs::read(self.files.with_extension(extension));
        Ok((read("out")?, read("err")?))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        for extension in ["in", "out", "err"] {
            let _ = std::fs::remove_file(self.files.with_extension(extension));
        }
    }
}

/// A panic elsewhere leaves these tables whole, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
