//! Interfaces: what one carries is taken down and given to another, as `ip` sees it.

mod support;

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use support::namespace::{in_namespace, sh};
use umnet::host::IfName;
use umnet::host::interface::{Address, InterfaceSnapshot, Interfaces};
use umnet::host::watch::{LinkEvent, LinkWatch};

/// What `ip` says about everything `card0` carries, without what is bound to differ.
fn seen_by_ip() -> String {
    sh(
        "ip -o -d link show card0 | grep -o 'mtu [0-9]*\\|qlen [0-9]*\\|link/ether [0-9a-f:]*\\|PROMISC\\|,UP' ; \
        ip -o -4 addr show dev card0 | cut -d' ' -f2-; \
        ip -o -6 addr show dev card0 scope global | cut -d' ' -f2- | sed 's/ nodad//'; \
        ip -4 route show table all; \
        ip -6 route show table all | grep -v 'multicast\\|^fe80\\|^local\\|^anycast' | sed 's/ pref medium//'",
    )
}

fn card0_with_all_kinds_of_things() {
    sh(
        "ip link add card0 address 52:54:00:12:34:56 type veth peer name wire0; \
        ip link set wire0 up; \
        ip link set card0 mtu 1400 txqueuelen 500 promisc on up; \
        ip addr add 192.0.2.2/24 brd + dev card0; \
        ip addr add 192.0.2.3/24 dev card0 label card0:web; \
        ip addr add 198.51.100.1/32 dev card0 noprefixroute; \
        ip addr add 169.254.1.1/16 scope link dev card0; \
        ip addr add 2001:db8::2/64 dev card0 nodad; \
        ip addr add 2001:db8:1::2/64 dev card0 nodad noprefixroute; \
        ip route add default via 192.0.2.1 dev card0 metric 100 proto dhcp src 192.0.2.2; \
        ip route add 203.0.113.0/24 via 192.0.2.9 dev card0 table 100 mtu 1300; \
        ip route add 203.0.113.128/25 via 10.9.9.9 dev card0 onlink; \
        ip route add 10.5.0.0/16 dev card0 scope link; \
        ip -6 route add default via fe80::1 dev card0 metric 512; \
        ip -6 route add 2001:db8:2::/48 via 2001:db8::1 dev card0 proto static",
    );
}

fn card0(interfaces: &mut Interfaces) -> InterfaceSnapshot {
    let name: IfName = "card0".parse().unwrap();
    interfaces.snapshot(&name).unwrap().expect("card0 is there")
}

#[test]
fn another_interface_takes_over_name_addresses_and_routes() {
    in_namespace(
        "another_interface_takes_over_name_addresses_and_routes",
        || {
            card0_with_all_kinds_of_things();
            let before = seen_by_ip();
            let mut interfaces = Interfaces::open().unwrap();
            let snapshot = card0(&mut interfaces);
            let kept = serde_json::to_string(&snapshot).unwrap();
            assert_eq!(
                serde_json::from_str::<InterfaceSnapshot>(&kept).unwrap(),
                snapshot
            );

            sh(
                "ip link del card0; ip link add other type veth peer name wire1; ip link set wire1 up; ip link set other up",
            );
            let other = interfaces.find("other").unwrap().unwrap();
            assert_eq!(
                interfaces.apply(other.index, &snapshot).unwrap(),
                0,
                "refused"
            );

            assert_eq!(seen_by_ip(), before);
            assert_eq!(interfaces.find("other").unwrap(), None);
        },
    );
}

#[test]
fn an_interface_renamed_meanwhile_is_found_by_its_index() {
    let test = "an_interface_renamed_meanwhile_is_found_by_its_index";
    in_namespace(test, || {
        card0_with_all_kinds_of_things();
        let mut interfaces = Interfaces::open().unwrap();
        let before = card0(&mut interfaces);
        let index = interfaces.find("card0").unwrap().expect("card0").index;
        sh("ip link set card0 down; ip link set card0 name lan0 up");
        let now = interfaces.snapshot_at(index, &before.name).unwrap();
        let now = now.expect("the interface is still there");
        assert_eq!(now.name, before.name);
        assert_eq!((now.mac, now.mtu), (before.mac, before.mtu));
        // Being down has cost the IPv6 addresses.
        let v4 = |snapshot: &InterfaceSnapshot| {
            let ips = snapshot.addresses.iter().filter_map(Address::ip);
            ips.filter(|ip| ip.is_ipv4()).collect::<Vec<_>>()
        };
        assert_eq!(v4(&now), v4(&before));
        assert_eq!(interfaces.snapshot(&before.name).unwrap(), None);
        sh("ip link del lan0");
        assert_eq!(interfaces.snapshot_at(index, &before.name).unwrap(), None);
    });
}

