//! The DMA frame slots of one queue: where header and frame lie, and which slots are free.

use virtio::DmaSlice;
use virtio::mem::OutOfRegion;
use virtio::net::{HashReport, VirtioNetHdr};
use virtio::queue::{Part, SlotId, SlotLayout, Virtqueue};
use vm_memory::VolatileSlice;

const CACHE_LINE: usize = 64;
/// Where a frame starts in a slot: on a cache line, so that it is copied with aligned accesses. Its
/// header stands before it.
const FRAME_OFFSET: usize = CACHE_LINE;

/// The shape of all slots of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotShape {
    stride: usize,
    part: Part,
}

impl SlotShape {
    /// Slots whose first buffer holds a header of `head_len` bytes and `frame_len` bytes of frame.
    ///
    /// Where frames span several slots, a `frame_len` that makes header and frame a multiple of
    /// cache lines keeps source and target of all copies equally aligned.
    pub fn for_frames_of(frame_len: usize, head_len: usize, device_writes: bool) -> Self {
        let stride = (FRAME_OFFSET + frame_len).next_multiple_of(CACHE_LINE);
        let len = (head_len + frame_len) as u32;
        Self {
            stride,
            part: Part {
                offset: FRAME_OFFSET - head_len,
                len,
                device_writes,
            },
        }
    }

    /// Bytes from one slot to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of the header, and of what else stands before a frame.
    #[inline]
    pub fn head_len(&self) -> usize {
        FRAME_OFFSET - self.part.offset
    }

    /// The longest frame that fits behind a header.
    pub fn frame_capacity(&self) -> usize {
        self.part.len as usize - self.head_len()
    }

    /// The shape as the virtqueue takes it.
    pub fn layout(&self) -> SlotLayout<'_> {
        SlotLayout {
            stride: self.stride,
            parts: std::slice::from_ref(&self.part),
        }
    }
}

/// The memory of a queue's slots.
#[derive(Debug)]
pub struct FrameSlots {
    memory: DmaSlice,
    shape: SlotShape,
}

impl FrameSlots {
    /// The slots of `shape` that lie in `memory`. What stands between headers and frames is zeros
    /// from now on as far as the driver is concerned: of frames to be sent it means nothing.
    pub fn new(memory: DmaSlice, shape: SlotShape) -> Self {
        let rest = shape.head_len() - VirtioNetHdr::SIZE;
        let slots = memory.len() / shape.stride;
        for slot in 0..if rest > 0 { slots } else { 0 } {
            let at = slot * shape.stride + FRAME_OFFSET - rest;
            memory
                .range(at, rest)
                .copy_from(&[0; HashReport::SIZE][..rest]);
        }
        Self { memory, shape }
    }

    /// The shape of each slot.
    pub fn shape(&self) -> &SlotShape {
        &self.shape
    }

    /// A private copy of the header that the device wrote, for [`VirtioNetHdr::from_words`]; each
    /// word is read once.
    #[inline]
    pub fn read_header(&self, slot: SlotId) -> [u32; 3] {
        self.memory.load_u32s(self.head_of(slot))
    }

    /// A private copy of what the device says of a frame's hash, where its header is that long.
    #[inline]
    pub fn read_hash(&self, slot: SlotId) -> HashReport {
        let at = self.head_of(slot) + VirtioNetHdr::SIZE;
        HashReport::from_words(self.memory.load_u32s(at))
    }

    /// Writes the header that the device will read.
    #[inline]
    pub fn write_header(&self, slot: SlotId, header: VirtioNetHdr) {
        let at = self.head_of(slot);
        let bytes = header.to_bytes();
        let word = |i: usize| [bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]];
        let words = [word(0), word(4), word(8)].map(u32::from_le_bytes);
        self.memory.store_u32s(at, words);
    }

    /// The bytes `offset..offset + len` of the frame behind the header.
    ///
    /// # Panics
    /// When they lie outside the slots; callers check lengths against the shape first.
    #[inline]
    pub fn frame(&self, slot: SlotId, offset: usize, len: usize) -> VolatileSlice<'_> {
        self.at(slot, FRAME_OFFSET + offset, len)
    }

    /// The first `len` bytes of a slot that continues a frame and so has no header.
    #[inline]
    pub fn continuation(&self, slot: SlotId, len: usize) -> VolatileSlice<'_> {
        self.at(slot, self.shape.part.offset, len)
    }

    #[inline]
    fn at(&self, slot: SlotId, offset: usize, len: usize) -> VolatileSlice<'_> {
        self.memory.range(self.offset_of(slot) + offset, len)
    }

    #[inline]
    fn head_of(&self, slot: SlotId) -> usize {
        self.offset_of(slot) + self.shape.part.offset
    }

    #[inline]
    fn offset_of(&self, slot: SlotId) -> usize {
        usize::from(slot.0) * self.shape.stride
    }
}

