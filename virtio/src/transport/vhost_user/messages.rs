//! Messages as bytes, and what their replies may say. No sockets, no state.
//!
//! A reply is checked field by field against the request it answers: its number, its flags, its
//! exact size, and whatever it repeats of the request.

use crate::queue::QueueSize;
use crate::spec::vhost_user::*;

/// § *Header*, as it came: nothing in it is checked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which request this is or answers.
    pub request: u32,
    /// Version, reply flag, reply wanted.
    pub flags: u32,
    /// Bytes of payload that follow.
    pub size: u32,
}

impl Header {
    /// The header of these bytes.
    pub fn from_bytes(bytes: [u8; header::SIZE]) -> Self {
        let [request, flags, size] = words(bytes);
        Self {
            request,
            flags,
            size,
        }
    }

    /// The header as it is sent.
    pub fn to_bytes(self) -> [u8; header::SIZE] {
        let mut bytes = [0; header::SIZE];
        for (place, word) in bytes
            .chunks_exact_mut(4)
            .zip([self.request, self.flags, self.size])
        {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// The 32-bit words of a header.
fn words(bytes: [u8; header::SIZE]) -> [u32; 3] {
    [0, 4, 8].map(|at| u32_at(&bytes, at))
}

/// A word of a payload whose length was checked.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_ne_bytes(word)
}

/// One region of memory that the back end may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    /// The address by which rings and descriptors name the first byte. It stands in both places
    /// of the message, that of the guest and that of the user.
    pub address: u64,
    /// Bytes.
    pub len: u64,
}

/// Where a ring lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingAddresses {
    /// Index of the queue.
    pub queue: u16,
    /// Descriptor table.
    pub desc: u64,
    /// Available ring.
    pub avail: u64,
    /// Used ring.
    pub used: u64,
}

/// Where a back end is to begin in a ring: at its beginning, which is written otherwise in each
/// format (§ *Vring state description*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingBase {
    /// The available index.
    Split,
    /// Offset and wrap counter of the next descriptor made available, and of the next one used.
    Packed,
}

impl RingBase {
    /// As it is sent.
    pub fn word(self) -> u32 {
        match self {
            Self::Split => 0,
            Self::Packed => vring_base::WRAP | vring_base::WRAP << vring_base::USED_SHIFT,
        }
    }
}

/// What a front end may ask (§ *Front-end message types*), as far as this one does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in the protocol; `spec::vhost_user::request` says what they do
pub enum Request {
    GetFeatures,
    SetFeatures(u64),
    SetOwner,
    SetMemTable(Vec<MemoryRegion>),
    SetVringNum {
        queue: u16,
        size: u16,
    },
    SetVringAddr(RingAddresses),
    SetVringBase {
        queue: u16,
        base: RingBase,
    },
    GetVringBase {
        queue: u16,
        packed: Option<QueueSize>,
    },
    SetVringKick {
        queue: u16,
    },
    SetVringCall {
        queue: u16,
        has_fd: bool,
    },
    SetVringErr {
        queue: u16,
    },
    GetProtocolFeatures,
    SetProtocolFeatures(u64),
    GetQueueNum,
    SetVringEnable {
        queue: u16,
        on: bool,
    },
    SetBackendReqFd,
    GetConfig {
        offset: u32,
        len: u32,
    },
    ResetDevice,
    SetStatus(u8),
    GetStatus,
}

/// What a back end answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// That it worked.
    Done,
    /// A number.
    Number(u64),
    /// Bytes of configuration, as many as were asked for.
    Config(Vec<u8>),
}

/// How a back end broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each message says what its fields are
pub enum MessageFault {
    #[error("it answers request {found} where {expected} was asked")]
    OtherRequest { found: u32, expected: u32 },
    #[error("the flags of its answer are {flags:#x}, not those of a reply (0x5)")]
    Flags { flags: u32 },
    #[error("its answer has {found} bytes, not {expected}")]
    Size { found: u32, expected: u32 },
    #[error("it answers for queue {found} where {expected} was asked")]
    OtherQueue { found: u32, expected: u16 },
    #[error("its answer is {found:#x}, beyond {limit:#x}")]
    TooLarge { found: u64, limit: u64 },
    #[error("it answers configuration bytes {offset}..+{len}, which were not asked for")]
    OtherConfig { offset: u32, len: u32 },
    #[error("it has no such configuration")]
    NoConfig,
    #[error("it refused (its answer is {answer:#x})")]
    Refused { answer: u64 },
    #[error("it sends request {request}, which was not agreed on")]
    UnknownRequest { request: u32 },
}

/// The shape of an answer.
enum Shape {
    Number,
    Ring,
    Config,
    /// None of its own: only when one is asked for.
    Acknowledgement,
}

