//! The supervisor and its driver hosts, over a device that needs no card: killed, replaced,
//! updated, and the interface that never notices.

mod support;

use std::fs::File;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use netadapter_shim::os::tap::{Tap, TapConfig};
use serde_json::Value;
use support::machine::{Machine, umnet};
use support::namespace::{in_namespace, sh};

const PATIENCE: Duration = Duration::from_secs(30);

/// A supervisor with an in-process device, whose interface is `um0`.
struct Run<'m> {
    machine: &'m Machine,
    child: Child,
}

impl<'m> Run<'m> {
    fn start(machine: &'m Machine, more: &[&str]) -> Self {
        let mut command = umnet();
        command.arg("--root").arg(machine.path(""));
        command.args(["run", "in-process", "--ifname", "um0"]);
        let log = File::create(machine.path("log")).expect("a file of ours");
        let child = command.args(more).stdout(Stdio::null()).stderr(log).spawn();
        let mut run = Self {
            machine,
            child: child.expect("umnet starts"),
        };
        run.wait_until(|status| status["host"].is_object());
        run
    }

    fn status(&self) -> Value {
        let all = self.machine.umnet(&["status", "--json"]);
        let all: Value = serde_json::from_str(&all.stdout).unwrap_or_default();
        all["devices"][0].clone()
    }

    fn wait_until(&mut self, done: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = self.status();
            if done(&status) {
                return status;
            }
            let ended = self.child.try_wait().expect("a child of ours");
            assert_eq!(ended, None, "umnet has ended: {}", self.log());
            assert!(start.elapsed() < PATIENCE, "{status}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn host(&self) -> u64 {
        let pid = self.status()["host"]["pid"].as_u64();
        pid.expect("there is a driver host")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.machine.path("log")).unwrap_or_default()
    }