/// The slots of a transmit queue that no frame waits in, the most recently used on top: its
/// memory is the likeliest to be in a cache.
#[derive(Debug)]
pub struct FreeSlots(Vec<SlotId>);

impl FreeSlots {
    /// All of `count` slots are free.
    pub fn all(count: u16) -> Self {
        Self((0..count).rev().map(SlotId).collect())
    }

    /// The slots of `queue` that are not with the device.
    pub fn of(queue: &Virtqueue) -> Self {
        let all = (0..queue.slot_count()).rev().map(SlotId);
        Self(all.filter(|&slot| !queue.is_outstanding(slot)).collect())
    }

    /// How many are free.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one.
    #[inline]
    pub fn take(&mut self) -> Option<SlotId> {
        self.0.pop()
    }

    /// Gives one back.
    #[inline]
    pub fn give_back(&mut self, slot: SlotId) {
        self.0.push(slot);
    }
}

/// Cuts consecutive pieces, each starting on a cache line, off a block of DMA memory.
#[derive(Debug)]
pub struct Carver {
    rest: DmaSlice,
}

impl Carver {
    /// Starts at the beginning of `memory`.
    pub fn new(memory: DmaSlice) -> Self {
        Self { rest: memory }
    }

    /// Bytes that a piece of `len` takes.
    pub const fn taken_by(len: usize) -> usize {
        len.next_multiple_of(CACHE_LINE)
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`OutOfRegion`] when there are not so many left.
    pub fn take(&mut self, len: usize) -> Result<DmaSlice, OutOfRegion> {
        let taken = Self::taken_by(len);
        let piece = self.rest.slice(0, len)?;
        self.rest = self
            .rest
            .slice(taken, self.rest.len().saturating_sub(taken))?;
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use virtio::{DmaRegion, Iova};

    use super::*;

    fn memory(len: usize) -> DmaSlice {
        Arc::new(DmaRegion::new(len).unwrap()).at(Iova(0))
    }

    #[test]
    fn frames_start_on_cache_lines_right_after_their_header() {
        for head in [12, 20] {
            let shape = SlotShape::for_frames_of(1518, head, true);
            assert_eq!(shape.stride() % CACHE_LINE, 0);
            assert!(shape.frame_capacity() >= 1518);
            let part = shape.layout().parts[0];
            assert_eq!(part.offset + head, FRAME_OFFSET);
            assert_eq!(part.len as usize, shape.frame_capacity() + head);
        }
    }

    #[test]
    fn slots_do_not_share_bytes() {
        let shape = SlotShape::for_frames_of(100, VirtioNetHdr::SIZE, false);
        let slots = FrameSlots::new(memory(4096), shape);
        slots.write_header(
            SlotId(1),
            VirtioNetHdr {
                num_buffers: 7,
                ..Default::default()
            },
        );
        slots
            .frame(SlotId(0), 0, shape.frame_capacity())
            .copy_from(&vec![0xffu8; shape.frame_capacity()]);
        let header = VirtioNetHdr::from_words(slots.read_header(SlotId(1)));
        assert_eq!(header.num_buffers, 7);
    }

    #[test]
    fn the_slot_given_back_last_is_taken_first() {
        let mut free = FreeSlots::all(3);
        assert_eq!(free.take(), Some(SlotId(0)));
        assert_eq!(free.take(), Some(SlotId(1)));
        free.give_back(SlotId(0));
        assert_eq!(
            (free.take(), free.take(), free.take()),
            (Some(SlotId(0)), Some(SlotId(2)), None)
        );
    }

    #[test]
    fn pieces_follow_each_other_until_the_memory_ends() {
        let mut carver = Carver::new(memory(4096));
        assert_eq!(carver.take(100).unwrap().iova(), Iova(0));
        assert_eq!(carver.take(64).unwrap().iova(), Iova(128));
        assert!(carver.take(4096).is_err());
    }
}
