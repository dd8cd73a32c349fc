//! Several queues, tags, and what the system wants received.

use std::sync::Arc;

use netadapter_shim::ReceiveFilter;
use netadapter_shim::abi::NetPacketFilterFlags as Flags;
use netadapter_shim::door::configuration_store::{ConfigurationTable, ConfigurationValue};
use netadapter_shim::os::loopback::StackFrame;

use super::frames::ethernet;
use super::host::{BOTH, Language, PATIENCE, Session, Setting, all};

fn configured(values: &[(&str, u32)]) -> Setting {
    let table = values
        .iter()
        .fold(ConfigurationTable::default(), |table, (name, value)| {
            table.with(name, ConfigurationValue::Ulong(*value))
        });
    Setting {
        configuration: Arc::new(table),
        ..Setting::default()
    }
}

/// Sends a frame and returns it as it comes back.
fn echoed(client: &Session, frame: &[u8]) -> Vec<u8> {
    assert!(client.seat.send(StackFrame::new(frame.to_vec())));
    let back = client.seat.wait_receive(PATIENCE);
    back.expect("what was sent").bytes
}

#[test]
fn tags_are_inserted_and_stripped_beside_the_packet() {
    for language in BOTH {
        let Some(client) = Session::up("tags.c", language, Setting::default()) else {
            return;
        };
        let cases = [
            (
                Some(5 << 13 | 100),
                "64 bytes priority 5 vlan 100 insert priority insert vlan",
            ),
            (Some(6 << 13), "64 bytes priority 6 vlan 0 insert priority"),
            (Some(77), "64 bytes priority 0 vlan 77 insert vlan"),
            (None, "64 bytes priority 0 vlan 0 as it is"),
        ];
        for (tag, expected) in cases {
            let frame = ethernet(tag, 0x88b5, &[9; 50]);
            // The stack finds the tag where it put it.
            assert_eq!(echoed(&client, &frame), frame);
            assert_eq!(client.said(1), [expected]);
        }
        client.end();
    }
}

#[test]
fn a_tag_that_the_client_cannot_insert_stays_in_the_frame() {
    let tagged = ethernet(Some(5 << 13 | 100), 0x88b5, &[9; 50]);
    let cases = [
        (0, "68 bytes, no extension"),
        (1, "68 bytes priority 0 vlan 0 as it is"),
        (2, "68 bytes priority 0 vlan 0 as it is"),
    ];
    for (flags, expected) in cases {
        let Some(client) = Session::up("tags.c", Language::C, configured(&[("Flags", flags)]))
        else {
            return;
        };
        assert_eq!(echoed(&client, &tagged), tagged);
        assert_eq!(client.said(1), [expected]);
        client.end();
    }
}

/// What a client that spreads is told before its queues start.
const TOLD: [&str; 4] = [
    "128 entries, shares 32 32 32 32",
    "disabled",
    "key of 40 bytes",
    "enabled",
];

#[test]
fn a_device_that_hashes_spreads_over_its_queues_by_the_table() {
    for language in BOTH {
        let Some(mut client) = Session::up("scaling.c", language, Setting::default()) else {
            return;
        };
        assert_eq!(client.said(4), TOLD);
        for hash in [0u8, 1, 2, 3, 130, 255] {
            let frame = ethernet(None, 0x88b5, &[hash; 60]);
            assert_eq!(echoed(&client, &frame), frame);
            let queue = usize::from(hash) % 128 % 4;
            assert_eq!(client.said(1), [format!("hash {hash} on queue {queue}")]);
        }
        // New queues, a new table.
        client.hosted().power_cycle().unwrap();
        assert_eq!(client.said(4), TOLD);
        let frame = ethernet(None, 0x88b5, &[3; 60]);
        assert_eq!(echoed(&client, &frame), frame);
        assert_eq!(client.said(1), ["hash 3 on queue 3"]);
        client.end();
    }
}

