//! Why there is no TAP, and what to type about it.

use std::io;

use super::{DEVICE, sys};

/// Why there is no TAP.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// No interface can be called that.
    #[error(
        "{name:?} cannot be the name of an interface: it must have 1 to {} bytes without spaces, \
         '/', ':' or '%', and not be '.' or '..'; choose another with --ifname",
        sys::NAME_LENGTH
    )]
    InvalidName {
        /// What was asked for.
        name: String,
    },
    /// There is one already.
    #[error(
        "an interface named {name} exists already; choose another name with --ifname, or remove it: ip link del {name}"
    )]
    Exists {
        /// What was asked for.
        name: String,
    },
    /// Somebody else holds the TAP.
    #[error("the TAP {name} is in use by another process; find it with: fuser -v {DEVICE}")]
    Busy {
        /// What was asked for.
        name: String,
    },
    /// The kernel has no TUN/TAP driver loaded.
    #[error("{DEVICE} is missing; load the driver with: modprobe tun")]
    NoDevice,
    /// Not allowed.
    #[error(
        "not permitted to {operation}; run as root, or give the program CAP_NET_ADMIN and access to {DEVICE}"
    )]
    Permission {
        /// What was tried.
        operation: &'static str,
    },
    /// Anything else the kernel said.
    #[error("cannot {operation} on TAP {name}: {source}")]
    System {
        /// Name of the interface.
        name: String,
        /// What was tried.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Sorts an error of the kernel.
pub(super) fn failed(name: &str, operation: &'static str, source: io::Error) -> TapError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => TapError::Permission { operation },
        _ => TapError::System {
            name: name.to_owned(),
            operation,
            source,
        },
    }
}
