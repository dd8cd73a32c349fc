//! Writes cpio archives in the "newc" format, as the kernel unpacks them at boot
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::{self, Write};

/// Type bits of a regular file in a cpio mode.
const REGULAR: u32 = 0o100_000;
/// Type bits of a folder.
const FOLDER: u32 = 0o040_000;
/// Name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// An archive being written.
pub(crate) struct Archive<W> {
    out: W,
    last_inode: u32,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, last_inode: 0 }
    }

    /// Adds a regular file of root's; its folder has to exist in this or an earlier archive.
    pub(crate) fn file(&mut self, name: &str, permissions: u32, content: &[u8]) -> io::Result<()> {
        self.entry(name, REGULAR | permissions, content)
    }

    /// Adds a folder of root's.
    pub(crate) fn folder(&mut self, name: &str) -> io::Result<()> {
        self.entry(name, FOLDER | 0o755, &[])
    }

    /// Ends the archive. More archives may follow in the same stream.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.entry(TRAILER, 0, &[])?;
        Ok(self.out)
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.last_inode += 1;
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
        // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name, checksum
        let fields = [
            self.last_inode,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            0,
            0,
            name_size,
            0,
        ];
        let mut header = String::from("070701");
        fields
            .iter()
            .for_each(|field| header += &format!("{field:08X}"));
        header = header + name + "\0";
        self.padded(header.as_bytes())?;
        self.padded(content)
    }

    /// Name and content each end on a multiple of four bytes.
    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out
            .write_all(&[0; 3][..bytes.len().next_multiple_of(4) - bytes.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_the_trailer_ends_them() {
        let mut archive = Archive::new(Vec::new());
        archive.file("bin/a", 0o755, b"12345").unwrap();
        let bytes = archive.finish().unwrap();
        let header = "07070100000001000081ED0000000000000000000000010000000000000005\
                      00000000000000000000000000000000000000060000000\
                      0";
        assert_eq!(&bytes[..110], header.as_bytes());
        assert_eq!(&bytes[110..124], b"bin/a\x0012345\0\0\0");
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(&bytes[124..130], b"070701");
        assert!(
            bytes
                .windows(TRAILER.len())
                .any(|window| window == TRAILER.as_bytes())
        );
    }
}
