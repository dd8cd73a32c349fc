//! Memory that a client writes while it lives here: zeroed and 16-byte aligned.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Atomics, because the client writes while Rust holds a shared reference.
#[repr(align(16))]
#[derive(Default)]
struct Line {
    _words: [AtomicU64; 2],
}

/// A block of memory; clones are the same block. Shared ownership, because a
/// `Box` would claim to be the only access.
#[derive(Clone)]
pub(crate) struct Block(Arc<[Line]>);

impl Block {
    /// At least that many bytes, and at least one line, so that every block
    /// has an address of its own.
    pub(crate) fn zeroed(size: usize) -> Self {
        let lines = size.div_ceil(size_of::<Line>()).max(1);
        Self((0..lines).map(|_| Line::default()).collect())
    }

    /// Where it begins.
    pub(crate) fn address(&self) -> *mut c_void {
        Arc::as_ptr(&self.0).cast_mut().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_apart() {
        let (first, second) = (Block::zeroed(0), Block::zeroed(17));
        assert!(first.address() != second.address());
        assert_eq!((first.address().addr() | second.address().addr()) % 16, 0);
        assert_eq!(second.0.len(), 2);
        assert_eq!(first.clone().address(), first.address());
    }
}
