//! What a process has given up: for the log and for `status`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The layers that [`enter`](super::enter) reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confined {
    /// Its own user, if it could be changed.
    pub uid: Option<u32>,
    /// Namespaces of its own: `net`, `mnt`, `ipc`, `uts`, `cgroup`; `user` if they could only be
    /// had by one.
    pub namespaces: Vec<String>,
    /// The empty root, if there is one.
    pub root: Option<Root>,
    /// All five sets of capabilities are empty, and `no_new_privs` is set.
    pub no_capabilities: bool,
    /// The secure bits are locked: being root would mean nothing.
    pub locked_secure_bits: bool,
    /// Nobody without privileges can trace it or read its memory; no core is dumped.
    pub not_dumpable: bool,
    /// Landlock's ABI level; what each adds is told in `docs/cage.md`.
    pub landlock: Option<u32>,
    /// Descriptors it may have at once.
    pub descriptors: Option<u64>,
    /// What could not be had.
    pub missing: Vec<Missing>,
}

/// An empty file system without write access in the place of `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// The old root is no longer in the mount namespace.
    Replaced,
    /// The old root lies beneath: an initramfs cannot be detached. Nobody without
    /// `CAP_SYS_ADMIN` gets there.
    Covered,
}

/// A layer that could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Which one.
    pub layer: String,
    /// The kernel's reason.
    pub why: String,
}

impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reached = self.reached();
        match reached.is_empty() {
            true => f.write_str("not confined")?,
            false => f.write_str(&reached.join(", "))?,
        }
        let missing: Vec<_> = self.missing.iter().map(Missing::to_string).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => write!(f, "; missing: {}", missing.join(", ")),
        }
    }
}

impl Confined {
    fn reached(&self) -> Vec<String> {
        let flag = |has: bool, name: &str| has.then(|| name.to_owned());
        let spaces = self.namespaces.join(" ");
        let root = self.root.map(|root| match root {
            Root::Replaced => "empty root".to_owned(),
            Root::Covered => "empty root over the old one".to_owned(),
        });
        [
            self.uid.map(|uid| format!("own uid {uid}")),
            flag(self.no_capabilities, "no capabilities"),
            flag(self.locked_secure_bits, "secure bits locked"),
            (!spaces.is_empty()).then(|| format!("namespaces {spaces}")),
            root,
            self.landlock.map(|level| format!("Landlock {level}")),
            flag(self.not_dumpable, "not dumpable"),
            self.descriptors.map(|n| format!("{n} descriptors")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.layer, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Confined {
        Confined {
            uid: Some(30061),
            namespaces: vec!["net".to_owned(), "mnt".to_owned()],
            root: Some(Root::Covered),
            no_capabilities: true,
            locked_secure_bits: true,
            not_dumpable: true,
            landlock: Some(2),
            descriptors: Some(64),
            missing: vec![Missing {
                layer: "ipc namespace".to_owned(),
                why: "Invalid argument".to_owned(),
            }],
        }
    }

    #[test]
    fn one_line_says_what_was_reached_and_what_was_not() {
        assert_eq!(
            some().to_string(),
            "own uid 30061, no capabilities, secure bits locked, namespaces net mnt, empty root \
             over the old one, Landlock 2, not dumpable, 64 descriptors; missing: ipc namespace \
             (Invalid argument)"
        );
        assert_eq!(Confined::default().to_string(), "not confined");
    }

    #[test]
    fn it_survives_the_way_to_the_supervisor() {
        let sent = serde_json::to_string(&some()).unwrap();
        assert_eq!(serde_json::from_str::<Confined>(&sent).unwrap(), some());
    }
}
