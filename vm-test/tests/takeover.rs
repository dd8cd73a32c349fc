//! umnet takes a card over from the kernel and gives it back.

use std::time::Duration;
use vm_test::{Backend, Guest, Umnet, scenario};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_card_is_taken_over_with_its_addresses_and_given_back() {
    scenario(|lab| {
        let vm = lab.boot_card(Backend::user())?;
        let guest = &vm.guest;
        let card = vm.ifname("n0")?;
        guest.ok(&format!(
            "ip addr add 10.0.2.15/24 dev {card} && ip link set {card} up && ip route add 10.99.0.0/16 via 10.0.2.2"
        ));
        guest.ok("ping -c 1 -W 2 10.0.2.2");
        let dressed = || {
            guest.ok(&format!("ip addr show {card} | grep -q 10.0.2.15/24"));
            guest.ok("ip route show 10.99.0.0/16 | grep -q 'via 10.0.2.2'");
        };

        let umnet = Umnet::run(&vm, "n0", "--log debug")?;
        assert_eq!(umnet.ifname(), card);
        guest.ok(&format!("[ -e /sys/class/net/{card}/tun_flags ]"));
        dressed();
        guest.ok("ping -c 5 -i 0.2 -W 2 10.0.2.2");
        let features = umnet.features()?;
        assert!(
            features.iter().any(|name| name == "ACCESS_PLATFORM"),
            "{features:?}"
        );
        assert!(umnet.counter("rx_packets")? >= 5);

        umnet.stop()?;
        guest.ok(&format!("[ ! -e /sys/class/net/{card}/tun_flags ]"));
        dressed();
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        Ok(())
    });
}

/// What an interface carries, as a user lists it.
fn carried(guest: &Guest, ifname: &str) -> Vec<String> {
    // The kernel makes the link-local address itself, once it has seen the carrier.
    let settled = format!(
        "addr=$(ip -6 addr show dev {ifname}); echo \"$addr\" | grep fe80 && ! echo \"$addr\" | grep tentative"
    );
    guest.eventually(&settled, SOON);
    let show = format!(
        "ip -o addr show dev {ifname} | sed 's/^[0-9]*: //; s/ nodad//g'; \
         ip route show dev {ifname}; ip -6 route show dev {ifname}; \
         ip route show table 77; cat /sys/class/net/{ifname}/mtu /sys/class/net/{ifname}/address"
    );
    let mut lines: Vec<String> = guest
        .ok(&show)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    lines.sort();
    lines
}

#[test]
fn everything_an_interface_carries_passes_to_umnet_and_back() {
    scenario(|lab| {
        let vm = lab.boot_card(Backend::hub(0))?;
        let guest = &vm.guest;
        let kernel = vm.ifname("n0")?;
        for line in [
            "name lan0",
            "dev lan0 mtu 1400",
            "dev lan0 address 02:00:00:00:00:77",
            "dev lan0 up",
        ] {
            let dev = if line.starts_with("name") {
                kernel.as_str()
            } else {
                ""
            };
            guest.ok(&format!("ip link set {dev} {line}"));
        }
        for line in [
            "addr add 192.0.2.1/24 dev lan0",
            "addr add 192.0.2.2/24 dev lan0",
            "addr add 198.51.100.1/32 dev lan0 scope link",
            "addr add 203.0.113.1 peer 203.0.113.2/32 dev lan0",
            "-6 addr add 2001:db8::1/64 dev lan0",
            "-6 addr add 2001:db8::2/64 dev lan0 preferred_lft 0",
            "route add 10.1.0.0/16 via 192.0.2.254 metric 50",
            "route add 10.1.0.0/16 via 192.0.2.253 metric 60 mtu 1300",
            "route add 10.2.0.0/16 dev lan0 src 192.0.2.2",
            "route add 10.3.0.0/16 via 192.0.2.254 table 77",
            "-6 route add 2001:db8:1::/48 via 2001:db8::fe",
            "-6 route add 2001:db8:2::/48 via fe80::1 dev lan0 metric 7",
        ] {
            guest.ok(&format!("ip {line}"));
        }
        let before = carried(guest, "lan0");
        assert!(before.len() > 15, "{before:#?}");

        let umnet = Umnet::run(&vm, "n0", "")?;
        assert_eq!(umnet.ifname(), "lan0");
        assert_eq!(carried(guest, "lan0"), before, "on umnet");
        assert_eq!(vm.qmp.rx_filter("n0")?["main-mac"], "02:00:00:00:00:77");

        umnet.stop()?;
        guest.ok("[ ! -e /sys/class/net/lan0/tun_flags ]");
        assert_eq!(carried(guest, "lan0"), before, "back with the kernel");
        Ok(())
    });
}

#[test]
fn a_booted_guest_checks_itself_and_hands_a_card_to_vfio_and_back() {
    scenario(|lab| {
        let vm = lab.boot_card(Backend::hub(0))?;
        let (guest, card) = (&vm.guest, vm.nic("n0"));
        let kernel = guest.ifname(&card.mac)?;
        guest.ok(&format!(
            "ip addr add 10.0.0.1/24 dev {kernel} && ip link set {kernel} up"
        ));
        let entry = || {
            let list: serde_json::Value =
                serde_json::from_str(&guest.ok("umnet list --json")).unwrap_or_default();
            list["cards"][0].clone()
        };

        guest.ok("umnet selftest");
        guest.ok("umnet doctor");
        guest.ok(&format!("umnet doctor {kernel}"));
        assert_eq!(entry()["address"], card.pci.as_str(), "{}", entry());
        assert_eq!(entry()["could_be_taken"], true, "{}", entry());
        assert_eq!(entry()["interfaces"][0], kernel.as_str(), "{}", entry());

        guest.ok(&format!("umnet bind mac={}", card.mac));
        assert_eq!(entry()["driver"], "vfio-pci", "{}", entry());
        assert_eq!(entry()["held_by_umnet"], true, "{}", entry());
        guest.exits(1, &format!("ip link show {kernel}"));

        // A run on a card that was bound before leaves it bound.
        let umnet = Umnet::run(&vm, "n0", "")?;
        assert_eq!(umnet.ifname(), kernel);
        umnet.stop()?;
        assert_eq!(entry()["driver"], "vfio-pci", "{}", entry());

        guest.ok(&format!("umnet release {}", card.pci));
        assert_eq!(guest.ifname(&card.mac)?, kernel);
        guest.ok(&format!("ip addr show {kernel} | grep -q 10.0.0.1/24"));
        assert_eq!(entry()["held_by_umnet"], false, "{}", entry());
        Ok(())
    });
}
