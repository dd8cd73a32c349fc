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

#[cfg(test)]
mod tests {
    use super::*;

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
