//! Where the extensions of a ring's elements lie.
//!
//! Fixed when the adapter starts and equal for all its queues: the core
//! element first, then the extensions by falling alignment, the stride rounded
//! up to 8.

use crate::abi::{
    NetExtensionType, NetFragment, NetPacket, NetPacketChecksum, NetPacketGso, NetPacketHash,
    NetPacketIeee8021Q, NetPacketPartialChecksum, NetPacketRsc, NetPacketRscTimestamp,
};

/// Name of the private extension.
pub(crate) const PARTIAL_CHECKSUM: &str = "umnet_packet_partial_checksum";

/// Where every fragment element has `ms_fragment_virtualaddress`.
pub(crate) const VIRTUAL_ADDRESS: u32 = size_of::<NetFragment>() as u32;

/// What the adapter's capabilities ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `ms_packet_checksum`: Tx or Rx checksum capabilities were set.
    pub checksum: bool,
    /// `ms_packet_gso`: GSO capabilities were set.
    pub gso: bool,
    /// `ms_packet_rsc`: RSC capabilities were set.
    pub rsc: bool,
    /// `ms_packet_rsc_timestamp`: RSC capabilities name the timestamp option.
    pub rsc_timestamp: bool,
    /// `ms_packet_ieee8021q`: 802.1Q tag capabilities were set.
    pub ieee8021q: bool,
    /// `ms_packet_hash`: receive scaling capabilities were set.
    pub hash: bool,
}

/// One extension that has a place in the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
    pub(crate) kind: NetExtensionType,
    pub(crate) offset: u32,
}

/// The extensions of one ring; `None` in an offset means absent.
#[derive(Clone, Debug, Default)]
pub(crate) struct ElementLayout {
    pub(crate) stride: u16,
    placed: Vec<Placed>,
    pub(crate) checksum: Option<u32>,
    pub(crate) gso: Option<u32>,
    pub(crate) rsc: Option<u32>,
    pub(crate) ieee8021q: Option<u32>,
    pub(crate) hash: Option<u32>,
    pub(crate) partial: Option<u32>,
}

