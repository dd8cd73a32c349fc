//! A TAP interface as system port: an ordinary Ethernet interface whose other
//! end is a file. Checksum and segmentation offloads travel both ways in a
//! virtio header in front of every frame.
//!
//! Only what needs the descriptor is done here; addresses, MTU, MAC and
//! up/down belong to the control plane.

mod error;
mod sys;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use vm_memory::{Bytes, ReadVolatile, VolatileMemoryError, WriteVolatile};

use super::vnet;
use crate::buffer_pool::SystemBuffer;
use crate::port::{Indicator, PortOffloads, PortQueue, RxFrame, SystemPort, TxFrame};
pub use error::TapError;
use error::failed;

const DEVICE: &str = "/dev/net/tun";

const TUN_F_CSUM: u32 = 0x01;
const TUN_F_TSO4: u32 = 0x02;
const TUN_F_TSO6: u32 = 0x04;
const TUN_F_TSO_ECN: u32 = 0x08;
const TUN_F_USO4: u32 = 0x20;
const TUN_F_USO6: u32 = 0x40;

/// Which TAP to open and how.
#[derive(Clone, Debug)]
pub struct TapConfig {
    /// Name of the interface, 1 to 15 bytes.
    pub name: String,
    /// Queues; more than one makes a multi-queue interface.
    pub queues: usize,
    /// An interface of that name may exist already, if it is a TAP nobody uses.
    pub attach: bool,
}

impl TapConfig {
    /// A new interface with one queue.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            queues: 1,
            attach: false,
        }
    }
}

/// A TAP interface. It goes away with the last descriptor unless it was made
/// persistent.
pub struct Tap {
    name: String,
    queues: Vec<Arc<File>>,
    uso: bool,
}

impl Tap {
    /// Opens or creates the interface. Its carrier is off.
    ///
    /// # Errors
    /// A name that is wrong or taken, a missing driver, missing permission.
    /// Nothing is left behind.
    pub fn open(config: &TapConfig) -> Result<Self, TapError> {
        check_name(&config.name)?;
        let exists = Path::new("/sys/class/net").join(&config.name).exists();
        if exists && !config.attach {
            return Err(TapError::Exists {
                name: config.name.clone(),
            });
        }
        let count = config.queues.max(1);
        let queues = match open_queues(&config.name, count, count > 1) {
            // It is there already, and stays as it was made: for several queues, or for one.
            Err(TapError::Exists { .. }) if config.attach => {
                open_queues(&config.name, 1, count == 1)
            }
            opened => opened,
        };
        Self::configure(config.name.clone(), queues?)
    }

    /// Takes over descriptors that are attached to an interface already, one
    /// per queue.
    ///
    /// # Errors
    /// Descriptors that are no TAP with virtio headers, or none at all.
    pub fn from_fds(name: &str, fds: Vec<OwnedFd>) -> Result<Self, TapError> {
        let queues: Vec<Arc<File>> = fds.into_iter().map(|fd| Arc::new(File::from(fd))).collect();
        Self::configure(name.to_owned(), queues)
    }

    /// A TAP that another process has opened or taken over, and goes on looking after: nothing is
    /// done to the interface here. `uso` is what that process knows of it, see [`Tap::has_uso`].
    pub fn attached(name: &str, fds: Vec<OwnedFd>, uso: bool) -> Self {
        let queues = fds.into_iter().map(|fd| Arc::new(File::from(fd)));
        Self {
            name: name.to_owned(),
            queues: queues.collect(),
            uso,
        }
    }

    /// Whether the interface has UDP segmentation.
    pub fn has_uso(&self) -> bool {
        self.uso
    }

