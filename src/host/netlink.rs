//! Requests to the kernel's network stack over rtnetlink, one at a time, each with a deadline.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long the kernel may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// The kernel never sends more than this at once.
const MAX_DATAGRAM: usize = 64 * 1024;
/// `struct nlmsghdr`.
const HEADER_LEN: usize = 16;

/// A connection to the kernel's network stack, in the network namespace of the thread that opened
/// it.
pub struct RtNetlink {
    socket: Socket,
    sequence: u32,
}

impl RtNetlink {
    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says to the socket.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Asks for a change and waits until the kernel has made it.
    ///
    /// # Errors
    ///
    /// The kernel's answer as an OS error; [`io::ErrorKind::TimedOut`] without one.
    pub fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.request(message, flags | NLM_F_ACK).map(drop)
    }

    /// Asks about one thing.
    ///
    /// # Errors
    ///
    /// As [`Self::change`].
    pub fn get(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.request(message, NLM_F_ACK)
    }

    /// Asks for all there is of a kind.
    ///
    /// # Errors
    ///
    /// As [`Self::change`].
    pub fn dump(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.request(message, NLM_F_DUMP)
    }

    fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.send(message, flags)?;
        let end = Instant::now() + DEADLINE;
        let mut answers = Vec::new();
        loop {
            wait_readable(self.socket.as_fd(), end)?;
            for message in receive(&self.socket)?.unwrap_or_default() {
                // Answers to a request that ran out of time may still come in.
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(answers),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags | NLM_F_REQUEST;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }
}

fn wait_readable(fd: BorrowedFd<'_>, end: Instant) -> io::Result<()> {
    let left = end.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(0) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "no answer from the kernel's network stack",
        )),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// All messages of one datagram; `None` if there is nothing to read.
pub(super) fn receive(
    socket: &Socket,
) -> io::Result<Option<Vec<NetlinkMessage<RouteNetlinkMessage>>>> {
    let mut bytes = Vec::with_capacity(MAX_DATAGRAM);
    match socket.recv(&mut bytes, 0) {
        Ok(_) => Ok(Some(split(&bytes))),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(e) => Err(e),
    }
}

/// Takes a datagram apart. A message the decoder does not know is left out rather than taking the
/// others with it.
fn split(mut bytes: &[u8]) -> Vec<NetlinkMessage<RouteNetlinkMessage>> {
    let mut messages = Vec::new();
    while let Some(&[a, b, c, d]) = bytes.get(..4) {
        let len = u32::from_ne_bytes([a, b, c, d]) as usize;
        let Some(message) = bytes.get(..len).filter(|_| len >= HEADER_LEN) else {
            break;
        };
        match NetlinkMessage::deserialize(message) {
            Ok(message) => messages.push(message),
            Err(error) => log::warn!("netlink: left out a message: {error}"),
        }
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_route::link::LinkMessage;

    fn message(sequence: u32) -> Vec<u8> {
        let mut header = NetlinkHeader::default();
        header.sequence_number = sequence;
        let inner = RouteNetlinkMessage::NewLink(LinkMessage::default());
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(inner));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    #[test]
    fn every_message_of_a_datagram_is_found() {
        let datagram = [message(1), message(2)].concat();
        let numbers: Vec<u32> = split(&datagram)
            .iter()
            .map(|m| m.header.sequence_number)
            .collect();
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn lengths_that_lie_end_the_datagram() {
        let mut short = message(1);
        short[0] = 3;
        assert!(split(&short).is_empty());
        let mut long = message(1);
        long[0] = 0xff;
        assert!(split(&long).is_empty());
    }
}
