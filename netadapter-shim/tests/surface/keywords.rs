//! The standard offload keywords: a client is told what they leave on, and gets frames accordingly.

use std::sync::Arc;

use netadapter_shim::PortOffloads;
use netadapter_shim::abi::{NetPacketPartialChecksum, SegmentType};
use netadapter_shim::door::configuration_store::{ConfigurationTable, ConfigurationValue};
use netadapter_shim::os::loopback::StackFrame;

use super::frames::{Kind, ethernet};
use super::host::{BOTH, Language, PATIENCE, Session, Setting, all};

/// As an INF's values are: text.
fn configured(values: &[(&str, &str)]) -> Setting {
    let empty = ConfigurationTable::default();
    let table = values.iter().fold(empty, |table, (name, value)| {
        table.with(name, ConfigurationValue::String((*value).to_owned()))
    });
    Setting {
        offloads: PortOffloads::ALL,
        configuration: Arc::new(table),
        ..Setting::default()
    }
}

fn up(source: &str, language: Language, values: &[(&str, &str)]) -> Option<Session> {
    Session::up(source, language, configured(values))
}

const TX: &str = "tx checksum ipv4 1 tcp 1 udp 1";
const RX: &str = "rx checksum ipv4 1 tcp 1 udp 1";
const GSO: &str = "lso ipv4 1 ipv6 1 uso ipv4 1 ipv6 1";
const RSC: &str = "rsc ipv4 1 ipv6 1 timestamp 1 udp 1";

/// What is configured, and what the four callbacks then say.
type Case = (&'static [(&'static str, &'static str)], [&'static str; 4]);

const CASES: [Case; 18] = [
    (
        &[("*IPChecksumOffloadIPv4", "3"), ("*LsoV2IPv4", "1")],
        [TX, RX, GSO, RSC],
    ),
    (
        &[("*IPChecksumOffloadIPv4", "0")],
        [
            "tx checksum ipv4 0 tcp 1 udp 1",
            "rx checksum ipv4 0 tcp 1 udp 1",
            GSO,
            RSC,
        ],
    ),
    (
        &[("*IPChecksumOffloadIPv4", "1")],
        [TX, "rx checksum ipv4 0 tcp 1 udp 1", GSO, RSC],
    ),
    (
        &[("*IPChecksumOffloadIPv4", "2")],
        ["tx checksum ipv4 0 tcp 1 udp 1", RX, GSO, RSC],
    ),
    // One family is left of each.
    (
        &[
            ("*TCPChecksumOffloadIPv4", "0"),
            ("*UDPChecksumOffloadIPv6", "0"),
        ],
        [TX, RX, GSO, RSC],
    ),
    (
        &[
            ("*TCPChecksumOffloadIPv4", "0"),
            ("*TCPChecksumOffloadIPv6", "0"),
        ],
        [
            "tx checksum ipv4 1 tcp 0 udp 1",
            "rx checksum ipv4 1 tcp 0 udp 1",
            GSO,
            RSC,
        ],
    ),
    (
        &[
            ("*TCPChecksumOffloadIPv4", "1"),
            ("*TCPChecksumOffloadIPv6", "1"),
        ],
        [TX, "rx checksum ipv4 1 tcp 0 udp 1", GSO, RSC],
    ),
    (
        &[
            ("*UDPChecksumOffloadIPv4", "2"),
            ("*UDPChecksumOffloadIPv6", "2"),
        ],
        ["tx checksum ipv4 1 tcp 1 udp 0", RX, GSO, RSC],
    ),
    (
        &[("*LsoV1IPv4", "0")],
        [TX, RX, "lso ipv4 0 ipv6 1 uso ipv4 1 ipv6 1", RSC],
    ),
    (
        &[("*LsoV2IPv4", "0")],
        [TX, RX, "lso ipv4 0 ipv6 1 uso ipv4 1 ipv6 1", RSC],
    ),
    (
        &[("*LsoV2IPv6", "0")],
        [TX, RX, "lso ipv4 1 ipv6 0 uso ipv4 1 ipv6 1", RSC],
    ),
    (
        &[("*UsoIPv4", "0")],
        [TX, RX, "lso ipv4 1 ipv6 1 uso ipv4 0 ipv6 1", RSC],
    ),
    (
        &[("*UsoIPv6", "0")],
        [TX, RX, "lso ipv4 1 ipv6 1 uso ipv4 1 ipv6 0", RSC],
    ),
    (
        &[("*RscIPv4", "0")],
        [TX, RX, GSO, "rsc ipv4 0 ipv6 1 timestamp 1 udp 1"],
    ),
    (
        &[("*RscIPv4", "0"), ("*RscIPv6", "0")],
        [TX, RX, GSO, "rsc ipv4 0 ipv6 0 timestamp 0 udp 1"],
    ),
    (
        &[("*RscTimestamp", "0")],
        [TX, RX, GSO, "rsc ipv4 1 ipv6 1 timestamp 0 udp 1"],
    ),
    (
        &[("*UdpRsc", "0")],
        [TX, RX, GSO, "rsc ipv4 1 ipv6 1 timestamp 1 udp 0"],
    ),
    // Names in any case; what is no number does not count.
    (
        &[("*lsov2ipv6", "0"), ("*RscIPv4", "no")],
        [TX, RX, "lso ipv4 1 ipv6 0 uso ipv4 1 ipv6 1", RSC],
    ),
];

