//! The pool of system buffers: what NET_FRAGMENTs point to.
//!
//! One anonymous mapping per queue, cut into equal buffers. The memory belongs
//! to the system half: no device can reach it, and nothing here turns a buffer
//! into a device address. Each buffer has private head-room before the first
//! byte the client sees, so that a port can put its own header right in front
//! of a frame, and a little private tail-room, so that a frame too long for
//! the buffer shows.

use vm_memory::mmap::MmapRegionError;
use vm_memory::{Bytes, MmapRegion, VolatileMemory, VolatileSlice};

/// Private bytes behind each buffer.
const TAIL_ROOM: usize = 64;

/// What guarded bytes are filled with.
const PATTERN: u8 = 0xd5;
/// Bytes guarded on each side of a buffer.
const GUARD: usize = 16;
/// Bytes at the start of a returned buffer that are watched for late writes.
const CHECKED: usize = 64;

/// Smallest private head-room; also the smallest alignment of a buffer.
const CACHE_LINE: usize = 64;

/// Names one buffer of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferId(u32);

impl BufferId {
    /// Below the number of buffers.
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Equal buffers and a stack of the free ones: the one returned last, whose
/// bytes are still in the processor's cache, is handed out first.
pub(crate) struct BufferPool {
    region: MmapRegion,
    head_room: usize,
    capacity: usize,
    stride: usize,
    free: Vec<BufferId>,
}

impl BufferPool {
    /// `count` buffers of `capacity` bytes whose first byte is aligned to
    /// `alignment`, a power of two. Pages are taken from the system when they
    /// are first touched.
    pub(crate) fn new(
        count: u32,
        capacity: usize,
        alignment: usize,
    ) -> Result<Self, MmapRegionError> {
        let unit = alignment.next_power_of_two().max(CACHE_LINE);
        // The mapping is page-aligned, so multiples of `unit` are aligned up to
        // a page; larger wishes are cut down to that.
        let head_room = unit.min(4096);
        let stride = head_room + (capacity + TAIL_ROOM).next_multiple_of(head_room);
        let region = MmapRegion::new(stride * count as usize)?;
        Ok(Self {
            region,
            head_room,
            capacity,
            stride,
            free: (0..count).rev().map(BufferId).collect(),
        })
    }

    /// Takes a buffer, the one returned last.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<BufferId> {
        self.free.pop()
    }

    /// Gives a buffer back. Never grows the stack beyond its first size, so it
    /// never allocates.
    #[inline]
    pub(crate) fn give_back(&mut self, id: BufferId) {
        debug_assert!(self.free.len() < self.free.capacity());
        self.free.push(id);
    }

    /// Bytes the client sees of each buffer.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many buffers are free.
    #[cfg(test)]
    pub(crate) fn free_count(&self) -> usize {
        self.free.len()
    }

    /// Memory reserved for the pool in bytes.
    pub(crate) fn size(&self) -> usize {
        self.region.size()
    }

    /// Writes a pattern around a buffer, and with `whole` all over it.
    pub(crate) fn guard(&self, id: BufferId, whole: bool) {
        let start = id.0 as usize * self.stride;
        let behind = start + self.head_room + self.capacity;
        self.fill(start + self.head_room - GUARD, GUARD);
        self.fill(behind, GUARD);
        if whole {
            self.fill(start + self.head_room, self.capacity.min(CHECKED));
        }
    }

    fn fill(&self, start: usize, length: usize) {
        let pattern = [PATTERN; CHECKED];
        let _ = self.slice(start, length).write_slice(&pattern[..length], 0);
    }

    /// Whether the pattern around a buffer is as it was.
    pub(crate) fn guard_intact(&self, id: BufferId) -> bool {
        let start = id.0 as usize * self.stride + self.head_room;
        self.intact(start - GUARD, GUARD) && self.intact(start + self.capacity, GUARD)
    }

    /// Whether a buffer that was guarded whole is as it was.
    pub(crate) fn untouched(&self, id: BufferId) -> bool {
        let start = id.0 as usize * self.stride + self.head_room;
        self.intact(start, self.capacity.min(CHECKED))
    }

    fn intact(&self, start: usize, length: usize) -> bool {
        let mut seen = [0; CHECKED];
        let read = self.slice(start, length).read_slice(&mut seen[..length], 0);
        read.is_ok() && seen[..length].iter().all(|byte| *byte == PATTERN)
    }

    /// Where the buffers lie.
    #[inline]
    pub(crate) fn buffers(&self) -> Buffers<'_> {
        Buffers {
            region: self.region.as_volatile_slice(),
            head_room: self.head_room,
            capacity: self.capacity,
            stride: self.stride,
        }
    }

    /// What the client sees of a buffer.
    #[inline]
    pub(crate) fn client_slice(&self, id: BufferId) -> VolatileSlice<'_> {
        self.buffers().client_slice(id)
    }

    /// The whole buffer, for a port.
    #[inline]
    pub(crate) fn buffer(&self, id: BufferId) -> SystemBuffer<'_> {
        self.buffers().buffer(id)
    }

    fn slice(&self, offset: usize, length: usize) -> VolatileSlice<'_> {
        self.buffers().slice(offset, length)
    }
}

/// Where the buffers of a pool lie, looked up once for many of them.
#[derive(Clone, Copy)]
pub(crate) struct Buffers<'a> {
    region: VolatileSlice<'a>,
    head_room: usize,
    capacity: usize,
    stride: usize,
}

