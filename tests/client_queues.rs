//! Clients with several queues, hosted: which queue gets what, on which threads, and queues that
//! are built anew under traffic.

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use netadapter_shim::os::frame_socket::FrameSocket;
use support::clients::{Hosted, compile};
use support::machine::{Machine, Outcome};
use support::namespace::{in_namespace, sh};
use support::wire::{BOTH, Elsewhere, RIGHT, connect, digests_agree, ping};
use umnet::host::interface::Interfaces;

const SPREAD: &str = "tests/clients/spread.c";
/// Datagrams for each receive queue.
const DATAGRAMS: usize = 50;
/// Destination ports, hence hashes: with 128 entries over four queues, port 5000 + n belongs to
/// queue n.
const PORTS: std::ops::Range<u16> = 5000..5004;

/// What the client said, in order.
fn said(outcome: &Outcome) -> Vec<String> {
    let said = |line: &str| {
        let (_, words) = line.split_once(": step ")?;
        Some(words.split(" (").next()?.to_owned())
    };
    outcome.stderr.lines().filter_map(said).collect()
}

/// The number the client said behind these words.
fn number(said: &[String], words: &str) -> u32 {
    let found = said.iter().find_map(|line| line.strip_prefix(words));
    let found = found.unwrap_or_else(|| panic!("'{words}' was not said: {said:?}"));
    found.trim().parse().expect("a number")
}

/// Sends datagrams to each port and waits for them, as they were sent.
fn datagrams_arrive(elsewhere: &Elsewhere) {
    let listening = elsewhere.run(|| {
        let bound = PORTS.map(|port| UdpSocket::bind(SocketAddr::from((RIGHT, port))));
        let bound: Vec<UdpSocket> = bound.map(|socket| socket.expect("bound")).collect();
        let mut heard = [0; 2048];
        for (port, socket) in PORTS.zip(&bound) {
            let patience = Some(Duration::from_secs(40));
            socket.set_read_timeout(patience).expect("timeout");
            for index in 0..DATAGRAMS {
                let length = socket.recv(&mut heard).expect("a datagram");
                assert_eq!(heard[..length], datagram(port, index), "{port}: {index}");
            }
        }
    });
    // The listener may need a moment.
    thread::sleep(Duration::from_millis(300));
    let socket = UdpSocket::bind("0.0.0.0:0").expect("bound");
    for index in 0..DATAGRAMS {
        for port in PORTS {
            let sent = socket.send_to(&datagram(port, index), (RIGHT, port));
            sent.expect("sent");
        }
        thread::sleep(Duration::from_millis(1));
    }
    listening.join().expect("all arrived in order");
}

fn datagram(port: u16, index: usize) -> Vec<u8> {
    vec![(usize::from(port) + index) as u8; 20 + index * 25]
}

/// Callbacks of one queue never met, those of different queues did.
fn queues_had_threads_of_their_own(said: &[String]) {
    let overlaps = said.iter().filter(|line| line.contains("at once"));
    assert_eq!(overlaps.count(), 0, "{said:?}");
    let alone = said.iter().filter(|line| line.contains("was alone"));
    assert_eq!(alone.count(), 0, "{said:?}");
    for queue in 0..4 {
        let met = format!("rx {queue} of 1 met the next");
        assert!(said.contains(&met), "{met}: {said:?}");
    }
}

#[test]
fn receive_queues_get_what_the_table_says_each_on_a_thread_of_its_own() {
    let test = "receive_queues_get_what_the_table_says_each_on_a_thread_of_its_own";
    let Some(client) = compile(SPREAD, "spread", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &BOTH);
        let elsewhere = connect();
        assert!(ping().contains(" 0% packet loss"));
        datagrams_arrive(&elsewhere);
        digests_agree(&elsewhere, 1 << 20);
        let ended = hosted.stop();
        assert_eq!(ended.code, 0, "{ended:?}");
        let said = said(&ended);
        let told = [
            "rx 0, hash 1",
            "rx 1, hash 1",
            "rx 2, hash 1",
            "rx 3, hash 1",
            "128 entries",
            "disable",
            "key of 40 bytes",
            "enable 1 0x21",
        ];
        assert_eq!(said[..told.len()], told, "before anything else");
        for queue in 0..4 {
            let received = number(&said, &format!("rx {queue} of 1 received"));
            assert!(received as usize >= DATAGRAMS, "rx {queue}: {received}");
        }
        queues_had_threads_of_their_own(&said);
    });
}

