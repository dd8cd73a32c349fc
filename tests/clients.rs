//! Client drivers in C, hosted by the built command in network namespaces of their own: traffic
//! between the adapters of one client, the order of callbacks, and clients that are no good.

mod support;

use std::thread;
use std::time::Duration;

use support::clients::{Hosted, compile};
use support::machine::{Machine, Outcome, umnet};
use support::namespace::{in_namespace, sh};
use support::wire::{BOTH, connect, digests_agree, ping};

const PAIR: &str = "tests/clients/pair.c";
#[test]
fn two_adapters_of_a_client_carry_ping_and_tcp() {
    let test = "two_adapters_of_a_client_carry_ping_and_tcp";
    let Some(client) = compile(PAIR, "pair", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &BOTH);
        let elsewhere = connect();
        let pinged = ping();
        assert!(pinged.contains(" 0% packet loss"), "{pinged}");
        digests_agree(&elsewhere, 4 << 20);
        let ended = hosted.stop();
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(sh("ip -o link | wc -l"), "1\n", "interfaces left behind");
        assert!(!machine.path("run/umnet").exists(), "files left behind");
    });
}

#[test]
fn the_loopback_example_gives_every_frame_back() {
    let test = "the_loopback_example_gives_every_frame_back";
    let example = "netadapter-shim/examples/loopback.c";
    let Some(client) = compile(example, "loopback", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &["--ifname", "left"]);
        // Nobody is there to answer: the echo requests themselves come back and are counted.
        sh("echo 1 > /proc/sys/net/ipv6/conf/left/disable_ipv6; \
            ip addr add 192.0.2.1/24 dev left; \
            ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev left; \
            ping -c 7 -i 0.02 -w 1 192.0.2.2 || true");
        let counted = || {
            let stats = machine.umnet(&["stats", "left", "--json"]).json();
            let total = &stats["devices"][0]["adapters"][0]["total"];
            ["tx_packets", "rx_packets"].map(|name| total[name].as_u64().unwrap())
        };
        // A frame may be on its way between two counters.
        let mut counts = counted();
        for _ in 0..50 {
            if counts[0] == counts[1] {
                break;
            }
            thread::sleep(Duration::from_millis(20));
            counts = counted();
        }
        assert!(counts[0] >= 7 && counts[0] == counts[1], "{counts:?}");
        assert_eq!(hosted.stop().code, 0);
    });
}

#[test]
fn the_wire_example_carries_large_frames_with_all_its_offloads() {
    let test = "the_wire_example_carries_large_frames_with_all_its_offloads";
    let Some(client) = compile("netadapter-shim/examples/wire.cpp", "wire", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &BOTH);
        let elsewhere = connect();
        let pinged = ping();
        assert!(pinged.contains(" 0% packet loss"), "{pinged}");
        digests_agree(&elsewhere, 16 << 20);
        let stats = machine.umnet(&["stats", "left", "--json"]).json();
        let total = &stats["devices"][0]["adapters"][0]["total"];
        let count = |name: &str| total[name].as_u64().unwrap();
        // Frames larger than the wire's MTU: the client segments and coalesces.
        assert!(count("tx_bytes") / count("tx_packets") > 1600, "{total}");
        let ended = hosted.stop();
        assert_eq!(ended.code, 0, "{ended:?}");
        nothing_is_left(&machine);
    });
}

#[test]
fn status_shows_which_adapter_has_which_interface() {
    let test = "status_shows_which_adapter_has_which_interface";
    let Some(client) = compile(PAIR, "named", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &BOTH);
        let status = machine.umnet(&["status", "--json"]).json();
        let client = &status["devices"][0]["client"];
        assert_eq!(client["verifier"], true, "{status}");
        let of = |number: usize| &client["adapters"][number];
        assert_eq!(
            (&of(0)["ifname"], &of(1)["ifname"]),
            (&"left".into(), &"right".into())
        );
        assert_eq!(of(0)["mac"], "02:00:00:00:77:00");
        assert_eq!(of(1)["mac"], "02:00:00:00:77:01");
        assert_eq!(
            (&of(1)["mtu"], &of(1)["link_up"]),
            (&1500.into(), &true.into())
        );
        let shown = sh("ip -o link show right");
        assert!(
            shown.contains("02:00:00:00:77:01") && shown.contains("LOWER_UP"),
            "{shown}"
        );
        // Any of its interfaces names the run.
        let text = machine.umnet(&["status", "right"]);
        assert!(text.stdout.contains("adapter 1     right"), "{text:?}");
        assert_eq!(hosted.stop().code, 0);
        let nobody = machine.umnet(&["status"]);
        assert_eq!(nobody.code, 1, "{nobody:?}");
    });
}

