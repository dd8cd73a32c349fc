//! Writes what passes a link into a capture file.

use std::fmt;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Frame, Link, Waker};

/// A link that passes everything on to another one and writes each frame, in the order in
/// which the device saw it, as a classic capture file with nanoseconds.
///
/// Frames stand in the file as they were on the ring: a partial checksum is still partial.
/// A file that cannot be written any more ends the capture, not the traffic.
pub struct PcapWriter<L, W> {
    inner: L,
    file: Option<W>,
}

impl<L: Link, W: Write + Send> PcapWriter<L, W> {
    /// Begins a capture of what passes `inner`.
    ///
    /// # Errors
    /// What `file` answers to the first write.
    pub fn new(inner: L, mut file: W) -> io::Result<Self> {
        file.write_all(&file_header())?;
        Ok(Self {
            inner,
            file: Some(file),
        })
    }

    fn record(&mut self, frame: &Frame) {
        let Some(file) = &mut self.file else { return };
        let written = write_record(file, frame.payload(), SystemTime::now());
        if let Err(e) = written {
            log::warn!("capture ends: {e}");
            self.file = None;
        }
    }
}

impl<L: fmt::Debug, W> fmt::Debug for PcapWriter<L, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PcapWriter")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<L: Link, W: Write + Send> Link for PcapWriter<L, W> {
    fn attach(&mut self, waker: Waker) {
        self.inner.attach(waker);
    }

    fn send(&mut self, frame: &Frame) {
        self.record(frame);
        self.inner.send(frame);
    }

    fn receive(&mut self, frame: &mut Frame) -> bool {
        let received = self.inner.receive(frame);
        if received {
            self.record(frame);
        }
        received
    }
}

const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const SNAP_LEN: u32 = 262_144;
const LINKTYPE_ETHERNET: u32 = 1;

fn file_header() -> [u8; 24] {
    let mut header = [0; 24];
    header[0..4].copy_from_slice(&MAGIC_NANOSECONDS.to_le_bytes());
    header[4..6].copy_from_slice(&2u16.to_le_bytes());
    header[6..8].copy_from_slice(&4u16.to_le_bytes());
    header[16..20].copy_from_slice(&SNAP_LEN.to_le_bytes());
    header[20..24].copy_from_slice(&LINKTYPE_ETHERNET.to_le_bytes());
    header
}

fn write_record(file: &mut impl Write, frame: &[u8], at: SystemTime) -> io::Result<()> {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let len = frame.len() as u32;
    let mut record = [0; 16];
    record[0..4].copy_from_slice(&(since.as_secs() as u32).to_le_bytes());
    record[4..8].copy_from_slice(&since.subsec_nanos().to_le_bytes());
    record[8..12].copy_from_slice(&len.to_le_bytes());
    record[12..16].copy_from_slice(&len.to_le_bytes());
    file.write_all(&record)?;
    file.write_all(frame)
}

#[cfg(test)]
mod tests {
    use super::super::Port;
    use super::*;
    use std::time::Duration;

    #[test]
    fn both_directions_are_written_and_passed_on() {
        let port = Port::default();
        let mut pcap = PcapWriter::new(port.clone(), Vec::new()).unwrap();
        pcap.send(&Frame::plain(b"out"));
        port.inject(&Frame::plain(b"in"));
        let mut frame = Frame::default();
        assert!(pcap.receive(&mut frame));
        assert!(!pcap.receive(&mut frame));
        assert_eq!(port.take_sent(), Some(Frame::plain(b"out")));
        let file = pcap.file.unwrap();
        assert_eq!(file.len(), 24 + 16 + 3 + 16 + 2);
        assert_eq!(&file[40..43], b"out");
        assert_eq!(&file[59..61], b"in");
    }

    #[test]
    fn a_record_carries_time_and_length() {
        let mut file = Vec::new();
        let at = UNIX_EPOCH + Duration::new(0x0102_0304, 7);
        write_record(&mut file, &[9; 5], at).unwrap();
        assert_eq!(file[..16], [4, 3, 2, 1, 7, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0]);
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() == 24 {
                Ok(24)
            } else {
                Err(io::ErrorKind::StorageFull.into())
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_ends_the_capture_and_not_the_traffic() {
        let port = Port::default();
        let mut pcap = PcapWriter::new(port.clone(), Full).unwrap();
        pcap.send(&Frame::plain(b"one"));
        assert!(pcap.file.is_none());
        assert!(port.take_sent().is_some());
    }
}
