//! Every attempt to get out is refused: by the first step of the cage alone where it applies, and
//! by the filter alone whatever the first step left.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use Answer::{Killed, Program, Refused, Succeeds};

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Succeeds,
    /// The process has become another program.
    Program,
    Refused(i32),
    Killed,
}

/// What an attempt owes at each stage.
struct Row {
    name: &'static str,
    /// Without a cage, as root: either it works, or the kernel objects to the arguments only.
    free: Answer,
    /// After `enter`, and after `enter_reading` once that is closed.
    entered: Answer,
    /// After `lock_down` too, with the profile `driver` and the profile `client`.
    driver: Answer,
    client: Answer,
}

const fn row(name: &'static str, free: Answer, entered: Answer) -> Row {
    profiles(name, free, entered, Killed, Killed)
}

const fn profiles(
    name: &'static str,
    free: Answer,
    entered: Answer,
    driver: Answer,
    client: Answer,
) -> Row {
    Row {
        name,
        free,
        entered,
        driver,
        client,
    }
}

const PERM: Answer = Refused(libc::EPERM);
const ACCES: Answer = Refused(libc::EACCES);
const NOENT: Answer = Refused(libc::ENOENT);
const INVAL: Answer = Refused(libc::EINVAL);
const NOSYS: Answer = Refused(libc::ENOSYS);
const NOTTY: Answer = Refused(libc::ENOTTY);
const CONNREFUSED: Answer = Refused(libc::ECONNREFUSED);

/// Where `entered` is `Succeeds`, there is nothing outside to be reached by it alone, and it is
/// the filter's part.
const ROWS: &[Row] = &[
    profiles("nothing", Succeeds, Succeeds, Succeeds, Succeeds),
    // By the empty root; with a folder in hand, by Landlock.
    profiles("open", Succeeds, NOENT, Killed, ACCES),
    profiles("open-by-folder", Succeeds, ACCES, Killed, ACCES),
    profiles("open-memory-of-parent", Succeeds, ACCES, Killed, ACCES),
    row("openat2", Succeeds, ACCES),
    row("make-device-node", Succeeds, ACCES),
    row("open-by-handle", Refused(libc::ESTALE), PERM),
    row("leave-chroot", Succeeds, PERM),
    row("fanotify", Succeeds, PERM),
    profiles("memfd", Succeeds, Succeeds, Killed, Succeeds),
    // In a network namespace without interfaces.
    profiles("socket-inet", Succeeds, Succeeds, Killed, ACCES),
    profiles("socket-netlink", Succeeds, Succeeds, Killed, ACCES),
    profiles("socket-packet", Succeeds, PERM, Killed, ACCES),
    profiles("socket-raw", Succeeds, PERM, Killed, ACCES),
    profiles("socket-unix", Succeeds, Succeeds, Killed, ACCES),
    profiles("connect-tcp", CONNREFUSED, ACCES, Killed, ACCES),
    profiles("bind-tcp", Succeeds, ACCES, Killed, ACCES),
    profiles("connect-unix", Succeeds, CONNREFUSED, Killed, ACCES),
    row("exec", Program, NOENT),
    row("exec-by-folder", Program, ACCES),
    row("exec-memory", Program, Program),
    row("fork", Succeeds, Succeeds),
    profiles("clone3", INVAL, INVAL, NOSYS, NOSYS),
    // By uid, and by Landlock's scope.
    row("kill-parent", Succeeds, PERM),
    row("tgkill-parent", Succeeds, PERM),
    row("kill-sibling", Succeeds, PERM),
    row("ptrace-sibling", Succeeds, PERM),
    row("ptrace-parent", Succeeds, PERM),
    row("read-parent", Succeeds, PERM),
    row("steal-descriptor", Succeeds, PERM),
    row("limit-parent", Succeeds, PERM),
    profiles("real-time", Succeeds, PERM, Killed, PERM),
    row("map-executable", Succeeds, Succeeds),
    profiles(
        "make-executable",
        Succeeds,
        Succeeds,
        Refused(libc::ENOMEM),
        Killed,
    ),
    row("make-executable-by-key", Succeeds, Succeeds),
    row("personality", Succeeds, Succeeds),
    row("shared-memory", Succeeds, Succeeds),
    row("setuid", Succeeds, PERM),
    row("setgroups", Succeeds, PERM),
    row("capset", Succeeds, PERM),
    row("user-namespace", Succeeds, PERM),
    row("network-namespace", Succeeds, PERM),
    row("setns", Succeeds, PERM),
    row("dumpable", Succeeds, Succeeds),
    row("keyring", Succeeds, Succeeds),
    row("mount", Refused(libc::ENODEV), PERM),
    row("unmount", INVAL, PERM),
    row("pivot-root", NOENT, PERM),
    row("host-name", INVAL, PERM),
    row("load-module", Refused(libc::ENOEXEC), PERM),
    row("kexec", INVAL, PERM),
    row("reboot", INVAL, PERM),
    row("swapon", NOENT, PERM),
    row("kernel-log", Succeeds, PERM),
    row("all-io-ports", Succeeds, PERM),
    row("one-io-port", Succeeds, PERM),
    row("bpf", NOENT, PERM),
    row("perf-event", Succeeds, ACCES),
    row("io-uring", Succeeds, Succeeds),
    row("userfaultfd", Succeeds, PERM),
    row("ioctl-vfio-reset", NOTTY, NOTTY),
    row("ioctl-terminal", NOTTY, NOTTY),
    row("ioctl-tap", Succeeds, PERM),
    row("32-bit-call", Succeeds, Succeeds),
    row("x32-call", NOSYS, NOSYS),
];

