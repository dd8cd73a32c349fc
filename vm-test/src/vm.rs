//! A running guest.

use crate::accel::Accel;
use crate::console;
use crate::guest::Guest;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::nic::Mac;
use crate::process::{self, Kept};
use crate::qmp::Qmp;
use crate::{Error, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A boot takes about 3 s under TCG and says something all the time; silent for so long, it hangs.
pub(crate) const BOOT: Duration = Duration::from_secs(30);
/// QEMU opens its sockets before the guest's first instruction.
const SOCKETS: Duration = Duration::from_secs(10);
/// A boot that keeps talking, as on a busy host, may take so many times longer.
const SLOW_BOOT: u32 = 6;
/// A guest of half a gigabyte that changes its memory all the time.
const MIGRATION: Duration = Duration::from_secs(60);
/// In deterministic time a guest second takes several of the host.
const ICOUNT_PATIENCE: u32 = 8;
/// Lines of the console and of QEMU's messages that a failure shows.
const SHOWN_LINES: usize = 40;

/// A card of a running guest.
#[derive(Debug, Clone)]
pub struct PluggedNic {
    /// The id given to [`Nic::new`](crate::Nic::new).
    pub id: String,
    /// Its address.
    pub mac: Mac,
    /// Its PCI address in the guest, as umnet takes it.
    pub pci: String,
}

/// A running guest; QEMU is killed when this goes.
#[derive(Debug)]
pub struct Vm {
    /// Commands in the guest.
    pub guest: Guest,
    /// QEMU's controls.
    pub qmp: Qmp,
    nics: Vec<PluggedNic>,
    trace: Trace,
    qemu: Kept,
}

/// What remains of a guest for a failure message, also after QEMU is gone.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    label: String,
    command_line: String,
    console: PathBuf,
    messages: PathBuf,
}

/// QEMU runs, the guest boots.
pub(crate) struct Starting {
    machine: Machine,
    guest_number: u8,
    deadline: Duration,
    qmp: Qmp,
    runner: UnixStream,
    qemu: Kept,
    pub(crate) trace: Trace,
}

impl Vm {
    /// The kernel's interface of a card.
    ///
    /// # Errors
    /// As [`Guest::ifname`].
    ///
    /// # Panics
    /// As [`Vm::nic`].
    #[track_caller]
    pub fn ifname(&self, nic: &str) -> Result<String> {
        self.guest.ifname(&self.nic(nic).mac)
    }

    /// Puts the kernel's interface of a card into a network namespace: that, and its name there.
    ///
    /// # Errors
    /// As [`Vm::ifname`], or when the guest refuses.
    ///
    /// # Panics
    /// As [`Vm::nic`].
    #[track_caller]
    pub fn set_apart(&self, nic: &str, namespace: &str) -> Result<(Guest, String)> {
        let ifname = self.ifname(nic)?;
        let there = self.guest.netns(namespace)?;
        self.guest
            .ok(&format!("ip link set {ifname} netns {namespace}"));
        Ok((there, ifname))
    }

    /// A card by its id.
    ///
    /// # Panics
    /// When the machine was given none with that id: a mistake in the scenario.
    #[track_caller]
    pub fn nic(&self, id: &str) -> &PluggedNic {
        let nic = self.nics.iter().find(|nic| nic.id == id);
        nic.unwrap_or_else(|| panic!("this machine has no card {id}"))
    }

    /// What the guest's console has shown.
    pub fn console(&self) -> String {
        console::tail(&self.trace.console, usize::MAX)
    }

    /// QEMU's command line, as it can be typed in the directory of the logs.
    pub fn command_line(&self) -> &str {
        &self.trace.command_line
    }

    /// Where QEMU's own messages go, those of its trace among them.
    pub fn qemu_log(&self) -> &Path {
        &self.trace.messages
    }

    /// QEMU's process on the host, for measurements of its processor time.
    pub fn qemu_pid(&self) -> u32 {
        self.qemu.id()
    }

    /// Sends the guest to the QEMU that listens on a socket of the lab's directory.
    pub(crate) fn migrate_to(&self, socket: &str) -> Result<()> {
        let uri = json!({ "uri": format!("unix:{socket}") });
        self.qmp.execute("migrate", uri)?;
        let deadline = Instant::now() + MIGRATION * crate::margin();
        loop {
            let state = self.qmp.execute("query-migrate", json!({}))?;
            match state["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    return Err(Error::Qmp {
                        command: "migrate".to_string(),
                        why: state.to_string(),
                    });
                }
                _ if Instant::now() > deadline => {
                    return Err(Error::Deadline {
                        what: format!("the migration: {state}"),
                        within: MIGRATION,
                    });
                }
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Stops QEMU's process where it stands, for a while: the guest's clock jumps, as on a machine
    /// that was suspended. A machine stopped by QMP does not notice: its clock stands still too.
    ///
    /// # Errors
    /// [`Error::Io`] when QEMU is gone.
    pub fn freeze(&self, length: Duration) -> Result<()> {
        let pid = i32::try_from(self.qemu.id()).ok().and_then(Pid::from_raw);
        let send = |signal| {
            let sent = pid.map_or(Ok(()), |pid| kill_process(pid, signal));
            sent.map_err(|errno| Error::io("freezing QEMU")(errno.into()))
        };
        send(Signal::STOP)?;
        std::thread::sleep(length);
        send(Signal::CONT)
    }

    /// The end of the console, QEMU's messages and its command line.
    pub fn report(&self) -> String {
        self.trace.report()
    }
}

