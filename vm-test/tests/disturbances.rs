//! What happens around the driver while a transfer runs: the card goes and comes, the link flaps,
//! the wire loses and reorders, memory gets short, the far end boots anew, the device gives up.

use serde_json::{Value, json};
use std::time::Duration;
use vm_test::load::Transfer;
use vm_test::{Backend, HubLink, Machine, Nic, Umnet, Vm, scenario, traffic};

const SOON: Duration = Duration::from_secs(10);

/// No host had to be replaced.
#[track_caller]
fn undisturbed(umnet: &Umnet) -> vm_test::Result<Value> {
    let status = umnet.status()?;
    assert_eq!(
        (&status["restarts"], &status["hangs"]),
        (&json!(0), &json!(0)),
        "{status}"
    );
    Ok(status)
}

/// Waits until a count of the status is no longer zero.
#[track_caller]
fn counted(umnet: &mut Umnet, what: &str) -> vm_test::Result<()> {
    for _ in 0..100 {
        if umnet.status()?[what] != 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200) * vm_test::margin());
    }
    let (status, said) = (umnet.status()?, umnet.peek()?.story());
    panic!("{what} stays 0: {status}\n{said}");
}

fn transfer(link: &HubLink) -> vm_test::Result<Transfer> {
    Transfer::start(&link.near, &link.far, HubLink::FAR)
}

#[test]
fn a_transfer_survives_that_the_card_is_unplugged_and_plugged_in() {
    scenario(|lab| {
        let machine = Machine::new()
            .nic(Nic::new("n0", Backend::hub(0)).unpluggable())
            .nic(Nic::new("n1", Backend::hub(0)));
        let (vm, link) = HubLink::boot(lab, machine)?;
        let pci = &vm.nic("n0").pci;
        let mut run = link.near.spawn(&format!("exec umnet run {pci}"))?;
        link.near.eventually(&format!("umnet status {pci}"), SOON);
        let transfer = transfer(&link)?;
        transfer.moves();

        vm.qmp.device_del("n0")?;
        vm.qmp.event("DEVICE_DELETED", SOON * 2)?;
        let end = run.wait(SOON)?;
        assert_eq!(end.code(), Some(1), "{}", end.story());
        assert!(end.stderr.contains("was removed"), "{}", end.story());
        link.near.ok("[ ! -e /run/umnet ]");

        let mac = vm.nic("n0").mac.to_string();
        vm.qmp.device_add(json!({
            "driver": "virtio-net-pci", "id": "n0", "bus": "port-n0", "netdev": "n0-net",
            "mac": mac, "romfile": "", "disable-legacy": "on", "iommu_platform": true,
        }))?;
        link.near
            .eventually(&format!("ip -o link | grep {mac}"), SOON);
        HubLink::raise(&vm, "n0", HubLink::NEAR)?;
        let umnet = Umnet::run(&vm, "n0", "")?;
        transfer.moves();
        transfer.finish()?;
        undisturbed(&umnet)?;
        umnet.stop()?;
        Ok(())
    });
}

#[test]
fn a_transfer_survives_a_link_that_flaps_and_a_wire_that_loses_doubles_and_reorders() {
    scenario(|lab| {
        let (vm, link) = HubLink::boot(lab, HubLink::machine())?;
        let umnet = Umnet::run(&vm, "n0", "")?;
        let flaps = transfer(&link)?;
        flaps.moves();
        let carrier = |up: u8| {
            let line = format!(
                "[ $(cat /sys/class/net/{}/carrier) = {up} ]",
                umnet.ifname()
            );
            link.near.eventually(&line, SOON);
        };
        for _ in 0..6 {
            vm.qmp.set_link("n0", false)?;
            carrier(0);
            vm.qmp.set_link("n0", true)?;
            carrier(1);
        }
        flaps.moves();
        flaps.finish()?;

        // What umnet receives, then what it is given to send.
        let ends = [
            (&link.far, link.far_ifname.as_str()),
            (&link.near, umnet.ifname()),
        ];
        for (place, ifname) in ends {
            let netem = "netem delay 2ms 1ms loss 1% duplicate 1% reorder 25%";
            place.ok(&format!(
                "modprobe sch_netem; tc qdisc add dev {ifname} root {netem}"
            ));
            traffic::stream(&link.near, &link.far, &format!("{}:5001", HubLink::FAR), 6)?;
            traffic::stream(&link.far, &link.near, &format!("{}:5001", HubLink::NEAR), 6)?;
            let said = place.ok(&format!("tc -s qdisc show dev {ifname}"));
            assert!(dropped(&said) > 0, "nothing was lost: {said}");
            place.ok(&format!("tc qdisc del dev {ifname} root"));
        }
        let status = undisturbed(&umnet)?;
        assert_eq!(status["resets"], 0, "{status}");
        umnet.stop()?;
        Ok(())
    });
}

