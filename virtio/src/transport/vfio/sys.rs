//! The system calls of VFIO, one safe function each, and no policy.
//!
//! Only the group interface (`/dev/vfio/N` joined to a container) is spoken. The descriptors
//! may have been opened by another process.
#![allow(unsafe_code)] // an ioctl's argument is a pointer that only the kernel knows the use of

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::raw::c_int;

use vfio_bindings::bindings::vfio::*;
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::ioctl::{
    ioctl, ioctl_with_mut_ptr, ioctl_with_mut_ref, ioctl_with_ptr, ioctl_with_ref, ioctl_with_val,
};
use vmm_sys_util::ioctl_io_nr;

use super::info::{self, Grown, IommuInfo, RegionInfo};
use crate::mem::DmaRegion;

// The numbers as `linux/vfio.h` counts them; the bindings carry the structures only.
ioctl_io_nr!(VFIO_GET_API_VERSION, VFIO_TYPE as u32, VFIO_BASE);
ioctl_io_nr!(VFIO_CHECK_EXTENSION, VFIO_TYPE as u32, VFIO_BASE + 1);
ioctl_io_nr!(VFIO_SET_IOMMU, VFIO_TYPE as u32, VFIO_BASE + 2);
ioctl_io_nr!(VFIO_GROUP_GET_STATUS, VFIO_TYPE as u32, VFIO_BASE + 3);
ioctl_io_nr!(VFIO_GROUP_SET_CONTAINER, VFIO_TYPE as u32, VFIO_BASE + 4);
ioctl_io_nr!(VFIO_GROUP_GET_DEVICE_FD, VFIO_TYPE as u32, VFIO_BASE + 6);
ioctl_io_nr!(VFIO_DEVICE_GET_INFO, VFIO_TYPE as u32, VFIO_BASE + 7);
ioctl_io_nr!(VFIO_DEVICE_GET_REGION_INFO, VFIO_TYPE as u32, VFIO_BASE + 8);
ioctl_io_nr!(VFIO_DEVICE_GET_IRQ_INFO, VFIO_TYPE as u32, VFIO_BASE + 9);
ioctl_io_nr!(VFIO_DEVICE_SET_IRQS, VFIO_TYPE as u32, VFIO_BASE + 10);
ioctl_io_nr!(VFIO_DEVICE_RESET, VFIO_TYPE as u32, VFIO_BASE + 11);
ioctl_io_nr!(VFIO_IOMMU_GET_INFO, VFIO_TYPE as u32, VFIO_BASE + 12);
ioctl_io_nr!(VFIO_IOMMU_MAP_DMA, VFIO_TYPE as u32, VFIO_BASE + 13);
ioctl_io_nr!(VFIO_IOMMU_UNMAP_DMA, VFIO_TYPE as u32, VFIO_BASE + 14);

/// Placeholder for a vector without an eventfd in [`Device::set_irqs`].
pub(super) const NO_EVENT: RawFd = -1;

/// `/dev/vfio/vfio`: one I/O address space.
#[derive(Debug)]
pub(super) struct Container(OwnedFd);

impl Container {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    pub(super) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    pub(super) fn api_version(&self) -> io::Result<c_int> {
        // SAFETY: the call takes no argument.
        checked(unsafe { ioctl(&self.0, VFIO_GET_API_VERSION()) })
    }

    pub(super) fn has_extension(&self, extension: u32) -> io::Result<bool> {
        // SAFETY: the argument is a number.
        let answer = unsafe { ioctl_with_val(&self.0, VFIO_CHECK_EXTENSION(), extension.into()) };
        checked(answer).map(|answer| answer > 0)
    }

    pub(super) fn set_iommu(&self, kind: u32) -> io::Result<()> {
        // SAFETY: the argument is a number.
        checked(unsafe { ioctl_with_val(&self.0, VFIO_SET_IOMMU(), kind.into()) })?;
        Ok(())
    }

    pub(super) fn iommu_info(&self) -> io::Result<IommuInfo> {
        let answer = grown(&self.0, VFIO_IOMMU_GET_INFO(), info::IOMMU_INFO_LEN, &[])?;
        Ok(IommuInfo::decode(&answer))
    }

