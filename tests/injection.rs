//! System calls of the supervisor, failed one at a time by strace: while it starts, while it
//! replaces a killed host, while it stops. It may go on or end with a reason; it may not hang,
//! leave anything behind, or spoil the run that comes next.
//!
//! A few of them in every run of the tests, all with `make inject`.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::machine::Machine;
use support::namespace::{in_namespace, sh};

/// Longer than this is a hang.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often things are looked at.
const STEP: Duration = Duration::from_millis(10);
/// How many are failed where not all are wanted.
const SAMPLE: usize = 20;
/// How often each call is failed in each phase at most, from its first occurrence on.
const OCCURRENCES: usize = 12;
/// Not in the sample: known to leave the lock's file behind, to die in the loader, or not to stop.
/// `make inject` fails on them until they are mended.
const KNOWN: &str = "flock ftruncate statx write mmap sendto";
/// Set to fail all of them.
const ALL: &str = "UMNET_INJECT_ALL";

/// Calls that are not failed: they cannot fail, do not come back, or do their work even when they
/// fail (close), which the tracer cannot play.
const LEFT_OUT: &str = "exit_group exit execve brk munmap close rt_sigreturn restart_syscall arch_prctl \
    set_tid_address set_robust_list rseq getpid gettid futex clock_nanosleep rt_sigprocmask wait4 \
    madvise sched_getaffinity sched_yield getsockname";

/// What is told instead of the call being made.
fn errno(call: &str) -> &'static str {
    match call {
        "openat" | "socket" | "socketpair" | "pipe2" | "memfd_create" | "epoll_create1"
        | "eventfd2" | "pidfd_open" | "accept4" | "fcntl" => "EMFILE",
        "mmap" | "mprotect" | "clone" | "clone3" | "vfork" | "epoll_ctl" | "sigaltstack" => {
            "ENOMEM"
        }
        "sendmsg" | "sendto" | "recvmsg" | "recvfrom" | "setsockopt" => "ENOBUFS",
        "poll" | "ppoll" | "epoll_wait" => "EINTR",
        "ftruncate" => "ENOSPC",
        "flock" => "ENOLCK",
        "bind" | "connect" | "chmod" | "unlink" | "mkdir" | "rmdir" | "access" | "statx"
        | "newfstatat" | "readlink" | "listen" => "EACCES",
        "pidfd_send_signal" | "prlimit64" => "EPERM",
        _ => "EIO",
    }
}

/// What the supervisor is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Start,
    Recovery,
    Stop,
}

/// One call that fails.
#[derive(Clone, Debug)]
struct Injection {
    phase: Phase,
    call: String,
    nth: usize,
}

impl Injection {
    fn options(&self) -> Vec<String> {
        let Self { call, nth, .. } = self;
        let fault = format!("inject={call}:error={}:when={nth}", errno(call));
        vec!["-e".into(), format!("trace={call}"), "-e".into(), fault]
    }
}

/// How a run was that a call failed in.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    WentOn,
    EndedWithReason,
    Aborted,
    NotReached,
}

/// The program under test, by a name of its own so that its processes can be told.
struct Bench {
    _folder: tempfile::TempDir,
    program: PathBuf,
}

/// A run of it. At its end nothing of it is left, whatever happened.
struct Run<'b> {
    bench: &'b Bench,
    machine: Machine,
    child: Child,
    tracer: Option<Child>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let program = folder.path().join("umnet");
        fs::copy(env!("CARGO_BIN_EXE_umnet"), &program).expect("room for a copy");
        Self {
            _folder: folder,
            program,
        }
    }

    /// Processes of the program, zombies left out.
    fn processes(&self) -> Vec<u32> {
        let all = fs::read_dir("/proc").expect("proc");
        let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_ours = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == self.program)
        };
        pids.filter(is_ours).collect()
    }

    fn start(&self, traced: Option<&[String]>) -> Run<'_> {
        let machine = Machine::new();
        let settings = "[defaults.restart]\nretry_after_ms = 500\n";
        fs::write(machine.path("umnet.toml"), settings).expect("a file of ours");
        let mut command = match traced {
            None => Command::new(&self.program),
            Some(options) => {
                let mut command = Command::new("strace");
                // The tracer is a grandchild: what ends is umnet itself.
                command.args(["-D", "-qq", "-o"]).arg(machine.path("trace"));
                command.args(options).arg(&self.program);
                command
            }
        };
        command.arg("--root").arg(machine.path(""));
        command.args(["run", "in-process", "--ifname", "um0", "--config"]);
        command.arg(machine.path("umnet.toml"));
        let log = File::create(machine.path("log")).expect("a file of ours");
        let child = command.stdout(Stdio::null()).stderr(log).spawn();
        Run {
            bench: self,
            machine,
            child: child.expect("it starts"),
            tracer: None,
        }
    }

    /// A run in which nothing fails.
    fn normal_run(&self) -> Result<(), String> {
        let mut run = self.start(None);
        let serves = |status: &Value| status["host"].is_object();
        if let Some(ended) = run.wait_until(serves)? {
            return Err(format!("ended: {ended}"));
        }
        let ended = run.stop()?;
        match ended.success() {
            true => run.nothing_left(false),
            false => Err(format!("ended with {ended}")),
        }
    }
}

