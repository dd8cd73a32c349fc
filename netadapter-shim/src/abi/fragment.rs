//! NET_FRAGMENT: one buffer of a packet.

use std::fmt;

const LENGTH_BITS: u32 = 26;
const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;
const CAPACITY_SHIFT: u32 = 26;
const OFFSET_SHIFT: u32 = 52;
const OFFSET_MASK: u64 = (1 << 10) - 1;
const SCRATCH: u64 = 1 << 62;
const BOUNCED: u64 = 1 << 63;

/// A fragment: `valid_length` bytes of data at `offset` of a system buffer of
/// `capacity` bytes.
#[repr(transparent)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct NetFragment(pub u64);

const _: () = assert!(size_of::<NetFragment>() == 8);

impl NetFragment {
    /// Largest value of `valid_length` and `capacity`: 26 bits.
    pub const MAX_LENGTH: u32 = LENGTH_MASK as u32;
    /// Largest value of `offset`: 10 bits.
    pub const MAX_OFFSET: u32 = OFFSET_MASK as u32;

    /// Bytes of data in the buffer.
    #[inline]
    pub fn valid_length(self) -> u32 {
        (self.0 & LENGTH_MASK) as u32
    }

    /// Size of the buffer in bytes; only the framework writes it.
    #[inline]
    pub fn capacity(self) -> u32 {
        ((self.0 >> CAPACITY_SHIFT) & LENGTH_MASK) as u32
    }

    /// Where the data begins in the buffer, in bytes.
    #[inline]
    pub fn offset(self) -> u32 {
        ((self.0 >> OFFSET_SHIFT) & OFFSET_MASK) as u32
    }

    /// The bit that is the client's own.
    #[inline]
    pub fn scratch(self) -> bool {
        self.0 & SCRATCH != 0
    }

    /// Whether the framework copied the data here; only the framework writes it.
    #[inline]
    pub fn bounced(self) -> bool {
        self.0 & BOUNCED != 0
    }

    /// With `valid_length`; bits beyond the field are cut off.
    #[must_use]
    #[inline]
    pub fn with_valid_length(self, length: u32) -> Self {
        Self(self.0 & !LENGTH_MASK | u64::from(length) & LENGTH_MASK)
    }

    /// With `capacity`; bits beyond the field are cut off.
    #[must_use]
    #[inline]
    pub fn with_capacity(self, capacity: u32) -> Self {
        let cleared = self.0 & !(LENGTH_MASK << CAPACITY_SHIFT);
        Self(cleared | (u64::from(capacity) & LENGTH_MASK) << CAPACITY_SHIFT)
    }

    /// With `offset`; bits beyond the field are cut off.
    #[must_use]
    #[inline]
    pub fn with_offset(self, offset: u32) -> Self {
        let cleared = self.0 & !(OFFSET_MASK << OFFSET_SHIFT);
        Self(cleared | (u64::from(offset) & OFFSET_MASK) << OFFSET_SHIFT)
    }

    /// With the client's own bit set or cleared.
    #[must_use]
    #[inline]
    pub fn with_scratch(self, scratch: bool) -> Self {
        Self(self.0 & !SCRATCH | u64::from(scratch) << 62)
    }

    /// The bits a client must leave as they are on Rx.
    #[inline]
    pub(crate) fn framework_bits(self) -> u64 {
        self.0 & (BOUNCED | LENGTH_MASK << CAPACITY_SHIFT)
    }

    /// Everything but the client's own bit.
    #[inline]
    pub(crate) fn without_scratch(self) -> u64 {
        self.0 & !SCRATCH
    }
}

impl fmt::Debug for NetFragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetFragment")
            .field("valid_length", &self.valid_length())
            .field("capacity", &self.capacity())
            .field("offset", &self.offset())
            .field("scratch", &self.scratch())
            .field("bounced", &self.bounced())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_keeps_to_its_own_bits() {
        let all = NetFragment(u64::MAX);
        assert_eq!(all.with_valid_length(0).0, !LENGTH_MASK);
        assert_eq!(all.with_capacity(0).0, !(LENGTH_MASK << 26));
        assert_eq!(all.with_offset(0).0, !(OFFSET_MASK << 52));
        assert_eq!(all.with_scratch(false).0, !SCRATCH);
        assert_eq!(
            NetFragment::default().with_valid_length(u32::MAX).0,
            LENGTH_MASK
        );
        assert_eq!(
            NetFragment::default().with_offset(u32::MAX).0,
            OFFSET_MASK << 52
        );
    }

    #[test]
    fn values_come_back() {
        let f = NetFragment::default()
            .with_valid_length(1514)
            .with_capacity(65_550)
            .with_offset(1023)
            .with_scratch(true);
        assert_eq!(
            (f.valid_length(), f.capacity(), f.offset()),
            (1514, 65_550, 1023)
        );
        assert!(f.scratch() && !f.bounced());
    }
}
