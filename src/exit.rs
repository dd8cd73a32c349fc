//! Exit codes of the `umnet` command, and what an error owes its reader.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// How a command ended; the numbers are part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// It was tried and it failed.
    Failed = 1,
    /// The command line or the configuration file cannot be understood.
    Usage = 2,
    /// The machine lacks a device, a module, an IOMMU or a permission.
    EnvironmentLacks = 3,
    /// Doing it could cut the user off; `--force` does it all the same.
    Unsafe = 4,
    /// Somebody else holds the device.
    Busy = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that knows its exit code and what its reader can type next.
///
/// `Display` says what failed and why.
pub trait Explain: std::error::Error {
    /// The exit code that stands for this error.
    fn exit(&self) -> Exit;

    /// The exit code as a number: that of another process, where the command ends as that one did.
    fn code(&self) -> u8 {
        self.exit() as u8
    }

    /// What to type (or do) next; `None` where no single step helps.
    fn next_step(&self) -> Option<String> {
        None
    }
}
