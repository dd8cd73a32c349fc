//! Changes of one interface, told as they happen.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::HostError;
use super::interface::{Interfaces, Link, failed};
use super::netlink::receive;

/// Multicast group of link changes (`RTNLGRP_LINK`).
const GROUP_LINK: u32 = 1;

/// Something happened to the watched interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// This is how it looks now: name, MAC, MTU, up, promiscuous mode and the rest.
    Changed(Link),
    /// It is gone.
    Removed,
}

/// Watches one interface, by its number, so that renaming does not lose it.
///
/// The file descriptor is readable when there may be an event; nothing here ever blocks.
pub struct LinkWatch {
    socket: Socket,
    index: u32,
    queued: Vec<LinkEvent>,
}

impl LinkWatch {
    /// Starts watching interface `index` in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`].
    pub fn new(index: u32) -> Result<Self, HostError> {
        let socket = subscribe().map_err(failed(format!("watch interface {index}")))?;
        Ok(Self {
            socket,
            index,
            queued: Vec::new(),
        })
    }

    /// The next event, oldest first; `None` when there is none for now.
    ///
    /// Where the kernel had to drop events, one with the present state stands for them.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`].
    pub fn next_event(&mut self) -> Result<Option<LinkEvent>, HostError> {
        while self.queued.is_empty() {
            match receive(&self.socket) {
                Ok(None) => return Ok(None),
                Ok(Some(messages)) => {
                    let payloads = messages.into_iter().map(|message| message.payload);
                    self.queued = payloads
                        .filter_map(|p| event(self.index, &p))
                        .rev()
                        .collect();
                }
                Err(e) if is_overrun(&e) => return self.present().map(Some),
                Err(e) => return Err(failed(format!("watch interface {}", self.index))(e)),
            }
        }
        Ok(self.queued.pop())
    }

    fn present(&self) -> Result<LinkEvent, HostError> {
        let link = Interfaces::open()?.get(self.index)?;
        Ok(link.map_or(LinkEvent::Removed, LinkEvent::Changed))
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for LinkWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn subscribe() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.add_membership(GROUP_LINK)?;
    socket.set_non_blocking(true)?;
    Ok(socket)
}

fn event(index: u32, payload: &NetlinkPayload<Message>) -> Option<LinkEvent> {
    let NetlinkPayload::InnerMessage(message) = payload else {
        return None;
    };
    match message {
        Message::NewLink(link) if is_about(index, link) => {
            Some(LinkEvent::Changed(Link::from_message(link)))
        }
        Message::DelLink(link) if is_about(index, link) => Some(LinkEvent::Removed),
        _ => None,
    }
}

/// A bridge tells its ports' comings and goings in the same group, under its own family.
fn is_about(index: u32, link: &LinkMessage) -> bool {
    link.header.index == index && link.header.interface_family == AddressFamily::Unspec
}

fn is_overrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}
