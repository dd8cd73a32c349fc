//! Checksums, segmentation, coalescing: what the callbacks are told, and what packets carry.

use std::sync::Arc;

use netadapter_shim::PortOffloads;
use netadapter_shim::abi::{NetPacketChecksumState, NetPacketPartialChecksum, SegmentType};
use netadapter_shim::door::configuration_store::{ConfigurationTable, ConfigurationValue};
use netadapter_shim::os::loopback::StackFrame;

use super::frames::Kind;
use super::host::{BOTH, Language, PATIENCE, Session, Setting};

const CLIENT: &str = "offloads.c";
const PAUSE: u32 = 1;
const RESUME: u32 = 2;
const EVALUATE: u32 = 3;
const COALESCE: u32 = 4;
const DATAGRAMS: u32 = 5;

fn setting(offloads: PortOffloads, values: &[(&str, u32)]) -> Setting {
    let table = values
        .iter()
        .fold(ConfigurationTable::default(), |table, (name, value)| {
            table.with(name, ConfigurationValue::Ulong(*value))
        });
    Setting {
        offloads,
        configuration: Arc::new(table),
        ..Setting::default()
    }
}

fn up(language: Language, offloads: PortOffloads, values: &[(&str, u32)]) -> Option<Session> {
    Session::up(CLIENT, language, setting(offloads, values))
}

const EVERYTHING: [&str; 4] = [
    "tx checksum ipv4 1 tcp 1 udp 1",
    "rx checksum ipv4 1 tcp 1 udp 1",
    "lso ipv4 1 ipv6 1 uso ipv4 1 ipv6 1",
    "rsc ipv4 1 ipv6 1 timestamp 1 udp 1",
];
const NOTHING: [&str; 4] = [
    "tx checksum ipv4 0 tcp 0 udp 0",
    "rx checksum ipv4 0 tcp 0 udp 0",
    "lso ipv4 0 ipv6 0 uso ipv4 0 ipv6 0",
    "rsc ipv4 0 ipv6 0 timestamp 0 udp 0",
];

#[test]
fn callbacks_hear_what_is_enabled_and_that_it_is_paused() {
    for language in BOTH {
        let Some(client) = up(language, PortOffloads::ALL, &[]) else {
            return;
        };
        assert_eq!(client.said(4), EVERYTHING);
        assert!(client.seat.tx_offloads().tso4);
        client.command(PAUSE, 0);
        assert_eq!(client.said(4), NOTHING);
        assert_eq!(client.seat.tx_offloads(), PortOffloads::default());
        client.command(RESUME, 0);
        assert_eq!(client.said(4), EVERYTHING);
        assert!(client.seat.tx_offloads().uso);
        client.end();
    }
}

