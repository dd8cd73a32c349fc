//! The machine as Linux shows it: its cards, who drives them, its interfaces and addresses.
//!
//! Everything that owns a system file, writes to sysfs or talks netlink lives here, apart from
//! the data path. Nothing here moves a frame or speaks virtio.

mod address;
pub mod announcement;
pub mod binding;
mod checks;
pub mod doctor;
mod error;
mod files;
mod holders;
pub mod interface;
mod modules;
pub mod netlink;
pub mod obstacle;
pub mod pci;
mod remote;
mod spec;
pub mod state;
pub mod watch;

pub use address::{IfName, MacAddress, NameError, PciAddress};
pub use error::HostError;
pub use spec::{DeviceSpec, SpecError};

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where the machine's files are.
///
/// The real machine is at `/`; tests lay out a small one in a temporary folder. Network
/// interfaces are always those of the calling thread's network namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Host {
    root: PathBuf,
    run_dir: PathBuf,
}

impl Host {
    /// The machine this process runs on.
    ///
    /// Root keeps its state in `/run/umnet`; anybody else, who can only use devices that need no
    /// privilege, in the user's own runtime folder.
    pub fn new() -> Self {
        let run_dir = if rustix::process::geteuid().is_root() {
            PathBuf::from("/run/umnet")
        } else {
            user_run_dir()
        };
        Self {
            root: PathBuf::from("/"),
            run_dir,
        }
    }

    /// A machine laid out under `root`: `root/sys`, `root/proc`, `root/dev`, `root/run/umnet`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let run_dir = root.join("run/umnet");
        Self { root, run_dir }
    }

    /// Whether this is the machine itself and not a picture of one.
    pub fn is_real(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The folder for state files, locks and control sockets.
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// `path` (relative, like `sys/bus/pci`) on this machine.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

fn user_run_dir() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => Path::new(&dir).join("umnet"),
        None => PathBuf::from(format!(
            "/tmp/umnet-{}",
            rustix::process::geteuid().as_raw()
        )),
    }
}
