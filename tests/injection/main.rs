//! System calls failed one at a time by strace: those of the supervisor while it starts, replaces
//! a killed host and stops, with a device in the process and with a client, and those of a driver
//! host over its whole life, with a device in the process and with a back end. Nothing may hang, be
//! left behind, or spoil the run that comes next.
//!
//! A few of them in every run of the tests, all with `make inject`, and with `make inject CALL=words`
//! those whose line in the account has the words, as in `CALL="Stop sendto:1"`.

mod bench;
mod calls;
mod hosts;
mod supervisor;
#[path = "../support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bench::{Bench, PATIENT, is_killed, is_stopped, is_traced};
use calls::Injection;
use hosts::{BackEnd, Ground, Part};
use supervisor::Phase;
use support::clients::compile;
use support::namespace::{in_namespace, sh};
use support::rig::wait_until;

/// How many of the supervisor's, and of a client's supervisor's or a host's, are failed where not all
/// are wanted.
const SAMPLE: (usize, usize) = (20, 6);
/// Set to `all`, or to what the names of those that are wanted have in them.
const WANTED: &str = "UMNET_INJECT";
/// A client with one adapter.
const CLIENT: &str = "netadapter-shim/examples/loopback.c";
/// Hosts' calls that are failed under one supervisor.
const BATCH: usize = 12;

#[test]
#[ignore = "not a test: the tests start themselves again as the device's process"]
fn device_process() {
    support::rig::device_process();
}

fn has_strace() -> bool {
    let fault = "inject=getpid:error=EIO:when=99";
    let traced = Command::new("strace")
        .args(["-D", "-qq", "-o", "/dev/null", "-e", fault, "true"])
        .stderr(Stdio::null())
        .status();
    traced.is_ok_and(|status| status.success())
}

fn where_possible(test: &str, body: impl FnOnce()) {
    in_namespace(test, || {
        let tun = File::options().read(true).write(true).open("/dev/net/tun");
        if tun.is_err() {
            return println!("SKIP: {test}: no /dev/net/tun");
        }
        if !has_strace() {
            return println!("SKIP: {test}: no strace, or it may not trace");
        }
        body();
    });
}

/// What is wanted, or about `few` of all, evenly.
fn choose<P: Debug>(all: Vec<(P, Injection)>, few: usize) -> Vec<(P, Injection)> {
    let step = all.len().div_ceil(few).max(1);
    match std::env::var(WANTED) {
        Ok(wanted) if wanted == "all" => all,
        Ok(wanted) => {
            let name = |(at, one): &(P, Injection)| format!("{at:?} {} ", one.name());
            let is_wanted = |one: &_| name(one).contains(&wanted);
            all.into_iter().filter(is_wanted).collect()
        }
        Err(_) => all.into_iter().step_by(step).collect(),
    }
}

/// What came of the calls that failed.
struct Account {
    name: &'static str,
    outcomes: BTreeMap<String, Vec<String>>,
    problems: Vec<String>,
}

