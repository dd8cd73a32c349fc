//! Watches the bytes of system buffers that a client has no business with:
//! those around a buffer it holds, and those of a buffer it gave back.

use crate::buffer_pool::{BufferId, BufferPool};

/// What the watch has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intrusion {
    /// Bytes around the buffer of this fragment were written.
    Overrun(u32),
    /// The buffer now attached to this fragment was written after it had been
    /// given back.
    LateWrite(u32),
}

/// State of every buffer of a pool.
pub(crate) struct Watch {
    /// Filled with the pattern when it was given back.
    filled: Vec<bool>,
    seen: Option<Intrusion>,
}

impl Watch {
    pub(super) fn new(buffers: u32) -> Self {
        Self {
            filled: vec![false; buffers as usize],
            seen: None,
        }
    }

    /// A buffer is taken from the pool for a fragment.
    pub(super) fn taken(&mut self, pool: &BufferPool, id: BufferId, fragment: u32) {
        let filled = std::mem::take(&mut self.filled[id.index()]);
        if filled && !pool.untouched(id) {
            self.seen.get_or_insert(Intrusion::LateWrite(fragment));
        }
    }

    /// A buffer has come back from the client.
    pub(super) fn returned(&mut self, pool: &BufferPool, id: BufferId, fragment: u32) {
        if !pool.guard_intact(id) {
            self.seen.get_or_insert(Intrusion::Overrun(fragment));
        }
    }

    /// A buffer goes back to the pool.
    pub(super) fn given_back(&mut self, pool: &BufferPool, id: BufferId) {
        pool.guard(id, true);
        self.filled[id.index()] = true;
    }

    pub(super) fn take(&mut self) -> Option<Intrusion> {
        self.seen.take()
    }
}
