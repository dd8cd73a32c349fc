//! What can go wrong with an adapter.

use std::io;

use crate::abi::{FailureCode, NtStatus};
use crate::queue::Direction;

/// An adapter call that was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// The client broke a rule.
    #[error("{why} ({code}, {status})")]
    Refused {
        /// Microsoft's name for the rule.
        code: FailureCode,
        /// What a C client is given.
        status: NtStatus,
        /// The rule in words, and how to keep it.
        why: String,
    },
    /// The adapter cannot start as it is.
    #[error("the adapter cannot start: {why}")]
    NotReady {
        /// What is missing.
        why: &'static str,
    },
    /// The client's queue creation callback failed.
    #[error("the client driver did not create {direction} queue {queue}: {status}")]
    CreateQueue {
        /// Which kind of queue.
        direction: Direction,
        /// Its id.
        queue: u32,
        /// What the client said.
        status: NtStatus,
    },
    /// The system port failed.
    #[error("the system port could not {operation}: {source}")]
    Port {
        /// What was tried.
        operation: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// An execution context could not be built.
    #[error("cannot {operation} for queue pair {queue}: {source}")]
    Execution {
        /// What was tried.
        operation: &'static str,
        /// Which pair.
        queue: usize,
        /// What the operating system said.
        source: io::Error,
    },
    /// Rings or buffers could not be allocated.
    #[error("out of memory for {what}")]
    Memory {
        /// What for.
        what: &'static str,
    },
    /// A queue did not do what it was asked in time.
    #[error("queue pair {queue} did not {operation} within {seconds} s: {why}")]
    Timeout {
        /// Which pair.
        queue: usize,
        /// What was asked.
        operation: &'static str,
        /// The deadline.
        seconds: f32,
        /// What is known about it.
        why: String,
    },
}

impl AdapterError {
    pub(crate) fn refused(code: FailureCode, status: NtStatus, why: String) -> Self {
        Self::Refused { code, status, why }
    }

    /// The NTSTATUS a C client would be given.
    pub fn status(&self) -> NtStatus {
        match self {
            Self::Refused { status, .. } | Self::CreateQueue { status, .. } => *status,
            Self::NotReady { .. } => NtStatus::INVALID_PARAMETER,
            Self::Port { .. } => NtStatus::UNSUCCESSFUL,
            Self::Execution { .. } | Self::Memory { .. } => NtStatus::INSUFFICIENT_RESOURCES,
            Self::Timeout { .. } => NtStatus::IO_TIMEOUT,
        }
    }

    /// Microsoft's name for the rule that was broken, if one was.
    pub fn failure_code(&self) -> Option<FailureCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}