impl Account {
    fn of(name: &'static str) -> Self {
        Self {
            name,
            outcomes: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Where it is to be read, also while it is not complete.
    fn file(&self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("injections-{}", self.name))
    }

    fn note(&mut self, at: impl Debug, one: &Injection, outcome: Result<impl Debug, String>) {
        let name = one.name();
        let so_far = format!("{at:?} {name} so far: {outcome:?}\n");
        fs::write(self.file(), so_far).expect("room");
        match outcome {
            Ok(outcome) => self
                .outcomes
                .entry(format!("{at:?} {outcome:?}"))
                .or_default()
                .push(name),
            Err(why) => self.problems.push(format!("{at:?} {name}: {why}")),
        }
    }

    fn close(self) {
        let mut text = String::new();
        let mut count = self.problems.len();
        for (outcome, names) in &self.outcomes {
            count += names.len();
            let _ = writeln!(text, "{outcome} {}: {}", names.len(), names.join(" "));
        }
        let problems = self.problems.len();
        let _ = writeln!(
            text,
            "{}: {count} failed calls, {problems} problems",
            self.name
        );
        text.push_str(&self.problems.join("\n"));
        fs::write(self.file(), &text).expect("room");
        assert!(self.problems.is_empty(), "{text}");
        println!("{text}");
    }
}

/// Fails the calls of a supervisor.
fn fail_supervisor(name: &'static str, bench: &Bench, few: usize) {
    let phases = [Phase::Start, Phase::Recovery, Phase::Stop];
    let recorded = phases.into_iter().flat_map(|phase| {
        let calls = supervisor::record(bench, phase).into_iter();
        calls.map(move |one| (phase, one))
    });
    let mut account = Account::of(name);
    for (phase, one) in choose(recorded.collect(), few) {
        eprintln!("{name} {phase:?} {}", one.name());
        account.note(phase, &one, supervisor::inject(bench, phase, &one));
        if let Err(why) = bench.normal_run() {
            let why = format!("a normal run after it: {why}");
            account.note(phase, &one, Err::<(), _>(why));
        }
    }
    account.close();
}

#[test]
fn no_call_of_the_supervisor_that_fails_makes_it_hang_leak_or_spoil_the_next_run() {
    let test = "no_call_of_the_supervisor_that_fails_makes_it_hang_leak_or_spoil_the_next_run";
    where_possible(test, || {
        fail_supervisor("supervisor", &Bench::new(&["in-process"]), SAMPLE.0);
    });
}

#[test]
fn no_call_of_a_clients_supervisor_that_fails_makes_it_hang_leak_or_spoil_the_next_run() {
    let test =
        "no_call_of_a_clients_supervisor_that_fails_makes_it_hang_leak_or_spoil_the_next_run";
    let Some(client) = compile(CLIENT, "injected", &[]) else {
        return;
    };
    where_possible(test, || {
        let bench = Bench::new(&["--client", &client.display().to_string()]);
        fail_supervisor("supervisor-of-client", &bench, SAMPLE.1);
    });
}

/// Fails the calls of hosts that get ready in the cage, and of hosts that work without one.
fn fail_hosts(name: &'static str, mut bench: Bench, device: Option<&BackEnd>) {
    let mut account = Account::of(name);
    for caged in [true, false] {
        bench.options = if caged { &[] } else { &["--uncaged"] };
        let mut ground = Ground::new(&bench, device).expect("all is well");
        let mut wanted = ground.record();
        ground.end().expect("all is well");
        wanted.retain(|(part, _)| (*part == Part::Preparation) == caged);
        for batch in choose(wanted, SAMPLE.1).chunks(BATCH) {
            let mut ground = Ground::new(&bench, device).expect("all is well");
            for (part, one) in batch {
                eprintln!("{name} {part:?} {}", one.name());
                account.note(part, one, ground.inject(one));
            }
            if let Err(why) = ground.end() {
                let (part, last) = batch.last().expect("chunks are not empty");
                account.note(part, last, Err::<(), _>(format!("or one before it: {why}")));
            }
        }
    }
    account.close();
}

#[test]
fn no_call_of_a_host_that_fails_keeps_the_device_from_being_driven() {
    let test = "no_call_of_a_host_that_fails_keeps_the_device_from_being_driven";
    where_possible(test, || {
        fail_hosts("host", Bench::new(&["in-process"]), None)
    });
}

#[test]
fn a_host_that_hangs_in_a_call_ends_with_its_supervisor() {
    let test = "a_host_that_hangs_in_a_call_ends_with_its_supervisor";
    where_possible(test, || {
        let mut bench = Bench::new(&["in-process"]);
        bench.more_settings = PATIENT;
        let mut run = bench.serving().expect("all is well");
        let host = run.status()["host"]["pid"].as_u64().expect("one drives");
        // It does not read that its supervisor is gone: the next challenge is the last it hears of.
        let options = ["-e", "inject=epoll_wait:delay_enter=90s"].map(str::to_owned);
        run.trace_process(u32::try_from(host).expect("a process id"), &options);
        wait_until("it does not hang", || is_traced(host) && is_stopped(host));
        run.kill("KILL", run.pid());
        run.end().expect("it was killed");
        wait_until("it lives on", || is_killed(host));
        // It is gone as soon as its tracer has heard of it.
        run.detach();
        run.nothing_left(true).expect("nothing");
    });
}

#[test]
fn no_call_of_a_host_that_fails_keeps_a_back_end_from_being_driven() {
    let test = "no_call_of_a_host_that_fails_keeps_a_back_end_from_being_driven";
    where_possible(test, || {
        sh("ip tuntap add dev far0 mode tap vnet_hdr; ip link set far0 up");
        let folder = tempfile::tempdir().expect("temporary folder");
        let (socket, log) = (folder.path().join("socket"), folder.path().join("log"));
        let start = move || support::rig::start_device(&socket, &log, &[]);
        let bench = Bench::new(&[&format!("vhost-user:{}/socket", folder.path().display())]);
        let device = BackEnd {
            process: RefCell::new(Some(start())),
            start: Box::new(start),
        };
        fail_hosts("host-of-back-end", bench, Some(&device));
    });
}
