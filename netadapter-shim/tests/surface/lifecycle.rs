//! The life of an adapter and of its queues, and its configuration.

use std::sync::Arc;
use std::time::Instant;

use netadapter_shim::abi::NetAdapterLinkState;
use netadapter_shim::door::configuration_store::{
    ConfigurationStore, ConfigurationTable, ConfigurationValue as Value,
};
use netadapter_shim::os::loopback::StackFrame;

use super::frames::{Kind, ethernet};
use super::host::{BOTH, Language, PATIENCE, Session, Setting, compile};

const CLIENT: &str = "lifecycle.c";
const SET_LINK: u32 = 1;
const SET_MTU: u32 = 2;
const SET_ADDRESS: u32 = 3;
const RESTART: u32 = 4;
const SAY_NUMBER: u32 = 5;
const DISCONNECT: u32 = 6;
const HOLD: u32 = 7;

const QUEUES: [&str; 4] = ["created tx 0", "created rx 0", "start tx", "start rx"];
const STOPPED: [&str; 2] = ["stop tx", "stop rx"];

fn up(language: Language) -> Option<Session> {
    let client = Session::up(CLIENT, language, Setting::default())?;
    assert_eq!(
        client.said(6),
        [&["stated", "started"][..], &QUEUES].concat()
    );
    Some(client)
}

#[test]
fn an_adapter_shows_what_it_stated_and_its_queues_live_with_power() {
    for language in BOTH {
        let Some(mut client) = up(language) else {
            return;
        };
        let shown = client.seat.interface();
        assert_eq!(shown.permanent_address.bytes(), [2, 0, 0, 0, 0x51, 1]);
        assert_eq!(shown.current_address.bytes(), [2, 0, 0, 0, 0x51, 1]);
        assert_eq!(shown.mtu, 1500);
        assert!(client.seat.link_is_up());
        client.hosted().power_cycle().unwrap();
        assert_eq!(client.said(6), [&STOPPED[..], &QUEUES].concat());
        client.command(SAY_NUMBER, 0);
        assert_eq!(client.said(1), ["luid 6000001000000"]);
        assert_eq!(client.end(), STOPPED);
    }
}

#[test]
fn a_new_mtu_or_address_makes_new_queues_and_is_shown() {
    let Some(client) = up(Language::C) else {
        return;
    };
    client.command(SET_MTU, 4000);
    assert_eq!(client.said(6), [&STOPPED[..], &QUEUES].concat());
    assert_eq!(client.seat.mtu(), 4000);
    let large = ethernet(None, 0x88b5, &[7; 3900]);
    assert!(client.seat.send(StackFrame::new(large.clone())));
    assert_eq!(client.seat.wait_receive(PATIENCE).unwrap().bytes, large);
    assert_eq!(client.said(1), ["ethernet 14, - 0, - 0"]);
    client.command(SET_ADDRESS, 9);
    assert_eq!(client.said(6), [&STOPPED[..], &QUEUES].concat());
    assert_eq!(client.seat.address(), [2, 0, 0, 0, 0x51, 9]);
    client.end();
}

#[test]
fn an_adapter_stops_and_starts_late_with_queues() {
    for language in BOTH {
        let Some(client) = up(language) else { return };
        client.command(RESTART, 0);
        let expected = [&STOPPED[..], &["stopped"], &QUEUES, &["started late"]].concat();
        assert_eq!(client.said(8), expected);
        assert!(client.seat.link_is_up());
        client.end();
    }
}

/// A device that is not done yet asks to be called again when it is.
#[test]
fn what_a_device_holds_is_completed_when_it_notifies() {
    for language in BOTH {
        let Some(client) = up(language) else { return };
        client.command(HOLD, 1);
        let frame = ethernet(None, 0x88b5, &[1; 60]);
        assert!(client.seat.send(StackFrame::new(frame.clone())));
        assert_eq!(client.said(1), ["armed tx"]);
        assert_eq!(client.seat.receive(), None);
        client.command(HOLD, 0);
        assert_eq!(client.seat.wait_receive(PATIENCE).unwrap().bytes, frame);
        assert_eq!(client.said(1), ["ethernet 14, - 0, - 0"]);
        client.end();
    }
}

fn link(client: &Session) -> NetAdapterLinkState {
    client.adapter.with(|core| core.link_state()).unwrap()
}

