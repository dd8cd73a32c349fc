//! The command as its user meets it: what it says, how it ends, and that it leaves nothing behind.

mod support;

use std::fs;
use std::path::Path;

use support::machine::{CARD, Card, Kernel, Machine, Manners, outcome, umnet};
use umnet::host::state::DeviceLock;

const VERBS: [&str; 9] = [
    "list", "doctor", "bind", "release", "run", "status", "stats", "selftest", "bench",
];

/// The command refuses with this code and these words, and changes nothing.
fn refused(machine: &Machine, args: &[&str], code: i32, words: &[&str]) {
    let before = machine.everything();
    let outcome = machine.umnet(args);
    assert_eq!(outcome.code, code, "{args:?}: {outcome:?}");
    for word in words {
        assert!(
            outcome.stderr.contains(word),
            "{args:?}: no '{word}' in {}",
            outcome.stderr
        );
    }
    assert_eq!(outcome.stdout, "", "{args:?}");
    machine.is_as(&before);
}

#[test]
fn every_verb_teaches_by_example() {
    for verb in VERBS {
        let help = outcome(umnet().args([verb, "--help"]));
        assert_eq!(help.code, 0, "{verb}");
        assert!(
            help.stdout.contains(&format!("umnet {verb}")),
            "{verb}: {}",
            help.stdout
        );
        assert!(help.stdout.contains("Example"), "{verb}: {}", help.stdout);
    }
    let all = outcome(umnet().arg("--help"));
    for verb in VERBS {
        assert!(
            all.stdout.contains(&format!("\n  {verb} ")),
            "{verb} is missing: {}",
            all.stdout
        );
    }
}

#[test]
fn nonsense_on_the_command_line_is_a_usage_error() {
    let machine = Machine::new();
    machine.card(&CARD);
    let bad: [(&[&str], &str); 13] = [
        (&[], "Usage"),
        (&["drive"], "drive"),
        (&["run"], "DEVICE"),
        (&["run", "00:03.0"], "0000:00:03.0"),
        (&["run", "mac=52:54"], "six octets"),
        (&["run", "vhost-user:here"], "absolute path"),
        (
            &["run", "in-process", "--mac", "02:00:00:00:00:07"],
            "--mac is for vhost-user devices",
        ),
        (&["bind", "0000:00:zz.0"], "in-process"),
        (
            &["run", "umnetcard0", "--ifname", "sixteen-bytes-xx"],
            "at most 15",
        ),
        (
            &["run", "umnetcard0", "--ifname", "a/b"],
            "not an interface name",
        ),
        (&["run", "umnetcard0", "--rx-ring", "100"], "power of two"),
        (&["run", "umnetcard0", "--mtu", "9"], "68"),
        (&["run", "umnetcard0", "--log", "loud"], "--log"),
    ];
    for (args, word) in bad {
        refused(&machine, args, 2, &[word]);
    }
}

#[test]
fn a_bad_configuration_file_is_a_usage_error_that_names_the_place() {
    let machine = Machine::new();
    machine.card(&CARD);
    let cases = [
        (
            "[defaults]\nrx_ring = 3\n",
            vec!["defaults.rx_ring = 3", "from 4 to 32768"],
        ),
        ("[defaults]\nspeed = 3\n", vec!["speed", "line 2"]),
        (
            "[card.\"00:03.0\"]\nmtu = 1500\n",
            vec!["00:03.0", "PCI address"],
        ),
    ];
    for (text, mut words) in cases {
        machine.file("umnet.toml", text);
        let file = machine.path("umnet.toml").display().to_string();
        words.push(&file);
        refused(
            &machine,
            &["run", CARD.interface, "--config", &file],
            2,
            &words,
        );
    }
    refused(
        &machine,
        &["run", CARD.interface, "--config", "/nowhere.toml"],
        2,
        &["/nowhere.toml"],
    );
}

#[test]
fn a_card_that_is_not_there_or_is_none_is_refused() {
    let machine = Machine::new();
    machine.card(&CARD);
    machine.function("0000:00:04.0", "0x8086", "0x10d3", "0x020000", None);
    machine.file("sys/class/net/umnetother0/address", "02:00:00:00:00:01");
    let cases = [
        ("0000:00:09.0", "no PCI device at this address"),
        ("0000:00:04.0", "8086:10d3, not virtio-net"),
        ("umnetother0", "no PCI card is behind it"),
        ("umnetnone0", "no such interface"),
        ("mac=02:00:00:00:00:99", "no card has this MAC address"),
    ];
    for (device, words) in cases {
        for verb in ["bind", "release", "run", "doctor"] {
            refused(&machine, &[verb, device], 3, &[device, words, "umnet list"]);
        }
    }
}

