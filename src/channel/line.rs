//! The host's end of the connection: what it is told, and what it asks for.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use virtio::mem::Iova;
use virtio::transport::{LentMemory, MemoryLender};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::{Answer, Ask, Channel, ChannelError, FromHost, ToHost};
use crate::poller::Poller;

/// How long the supervisor may take to do what it is asked.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connection to the supervisor.
#[derive(Debug)]
pub(crate) struct Line {
    channel: Channel,
    poller: Poller<()>,
    /// What came while an answer was waited for.
    waiting: VecDeque<(ToHost, Vec<OwnedFd>)>,
    /// Readable while something is waiting: the socket is not, any more.
    bell: EventFd,
}

impl Line {
    pub(crate) fn new(channel: Channel) -> io::Result<Self> {
        let mut poller = Poller::new()?;
        poller.add(channel.as_raw_fd(), ())?;
        Ok(Self {
            channel,
            poller,
            waiting: VecDeque::new(),
            bell: EventFd::new(EFD_NONBLOCK | libc::EFD_CLOEXEC)?,
        })
    }

    /// The next message that is here already.
    pub(crate) fn next(&mut self) -> Result<Option<(ToHost, Vec<OwnedFd>)>, ChannelError> {
        match self.pop() {
            Some(waiting) => Ok(Some(waiting)),
            None => self.channel.receive(),
        }
    }

    /// The next message, for as long as that may take; without patience for ever.
    pub(crate) fn wait(
        &mut self,
        patience: Option<Duration>,
    ) -> Result<(ToHost, Vec<OwnedFd>), ChannelError> {
        match self.pop() {
            Some(waiting) => Ok(waiting),
            None => self.receive(patience),
        }
    }

    fn pop(&mut self) -> Option<(ToHost, Vec<OwnedFd>)> {
        let waiting = self.waiting.pop_front();
        if self.waiting.is_empty() {
            // Silent as long as there is nothing.
            let _ = self.bell.read();
        }
        waiting
    }

    fn keep(&mut self, message: (ToHost, Vec<OwnedFd>)) {
        self.waiting.push_back(message);
        // It is far from full.
        let _ = self.bell.write(1);
    }

    fn receive(
        &mut self,
        patience: Option<Duration>,
    ) -> Result<(ToHost, Vec<OwnedFd>), ChannelError> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        loop {
            if let Some(received) = self.channel.receive()? {
                return Ok(received);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            self.poller.wait(deadline)?;
        }
    }

    pub(crate) fn send(&self, message: &FromHost) -> Result<(), ChannelError> {
        self.channel.send(message, &[])
    }

    /// Has the supervisor do something.
    pub(crate) fn ask(&mut self, ask: Ask) -> io::Result<(Answer, Vec<OwnedFd>)> {
        let deadline = Instant::now() + PATIENCE;
        self.send(&FromHost::Ask(ask)).map_err(io::Error::other)?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receive(Some(left)).map_err(io::Error::other)? {
                (ToHost::Answer(Answer::No(why)), _) => return Err(io::Error::other(why)),
                (ToHost::Answer(answer), fds) => return Ok((answer, fds)),
                other => self.keep(other),
            }
        }
    }
}

/// The line, for all parts and threads of the host that ask for something.
#[derive(Clone, Debug)]
pub(crate) struct SharedLine(Arc<Mutex<Line>>);

impl SharedLine {
    pub(crate) fn new(line: Line) -> Self {
        Self(Arc::new(Mutex::new(line)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn send(&self, message: &FromHost) -> Result<(), ChannelError> {
        self.lock().send(message)
    }

    /// What is to be waited for until there is a message: either of them is readable then.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        let line = self.lock();
        [line.channel.as_raw_fd(), line.bell.as_raw_fd()]
    }

    /// Has something done that is answered by its being done.
    pub(crate) fn have_done(&self, ask: Ask) -> io::Result<()> {
        self.lock().ask(ask).map(drop)
    }

    /// A new connection to the back end.
    pub(crate) fn connection(&mut self) -> io::Result<UnixStream> {
        let (_, fds) = self.lock().ask(Ask::Connection)?;
        let [fd] = exactly_one(fds)?;
        Ok(UnixStream::from(fd))
    }
}

impl MemoryLender for SharedLine {
    fn lend(&mut self, len: usize) -> io::Result<LentMemory> {
        match self.lock().ask(Ask::Memory(len))? {
            (Answer::Memory { len, iova }, fds) => {
                let [fd] = exactly_one(fds)?;
                Ok(LentMemory {
                    file: File::from(fd),
                    len,
                    iova: Iova(iova),
                })
            }
            (other, _) => {
                let text = format!("asked for memory and got {other:?}");
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
        }
    }
}

pub(crate) fn exactly_one(fds: Vec<OwnedFd>) -> io::Result<[OwnedFd; 1]> {
    fds.try_into().map_err(|fds: Vec<OwnedFd>| {
        let text = format!("{} descriptors came where one was expected", fds.len());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}
