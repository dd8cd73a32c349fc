//! Every byte that goes through umnet arrives as it was sent.

use vm_test::{Guest, HostNet, HubLink, Machine, Nic, Result, scenario, tap_link, traffic};

#[test]
fn tcp_and_udp_cross_a_tap_with_every_offload_unchanged() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let host = lab.host_net()?;
        let nic = tap_link::card(&host, 0, 1, "n0")?;
        let vm = lab.boot(Machine::new().nic(nic).inside(&host))?;
        let guest = &vm.guest;
        let umnet = tap_link::run(&vm, 0, "n0")?;

        traffic::stream(guest, &host, "10.9.0.2:5001", 256)?;
        traffic::stream(&host, guest, "10.9.0.1:5001", 256)?;
        traffic::stream(guest, &host, "[fd00:9:0::2]:5001", 64)?;
        traffic::stream(&host, guest, "[fd00:9:0::1]:5001", 64)?;
        for (from, to, address) in [
            (
                guest as &dyn traffic::End,
                &host as &dyn traffic::End,
                "10.9.0.2:7",
            ),
            (&host, guest, "10.9.0.1:7"),
            (guest, &host, "[fd00:9:0::2]:7"),
            (&host, guest, "[fd00:9:0::1]:7"),
        ] {
            traffic::datagrams(from, to, address, None)?;
        }

        // It was the offloads that did it, and nothing was dropped on the way.
        for used in [
            "tx_gso_packets",
            "rx_gso_packets",
            "tx_csum_offload",
            "rx_csum_offload",
        ] {
            assert!(umnet.counter(used)? > 100, "{used}: {}", umnet.stats()?);
        }
        for fault in ["rx_errors", "tx_dropped", "tx_timeout", "resets"] {
            assert_eq!(umnet.counter(fault)?, 0, "{fault}: {}", umnet.stats()?);
        }
        umnet.stop()?;
        Ok(())
    });
}

#[test]
fn tcp_and_udp_arrive_unchanged_whichever_offload_the_device_lacks() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let host = lab.host_net()?;
        let lacking: Vec<&'static str> = Nic::offloads().collect();
        let mut machine = Machine::new().inside(&host);
        for (number, offload) in lacking.iter().enumerate() {
            machine = machine.nic(tap_link::card(&host, number, 1, offload)?.set(offload, "off"));
        }
        let none = lacking.len();
        let vm =
            lab.boot(machine.nic(tap_link::card(&host, none, 1, "none")?.without_offloads()))?;

        for (number, id) in lacking.into_iter().chain(["none"]).enumerate() {
            let umnet = tap_link::run(&vm, number, id)?;
            let features = umnet.features()?;
            let absent = id.to_uppercase();
            assert!(!features.contains(&absent), "{absent} in {features:?}");
            both_ways(&vm.guest, &host, number)?;
            umnet.stop()?;
        }
        Ok(())
    });
}

fn both_ways(guest: &Guest, host: &HostNet, number: usize) -> Result<()> {
    traffic::stream(guest, host, &format!("10.9.{number}.2:5001"), 16)?;
    traffic::stream(host, guest, &format!("10.9.{number}.1:5001"), 16)?;
    traffic::stream(guest, host, &format!("[fd00:9:{number}::2]:5001"), 4)?;
    traffic::stream(host, guest, &format!("[fd00:9:{number}::1]:5001"), 4)?;
    traffic::datagrams(
        guest,
        host,
        &format!("10.9.{number}.2:7"),
        Some("1,1473,65507"),
    )
}

#[test]
fn tcp_and_udp_cross_a_hub_without_offloads_unchanged() {
    scenario(|lab| {
        let vm = lab.boot_with_umnet(HubLink::machine())?;
        let (near, (far, card)) = (&vm.guest, vm.set_apart("n1", "far")?);
        tap_link::address(&far, &card, 0, 2);
        let umnet = tap_link::run(&vm, 0, "n0")?;

        traffic::stream(near, &far, "10.9.0.2:5001", 256)?;
        traffic::stream(&far, near, "10.9.0.1:5001", 256)?;
        traffic::datagrams(near, &far, "10.9.0.2:7", None)?;
        traffic::datagrams(&far, near, "[fd00:9:0::1]:7", None)?;
        assert_eq!(umnet.counter("rx_errors")?, 0, "{}", umnet.stats()?);
        umnet.stop()?;
        Ok(())
    });
}
