//! One connection, from the first word to the last: what was agreed on, and the requests a
//! transport is made of.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use vmm_sys_util::eventfd::EventFd;

use super::features::Protocol;
use super::memory::SharedMemory;
use super::messages::{MessageFault, Reply, Request, RingAddresses, RingBase};
use super::socket::{Channel, ExchangeError};
use crate::net::FeatureSet;
use crate::spec::feature::VIRTIO_F_RING_PACKED;
use crate::spec::net::config::MAX_VIRTQUEUE_PAIRS;
use crate::spec::net::feature::VIRTIO_NET_F_MQ;
use crate::spec::vhost_user::F_PROTOCOL_FEATURES;
use crate::transport::{QueueSetup, TransportError};

/// A queue that a ring is to be made of, with the events it is told by.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) setup: QueueSetup,
    pub(super) kick: Arc<OwnedFd>,
    pub(super) call: Option<Arc<EventFd>>,
}

/// A connection that is past its greeting.
#[derive(Debug)]
pub(super) struct Session {
    name: Arc<str>,
    channel: Channel,
    /// As the back end says them, with `F_PROTOCOL_FEATURES`.
    pub(super) offered: u64,
    pub(super) protocol: Protocol,
    /// Pairs of queues that the back end may have, by its own count.
    pub(super) queue_num: u64,
    /// Whether rings are packed.
    packed: bool,
}

impl Session {
    /// Greets the back end and agrees on extensions.
    pub(super) fn open(
        name: Arc<str>,
        stream: UnixStream,
        deadline: Duration,
    ) -> Result<Self, TransportError> {
        let channel = Channel::new(stream, deadline);
        let mut session = Self {
            name,
            channel,
            offered: 0,
            protocol: Protocol::default(),
            queue_num: 1,
            packed: false,
        };
        session.offered = session.ask("GET_FEATURES", &Request::GetFeatures)?;
        if session.has_protocol() {
            session.agree_on_protocol()?;
        }
        session.tell("SET_OWNER", &Request::SetOwner)?;
        if session.protocol.several_queues() {
            session.check_queue_count()?;
        }
        log::debug!(
            "{}: offers {:#x}, {:?}",
            session.name,
            session.offered,
            session.protocol
        );
        Ok(session)
    }

    fn has_protocol(&self) -> bool {
        self.offered >> F_PROTOCOL_FEATURES & 1 == 1
    }

    fn agree_on_protocol(&mut self) -> Result<(), TransportError> {
        let offered = self.ask("GET_PROTOCOL_FEATURES", &Request::GetProtocolFeatures)?;
        let taken = Protocol::choose(offered);
        self.tell(
            "SET_PROTOCOL_FEATURES",
            &Request::SetProtocolFeatures(taken.bits()),
        )?;
        self.channel.acknowledged = taken.acknowledges();
        self.protocol = taken;
        Ok(())
    }

    /// Of a network device it is pairs that are counted; some back ends count queues all the same.
    fn check_queue_count(&mut self) -> Result<(), TransportError> {
        self.queue_num = self.ask("GET_QUEUE_NUM", &Request::GetQueueNum)?;
        match self.queue_num {
            0 => Err(self.unusable("the back end says that it has no queues".to_owned())),
            _ => Ok(()),
        }
    }

    /// How many pairs of queues the back end has: where it has a configuration, that has the last
    /// word.
    pub(super) fn read_pairs(&mut self) -> Result<u16, TransportError> {
        if self.offered >> VIRTIO_NET_F_MQ & 1 == 0 {
            return Ok(1);
        }
        let counted = u16::try_from(self.queue_num).unwrap_or(u16::MAX);
        if !self.protocol.has_config() {
            return Ok(counted);
        }
        let bytes = self.read_config(MAX_VIRTQUEUE_PAIRS + 2)?;
        let told = bytes
            .last_chunk()
            .map_or(1, |word| u16::from_le_bytes(*word));
        // No queue's index depends on it, so of a number that cannot be the best is made.
        Ok(counted.min(told).max(1))
    }

    /// The connection, to be watched.
    pub(super) fn stream(&self) -> &Arc<UnixStream> {
        self.channel.stream()
    }

    /// Tells the back end which of its features are taken.
    pub(super) fn set_features(&mut self, accepted: u64) -> Result<(), TransportError> {
        let protocol = self.offered & 1 << F_PROTOCOL_FEATURES;
        self.packed = accepted >> VIRTIO_F_RING_PACKED & 1 == 1;
        self.tell("SET_FEATURES", &Request::SetFeatures(accepted | protocol))
    }

    /// Features as the back end has them now.
    pub(super) fn read_features(&mut self) -> Result<FeatureSet, TransportError> {
        self.offered = self.ask("GET_FEATURES", &Request::GetFeatures)?;
        Ok(FeatureSet(
            u128::from(self.offered) & !(1 << F_PROTOCOL_FEATURES),
        ))
    }

    /// Device status, where the back end keeps it; `None`: it does not.
    pub(super) fn read_status(&mut self) -> Result<Option<u8>, TransportError> {
        if !self.protocol.has_status() {
            return Ok(None);
        }
        let status = self.ask("GET_STATUS", &Request::GetStatus)?;
        // The answer was checked to be a byte.
        Ok(Some(status as u8))
    }

    /// Tells the back end the device status, if it keeps one.
    pub(super) fn write_status(&mut self, status: u8) -> Result<(), TransportError> {
        if !self.protocol.has_status() {
            return Ok(());
        }
        self.tell("SET_STATUS", &Request::SetStatus(status))
    }

