//! What the kernel says about a process in the cage, seen from outside.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::fs::{StatVfsMountFlags, statvfs};
use umnet::cage::HOST_ID;

/// A process that stays in the cage until it is dropped.
struct Caged {
    child: Child,
    confined: String,
    locked: String,
    _stdout: BufReader<ChildStdout>,
}

impl Caged {
    /// Starts it, by way of `prefix`.
    fn start(prefix: &[&str], profile: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_cage-escape");
        let words = [prefix, &[program, "stay", profile]].concat();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = || {
            let mut line = String::new();
            stdout
                .read_line(&mut line)
                .expect("it tells what it reached");
            line.trim_end().to_owned()
        };
        let (confined, locked) = (line(), line());
        Self {
            child,
            confined,
            locked,
            _stdout: stdout,
        }
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    /// A field of `/proc/PID/status`, of each thread.
    fn status(&self, field: &str) -> Vec<String> {
        let tasks = fs::read_dir(self.proc("task")).expect("it has threads");
        let of_thread = |task: fs::DirEntry| {
            let status = fs::read_to_string(task.path().join("status")).expect("it has a status");
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            line.unwrap_or("none")
                .trim_start_matches(':')
                .trim()
                .to_owned()
        };
        tasks
            .map(|task| of_thread(task.expect("an entry")))
            .collect()
    }
}

impl Drop for Caged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIP {test}: only root can give up what root has");
    }
    root
}

#[test]
fn both_threads_have_no_privilege_left_and_the_filters_on() {
    if !is_root("both_threads") {
        return;
    }
    let caged = Caged::start(&[], "driver");
    let own = vec![HOST_ID.to_string(); 4].join("\t");
    let none = "0000000000000000";
    for (field, owed) in [
        ("Uid", own.as_str()),
        ("Gid", own.as_str()),
        ("Groups", ""),
        ("CapInh", none),
        ("CapPrm", none),
        ("CapEff", none),
        ("CapBnd", none),
        ("CapAmb", none),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        assert_eq!(caged.status(field), [owed, owed], "{field}");
    }
}

#[test]
fn the_namespaces_it_names_are_its_own_and_its_root_is_empty() {
    if !is_root("the_namespaces") {
        return;
    }
    let caged = Caged::start(&[], "driver");
    has_its_own(&caged);
    // The root is a folder: no mount can be named from there.
    let mounts = fs::read_to_string(caged.proc("mountinfo"));
    assert_eq!(mounts.expect("mounts"), "");
}

#[test]
fn a_host_that_has_loaded_a_library_has_an_empty_root_too() {
    if !is_root("a_host_that_has_loaded") {
        return;
    }
    let caged = Caged::start(&[], "client");
    has_its_own(&caged);
    // The root, and what lies over it so that it is not the namespace's.
    let mounts = fs::read_to_string(caged.proc("mountinfo")).expect("mounts");
    assert_eq!(mounts.lines().count(), 2, "{mounts}");
    let empty =
        |line: &str| line.contains(" / / ro,nosuid,nodev,noexec,") && line.contains(" - tmpfs ");
    assert!(mounts.lines().all(empty), "{mounts}");
    let left = Command::new("pgrep")
        .args(["-P", &caged.child.id().to_string()])
        .output();
    assert_eq!(left.expect("procps").stdout, b"", "a process is left over");
}

/// Namespaces, and a root in which there is nothing.
fn has_its_own(caged: &Caged) {
    for name in ["net", "mnt", "ipc", "uts", "cgroup"] {
        let own = fs::read_link(caged.proc(&format!("ns/{name}"))).expect("a namespace");
        let ours = fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
        assert_ne!(own, ours, "{name}");
    }
    let root = fs::read_dir(caged.proc("root")).expect("a root");
    assert_eq!(root.count(), 0);
    let flags = statvfs(caged.proc("root")).expect("a file system").f_flag;
    let owed = StatVfsMountFlags::RDONLY
        | StatVfsMountFlags::NOSUID
        | StatVfsMountFlags::NODEV
        | StatVfsMountFlags::NOEXEC;
    assert!(flags.contains(owed), "{flags:?}");
}

#[test]
fn its_limits_forbid_cores_and_more_descriptors() {
    if !is_root("its_limits") {
        return;
    }
    let caged = Caged::start(&[], "driver");
    let limits = fs::read_to_string(caged.proc("limits")).expect("limits");
    for (limit, both) in [("Max core file size", "0"), ("Max open files", "256")] {
        let line = limits
            .lines()
            .find(|line| line.starts_with(limit))
            .expect(limit);
        let values: Vec<_> = line[limit.len()..].split_whitespace().take(2).collect();
        assert_eq!(values, [both, both], "{limit}");
    }
}