#[test]
fn what_the_machine_lacks_is_named_with_what_mends_it() {
    let without = |change: &dyn Fn(&Machine), words: &[&str]| {
        let machine = Machine::new();
        machine.card(&CARD);
        change(&machine);
        refused(&machine, &["bind", CARD.address], 3, words);
    };
    without(
        &|machine| {
            fs::remove_file(machine.path("sys/bus/pci/devices/0001:02:03.0/iommu_group")).unwrap()
        },
        &[
            "no IOMMU group (the machine's IOMMU does not cover it)",
            "next:",
            "intel_iommu=on",
        ],
    );
    without(
        &|machine| machine.remove("sys/bus/pci/drivers/vfio-pci"),
        &["6.1.0-test", "vfio-pci", "next:"],
    );
    without(
        &|machine| {
            machine.function("0001:02:03.1", "0x8086", "0x10d3", "0x020000", Some(7));
            machine.bound("0001:02:03.1", "e1000e");
        },
        &[
            "group 7",
            "not viable",
            "0001:02:03.1 (e1000e)",
            "driver/unbind",
        ],
    );
}

#[test]
fn bridges_and_idle_functions_leave_a_group_viable() {
    let machine = Machine::new();
    machine.card(&CARD);
    machine.function("0001:02:00.0", "0x8086", "0x10d3", "0x060400", Some(7));
    machine.bound("0001:02:00.0", "e1000e");
    machine.function("0001:02:03.1", "0x8086", "0x10d3", "0x020000", Some(7));
    let card = &machine.umnet(&["list", "--json"]).json()["cards"][0];
    assert_eq!(card["could_be_taken"], true, "{card}");
    assert_eq!(card["iommu_group"]["members"].as_array().unwrap().len(), 3);
}

#[test]
fn a_legacy_only_card_is_refused() {
    let machine = Machine::new();
    machine.card(&Card {
        device_id: "0x1000",
        ..CARD
    });
    fs::write(
        machine.path("sys/bus/pci/devices/0001:02:03.0/config"),
        [0; 256],
    )
    .unwrap();
    refused(
        &machine,
        &["bind", CARD.address],
        3,
        &["legacy-only", "disable-legacy=on"],
    );
}

#[test]
fn a_card_that_goes_past_the_iommu_is_refused_before_it_is_touched() {
    let machine = Machine::new();
    machine.card(&CARD);
    let virtio = format!("sys/bus/pci/devices/{}/virtio0", CARD.address);
    machine.link(&format!("{virtio}/driver"), &machine.path("sys/bus/virtio"));
    machine.file(&format!("{virtio}/features"), &"0".repeat(64));
    refused(
        &machine,
        &["bind", CARD.address],
        3,
        &["ACCESS_PLATFORM", "iommu_platform=on"],
    );
    let with_bit_33 = format!("{}1{}", "0".repeat(33), "0".repeat(30));
    machine.file(&format!("{virtio}/features"), &with_bit_33);
    let listed = machine.umnet(&["list"]).stdout;
    assert!(!listed.contains("ACCESS_PLATFORM"), "{listed}");
}

#[test]
fn a_card_in_use_names_who_has_it() {
    let machine = Machine::new();
    machine.card(&CARD);
    machine.file("dev/vfio/7", "");
    machine.file("proc/4242/comm", "testpmd\n");
    machine.link("proc/4242/fd/9", &machine.path("dev/vfio/7"));
    refused(
        &machine,
        &["bind", CARD.address],
        5,
        &["process 4242 (testpmd)", "kill 4242"],
    );
    refused(
        &machine,
        &["release", CARD.address],
        5,
        &["process 4242 (testpmd)"],
    );
}

