//! The memory of one ring: the only place that touches it by pointer.
//!
//! A ring is shared with the client driver, and a C client may write elements
//! it owns, from any of its threads, at any time. So no Rust reference ever
//! points into a ring: indices are atomics, elements are read and written word
//! by word with volatile accesses, and the numbers that bound every access are
//! private copies.
#![allow(unsafe_code)] // raw access to memory that is shared with the client

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Run;
use crate::abi::NetRingHeader;

/// As many as the extensions of a packet mostly have.
const FEW_WORDS: u32 = 4;

/// Which index of the ring's head.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Index {
    /// First element the client owns; the client writes it.
    Begin,
    /// The client's own.
    Next,
    /// First element behind those the client owns; the framework writes it.
    End,
    /// The framework's `OSReserved0`.
    Os,
}

impl Index {
    #[inline]
    const fn offset(self) -> usize {
        match self {
            Self::Begin => offset_of!(NetRingHeader, begin_index),
            Self::Next => offset_of!(NetRingHeader, next_index),
            Self::End => offset_of!(NetRingHeader, end_index),
            Self::Os => offset_of!(NetRingHeader, os_reserved0),
        }
    }
}

/// A NET_RING with its elements, on the heap.
pub(crate) struct RingMemory {
    base: NonNull<u8>,
    layout: Layout,
    mask: u32,
    stride: u32,
}

// SAFETY: the memory is owned by this value alone and is only reached through
// atomic and volatile accesses, which do not care which thread makes them.
unsafe impl Send for RingMemory {}

impl RingMemory {
    /// A zeroed ring of `elements` (rounded up to a power of two, at least 2)
    /// of `stride` bytes (rounded up to 8), with its head filled in.
    ///
    /// Returns `None` if memory runs out or the sizes overflow.
    pub(crate) fn new(elements: u32, stride: u16) -> Option<Self> {
        let elements = elements.max(2).checked_next_power_of_two()?;
        let stride = stride.max(8).checked_next_multiple_of(8)?;
        let bytes = NetRingHeader::BUFFER_OFFSET + elements as usize * usize::from(stride);
        let size = bytes.max(size_of::<NetRingHeader>());
        let layout = Layout::from_size_align(size, align_of::<NetRingHeader>()).ok()?;
        // SAFETY: the layout's size is at least that of the head, so not zero.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        let ring = Self {
            base,
            layout,
            mask: elements - 1,
            stride: u32::from(stride),
        };
        ring.write_head();
        Some(ring)
    }

    fn write_head(&self) {
        let strides = [0, self.stride as u16].map(u16::to_ne_bytes);
        let [[a, b], [c, d]] = strides;
        self.store_at(0, u32::from_ne_bytes([a, b, c, d]));
        self.store_at(offset_of!(NetRingHeader, number_of_elements), self.mask + 1);
        self.store_at(offset_of!(NetRingHeader, element_index_mask), self.mask);
    }

    /// `NumberOfElements - 1`, the private copy.
    #[inline]
    pub(crate) fn mask(&self) -> u32 {
        self.mask
    }

    /// Reads an index, masked. Acquire: what the other side wrote into elements
    /// before it published the index is visible afterwards.
    #[inline]
    pub(crate) fn load_index(&self, index: Index) -> u32 {
        self.load_index_raw(index) & self.mask
    }

    /// Reads an index as it stands, for those who must notice a wrong one.
    #[inline]
    pub(crate) fn load_index_raw(&self, index: Index) -> u32 {
        self.atomic(index.offset()).load(Ordering::Acquire)
    }

    /// Publishes an index. Release: element writes come first.
    #[inline]
    pub(crate) fn store_index(&self, index: Index, value: u32) {
        let value = value & self.mask;
        self.atomic(index.offset()).store(value, Ordering::Release);
    }

    /// All elements, to be reached by index.
    #[inline]
    pub(crate) fn elements(&self) -> Elements<'_> {
        Elements {
            // SAFETY: the head, which ends there, is part of every ring.
            start: unsafe { self.base.add(NetRingHeader::BUFFER_OFFSET) },
            mask: self.mask,
            stride: self.stride,
            ring: PhantomData,
        }
    }

    /// One element.
    #[inline]
    pub(crate) fn element(&self, index: u32) -> Element<'_> {
        self.elements().at(index)
    }

    /// Length of the head and of all elements in words, for the verifier.
    pub(crate) fn words(&self) -> (usize, usize) {
        let element_bytes = (self.mask as usize + 1) * self.stride as usize;
        (NetRingHeader::BUFFER_OFFSET / 4, element_bytes / 4)
    }

    /// Distance between two elements in bytes.
    #[inline]
    pub(crate) fn stride(&self) -> u32 {
        self.stride
    }

    /// Address of the head, for clients that hold a pointer to the ring.
    pub(crate) fn head_address(&self) -> usize {
        self.base.as_ptr() as usize
    }

    /// Address of element 0, for clients that compute addresses themselves.
    pub(crate) fn elements_address(&self) -> usize {
        self.base.as_ptr() as usize + NetRingHeader::BUFFER_OFFSET
    }

    /// Reads one word of the head, `word` below 16; 0 beyond it.
    pub(crate) fn load_head(&self, word: usize) -> u32 {
        if word >= NetRingHeader::BUFFER_OFFSET / 4 {
            return 0;
        }
        self.atomic(word * 4).load(Ordering::Relaxed)
    }

    /// Overwrites one word of the head, as a client that breaks the rules would.
    #[cfg(test)]
    pub(crate) fn corrupt_head(&self, word: usize, value: u32) {
        assert!(word < NetRingHeader::BUFFER_OFFSET / 4);
        self.store_at(word * 4, value);
    }

    #[inline]
    fn store_at(&self, offset: usize, value: u32) {
        self.atomic(offset).store(value, Ordering::Relaxed);
    }

    /// The word of the head at `offset`, which callers keep below
    /// `BUFFER_OFFSET` and a multiple of 4.
    #[inline]
    fn atomic(&self, offset: usize) -> &AtomicU32 {
        assert!(offset + 4 <= NetRingHeader::BUFFER_OFFSET && offset.is_multiple_of(4));
        // SAFETY: the assertion keeps the word inside the head, which every
        // ring has.
        let word = unsafe { self.base.add(offset) };
        // SAFETY: the word is aligned (head aligned to 64, offset to 4), lives
        // as long as `self`, and is only ever accessed atomically.
        unsafe { AtomicU32::from_ptr(word.cast().as_ptr()) }
    }
}

