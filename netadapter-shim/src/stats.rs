//! Counters in ethtool's words. Each has one writer, the queue's execution
//! context, and may be read from any thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread adds to and others read: a plain load and store,
/// no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(count);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Declares the live counters and the plain snapshot of them.
macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {
        /// Counters of one pair of queues and its execution context.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct QueueStatistics {
            $($(#[$meta])* pub $name: u64,)+
        }

        /// The live counters.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)+
        }

        impl Counters {
            /// Reads all counters; each is right, together they may be a turn apart.
            pub(crate) fn snapshot(&self) -> QueueStatistics {
                QueueStatistics { $($name: self.$name.get(),)+ }
            }
        }

        impl QueueStatistics {
            /// Names and values in the order of declaration.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }

            /// Sums two sets of counters.
            #[must_use]
            pub fn sum(self, other: Self) -> Self {
                Self { $($name: self.$name.wrapping_add(other.$name),)+ }
            }
        }
    };
}

counters! {
    /// Frames handed to the stack.
    rx_packets,
    /// Bytes of those frames.
    rx_bytes,
    /// Frames the client returned that broke a rule and were dropped.
    rx_dropped,
    /// Frames the port would not take.
    rx_errors,
    /// Packets the client returned unused.
    rx_ignored,
    /// Frames given to the client.
    tx_packets,
    /// Bytes of those frames.
    tx_bytes,
    /// Frames of the stack that did not fit a buffer or could not be described.
    tx_dropped,
    /// Failed reads of the port.
    tx_errors,
    /// Frames whose checksum the framework completed itself.
    tx_csum_software,
    /// Turns of the execution context.
    polls,
    /// Times the context went to sleep and was woken.
    wakeups,
    /// Times something came while the context looked on instead of sleeping.
    busy_polls,
    /// Times the context looked at its sources without sleeping.
    peeks,
    /// Times a busy context made room for those it had woken.
    pauses,
}

/// All counters of an adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdapterStatistics {
    /// One set per pair of queues. Counters go on over a rebuild of the queues.
    pub queues: Vec<QueueStatistics>,
}

impl AdapterStatistics {
    /// The sum over all queues.
    pub fn total(&self) -> QueueStatistics {
        let zero = QueueStatistics::default();
        self.queues.iter().fold(zero, |sum, queue| sum.sum(*queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_names_and_sums_every_counter() {
        let counters = Counters::default();
        counters.rx_packets.add(2);
        counters.rx_packets.add(3);
        counters.wakeups.add(1);
        let one = counters.snapshot();
        assert_eq!((one.rx_packets, one.wakeups, one.tx_packets), (5, 1, 0));
        let all = AdapterStatistics {
            queues: vec![one, one],
        };
        assert_eq!(all.total().rx_packets, 10);
        assert!(one.named().any(|named| named == ("rx_packets", 5)));
    }
}
