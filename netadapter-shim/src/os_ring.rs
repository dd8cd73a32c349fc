//! The framework's half of a ring: what is free, what the client holds, what
//! it has returned.
//!
//! ```text
//!     Os (OSReserved0)     Begin              End
//!        v                   v                 v
//!  ......|--- returned ------|---- client -----|.......
//!  free       to collect          owned            free
//! ```
//!
//! `Os` and `End` are private copies; the ring's own are written for the
//! client's eyes only. One element always stays free, counted from `Os` and
//! not from Begin: a full ring would look empty.

use crate::ring::{Index, RingMemory, Run};

/// The client moved Begin to where it does not own anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "BeginIndex is {begin}, outside the range the client owned, {owned_from} to {owned_to} of \
     {elements} elements"
)]
pub(crate) struct BeginOutOfRange {
    begin: u32,
    owned_from: u32,
    owned_to: u32,
    elements: u32,
}

/// The framework's private position on one ring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OsRing {
    os: u32,
    end: u32,
    mask: u32,
}

impl OsRing {
    pub(crate) fn new(memory: &RingMemory) -> Self {
        Self {
            os: 0,
            end: 0,
            mask: memory.mask(),
        }
    }

    /// How many elements may be posted: all but one, less those the client
    /// owns or has returned uncollected.
    #[inline]
    pub(crate) fn free(&self) -> u32 {
        self.mask - self.outstanding()
    }

    /// The element to be posted next.
    #[inline]
    pub(crate) fn next(&self) -> u32 {
        self.end
    }

    /// Counts the next element as posted; the client sees it after
    /// [`Self::publish`].
    #[inline]
    pub(crate) fn post(&mut self) {
        debug_assert!(self.free() > 0);
        self.end = self.end.wrapping_add(1) & self.mask;
    }

    /// Counts all free elements as posted; they are the run.
    #[inline]
    pub(crate) fn post_all(&mut self) -> Run {
        let run = Run::new(self.end, self.free(), self.mask);
        self.end = self.end.wrapping_add(run.count) & self.mask;
        run
    }

    /// Shows the client all that was posted.
    #[inline]
    pub(crate) fn publish(&self, memory: &RingMemory) {
        memory.store_index(Index::End, self.end);
    }

    /// Elements the client returned since the last call.
    #[inline]
    pub(crate) fn collect(&mut self, memory: &RingMemory) -> Result<Run, BeginOutOfRange> {
        let begin = memory.load_index_raw(Index::Begin);
        let count = begin.wrapping_sub(self.os) & self.mask;
        if begin > self.mask || count > self.outstanding() {
            return Err(BeginOutOfRange {
                begin,
                owned_from: self.os,
                owned_to: self.end,
                elements: self.mask + 1,
            });
        }
        let run = Run::new(self.os, count, self.mask);
        if count > 0 {
            self.os = begin;
            memory.store_index(Index::Os, begin);
        }
        Ok(run)
    }

    /// Elements posted and not yet collected: after a collect, those the client
    /// owns.
    #[inline]
    pub(crate) fn outstanding(&self) -> u32 {
        self.end.wrapping_sub(self.os) & self.mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_random::Random;
    use std::collections::VecDeque;

    fn ring(elements: u32) -> (RingMemory, OsRing) {
        let memory = RingMemory::new(elements, 8).unwrap();
        let os = OsRing::new(&memory);
        (memory, os)
    }

    #[test]
    fn one_element_always_stays_free() {
        let (memory, mut os) = ring(4);
        for _ in 0..3 {
            os.post();
        }
        assert_eq!((os.free(), os.outstanding()), (0, 3));
        os.publish(&memory);
        // Returned but not collected: still not free.
        memory.store_index(Index::Begin, 2);
        assert_eq!(os.free(), 0);
        let run = os.collect(&memory).unwrap();
        assert_eq!(run.indices().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(os.free(), 2);
        assert_eq!(memory.load_index(Index::Os), 2);
    }

    /// On every small ring, from every position: exactly the Begin values the
    /// client may set are accepted.
    #[test]
    fn begin_is_accepted_only_inside_the_owned_range() {
        for bits in 1..=4 {
            let size = 1 << bits;
            for (start, owned) in (0..size).flat_map(|s| (0..size).map(move |o| (s, o))) {
                for begin in 0..2 * size {
                    let (memory, mut os) = ring(size);
                    (os.os, os.end) = (start, (start + owned) % size);
                    let allowed = (0..=owned).any(|step| (start + step) % size == begin);
                    // Past the mask: written by a client that does not mask.
                    let word = 48 / 4;
                    memory.corrupt_head(word, begin);
                    assert_eq!(
                        os.collect(&memory).is_ok(),
                        allowed,
                        "{size} {start} {owned} {begin}"
                    );
                }
            }
        }
    }

    /// Random posting and returning against a queue of plain numbers.
    #[test]
    fn random_traffic_matches_a_plain_queue() {
        let mut random = Random::from_env();
        for _ in 0..50 {
            let size = 2 << random.below(6);
            let (memory, mut os) = ring(size);
            let mut client: VecDeque<u32> = VecDeque::new();
            for _ in 0..5_000 {
                for _ in 0..random.below(os.free() + 1) {
                    client.push_back(os.next());
                    os.post();
                }
                os.publish(&memory);
                let returning = random.below(client.len() as u32 + 1);
                let returned: Vec<u32> = client.drain(..returning as usize).collect();
                let begin = client.front().copied().unwrap_or(os.next());
                memory.store_index(Index::Begin, begin);
                let run = os.collect(&memory).unwrap();
                assert!(run.indices().eq(returned), "{random}");
                assert_eq!(os.outstanding() as usize, client.len(), "{random}");
            }
        }
    }
}