#[test]
fn a_card_that_the_service_manager_keeps_is_freed_by_stopping_its_service() {
    let machine = Machine::new();
    machine.card(&CARD);
    machine.file("dev/vfio/7", "");
    machine.file("proc/1/comm", "systemd\n");
    machine.link("proc/1/fd/9", &machine.path("dev/vfio/7"));
    for verb in ["run", "release"] {
        let answer = machine.umnet(&[verb, CARD.address]);
        assert_eq!(answer.code, 5, "{answer:?}");
        let step = "sudo systemctl stop UNIT";
        assert!(answer.stderr.contains(step), "{}", answer.stderr);
        assert!(!answer.stderr.contains("kill"), "{}", answer.stderr);
    }
    machine.file("proc/4242/comm", "testpmd\n");
    machine.link("proc/4242/fd/9", &machine.path("dev/vfio/7"));
    let both = ["sudo systemctl stop UNIT; sudo kill 4242"];
    refused(&machine, &["release", CARD.address], 5, &both);
}

#[test]
fn a_card_another_umnet_drives_names_that_one() {
    let machine = Machine::new();
    machine.card(&CARD);
    let pid = std::process::id();
    machine.file(&format!("proc/{pid}/comm"), "umnet\n");
    let lock = DeviceLock::acquire(&machine.host(), CARD.address).unwrap();
    let holder = format!("process {pid} (umnet)");
    for verb in ["bind", "release"] {
        refused(
            &machine,
            &[verb, CARD.address],
            5,
            &[&holder, "umnet status"],
        );
    }
    drop(lock);
    assert!(
        !machine.path("run/umnet").exists(),
        "the lock left something behind"
    );
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let machine = Machine::new();
    machine.card(&CARD);
    let args = ["run", CARD.interface, "--ifname", "lo"];
    refused(
        &machine,
        &args,
        5,
        &["already an interface called lo", "--ifname"],
    );
}

#[test]
fn list_shows_every_card_with_a_reason_against_it() {
    let machine = Machine::new();
    machine.card(&CARD);
    let second = Card {
        address: "10000:00:1f.7",
        group: None,
        interface: "umnetcard1",
        ..CARD
    };
    machine.card(&second);
    let text = machine.umnet(&["list"]).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[1].contains("0001:02:03.0") && lines[1].ends_with("yes"),
        "{text}"
    );
    assert!(
        lines[2].contains("10000:00:1f.7") && lines[2].contains("no IOMMU group"),
        "{text}"
    );

    let list = machine.umnet(&["list", "--json"]).json();
    assert_eq!(list["schema"], 1);
    assert_eq!(list["cards"][0]["mac"], CARD.mac);
    assert_eq!(list["cards"][0]["interfaces"][0], CARD.interface);
    assert_eq!(list["cards"][1]["obstacles"][0]["kind"], "no_iommu");
    assert!(list["cards"][1]["obstacles"][0]["next"].is_string());
}

#[test]
fn a_machine_without_cards_has_an_empty_list() {
    let machine = Machine::new();
    assert!(
        machine
            .umnet(&["list"])
            .stdout
            .contains("no virtio-net cards")
    );
    assert_eq!(
        machine.umnet(&["list", "--json"]).json()["cards"],
        serde_json::json!([])
    );
}

fn check<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let checks = report["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["name"] == name)
        .unwrap_or_else(|| panic!("{name}: {report}"))
}

#[test]
fn doctor_finds_a_whole_machine_whole() {
    let machine = Machine::new();
    machine.card(&CARD);
    let report = machine.umnet(&["doctor", CARD.interface, "--json"]);
    let json = report.json();
    for name in [
        "IOMMU",
        "vfio-pci",
        "vfio_iommu_type1",
        "VFIO container",
        "TAP",
        "card",
    ] {
        assert_eq!(check(&json, name)["ok"], true, "{json}");
    }
    let root = check(&json, "privilege")["ok"] == true;
    assert_eq!(report.code, if root { 0 } else { 3 });
    assert_eq!(json["ok"], root);
}

#[test]
fn doctor_names_what_is_missing_and_what_mends_it() {
    let machine = Machine::new();
    machine.card(&CARD);
    machine.remove("sys/class/iommu");
    machine.remove("sys/bus/pci/drivers/vfio-pci");
    machine.remove("dev");
    machine.file("proc/cmdline", "quiet intel_iommu=off");
    let report = machine.umnet(&["doctor", "--json"]);
    assert_eq!(report.code, 3);
    let json = report.json();
    for (name, mend) in [
        ("IOMMU", "intel_iommu=off"),
        ("vfio-pci", "apt install"),
        ("VFIO container", "apt install"),
        ("TAP", "modprobe tun"),
    ] {
        let check = check(&json, name);
        assert_eq!(check["ok"], false, "{name}");
        assert!(check["mend"].as_str().unwrap().contains(mend), "{check}");
    }
    let text = machine.umnet(&["doctor"]).stdout;
    assert!(
        text.contains("MISSING TAP") && text.contains("mend: sudo modprobe tun"),
        "{text}"
    );
}

