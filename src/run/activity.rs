//! What a process has had of the processors.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// What was seen at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Activity {
    /// The time that all threads there are have run for.
    pub(super) ran: Duration,
    /// A thread would run if it got a processor, or what it needs from a disk.
    pub(super) wants: bool,
}

impl Activity {
    /// Of a process; of one that cannot be looked at nothing is known.
    pub(super) fn of(pid: u32) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task"));
        let threads = threads.into_iter().flatten().flatten();
        threads.fold(Self::default(), |sum, thread| sum.with(&thread.path()))
    }

    fn with(self, thread: &Path) -> Self {
        let read = |name| fs::read_to_string(thread.join(name)).unwrap_or_default();
        // Its first field is the time on a processor in nanoseconds.
        let ran = read("schedstat").split(' ').next().and_then(nanoseconds);
        let stat = read("stat");
        // Behind the name, which may have blanks and brackets.
        let state = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next());
        Self {
            ran: self.ran + ran.unwrap_or_default(),
            wants: self.wants || matches!(state, Some('R' | 'D')),
        }
    }
}

fn nanoseconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Instant;

    #[test]
    fn who_works_is_told_from_who_sleeps() {
        let own = || Activity::of(std::process::id());
        let before = own();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        let after = own();
        assert!(
            after.wants && after.ran > before.ran,
            "{before:?} {after:?}"
        );

        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
        let start = Instant::now();
        // It has to get as far as sleeping first.
        while Activity::of(child.id()).wants && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!Activity::of(child.id()).wants);
        child.kill().and_then(|()| child.wait()).expect("a child");
        assert_eq!(Activity::of(child.id()), Activity::default());
    }
}