    fn stop(mut self) {
        sh(&format!("kill {}", self.child.id()));
        let ended = self.child.wait().expect("a child of ours");
        assert!(ended.success(), "{ended}: {}", self.log());
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // Of one that has ended already, nothing is left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with_taps(test: &str, body: impl FnOnce(&Machine)) {
    in_namespace(test, || {
        let tun = File::options().read(true).write(true).open("/dev/net/tun");
        match tun {
            Ok(_) => body(&Machine::new()),
            Err(error) => println!("SKIP: {test}: /dev/net/tun: {error}"),
        }
    });
}

/// Whether the process is there and not only waits to be reaped.
fn lives(pid: u64) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state
        .rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Everything a connection depends on.
fn interface() -> String {
    let routed =
        "ip addr replace 10.9.0.1/24 dev um0; ip -o -4 addr show dev um0; ip route show dev um0";
    let link = "ip -o link show dev um0 | grep -o -e '^[0-9]*' -e 'link/ether [^ ]*'";
    sh(&format!("{routed}; {link}"))
}

fn carrier() -> bool {
    sh("ip -o link show dev um0").contains("LOWER_UP")
}

/// How often the interface's carrier has come or gone.
fn carrier_changes() -> String {
    sh("ip -s -s -j link show dev um0 | grep -o '\"carrier_changes\":[0-9]*'")
}

#[test]
fn a_killed_host_is_replaced_and_the_interface_does_not_notice() {
    let test = "a_killed_host_is_replaced_and_the_interface_does_not_notice";
    with_taps(test, |machine| {
        let mut run = Run::start(machine, &[]);
        let before = (interface(), carrier_changes());
        for restarts in 1..=3 {
            std::thread::sleep(Duration::from_millis(600));
            let host = run.host();
            sh(&format!("kill -KILL {host}"));
            let status = run.wait_until(|status| status["restarts"] == restarts);
            assert_ne!(status["host"]["pid"], host);
            assert_eq!((interface(), carrier_changes()), before);
            assert!(carrier());
        }
        run.stop();
    });
}

/// Where the threads that move frames may run, one line each.
fn processors(host: u64) -> Vec<String> {
    let lists = format!(
        "cd /proc/{host}/task; for task in *; do \
         grep -q umnet-q $task/comm && grep Cpus_allowed_list $task/status; done; true"
    );
    sh(&lists).lines().map(str::to_owned).collect()
}

#[test]
fn each_host_has_all_pairs_again_and_every_queue_of_the_interface() {
    let test = "each_host_has_all_pairs_again_and_every_queue_of_the_interface";
    with_taps(test, |machine| {
        let one = Run::start(machine, &["--queues", "1"]);
        let at_stake = one.status()["loss_bound"].clone();
        one.stop();
        // On a machine that is busy with other tests a pinned thread waits for its processor.
        let file = machine.path("umnet.toml");
        std::fs::write(&file, "[defaults.restart]\nhang_after_ms = 10000\n").expect("a file");
        let file = file.display().to_string();
        let mut run = Run::start(machine, &["--queues", "3", "--config", &file]);
        let before = interface();
        let sockets: Vec<_> = (0..32)
            .map(|_| {
                let socket = UdpSocket::bind("10.9.0.1:0").expect("an address of ours");
                socket.set_broadcast(true).expect("a socket of ours");
                socket
            })
            .collect();
        let sent_by = |machine: &Machine| -> Vec<u64> {
            let stats = machine.umnet(&["stats", "--json"]).json();
            let queues = stats["devices"][0]["queues"].as_array().expect("queues");
            let of_device = |queue: &&Value| queue["queue"].to_string().contains("tx");
            let sending = queues.iter().filter(of_device);
            let counters = sending.map(|queue| &queue["counters"]["tx_packets"]);
            counters.filter_map(Value::as_u64).collect()
        };
        for restarts in 0..=3 {
            let status = run.wait_until(|status| status["restarts"] == restarts);
            assert_eq!(status["queue_pairs"], 3);
            for way in ["rx_frames", "tx_frames"] {
                let (one, all) = (&at_stake[way], &status["loss_bound"][way]);
                assert_eq!(all.as_u64(), one.as_u64().map(|frames| 3 * frames), "{way}");
            }
            let host = run.host();
            let pinned = processors(host)
                .iter()
                .filter(|list| !list.contains(['-', ',']))
                .count();
            assert_eq!(pinned, 3, "{:?}", processors(host));
            let last = sent_by(machine);
            assert_eq!(last.len(), 3);
            run.wait_until(|_| {
                for socket in &sockets {
                    // The interface may be about to change hands.
                    let _ = socket.send_to(b"frame", "10.9.0.255:9");
                }
                let now = sent_by(machine);
                now.iter().zip(&last).all(|(now, last)| now > last)
            });
            assert_eq!(interface(), before);
            assert!(carrier());
            std::thread::sleep(Duration::from_millis(600));
            sh(&format!("kill -KILL {host}"));
        }
        run.wait_until(|status| status["restarts"] == 4);
        run.stop();
    });
}

#[test]
fn queues_of_the_interface_beyond_the_devices_pairs_are_not_used() {
    let test = "queues_of_the_interface_beyond_the_devices_pairs_are_not_used";
    with_taps(test, |machine| {
        // Made for several queues by another run, and kept.
        let run = Run::start(machine, &["--queues", "3", "--keep-interface"]);
        interface();
        run.stop();
        machine.file("sys/class/net/um0/tun_flags", "0x5102");
        let mut run = Run::start(machine, &["--queues", "1", "--keep-interface"]);
        assert_eq!(run.status()["queue_pairs"], 1);
        let sent = |machine: &Machine| {
            let stats = machine.umnet(&["stats", "--json"]).json();
            stats["devices"][0]["total"]["tx_packets"].as_u64()
        };
        let before = sent(machine).expect("a counter");
        let sockets = (0..64).map(|_| UdpSocket::bind("10.9.0.1:0").expect("an address of ours"));
        for socket in sockets {
            socket.set_broadcast(true).expect("a socket of ours");
            socket
                .send_to(b"frame", "10.9.0.255:9")
                .expect("there is room");
        }
        run.wait_until(|_| sent(machine) >= Some(before + 64));
        run.stop();
        sh("ip link del um0");
    });
}

#[test]
fn hosts_end_with_their_supervisor_however_it_ends() {
    let test = "hosts_end_with_their_supervisor_however_it_ends";
    with_taps(test, |machine| {
        let mut run = Run::start(machine, &[]);
        let host = run.host();
        sh(&format!("kill -KILL {}", run.child.id()));
        let _ = run.child.wait();
        let start = Instant::now();
        while lives(host) {
            assert!(start.elapsed() < PATIENCE, "the host lives on");
            std::thread::sleep(Duration::from_millis(10));
        }
        Run::start(machine, &[]).stop();
    });
}

#[test]
fn a_host_is_locked_in_unless_that_is_forbidden_and_says_so() {
    let test = "a_host_is_locked_in_unless_that_is_forbidden_and_says_so";
    with_taps(test, |machine| {
        let seccomp = |host: u64| sh(&format!("grep ^Seccomp: /proc/{host}/status"));
        let run = Run::start(machine, &[]);
        assert!(seccomp(run.host()).contains('2'), "a filter is on");
        assert!(
            sh(&format!("grep ^CapEff /proc/{}/status", run.host())).contains("0000000000000000")
        );
        assert_eq!(sh(&format!("ls -A /proc/{}/root/", run.host())).trim(), "");
        run.stop();
        let run = Run::start(machine, &["--uncaged"]);
        assert!(seccomp(run.host()).contains('0'));
        let cage = run.status()["host"]["cage"].to_string();
        assert!(cage.contains("NOT CAGED"), "{cage}");
        run.stop();
    });
}

#[test]
fn an_update_replaces_the_host_and_a_bad_program_changes_nothing() {
    let test = "an_update_replaces_the_host_and_a_bad_program_changes_nothing";
    with_taps(test, |machine| {
        let mut run = Run::start(machine, &[]);
        let before = interface();
        let first = run.host();
        let copy = machine.path("umnet-next");
        std::fs::copy(env!("CARGO_BIN_EXE_umnet"), &copy).expect("a copy");
        let updated = machine.umnet(&["update", "--binary", &copy.display().to_string()]);
        assert_eq!(updated.code, 0, "{}", updated.stderr);
        let second = run.host();
        let image = std::fs::read_link(format!("/proc/{second}/exe")).expect("root may look");
        assert!(second != first && image == copy, "{}", image.display());
        run.wait_until(|status| status["restarts"] == 1);
        assert!(!lives(first));
        for bad in [
            Path::new("/bin/true"),
            Path::new("/nonexistent"),
            Path::new("/"),
        ] {
            let refused = machine.umnet(&["update", "--binary", &bad.display().to_string()]);
            assert_eq!(refused.code, 1, "{}", bad.display());
            assert_eq!(run.host(), second, "{}", bad.display());
        }
        assert_eq!(interface(), before);
        run.stop();
    });
}

#[test]
fn a_supervisor_is_replaced_in_place_and_its_host_goes_on() {
    let test = "a_supervisor_is_replaced_in_place_and_its_host_goes_on";
    with_taps(test, |machine| {
        let mut run = Run::start(machine, &[]);
        let (before, host) = (interface(), run.host());
        run.wait_until(|status| status["uptime_seconds"].as_u64() >= Some(2));
        let copy = machine.path("umnet-next");
        std::fs::copy(env!("CARGO_BIN_EXE_umnet"), &copy).expect("a copy");
        let copy = copy.display().to_string();
        for more in [&["--binary", copy.as_str()][..], &[]] {
            let updated = machine.umnet(&[&["update", "--supervisor"], more].concat());
            assert_eq!(updated.code, 0, "{}", updated.stderr);
        }
        let status = run.wait_until(|status| status["supervisor_restarts"] == 2);
        assert_eq!(status["pid"], run.child.id());
        assert!(status["uptime_seconds"].as_u64() >= Some(2), "{status}");
        assert_eq!((run.host(), interface()), (host, before.clone()));
        let refused = machine.umnet(&["update", "--supervisor", "--binary", "/bin/true"]);
        assert_eq!(refused.code, 1);
        // The new one replaces hosts as the old one did, and ends in good order.
        std::thread::sleep(Duration::from_millis(600));
        sh(&format!("kill -KILL {host}"));
        run.wait_until(|status| status["restarts"] == 1);
        assert_eq!(interface(), before);
        run.stop();
        assert!(!sh("ip -o link").contains("um0"), "it goes with the run");
    });
}

#[test]
fn hosts_that_die_one_after_the_other_end_in_the_fallback_and_come_back() {
    let test = "hosts_that_die_one_after_the_other_end_in_the_fallback_and_come_back";
    with_taps(test, |machine| {
        let file = machine.path("umnet.toml");
        let text = "[defaults.restart]\ngive_up_after = 3\nretry_after_ms = 1500\nsettled_after_ms = 60000\n";
        std::fs::write(&file, text).expect("a file of ours");
        let mut run = Run::start(machine, &["--config", &file.display().to_string()]);
        for _ in 0..4 {
            let status = run.wait_until(|status| status["host"].is_object());
            sh(&format!("kill -KILL {}", status["host"]["pid"]));
            run.wait_until(|now| now["host"] != status["host"]);
        }
        let status = run.wait_until(|status| status["down"].is_string());
        assert_eq!(status["link_up"], false);
        let policy = &status["policy"];
        assert_eq!(
            (&policy["young_deaths"], &policy["give_up_after"]),
            (&4.into(), &3.into())
        );
        assert!(!carrier());
        run.wait_until(|status| status["host"].is_object() && status["link_up"] == true);
        assert!(carrier());
        let told = run.log().matches("the link is down, next attempt").count();
        assert_eq!(told, 1, "once per change: {}", run.log());
        run.stop();
    });
}

#[test]
fn counters_are_those_of_the_moment_and_not_of_the_last_sign_of_life() {
    let test = "counters_are_those_of_the_moment_and_not_of_the_last_sign_of_life";
    with_taps(test, |machine| {
        let file = machine.path("umnet.toml");
        // The next sign of life comes in twelve minutes.
        std::fs::write(&file, "[defaults.restart]\nhang_after_ms = 3600000\n").expect("a file");
        let mut run = Run::start(machine, &["--config", &file.display().to_string()]);
        interface();
        let sent = |machine: &Machine| {
            let stats = machine.umnet(&["stats", "--json"]).json();
            stats["devices"][0]["total"]["tx_packets"].as_u64()
        };
        let socket = UdpSocket::bind("10.9.0.1:0").expect("an address of ours");
        socket.set_broadcast(true).expect("a socket of ours");
        for _ in 0..3 {
            let before = sent(machine).expect("a counter");
            socket
                .send_to(b"frame", "10.9.0.255:9")
                .expect("there is room");
            run.wait_until(|_| sent(machine) > Some(before));
        }
        run.stop();
    });
}

#[test]
fn an_interface_that_a_dying_host_still_has_is_waited_for() {
    let test = "an_interface_that_a_dying_host_still_has_is_waited_for";
    with_taps(test, |machine| {
        let mut tap = Tap::open(&TapConfig::new("um0")).expect("a namespace of ours");
        tap.set_persistent(true).expect("an interface of ours");
        let dying = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            drop(tap);
        });
        Run::start(machine, &["--keep-interface", "--queues", "1"]).stop();
        dying.join().expect("it only sleeps");
    });
}