    /// The first `len` bytes of device configuration, read at once.
    pub(super) fn read_config(&mut self, len: usize) -> Result<Vec<u8>, TransportError> {
        let request = Request::GetConfig {
            offset: 0,
            len: len as u32, // at most that of `net::config`
        };
        match self.call("GET_CONFIG", &request, &[])? {
            Reply::Config(bytes) => Ok(bytes),
            other => unreachable!("{other:?} is no configuration: answers are checked"),
        }
    }

    /// Gives the back end a socket for requests of its own.
    pub(super) fn set_back_channel(&mut self, socket: &UnixStream) -> Result<(), TransportError> {
        self.call(
            "SET_BACKEND_REQ_FD",
            &Request::SetBackendReqFd,
            &[socket.as_raw_fd()],
        )?;
        Ok(())
    }

    /// Shares memory.
    pub(super) fn set_memory(&mut self, memory: &SharedMemory) -> Result<(), TransportError> {
        let (table, fds) = memory.table();
        self.call("SET_MEM_TABLE", &Request::SetMemTable(table), &fds)?;
        Ok(())
    }

    /// Gives the back end a ring and starts it; the first kick is part of that
    /// (§ *Ring states*).
    pub(super) fn start(&mut self, ring: &Ring, errors: &OwnedFd) -> Result<(), TransportError> {
        let QueueSetup { index, size, .. } = ring.setup;
        let (queue, size) = (index, size.get());
        let addresses = RingAddresses {
            queue,
            desc: ring.setup.desc.0,
            avail: ring.setup.driver.0,
            used: ring.setup.device.0,
        };
        self.tell("SET_VRING_NUM", &Request::SetVringNum { queue, size })?;
        let base = match self.packed {
            true => RingBase::Packed,
            false => RingBase::Split,
        };
        self.tell("SET_VRING_BASE", &Request::SetVringBase { queue, base })?;
        self.tell("SET_VRING_ADDR", &Request::SetVringAddr(addresses))?;
        let call: Vec<RawFd> = ring.call.iter().map(|event| event.as_raw_fd()).collect();
        let has_fd = !call.is_empty();
        let errors = [errors.as_raw_fd()];
        self.call("SET_VRING_ERR", &Request::SetVringErr { queue }, &errors)?;
        let request = Request::SetVringCall { queue, has_fd };
        self.call("SET_VRING_CALL", &request, &call)?;
        let kick = [ring.kick.as_raw_fd()];
        self.call("SET_VRING_KICK", &Request::SetVringKick { queue }, &kick)?;
        if self.has_protocol() {
            let on = Request::SetVringEnable { queue, on: true };
            self.tell("SET_VRING_ENABLE", &on)?;
        }
        Ok(())
    }

    /// Waits until the back end has seen all that was sent.
    pub(super) fn synchronise(&mut self) -> Result<(), TransportError> {
        if self.protocol.acknowledges() {
            return Ok(());
        }
        // Requests are served in order, and this one is answered.
        self.ask("GET_FEATURES", &Request::GetFeatures).map(drop)
    }

    /// Stops a ring: when this returns, the back end touches it no more.
    pub(super) fn stop(&mut self, setup: &QueueSetup) -> Result<(), TransportError> {
        let request = Request::GetVringBase {
            queue: setup.index,
            packed: self.packed.then_some(setup.size),
        };
        self.ask("GET_VRING_BASE", &request).map(drop)
    }

    /// Resets what else there is.
    pub(super) fn reset(&mut self) -> Result<(), TransportError> {
        if self.protocol.has_status() {
            return self.write_status(0);
        }
        if self.protocol.resets() {
            return self.tell("RESET_DEVICE", &Request::ResetDevice);
        }
        Ok(())
    }

    fn tell(&mut self, what: &str, request: &Request) -> Result<(), TransportError> {
        self.call(what, request, &[]).map(drop)
    }

    fn ask(&mut self, what: &str, request: &Request) -> Result<u64, TransportError> {
        match self.call(what, request, &[])? {
            Reply::Number(number) => Ok(number),
            other => unreachable!("{other:?} is no number: answers are checked"),
        }
    }

    fn call(
        &mut self,
        what: &str,
        request: &Request,
        fds: &[RawFd],
    ) -> Result<Reply, TransportError> {
        let outcome = self.channel.call(request, fds);
        outcome.map_err(|error| self.failed(what, error))
    }

    fn failed(&self, what: &str, error: ExchangeError) -> TransportError {
        match error {
            ExchangeError::Io(source) => TransportError::Io {
                device: self.name.to_string(),
                operation: format!("{what} to the back end"),
                source: explained(source),
            },
            ExchangeError::Fault(fault) => self.unusable(format!("{what}: {}", of(fault))),
        }
    }

    fn unusable(&self, reason: String) -> TransportError {
        TransportError::Unusable {
            device: self.name.to_string(),
            reason,
        }
    }
}

fn of(fault: MessageFault) -> String {
    format!("the back end breaks the protocol: {fault}")
}

/// The same error with words that fit a back end.
fn explained(error: io::Error) -> io::Error {
    let words = match error.kind() {
        io::ErrorKind::TimedOut => "it did not answer in time",
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "it has closed the connection",
        io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected => "the connection is closed",
        _ => return error,
    };
    io::Error::new(error.kind(), words)
}
