//! The connection between the supervisor and a driver host: whole messages, with descriptors.
//!
//! One JSON value a message over a sequenced-packet socket. Neither side trusts the other's
//! length, kind or number of descriptors; the supervisor trusts nothing of what a host says.

mod client;
mod line;
mod message;

pub(crate) use client::counter_prefix;
pub use client::{
    AdapterReport, AdapterWish, ClientAsk, ClientReport, ClientSetup, Filter, MAX_ADAPTERS, Place,
};
pub(crate) use line::{Line, SharedLine, exactly_one};
pub use message::{
    Answer, Ask, DeviceSetup, FromHost, Interface, Offloads, PortSetup, Report, Setup,
    StartFailure, ToHost,
};
pub(crate) use message::{MAX_COUNTERS, MAX_QUEUES, checked};

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Version of the messages. A host of another version is not started.
pub const PROTOCOL: u32 = 4;
/// Longest message in bytes.
const MAX_MESSAGE: usize = 32 * 1024;
/// Most descriptors with one message.
pub const MAX_FDS: usize = 64;

/// Talking to the other process failed.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// The other process is gone.
    #[error("the other process has closed the connection")]
    Closed,
    /// The other process does not read what it is sent.
    #[error("the other process does not listen")]
    Full,
    /// What came is no message.
    #[error("not a message: {0}")]
    Nonsense(String),
    /// The system refused something.
    #[error("the connection to the other process: {0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for ChannelError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => Self::Closed,
            Errno::AGAIN | Errno::NOBUFS => Self::Full,
            errno => Self::Io(errno.into()),
        }
    }
}

/// One end of the connection. Nothing here blocks.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Both ends.
    ///
    /// # Errors
    /// Descriptors have run out.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let kind = SocketType::SEQPACKET;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
        Ok((Self(ours), theirs))
    }

    /// The end that somebody has handed over.
    pub fn new(end: OwnedFd) -> Self {
        Self(end)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::Full`] when the other side is far behind.
    pub fn send(
        &self,
        message: &impl Serialize,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        let bytes = serde_json::to_vec(message).map_err(io::Error::from)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            let text = format!("{} descriptors are too many for one message", fds.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text).into());
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, flags)?;
        Ok(())
    }

    /// The next message with its descriptors, if there is one.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] at the end, [`ChannelError::Nonsense`] for what is no message of
    /// this kind; the descriptors that came with it are closed.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<Option<(T, Vec<OwnedFd>)>, ChannelError> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received = match recvmsg(&self.0, &mut parts, &mut control, flags) {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            received => received?,
        };
        let fds = descriptors(&mut control);
        if received.bytes == 0 {
            return Err(ChannelError::Closed);
        }
        if received
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
        {
            return Err(ChannelError::Nonsense(format!(
                "longer than {MAX_MESSAGE} bytes or with more than {MAX_FDS} descriptors"
            )));
        }
        let message = serde_json::from_slice(bytes.get(..received.bytes).unwrap_or_default());
        let message = message.map_err(|error| ChannelError::Nonsense(error.to_string()))?;
        Ok(Some((message, fds)))
    }
}

fn descriptors(control: &mut RecvAncillaryBuffer<'_>) -> Vec<OwnedFd> {
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    rights.flatten().collect()
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, Channel) {
        let (ours, theirs) = Channel::pair().unwrap();
        (ours, Channel::new(theirs))
    }

    #[test]
    fn a_message_arrives_whole_with_its_descriptors() {
        let (ours, theirs) = pair();
        let (carried, kept) = pair();
        ours.send(&ToHost::Challenge(7), &[carried.as_fd()])
            .unwrap();
        drop(carried);
        let (message, fds) = theirs.receive::<ToHost>().unwrap().unwrap();
        assert!(matches!(message, ToHost::Challenge(7)));
        let [fd]: [OwnedFd; 1] = fds.try_into().unwrap();
        Channel::new(fd).send(&1u8, &[]).unwrap();
        assert_eq!(kept.receive::<u8>().unwrap().unwrap().0, 1);
        assert!(theirs.receive::<ToHost>().unwrap().is_none());
    }

    #[test]
    fn the_end_of_the_other_side_is_told() {
        let (ours, theirs) = pair();
        drop(theirs);
        assert!(matches!(ours.receive::<u8>(), Err(ChannelError::Closed)));
        assert!(matches!(ours.send(&1u8, &[]), Err(ChannelError::Closed)));
    }

    #[test]
    fn nonsense_costs_its_descriptors_and_nothing_else() {
        let (ours, theirs) = pair();
        let (carried, kept) = pair();
        ours.send(&"what?", &[carried.as_fd()]).unwrap();
        drop(carried);
        let refused = theirs.receive::<ToHost>();
        assert!(
            matches!(refused, Err(ChannelError::Nonsense(_))),
            "{refused:?}"
        );
        assert!(matches!(kept.receive::<u8>(), Err(ChannelError::Closed)));
        ours.send(&ToHost::Challenge(1), &[]).unwrap();
        assert!(theirs.receive::<ToHost>().unwrap().is_some());
    }

    #[test]
    fn what_is_too_long_is_cut_and_refused() {
        let (ours, theirs) = pair();
        ours.send(&"x".repeat(MAX_MESSAGE), &[]).unwrap();
        assert!(matches!(
            theirs.receive::<String>(),
            Err(ChannelError::Nonsense(_))
        ));
    }

    #[test]
    fn a_listener_that_does_not_listen_blocks_nobody() {
        let (ours, _theirs) = pair();
        let text = "x".repeat(1000);
        let full = (0..10_000).find_map(|_| ours.send(&text, &[]).err());
        assert!(matches!(full, Some(ChannelError::Full)), "{full:?}");
    }
}
