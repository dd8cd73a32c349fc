//! Runs that begin and end in every way: by a signal, by a crash, by unplugging, again and again.

use serde_json::json;
use std::time::Duration;
use vm_test::{Backend, Guest, HubLink, Machine, Nic, Umnet, Vm, scenario};

const SOON: Duration = Duration::from_secs(10);
/// What umnet may use of its own, beside rings, slots and system buffers.
const PRIVATE_LIMIT_KIB: u64 = 16 << 10;

/// Gives the kernel's interface of a card an address, and brings it up. Routers are not listened to:
/// their default route would protect the card.
fn up(vm: &Vm, nic: &str, address: &str) -> String {
    let ifname = vm.ifname(nic).unwrap();
    vm.guest.ok(&format!(
        "echo 0 | tee /proc/sys/net/ipv6/conf/*/accept_ra >/dev/null; \
         ip addr add {address} dev {ifname} && ip link set {ifname} up"
    ));
    ifname
}

/// The other end of a hub: the kernel's card `nic` with `address` in a namespace of its own.
fn neighbour(vm: &Vm, nic: &str, address: &str) -> vm_test::Result<Guest> {
    let (far, ifname) = vm.set_apart(nic, "far")?;
    far.ok(&format!(
        "ip addr add {address} dev {ifname} && ip link set {ifname} up"
    ));
    Ok(far)
}

fn number(guest: &Guest, line: &str) -> u64 {
    let text = guest.ok(line);
    let parsed = text.trim().parse();
    parsed.unwrap_or_else(|_| panic!("`{line}` said {text:?}"))
}

/// The kernel drives the card and nothing of umnet is left.
fn is_back(vm: &Vm, nic: &str, ifname: &str) {
    let device = format!("/sys/bus/pci/devices/{}", vm.nic(nic).pci);
    vm.guest.ok(&format!(
        "readlink {device}/driver | grep -q '/virtio-pci$' && \
         grep -q null {device}/driver_override && \
         [ -e /sys/class/net/{ifname}/device ] && [ ! -e /sys/class/net/{ifname}/tun_flags ]"
    ));
}

/// The device, as QEMU sees it, runs and was never offended.
fn is_healthy(vm: &Vm, nic: &str) -> vm_test::Result<()> {
    let status = vm.qmp.virtio_status(nic)?;
    assert_eq!(status["broken"], false, "{status}");
    let bits = status["status"]["statuses"].to_string();
    assert!(
        bits.contains("DRIVER_OK") && !bits.contains("NEEDS_RESET"),
        "{bits}"
    );
    Ok(())
}

#[test]
fn a_transfer_survives_both_the_taking_and_the_giving_back() {
    scenario(|lab| {
        let vm = lab.boot_with_umnet(HubLink::machine())?;
        let guest = &vm.guest;
        let card = up(&vm, "n0", "10.0.0.1/24");
        let far = neighbour(&vm, "n1", "10.0.0.2/24")?;
        guest.eventually("ping -c 1 -W 1 10.0.0.2", SOON);

        // One connection, over the kernel's driver, umnet and the kernel's driver again.
        let bytes = 128 << 20;
        let mut sink = far.spawn("exec guest-runner traffic receive --listen 10.0.0.2:5001")?;
        let mut flow = guest.spawn(&format!(
            "sleep 0.3; exec guest-runner traffic send --to 10.0.0.2:5001 --bytes {bytes} --seed 7"
        ))?;
        let progress = || number(&far, "cat /sys/class/net/e*/statistics/rx_bytes");
        let umnet = Umnet::run(&vm, "n0", "")?;
        let taken_at = progress();
        guest.ok("sleep 1");
        let before_stop = progress();
        assert!(before_stop > taken_at, "nothing passes while umnet drives");
        is_healthy(&vm, "n0")?;
        umnet.stop()?;
        is_back(&vm, "n0", &card);
        assert!(progress() < bytes, "all was over before the release");
        let sent = flow.wait(Duration::from_secs(60))?.into_stdout()?;
        let got = sink.wait(SOON)?.into_stdout()?;
        let digest = |text: &str| {
            let line: serde_json::Value = serde_json::from_str(text).unwrap();
            line["xxh3_128"].clone()
        };
        assert_eq!(digest(&sent), digest(&got), "{sent} {got}");
        guest.ok("ping -c 2 -W 2 10.0.0.2");
        Ok(())
    });
}

