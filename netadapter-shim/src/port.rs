//! The seam to the network stack's seat: what a system port does for the shim.
//!
//! A port has one queue per pair of packet queues; a queue is used by one
//! execution context only. Ports live in [`crate::os`].

use std::io;
use std::os::fd::RawFd;

use vm_memory::{Bytes, VolatileSlice};

use crate::abi::{
    NetAdapterLinkLayerAddress, NetPacketChecksum, NetPacketHash, NetPacketPartialChecksum,
    NetPacketRsc,
};
use crate::buffer_pool::{SystemBuffer, empty_slice};
use crate::ring::{NetRings, RingSet};

/// Large frames and unfinished checksums, per direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortOffloads {
    /// Checksums may be left to the other side.
    pub checksum: bool,
    /// TCP over IPv4 in frames of up to 64 KiB.
    pub tso4: bool,
    /// TCP over IPv6 in frames of up to 64 KiB.
    pub tso6: bool,
    /// The same with the CWR flag set.
    pub tso_ecn: bool,
    /// UDP datagrams of equal size in one frame.
    pub uso: bool,
}

impl PortOffloads {
    /// Everything.
    pub const ALL: Self = Self {
        checksum: true,
        tso4: true,
        tso6: true,
        tso_ecn: true,
        uso: true,
    };

    /// What both sides have.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self {
            checksum: self.checksum && other.checksum,
            tso4: self.tso4 && other.tso4,
            tso6: self.tso6 && other.tso6,
            tso_ecn: self.tso_ecn && other.tso_ecn,
            uso: self.uso && other.uso,
        }
    }

    /// Whether any kind of large frame may occur.
    pub fn segmentation(self) -> bool {
        self.tso4 || self.tso6 || self.uso
    }
}

/// What an adapter is to the stack when it is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The address the hardware was born with.
    pub permanent_address: NetAdapterLinkLayerAddress,
    /// The address in use.
    pub current_address: NetAdapterLinkLayerAddress,
    /// Payload of a frame in bytes.
    pub mtu: u32,
}

/// The stack's seat: a TAP, a loopback, something that wraps one.
/// Called from the control thread only.
pub trait SystemPort: Send {
    /// The adapter is started: the interface becomes visible if it is not yet.
    /// Called before anything is asked of it, and again at every later start.
    ///
    /// # Errors
    /// Whatever the operating system says; the adapter then stays stopped.
    fn open(&mut self, _interface: &Interface) -> io::Result<()> {
        Ok(())
    }

    /// How many queues [`Self::open_queues`] can give.
    fn max_queues(&self) -> usize {
        1
    }

    /// What received frames may carry: unfinished checksums, several segments.
    fn rx_offloads(&self) -> PortOffloads {
        PortOffloads::default()
    }

    /// Whether it has any use for the hash of a received frame, which costs the
    /// device and the client something.
    fn takes_hash(&self) -> bool {
        false
    }

    /// What the stack can be told to leave to the device when it sends.
    fn tx_offloads(&self) -> PortOffloads {
        PortOffloads::default()
    }

    /// Tells the stack what it may leave to the device from now on.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn set_tx_offloads(&mut self, _offloads: PortOffloads) -> io::Result<()> {
        Ok(())
    }

    /// Gives one handle per queue. Called each time queues are built; the
    /// handles given before are dropped by then, what they stand for stays.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn open_queues(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>>;

    /// Gives handles for further contexts that only hand over received frames,
    /// each at the same time as the others and as those of
    /// [`Self::open_queues`]. They have no descriptor and nothing to send.
    ///
    /// # Errors
    /// Whatever the operating system says; a port may not have such handles.
    fn open_indicators(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        match count {
            0 => Ok(Vec::new()),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Shows the link's state to the stack.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn set_link_state(&mut self, _up: bool) -> io::Result<()> {
        Ok(())
    }

    /// Hears of a new MTU (payload of a frame in bytes). Ports whose MTU is set
    /// by the control plane ignore it.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn set_mtu(&mut self, _mtu: u32) -> io::Result<()> {
        Ok(())
    }

    /// Hears of the address frames are sent from and received for. Ports whose
    /// address is set by the control plane ignore it.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn set_address(&mut self, _address: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// A frame the stack wants sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxFrame {
    /// Bytes of the frame. More than the buffer's capacity says that the frame
    /// did not fit; it is dropped and counted.
    pub length: usize,
    /// What the stack left to the device.
    pub partial: NetPacketPartialChecksum,
}

