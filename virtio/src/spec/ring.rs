//! § *Split Virtqueues*, § *Packed Virtqueues*: the parts of a ring and their fields, as byte
//! offsets.

/// Largest size of a virtqueue of either format.
pub const MAX_QUEUE_SIZE: u16 = 32768;

/// § *The Virtqueue Descriptor Table*.
pub mod desc {
    /// Bytes of one descriptor.
    pub const SIZE: usize = 16;
    /// Alignment of the table.
    pub const ALIGN: usize = 16;
    /// `le64 addr`.
    pub const ADDR: usize = 0;
    /// `le32 len`.
    pub const LEN: usize = 8;
    /// `le16 flags`.
    pub const FLAGS: usize = 12;
    /// `le16 next`.
    pub const NEXT: usize = 14;
    /// Flag: the buffer continues in the descriptor that `next` names.
    pub const F_NEXT: u16 = 1;
    /// Flag: the device writes the buffer (otherwise it reads it).
    pub const F_WRITE: u16 = 2;
    /// Flag: the buffer is a table of descriptors.
    pub const F_INDIRECT: u16 = 4;
}

/// § *The Virtqueue Available Ring*: the driver writes it.
pub mod avail {
    /// Alignment of the ring.
    pub const ALIGN: usize = 2;
    /// `le16 flags`.
    pub const FLAGS: usize = 0;
    /// `le16 idx`.
    pub const IDX: usize = 2;
    /// First entry.
    pub const RING: usize = 4;
    /// Bytes of one entry: the head of a descriptor chain.
    pub const ENTRY_SIZE: usize = 2;
    /// Flag: the driver does not want an interrupt (without `VIRTIO_F_EVENT_IDX`).
    pub const F_NO_INTERRUPT: u16 = 1;
}

/// § *The Virtqueue Used Ring*: the device writes it.
pub mod used {
    /// Alignment of the ring.
    pub const ALIGN: usize = 4;
    /// `le16 flags`.
    pub const FLAGS: usize = 0;
    /// `le16 idx`.
    pub const IDX: usize = 2;
    /// First entry.
    pub const RING: usize = 4;
    /// Bytes of one entry.
    pub const ENTRY_SIZE: usize = 8;
    /// `le32 id` within an entry: the head of the chain that was used.
    pub const ENTRY_ID: usize = 0;
    /// `le32 len` within an entry: bytes that the device wrote.
    pub const ENTRY_LEN: usize = 4;
    /// Flag: the device does not want a notification (without `VIRTIO_F_EVENT_IDX`).
    pub const F_NO_NOTIFY: u16 = 1;
}

/// § *Packed Virtqueues*.
pub mod packed {
    /// § *Structure Size and Alignment*, descriptors: driver and device write them.
    pub mod desc {
        /// Bytes of one descriptor.
        pub const SIZE: usize = 16;
        /// Alignment of the ring.
        pub const ALIGN: usize = 16;
        /// `le64 addr`.
        pub const ADDR: usize = 0;
        /// `le32 len`.
        pub const LEN: usize = 8;
        /// `le16 id`: names the buffer, in its last descriptor and in the used one.
        pub const ID: usize = 12;
        /// `le16 flags`.
        pub const FLAGS: usize = 14;
        /// Flag: the buffer continues in the descriptor that follows.
        pub const F_NEXT: u16 = 1;
        /// Flag: the device writes the buffer, or has written it.
        pub const F_WRITE: u16 = 2;
        /// Flag: the buffer is a table of descriptors.
        pub const F_INDIRECT: u16 = 4;
        /// Flag: the wrap counter of the driver when it made the descriptor available.
        pub const F_AVAIL: u16 = 1 << 7;
        /// Flag: once used, the wrap counter of the device; until then its opposite.
        pub const F_USED: u16 = 1 << 15;
    }

    /// § *Event Suppression Structure Format*: one that the driver writes, one that the device
    /// writes.
    pub mod event {
        /// Bytes: `le16` offset and wrap counter, then `le16 flags`.
        pub const SIZE: usize = 4;
        /// Alignment of either.
        pub const ALIGN: usize = 4;
        /// The wrap counter's bit beside the offset.
        pub const WRAP: u16 = 1 << 15;
        /// The bits of the flags that mean something.
        pub const FLAGS_MASK: u16 = 3;
        /// Tell of everything.
        pub const F_ENABLE: u16 = 0;
        /// Tell of nothing.
        pub const F_DISABLE: u16 = 1;
        /// Tell of one descriptor (with `VIRTIO_F_EVENT_IDX`).
        pub const F_DESC: u16 = 2;
    }
}
