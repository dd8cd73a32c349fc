//! What a card's cable is plugged into.

use crate::{Error, Result};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// The host side of a card: QEMU's `-netdev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    kind: Kind,
    queues: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Hub(u16),
    User,
    StreamClient(String),
    StreamServer(String),
    Tap(String),
}

impl Backend {
    /// A port of a hub inside QEMU: cards on the same number hear each other. With two cards in one
    /// guest, the kernel's in a namespace of its own, this is the cheapest whole link.
    pub fn hub(number: u16) -> Self {
        Kind::Hub(number).into()
    }

    /// QEMU's own small network: 10.0.2.0/24 and `fec0::/64`, host at .2, DHCP, router advertisements.
    pub fn user() -> Self {
        Kind::User.into()
    }

    /// A TAP of a network namespace on the host, see [`HostNet`](crate::HostNet); the only back end with offloads and
    /// several queues.
    pub fn tap(ifname: &str) -> Self {
        Kind::Tap(ifname.to_string()).into()
    }

    /// The two ends of a cable between guests. The first must be booted first.
    pub fn cable(name: &str) -> [Self; 2] {
        let socket = format!("{name}.cable");
        [
            Kind::StreamServer(socket.clone()).into(),
            Kind::StreamClient(socket).into(),
        ]
    }

    pub(crate) fn with_queues(self, queues: u16) -> Self {
        Self { queues, ..self }
    }

    /// The value of `-netdev`. Socket paths are relative to QEMU's working directory.
    pub(crate) fn netdev(&self, id: &str) -> String {
        match &self.kind {
            Kind::Hub(number) => format!("hubport,id={id},hubid={number}"),
            Kind::User => format!("user,id={id}"),
            Kind::StreamClient(path) => {
                format!("stream,id={id},server=off,addr.type=unix,addr.path={path}")
            }
            Kind::StreamServer(path) => {
                format!("stream,id={id},server=on,addr.type=unix,addr.path={path}")
            }
            Kind::Tap(ifname) => {
                let queues = if self.queues > 1 {
                    format!(",queues={}", self.queues)
                } else {
                    String::new()
                };
                format!(
                    "tap,id={id},ifname={ifname},script=no,downscript=no,vhost=off,vnet_hdr=on{queues}"
                )
            }
        }
    }
}

impl From<Kind> for Backend {
    fn from(kind: Kind) -> Self {
        Self { kind, queues: 1 }
    }
}

/// A cable whose other end is in the test process.
#[derive(Debug)]
pub struct Wire {
    listener: UnixListener,
    socket: String,
}

impl Wire {
    pub(crate) fn new(listener: UnixListener, socket: String) -> Self {
        Self { listener, socket }
    }

    /// The guest's end.
    pub fn backend(&self) -> Backend {
        Kind::StreamClient(self.socket.clone()).into()
    }

    /// The test's end, once the machine has been started.
    ///
    /// # Errors
    /// [`Error::Io`] when nobody is plugged in.
    pub fn peer(&self) -> Result<Peer> {
        let what = || format!("accepting {}", self.socket);
        self.listener
            .set_nonblocking(true)
            .map_err(Error::io(what()))?;
        let (stream, _) = self.listener.accept().map_err(Error::io(what()))?;
        stream.set_nonblocking(false).map_err(Error::io(what()))?;
        Ok(Peer {
            stream,
            pending: Vec::new(),
        })
    }
}

/// The far end of a cable, sending and receiving raw frames (each behind its length, 4 bytes, big-endian).
#[derive(Debug)]
pub struct Peer {
    stream: UnixStream,
    pending: Vec<u8>,
}

impl Peer {
    /// The bare wire: each frame behind its length, 4 bytes, big-endian.
    pub fn into_stream(self) -> UnixStream {
        self.stream
    }

    /// Puts a frame on the wire, as it is: nothing is padded or checked.
    ///
    /// # Errors
    /// [`Error::Io`] when QEMU is gone.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let mut bytes = len.to_be_bytes().to_vec();
        bytes.extend_from_slice(frame);
        self.stream
            .write_all(&bytes)
            .map_err(Error::io("sending a frame"))
    }

    /// The next frame, if one comes in time.
    ///
    /// # Errors
    /// [`Error::Io`] when QEMU is gone.
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(frame) = self.take_frame() {
                return Ok(Some(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.read_more(left)? {
                return Ok(None);
            }
        }
    }

    /// The next frame for which `wanted` holds; others are dropped.
    ///
    /// # Errors
    /// [`Error::Deadline`] when none comes in time, [`Error::Io`] when QEMU is gone.
    pub fn receive_where(
        &mut self,
        timeout: Duration,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>> {
        let within = timeout * crate::margin();
        let deadline = Instant::now() + within;
        while let Some(frame) = self.receive(deadline.saturating_duration_since(Instant::now()))? {
            if wanted(&frame) {
                return Ok(frame);
            }
        }
        Err(Error::Deadline {
            what: "the awaited frame".to_string(),
            within,
        })
    }

    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let (len, rest) = self.pending.split_first_chunk::<4>()?;
        let len = u32::from_be_bytes(*len) as usize;
        let frame = rest.get(..len)?.to_vec();
        self.pending.drain(..4 + len);
        Some(frame)
    }

    /// Whether anything came within `timeout`.
    fn read_more(&mut self, timeout: Duration) -> Result<bool> {
        let what = "receiving a frame";
        self.stream
            .set_read_timeout(Some(timeout))
            .map_err(Error::io(what))?;
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Error::io(what)(ErrorKind::UnexpectedEof.into())),
            Ok(len) => {
                self.pending.extend_from_slice(&chunk[..len]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(Error::io(what)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_out_of_the_stream() {
        let (near, far) = UnixStream::pair().unwrap();
        let mut near = Peer {
            stream: near,
            pending: Vec::new(),
        };
        let mut far = Peer {
            stream: far,
            pending: Vec::new(),
        };
        near.send(b"first").unwrap();
        near.send(b"").unwrap();
        near.stream.write_all(&[0, 0, 0, 3, b'a']).unwrap();
        let soon = Duration::from_millis(50);
        assert_eq!(far.receive(soon).unwrap(), Some(b"first".to_vec()));
        assert_eq!(far.receive(soon).unwrap(), Some(vec![]));
        assert_eq!(far.receive(soon).unwrap(), None, "half a frame is none");
        near.stream.write_all(b"bc").unwrap();
        assert_eq!(far.receive(soon).unwrap(), Some(b"abc".to_vec()));
        drop(near);
        assert!(far.receive(soon).is_err());
    }

    #[test]
    fn only_a_tap_of_several_queues_says_so() {
        let tap = Backend::tap("t0").with_queues(2).netdev("x");
        assert_eq!(
            tap,
            "tap,id=x,ifname=t0,script=no,downscript=no,vhost=off,vnet_hdr=on,queues=2"
        );
        assert!(!Backend::tap("t0").netdev("x").contains("queues"));
    }
}
