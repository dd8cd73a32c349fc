//! Frames as they are, past the stack: tags that no VLAN interface made.
#![allow(unsafe_code)] // two system calls the standard library does not offer

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Sends whole frames through one interface.
pub(crate) struct FrameSocket {
    socket: OwnedFd,
    to: libc::sockaddr_ll,
}

impl FrameSocket {
    /// Needs CAP_NET_RAW in the interface's namespace.
    pub(crate) fn on(interface: &str) -> io::Result<Self> {
        let name = std::ffi::CString::new(interface)?;
        // SAFETY: a string that ends with NUL, and lives.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: takes numbers only.
        let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a plain structure of numbers.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = index as i32;
        // SAFETY: just opened, and nobody else knows it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        Ok(Self { socket, to })
    }

    /// Sends one frame, from the Ethernet header on.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: frame and address are live for the call and as long as it is told.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const self.to).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        match sent == frame.len() as isize {
            true => Ok(()),
            false => Err(io::Error::last_os_error()),
        }
    }
}
