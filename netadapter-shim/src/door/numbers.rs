//! Small numbers that are given out, taken back and given out again.
//!
//! A device that is restarted makes its adapters anew. They find their former
//! ports and configuration because they get their former numbers: always the
//! smallest that nobody has.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who has which numbers.
pub(crate) struct Numbers(Mutex<BTreeSet<usize>>);

/// A number, until it is dropped.
pub(crate) struct Number {
    numbers: &'static Numbers,
    number: usize,
}

impl Numbers {
    /// Nobody has any.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    /// The smallest number that is free, from 0.
    pub(crate) fn claim(&'static self) -> Number {
        let mut taken = self.taken();
        let number = smallest_without(&taken);
        taken.insert(number);
        Number {
            numbers: self,
            number,
        }
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Number {
    /// Which one.
    pub(crate) fn get(&self) -> usize {
        self.number
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.numbers.taken().remove(&self.number);
    }
}

fn smallest_without(taken: &BTreeSet<usize>) -> usize {
    let pairs = taken.iter().copied().enumerate();
    let gap = pairs.take_while(|(place, number)| place == number);
    gap.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_given_back_is_the_next_to_be_given_out() {
        static NUMBERS: Numbers = Numbers::new();
        let [first, second, third] = [(); 3].map(|()| NUMBERS.claim());
        assert_eq!([first.get(), second.get(), third.get()], [0, 1, 2]);
        drop(second);
        let again = NUMBERS.claim();
        assert_eq!((again.get(), NUMBERS.claim().get()), (1, 3));
        drop(first);
        assert_eq!(NUMBERS.claim().get(), 0);
    }
}
