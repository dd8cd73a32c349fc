//! `umnet run` as a service: what it tells its manager, and what a restart with the descriptors
//! that the manager has kept does not lose.

mod support;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use support::machine::Machine;
use support::namespace::{in_namespace, sh};
use support::rig::{Process, Rig, wait_until};
use support::service_manager::ServiceManager;
use support::streams::Transfers;

const WATCHDOG: Duration = Duration::from_secs(1);

#[test]
#[ignore = "not a test: the tests start themselves again as the device's process"]
fn device_process() {
    support::rig::device_process();
}

/// A rig whose umnet is a service.
struct Service {
    rig: Rig,
    manager: ServiceManager,
}

impl Service {
    fn start() -> Self {
        let rig = Rig::without_umnet(&[]);
        let manager = ServiceManager::start(&rig.machine.path(""));
        let mut service = Self { rig, manager };
        service.start_umnet();
        service.rig.give_address();
        // From now on a run that begins from nothing is refused.
        service.rig.machine.file("sys/class/net/near0/address", "");
        service
    }

    /// Starts it with what was kept, and waits until it says that it is ready.
    fn start_umnet(&mut self) {
        let before = self.manager.told().ready;
        let words = self.rig.umnet_command();
        let mut command = self.manager.command(&words, WATCHDOG);
        self.rig.start_umnet_as(&mut command);
        self.wait_until_ready(before);
    }

    fn wait_until_ready(&self, before: usize) {
        wait_until("it does not say that it is ready", || {
            self.manager.told().ready > before
        });
    }

    fn end_umnet(&mut self, signal: &str) -> ExitStatus {
        self.rig.umnet.take().expect("it runs").end(signal)
    }

    fn status(&self) -> serde_json::Value {
        self.rig.umnet_status().expect("it runs")
    }

    fn pid(&self) -> u32 {
        self.rig.umnet.as_ref().expect("it runs").0.id()
    }
}

fn with_service(test: &str, body: impl FnOnce(Service)) {
    in_namespace(test, || {
        if let Err(error) = std::fs::File::open("/dev/net/tun") {
            return println!("SKIP: {test}: /dev/net/tun: {error}");
        }
        body(Service::start());
    });
}

/// How often a process has the TAP open.
fn taps_of(pid: u32) -> usize {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives");
    fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter(|target| target == Path::new("/dev/net/tun"))
        .count()
}

fn received(manager: &ServiceManager) -> Vec<String> {
    let kept = manager.kept();
    let roles = kept.iter().map(|name| name.split('-').next());
    roles.flatten().map(str::to_owned).collect()
}

#[test]
fn no_connection_is_lost_while_a_service_is_killed_or_restarted() {
    let test = "no_connection_is_lost_while_a_service_is_killed_or_restarted";
    with_service(test, |mut service| {
        let before = service.rig.identity();
        let transfers = Transfers::begin((0..4).map(|turn| service.rig.connect_in_turn(turn)));
        for (round, signal) in (1..).zip(["KILL", "KILL", "USR2", "USR2", "KILL"]) {
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(received(&service.manager), ["fd0", "state"]);
            let host = service.status()["host"]["pid"].as_u64().expect("one runs");
            let ended = service.end_umnet(signal);
            assert!(ended.signal() == Some(9) || ended.success(), "{ended}");
            let host = format!("/proc/{host}");
            wait_until("the driver host lives on", || !Path::new(&host).exists());
            assert_eq!(service.rig.identity(), before, "while nobody drives it");
            service.start_umnet();
            let status = service.status();
            assert_eq!(status["supervisor_restarts"], round, "{status}");
            assert_eq!(status["restarts"], round, "{status}");
            assert_eq!(taps_of(service.pid()), 1);
        }
        std::thread::sleep(Duration::from_millis(300));
        transfers.all_arrived();
        assert_eq!(service.rig.identity(), before);
        assert_eq!(service.rig.said("device.log"), "");
    });
}

#[test]
fn a_service_feeds_its_watchdog_and_leaves_nothing_behind() {
    let test = "a_service_feeds_its_watchdog_and_leaves_nothing_behind";
    with_service(test, |mut service| {
        let fed = || service.manager.told().watchdog;
        let (before, looks) = (fed(), 3);
        std::thread::sleep(WATCHDOG * looks);
        let (fed, looks) = (fed() - before, usize::try_from(looks).expect("few"));
        assert!((looks..=2 * looks + 1).contains(&fed), "{fed} in {looks} s");
        let host = service.status()["host"]["pid"].to_string();
        let line = format!("near0: driven by host {host}, 0 restarts");
        assert_eq!(service.manager.told().status.last(), Some(&line));
        assert!(service.end_umnet("TERM").success());
        assert_eq!(service.manager.kept(), [""; 0]);
        assert_eq!(service.manager.told().stopping, 1);
        let gone = service.rig.on_near("ip link show near0").is_err();
        assert!(gone, "it goes with the run");
    });
}

