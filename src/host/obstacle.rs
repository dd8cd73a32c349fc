//! What can stand between umnet and a card, and how to mend it.

use std::fmt::Display;

use serde::Serialize;
use thiserror::Error;

use super::holders::Holder;
use super::pci::GroupMember;
use super::{IfName, PciAddress};
use crate::exit::{Exit, Explain};

/// What mends a kernel without VFIO.
pub(super) const NEEDS_VFIO_KERNEL: &str =
    "boot a kernel that has VFIO (Debian: sudo apt install linux-image-amd64)";

/// A reason why a card cannot, or should not, be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Obstacle {
    /// The card speaks only the interface of before virtio 1.0.
    #[error("{card} is a legacy-only card: it offers no modern (virtio 1.0) interface")]
    LegacyOnly {
        /// The card.
        card: PciAddress,
    },
    /// No IOMMU confines the card.
    #[error("{card} is in no IOMMU group ({reason}), so nothing would confine its DMA")]
    NoIommu {
        /// The card.
        card: PciAddress,
        /// Why, as far as it shows.
        reason: String,
    },
    /// The card goes past the IOMMU.
    #[error(
        "{card} does not offer VIRTIO_F_ACCESS_PLATFORM: behind the IOMMU it would take umnet's \
         addresses for physical ones and reach other memory"
    )]
    BypassesIommu {
        /// The card.
        card: PciAddress,
    },
    /// Kernel drivers hold other functions of the IOMMU group.
    #[error(
        "IOMMU group {group} of {card} is not viable: the kernel still drives {}",
        list(.members.iter().map(with_driver))
    )]
    GroupNotViable {
        /// The card.
        card: PciAddress,
        /// Its group.
        group: u32,
        /// The members in the way.
        members: Vec<GroupMember>,
    },
    /// The kernel has no VFIO.
    #[error("this kernel ({release}) has no {module}, neither loaded nor as a module to load")]
    NoVfio {
        /// Its release, as `uname -r` says it.
        release: String,
        /// What is missing.
        module: &'static str,
    },
    /// Another process has the card's VFIO files open.
    #[error("{card} is in use by {}", list(.holders.iter()))]
    InUse {
        /// The card.
        card: PciAddress,
        /// Who has it.
        holders: Vec<Holder>,
    },
    /// Another umnet is at work on the device.
    #[error("{device} is already driven by umnet, {holder}")]
    Running {
        /// The device.
        device: String,
        /// The other umnet.
        holder: Holder,
    },
    /// An interface of the wanted name is there.
    #[error("there is already an interface called {name}")]
    NameTaken {
        /// The name.
        name: IfName,
    },
    /// The user may not do this.
    #[error("no permission to write {path}")]
    NoPermission {
        /// What cannot be written.
        path: String,
    },
    /// The machine's way out leads through the card.
    #[error("{interface} carries the default route{}", through(.interface, .carrier))]
    DefaultRoute {
        /// The card's interface.
        interface: String,
        /// The interface with the route: the same, or one on top of it.
        carrier: String,
    },
    /// The user's own shell comes in through the card.
    #[error("the shell you are typing in comes from {peer} through {interface}")]
    RemoteShell {
        /// The card's interface.
        interface: String,
        /// Where the shell comes from.
        peer: String,
    },
    /// Interfaces stacked on the card's would go with it and not come back.
    #[error("{} on top of {interface} would be lost", list(.upper.iter()))]
    Stacked {
        /// The card's interface.
        interface: String,
        /// What is stacked on it.
        upper: Vec<String>,
    },
}

impl Obstacle {
    /// Whether `--force` goes past it.
    pub fn yields_to_force(&self) -> bool {
        self.exit() == Exit::Unsafe
    }
}

impl Explain for Obstacle {
    fn exit(&self) -> Exit {
        match self {
            Self::LegacyOnly { .. }
            | Self::NoIommu { .. }
            | Self::BypassesIommu { .. }
            | Self::GroupNotViable { .. }
            | Self::NoVfio { .. }
            | Self::NoPermission { .. } => Exit::EnvironmentLacks,
            Self::InUse { .. } | Self::Running { .. } | Self::NameTaken { .. } => Exit::Busy,
            Self::DefaultRoute { .. } | Self::RemoteShell { .. } | Self::Stacked { .. } => {
                Exit::Unsafe
            }
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::LegacyOnly { .. } => {
                "give the guest a modern card (QEMU: -device virtio-net-pci,disable-legacy=on,\
                 iommu_platform=on)"
                    .to_owned()
            }
            Self::NoIommu { .. } => {
                "in a guest, give it an IOMMU (QEMU: -machine q35 -device intel-iommu,intremap=on,\
                 caching-mode=on, and iommu_platform=on on the card); on a real machine, switch \
                 VT-d or AMD-Vi on in the firmware and add intel_iommu=on or amd_iommu=on to the \
                 kernel's command line"
                    .to_owned()
            }
            Self::BypassesIommu { .. } => "in QEMU, add iommu_platform=on to the card".to_owned(),
            Self::GroupNotViable { members, .. } => members
                .iter()
                .map(|m| {
                    format!(
                        "echo {0} | sudo tee /sys/bus/pci/devices/{0}/driver/unbind",
                        m.address
                    )
                })
                .collect::<Vec<_>>()
                .join("; "),
            Self::NoVfio { .. } => NEEDS_VFIO_KERNEL.to_owned(),
            Self::InUse { holders, .. } => have_let_go(holders),
            Self::Running { holder, device } => {
                format!("umnet status {device}, or stop it: {}", stop([holder]))
            }
            Self::NameTaken { name } => {
                format!("choose another name with --ifname, or remove it: sudo ip link del {name}")
            }
            Self::NoPermission { .. } => "run the same command as root (sudo umnet ...)".to_owned(),
            Self::DefaultRoute { .. } | Self::RemoteShell { .. } | Self::Stacked { .. } => {
                "the same command with --force, if you can reach this machine another way"
                    .to_owned()
            }
        })
    }
}

/// What has a card's holders let go of it. A service manager has it for a service that is about to
/// run again, or has ended.
fn have_let_go(holders: &[Holder]) -> String {
    let is_manager = |holder: &&Holder| holder.is_service_manager();
    let (managers, others): (Vec<_>, Vec<_>) = holders.iter().partition(is_manager);
    let manager = managers.first().map(|_| {
        "systemctl list-units --all 'umnet*', then stop the one that it is kept for: \
         sudo systemctl stop UNIT"
            .to_owned()
    });
    let others = (!others.is_empty()).then(|| stop(others));
    manager
        .into_iter()
        .chain(others)
        .collect::<Vec<_>>()
        .join("; ")
}

fn stop<'a>(holders: impl IntoIterator<Item = &'a Holder>) -> String {
    let pids: Vec<String> = holders
        .into_iter()
        .map(|holder| holder.pid.to_string())
        .collect();
    format!("sudo kill {}", pids.join(" "))
}

fn list<T: Display>(items: impl Iterator<Item = T>) -> String {
    items
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

fn with_driver(member: &GroupMember) -> String {
    let driver = member.driver.as_deref().unwrap_or("no driver");
    format!("{} ({driver})", member.address)
}

fn through(interface: &str, carrier: &str) -> String {
    match carrier == interface {
        true => String::new(),
        false => format!(" (through {carrier} on top of it)"),
    }
}
