//! A client and its supervisor: killed, hung, crashing, trying to get out, replaced; and the
//! interfaces that stay.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::clients::{Hosted, compile, compile_all};
use support::machine::Machine;
use support::namespace::{in_namespace, sh};
use support::wire::{BOTH, RIGHT, Transfer, connect};

const PAIR: &str = "tests/clients/pair.c";
const ROGUE: [&str; 2] = ["tests/clients/device.c", "tests/clients/rogue.c"];
const ONE: [&str; 2] = ["--ifname", "left"];
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that must get through between two kills.
const BETWEEN: u64 = 256 << 10;

/// What rogue.c does for these control codes.
const CRASH: u32 = 100;
const OPEN: u32 = 101;
const CONNECT: u32 = 102;
const EXECUTE: u32 = 103;
const EXECUTABLE: u32 = 104;
const MEMORY: u32 = 105;
const HANG: u32 = 106;
/// What Linux says to whoever is not allowed something.
const EACCES: i32 = 13;

fn status(machine: &Machine) -> Value {
    let all = machine.umnet(&["status", "--json"]);
    let all: Value = serde_json::from_str(&all.stdout).unwrap_or_default();
    all["devices"][0].clone()
}

fn wait_until(machine: &Machine, hosted: &Hosted, done: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let status = status(machine);
        if done(&status) {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "{status}\n{}", hosted.said());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn host(status: &Value) -> u64 {
    status["host"]["pid"]
        .as_u64()
        .expect("there is a client host")
}

/// Everything a connection depends on.
fn interface() -> String {
    let link = "ip -o link show left | grep -o -e '^[0-9]*' -e 'link/ether [^ ]*'";
    sh(&format!(
        "{link}; ip -o -4 addr show left; ip route show dev left"
    ))
}

fn carrier() -> bool {
    sh("ip -o link show left").contains("LOWER_UP")
}

/// The client in a run of its own.
fn rogue(name: &str) -> Option<PathBuf> {
    compile_all(&ROGUE, name, &["ROGUE"])
}

/// A connection to the device.
fn open(machine: &Machine) -> UnixStream {
    let folder = fs::read_dir(machine.path("run/umnet")).expect("run folder");
    let mut paths = folder.map(|entry| entry.expect("entry").path());
    let socket = paths.find(|path| path.extension().is_some_and(|found| found == "io0"));
    let stream = UnixStream::connect(socket.expect("a socket")).expect("device socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream
}

/// What the client answers, or nothing if it dies of it.
fn control(machine: &Machine, code: u32) -> Option<i32> {
    let mut stream = open(machine);
    let words = [14, code, 0, 0].map(u32::to_le_bytes);
    stream.write_all(words.as_flattened()).ok()?;
    let mut answer = [[0; 4]; 3];
    stream.read_exact(answer.as_flattened_mut()).ok()?;
    Some(i32::from_le_bytes(answer[0]))
}

fn config(machine: &Machine, restart: &str) -> String {
    machine.file("umnet.toml", &format!("[defaults.restart]\n{restart}"));
    machine.path("umnet.toml").display().to_string()
}

#[test]
fn a_connection_outlives_its_client_host_killed_five_times() {
    let test = "a_connection_outlives_its_client_host_killed_five_times";
    let Some(client) = compile(PAIR, "killed", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &BOTH);
        let elsewhere = connect();
        let before = interface();
        let transfer = Transfer::begin(&elsewhere);
        transfer.goes_on(BETWEEN);
        for restarts in 1..=5 {
            let killed = host(&status(&machine));
            sh(&format!("kill -KILL {killed}"));
            let now = wait_until(&machine, &hosted, |now| now["restarts"] == restarts);
            assert_ne!(host(&now), killed);
            transfer.goes_on(BETWEEN);
        }
        transfer.digests_agree();
        assert_eq!(interface(), before);
        let ended = hosted.stop();
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(sh("ip -o link | wc -l"), "1\n", "interfaces left behind");
        assert!(!machine.path("run/umnet").exists(), "files left behind");
    });
}

