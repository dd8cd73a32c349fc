//! The device as the supervisor holds it: whatever its driver hosts do, it can stop it and lend
//! it again.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use virtio::DmaRegion;
use virtio::mem::Iova;
use virtio::transport::vfio::Held;
use virtio::transport::{LentMemory, TransportError};
use vmm_sys_util::eventfd::EventFd;

use crate::channel::DeviceSetup;

/// Interrupts a driver has use for: configuration, and one a queue.
const VECTORS: u16 = 3;
/// The most memory that a host may ask for.
const MAX_MEMORY: usize = 1 << 30;

/// One device.
pub(super) enum Holding {
    /// A PCI card through VFIO.
    Vfio(Box<HeldCard>),
    /// A back end that listens on a socket.
    BackEnd {
        /// Its name.
        name: String,
        /// The socket.
        socket: PathBuf,
        /// The address to have.
        mac: Option<[u8; 6]>,
    },
    /// A device that is part of each host.
    InProcess {
        /// Its name.
        name: String,
    },
}

/// A card with what was lent of it.
pub(super) struct HeldCard {
    held: Held,
    removal: Option<EventFd>,
    /// The device and its interrupts, the same for every host.
    lent: Vec<OwnedFd>,
}

/// What a host gets with its set-up.
pub(super) struct Lending<'a> {
    pub(super) setup: DeviceSetup,
    pub(super) fds: Vec<BorrowedFd<'a>>,
}

impl Holding {
    /// Opens the card that vfio-pci has at `address`.
    pub(super) fn vfio(address: &str) -> Result<Self, TransportError> {
        let mut held = Held::open(address)?;
        let removal = held.removal_request();
        let loan = held.lend(VECTORS)?;
        let lent = std::iter::once(loan.device).chain(loan.events).collect();
        Ok(Self::Vfio(Box::new(HeldCard {
            held,
            removal,
            lent,
        })))
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Vfio(card) => card.held.name(),
            Self::BackEnd { name, .. } | Self::InProcess { name } => name,
        }
    }

    /// Fires when the system wants the device back.
    pub(super) fn removal(&self) -> Option<&EventFd> {
        match self {
            Self::Vfio(card) => card.removal.as_ref(),
            _ => None,
        }
    }

    /// What a host is to be built from.
    pub(super) fn lend(&self) -> Lending<'_> {
        match self {
            Self::Vfio(card) => Lending {
                setup: DeviceSetup::Vfio {
                    name: card.held.name().to_owned(),
                    vectors: card.lent.len() - 1,
                },
                fds: card.lent.iter().map(OwnedFd::as_fd).collect(),
            },
            Self::BackEnd { name, mac, .. } => Lending {
                setup: DeviceSetup::VhostUser {
                    name: name.clone(),
                    mac: *mac,
                },
                fds: Vec::new(),
            },
            Self::InProcess { name } => Lending {
                setup: DeviceSetup::InProcess { name: name.clone() },
                fds: Vec::new(),
            },
        }
    }

    /// Memory for the host that drives the device. What is no card gets fresh memory every time:
    /// a back end that does not stop at once writes to what nobody looks at any more.
    pub(super) fn lend_memory(&mut self, len: usize) -> Result<LentMemory, String> {
        if len > MAX_MEMORY {
            return Err(format!("{len} bytes are more than a device needs"));
        }
        match self {
            Self::Vfio(card) => card.held.lend_memory(len).map_err(|e| e.to_string()),
            Self::BackEnd { .. } | Self::InProcess { .. } => fresh(len).map_err(|e| e.to_string()),
        }
    }

    /// A connection for the host that drives the device.
    pub(super) fn connect(&self) -> Result<UnixStream, String> {
        let Self::BackEnd { socket, .. } = self else {
            return Err("there is no back end to connect to".to_owned());
        };
        let connected = UnixStream::connect(socket).and_then(|stream| {
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        connected.map_err(|error| error.to_string())
    }

    /// Stops the device after its host is dead. A back end has seen the connection's end.
    pub(super) fn stop(&self) -> Result<(), TransportError> {
        match self {
            Self::Vfio(card) => card.held.stop_device(),
            Self::BackEnd { .. } | Self::InProcess { .. } => Ok(()),
        }
    }
}

fn fresh(len: usize) -> io::Result<LentMemory> {
    let region = DmaRegion::new(len)?;
    let file: File = region.file().try_clone()?;
    Ok(LentMemory {
        file,
        len: region.len(),
        iova: Iova(0),
    })
}