#[test]
fn after_a_crash_release_brings_everything_back() {
    scenario(|lab| {
        let vm = lab.boot_card(Backend::user())?;
        let guest = &vm.guest;
        let card = up(&vm, "n0", "10.0.2.15/24");
        guest.ok(&format!(
            "ip link set {card} down; ip link set {card} name outside; \
             ip link set outside up mtu 1400; ip -6 addr add fd00::15/64 dev outside; \
             ip route add 10.99.0.0/16 via 10.0.2.2"
        ));
        let state = "ip -br addr show outside; ip route; cat /sys/class/net/outside/mtu";
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        guest.eventually("! ip -6 addr show tentative | grep inet6", SOON);
        let before = guest.ok(state);

        // Killed, twice: the second run finds what the first has left.
        Umnet::run(&vm, "n0", "")?.kill()?;
        let umnet = Umnet::run(&vm, "n0", "")?;
        assert_eq!(umnet.ifname(), "outside");
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        umnet.kill()?;
        guest.ok("[ ! -e /sys/class/net/outside ]");
        // By the name it had.
        let said = guest.ok("umnet release outside");
        assert!(said.contains("virtio-pci as outside"), "{said}");
        is_back(&vm, "n0", "outside");
        guest.ok("[ ! -e /run/umnet ]");
        guest.eventually("! ip -6 addr show tentative | grep inet6", SOON);
        assert_eq!(guest.ok(state), before);
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        // Nothing more to give back, and saying so is no failure.
        guest.ok("umnet release outside");
        Ok(())
    });
}

#[test]
fn an_unplugged_card_ends_its_run_in_good_order() {
    scenario(|lab| {
        let vm = lab.boot_with_umnet(
            Machine::new()
                .nic(Nic::new("n0", Backend::hub(0)))
                .nic(Nic::new("n1", Backend::hub(0)).unpluggable()),
        )?;
        let guest = &vm.guest;
        let card = up(&vm, "n1", "10.0.0.1/24");
        let far = neighbour(&vm, "n0", "10.0.0.2/24")?;
        let pci = &vm.nic("n1").pci;
        let mut run = guest.spawn(&format!("exec umnet run {pci}"))?;
        guest.eventually(&format!("umnet status {pci}"), SOON);
        far.eventually("ping -c 1 -W 1 10.0.0.1", SOON);
        let _load = far.spawn("ping -A 10.0.0.1")?;

        vm.qmp.device_del("n1")?;
        vm.qmp.event("DEVICE_DELETED", SOON * 2)?;
        let end = run.wait(SOON)?;
        assert_eq!(end.code(), Some(1), "{}", end.story());
        assert!(end.stderr.contains("was removed"), "{}", end.story());
        assert!(!end.stderr.contains("panicked"), "{}", end.story());
        guest.ok(&format!(
            "[ ! -e /sys/class/net/{card} ] && [ ! -e /run/umnet ] && \
             [ ! -e /sys/bus/pci/devices/{pci} ]"
        ));

        // Plugged in again it is an ordinary card, and umnet may have it again.
        let mac = vm.nic("n1").mac.to_string();
        vm.qmp.device_add(json!({
            "driver": "virtio-net-pci", "id": "n1", "bus": "port-n1", "netdev": "n1-net",
            "mac": mac, "romfile": "", "disable-legacy": "on", "iommu_platform": true,
        }))?;
        guest.eventually(&format!("ip -o link | grep {mac}"), SOON);
        let card = up(&vm, "n1", "10.0.0.1/24");
        far.eventually("ping -c 1 -W 1 10.0.0.1", SOON);
        let umnet = Umnet::run(&vm, "n1", "")?;
        far.eventually("ping -c 1 -W 1 10.0.0.1", SOON);
        umnet.stop()?;
        is_back(&vm, "n1", &card);
        Ok(())
    });
}

