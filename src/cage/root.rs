//! An empty root in the place of the machine's.

use std::io;
use std::path::Path;

use rustix::fs::{Mode, mkdir};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::mount::{mount, mount_change, mount_move, mount_remount, unmount};
use rustix::process::{chdir, chroot, pivot_root};

use super::{CageError, Record, Root};

/// Folders of which every machine has one, be it only an initramfs.
const FOLDERS: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/tmp"];

/// The only entry of the new file system, which becomes the root: who lives in a folder of his
/// file system (chroot) can make no user namespace, with its capabilities.
const FOLDER: &str = "empty";

/// Replaces the root, if the process has a mount namespace of its own.
pub(super) fn replace(record: &mut Record) -> Result<(), CageError> {
    // Otherwise this would be everybody's root.
    if !record.confined.namespaces.iter().any(|name| name == "mnt") {
        let why = io::Error::other("it needs a mount namespace");
        record.layer("empty root", Err::<Root, _>(why))?;
        return Ok(());
    }
    record.confined.root = record.layer("empty root", empty_root())?;
    Ok(())
}

/// Why a process that has a library to load keeps the root.
pub(super) fn files_are_needed() -> io::Error {
    io::Error::other("a library was to be loaded from files; Landlock and seccomp close them")
}

fn empty_root() -> io::Result<Root> {
    // What is unmounted outside disappears here as well and is not kept busy; nothing that is
    // done here shows outside.
    let follow = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", follow)?;
    let place = FOLDERS
        .into_iter()
        .find(|folder| Path::new(folder).is_dir())
        .ok_or_else(|| io::Error::other("no folder to mount it on"))?;
    let nothing = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(
        "none",
        place,
        "tmpfs",
        nothing,
        c"size=4k,nr_inodes=2,mode=555",
    )?;
    chdir(place)?;
    mkdir(FOLDER, Mode::from_raw_mode(0o555))?;
    mount_remount(".", nothing | MountFlags::RDONLY, c"")?;
    let reached = detach_old_root().or_else(|_| cover_old_root())?;
    chroot(FOLDER)?;
    chdir("/")?;
    Ok(reached)
}

/// Puts the old root onto the new one and takes it away from there.
fn detach_old_root() -> io::Result<Root> {
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(Root::Replaced)
}

/// The root of an initramfs has no mount to be moved from.
fn cover_old_root() -> io::Result<Root> {
    mount_move(".", "/")?;
    chroot(".")?;
    Ok(Root::Covered)
}