#[test]
fn callbacks_hear_what_each_keyword_leaves_on() {
    for (values, expected) in CASES {
        let Some(client) = up("offloads.c", Language::C, values) else {
            return;
        };
        assert_eq!(client.said(4), expected, "{values:?}");
        let warned = all()
            .iter()
            .any(|line| line.contains("*RscIPv4 is no number"));
        assert_eq!(warned, values.contains(&("*RscIPv4", "no")), "{:?}", all());
        client.end();
    }
}

/// A frame of the stack with its checksum unfinished, and large if `segment` is not 0.
fn unfinished(kind: Kind, segment: u16) -> StackFrame {
    let partial =
        NetPacketPartialChecksum::partial(kind.transport_at() as u16, kind.field() as u16);
    let mut frame = StackFrame::new(kind.unfinished());
    frame.partial = match segment {
        0 => partial,
        size => partial.with_segments(SegmentType::TCPV4, size, kind.headers() as u16),
    };
    frame
}

/// The stack knows one switch for all checksums: what is off is completed by the framework.
#[test]
fn checksums_switched_off_over_one_family_are_completed_for_the_client() {
    for language in BOTH {
        let values = [
            ("*TCPChecksumOffloadIPv4", "2"),
            ("*UDPChecksumOffloadIPv6", "0"),
        ];
        let Some(client) = up("offloads.c", language, &values) else {
            return;
        };
        client.said(4);
        assert!(client.seat.tx_offloads().checksum);
        let done = "l3 - l4 - mss 0";
        let left = "l3 - l4 required mss 0";
        let cases = [
            (Kind::tcp4(100), format!("sent 154 bytes ipv4 {done}")),
            (Kind::tcp6(100), format!("sent 174 bytes ipv6 {left}")),
            (Kind::udp4(100), format!("sent 142 bytes ipv4 {left}")),
            (Kind::udp6(100), format!("sent 162 bytes ipv6 {done}")),
        ];
        for (kind, expected) in cases {
            assert!(client.seat.send(unfinished(kind, 0)));
            assert_eq!(client.said(1), [expected.as_str()], "{kind:?}");
            let back = client.seat.wait_receive(PATIENCE).expect("what was sent");
            if expected.ends_with(done) {
                assert_eq!(back.bytes, kind.finished(), "{kind:?}");
            }
        }
        client.end();
    }
}

