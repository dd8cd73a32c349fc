//! What can go wrong with a traffic verb.

use std::io;
use std::time::Duration;

/// Why a verb ended without a result.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrafficError {
    #[error("{0}; see guest-runner traffic --help")]
    Usage(String),
    #[error("{doing}: {source}")]
    Socket { doing: String, source: io::Error },
    #[error("{doing}: not done after {} s; is the other end running and reachable?", allowed.as_secs_f32())]
    Deadline { doing: String, allowed: Duration },
}

impl TrafficError {
    /// 2 for a wrong command line, 1 for everything the world did.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Socket { .. } | Self::Deadline { .. } => 1,
        }
    }
}

/// Names the operation that an `io::Error` belongs to.
pub(super) fn socket(doing: impl Into<String>) -> impl FnOnce(io::Error) -> TrafficError {
    let doing = doing.into();
    move |source| TrafficError::Socket { doing, source }
}
