//! Namespaces of the process's own, all of them empty.

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

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
    let [(_, _, first), ..] = NAMESPACES;
    if unshare(first) == Err(Errno::EPERM) && unshare(CloneFlags::CLONE_NEWUSER).is_ok() {
        record.confined.namespaces.push("user".to_owned());
    }
    for (name, layer, flag) in NAMESPACES {
        if record.layer(layer, unshare(flag))?.is_some() {
            record.confined.namespaces.push(name.to_owned());
        }
    }
    Ok(())
}
