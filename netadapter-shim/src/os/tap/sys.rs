//! The TAP's ioctls and a gathering write. (Linux `if_tun.h`)
#![allow(unsafe_code)] // system calls that take pointers

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use vm_memory::VolatileSlice;
use vmm_sys_util::ioctl::{ioctl_with_mut_ref, ioctl_with_ref, ioctl_with_val};
use vmm_sys_util::{ioctl_ior_nr, ioctl_iow_nr};

const TYPE: u32 = b'T' as u32;
ioctl_iow_nr!(TUNSETIFF, TYPE, 202, libc::c_int);
ioctl_iow_nr!(TUNSETPERSIST, TYPE, 203, libc::c_int);
ioctl_iow_nr!(TUNSETOFFLOAD, TYPE, 208, libc::c_uint);
ioctl_ior_nr!(TUNGETIFF, TYPE, 210, libc::c_uint);
ioctl_iow_nr!(TUNSETVNETHDRSZ, TYPE, 216, libc::c_int);
ioctl_iow_nr!(TUNSETQUEUE, TYPE, 217, libc::c_int);
ioctl_iow_nr!(TUNSETVNETLE, TYPE, 220, libc::c_int);
ioctl_iow_nr!(TUNSETCARRIER, TYPE, 226, libc::c_int);

const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;
const IFF_MULTI_QUEUE: u16 = 0x0100;
const IFF_ATTACH_QUEUE: u16 = 0x0200;
const IFF_DETACH_QUEUE: u16 = 0x0400;

/// `struct ifreq`, as far as TUNSETIFF uses it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<InterfaceRequest>() == size_of::<libc::ifreq>());

/// Longest name of an interface.
pub(super) const NAME_LENGTH: usize = 15;

/// Creates the interface, or attaches to it, as a TAP with virtio headers.
/// `name` has at most [`NAME_LENGTH`] bytes; more are cut.
pub(super) fn set_interface(file: &File, name: &str, multi_queue: bool) -> io::Result<()> {
    let mut request = blank();
    request.flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if multi_queue {
        request.flags |= IFF_MULTI_QUEUE;
    }
    for (to, from) in request.name[..NAME_LENGTH].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: TUNSETIFF reads and writes one ifreq, whose size is asserted
    // above, and the reference is to a live one.
    check(unsafe { ioctl_with_ref(file, TUNSETIFF(), &request) })
}

/// Whether the interface gives frames to this queue of it, of several.
pub(super) fn set_attached(file: &File, attached: bool) -> io::Result<()> {
    let mut request = blank();
    if is_attached(file)? == attached {
        return Ok(());
    }
    request.flags = if attached {
        IFF_ATTACH_QUEUE
    } else {
        IFF_DETACH_QUEUE
    };
    // SAFETY: TUNSETQUEUE reads one ifreq, whose size is asserted above, and the
    // reference is to a live one.
    check(unsafe { ioctl_with_ref(file, TUNSETQUEUE(), &request) })
}

fn is_attached(file: &File) -> io::Result<bool> {
    let mut request = blank();
    // SAFETY: TUNGETIFF writes one ifreq, whose size is asserted above, and the
    // reference is to a live one.
    check(unsafe { ioctl_with_mut_ref(file, TUNGETIFF(), &mut request) })?;
    Ok(request.flags & IFF_DETACH_QUEUE == 0)
}

fn blank() -> InterfaceRequest {
    InterfaceRequest {
        name: [0; 16],
        flags: 0,
        rest: [0; 22],
    }
}

/// Length of the virtio header in front of every frame.
pub(super) fn set_header_length(file: &File, length: usize) -> io::Result<()> {
    set_by_reference(file, TUNSETVNETHDRSZ(), length as libc::c_int)
}

/// The virtio header is little-endian whatever the processor is.
pub(super) fn set_little_endian(file: &File) -> io::Result<()> {
    set_by_reference(file, TUNSETVNETLE(), 1)
}

/// Whether the interface has a carrier.
pub(super) fn set_carrier(file: &File, up: bool) -> io::Result<()> {
    set_by_reference(file, TUNSETCARRIER(), up.into())
}

/// Whether the interface outlives its descriptors.
pub(super) fn set_persistent(file: &File, persistent: bool) -> io::Result<()> {
    set_by_value(file, TUNSETPERSIST(), persistent.into())
}

/// What the stack may leave to us, TUN_F_ bits.
pub(super) fn set_offloads(file: &File, bits: u32) -> io::Result<()> {
    set_by_value(file, TUNSETOFFLOAD(), bits.into())
}

fn set_by_reference(file: &File, request: libc::c_ulong, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the requests that take this path read one int through the
    // pointer, and the reference is to a live one.
    check(unsafe { ioctl_with_ref(file, request, &value) })
}

fn set_by_value(file: &File, request: libc::c_ulong, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the requests that take this path use the argument as a number.
    check(unsafe { ioctl_with_val(file, request, value) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Buffers one gathering write can take.
const GATHER: usize = 64;

/// Writes several buffers as one frame.
pub(super) fn write_gathered<'a>(
    file: &File,
    parts: impl Iterator<Item = VolatileSlice<'a>>,
) -> io::Result<usize> {
    let nothing = libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    };
    let mut vectors = [nothing; GATHER];
    let mut count = 0;
    for part in parts {
        let vector = vectors.get_mut(count).ok_or(io::ErrorKind::InvalidInput)?;
        vector.iov_base = part.ptr_guard().as_ptr().cast_mut().cast();
        vector.iov_len = part.len();
        count += 1;
    }
    // SAFETY: the first `count` vectors describe slices that live for 'a,
    // beyond this call; the kernel only reads them, and nobody holds a Rust
    // reference to their bytes.
    let written = unsafe { libc::writev(file.as_raw_fd(), vectors.as_ptr(), count as libc::c_int) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}
