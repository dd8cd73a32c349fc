//! What threads share to wake each other: the system's, or the model checker's.
//!
//! With `--cfg loom` the sleep of execution contexts is checked in every order of steps
//! (`execution/models.rs`).

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU8, Ordering};
#[cfg(not(loom))]
pub(crate) use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, Ordering};
#[cfg(loom)]
pub(crate) use model::{EFD_NONBLOCK, EventFd};

#[cfg(loom)]
mod model {
    use std::io;
    use std::os::fd::{AsRawFd, RawFd};

    use loom::sync::{Condvar, Mutex};

    pub(crate) const EFD_NONBLOCK: i32 = 0;

    /// An eventfd as far as a context uses one: a write ends the wait that is under way or
    /// comes next.
    #[derive(Default)]
    pub(crate) struct EventFd {
        count: Mutex<u64>,
        written: Condvar,
    }

    impl EventFd {
        pub(crate) fn new(_flags: i32) -> io::Result<Self> {
            Ok(Self::default())
        }

        pub(crate) fn write(&self, value: u64) -> io::Result<()> {
            *self.count.lock().unwrap() += value;
            self.written.notify_one();
            Ok(())
        }

        pub(crate) fn read(&self) -> io::Result<u64> {
            match std::mem::take(&mut *self.count.lock().unwrap()) {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                count => Ok(count),
            }
        }

        /// Waits for a write since the last wait.
        pub(crate) fn wait(&self) {
            let mut count = self.count.lock().unwrap();
            while *count == 0 {
                count = self.written.wait(count).unwrap();
            }
            *count = 0;
        }
    }

    impl AsRawFd for EventFd {
        fn as_raw_fd(&self) -> RawFd {
            unreachable!("a model has no epoll")
        }
    }
}