#[test]
fn more_names_than_adapters_make_more_devices() {
    let test = "more_names_than_adapters_make_more_devices";
    let Some(client) = compile(PAIR, "single", &["DEVICES_OF_ONE"]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        machine.file(
            "umnet.toml",
            "[client.single]\nMtu = 1400\n[[client.single.device]]\n\
             [[client.single.device]]\nMtu = '0x578'\n",
        );
        let config = machine.path("umnet.toml").display().to_string();
        let args = [&BOTH[..], &["--config", &config]].concat();
        let mut hosted = Hosted::start(&machine, &client, &args);
        hosted.wait_for("2 device(s) with 2 adapter(s)");
        let _elsewhere = connect();
        let pinged = ping();
        assert!(pinged.contains(" 0% packet loss"), "{pinged}");
        let status = machine.umnet(&["status", "--json"]).json();
        let adapters = &status["devices"][0]["client"]["adapters"];
        // 0x578 is 1400: the second device's own section, and a number stored as text.
        assert_eq!(
            (&adapters[0]["mtu"], &adapters[1]["mtu"]),
            (&1400.into(), &1400.into())
        );
        assert_eq!(hosted.stop().code, 0);
    });
}

#[test]
fn a_client_starts_and_ends_many_times() {
    let test = "a_client_starts_and_ends_many_times";
    let Some(client) = compile(PAIR, "cycled", &[]) else {
        return;
    };
    in_namespace(test, || {
        for _ in 0..10 {
            let machine = Machine::new();
            let ended = Hosted::up(&machine, &client, &BOTH).stop();
            assert_eq!(ended.code, 0, "{ended:?}");
            assert_eq!(sh("ip -o link | wc -l"), "1\n");
        }
    });
}

/// The callbacks that the client says it was in, in order.
fn steps(outcome: &Outcome) -> Vec<String> {
    let lines = outcome.stderr.lines();
    let step = |line: &str| {
        let (_, rest) = line.split_once(": step ")?;
        Some(rest.split_whitespace().next()?.to_owned())
    };
    lines.filter_map(step).collect()
}

#[test]
fn callbacks_come_in_wdfs_order() {
    let test = "callbacks_come_in_wdfs_order";
    let Some(client) = compile(PAIR, "ordered", &["ADAPTERS=1"]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let ended = Hosted::up(&machine, &client, &[]).stop();
        let up = [
            "DriverEntry",
            "DeviceAdd",
            "PrepareHardware",
            "D0Entry",
            "CreateTxQueue",
            "CreateRxQueue",
            "SelfManagedIoInit",
        ];
        let down = ["D0Exit", "ReleaseHardware", "Unload"];
        assert_eq!(steps(&ended), [&up[..], &down].concat(), "{ended:?}");
    });
}

