//! An empty root in the place of the machine's.
//!
//! A process that has files to read first, without the privileges to change its root afterwards, has
//! a [`RootKeeper`] do that. A process that changes the root of a mount namespace changes it for
//! everybody in there who has the old one.

use std::ffi::CStr;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

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
    let replaced = own_namespace(record).and_then(|()| empty_root());
    record.confined.root = record.layer(LAYER, replaced)?;
    Ok(())
}

const LAYER: &str = "empty root";

/// Without one, the root is everybody's.
fn own_namespace(record: &Record) -> io::Result<()> {
    let mut names = record.confined.namespaces.iter();
    match names.any(|name| name == "mnt") {
        true => Ok(()),
        false => Err(io::Error::other("it needs a mount namespace")),
    }
}

/// Another process in the same mount namespace, with privileges: [`keep_root`]. It ends with the
/// process that has started it, and does one thing for that.
pub(super) struct RootKeeper(io::Result<Child>);

impl RootKeeper {
    /// Starts it, while there are privileges that it can have.
    pub(super) fn start(keeper: &mut Command, record: &Record) -> Self {
        let keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(own_namespace(record).and_then(|()| keeper.spawn()))
    }

    /// Has it replace the root.
    pub(super) fn replace(self, record: &mut Record) -> Result<(), CageError> {
        let replaced = self.0.and_then(|mut keeper| {
            let told = tell(&mut keeper)?;
            keeper.wait()?;
            Ok(told)
        });
        record.confined.root = record.layer(LAYER, replaced)?;
        Ok(())
    }
}

/// What the keeper says when it has done it. Anything else is why it has not.
const REPLACED: &str = "replaced";

fn tell(keeper: &mut Child) -> io::Result<Root> {
    // Whoever is elsewhere than in the root stays there.
    chdir("/")?;
    if let Some(mut go) = keeper.stdin.take() {
        go.write_all(b"!")?;
    }
    let mut told = String::new();
    if let Some(said) = keeper.stdout.take() {
        said.take(LONGEST_REASON).read_to_string(&mut told)?;
    }
    match told.as_str() {
        REPLACED => Ok(Root::Replaced),
        "" => Err(io::Error::other("who was to replace it has ended")),
        why => Err(io::Error::other(why.to_owned())),
    }
}

/// Longest reason that is listened to, in bytes.
const LONGEST_REASON: u64 = 200;

/// What the process of a keeper of roots does: waits for a word on standard input, replaces the root of
/// its mount namespace, and says on standard output how that went.
///
/// # Errors
/// Whoever has started it does not listen.
pub fn keep_root() -> io::Result<()> {
    if io::stdin().read(&mut [0])? == 0 {
        // It has ended before it came to that.
        return Ok(());
    }
    let told = match empty_root_for_all() {
        Ok(()) => REPLACED.to_owned(),
        Err(error) => error.to_string(),
    };
    io::stdout().write_all(told.as_bytes())
}

/// An empty root for everybody in this mount namespace.
fn empty_root_for_all() -> io::Result<()> {
    empty_file_system(c"size=4k,nr_inodes=1,mode=555")?;
    mount_remount(".", NOTHING | MountFlags::RDONLY, c"")?;
    detach_old_root()?;
    // With another one over it the root is no longer that of the namespace, which is as good as
    // living in a folder of it: see FOLDER.
    mount(
        "none",
        "/",
        "tmpfs",
        NOTHING | MountFlags::RDONLY,
        c"size=4k,nr_inodes=1,mode=555",
    )?;
    Ok(())
}

const NOTHING: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

/// Mounts one, and goes there.
fn empty_file_system(options: &CStr) -> io::Result<()> {
    // What is unmounted outside disappears here as well and is not kept busy; nothing that is
    // done here shows outside.
    let follow = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", follow)?;
    let place = FOLDERS
        .into_iter()
        .find(|folder| Path::new(folder).is_dir())
        .ok_or_else(|| io::Error::other("no folder to mount it on"))?;
    mount("none", place, "tmpfs", NOTHING, options)?;
    chdir(place)?;
    Ok(())
}

fn empty_root() -> io::Result<Root> {
    empty_file_system(c"size=4k,nr_inodes=2,mode=555")?;
    mkdir(FOLDER, Mode::from_raw_mode(0o555))?;
    mount_remount(".", NOTHING | MountFlags::RDONLY, c"")?;
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
