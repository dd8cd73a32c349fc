//! What a machine needs so that umnet can drive a card, checked one by one.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::process::{Resource, geteuid, getrlimit};
use serde::Serialize;

use super::obstacle::{NEEDS_VFIO_KERNEL, Obstacle};
use super::state::DeviceState;
use super::{DeviceSpec, Host, HostError, files};
use crate::exit::{Exit, Explain};

/// Memory a card with large rings pins: slots for 1024 frames each way, and the rings.
const MEMLOCK_WANTED: u64 = 8 * 1024 * 1024;
/// Bits of `CapEff` in /proc/self/status.
const CAP_NET_ADMIN: u32 = 12;
const CAP_IPC_LOCK: u32 = 14;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What mends it.
    pub mend: Option<String>,
    /// How the command ends because of it.
    #[serde(skip)]
    pub exit: Exit,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            ok: true,
            found: found.into(),
            mend: None,
            exit: Exit::Done,
        }
    }

    fn missing(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            name,
            ok: false,
            found: found.into(),
            mend: Some(mend.into()),
            exit: Exit::EnvironmentLacks,
        }
    }
}

impl Host {
    /// Looks at everything a device needs; without a device, at what any card needs.
    ///
    /// # Errors
    ///
    /// [`HostError`] if the device is not there.
    pub fn examine(&self, device: Option<&DeviceSpec>) -> Result<Vec<Check>, HostError> {
        match device {
            Some(DeviceSpec::InProcess) => Ok(vec![self.tun(), self.privilege()]),
            Some(DeviceSpec::VhostUser(socket)) => {
                Ok(vec![back_end(socket), self.tun(), self.privilege()])
            }
            Some(device) => {
                let mut checks = self.machine();
                checks.extend(self.card_checks(device)?);
                Ok(checks)
            }
            None => {
                let mut checks = self.machine();
                checks.push(self.cards_check());
                Ok(checks)
            }
        }
    }

    fn machine(&self) -> Vec<Check> {
        vec![
            self.iommu(),
            self.vfio_module("vfio-pci", self.has_vfio_pci()),
            self.vfio_module("vfio_iommu_type1", self.has_vfio_iommu()),
            self.container(),
            self.tun(),
            self.privilege(),
            self.locked_memory(),
        ]
    }

    fn iommu(&self) -> Check {
        let units = files::names(&self.path("sys/class/iommu"));
        if !units.is_empty() {
            return Check::ok("IOMMU", format!("{} at work", units.join(", ")));
        }
        let cmdline = files::read(&self.path("proc/cmdline")).unwrap_or_default();
        let off = cmdline
            .split_whitespace()
            .find(|word| ["iommu=off", "intel_iommu=off", "amd_iommu=off"].contains(word));
        if let Some(off) = off {
            let mend = format!("take {off} off the kernel's command line and reboot");
            return Check::missing("IOMMU", format!("switched off by {off}"), mend);
        }
        Check::missing("IOMMU", "the kernel sees none", self.iommu_advice(&cmdline))
    }

    fn iommu_advice(&self, cmdline: &str) -> String {
        let cpu = files::read(&self.path("proc/cpuinfo")).unwrap_or_default();
        let (switch, firmware) = match cpu.contains("AuthenticAMD") {
            true => ("amd_iommu=on", "AMD-Vi"),
            false => ("intel_iommu=on", "VT-d"),
        };
        let hardware = match cmdline.split_whitespace().any(|word| word == switch) {
            true => format!("switch {firmware} on in the firmware"),
            false => format!(
                "switch {firmware} on in the firmware, add {switch} to GRUB_CMDLINE_LINUX in \
                 /etc/default/grub, sudo update-grub, reboot"
            ),
        };
        let guest = "in a QEMU guest: -machine q35 -device \
                     intel-iommu,intremap=on,caching-mode=on";
        match cpu.contains("hypervisor") {
            true => guest.to_owned(),
            false => hardware,
        }
    }

    fn vfio_module(&self, module: &'static str, loaded: bool) -> Check {
        if loaded {
            return Check::ok(module, "loaded");
        }
        if self.has_module_file(module) {
            return Check::ok(module, "will be loaded when needed");
        }
        let release = self.kernel_release();
        Check::missing(
            module,
            format!("neither loaded nor among the modules of kernel {release}"),
            NEEDS_VFIO_KERNEL,
        )
    }

    fn container(&self) -> Check {
        let name = "VFIO container";
        let path = self.path("dev/vfio/vfio");
        if !path.exists() {
            return match self.has_module_file("vfio") || self.has_vfio_pci() {
                true => Check::ok(name, "appears when vfio is loaded"),
                false => Check::missing(name, "there is no /dev/vfio/vfio", NEEDS_VFIO_KERNEL),
            };
        }
        self.usable(name, &path)
    }