#[test]
fn the_stack_finishes_and_cuts_what_is_switched_off_altogether() {
    let off = [
        ("*TCPChecksumOffloadIPv4", "0"),
        ("*TCPChecksumOffloadIPv6", "0"),
        ("*UDPChecksumOffloadIPv4", "0"),
        ("*UDPChecksumOffloadIPv6", "0"),
        ("*LsoV2IPv4", "0"),
        ("*LsoV2IPv6", "0"),
        ("*UsoIPv4", "0"),
        ("*UsoIPv6", "0"),
    ];
    let Some(client) = up("offloads.c", Language::C, &off) else {
        return;
    };
    assert_eq!(client.seat.tx_offloads(), PortOffloads::default());
    client.end();
    let client = up("offloads.c", Language::C, &off[4..5]).expect("compiled already");
    let told = client.seat.tx_offloads();
    assert!(told.checksum && !told.tso4 && told.tso6 && told.uso);
    client.said(4);
    // One that is under way all the same is cut by the framework.
    assert!(client.seat.send(unfinished(Kind::tcp4(2000), 1000)));
    let segment = "sent 1054 bytes ipv4 l3 - l4 required mss 0";
    assert_eq!(client.said(2), [segment, segment]);
    client.end();
}

/// The extension stays, as it belongs to what the client can do.
#[test]
fn tags_switched_off_stay_in_the_frame() {
    let tagged = ethernet(Some(5 << 13 | 100), 0x88b5, &[9; 50]);
    let priority = ethernet(Some(5 << 13), 0x88b5, &[9; 50]);
    let vlan = ethernet(Some(100), 0x88b5, &[9; 50]);
    let stays = "68 bytes priority 0 vlan 0 as it is";
    let both = "64 bytes priority 5 vlan 100 insert priority insert vlan";
    let cases = [
        ("0", [stays, stays, stays]),
        (
            "1",
            [stays, "64 bytes priority 5 vlan 0 insert priority", stays],
        ),
        (
            "2",
            [stays, stays, "64 bytes priority 0 vlan 100 insert vlan"],
        ),
        (
            "3",
            [
                both,
                "64 bytes priority 5 vlan 0 insert priority",
                "64 bytes priority 0 vlan 100 insert vlan",
            ],
        ),
    ];
    for (value, expected) in cases {
        let Some(client) = up("tags.c", Language::C, &[("*PriorityVLANTag", value)]) else {
            return;
        };
        for (frame, expected) in [&tagged, &priority, &vlan].into_iter().zip(expected) {
            assert!(client.seat.send(StackFrame::new(frame.clone())));
            let back = client.seat.wait_receive(PATIENCE).expect("what was sent");
            assert_eq!(&back.bytes, frame, "{value}");
            assert_eq!(client.said(1), [expected], "{value}");
        }
        client.end();
    }
}

/// The client has four queues and 128 entries.
#[test]
fn receive_scaling_follows_its_keywords() {
    let spread = |shares: &str| format!("128 entries, shares {shares}");
    type Case = (
        &'static [(&'static str, &'static str)],
        Option<String>,
        usize,
    );
    let cases: [Case; 5] = [
        (&[("*RSS", "1")], Some(spread("32 32 32 32")), 3),
        (&[("*RSS", "0")], None, 0),
        (&[("*NumRssQueues", "2")], Some(spread("64 64 0 0")), 1),
        (&[("*NumRssQueues", "1")], None, 0),
        (&[("*NumRssQueues", "5")], Some(spread("32 32 32 32")), 3),
    ];
    for (values, told, queue) in cases {
        let Some(client) = up("scaling.c", Language::C, values) else {
            return;
        };
        if let Some(told) = told {
            assert_eq!(client.said(4)[0], told, "{values:?}");
        }
        let frame = ethernet(None, 0x88b5, &[3; 60]);
        assert!(client.seat.send(StackFrame::new(frame.clone())));
        let back = client.seat.wait_receive(PATIENCE).expect("what was sent");
        assert_eq!(back.bytes, frame);
        assert_eq!(
            client.said(1),
            [format!("hash 3 on queue {queue}")],
            "{values:?}"
        );
        client.end();
    }
}
