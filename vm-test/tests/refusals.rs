//! What umnet refuses, each with its exit code and one clear message, and that it leaves everything
//! as it was.

use std::time::Duration;
use vm_test::{Backend, Guest, Iommu, Machine, Nic, Umnet, scenario};

const SOON: Duration = Duration::from_secs(10);

/// Exit codes, as `umnet --help` names them.
const USAGE: i32 = 2;
const LACKS: i32 = 3;
const UNSAFE: i32 = 4;
const BUSY: i32 = 5;

/// Drivers, interfaces, addresses, routes and umnet's own files.
const EVERYTHING: &str = "{ for d in /sys/bus/pci/devices/*; do \
    echo $d $(readlink $d/driver) $(cat $d/driver_override); done; \
    ip -br addr | sed -E 's, (UP|DOWN|UNKNOWN) ,,; s, +, ,g'; ip route; ip -6 route; \
    ls /run /run/umnet /dev/vfio 2>&1; } | sort";

/// A guest whose state must not change.
struct Unchanged<'a> {
    guest: &'a Guest,
    before: String,
}

impl<'a> Unchanged<'a> {
    fn new(guest: &'a Guest) -> Self {
        let before = guest.ok(EVERYTHING);
        Self { guest, before }
    }

    /// The command fails with `code` and one message with `words` in it.
    #[track_caller]
    fn refuses(&self, code: i32, command: &str, words: &[&str]) {
        let output = self.guest.exits(code, command);
        for word in words {
            assert!(output.stderr.contains(word), "{word}: {}", output.story());
        }
        let errors = ["umnet: ", "error: "].map(|start| output.stderr.matches(start).count());
        assert_eq!(errors.iter().sum::<usize>(), 1, "{}", output.story());
        assert!(!output.stderr.contains("panicked"), "{}", output.story());
        self.holds(command);
    }

    /// Gives the kernel a moment to finish what a device that came back has started.
    #[track_caller]
    fn holds(&self, command: &str) {
        let mut after = String::new();
        for _ in 0..20 {
            after = self.guest.ok(EVERYTHING);
            if after == self.before {
                return;
            }
            self.guest.ok("sleep 0.1");
        }
        panic!("`{command}` changed things: {}\nnow {after}", self.before);
    }
}

/// Brings interfaces up whose addresses do not change by themselves later on.
fn settle(guest: &Guest, ifname: &str, address: &str) {
    guest.ok(&format!(
        "echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 >/dev/null; \
         ip addr add {address} dev {ifname} && ip link set {ifname} up"
    ));
    guest.eventually(
        &format!("grep -q up /sys/class/net/{ifname}/operstate"),
        SOON,
    );
}

/// A card that shares its IOMMU group with its neighbours.
fn shared_card(slot: u8) -> String {
    format!(
        "virtio-net-pci,bus=shared,addr={slot},romfile=,mac=52:54:00:00:00:1{slot},\
         disable-legacy=on,iommu_platform=on"
    )
}

