//! A TAP interface as the far end of the device's cable. (Linux `if_tun.h`)
//!
//! The TAP speaks of checksums and segments in the device's own header, so frames pass unchanged.
#![allow(unsafe_code)] // ioctls that take pointers

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use virtio::net::{FeatureSet, VirtioNetHdr};
use virtio::spec::net::MAX_LARGE_FRAME;
use virtio::spec::net::feature::*;
use virtio::transport::in_process::{Frame, Link};
use vmm_sys_util::ioctl::{ioctl_with_ref, ioctl_with_val};
use vmm_sys_util::ioctl_iow_nr;

const TYPE: u32 = b'T' as u32;
ioctl_iow_nr!(TUNSETIFF, TYPE, 202, libc::c_int);
ioctl_iow_nr!(TUNSETOFFLOAD, TYPE, 208, libc::c_uint);
ioctl_iow_nr!(TUNSETVNETHDRSZ, TYPE, 216, libc::c_int);
ioctl_iow_nr!(TUNSETVNETLE, TYPE, 220, libc::c_int);

const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;

/// What the driver must have accepted for the stack to leave work to it.
const OFFLOADS: [(u32, u32); 5] = [
    (0x01, VIRTIO_NET_F_GUEST_CSUM),
    (0x02, VIRTIO_NET_F_GUEST_TSO4),
    (0x04, VIRTIO_NET_F_GUEST_TSO6),
    (0x08, VIRTIO_NET_F_GUEST_ECN),
    (USO, VIRTIO_NET_F_GUEST_USO4),
];
/// Both kinds of UDP segmentation, which must be set together.
const USO: u32 = 0x60;

/// `struct ifreq`, as far as TUNSETIFF uses it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<InterfaceRequest>() == size_of::<libc::ifreq>());

/// The TAP cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("TAP {name}: cannot {action}: {source}")]
pub struct TapError {
    name: String,
    action: &'static str,
    source: io::Error,
}

/// A TAP; clones are the same one.
#[derive(Clone, Debug)]
pub struct Tap {
    file: Arc<File>,
    name: String,
    buffer: Vec<u8>,
    has_uso: bool,
    lost: u64,
}

impl Tap {
    /// Makes the interface `name`, or attaches to one that is there.
    ///
    /// # Errors
    /// [`TapError`], for instance without the privilege.
    pub fn open(name: &str) -> Result<Self, TapError> {
        let failed = |action| {
            let name = name.to_owned();
            move |source| TapError {
                name,
                action,
                source,
            }
        };
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
            .map_err(failed("open /dev/net/tun"))?;
        set_interface(&file, name).map_err(failed("make the interface"))?;
        set_int(&file, TUNSETVNETHDRSZ(), VirtioNetHdr::SIZE as i32)
            .and_then(|()| set_int(&file, TUNSETVNETLE(), 1))
            .map_err(failed("set the header's form"))?;
        let has_uso = set_offloads(&file, 0x07 | USO).is_ok();
        Ok(Self {
            file: Arc::new(file),
            name: name.to_owned(),
            buffer: vec![0; VirtioNetHdr::SIZE + MAX_LARGE_FRAME],
            has_uso,
            lost: 0,
        })
    }

    /// Whether the system segments UDP for TAPs.
    pub fn has_uso(&self) -> bool {
        self.has_uso
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Link for Tap {
    fn start(&mut self, accepted: FeatureSet) {
        let flags = OFFLOADS
            .iter()
            .filter(|&&(flag, bit)| accepted.has(bit) && (flag != USO || self.has_uso))
            .fold(0, |flags, (flag, _)| flags | flag);
        if let Err(error) = set_offloads(&self.file, flags) {
            log::warn!("TAP {}: offloads {flags:#x}: {error}", self.name);
        }
    }

    fn send(&mut self, frame: &Frame) {
        if let Err(error) = (&*self.file).write(frame.as_bytes()) {
            self.lost += 1;
            if self.lost.is_power_of_two() {
                log::warn!("TAP {}: {} frames lost: {error}", self.name, self.lost);
            }
        }
    }

    fn receive(&mut self, frame: &mut Frame) -> bool {
        match (&*self.file).read(&mut self.buffer) {
            Ok(len) if len >= VirtioNetHdr::SIZE => {
                frame.set_bytes(&self.buffer[..len]);
                true
            }
            Ok(_) => false,
            Err(error) => {
                if error.kind() != ErrorKind::WouldBlock {
                    log::debug!("TAP {}: {error}", self.name);
                }
                false
            }
        }
    }
}

fn set_interface(file: &File, name: &str) -> io::Result<()> {
    let mut request = InterfaceRequest {
        name: [0; 16],
        flags: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
        rest: [0; 22],
    };
    if name.len() >= request.name.len() {
        return Err(ErrorKind::InvalidInput.into());
    }
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: TUNSETIFF reads and writes one ifreq, whose size is asserted above, and the
    // reference is to a live one.
    check(unsafe { ioctl_with_ref(file, TUNSETIFF(), &request) })
}

fn set_int(file: &File, request: libc::c_ulong, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the requests that take this path read one int through the pointer, and the
    // reference is to a live one.
    check(unsafe { ioctl_with_ref(file, request, &value) })
}

fn set_offloads(file: &File, bits: u32) -> io::Result<()> {
    // SAFETY: the request uses its argument as a number.
    check(unsafe { ioctl_with_val(file, TUNSETOFFLOAD(), bits.into()) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