impl Request {
    /// The number of the request.
    pub fn code(&self) -> u32 {
        use request::*;
        match self {
            Self::GetFeatures => GET_FEATURES,
            Self::SetFeatures(_) => SET_FEATURES,
            Self::SetOwner => SET_OWNER,
            Self::SetMemTable(_) => SET_MEM_TABLE,
            Self::SetVringNum { .. } => SET_VRING_NUM,
            Self::SetVringAddr(_) => SET_VRING_ADDR,
            Self::SetVringBase { .. } => SET_VRING_BASE,
            Self::GetVringBase { .. } => GET_VRING_BASE,
            Self::SetVringKick { .. } => SET_VRING_KICK,
            Self::SetVringCall { .. } => SET_VRING_CALL,
            Self::SetVringErr { .. } => SET_VRING_ERR,
            Self::GetProtocolFeatures => GET_PROTOCOL_FEATURES,
            Self::SetProtocolFeatures(_) => SET_PROTOCOL_FEATURES,
            Self::GetQueueNum => GET_QUEUE_NUM,
            Self::SetVringEnable { .. } => SET_VRING_ENABLE,
            Self::SetBackendReqFd => SET_BACKEND_REQ_FD,
            Self::GetConfig { .. } => GET_CONFIG,
            Self::ResetDevice => RESET_DEVICE,
            Self::SetStatus(_) => SET_STATUS,
            Self::GetStatus => GET_STATUS,
        }
    }

    /// The message as it is sent; `need_reply`: asks for an acknowledgement.
    pub fn to_bytes(&self, need_reply: bool) -> Vec<u8> {
        let payload = self.payload();
        let asked = if need_reply { header::NEED_REPLY } else { 0 };
        let header = Header {
            request: self.code(),
            flags: header::VERSION | asked,
            size: payload.len() as u32, // of at most eight regions or 256 bytes
        };
        [header.to_bytes().as_slice(), &payload].concat()
    }

    fn payload(&self) -> Vec<u8> {
        let number = |n: u64| n.to_ne_bytes().to_vec();
        let state = |queue: u16, value: u16| join32(&[queue.into(), value.into()]);
        match self {
            Self::SetFeatures(bits) | Self::SetProtocolFeatures(bits) => number(*bits),
            Self::SetMemTable(regions) => mem_table(regions),
            Self::SetVringNum { queue, size } => state(*queue, *size),
            Self::SetVringAddr(ring) => ring_addresses(ring),
            Self::SetVringBase { queue, base } => join32(&[(*queue).into(), base.word()]),
            Self::GetVringBase { queue, .. } => state(*queue, 0),
            Self::SetVringKick { queue } | Self::SetVringErr { queue } => number((*queue).into()),
            Self::SetVringCall { queue, has_fd } => {
                number(u64::from(*queue) | if *has_fd { 0 } else { VRING_NO_FD })
            }
            Self::SetVringEnable { queue, on } => state(*queue, (*on).into()),
            Self::GetConfig { offset, len } => {
                let mut bytes = join32(&[*offset, *len, 0]);
                bytes.resize(CONFIG_HEADER_LEN + *len as usize, 0);
                bytes
            }
            Self::SetStatus(status) => number((*status).into()),
            Self::GetFeatures
            | Self::SetOwner
            | Self::GetProtocolFeatures
            | Self::GetQueueNum
            | Self::SetBackendReqFd
            | Self::ResetDevice
            | Self::GetStatus => Vec::new(),
        }
    }

    fn shape(&self) -> Shape {
        match self {
            Self::GetFeatures | Self::GetProtocolFeatures | Self::GetQueueNum | Self::GetStatus => {
                Shape::Number
            }
            Self::GetVringBase { .. } => Shape::Ring,
            Self::GetConfig { .. } => Shape::Config,
            _ => Shape::Acknowledgement,
        }
    }

    /// Whether the back end answers without being asked to.
    pub fn has_reply(&self) -> bool {
        !matches!(self.shape(), Shape::Acknowledgement)
    }

    /// Checks the header of the answer; how many bytes of payload are to be read.
    ///
    /// # Errors
    /// [`MessageFault`]: nothing more should be read from that peer.
    pub fn check_header(&self, header: Header) -> Result<usize, MessageFault> {
        if header.request != self.code() {
            return Err(MessageFault::OtherRequest {
                found: header.request,
                expected: self.code(),
            });
        }
        if header.flags != header::VERSION | header::REPLY {
            return Err(MessageFault::Flags {
                flags: header.flags,
            });
        }
        let expected = match self {
            // By a payload of none a back end says that it cannot.
            Self::GetConfig { .. } if header.size == 0 => return Err(MessageFault::NoConfig),
            Self::GetConfig { len, .. } => CONFIG_HEADER_LEN as u32 + len,
            _ => 8,
        };
        if header.size != expected {
            return Err(MessageFault::Size {
                found: header.size,
                expected,
            });
        }
        Ok(header.size as usize)
    }

