//! What a client lacks is done in software: the same traffic over clients with fewer and fewer
//! offloads, and digests at both ends.

mod support;

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use support::clients::{Hosted, compile};
use support::machine::Machine;
use support::namespace::{in_namespace, sh};
use support::wire::{BOTH, Elsewhere, RIGHT, connect, digests_agree_at, ping};

const SOURCE: &str = "tests/clients/offloads.cpp";
const RIGHT6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
/// Larger than a frame, so that IP cuts it: fragments have no checksum of their own to leave.
const DATAGRAM: usize = 4000;
const DATAGRAMS: u8 = 40;

/// IPv6 addresses at both ends; false where the system has no IPv6.
fn connect6(elsewhere: &Elsewhere) -> bool {
    let left = sh("ip -6 addr add fd00::1/64 dev left nodad 2>&1 || echo none");
    if left.contains("none") {
        println!("SKIP: no IPv6 here");
        return false;
    }
    elsewhere.sh("ip -6 addr add fd00::2/64 dev right nodad");
    true
}

fn datagrams_arrive(elsewhere: &Elsewhere, right: IpAddr) {
    let listening = elsewhere.run(move || {
        let socket = UdpSocket::bind(SocketAddr::from((right, 9))).expect("bound");
        let patience = Some(Duration::from_secs(40));
        socket.set_read_timeout(patience).expect("timeout");
        let mut heard = vec![0; 2 * DATAGRAM];
        for number in 0..DATAGRAMS {
            let length = socket.recv(&mut heard).expect("a datagram");
            assert!(heard[..length] == [number; DATAGRAM], "datagram {number}");
            let answered = socket.local_addr();
            assert!(answered.is_ok());
        }
    });
    thread::sleep(Duration::from_millis(300));
    let any = SocketAddr::from((
        if right.is_ipv4() { "0.0.0.0" } else { "::" }
            .parse::<IpAddr>()
            .expect("address"),
        0,
    ));
    let socket = UdpSocket::bind(any).expect("bound");
    for number in 0..DATAGRAMS {
        let sent = socket.send_to(&[number; DATAGRAM], (right, 9));
        sent.expect("sent");
        thread::sleep(Duration::from_millis(5));
    }
    listening.join().expect("all arrived");
}

/// What was seen of all traffic over a client.
struct Seen {
    /// Average size of what the client was given, in bytes.
    sent: u64,
    /// Checksums completed in software.
    completed: u64,
    /// Average size of what the stack at the far end was given.
    received: u64,
}

/// Average size of the frames that the system got from an interface.
fn received_by(elsewhere: &Elsewhere, interface: &str) -> u64 {
    let shown = elsewhere.sh(&format!("ip -s -j link show {interface}"));
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let count = |name: &str| shown[0]["stats64"]["rx"][name].as_u64().expect("a counter");
    count("bytes") / count("packets")
}

/// All traffic over a client built with these macros.
fn carries(test: &'static str, name: &str, macros: &[&str]) -> Option<Seen> {
    carries_configured(test, name, macros, "")
}

/// The same with this in the configuration file.
fn carries_configured(
    test: &'static str,
    name: &str,
    macros: &[&str],
    section: &str,
) -> Option<Seen> {
    let client = compile(SOURCE, name, macros)?;
    let mut seen = None;
    in_namespace(test, || {
        let machine = Machine::new();
        machine.file("umnet.toml", section);
        let config = machine.path("umnet.toml").display().to_string();
        let args = [&BOTH[..], &["--config", &config]].concat();
        let hosted = Hosted::up(&machine, &client, &args);
        let elsewhere = connect();
        assert!(ping().contains(" 0% packet loss"));
        let mut addresses = vec![IpAddr::from(RIGHT)];
        if connect6(&elsewhere) {
            addresses.push(RIGHT6.into());
        }
        for right in addresses {
            digests_agree_at(&elsewhere, right, 2 << 20);
            datagrams_arrive(&elsewhere, right);
        }
        let stats = machine.umnet(&["stats", "left", "--json"]).json();
        let total = &stats["devices"][0]["adapters"][0]["total"];
        let count = |name: &str| total[name].as_u64().expect("a counter");
        assert_eq!(count("rx_dropped"), 0, "{total}");
        seen = Some(Seen {
            sent: count("tx_bytes") / count("tx_packets"),
            completed: count("tx_csum_software"),
            received: received_by(&elsewhere, "right"),
        });
        let ended = hosted.stop();
        assert_eq!(ended.code, 0, "{ended:?}");
    });
    seen
}

