//! Namespaces of the process's own, all of them empty.

use std::{fs, io};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use rustix::process::{getgid, getuid};

use super::{CageError, Record};

/// With the names that `/proc/PID/ns` has for them.
const NAMESPACES: [(&str, &str, CloneFlags); 5] = [
    // Its loopback interface stays down.
    ("net", "network namespace", CloneFlags::CLONE_NEWNET),
    ("mnt", "mount namespace", CloneFlags::CLONE_NEWNS),
    ("ipc", "ipc namespace", CloneFlags::CLONE_NEWIPC),
    ("uts", "uts namespace", CloneFlags::CLONE_NEWUTS),
    ("cgroup", "cgroup namespace", CloneFlags::CLONE_NEWCGROUP),
];

/// Leaves those namespaces that can be left.
pub(super) fn leave(record: &mut Record) -> Result<(), CageError> {
    // Whoever may not leave the others may where he owns them: in a user namespace of his own.
    let cheapest = CloneFlags::CLONE_NEWUTS;
    if unshare(cheapest) == Err(Errno::EPERM) && own_user_namespace().is_ok() {
        record.confined.namespaces.push("user".to_owned());
    }
    for (name, layer, flag) in NAMESPACES {
        if record.layer(layer, unshare(flag))?.is_some() {
            record.confined.namespaces.push(name.to_owned());
        }
    }
    Ok(())
}

/// The process stays who it is, and its ids exist in there: what has no owner cannot be written.
fn own_user_namespace() -> io::Result<()> {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}