    fn tun(&self) -> Check {
        let path = self.path("dev/net/tun");
        match path.exists() {
            true => self.usable("TAP", &path),
            false => Check::missing("TAP", "there is no /dev/net/tun", "sudo modprobe tun"),
        }
    }

    fn usable(&self, name: &'static str, path: &Path) -> Check {
        match access(path, Access::READ_OK | Access::WRITE_OK) {
            Ok(()) => Check::ok(name, format!("{} can be opened", path.display())),
            Err(error) => {
                let found = format!("{}: {error}", path.display());
                Check::missing(name, found, "run umnet as root (sudo umnet ...)")
            }
        }
    }

    fn privilege(&self) -> Check {
        match geteuid().is_root() && self.has_capability(CAP_NET_ADMIN) {
            true => Check::ok("privilege", "root with CAP_NET_ADMIN"),
            false => Check::missing(
                "privilege",
                "not root, or without CAP_NET_ADMIN",
                "run umnet as root (sudo umnet ...)",
            ),
        }
    }

    fn locked_memory(&self) -> Check {
        let name = "locked memory";
        if self.has_capability(CAP_IPC_LOCK) {
            return Check::ok(name, "no limit, by CAP_IPC_LOCK");
        }
        match getrlimit(Resource::Memlock).current {
            Some(limit) if limit < MEMLOCK_WANTED => Check::missing(
                name,
                format!("only {} KiB may be pinned", limit / 1024),
                format!(
                    "ulimit -l {} (as root), or run umnet as root",
                    MEMLOCK_WANTED / 1024
                ),
            ),
            Some(limit) => Check::ok(name, format!("{} KiB may be pinned", limit / 1024)),
            None => Check::ok(name, "no limit"),
        }
    }

    fn has_capability(&self, bit: u32) -> bool {
        let status = files::read(&self.path("proc/self/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let set = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        set.is_some_and(|set| set & (1 << bit) != 0)
    }

    fn cards_check(&self) -> Check {
        let cards = self.cards();
        if cards.is_empty() {
            let mend = "give the guest one (QEMU: -device virtio-net-pci,disable-legacy=on,\
                        iommu_platform=on,netdev=...)";
            return Check::missing("card", "no virtio-net card on the PCI bus", mend);
        }
        let names: Vec<String> = cards.iter().map(|card| card.address.to_string()).collect();
        Check::ok(
            "card",
            format!("{} (umnet doctor CARD looks closer)", names.join(", ")),
        )
    }

    fn card_checks(&self, device: &DeviceSpec) -> Result<Vec<Check>, HostError> {
        let card = self.find(device)?;
        let mut obstacles = self.obstacles(&card)?;
        // Said of the machine already.
        obstacles.retain(|obstacle| !matches!(obstacle, Obstacle::NoVfio { .. }));
        if !obstacles.is_empty() {
            return Ok(obstacles
                .iter()
                .map(|obstacle| Check {
                    name: "card",
                    ok: false,
                    found: obstacle.to_string(),
                    mend: obstacle.next_step(),
                    exit: obstacle.exit(),
                })
                .collect());
        }
        let held = DeviceState::load(self, card.address)?.is_some();
        let found = match (card.on_vfio(), held) {
            (true, true) => "with vfio-pci, by umnet",
            (true, false) => "with vfio-pci, by somebody else",
            (false, _) => "could be taken",
        };
        Ok(vec![Check::ok("card", format!("{} {found}", card.address))])
    }
}

/// Whether somebody listens: a connection that says nothing disturbs no back end.
fn back_end(socket: &Path) -> Check {
    let path = socket.display();
    let missing = |found: String, mend: &str| Check::missing("back end", found, mend);
    match UnixStream::connect(socket) {
        Ok(_) => Check::ok("back end", format!("one listens at {path}")),
        Err(error) => match error.kind() {
            ErrorKind::NotFound => missing(
                format!("there is no {path}"),
                "start the vhost-user back end that listens there",
            ),
            ErrorKind::ConnectionRefused => missing(
                format!("nobody listens at {path}"),
                "start the vhost-user back end that left it there",
            ),
            ErrorKind::PermissionDenied => missing(
                format!("{path} may not be opened"),
                "run umnet as root, or as the back end's user",
            ),
            _ => missing(
                format!("{path}: {error}"),
                "name the socket that a vhost-user back end listens at",
            ),
        },
    }
}