/// An Ethernet header and an MTU.
const FRAME: u64 = 1514;

#[test]
fn a_client_without_offloads_carries_what_the_stack_has_finished() {
    let test = "a_client_without_offloads_carries_what_the_stack_has_finished";
    let macros = ["NO_TX_CHECKSUM", "NO_GSO", "NO_RSC"];
    if let Some(seen) = carries(test, "bare", &macros) {
        assert!(seen.sent <= FRAME, "{}", seen.sent);
        assert_eq!(seen.completed, 0, "the stack leaves nothing");
        assert!(seen.received > FRAME, "{}: joined here", seen.received);
    }
}

#[test]
fn a_client_with_checksums_only_is_left_checksums_only() {
    let test = "a_client_with_checksums_only_is_left_checksums_only";
    if let Some(seen) = carries(test, "sums", &["NO_GSO", "NO_RSC"]) {
        assert!(seen.sent <= FRAME, "{}", seen.sent);
        assert_eq!(seen.completed, 0, "the client takes them all");
        assert!(seen.received > FRAME, "{}: joined here", seen.received);
    }
}

#[test]
fn a_client_that_cuts_only_tcp_without_options_is_given_no_large_frames() {
    let test = "a_client_that_cuts_only_tcp_without_options_is_given_no_large_frames";
    let macros = ["GSO_WITHOUT_OPTIONS", "NO_RSC"];
    if let Some(seen) = carries(test, "optionless", &macros) {
        assert!(seen.sent <= FRAME, "{}", seen.sent);
    }
}

#[test]
fn checksums_the_client_does_not_take_are_completed_here() {
    let test = "checksums_the_client_does_not_take_are_completed_here";
    if let Some(seen) = carries(test, "gso-only", &["NO_TX_CHECKSUM"]) {
        assert!(seen.sent > FRAME, "{}", seen.sent);
        assert!(seen.completed > 0, "of frames too small to be cut");
    }
}

/// The client can do everything; what it is configured with takes it away.
const SWITCHED_OFF: &str = "[client.keyworded]
'*LsoV2IPv4' = 0
'*LsoV2IPv6' = '0'
'*UsoIPv4' = 0
'*UsoIPv6' = 0
'*RscIPv4' = false
'*RscIPv6' = false
'*UdpRsc' = 0
";

#[test]
fn large_frames_that_keywords_switch_off_are_left_to_the_stack() {
    let test = "large_frames_that_keywords_switch_off_are_left_to_the_stack";
    if let Some(seen) = carries_configured(test, "keyworded", &[], SWITCHED_OFF) {
        assert!(seen.sent <= FRAME, "{}", seen.sent);
        assert_eq!(seen.completed, 0, "the client takes all checksums");
        // Nobody joins segments either: not the client, and not the framework for it.
        assert!(seen.received <= FRAME, "{}", seen.received);
    }
}

#[test]
fn checksums_that_keywords_switch_off_for_one_adapter_are_completed_there() {
    let test = "checksums_that_keywords_switch_off_for_one_adapter_are_completed_there";
    // Over IPv6 and for datagrams the stack still leaves them. The first adapter is `left`.
    let section = "[[client.one-family.adapter]]\n'*TCPChecksumOffloadIPv4' = 2\n\
                   '*LsoV2IPv4' = 0\n";
    if let Some(seen) = carries_configured(test, "one-family", &[], section) {
        assert!(seen.completed > 0, "segments over IPv4");
        assert!(seen.sent > FRAME, "{}: large over IPv6", seen.sent);
    }
}