#[test]
fn a_client_is_locked_in_by_name_unless_that_is_forbidden() {
    let test = "a_client_is_locked_in_by_name_unless_that_is_forbidden";
    let Some(client) = rogue("caged") else { return };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &ONE);
        let now = status(&machine);
        let cage = now["host"]["cage"].as_str().expect("text");
        assert!(cage.contains("seccomp profile client: "), "{cage}");
        assert!(cage.contains("own uid 30061, no capabilities"), "{cage}");
        assert!(cage.contains(" cgroup, empty root, "), "{cage}");
        assert!(hosted.said().contains(cage), "{}", hosted.said());
        let proc = sh(&format!("cat /proc/{}/status", host(&now)));
        for line in ["Seccomp:\t2", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] {
            assert!(proc.contains(line), "{line}: {proc}");
        }
        let shown = machine.umnet(&["status"]).stdout;
        assert!(
            shown.contains("client host   ") && shown.contains(cage),
            "{shown}"
        );
        assert_eq!(hosted.stop().code, 0);
        let args = [&ONE[..], &["--uncaged"]].concat();
        let hosted = Hosted::up(&machine, &client, &args);
        let now = status(&machine);
        assert!(
            now["host"]["cage"]
                .as_str()
                .expect("text")
                .contains("NOT CAGED")
        );
        assert!(sh(&format!("cat /proc/{}/status", host(&now))).contains("Seccomp:\t0"));
        assert_eq!(control(&machine, OPEN), Some(0), "nobody forbids it");
        assert_eq!(hosted.stop().code, 0);
    });
}

#[test]
fn a_client_that_tries_to_get_out_is_refused_or_replaced() {
    let test = "a_client_that_tries_to_get_out_is_refused_or_replaced";
    let Some(client) = rogue("escaping") else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &ONE);
        let before = interface();
        assert_eq!(control(&machine, MEMORY), Some(0), "what it may");
        for refused in [OPEN, CONNECT] {
            assert_eq!(control(&machine, refused), Some(EACCES), "{refused}");
        }
        assert_eq!(status(&machine)["restarts"], 0, "{}", hosted.said());
        for (restarts, deadly) in [(1, EXECUTE), (2, EXECUTABLE)] {
            assert_eq!(control(&machine, deadly), None, "{deadly}");
            wait_until(&machine, &hosted, |now| {
                now["restarts"] == restarts && now["host"].is_object()
            });
        }
        let said = hosted.said();
        assert_eq!(
            said.matches("killed by signal 31 (SIGSYS").count(),
            2,
            "{said}"
        );
        assert_eq!(interface(), before);
        assert_eq!(hosted.stop().code, 0);
    });
}

#[test]
fn a_client_that_crashes_again_and_again_ends_in_the_fallback_and_comes_back() {
    let test = "a_client_that_crashes_again_and_again_ends_in_the_fallback_and_comes_back";
    let Some(client) = rogue("crashing") else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let text = "give_up_after = 3\nretry_after_ms = 1500\nsettled_after_ms = 60000\n";
        let config = config(&machine, text);
        let args = [&ONE[..], &["--config", &config]].concat();
        let hosted = Hosted::up(&machine, &client, &args);
        let before = interface();
        for _ in 0..4 {
            let now = wait_until(&machine, &hosted, |now| now["host"].is_object());
            assert_eq!(control(&machine, CRASH), None);
            wait_until(&machine, &hosted, |next| next["host"] != now["host"]);
        }
        let down = wait_until(&machine, &hosted, |now| now["down"].is_string());
        assert_eq!(down["link_up"], false, "{down}");
        assert!(!carrier(), "nobody drives it");
        let why = down["down"].as_str().expect("text");
        assert!(
            why.contains("3 driver hosts died") && why.contains("SIGSEGV"),
            "{why}"
        );
        wait_until(&machine, &hosted, |now| {
            now["host"].is_object() && now["link_up"] == true
        });
        assert!(carrier());
        assert_eq!(interface(), before);
        assert_eq!(hosted.stop().code, 0);
    });
}

