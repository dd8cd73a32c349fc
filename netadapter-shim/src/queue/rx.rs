//! The framework's half of an Rx queue: empty buffers to the client, received
//! frames to the stack.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vm_memory::Bytes;

use super::coalesce::{Segment, SegmentRun};
use super::{ClientHalf, QueueFault, vlan};
use crate::abi::{
    NetPacketChecksum, NetPacketChecksumState, NetPacketIeee8021Q, NetPacketPartialChecksum,
    NetPacketRsc,
};
use crate::frame_layout::HEAD_LENGTH;
use crate::offload::{describe_coalesced, describe_run, describe_valid, is_tcp_sum_right};
use crate::os_ring::OsRing;
use crate::port::{PortQueue, RxFrame, RxPart};
use crate::ring::{NetRings, RingSet, Run};
use crate::stats::Counters;
use crate::verifier::Verifier;

/// Shorter frames have no Ethernet header.
const MINIMUM_FRAME: usize = 14;

/// An Rx queue as the execution context drives it.
pub(crate) struct RxQueue {
    client: ClientHalf,
    set: RingSet,
    packets: OsRing,
    fragments: OsRing,
    /// Parts of the frame at hand; as long as the fragment ring, so that it
    /// never grows.
    parts: Vec<RxPart>,
    /// See [`crate::AdapterConfig::trust_rx_checksums`].
    trust_checksums: bool,
    /// What the framework coalesces because the client does not, while it is not switched off.
    coalescing: Coalescing,
    coalesces: Arc<AtomicBool>,
    /// Segments that go on together, and where they lie.
    run: Option<SegmentRun>,
    run_parts: Vec<RxPart>,
}

/// Which received TCP segments the framework joins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coalescing {
    pub(crate) ipv4: bool,
    pub(crate) ipv6: bool,
}

impl Coalescing {
    fn takes_any(self) -> bool {
        self.ipv4 | self.ipv6
    }

    fn takes(self, segment: &Segment) -> bool {
        match segment.layout.layer3_type().is_ipv4() {
            true => self.ipv4,
            false => self.ipv6,
        }
    }
}

/// Buffers that a joined frame may lie in: what a port can write at once.
const RUN_PARTS: usize = 64;

/// What one turn of an Rx queue did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RxTurn {
    pub(crate) work: u32,
    pub(crate) indicated: u32,
    pub(crate) bytes: u64,
}

/// Why a returned packet goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Discard {
    /// Returned unused.
    Ignored,
    /// Breaks a rule.
    Malformed,
}

impl RxQueue {
    /// Believes the client about checksums.
    pub(crate) fn trusting(self, trust_checksums: bool) -> Self {
        Self {
            trust_checksums,
            ..self
        }
    }

    /// Joins segments that the client gives one by one, as long as `switch` is on.
    pub(crate) fn coalescing(self, coalescing: Coalescing, switch: &Arc<AtomicBool>) -> Self {
        Self {
            coalescing,
            coalesces: Arc::clone(switch),
            ..self
        }
    }

    pub(crate) fn new(client: ClientHalf, mut set: RingSet) -> Self {
        if client.verified_queue() {
            set.watch_buffers();
        }
        set.attach_all();
        Self {
            packets: OsRing::new(&set.packets),
            fragments: OsRing::new(&set.fragments),
            parts: Vec::with_capacity(set.fragments.mask() as usize + 1),
            run_parts: Vec::with_capacity(set.fragments.mask() as usize + 1),
            run: None,
            coalescing: Coalescing::default(),
            coalesces: Arc::default(),
            client,
            set,
            trust_checksums: false,
        }
    }

    /// EvtStart, before the first buffer is posted.
    pub(crate) fn start(&mut self) {
        self.client.start(&self.set);
    }

    /// Posts, advances, indicates.
    pub(crate) fn turn(
        &mut self,
        port: &mut dyn PortQueue,
        counters: &Counters,
    ) -> Result<RxTurn, QueueFault> {
        if !self.client.cancelled() {
            self.post();
            self.client.check_buffers(&mut self.set)?;
        }
        self.client.advance(&self.set)?;
        self.collect(port, counters)
    }

    pub(crate) fn arm(&mut self) {
        self.client.arm();
    }

    pub(crate) fn cancel(
        &mut self,
        port: &mut dyn PortQueue,
        counters: &Counters,
    ) -> Result<RxTurn, QueueFault> {
        self.client.cancel(&self.set)?;
        self.collect(port, counters)
    }