impl Run<'_> {
    fn status(&self) -> Value {
        let output = Command::new(&self.bench.program)
            .arg("--root")
            .arg(self.machine.path(""))
            .args(["status", "--json"])
            .stderr(Stdio::null())
            .output();
        let all: Value =
            serde_json::from_slice(&output.expect("it starts").stdout).unwrap_or_default();
        all["devices"][0].clone()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.machine.path("log")).unwrap_or_default()
    }

    fn trace(&self) -> String {
        fs::read_to_string(self.machine.path("trace")).unwrap_or_default()
    }

    fn kill(&self, signal: &str, pid: impl std::fmt::Display) {
        sh(&format!("kill -{signal} {pid} 2>/dev/null || true"));
    }

    /// Waits for something that `status` shows, or the end.
    fn wait_until(&mut self, done: impl Fn(&Value) -> bool) -> Result<Option<ExitStatus>, String> {
        let start = Instant::now();
        loop {
            if let Some(ended) = self.child.try_wait().expect("a child of ours") {
                return Ok(Some(ended));
            }
            let status = self.status();
            if done(&status) {
                return Ok(None);
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("hangs: {status}"));
            }
            std::thread::sleep(STEP);
        }
    }

    /// Waits for the end.
    fn end(&mut self) -> Result<ExitStatus, String> {
        let start = Instant::now();
        loop {
            if let Some(ended) = self.child.try_wait().expect("a child of ours") {
                return Ok(ended);
            }
            if start.elapsed() > PATIENCE {
                return Err("does not stop".to_owned());
            }
            std::thread::sleep(STEP);
        }
    }

    fn stop(&mut self) -> Result<ExitStatus, String> {
        self.kill("TERM", self.child.id());
        self.end()
    }

    /// Has a tracer hold the supervisor from now on.
    fn attach(&mut self, options: &[String]) {
        let pid = self.child.id();
        let tracer = Command::new("strace")
            .args(["-qq", "-o"])
            .arg(self.machine.path("trace"))
            .args(options)
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::null())
            .spawn();
        self.tracer = Some(tracer.expect("strace was there a moment ago"));
        let held = || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.contains("TracerPid:") && !status.contains("TracerPid:\t0\n")
        };
        let start = Instant::now();
        while !held() {
            assert!(start.elapsed() < PATIENCE, "strace does not get hold of it");
            std::thread::sleep(STEP);
        }
        // Held, and stopped for a moment until the options are in force.
        std::thread::sleep(5 * STEP);
    }

    fn detach(&mut self) {
        if let Some(mut tracer) = self.tracer.take() {
            self.kill("TERM", tracer.id());
            let _ = tracer.wait();
        }
    }

    fn serves_again(&mut self, before: &Value) -> Result<Option<ExitStatus>, String> {
        let old = before["host"]["pid"].clone();
        self.wait_until(|status| status["host"].is_object() && status["host"]["pid"] != old)
    }

    /// Nothing of the run is there any more. Files may be, after an abort or where removing them
    /// is what failed: the next run has to live with that.
    fn nothing_left(&self, files_may_stay: bool) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let mut left = String::new();
            let processes = self.bench.processes();
            if !processes.is_empty() {
                let _ = write!(left, "processes {processes:?} ");
            }
            if sh("ip -o link").contains("um0") {
                left.push_str("the interface ");
            }
            let files = files_below(&self.machine.path("run"));
            if !files.is_empty() && !files_may_stay {
                let _ = write!(left, "files {files:?}");
            }
            if left.is_empty() {
                return Ok(());
            }
            if start.elapsed() > PATIENCE / 4 {
                return Err(format!("leaves {left}"));
            }
            std::thread::sleep(STEP);
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.detach();
        // Of a run that has ended in good order, nothing is left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in self.bench.processes() {
            self.kill("KILL", pid);
        }
        sh("ip link delete um0 2>/dev/null || true");
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let deeper = paths.flat_map(|path| match path.is_dir() {
        true => files_below(&path),
        false => vec![path],
    });
    deeper.collect()
}

/// A run, and one call of it that fails if there is an injection.
fn play<'b>(bench: &'b Bench, phase: Phase, options: &[String]) -> Result<Run<'b>, String> {
    let serves = |status: &Value| status["host"].is_object();
    if phase == Phase::Start {
        let mut run = bench.start(Some(options));
        run.wait_until(serves)?;
        return Ok(run);
    }
    let mut run = bench.start(None);
    if let Some(ended) = run.wait_until(serves)? {
        return Err(format!(
            "ended before anything failed: {ended}: {}",
            run.log()
        ));
    }
    if phase == Phase::Recovery {
        // One that has the spare ready.
        std::thread::sleep(30 * STEP);
    }
    let before = run.status();
    run.attach(options);
    match phase {
        Phase::Recovery => {
            run.kill("KILL", &before["host"]["pid"]);
            run.serves_again(&before)?;
            // The next spare is started after that.
            std::thread::sleep(50 * STEP);
        }
        _ => run.kill("TERM", run.child.id()),
    }
    if phase == Phase::Stop {
        run.end()?;
    }
    Ok(run)
}

