//! NET_RINGs as the client driver sees them.
//!
//! ```text
//!      Begin            Next             End
//!        v               v                v
//!  ......[---- drain ----|----- post -----)......
//!   OS     given to the     not yet given    OS
//!          device           to the device
//! ```
//!
//! `[Begin, End)` belongs to the client, the rest to the framework; the client
//! moves Begin, the framework moves End, Next is the client's own. Rings are
//! lent to the client for one call at a time, as views with per-element
//! access: no reference ever points into ring memory.

mod element;
mod map;
mod memory;
mod run;
mod set;
mod watch;

use vm_memory::VolatileSlice;

use crate::abi::{
    NetExtension, NetExtensionType, NetFragment, NetPacket, NetPacketChecksum, NetPacketGso,
    NetPacketHash, NetPacketIeee8021Q, NetPacketPartialChecksum, NetPacketRsc,
};
use crate::buffer_pool::{BufferId, Buffers, empty_slice};
pub(crate) use element::ElementLayout;
pub use element::Extensions;
use element::VIRTUAL_ADDRESS;
pub use map::RingMap;
use memory::Elements;
pub(crate) use memory::{Index, RingMemory};
pub(crate) use run::Run;
pub(crate) use set::RingSet;
pub(crate) use watch::Intrusion;

/// View of one ring. Every index taken is masked and every index returned is
/// below the number of elements.
#[derive(Clone, Copy)]
pub struct NetRing<'a> {
    memory: &'a RingMemory,
}

impl<'a> NetRing<'a> {
    #[inline]
    pub(crate) fn new(memory: &'a RingMemory) -> Self {
        Self { memory }
    }

    /// How many elements the ring has, a power of two; at most one less is
    /// ever owned by the client.
    #[inline]
    pub fn number_of_elements(self) -> u32 {
        self.memory.mask() + 1
    }

    /// First element the client owns.
    #[inline]
    pub fn begin_index(self) -> u32 {
        self.memory.load_index(Index::Begin)
    }

    /// The client's own index.
    #[inline]
    pub fn next_index(self) -> u32 {
        self.memory.load_index(Index::Next)
    }

    /// First element behind those the client owns.
    #[inline]
    pub fn end_index(self) -> u32 {
        self.memory.load_index(Index::End)
    }

    /// Gives the elements before `index` back to the framework.
    #[inline]
    pub fn set_begin_index(self, index: u32) {
        self.memory.store_index(Index::Begin, index);
    }

    /// Moves the client's own index.
    #[inline]
    pub fn set_next_index(self, index: u32) {
        self.memory.store_index(Index::Next, index);
    }

    /// The index behind `index`.
    #[inline]
    pub fn increment_index(self, index: u32) -> u32 {
        self.advance_index(index, 1)
    }

    /// The index `count` elements behind `index`.
    #[inline]
    pub fn advance_index(self, index: u32, count: u32) -> u32 {
        index.wrapping_add(count) & self.memory.mask()
    }

    /// How many elements lie in `[start, end)`.
    #[inline]
    pub fn range_count(self, start: u32, end: u32) -> u32 {
        end.wrapping_sub(start) & self.memory.mask()
    }
}

/// The rings of one queue, lent to the client for one call.
#[derive(Clone, Copy)]
pub struct NetRings<'a> {
    set: &'a RingSet,
    packets: Elements<'a>,
    fragments: Elements<'a>,
    buffers: Buffers<'a>,
    attached: &'a [Option<BufferId>],
}

impl<'a> NetRings<'a> {
    #[inline]
    pub(crate) fn new(set: &'a RingSet) -> Self {
        Self {
            set,
            packets: set.packets.elements(),
            fragments: set.fragments.elements(),
            buffers: set.pool.buffers(),
            attached: set.all_attached(),
        }
    }

