//! The driver host is killed, stopped, crashed and sent into an endless loop under traffic, and
//! nobody at either end notices; and no host is taken for hung that is none.

use serde_json::Value;
use std::time::{Duration, Instant};
use vm_test::load::{Findings, Load};
use vm_test::{Guest, HubLink, Lab, Result, Umnet, Vm, scenario};

const SOON: Duration = Duration::from_secs(10);
/// A fault until another host drives the device, at most.
const RECOVERY: Duration = Duration::from_secs(20);
/// What the guest's kernel says only if something is wrong with it, or the device reached too far.
const KERNEL_TROUBLE: &str =
    "dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|lockup|hung task|DMAR.*(fault|DMA)|vfio.*fail'";

/// The driver hosts there are, spares among them.
const HOSTS: &str = "grep -lz '^driver-host$' /proc/[0-9]*/cmdline";

/// umnet on one end of a link.
struct Rig {
    vm: Vm,
    link: HubLink,
    umnet: Umnet,
}

impl Rig {
    fn new(lab: &Lab) -> Result<Self> {
        let (vm, link) = HubLink::boot(lab, HubLink::machine())?;
        let umnet = Umnet::run(&vm, "n0", "")?;
        link.near
            .eventually(&format!("ping -c 1 -W 1 {}", HubLink::FAR), SOON);
        Ok(Self { vm, link, umnet })
    }

    fn load(&self) -> Result<Load> {
        let addresses = [HubLink::NEAR, HubLink::FAR];
        Load::start(&self.link.near, &self.link.far, addresses)
    }

    /// The process that drives the device.
    fn host(&self) -> Result<u64> {
        let status = self.status_with(|status| status["host"]["pid"].is_u64())?;
        Ok(status["host"]["pid"].as_u64().unwrap_or_default())
    }

