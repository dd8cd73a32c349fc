//! A driver host's calls: while it gets ready and is locked in, takes the device over, drives it,
//! finds its back end again, and stops. Whatever becomes of it, its supervisor goes on: the same
//! host or the next one drives the device, and nothing of the one before is left.
//!
//! Hosts are started by way of a shell: `umnet update --binary /bin/sh` makes it the program that
//! hosts are started from, and it runs the script `driver-host` in the supervisor's folder. The
//! script has strace start one host whenever it finds words for it.
//!
//! A call that strace fails is made under a number that is none, and for that the cage ends the
//! process. So calls after lock-down are failed in hosts without a cage, which make the same ones.

use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::bench::{Bench, PATIENCE, PAUSE, Run, STEP, is_traced};
use crate::calls::{Injection, calls, failed_event};
use crate::support::namespace::sh;
use crate::support::rig::Process;

const SHELL: &str = "/bin/sh";
/// Words for strace, until a host is started with them.
const ARMED: &str = "armed";

/// What a host is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Until it says that it is ready; in the cage.
    Preparation,
    /// From then on until the device runs.
    Takeover,
    /// Driving, and stopping.
    Work,
}

/// How it was for a supervisor that a host's call failed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    HostWentOn,
    HostReplaced,
    NotReached,
    /// The call was one that cannot fail like that.
    Impossible,
}

/// A supervisor whose hosts can be traced, and what it has when all is well.
pub(crate) struct Ground<'b> {
    bench: &'b Bench,
    run: Run<'b>,
    fds: usize,
    mounts: usize,
    carrier_changes: String,
    device: Option<&'b BackEnd>,
}

/// The process of a back end, to be killed and started again.
pub(crate) struct BackEnd {
    pub(crate) start: Box<dyn Fn() -> Process>,
    pub(crate) process: std::cell::RefCell<Option<Process>>,
}

impl BackEnd {
    fn start_again(&self) {
        let before = self.process.borrow_mut().take().expect("it runs");
        before.end("KILL");
        *self.process.borrow_mut() = Some((self.start)());
    }
}

fn drives(status: &Value) -> bool {
    status["host"].is_object() && status["down"].is_null()
}

fn script(bench: &Bench) -> String {
    let host = format!("{} driver-host \"$@\"", bench.program().display());
    let (folder, trace) = (bench.path(""), bench.path("trace"));
    format!(
        "cd {}\n\
         if [ -e {ARMED} ]; then\n\
             words=$(cat {ARMED}); rm {ARMED}\n\
             exec strace -D -f -qq -s 200 -o {} $words {host}\n\
         fi\n\
         exec {host}\n",
        folder.display(),
        trace.display()
    )
}

impl<'b> Ground<'b> {
    pub(crate) fn new(bench: &'b Bench, device: Option<&'b BackEnd>) -> Result<Self, String> {
        fs::write(bench.path("driver-host"), script(bench)).expect("a folder of ours");
        let run = bench.serving()?;
        let mut ground = Self {
            bench,
            run,
            fds: 0,
            mounts: mounts(),
            carrier_changes: String::new(),
            device,
        };
        ground.run.umnet(&["update", "--binary", SHELL])?;
        ground.settle()?;
        // Whoever asks for the status has one open for a moment.
        let samples = (0..20).map(|_| {
            std::thread::sleep(STEP);
            ground.open_fds()
        });
        let fewest = samples.min();
        ground.fds = fewest.unwrap_or_default();
        ground.carrier_changes = carrier_changes();
        Ok(ground)
    }