    /// The packet ring's indices.
    #[inline]
    pub fn packet_ring(&self) -> NetRing<'a> {
        NetRing::new(&self.set.packets)
    }

    /// The fragment ring's indices.
    #[inline]
    pub fn fragment_ring(&self) -> NetRing<'a> {
        NetRing::new(&self.set.fragments)
    }

    /// Copies a packet element out.
    #[inline]
    pub fn packet(&self, index: u32) -> NetPacket {
        NetPacket::from_words(self.packets.at(index).load_words(0))
    }

    /// Copies a packet element in.
    #[inline]
    pub fn set_packet(&self, index: u32, packet: NetPacket) {
        self.packets.at(index).store_words(0, packet.to_words());
    }

    /// Marks a received packet as returned unused. Only the Ignore bit may
    /// change on such a packet.
    #[inline]
    pub fn ignore_packet(&self, index: u32) {
        self.set_packet(index, self.packet(index).with_ignore(true));
    }

    /// Copies a fragment element out.
    #[inline]
    pub fn fragment(&self, index: u32) -> NetFragment {
        NetFragment(self.fragments.at(index).load_u64(0))
    }

    /// Copies a fragment element in.
    #[inline]
    pub fn set_fragment(&self, index: u32, fragment: NetFragment) {
        self.fragments.at(index).store_u64(0, fragment.0);
    }

    /// Writes a fragment element as the framework posts it: `length` bytes in
    /// `buffer`, the one attached to it, and where that lies.
    #[inline]
    pub(crate) fn post_fragment(&self, index: u32, buffer: BufferId, length: u32) {
        let element = self.fragments.at(index);
        let fragment = NetFragment::default()
            .with_valid_length(length)
            .with_capacity(self.buffers.capacity() as u32);
        element.store_u64(0, fragment.0);
        element.store_u64(VIRTUAL_ADDRESS, self.buffers.client_address(buffer));
    }

    /// Zeroes packet elements with their extensions.
    #[inline]
    pub(crate) fn zero_packets(&self, run: Run) {
        self.packets.zero(run);
    }

    /// Whether all extensions of a packet are zero, registered or not.
    #[inline]
    pub(crate) fn is_bare(&self, index: u32) -> bool {
        let core = size_of::<NetPacket>() as u32;
        self.packets.at(index).is_zero_behind(core)
    }

    /// The system buffer attached to a fragment element, its whole capacity;
    /// empty if there is none. Looked up in a private table, so it is right
    /// whatever the ring's memory says.
    #[inline]
    pub fn buffer(&self, fragment_index: u32) -> VolatileSlice<'a> {
        match self.attached(fragment_index) {
            Some(id) => self.buffers.client_slice(id),
            None => empty_slice(),
        }
    }

    /// The buffer of a fragment element; indices wrap.
    #[inline]
    pub(crate) fn attached(&self, index: u32) -> Option<BufferId> {
        let at = index as usize & self.attached.len().wrapping_sub(1);
        self.attached.get(at).copied().flatten()
    }

    /// `ms_packet_checksum`; zero if it is not registered.
    #[inline]
    pub fn checksum(&self, index: u32) -> NetPacketChecksum {
        let offset = self.set.packet_layout.checksum;
        NetPacketChecksum(offset.map_or(0, |at| self.packets.at(index).load_u8(at)))
    }

    /// Writes `ms_packet_checksum`; nothing if it is not registered.
    #[inline]
    pub fn set_checksum(&self, index: u32, checksum: NetPacketChecksum) {
        if let Some(at) = self.set.packet_layout.checksum {
            self.packets.at(index).store_u8(at, checksum.0);
        }
    }

    /// `ms_packet_gso`; zero if it is not registered.
    #[inline]
    pub fn gso(&self, index: u32) -> NetPacketGso {
        NetPacketGso(self.load(index, self.set.packet_layout.gso))
    }

    /// Writes `ms_packet_gso`; nothing if it is not registered.
    #[inline]
    pub fn set_gso(&self, index: u32, gso: NetPacketGso) {
        self.store(index, self.set.packet_layout.gso, gso.0);
    }

    /// `ms_packet_rsc`; zeros if it is not registered.
    #[inline]
    pub fn rsc(&self, index: u32) -> NetPacketRsc {
        let word = self.load(index, self.set.packet_layout.rsc);
        NetPacketRsc {
            coalesced_segment_count: word as u16,
            duplicate_ack_count: (word >> 16) as u16,
        }
    }

    /// Writes `ms_packet_rsc`; nothing if it is not registered.
    #[inline]
    pub fn set_rsc(&self, index: u32, rsc: NetPacketRsc) {
        let high = u32::from(rsc.duplicate_ack_count) << 16;
        let word = high | u32::from(rsc.coalesced_segment_count);
        self.store(index, self.set.packet_layout.rsc, word);
    }

    /// `ms_packet_ieee8021q`; zeros if it is not registered.
    #[inline]
    pub fn ieee8021q(&self, index: u32) -> NetPacketIeee8021Q {
        NetPacketIeee8021Q::from_word(self.load(index, self.set.packet_layout.ieee8021q))
    }

    /// Writes `ms_packet_ieee8021q`; nothing if it is not registered.
    #[inline]
    pub fn set_ieee8021q(&self, index: u32, tag: NetPacketIeee8021Q) {
        self.store(index, self.set.packet_layout.ieee8021q, tag.to_word());
    }

    /// `ms_packet_hash`; zeros if it is not registered.
    #[inline]
    pub fn hash(&self, index: u32) -> NetPacketHash {
        match self.set.packet_layout.hash {
            Some(at) => {
                let element = self.packets.at(index);
                NetPacketHash::from_words([at, at + 4].map(|at| element.load_u32(at)))
            }
            None => NetPacketHash::default(),
        }
    }

    /// Writes `ms_packet_hash`; nothing if it is not registered.
    #[inline]
    pub fn set_hash(&self, index: u32, hash: NetPacketHash) {
        let [value, protocols] = hash.to_words();
        let at = self.set.packet_layout.hash;
        self.store(index, at, value);
        self.store(index, at.map(|at| at + 4), protocols);
    }

    /// The private partial-checksum extension; zeros if it is not registered.
    #[inline]
    pub fn partial(&self, index: u32) -> NetPacketPartialChecksum {
        match self.set.packet_layout.partial {
            Some(at) => NetPacketPartialChecksum::from_words(self.packets.at(index).load_words(at)),
            None => NetPacketPartialChecksum::default(),
        }
    }

    /// Writes the private partial-checksum extension.
    #[inline]
    pub fn set_partial(&self, index: u32, partial: NetPacketPartialChecksum) {
        if let Some(at) = self.set.packet_layout.partial {
            self.packets.at(index).store_words(at, partial.to_words());
        }
    }

    /// `NetTxQueueGetExtension` and `NetRxQueueGetExtension`: where a C client
    /// finds an extension of the given name and type, of at least the given
    /// version. Zeros if it is not registered, which is no error.
    pub fn extension(&self, name: &str, version: u32, kind: NetExtensionType) -> NetExtension {
        self.set.map().extension(name, version, kind)
    }

    #[inline]
    fn load(&self, index: u32, offset: Option<u32>) -> u32 {
        offset.map_or(0, |at| self.packets.at(index).load_u32(at))
    }

    #[inline]
    fn store(&self, index: u32, offset: Option<u32>, word: u32) {
        if let Some(at) = offset {
            self.packets.at(index).store_u32(at, word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{NetPacketChecksumState, NetPacketHashProtocolType, SegmentType};
    use crate::buffer_pool::BufferPool;

    fn rings(extensions: Extensions) -> RingSet {
        let pool = BufferPool::new(8, 128, 1).unwrap();
        RingSet::new(8, 8, extensions, pool).unwrap()
    }

    /// Every pair of indices on every small ring against plain counting.
    #[test]
    fn index_arithmetic_matches_counting_on_small_rings() {
        for bits in 1..=5 {
            let size = 1 << bits;
            let memory = RingMemory::new(size, 8).unwrap();
            let ring = NetRing::new(&memory);
            for start in 0..size {
                let mut at = start;
                for count in 0..size {
                    assert_eq!(ring.advance_index(start, count), at);
                    assert_eq!(ring.range_count(start, at), count);
                    at = if at + 1 == size { 0 } else { at + 1 };
                    assert_eq!(ring.increment_index(ring.advance_index(start, count)), at);
                }
            }
        }
    }

    #[test]
    fn indices_out_of_range_are_masked_not_trusted() {
        let memory = RingMemory::new(8, 8).unwrap();
        let ring = NetRing::new(&memory);
        ring.set_begin_index(u32::MAX);
        ring.set_next_index(8);
        assert_eq!((ring.begin_index(), ring.next_index()), (7, 0));
        assert_eq!(ring.advance_index(u32::MAX, u32::MAX), 6);
        assert_eq!(ring.range_count(u32::MAX, 0), 1);
    }

    #[test]
    fn extensions_come_back_and_do_not_overlap() {
        let set = rings(Extensions {
            checksum: true,
            gso: true,
            rsc: true,
            hash: true,
            ..Extensions::default()
        });
        let view = NetRings::new(&set);
        let hash = NetPacketHash::new(0xfedc_ba98, NetPacketHashProtocolType::IPV6);
        view.set_hash(5, hash);
        let packet = NetPacket::new(3, 1).with_scratch(true);
        let checksum = NetPacketChecksum::default().with_layer4(NetPacketChecksumState::VALID);
        let rsc = NetPacketRsc {
            coalesced_segment_count: 4,
            duplicate_ack_count: 2,
        };
        let partial =
            NetPacketPartialChecksum::partial(34, 16).with_segments(SegmentType::TCPV4, 1448, 66);
        view.set_packet(5, packet);
        view.set_checksum(5, checksum);
        view.set_gso(5, NetPacketGso::new(1448));
        view.set_rsc(5, rsc);
        view.set_partial(5, partial);
        assert_eq!(view.packet(5), packet);
        assert_eq!(view.checksum(5), checksum);
        assert_eq!(view.gso(5).mss(), 1448);
        assert_eq!(view.rsc(5), rsc);
        assert_eq!(view.partial(5), partial);
        assert_eq!(view.hash(5), hash);
        assert_eq!(view.packet(4), NetPacket::default());
        assert_eq!(view.packet(6), NetPacket::default());
    }

    #[test]
    fn absent_extensions_read_zero_and_drop_writes() {
        let set = rings(Extensions::default());
        let view = NetRings::new(&set);
        view.set_checksum(0, NetPacketChecksum(0xff));
        view.set_gso(0, NetPacketGso::new(5));
        view.set_rsc(
            0,
            NetPacketRsc {
                coalesced_segment_count: 1,
                duplicate_ack_count: 1,
            },
        );
        assert_eq!(view.checksum(0), NetPacketChecksum(0));
        assert_eq!(view.gso(0).mss(), 0);
        assert_eq!(view.rsc(0), NetPacketRsc::default());
        assert_eq!(view.packet(0), NetPacket::default());
    }

    #[test]
    fn extension_tells_where_or_is_zero() {
        let set = rings(Extensions {
            checksum: true,
            ..Extensions::default()
        });
        let view = NetRings::new(&set);
        let found = view.extension("ms_packet_checksum", 1, NetExtensionType::PACKET);
        let address = view.extension("ms_fragment_virtualaddress", 1, NetExtensionType::FRAGMENT);
        assert_eq!((found.enabled, found.reserved[1]), (1, 32));
        assert_eq!(found.reserved[0], set.packets.elements_address() + 28);
        assert_eq!(address.reserved[0], set.fragments.elements_address() + 8);
        let absent = view.extension("ms_packet_gso", 1, NetExtensionType::PACKET);
        assert_eq!((absent.enabled, absent.reserved), (0, [0; 4]));
    }

    #[test]
    fn buffer_comes_from_the_private_table_whatever_the_ring_says() {
        let mut set = rings(Extensions::default());
        let id = set.attach(2).unwrap();
        let view = NetRings::new(&set);
        view.post_fragment(2, id, 0);
        let honest = view.buffer(2).ptr_guard().as_ptr();
        set.fragments.element(2).store_u64(8, 0xdead_beef);
        view.set_fragment(2, NetFragment(u64::MAX));
        assert_eq!(view.buffer(2).ptr_guard().as_ptr(), honest);
        assert_eq!(view.buffer(2).len(), 128);
        assert!(view.buffer(3).is_empty());
    }

    #[test]
    fn released_buffer_returns_to_the_pool_once() {
        let mut set = rings(Extensions::default());
        set.attach(1).unwrap();
        assert_eq!(set.pool.free_count(), 7);
        set.release(1);
        set.release(1);
        assert_eq!(set.pool.free_count(), 8);
    }
}
