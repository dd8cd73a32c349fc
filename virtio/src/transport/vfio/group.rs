//! From a PCI address to open descriptors: IOMMU group, container, device.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use vfio_bindings::bindings::vfio::*;

use super::sys::{Container, Group};
use crate::transport::TransportError;

/// The descriptors of a device that has been opened through VFIO, here or in another process.
#[derive(Debug)]
pub struct VfioParts {
    /// The PCI address, for messages.
    pub address: String,
    /// The container, with an IOMMU set and nothing mapped.
    pub container: OwnedFd,
    /// The group, if this process is to hold it; the device alone keeps it in the container.
    pub group: Option<OwnedFd>,
    /// The device.
    pub device: OwnedFd,
}

impl VfioParts {
    /// Opens the device at `address`, for example `0000:00:03.0`, in a container of its own.
    ///
    /// # Errors
    /// [`TransportError::Io`]; the kind of its source says what stands in the way: `NotFound`
    /// (no such device, or VFIO is not loaded), `ResourceBusy` (another driver or process
    /// has the device or a member of its group), `Unsupported` (no IOMMU),
    /// `PermissionDenied`. The message says what to type.
    pub fn open(address: &str) -> Result<Self, TransportError> {
        Roots::SYSTEM
            .open(address)
            .map_err(|failed| TransportError::Io {
                device: address.to_owned(),
                operation: failed.operation,
                source: failed.source,
            })
    }
}

/// What could not be done.
#[derive(Debug)]
struct Failed {
    operation: String,
    source: io::Error,
}

impl Failed {
    fn new(operation: impl Into<String>, kind: ErrorKind, why: impl Into<String>) -> Self {
        Self {
            operation: operation.into(),
            source: io::Error::new(kind, why.into()),
        }
    }
}

/// Where the system shows its devices.
#[derive(Clone, Copy)]
struct Roots<'a> {
    sys: &'a str,
    dev: &'a str,
}

impl Roots<'_> {
    const SYSTEM: Roots<'static> = Roots {
        sys: "/sys",
        dev: "/dev/vfio",
    };

    fn open(&self, address: &str) -> Result<VfioParts, Failed> {
        let group_number = self.locate(address)?;
        let container = self.open_file("vfio")?;
        let group = Group::new(self.open_file(&group_number)?);
        self.check_viable(&group, &group_number)?;
        join(&group, &container, &group_number)?;
        let device = group.device_fd(address).map_err(|source| Failed {
            operation: format!("opening the device in group {group_number}"),
            source,
        })?;
        Ok(VfioParts {
            address: address.to_owned(),
            container,
            group: Some(group.into_fd()),
            device,
        })
    }

    /// The number of the IOMMU group of a device that is ready for VFIO.
    fn locate(&self, address: &str) -> Result<String, Failed> {
        let device = self.device_dir(address)?;
        let group = link_name(&device.join("iommu_group")).ok_or_else(|| {
            Failed::new(
                "finding its IOMMU group",
                ErrorKind::Unsupported,
                "the device is behind no IOMMU; turn VT-d or AMD-Vi on (in QEMU add: -device \
                 intel-iommu,intremap=on,caching-mode=on)",
            )
        })?;
        let name = self.group_dir(&group).join("name");
        if fs::read_to_string(name).is_ok_and(|name| name.trim() == "vfio-noiommu") {
            let why = "the group has no IOMMU behind it; driving a device without one is not \
                       supported";
            return Err(Failed::new(
                format!("using group {group}"),
                ErrorKind::Unsupported,
                why,
            ));
        }
        check_driver(&device, address)?;
        Ok(group)
    }

    fn device_dir(&self, address: &str) -> Result<PathBuf, Failed> {
        let operation = "finding the PCI device";
        let is_plain = |c: char| c.is_ascii_hexdigit() || c == ':';
        if !address.rsplit_once('.').is_some_and(|(front, function)| {
            front.chars().all(is_plain) && matches!(function.as_bytes(), [b'0'..=b'7'])
        }) {
            let why = "a PCI address looks like 0000:00:03.0; type: umnet list";
            return Err(Failed::new(operation, ErrorKind::InvalidInput, why));
        }
        let dir = Path::new(self.sys).join("bus/pci/devices").join(address);
        if dir.exists() {
            return Ok(dir);
        }
        let why = format!("{} does not exist; type: umnet list", dir.display());
        Err(Failed::new(operation, ErrorKind::NotFound, why))
    }

    fn group_dir(&self, group: &str) -> PathBuf {
        Path::new(self.sys).join("kernel/iommu_groups").join(group)
    }

    fn open_file(&self, name: &str) -> Result<OwnedFd, Failed> {
        let path = Path::new(self.dev).join(name);
        let opened = File::options().read(true).write(true).open(&path);
        opened.map(OwnedFd::from).map_err(|e| {
            let path = path.display();
            let remedy = match e.kind() {
                ErrorKind::NotFound => "type: modprobe -a vfio_iommu_type1 vfio-pci".to_owned(),
                ErrorKind::PermissionDenied => {
                    format!("run as root, or type: sudo chown $USER {path}")
                }
                ErrorKind::ResourceBusy => format!("another process has it; type: fuser -v {path}"),
                _ => "see the kernel's log: dmesg".to_owned(),
            };
            Failed {
                operation: format!("opening {path}"),
                source: io::Error::new(e.kind(), format!("{e}; {remedy}")),
            }
        })
    }

    fn check_viable(&self, group: &Group, number: &str) -> Result<(), Failed> {
        let operation = || format!("using IOMMU group {number}");
        let flags = group.flags().map_err(|source| Failed {
            operation: operation(),
            source,
        })?;
        if flags & VFIO_GROUP_FLAGS_VIABLE != 0 {
            return Ok(());
        }
        let why = format!(
            "the kernel still drives other members: {}; each has to be bound to vfio-pci too, \
             or moved to a slot with a group of its own",
            self.foreign_members(number).join(", ")
        );
        Err(Failed::new(operation(), ErrorKind::ResourceBusy, why))
    }

    /// The members of a group that are driven by something else than VFIO, each with its driver.
    fn foreign_members(&self, group: &str) -> Vec<String> {
        let devices = self.group_dir(group).join("devices");
        let entries = fs::read_dir(devices).into_iter().flatten().flatten();
        let mut members: Vec<String> = entries
            .filter_map(|entry| {
                let driver = link_name(&entry.path().join("driver"))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                (!is_harmless(&driver)).then(|| format!("{name} ({driver})"))
            })
            .collect();
        members.sort();
        members
    }
}

