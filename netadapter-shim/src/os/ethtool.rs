//! What users have set by `ethtool`. (Linux `ethtool.h`)
#![allow(unsafe_code)] // an ioctl that takes pointers

use std::io;
use std::os::unix::net::UnixDatagram;

use vmm_sys_util::ioctl::ioctl_with_mut_ref;

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GGRO: u32 = 0x2b;

/// `struct ethtool_value`
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ifreq`, as far as SIOCETHTOOL uses it.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    value: *mut Value,
    rest: [u8; 16],
}

const _: () = assert!(size_of::<Request>() == size_of::<libc::ifreq>());

/// Whether segments that come in by `interface` may be joined (`generic-receive-offload`).
///
/// # Errors
/// Whatever the kernel says, as where there is no such interface in the thread's namespace.
pub fn has_gro(interface: &str) -> io::Result<bool> {
    let mut value = Value {
        command: ETHTOOL_GGRO,
        data: 0,
    };
    let mut request = Request {
        name: [0; libc::IFNAMSIZ],
        value: &raw mut value,
        rest: [0; 16],
    };
    // The last byte stays 0.
    let name = &mut request.name[..libc::IFNAMSIZ - 1];
    name.iter_mut()
        .zip(interface.bytes())
        .for_each(|(to, from)| *to = from);
    // Sockets of every kind take it.
    let socket = UnixDatagram::unbound()?;
    // SAFETY: SIOCETHTOOL reads and writes one ifreq, whose size is asserted above, and behind its
    // pointer the value that ETHTOOL_GGRO fills; both are live.
    match unsafe { ioctl_with_mut_ref(&socket, SIOCETHTOOL, &mut request) } {
        0.. => Ok(value.data != 0),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_there_is_says_and_another_does_not() {
        // What it says is its user's matter.
        assert!(has_gro("lo").is_ok());
        let error = has_gro("fifteen-letters-and-more").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
