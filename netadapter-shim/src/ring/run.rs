//! Elements that follow each other.

/// A run of elements, wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    start: u32,
    pub(crate) count: u32,
    mask: u32,
}

impl Run {
    /// `count` elements from `start` on, of a ring with this mask.
    #[inline]
    pub(crate) fn new(start: u32, count: u32, mask: u32) -> Self {
        Self { start, count, mask }
    }

    /// The index of the first element; of an empty run, where it would be.
    #[inline]
    pub(crate) fn first(self) -> u32 {
        self.start & self.mask
    }

    /// The indices, in order.
    #[inline]
    pub(crate) fn indices(self) -> impl Iterator<Item = u32> {
        (0..self.count).map(move |step| self.start.wrapping_add(step) & self.mask)
    }

    /// Start and length of what lies up to the end of the ring, and of what goes
    /// on at its beginning.
    #[inline]
    pub(crate) fn pieces(self) -> [(u32, u32); 2] {
        let start = self.start & self.mask;
        let first = self.count.min(self.mask + 1 - start);
        [(start, first), (0, self.count - first)]
    }

    /// Cuts `count` elements from `start` on out of this run, together with
    /// those before them. `None`, and nothing changes, if they do not lie in it
    /// or are none.
    #[inline]
    pub(crate) fn take(&mut self, start: u32, count: u32) -> Option<Run> {
        let skipped = start.wrapping_sub(self.start) & self.mask;
        let used = skipped.checked_add(count)?;
        if start > self.mask || count == 0 || used > self.count {
            return None;
        }
        self.start = start.wrapping_add(count) & self.mask;
        self.count -= used;
        Some(Run {
            start,
            count,
            mask: self.mask,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_indices_in_order() {
        for bits in 1..=4 {
            let size = 1 << bits;
            for (start, count) in (0..size).flat_map(|s| (0..size).map(move |c| (s, c))) {
                let run = Run::new(start, count, size - 1);
                let pieces = run.pieces().into_iter();
                let in_pieces = pieces.flat_map(|(start, count)| start..start + count);
                assert!(run.indices().eq(in_pieces), "{start} {count} of {size}");
            }
        }
    }
}