#[test]
fn frames_of_a_priority_have_a_queue_that_comes_with_the_first_of_them() {
    let test = "frames_of_a_priority_have_a_queue_that_comes_with_the_first_of_them";
    let Some(client) = compile(SPREAD, "priorities", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let mut hosted = Hosted::start(&machine, &client, &BOTH);
        hosted.wait_for(" device(s) with ");
        sh("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
        let socket = FrameSocket::open().expect("root of this namespace");
        let left = Interfaces::open().and_then(|mut all| all.find("left"));
        let left = left.unwrap().expect("it was waited for").index;
        for (sent, priority) in [5u8, 0, 3, 5].into_iter().enumerate() {
            let mut frame = vec![priority; 200];
            frame[..6].fill(0xff);
            frame[12..16].copy_from_slice(&[0x81, 0, priority << 5, 9]);
            for _ in 0..=sent {
                socket.send(left, &frame).expect("sent");
            }
            hosted.wait_for(&format!("step tx {priority} for priority {priority}"));
        }
        thread::sleep(Duration::from_millis(200));
        let ended = hosted.stop();
        assert_eq!(ended.code, 0, "{ended:?}");
        let said = said(&ended);
        // 1 + 4 of priority 5, 3 of priority 3; the system itself sends with priority 0.
        let sent = |queue: u32| number(&said, &format!("tx {queue} of 0 sent"));
        assert_eq!((sent(5), sent(3)), (5, 3), "{said:?}");
        assert!(sent(0) >= 2, "{said:?}");
        assert_eq!([1, 2, 4, 6, 7].map(sent), [0; 5], "{said:?}");
        let created = |line: &&String| line.starts_with("tx ") && line.contains(" for priority ");
        let created: Vec<_> = said.iter().filter(created).collect();
        assert!(
            created.len() <= 4,
            "one for each priority and side: {created:?}"
        );
    });
}

/// Fifty changes of MTU and address, each of which takes all queues down and builds them again.
#[test]
fn tcp_survives_queues_that_are_built_anew_under_it() {
    let test = "tcp_survives_queues_that_are_built_anew_under_it";
    let Some(client) = compile(SPREAD, "changing", &["CHANGES=50"]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let mut hosted = Hosted::up(&machine, &client, &BOTH);
        // Neighbours hear of a new address at once.
        sh("echo 1 > /proc/sys/net/ipv4/conf/left/arp_notify");
        let elsewhere = connect();
        let index = || sh("ip -o link show left | cut -d: -f1");
        let first = index();
        let descriptors = || {
            let path = format!("/proc/{}/fd", hosted.pid());
            std::fs::read_dir(path).expect("running").count()
        };
        let before = descriptors();
        while !hosted.said().contains("step all changed") {
            digests_agree(&elsewhere, 256 << 10);
        }
        assert!(ping().contains(" 0% packet loss"));
        assert_eq!(index(), first, "the same TAP");
        let shown = sh("ip -o link show left");
        assert!(shown.contains("mtu 1400"), "{shown}");
        assert!(shown.contains("02:00:00:00:00:a9"), "the last one: {shown}");
        // Send queues of this moment differ by what was sent; two files each.
        let after = descriptors();
        assert!(after <= before + 4, "{before} descriptors, then {after}");
        hosted.wait_for("step all changed");
        let ended = hosted.stop();
        assert_eq!(ended.code, 0, "{ended:?}");
        let said = said(&ended);
        let rebuilt = said.iter().filter(|line| *line == "128 entries").count();
        assert_eq!(rebuilt, 52, "both adapters once, and 50 times anew");
        assert!(
            !said.iter().any(|line| line.contains("at once")),
            "{said:?}"
        );
    });
}
