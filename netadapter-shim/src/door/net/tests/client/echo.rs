//! The client's queues: what the stack sends comes back to it.

use std::sync::atomic::{AtomicU32, Ordering};

use super::queues::my_globals;
use super::*;

/// A queue as the client keeps it.
#[derive(Clone, Copy)]
pub(in crate::door::net::tests) struct Queue {
    pub(super) adapter: Handle,
    pub(in crate::door::net::tests) rings: *const [*mut u8; 3],
    pub(super) virtual_address: NetExtension,
    pub(super) checksum: NetExtension,
    pub(super) tag: NetExtension,
    pub(super) id: u32,
    pub(super) tx: bool,
}
// SAFETY: ring memory is only touched inside the queue's own callbacks.
unsafe impl Send for Queue {}

pub(in crate::door::net::tests) fn queue_config() -> NetPacketQueueConfig {
    NetPacketQueueConfig {
        size: size_of::<NetPacketQueueConfig>() as u32,
        evt_start: raw(evt_start as *const c_void),
        evt_stop: raw(evt_stop as *const c_void),
        evt_advance: raw(evt_advance as *const c_void),
        evt_set_notification_enabled: raw(evt_arm as *const c_void),
        evt_cancel: raw(evt_cancel as *const c_void),
        execution_context: 0,
    }
}

fn queue_of(handle: Handle) -> Queue {
    known().queues[&handle]
}

extern "C" fn evt_start(handle: Handle) {
    let queue = queue_of(handle);
    note(
        queue.adapter,
        if queue.tx { "start tx" } else { "start rx" },
    );
}

extern "C" fn evt_stop(handle: Handle) {
    let queue = queue_of(handle);
    note(queue.adapter, if queue.tx { "stop tx" } else { "stop rx" });
    known().queues.remove(&handle);
}

extern "C" fn evt_arm(handle: Handle, enabled: u8) {
    assert_eq!(enabled, 1);
    let queue = queue_of(handle);
    // Whoever is armed late finds what came meanwhile.
    if !queue.tx
        && known()
            .wire
            .get(&queue.adapter)
            .is_some_and(|wire| !wire.is_empty())
    {
        notify_rx(queue.adapter);
    }
}

fn notify_rx(adapter: Handle) {
    let known = known();
    let rx = known
        .queues
        .iter()
        .find(|(_, queue)| queue.adapter == adapter && !queue.tx);
    let rx = rx.map(|(handle, _)| *handle);
    drop(known);
    let notify: extern "C" fn(*const c_void, Handle) =
        function("NetRxQueueNotifyMoreReceivedPacketsAvailable");
    if let Some(rx) = rx {
        notify(my_globals(), rx);
    }
}

pub(in crate::door::net::tests) static ADVANCES: AtomicU32 = AtomicU32::new(0);

extern "C" fn evt_advance(handle: Handle) {
    ADVANCES.fetch_add(1, Ordering::Relaxed);
    let queue = queue_of(handle);
    match queue.tx {
        true => advance_tx(queue),
        false => advance_rx(queue),
    }
}

extern "C" fn evt_cancel(handle: Handle) {
    let queue = queue_of(handle);
    note(
        queue.adapter,
        if queue.tx { "cancel tx" } else { "cancel rx" },
    );
    let script = known().scripts.get(&queue.adapter).cloned();
    if queue.tx || script.is_some_and(|script| script.withhold) {
        return;
    }
    let (packets, fragments) = (queue.ring(0), queue.ring(1));
    let mut index = packets.begin();
    while index != packets.end() {
        let packet = packets.element::<NetPacket>(index);
        // SAFETY: an element the client owns.
        let kept = unsafe { packet.read() };
        // SAFETY: as above.
        unsafe { packet.write(kept.with_ignore(true)) };
        index = packets.next(index);
    }
    packets.set_begin(index);
    fragments.set_begin(fragments.end());
}

/// A NET_RING as C sees it.
#[derive(Clone, Copy)]
pub(in crate::door::net::tests) struct Ring(*mut u8);

impl Queue {
    pub(in crate::door::net::tests) fn is_tx_of(&self, adapter: Handle) -> bool {
        self.tx && self.adapter == adapter
    }

    pub(in crate::door::net::tests) fn ring(&self, which: usize) -> Ring {
        // SAFETY: the collection lives as long as the queue.
        Ring(unsafe { (*self.rings)[which] })
    }

    fn bytes(&self, fragment: u32) -> *mut u8 {
        let [base, stride, ..] = self.virtual_address.reserved;
        let at = base + stride * fragment as usize;
        // SAFETY: the extension of an element of the fragment ring.
        unsafe { (at as *const *mut u8).read() }
    }
}

impl Ring {
    fn word(self, offset: usize) -> u32 {
        // SAFETY: a word of the ring's head; others write it atomically.
        unsafe { self.0.wrapping_add(offset).cast::<u32>().read_volatile() }
    }

