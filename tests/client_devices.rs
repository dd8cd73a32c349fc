//! What becomes of a client's device while it is hosted: it sleeps and wakes up, loses its hardware,
//! is pulled out, is given up by its client and restarted.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use support::clients::{Hosted, compile};
use support::machine::Machine;
use support::namespace::{in_namespace, sh};
use support::wire::{BOTH, Transfer, connect};

const SOURCE: &str = "tests/clients/device.c";
const ONE: [&str; 2] = ["--ifname", "left"];

/// Control codes of the client.
const ATTEMPT_RESTART: u32 = 1;
const NO_RESTART: u32 = 2;
const KEEP: u32 = 3;
const FINISH_KEPT: u32 = 4;

/// The run's socket with this ending.
fn socket(machine: &Machine, ending: &str) -> PathBuf {
    let folder = std::fs::read_dir(machine.path("run/umnet")).expect("run folder");
    let mut paths = folder.map(|entry| entry.expect("entry").path());
    let found = paths.find(|path| path.extension().is_some_and(|found| found == ending));
    found.unwrap_or_else(|| panic!("no .{ending}"))
}

/// Has something happen to the devices of the run, and returns the answer.
fn happen(machine: &Machine, event: &str) -> String {
    let mut stream = UnixStream::connect(socket(machine, "sock")).expect("control socket");
    let asked = format!("{{\"schema\":1,\"ask\":{{\"event\":\"{event}\"}}}}\n");
    stream.write_all(asked.as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answer");
    answer
}

/// A connection to the device's default queue.
fn open(machine: &Machine) -> UnixStream {
    let stream = UnixStream::connect(socket(machine, "io0")).expect("device socket");
    let patience = Some(Duration::from_secs(10));
    stream.set_read_timeout(patience).expect("timeout");
    stream
}

fn send(stream: &mut UnixStream, code: u32) {
    let words = [14, code, 0, 0].map(u32::to_le_bytes);
    stream.write_all(words.as_flattened()).expect("asked");
}

fn status(stream: &mut UnixStream) -> i32 {
    let mut answer = [[0; 4]; 3];
    stream
        .read_exact(answer.as_flattened_mut())
        .expect("answer");
    i32::from_le_bytes(answer[0])
}

/// Asks the device for something and returns the status.
fn control(machine: &Machine, code: u32) -> i32 {
    let mut stream = open(machine);
    send(&mut stream, code);
    status(&mut stream)
}

/// The callbacks that the client says it was in.
fn steps(said: &str) -> Vec<&str> {
    let step = |line: &'_ str| Some(line.split_once(": step ")?.1.len());
    said.lines()
        .filter_map(|line| {
            let rest = step(line)?;
            line[line.len() - rest..].split_whitespace().next()
        })
        .collect()
}

const UP: [&str; 5] = [
    "D0Entry",
    "D0EntryPostInterruptsEnabled",
    "CreateTxQueue",
    "CreateRxQueue",
    "SelfManagedIoRestart",
];
const DOWN: [&str; 3] = [
    "SelfManagedIoSuspend",
    "D0ExitPreInterruptsDisabled",
    "D0Exit",
];

fn index_of(name: &str) -> String {
    sh(&format!("ip -o link show {name} | cut -d: -f1"))
}

#[test]
fn power_comes_back_with_new_queues_and_restarted_io() {
    let test = "power_comes_back_with_new_queues_and_restarted_io";
    let Some(client) = compile(SOURCE, "sleeps", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &ONE);
        let (before, index) = (hosted.said(), index_of("left"));
        let answer = happen(&machine, "power_cycle");
        assert!(answer.contains("done"), "{answer}");
        let said = hosted.said();
        let since = &said[before.len()..];
        assert_eq!(steps(since), [&DOWN[..], &UP].concat(), "{said}");
        assert!(since.contains("to power state 4") && since.contains("from power state 4"));
        assert_eq!(index_of("left"), index, "another interface");
        assert_eq!(hosted.stop().code, 0);
    });
}

/// How often power goes and comes under traffic, and bytes that must get through in between.
const CYCLES: usize = 10;
const BETWEEN: u64 = 256 << 10;

#[test]
fn a_connection_outlives_ten_power_cycles() {
    let test = "a_connection_outlives_ten_power_cycles";
    let Some(client) = compile("tests/clients/pair.c", "cycled-under-load", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &BOTH);
        let elsewhere = connect();
        let transfer = Transfer::begin(&elsewhere);
        transfer.goes_on(BETWEEN);
        let before = hosted.said();
        for _ in 0..CYCLES {
            let answer = happen(&machine, "power_cycle");
            assert!(answer.contains("done"), "{answer}");
            transfer.goes_on(BETWEEN);
        }
        transfer.digests_agree();
        let said = hosted.said();
        let queues = ["CreateTxQueue", "CreateRxQueue"].repeat(2);
        let cycle = [&["D0Exit", "D0Entry"][..], &queues].concat();
        assert_eq!(steps(&said[before.len()..]), cycle.repeat(CYCLES), "{said}");
        assert_eq!(hosted.stop().code, 0);
    });
}

#[test]
fn a_rebalance_prepares_the_hardware_again() {
    let test = "a_rebalance_prepares_the_hardware_again";
    let Some(client) = compile(SOURCE, "rebalanced", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &ONE);
        let (before, index) = (hosted.said(), index_of("left"));
        let answer = happen(&machine, "rebalance");
        assert!(answer.contains("done"), "{answer}");
        let said = hosted.said();
        let since = &said[before.len()..];
        let prepared = [&["ReleaseHardware", "PrepareHardware"], &UP[..]].concat();
        let all = [&["QueryStop"], &DOWN[..], &prepared].concat();
        assert_eq!(steps(since), all, "{said}");
        assert!(since.contains("pnp state 0x11e"), "{since}");
        assert_eq!(index_of("left"), index, "another interface");
        let status = machine.umnet(&["status", "--json"]).json();
        let adapter = &status["devices"][0]["client"]["adapters"][0];
        assert_eq!(adapter["link_up"], true, "{status}");
        assert_eq!(hosted.stop().code, 0);
    });
}