    /// Idle only when both rings are empty.
    pub(crate) fn is_idle(&self) -> bool {
        self.owned() == (0, 0)
    }

    /// Packets and fragments the client still owns.
    pub(crate) fn owned(&self) -> (u32, u32) {
        (self.packets.outstanding(), self.fragments.outstanding())
    }

    pub(crate) fn client(&mut self) -> &mut ClientHalf {
        &mut self.client
    }

    /// Gives the client every free element. Fragments keep their buffers, and
    /// their elements are written anew: the client may have changed them.
    fn post(&mut self) {
        let (packets, fragments) = (self.packets.post_all(), self.fragments.post_all());
        let view = NetRings::new(&self.set);
        view.zero_packets(packets);
        for index in fragments.indices() {
            if let Some(buffer) = view.attached(index) {
                view.post_fragment(index, buffer, 0);
            }
        }
        if self.client.verified_queue() {
            self.prepare(packets, fragments);
        }
        if packets.count > 0 {
            self.packets.publish(&self.set.packets);
        }
        if fragments.count > 0 {
            self.fragments.publish(&self.set.fragments);
        }
    }

    /// Makes it show what the client does to elements and buffers that are
    /// about to be its own.
    #[cold]
    fn prepare(&mut self, packets: Run, fragments: Run) {
        for index in packets.indices() {
            Verifier::poison_packet(&self.set, index);
        }
        for index in fragments.indices() {
            self.set.watch_taken(index);
            Verifier::poison_fragment(&self.set, index);
            self.set.fence(index);
        }
    }

    /// Hands what the client returned to the stack. Buffers that no packet named
    /// have come back too.
    fn collect(
        &mut self,
        port: &mut dyn PortQueue,
        counters: &Counters,
    ) -> Result<RxTurn, QueueFault> {
        let packets = self.packets.collect(&self.set.packets)?;
        let returned = self.fragments.collect(&self.set.fragments)?;
        if self.client.verified_queue() {
            returned.indices().for_each(|index| self.set.inspect(index));
            self.client.check_buffers(&mut self.set)?;
        }
        let mut turn = RxTurn {
            work: packets.count + returned.count,
            ..RxTurn::default()
        };
        let mut rest = returned;
        let joins = self.coalescing.takes_any() && self.coalesces.load(Ordering::Relaxed);
        for index in packets.indices() {
            match self.receive(index, &mut rest, joins, port, counters) {
                Ok(length) => {
                    turn.indicated += 1;
                    turn.bytes += length;
                }
                Err(Discard::Ignored) => counters.rx_ignored.add(1),
                Err(Discard::Malformed) => counters.rx_dropped.add(1),
            }
        }
        self.end_run(port, counters);
        if self.client.verified_queue() {
            let free = returned.indices();
            free.for_each(|index| self.set.watch_given_back(index));
        }
        if turn.indicated > 0 {
            counters.rx_packets.add(u64::from(turn.indicated));
            counters.rx_bytes.add(turn.bytes);
        }
        Ok(turn)
    }

    /// Hands one packet on, alone or with those that follow it, and returns
    /// its length.
    fn receive(
        &mut self,
        index: u32,
        rest: &mut Run,
        joins: bool,
        port: &mut dyn PortQueue,
        counters: &Counters,
    ) -> Result<u64, Discard> {
        let fragments = self.fragments_of(index, rest)?;
        if fragments.count == 1 && !joins {
            let part = self.part(fragments.first(), true)?;
            return self.indicate(index, &[part], part.length as usize, port, counters);
        }
        let length = self.gather(fragments)?;
        if !joins {
            return self.indicate(index, &self.parts, length, port, counters);
        }
        let Some(segment) = self.segment(index, length) else {
            self.end_run(port, counters);
            return self.indicate(index, &self.parts, length, port, counters);
        };
        if !self.join(&segment) {
            self.end_run(port, counters);
            self.run = Some(SegmentRun::begin(segment));
            std::mem::swap(&mut self.parts, &mut self.run_parts);
        }
        Ok(length as u64)
    }

