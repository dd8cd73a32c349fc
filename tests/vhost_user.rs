//! `umnet run vhost-user:…` between two network namespaces: the device is a process of its own,
//! whose TAP `far0` is here, and the interface `near0` is elsewhere. Three processes, no guest.

mod support;

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use support::machine::Machine;
use support::namespace::sh;
use support::rig::{Rig, wait_until, with_rig, with_rig_but_umnet};
use support::streams::{Transfers, receive, send};

#[test]
#[ignore = "not a test: the tests start themselves again as the device's process"]
fn device_process() {
    support::rig::device_process();
}

/// Bytes of one transfer: many rings full.
const MUCH: usize = 64 << 20;

#[test]
fn tcp_passes_unchanged_both_ways() {
    let mac = &["--mac", "02:00:00:00:00:07"];
    with_rig("tcp_passes_unchanged_both_ways", mac, |mut rig| {
        let link = rig.on_near("ip -o link show near0");
        assert!(link.is_ok_and(|link| link.contains("02:00:00:00:00:07")));
        (1..=2).for_each(|turn| rig.pass(turn, MUCH));
        let status = rig.umnet_status().expect("it runs");
        assert_eq!(status["resets"].as_u64().unwrap_or(0), 0, "{status}");
        rig.stop_umnet();
        assert!(
            rig.on_near("ip link show near0").is_err(),
            "it goes with the run"
        );
        assert_eq!(
            rig.said("device.log"),
            "",
            "the device has nothing to complain of"
        );
    });
}

/// The names of features that are in use.
fn features(rig: &Rig) -> String {
    rig.umnet_status().expect("it runs")["features"].to_string()
}

#[test]
fn rings_are_of_the_kind_that_the_device_offers_after_each_restart() {
    let test = "rings_are_of_the_kind_that_the_device_offers_after_each_restart";
    with_rig_but_umnet(test, |mut rig| {
        let kinds: [&[&str]; 3] = [
            &["--offer", "RING_PACKED"],
            &["--offer", "IN_ORDER"],
            &["--offer", "RING_PACKED", "--offer", "IN_ORDER"],
        ];
        for offers in kinds {
            rig.change_device(offers);
            rig.start_umnet_with("[defaults.feature]\nin_order = true\n");
            rig.give_address();
            let agreed = features(&rig);
            for offered in offers.iter().filter(|word| !word.starts_with('-')) {
                assert!(agreed.contains(offered), "{agreed}");
            }
            let (here, there) = rig.connect();
            let transfer = std::thread::spawn(move || receive(there));
            let sender = std::thread::spawn(|| send(here, 3, |sent| sent < MUCH));
            // The device goes and comes back in the middle of it.
            std::thread::sleep(Duration::from_millis(50));
            let device = rig.device.take().expect("it runs");
            assert_eq!(device.end("KILL").signal(), Some(9));
            rig.start_device();
            let sent = sender.join().expect("the connection holds");
            assert_eq!(transfer.join().expect("the connection holds"), sent);
            rig.stop_umnet();
        }
        assert_eq!(rig.said("device.log"), "", "nothing to complain of");
    });
}

#[test]
fn the_largest_rings_go_round_several_times_both_ways() {
    let test = "the_largest_rings_go_round_several_times_both_ways";
    with_rig_but_umnet(test, |mut rig| {
        const SIZE: u64 = 32_768;
        // Frames no larger than a page each way: for larger ones there is no room.
        let settings = "[defaults]\nrx_ring = 32768\ntx_ring = 32768\n\
            offload.tx_tso = false\noffload.tx_uso = false\n\
            offload.rx_tso = false\noffload.rx_uso = false\n";
        let kinds: [&[&str]; 2] = [&[], &["--offer", "RING_PACKED"]];
        for offers in kinds {
            rig.change_device(offers);
            rig.start_umnet_with(settings);
            rig.give_address();
            let status = rig.umnet_status().expect("it runs");
            assert_eq!(status["rx_ring"], SIZE, "{status}");
            assert_eq!(status["tx_ring"], SIZE, "{status}");
            let pinned = status["memory"]["pinned_bytes"].as_u64().expect("a number");
            assert!(pinned < 256 << 20, "{pinned}");
            let packed = features(&rig).contains("RING_PACKED");
            assert_eq!(packed, !offers.is_empty());
            (1..=2).for_each(|turn| rig.pass(turn, 2 * MUCH));
            for (queue, counter) in [("rx0", "rx_packets"), ("tx0", "tx_packets")] {
                let frames = rig.counter(queue, counter);
                assert!(frames > 2 * SIZE, "{queue}: {frames}");
            }
            rig.stop_umnet();
        }
        assert_eq!(rig.said("device.log"), "", "nothing to complain of");
    });
}

