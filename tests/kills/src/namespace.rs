//! Network namespaces that last as long as their descriptor.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Result, RigError, system};

/// A network namespace of our own.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

/// How many frames an interface has taken and given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Frames {
    /// Given to the system by whoever plays the card.
    pub received: u64,
    /// Taken from the system by whoever plays the card.
    pub sent: u64,
    /// That nobody took in time: the interface's own queue was full.
    pub dropped: u64,
}

impl Namespace {
    /// A new one, without IPv6: nothing is to be sent that nobody asked for.
    ///
    /// # Errors
    /// Without the privilege.
    pub fn new() -> Result<Self> {
        let made = thread::spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
            for which in ["all", "default"] {
                let switch = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
                // Kernels without IPv6 have no such file, and need none.
                let _ = fs::write(switch, "1");
            }
            File::open("/proc/thread-self/ns/net")
        });
        let file = made.join().expect("no panic");
        let space = Self {
            file: file.map_err(system("make a network namespace"))?,
        };
        space.sh("ip link set lo up")?;
        Ok(space)
    }

    /// Runs `body` there. Sockets and processes that it makes stay there.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.file.as_fd(), network).expect("ours to enter");
                body()
            });
            thread.join().expect("no panic")
        })
    }

    /// Runs a shell command there, which must succeed; what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub fn sh(&self, command: &str) -> Result<String> {
        let output = self.run(|| Command::new("sh").args(["-ec", command]).output());
        let output = output.map_err(system("start a shell"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(RigError::Command {
            command: command.to_owned(),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// What the interface `name` has counted.
    ///
    /// # Errors
    /// When there is no such interface.
    pub(crate) fn frames(&self, name: &str) -> Result<Frames> {
        let table = self.run(|| fs::read_to_string("/proc/thread-self/net/dev"));
        let table = table.map_err(system("read the interfaces' counters"))?;
        parse_frames(&table, name).ok_or_else(|| RigError::Command {
            command: format!("counters of {name}"),
            said: "no such interface".to_owned(),
        })
    }
}

/// From `/proc/net/dev`: eight columns received, eight sent, both beginning bytes, packets, errors,
/// dropped.
fn parse_frames(table: &str, name: &str) -> Option<Frames> {
    let row = |line: &str| {
        Some(
            line.trim_start()
                .strip_prefix(name)?
                .strip_prefix(':')?
                .to_owned(),
        )
    };
    let row = table.lines().find_map(row)?;
    let columns: Vec<u64> = row
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    Some(Frames {
        received: *columns.get(1)?,
        sent: *columns.get(9)?,
        dropped: *columns.get(11)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name_and_column() {
        let table = "Inter-|   Receive |  Transmit\n face |bytes packets\n  lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
                     near0: 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116\n";
        let expected = Frames {
            received: 102,
            sent: 110,
            dropped: 112,
        };
        assert_eq!(parse_frames(table, "near0"), Some(expected));
        assert_eq!(parse_frames(table, "near"), None);
    }
}