/// The calls of a phase, from a run in which nothing fails.
fn record(bench: &Bench, phase: Phase) -> Vec<Injection> {
    let run = play(bench, phase, &[]).unwrap_or_else(|why| panic!("{phase:?}: {why}"));
    let mut counts = BTreeMap::<String, usize>::new();
    for line in run.trace().lines() {
        let Some((call, _)) = line.split_once('(') else {
            continue;
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if call.chars().all(plain) && !LEFT_OUT.split_whitespace().any(|out| out == call) {
            *counts.entry(call.to_owned()).or_default() += 1;
        }
    }
    assert!(counts.len() > 5, "{phase:?}: only {counts:?}");
    let each = counts
        .into_iter()
        .flat_map(|(call, count)| (1..=count.min(OCCURRENCES)).map(move |nth| (call.clone(), nth)));
    each.map(|(call, nth)| Injection { phase, call, nth })
        .collect()
}

/// Fails one call, and looks at what comes of it.
fn inject(bench: &Bench, injection: &Injection) -> Result<Outcome, String> {
    let mut run = play(bench, injection.phase, &injection.options())?;
    let told = |why, run: &Run<'_>| format!("{why}; its log:\n{}", run.log());
    run.detach();
    let early = run.child.try_wait().expect("a child of ours");
    let ended = match early {
        Some(ended) => ended,
        None => run.stop().map_err(|why| told(why, &run))?,
    };
    let reached = run.trace().contains("(INJECTED)");
    let aborted = ended.code().is_none();
    let removes = ["unlink", "rmdir"].contains(&injection.call.as_str());
    run.nothing_left(aborted || removes)
        .map_err(|why| told(why, &run))?;
    if !ended.success() && run.log().trim().is_empty() {
        return Err(format!("ends with {ended} and says nothing"));
    }
    Ok(match (reached, early.is_some_and(|_| !ended.success())) {
        (false, _) => Outcome::NotReached,
        (true, _) if aborted => Outcome::Aborted,
        (true, true) => Outcome::EndedWithReason,
        (true, false) => Outcome::WentOn,
    })
}

/// About as many as wanted, evenly from all.
fn sample(all: Vec<Injection>, wanted: usize) -> Vec<Injection> {
    let step = all.len().div_ceil(wanted);
    all.into_iter().step_by(step.max(1)).collect()
}

fn has_strace() -> bool {
    let traced = Command::new("strace")
        .args([
            "-D",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "inject=getpid:error=EIO:when=99",
        ])
        .arg("true")
        .stderr(Stdio::null())
        .status();
    traced.is_ok_and(|status| status.success())
}

#[test]
fn no_system_call_that_fails_makes_it_hang_leak_or_spoil_the_next_run() {
    let test = "no_system_call_that_fails_makes_it_hang_leak_or_spoil_the_next_run";
    in_namespace(test, || {
        if File::options()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .is_err()
        {
            return println!("SKIP: {test}: no /dev/net/tun");
        }
        if !has_strace() {
            return println!("SKIP: {test}: no strace, or it may not trace");
        }
        fail_them(&Bench::new());
    });
}

fn fail_them(bench: &Bench) {
    let phases = [Phase::Start, Phase::Recovery, Phase::Stop];
    let mut injections: Vec<_> = phases
        .iter()
        .flat_map(|phase| record(bench, *phase))
        .collect();
    if std::env::var_os(ALL).is_none() {
        injections.retain(|one| !KNOWN.split(' ').any(|known| known == one.call));
        injections = sample(injections, SAMPLE);
    }
    let mut outcomes = BTreeMap::<(Phase, Outcome), Vec<String>>::new();
    let mut problems = Vec::new();
    for injection in &injections {
        let Injection { phase, call, nth } = injection;
        let name = format!("{call}:{nth}");
        eprintln!("{phase:?} {name}");
        let outcome = inject(bench, injection);
        match outcome {
            Ok(outcome) => outcomes
                .entry((*phase, outcome))
                .or_default()
                .push(name.clone()),
            Err(why) => problems.push(format!("{phase:?} {name}: {why}")),
        }
        if let Err(why) = bench.normal_run() {
            problems.push(format!("after {phase:?} {name}, a normal run: {why}"));
        }
    }
    let mut summary = String::new();
    for ((phase, outcome), names) in &outcomes {
        let _ = writeln!(
            summary,
            "{phase:?} {outcome:?} {}: {}",
            names.len(),
            names.join(" ")
        );
    }
    let _ = writeln!(
        summary,
        "{} failed calls, {} problems",
        injections.len(),
        problems.len()
    );
    let text = format!("{summary}{}\n", problems.join("\n"));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("injections");
    fs::write(file, &text).expect("room");
    assert!(problems.is_empty(), "{text}");
}