impl<'a> Buffers<'a> {
    /// What the client sees of a buffer.
    #[inline]
    pub(crate) fn client_slice(&self, id: BufferId) -> VolatileSlice<'a> {
        self.slice(id.index() * self.stride + self.head_room, self.capacity)
    }

    /// Where a client that computes addresses finds that.
    #[inline]
    pub(crate) fn client_address(&self, id: BufferId) -> u64 {
        let offset = id.index() * self.stride + self.head_room;
        self.region.ptr_guard().as_ptr() as u64 + offset as u64
    }

    /// Bytes the client sees of each buffer.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The whole buffer, for a port.
    #[inline]
    pub(crate) fn buffer(&self, id: BufferId) -> SystemBuffer<'a> {
        SystemBuffer {
            whole: self.slice(id.index() * self.stride, self.stride),
            head_room: self.head_room,
            capacity: self.capacity,
        }
    }

    #[inline]
    fn slice(&self, offset: usize, length: usize) -> VolatileSlice<'a> {
        match self.region.subslice(offset, length) {
            Ok(slice) => slice,
            Err(_) => empty_slice(),
        }
    }
}

/// A slice over nothing, for what there is no buffer for.
#[cold]
#[inline(never)]
pub(crate) fn empty_slice<'a>() -> VolatileSlice<'a> {
    VolatileSlice::from(&mut [][..])
}

/// One system buffer as a port sees it: head-room, the frame's bytes, a little
/// tail-room.
#[derive(Clone, Copy)]
pub struct SystemBuffer<'a> {
    whole: VolatileSlice<'a>,
    head_room: usize,
    capacity: usize,
}

impl<'a> SystemBuffer<'a> {
    /// Bytes a frame may have.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The frame's bytes, the whole capacity.
    #[inline]
    pub fn frame(&self) -> VolatileSlice<'a> {
        self.part(self.head_room, self.capacity)
    }

    /// Room for `header` bytes of the port's own followed directly by the frame
    /// area and a spare byte: a read that fills all of it met a frame that was
    /// too long. Empty if the header does not fit the head-room.
    #[inline]
    pub fn with_header(&self, header: usize) -> VolatileSlice<'a> {
        match self.head_room.checked_sub(header) {
            Some(start) => self.part(start, header + self.capacity + 1),
            None => empty_slice(),
        }
    }

    /// `length` bytes of the frame from `offset` on, preceded by `header` bytes
    /// of the port's own. Empty if that does not fit.
    #[inline]
    pub fn data_with_header(
        &self,
        header: usize,
        offset: usize,
        length: usize,
    ) -> VolatileSlice<'a> {
        match (self.head_room + offset).checked_sub(header) {
            Some(start) => self.part(start, header + length),
            None => empty_slice(),
        }
    }

    #[inline]
    fn part(&self, start: usize, length: usize) -> VolatileSlice<'a> {
        self.whole
            .subslice(start, length)
            .unwrap_or_else(|_| empty_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(slice: VolatileSlice<'_>) -> usize {
        slice.ptr_guard().as_ptr() as usize
    }

    #[test]
    fn buffers_keep_apart_and_aligned() {
        for alignment in [1, 64, 256, 4096] {
            let pool = BufferPool::new(4, 1500, alignment).unwrap();
            for id in 0..4 {
                let at = address(pool.client_slice(BufferId(id)));
                assert_eq!(at % alignment, 0);
                let end = at + 1500 + 1;
                if id < 3 {
                    let next = address(pool.buffer(BufferId(id + 1)).data_with_header(64, 0, 1));
                    assert!(end <= next, "buffer {id} reaches into the next");
                }
            }
        }
    }

    #[test]
    fn last_returned_buffer_is_taken_first() {
        let mut pool = BufferPool::new(3, 100, 1).unwrap();
        let (a, b) = (pool.take().unwrap(), pool.take().unwrap());
        assert_ne!(a, b);
        pool.give_back(a);
        pool.give_back(b);
        assert_eq!(pool.take(), Some(b));
        assert_eq!(pool.free_count(), 2);
    }

    #[test]
    fn empty_pool_yields_none() {
        let mut pool = BufferPool::new(1, 100, 1).unwrap();
        assert!(pool.take().is_some());
        assert_eq!(pool.take(), None);
    }

    #[test]
    fn spare_byte_is_there_whatever_the_capacity() {
        for capacity in [64, 100, 127, 128, 2048] {
            let pool = BufferPool::new(2, capacity, 1).unwrap();
            for id in 0..2 {
                let area = pool.buffer(BufferId(id)).with_header(12);
                assert_eq!(area.len(), 12 + capacity + 1);
            }
        }
    }

    #[test]
    fn header_lies_directly_before_the_frame() {
        let pool = BufferPool::new(1, 100, 1).unwrap();
        let buffer = pool.buffer(BufferId(0));
        assert_eq!(
            address(buffer.with_header(12)) + 12,
            address(buffer.frame())
        );
        assert_eq!(buffer.with_header(12).len(), 12 + 100 + 1);
        let data = buffer.data_with_header(12, 2, 60);
        assert_eq!(address(data), address(buffer.frame()) + 2 - 12);
        assert_eq!(data.len(), 72);
        assert!(buffer.with_header(65).is_empty(), "head-room is 64 bytes");
    }
}
