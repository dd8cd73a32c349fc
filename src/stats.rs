//! Counters of the driver, one set per queue, under ethtool's names.
//!
//! Each set has one writer, the queue's execution context; anyone may read.

pub use netadapter_shim::Counter;

macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: Counter,)*
        }

        impl $name {
            /// All counters by name, in the order in which they are defined.
            pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field.get()),)*]
            }
        }
    };
}

counters! {
    /// What a receive queue counts.
    RxStats {
        /// Frames handed to the system.
        rx_packets,
        /// Their bytes.
        rx_bytes,
        /// Frames dropped because the device described them wrongly, for whatever reason below.
        rx_errors,
        /// The device claims to have written more than the buffer holds, or too little for a
        /// header and a link header.
        rx_length_errors,
        /// The device says that a frame spans no buffers, too many, or ones it did not hand over.
        rx_buffer_errors,
        /// A virtio header that contradicts the features or the frame.
        rx_header_errors,
        /// A frame larger than the MTU allows, and not of several segments.
        rx_over_errors,
        /// Frames that were several segments in one.
        rx_gso_packets,
        /// Frames whose checksum was partial or verified.
        rx_csum_offload,
        /// Times the device was told of new buffers.
        rx_kicks,
        /// Times an interrupt was asked for.
        rx_arms,
        /// Times frames were found by looking that an interrupt should have announced. Now and
        /// then one under load is an interrupt that was still on its way.
        rx_missed_interrupts,
        /// Buffers that the device had filled when it was reset, and nobody had read.
        rx_unread,
    }
}

counters! {
    /// What a transmit queue counts.
    TxStats {
        /// Frames handed to the device.
        tx_packets,
        /// Their bytes.
        tx_bytes,
        /// Frames that the framework asked to skip, or that do not fit or make no sense.
        tx_dropped,
        /// Frames for the device to cut into segments.
        tx_gso_packets,
        /// Frames whose checksum the device completes.
        tx_csum_offload,
        /// Times no slot was free.
        tx_busy,
        /// Times the device was told of new frames.
        tx_kicks,
        /// Times an interrupt was asked for.
        tx_arms,
        /// Times the watchdog found no progress and rang the doorbell again.
        tx_timeout,
        /// Frames that the device had been handed and not given back when it was reset: all others
        /// of `tx_packets` it has confirmed. Whether these were sent, nobody knows.
        tx_unconfirmed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_names_every_counter() {
        let stats = TxStats::default();
        stats.tx_bytes.add(1500);
        stats.tx_bytes.add(14);
        let snapshot = stats.snapshot();
        assert!(snapshot.contains(&("tx_bytes", 1514)));
        assert!(snapshot.contains(&("tx_kicks", 0)));
    }
}
