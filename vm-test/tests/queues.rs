//! A card with two queue pairs: the interface has two queues, both are used, and each driver host
//! has both again.

use vm_test::{HostNet, Lab, Machine, Nic, Result, Umnet, Vm, scenario, tap_link, traffic};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);
/// Bytes of a transfer, in MiB.
const MUCH: u64 = 32;

/// A guest with two processors and umnet on a card with two pairs, on link 0.
fn boot(lab: &Lab, host: &HostNet, shape: impl FnOnce(Nic) -> Nic) -> Result<(Vm, Umnet)> {
    let nic = shape(tap_link::card(host, 0, 2, "n0")?);
    let vm = lab.boot(Machine::new().cpus(2).nic(nic).inside(host))?;
    let umnet = tap_link::run(&vm, 0, "n0")?;
    Ok((vm, umnet))
}

/// A counter of one queue.
fn counter(umnet: &Umnet, queue: &str, name: &str) -> Result<u64> {
    let stats = umnet.stats()?;
    let queues = stats["queues"].as_array().cloned().unwrap_or_default();
    let found = queues.iter().find(|stats| stats["queue"] == queue);
    Ok(found.map_or(0, |stats| {
        stats["counters"][name].as_u64().unwrap_or_default()
    }))
}

fn uses_both_pairs(umnet: &Umnet) -> Result<()> {
    for (queue, name) in [
        ("rx0", "rx_packets"),
        ("rx1", "rx_packets"),
        ("tx0", "tx_packets"),
        ("tx1", "tx_packets"),
    ] {
        let count = counter(umnet, queue, name)?;
        assert!(count > 50, "{queue}: {count} of {}", umnet.stats()?);
    }
    Ok(())
}

/// Eight conversations, which a hash or their own turns spread over the pairs.
fn converse(vm: &Vm, host: &HostNet) -> Result<()> {
    for port in 5001..5009 {
        traffic::stream(&vm.guest, host, &format!("10.9.0.2:{port}"), MUCH / 8)?;
        traffic::stream(host, &vm.guest, &format!("10.9.0.1:{port}"), MUCH / 8)?;
    }
    Ok(())
}

fn kill_host(vm: &Vm, umnet: &Umnet, restarts: u64) -> Result<()> {
    let host = umnet.status()?["host"]["pid"].clone();
    vm.guest.ok(&format!("kill -9 {host}"));
    let deadline = std::time::Instant::now() + SOON * vm_test::margin();
    while umnet.status()?["restarts"] != restarts {
        assert!(std::time::Instant::now() < deadline, "{}", umnet.status()?);
    }
    Ok(())
}

fn two_pairs(shape: impl Fn(Nic) -> Nic, feature: &str) {
    scenario(|lab| {
        lab.needs_umnet()?;
        let host = lab.host_net()?;
        let (vm, umnet) = boot(lab, &host, &shape)?;
        assert_eq!(umnet.status()?["queue_pairs"], 2);
        let features = umnet.features()?;
        assert!(features.iter().any(|name| name == feature), "{features:?}");
        let queues = format!("ls -d /sys/class/net/{}/queues/tx-*", umnet.ifname());
        assert_eq!(vm.guest.ok(&queues).lines().count(), 2);
        // One for each of the card's vectors: the configuration's, and one a queue.
        let vectors = vm.guest.ok("grep -c vfio-msix /proc/interrupts");
        assert_eq!(vectors.trim(), "6");

        converse(&vm, &host)?;
        uses_both_pairs(&umnet)?;
        kill_host(&vm, &umnet, 1)?;
        let before = counter(&umnet, "rx1", "rx_packets")?;
        converse(&vm, &host)?;
        assert!(counter(&umnet, "rx1", "rx_packets")? > before, "used again");
        for fault in ["rx_errors", "tx_dropped", "tx_timeout", "resets"] {
            assert_eq!(umnet.counter(fault)?, 0, "{fault}: {}", umnet.stats()?);
        }
        umnet.stop()?;
        Ok(())
    });
}

#[test]
fn two_pairs_are_steered_by_the_flows_they_send() {
    two_pairs(|nic| nic, "MQ");
}

#[test]
fn two_pairs_are_steered_by_a_hash_where_the_card_has_one() {
    two_pairs(|nic| nic.set("rss", "on").set("hash", "on"), "RSS");
}
