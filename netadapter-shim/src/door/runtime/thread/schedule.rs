//! How the processor is shared out among threads: priorities and affinity.
//!
//! A priority becomes a nice value. More than an ordinary share takes a
//! privilege; without it the priority is kept, told to who asks, and has no
//! effect, which is said once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{CURRENT, real, threads};
use crate::door::foreign::{In, Out};
use crate::door::runtime::dispatcher::Key;
use crate::door::runtime::last_error::{self, refuse};
use crate::door::runtime::sys::{self, affinity, set_affinity};

const PRIORITY_ERROR: i32 = i32::MAX;

/// `GROUP_AFFINITY`
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::door) struct GroupAffinity {
    pub(super) mask: u64,
    pub(super) group: u16,
    pub(super) reserved: [u16; 3],
}

/// The nice value of a priority from THREAD_PRIORITY_IDLE to THREAD_PRIORITY_TIME_CRITICAL.
pub(super) fn nice_of(priority: i32) -> Option<i32> {
    Some(match priority {
        -15 => 19,
        -2..=2 => -5 * priority,
        15 => -20,
        _ => return None,
    })
}

/// Has the kernel share the processor out that way; 0 is the calling thread.
pub(super) fn apply(id: libc::pid_t, priority: i32) -> bool {
    let nice = nice_of(priority).unwrap_or(0);
    let done = sys::set_nice(id, nice);
    static SAID: AtomicBool = AtomicBool::new(false);
    if !done && !SAID.swap(true, Ordering::Relaxed) {
        log::warn!(
            "thread priority {priority} has no effect: {} (CAP_SYS_NICE is missing)",
            std::io::Error::last_os_error()
        );
    }
    done
}

pub(super) extern "C" fn SetThreadPriority(thread: Key, priority: i32) -> i32 {
    if nice_of(priority).is_none() {
        return refuse(last_error::INVALID_PARAMETER);
    }
    let id = match threads().get_mut(&real(thread)) {
        Some(known) => {
            known.priority = priority;
            // One that has not begun yet applies it itself.
            (known.id != 0).then_some(known.id)
        }
        None if thread == CURRENT => Some(0),
        None => return refuse(last_error::INVALID_HANDLE),
    };
    if let Some(id) = id {
        apply(id, priority);
    }
    1
}

pub(super) extern "C" fn GetThreadPriority(thread: Key) -> i32 {
    match threads().get(&real(thread)) {
        Some(known) => known.priority,
        None if thread == CURRENT => 0,
        None => {
            last_error::set(last_error::INVALID_HANDLE);
            PRIORITY_ERROR
        }
    }
}

/// The kernel's number of a thread; 0 means the calling one, to the kernel.
fn id_of(thread: Key) -> Option<libc::pid_t> {
    match thread {
        CURRENT => Some(0),
        other => threads().get(&other).map(|known| known.id),
    }
}

pub(super) extern "C" fn SetThreadGroupAffinity(
    thread: Key,
    wanted: In<'_, GroupAffinity>,
    previous: Out<'_, GroupAffinity>,
) -> i32 {
    let Some(id) = id_of(thread) else {
        return refuse(last_error::INVALID_HANDLE);
    };
    let Some(wanted) = wanted.read() else {
        return refuse(last_error::INVALID_PARAMETER);
    };
    let before = affinity(id);
    if wanted.group != 0 || wanted.mask == 0 || !set_affinity(id, wanted.mask) {
        return refuse(last_error::INVALID_PARAMETER);
    }
    previous.store(in_group_0(before.unwrap_or(wanted.mask)));
    1
}

fn in_group_0(mask: u64) -> GroupAffinity {
    GroupAffinity {
        mask,
        group: 0,
        reserved: [0; 3],
    }
}

pub(super) extern "C" fn GetThreadGroupAffinity(thread: Key, found: Out<'_, GroupAffinity>) -> i32 {
    match id_of(thread).and_then(affinity) {
        Some(mask) => {
            found.store(in_group_0(mask));
            1
        }
        None => refuse(last_error::INVALID_HANDLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::runtime::thread::GetCurrentThread;

    #[test]
    fn priorities_in_the_middle_are_even_steps_of_nice() {
        let nices = [-15, -2, -1, 0, 1, 2, 15].map(nice_of);
        assert_eq!(nices, [19, 10, 5, 0, -5, -10, -20].map(Some));
        assert_eq!(nice_of(3), None);
    }

    #[test]
    fn the_calling_thread_can_be_bound_to_a_processor() {
        std::thread::spawn(|| {
            let mut before = in_group_0(0);
            let got = GetThreadGroupAffinity(GetCurrentThread(), Out::of(&mut before));
            assert!(got == 1 && before.mask != 0);
            let one = in_group_0(1 << before.mask.trailing_zeros());
            let mut old = in_group_0(0);
            let set = SetThreadGroupAffinity(GetCurrentThread(), In::of(&one), Out::of(&mut old));
            assert_eq!((set, old), (1, before));
            assert_eq!(affinity(0), Some(one.mask));
            let other_group = GroupAffinity { group: 1, ..one };
            let refused =
                SetThreadGroupAffinity(GetCurrentThread(), In::of(&other_group), Out::NULL);
            assert_eq!(refused, 0);
        })
        .join()
        .unwrap();
    }
}
