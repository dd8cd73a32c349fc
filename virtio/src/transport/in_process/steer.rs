//! § *Automatic receive steering in multiqueue mode*, § *Receive-side scaling (RSS)*: which pair
//! a frame for the driver goes to.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::check::{TCP, UDP, network_of};
use crate::net::{HashReport, RssConfig};
use crate::spec::net::hash;

/// Flows that are remembered; what they were sent on is forgotten all at once then.
const MAX_FLOWS: usize = 4096;

/// Which pair each flow was last sent on.
#[derive(Debug, Default)]
pub(super) struct Steering {
    flows: HashMap<Flow, u16, Plain>,
}

/// The same for everybody who asks, so that a test is repeatable.
type Plain = BuildHasherDefault<DefaultHasher>;

impl Steering {
    /// The driver has sent `frame` on `pair`.
    pub(super) fn sent(&mut self, frame: &[u8], pair: u16) {
        let Some(flow) = Flow::of(frame) else { return };
        if self.flows.len() >= MAX_FLOWS && !self.flows.contains_key(&flow) {
            self.flows.clear();
        }
        self.flows.insert(flow, pair);
    }

    /// Which of `pairs` a frame is for: that of its flow; that of its hash if nothing was sent
    /// of it; the first if it belongs to none.
    pub(super) fn pair_of(&self, frame: &[u8], pairs: u16) -> u16 {
        let Some(flow) = Flow::of(frame) else {
            return 0;
        };
        match self.flows.get(&flow) {
            Some(&pair) if pair < pairs => pair,
            _ => (self.flows.hasher().hash_one(flow) % u64::from(pairs.max(1))) as u16,
        }
    }
}

/// The two ends of a conversation, the smaller one first: the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flow {
    protocol: u8,
    ends: [([u8; 16], [u8; 2]); 2],
}

impl Flow {
    fn of(frame: &[u8]) -> Option<Self> {
        let tuple = Tuple::of(frame)?;
        let end = |address: &[u8], port| {
            let mut wide = [0; 16];
            wide[..address.len()].copy_from_slice(address);
            (wide, port)
        };
        let [from, to] = tuple.ports.unwrap_or_default();
        let mut ends = [end(tuple.source, from), end(tuple.destination, to)];
        ends.sort_unstable();
        let protocol = tuple.protocol;
        Some(Self { protocol, ends })
    }
}

/// What of a frame can be hashed.
struct Tuple<'a> {
    v6: bool,
    protocol: u8,
    source: &'a [u8],
    destination: &'a [u8],
    ports: Option<[[u8; 2]; 2]>,
}

impl<'a> Tuple<'a> {
    fn of(frame: &'a [u8]) -> Option<Self> {
        let network = network_of(frame)?;
        let (source, destination) = network.addresses.split_at(network.addresses.len() / 2);
        let ports = || {
            let ports = frame.get(network.transport..)?.first_chunk::<4>()?;
            Some([[ports[0], ports[1]], [ports[2], ports[3]]])
        };
        let has_ports = !network.fragment && [TCP, UDP].contains(&network.protocol);
        Some(Self {
            v6: network.v6,
            protocol: network.protocol,
            source,
            destination,
            ports: has_ports.then(ports).flatten(),
        })
    }

    /// What is hashed of it under `types`, with the ports where they may be, and by which of them.
    fn input(&self, types: u32) -> Option<(u32, Vec<u8>)> {
        let addresses = [self.source, self.destination].concat();
        let (tcp, udp, alone) = match self.v6 {
            false => (hash::TYPE_TCPV4, hash::TYPE_UDPV4, hash::TYPE_IPV4),
            true => (hash::TYPE_TCPV6, hash::TYPE_UDPV6, hash::TYPE_IPV6),
        };
        let with_ports = if self.protocol == TCP { tcp } else { udp };
        match self.ports.filter(|_| types & with_ports != 0) {
            Some(ports) => Some((with_ports, [addresses, ports.concat()].concat())),
            None => (types & alone != 0).then_some((alone, addresses)),
        }
    }
}

/// The pair that `rss` names for a frame.
pub(super) fn scaled(rss: &RssConfig, frame: &[u8]) -> u16 {
    match hashed(rss, frame) {
        Some(hash) => rss.table[hash.value as usize & (rss.table.len() - 1)],
        None => rss.unclassified,
    }
}

