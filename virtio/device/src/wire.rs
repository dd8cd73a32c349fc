//! A cable whose far end is a program: each frame is a datagram, header first.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use virtio::net::VirtioNetHdr;
use virtio::spec::net::MAX_LARGE_FRAME;
use virtio::transport::in_process::{Frame, Link};

/// The device's end; clones are the same one.
#[derive(Clone, Debug)]
pub struct Wire {
    socket: Arc<UnixDatagram>,
    buffer: Vec<u8>,
}

impl Wire {
    /// The device's end and the program's.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn pair() -> io::Result<(Self, UnixDatagram)> {
        let (ours, theirs) = UnixDatagram::pair()?;
        ours.set_nonblocking(true)?;
        let wire = Self {
            socket: Arc::new(ours),
            buffer: vec![0; VirtioNetHdr::SIZE + MAX_LARGE_FRAME],
        };
        Ok((wire, theirs))
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Link for Wire {
    fn send(&mut self, frame: &Frame) {
        // A program that takes no frames loses them, as on a real cable.
        let _ = self.socket.send(frame.as_bytes());
    }

    fn receive(&mut self, frame: &mut Frame) -> bool {
        match self.socket.recv(&mut self.buffer) {
            Ok(len) if len >= VirtioNetHdr::SIZE => {
                frame.set_bytes(&self.buffer[..len]);
                true
            }
            _ => false,
        }
    }
}
