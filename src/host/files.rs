//! Small reads and writes of sysfs, procfs and devfs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::HostError;

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(10);

/// The file's text without surrounding white space; `None` if it cannot be read.
pub(super) fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

/// A number written as sysfs writes it, `0x1af4` or `1500`.
pub(super) fn read_number(path: &Path) -> Option<u64> {
    let text = read(path)?;
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The last part of what the symbolic link points to, as in `driver -> .../virtio-pci`.
pub(super) fn link_target(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_str()?.to_owned())
}

/// Names in a folder, sorted; none if the folder is not there.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Writes an attribute that exists, within `deadline`.
///
/// The kernel carries out what is written before the write returns, and unbinding a device that
/// is in use can take for ever; such a write is left to a thread of its own and reported.
pub(super) fn write(path: &Path, value: &str, deadline: Duration) -> Result<(), HostError> {
    let (done, result) = mpsc::channel();
    let (file, text) = (path.to_owned(), value.to_owned());
    let writer = thread::Builder::new().spawn(move || {
        // Nobody listens any more once the deadline has passed.
        let _ = done.send(write_now(&file, &text));
    });
    writer.map_err(|source| HostError::Write {
        path: path.to_owned(),
        value: value.trim().to_owned(),
        source,
    })?;
    match result.recv_timeout(deadline) {
        Ok(result) => result.map_err(|source| HostError::Write {
            path: path.to_owned(),
            value: value.trim().to_owned(),
            source,
        }),
        Err(_) => Err(HostError::Timeout {
            what: format!(
                "the kernel to take '{}' in {}",
                value.trim(),
                path.display()
            ),
            after: deadline,
        }),
    }
}

fn write_now(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)?
        .write_all(value.as_bytes())
}

/// Waits until `ready` yields something, at most `deadline`.
pub(super) fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Result<T, HostError> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = ready() {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(HostError::Timeout {
                what: what.to_owned(),
                after: deadline,
            });
        }
        thread::sleep(POLL);
    }
}

/// Writes a file so that a crash leaves the old one or the new one, never half of either.
pub(super) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut fresh = PathBuf::from(path).into_os_string();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let mut file = fs::File::create(&fresh)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
