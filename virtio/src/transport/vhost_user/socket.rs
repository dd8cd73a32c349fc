//! The connection: one message out, at most one in, and never longer than the deadline.
//!
//! A peer may send bytes one by one or not at all; the deadline is that of the whole exchange.
//! After anything unexpected the two sides no longer agree on where a message begins, so the
//! connection is closed. Descriptors that come with an answer are not taken: the kernel closes
//! them.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

use super::messages::{Header, MessageFault, Reply, Request};
use crate::spec::vhost_user::header;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The connection failed, was closed, or nothing came in time.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The back end broke the protocol.
    #[error("{0}")]
    Fault(#[from] MessageFault),
}

/// A connection to a back end.
#[derive(Debug)]
pub(super) struct Channel {
    stream: Arc<UnixStream>,
    deadline: Duration,
    /// Whether each request is to be acknowledged (`REPLY_ACK`).
    pub(super) acknowledged: bool,
    closed: bool,
}

impl Channel {
    /// Over a stream that does not block. `deadline`: how long an exchange may take.
    pub(super) fn new(stream: UnixStream, deadline: Duration) -> Self {
        Self {
            stream: Arc::new(stream),
            deadline,
            acknowledged: false,
            closed: false,
        }
    }

    /// The connection, to be watched.
    pub(super) fn stream(&self) -> &Arc<UnixStream> {
        &self.stream
    }

    /// Sends a request with `fds` and waits for its answer, if there is to be one.
    pub(super) fn call(
        &mut self,
        request: &Request,
        fds: &[RawFd],
    ) -> Result<Reply, ExchangeError> {
        if self.closed {
            return Err(io::Error::from(ErrorKind::NotConnected).into());
        }
        let outcome = self.exchange(request, fds);
        // A refusal is an answer like any other.
        let in_step = matches!(
            outcome,
            Ok(_) | Err(ExchangeError::Fault(MessageFault::Refused { .. }))
        );
        if !in_step {
            self.close();
        }
        outcome
    }

    fn exchange(&mut self, request: &Request, fds: &[RawFd]) -> Result<Reply, ExchangeError> {
        let by = Instant::now() + self.deadline;
        let need_reply = self.acknowledged && !request.has_reply();
        send(&self.stream, &request.to_bytes(need_reply), fds, by)?;
        if !need_reply && !request.has_reply() {
            return Ok(Reply::Done);
        }
        let mut bytes = [0; header::SIZE];
        receive(&self.stream, &mut bytes, by)?;
        let len = request.check_header(Header::from_bytes(bytes))?;
        let mut payload = vec![0; len];
        receive(&self.stream, &mut payload, by)?;
        Ok(request.check_payload(&payload)?)
    }

    fn close(&mut self) {
        self.closed = true;
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Sends all of `bytes`, the descriptors with the first of them. The socket does not block.
pub(super) fn send(
    socket: &UnixStream,
    bytes: &[u8],
    fds: &[RawFd],
    by: Instant,
) -> io::Result<()> {
    let (mut rest, mut fds) = (bytes, fds);
    while !rest.is_empty() {
        wait(socket, PollFlags::OUT, by)?;
        match socket.send_with_fds(&[rest], fds).map_err(io::Error::from) {
            Ok(count) => (rest, fds) = (&rest[count..], &[]),
            Err(error) => pass_over(error)?,
        }
    }
    Ok(())
}

/// Fills `bytes`. The socket does not block.
pub(super) fn receive(socket: &UnixStream, bytes: &mut [u8], by: Instant) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        wait(socket, PollFlags::IN, by)?;
        // As of any descriptor: the standard library makes another system call of it for sockets,
        // one that a caged process has no other use for.
        match rustix::io::read(socket, &mut bytes[filled..]).map_err(io::Error::from) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) => pass_over(error)?,
        }
    }
    Ok(())
}