#[test]
fn rings_that_there_is_no_memory_for_are_told_of_once() {
    let test = "rings_that_there_is_no_memory_for_are_told_of_once";
    with_rig_but_umnet(test, |mut rig| {
        rig.start_umnet_with("[defaults]\nrx_ring = 1024\ntx_ring = 32768\n");
        let status = rig.umnet_status().expect("it runs");
        assert_eq!(status["tx_ring"], 2048, "{status}");
        // Brought up once more, with the same rings.
        drop(rig.device.take());
        rig.start_device();
        wait_until("it is not brought up again", || {
            rig.umnet_status().is_ok_and(|status| status["resets"] == 1)
        });
        rig.stop_umnet();
        let log = rig.said("umnet.log");
        let told = "transmit rings were asked for with 32768 descriptors and have 2048: each has a \
            slot of 65664 bytes, and those of a ring may take 256 MiB";
        assert_eq!(log.matches(told).count(), 1, "{log}");
        assert!(!log.contains("receive rings"), "{log}");
    });
}

#[test]
fn several_pairs_carry_streams_both_ways_and_survive_their_driver_and_their_device() {
    let test = "several_pairs_carry_streams_both_ways_and_survive_their_driver_and_their_device";
    with_rig(test, &["--queues", "3"], |rig| {
        let status = rig.umnet_status().expect("it runs");
        assert_eq!(status["queue_pairs"], 3, "{status}");
        let transfers = Transfers::begin((0..8).map(|turn| rig.connect_in_turn(turn)));
        for restarts in 1..=3 {
            std::thread::sleep(Duration::from_millis(400));
            let host = rig.umnet_status().expect("it runs")["host"]["pid"].clone();
            sh(&format!("kill -KILL {host}"));
            wait_until("no host takes over", || {
                rig.umnet_status()
                    .is_ok_and(|status| status["restarts"] == restarts)
            });
        }
        std::thread::sleep(Duration::from_millis(400));
        transfers.all_arrived();
        let used = (0..3).filter(|pair| {
            let count =
                |queue: &str, counter: &str| rig.counter(&format!("{queue}{pair}"), counter);
            count("rx", "rx_packets") > 100 && count("tx", "tx_packets") > 100
        });
        assert!(used.count() >= 2, "eight streams use more than one pair");
        assert_eq!(rig.said("device.log"), "", "nothing to complain of");
    });
}

#[test]
fn queues_of_the_interface_that_the_device_has_no_pair_for_are_not_used() {
    let test = "queues_of_the_interface_that_the_device_has_no_pair_for_are_not_used";
    with_rig(test, &[], |mut rig| {
        rig.stop_umnet();
        let left = rig.machine.path("sys/class/net/near0");
        std::fs::remove_dir_all(left).expect("the rig has made it");
        rig.options = &["--queues", "3"];
        rig.start_umnet();
        rig.give_address();
        assert_eq!(rig.umnet_status().expect("it runs")["queue_pairs"], 1);
        // Flows that begin here go to whichever queue the kernel likes.
        let before = rig.counter("tx0", "tx_packets");
        for _ in 0..64 {
            let socket = rig.near_socket(|| UdpSocket::bind("10.77.0.1:0"));
            socket.set_broadcast(true).expect("a socket of ours");
            socket
                .send_to(b"frame", "10.77.0.255:9")
                .expect("there is room");
        }
        wait_until("frames wait where nobody looks", || {
            rig.counter("tx0", "tx_packets") >= before + 64
        });
    });
}

