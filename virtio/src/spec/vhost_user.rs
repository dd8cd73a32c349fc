//! The vhost-user protocol (QEMU, *Vhost-user Protocol*, § *Message Specification* and
//! § *Front-end message types*): numbers, no logic. Everything is in the machine's byte order.

/// § *Header*.
pub mod header {
    /// Bytes of a header: request, flags, size, each 32 bits.
    pub const SIZE: usize = 12;
    /// In `flags`: bits of the version.
    pub const VERSION_MASK: u32 = 3;
    /// The version there is.
    pub const VERSION: u32 = 1;
    /// In `flags`: this is a reply.
    pub const REPLY: u32 = 1 << 2;
    /// In `flags`: the sender wants an answer that says whether it worked (`REPLY_ACK`).
    pub const NEED_REPLY: u32 = 1 << 3;
}

/// § *Front-end message types*.
pub mod request {
    /// Features that the back end offers.
    pub const GET_FEATURES: u32 = 1;
    /// Features that the front end takes.
    pub const SET_FEATURES: u32 = 2;
    /// Begins a session.
    pub const SET_OWNER: u32 = 3;
    /// Memory of the front end, with a descriptor for each region.
    pub const SET_MEM_TABLE: u32 = 5;
    /// Entries of a ring.
    pub const SET_VRING_NUM: u32 = 8;
    /// Where the parts of a ring lie.
    pub const SET_VRING_ADDR: u32 = 9;
    /// Where in the available ring the back end begins.
    pub const SET_VRING_BASE: u32 = 10;
    /// Stops a ring, and asks where in it the back end stands.
    pub const GET_VRING_BASE: u32 = 11;
    /// The event by which the front end tells of new buffers.
    pub const SET_VRING_KICK: u32 = 12;
    /// The event by which the back end tells of used buffers.
    pub const SET_VRING_CALL: u32 = 13;
    /// The event by which the back end tells of a broken ring.
    pub const SET_VRING_ERR: u32 = 14;
    /// Extensions that the back end offers.
    pub const GET_PROTOCOL_FEATURES: u32 = 15;
    /// Extensions that the front end takes.
    pub const SET_PROTOCOL_FEATURES: u32 = 16;
    /// How many queues, or pairs of queues, the back end has.
    pub const GET_QUEUE_NUM: u32 = 17;
    /// Enables a ring or disables it.
    pub const SET_VRING_ENABLE: u32 = 18;
    /// A socket for requests in the other direction.
    pub const SET_BACKEND_REQ_FD: u32 = 21;
    /// Reads device configuration.
    pub const GET_CONFIG: u32 = 24;
    /// Resets the device.
    pub const RESET_DEVICE: u32 = 34;
    /// Writes device status.
    pub const SET_STATUS: u32 = 39;
    /// Reads device status.
    pub const GET_STATUS: u32 = 40;
}

/// § *Back-end message types*.
pub mod back_request {
    /// The configuration has changed.
    pub const CONFIG_CHANGE_MSG: u32 = 2;
}

/// Feature bit by which a back end says that it knows extensions; no feature of the device.
pub const F_PROTOCOL_FEATURES: u32 = 30;

/// § *Protocol features*: bit numbers of extensions.
pub mod protocol_feature {
    /// `GET_QUEUE_NUM` is answered.
    pub const MQ: u32 = 0;
    /// Each request can be answered.
    pub const REPLY_ACK: u32 = 3;
    /// The back end may have requests of its own.
    pub const BACKEND_REQ: u32 = 5;
    /// The back end has the device configuration.
    pub const CONFIG: u32 = 9;
    /// `RESET_DEVICE` is understood.
    pub const RESET_DEVICE: u32 = 13;
    /// The back end has the device status.
    pub const STATUS: u32 = 16;
}

/// In the payload of `SET_VRING_KICK`, `CALL` and `ERR`: no descriptor comes with it.
pub const VRING_NO_FD: u64 = 1 << 8;

/// In `SET_VRING_BASE` and `GET_VRING_BASE`, § *Vring state description*: the position in a packed
/// ring.
pub mod vring_base {
    /// Offset of the next descriptor that is made available.
    pub const OFFSET: u32 = 0x7fff;
    /// The wrap counter that belongs to it, 1 on the first lap.
    pub const WRAP: u32 = 1 << 15;
    /// How far up the same two stand for the next descriptor that is used.
    pub const USED_SHIFT: u32 = 16;
}

/// Most regions of a memory table.
pub const MAX_REGIONS: usize = 8;
/// Most bytes of device configuration in one message (the limit that back ends have).
pub const MAX_CONFIG_LEN: usize = 256;
/// Bytes before the configuration in `GET_CONFIG`: offset, size, flags, each 32 bits.
pub const CONFIG_HEADER_LEN: usize = 12;