/// Leaves out what only means that it has to be tried again.
fn pass_over(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

/// Waits until the socket is ready or has an error to tell.
fn wait(socket: &UnixStream, flags: PollFlags, by: Instant) -> io::Result<()> {
    loop {
        let left = by.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or_default();
        let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), flags)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Err(ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::thread;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    fn pair() -> (Channel, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Channel::new(ours, SHORT), theirs)
    }

    fn features(bits: u64) -> Vec<u8> {
        let header = Header {
            request: 1,
            flags: 5,
            size: 8,
        };
        [header.to_bytes().as_slice(), &bits.to_ne_bytes()].concat()
    }

    fn kind(outcome: Result<Reply, ExchangeError>) -> ErrorKind {
        match outcome {
            Err(ExchangeError::Io(error)) => error.kind(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_in_pieces_is_put_together() {
        let (mut channel, mut peer) = pair();
        let answers = thread::spawn(move || {
            let mut asked = [0; 12];
            peer.read_exact(&mut asked).unwrap();
            for byte in features(77) {
                peer.write_all(&[byte]).unwrap();
            }
            peer
        });
        let reply = channel.call(&Request::GetFeatures, &[]).unwrap();
        assert_eq!(reply, Reply::Number(77));
        answers.join().unwrap();
    }

    #[test]
    fn a_silent_peer_is_given_up_at_the_deadline() {
        let (mut channel, _peer) = pair();
        let start = Instant::now();
        let outcome = channel.call(&Request::GetFeatures, &[]);
        assert_eq!(kind(outcome), ErrorKind::TimedOut);
        assert!(start.elapsed() >= SHORT && start.elapsed() < SHORT * 20);
        let again = channel.call(&Request::GetFeatures, &[]);
        assert_eq!(kind(again), ErrorKind::NotConnected);
    }

    #[test]
    fn a_peer_that_trickles_does_not_move_the_deadline() {
        let (mut channel, mut peer) = pair();
        let trickles = thread::spawn(move || {
            for byte in features(1) {
                thread::sleep(SHORT / 4);
                if peer.write_all(&[byte]).is_err() {
                    return;
                }
            }
        });
        let outcome = channel.call(&Request::GetFeatures, &[]);
        assert_eq!(kind(outcome), ErrorKind::TimedOut);
        trickles.join().unwrap();
    }

    #[test]
    fn a_peer_that_reads_nothing_ends_at_the_deadline() {
        let (mut channel, _peer) = pair();
        let request = Request::GetConfig {
            offset: 0,
            len: 256,
        };
        let bytes = request.to_bytes(false);
        let by = Instant::now() + SHORT;
        while send(channel.stream(), &bytes, &[], by).is_ok() {}
        assert_eq!(kind(channel.call(&request, &[])), ErrorKind::TimedOut);
    }

    #[test]
    fn a_closed_connection_is_told_at_once() {
        let (mut channel, peer) = pair();
        drop(peer);
        let outcome = kind(channel.call(&Request::GetFeatures, &[]));
        assert!(matches!(
            outcome,
            ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
        ));
    }

    #[test]
    fn a_refusal_leaves_the_connection_and_nonsense_closes_it() {
        let (mut channel, mut peer) = pair();
        channel.acknowledged = true;
        let mut answer = features(1);
        answer[0] = 3; // SET_OWNER
        peer.write_all(&answer).unwrap();
        let refused = channel.call(&Request::SetOwner, &[]);
        assert!(matches!(
            refused,
            Err(ExchangeError::Fault(MessageFault::Refused { answer: 1 }))
        ));
        peer.write_all(&features(5)).unwrap();
        assert!(channel.call(&Request::GetFeatures, &[]).is_ok());
        peer.write_all(&answer).unwrap();
        assert!(channel.call(&Request::GetFeatures, &[]).is_err());
        let after = channel.call(&Request::GetFeatures, &[]);
        assert_eq!(kind(after), ErrorKind::NotConnected);
    }

    #[test]
    fn stale_descriptors_are_not_kept() {
        let (mut channel, peer) = pair();
        let (spy, given) = UnixStream::pair().unwrap();
        let by = Instant::now() + SHORT;
        send(&peer, &features(3), &[given.as_raw_fd()], by).unwrap();
        drop(given);
        assert!(channel.call(&Request::GetFeatures, &[]).is_ok());
        // Its other end is closed once nobody holds it.
        spy.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!((&spy).read(&mut [0]).unwrap(), 0);
    }
}