#[test]
fn twenty_runs_leave_no_memory_files_or_mappings_behind() {
    scenario(|lab| {
        let vm = lab.boot_card(Backend::user())?;
        let guest = &vm.guest;
        let card = up(&vm, "n0", "10.0.2.15/24");
        let cycle = |vm: &Vm| -> vm_test::Result<()> {
            let umnet = Umnet::run(vm, "n0", "")?;
            guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
            umnet.stop()?;
            Ok(())
        };
        // The first ones fill caches of the kernel.
        (0..3).try_for_each(|_| cycle(&vm))?;
        let resources = || {
            guest.ok("sync; echo 3 > /proc/sys/vm/drop_caches; sleep 0.5");
            let free = number(guest, "awk '/^MemAvailable/ {print $2}' /proc/meminfo");
            let files = number(guest, "cut -f1 /proc/sys/fs/file-nr");
            let processes = number(guest, "ls -d /proc/[0-9]* | wc -l");
            (free, files, processes)
        };
        let (free, files, _) = resources();
        (0..20).try_for_each(|_| cycle(&vm))?;
        let (free_after, files_after, _) = resources();
        // One run pins 2 MiB and more: a twentieth of the whole would show.
        let lost_kib = free.saturating_sub(free_after);
        assert!(lost_kib < 2048, "{lost_kib} KiB are gone after 20 runs");
        assert!(
            files_after <= files + 64,
            "{files} open files, then {files_after}"
        );
        is_back(&vm, "n0", &card);
        guest.ok("[ ! -e /run/umnet ]");

        // One run, its device rebuilt twenty times.
        let umnet = Umnet::run(&vm, "n0", "")?;
        let pid = umnet.status()?["pid"].to_string();
        let rebuild = |mtu: u32| {
            let addresses = "ip -br link show";
            guest.ok(&format!("ip link set {card} mtu {mtu}; {addresses} {card}"));
            guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        };
        let used = || {
            let count = |what: &str| number(guest, &format!("ls /proc/{pid}/{what} | wc -l"));
            let field = |name: &str| {
                number(
                    guest,
                    &format!("awk '/^{name}:/ {{print $2}}' /proc/{pid}/status"),
                )
            };
            let kib = number(
                guest,
                &format!("awk '/^Private/ {{s += $2}} END {{print s}}' /proc/{pid}/smaps_rollup"),
            );
            (
                count("fd"),
                count("task"),
                field("VmLck"),
                field("VmPin"),
                kib,
            )
        };
        (0..2).for_each(|_| [1400, 1500].into_iter().for_each(rebuild));
        let (fds, threads, locked, pinned, kib) = used();
        (0..10).for_each(|_| [1400, 1500].into_iter().for_each(rebuild));
        let after = used();
        assert_eq!(
            (fds, threads, locked, pinned),
            (after.0, after.1, after.2, after.3)
        );
        assert!(after.4 <= kib + 64, "{kib} KiB private, then {}", after.4);
        is_healthy(&vm, "n0")?;
        umnet.stop()?;
        Ok(())
    });
}

#[test]
fn several_runs_drive_several_cards_within_their_memory() {
    scenario(|lab| {
        let vm = lab.boot_with_umnet(
            Machine::new()
                .nic(Nic::new("n0", Backend::user()))
                .nic(Nic::new("n1", Backend::hub(0)))
                .nic(Nic::new("n2", Backend::hub(0))),
        )?;
        let guest = &vm.guest;
        up(&vm, "n0", "10.0.2.15/24");
        // Two ends of one wire, each in a namespace of its own, driven by a umnet in there.
        let [left, right] = ["left", "right"].map(|name| guest.netns(name).unwrap());
        let mut first = Umnet::run(&vm, "n0", "")?;
        let mut second = Umnet::drive(&left, &vm.nic("n1").pci, "--ifname west --no-adopt")?;
        let mut third = Umnet::drive(&right, &vm.nic("n2").pci, "--ifname east --no-adopt")?;
        left.ok("ip addr add 10.0.0.1/24 dev west");
        right.ok("ip addr add 10.0.0.2/24 dev east");
        left.eventually("ping -c 1 -W 1 10.0.0.2", SOON);
        let all = guest.ok("umnet status --json");
        let all: serde_json::Value = serde_json::from_str(&all).unwrap();
        assert_eq!(all["devices"].as_array().map(Vec::len), Some(3), "{all}");
        let mut sink = right.spawn("exec guest-runner traffic receive --listen 10.0.0.2:5001")?;
        left.ok("sleep 0.3; guest-runner traffic send --to 10.0.0.2:5001 --bytes 8388608");
        assert!(sink.wait(SOON)?.success());

        for umnet in [&mut first, &mut second, &mut third] {
            let (status, log) = (umnet.status()?, umnet.peek()?.stderr);
            let memory = ["pinned_bytes", "pool_bytes"].map(|key| &status["memory"][key]);
            let stated = memory.map(|bytes| bytes.as_u64().unwrap() >> 10);
            assert!(
                stated.iter().all(|kib| log.contains(&format!("{kib} KiB"))),
                "{log}"
            );
            let pid = &status["pid"];
            let kib = number(
                guest,
                &format!("awk '/^Private/ {{s += $2}} END {{print s}}' /proc/{pid}/smaps_rollup"),
            );
            // All of it stays below what is granted beside rings, slots and buffers.
            assert!(
                kib < PRIVATE_LIMIT_KIB,
                "{kib} KiB private, {stated:?} KiB stated"
            );
        }

        // One goes, the others do not notice.
        first.stop()?;
        left.ok("ping -c 3 -i 0.2 -W 2 10.0.0.2");
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        ["n1", "n2"]
            .into_iter()
            .try_for_each(|nic| is_healthy(&vm, nic))?;
        second.stop()?;
        third.stop()?;
        guest.ok("[ ! -e /run/umnet ]");
        Ok(())
    });
}

