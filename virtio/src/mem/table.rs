//! Equal elements in a row, as rings have them.
#![allow(unsafe_code)] // knows the elements' address, and that every index leads inside

use std::sync::atomic::Ordering;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU16, AtomicU32};

use super::{DmaSlice, OutOfRegion};

/// Elements of `STRIDE` bytes in a piece of DMA memory, a power of two of them. Where they lie is
/// checked once, here, and an index wraps: so no access has anything left to check.
#[derive(Debug)]
pub(crate) struct DmaTable<const STRIDE: usize> {
    /// All elements; aligned to `STRIDE`.
    memory: DmaSlice,
    mask: u16,
}

impl<const STRIDE: usize> DmaTable<STRIDE> {
    /// The `count` elements from `offset` on.
    ///
    /// # Errors
    /// [`OutOfRegion`] when they do not lie in `memory`.
    ///
    /// # Panics
    /// When `count` is no power of two or the elements do not lie aligned: both are the layout's,
    /// never the device's.
    pub(crate) fn new(memory: &DmaSlice, offset: usize, count: u16) -> Result<Self, OutOfRegion> {
        const { assert!(STRIDE.is_power_of_two()) };
        assert!(count.is_power_of_two(), "{count} elements do not wrap");
        let memory = memory.slice(offset, usize::from(count) * STRIDE)?;
        let aligned = (memory.start() as usize).is_multiple_of(STRIDE);
        assert!(aligned, "elements of {STRIDE} bytes are not aligned");
        Ok(Self {
            memory,
            mask: count - 1,
        })
    }

    /// Loads the first `N` words of an element, each once and in no particular order.
    #[inline]
    pub(crate) fn load_u32s<const N: usize>(&self, index: u16) -> [u32; N] {
        const { assert!(N * 4 <= STRIDE) };
        #[cfg(loom)]
        return self.memory.load_u32s(self.offset(index));
        #[cfg(not(loom))]
        {
            let first: *mut u32 = self.element(index).cast();
            std::array::from_fn(|i| {
                // SAFETY: N words lie in an element, and elements, aligned to STRIDE, in the
                // mapping that `memory` keeps; others reach them only atomically or volatilely.
                let word = unsafe { AtomicU32::from_ptr(first.wrapping_add(i)) };
                u32::from_le(word.load(Ordering::Relaxed))
            })
        }
    }

    /// Stores the first half word of an element.
    #[inline]
    pub(crate) fn store_u16(&self, index: u16, value: u16) {
        const { assert!(STRIDE >= 2) };
        #[cfg(loom)]
        return self
            .memory
            .store_u16(self.offset(index), value, Ordering::Relaxed);
        #[cfg(not(loom))]
        {
            // SAFETY: as in `load_u32s`, of two bytes.
            let word = unsafe { AtomicU16::from_ptr(self.element(index).cast()) };
            word.store(value.to_le(), Ordering::Relaxed);
        }
    }

    #[inline]
    fn offset(&self, index: u16) -> usize {
        usize::from(index & self.mask) * STRIDE
    }

    #[cfg(not(loom))]
    #[inline]
    fn element(&self, index: u16) -> *mut u8 {
        self.memory.start().wrapping_add(self.offset(index))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::mem::{DmaRegion, Iova};

    fn memory() -> DmaSlice {
        Arc::new(DmaRegion::new(4096).unwrap()).at(Iova(0))
    }

    #[test]
    fn elements_are_where_their_bytes_are_and_indices_wrap() {
        let memory = memory();
        let table = DmaTable::<8>::new(&memory, 64, 4).unwrap();
        memory.store_u32(64 + 3 * 8, 7, Ordering::Relaxed);
        memory.store_u32(64 + 3 * 8 + 4, 9, Ordering::Relaxed);
        for index in [3, 7, u16::MAX] {
            assert_eq!(table.load_u32s(index), [7, 9]);
        }
        let halves = DmaTable::<2>::new(&memory, 128, 8).unwrap();
        halves.store_u16(9, 0x1234);
        assert_eq!(memory.load_u16(130, Ordering::Relaxed), 0x1234);
    }

    #[test]
    fn elements_beyond_the_memory_are_refused() {
        assert!(DmaTable::<8>::new(&memory(), 4096 - 24, 4).is_err());
        assert!(DmaTable::<8>::new(&memory(), 4096 - 32, 4).is_ok());
    }

    #[test]
    #[should_panic(expected = "not aligned")]
    fn elements_that_are_not_aligned_are_a_bug() {
        let _ = DmaTable::<8>::new(&memory(), 4, 4);
    }
}
