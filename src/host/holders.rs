//! Who has a card's VFIO files open.

use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, process};

use serde::Serialize;

use super::pci::VirtioNetCard;
use super::{Host, files};

/// A process that holds something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name as the kernel keeps it; empty once it has gone.
    pub command: String,
}

impl Holder {
    /// Whether it is systemd as the machine's first process, which keeps descriptors of services.
    pub(super) fn is_service_manager(&self) -> bool {
        self.pid == 1 && self.command == "systemd"
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.command.as_str() {
            "" => write!(f, "process {}", self.pid),
            command => write!(f, "process {} ({command})", self.pid),
        }
    }
}

impl Host {
    /// The process with this id.
    pub(super) fn process(&self, pid: u32) -> Holder {
        let command = files::read(&self.path(format!("proc/{pid}/comm"))).unwrap_or_default();
        Holder { pid, command }
    }

    /// The group's character device, `/dev/vfio/N`.
    pub fn group_file(&self, group: u32) -> PathBuf {
        self.path(format!("dev/vfio/{group}"))
    }

    /// Processes other than this one that have the card's VFIO files open. Without root only
    /// one's own processes can be looked into.
    pub(super) fn holders(&self, card: &VirtioNetCard) -> Vec<Holder> {
        let vfio = self.vfio_files(card);
        if vfio.is_empty() {
            return Vec::new();
        }
        let processes = files::names(&self.path("proc"));
        processes
            .iter()
            .filter_map(|name| name.parse().ok())
            .filter(|pid| *pid != process::id() && self.has_open(*pid, &vfio))
            .map(|pid| self.process(pid))
            .collect()
    }

    /// Group device and, where the kernel has it, the card's own character device.
    fn vfio_files(&self, card: &VirtioNetCard) -> Vec<PathBuf> {
        let own = files::names(&self.pci_dir(card.address).join("vfio-dev"));
        let own = own
            .iter()
            .map(|name| self.path("dev/vfio/devices").join(name));
        let group = card
            .iommu_group
            .as_ref()
            .map(|group| self.group_file(group.id));
        group.into_iter().chain(own).collect()
    }

    fn has_open(&self, pid: u32, wanted: &[PathBuf]) -> bool {
        let is_wanted = |target: &Path| wanted.iter().any(|file| file == target);
        fs::read_dir(self.path(format!("proc/{pid}/fd")))
            .into_iter()
            .flatten()
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .any(|target| is_wanted(&target))
    }
}