#[test]
fn a_device_that_is_killed_and_started_again_is_found_again() {
    let test = "a_device_that_is_killed_and_started_again_is_found_again";
    with_rig(test, &[], |mut rig| {
        let before = rig.identity();
        let (mut here, mut there) = rig.connect();
        for round in 0..3u8 {
            let device = rig.device.take().expect("it runs");
            assert_eq!(device.end("KILL").signal(), Some(9));
            std::thread::sleep(Duration::from_millis(100));
            rig.start_device();
            here.write_all(&[round]).expect("the connection holds");
            let mut heard = [0xff];
            there.read_exact(&mut heard).expect("the connection holds");
            assert_eq!(heard, [round]);
        }
        assert_eq!(rig.identity(), before);
        drop(rig.device.take());
        rig.stop_umnet();
        let said = rig.said("umnet.log");
        let closed = said
            .matches("the back end has closed the connection")
            .count();
        assert!(closed >= 3, "{said}");
        assert!(said.contains("connected to the back end again"), "{said}");
    });
}

#[test]
fn no_connection_is_lost_while_umnet_is_killed_and_started_again() {
    let test = "no_connection_is_lost_while_umnet_is_killed_and_started_again";
    with_rig(test, &["--keep-interface"], |mut rig| {
        let before = rig.identity();
        let transfers = Transfers::begin((0..4).map(|turn| rig.connect_in_turn(turn)));
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(200));
            let umnet = rig.umnet.take().expect("it runs");
            assert_eq!(umnet.end("KILL").signal(), Some(9));
            rig.start_umnet();
        }
        transfers.all_arrived();
        assert_eq!(rig.identity(), before);
        assert_eq!(
            rig.said("device.log"),
            "",
            "the device has nothing to complain of"
        );
    });
}

#[test]
fn an_attempt_of_the_fallback_that_dies_before_it_drives_is_followed_by_the_next() {
    let test = "an_attempt_of_the_fallback_that_dies_before_it_drives_is_followed_by_the_next";
    with_rig_but_umnet(test, |mut rig| {
        let settings = "[defaults.restart]\ngive_up_after = 1\nretry_after_ms = 200\n";
        rig.start_umnet_with(settings);
        let status = rig.umnet_status().expect("it runs");
        // Whoever comes next finds nobody to connect to.
        drop(rig.device.take());
        let host = status["host"]["pid"].to_string();
        rig.on_near(&format!("kill -KILL {host}")).expect("it runs");
        let attempts = |rig: &Rig| rig.said("umnet.log").matches("next attempt in").count();
        wait_until("no attempt after the first", || attempts(&rig) >= 3);
        let down = rig.umnet_status().expect("it runs");
        assert!(down["down"].is_string(), "{down}");
        rig.start_device();
        wait_until("nobody drives the device", || {
            let status = rig.umnet_status().expect("it runs");
            status["host"].is_object() && status["down"].is_null()
        });
        rig.stop_umnet();
    });
}

#[test]
fn nobody_listening_ends_the_run_with_the_cause_and_the_next_step() {
    let machine = Machine::new();
    let answer = machine.umnet(&["run", "vhost-user:/nonexistent/sock"]);
    assert_eq!(answer.code, 3);
    let text = &answer.stderr;
    assert!(
        text.contains("connecting to the back end failed: No such file"),
        "{text}"
    );
    assert!(
        text.contains("next: umnet doctor vhost-user:/nonexistent/sock"),
        "{text}"
    );
}

#[test]
fn the_doctor_tells_a_socket_from_one_that_somebody_listens_at() {
    let machine = Machine::new();
    let path = machine.path("sock");
    let device = format!("vhost-user:{}", path.display());
    let back_end = || {
        let answer = machine.umnet(&["doctor", &device]).stdout;
        let line = answer.lines().find(|line| line.contains("back end"));
        line.expect("it looks at the back end").to_owned()
    };
    assert!(back_end().contains("there is no"), "{}", back_end());
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a folder of ours");
    assert!(back_end().contains("one listens at"), "{}", back_end());
    drop(listener);
    assert!(back_end().contains("nobody listens at"), "{}", back_end());
}
