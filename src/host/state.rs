//! What umnet remembers of a device, on disk, so that a crash loses nothing.
//!
//! `/run/umnet/ADDRESS.json` says how a card was before umnet touched it; it is written first and
//! removed last. `/run/umnet/DEVICE.lock` says which umnet is at work on a device. The folder is
//! there only as long as something is in it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, linkat, open};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::interface::InterfaceSnapshot;
use super::obstacle::Obstacle;
use super::{Host, HostError, MacAddress, PciAddress, files};

const SCHEMA: u32 = 1;
/// How often a lock is tried that another process is just removing.
const LOCK_TRIES: usize = 100;
/// How many umnets can each have their own device of one kind.
const MAX_OWN: u32 = 1000;

/// Why a card was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// `umnet bind`: it stays taken until `umnet release`.
    Bind,
    /// `umnet run`: it goes back at the end of the run.
    Run,
}

/// How a card was before umnet took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceState {
    /// Version of this file's layout.
    pub schema: u32,
    /// The card.
    pub device: PciAddress,
    /// The driver it had.
    pub driver: Option<String>,
    /// The driver it was reserved for.
    pub driver_override: Option<String>,
    /// The interface it had, with all that it carried.
    pub interface: Option<InterfaceSnapshot>,
    /// Why it was taken.
    pub purpose: Purpose,
}

impl DeviceState {
    /// A record to be saved.
    pub fn new(device: PciAddress, purpose: Purpose) -> Self {
        Self {
            schema: SCHEMA,
            device,
            driver: None,
            driver_override: None,
            interface: None,
            purpose,
        }
    }

    /// The MAC address its interface had.
    pub fn mac(&self) -> Option<MacAddress> {
        self.interface.as_ref()?.mac
    }

    /// The name its interface had.
    pub fn interface_name(&self) -> Option<&str> {
        Some(self.interface.as_ref()?.name.as_str())
    }

    /// What is remembered of the card, if anything.
    ///
    /// # Errors
    ///
    /// [`HostError::File`] if it cannot be read, [`HostError::State`] if it makes no sense.
    pub fn load(host: &Host, device: PciAddress) -> Result<Option<Self>, HostError> {
        let path = path(host, device);
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(state) => Ok(Some(state)),
                Err(source) => Err(HostError::State { path, source }),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(file("read", &path)(e)),
        }
    }

    /// Everything that is remembered and can be read.
    pub fn all(host: &Host) -> Vec<Self> {
        files::names(host.run_dir())
            .iter()
            .filter_map(|name| name.strip_suffix(".json")?.parse().ok())
            .filter_map(|device| Self::load(host, device).ok().flatten())
            .collect()
    }

    /// Writes the record; it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`HostError::File`].
    pub fn save(&self, host: &Host) -> Result<(), HostError> {
        make_run_dir(host)?;
        let path = path(host, self.device);
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::from);
        text.and_then(|text| files::replace(&path, &text))
            .map_err(file("write", &path))
    }

    /// Forgets the card.
    ///
    /// # Errors
    ///
    /// [`HostError::File`]; not if there was no record.
    pub fn remove(host: &Host, device: PciAddress) -> Result<(), HostError> {
        let path = path(host, device);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(file("remove", &path)(e)),
            _ => {
                tidy(host.run_dir());
                Ok(())
            }
        }
    }
}

fn path(host: &Host, device: PciAddress) -> PathBuf {
    host.run_dir().join(format!("{device}.json"))
}