    /// Pins the pages of `region` and lets the devices of the container read and write them.
    pub(super) fn map_dma(&self, region: &DmaRegion, iova: u64) -> io::Result<()> {
        let map = vfio_iommu_type1_dma_map {
            argsz: size_of::<vfio_iommu_type1_dma_map>() as u32,
            flags: VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
            vaddr: region.host_address(),
            iova,
            size: region.len() as u64,
        };
        // SAFETY: `map` is the structure that the call reads, and argsz is its size. What the
        // device may write from now on is a `DmaRegion`, into which no reference ever points;
        // its pages stay pinned until they are unmapped, whatever becomes of the region.
        checked(unsafe { ioctl_with_ref(&self.0, VFIO_IOMMU_MAP_DMA(), &map) })?;
        Ok(())
    }

    pub(super) fn unmap_dma(&self, iova: u64, size: u64) -> io::Result<()> {
        let mut unmap = vfio_iommu_type1_dma_unmap {
            argsz: size_of::<vfio_iommu_type1_dma_unmap>() as u32,
            iova,
            size,
            ..Default::default()
        };
        // SAFETY: `unmap` is the structure that the call reads and whose size it updates; argsz
        // is its length, and without flags the kernel expects nothing after it.
        checked(unsafe { ioctl_with_mut_ref(&self.0, VFIO_IOMMU_UNMAP_DMA(), &mut unmap) })?;
        if unmap.size == size {
            return Ok(());
        }
        let text = format!("{} bytes of {size} were unmapped", unmap.size);
        Err(io::Error::other(text))
    }
}

/// `/dev/vfio/N`: the devices that the IOMMU cannot tell apart.
#[derive(Debug)]
pub(super) struct Group(OwnedFd);

impl Group {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// The `VFIO_GROUP_FLAGS_*` of the group.
    pub(super) fn flags(&self) -> io::Result<u32> {
        let mut status = vfio_group_status {
            argsz: size_of::<vfio_group_status>() as u32,
            flags: 0,
        };
        // SAFETY: `status` is the structure that the call fills, and argsz is its size.
        checked(unsafe { ioctl_with_mut_ref(&self.0, VFIO_GROUP_GET_STATUS(), &mut status) })?;
        Ok(status.flags)
    }

    pub(super) fn set_container(&self, container: &OwnedFd) -> io::Result<()> {
        let fd: c_int = container.as_raw_fd();
        // SAFETY: the call reads one descriptor number, which is open while it runs.
        checked(unsafe { ioctl_with_ref(&self.0, VFIO_GROUP_SET_CONTAINER(), &fd) })?;
        Ok(())
    }

