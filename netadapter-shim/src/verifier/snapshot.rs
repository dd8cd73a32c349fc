//! A copy of one ring, and which elements changed hands since it was taken.

use crate::abi::NetRingHeader;
use crate::ring::RingMemory;

const WORD: usize = 4;
const BEGIN_WORD: usize = 48 / WORD;
const END_WORD: usize = 12 / WORD;
const IMMUTABLE_WORDS: usize = NetRingHeader::IMMUTABLE_LENGTH / WORD;
/// A fragment's core element is 8 bytes; its extensions follow.
const FRAGMENT_CORE: u32 = 8;

/// The range the client owned before a call and what is left of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owned {
    begin: u32,
    count: u32,
    returned: u32,
    mask: u32,
}

impl Owned {
    /// Every element the client owned before the call.
    pub(super) fn all(self) -> impl Iterator<Item = u32> {
        (0..self.count).map(move |step| self.begin.wrapping_add(step) & self.mask)
    }

    /// The elements it gave back.
    pub(super) fn returned_indices(self) -> impl Iterator<Item = u32> {
        self.all().take(self.returned as usize)
    }

    /// Whether it gave this one back.
    pub(super) fn returned(self, index: u32) -> bool {
        self.distance(index) < self.returned
    }

    /// Whether it owned this one before the call.
    pub(super) fn contains(self, index: u32) -> bool {
        index <= self.mask && self.distance(index) < self.count
    }

    /// How many it owned before the call.
    pub(super) fn count(self) -> u32 {
        self.count
    }

    /// Steps from the old Begin.
    pub(super) fn distance(self, index: u32) -> u32 {
        index.wrapping_sub(self.begin) & self.mask
    }

    /// The index `steps` behind `index`.
    pub(super) fn advance(self, index: u32, steps: u32) -> u32 {
        index.wrapping_add(steps) & self.mask
    }
}

/// The words of a ring's head and of its elements.
#[derive(Default)]
pub(super) struct Snapshot {
    head: Vec<u32>,
    elements: Vec<u32>,
    stride_words: usize,
    mask: u32,
}

impl Snapshot {
    pub(super) fn take(&mut self, memory: &RingMemory) {
        let (head, elements) = memory.words();
        self.stride_words = memory.stride() as usize / WORD;
        self.mask = memory.mask();
        self.head.clear();
        self.head
            .extend((0..head).map(|word| memory.load_head(word)));
        self.elements.clear();
        let stride = self.stride_words;
        let words = (0..elements).map(|word| load(memory, word / stride, word % stride));
        self.elements.extend(words);
    }

    pub(super) fn begin(&self) -> u32 {
        self.head[BEGIN_WORD]
    }

    pub(super) fn end(&self) -> u32 {
        self.head[END_WORD]
    }

    /// The first word of the immutable part that changed.
    pub(super) fn changed_head(&self, memory: &RingMemory) -> Option<usize> {
        (0..IMMUTABLE_WORDS).find(|&word| memory.load_head(word) != self.head[word])
    }

    /// What became of the owned range; the offending Begin if it left it.
    pub(super) fn owned(&self, memory: &RingMemory) -> Result<Owned, u32> {
        let begin = self.begin() & self.mask;
        let count = self.end().wrapping_sub(begin) & self.mask;
        let now = memory.load_head(BEGIN_WORD);
        let returned = now.wrapping_sub(begin) & self.mask;
        if now > self.mask || returned > count {
            return Err(now);
        }
        Ok(Owned {
            begin,
            count,
            returned,
            mask: self.mask,
        })
    }

    /// The first element outside the owned range that changed.
    pub(super) fn changed_outside(&self, memory: &RingMemory, owned: Owned) -> Option<u32> {
        let mut outside = (0..=self.mask).filter(|&index| !owned.contains(index));
        outside.find(|&index| self.changed(memory, index, 0))
    }

    /// Whether anything behind a fragment's core element changed.
    pub(super) fn changed_behind_core(&self, memory: &RingMemory, index: u32) -> bool {
        self.changed(memory, index, FRAGMENT_CORE as usize / WORD)
    }

    /// The first three words of an element.
    pub(super) fn element_words(&self, index: u32) -> [u32; 3] {
        let at = index as usize * self.stride_words;
        [
            self.elements[at],
            self.elements[at + 1],
            self.elements[at + 2],
        ]
    }

    /// The first double word of an element.
    pub(super) fn double_word(&self, index: u32) -> u64 {
        let at = index as usize * self.stride_words;
        let [a, b] = [self.elements[at], self.elements[at + 1]].map(u32::to_ne_bytes);
        u64::from_ne_bytes([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]])
    }

    fn changed(&self, memory: &RingMemory, index: u32, from_word: usize) -> bool {
        let at = index as usize * self.stride_words;
        (from_word..self.stride_words)
            .any(|word| load(memory, index as usize, word) != self.elements[at + word])
    }
}

fn load(memory: &RingMemory, element: usize, word: usize) -> u32 {
    memory
        .element(element as u32)
        .load_u32((word * WORD) as u32)
}