#[test]
fn a_device_that_is_pulled_out_takes_its_interface_along() {
    let test = "a_device_that_is_pulled_out_takes_its_interface_along";
    let Some(client) = compile(SOURCE, "pulled", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &ONE);
        let before = hosted.said();
        happen(&machine, "surprise_removal");
        let ended = hosted.end();
        assert_eq!(ended.code, 1, "no device is left: {ended:?}");
        let since = &ended.stderr[before.len()..];
        let rest = [
            "ReleaseHardware",
            "SelfManagedIoFlush",
            "SelfManagedIoCleanup",
            "DeviceCleanup",
            "Unload",
        ];
        let all = [&["SurpriseRemoval"], &DOWN[..], &rest].concat();
        assert_eq!(steps(since), all, "{since}");
        assert_eq!(sh("ip -o link | wc -l"), "1\n");
        assert!(ended.stderr.contains("none of the client's devices"));
    });
}

#[test]
fn a_device_that_is_given_up_for_a_restart_comes_back_with_its_interface() {
    let test = "a_device_that_is_given_up_for_a_restart_comes_back_with_its_interface";
    let Some(client) = compile(SOURCE, "restarted", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let mut hosted = Hosted::up(&machine, &client, &ONE);
        sh("ip addr add 192.0.2.1/24 dev left");
        let (before, index) = (hosted.said(), index_of("left"));
        assert_eq!(control(&machine, ATTEMPT_RESTART), 0);
        hosted.wait_for("device 0 runs again");
        let said = hosted.said();
        let since = steps(&said[before.len()..]);
        assert_eq!(since.first(), Some(&"SurpriseRemoval"), "{said}");
        let added = since.iter().position(|step| *step == "DeviceAdd");
        let cleaned = since.iter().position(|step| *step == "DeviceCleanup");
        assert!(cleaned.is_some() && cleaned < added, "{since:?}");
        assert!(since.contains(&"SelfManagedIoInit"), "a new device");
        assert_eq!(index_of("left"), index, "another interface");
        let addresses = sh("ip -o -4 addr show left");
        assert!(addresses.contains("192.0.2.1/24"), "{addresses}");
        let shown = || machine.umnet(&["status", "--json"]).json();
        let status = shown();
        assert_eq!(status["devices"][0]["restarts"], 1, "{status}");
        let adapter = &status["devices"][0]["client"]["adapters"][0];
        assert_eq!(
            (&adapter["number"], &adapter["link_up"]),
            (&0.into(), &true.into())
        );
        // Its queue is reached under the same name.
        assert_eq!(control(&machine, 77), 0xc000_0010_u32 as i32);
        assert_eq!(hosted.stop().code, 0);
    });
}

#[test]
fn a_device_that_is_given_up_for_good_stays_down() {
    let test = "a_device_that_is_given_up_for_good_stays_down";
    let Some(client) = compile(SOURCE, "down", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &ONE);
        assert_eq!(control(&machine, NO_RESTART), 0);
        let ended = hosted.end();
        assert_eq!(ended.code, 1, "{ended:?}");
        let added = steps(&ended.stderr).into_iter();
        assert_eq!(added.filter(|step| *step == "DeviceAdd").count(), 1);
        assert!(ended.stderr.contains("pnp state 0x113"), "{ended:?}");
    });
}

#[test]
fn a_device_that_keeps_failing_is_restarted_five_times() {
    let test = "a_device_that_keeps_failing_is_restarted_five_times";
    let Some(client) = compile(SOURCE, "hopeless", &["FAIL_AFTER_FIRST"]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &ONE);
        assert_eq!(control(&machine, ATTEMPT_RESTART), 0);
        let ended = hosted.end();
        assert_eq!(ended.code, 1, "{ended:?}");
        let added = steps(&ended.stderr).into_iter();
        assert_eq!(added.filter(|step| *step == "DeviceAdd").count(), 6);
        assert!(ended.stderr.contains("failed too often"), "{ended:?}");
    });
}

#[test]
fn a_request_that_is_kept_over_a_sleep_is_stopped_and_resumed() {
    let test = "a_request_that_is_kept_over_a_sleep_is_stopped_and_resumed";
    let Some(client) = compile(SOURCE, "keeps", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let mut hosted = Hosted::up(&machine, &client, &ONE);
        let mut kept = open(&machine);
        send(&mut kept, KEEP);
        hosted.wait_for(": step Keep");
        let before = hosted.said();
        assert!(happen(&machine, "power_cycle").contains("done"));
        let since = hosted.said()[before.len()..].to_owned();
        let power: Vec<_> = steps(&since)
            .into_iter()
            .filter(|step| step.starts_with("Io") || step.starts_with("D0E"))
            .collect();
        let wanted = [
            "IoStop",
            "D0ExitPreInterruptsDisabled",
            "D0Exit",
            "D0Entry",
            "D0EntryPostInterruptsEnabled",
            "IoResume",
        ];
        assert_eq!(power, wanted, "{since}");
        assert!(since.contains("stop flags 0x1"), "{since}");
        assert_eq!(control(&machine, FINISH_KEPT), 0);
        assert_eq!(status(&mut kept), 0);
        assert_eq!(hosted.stop().code, 0);
    });
}