impl Drop for RingMemory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and nothing else frees it.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

/// The elements of a ring. Where they lie is a copy of the ring's own numbers:
/// nothing that is stored into an element can change them, so they are not
/// looked up anew for the next one.
#[derive(Clone, Copy)]
pub(crate) struct Elements<'a> {
    start: NonNull<u8>,
    mask: u32,
    stride: u32,
    ring: PhantomData<&'a RingMemory>,
}

impl<'a> Elements<'a> {
    /// One element; indices wrap.
    #[inline]
    pub(crate) fn at(self, index: u32) -> Element<'a> {
        let offset = (index & self.mask) as usize * self.stride as usize;
        Element {
            // SAFETY: a masked index times the stride stays inside the ring's
            // memory, whose size was computed from the same mask and stride.
            start: unsafe { self.start.add(offset) },
            stride: self.stride,
            ring: PhantomData,
        }
    }
    /// Zeroes a run of elements with everything beside them.
    #[inline]
    pub(crate) fn zero(self, run: Run) {
        for (start, count) in run.pieces() {
            self.zero_piece(start & self.mask, count);
        }
    }

    fn zero_piece(self, start: u32, count: u32) {
        let count = count.min(self.mask + 1 - start);
        let first = self.at(start).start.cast::<u64>();
        let words = count as usize * (self.stride / 8) as usize;
        let store = |word| {
            // SAFETY: `count` was cut to the elements that there are from
            // `start` on, and those have so many words.
            let at = unsafe { first.add(word) };
            // SAFETY: elements are aligned to 8, as strides are multiples of it.
            unsafe { at.write_volatile(0) };
        };
        // Four at a time: stores by themselves cost less than their loop.
        let rest = words % 4;
        for four in (0..words - rest).step_by(4) {
            for word in [four, four + 1, four + 2, four + 3] {
                store(word);
            }
        }
        (words - rest..words).for_each(store);
    }
}