    /// The first status for which `wanted` holds.
    #[track_caller]
    fn status_with(&self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + RECOVERY * vm_test::margin();
        loop {
            let status = self.umnet.status()?;
            if wanted(&status) {
                return Ok(status);
            }
            assert!(
                Instant::now() < deadline,
                "not within {RECOVERY:?}: {status}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Does something to the present host, and waits until another one drives.
    #[track_caller]
    fn harm(&self, line: impl Fn(u64) -> String) -> Result<()> {
        let (host, before) = (self.host()?, self.umnet.status()?);
        self.link.near.ok(&line(host));
        let more = before["restarts"].as_u64().unwrap_or_default() + 1;
        self.status_with(|now| now["restarts"] == more && now["host"]["pid"].is_u64())?;
        // It counts as settled, and a spare stands by, before the next harm is done.
        self.link.near.ok("sleep 0.8");
        Ok(())
    }

    /// Index, addresses and routes of the interface, and how often its carrier has changed: a
    /// kernel that sees it go drops what is sent, and takes a second to believe that it is back.
    fn interface(&self) -> String {
        let ifname = self.umnet.ifname();
        self.link.near.ok(&format!(
            "cat /sys/class/net/{ifname}/ifindex /sys/class/net/{ifname}/carrier_changes; ip -o addr show dev {ifname}; ip route"
        ))
    }

    #[track_caller]
    fn counts(&self, restarts: u64, hangs: u64) -> Result<()> {
        let status = self.umnet.status()?;
        assert_eq!(
            (&status["restarts"], &status["hangs"]),
            (&restarts.into(), &hangs.into()),
            "{status}"
        );
        Ok(())
    }
}

#[track_caller]
fn kernel_is_content(guest: &Guest) {
    let said = guest.run(KERNEL_TROUBLE).unwrap().stdout;
    assert!(said.is_empty(), "{said}");
}

fn tell(what: &str, faults: usize, findings: &Findings) {
    println!(
        "{what}: {faults} faults, 8 streams whole, {} MiB sent, {} received, {} bytes typed, slowest echo {:.0} ms",
        findings.bytes[0] >> 20,
        findings.bytes[1] >> 20,
        findings.typed,
        findings.slowest_echo_ms
    );
    for (way, probes) in ["sent", "received"].iter().zip(&findings.probes) {
        println!(
            "  probes {way}: {} of {} came, longest gaps p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            probes.received,
            probes.sent,
            probes.percentile_ms(faults, 50),
            probes.percentile_ms(faults, 99),
            probes.percentile_ms(faults, 100),
        );
    }
}

fn kills(count: usize) {
    scenario(|lab| {
        let rig = Rig::new(lab)?;
        let (interface, load) = (rig.interface(), rig.load()?);
        rig.link.near.ok("sleep 1");
        for done in 1..=count {
            rig.harm(|host| format!("kill -9 {host}"))?;
            if done % 10 == 0 {
                eprintln!("{done} of {count} kills");
            }
        }
        let findings = load.finish()?;
        tell("SIGKILL", count, &findings);
        for probes in &findings.probes {
            let p99 = probes.percentile_ms(count, 99);
            assert!(p99 <= 2000.0, "{p99} ms without a frame: {probes:?}");
        }
        assert!(findings.typed > 0, "nobody could type");
        assert_eq!(rig.interface(), interface);
        rig.counts(count as u64, 0)?;
        kernel_is_content(&rig.link.near);
        rig.umnet.stop()?;
        Ok(())
    });
}

#[test]
fn nobody_notices_that_the_host_is_killed_five_times() {
    kills(5);
}

/// `make kills-vm KILLS=n`.
#[test]
#[ignore = "make kills-vm"]
fn nobody_notices_that_the_host_is_killed_again_and_again() {
    let count = std::env::var("KILLS").unwrap_or_default();
    kills(count.parse().unwrap_or(100));
}

/// Has the thread of the queues run in a circle: two bytes, a jump to itself, where it will go on
/// once it has something to do.
fn spin(host: u64) -> String {
    format!(
        "cd /proc/{host}/task; for t in *; do case $(cat $t/comm) in umnet-q*) q=$t ;; esac; done; \
         n=0; while set -- $(cat $q/syscall); [ $# -lt 9 ]; do n=$((n+1)); [ $n -lt 1000 ] || exit 1; done; \
         printf '\\353\\376' | dd of=/proc/{host}/mem bs=1 seek=$(($9)) conv=notrunc 2>&1"
    )
}

#[test]
fn a_host_that_crashes_stops_or_loops_is_replaced_under_traffic() {
    scenario(|lab| {
        let rig = Rig::new(lab)?;
        let (interface, load) = (rig.interface(), rig.load()?);
        rig.link.near.ok("sleep 1");
        rig.harm(|host| format!("kill -SEGV {host}"))?;
        rig.counts(1, 0)?;
        rig.harm(|host| format!("kill -STOP {host}"))?;
        rig.counts(2, 1)?;
        rig.harm(spin)?;
        rig.counts(3, 2)?;
        let findings = load.finish()?;
        tell("SIGSEGV, SIGSTOP, endless loop", 3, &findings);
        assert_eq!(rig.interface(), interface);
        kernel_is_content(&rig.link.near);
        rig.umnet.stop()?;
        Ok(())
    });
}

/// Neither rest, nor load, nor a machine that stands still is a reason to replace a host. `frozen`:
/// QEMU itself is stopped too, so that the guest's clock jumps.
fn no_alarm(rest: Duration, frozen: bool) {
    scenario(|lab| {
        let rig = Rig::new(lab)?;
        let host = rig.host()?;
        std::thread::sleep(rest);
        rig.counts(0, 0)?;

        let load = rig.load()?;
        rig.link.near.ok("sleep 3");
        let pause = Duration::from_secs(5);
        rig.vm.qmp.execute("stop", serde_json::json!({}))?;
        std::thread::sleep(pause);
        rig.vm.qmp.execute("cont", serde_json::json!({}))?;
        rig.link.near.ok("sleep 3");
        rig.counts(0, 0)?;
        if frozen {
            rig.vm.freeze(pause)?;
            rig.link.near.ok("sleep 3");
        }
        let findings = load.finish()?;
        tell("pauses of 5 s", 1 + usize::from(frozen), &findings);
        rig.counts(0, 0)?;
        assert_eq!(rig.host()?, host, "another host drives");

        // And a hang is still found.
        rig.harm(|host| format!("kill -STOP {host}"))?;
        rig.counts(1, 1)?;
        rig.umnet.stop()?;
        Ok(())
    });
}

#[test]
fn rest_load_and_pauses_raise_no_alarm() {
    no_alarm(Duration::from_secs(8), false);
}

/// `make kills-vm`.
#[test]
#[ignore = "make kills-vm"]
fn an_idle_minute_raises_no_alarm() {
    no_alarm(Duration::from_secs(60), true);
}

#[test]
fn no_host_outlives_its_supervisor_and_the_card_can_be_had_again() {
    scenario(|lab| {
        let Rig { vm, link, umnet } = Rig::new(lab)?;
        link.near
            .eventually(&format!("[ $({HOSTS} | wc -l) = 2 ]"), SOON);
        umnet.kill()?;
        link.near.eventually(&format!("! {HOSTS}"), SOON);

        // By another run, which is killed too, and by giving it back.
        let again = Umnet::run(&vm, "n0", "")?;
        let ping = format!("ping -c 1 -W 1 {}", HubLink::FAR);
        link.near.eventually(&ping, SOON);
        again.kill()?;
        link.near.eventually(&format!("! {HOSTS}"), SOON);
        let pci = &vm.nic("n0").pci;
        link.near.ok(&format!("umnet release {pci}"));
        link.near.ok(&format!(
            "readlink /sys/bus/pci/devices/{pci}/driver | grep -q '/virtio-pci$' && [ ! -e /run/umnet ]"
        ));
        link.near.eventually(&ping, SOON);
        kernel_is_content(&link.near);
        Ok(())
    });
}