/// One queue of a port. Called from one execution context only; nothing here
/// blocks.
pub trait PortQueue: Send {
    /// Becomes readable, edge-triggered, when the stack has frames to send.
    /// Without one, [`Self::transmit`] is tried in every turn and nothing wakes
    /// the context for it.
    fn poll_fd(&self) -> Option<RawFd>;

    /// Fills `buffer` with the next frame the stack wants sent; `None` if there
    /// is none. After `None` the queue's descriptor reports again.
    ///
    /// # Errors
    /// Whatever the operating system says. The frame counts as dropped.
    fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>>;

    /// Hands a received frame to the stack.
    ///
    /// # Errors
    /// Whatever the operating system says. The frame counts as dropped.
    fn indicate(&mut self, frame: &RxFrame<'_>) -> io::Result<()>;
}

/// Hands frames over through a queue that somebody else takes frames from.
pub(crate) struct Indicator<Q>(pub(crate) Q);

impl<Q: PortQueue> PortQueue for Indicator<Q> {
    fn poll_fd(&self) -> Option<RawFd> {
        None
    }

    fn transmit(&mut self, _buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        Ok(None)
    }

    fn indicate(&mut self, frame: &RxFrame<'_>) -> io::Result<()> {
        self.0.indicate(frame)
    }
}

/// Part of a received frame: bytes of one system buffer, already checked to
/// lie inside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RxPart {
    pub(crate) fragment: u32,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

/// A received frame on its way to the stack.
pub struct RxFrame<'a> {
    pub(crate) set: &'a RingSet,
    pub(crate) parts: &'a [RxPart],
    /// Bytes of the frame that stand in front of the first part.
    pub(crate) prefix: usize,
    pub(crate) length: usize,
    pub(crate) checksum: NetPacketChecksum,
    pub(crate) rsc: NetPacketRsc,
    pub(crate) partial: NetPacketPartialChecksum,
    /// The packet that it is, unless it was joined from several.
    pub(crate) packet: Option<u32>,
}

impl<'a> RxFrame<'a> {
    /// Bytes of the frame.
    pub fn length(&self) -> usize {
        self.length
    }

    /// How many buffers the frame lies in, at least one.
    pub fn fragment_count(&self) -> usize {
        self.parts.len()
    }

    /// The frame's bytes, buffer by buffer; the first one preceded by `header`
    /// (at most 64) bytes for the port to fill.
    pub fn fragments(&self, header: usize) -> impl Iterator<Item = VolatileSlice<'a>> + '_ {
        let headers = std::iter::once(header + self.prefix).chain(std::iter::repeat(0));
        self.parts.iter().zip(headers).map(|(part, header)| {
            let (offset, length) = (part.offset as usize, part.length as usize);
            match self.set.attached(part.fragment) {
                Some(id) => self
                    .set
                    .pool
                    .buffer(id)
                    .data_with_header(header, offset, length),
                None => empty_slice(),
            }
        })
    }

    /// Copies as much of the frame as fits from its start and tells how much.
    pub fn copy_to(&self, target: &mut [u8]) -> usize {
        let mut filled = 0;
        for fragment in self.fragments(0) {
            let rest = target.get_mut(filled..).unwrap_or_default();
            filled += fragment.copy_to(rest);
        }
        filled
    }

    /// Overwrites bytes of the first buffer, `offset` from the frame's start;
    /// false if they do not lie in it.
    pub(crate) fn patch(&self, offset: usize, bytes: &[u8]) -> bool {
        let first = self.fragments(0).next();
        first.is_some_and(|slice| slice.write_slice(bytes, offset).is_ok())
    }

    /// What the client knows about checksums.
    pub fn checksum(&self) -> NetPacketChecksum {
        self.checksum
    }

    /// How many segments the client merged.
    pub fn rsc(&self) -> NetPacketRsc {
        self.rsc
    }

    /// What the frame still lacks.
    pub fn partial(&self) -> NetPacketPartialChecksum {
        self.partial
    }

    /// The hash by which the frame came to its queue, if the client knows it; of
    /// joined segments, nobody does.
    pub fn hash(&self) -> NetPacketHash {
        // Read only where somebody asks: few ports do.
        let packet = self.packet.map(|index| NetRings::new(self.set).hash(index));
        packet.unwrap_or_default()
    }
}