#[test]
fn an_address_lent_for_a_time_keeps_its_time() {
    in_namespace("an_address_lent_for_a_time_keeps_its_time", || {
        sh(
            "ip link add card0 type veth peer name wire0; ip link set card0 up; \
            ip addr add 192.0.2.2/24 dev card0 valid_lft 1000 preferred_lft 500",
        );
        let mut interfaces = Interfaces::open().unwrap();
        let snapshot = card0(&mut interfaces);
        sh("ip link del card0; ip link add card0 type veth peer name wire0");
        let fresh = interfaces.find("card0").unwrap().unwrap();
        interfaces.apply(fresh.index, &snapshot).unwrap();
        let seen = sh("ip addr show dev card0");
        let left = |word: &str| -> u32 {
            let after = seen.split(word).nth(1).unwrap();
            after.trim().split("sec").next().unwrap().parse().unwrap()
        };
        assert!((900..=1000).contains(&left("valid_lft")), "{seen}");
        assert!((400..=500).contains(&left("preferred_lft")), "{seen}");
    });
}

#[test]
fn link_local_addresses_of_the_kernels_making_are_left_to_the_kernel() {
    in_namespace(
        "link_local_addresses_of_the_kernels_making_are_left_to_the_kernel",
        || {
            sh(
                "ip link add card0 type veth peer name wire0; ip link set wire0 up; ip link set card0 up; \
            ip addr add fe80::77/64 dev card0 nodad; \
            for i in 1 2 3 4 5 6 7 8 9 10; do ip -6 -o addr show dev card0 | grep -q fe80::.*ff:fe && break; sleep 0.1; done",
            );
            let snapshot = card0(&mut Interfaces::open().unwrap());
            let addresses: Vec<String> =
                snapshot.addresses.iter().map(ToString::to_string).collect();
            assert_eq!(addresses, ["fe80::77/64"]);
        },
    );
}

#[test]
fn a_bridge_port_is_taken_over_as_a_bridge_port() {
    in_namespace("a_bridge_port_is_taken_over_as_a_bridge_port", || {
        sh(
            "ip link add bridge0 type bridge; ip link add card0 type veth peer name wire0; \
            ip link set card0 master bridge0 up",
        );
        let mut interfaces = Interfaces::open().unwrap();
        let snapshot = card0(&mut interfaces);
        assert_eq!(snapshot.master.as_deref(), Some("bridge0"));
        assert!(
            !snapshot.promisc,
            "what the bridge asks for is not the user's wish"
        );
        sh("ip link del card0; ip link add card0 type veth peer name wire0");
        let fresh = interfaces.find("card0").unwrap().unwrap();
        interfaces.apply(fresh.index, &snapshot).unwrap();
        assert!(sh("ip link show card0").contains("master bridge0"));
        assert!(
            interfaces.find("card0").unwrap().unwrap().promisc,
            "now the bridge asks"
        );
    });
}

#[test]
fn routes_tell_which_interface_is_the_way_out() {
    in_namespace("routes_tell_which_interface_is_the_way_out", || {
        let mut interfaces = Interfaces::open().unwrap();
        assert!(interfaces.default_routes().unwrap().is_empty());
        let peer = "203.0.113.200".parse().unwrap();
        assert_eq!(interfaces.route_to(peer).unwrap(), None);
        card0_with_all_kinds_of_things();
        let index = interfaces.find("card0").unwrap().unwrap().index;
        assert_eq!(
            interfaces.default_routes().unwrap(),
            [index, index],
            "one of each family"
        );
        assert_eq!(interfaces.route_to(peer).unwrap(), Some(index));
        assert_eq!(
            interfaces
                .owner_of("2001:db8:1::2".parse().unwrap())
                .unwrap(),
            Some(index)
        );
        assert_eq!(interfaces.owner_of(peer).unwrap(), None);
    });
}