#[test]
fn what_cannot_be_driven_is_refused_by_name() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let legacy = Nic::new("legacy", Backend::hub(0))
            .disable_legacy(false)
            .set("disable-modern", "on")
            .iommu_platform(false);
        let plain = Nic::new("plain", Backend::hub(0)).iommu_platform(false);
        let vm = lab.boot(
            Machine::new()
                .nic(Nic::new("n0", Backend::hub(0)))
                .nic(plain)
                .nic(legacy)
                .nic(Nic::new("deaf", Backend::hub(0)).vectors(0))
                .qemu_arg("-device")
                .qemu_arg("pcie-pci-bridge,id=shared,bus=pcie.0,addr=0x10")
                .qemu_arg("-device")
                .qemu_arg(shared_card(1))
                .qemu_arg("-device")
                .qemu_arg(shared_card(2)),
        )?;
        let guest = &vm.guest;
        let pci = |nic| vm.nic(nic).pci.as_str();
        let own = vm.ifname("n0")?;
        settle(guest, &own, "10.0.0.1/24");
        let plain = vm.ifname("plain")?;
        settle(guest, &plain, "10.1.0.1/24");
        let index = guest.ok(&format!("cat /sys/class/net/{plain}/ifindex"));
        let state = Unchanged::new(guest);
        let run = |device: &str| format!("umnet run {device}");

        // Not there, or something else.
        state.refuses(
            LACKS,
            "umnet run 0000:00:1d.7",
            &["0000:00:1d.7", "umnet list"],
        );
        state.refuses(
            LACKS,
            "umnet bind 0000:00:1d.7",
            &["0000:00:1d.7", "umnet list"],
        );
        state.refuses(LACKS, "umnet release 0000:00:1d.7", &["0000:00:1d.7"]);
        state.refuses(LACKS, "umnet run 0000:00:00.0", &["no virtio-net card"]);
        state.refuses(LACKS, "umnet run eth77", &["eth77", "umnet list"]);
        state.refuses(LACKS, "umnet run lo", &["lo is no virtio-net card"]);
        state.refuses(
            LACKS,
            "umnet run mac=52:54:00:ff:ff:ff",
            &["52:54:00:ff:ff:ff"],
        );

        // There, but nothing that may be driven.
        state.refuses(
            LACKS,
            &run(pci("legacy")),
            &["legacy-only", "disable-legacy=on"],
        );
        state.refuses(LACKS, &run(pci("plain")), &["iommu_platform=on"]);
        let still = guest.ok(&format!("cat /sys/class/net/{plain}/ifindex"));
        assert_eq!(still, index, "the interface went and came back");
        let deaf = run(pci("deaf"));
        state.refuses(LACKS, &deaf, &["MSI-X"]);
        state.refuses(
            LACKS,
            &format!("{deaf} --ifname kept --keep-interface"),
            &["MSI-X"],
        );
        let members = ["not viable", "0000:01:02.0 (virtio-pci)", "/driver/unbind"];
        state.refuses(LACKS, "umnet run mac=52:54:00:00:00:11", &members);

        // Malformed.
        for device in [
            "00:03.0",
            "0000:00:03.9",
            "mac=52:54:00",
            "vhost-user:sock",
            "''",
        ] {
            state.refuses(USAGE, &run(device), &["DEVICE"]);
            state.refuses(USAGE, &format!("umnet bind {device}"), &["DEVICE"]);
        }
        for option in [
            "--ifname sixteen-letters-",
            "--ifname a/b",
            "--rx-ring 3",
            "--tx-ring 65536",
            "--mtu 67",
        ] {
            let word = option.split(' ').next().unwrap_or_default();
            state.refuses(USAGE, &run(&format!("{own} {option}")), &[word]);
        }
        guest.push("/tmp/bad.toml", 0o644, b"[defaults]\nrx_ring = 3\n")?;
        let file = format!("{own} --config /tmp/bad.toml");
        state.refuses(USAGE, &run(&file), &["/tmp/bad.toml", "rx_ring"]);

        // Names that are taken.
        state.refuses(
            BUSY,
            &run(&format!("{own} --ifname lo")),
            &["lo", "--ifname"],
        );
        state.refuses(
            BUSY,
            "umnet run in-process --ifname lo",
            &["lo", "--ifname"],
        );
        state.refuses(
            BUSY,
            "umnet run in-process --ifname lo --keep-interface",
            &["lo"],
        );

        // Without the modules.
        guest.ok("rmmod vfio_pci && mv /lib/modules /lib/hidden");
        let bare = Unchanged::new(guest);
        bare.refuses(LACKS, &run(&own), &["vfio-pci"]);
        guest.ok("mv /lib/hidden /lib/modules && modprobe vfio-pci");

        // All of that has done the good card no harm.
        Umnet::run(&vm, "n0", "")?.stop()?;
        state.refuses(USAGE, "umnet run", &["DEVICE"]);
        Ok(())
    });
}

