//! Event descriptors as the standard library owns them.
#![allow(unsafe_code)] // `vmm-sys-util` hands its descriptors over only as numbers

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use vmm_sys_util::eventfd::EventFd;

/// A second descriptor for the same event.
pub(super) fn duplicate(event: &EventFd) -> io::Result<OwnedFd> {
    let raw = event.try_clone()?.into_raw_fd();
    // SAFETY: `into_raw_fd` just gave up the only owner of this open descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