#[test]
fn a_failing_callback_ends_the_run_and_undoes_the_others() {
    let test = "a_failing_callback_ends_the_run_and_undoes_the_others";
    let cases: [(&str, &str, &[&str]); 7] = [
        ("DriverEntry", "DriverEntry failed", &[]),
        ("DeviceAdd", "EvtDriverDeviceAdd failed", &["Unload"]),
        (
            "PrepareHardware",
            "EvtDevicePrepareHardware failed",
            &["ReleaseHardware", "Unload"],
        ),
        (
            "D0Entry",
            "EvtDeviceD0Entry failed",
            &["ReleaseHardware", "Unload"],
        ),
        (
            "CreateTxQueue",
            "creating the queues failed",
            &["D0Exit", "ReleaseHardware", "Unload"],
        ),
        (
            "CreateRxQueue",
            "creating the queues failed",
            &["D0Exit", "ReleaseHardware", "Unload"],
        ),
        (
            "SelfManagedIoInit",
            "EvtDeviceSelfManagedIoInit failed",
            &["D0Exit", "ReleaseHardware", "Unload"],
        ),
    ];
    let compiled = cases.map(|(callback, ..)| {
        let define = format!("FAIL_AT=\"{callback}\"");
        compile(PAIR, &format!("fails-{callback}"), &["ADAPTERS=1", &define])
    });
    in_namespace(test, || {
        for ((callback, words, after), client) in cases.into_iter().zip(compiled) {
            let Some(client) = client else { return };
            let machine = Machine::new();
            let ended = Hosted::start(&machine, &client, &[]).end();
            assert_eq!(ended.code, 1, "{callback}: {ended:?}");
            let line = ended
                .stderr
                .lines()
                .find(|line| line.starts_with("umnet: "));
            let line = line.unwrap_or_else(|| panic!("{callback}: {ended:?}"));
            assert!(line.contains(words), "{callback}: {line}");
            let steps = steps(&ended);
            let failed = steps.iter().position(|step| step == callback).unwrap();
            assert_eq!(steps[failed + 1..], *after, "{callback}: {ended:?}");
            nothing_is_left(&machine);
        }
    });
}

fn nothing_is_left(machine: &Machine) {
    assert_eq!(sh("ip -o link | wc -l"), "1\n", "interfaces left behind");
    assert!(!machine.path("run/umnet").exists(), "files left behind");
}

#[test]
fn a_callback_that_never_returns_is_named_and_ends_the_run() {
    let test = "a_callback_that_never_returns_is_named_and_ends_the_run";
    let Some(client) = compile(PAIR, "hangs", &["HANG_AT=\"PrepareHardware\""]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let ended = Hosted::start(&machine, &client, &["--client-timeout", "1"]).end();
        assert_eq!(ended.code, ABORTED, "{ended:?}");
        let said = "EvtDevicePrepareHardware has not returned for 1s";
        assert!(ended.stderr.contains(said), "{ended:?}");
        nothing_is_left(&machine);
    });
}

/// What a shell shows for a process that the verifier ended (128 + SIGABRT).
const ABORTED: i32 = 134;

/// Clients that break a rule of user mode: what ends the run with the verifier, and the status
/// that stands in its place without.
const RULES: [(&str, &str, &str); 8] = [
    (
        "DMA",
        "InvalidAdapterTxCapabilities",
        "STATUS_NOT_SUPPORTED",
    ),
    (
        "DRIVER_BUFFERS",
        "InvalidAdapterRxCapabilities",
        "STATUS_NOT_SUPPORTED",
    ),
    (
        "MAPPED",
        "InvalidAdapterTxCapabilities",
        "STATUS_INVALID_PARAMETER",
    ),
    ("SET_AFTER_START", "AdapterAlreadyStarted", ""),
    ("NO_CREATE_RX", "InvalidDatapathCallbacks", ""),
    ("NO_CANCEL", "NetQueueInvalidConfiguration", ""),
    ("WRONG_SIZE", "InvalidStructTypeSize", ""),
    ("NO_MTU", "", "STATUS_INVALID_PARAMETER"),
];

#[test]
fn the_verifier_ends_a_client_that_breaks_a_rule() {
    let test = "the_verifier_ends_a_client_that_breaks_a_rule";
    let compiled = RULES.map(|(rule, ..)| compile(PAIR, &format!("breaks-{rule}"), &[rule]));
    in_namespace(test, || {
        for ((rule, code, _), client) in RULES.into_iter().zip(compiled) {
            let Some(client) = client else { return };
            if code.is_empty() {
                continue;
            }
            let machine = Machine::new();
            let ended = Hosted::start(&machine, &client, &BOTH).end();
            assert_eq!(ended.code, ABORTED, "{rule}: {ended:?}");
            let told = |line: &&str| line.starts_with("umnet: client driver broke a rule: ");
            let lines: Vec<_> = ended.stderr.lines().filter(told).collect();
            assert_eq!(lines.len(), 1, "{rule}: {ended:?}");
            assert!(
                lines[0].contains(&format!("FailureCode_{code}")),
                "{rule}: {lines:?}"
            );
            nothing_is_left(&machine);
        }
    });
}