    pub(in crate::door::net::tests) fn begin(self) -> u32 {
        self.word(48)
    }

    pub(in crate::door::net::tests) fn end(self) -> u32 {
        self.word(12)
    }

    pub(in crate::door::net::tests) fn set_begin(self, index: u32) {
        // SAFETY: as above.
        unsafe { self.0.wrapping_add(48).cast::<u32>().write_volatile(index) };
    }

    pub(in crate::door::net::tests) fn next(self, index: u32) -> u32 {
        (index + 1) & self.word(8)
    }

    pub(in crate::door::net::tests) fn element<T>(self, index: u32) -> *mut T {
        let stride = self.word(0) >> 16;
        self.0.wrapping_add(64 + (index * stride) as usize).cast()
    }
}

/// The number of the Tx queue that had a frame last.
pub(in crate::door::net::tests) fn advanced_tx(adapter: Handle) -> Option<u32> {
    known().last_tx.get(&adapter).map(|(id, _)| *id)
}

/// Priority, VLAN and tagging of the frame that was sent last.
pub(in crate::door::net::tests) fn last_tag(adapter: Handle) -> Option<(u8, u16, u8)> {
    let tag = known().last_tx.get(&adapter).map(|(_, tag)| *tag)?;
    Some((tag.priority(), tag.vlan(), tag.tx_tagging))
}

/// Notes which queue sends, and with which tag.
fn note_sending(queue: Queue, index: u32) {
    let [base, stride, ..] = queue.tag.reserved;
    let tag = match queue.tag.enabled {
        0 => NetPacketIeee8021Q::default(),
        // SAFETY: the extension of an element the client owns.
        _ => unsafe { ((base + stride * index as usize) as *const NetPacketIeee8021Q).read() },
    };
    known().last_tx.insert(queue.adapter, (queue.id, tag));
}

fn advance_tx(queue: Queue) {
    let (packets, fragments) = (queue.ring(0), queue.ring(1));
    while packets.begin() != packets.end() {
        // SAFETY: elements the client owns.
        let packet = unsafe { packets.element::<NetPacket>(packets.begin()).read() };
        if packet.ignore() {
            assert_eq!(packet.fragment_count, 0);
            note(queue.adapter, "ignored");
        } else {
            note_sending(queue, packets.begin());
            let index = packet.fragment_index;
            // SAFETY: as above.
            let fragment = unsafe { fragments.element::<NetFragment>(index).read() };
            let from = queue.bytes(index).wrapping_add(fragment.offset() as usize);
            let length = fragment.valid_length() as usize;
            // SAFETY: the buffer has as many bytes as the fragment says.
            let bytes = unsafe { std::slice::from_raw_parts(from, length) };
            known()
                .wire
                .entry(queue.adapter)
                .or_default()
                .push(bytes.to_vec());
            fragments.set_begin(fragments.next(index));
        }
        packets.set_begin(packets.next(packets.begin()));
    }
    notify_rx(queue.adapter);
}

fn advance_rx(queue: Queue) {
    let (packets, fragments) = (queue.ring(0), queue.ring(1));
    let waiting = std::mem::take(known().wire.entry(queue.adapter).or_default());
    let mut frames = waiting.into_iter();
    while packets.begin() != packets.end() && fragments.begin() != fragments.end() {
        let Some(frame) = frames.next() else { break };
        let index = fragments.begin();
        let element = fragments.element::<NetFragment>(index);
        // SAFETY: an element the client owns.
        let fragment = unsafe { element.read() };
        assert!(frame.len() <= fragment.capacity() as usize);
        let to = queue.bytes(index);
        // SAFETY: the buffer has as many bytes as the fragment says.
        unsafe { std::ptr::copy_nonoverlapping(frame.as_ptr(), to, frame.len()) };
        let written = fragment
            .with_valid_length(frame.len() as u32)
            .with_offset(0);
        // SAFETY: an element the client owns.
        unsafe { element.write(written) };
        let packet = packets.element::<NetPacket>(packets.begin());
        // SAFETY: as above.
        unsafe { packet.write(NetPacket::new(index, 1)) };
        call_valid(queue, packets.begin());
        fragments.set_begin(fragments.next(index));
        packets.set_begin(packets.next(packets.begin()));
    }
    let rest: Vec<_> = frames.collect();
    known().wire.entry(queue.adapter).or_default().extend(rest);
}

fn call_valid(queue: Queue, index: u32) {
    let script = known()
        .scripts
        .get(&queue.adapter)
        .cloned()
        .unwrap_or_default();
    if !script.call_valid || queue.checksum.enabled == 0 {
        return;
    }
    let [base, stride, ..] = queue.checksum.reserved;
    let valid = NetPacketChecksum::default().with_layer4(NetPacketChecksumState::VALID);
    // SAFETY: the extension of an element the client owns.
    unsafe { ((base + stride * index as usize) as *mut u8).write(valid.0) };
}
