//! The standard keywords of a network device's INF that concern offloads: with
//! them a user switches off what a client can do. The framework reads them, not
//! the client, which sees the result in its callbacks.
//!
//! Names, values and defaults are those of Windows ("Standardized INF Keywords
//! for Network Devices"). A keyword that is missing leaves everything on.

use super::ReceiveScalingCapabilities;
use crate::abi::{NetOffloadIeee8021qFlags as Tagging, NetOffloadLayer3Flags as L3};

/// Bits of the checksum keywords.
const SENT: u32 = 1;
const RECEIVED: u32 = 2;
/// Bits of `*PriorityVLANTag`.
const PRIORITY: u32 = 1;
const VLAN: u32 = 2;

/// What the keywords leave on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffloadKeywords {
    /// Checksums of the IPv4 header of frames sent.
    pub(super) tx_ipv4: bool,
    /// Network headers over which TCP's checksum is left to the client.
    pub(super) tx_tcp: L3,
    /// The same for UDP's.
    pub(super) tx_udp: L3,
    /// Checksums of received frames that the client evaluates.
    pub(super) rx_ipv4: bool,
    pub(super) rx_tcp: bool,
    pub(super) rx_udp: bool,
    /// Network headers of large TCP frames that the client cuts.
    pub(super) lso: L3,
    /// The same for UDP.
    pub(super) uso: L3,
    /// Network headers of TCP segments that the client joins.
    pub(super) rsc: L3,
    pub(super) rsc_timestamp: bool,
    pub(super) udp_rsc: bool,
    pub(super) tagging: Tagging,
    pub(super) receive_scaling: bool,
    /// Rx queues to spread over.
    pub(super) receive_queues: Option<u32>,
}

impl Default for OffloadKeywords {
    fn default() -> Self {
        Self::read(|_| None)
    }
}

impl OffloadKeywords {
    /// Reads the keywords: `value` has the number of a name, if it is
    /// configured and is a number.
    pub fn read(value: impl Fn(&str) -> Option<u32>) -> Self {
        let bits = |name: &str| documented(name, value(name), SENT | RECEIVED).unwrap_or(u32::MAX);
        let on = |name: &str| documented(name, value(name), 1).is_none_or(|value| value != 0);
        let (ip, tcp4, tcp6, udp4, udp6) = (
            bits("*IPChecksumOffloadIPv4"),
            bits("*TCPChecksumOffloadIPv4"),
            bits("*TCPChecksumOffloadIPv6"),
            bits("*UDPChecksumOffloadIPv4"),
            bits("*UDPChecksumOffloadIPv6"),
        );
        let tags = bits("*PriorityVLANTag");
        Self {
            tx_ipv4: ip & SENT != 0,
            tx_tcp: families(tcp4 & SENT != 0, tcp6 & SENT != 0),
            tx_udp: families(udp4 & SENT != 0, udp6 & SENT != 0),
            rx_ipv4: ip & RECEIVED != 0,
            rx_tcp: (tcp4 | tcp6) & RECEIVED != 0,
            rx_udp: (udp4 | udp6) & RECEIVED != 0,
            lso: families(on("*LsoV1IPv4") & on("*LsoV2IPv4"), on("*LsoV2IPv6")),
            uso: families(on("*UsoIPv4"), on("*UsoIPv6")),
            rsc: families(on("*RscIPv4"), on("*RscIPv6")),
            rsc_timestamp: on("*RscTimestamp"),
            udp_rsc: on("*UdpRsc"),
            tagging: tagging(tags & PRIORITY != 0, tags & VLAN != 0),
            receive_scaling: on("*RSS"),
            receive_queues: value("*NumRssQueues"),
        }
    }

    /// The Rx queues of a client that spreads; a wish for none, or for more
    /// than it has, does not count.
    pub(super) fn queues(&self, capabilities: &ReceiveScalingCapabilities) -> usize {
        let most = capabilities.number_of_queues;
        let wish = self.receive_queues.and_then(|wish| wish.try_into().ok());
        wish.filter(|wish| (1..=most).contains(wish))
            .unwrap_or(most)
    }
}

/// Says so if a value is none of the documented ones; it counts all the same.
fn documented(name: &str, value: Option<u32>, most: u32) -> Option<u32> {
    if let Some(value) = value.filter(|value| *value > most) {
        log::warn!("{name} is {value}, and not a number from 0 to {most}");
    }
    value
}

fn families(ipv4: bool, ipv6: bool) -> L3 {
    let kept = |on, flags| if on { flags } else { L3::default() };
    kept(ipv4, L3::IPV4_NO_OPTIONS | L3::IPV4_WITH_OPTIONS)
        | kept(ipv6, L3::IPV6_NO_EXTENSIONS | L3::IPV6_WITH_EXTENSIONS)
}

