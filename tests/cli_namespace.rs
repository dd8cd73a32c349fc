//! Taking a card with a live interface and giving it back, in a network namespace where the
//! interface is real and only the PCI side is a picture.

mod support;

use serde_json::Value;
use support::machine::{CARD, Card, Kernel, Machine, Manners, outcome, umnet};
use support::namespace::{in_namespace, sh};

/// What the kernel names the interface when the card comes back.
const COMES_BACK_AS: &str = "umnetback0";

fn make(name: &str) {
    sh(&format!(
        "ip link add {name} address {} type veth peer name wire0; ip link set wire0 up",
        CARD.mac
    ));
}

/// A machine whose card carries a real interface with addresses and a default route.
fn machine() -> (Machine, Kernel) {
    let machine = Machine::new();
    machine.card(&CARD);
    make(CARD.interface);
    sh("ip link set umnetcard0 mtu 1400 up; \
        ip addr add 192.0.2.2/24 dev umnetcard0; \
        ip addr add 2001:db8::2/64 dev umnetcard0 nodad; \
        ip route add default via 192.0.2.1 metric 50");
    let kernel = Kernel::start(&machine, returning_as(COMES_BACK_AS));
    (machine, kernel)
}

fn returning_as(name: &'static str) -> Manners {
    Manners {
        on_return: Box::new(move || {
            make(name);
            Card {
                interface: name,
                ..CARD
            }
        }),
        on_leave: Box::new(|| drop(sh("ip link del umnetcard0"))),
        ..Manners::plain(&CARD)
    }
}

/// Name, state, addresses and routes of the card's interface.
fn seen() -> String {
    sh(
        "ip -o link show umnetcard0 | grep -o 'umnetcard0\\|mtu [0-9]*\\|,UP'; \
        ip -o addr show dev umnetcard0 scope global | cut -d' ' -f2-8; \
        ip route; ip -6 route show dev umnetcard0 | grep -v fe80",
    )
}

fn obstacles(machine: &Machine) -> Vec<Value> {
    let list = machine.umnet(&["list", "--json"]).json();
    let found = list["cards"][0]["obstacles"].as_array().unwrap();
    found
        .iter()
        .map(|obstacle| obstacle["kind"].clone())
        .collect()
}

#[test]
fn an_interface_comes_back_with_name_addresses_and_routes() {
    in_namespace(
        "an_interface_comes_back_with_name_addresses_and_routes",
        || {
            let (machine, _kernel) = machine();
            let before = seen();
            let bound = machine.umnet(&["bind", CARD.interface, "--force"]);
            assert_eq!(bound.code, 0, "{bound:?}");
            assert_eq!(sh("ip route"), "", "the interface is gone");

            // By the name it had before: no interface is called so now.
            let released = machine.umnet(&["release", CARD.interface]);
            assert_eq!(released.code, 0, "{released:?}");
            assert_eq!(
                released.stdout,
                "0001:02:03.0 is back with virtio-pci as umnetcard0\n"
            );
            assert_eq!(seen(), before);
            assert!(!machine.path("run/umnet").exists());
        },
    );
}

#[test]
fn a_card_is_found_by_its_old_mac_while_vfio_has_it() {
    in_namespace("a_card_is_found_by_its_old_mac_while_vfio_has_it", || {
        let (machine, _kernel) = machine();
        assert_eq!(machine.umnet(&["bind", CARD.address, "--force"]).code, 0);
        let card = &machine.umnet(&["list", "--json"]).json()["cards"][0];
        assert_eq!(
            (&card["driver"], &card["held_by_umnet"]),
            (&"vfio-pci".into(), &true.into())
        );
        let released = machine.umnet(&["release", &format!("mac={}", CARD.mac)]);
        assert_eq!(released.code, 0, "{released:?}");
    });
}

#[test]
fn the_way_out_is_not_cut_without_force() {
    in_namespace("the_way_out_is_not_cut_without_force", || {
        let (machine, _kernel) = machine();
        assert_eq!(obstacles(&machine), ["default_route"]);
        let before = (machine.everything(), seen());
        let refused = machine.umnet(&["bind", CARD.interface]);
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(
            refused
                .stderr
                .contains("umnetcard0 carries the default route"),
            "{refused:?}"
        );
        assert!(refused.stderr.contains("--force"), "{refused:?}");
        assert_eq!((machine.everything(), seen()), before);
        sh("ip route del default");
        assert_eq!(machine.umnet(&["bind", CARD.interface]).code, 0);
    });
}

#[test]
fn a_default_route_of_the_bridge_above_counts() {
    in_namespace("a_default_route_of_the_bridge_above_counts", || {
        let (machine, _kernel) = machine();
        sh(
            "ip link add umnetbr0 type bridge; ip link set umnetbr0 up; \
            ip link set umnetcard0 master umnetbr0; ip addr flush dev umnetcard0; \
            ip addr add 192.0.2.2/24 dev umnetbr0; ip route add default via 192.0.2.1",
        );
        let net = machine.path("sys/class/net/umnetbr0");
        machine.link("sys/class/net/umnetcard0/upper_umnetbr0", &net);
        machine.link("sys/class/net/umnetcard0/master", &net);
        let refused = machine.umnet(&["bind", CARD.interface]);
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(
            refused.stderr.contains("through umnetbr0 on top of it"),
            "{refused:?}"
        );
        sh("ip route del default");
        assert_eq!(obstacles(&machine), Vec::<Value>::new(), "a bridge stays");
    });
}