    /// The gathered packet as a segment that may be joined: whole in one
    /// buffer, its checksum right, and nothing said of it that would be lost.
    fn segment(&self, index: u32, length: usize) -> Option<Segment> {
        let [part] = self.parts[..] else { return None };
        let view = NetRings::new(&self.set);
        let (partial, checksum) = (view.partial(index), view.checksum(index));
        let plain = view.rsc(index).coalesced_segment_count < 2
            && !partial.is_segmented()
            && !vlan::was_stripped(view.ieee8021q(index));
        if !plain {
            return None;
        }
        let frame = self.frame(&self.parts, length);
        let mut head = [0; HEAD_LENGTH];
        let count = frame.copy_to(&mut head);
        let segment = Segment::read(&head[..count], length)?;
        let known = partial.is_partial()
            || (self.trust_checksums && checksum.layer4() == NetPacketChecksumState::VALID);
        let bytes = frame.fragments(0).next()?;
        let right = || is_tcp_sum_right(bytes, &head[..count], segment.layout);
        let fits = part.length as usize >= segment.headers;
        (self.coalescing.takes(&segment) && fits && (known || right())).then_some(segment)
    }

    /// Lays the payload of `segment` behind the run, if it follows it.
    fn join(&mut self, segment: &Segment) -> bool {
        let room = self.run_parts.len() < RUN_PARTS;
        let Some(run) = self.run.as_mut().filter(|_| room) else {
            return false;
        };
        let taken = run.take(segment);
        if taken {
            let headers = segment.headers as u32;
            self.run_parts.extend(self.parts.iter().map(|part| RxPart {
                offset: part.offset + headers,
                length: part.length - headers,
                ..*part
            }));
        }
        taken
    }

    /// Hands the joined segments to the port as one frame.
    fn end_run(&mut self, port: &mut dyn PortQueue, counters: &Counters) {
        let Some(run) = self.run.take() else { return };
        let mut frame = self.frame(&self.run_parts, run.length());
        if let Some(partial) = describe(&frame, &run) {
            frame.partial = partial;
        }
        if port.indicate(&frame).is_err() {
            counters.rx_errors.add(u64::from(run.count()));
        }
    }

    fn frame<'a>(&'a self, parts: &'a [RxPart], length: usize) -> RxFrame<'a> {
        RxFrame {
            set: &self.set,
            parts,
            prefix: 0,
            length,
            checksum: NetPacketChecksum::default(),
            rsc: NetPacketRsc::default(),
            partial: NetPacketPartialChecksum::default(),
            packet: None,
        }
    }

    /// Hands the packet that lies in `parts` to the port and returns its length. Frames the port
    /// does not take are counted apart, with a length of 0.
    #[inline(always)]
    fn indicate(
        &self,
        index: u32,
        parts: &[RxPart],
        length: usize,
        port: &mut dyn PortQueue,
        counters: &Counters,
    ) -> Result<u64, Discard> {
        if length < MINIMUM_FRAME {
            return Err(Discard::Malformed);
        }
        let mut frame = self.frame(parts, length);
        if !NetRings::new(&self.set).is_bare(index) {
            self.complete(&mut frame, index)?;
        }
        let length = frame.length;
        if port.indicate(&frame).is_err() {
            counters.rx_errors.add(1);
            return Ok(0);
        }
        Ok(length as u64)
    }

    /// Adds to a frame what the client said of its packet, and what that calls
    /// for.
    #[inline(never)]
    fn complete(&self, frame: &mut RxFrame<'_>, index: u32) -> Result<(), Discard> {
        let view = NetRings::new(&self.set);
        frame.checksum = view.checksum(index);
        frame.rsc = view.rsc(index);
        frame.partial = view.partial(index);
        frame.packet = Some(index);
        insert_tag(frame, view.ieee8021q(index))?;
        complete_coalesced(frame);
        if self.trust_checksums {
            complete_valid(frame);
        }
        match is_sane(frame.length, frame.partial) {
            true => Ok(()),
            false => Err(Discard::Malformed),
        }
    }

    /// Where a packet lies. `rest` is what is left of the returned fragments; packets take from it
    /// in ascending order.
    #[inline]
    fn fragments_of(&self, index: u32, rest: &mut Run) -> Result<Run, Discard> {
        let packet = NetRings::new(&self.set).packet(index);
        if packet.ignore() {
            return Err(Discard::Ignored);
        }
        let run = rest.take(packet.fragment_index, u32::from(packet.fragment_count));
        run.ok_or(Discard::Malformed)
    }

