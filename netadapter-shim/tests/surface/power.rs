//! What a client does for the system while its device sleeps.

use std::sync::Arc;

use netadapter_shim::abi::NtStatus;
use netadapter_shim::door::configuration_store::{ConfigurationTable, ConfigurationValue};
use netadapter_shim::door::hosted::{SleepDuty, WakeReason};

use super::host::{BOTH, Language, Session, Setting, all};

const CLIENT: &str = "power.c";
/// STATUS_DEVICE_NOT_READY, with which the client vetoes.
const NOT_READY: NtStatus = NtStatus(0xc000_00a3_u32 as i32);

fn arp(host: u8) -> SleepDuty {
    SleepDuty::Arp {
        remote: [192, 0, 2, 7],
        host: [192, 0, 2, host],
        link_layer: [2, 0, 0, 0, 0, 0x51],
    }
}

fn neighbors(target: u8) -> SleepDuty {
    let address = |last: u8| std::array::from_fn(|at| if at == 15 { last } else { 0x20 });
    SleepDuty::NeighborSolicitation {
        remote: address(1),
        solicited_node: address(2),
        targets: [address(target), address(4)],
        link_layer: [2, 0, 0, 0, 0, 0x52],
    }
}

fn pattern(first: u8) -> SleepDuty {
    let mut pattern = vec![0; 12];
    (pattern[0], pattern[11]) = (first, 0x77);
    SleepDuty::BitmapPattern {
        mask: vec![0x3f, 0x0f],
        pattern,
    }
}

/// What the client is given, previewed where that is the client's to veto.
fn give(client: &Session) -> [u32; 2] {
    let add = |duty| client.adapter.add_sleep_duty(duty).unwrap();
    let ids = [add(arp(9)), add(pattern(0x11))];
    add(neighbors(3));
    add(SleepDuty::MagicPacket);
    add(SleepDuty::MediaChange {
        connect: true,
        disconnect: false,
    });
    add(SleepDuty::PacketFilterMatch);
    add(SleepDuty::EapolPacket);
    assert_eq!(
        client.said(3),
        ["preview arp", "preview pattern of 12 bytes", "preview ns"]
    );
    ids
}

const LISTED: [&str; 8] = [
    "2 offloads, 5 wake sources",
    "arp 1: 7 asks for 9, 6 bytes ..51",
    "ns 3: 1 asks 2 for 3 4, ..52",
    "pattern 2: mask 2 3f, 12 bytes 11..77",
    "magic",
    "media connect 1 disconnect 0",
    "filter",
    "eapol",
];

#[test]
fn duties_are_previewed_and_listed_in_every_power_transition() {
    for language in BOTH {
        let Some(mut client) = Session::up(CLIENT, language, Setting::default()) else {
            return;
        };
        let [arp, pattern] = give(&client);
        client.hosted().power_cycle().unwrap();
        let expected = [&["power down"], &LISTED[..], &["power up"], &LISTED].concat();
        assert_eq!(client.said(18), expected);
        let magic = WakeReason::Packet {
            pattern: 0xffff_ffff,
            size: 102,
        };
        assert_eq!(client.adapter.take_wake_reason(), Some(magic));
        assert_eq!(client.adapter.take_wake_reason(), None);
        assert!(client.adapter.remove_sleep_duty(arp));
        assert!(client.adapter.remove_sleep_duty(pattern));
        client.hosted().power_cycle().unwrap();
        let said = client.said(14);
        assert_eq!(said[1], "1 offloads, 4 wake sources");
        let link = WakeReason::MediaChange(true);
        assert_eq!(client.adapter.take_wake_reason(), Some(link));
        client.end();
    }
}

#[test]
fn a_client_vetoes_a_duty_or_has_no_room_for_it() {
    let Some(client) = Session::up(CLIENT, Language::C, Setting::default()) else {
        return;
    };
    give(&client);
    let refused = |duty| client.adapter.add_sleep_duty(duty).unwrap_err();
    assert_eq!(refused(pattern(0xee)), NOT_READY);
    assert_eq!(refused(neighbors(0xee)), NOT_READY);
    assert_eq!(refused(arp(10)), NtStatus::INSUFFICIENT_RESOURCES);
    let leaving = SleepDuty::MediaChange {
        connect: false,
        disconnect: true,
    };
    assert_eq!(refused(leaving), NtStatus::NOT_SUPPORTED);
    let said = client.end();
    assert!(said.contains(&LISTED[0].to_owned()), "{said:?}");
}

#[test]
fn what_a_client_does_not_offer_is_not_wanted_of_it() {
    let table = ConfigurationTable::default().with("None", ConfigurationValue::Ulong(1));
    let setting = Setting {
        configuration: Arc::new(table),
        ..Setting::default()
    };
    let Some(client) = Session::up(CLIENT, Language::C, setting) else {
        return;
    };
    let every = [
        arp(9),
        neighbors(3),
        pattern(0x11),
        SleepDuty::MagicPacket,
        SleepDuty::PacketFilterMatch,
        SleepDuty::EapolPacket,
    ];
    for duty in every {
        let refused = client.adapter.add_sleep_duty(duty.clone());
        assert_eq!(refused, Err(NtStatus::NOT_SUPPORTED), "{duty:?}");
    }
    assert_eq!(client.end(), ["power down", "0 offloads, 0 wake sources"]);
}

/// Resets on request are declared, and say that they are beyond user mode.
#[test]
fn reset_capabilities_say_that_nothing_comes_of_them() {
    let Some(client) = Session::up(CLIENT, Language::C, Setting::default()) else {
        return;
    };
    let words = "NetDeviceInitSetResetCapabilities: resets on request are beyond the user-mode \
                 surface: EvtNetDeviceCollectResetDiagnostics is never called";
    let said = all().iter().filter(|line| line.contains(words)).count();
    assert_eq!(said, 2, "by either of its names: {:?}", all());
    client.end();
}