fn make_run_dir(host: &Host) -> Result<(), HostError> {
    fs::create_dir_all(host.run_dir()).map_err(file("create", host.run_dir()))
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HostError {
    move |source| HostError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Takes the run folder away if that was the last thing in it.
fn tidy(run_dir: &Path) {
    // Fails as long as something is left, and that is as it should be.
    let _ = fs::remove_dir(run_dir);
}

/// The right to work on a device; given back when dropped, also by the kernel when we die.
#[derive(Debug)]
pub struct DeviceLock {
    // Holds the lock as long as it is open.
    _file: File,
    path: PathBuf,
    device: String,
}

impl DeviceLock {
    /// Takes the lock of a device, named by its [`super::DeviceSpec::file_stem`].
    ///
    /// # Errors
    ///
    /// [`Obstacle::Running`] with the holder if another umnet has it.
    pub fn acquire(host: &Host, device: &str) -> Result<Self, HostError> {
        let acquired = Self::acquire_in_run_dir(host, device);
        if acquired.is_err() {
            tidy(host.run_dir());
        }
        acquired
    }

    fn acquire_in_run_dir(host: &Host, device: &str) -> Result<Self, HostError> {
        let path = host.run_dir().join(format!("{device}.lock"));
        for _ in 0..LOCK_TRIES {
            make_run_dir(host)?;
            match try_lock(&path) {
                Ok(Attempt::Locked(file)) => {
                    return Ok(Self {
                        _file: file,
                        path,
                        device: device.to_owned(),
                    });
                }
                Ok(Attempt::Again) => {}
                Ok(Attempt::HeldBy(pid)) => return Err(running(host, device, pid)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(file("lock", &path)(e)),
            }
        }
        Err(file("lock", &path)(io::ErrorKind::ResourceBusy.into()))
    }
}

impl DeviceLock {
    /// Takes the lock of a device that every umnet has one of its own of: `device` if that is
    /// free, else the first of `device-2`, `device-3` ..
    ///
    /// # Errors
    ///
    /// As [`DeviceLock::acquire`]; [`Obstacle::Running`] only when too many run.
    pub fn acquire_own(host: &Host, device: &str) -> Result<Self, HostError> {
        let mut taken = Self::acquire(host, device);
        for number in 2..=MAX_OWN {
            match taken {
                Err(HostError::Obstacle(Obstacle::Running { .. })) => {
                    taken = Self::acquire(host, &format!("{device}-{number}"));
                }
                _ => break,
            }
        }
        taken
    }

    /// The name of the device whose lock it is.
    pub fn device(&self) -> &str {
        &self.device
    }
}

impl Drop for DeviceLock {
    fn drop(&mut self) {
        // A control socket that is still there is one of a run that died. It goes first: the next
        // to have the lock may make one at once.
        let _ = fs::remove_file(self.path.with_extension("sock"));
        // A lock file that stays behind is locked by nobody, so it does no harm.
        let _ = fs::remove_file(&self.path);
        if let Some(dir) = self.path.parent() {
            tidy(dir);
        }
    }
}

fn running(host: &Host, device: &str, pid: u32) -> HostError {
    HostError::Obstacle(Obstacle::Running {
        device: device.to_owned(),
        holder: host.process(pid),
    })
}

enum Attempt {
    Locked(File),
    /// Somebody else has come or gone meanwhile.
    Again,
    HeldBy(u32),
}

/// One attempt. A lock file has its name only once it is locked and says whose it is: whatever
/// fails before that leaves nothing behind.
fn try_lock(path: &Path) -> io::Result<Attempt> {
    match File::open(path) {
        Ok(present) => look_into(path, present),
        Err(e) if e.kind() == io::ErrorKind::NotFound => create_locked(path),
        Err(e) => Err(e),
    }
}

fn create_locked(path: &Path) -> io::Result<Attempt> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = File::from(open(folder, flags, Mode::from_raw_mode(0o644))?);
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    writeln!(file, "{}", std::process::id())?;
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(CWD, nameless, CWD, path, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => Ok(Attempt::Locked(file)),
        Err(Errno::EXIST) => Ok(Attempt::Again),
        Err(e) => Err(e.into()),
    }
}

/// Who has the lock; where that is nobody, the file goes.
fn look_into(path: &Path, mut present: File) -> io::Result<Attempt> {
    match flock(&present, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            present.read_to_string(&mut pid)?;
            let holder = pid.trim().parse();
            return Ok(holder.map_or(Attempt::Again, Attempt::HeldBy));
        }
        Err(e) => return Err(e.into()),
    }
    // It may have been removed, and another one made, between opening and locking it.
    if fs::metadata(path)?.ino() == present.metadata()?.ino() {
        fs::remove_file(path)?;
    }
    Ok(Attempt::Again)
}
