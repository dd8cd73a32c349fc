//! A TAP with a socket on it, in a network namespace that goes with the process.
#![allow(unsafe_code)] // an ioctl that takes a pointer

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;

use super::frame::{self, ETHERNET, HERE, PORT, THERE, VNET};

const NAME: &str = "tap0";
const USUAL_MTU: usize = 1500;
/// For all frames of a turn at their largest, with what the kernel counts beside the bytes.
const RECEIVE_BUFFER: usize = 256 << 20;
/// Linux begins to send some time after the carrier came.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// The TAP, and the socket that sends what comes out of it and receives what goes in.
pub(super) struct Interface {
    tap: File,
    socket: UdpSocket,
    size: usize,
}

impl Interface {
    /// One that carries frames of `size` bytes already.
    pub(super) fn make(size: usize) -> io::Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let tap = open()?;
        // A kernel without IPv6 has nothing to switch off.
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{NAME}/disable_ipv6"), "1");
        configure((size - ETHERNET).max(USUAL_MTU))?;
        let interface = Self {
            tap,
            socket: connected()?,
            size,
        };
        interface.wait_until_it_sends()?;
        Ok(interface)
    }

    pub(super) fn tap(&self) -> &File {
        &self.tap
    }

    /// Bytes of a frame with its virtio header.
    pub(super) fn stride(&self) -> usize {
        VNET + self.size
    }

    /// Has the stack send so many numbered frames, which the TAP then has.
    pub(super) fn send(&self, count: usize) -> io::Result<()> {
        for number in 0..count as u32 {
            self.socket.send(&frame::payload(self.size, number))?;
        }
        Ok(())
    }

    /// The slots must have the frames that were sent, and the TAP no more.
    pub(super) fn check_read<'a>(
        &self,
        slots: impl Iterator<Item = &'a mut [u8]>,
    ) -> io::Result<()> {
        for (number, slot) in (0..).zip(slots) {
            right(frame::is_sent(slot, number), number)?;
            // So that it cannot be found once more.
            slot.fill(0);
        }
        nothing_more((&self.tap).read(&mut [0; 64]))
    }

    /// The socket must have so many frames, all that were written, and no more.
    pub(super) fn receive(&self, count: usize) -> io::Result<()> {
        let mut datagram = vec![0; self.size];
        for number in 0..count as u32 {
            let length = self.socket.recv(&mut datagram)?;
            let carried = &datagram[..length];
            right(*carried == frame::payload(self.size, number), number)?;
        }
        nothing_more(self.socket.recv(&mut datagram))
    }

    fn wait_until_it_sends(&self) -> io::Result<()> {
        let began = Instant::now();
        let mut slot = vec![0; self.stride()];
        while began.elapsed() < PATIENCE {
            self.send(1)?;
            match (&self.tap).read(&mut slot) {
                Ok(_) => return right(frame::is_sent(&slot, 0), 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::TimedOut.into())
    }
}

fn right(right: bool, number: u32) -> io::Result<()> {
    match right {
        true => Ok(()),
        false => Err(io::Error::other(format!("frame {number} is another one"))),
    }
}

fn nothing_more(outcome: io::Result<usize>) -> io::Result<()> {
    match outcome {
        Ok(_) => Err(io::Error::other("a frame too many")),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

/// `struct ifreq`, as far as TUNSETIFF uses it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<InterfaceRequest>() == size_of::<libc::ifreq>());

nix::ioctl_write_ptr_bad!(
    set_interface,
    nix::request_code_write!(b'T', 202, size_of::<libc::c_int>()),
    InterfaceRequest
);

fn open() -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true);
    let tap = options
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    let mut request = InterfaceRequest {
        name: [0; 16],
        flags: (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as u16,
        rest: [0; 22],
    };
    request.name[..NAME.len()].copy_from_slice(NAME.as_bytes());
    // SAFETY: TUNSETIFF reads one ifreq, whose size is asserted above, and the reference is to a
    // live one.
    unsafe { set_interface(tap.as_raw_fd(), &request) }?;
    Ok(tap)
}

/// Addresses and neighbours are fixed, so that nothing else is ever sent.
fn configure(mtu: usize) -> io::Result<()> {
    ip(&format!(
        "link set {NAME} address {} mtu {mtu} txqueuelen 1000 up",
        mac(&HERE.mac)
    ))?;
    ip(&format!("addr add {}/24 dev {NAME}", HERE.address))?;
    ip(&format!(
        "neigh add {} lladdr {} dev {NAME} nud permanent",
        THERE.address,
        mac(&THERE.mac)
    ))
}

fn connected() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((HERE.address, PORT))?;
    socket.connect((THERE.address, PORT))?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER)?;
    Ok(socket)
}

fn ip(words: &str) -> io::Result<()> {
    let status = Command::new("ip").args(words.split(' ')).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("ip {words}: {status}"))),
    }
}

fn mac(mac: &[u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