    /// Opens the device that the group knows by `name`.
    pub(super) fn device_fd(&self, name: &str) -> io::Result<OwnedFd> {
        let name = CString::new(name)?;
        // SAFETY: the call reads a NUL-terminated string.
        let fd =
            checked(unsafe { ioctl_with_ptr(&self.0, VFIO_GROUP_GET_DEVICE_FD(), name.as_ptr()) })?;
        // SAFETY: the kernel just returned this descriptor and nobody else holds it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// An open device. Its regions are read, written and mapped through [`Device::file`].
#[derive(Debug)]
pub(super) struct Device(File);

impl Device {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(File::from(fd))
    }

    pub(super) fn file(&self) -> &File {
        &self.0
    }

    /// The `VFIO_DEVICE_FLAGS_*` of the device.
    pub(super) fn flags(&self) -> io::Result<u32> {
        let mut info = vfio_device_info {
            argsz: size_of::<vfio_device_info>() as u32,
            ..Default::default()
        };
        // SAFETY: `info` is the structure that the call fills, and argsz is its size.
        checked(unsafe { ioctl_with_mut_ref(&self.0, VFIO_DEVICE_GET_INFO(), &mut info) })?;
        Ok(info.flags)
    }

    pub(super) fn region_info(&self, index: u32) -> io::Result<RegionInfo> {
        let answer = grown(
            &self.0,
            VFIO_DEVICE_GET_REGION_INFO(),
            info::REGION_INFO_LEN,
            &[(info::REGION_INFO_INDEX, index)],
        )?;
        Ok(RegionInfo::decode(&answer))
    }

    /// How many interrupts of kind `index` there are that can be delivered by eventfd.
    pub(super) fn irq_count(&self, index: u32) -> io::Result<u32> {
        let mut info = vfio_irq_info {
            argsz: size_of::<vfio_irq_info>() as u32,
            index,
            ..Default::default()
        };
        // SAFETY: `info` is the structure that the call fills, and argsz is its size.
        checked(unsafe { ioctl_with_mut_ref(&self.0, VFIO_DEVICE_GET_IRQ_INFO(), &mut info) })?;
        let by_eventfd = info.flags & VFIO_IRQ_INFO_EVENTFD != 0;
        Ok(if by_eventfd { info.count } else { 0 })
    }

    /// Connects the interrupts `start..` of kind `index` to eventfds, [`NO_EVENT`] for none.
    /// Returns 0, or how many vectors there could be when that is fewer than asked for.
    pub(super) fn set_irqs(&self, index: u32, start: u32, events: &[RawFd]) -> io::Result<u32> {
        let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
        self.irq_set(flags, index, start, events)
    }

    /// Takes all interrupts of kind `index` back.
    pub(super) fn disable_irqs(&self, index: u32) -> io::Result<()> {
        let flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
        self.irq_set(flags, index, 0, &[])?;
        Ok(())
    }

    fn irq_set(&self, flags: u32, index: u32, start: u32, events: &[RawFd]) -> io::Result<u32> {
        let len = size_of::<vfio_irq_set>() + size_of_val(events);
        // `struct vfio_irq_set` is five words, and descriptors are words too.
        let mut words = vec![len as u32, flags, index, start, events.len() as u32];
        words.extend(events.iter().map(|fd| fd.cast_unsigned()));
        // SAFETY: the call reads argsz bytes, which is the length of `words`.
        let answer = unsafe { ioctl_with_ptr(&self.0, VFIO_DEVICE_SET_IRQS(), words.as_ptr()) };
        checked(answer).map(c_int::cast_unsigned)
    }

    pub(super) fn reset(&self) -> io::Result<()> {
        // SAFETY: the call takes no argument.
        checked(unsafe { ioctl(&self.0, VFIO_DEVICE_RESET()) })?;
        Ok(())
    }
}

/// A non-blocking eventfd.
pub(super) fn new_eventfd() -> io::Result<EventFd> {
    EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)
}

/// The descriptor of an eventfd, to be passed on.
pub(super) fn fd_of(event: EventFd) -> OwnedFd {
    // SAFETY: the event gives its descriptor up, so nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(event.into_raw_fd()) }
}

/// The eventfd that a descriptor stands for; one that is something else fails when it is used.
pub(super) fn event_of(fd: OwnedFd) -> EventFd {
    // SAFETY: the descriptor gives itself up, so nobody else owns it.
    unsafe { EventFd::from_raw_fd(fd.into_raw_fd()) }
}

/// How many bytes this process may lock; `None` for no limit.
pub(super) fn locked_memory_limit() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is the structure that the call fills.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Bytes of a page.
pub(super) fn page_size() -> u64 {
    // SAFETY: sysconf reads a constant of the running system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

/// Asks a question whose answer carries capabilities behind its structure: the kernel says in
/// argsz how long the answer is, and is asked again with that much room. `fields` are what the
/// structure must hold beforehand.
fn grown(
    fd: &impl AsRawFd,
    number: std::os::raw::c_ulong,
    len: usize,
    fields: &[(usize, u32)],
) -> io::Result<Grown> {
    let mut answer = Grown::new(len);
    for _ in 0..2 {
        answer.prepare(fields);
        // SAFETY: the call writes at most argsz bytes, which `prepare` has set to the length
        // of the buffer; the buffer is aligned for any of these structures.
        checked(unsafe { ioctl_with_mut_ptr(fd, number, answer.as_mut_ptr()) })?;
        if !answer.grow() {
            break;
        }
    }
    Ok(answer)
}

fn checked(answer: c_int) -> io::Result<c_int> {
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}