#[test]
fn doctor_takes_modules_that_can_be_loaded_for_good() {
    let machine = Machine::new();
    machine.remove("sys/bus/pci/drivers/vfio-pci");
    machine.remove("sys/module");
    machine.file(
        "lib/modules/6.1.0-test/modules.dep",
        "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n\
         kernel/drivers/vfio/vfio_iommu_type1.ko.xz:\n",
    );
    let json = machine.umnet(&["doctor", "--json"]).json();
    for name in ["vfio-pci", "vfio_iommu_type1"] {
        assert_eq!(check(&json, name)["found"], "will be loaded when needed");
    }
}

#[test]
fn nobody_running_is_a_failure_that_says_where_it_looked() {
    let machine = Machine::new();
    machine.card(&CARD);
    let dir = machine.path("run/umnet").display().to_string();
    for verb in ["status", "stats"] {
        refused(&machine, &[verb], 1, &["no umnet is running", &dir]);
        refused(
            &machine,
            &[verb, CARD.interface],
            1,
            &["no umnet is driving umnetcard0"],
        );
        refused(
            &machine,
            &[verb, "in-process", "--json"],
            1,
            &["no umnet is driving in-process"],
        );
    }
}

#[test]
fn bind_and_release_take_a_card_and_give_it_back() {
    let machine = Machine::new();
    machine.card(&CARD);
    let before = machine.everything();
    let kernel = Kernel::start(&machine, Manners::plain(&CARD));

    let bound = machine.umnet(&["bind", CARD.interface]);
    assert_eq!(bound.code, 0, "{bound:?}");
    assert_eq!(machine.driver_of(&CARD).as_deref(), Some("vfio-pci"));
    assert!(
        bound.stdout.contains("umnet release 0001:02:03.0"),
        "{bound:?}"
    );
    assert!(machine.path("run/umnet/0001:02:03.0.json").exists());
    assert_eq!(
        machine.umnet(&["bind", CARD.address]).code,
        0,
        "bound already"
    );

    let released = machine.umnet(&["release", CARD.address]);
    assert_eq!(released.code, 0, "{released:?}");
    assert_eq!(released.stdout, "0001:02:03.0 is back with virtio-pci\n");
    let again = machine.umnet(&["release", CARD.address]);
    assert_eq!(
        again.stdout,
        "0001:02:03.0 is with virtio-pci; umnet holds nothing of it\n"
    );
    drop(kernel);
    machine.file(
        "sys/bus/pci/devices/0001:02:03.0/driver_override",
        "(null)\n",
    );
    machine.is_as(&before);
}

#[test]
fn a_card_vfio_refuses_stays_with_the_kernel() {
    let machine = Machine::new();
    machine.card(&CARD);
    let manners = Manners {
        vfio_refuses: true,
        ..Manners::plain(&CARD)
    };
    let _kernel = Kernel::start(&machine, manners);
    let outcome = machine.umnet(&["bind", CARD.address]);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(
        outcome.stderr.contains("vfio-pci to take 0001:02:03.0"),
        "{outcome:?}"
    );
    assert_eq!(machine.driver_of(&CARD).as_deref(), Some("virtio-pci"));
    assert!(!machine.path("run/umnet").exists());
}

#[test]
fn a_card_somebody_else_gave_to_vfio_is_not_ours_to_release() {
    let machine = Machine::new();
    machine.function(CARD.address, "0x1af4", "0x1041", "0x020000", Some(7));
    machine.bound(CARD.address, "vfio-pci");
    machine.file("dev/vfio/7", "");
    refused(
        &machine,
        &["release", CARD.address],
        1,
        &["umnet holds nothing of 0001:02:03.0"],
    );
}

#[test]
fn a_state_file_that_makes_no_sense_is_named() {
    let machine = Machine::new();
    machine.card(&CARD);
    machine.file("run/umnet/0001:02:03.0.json", "{\"schema\":");
    let file = machine
        .path("run/umnet/0001:02:03.0.json")
        .display()
        .to_string();
    refused(&machine, &["release", CARD.address], 1, &[&file, "next:"]);
    assert!(Path::new(&file).exists());
}