/// Name, version, size and alignment of an extension.
type Spec = (&'static str, u32, usize, usize);

impl ElementLayout {
    /// Layout of packet elements.
    pub(crate) fn packets(wanted: Extensions) -> Self {
        let all: [(bool, Spec); 8] = [
            (
                true,
                spec::<NetPacketPartialChecksum>(PARTIAL_CHECKSUM, 1, 4),
            ),
            // Registered always, though nobody declares it.
            (true, spec::<u32>("ms_packet_lso", 1, 4)),
            (wanted.gso, spec::<NetPacketGso>("ms_packet_gso", 1, 4)),
            (wanted.rsc, spec::<NetPacketRsc>("ms_packet_rsc", 2, 4)),
            (
                wanted.rsc_timestamp,
                spec::<NetPacketRscTimestamp>("ms_packet_rsc_timestamp", 1, 4),
            ),
            (
                wanted.ieee8021q,
                spec::<NetPacketIeee8021Q>("ms_packet_ieee8021q", 1, 4),
            ),
            (wanted.hash, spec::<NetPacketHash>("ms_packet_hash", 1, 4)),
            (
                wanted.checksum,
                spec::<NetPacketChecksum>("ms_packet_checksum", 1, 1),
            ),
        ];
        let specs = all
            .into_iter()
            .filter_map(|(wanted, spec)| wanted.then_some(spec));
        Self::place(size_of::<NetPacket>(), NetExtensionType::PACKET, specs)
    }

    /// Layout of fragment elements.
    pub(crate) fn fragments() -> Self {
        let specs = [spec::<u64>("ms_fragment_virtualaddress", 1, 8)];
        Self::place(size_of::<NetFragment>(), NetExtensionType::FRAGMENT, specs)
    }

    fn place(core: usize, kind: NetExtensionType, specs: impl IntoIterator<Item = Spec>) -> Self {
        let mut specs: Vec<Spec> = specs.into_iter().collect();
        specs.sort_by_key(|spec| std::cmp::Reverse(spec.3));
        let mut layout = Self::default();
        let mut end = core;
        for (name, version, size, alignment) in specs {
            let offset = end.next_multiple_of(alignment);
            layout.note(Placed {
                name,
                version,
                kind,
                offset: offset as u32,
            });
            end = offset + size;
        }
        layout.stride = end.next_multiple_of(8) as u16;
        layout
    }

    fn note(&mut self, placed: Placed) {
        let slot = match placed.name {
            "ms_packet_checksum" => &mut self.checksum,
            "ms_packet_gso" => &mut self.gso,
            "ms_packet_rsc" => &mut self.rsc,
            "ms_packet_ieee8021q" => &mut self.ieee8021q,
            "ms_packet_hash" => &mut self.hash,
            PARTIAL_CHECKSUM => &mut self.partial,
            _ => return self.placed.push(placed),
        };
        *slot = Some(placed.offset);
        self.placed.push(placed);
    }

    /// What a C client's query finds: the name, the type, a version not below
    /// the one asked for. The private extension is never found.
    pub(crate) fn query(&self, name: &str, version: u32, kind: NetExtensionType) -> Option<u32> {
        let found = self.placed.iter().find(|placed| {
            placed.name == name
                && placed.name.starts_with("ms_")
                && placed.kind == kind
                && placed.version >= version
        });
        found.map(|placed| placed.offset)
    }
}

fn spec<T>(name: &'static str, version: u32, alignment: usize) -> Spec {
    (name, version, size_of::<T>(), alignment)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Extensions = Extensions {
        checksum: true,
        gso: true,
        rsc: true,
        rsc_timestamp: false,
        ieee8021q: false,
        hash: false,
    };

    #[test]
    fn extensions_follow_the_core_element_without_overlap() {
        let layout = ElementLayout::packets(ALL);
        assert_eq!(layout.partial, Some(12));
        assert_eq!(layout.gso, Some(28), "behind the undeclared ms_packet_lso");
        assert_eq!(layout.rsc, Some(32));
        assert_eq!(layout.checksum, Some(36), "bytes come last");
        assert_eq!(layout.stride, 40);
    }

    #[test]
    fn unwanted_extensions_take_no_room() {
        let layout = ElementLayout::packets(Extensions::default());
        assert_eq!(
            (layout.checksum, layout.gso, layout.rsc),
            (None, None, None)
        );
        assert_eq!(layout.stride, 32);
    }

    #[test]
    fn query_matches_name_type_and_minimal_version() {
        let layout = ElementLayout::packets(ALL);
        let packet = NetExtensionType::PACKET;
        assert!(layout.query("ms_packet_rsc", 1, packet).is_some());
        assert!(layout.query("ms_packet_rsc", 2, packet).is_some());
        assert!(layout.query("ms_packet_rsc", 3, packet).is_none());
        assert!(
            layout
                .query("ms_packet_rsc", 1, NetExtensionType::FRAGMENT)
                .is_none()
        );
        assert!(layout.query("ms_packet_lso", 1, packet).is_some());
        assert!(
            layout.query(PARTIAL_CHECKSUM, 1, packet).is_none(),
            "private"
        );
    }

    #[test]
    fn every_extension_has_a_place_of_its_own() {
        let everything = Extensions {
            rsc_timestamp: true,
            ieee8021q: true,
            hash: true,
            ..ALL
        };
        let layout = ElementLayout::packets(everything);
        let packet = NetExtensionType::PACKET;
        let mut offsets: Vec<u32> = [
            "ms_packet_lso",
            "ms_packet_gso",
            "ms_packet_rsc",
            "ms_packet_rsc_timestamp",
            "ms_packet_ieee8021q",
            "ms_packet_hash",
            "ms_packet_checksum",
        ]
        .map(|name| layout.query(name, 1, packet).expect(name))
        .to_vec();
        assert_eq!(layout.query("ms_packet_hash", 2, packet), None);
        offsets.dedup();
        assert_eq!(offsets, [24, 28, 32, 36, 40, 44, 52]);
        assert_eq!(layout.stride, 56);
    }

    #[test]
    fn fragments_always_have_a_virtual_address() {
        let layout = ElementLayout::fragments();
        let address = layout.query("ms_fragment_virtualaddress", 1, NetExtensionType::FRAGMENT);
        assert_eq!((address, layout.stride), (Some(VIRTUAL_ADDRESS), 16));
    }
}
