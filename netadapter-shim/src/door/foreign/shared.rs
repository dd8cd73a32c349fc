//! Objects that lie in the client's memory and that several threads touch.

#![allow(unsafe_code)] // borrows the client's memory

use std::marker::PhantomData;
use std::sync::atomic::AtomicU32;

/// What may lie in a client's memory and be borrowed there.
///
/// # Safety
/// Every bit pattern is a value, all zeros among them; its fields are atomics, or are never read
/// or written.
pub(crate) unsafe trait Atomics {}

// SAFETY: an atomic.
unsafe impl Atomics for AtomicU32 {}

/// A pointer to an object of the client's, or to room for one: NULL, or good for as long as the
/// call, and touched by nobody but the functions that take this type.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T>(*mut T, PhantomData<&'a T>);

impl<'a, T: Atomics> Shared<'a, T> {
    /// The object; `None` for NULL, and for an address where none can be.
    pub(crate) fn get(self) -> Option<&'a T> {
        let usable = !self.0.is_null() && self.0.is_aligned();
        // SAFETY: not NULL, aligned, and the client's object, as the type says; its fields are
        // atomics or never used.
        usable.then(|| unsafe { &*self.0 })
    }

    /// Makes all of its bytes zero; says whether there is room.
    pub(crate) fn clear(self) -> bool {
        if self.0.is_null() {
            return false;
        }
        // SAFETY: not NULL, and room for the object, as the type says.
        unsafe { self.0.cast::<u8>().write_bytes(0, size_of::<T>()) };
        true
    }

    /// A unit test's.
    #[cfg(test)]
    pub(crate) fn of(object: &'a T) -> Self {
        Self(std::ptr::from_ref(object).cast_mut(), PhantomData)
    }

    /// A unit test's.
    #[cfg(test)]
    pub(crate) fn at(place: *mut T) -> Self {
        Self(place, PhantomData)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn an_object_is_borrowed_where_one_can_be() {
        let mut words = [AtomicU32::new(7), AtomicU32::new(8)];
        let found = Shared::of(&words[1])
            .get()
            .map(|word| word.load(Ordering::Relaxed));
        assert_eq!(found, Some(8));
        assert!(
            Shared::<AtomicU32>::at(std::ptr::null_mut())
                .get()
                .is_none()
        );
        let between = words.as_mut_ptr().wrapping_byte_add(1);
        assert!(Shared::at(between).get().is_none());
    }

    #[test]
    fn room_is_cleared_if_there_is_some() {
        let word = AtomicU32::new(7);
        assert!(Shared::of(&word).clear());
        assert_eq!(word.into_inner(), 0);
        assert!(!Shared::<AtomicU32>::at(std::ptr::null_mut()).clear());
    }
}
