//! What an intruder finds in a host that was careless about what it kept.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};

/// Found before the cage was entered: more than a host of umnet ever has.
pub(crate) struct Ground {
    root: File,
    null: File,
    tun: Option<File>,
    namespace: File,
    program: OwnedFd,
    /// The process that started this one: the supervisor's part.
    pub(crate) parent: usize,
    /// Somewhere in its memory.
    pub(crate) parent_memory: usize,
    /// Another host, of the same uid.
    pub(crate) sibling: usize,
}

impl Ground {
    /// Opens all of it.
    pub(crate) fn new([parent, parent_memory, sibling]: [usize; 3]) -> std::io::Result<Self> {
        let program = memfd_create("program", MemfdFlags::CLOEXEC)?;
        File::from(program.try_clone()?).write_all(&program_that_ends())?;
        Ok(Self {
            root: File::open("/")?,
            null: File::open("/dev/null")?,
            tun: File::options()
                .read(true)
                .write(true)
                .open("/dev/net/tun")
                .ok(),
            namespace: File::open(format!("/proc/{parent}/ns/net"))?,
            program,
            parent,
            parent_memory,
            sibling,
        })
    }

    /// The machine's root folder.
    pub(crate) fn root(&self) -> usize {
        number(&self.root)
    }

    /// Some device.
    pub(crate) fn null(&self) -> usize {
        number(&self.null)
    }

    /// The maker of TAP interfaces; none is a descriptor that there is not.
    pub(crate) fn tun(&self) -> usize {
        self.tun.as_ref().map_or(usize::MAX, number)
    }

    /// The machine's network namespace.
    pub(crate) fn namespace(&self) -> usize {
        number(&self.namespace)
    }

    /// A program in memory.
    pub(crate) fn program(&self) -> usize {
        number(&self.program)
    }
}

fn number(file: &impl AsRawFd) -> usize {
    file.as_raw_fd().unsigned_abs() as usize
}

/// An ELF file that needs nothing around it: it ends with success.
fn program_that_ends() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    // mov eax, exit_group; xor edi, edi; syscall
    const CODE: [u8; 9] = [0xb8, 231, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05];
    let size = HEADERS + CODE.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for field in [BASE + HEADERS, 64, 0] {
        file.extend(field.to_le_bytes());
    }
    // No flags; sizes and numbers of headers; no sections.
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    // One segment to load, readable and executable: the whole file.
    file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for field in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(field.to_le_bytes());
    }
    file.extend(CODE);
    file
}