#[test]
fn what_the_kernel_refuses_is_counted_and_the_rest_applied() {
    in_namespace(
        "what_the_kernel_refuses_is_counted_and_the_rest_applied",
        || {
            sh(
                "ip link add card0 type veth peer name wire0; ip link set card0 up; \
            ip addr add 192.0.2.2/24 dev card0; ip route add 10.0.0.0/8 via 192.0.2.1; ip route add 10.1.0.0/16 dev card0",
            );
            let mut interfaces = Interfaces::open().unwrap();
            let mut snapshot = card0(&mut interfaces);
            snapshot.addresses.clear();
            sh("ip link del card0; ip link add card0 type veth peer name wire0");
            let fresh = interfaces.find("card0").unwrap().unwrap();
            assert_eq!(
                interfaces.apply(fresh.index, &snapshot).unwrap(),
                1,
                "the gateway is out of reach"
            );
            assert_eq!(
                sh("ip route show dev card0").trim(),
                "10.1.0.0/16 scope link linkdown"
            );
        },
    );
}

fn next(watch: &mut LinkWatch) -> LinkEvent {
    let timeout = Timespec::try_from(Duration::from_secs(5)).unwrap();
    loop {
        if let Some(event) = watch.next_event().unwrap() {
            return event;
        }
        let mut fds = [PollFd::from_borrowed_fd(watch.as_fd(), PollFlags::IN)];
        assert_eq!(
            poll(&mut fds, Some(&timeout)).unwrap(),
            1,
            "no event in time"
        );
    }
}

/// Waits for a state; the kernel may tell of others on the way there.
fn until(watch: &mut LinkWatch, wanted: impl Fn(&umnet::host::interface::Link) -> bool) {
    while !matches!(next(watch), LinkEvent::Changed(link) if wanted(&link)) {}
}

#[test]
fn a_watch_tells_every_change_of_its_own_interface() {
    in_namespace("a_watch_tells_every_change_of_its_own_interface", || {
        sh("ip link add card0 type veth peer name wire0; ip link set wire0 up");
        let index = Interfaces::open()
            .unwrap()
            .find("card0")
            .unwrap()
            .unwrap()
            .index;
        let mut watch = LinkWatch::new(index).unwrap();
        assert_eq!(watch.next_event().unwrap(), None);
        sh("ip link set wire0 mtu 1234");
        assert_eq!(
            watch.next_event().unwrap(),
            None,
            "another interface's change"
        );

        sh("ip link set card0 mtu 1300");
        until(&mut watch, |link| link.mtu == 1300 && !link.up);
        sh("ip link set card0 address 52:54:00:aa:bb:cc");
        until(&mut watch, |link| {
            link.mac
                .is_some_and(|mac| mac.to_string() == "52:54:00:aa:bb:cc")
        });
        sh("ip link set card0 up");
        until(&mut watch, |link| link.up && link.running);
        sh("ip link set card0 promisc on");
        until(&mut watch, |link| link.promisc);
        sh("ip link set card0 promisc off allmulticast on");
        until(&mut watch, |link| !link.promisc && link.allmulti);
        sh("ip link set card0 down; ip link set card0 name renamed");
        until(&mut watch, |link| link.name == "renamed");
        sh("ip link del renamed");
        while next(&mut watch) != LinkEvent::Removed {}
    });
}

#[test]
fn leaving_a_bridge_is_not_taken_for_removal() {
    in_namespace("leaving_a_bridge_is_not_taken_for_removal", || {
        sh(
            "ip link add bridge0 type bridge; ip link add card0 type veth peer name wire0; \
            ip link set card0 master bridge0 up",
        );
        let index = Interfaces::open()
            .unwrap()
            .find("card0")
            .unwrap()
            .unwrap()
            .index;
        let mut watch = LinkWatch::new(index).unwrap();
        sh("ip link set card0 nomaster; ip link set card0 mtu 1300");
        loop {
            match next(&mut watch) {
                LinkEvent::Removed => panic!("it is still there"),
                LinkEvent::Changed(link) if link.mtu == 1300 => break,
                LinkEvent::Changed(_) => {}
            }
        }
    });
}

#[test]
fn an_interface_nobody_has_touched_joins_what_it_receives() {
    in_namespace(
        "an_interface_nobody_has_touched_joins_what_it_receives",
        || assert!(netadapter_shim::os::ethtool::has_gro("lo").unwrap()),
    );
}