    fn configure(name: String, queues: Vec<Arc<File>>) -> Result<Self, TapError> {
        if queues.is_empty() {
            let source = io::ErrorKind::InvalidInput.into();
            return Err(TapError::System {
                name,
                operation: "find a queue",
                source,
            });
        }
        for queue in &queues {
            let shaped = sys::set_header_length(queue, vnet::HEADER_LENGTH)
                .and_then(|()| sys::set_little_endian(queue));
            shaped.map_err(|error| failed(&name, "set the virtio header", error))?;
        }
        let mut tap = Self {
            name,
            queues,
            uso: false,
        };
        tap.uso = tap.probe_uso();
        tap.set(|file| sys::set_offloads(file, 0), "set offloads")?;
        tap.set(|file| sys::set_carrier(file, false), "set the carrier")?;
        Ok(tap)
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the interface outlives this process.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn set_persistent(&mut self, persistent: bool) -> Result<(), TapError> {
        self.set(
            |file| sys::set_persistent(file, persistent),
            "set persistence",
        )
    }

    /// The descriptors, one per queue.
    pub fn fds(&self) -> Vec<RawFd> {
        self.queues.iter().map(|queue| queue.as_raw_fd()).collect()
    }

    /// The same for as long as the TAP lives.
    pub fn queues(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.queues.iter().map(|queue| queue.as_fd())
    }

    /// Has the interface use its first `count` queues only, at least one: it gives frames to the
    /// others no more, and loses what waits in them. All stay open, to be used again.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn use_queues(&mut self, count: usize) -> Result<(), TapError> {
        if self.queues.len() < 2 {
            return Ok(());
        }
        for (index, queue) in self.queues.iter().enumerate() {
            let used = index < count.max(1);
            let set = sys::set_attached(queue, used);
            set.map_err(|error| failed(&self.name, "choose its queues", error))?;
        }
        Ok(())
    }

    /// UDP segmentation came with Linux 6.2; older kernels refuse its bits.
    fn probe_uso(&self) -> bool {
        let bits = TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6;
        sys::set_offloads(&self.queues[0], bits).is_ok()
    }

    /// What belongs to the interface is set through its first queue.
    fn set(
        &self,
        call: impl FnOnce(&File) -> io::Result<()>,
        operation: &'static str,
    ) -> Result<(), TapError> {
        call(&self.queues[0]).map_err(|error| failed(&self.name, operation, error))
    }

    fn offloads(&self) -> PortOffloads {
        PortOffloads {
            uso: self.uso,
            ..PortOffloads::ALL
        }
    }
}

fn check_name(name: &str) -> Result<(), TapError> {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "/:%".contains(c);
    let length = (1..=sys::NAME_LENGTH).contains(&name.len());
    if !length || name == "." || name == ".." || name.contains(forbidden) {
        return Err(TapError::InvalidName {
            name: name.to_owned(),
        });
    }
    Ok(())
}

fn open_queues(name: &str, count: usize, multi_queue: bool) -> Result<Vec<Arc<File>>, TapError> {
    let open = |_| open_queue(name, multi_queue).map(Arc::new);
    (0..count).map(open).collect()
}

fn open_queue(name: &str, multi_queue: bool) -> Result<File, TapError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK);
    let file = options
        .open(DEVICE)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TapError::NoDevice,
            _ => failed(name, "open /dev/net/tun", error),
        })?;
    let attached = sys::set_interface(&file, name, multi_queue);
    attached.map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => TapError::Busy {
            name: name.to_owned(),
        },
        // The name belongs to an interface of another kind, or to a TAP that
        // was made with other flags.
        Some(libc::EINVAL | libc::EEXIST) => TapError::Exists {
            name: name.to_owned(),
        },
        _ => failed(name, "create the interface", error),
    })?;
    Ok(file)
}

impl SystemPort for Tap {
    fn max_queues(&self) -> usize {
        self.queues.len()
    }

    fn rx_offloads(&self) -> PortOffloads {
        self.offloads()
    }

    fn tx_offloads(&self) -> PortOffloads {
        self.offloads()
    }

    fn set_tx_offloads(&mut self, offloads: PortOffloads) -> io::Result<()> {
        sys::set_offloads(&self.queues[0], offload_bits(offloads))
    }

    fn open_queues(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        let queue = |file: &Arc<File>| Box::new(TapQueue(file.clone())) as Box<dyn PortQueue>;
        Ok(self.queues.iter().take(count).map(queue).collect())
    }