#[test]
fn with_the_fallback_kernel_the_run_ends_as_its_host_did() {
    let test = "with_the_fallback_kernel_the_run_ends_as_its_host_did";
    let Some(client) = rogue("final") else { return };
    in_namespace(test, || {
        let machine = Machine::new();
        let config = config(&machine, "give_up_after = 0\nfallback = \"kernel\"\n");
        let args = [&ONE[..], &["--config", &config]].concat();
        let hosted = Hosted::up(&machine, &client, &args);
        assert_eq!(control(&machine, CRASH), None);
        let ended = hosted.end();
        assert_eq!(ended.code, 128 + 11, "{ended:?}");
        assert!(
            ended
                .stderr
                .contains("umnet: final: too many client hosts died"),
            "{ended:?}"
        );
        assert_eq!(sh("ip -o link | wc -l"), "1\n", "interfaces left behind");
        assert!(!machine.path("run/umnet").exists(), "files left behind");
    });
}

#[test]
fn a_host_that_stands_still_is_found_and_so_is_a_queue_that_does() {
    let test = "a_host_that_stands_still_is_found_and_so_is_a_queue_that_does";
    let Some(client) = rogue("hanging") else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        // The shim has no eye on queues without the verifier: the pulse has.
        let args = [&ONE[..], &["--client-timeout", "2", "--verifier", "off"]].concat();
        let hosted = Hosted::up(&machine, &client, &args);
        sh("ip addr add 192.0.2.1/24 dev left");
        let before = interface();
        let stopped = host(&status(&machine));
        sh(&format!("kill -STOP {stopped}"));
        let now = wait_until(&machine, &hosted, |now| {
            now["hangs"] == 1 && now["restarts"] == 1
        });
        assert_ne!(host(&now), stopped);
        assert_eq!(control(&machine, HANG), Some(0));
        // Whatever is sent is what the callback hangs at.
        sh("ping -c 1 -W 1 -b 192.0.2.255 >/dev/null 2>&1 || true");
        wait_until(&machine, &hosted, |now| {
            now["hangs"] == 2 && now["restarts"] == 2
        });
        assert_eq!(control(&machine, MEMORY), Some(0), "the next one answers");
        assert_eq!(interface(), before);
        assert_eq!(hosted.stop().code, 0);
    });
}

#[test]
fn an_update_takes_the_library_that_is_there_now() {
    let test = "an_update_takes_the_library_that_is_there_now";
    let Some(client) = rogue("updated") else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let copy = machine.path("updated.so");
        fs::copy(&client, &copy).expect("a copy");
        let hosted = Hosted::up(&machine, &copy, &ONE);
        let (before, first) = (interface(), host(&status(&machine)));
        replace(&copy, &fs::read(&client).expect("the client"));
        let updated = machine.umnet(&["update"]);
        assert_eq!(updated.code, 0, "{updated:?}");
        let second = host(&status(&machine));
        assert_ne!(first, second);
        replace(&copy, b"no library");
        let refused = machine.umnet(&["update"]);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert_eq!(host(&status(&machine)), second, "the one before goes on");
        assert_eq!(control(&machine, MEMORY), Some(0));
        assert_eq!(interface(), before);
        assert_eq!(hosted.stop().code, 0);
    });
}

/// The built command under another name.
fn other_program(machine: &Machine) -> String {
    let copy = machine.path("other-umnet");
    fs::copy(env!("CARGO_BIN_EXE_umnet"), &copy).expect("a copy");
    copy.display().to_string()
}

/// What runs in that process.
fn program(pid: u64) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).expect("it runs")
}

