//! What the queues of an adapter are built from: its client's statements, and
//! the adapter's own wishes.

use super::Adapter;
use crate::queue::{RingInfo, TxCoverage, TxDemux};

/// Ethernet header and one VLAN tag.
const LINK_HEADER: usize = 18;
/// Longest IP and TCP headers in front of a large payload.
const LONGEST_HEADERS: usize = 120;
/// Longest frame of several segments that the stack makes.
const LARGEST_FRAME: usize = 65_535;
/// Larger rings only cost memory: the system half empties them in every turn.
const LARGEST_RING: u32 = 4096;
/// Rings of this size are worth their memory whatever the buffers' size; longer
/// ones are shortened to it where the client has no wish and their buffers
/// would take more than [`MOST_BUFFERS`] bytes.
const LEAST_RING: u32 = 64;
const MOST_BUFFERS: usize = 128 << 20;

/// Rx queues that a device may spread over.
const MOST_RX_QUEUES: usize = 64;

/// What the queues of an adapter are built from.
pub(super) struct Plan {
    pub(super) tx: RingInfo,
    pub(super) rx: RingInfo,
    pub(super) tx_alignment: usize,
    pub(super) rx_alignment: usize,
    pub(super) coverage: TxCoverage,
    /// Contexts with a queue of the port, an Rx queue and, unless frames to send
    /// are told apart, a Tx queue.
    pub(super) pairs: usize,
    /// Further Rx queues that the device spreads over, each in a context of its
    /// own.
    pub(super) further_rx: usize,
    /// How frames to send are told apart, and over how many Tx queues, each in
    /// a context of its own.
    pub(super) demux: Option<(TxDemux, usize)>,
}

impl Adapter {
    /// `None` without capabilities of the data path.
    pub(super) fn plan(&self) -> Option<Plan> {
        let (tx, rx) = (self.settings.tx?, self.settings.rx?);
        let ring = |hint: u32, default: u32, buffer_capacity| {
            let wish = match hint {
                0 => affordable(default, buffer_capacity),
                wish => wish,
            };
            let elements = wish.clamp(2, LARGEST_RING).next_power_of_two();
            RingInfo {
                packets: elements,
                fragments: elements,
                buffer_capacity,
                extensions: self.settings.extensions(),
            }
        };
        let tx_hint = tx.fragment_ring_number_of_elements_hint;
        let rx_hint = rx.fragment_ring_number_of_elements_hint;
        Some(Plan {
            tx: ring(tx_hint, self.config.tx_ring, self.tx_capacity()),
            rx: ring(rx_hint, self.config.rx_ring, rx.maximum_frame_size),
            tx_alignment: tx.fragment_buffer_alignment,
            rx_alignment: rx.fragment_buffer_alignment,
            coverage: self.coverage(),
            pairs: self.pair_count(),
            further_rx: self.rx_queue_count().saturating_sub(self.pair_count()),
            demux: self.demux(),
        })
    }

    /// The largest frame the stack can hand over.
    fn tx_capacity(&self) -> usize {
        let plain = LINK_HEADER + self.settings.mtu as usize;
        match self.settings.gso.filter(|_| self.active.tx.segmentation()) {
            // The stack knows no limit below its own: what the client does not
            // take whole is cut here.
            Some(gso) => {
                let largest = gso.maximum_offload_size.max(LARGEST_FRAME);
                plain.max(LINK_HEADER + LONGEST_HEADERS + largest)
            }
            None => plain,
        }
    }

    fn coverage(&self) -> TxCoverage {
        TxCoverage {
            checksum: self.settings.tx_sums(),
            segmentation: self.settings.segmentation(),
            tagging: self.settings.tagging(),
            post_ignored: self.config.post_ignored,
            unread: !self.config.layout_of_plain_frames,
        }
    }

    /// Several Tx queues, if the client wants frames told apart.
    fn demux(&self) -> Option<(TxDemux, usize)> {
        let most = self.settings.tx.map_or(1, |tx| tx.maximum_number_of_queues);
        let demux = self.settings.tx_demux.filter(|_| most > 1)?;
        Some((demux, usize::from(demux.queues).min(most)))
    }

    /// Rx queues: several only where the device spreads.
    fn rx_queue_count(&self) -> usize {
        let most = self.settings.rx.map_or(1, |rx| rx.maximum_number_of_queues);
        let (scaling, keywords) = (self.settings.scaling(), self.settings.keywords);
        let wanted = scaling.map_or(1, |scaling| keywords.queues(&scaling));
        wanted.min(most).clamp(1, MOST_RX_QUEUES)
    }

    /// Queues of the port: one where frames to send are told apart here, because
    /// the kernel tells them apart in ways of its own.
    fn pair_count(&self) -> usize {
        if self.settings.tx_demux.is_some() {
            return 1;
        }
        let tx = self
            .settings
            .tx
            .map_or(1, |caps| caps.maximum_number_of_queues);
        let rx = self
            .settings
            .rx
            .map_or(1, |caps| caps.maximum_number_of_queues);
        let spread = self.settings.scaling().map(|_| self.rx_queue_count());
        let wanted = self.config.queue_pairs.min(tx).min(spread.unwrap_or(rx));
        wanted.min(self.port.max_queues()).max(1)
    }
}

/// As many of the elements wished for as have buffers within [`MOST_BUFFERS`],
/// a power of two.
fn affordable(wish: u32, buffer_capacity: usize) -> u32 {
    let wish = wish.clamp(2, LARGEST_RING).next_power_of_two();
    let most = MOST_BUFFERS / buffer_capacity.max(1);
    let most = u32::try_from(most).unwrap_or(u32::MAX).max(LEAST_RING);
    match most.checked_ilog2() {
        Some(bits) => wish.min(1 << bits),
        None => wish,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_nobody_wished_for_are_as_long_as_their_buffers_are_cheap() {
        assert_eq!(affordable(1024, 2048), 1024);
        assert_eq!(affordable(1024, 65_535), 1024);
        assert_eq!(affordable(1024, 1 << 20), 128);
        assert_eq!(affordable(1000, 2048), 1024, "a power of two");
        assert_eq!(affordable(64, 1 << 30), LEAST_RING);
        assert_eq!(affordable(16, 1 << 30), 16, "no longer than wished for");
        assert_eq!(affordable(u32::MAX, 0), LARGEST_RING);
    }
}
