//! Fences, and the words of device memory as the model checker has them.
//!
//! With `--cfg loom` the queues are checked in every order in which two processors may see
//! each other's stores (`tests/models.rs`); otherwise this is the standard library.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::fence;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::fence;
#[cfg(loom)]
pub(crate) use model::{Word, Words};

#[cfg(loom)]
mod model {
    use loom::sync::atomic::{AtomicU16, Ordering};

    /// What a queue loads and stores in one go.
    pub(crate) trait Word: Copy + Into<u64> {
        fn narrowed(value: u64) -> Self;
    }

    impl Word for u16 {
        fn narrowed(value: u64) -> Self {
            value as Self
        }
    }

    impl Word for u32 {
        fn narrowed(value: u64) -> Self {
            value as Self
        }
    }

    impl Word for u64 {
        fn narrowed(value: u64) -> Self {
            value
        }
    }

    /// The 16-bit words of a region. Longer fields are several of them.
    #[derive(Debug)]
    pub(crate) struct Words(Box<[AtomicU16]>);

    impl Words {
        /// Models have small rings: what lies behind this is not modelled.
        const MODELLED: usize = 512;

        pub(crate) fn new(len: usize) -> Self {
            let words = len.min(Self::MODELLED) / 2;
            Self((0..words).map(|_| AtomicU16::new(0)).collect())
        }

        pub(crate) fn load<T: Word>(&self, offset: usize, order: Ordering) -> T {
            let words = self.of::<T>(offset).iter().rev();
            T::narrowed(words.fold(0, |value, word| value << 16 | u64::from(word.load(order))))
        }

        pub(crate) fn store<T: Word>(&self, offset: usize, value: T, order: Ordering) {
            let value: u64 = value.into();
            for (i, word) in self.of::<T>(offset).iter().enumerate() {
                word.store((value >> (16 * i)) as u16, order);
            }
        }

        fn of<T>(&self, offset: usize) -> &[AtomicU16] {
            &self.0[offset / 2..][..size_of::<T>() / 2]
        }
    }
}
