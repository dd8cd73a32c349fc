//! Where a C client finds the rings of a queue and the extensions in them.

use super::{ElementLayout, RingMemory};
use crate::abi::{NetExtension, NetExtensionType};

/// Address, stride and layout of one ring.
#[derive(Clone, Debug)]
struct Mapped {
    head: usize,
    elements: usize,
    stride: usize,
    layout: ElementLayout,
}

/// Addresses for clients that compute them themselves. They stay the same for
/// as long as the queue lives, and mean nothing afterwards.
#[derive(Clone, Debug)]
pub struct RingMap {
    packets: Mapped,
    fragments: Mapped,
}

impl Mapped {
    fn new(memory: &RingMemory, layout: &ElementLayout) -> Self {
        Self {
            head: memory.head_address(),
            elements: memory.elements_address(),
            stride: memory.stride() as usize,
            layout: layout.clone(),
        }
    }

    fn extension(&self, name: &str, version: u32, kind: NetExtensionType) -> Option<NetExtension> {
        let offset = self.layout.query(name, version, kind)?;
        Some(NetExtension {
            reserved: [self.elements + offset as usize, self.stride, 0, 0],
            enabled: 1,
        })
    }
}

impl RingMap {
    pub(super) fn new(
        (packets, packet_layout): (&RingMemory, &ElementLayout),
        (fragments, fragment_layout): (&RingMemory, &ElementLayout),
    ) -> Self {
        Self {
            packets: Mapped::new(packets, packet_layout),
            fragments: Mapped::new(fragments, fragment_layout),
        }
    }

    /// Addresses of the packet ring and of the fragment ring.
    pub fn rings(&self) -> [usize; 2] {
        [self.packets.head, self.fragments.head]
    }

    /// Where an extension of the given name and type lies, of at least the
    /// given version. Zeros if it is not registered, which is no error.
    pub fn extension(&self, name: &str, version: u32, kind: NetExtensionType) -> NetExtension {
        let packets = self.packets.extension(name, version, kind);
        packets
            .or_else(|| self.fragments.extension(name, version, kind))
            .unwrap_or_default()
    }
}
