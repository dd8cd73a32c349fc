//! A lock of one 32-bit word in the client's memory, for one writer or many
//! readers. All zeros is free, so that it needs no initialisation.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::sys;
pub(super) use super::sys::wake;

/// Held by a writer.
const EXCLUSIVE: u32 = 1 << 31;
/// Somebody sleeps until the word changes.
const AWAITED: u32 = 1 << 30;
/// How many readers hold it.
const READERS: u32 = AWAITED - 1;

/// Takes the lock for one, if it is free.
pub(super) fn try_exclusive(word: &AtomicU32) -> bool {
    change(word, |value| {
        (value & !AWAITED == 0).then_some(value | EXCLUSIVE)
    })
}

/// Takes the lock for one of many, unless a writer holds it.
pub(super) fn try_shared(word: &AtomicU32) -> bool {
    change(word, |value| {
        let free = value & EXCLUSIVE == 0 && value & READERS != READERS;
        free.then_some(value + 1)
    })
}

fn change(word: &AtomicU32, new: impl FnMut(u32) -> Option<u32>) -> bool {
    word.fetch_update(Ordering::Acquire, Ordering::Relaxed, new)
        .is_ok()
}

/// Waits for the lock.
pub(super) fn exclusive(word: &AtomicU32) {
    while !try_exclusive(word) {
        wait_for_change(word, |value| value & !AWAITED != 0);
    }
}

/// Waits for the lock, to hold it together with other readers.
pub(super) fn shared(word: &AtomicU32) {
    while !try_shared(word) {
        wait_for_change(word, |value| value & EXCLUSIVE != 0);
    }
}

/// Sleeps while the word stays as it is and `taken` holds of it.
fn wait_for_change(word: &AtomicU32, taken: impl Fn(u32) -> bool) {
    let mark = |value: u32| taken(value).then_some(value | AWAITED);
    if let Ok(seen) = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, mark) {
        sleep_while(word, seen | AWAITED, None);
    }
}

/// Gives up a writer's lock; says whether there was one.
pub(super) fn release_exclusive(word: &AtomicU32) -> bool {
    let free = |value: u32| (value & EXCLUSIVE != 0).then_some(0);
    release(word, free)
}

/// Gives up a reader's lock; says whether there was one.
pub(super) fn release_shared(word: &AtomicU32) -> bool {
    let one_less = |value: u32| match value & READERS {
        0 => None,
        1 => Some(0),
        _ => Some(value - 1),
    };
    release(word, one_less)
}

fn release(word: &AtomicU32, new: impl Fn(u32) -> Option<u32>) -> bool {
    let before = word.fetch_update(Ordering::Release, Ordering::Relaxed, &new);
    if let Ok(before) = before
        && before & AWAITED != 0
        && new(before) == Some(0)
    {
        wake(word, i32::MAX);
    }
    before.is_ok()
}

/// Sleeps until the word is woken, or not at all if it is not `seen`. Says
/// whether there is time left.
pub(super) fn sleep_while(word: &AtomicU32, seen: u32, deadline: Option<Instant>) -> bool {
    let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
    sys::sleep_on(word, seen, left);
    deadline.is_none_or(|end| Instant::now() < end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn writers_exclude_everybody_and_readers_only_writers() {
        let word = AtomicU32::new(0);
        assert!(try_shared(&word) && try_shared(&word) && !try_exclusive(&word));
        assert!(release_shared(&word) && release_shared(&word));
        assert!(!release_shared(&word) && !release_exclusive(&word));
        assert!(try_exclusive(&word) && !try_shared(&word) && !try_exclusive(&word));
        assert!(!release_shared(&word) && release_exclusive(&word));
        assert_eq!(word.into_inner(), 0);
    }

    #[test]
    fn nothing_is_lost_under_contention() {
        let (word, count) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        exclusive(&word);
                        let value = count.load(Ordering::Relaxed);
                        thread::yield_now();
                        count.store(value + 1, Ordering::Relaxed);
                        release_exclusive(&word);
                        shared(&word);
                        release_shared(&word);
                    }
                });
            }
        });
        assert_eq!((word.into_inner(), count.into_inner()), (0, 8000));
    }
}
