//! The scheduling class of the calling thread.
#![allow(unsafe_code)] // one system call the standard library does not offer

use std::io;

/// Puts the calling thread under `SCHED_BATCH`: it is scheduled like any
/// other, but its waking up does not preempt whoever is running.
///
/// # Errors
/// Whatever the operating system says.
pub(crate) fn set_batch() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a live structure the call only reads; 0 names
    // the calling thread.
    let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &parameters) };
    match set {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets the calling thread's nice value, -20 (served first) to 19.
///
/// # Errors
/// Whatever the operating system says; negative values need privilege.
pub(crate) fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: the call takes numbers only; 0 names the calling thread.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets the calling thread's sleeps end as punctually as the timer can; they
/// are stretched by 50 us otherwise.
///
/// # Errors
/// Whatever the operating system says.
pub(crate) fn set_least_timer_slack() -> io::Result<()> {
    // SAFETY: the call takes numbers only; 1 is nanoseconds.
    match unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The processors that the calling thread may run on; none if the system does
/// not tell.
pub(crate) fn processors() -> Vec<usize> {
    // SAFETY: all bytes zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes a set of that size through a pointer to a live one;
    // 0 names the calling thread.
    let told = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    // SAFETY: the macro looks at a bit of the set, and the numbers are below its
    // size.
    let has = |&processor: &usize| unsafe { libc::CPU_ISSET(processor, &set) };
    let all = if told == 0 { libc::CPU_SETSIZE } else { 0 };
    (0..all as usize).filter(has).collect()
}

/// Keeps the calling thread on one processor.
///
/// # Errors
/// Whatever the operating system says, for instance of a processor that is not
/// there.
pub(crate) fn pin(processor: usize) -> io::Result<()> {
    if processor >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all bytes zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the macro sets a bit of the set, and the number is below its size.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the call reads a set of that size through a pointer to a live one;
    // 0 names the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_processor() {
        let all = processors();
        let last = *all.last().unwrap();
        let pinned = std::thread::spawn(move || pin(last).map(|()| processors()));
        assert_eq!(pinned.join().unwrap().unwrap(), [last]);
        assert_eq!(processors(), all, "the others stay free");
        assert!(pin(1 << 20).is_err());
    }

    #[test]
    fn thread_is_batch_afterwards() {
        let class = std::thread::spawn(|| {
            set_batch().unwrap();
            // Field 41 of /proc/thread-self/stat, behind the name in brackets.
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let fields = stat.rsplit(") ").next().unwrap().to_owned();
            fields.split(' ').nth(38).unwrap().to_owned()
        });
        assert_eq!(class.join().unwrap(), libc::SCHED_BATCH.to_string());
    }

    #[test]
    fn timers_are_punctual_afterwards() {
        let slack = std::thread::spawn(|| {
            set_least_timer_slack().unwrap();
            // SAFETY: the call takes a number only.
            unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) }
        });
        assert_eq!(slack.join().unwrap(), 1);
    }
}
