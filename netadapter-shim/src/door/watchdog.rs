//! Notices callbacks that do not return.
//!
//! A thread that hangs inside a client cannot be taken back. What can be done is to say which
//! callback hangs, and to end the process, as the driver manager ends its host.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Called with the callback's name once its time is over; usually ends the process.
pub(crate) type OnExpiry = Box<dyn Fn(&'static str, Duration) + Send>;

/// Watches one thread's calls into the client.
pub(crate) struct Watchdog {
    current: Arc<Mutex<Option<Watched>>>,
    patience: Duration,
    /// Its end tells the thread to stop.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy)]
struct Watched {
    name: &'static str,
    since: Instant,
}

impl Watchdog {
    /// Starts the watching thread. Calls may take `patience`.
    ///
    /// # Errors
    /// No more threads.
    pub(crate) fn new(patience: Duration, on_expiry: OnExpiry) -> std::io::Result<Self> {
        let current = Arc::new(Mutex::new(None::<Watched>));
        let (alive, ended) = channel::<()>();
        let watched = Arc::clone(&current);
        let pause = (patience / 8).max(Duration::from_millis(1));
        let thread = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    if let Some(name) = expired(&watched, patience) {
                        on_expiry(name, patience);
                    }
                }
            })?;
        Ok(Self {
            current,
            patience,
            alive: Some(alive),
            thread: Some(thread),
        })
    }

    /// Makes a call under watch.
    pub(crate) fn watch<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> T {
        let watched = Watched {
            name,
            since: Instant::now(),
        };
        self.set(Some(watched));
        let result = call();
        self.set(None);
        let took = watched.since.elapsed();
        if took > self.patience / 2 {
            log::warn!("{name} took {took:.1?}");
        }
        result
    }

    fn set(&self, watched: Option<Watched>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = watched;
    }
}

impl Drop for Watchdog {
    /// A thread that is still ending would be one that the client seems to have left behind.
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            // It would be told by now if it had panicked.
            let _ = thread.join();
        }
    }
}

/// The call whose time is over; tells it once.
fn expired(current: &Mutex<Option<Watched>>, patience: Duration) -> Option<&'static str> {
    let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
    let late = current.filter(|watched| watched.since.elapsed() >= patience)?;
    *current = None;
    Some(late.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_return_is_named_once() {
        let (sender, expiries) = channel();
        let on_expiry = Box::new(move |name, _| sender.send(name).unwrap());
        let watchdog = Watchdog::new(Duration::from_millis(40), on_expiry).unwrap();
        watchdog.watch("EvtQuick", || ());
        let slow = || std::thread::sleep(Duration::from_millis(200));
        watchdog.watch("EvtStuck", slow);
        drop(watchdog);
        assert_eq!(expiries.iter().collect::<Vec<_>>(), ["EvtStuck"]);
    }
}
