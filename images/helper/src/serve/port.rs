//! The device end of the protocol: a virtio-serial port, or any other character device.

use guest_runner::protocol::PORT_NAME;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a port without a host side is left alone before the next look.
const NOBODY_THERE: Duration = Duration::from_millis(20);

/// Opens `device`, or else the port that the harness named.
pub(super) fn open(device: Option<String>) -> io::Result<(BufReader<Port>, File)> {
    let path = match device {
        Some(path) => PathBuf::from(path),
        None => find(Path::new("/sys/class/virtio-ports"))?,
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok((BufReader::new(Port(file.try_clone()?)), file))
}

/// Without udev nobody makes links by name, so the class directory is searched.
fn find(class: &Path) -> io::Result<PathBuf> {
    for entry in std::fs::read_dir(class)? {
        let entry = entry?;
        let name = std::fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim() == PORT_NAME {
            return Ok(Path::new("/dev").join(entry.file_name()));
        }
    }
    let why = format!("{} holds no port named {PORT_NAME}", class.display());
    Err(io::Error::new(io::ErrorKind::NotFound, why))
}

/// A port reads as empty while nobody holds its host side; for the session that is a pause, no end.
pub(super) struct Port(File);

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer)? {
                0 => std::thread::sleep(NOBODY_THERE),
                len => return Ok(len),
            }
        }
    }
}
