//! NET_RING and NET_RING_COLLECTION: what a C client sees of a ring.
//! The Rust side never makes a reference to either; these types give the
//! offsets.

use std::mem::offset_of;

/// Head of a ring; the elements begin at [`NetRingHeader::BUFFER_OFFSET`].
#[repr(C, align(64))]
pub struct NetRingHeader {
    /// Framework only.
    pub os_reserved1: u16,
    /// Distance between two elements in bytes.
    pub element_stride: u16,
    /// A power of two.
    pub number_of_elements: u32,
    /// `number_of_elements - 1`.
    pub element_index_mask: u32,
    /// First element that is not the client's; only the framework writes it.
    pub end_index: u32,
    /// The framework's next index (`OSReserved0`); the union has four pointers.
    pub os_reserved0: u32,
    os_reserved2: [u32; 7],
    /// First element that is the client's; only the client writes it.
    pub begin_index: u32,
    /// The client's own.
    pub next_index: u32,
    /// The client's own.
    pub scratch: u64,
    buffer: [u8; 1],
}

impl NetRingHeader {
    /// Offset of element 0.
    pub const BUFFER_OFFSET: usize = offset_of!(NetRingHeader, buffer);
    /// Length of the part that no client may change.
    pub const IMMUTABLE_LENGTH: usize = offset_of!(NetRingHeader, begin_index);
}

const _: () = {
    assert!(size_of::<NetRingHeader>() == 128 && align_of::<NetRingHeader>() == 64);
    assert!(offset_of!(NetRingHeader, element_stride) == 2);
    assert!(offset_of!(NetRingHeader, number_of_elements) == 4);
    assert!(offset_of!(NetRingHeader, element_index_mask) == 8);
    assert!(offset_of!(NetRingHeader, end_index) == 12);
    assert!(offset_of!(NetRingHeader, os_reserved0) == 16);
    assert!(offset_of!(NetRingHeader, begin_index) == 48);
    assert!(offset_of!(NetRingHeader, next_index) == 52);
    assert!(offset_of!(NetRingHeader, scratch) == 56);
    assert!(NetRingHeader::BUFFER_OFFSET == 64);
};

/// The rings of one queue.
#[repr(C)]
pub struct NetRingCollection {
    /// Packet ring, fragment ring, data buffer ring (null in user mode).
    pub rings: [*mut NetRingHeader; 3],
}

const _: () = assert!(size_of::<NetRingCollection>() == 24);
