//! What stands between umnet and a card, and how to mend it.

use std::fmt::Display;
use std::path::Path;

use rustix::fs::{Access, access};
use serde::Serialize;
use thiserror::Error;

use super::holders::Holder;
use super::interface::Interfaces;
use super::pci::{Generation, GroupMember, IommuGroup, VFIO_DRIVER, VirtioNetCard};
use super::{Host, HostError, IfName, PciAddress, files};
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
            Self::InUse { holders, .. } => stop(holders.iter()),
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

impl Host {
    /// Everything that stands between umnet and the card, the weightiest first.
    ///
    /// # Errors
    ///
    /// [`HostError::Netlink`] if the kernel does not tell what the card's interface carries.
    pub fn obstacles(&self, card: &VirtioNetCard) -> Result<Vec<Obstacle>, HostError> {
        let mut found: Vec<Obstacle> = [
            legacy_only(card),
            self.group_of(card).err(),
            group_not_viable(card),
            self.no_vfio(),
            self.in_use(card),
            self.no_permission(card),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let Some(interface) = card.interface() {
            found.extend(self.dangers(interface)?);
        }
        Ok(found)
    }

    /// The card's IOMMU group, or why there is none.
    pub(super) fn group_of<'a>(&self, card: &'a VirtioNetCard) -> Result<&'a IommuGroup, Obstacle> {
        let reason = match files::names(&self.path("sys/class/iommu")).is_empty() {
            true => "the kernel sees no IOMMU at all",
            false => "the machine's IOMMU does not cover it",
        };
        card.iommu_group.as_ref().ok_or_else(|| Obstacle::NoIommu {
            card: card.address,
            reason: reason.to_owned(),
        })
    }

    pub(super) fn no_vfio(&self) -> Option<Obstacle> {
        if self.has_vfio_pci() || self.has_module_file(VFIO_DRIVER) {
            return None;
        }
        Some(Obstacle::NoVfio {
            release: self.kernel_release(),
            module: VFIO_DRIVER,
        })
    }

    pub(super) fn in_use(&self, card: &VirtioNetCard) -> Option<Obstacle> {
        let holders = self.holders(card);
        (!holders.is_empty()).then_some(Obstacle::InUse {
            card: card.address,
            holders,
        })
    }

    fn no_permission(&self, card: &VirtioNetCard) -> Option<Obstacle> {
        let path = self.pci_dir(card.address).join("driver_override");
        access(&path, Access::WRITE_OK)
            .is_err()
            .then(|| Obstacle::NoPermission {
                path: path.display().to_string(),
            })
    }

    /// What would be cut off if `interface` went away.
    fn dangers(&self, interface: &str) -> Result<Vec<Obstacle>, HostError> {
        let stack = self.stack(interface);
        let mut interfaces = Interfaces::open()?;
        let links = interfaces.list()?;
        let name_of = |index: u32| {
            links
                .iter()
                .find(|link| link.index == index)
                .map(|link| &link.name)
        };
        let in_stack = |index: u32| name_of(index).filter(|name| stack.contains(name));

        let routes = interfaces.default_routes()?;
        let carrier = routes.into_iter().find_map(in_stack);
        let mut found: Vec<Obstacle> = carrier
            .map(|carrier| Obstacle::DefaultRoute {
                interface: interface.to_owned(),
                carrier: carrier.clone(),
            })
            .into_iter()
            .collect();
        if let Some(session) = self.ssh_session() {
            let by_zone = session.zone.is_some_and(|zone| stack.contains(&zone));
            let to_peer = interfaces.route_to(session.peer)?.and_then(in_stack);
            let at_local = interfaces.owner_of(session.local)?.and_then(in_stack);
            if by_zone || to_peer.is_some() || at_local.is_some() {
                found.push(Obstacle::RemoteShell {
                    interface: interface.to_owned(),
                    peer: session.peer.to_string(),
                });
            }
        }
        found.extend(self.stacked(interface));
        Ok(found)
    }

    /// The interface and all that stand on it, a bridge or a VLAN for instance.
    fn stack(&self, interface: &str) -> Vec<String> {
        let mut stack = vec![interface.to_owned()];
        let mut at = 0;
        while let Some(name) = stack.get(at).cloned() {
            for upper in self.uppers(&name) {
                if !stack.contains(&upper) {
                    stack.push(upper);
                }
            }
            at += 1;
        }
        stack
    }

    fn uppers(&self, interface: &str) -> Vec<String> {
        let entries = files::names(&self.path("sys/class/net").join(interface));
        let uppers = entries
            .iter()
            .filter_map(|entry| entry.strip_prefix("upper_"));
        uppers.map(str::to_owned).collect()
    }

    /// What stands on the interface, but not the bridge or bond it belongs to: that one stays.
    fn stacked(&self, interface: &str) -> Option<Obstacle> {
        let master = files::link_target(&self.path("sys/class/net").join(interface).join("master"));
        let mut upper = self.uppers(interface);
        upper.retain(|name| master.as_ref() != Some(name));
        (!upper.is_empty()).then_some(Obstacle::Stacked {
            interface: interface.to_owned(),
            upper,
        })
    }

    /// Whether an interface of this name is there.
    pub fn has_interface(&self, name: &IfName) -> bool {
        self.path("sys/class/net").join(name.as_str()).exists()
    }

    pub(super) fn kernel_release(&self) -> String {
        files::read(&self.path("proc/sys/kernel/osrelease")).unwrap_or_default()
    }

    pub(super) fn has_module_file(&self, module: &str) -> bool {
        let dir = Path::new("lib/modules").join(self.kernel_release());
        let index = files::read(&self.path(dir.join("modules.dep"))).unwrap_or_default();
        // A line is `path/name.ko[.xz]: what it needs`; underscore and dash are the same.
        let wanted = format!("/{}.ko", module.replace('-', "_"));
        let mut paths = index.lines().filter_map(|line| line.split(':').next());
        paths.any(|path| path.replace('-', "_").contains(&wanted))
    }
}

fn legacy_only(card: &VirtioNetCard) -> Option<Obstacle> {
    (card.generation == Generation::Legacy).then_some(Obstacle::LegacyOnly { card: card.address })
}

/// VFIO takes a group only if no host driver can do DMA behind its back.
fn group_not_viable(card: &VirtioNetCard) -> Option<Obstacle> {
    let group = card.iommu_group.as_ref()?;
    let in_the_way = |member: &&GroupMember| {
        let harmless = member
            .driver
            .as_deref()
            .is_none_or(|d| [VFIO_DRIVER, "pci-stub"].contains(&d));
        member.address != card.address && !member.is_bridge && !harmless
    };
    let members: Vec<GroupMember> = group.members.iter().filter(in_the_way).cloned().collect();
    (!members.is_empty()).then_some(Obstacle::GroupNotViable {
        card: card.address,
        group: group.id,
        members,
    })
}