#[test]
fn each_link_state_is_kept_and_the_carrier_follows() {
    for language in BOTH {
        let Some(client) = up(language) else { return };
        for which in 0..6u32 {
            client.command(SET_LINK, which);
            let state = link(&client);
            assert_eq!(state.tx_link_speed, u64::from(which) * 1_000_000);
            assert_eq!(state.rx_link_speed, state.tx_link_speed);
            assert_eq!(state.media_duplex_state.0, which % 3);
            assert_eq!(state.supported_pause_functions.0, which % 5);
            assert_eq!(state.auto_negotiation_flags, which % 2 * 15);
            assert_eq!(client.seat.link_is_up(), which > 0);
        }
        client.command(DISCONNECT, 0);
        assert!(!client.seat.link_is_up());
        assert_eq!(link(&client), NetAdapterLinkState::disconnected());
        client.end();
    }
}

/// The layout of what is sent: each type of each layer that a frame can have.
#[test]
fn packets_carry_the_layout_of_their_headers() {
    let mut fragment = Kind::udp4(64).finished();
    fragment[20..22].copy_from_slice(&[0x20, 0]);
    let mut options = Kind::udp4(64).finished();
    options[14] = 0x46;
    options.splice(34..34, [1, 1, 1, 0]);
    options[16..18].copy_from_slice(&96u16.to_be_bytes());
    let mut icmp = Kind::udp4(64).finished();
    icmp[23] = 1;
    let cases = [
        (Kind::tcp4(9).finished(), "ethernet 14, ipv4 20, tcp 20 v4"),
        (Kind::udp6(9).finished(), "ethernet 14, ipv6 40, udp 8 v6"),
        (fragment, "ethernet 14, ipv4 20, fragment 0 v4"),
        (options, "ethernet 14, ipv4 with options 24, udp 8 v4"),
        (icmp, "ethernet 14, ipv4 20, other 0 v4"),
        (ethernet(None, 0x88b5, &[0; 50]), "ethernet 14, - 0, - 0"),
    ];
    for language in BOTH {
        let Some(client) = up(language) else { return };
        for (frame, expected) in &cases {
            assert!(client.seat.send(StackFrame::new(frame.clone())));
            assert_eq!(client.said(1), [*expected]);
        }
        client.end();
    }
}

fn table() -> Arc<ConfigurationTable> {
    let inner = ConfigurationTable::default().with("Depth", Value::Ulong(2));
    let names = ["first", "second"].map(str::to_owned);
    Arc::new(
        ConfigurationTable::default()
            .with("Rings", Value::Ulong(64))
            .with("Decimal", Value::String("12".to_owned()))
            .with("Names", Value::MultiString(names.to_vec()))
            .with("Bytes", Value::Binary(vec![1, 0xff]))
            .with("NetworkAddress", Value::String("020000000009".to_owned()))
            .with_table("Inner", Arc::new(inner)),
    )
}

#[test]
fn every_kind_of_value_is_read_and_written_back() {
    for language in BOTH {
        let configuration = table();
        let setting = Setting {
            configuration: Arc::clone(&configuration),
            ..Setting::default()
        };
        let Some(client) = Session::up("configuration.c", language, setting) else {
            return;
        };
        assert_eq!(client.said(2), ["device read", "adapter read"]);
        client.end();
        assert_eq!(configuration.get("Given"), Some(Value::Ulong(27)));
        assert_eq!(
            configuration.get("Written"),
            Some(Value::Binary(vec![9, 8, 7]))
        );
    }
}

/// What the version macros say travels through the bind call.
#[test]
fn a_client_built_for_another_version_is_refused() {
    let cases = [
        ("-DNETADAPTER_VERSION_MAJOR=1", "1.5"),
        ("-DNETADAPTER_VERSION_MINOR=4", "2.4"),
        ("-DNETADAPTER_VERSION_MINOR=6", "2.6"),
    ];
    for (define, asked) in cases {
        let begun = Instant::now();
        let Some(client) = compile(CLIENT, Language::C, &[define]) else {
            return;
        };
        let refused = Session::host(&client, Setting::default()).err();
        let text = refused.expect("refused").to_string();
        let words = format!("the client asks for NetAdapterCx {asked}");
        assert!(
            text.contains(&words) && text.contains("STATUS_NOT_SUPPORTED"),
            "{text}"
        );
        assert!(begun.elapsed() < PATIENCE);
    }
}
