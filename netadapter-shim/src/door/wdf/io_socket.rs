//! The unix socket through which programs reach a device's I/O queues.
//!
//! A connection is a file. On it, one request after the other, all numbers
//! little-endian:
//!
//! ```text
//! request  u32 type (3 read, 4 write, 14 device control), u32 control code,
//!          u32 input bytes, u32 output room, input
//! answer   i32 NTSTATUS, u32 information, u32 output bytes, output
//! ```
//!
//! A connection that ends cancels what is under way and closes the file.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::request::{Completion, IoRequest, RequestType, cancel};
use super::{file, io_queue};
use crate::abi::NtStatus;
use crate::door::client_host::IoListener;
use crate::door::object::Handle;
use crate::door::runtime::sys::{has_hung_up, readable};

/// Most bytes a request may bring or ask for.
const LARGEST: u32 = 1 << 20;
/// Most programs at a time.
const MOST_CONNECTIONS: usize = 16;
/// How often a waiting connection looks whether its program is still there.
const LOOK: Duration = Duration::from_millis(50);

/// A listening socket; dropping it ends the listening.
pub(crate) struct IoSocket {
    over: Arc<AtomicBool>,
    /// Its end wakes the listening thread, which then sees that it is over.
    stop: Option<UnixStream>,
    listener: Option<JoinHandle<()>>,
}

/// What all connections of a socket share.
#[derive(Clone)]
struct Shared {
    device: Handle,
    over: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
}

impl IoSocket {
    /// Answers for a device on a socket.
    ///
    /// # Errors
    /// Threads or descriptors have run out.
    pub(crate) fn listen(listener: IoListener, device: Handle) -> io::Result<Self> {
        // Another process may have it too, and take a connection just before this one does.
        listener.socket.set_nonblocking(true)?;
        let (stop, stopped) = UnixStream::pair()?;
        let over = Arc::new(AtomicBool::new(false));
        let shared = Shared {
            device,
            over: Arc::clone(&over),
            connections: Arc::default(),
        };
        let listener = thread::Builder::new()
            .name("umnet-io-socket".into())
            .spawn(move || accept(&listener, &stopped, &shared))?;
        Ok(Self {
            over,
            stop: Some(stop),
            listener: Some(listener),
        })
    }
}

impl Drop for IoSocket {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        self.stop = None;
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn accept(listener: &IoListener, stopped: &UnixStream, shared: &Shared) {
    while readable([listener.socket.as_fd(), stopped.as_fd()]) {
        if shared.over.load(Ordering::Acquire) {
            return;
        }
        match listener.socket.accept() {
            Ok((stream, _)) => admit(stream, shared),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return log::warn!("no program reaches the device any more: {error}"),
        }
    }
}

fn admit(stream: UnixStream, shared: &Shared) {
    if shared.connections.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
        shared.connections.fetch_sub(1, Ordering::Relaxed);
        return log::warn!("a connection to the device is refused: there are {MOST_CONNECTIONS}");
    }
    let mine = shared.clone();
    let started = thread::Builder::new()
        .name("umnet-io".into())
        .spawn(move || {
            if let Err(error) = serve(&stream, &mine) {
                log::debug!("a connection to the device ended: {error}");
            }
            mine.connections.fetch_sub(1, Ordering::Relaxed);
        });
    if started.is_err() {
        shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one connection until it ends.
fn serve(stream: &UnixStream, shared: &Shared) -> io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let (sender, receiver) = mpsc::channel();
    let answer = Box::new(move |completion| sender.send(completion).unwrap_or_default());
    let Ok(opened) = file::open(shared.device, answer) else {
        return Ok(());
    };
    let status = receiver.recv().map(|completion| completion.status);
    let ended = match status {
        Ok(status) if status.is_success() => requests(stream, shared, opened),
        _ => Ok(()),
    };
    file::close(opened);
    ended
}

fn requests(mut stream: &UnixStream, shared: &Shared, opened: Handle) -> io::Result<()> {
    loop {
        let asked = read_request(stream, opened)?;
        let completion = ask(stream, shared, asked);
        stream.write_all(&answer(&completion))?;
    }
}

fn read_request(mut stream: &UnixStream, opened: Handle) -> io::Result<IoRequest> {
    let mut header = [[0u8; 4]; 4];
    stream.read_exact(header.as_flattened_mut())?;
    let [kind, code, input, output] = header.map(u32::from_le_bytes);
    if input > LARGEST || output > LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0u8; input as usize];
    stream.read_exact(&mut bytes)?;
    Ok(IoRequest {
        kind: RequestType(kind),
        code,
        input: bytes,
        output: output as usize,
        file: Some(opened),
    })
}

/// Brings a request to the device and waits for the client, for as long as
/// the program waits.
fn ask(stream: &UnixStream, shared: &Shared, asked: IoRequest) -> Completion {
    let refused = Completion {
        status: NtStatus::INVALID_DEVICE_REQUEST,
        information: 0,
        output: Vec::new(),
    };
    let known = [
        RequestType::READ,
        RequestType::WRITE,
        RequestType::DEVICE_CONTROL,
    ];
    if !known.contains(&asked.kind) {
        return refused;
    }
    let (sender, receiver) = mpsc::channel();
    let completed = Box::new(move |completion| sender.send(completion).unwrap_or_default());
    let Some(request) = io_queue::deliver(shared.device, asked, completed) else {
        return refused;
    };
    let mut canceled = false;
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(completion) => return completion,
            Err(mpsc::RecvTimeoutError::Disconnected) => return refused,
            Err(mpsc::RecvTimeoutError::Timeout) if canceled => {}
            Err(mpsc::RecvTimeoutError::Timeout) => {
                canceled = shared.over.load(Ordering::Acquire) || has_hung_up(stream.as_fd());
                if canceled {
                    cancel(request);
                }
            }
        }
    }
}

fn answer(completion: &Completion) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = completion.status.0.to_le_bytes().to_vec();
    bytes.extend(number(completion.information));
    bytes.extend(number(completion.output.len()));
    bytes.extend_from_slice(&completion.output);
    bytes
}

#[cfg(test)]
mod tests;