#[test]
fn a_device_that_refuses_an_entry_or_to_hash_keeps_to_queue_0() {
    let cases = [
        ("RefuseEntry", 7, "1 refused, enabled 0", &TOLD[..1]),
        ("RefuseEnable", 1, "0 refused, enabled 0", &TOLD[..3]),
    ];
    for (what, value, ends, told) in cases {
        let Some(client) = Session::up("scaling.c", Language::C, configured(&[(what, value)]))
        else {
            return;
        };
        assert_eq!(client.said(told.len()), told, "{what}");
        client.command(1, 0);
        assert_eq!(client.said(1), [ends]);
        let warned = |line: &String| line.contains("does not spread what it receives");
        assert!(all().iter().any(warned), "{:?}", all());
        let frame = ethernet(None, 0x88b5, &[3; 60]);
        assert_eq!(echoed(&client, &frame), frame);
        assert_eq!(client.said(1), ["hash 3 on queue 0"]);
        client.end();
    }
}

#[test]
fn a_device_with_one_queue_is_not_asked_to_spread() {
    let Some(client) = Session::up("scaling.c", Language::C, configured(&[("Queues", 1)])) else {
        return;
    };
    let frame = ethernet(None, 0x88b5, &[3; 60]);
    assert_eq!(echoed(&client, &frame), frame);
    assert_eq!(client.said(1), ["hash 3 on queue 0"]);
    client.end();
}

#[test]
fn each_priority_goes_through_its_queue() {
    for language in BOTH {
        let Some(client) = Session::up("demux.c", language, Setting::default()) else {
            return;
        };
        let created = (0..4).map(|id| format!("queue {id} is number {id} of its demux"));
        assert_eq!(client.said(4), created.collect::<Vec<_>>());
        for priority in 0..8u16 {
            let frame = ethernet(Some(priority << 13 | 7), 0x88b5, &[1; 60]);
            assert_eq!(echoed(&client, &frame), frame);
            assert_eq!(client.said(1), [format!("through queue {}", priority / 2)]);
        }
        let plain = ethernet(None, 0x88b5, &[1; 60]);
        assert_eq!(echoed(&client, &plain), plain);
        assert_eq!(client.said(1), ["through queue 0"]);
        client.end();
    }
}

fn filter(packet_filter: Flags, list: &[[u8; 6]]) -> ReceiveFilter {
    ReceiveFilter {
        packet_filter,
        multicast_addresses: list.to_vec(),
    }
}

#[test]
fn a_client_hears_filters_and_lists_while_it_has_power() {
    for language in BOTH {
        let Some(mut client) = Session::up("filter.c", language, Setting::default()) else {
            return;
        };
        // Nothing at first, then what every stack wants.
        let first = [
            "filter, 0 addresses",
            "filter directed all-multicast broadcast, 0 addresses",
        ];
        assert_eq!(client.said(2), first);
        let two = [[1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]];
        let wanted = filter(Flags::DIRECTED | Flags::BROADCAST | Flags::MULTICAST, &two);
        client.adapter.set_receive_filter(wanted);
        let told = [
            "filter directed multicast broadcast, 2 addresses",
            "6 bytes 01:00:5e:00:00:01",
            "6 bytes 33:33:00:00:00:01",
        ];
        assert_eq!(client.said(3), told);
        client
            .adapter
            .set_receive_filter(filter(Flags::PROMISCUOUS | Flags::ALL_MULTICAST, &[]));
        assert_eq!(
            client.said(1),
            ["filter all-multicast promiscuous, 0 addresses"]
        );
        client.hosted().power_cycle().unwrap();
        assert_eq!(
            client.said(1),
            ["filter all-multicast promiscuous, 0 addresses"]
        );
        client.end();
    }
}

#[test]
fn a_filter_that_the_client_lacks_is_left_out() {
    let Some(client) = Session::up("filter.c", Language::C, configured(&[("Few", 1)])) else {
        return;
    };
    client.said(2);
    client
        .adapter
        .set_receive_filter(filter(Flags::DIRECTED | Flags::PROMISCUOUS, &[]));
    assert_eq!(client.said(1), ["filter directed, 0 addresses"]);
    client.end();
}
