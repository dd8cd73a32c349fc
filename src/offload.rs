//! Between virtio headers and packet extensions: partial checksums and segments.
//!
//! Received headers come from the device and are believed only as far as they agree with the
//! features, with the frame's length and, for segments, with the frame's own headers, which
//! are read from the copy. Headers to transmit are made from what the framework says.

mod receive;
mod transmit;

pub use self::receive::{BadHeader, Received, is_plain, received};
pub use self::transmit::{ToTransmit, Transmit, add_length, asks_nothing, transmit};

/// Where the checksum lies within a TCP and a UDP header.
const TCP_CSUM: u16 = 16;
const UDP_CSUM: u16 = 6;
