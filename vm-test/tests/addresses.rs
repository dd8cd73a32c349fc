//! The interface that umnet gives works as any other: addresses come by hand, by DHCP and by router
//! advertisement, neighbours find each other, groups are heard.

use std::time::Duration;
use vm_test::traffic::End;
use vm_test::{Backend, Guest, HubLink, Umnet, scenario, traffic};

const SOON: Duration = Duration::from_secs(15);

#[test]
fn leases_and_advertised_addresses_pass_to_umnet_and_back_and_can_be_got_through_it() {
    scenario(|lab| {
        let vm = lab.boot_card(Backend::user())?;
        let guest = &vm.guest;
        let card = vm.ifname("n0")?;
        let dhcp = format!("udhcpc -i {card} -n -q -s /etc/udhcpc/default.script");
        let leased = || {
            let lease = guest.ok(&format!(
                "ip -4 addr show dev {card} | grep -A1 10.0.2.15/24"
            ));
            assert!(!lease.contains("forever"), "a lease ends: {lease}");
            guest.ok("ip route show default | grep -q 'via 10.0.2.2'");
            guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        };
        // The address that the router's prefix and the card's own make, and the router.
        let advertised = || {
            let address = "grep fec0::5054:ff:fe75:0/64 | grep -v tentative";
            guest.eventually(&format!("ip -6 addr show dev {card} | {address}"), SOON);
            guest.eventually(
                &format!("ip -6 route show default | grep 'dev {card} proto ra'"),
                SOON,
            );
            guest.eventually("ping -6 -c 1 -W 1 fec0::2", SOON);
        };
        guest.ok(&format!("ip link set {card} up && {dhcp}"));
        leased();
        advertised();

        let umnet = Umnet::run(&vm, "n0", "--force")?;
        leased();
        advertised();
        guest.ok(&format!(
            "ip addr flush dev {card} && ip link set {card} down"
        ));
        guest.ok(&format!("ip link set {card} up && {dhcp}"));
        leased();
        advertised();

        umnet.stop()?;
        leased();
        advertised();
        Ok(())
    });
}

#[test]
fn an_interface_renamed_meanwhile_gives_back_what_it_carries() {
    scenario(|lab| {
        let vm = lab.boot_card(Backend::user())?;
        let guest = &vm.guest;
        let card = vm.ifname("n0")?;
        guest.ok(&format!(
            "ip addr add 10.0.2.20/24 dev {card} && ip link set {card} up"
        ));
        let umnet = Umnet::run(&vm, "n0", "")?;
        guest.ok(&format!(
            "ip link set {card} down && ip link set {card} name other0 \
             && ip link set other0 up && ip addr add 10.0.2.21/24 dev other0"
        ));
        umnet.stop()?;
        for host in [20, 21] {
            guest.ok(&format!(
                "ip -4 addr show dev {card} | grep -q 'inet 10.0.2.{host}/24'"
            ));
        }
        Ok(())
    });
}

#[test]
fn neighbours_find_and_ping_each_other_and_hear_groups() {
    scenario(|lab| {
        let vm = lab.boot_with_umnet(HubLink::machine())?;
        let (near, (far, there)) = (&vm.guest, &vm.set_apart("n1", "far")?);
        let umnet = Umnet::run(&vm, "n0", "--ifname lan0")?;
        assert_eq!(umnet.ifname(), "lan0");
        for (guest, ifname, host) in [(near, "lan0", 1), (far, there.as_str(), 2)] {
            guest.ok(&format!(
                "ip addr add 10.0.0.{host}/24 dev {ifname} && ip addr add fd00::{host}/64 dev {ifname} \
                 && ip link set {ifname} up"
            ));
        }

        // Nobody has the other's address, until duplicate detection and discovery went over umnet.
        for (guest, ifname, host) in [(near, "lan0", 2), (far, there.as_str(), 1)] {
            guest.eventually(&format!("ping -6 -c 1 -W 1 fd00::{host}"), SOON);
            guest.ok(&format!("ping -6 -c 3 -i 0.2 -W 2 fd00::{host}"));
            guest.ok(&format!("ping -c 3 -i 0.2 -W 2 10.0.0.{host}"));
            guest.ok(&format!(
                "ip -6 neigh show dev {ifname} | grep -q '^fd00::{host} lladdr'"
            ));
            let failed = format!("ip -6 addr show dev {ifname} | grep -c 'tentative\\|dadfailed'");
            assert_eq!(guest.exits(1, &failed).stdout.trim(), "0");
        }
        guest_sees_duplicate(near, far, there);

        // Multicast, each way: the echo answers from its own address.
        hears_group(near, "lan0", 1, far, there)?;
        hears_group(far, there, 2, near, "lan0")?;
        umnet.stop()?;
        Ok(())
    });
}

/// An address that the other side already has is found to be taken.
fn guest_sees_duplicate(near: &Guest, far: &Guest, there: &str) {
    far.ok(&format!("ip addr add fd00::dd/64 dev {there} nodad"));
    near.ok("ip addr add fd00::dd/64 dev lan0");
    near.eventually(
        "ip -6 addr show dev lan0 | grep 'fd00::dd/64' | grep -q dadfailed",
        SOON,
    );
    near.ok("ip addr del fd00::dd/64 dev lan0");
}

fn hears_group(
    listener: &Guest,
    ifname: &str,
    host: u8,
    sender: &Guest,
    through: &str,
) -> vm_test::Result<()> {
    let group4 = format!("--group 239.1.2.3 --group-on 10.0.0.{host}");
    let group6 = format!("--group ff15::1:3 --group-on {ifname}");
    let _echo4 = listener.serve(&format!("udp-echo --listen 0.0.0.0:7004 {group4}"))?;
    let _echo6 = listener.serve(&format!("udp-echo --listen [::]:7006 {group6}"))?;
    let route = format!("route add multicast ff15::/16 dev {through} table local metric 1");
    sender.ok(&format!(
        "ip route add 239.0.0.0/8 dev {through}; ip -6 {route}"
    ));
    for group in ["239.1.2.3:7004", "[ff15::1:3]:7006"] {
        let check = format!("udp-check --to {group} --sizes 1,1400 --count 3");
        sender.traffic(&check, SOON)?.into_stdout()?;
    }
    Ok(())
}

#[test]
fn without_adoption_the_interface_starts_bare_and_traffic_flows() {
    scenario(|lab| {
        let vm = lab.boot_with_umnet(HubLink::machine())?;
        let (near, (far, there)) = (&vm.guest, &vm.set_apart("n1", "far")?);
        far.ok(&format!(
            "ip addr add 10.0.0.2/24 dev {there} && ip link set {there} up"
        ));
        let card = vm.ifname("n0")?;
        near.ok(&format!(
            "ip addr add 10.0.0.1/24 dev {card} && ip link set {card} up"
        ));

        let umnet = Umnet::run(&vm, "n0", "--no-adopt --ifname bare0")?;
        near.exits(1, "ip -4 addr show dev bare0 | grep inet");
        near.exits(1, &format!("ip link show {card}"));
        near.ok("ip addr add 10.0.0.9/24 dev bare0");
        traffic::datagrams(near, far, "10.0.0.2:7", Some("1,1400"))?;

        umnet.stop()?;
        near.exits(1, "ip link show bare0");
        near.ok(&format!(
            "ip -4 addr show dev {card} | grep -q 'inet 10.0.0.1/24'"
        ));
        near.eventually("ping -c 1 -W 1 10.0.0.2", SOON);
        Ok(())
    });
}