fn run(stage: &str, name: &str) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_cage-escape"))
        .args([stage, name])
        .output()
        .expect("the evil host starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match text.trim() {
        "succeeded" => Succeeds,
        "became another program" => Program,
        "killed" => Killed,
        other => match other.strip_prefix("refused ").map(str::parse) {
            Some(Ok(errno)) => Refused(errno),
            _ => panic!(
                "{stage} {name}: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            ),
        },
    }
}

/// Makes all attempts at a stage. What this kernel does not have at all is told and left out.
fn check(stage: &str, owed: fn(&Row) -> Answer) {
    if !rustix::process::geteuid().is_root() {
        println!("SKIP {stage}: only root can give up what root has");
        return;
    }
    let filtered = ["driver", "client"].contains(&stage);
    let absent = |row: &&Row| !filtered && is_absent(row);
    let (absent, rows): (Vec<_>, Vec<_>) = ROWS.iter().partition(absent);
    let wrong: BTreeMap<_, _> = rows
        .into_iter()
        .filter(|row| filtered || stage == "free" || landlock_of(row) <= landlock_here())
        .map(|row| (row.name, owed(row), run(stage, row.name)))
        .filter(|(_, owed, got)| owed != got)
        .map(|(name, owed, got)| (name, format!("owed {owed:?}, got {got:?}")))
        .collect();
    assert!(wrong.is_empty(), "{stage}: {wrong:#?}");
    let absent: Vec<_> = absent.into_iter().map(|row| row.name).collect();
    if !absent.is_empty() {
        println!("{stage}: this kernel does not have {}", absent.join(", "));
    }
}

/// The level of Landlock that refuses this where nothing else in the first step does.
fn landlock_of(row: &Row) -> u32 {
    match row.name {
        "open-by-folder" | "openat2" | "exec-by-folder" => 1,
        "connect-tcp" | "bind-tcp" => 4,
        "kill-sibling" => 6,
        _ => 0,
    }
}

/// This kernel's level, as the cage tells it.
fn landlock_here() -> u32 {
    static LEVEL: OnceLock<u32> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let mut stay = Command::new(env!("CARGO_BIN_EXE_cage-escape"));
        let output = stay.args(["stay", "driver"]).stdin(Stdio::null()).output();
        let told = String::from_utf8(output.expect("it starts").stdout).expect("text");
        let level = told.split_once("Landlock ").and_then(|(_, rest)| {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            rest[..end].parse().ok()
        });
        let level = level.unwrap_or(0);
        if level < 6 {
            println!("SKIP what Landlock refuses above its level here, {level}");
        }
        level
    })
}

/// The kernel was built without it, or it is switched off for everybody.
fn is_absent(row: &Row) -> bool {
    let gone = [libc::ENOSYS, libc::ENXIO, libc::EPERM, libc::EOPNOTSUPP];
    row.free != NOSYS && matches!(run("free", row.name), Refused(errno) if gone.contains(&errno))
}

#[test]
fn without_a_cage_the_attempts_get_through() {
    check("free", |row| row.free);
}

#[test]
fn the_first_step_alone_refuses_what_leads_outside() {
    check("entered", |row| row.entered);
}

#[test]
fn the_first_step_of_a_host_with_a_library_refuses_the_same() {
    check("loaded", |row| row.entered);
}

#[test]
fn the_driver_profile_ends_whoever_tries() {
    check("driver", |row| row.driver);
}

#[test]
fn the_client_profile_refuses_or_ends_whoever_tries() {
    check("client", |row| row.client);
}

#[test]
fn the_table_has_every_attempt() {
    let output = Command::new(env!("CARGO_BIN_EXE_cage-escape"))
        .arg("list")
        .output();
    let listed = String::from_utf8(output.expect("it starts").stdout).expect("text");
    let here: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(listed.lines().collect::<Vec<_>>(), here);
}