#[test]
fn a_kept_interface_is_taken_again() {
    scenario(|lab| {
        let vm = lab.boot_card(Backend::user())?;
        let guest = &vm.guest;
        up(&vm, "n0", "10.0.2.15/24");
        let options = "--ifname kept --keep-interface";
        let index = "cat /sys/class/net/kept/ifindex";
        let umnet = Umnet::run(&vm, "n0", options)?;
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        let first = guest.ok(index);
        umnet.stop()?;

        // It stays, without carrier, with its address; the card is with the kernel.
        assert_eq!(guest.ok("cat /sys/class/net/kept/carrier").trim(), "0");
        guest.ok("ip addr show kept | grep -q 10.0.2.15/24");
        guest.ok(&format!(
            "readlink /sys/bus/pci/devices/{}/driver | grep -q virtio-pci",
            vm.nic("n0").pci
        ));
        // Only who asks for it gets it.
        let pci = &vm.nic("n0").pci;
        guest.exits(5, &format!("umnet run {pci} --ifname kept"));

        let umnet = Umnet::run(&vm, "n0", options)?;
        assert_eq!(
            guest.ok(index),
            first,
            "another interface under the same name"
        );
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        let holder = format!("umnet run in-process {options}");
        let busy = guest.exits(5, &holder).stderr;
        assert!(busy.contains("kept"), "{busy}");
        umnet.kill()?;
        // After a crash too.
        let umnet = Umnet::run(&vm, "n0", options)?;
        assert_eq!(guest.ok(index), first);
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        umnet.stop()?;
        guest.ok("ip link del kept");
        Ok(())
    });
}

#[test]
fn two_guests_on_umnet_talk_over_a_cable() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let [left, right] = Backend::cable("c0");
        let [left, right] = lab.boot_all([
            Machine::new().named("left").nic(Nic::new("n0", left)),
            Machine::new().named("right").nic(Nic::new("n0", right)),
        ])?;
        up(&left, "n0", "10.8.0.1/24");
        up(&right, "n0", "10.8.0.2/24");
        let runs = [Umnet::run(&left, "n0", "")?, Umnet::run(&right, "n0", "")?];
        left.guest.eventually("ping -c 1 -W 1 10.8.0.2", SOON);
        right.guest.ok("ping -c 3 -i 0.2 -W 2 10.8.0.1");
        right.guest.ok("ping -c 3 -i 0.2 -W 2 -s 1472 10.8.0.1");
        let transfer = |from: &Guest, to: &Guest, address: &str| {
            let mut sink = to
                .spawn(&format!(
                    "exec guest-runner traffic receive --listen {address}:5001"
                ))
                .unwrap();
            let sent = from.ok(&format!(
                "sleep 0.5; guest-runner traffic send --to {address}:5001 --bytes 16777216"
            ));
            let got = sink.wait(SOON).unwrap().into_stdout().unwrap();
            let [sent, got] = [sent, got].map(|line| {
                serde_json::from_str::<serde_json::Value>(&line).unwrap()["xxh3_128"].clone()
            });
            assert!(sent.is_string() && sent == got, "{sent} {got}");
        };
        transfer(&left.guest, &right.guest, "10.8.0.2");
        transfer(&right.guest, &left.guest, "10.8.0.1");
        is_healthy(&left, "n0")?;
        is_healthy(&right, "n0")?;
        runs.into_iter()
            .try_for_each(|umnet| umnet.stop().map(drop))
    });
}
