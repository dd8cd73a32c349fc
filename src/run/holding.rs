//! The device as the supervisor holds it: whatever its driver hosts do, it can stop it and lend
//! it again.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use virtio::DmaRegion;
use virtio::mem::Iova;
use virtio::transport::vfio::{Held, Kept, VfioParts};
use virtio::transport::{LentMemory, TransportError};
use vmm_sys_util::eventfd::EventFd;

use crate::card::MAX_QUEUE_PAIRS;
use crate::channel::DeviceSetup;

/// What is told of a device to another program; its descriptors come beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum HeldState {
    /// Descriptors: container, device, group if there is one, memory if there is any, interrupts.
    Vfio {
        address: String,
        group: bool,
        /// Length and device address.
        memory: Option<(usize, u64)>,
        events: usize,
    },
    BackEnd {
        name: String,
        socket: PathBuf,
        mac: Option<[u8; 6]>,
    },
    InProcess {
        name: String,
    },
}

impl HeldState {
    pub(super) fn descriptor_count(&self) -> usize {
        match self {
            Self::Vfio {
                group,
                memory,
                events,
                ..
            } => 2 + usize::from(*group) + usize::from(memory.is_some()) + events,
            Self::BackEnd { .. } | Self::InProcess { .. } => 0,
        }
    }
}

/// Interrupts a driver has use for: configuration, and one a queue.
const VECTORS: u16 = 1 + 2 * MAX_QUEUE_PAIRS;
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
        Self::of(Held::open(address)?)
    }

    fn of(mut held: Held) -> Result<Self, TransportError> {
        let removal = held.removal_request();
        let loan = held.lend(VECTORS)?;
        let lent = std::iter::once(loan.device).chain(loan.events).collect();
        Ok(Self::Vfio(Box::new(HeldCard {
            held,
            removal,
            lent,
        })))
    }

    /// What another program needs to hold the device instead of this one.
    pub(super) fn keep(&self) -> io::Result<(HeldState, Vec<OwnedFd>)> {
        match self {
            Self::Vfio(card) => card.held.keep().map(vfio_state),
            Self::BackEnd { name, socket, mac } => {
                let (name, socket, mac) = (name.clone(), socket.clone(), *mac);
                Ok((HeldState::BackEnd { name, socket, mac }, Vec::new()))
            }
            Self::InProcess { name } => {
                let name = name.clone();
                Ok((HeldState::InProcess { name }, Vec::new()))
            }
        }
    }

    /// The device from what another program has kept; it may be running.
    pub(super) fn resume(state: HeldState, fds: Vec<OwnedFd>) -> Result<Self, TransportError> {
        match state {
            HeldState::BackEnd { name, socket, mac } => Ok(Self::BackEnd { name, socket, mac }),
            HeldState::InProcess { name } => Ok(Self::InProcess { name }),
            HeldState::Vfio {
                address,
                group,
                memory,
                ..
            } => Self::of(Held::resume(vfio_kept(address, group, memory, fds)?)?),
        }
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

    /// Length and device address of the memory that stays lent from host to host.
    pub(super) fn memory(&self) -> Option<(usize, u64)> {
        match self {
            Self::Vfio(card) => card.held.memory(),
            Self::BackEnd { .. } | Self::InProcess { .. } => None,
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

fn vfio_state(kept: Kept) -> (HeldState, Vec<OwnedFd>) {
    let state = HeldState::Vfio {
        address: kept.parts.address,
        group: kept.parts.group.is_some(),
        memory: kept
            .memory
            .as_ref()
            .map(|memory| (memory.len, memory.iova.0)),
        events: kept.events.len(),
    };
    let mut fds = vec![kept.parts.container, kept.parts.device];
    fds.extend(kept.parts.group);
    fds.extend(kept.memory.map(|memory| OwnedFd::from(memory.file)));
    fds.extend(kept.events);
    (state, fds)
}

fn vfio_kept(
    address: String,
    group: bool,
    memory: Option<(usize, u64)>,
    fds: Vec<OwnedFd>,
) -> Result<Kept, TransportError> {
    let mut fds = fds.into_iter();
    let mut next = || {
        fds.next().ok_or_else(|| TransportError::Unusable {
            device: address.clone(),
            reason: "descriptors are missing".to_owned(),
        })
    };
    let (container, device) = (next()?, next()?);
    let group = group.then(&mut next).transpose()?;
    let memory = memory.map(|(len, iova)| {
        Ok::<_, TransportError>(LentMemory {
            file: File::from(next()?),
            len,
            iova: Iova(iova),
        })
    });
    let memory = memory.transpose()?;
    let parts = VfioParts {
        address,
        container,
        group,
        device,
    };
    Ok(Kept {
        parts,
        events: fds.collect(),
        memory,
    })
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