#[test]
fn what_stands_on_the_interface_is_not_lost_without_force() {
    in_namespace(
        "what_stands_on_the_interface_is_not_lost_without_force",
        || {
            let (machine, _kernel) = machine();
            sh("ip route del default");
            machine.link(
                "sys/class/net/umnetcard0/upper_umnetcard0.7",
                &machine.path("sys"),
            );
            let refused = machine.umnet(&["bind", CARD.interface]);
            assert_eq!(refused.code, 4, "{refused:?}");
            assert!(
                refused.stderr.contains("umnetcard0.7 on top of umnetcard0"),
                "{refused:?}"
            );
        },
    );
}

#[test]
fn the_shell_one_types_in_is_not_cut_without_force() {
    in_namespace("the_shell_one_types_in_is_not_cut_without_force", || {
        let (machine, _kernel) = machine();
        sh("ip route del default; ip route add 203.0.113.0/24 via 192.0.2.1");
        let from = |connection: &str| {
            let mut command = umnet();
            command
                .env("SSH_CONNECTION", connection)
                .arg("--root")
                .arg(machine.path(""));
            outcome(command.args(["bind", CARD.interface]))
        };
        let by = [
            (
                "through the route to the peer",
                "203.0.113.9 50022 198.51.100.1 22",
            ),
            (
                "at the interface's own address",
                "198.51.100.9 50022 192.0.2.2 22",
            ),
            (
                "by a link-local address",
                "fe80::9%umnetcard0 50022 fe80::1%umnetcard0 22",
            ),
        ];
        for (how, connection) in by {
            let refused = from(connection);
            assert_eq!(refused.code, 4, "{how}: {refused:?}");
            assert!(
                refused.stderr.contains("the shell you are typing in"),
                "{how}: {refused:?}"
            );
        }
        let elsewhere = from("198.51.100.9 50022 198.51.100.1 22");
        assert_eq!(elsewhere.code, 0, "{elsewhere:?}");
    });
}

#[test]
fn a_name_taken_meanwhile_leaves_the_interface_under_its_new_one() {
    in_namespace(
        "a_name_taken_meanwhile_leaves_the_interface_under_its_new_one",
        || {
            let (machine, _kernel) = machine();
            assert_eq!(machine.umnet(&["bind", CARD.interface, "--force"]).code, 0);
            sh("ip link add umnetcard0 type bridge");
            let released = machine.umnet(&["release", CARD.address]);
            assert_eq!(released.code, 0, "{released:?}");
            assert!(
                released
                    .stdout
                    .contains("back with virtio-pci as umnetback0"),
                "{released:?}"
            );
            assert!(
                released.stderr.contains("the name umnetcard0 is taken"),
                "{released:?}"
            );
            assert_eq!(sh("ip -o addr show dev umnetback0 scope global"), "");
        },
    );
}

/// As if umnet had died between unbinding and binding.
fn die_in_mid_air(machine: &Machine, kernel: Kernel) {
    assert_eq!(machine.umnet(&["bind", CARD.interface, "--force"]).code, 0);
    drop(kernel);
    std::fs::remove_file(machine.path("sys/bus/pci/devices/0001:02:03.0/driver")).unwrap();
    std::fs::remove_file(machine.path("dev/vfio/7")).unwrap();
}

#[test]
fn a_card_left_in_mid_air_by_a_crash_is_brought_back() {
    in_namespace("a_card_left_in_mid_air_by_a_crash_is_brought_back", || {
        let (machine, kernel) = machine();
        let before = seen();
        die_in_mid_air(&machine, kernel);
        let _kernel = Kernel::start(&machine, returning_as(CARD.interface));
        let released = machine.umnet(&["release", CARD.interface]);
        assert_eq!(released.code, 0, "{released:?}");
        assert_eq!(seen(), before);
    });
}

#[test]
fn taking_a_card_again_after_a_crash_forgets_nothing() {
    in_namespace("taking_a_card_again_after_a_crash_forgets_nothing", || {
        let (machine, kernel) = machine();
        let before = seen();
        die_in_mid_air(&machine, kernel);
        let _kernel = Kernel::start(&machine, returning_as(CARD.interface));
        let again = machine.umnet(&["bind", CARD.interface]);
        assert_eq!(again.code, 0, "{again:?}");
        assert_eq!(machine.umnet(&["release", CARD.interface]).code, 0);
        assert_eq!(seen(), before);
    });
}

#[test]
fn a_release_cut_short_is_ended_before_the_card_is_taken_again() {
    in_namespace(
        "a_release_cut_short_is_ended_before_the_card_is_taken_again",
        || {
            let (machine, _kernel) = machine();
            let before = seen();
            assert_eq!(machine.umnet(&["bind", CARD.interface, "--force"]).code, 0);
            let record = machine.path("run/umnet/0001:02:03.0.json");
            let text = std::fs::read_to_string(&record).unwrap();
            assert_eq!(machine.umnet(&["release", CARD.interface]).code, 0);
            // The driver is back, but it died before it came to the interface.
            machine.file("run/umnet/0001:02:03.0.json", &text);
            let path = machine.path("sys/bus/pci/devices/0001:02:03.0/virtio0/net");
            std::fs::rename(path.join(COMES_BACK_AS), path.join(CARD.interface)).unwrap();
            sh(
                "ip addr flush dev umnetcard0; ip link set umnetcard0 down mtu 1500; \
                ip addr add 198.51.100.77/32 dev umnetcard0",
            );
            let again = machine.umnet(&["bind", CARD.interface, "--force"]);
            assert_eq!(again.code, 0, "{again:?}");
            assert_eq!(machine.umnet(&["release", CARD.interface]).code, 0);
            // What it was given since then is there as well; without that, all is as before.
            sh("ip addr del 198.51.100.77/32 dev umnetcard0");
            assert_eq!(seen(), before);
        },
    );
}