    /// Collects what lies in `fragments` into `self.parts`, each checked against the buffer it lies
    /// in, and returns their length.
    fn gather(&mut self, fragments: Run) -> Result<usize, Discard> {
        self.parts.clear();
        let mut length = 0;
        for fragment in fragments.indices() {
            let part = self.part(fragment, self.parts.is_empty())?;
            length += part.length as usize;
            self.parts.push(part);
        }
        Ok(length)
    }

    /// The drop rules of a fragment.
    #[inline]
    fn part(&self, fragment: u32, first: bool) -> Result<RxPart, Discard> {
        let element = NetRings::new(&self.set).fragment(fragment);
        let (offset, length) = (element.offset(), element.valid_length());
        let inside = element.capacity() as usize <= self.set.pool.capacity()
            && offset + length <= element.capacity();
        if !inside || (!first && offset != 0) {
            return Err(Discard::Malformed);
        }
        Ok(RxPart {
            fragment,
            offset,
            length,
        })
    }
}

/// Writes the headers of a joined frame. Its checksum is known to be right, whether it is one
/// segment or many, and left to the stack as such.
fn describe(frame: &RxFrame<'_>, run: &SegmentRun) -> Option<NetPacketPartialChecksum> {
    let mut head = [0; HEAD_LENGTH];
    let count = frame.copy_to(&mut head);
    let head = head.get_mut(..count)?;
    if run.count() < 2 {
        let (partial, patch) = describe_valid(head)?;
        return frame.patch(patch.offset, &patch.bytes).then_some(partial);
    }
    let headers = run.rewrite(head);
    let partial = describe_run(head, run.layout(), run.length(), run.segment_size())?;
    frame.patch(0, &head[..headers]).then_some(partial)
}

/// A coalesced frame whose client said no more than the number of segments
/// gets the facts the stack needs; one that cannot be described goes on as it
/// is.
fn complete_coalesced(frame: &mut RxFrame<'_>) {
    if frame.rsc.coalesced_segment_count < 2 || frame.partial.is_segmented() {
        return;
    }
    let mut head = [0; HEAD_LENGTH];
    let count = frame.copy_to(&mut head);
    let described = describe_coalesced(&head[..count], frame.length, frame.rsc);
    if let Some((partial, patch)) = described
        && frame.patch(patch.offset, &patch.bytes)
    {
        frame.partial = partial;
    }
}

/// A checksum the client calls valid is one the stack does not look at.
fn complete_valid(frame: &mut RxFrame<'_>) {
    let valid = frame.checksum.layer4() == NetPacketChecksumState::VALID;
    if !valid || frame.partial.is_partial() {
        return;
    }
    let mut head = [0; HEAD_LENGTH];
    let count = frame.copy_to(&mut head);
    if let Some((partial, patch)) = describe_valid(&head[..count])
        && frame.patch(patch.offset, &patch.bytes)
    {
        frame.partial = partial;
    }
}

/// A tag the client stripped goes back where it was: both addresses move down
/// into the head-room.
fn insert_tag(frame: &mut RxFrame<'_>, tag: NetPacketIeee8021Q) -> Result<(), Discard> {
    if !vlan::was_stripped(tag) {
        return Ok(());
    }
    let room = vlan::TAG_LENGTH;
    let first = frame.fragments(room).next().ok_or(Discard::Malformed)?;
    let mut addresses = [0; 12];
    let read = first.read_slice(&mut addresses, room);
    read.map_err(|_| Discard::Malformed)?;
    let written = first
        .write_slice(&addresses, 0)
        .and_then(|()| first.write_slice(&vlan::encode(tag), addresses.len()));
    written.map_err(|_| Discard::Malformed)?;
    frame.prefix = room;
    frame.length += room;
    if frame.partial.is_partial() {
        frame.partial.checksum_start += room as u16;
    }
    if frame.partial.is_segmented() {
        frame.partial.header_length += room as u16;
    }
    Ok(())
}

/// Facts about a frame that no stack could use.
fn is_sane(length: usize, partial: NetPacketPartialChecksum) -> bool {
    let start = usize::from(partial.checksum_start);
    let field_end = start + usize::from(partial.checksum_offset) + 2;
    let sum_inside = !partial.is_partial() || (start >= MINIMUM_FRAME && field_end <= length);
    let segments = !partial.is_segmented()
        || (partial.segment_size > 0 && usize::from(partial.header_length) <= length);
    sum_inside && segments
}