    /// Checks the answer itself. `payload` has the length that [`Request::check_header`] gave;
    /// any other is refused too.
    ///
    /// # Errors
    /// [`MessageFault`].
    pub fn check_payload(&self, payload: &[u8]) -> Result<Reply, MessageFault> {
        let size = |expected: usize| MessageFault::Size {
            found: payload.len() as u32,
            expected: expected as u32,
        };
        match self.shape() {
            Shape::Config => self.check_config(payload),
            _ if payload.len() != 8 => Err(size(8)),
            Shape::Ring => self.check_ring(u32_at(payload, 0), u32_at(payload, 4)),
            Shape::Number => self.check_number(u64_of(payload)),
            Shape::Acknowledgement => match u64_of(payload) {
                0 => Ok(Reply::Done),
                answer => Err(MessageFault::Refused { answer }),
            },
        }
    }

    fn check_number(&self, number: u64) -> Result<Reply, MessageFault> {
        let limit = match self {
            Self::GetStatus => u8::MAX.into(),
            Self::GetQueueNum => u16::MAX.into(),
            _ => u64::MAX,
        };
        within(number, limit).map(Reply::Number)
    }

    fn check_ring(&self, index: u32, base: u32) -> Result<Reply, MessageFault> {
        let Self::GetVringBase { queue, packed } = *self else {
            unreachable!("only this request has such an answer")
        };
        if index != u32::from(queue) {
            return Err(MessageFault::OtherQueue {
                found: index,
                expected: queue,
            });
        }
        match packed {
            None => within(base.into(), u16::MAX.into())?,
            Some(size) => {
                let last = u64::from(size.get() - 1);
                let offset = |half: u32| u64::from(half & vring_base::OFFSET);
                within(offset(base), last)?;
                within(offset(base >> vring_base::USED_SHIFT), last)?
            }
        };
        Ok(Reply::Number(base.into()))
    }

    fn check_config(&self, payload: &[u8]) -> Result<Reply, MessageFault> {
        let Self::GetConfig { offset, len } = *self else {
            unreachable!("only this request has such an answer")
        };
        let expected = CONFIG_HEADER_LEN + len as usize;
        if payload.len() != expected {
            return Err(MessageFault::Size {
                found: payload.len() as u32,
                expected: expected as u32,
            });
        }
        let (at, said) = (u32_at(payload, 0), u32_at(payload, 4));
        if (at, said) != (offset, len) {
            return Err(MessageFault::OtherConfig {
                offset: at,
                len: said,
            });
        }
        Ok(Reply::Config(payload[CONFIG_HEADER_LEN..].to_vec()))
    }
}

fn within(found: u64, limit: u64) -> Result<u64, MessageFault> {
    if found > limit {
        return Err(MessageFault::TooLarge { found, limit });
    }
    Ok(found)
}

/// The number in a payload of eight bytes.
fn u64_of(payload: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(payload);
    u64::from_ne_bytes(bytes)
}

fn join32(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn join64(words: &[u64]) -> impl Iterator<Item = u8> + '_ {
    words.iter().flat_map(|word| word.to_ne_bytes())
}

fn mem_table(regions: &[MemoryRegion]) -> Vec<u8> {
    let mut bytes = join32(&[regions.len() as u32, 0]);
    for region in regions {
        bytes.extend(join64(&[region.address, region.len, region.address, 0]));
    }
    bytes
}

fn ring_addresses(ring: &RingAddresses) -> Vec<u8> {
    let mut bytes = join32(&[ring.queue.into(), 0]);
    bytes.extend(join64(&[ring.desc, ring.used, ring.avail, 0]));
    bytes
}

/// What a back end may tell of its own accord, as far as this front end has agreed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigChanged {
    /// Whether it wants an answer.
    pub need_reply: bool,
}

impl ConfigChanged {
    /// Checks a header that came from the back end.
    ///
    /// # Errors
    /// [`MessageFault`]: nothing more should be read from that peer.
    pub fn check(header: Header) -> Result<Self, MessageFault> {
        if header.request != back_request::CONFIG_CHANGE_MSG {
            return Err(MessageFault::UnknownRequest {
                request: header.request,
            });
        }
        if header.flags & !header::NEED_REPLY != header::VERSION {
            return Err(MessageFault::Flags {
                flags: header.flags,
            });
        }
        if header.size != 0 {
            return Err(MessageFault::Size {
                found: header.size,
                expected: 0,
            });
        }
        Ok(Self {
            need_reply: header.flags & header::NEED_REPLY != 0,
        })
    }

    /// The answer to it.
    pub fn answer() -> Vec<u8> {
        let header = Header {
            request: back_request::CONFIG_CHANGE_MSG,
            flags: header::VERSION | header::REPLY,
            size: 8,
        };
        [header.to_bytes().as_slice(), &[0; 8]].concat()
    }
}

#[cfg(test)]
mod tests;
