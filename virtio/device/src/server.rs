//! Listens, serves one front end after the other, and moves frames meanwhile.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use vhost::vhost_user::BackendReqHandler;

use crate::model::Model;
use crate::poller::{Event, Poller};
use crate::session::Session;

/// Why a device cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The socket cannot be made.
    #[error("cannot listen at {path}: {source}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Waiting failed.
    #[error("cannot wait for front ends: {0}")]
    Wait(#[from] io::Error),
}

/// A back end that listens on a socket.
pub struct Server {
    listener: UnixListener,
    poller: Poller,
    session: Arc<Mutex<Session>>,
    front_end: Option<FrontEnd>,
    stop: Arc<OwnedFd>,
}

/// Who is connected.
struct FrontEnd {
    requests: BackendReqHandler<Mutex<Session>>,
    socket: UnixStream,
}

/// Ends a [`Server`] from another thread.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<OwnedFd>);

impl Stopper {
    /// Makes [`Server::run`] return.
    pub fn stop(&self) {
        // Fails only when it was told so 2^64 - 2 times.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

impl Server {
    /// Listens at `path`. A socket that a device which has ended left there is removed.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn bind(path: &Path, model: Box<dyn Model + Send>) -> Result<Self, ServerError> {
        let listen = |source| ServerError::Listen {
            path: path.to_owned(),
            source,
        };
        let listener = bind(path).map_err(listen)?;
        let poller = Poller::new()?;
        poller.add(Event::Listener, &listener)?;
        let stop = Arc::new(
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from)?,
        );
        poller.add(Event::Stop, &*stop)?;
        Ok(Self {
            listener,
            session: Arc::new(Mutex::new(Session::new(model, poller.clone()))),
            poller,
            front_end: None,
            stop,
        })
    }

    /// Lets frames that arrive on `link` wake the device.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn watch_link(&self, link: impl AsFd) -> Result<(), ServerError> {
        Ok(self.poller.add_edge(Event::Link, link)?)
    }

    /// A way to end [`Server::run`].
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.stop))
    }

    /// Serves front ends, one at a time, until stopped.
    ///
    /// # Errors
    /// When waiting fails; a front end that misbehaves is let go.
    pub fn run(&mut self) -> Result<(), ServerError> {
        let mut events = Vec::new();
        let mut more = false;
        while !events.contains(&Event::Stop) {
            self.poller.wait(more, &mut events)?;
            events.iter().for_each(|event| self.handle(*event));
            more = self.session().model().work();
        }
        self.let_go("the device ends");
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Listener => self.accept(),
            Event::Socket => self.request(),
            Event::Kick(queue) => self.session().kick(queue),
            // What arrived is seen by the work that follows; so is the wish to end.
            Event::Link | Event::Stop => {}
        }
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&mut self) {
        let accepted = self.listener.accept().and_then(|(socket, _)| {
            self.poller.add(Event::Socket, &socket)?;
            Ok((socket.try_clone()?, socket))
        });
        match accepted {
            Ok((copy, socket)) => {
                log::info!("a front end has connected");
                // The others wait until it goes.
                self.poller.remove(&self.listener);
                self.front_end = Some(FrontEnd {
                    requests: BackendReqHandler::from_stream(copy, Arc::clone(&self.session)),
                    socket,
                });
            }
            Err(error) => log::warn!("cannot take a connection: {error}"),
        }
    }

    fn request(&mut self) {
        let Some(front_end) = &mut self.front_end else {
            return;
        };
        if let Err(error) = front_end.requests.handle_request() {
            self.let_go(&error.to_string());
        }
    }

    fn let_go(&mut self, why: &str) {
        let Some(front_end) = self.front_end.take() else {
            return;
        };
        log::info!("the front end is gone: {why}");
        self.poller.remove(&front_end.socket);
        self.session().end();
        // Only now is the connection closed: whoever sees that may use the memory again.
        drop(front_end);
        if let Err(error) = self.poller.add(Event::Listener, &self.listener) {
            log::error!("cannot listen any more: {error}");
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        other => other,
    }
}

/// Whether nobody listens any more.
fn is_stale(path: &Path) -> bool {
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    UnixStream::connect(path).is_err_and(refused)
}