/// Whether a group stays viable with a member driven by `driver`.
fn is_harmless(driver: &str) -> bool {
    is_vfio(driver) || driver == "pci-stub" || driver == "pcieport"
}

/// `vfio-pci`, or a variant of it for some kind of card.
fn is_vfio(driver: &str) -> bool {
    driver.contains("vfio")
}

fn check_driver(device: &Path, address: &str) -> Result<(), Failed> {
    let driver = link_name(&device.join("driver"));
    let why = match driver {
        Some(driver) if is_vfio(&driver) => return Ok(()),
        Some(driver) => format!("it is driven by {driver}; type: umnet bind {address}"),
        None => format!("no driver has it; type: umnet bind {address}"),
    };
    Err(Failed::new(
        "taking the device from VFIO",
        ErrorKind::ResourceBusy,
        why,
    ))
}

/// Puts the group into a fresh container and gives that an IOMMU.
fn join(group: &Group, container_fd: &OwnedFd, number: &str) -> Result<(), Failed> {
    let failed = |operation: &str| {
        let operation = operation.to_owned();
        move |source| Failed { operation, source }
    };
    let copy = container_fd.try_clone();
    let container = Container::new(copy.map_err(failed("copying the container"))?);
    check_container(&container)?;
    group
        .set_container(container_fd)
        .map_err(failed(&format!("putting group {number} into a container")))?;
    container.set_iommu(VFIO_TYPE1v2_IOMMU).map_err(|e| {
        let source = match e.kind() {
            ErrorKind::PermissionDenied => io::Error::new(
                e.kind(),
                "the platform cannot isolate interrupts; where that is acceptable type: echo 1 \
                 > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
            ),
            _ => e,
        };
        failed("setting the container's IOMMU")(source)
    })
}

fn check_container(container: &Container) -> Result<(), Failed> {
    let operation = "asking VFIO what it can do";
    let failed = |source| Failed {
        operation: operation.to_owned(),
        source,
    };
    let version = container.api_version().map_err(failed)?;
    if version.cast_unsigned() != VFIO_API_VERSION {
        let why = format!("its interface has version {version}, not {VFIO_API_VERSION}");
        return Err(Failed::new(operation, ErrorKind::Unsupported, why));
    }
    if !container
        .has_extension(VFIO_TYPE1v2_IOMMU)
        .map_err(failed)?
    {
        let why = "it has no type 1 IOMMU; type: modprobe vfio_iommu_type1";
        return Err(Failed::new(operation, ErrorKind::NotFound, why));
    }
    Ok(())
}

/// The last part of what a symbolic link points to.
fn link_name(link: &Path) -> Option<String> {
    let target = fs::read_link(link).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