/// The hash of a frame, if `rss` has it hashed.
pub(super) fn hashed(rss: &RssConfig, frame: &[u8]) -> Option<HashReport> {
    let (hash_type, input) = Tuple::of(frame)?.input(rss.hash_types)?;
    Some(HashReport {
        value: toeplitz(&rss.key, &input),
        report: hash_type.trailing_zeros() as u16 + 1,
    })
}

/// The Toeplitz hash: for every set bit of the input, the 32 bits of the key that begin there.
fn toeplitz(key: &[u8; hash::KEY_SIZE], input: &[u8]) -> u32 {
    let window = |bit: usize| {
        let at = bit / 8;
        let bytes: [u8; 8] = std::array::from_fn(|i| key.get(at + i).copied().unwrap_or_default());
        (u64::from_be_bytes(bytes) >> (32 - bit % 8)) as u32
    };
    let bits = 0..input.len() * 8;
    bits.filter(|bit| input[bit / 8] >> (7 - bit % 8) & 1 == 1)
        .fold(0, |hash, bit| hash ^ window(bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key and values of Microsoft's *Verifying the RSS hash calculation*.
    const KEY: [u8; hash::KEY_SIZE] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
        0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    fn frame(protocol: u8, from: ([u8; 4], u16), to: ([u8; 4], u16)) -> Vec<u8> {
        let mut frame = vec![0; 14 + 20 + 8];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[23] = protocol;
        frame[26..30].copy_from_slice(&from.0);
        frame[30..34].copy_from_slice(&to.0);
        frame[34..36].copy_from_slice(&from.1.to_be_bytes());
        frame[36..38].copy_from_slice(&to.1.to_be_bytes());
        frame
    }

    #[test]
    fn hashes_are_the_published_ones() {
        let cases = [
            (
                ([66, 9, 149, 187], 2794),
                ([161, 142, 100, 80], 1766),
                0x51cc_c178,
                0x323e_8fc2,
            ),
            (
                ([199, 92, 111, 2], 14230),
                ([65, 69, 140, 83], 4739),
                0xc626_b0ea,
                0xd718_262a,
            ),
        ];
        for (from, to, with_ports, alone) in cases {
            let frame = frame(TCP, from, to);
            let tuple = Tuple::of(&frame).unwrap();
            let hash = |types| toeplitz(&KEY, &tuple.input(types).unwrap().1);
            assert_eq!(hash(hash::TYPES), with_ports);
            assert_eq!(hash(hash::TYPE_IPV4), alone);
        }
    }

    #[test]
    fn answers_come_where_the_question_left() {
        let mut steering = Steering::default();
        let (us, them) = (([10, 0, 0, 1], 40_000), ([10, 0, 0, 2], 80));
        for pair in [3, 1] {
            steering.sent(&frame(TCP, us, them), pair);
            assert_eq!(steering.pair_of(&frame(TCP, them, us), 4), pair);
        }
        assert_eq!(steering.pair_of(&frame(TCP, them, us), 1), 0, "one is left");
        assert_eq!(steering.pair_of(&[0xff; 60], 4), 0, "no flow");
    }

    #[test]
    fn flows_that_nothing_was_sent_of_spread() {
        let steering = Steering::default();
        let pairs = (0..256).map(|port| {
            let frame = frame(UDP, ([10, 0, 0, 2], port), ([10, 0, 0, 1], 53));
            steering.pair_of(&frame, 4)
        });
        let mut count = [0; 4];
        pairs.for_each(|pair| count[usize::from(pair)] += 1);
        assert!(count.iter().all(|&n| n > 32), "{count:?}");
    }

    #[test]
    fn the_flows_remembered_are_bounded() {
        let mut steering = Steering::default();
        for port in 0..20_000 {
            let frame = frame(UDP, ([10, 0, 0, 2], port), ([10, 0, 0, 1], 53));
            steering.sent(&frame, 1);
            assert!(steering.flows.len() <= MAX_FLOWS);
        }
    }

    #[test]
    fn the_table_is_asked_for_the_hash_and_what_has_none_goes_apart() {
        let rss = RssConfig {
            hash_types: hash::TYPE_TCPV4,
            table: (0..128).map(|entry| entry % 4).collect(),
            unclassified: 2,
            transmit_queues: 4,
            key: KEY,
        };
        let (from, to) = (([66, 9, 149, 187], 2794), ([161, 142, 100, 80], 1766));
        assert_eq!(
            scaled(&rss, &frame(TCP, from, to)),
            0x51cc_c178_u32 as u16 % 4
        );
        assert_eq!(scaled(&rss, &frame(UDP, from, to)), 2);
        assert_eq!(scaled(&rss, &[0xff; 60]), 2);
    }
}