/// What is configured, and what the four callbacks then say.
type Case = (&'static [(&'static str, u32)], [&'static str; 4]);

/// Each capability that is left out is missing from what its callback is told, and no other is.
#[test]
fn callbacks_follow_the_capabilities_flag_by_flag() {
    let cases: [Case; 6] = [
        (
            &[("Layer3", 3), ("Layer4", 3)],
            [
                "tx checksum ipv4 1 tcp 1 udp 0",
                EVERYTHING[1],
                "lso ipv4 1 ipv6 0 uso ipv4 0 ipv6 0",
                "rsc ipv4 1 ipv6 0 timestamp 1 udp 0",
            ],
        ),
        (
            &[("Layer3", 12), ("Layer4", 3)],
            [
                "tx checksum ipv4 0 tcp 1 udp 0",
                EVERYTHING[1],
                "lso ipv4 0 ipv6 1 uso ipv4 0 ipv6 0",
                "rsc ipv4 0 ipv6 1 timestamp 1 udp 0",
            ],
        ),
        (
            &[("Layer3", 15), ("Layer4", 4)],
            [
                "tx checksum ipv4 1 tcp 0 udp 1",
                EVERYTHING[1],
                "lso ipv4 0 ipv6 0 uso ipv4 1 ipv6 1",
                "rsc ipv4 0 ipv6 0 timestamp 0 udp 1",
            ],
        ),
        (
            &[("Layer3", 3), ("Layer4", 4)],
            [
                "tx checksum ipv4 1 tcp 0 udp 1",
                EVERYTHING[1],
                "lso ipv4 0 ipv6 0 uso ipv4 1 ipv6 0",
                "rsc ipv4 0 ipv6 0 timestamp 0 udp 1",
            ],
        ),
        (
            &[("Layer3", 12), ("Layer4", 4)],
            [
                "tx checksum ipv4 0 tcp 0 udp 1",
                EVERYTHING[1],
                "lso ipv4 0 ipv6 0 uso ipv4 0 ipv6 1",
                "rsc ipv4 0 ipv6 0 timestamp 0 udp 1",
            ],
        ),
        (
            &[("Timestamp", 0)],
            [
                EVERYTHING[0],
                EVERYTHING[1],
                EVERYTHING[2],
                "rsc ipv4 1 ipv6 1 timestamp 0 udp 1",
            ],
        ),
    ];
    for (values, expected) in cases {
        let Some(client) = up(Language::C, PortOffloads::ALL, values) else {
            return;
        };
        assert_eq!(client.said(4), expected, "{values:?}");
        client.end();
    }
}

/// What the system cannot carry is not enabled, whatever the client can do.
#[test]
fn callbacks_follow_what_the_system_carries() {
    let bare = PortOffloads::default();
    let Some(client) = up(Language::C, bare, &[]) else {
        return;
    };
    let said = client.said(4);
    assert_eq!(
        said[2..],
        NOTHING[2..],
        "large frames need a port that has them"
    );
    client.end();
    let tso4 = PortOffloads {
        checksum: true,
        tso4: true,
        ..bare
    };
    let client = up(Language::C, tso4, &[]).unwrap();
    let said = client.said(4);
    assert_eq!(said[2], "lso ipv4 1 ipv6 0 uso ipv4 0 ipv6 0");
    assert_eq!(said[3], "rsc ipv4 1 ipv6 0 timestamp 1 udp 0");
    client.end();
}

fn unfinished(kind: Kind, segment: u16) -> StackFrame {
    let partial =
        NetPacketPartialChecksum::partial(kind.transport_at() as u16, kind.field() as u16);
    let segments = match (kind.udp, kind.v6) {
        (true, _) => SegmentType::UDP,
        (false, true) => SegmentType::TCPV6,
        (false, false) => SegmentType::TCPV4,
    };
    let mut frame = StackFrame::new(kind.unfinished());
    frame.partial = match segment {
        0 => partial,
        size => partial.with_segments(segments, size, kind.headers() as u16),
    };
    frame
}

#[test]
fn unfinished_checksums_and_large_frames_reach_the_client_as_such() {
    for language in BOTH {
        let Some(client) = up(language, PortOffloads::ALL, &[]) else {
            return;
        };
        client.said(4);
        let cases = [
            (
                Kind::tcp4(100),
                0,
                "sent 154 bytes ipv4 l3 - l4 required mss 0",
            ),
            (
                Kind::udp6(100),
                0,
                "sent 162 bytes ipv6 l3 - l4 required mss 0",
            ),
            (
                Kind::tcp4(4000),
                1400,
                "sent 4054 bytes ipv4 l3 required l4 required mss 1400",
            ),
            (
                Kind::tcp6(4000),
                1300,
                "sent 4074 bytes ipv6 l3 - l4 required mss 1300",
            ),
            (
                Kind::udp4(3000),
                1000,
                "sent 3042 bytes ipv4 l3 required l4 required mss 1000",
            ),
        ];
        for (kind, segment, expected) in cases {
            assert!(client.seat.send(unfinished(kind, segment)));
            assert_eq!(client.said(1), [expected], "{kind:?}");
            client.seat.wait_receive(PATIENCE).expect("what was sent");
        }
        let whole = Kind::tcp4(64).finished();
        assert!(client.seat.send(StackFrame::new(whole.clone())));
        assert_eq!(client.said(1), ["sent 118 bytes ipv4 l3 - l4 - mss 0"]);
        assert_eq!(client.seat.wait_receive(PATIENCE).unwrap().bytes, whole);
        client.end();
    }
}

/// A client that offers nothing gets frames that lack nothing.
#[test]
fn what_a_client_does_not_offer_is_done_for_it() {
    for language in BOTH {
        let Some(client) = up(language, PortOffloads::ALL, &[("None", 1)]) else {
            return;
        };
        let kind = Kind::tcp4(100);
        assert!(client.seat.send(unfinished(kind, 0)));
        assert_eq!(client.said(1), ["sent 154 bytes, nothing left to do"]);
        let back = client.seat.wait_receive(PATIENCE).unwrap();
        assert_eq!(back.bytes, kind.finished());
        // The stack is told to cut large frames itself.
        assert_eq!(client.seat.tx_offloads(), PortOffloads::default());
        client.end();
    }
}

/// Larger frames than the client takes are cut for it.
#[test]
fn frames_beyond_what_a_client_segments_are_cut_for_it() {
    let Some(client) = up(Language::C, PortOffloads::ALL, &[("Largest", 2000)]) else {
        return;
    };
    client.said(4);
    assert!(client.seat.send(unfinished(Kind::tcp4(2000), 1000)));
    let whole = "sent 2054 bytes ipv4 l3 required l4 required mss 1000";
    assert_eq!(client.said(1), [whole]);
    assert!(client.seat.send(unfinished(Kind::tcp4(3000), 1000)));
    let segment = "sent 1054 bytes ipv4 l3 - l4 required mss 0";
    assert_eq!(client.said(3), [segment, segment, segment]);
    client.end();
}

#[test]
fn what_the_client_found_about_checksums_reaches_the_stack() {
    for language in BOTH {
        let Some(client) = up(language, PortOffloads::ALL, &[]) else {
            return;
        };
        let states = [
            NetPacketChecksumState::VALID,
            NetPacketChecksumState::INVALID,
            NetPacketChecksumState::NOT_CHECKED,
        ];
        for state in states {
            client.command(EVALUATE, u32::from(state.0));
            let sent = Kind::tcp4(100).finished();
            assert!(client.seat.send(StackFrame::new(sent)));
            let back = client.seat.wait_receive(PATIENCE).unwrap();
            assert_eq!(back.checksum.layer3(), NetPacketChecksumState::VALID);
            assert_eq!(back.checksum.layer4(), state);
            // A stack does not look again at a checksum that is called valid.
            let believed = state == NetPacketChecksumState::VALID;
            assert_eq!(back.partial.is_partial(), believed, "{state:?}");
        }
        client.end();
    }
}

#[test]
fn coalesced_segments_reach_the_stack_as_one_frame() {
    for language in BOTH {
        let Some(client) = up(language, PortOffloads::ALL, &[]) else {
            return;
        };
        client.said(4);
        client.command(COALESCE, 3);
        assert!(
            client
                .seat
                .send(StackFrame::new(Kind::tcp4(3000).finished()))
        );
        let back = client.seat.wait_receive(PATIENCE).unwrap();
        assert_eq!(back.rsc.coalesced_segment_count, 3);
        assert_eq!(back.partial.segment_type, SegmentType::TCPV4);
        assert_eq!(back.partial.segment_size, 1000);
        let said = client.said(2);
        assert_eq!(
            said[1], "timestamp was 0",
            "an element is zeroed before it is posted"
        );
        client.command(DATAGRAMS, 500);
        assert!(
            client
                .seat
                .send(StackFrame::new(Kind::udp6(1000).finished()))
        );
        let back = client.seat.wait_receive(PATIENCE).unwrap();
        assert_eq!(back.partial.segment_type, SegmentType::UDP);
        assert_eq!(back.partial.segment_size, 500);
        client.end();
    }
}
