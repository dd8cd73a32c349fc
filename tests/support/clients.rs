//! Client drivers: compiled from source, and hosted by the built command.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::machine::{Machine, Outcome, umnet};

/// How long a client may take to come up, or to go.
const PATIENCE: Duration = Duration::from_secs(20);

/// Compiles a client with the flags that the command prints. `None`, after saying SKIP, where
/// there is no clang.
pub(crate) fn compile(source: &str, name: &str, defines: &[&str]) -> Option<PathBuf> {
    compile_all(&[source], name, defines)
}

/// The same for a client of several sources.
pub(crate) fn compile_all(sources: &[&str], name: &str, defines: &[&str]) -> Option<PathBuf> {
    let cxx = sources.iter().any(|source| source.ends_with(".cpp"));
    let compiler = if cxx { "clang++" } else { "clang" };
    if Command::new(compiler).arg("--version").output().is_err() {
        println!("SKIP: {sources:?}: no {compiler} to compile it (package clang)");
        return None;
    }
    let here = |source: &&str| Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    fs::create_dir_all(&folder).expect("folder");
    let client = folder.join(format!("{name}.so"));
    let output = Command::new(compiler)
        .args(flags(cxx))
        .args(["-Wall", "-O1", "-o"])
        .arg(&client)
        .args(defines.iter().map(|define| format!("-D{define}")))
        .args(sources.iter().map(here))
        .output()
        .expect("it was there a moment ago");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    assert_eq!(complaints, "", "warnings");
    Some(client)
}

/// What `umnet client-flags` says.
fn flags(cxx: bool) -> Vec<String> {
    let mut command = umnet();
    command.arg("client-flags").args(cxx.then_some("--cxx"));
    let output = command.output().expect("umnet starts");
    let text = String::from_utf8(output.stdout).expect("text");
    text.split_whitespace().map(str::to_owned).collect()
}

/// A client's run.
pub(crate) struct Hosted {
    child: Child,
    log: PathBuf,
}

impl Hosted {
    /// Starts `umnet run --client` on a machine with these further arguments.
    pub(crate) fn start(machine: &Machine, client: &Path, args: &[&str]) -> Self {
        let words = Self::words(machine, client, args);
        Self::start_as(machine, Command::new(&words[0]).args(&words[1..]))
    }

    /// The command line of that.
    pub(crate) fn words(machine: &Machine, client: &Path, args: &[&str]) -> Vec<String> {
        let root = machine.path("").display().to_string();
        let client = client.display().to_string();
        let umnet = env!("CARGO_BIN_EXE_umnet");
        let run = [umnet, "--root", &root, "--log", "debug", "run", "--client"];
        let words = run.into_iter().chain([client.as_str()]);
        words
            .chain(args.iter().copied())
            .map(str::to_owned)
            .collect()
    }

    /// Starts it by a command that was prepared.
    pub(crate) fn start_as(machine: &Machine, command: &mut Command) -> Self {
        let log = machine.path("log");
        let file = fs::File::create(&log).expect("file");
        let child = command
            .env_remove("UMNET_LOG")
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("file"))
            .stderr(file)
            .spawn()
            .expect("umnet starts");
        Self { child, log }
    }

    /// The same, and waits until all devices run.
    pub(crate) fn up(machine: &Machine, client: &Path, args: &[&str]) -> Self {
        let mut hosted = Self::start(machine, client, args);
        hosted.wait_for(" device(s) with ");
        hosted
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until something is said.
    pub(crate) fn wait_for(&mut self, words: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.said().contains(words) {
            let ended = self.child.try_wait().expect("our child");
            assert!(
                ended.is_none() && Instant::now() < end,
                "'{words}' was not said ({ended:?}):\n{}",
                self.said()
            );
            sleep(Duration::from_millis(10));
        }
    }

    /// Asks the run to end, as a service manager does.
    pub(crate) fn stop(self) -> Outcome {
        self.end_by(rustix::process::Signal::TERM)
    }

    /// Ends the run by a signal.
    pub(crate) fn end_by(self, signal: rustix::process::Signal) -> Outcome {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("our child");
        self.end()
    }

    /// Asks it to end unless it has, and waits for the end.
    pub(crate) fn stop_if_running(mut self) -> Outcome {
        match self.child.try_wait().expect("our child") {
            Some(_) => self.end(),
            None => {
                sleep(Duration::from_millis(200));
                let pid = rustix::process::Pid::from_child(&self.child);
                // It may have ended meanwhile; then there is nobody to ask.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                self.end()
            }
        }
    }

    /// Waits for the end. A run that was ended by a signal has the code a shell shows.
    pub(crate) fn end(mut self) -> Outcome {
        use std::os::unix::process::ExitStatusExt;
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            if Instant::now() > end {
                let _ = self.child.kill();
                panic!("the run does not end:\n{}", self.said());
            }
            sleep(Duration::from_millis(10));
        };
        let signal = status.signal().map(|signal| 128 + signal);
        let mut stderr = String::new();
        let mut file = fs::File::open(&self.log).expect("file");
        file.read_to_string(&mut stderr).expect("text");
        Outcome {
            code: status.code().or(signal).expect("ended"),
            stdout: String::new(),
            stderr,
        }
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        // Ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