    /// Waits until there are a host and a spare, and nobody else.
    fn settle(&mut self) -> Result<(u64, u64), String> {
        let start = Instant::now();
        loop {
            if let Some(ended) = self.run.has_ended() {
                return Err(format!("the supervisor has ended: {ended}"));
            }
            let status = self.run.status();
            let active = status["host"]["pid"].as_u64().filter(|_| drives(&status));
            let own = u64::from(self.run.pid());
            let all = self.bench.processes();
            let others: Vec<_> = all.into_iter().map(u64::from).collect();
            let mut spares = others
                .iter()
                .filter(|&&pid| pid != own && Some(pid) != active);
            if let (Some(active), Some(spare), None) = (active, spares.next(), spares.next())
                && (self.fds == 0 || self.open_fds() <= self.fds)
            {
                return Ok((active, *spare));
            }
            if start.elapsed() > PATIENCE {
                return Err(format!(
                    "processes {others:?}, {} descriptors instead of {}: {status}",
                    self.open_fds(),
                    self.fds
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn open_fds(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.run.pid());
        fs::read_dir(folder).into_iter().flatten().count()
    }

    fn trace(&self) -> String {
        fs::read_to_string(self.bench.path("trace")).unwrap_or_default()
    }

    /// A host with these words for strace, from its first call to its last.
    fn play(&mut self, options: &[String]) -> Result<Outcome, String> {
        let (active, spare) = self.settle()?;
        self.carrier_changes = carrier_changes();
        let _ = fs::remove_file(self.bench.path("trace"));
        fs::write(self.bench.path(ARMED), options.join(" ")).expect("a folder of ours");
        self.run.kill("KILL", spare);
        self.wait_for("no host is started", |ground| {
            !ground.bench.path(ARMED).exists()
        })?;
        // One that gets ready has the time to.
        std::thread::sleep(30 * STEP);
        self.run.kill("KILL", active);
        let next = self.driver_other_than(active)?;
        let traced = is_traced(next);
        if traced {
            self.find_again(next)?;
            // It may fail where it stops; whoever comes next does without it.
            let _ = self.run.umnet(&["update", "--binary", SHELL]);
            self.driver_other_than(next)?;
        }
        self.settle()?;
        self.wait_for("strace stays", |ground| ground.has_strace_ended())?;
        if mounts() != self.mounts {
            return Err(format!("{} mounts instead of {}", mounts(), self.mounts));
        }
        // A back end that is gone is a reason.
        if self.device.is_none() && carrier_changes() != self.carrier_changes {
            return Err(format!(
                "{} after {}",
                carrier_changes(),
                self.carrier_changes
            ));
        }
        Ok(match (self.trace().contains("(INJECTED)"), traced) {
            (false, _) => Outcome::NotReached,
            (true, true) => Outcome::HostWentOn,
            (true, false) => Outcome::HostReplaced,
        })
    }

    fn driver_other_than(&mut self, before: u64) -> Result<u64, String> {
        let other = |status: &Value| drives(status) && status["host"]["pid"] != before;
        match self.run.wait_until(other)? {
            Some(ended) => Err(format!("the supervisor has ended: {ended}")),
            None => Ok(self.run.status()["host"]["pid"]
                .as_u64()
                .unwrap_or_default()),
        }
    }

    /// The back end is killed and comes again; so does the connection to it, or another host.
    fn find_again(&mut self, host: u64) -> Result<(), String> {
        let Some(device) = self.device else {
            return Ok(());
        };
        let found = |log: &str| log.matches("connected to the back end again").count();
        let before = found(&self.run.log());
        device.start_again();
        self.wait_for("the back end is not found again", |ground| {
            let status = ground.run.status();
            found(&ground.run.log()) > before || (drives(&status) && status["host"]["pid"] != host)
        })
    }

    fn wait_for(&self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        let start = Instant::now();
        while !done(self) {
            if start.elapsed() > PATIENCE {
                return Err(format!("{what}: {}", self.run.status()));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn has_strace_ended(&self) -> bool {
        let trace = self.bench.path("trace");
        let open = "for fd in /proc/[0-9]*/fd/*; do readlink $fd; done 2>/dev/null || true";
        !sh(open).contains(&trace.display().to_string())
    }

    /// The calls of a host, by what it is at.
    pub(crate) fn record(&mut self) -> Vec<(Part, Injection)> {
        self.play(&[])
            .unwrap_or_else(|why| panic!("{why}: {}", self.run.log()));
        let trace = self.trace();
        let said = |word: &str| {
            let says = |line: &str| line.contains("sendmsg(") && line.contains(word);
            let line = trace.lines().position(says);
            line.unwrap_or_else(|| panic!("no host says {word}: {trace}"))
        };
        let (ready, started) = (said("Ready"), said("Started"));
        let of = |line: usize| match line {
            _ if line <= ready => Part::Preparation,
            _ if line <= started => Part::Takeover,
            _ => Part::Work,
        };
        let found = calls(&trace).into_iter();
        found.map(|(line, one)| (of(line), one)).collect()
    }

    /// Fails one call.
    pub(crate) fn inject(&mut self, injection: &Injection) -> Result<Outcome, String> {
        let outcome = self.play(&injection.options());
        if failed_event(&self.trace()) {
            return Ok(Outcome::Impossible);
        }
        outcome.map_err(|why| format!("{why}; the log:\n{}", self.run.log()))
    }

    /// Ends the supervisor; nothing is left, and the next run works.
    pub(crate) fn end(mut self) -> Result<(), String> {
        let ended = self.run.stop()?;
        if !ended.success() {
            return Err(format!("ended with {ended}"));
        }
        self.run.nothing_left(false)?;
        drop(self.run);
        self.bench.normal_run()
    }
}

/// How often the interface's carrier has come or gone.
fn carrier_changes() -> String {
    sh("ip -s -s -j link show dev um0 | grep -o '\"carrier_changes\":[0-9]*'")
}

fn mounts() -> usize {
    let table = fs::read_to_string("/proc/self/mounts").expect("proc");
    // `ip netns` of anybody on this machine makes a mount that shows here; a host makes none of these.
    let pinned = |line: &&str| line.split(' ').nth(2) == Some("nsfs");
    table.lines().filter(|line| !pinned(line)).count()
}