    fn open_indicators(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        // Further queues of the interface would not do: the kernel would give
        // them frames to send, which nobody would fetch.
        let indicator = |_| Box::new(Indicator(TapQueue(self.queues[0].clone()))) as Box<_>;
        Ok((0..count).map(indicator).collect())
    }

    fn set_link_state(&mut self, up: bool) -> io::Result<()> {
        sys::set_carrier(&self.queues[0], up)
    }
}

/// TUN_F_ bits. Segmentation without checksums makes no sense to the kernel.
fn offload_bits(offloads: PortOffloads) -> u32 {
    let bit = |wanted: bool, bits: u32| if wanted { bits } else { 0 };
    let large = bit(offloads.tso4, TUN_F_TSO4)
        | bit(offloads.tso6, TUN_F_TSO6)
        | bit(
            offloads.tso_ecn && (offloads.tso4 || offloads.tso6),
            TUN_F_TSO_ECN,
        )
        | bit(offloads.uso, TUN_F_USO4 | TUN_F_USO6);
    bit(offloads.checksum, TUN_F_CSUM | large)
}

/// One queue of a TAP: one system call per frame.
struct TapQueue(Arc<File>);

impl PortQueue for TapQueue {
    fn poll_fd(&self) -> Option<RawFd> {
        Some(self.0.as_raw_fd())
    }

    fn transmit(&mut self, buffer: &SystemBuffer<'_>) -> io::Result<Option<TxFrame>> {
        let mut area = buffer.with_header(vnet::HEADER_LENGTH);
        let read = match self.0.as_ref().read_volatile(&mut area) {
            Ok(read) => read,
            Err(error) => return nothing_or(into_io(error)),
        };
        let mut header = [0; vnet::HEADER_LENGTH];
        let head = area.read_slice(&mut header, 0);
        head.map_err(|_| io::ErrorKind::InvalidData)?;
        // A frame that did not fit fills the spare byte as well, and so is
        // longer than the buffer's capacity.
        Ok(Some(TxFrame {
            length: read.saturating_sub(vnet::HEADER_LENGTH),
            partial: vnet::decode(header),
        }))
    }

    fn indicate(&mut self, frame: &RxFrame<'_>) -> io::Result<()> {
        let header = vnet::encode(frame.partial());
        let mut parts = frame.fragments(vnet::HEADER_LENGTH);
        let first = parts.next().ok_or(io::ErrorKind::InvalidData)?;
        let placed = first.write_slice(&header, 0);
        placed.map_err(|_| io::ErrorKind::InvalidData)?;
        if frame.fragment_count() == 1 {
            self.0.as_ref().write_volatile(&first).map_err(into_io)?;
        } else {
            sys::write_gathered(&self.0, std::iter::once(first).chain(parts))?;
        }
        Ok(())
    }
}

/// No frame waiting is no error; an interrupted read is tried again by the
/// next turn.
fn nothing_or(error: io::Error) -> io::Result<Option<TxFrame>> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(None),
        _ => Err(error),
    }
}

fn into_io(error: VolatileMemoryError) -> io::Error {
    match error {
        VolatileMemoryError::IOError(error) => error,
        _ => io::ErrorKind::InvalidInput.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_names_are_refused_before_anything_is_opened() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a:b",
            "tap%d",
            "sixteen-letters-",
        ] {
            let refused = check_name(name);
            assert!(
                matches!(refused, Err(TapError::InvalidName { .. })),
                "{name:?}"
            );
        }
        for name in ["t", "fifteen-letters", "eth0.5"] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn existing_interface_is_not_taken_unasked() {
        let refused = Tap::open(&TapConfig::new("lo"));
        assert!(matches!(refused, Err(TapError::Exists { .. })));
    }

    #[test]
    fn offload_bits_need_checksums() {
        let without = PortOffloads {
            checksum: false,
            ..PortOffloads::ALL
        };
        assert_eq!(offload_bits(without), 0);
        assert_eq!(offload_bits(PortOffloads::ALL), 0x6f);
        let ecn_alone = PortOffloads {
            checksum: true,
            tso_ecn: true,
            ..Default::default()
        };
        assert_eq!(offload_bits(ecn_alone), TUN_F_CSUM);
    }
}