#[test]
fn it_tells_what_it_reached() {
    if !is_root("it_tells") {
        return;
    }
    let caged = Caged::start(&[], "driver");
    for part in [
        "own uid 30061",
        "no capabilities",
        "secure bits locked",
        "namespaces net mnt ipc uts cgroup",
        "empty root",
        "not dumpable",
        "256 descriptors",
    ] {
        assert!(caged.confined.contains(part), "{part}: {}", caged.confined);
    }
    assert_eq!(
        caged.locked,
        "seccomp profile driver: 18 system calls, 8 refused"
    );
    if !caged.confined.contains("Landlock") {
        println!(
            "SKIP Landlock: this kernel does not have it: {}",
            caged.confined
        );
    }
}

#[test]
fn an_inherited_descriptor_is_told() {
    if !is_root("an_inherited_descriptor") {
        return;
    }
    let careless = ["sh", "-c", "exec 7</etc; exec \"$0\" \"$@\""];
    let caged = Caged::start(&careless, "driver");
    assert!(caged.confined.contains("7 is /etc"), "{}", caged.confined);
}

/// What a process that loads a library of `folder` tells of reading `file`.
fn reads(verb: &str, folder: &Path, file: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_cage-escape"))
        .arg(verb)
        .args([folder, file])
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn while_a_library_is_loaded_its_folder_can_be_read_and_nothing_else() {
    if !is_root("while_a_library") {
        return;
    }
    // Nobody but its owner gets there.
    let [folder, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [library, secret] = [&folder, &other].map(|folder| folder.path().join("file"));
    for file in [&library, &secret] {
        fs::write(file, "a secret").expect("a file of ours");
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("a file of ours");
    }
    let told = reads("read", folder.path(), &library);
    if !told.contains("Landlock") || told.contains("Landlock while") {
        return println!("SKIP Landlock: this kernel does not have it: {told}");
    }
    let denied = "Permission denied (os error 13)";
    let gone = "No such file or directory (os error 2)";
    let owed = format!("loading: read\nwriting: {denied}\nclosed: {gone}\n");
    assert!(told.starts_with(&owed), "{told}");
    assert!(told.contains("own uid 30061, no capabilities"), "{told}");
    let told = reads("read", folder.path(), &secret);
    assert!(told.starts_with(&format!("loading: {denied}\n")), "{told}");
    assert_eq!(fs::read_to_string(&library).expect("ours"), "a secret");
}

#[test]
fn a_library_that_starts_threads_while_it_is_loaded_is_refused() {
    if !is_root("a_library_that_starts_threads") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let told = reads("read-threaded", folder.path(), &folder.path().join("file"));
    assert!(told.contains("still has 2 threads"), "{told}");
    assert!(!told.contains("closed:"), "{told}");
}

/// Runs a command as a user without privileges, if there are the means to.
const AS_NOBODY: [&str; 6] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
];

/// Where nobody can start the test program in its folder, a copy.
fn copy_for_all() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().ok()?;
    fs::copy(
        env!("CARGO_BIN_EXE_cage-escape"),
        folder.path().join("host"),
    )
    .ok()?;
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), open).ok()?;
    Some(folder)
}

fn as_nobody(verb: &str) -> Option<std::process::Output> {
    if !is_root("as nobody") || !Path::new("/usr/bin/setpriv").exists() {
        return None;
    }
    let folder = copy_for_all()?;
    let output = Command::new(AS_NOBODY[0])
        .args(&AS_NOBODY[1..])
        .arg(folder.path().join("host"))
        .args([verb, "driver"])
        .stdin(Stdio::null())
        .output();
    Some(output.expect("setpriv starts"))
}

#[test]
fn without_privileges_what_is_missing_is_told_and_the_rest_is_had() {
    let Some(output) = as_nobody("stay") else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (reached, missing) = text
        .split_once("; missing: ")
        .expect("something is missing");
    assert!(reached.contains("no capabilities"), "{text}");
    assert!(reached.contains("not dumpable"), "{text}");
    if reached.contains("namespaces user") {
        assert!(reached.contains("empty root"), "{text}");
    } else {
        println!("SKIP the namespaces of a user: this machine forbids them: {text}");
    }
    assert!(missing.contains("own uid ("), "{text}");
}

#[test]
fn without_privileges_a_strict_wish_is_an_error() {
    let Some(output) = as_nobody("stay-strictly") else {
        return;
    };
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("cage: "), "{error}");
}
