//! The side that is asked.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};

use super::message::{Ask, Body, Reply, Request};
use super::{ControlError, DEADLINE, MAX_REQUEST, SCHEMA, StatusSource, socket_path};
use crate::host::Host;

/// Clients with a thread of their own; one more is served by the accepting thread, the rest wait.
const MAX_CLIENTS: usize = 8;

/// Answers questions until dropped.
///
/// Whoever starts it holds the device's lock, so a socket that is already there is a dead one's.
pub struct Server {
    socket: PathBuf,
    // Its end tells the thread to stop.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts answering for the device with this [`crate::host::DeviceSpec::file_stem`].
    ///
    /// # Errors
    ///
    /// [`ControlError::Socket`].
    pub fn start(
        host: &Host,
        stem: &str,
        source: Arc<dyn StatusSource>,
    ) -> Result<Self, ControlError> {
        let socket = socket_path(host, stem);
        let failed = |source| ControlError::Socket {
            action: "answer on",
            socket: socket.clone(),
            source,
        };
        let listener = listen(&socket).map_err(failed)?;
        let (stop, stopped) = UnixStream::pair().map_err(failed)?;
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || serve(&listener, &stopped, &source))
            .map_err(failed)?;
        Ok(Self {
            socket,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by then, and must not become ours.
            let _ = thread.join();
        }
        // The next one to start replaces it, should it stay.
        let _ = fs::remove_file(&self.socket);
    }
}

fn listen(socket: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve(listener: &UnixListener, stopped: &UnixStream, source: &Arc<dyn StatusSource>) {
    let clients = Arc::new(AtomicUsize::new(0));
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN),
        ];
        if let Err(error) = poll(&mut fds, None)
            && error != rustix::io::Errno::INTR
        {
            log::error!("control socket: {error}; status and stats are no longer answered");
            return;
        }
        if !fds[1].revents().is_empty() {
            return;
        }
        if let Ok((client, _)) = listener.accept() {
            admit(client, source, &clients);
        }
    }
}

/// Gives the client a thread of its own; if there are enough of those, serves it right here, so
/// that the next one waits.
fn admit(client: UnixStream, source: &Arc<dyn StatusSource>, clients: &Arc<AtomicUsize>) {
    if clients.fetch_add(1, Ordering::Relaxed) >= MAX_CLIENTS {
        clients.fetch_sub(1, Ordering::Relaxed);
        return converse(client, source.as_ref());
    }
    let (source, theirs) = (Arc::clone(source), Arc::clone(clients));
    let conversation = move || {
        converse(client, source.as_ref());
        theirs.fetch_sub(1, Ordering::Relaxed);
    };
    let name = "control client".to_owned();
    if let Err(error) = thread::Builder::new().name(name).spawn(conversation) {
        clients.fetch_sub(1, Ordering::Relaxed);
        log::warn!("control socket: no thread for a client: {error}");
    }
}

fn converse(client: UnixStream, source: &dyn StatusSource) {
    let body = answer(&client, source);
    tell(client, body);
}

fn answer(client: &UnixStream, source: &dyn StatusSource) -> Body {
    let line = match read_line(client) {
        Ok(line) => line,
        Err(error) => return Body::Error(format!("request not read: {error}")),
    };
    match serde_json::from_slice::<Request>(&line) {
        Ok(request) if request.schema != SCHEMA => Body::Error(format!(
            "this umnet speaks schema {SCHEMA}, not {}",
            request.schema
        )),
        Ok(Request {
            ask: Ask::Status, ..
        }) => Body::Status(Box::new(source.status())),
        Ok(Request {
            ask: Ask::Stats, ..
        }) => Body::Stats(source.stats()),
        Ok(Request {
            ask: Ask::Update(request),
            ..
        }) => source.update(request).map_or_else(Body::Error, Body::Told),
        Ok(Request {
            ask: Ask::Event(event),
            ..
        }) => source
            .happen(event)
            .map_or_else(Body::Error, |()| Body::Done),
        Err(error) => Body::Error(format!("request not understood: {error}")),
    }
}

/// One line, within the deadline for all of it.
fn read_line(mut client: &UnixStream) -> io::Result<Vec<u8>> {
    let end = Instant::now() + DEADLINE;
    let mut line = Vec::new();
    let mut part = [0; 512];
    while !line.ends_with(b"\n") {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        client.set_read_timeout(Some(left))?;
        let len = client.read(&mut part)?;
        line.extend_from_slice(&part[..len]);
        if len == 0 {
            return Ok(line);
        }
        if line.len() > MAX_REQUEST {
            return Err(io::Error::other("longer than a request may be"));
        }
    }
    Ok(line)
}

/// A client that does not listen has only itself to blame.
fn tell(mut client: UnixStream, body: Body) {
    let reply = Reply {
        schema: SCHEMA,
        body,
    };
    let result = serde_json::to_vec(&reply)
        .map_err(io::Error::from)
        .and_then(|mut line| {
            line.push(b'\n');
            client.set_write_timeout(Some(DEADLINE))?;
            client.write_all(&line)
        });
    if let Err(error) = result {
        log::debug!("control socket: reply not delivered: {error}");
    }
}
