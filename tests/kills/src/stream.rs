//! TCP connections that carry bytes both ways at once.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, listen, socket, sockopt};
use xxhash_rust::xxh3::Xxh3;

use crate::namespace::Namespace;
use crate::noise::Noise;
use crate::rig::{FAR, NEAR, at};
use crate::{Result, system};

/// How long a connection may stand still until it counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// What one end takes in before it is read. All streams together stay below what a TAP interface
/// queues, so that none of them is refused there and all losses are those of kills.
const WINDOW: usize = 64 << 10;
const BLOCK: usize = 32 << 10;

/// What one end has passed on, and the digest of it.
type Passed = io::Result<(u64, u64)>;

/// One connection under way: both ends, each sending and receiving.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Sender and its receiver, from the near end and from the far end.
    ways: [(JoinHandle<Passed>, JoinHandle<Passed>); 2],
}

/// What became of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Bytes received, both ways.
    pub(crate) bytes: u64,
    /// What an end was told, if the connection was lost.
    pub(crate) lost: Option<String>,
    /// Whether what was received is what was sent.
    pub(crate) equal: bool,
}

/// The two ends of a new connection: near and far.
pub(crate) fn pair(near: &Namespace, far: &Namespace) -> Result<(TcpStream, TcpStream)> {
    let listener = far.run(listener).map_err(system("listen"))?;
    let address = listener.local_addr().map_err(system("listen"))?;
    let connected = near.run(|| {
        let socket = tcp()?;
        bind(&socket, &at(NEAR, 0))?;
        connect(&socket, &address)?;
        Ok(TcpStream::from(socket))
    });
    let near = connected.map_err(system("connect"))?;
    let (far, _) = listener.accept().map_err(system("accept"))?;
    for end in [&near, &far] {
        let set = end
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| end.set_write_timeout(Some(PATIENCE)))
            .and_then(|()| end.set_nodelay(true));
        set.map_err(system("set up a connection"))?;
    }
    Ok((near, far))
}

fn tcp() -> io::Result<std::os::fd::OwnedFd> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_recv_buffer_size(socket.as_fd(), WINDOW)?;
    sockopt::set_socket_send_buffer_size(socket.as_fd(), WINDOW)?;
    Ok(socket)
}

fn listener() -> io::Result<TcpListener> {
    let socket = tcp()?;
    bind(&socket, &at(FAR, 0))?;
    listen(&socket, 1)?;
    Ok(TcpListener::from(socket))
}

impl Stream {
    /// Sends both ways until `stop`, as much as it can or so much a second. Bytes received are
    /// added to `count`.
    pub(crate) fn start(
        (near, far): (TcpStream, TcpStream),
        (seed, kib_per_second): (u64, Option<u64>),
        stop: &Arc<AtomicBool>,
        count: &Arc<AtomicU64>,
    ) -> Result<Self> {
        let every =
            kib_per_second.map(|kib| Duration::from_secs(BLOCK as u64 >> 10) / kib.max(1) as u32);
        let way = |from: &TcpStream, to: &TcpStream, seed| {
            let from = from.try_clone().map_err(system("share a connection"))?;
            let to = to.try_clone().map_err(system("share a connection"))?;
            let (stop, count) = (Arc::clone(stop), Arc::clone(count));
            let sender = std::thread::spawn(move || send(from, seed, every, &stop));
            Ok((sender, std::thread::spawn(move || receive(to, &count))))
        };
        Ok(Self {
            ways: [way(&near, &far, 2 * seed)?, way(&far, &near, 2 * seed + 1)?],
        })
    }

    /// Waits until everything that was sent has arrived.
    pub(crate) fn finish(self) -> Outcome {
        let mut outcome = Outcome {
            equal: true,
            ..Outcome::default()
        };
        for (sender, receiver) in self.ways {
            let sent = sender.join().expect("no panic");
            let received = receiver.join().expect("no panic");
            match (sent, received) {
                (Ok(sent), Ok(received)) => {
                    outcome.bytes += received.0;
                    outcome.equal &= sent == received;
                }
                (Err(error), _) | (_, Err(error)) => outcome.lost = Some(error.to_string()),
            }
        }
        outcome
    }
}

fn send(mut socket: TcpStream, seed: u64, every: Option<Duration>, stop: &AtomicBool) -> Passed {
    let (mut noise, mut digest, mut sent) = (Noise::new(seed), Xxh3::new(), 0);
    let mut block = vec![0; BLOCK];
    while !stop.load(Ordering::Relaxed) {
        noise.fill(&mut block);
        socket.write_all(&block)?;
        digest.update(&block);
        sent += block.len() as u64;
        if let Some(every) = every {
            std::thread::sleep(every);
        }
    }
    socket.shutdown(Shutdown::Write)?;
    Ok((sent, digest.digest()))
}

fn receive(mut socket: TcpStream, count: &AtomicU64) -> Passed {
    let (mut digest, mut received) = (Xxh3::new(), 0);
    let mut block = vec![0; BLOCK];
    loop {
        match socket.read(&mut block)? {
            0 => return Ok((received, digest.digest())),
            len => {
                digest.update(&block[..len]);
                received += len as u64;
                count.fetch_add(len as u64, Ordering::Relaxed);
            }
        }
    }
}