/// One element with everything beside it, located once for all that is read
/// and written there.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    /// The first of `stride` bytes that live as long as the ring, aligned to 8.
    start: NonNull<u8>,
    stride: u32,
    ring: PhantomData<&'a RingMemory>,
}

impl Element<'_> {
    /// Reads the word at `offset`; 0 beyond the element.
    #[inline]
    pub(crate) fn load_u32(self, offset: u32) -> u32 {
        match self.locate(offset, 4, 4) {
            // SAFETY: `locate` returned a pointer to 4 aligned bytes of the ring.
            Some(at) => unsafe { at.cast::<u32>().read_volatile() },
            None => 0,
        }
    }

    /// Writes the word at `offset`; nothing beyond the element.
    #[inline]
    pub(crate) fn store_u32(self, offset: u32, value: u32) {
        if let Some(at) = self.locate(offset, 4, 4) {
            // SAFETY: `locate` returned a pointer to 4 aligned bytes of the ring.
            unsafe { at.cast::<u32>().write_volatile(value) };
        }
    }

    /// Reads the double word at `offset`; 0 beyond the element.
    #[inline]
    pub(crate) fn load_u64(self, offset: u32) -> u64 {
        match self.locate(offset, 8, 8) {
            // SAFETY: `locate` returned a pointer to 8 aligned bytes of the ring.
            Some(at) => unsafe { at.cast::<u64>().read_volatile() },
            None => 0,
        }
    }

    /// Writes the double word at `offset`; nothing beyond the element.
    #[inline]
    pub(crate) fn store_u64(self, offset: u32, value: u64) {
        if let Some(at) = self.locate(offset, 8, 8) {
            // SAFETY: `locate` returned a pointer to 8 aligned bytes of the ring.
            unsafe { at.cast::<u64>().write_volatile(value) };
        }
    }

    /// Reads the byte at `offset`; 0 beyond the element.
    #[inline]
    pub(crate) fn load_u8(self, offset: u32) -> u8 {
        match self.locate(offset, 1, 1) {
            // SAFETY: `locate` returned a pointer to a byte of the ring.
            Some(at) => unsafe { at.read_volatile() },
            None => 0,
        }
    }

    /// Writes the byte at `offset`; nothing beyond the element.
    #[inline]
    pub(crate) fn store_u8(self, offset: u32, value: u8) {
        if let Some(at) = self.locate(offset, 1, 1) {
            // SAFETY: `locate` returned a pointer to a byte of the ring.
            unsafe { at.write_volatile(value) };
        }
    }

    /// Reads three words from `offset` on; zeros beyond the element.
    #[inline]
    pub(crate) fn load_words(self, offset: u32) -> [u32; 3] {
        let Some(at) = self.locate(offset, 12, 4) else {
            return [0; 3];
        };
        [0, 1, 2].map(|word| {
            // SAFETY: `locate` returned a pointer to 12 bytes of the ring, which hold 3 words.
            let at = unsafe { at.cast::<u32>().add(word) };
            // SAFETY: those bytes are aligned to 4.
            unsafe { at.read_volatile() }
        })
    }

    /// Writes three words from `offset` on; nothing beyond the element.
    #[inline]
    pub(crate) fn store_words(self, offset: u32, words: [u32; 3]) {
        let Some(at) = self.locate(offset, 12, 4) else {
            return;
        };
        for (word, value) in words.into_iter().enumerate() {
            // SAFETY: `locate` returned a pointer to 12 bytes of the ring, which hold 3 words.
            let at = unsafe { at.cast::<u32>().add(word) };
            // SAFETY: those bytes are aligned to 4.
            unsafe { at.write_volatile(value) };
        }
    }

    /// Whether all that lies behind the first `core` bytes, a multiple of 4, is
    /// zero.
    #[inline]
    pub(crate) fn is_zero_behind(self, core: u32) -> bool {
        let behind = core.next_multiple_of(8);
        let mut all = if behind == core {
            0
        } else {
            self.load_u32(core).into()
        };
        let (first, end) = (behind / 8, self.stride / 8);
        let load = |word: u32| {
            // SAFETY: below `end`, the word is among the stride's bytes that an element has.
            let at = unsafe { self.start.cast::<u64>().add(word as usize) };
            // SAFETY: they are aligned to 8, as strides are multiples of it.
            unsafe { at.read_volatile() }
        };
        // Few words: a loop costs more than they do.
        for word in first..first + FEW_WORDS {
            if word >= end {
                return all == 0;
            }
            all |= load(word);
        }
        (first + FEW_WORDS..end).fold(all, |all, word| all | load(word)) == 0
    }

    /// The address of `length` bytes at `offset`. `None` if they do not lie
    /// inside the element or their offset is no multiple of `alignment`, which
    /// is 8 at most.
    #[inline]
    fn locate(self, offset: u32, length: u32, alignment: u32) -> Option<NonNull<u8>> {
        let end = u64::from(offset) + u64::from(length);
        if end > u64::from(self.stride) || !offset.is_multiple_of(alignment) {
            return None;
        }
        // SAFETY: the check keeps the bytes inside the element.
        Some(unsafe { self.start.add(offset as usize) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_tells_the_client_size_and_stride() {
        let ring = RingMemory::new(64, 36).unwrap();
        assert_eq!(ring.load_head(0) >> 16, 40, "stride is rounded up to 8");
        assert_eq!(ring.load_head(1), 64);
        assert_eq!(ring.load_head(2), 63);
        assert_eq!(ring.load_index(Index::End), 0);
    }

    #[test]
    fn accesses_beyond_an_element_read_zero_and_write_nothing() {
        let ring = RingMemory::new(2, 16).unwrap();
        ring.element(1).store_u64(8, u64::MAX);
        ring.element(0).store_u32(16, 7);
        ring.element(0).store_u64(12, 7);
        ring.element(0).store_u8(16, 7);
        assert_eq!(ring.element(0).load_u32(16), 0);
        assert_eq!(
            ring.element(1).load_u64(0),
            0,
            "nothing spilled into the next element"
        );
        assert_eq!(ring.element(3).load_u64(8), u64::MAX, "indices wrap");
    }

    #[test]
    fn zero_clears_the_run_and_nothing_beside_it() {
        for stride in [8, 24, 40] {
            for (start, count) in (0..8).flat_map(|start| (0..8).map(move |n| (start, n))) {
                let ring = RingMemory::new(8, stride).unwrap();
                let words = u32::from(stride) / 8;
                let every = (0..8).flat_map(|element| (0..words).map(move |word| (element, word)));
                every
                    .clone()
                    .for_each(|(element, word)| ring.element(element).store_u64(word * 8, 1));
                ring.elements().zero(Run::new(start, count, ring.mask()));
                for (element, word) in every {
                    let inside = (element + 8 - start) % 8 < count;
                    let left = ring.element(element).load_u64(word * 8);
                    assert_eq!(left == 0, inside, "{element} of {start} and {count} more");
                }
            }
        }
    }

    #[test]
    fn every_byte_behind_the_core_counts() {
        // Up to as many words as are looked at by themselves, and more.
        for (core, stride) in [(8, 40), (12, 40), (8, 72), (12, 72)] {
            let ring = RingMemory::new(2, stride).unwrap();
            for byte in 0..u32::from(stride) {
                ring.elements().zero(Run::new(0, 2, 1));
                ring.element(1).store_u8(byte, 0x80);
                assert_eq!(ring.element(1).is_zero_behind(core), byte < core, "{byte}");
                assert!(ring.element(0).is_zero_behind(core));
            }
        }
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(RingMemory::new(u32::MAX, 8).is_none());
        assert!(RingMemory::new(2, u16::MAX).is_none());
    }
}
