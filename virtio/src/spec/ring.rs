//! § *Split Virtqueues*: the three parts of a ring and their fields, as byte offsets.

/// Largest size of a split virtqueue (§ *Split Virtqueues*).
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