impl Starting {
    /// Starts QEMU and waits for its sockets.
    pub(crate) fn new(
        lab: &Lab,
        machine: Machine,
        accel: Accel,
        deadline: Duration,
    ) -> Result<Self> {
        let (label, guest_number) = lab.label(&machine.name);
        let initrd = lab.initrd()?;
        let words = machine.qemu_words(accel, &label, guest_number, &lab.image().kernel(), &initrd);
        let trace = Trace::new(lab, &label, &machine.prefix, &words);
        lab.remember(&trace);
        let log = File::create(&trace.messages).map_err(Error::io("creating QEMU's log"))?;
        let again = log.try_clone().map_err(Error::io("sharing QEMU's log"))?;
        let mut command = process::command(&machine.prefix, crate::lab::qemu());
        command.args(&words).current_dir(lab.directory());
        command.stdin(Stdio::null()).stdout(log).stderr(again);
        let mut qemu = process::start(command)?;
        let connect = |qemu: &mut Kept, extension| {
            connect(lab, &format!("{label}.{extension}"), qemu, &trace)
        };
        let socket = connect(&mut qemu, "qmp")?;
        let qmp = Qmp::new(socket).map_err(|error| why_not(&mut qemu, &trace, error))?;
        let runner = connect(&mut qemu, "runner")?;
        Ok(Self {
            machine,
            guest_number,
            deadline,
            qmp,
            runner,
            qemu,
            trace,
        })
    }

    /// Waits until the guest has booted.
    pub(crate) fn finish(mut self) -> Result<Vm> {
        let patience = if self.machine.icount {
            ICOUNT_PATIENCE
        } else {
            1
        };
        let guest = Guest::new(self.runner, patience)?;
        let silence = self.deadline * patience * crate::margin();
        watch_boot(&mut self.qemu, &self.trace, &guest, silence)?;
        let nics = self
            .machine
            .nics
            .iter()
            .enumerate()
            .map(|(index, nic)| PluggedNic {
                id: nic.id.clone(),
                mac: self.machine.mac(index, self.guest_number),
                pci: self.machine.pci(index),
            });
        Ok(Vm {
            guest,
            qmp: self.qmp,
            nics: nics.collect(),
            trace: self.trace,
            qemu: self.qemu,
        })
    }
}

/// Waits for the guest's boot, and ends QEMU when the console stays silent for too long.
fn watch_boot(qemu: &mut Kept, trace: &Trace, guest: &Guest, silence: Duration) -> Result<()> {
    let hung = std::thread::scope(|scope| {
        let boot = scope.spawn(|| guest.wait_until_booted(silence * SLOW_BOOT));
        let (mut said, mut since) = (0, Instant::now());
        while !boot.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
            let says = std::fs::metadata(&trace.console).map_or(0, |data| data.len());
            if says != said {
                (said, since) = (says, Instant::now());
            } else if since.elapsed() > silence {
                qemu.kill();
                return Ok(true);
            }
        }
        boot.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .map(|()| false)
    });
    match hung {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::Deadline {
            what: "a sign of life from the booting guest".to_string(),
            within: silence,
        }),
        Err(error) => Err(why_not(qemu, trace, error)),
    }
}

/// QEMU's own words where it has just ended, instead of what that did to its sockets.
fn why_not(qemu: &mut Kept, trace: &Trace, error: Error) -> Error {
    qemu.wait(Duration::from_millis(200));
    ended(qemu, trace).unwrap_or(error)
}

/// Connects to a socket that QEMU is about to open.
fn connect(lab: &Lab, name: &str, qemu: &mut Kept, trace: &Trace) -> Result<UnixStream> {
    let within = SOCKETS * crate::margin();
    let deadline = Instant::now() + within;
    loop {
        match UnixStream::connect(lab.socket_path(name)) {
            Ok(socket) => return Ok(socket),
            Err(_) if Instant::now() < deadline => {}
            Err(_) => {
                return Err(Error::Deadline {
                    what: format!("QEMU's socket {name}"),
                    within,
                });
            }
        }
        if let Some(error) = ended(qemu, trace) {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The error to report when QEMU is no more.
fn ended(qemu: &mut Kept, trace: &Trace) -> Option<Error> {
    let status = qemu.ended()?.to_string();
    Some(Error::QemuEnded {
        status,
        stderr: console::tail(&trace.messages, 5),
    })
}

impl Trace {
    fn new(lab: &Lab, label: &str, prefix: &[String], words: &[String]) -> Self {
        let quoted = words
            .iter()
            .map(|word| quote(word))
            .collect::<Vec<_>>()
            .join(" ");
        let enter = prefix
            .iter()
            .map(|word| format!("{word} "))
            .collect::<String>();
        Self {
            label: label.to_string(),
            command_line: format!("{enter}{} {quoted}", crate::lab::qemu()),
            console: lab.directory().join(format!("{label}.console.log")),
            messages: lab.directory().join(format!("{label}.qemu.log")),
        }
    }

    pub(crate) fn report(&self) -> String {
        format!(
            "--- {label}: end of the console ({}) ---\n{}\n--- {label}: QEMU's messages ---\n{}\n--- {label}: command ---\n{}\n",
            self.console.display(),
            console::tail(&self.console, SHOWN_LINES),
            console::tail(&self.messages, SHOWN_LINES),
            self.command_line,
            label = self.label,
        )
    }
}

/// A word as a shell takes it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=,.:/+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{word}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_spaces_are_quoted() {
        assert_eq!(quote("q35,x=on"), "q35,x=on");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote(""), "''");
    }
}
