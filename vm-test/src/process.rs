//! Host processes that do not outlive the test.
//!
//! Every process is started under `setpriv --pdeathsig KILL`, so the kernel ends it even when the test
//! is killed. The kernel takes the *thread* that started it as its parent, hence one thread of this
//! module starts them all and lives as long as the test process.

use crate::{Error, Result};
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

type Order = (Command, Sender<io::Result<Child>>);

/// A process that ends, by its id, when this value goes.
#[derive(Debug)]
pub(crate) struct Kept {
    child: Child,
}

/// `program` and its arguments behind what binds its life to ours; `prefix` comes before that and must
/// end in an `exec` of the rest (a change of user namespace would undo the binding).
pub(crate) fn command(prefix: &[String], program: &str) -> Command {
    let words =
        prefix
            .iter()
            .map(String::as_str)
            .chain(["setpriv", "--pdeathsig", "KILL", "--", program]);
    let words: Vec<&str> = words.collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// Starts a command made by [`command`].
pub(crate) fn start(command: Command) -> Result<Kept> {
    let what = format!("starting {command:?}");
    let (answer, started) = channel();
    let launched = launcher()
        .send((command, answer))
        .ok()
        .and_then(|()| started.recv().ok());
    let child = launched.unwrap_or_else(|| Err(io::Error::other("the starting thread is gone")));
    Ok(Kept {
        child: child.map_err(Error::io(what))?,
    })
}

fn launcher() -> &'static Sender<Order> {
    static LAUNCHER: OnceLock<Sender<Order>> = OnceLock::new();
    LAUNCHER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                // Whoever asked waits for the answer, so this only fails when the process is ending.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    })
}

impl Kept {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends it, by its id. Once it was waited for, std refuses, so no other process is hit.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            let status = self.ended();
            if status.is_some() || Instant::now() >= deadline {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_process_dies_with_its_value() {
        let mut sleep = command(&[], "sleep");
        sleep.arg("60");
        let kept = start(sleep).unwrap();
        let proc_entry = format!("/proc/{}", kept.id());
        assert!(std::path::Path::new(&proc_entry).exists());
        drop(kept);
        assert!(!std::path::Path::new(&proc_entry).exists());
    }

    #[test]
    fn the_thread_that_asked_may_end_without_the_process() {
        let kept = std::thread::spawn(|| {
            let mut sleep = command(&[], "sleep");
            sleep.arg("60");
            start(sleep).unwrap()
        });
        let mut kept = kept.join().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(kept.ended().is_none());
    }
}
