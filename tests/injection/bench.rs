//! The program under test, and its runs.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::machine::Machine;
use crate::support::namespace::sh;
use crate::support::rig::wait_until;

/// Longer than this is a hang: the longest deadline is what a host has to get ready.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often things are looked at.
pub(crate) const STEP: Duration = Duration::from_millis(10);
/// And how often the supervisor is asked, which takes a process.
pub(crate) const PAUSE: Duration = Duration::from_millis(40);

/// Hosts that die are replaced at once however many they are, and a fallback is short.
const SETTINGS: &str = "[defaults.restart]\nretry_after_ms = 500\nsettled_after_ms = 10\n";
/// One more setting, with which a host that does not answer is left alone.
pub(crate) const PATIENT: &str = "hang_after_ms = 600000\n";

/// The program under test, by a name of its own so that its processes can be told, and what it is
/// to drive.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    program: PathBuf,
    /// What stands for it on the command line.
    driven: Vec<String>,
    /// More of `umnet run`.
    pub(crate) options: &'static [&'static str],
    pub(crate) more_settings: &'static str,
}

/// A run of it. At its end nothing of it is left, whatever happened.
pub(crate) struct Run<'b> {
    bench: &'b Bench,
    pub(crate) machine: Machine,
    child: Child,
    tracer: Option<Child>,
}

impl Bench {
    pub(crate) fn new(driven: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let program = folder.path().join("umnet");
        fs::copy(env!("CARGO_BIN_EXE_umnet"), &program).expect("room for a copy");
        Self {
            folder,
            program,
            driven: driven.iter().copied().map(str::to_owned).collect(),
            options: &[],
            more_settings: "",
        }
    }

    /// Where its runs begin.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Processes of the program, zombies left out.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let all = fs::read_dir("/proc").expect("proc");
        let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_ours = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == self.program)
        };
        pids.filter(is_ours).collect()
    }

    pub(crate) fn start(&self, traced: Option<&[String]>) -> Run<'_> {
        let machine = Machine::new();
        let settings = [SETTINGS, self.more_settings].concat();
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
        command.arg("run").args(&self.driven);
        command.args(["--ifname", "um0", "--config"]);
        command.arg(machine.path("umnet.toml")).args(self.options);
        command.current_dir(self.folder.path());
        let log = File::create(machine.path("log")).expect("a file of ours");
        let child = command.stdout(Stdio::null()).stderr(log).spawn();
        Run {
            bench: self,
            machine,
            child: child.expect("it starts"),
            tracer: None,
        }
    }

    /// A run in which nothing fails, and which drives the device.
    pub(crate) fn serving(&self) -> Result<Run<'_>, String> {
        let mut run = self.start(None);
        match run.wait_until(|status| status["host"].is_object())? {
            None => Ok(run),
            Some(ended) => Err(format!(
                "ended before anything failed: {ended}: {}",
                run.log()
            )),
        }
    }

    /// The run that comes next.
    pub(crate) fn normal_run(&self) -> Result<(), String> {
        let mut run = self.serving()?;
        let ended = run.stop()?;
        match ended.success() {
            true => run.nothing_left(false),
            false => Err(format!("ended with {ended}")),
        }
    }
}

impl Run<'_> {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn status(&self) -> Value {
        let all = self.umnet(&["status", "--json"]).unwrap_or_default();
        let all: Value = serde_json::from_str(&all).unwrap_or_default();
        all["devices"][0].clone()
    }

    /// What a command says, or why it fails.
    pub(crate) fn umnet(&self, words: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.bench.program)
            .arg("--root")
            .arg(self.machine.path(""))
            .args(words)
            .output()
            .expect("it starts");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.machine.path("log")).unwrap_or_default()
    }

    pub(crate) fn trace(&self) -> String {
        fs::read_to_string(self.machine.path("trace")).unwrap_or_default()
    }

    pub(crate) fn kill(&self, signal: &str, pid: impl std::fmt::Display) {
        sh(&format!("kill -{signal} {pid} 2>/dev/null || true"));
    }

    /// How it has ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Waits for something that `status` shows, or the end.
    pub(crate) fn wait_until(
        &mut self,
        done: impl Fn(&Value) -> bool,
    ) -> Result<Option<ExitStatus>, String> {
        let start = Instant::now();
        loop {
            if let Some(ended) = self.has_ended() {
                return Ok(Some(ended));
            }
            let status = self.status();
            if done(&status) {
                return Ok(None);
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("hangs: {status}"));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> Result<ExitStatus, String> {
        let start = Instant::now();
        loop {
            if let Some(ended) = self.has_ended() {
                return Ok(ended);
            }
            if start.elapsed() > PATIENCE {
                return Err("does not stop".to_owned());
            }
            std::thread::sleep(STEP);
        }
    }

    pub(crate) fn stop(&mut self) -> Result<ExitStatus, String> {
        self.kill("TERM", self.pid());
        self.end()
    }

    /// Has a tracer hold a process; by and by.
    pub(crate) fn trace_process(&mut self, pid: u32, options: &[String]) {
        let tracer = Command::new("strace")
            .args(["-qq", "-o"])
            .arg(self.machine.path("trace"))
            .args(options)
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::null())
            .spawn();
        self.tracer = Some(tracer.expect("strace was there a moment ago"));
    }

    /// Has a tracer hold the supervisor from now on.
    pub(crate) fn attach(&mut self, options: &[String]) {
        let pid = self.pid();
        self.trace_process(pid, options);
        // Twice, a while apart: it is stopped for a moment until the options are in force.
        for _ in 0..2 {
            wait_until("strace does not get hold of it", || {
                is_traced(pid) && !is_stopped(pid)
            });
            std::thread::sleep(5 * STEP);
        }
    }

    pub(crate) fn detach(&mut self) {
        if let Some(mut tracer) = self.tracer.take() {
            self.kill("TERM", tracer.id());
            let _ = tracer.wait();
        }
    }

    /// Waits until another host than `before` drives the device.
    pub(crate) fn serves_again(&mut self, before: &Value) -> Result<Option<ExitStatus>, String> {
        let old = before["host"]["pid"].clone();
        self.wait_until(|status| status["host"].is_object() && status["host"]["pid"] != old)
    }

    /// Nothing of the run is there any more. Files may be, after an abort or where removing them
    /// is what failed: the next run has to live with that.
    pub(crate) fn nothing_left(&self, files_may_stay: bool) -> Result<(), String> {
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
            let files = all_below(&self.machine.path("run"));
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

fn says(pid: impl std::fmt::Display, line: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.contains(line)
}

pub(crate) fn is_traced(pid: impl std::fmt::Display + Copy) -> bool {
    says(pid, "TracerPid:") && !says(pid, "TracerPid:\t0\n")
}

/// Whether its tracer keeps it from going on.
pub(crate) fn is_stopped(pid: impl std::fmt::Display) -> bool {
    says(pid, "State:\tt")
}

/// Whether it is gone, or SIGKILL has reached it.
pub(crate) fn is_killed(pid: impl std::fmt::Display + Copy) -> bool {
    !says(pid, "ShdPnd:") || says(pid, "ShdPnd:\t0000000000000100\n")
}

/// Files, sockets and folders.
fn all_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let with_deeper = paths.flat_map(|path| {
        let deeper = all_below(&path);
        std::iter::once(path).chain(deeper)
    });
    with_deeper.collect()
}
