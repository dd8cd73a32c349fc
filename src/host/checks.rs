//! Looking for what stands between umnet and a card.

use std::path::Path;

use rustix::fs::{Access, access};
use virtio::spec::feature::VIRTIO_F_ACCESS_PLATFORM;

use super::interface::Interfaces;
use super::obstacle::Obstacle;
use super::pci::{Generation, GroupMember, IommuGroup, VFIO_DRIVER, VirtioNetCard};
use super::{Host, HostError, IfName, files};

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
            self.bypasses_iommu(card),
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

    /// Whether interrupts of devices are remapped. VFIO makes sure of that, unless it was told not
    /// to care; then it shows in the names of the interrupts that the machine has.
    pub fn has_interrupt_remapping(&self) -> bool {
        let parameters = "sys/module/vfio_iommu_type1/parameters";
        let told = files::read(&self.path(parameters).join("allow_unsafe_interrupts"));
        if told.is_none_or(|told| told != "Y") {
            return true;
        }
        let interrupts = files::read(&self.path("proc/interrupts")).unwrap_or_default();
        interrupts
            .split_whitespace()
            .any(|word| word.starts_with("IR-"))
    }

    /// Looked at through the kernel's driver, which agrees to the feature wherever it is offered.
    /// Of a card that nobody drives it shows only once umnet does; it is refused then.
    fn bypasses_iommu(&self, card: &VirtioNetCard) -> Option<Obstacle> {
        let modern = card.generation != Generation::Legacy;
        card.iommu_group.as_ref().filter(|_| modern)?;
        let dir = self.pci_dir(card.address);
        let device = files::names(&dir)
            .into_iter()
            .find(|name| name.starts_with("virtio"))?;
        let device = dir.join(device);
        files::link_target(&device.join("driver"))?;
        let agreed = files::read(&device.join("features"))?;
        let bit = agreed.as_bytes().get(VIRTIO_F_ACCESS_PLATFORM as usize);
        (bit == Some(&b'0')).then_some(Obstacle::BypassesIommu { card: card.address })
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

    /// Whether an interface of this name is there and is a TAP.
    pub fn is_tap(&self, name: &IfName) -> bool {
        let interface = self.path("sys/class/net").join(name.as_str());
        interface.join("tun_flags").exists()
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn interrupt_remapping_is_doubted_only_where_vfio_was_told_not_to_care() {
        let dir = tempfile::tempdir().unwrap();
        let (host, root) = (Host::at(dir.path()), dir.path());
        assert!(host.has_interrupt_remapping(), "VFIO refuses without it");
        let parameters = root.join("sys/module/vfio_iommu_type1/parameters");
        fs::create_dir_all(&parameters).unwrap();
        fs::create_dir_all(root.join("proc")).unwrap();
        for (told, interrupts, remapped) in [
            ("N\n", "  24:  7  PCI-MSI 49152-edge  virtio0\n", true),
            ("Y\n", "  24:  7  PCI-MSI 49152-edge  virtio0\n", false),
            ("Y\n", "  24:  7  IR-PCI-MSI 49152-edge  virtio0\n", true),
        ] {
            fs::write(parameters.join("allow_unsafe_interrupts"), told).unwrap();
            fs::write(root.join("proc/interrupts"), interrupts).unwrap();
            assert_eq!(
                host.has_interrupt_remapping(),
                remapped,
                "{told}{interrupts}"
            );
        }
    }
}