#[test]
fn supervisor_and_host_are_replaced_by_another_program_and_connections_stay() {
    let test = "supervisor_and_host_are_replaced_by_another_program_and_connections_stay";
    let Some(client) = compile(PAIR, "succeeded", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &BOTH);
        let elsewhere = connect();
        let other = other_program(&machine);
        let (before, first) = (interface(), host(&status(&machine)));
        let transfer = Transfer::begin(&elsewhere);
        for (restarts, more) in [(1, &["--binary", &other][..]), (2, &[])] {
            transfer.goes_on(BETWEEN);
            let updated = machine.umnet(&[&["update", "--supervisor"], more].concat());
            assert_eq!(updated.code, 0, "{updated:?}");
            let now = status(&machine);
            assert_eq!(now["supervisor_restarts"], restarts, "{now}");
            assert_eq!((host(&now), &now["restarts"]), (first, &0.into()), "{now}");
            assert_eq!(now["pid"], hosted.pid());
            assert_eq!(program(hosted.pid().into()), PathBuf::from(&other));
        }
        let refused = machine.umnet(&["update", "--supervisor", "--binary", "/bin/true"]);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(
            refused.stderr.contains("is no umnet that can go on"),
            "{refused:?}"
        );
        // The one that is built, in the place of the other one's.
        let umnet = env!("CARGO_BIN_EXE_umnet");
        let updated = machine.umnet(&["update", "--binary", umnet]);
        assert_eq!(updated.code, 0, "{updated:?}");
        let now = wait_until(&machine, &hosted, |now| now["restarts"] == 1);
        assert_ne!(host(&now), first);
        assert_eq!(program(host(&now)), PathBuf::from(umnet));
        transfer.goes_on(BETWEEN);
        sh(&format!("kill -KILL {}", host(&now)));
        wait_until(&machine, &hosted, |now| now["restarts"] == 2);
        transfer.goes_on(BETWEEN);
        transfer.digests_agree();
        assert_eq!(interface(), before);
        assert_eq!(hosted.stop().code, 0);
        assert_eq!(sh("ip -o link | wc -l"), "1\n", "interfaces left behind");
        assert!(!machine.path("run/umnet").exists(), "files left behind");
    });
}

#[test]
fn a_supervisor_that_is_replaced_loses_no_frame() {
    let test = "a_supervisor_that_is_replaced_loses_no_frame";
    let Some(client) = compile(PAIR, "replaced", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &BOTH);
        let _elsewhere = connect();
        // Slow enough for the other end's ring, however late its reader is.
        let pings = std::thread::spawn(|| sh(&format!("ping -q -c 500 -i 0.004 -W 5 {RIGHT}")));
        let mut replaced = 0;
        while !pings.is_finished() {
            let updated = machine.umnet(&["update", "--supervisor"]);
            assert_eq!(updated.code, 0, "{updated:?}");
            replaced += 1;
        }
        let counted = pings.join().expect("ping");
        assert!(counted.contains(" 500 received"), "{counted}");
        assert!(replaced >= 3, "{replaced}");
        assert_eq!(status(&machine)["supervisor_restarts"], replaced);
        assert_eq!(hosted.stop().code, 0);
    });
}

#[test]
fn what_reaches_a_client_by_its_socket_does_so_under_the_next_supervisor() {
    let test = "what_reaches_a_client_by_its_socket_does_so_under_the_next_supervisor";
    let Some(client) = rogue("reached") else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &ONE);
        let updated = machine.umnet(&["update", "--supervisor"]);
        assert_eq!(updated.code, 0, "{updated:?}");
        assert_eq!(control(&machine, MEMORY), Some(0));
        // A socket and an interface that only the program before this one has made.
        assert_eq!(control(&machine, CRASH), None);
        wait_until(&machine, &hosted, |now| {
            now["restarts"] == 1 && now["host"].is_object()
        });
        assert_eq!(control(&machine, MEMORY), Some(0));
        assert_eq!(hosted.stop().code, 0);
        assert!(!machine.path("run/umnet").exists(), "files left behind");
    });
}

/// Another file under the same name: what is mapped of the old one stays.
fn replace(file: &Path, bytes: &[u8]) {
    fs::remove_file(file).expect("ours");
    fs::write(file, bytes).expect("ours");
}
