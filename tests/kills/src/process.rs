//! Processes: those of the rig, and what `/proc` says about any.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Result, RigError, system};

/// A process of ours, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn();
        child.map(Self).map_err(system(format!("start {program}")))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        signal(self.pid(), Signal::TERM).map_err(system("end a process"))?;
        wait_until("a process does not end", patience, || self.has_ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of one that has ended already, nothing is left to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, signal)?)
}

/// Asks `ready` again and again.
pub(crate) fn wait_until<T>(
    what: &str,
    patience: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(ready) = ready() {
            return Ok(ready);
        }
        if start.elapsed() > patience {
            return Err(RigError::Late {
                what: what.to_owned(),
                seconds: patience.as_secs(),
                said: String::new(),
            });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn file(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// Whether the process is there, and not merely waiting to be buried.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(file(pid, "stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    stat.contains(") ") && !matches!(state, Some('Z' | 'X'))
}

/// Resident memory in KiB.
pub(crate) fn resident_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(file(pid, "status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Open descriptors.
pub(crate) fn descriptors(pid: u32) -> Option<usize> {
    Some(fs::read_dir(file(pid, "fd")).ok()?.count())
}

/// Processor time that a process and the children it has buried have used, in clock ticks.
pub(crate) fn ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(file(pid, "stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    // From the third field on; utime, stime, cutime and cstime are 14 to 17.
    let fields = rest.split_whitespace().skip(11).take(4);
    Some(fields.filter_map(|field| field.parse::<u64>().ok()).sum())
}

/// The children of a process, whichever of its threads made them.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(file(pid, "task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let numbers = |list: String| -> Vec<u32> {
        list.split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    };
    lists.flat_map(numbers).collect()
}

/// The thread of a driver host that moves frames: of its crew, the one that has worked most.
fn data_path(pid: u32) -> io::Result<Pid> {
    let mut crew = Vec::new();
    for task in fs::read_dir(file(pid, "task"))? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.starts_with("umnet-q") {
            let times = fs::read_to_string(task.join("schedstat"))?;
            let worked = times
                .split(' ')
                .next()
                .and_then(|ns| ns.parse::<u64>().ok());
            crew.push((worked, task));
        }
    }
    let busiest = crew.into_iter().max();
    let number = busiest.and_then(|(_, task)| task.file_name()?.to_str()?.parse().ok());
    let found = number.and_then(Pid::from_raw);
    found.ok_or_else(|| io::Error::other("no thread is called umnet-q"))
}

/// Makes the data path of a driver host loop for ever, and no other thread of it: a jump to itself
/// is put where its code has no instructions, and the thread is sent there.
///
/// # Errors
/// When the host's threads or memory cannot be reached.
pub(crate) fn spin(pid: u32) -> io::Result<()> {
    const JUMP_TO_ITSELF: [u8; 2] = [0xeb, 0xfe];
    let at = end_of_code(pid)? - JUMP_TO_ITSELF.len() as u64;
    let memory = File::options().write(true).open(file(pid, "mem"))?;
    let thread = nix::unistd::Pid::from_raw(data_path(pid)?.as_raw_nonzero().get());
    ptrace::attach(thread)?;
    waitpid(thread, Some(WaitPidFlag::__WALL))?;
    let mut registers = ptrace::getregs(thread)?;
    memory.write_all_at(&JUMP_TO_ITSELF, at)?;
    registers.rip = at;
    // Else a system call that this has interrupted would be made again, two bytes before.
    registers.orig_rax = u64::MAX;
    ptrace::setregs(thread, registers)?;
    Ok(ptrace::detach(thread, None)?)
}

/// Where the program's own code ends: what follows to the end of the page is filling.
fn end_of_code(pid: u32) -> io::Result<u64> {
    let maps = fs::read_to_string(file(pid, "maps"))?;
    let code = maps.lines().find(|line| line.contains(" r-xp "));
    let range = code.and_then(|line| line.split(' ').next());
    let end = range.and_then(|range| range.split_once('-'));
    let end = end.and_then(|(_, end)| u64::from_str_radix(end, 16).ok());
    end.ok_or_else(|| io::Error::other("no code is mapped"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_this_process_everything_is_known() {
        let pid = std::process::id();
        assert!(is_alive(pid));
        assert!(resident_kib(pid).is_some_and(|kib| kib > 100));
        assert!(descriptors(pid).is_some_and(|count| count >= 3));
        assert!(ticks(pid).is_some());
    }

    #[test]
    fn a_process_that_waits_to_be_buried_is_not_alive() {
        let child = Command::new("true").spawn().expect("it starts");
        let pid = child.id();
        let gone = wait_until("it ends", Duration::from_secs(10), || {
            (!is_alive(pid)).then_some(())
        });
        assert!(gone.is_ok() && children(std::process::id()).contains(&pid));
        drop(Process(child));
    }
}