#[test]
fn a_supervisor_that_stands_still_starves_its_watchdog() {
    let test = "a_supervisor_that_stands_still_starves_its_watchdog";
    with_service(test, |service| {
        let umnet = service.rig.umnet.as_ref().expect("it runs");
        umnet.signal("STOP");
        std::thread::sleep(WATCHDOG / 2);
        let before = service.manager.told().watchdog;
        std::thread::sleep(WATCHDOG * 2);
        let fed = service.manager.told().watchdog - before;
        umnet.signal("CONT");
        assert_eq!(fed, 0);
    });
}

#[test]
fn a_supervisor_replaced_in_place_can_be_killed_afterwards() {
    let test = "a_supervisor_replaced_in_place_can_be_killed_afterwards";
    with_service(test, |mut service| {
        let before = service.rig.identity();
        let (mut here, mut there) = service.rig.connect();
        for round in 0..3u8 {
            let ready = service.manager.told().ready;
            let answer = service.rig.machine.umnet(&["update", "--supervisor"]);
            assert_eq!(answer.code, 0, "{}", answer.stderr);
            service.wait_until_ready(ready);
            assert_eq!(service.manager.told().reloading, usize::from(round) + 1);
            wait_until("more is kept than there is", || {
                received(&service.manager) == ["fd0", "state"]
            });
            assert_eq!(service.end_umnet("KILL").signal(), Some(9));
            service.start_umnet();
            here.write_all(&[round]).expect("the connection holds");
            let mut heard = [0xff];
            there.read_exact(&mut heard).expect("the connection holds");
            assert_eq!(heard, [round]);
        }
        assert_eq!(service.rig.identity(), before);
        assert!(service.end_umnet("TERM").success());
        assert_eq!(service.manager.kept(), [""; 0]);
    });
}

/// `umnet run in-process` as a service.
fn in_process(machine: &Machine, manager: &ServiceManager) -> Process {
    let before = manager.told().ready;
    let umnet = env!("CARGO_BIN_EXE_umnet");
    let root = machine.path("").display().to_string();
    let words = [
        umnet,
        "--root",
        &root,
        "run",
        "in-process",
        "--ifname",
        "um0",
        // However many processors there are, so that what is kept can be named.
        "--queues",
        "1",
    ];
    let words = words.map(str::to_owned);
    let mut command = manager.command(&words, WATCHDOG);
    let umnet = Process::start(command.stdout(Stdio::null()));
    wait_until("it does not say that it is ready", || {
        manager.told().ready > before
    });
    umnet
}

fn index() -> String {
    sh("ip -o link show um0 | cut -d: -f1")
}

#[test]
fn a_device_in_the_process_keeps_its_interface_over_a_kill() {
    let test = "a_device_in_the_process_keeps_its_interface_over_a_kill";
    in_namespace(test, || {
        let machine = Machine::new();
        let manager = ServiceManager::start(&machine.path(""));
        let umnet = in_process(&machine, &manager);
        let before = index();
        assert_eq!(umnet.end("KILL").signal(), Some(9));
        let umnet = in_process(&machine, &manager);
        assert_eq!(index(), before);
        assert!(umnet.end("TERM").success());
        assert_eq!(manager.kept(), [""; 0]);
    });
}

#[test]
fn what_is_kept_and_of_no_use_is_closed_and_the_run_begins_from_nothing() {
    let test = "what_is_kept_and_of_no_use_is_closed_and_the_run_begins_from_nothing";
    in_namespace(test, || {
        let machine = Machine::new();
        let manager = ServiceManager::start(&machine.path(""));
        let nonsense = || OwnedFd::from(std::fs::File::open("/dev/null").expect("a device"));
        for name in ["state-1", "fd0-2", "other"] {
            manager.told().kept.insert(name.to_owned(), nonsense());
        }
        let umnet = in_process(&machine, &manager);
        assert_eq!(received(&manager), ["fd0", "state"]);
        assert!(!manager.kept().contains(&"state-1".to_owned()));
        assert!(umnet.end("TERM").success());
    });
}

/// The version of systemd here, if there is one.
fn systemd() -> Option<u32> {
    let output = Command::new("systemd-analyze").arg("--version").output();
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn the_units_are_what_systemd_takes() {
    let Some(version) = systemd() else {
        return println!("SKIP: the_units_are_what_systemd_takes: no systemd-analyze here");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/systemd");
    for unit in ["umnet.service", "umnet@.service"] {
        let text = std::fs::read_to_string(shipped.join(unit)).expect("it is shipped");
        let text = text.replace("/usr/local/bin/umnet", env!("CARGO_BIN_EXE_umnet"));
        // Came with 254; older ones ignore it, and verify says so.
        let known =
            |line: &&str| version >= 254 || !line.starts_with("FileDescriptorStorePreserve=");
        let lines: Vec<_> = text.lines().filter(known).collect();
        let path = folder.path().join(unit);
        std::fs::write(&path, lines.join("\n")).expect("a folder of ours");
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(path)
            .output()
            .expect("it was there a moment ago");
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(
            verified.status.success() && said.is_empty(),
            "{unit}: {said}"
        );
    }
}
