//! Frames that leave by an interface as if its stack had made them.
#![allow(unsafe_code)] // a system call that takes an address of a kind of its own

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

/// Sends whole frames by any interface of a network namespace. It receives none.
#[derive(Debug)]
pub struct FrameSocket(File);

impl FrameSocket {
    /// Opens it in the calling thread's network namespace.
    ///
    /// # Errors
    /// Without CAP_NET_RAW there.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: takes numbers only; protocol 0 has nothing received.
        let socket = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else knows it.
        Ok(Self(unsafe { File::from_raw_fd(socket) }))
    }

    /// Sends a frame, from its Ethernet header on, by the interface of this number.
    ///
    /// # Errors
    /// Whatever the kernel says, as of an interface that is down.
    pub fn send(&self, interface: u32, frame: &[u8]) -> io::Result<()> {
        let to = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: 0,
            sll_ifindex: interface as i32,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: frame and address are live for the call and as long as it is told.
        let sent = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const to).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        match usize::try_from(sent) {
            Ok(sent) if sent == frame.len() => Ok(()),
            Ok(_) => Err(io::ErrorKind::WriteZero.into()),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }
}