#[test]
fn without_the_verifier_a_broken_rule_is_a_status() {
    let test = "without_the_verifier_a_broken_rule_is_a_status";
    let compiled = RULES.map(|(rule, ..)| compile(PAIR, &format!("forgiven-{rule}"), &[rule]));
    in_namespace(test, || {
        for ((rule, _, status), client) in RULES.into_iter().zip(compiled) {
            let Some(client) = client else { return };
            if status.is_empty() {
                continue;
            }
            let machine = Machine::new();
            let args = [&BOTH[..], &["--verifier", "off"]].concat();
            let ended = Hosted::start(&machine, &client, &args).end();
            assert_eq!(ended.code, 1, "{rule}: {ended:?}");
            let line = ended
                .stderr
                .lines()
                .find(|line| line.starts_with("umnet: "));
            assert!(
                line.is_some_and(|line| line.contains(status)),
                "{rule}: {ended:?}"
            );
            nothing_is_left(&machine);
        }
    });
}

/// What the command says to a file that it does not load.
fn refused(client: &str, code: i32, words: &[&str]) {
    let machine = Machine::new();
    let outcome = machine.umnet(&["run", "--client", client]);
    assert_eq!(outcome.code, code, "{client}: {outcome:?}");
    // What the client itself says goes through the log.
    let lines: Vec<_> = outcome
        .stderr
        .lines()
        .filter(|line| !line.starts_with('['))
        .collect();
    for word in words {
        assert!(lines[0].contains(word), "'{word}': {outcome:?}");
    }
    assert!(
        lines[0].starts_with("umnet: ") && lines.len() <= 2,
        "{outcome:?}"
    );
    assert!(!machine.path("run/umnet").exists(), "files left behind");
}

#[test]
fn what_is_no_client_is_refused_in_one_line() {
    let machine = Machine::new();
    let file = |name: &str, bytes: &[u8]| {
        let path = machine.path(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    refused(
        "/nowhere/client.so",
        2,
        &["/nowhere/client.so", "No such file"],
    );
    refused(&file("short.so", b"\x7fELF"), 2, &["too short"]);
    refused(
        &file("text.so", b"not a library at all"),
        2,
        &["no ELF file"],
    );
    refused(
        &file("driver.sys", b"MZ....................."),
        2,
        &["Windows binary"],
    );
    let mut object = b"\x7fELF\x02\x01".to_vec();
    object.resize(64, 0);
    refused(&file("client.o", &object), 2, &["link it with -shared"]);
    object[16] = 3;
    object[18] = 0xf3;
    refused(&file("other.so", &object), 2, &["another processor"]);
}

#[test]
fn clients_from_elsewhere_are_refused_by_name() {
    let cases: [(&str, i32, &[&str]); 5] = [
        ("NO_ENTRY", 2, &["no DriverEntry"]),
        (
            "NO_DRIVER",
            1,
            &["DriverEntry succeeded without WdfDriverCreate"],
        ),
        (
            "NETADAPTER_VERSION_MAJOR=1",
            1,
            &["NetAdapterCx 1.5", "2.5", "STATUS_NOT_SUPPORTED"],
        ),
        (
            "NETADAPTER_VERSION_MINOR=4",
            1,
            &["NetAdapterCx 2.4", "2.5", "STATUS_NOT_SUPPORTED"],
        ),
        (
            "UMDF_VERSION_MAJOR=1",
            1,
            &["UMDF 1.33", "2.33", "STATUS_NOT_SUPPORTED"],
        ),
    ];
    for (define, code, words) in cases {
        let name = format!("refused-{}", define.replace('=', "-"));
        let Some(client) = compile(PAIR, &name, &[define]) else {
            return;
        };
        refused(&client.display().to_string(), code, words);
    }
}

#[test]
fn a_client_with_a_device_is_not_there_yet() {
    let machine = Machine::new();
    let outcome = machine.umnet(&["run", "in-process", "--client", "any.so"]);
    assert_eq!(outcome.code, 2, "{outcome:?}");
    assert!(outcome.stderr.contains("yet"), "{outcome:?}");
    let help = umnet().args(["run", "--verifier", "off"]).output().unwrap();
    assert_eq!(help.status.code(), Some(2), "a switch for clients alone");
}