fn tagging(priority: bool, vlan: bool) -> Tagging {
    let kept = |on, flag| if on { flag } else { Tagging::default() };
    kept(priority, Tagging::PRIORITY_TAGGING) | kept(vlan, Tagging::VLAN_TAGGING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, u32)]) -> OffloadKeywords {
        OffloadKeywords::read(|name| {
            let found = values.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value)
        })
    }

    const V4: L3 = L3(3);
    const V6: L3 = L3(12);

    /// Each keyword, a value, and what that takes away.
    #[test]
    fn each_keyword_takes_away_what_it_names_and_nothing_else() {
        let all = OffloadKeywords::default();
        type Change = fn(&mut OffloadKeywords);
        let cases: [(&str, u32, Change); 22] = [
            ("*IPChecksumOffloadIPv4", 1, |k| k.rx_ipv4 = false),
            ("*IPChecksumOffloadIPv4", 2, |k| k.tx_ipv4 = false),
            ("*TCPChecksumOffloadIPv4", 1, |_| ()),
            ("*TCPChecksumOffloadIPv4", 2, |k| k.tx_tcp = V6),
            ("*TCPChecksumOffloadIPv6", 0, |k| k.tx_tcp = V4),
            ("*UDPChecksumOffloadIPv4", 0, |k| k.tx_udp = V6),
            ("*UDPChecksumOffloadIPv6", 2, |k| k.tx_udp = V4),
            ("*LsoV1IPv4", 0, |k| k.lso = V6),
            ("*LsoV2IPv4", 0, |k| k.lso = V6),
            ("*LsoV2IPv6", 0, |k| k.lso = V4),
            ("*UsoIPv4", 0, |k| k.uso = V6),
            ("*UsoIPv6", 0, |k| k.uso = V4),
            ("*RscIPv4", 0, |k| k.rsc = V6),
            ("*RscIPv6", 0, |k| k.rsc = V4),
            ("*RscTimestamp", 0, |k| k.rsc_timestamp = false),
            ("*UdpRsc", 0, |k| k.udp_rsc = false),
            ("*PriorityVLANTag", 0, |k| k.tagging = Tagging(0)),
            ("*PriorityVLANTag", 1, |k| {
                k.tagging = Tagging::PRIORITY_TAGGING
            }),
            ("*PriorityVLANTag", 2, |k| k.tagging = Tagging::VLAN_TAGGING),
            ("*RSS", 0, |k| k.receive_scaling = false),
            ("*NumRssQueues", 2, |k| k.receive_queues = Some(2)),
            ("*IPsecOffloadV2", 0, |_| ()),
        ];
        for (name, value, change) in cases {
            let mut expected = all;
            change(&mut expected);
            assert_eq!(read(&[(name, value)]), expected, "{name} = {value}");
        }
    }

    #[test]
    fn every_default_leaves_everything_on() {
        let all = OffloadKeywords::default();
        let threes = [
            "*IPChecksumOffloadIPv4",
            "*TCPChecksumOffloadIPv4",
            "*TCPChecksumOffloadIPv6",
            "*UDPChecksumOffloadIPv4",
            "*UDPChecksumOffloadIPv6",
            "*PriorityVLANTag",
        ];
        let ones = [
            "*LsoV1IPv4",
            "*LsoV2IPv4",
            "*LsoV2IPv6",
            "*UsoIPv4",
            "*UsoIPv6",
            "*RscIPv4",
            "*RscIPv6",
            "*RscTimestamp",
            "*UdpRsc",
            "*RSS",
        ];
        let stated = threes
            .map(|name| (name, 3))
            .into_iter()
            .chain(ones.map(|name| (name, 1)));
        assert_eq!(read(&stated.collect::<Vec<_>>()), all);
        assert_eq!(
            (all.tx_tcp, all.lso, all.tagging),
            (V4 | V6, V4 | V6, Tagging(3))
        );
        assert_eq!((all.receive_scaling, all.receive_queues), (true, None));
    }

    #[test]
    fn received_checksums_of_tcp_and_udp_are_off_once_they_are_off_over_both() {
        let tcp = [
            ("*TCPChecksumOffloadIPv4", 1),
            ("*TCPChecksumOffloadIPv6", 0),
        ];
        assert!(!read(&tcp).rx_tcp && read(&tcp).rx_udp);
        let udp = [
            ("*UDPChecksumOffloadIPv4", 0),
            ("*UDPChecksumOffloadIPv6", 1),
        ];
        assert!(!read(&udp).rx_udp && read(&udp).rx_tcp);
    }

    #[test]
    fn a_wish_for_receive_queues_counts_within_what_the_client_has() {
        let capabilities = ReceiveScalingCapabilities {
            number_of_queues: 4,
            indirection_table_size: 128,
            hash_types: Default::default(),
            protocol_types: Default::default(),
            encapsulation_types: [0; 2],
        };
        for (wish, queues) in [(0, 4), (1, 1), (3, 3), (4, 4), (5, 4), (u32::MAX, 4)] {
            let keywords = read(&[("*NumRssQueues", wish)]);
            assert_eq!(keywords.queues(&capabilities), queues, "{wish}");
        }
        assert_eq!(OffloadKeywords::default().queues(&capabilities), 4);
    }
}