/// What a queueing discipline says that it has dropped.
fn dropped(said: &str) -> u64 {
    let after = said.split("dropped ").nth(1).unwrap_or_default();
    let digits = after.split(',').next().unwrap_or_default();
    digits.trim().parse().unwrap_or_default()
}

#[test]
fn a_transfer_survives_short_memory_even_where_the_host_is_killed_in_it() {
    scenario(|lab| {
        let (vm, link) = HubLink::boot(lab, HubLink::machine().memory_mib(256))?;
        let mut umnet = Umnet::run(&vm, "n0", "")?;
        let transfer = transfer(&link)?;
        transfer.moves();
        // A file in memory, of all that is available but so little: what it takes is bounded by that.
        let left_mib = 24;
        let available = "awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo";
        link.near.ok_for(
            &format!(
                "mount -o remount,size=100% /tmp; \
                 dd if=/dev/zero of=/tmp/fill bs=1M count=$(($({available}) - {left_mib})) 2>&1; \
                 [ $({available}) -le {} ]",
                2 * left_mib
            ),
            SOON * 6,
        );
        transfer.moves();
        let host = umnet.status()?["host"]["pid"].to_string();
        link.near.ok(&format!("kill -9 {host}"));
        counted(&mut umnet, "restarts")?;
        transfer.moves();
        link.near.ok("rm /tmp/fill");
        transfer.finish()?;
        let killed = link.near.run("dmesg | grep -iE 'out of memory|oom'")?;
        assert!(killed.stdout.is_empty(), "{}", killed.stdout);
        umnet.stop()?;
        Ok(())
    });
}

#[test]
fn a_peer_that_boots_anew_is_reached_again() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let [left, right] = Backend::cable("c0");
        let mac = vm_test::Mac([0x02, 0, 0, 0, 0, 0x77]);
        let near = lab.boot(Machine::new().named("near").nic(Nic::new("n0", left)))?;
        let far = || {
            let nic = Nic::new("n0", right.clone()).mac(mac);
            let far = lab.boot(Machine::new().named("far").nic(nic))?;
            HubLink::raise(&far, "n0", HubLink::FAR)?;
            vm_test::Result::<Vm>::Ok(far)
        };
        let first = far()?;
        HubLink::raise(&near, "n0", HubLink::NEAR)?;
        let umnet = Umnet::run(&near, "n0", "")?;
        let ping = format!("ping -c 1 -W 1 {}", HubLink::FAR);
        near.guest.eventually(&ping, SOON);
        let cut_off = Transfer::start(&near.guest, &first.guest, HubLink::FAR)?;
        cut_off.moves();
        drop(first);
        let second = far()?;
        near.guest.eventually(&ping, SOON);
        traffic::stream(&near.guest, &second.guest, "10.0.0.2:5009", 8)?;
        traffic::stream(&second.guest, &near.guest, "10.0.0.1:5009", 8)?;
        undisturbed(&umnet)?;
        umnet.stop()?;
        Ok(())
    });
}

/// The receive ring's descriptors are overwritten in the memory that the supervisor holds: a device
/// that reads them is at its wit's end, and says so (NEEDS_RESET).
#[test]
fn a_device_that_demands_a_reset_gets_it_and_the_transfer_goes_on() {
    scenario(|lab| {
        let (vm, link) = HubLink::boot(lab, HubLink::machine())?;
        let mut umnet = Umnet::run(&vm, "n0", "")?;
        let transfer = transfer(&link)?;
        transfer.moves();
        let address = |queue: u16| -> vm_test::Result<u64> {
            let status = vm.qmp.queue_status("n0", queue)?;
            Ok(status["vring-desc"].as_u64().unwrap_or_default())
        };
        let first = (0..2).map(&address).collect::<vm_test::Result<Vec<_>>>()?;
        let base = first.iter().min().copied().unwrap_or_default();
        let offset = first[0] - base;
        let status = umnet.status()?;
        let supervisor = &status["pid"];
        link.near.ok(&format!(
            "f=$(ls -l /proc/{supervisor}/fd | sed -n 's,.* \\([0-9]*\\) -> /memfd:.*,\\1,p' | head -n 1); \
             head -c 4096 /dev/zero | tr '\\0' '\\377' | \
             dd of=/proc/{supervisor}/fd/$f bs=16 seek=$(({offset}/16)) conv=notrunc 2>&1"
        ));
        counted(&mut umnet, "resets")?;
        transfer.moves();
        transfer.finish()?;
        let log = umnet.stop()?.stderr;
        assert!(log.contains("NEEDS_RESET"), "{log}");
        Ok(())
    });
}