#[test]
fn a_card_that_is_needed_or_in_use_is_not_taken() {
    scenario(|lab| {
        let vm = lab.boot_with_umnet(
            Machine::new()
                .nic(Nic::new("n0", Backend::user()))
                .nic(Nic::new("n1", Backend::hub(0))),
        )?;
        let guest = &vm.guest;
        let (card, pci) = (vm.ifname("n0")?, &vm.nic("n0").pci);
        settle(guest, &card, "10.0.2.15/24");
        let other = vm.ifname("n1")?;
        settle(guest, &other, "10.1.0.1/24");

        // The machine's way out, directly and through something that stands on the card.
        guest.ok("ip route add default via 10.0.2.2");
        let state = Unchanged::new(guest);
        let words = ["default route", &card, "--force"];
        state.refuses(UNSAFE, &format!("umnet run {card}"), &words);
        state.refuses(UNSAFE, &format!("umnet bind {pci}"), &words);
        guest.ok(&format!(
            "ip route del default; ip link add link {card} name up0 type macvlan; \
             ip link set up0 up; ip addr add 10.0.2.16/24 dev up0; \
             ip route add default via 10.0.2.2 dev up0"
        ));
        let stacked = ["default route", "up0", "--force"];
        guest.eventually(&format!("umnet run {card} 2>&1 | grep -q up0"), SOON);
        for word in stacked {
            let story = guest.exits(UNSAFE, &format!("umnet run {card}")).stderr;
            assert!(story.contains(word), "{story}");
        }
        guest.ok("ip link del up0; ip route add default via 10.0.2.2");
        // A shell that comes in through the card.
        let ssh = format!("SSH_CONNECTION='10.1.0.9 50000 10.1.0.1 22' umnet run {other}");
        let story = guest.exits(UNSAFE, &ssh).stderr;
        assert!(
            story.contains("10.1.0.9") && story.contains("--force"),
            "{story}"
        );

        // Taken all the same, with the route.
        let umnet = Umnet::run(&vm, "n0", "--force")?;
        guest.ok(&format!("ip route show default | grep -q {card}"));
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);

        // While it runs, nobody else gets the card, and each is told who has it.
        let pid = umnet.status()?["pid"].to_string();
        let holder = format!("process {pid} (umnet)");
        let running = Unchanged::new(guest);
        for verb in ["run", "bind", "release"] {
            running.refuses(
                BUSY,
                &format!("umnet {verb} {pci}"),
                &[&holder, &format!("kill {pid}")],
            );
        }
        let taken = format!("umnet run {other} --ifname {card}");
        running.refuses(BUSY, &taken, &[&card, "--ifname"]);
        guest.ok("ping -c 1 -W 2 10.0.2.2");
        umnet.stop()?;
        guest.ok("ip route show default | grep -q 'via 10.0.2.2'");

        // Another program has it.
        guest.ok(&format!("umnet bind {other}"));
        let other = &vm.nic("n1").pci;
        let group = guest.ok(&format!(
            "basename $(readlink /sys/bus/pci/devices/{other}/iommu_group)"
        ));
        let _holder = guest.spawn(&format!("exec sleep 100 3<>/dev/vfio/{}", group.trim()))?;
        guest.eventually("pidof sleep", SOON);
        let held = Unchanged::new(guest);
        for verb in ["run", "release"] {
            held.refuses(BUSY, &format!("umnet {verb} {other}"), &["(sleep)", "kill"]);
        }
        Ok(())
    });
}

#[test]
fn without_interrupt_remapping_a_card_is_refused_or_its_run_says_so() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let nic = Nic::new("n0", Backend::hub(0));
        let machine = Machine::new().iommu(Iommu::IntelWithoutRemapping);
        let vm = lab.boot(machine.nic(nic))?;
        let guest = &vm.guest;
        let card = vm.ifname("n0")?;
        settle(guest, &card, "10.0.0.1/24");
        let state = Unchanged::new(guest);
        let words = ["isolate interrupts", "allow_unsafe_interrupts"];
        state.refuses(LACKS, &format!("umnet run {card}"), &words);

        // Accepted by whoever administers the machine; never hidden.
        guest.ok("echo 1 > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
        let umnet = Umnet::run(&vm, "n0", "")?;
        let status = umnet.status()?;
        assert_eq!(status["iommu"]["interrupt_remapping"], false, "{status}");
        let shown = guest.ok(&format!("umnet status {card}"));
        assert!(shown.contains("NO INTERRUPT REMAPPING"), "{shown}");
        let log = umnet.stop()?.stderr;
        assert!(log.contains("NO INTERRUPT REMAPPING"), "{log}");

        // The same permission on a machine that has it is no reason to say anything.
        let nic = Nic::new("n0", Backend::hub(0));
        let vm = lab.boot(Machine::new().nic(nic))?;
        vm.guest
            .ok("echo 1 > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
        let umnet = Umnet::run(&vm, "n0", "")?;
        let status = umnet.status()?;
        assert_eq!(status["iommu"]["interrupt_remapping"], true, "{status}");
        let log = umnet.stop()?.stderr;
        assert!(!log.contains("REMAPPING"), "{log}");
        Ok(())
    });
}

#[test]
fn without_an_iommu_a_card_is_refused_with_what_to_add() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let nic = Nic::new("n0", Backend::hub(0)).iommu_platform(false);
        let vm = lab.boot(Machine::new().iommu(Iommu::None).nic(nic))?;
        let guest = &vm.guest;
        let card = vm.ifname("n0")?;
        settle(guest, &card, "10.0.0.1/24");
        let state = Unchanged::new(guest);
        for verb in ["run", "bind"] {
            let words = ["no IOMMU group", "intel-iommu", "iommu_platform=on"];
            state.refuses(LACKS, &format!("umnet {verb} {card}"), &words);
        }
        let doctor = guest.exits(LACKS, &format!("umnet doctor {card}")).stdout;
        assert!(doctor.contains("intel-iommu"), "{doctor}");
        Ok(())
    });
}
