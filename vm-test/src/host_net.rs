//! A network namespace on the host: the far side of cards with offloads and several queues, which QEMU
//! offers only on a TAP.

use crate::output::{Ending, Output};
use crate::process::{self, Kept};
use crate::{Error, Result};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Host time for a command that names none.
const ORDINARY: Duration = Duration::from_secs(30);
/// What `timeout` exits with when it had to act.
const TIMED_OUT: i32 = 124;

/// A namespace of its own, gone with this value; nothing in it reaches the host's network.
#[derive(Debug)]
pub struct HostNet {
    holder: Kept,
    user_namespace: bool,
}

impl HostNet {
    /// Makes a namespace: as root directly, otherwise inside a user namespace.
    pub(crate) fn new() -> Result<Self> {
        let user_namespace = !rustix::process::geteuid().is_root();
        let flags = if user_namespace {
            "--user --map-root-user --net"
        } else {
            "--net"
        };
        let prefix: Vec<String> = format!("unshare {flags}")
            .split(' ')
            .map(str::to_string)
            .collect();
        let mut command = process::command(&prefix, "/bin/sh");
        command.args([
            "-c",
            "ip link set lo up && echo ready && exec sleep infinity",
        ]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut holder =
            process::start(command).map_err(|error| Error::Unavailable(error.to_string()))?;
        let mut said = String::new();
        if let Some(stdout) = holder.child().stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut said)
                .map_err(Error::io("making a namespace"))?;
        }
        if said.trim() == "ready" {
            return Ok(Self {
                holder,
                user_namespace,
            });
        }
        let mut why = String::new();
        if let Some(stderr) = holder.child().stderr.take() {
            let _ = BufReader::new(stderr).read_line(&mut why);
        }
        Err(Error::Unavailable(format!(
            "no network namespace for a TAP here: {}; {}",
            why.trim(),
            remedy(user_namespace)
        )))
    }

    /// Makes a TAP, up, for [`Backend::tap`](crate::Backend::tap); `queues` as for
    /// [`Nic::queue_pairs`](crate::Nic::queue_pairs).
    ///
    /// # Errors
    /// [`Error::Unavailable`] where TAPs are not allowed.
    pub fn tap(&self, ifname: &str, queues: u16) -> Result<()> {
        let multi = if queues > 1 { "multi_queue" } else { "" };
        let make = format!(
            "ip tuntap add dev {ifname} mode tap vnet_hdr {multi} && ip link set {ifname} up"
        );
        let output = self.run(&make)?;
        if output.success() {
            return Ok(());
        }
        let next = if self.user_namespace {
            "run this as root, or type: sudo chmod 666 /dev/net/tun"
        } else {
            "type: modprobe tun"
        };
        Err(Error::Unavailable(format!(
            "no TAP in a network namespace here: {}; {next}",
            output.stderr.trim()
        )))
    }

    /// Runs a shell line in the namespace.
    ///
    /// # Errors
    /// When it cannot be started; a line that fails is none.
    pub fn run(&self, line: &str) -> Result<Output> {
        self.run_for(line, ORDINARY)
    }

    /// The same with another limit, in host time.
    ///
    /// # Errors
    /// As [`HostNet::run`].
    pub fn run_for(&self, line: &str, timeout: Duration) -> Result<Output> {
        let seconds = (timeout * crate::margin()).as_secs().max(1);
        let enter = self.enter();
        let mut command = Command::new(&enter[0]);
        command.args(&enter[1..]).args([
            "timeout",
            "-k",
            "5",
            &seconds.to_string(),
            "/bin/sh",
            "-c",
            line,
        ]);
        let done = command
            .stdin(Stdio::null())
            .output()
            .map_err(Error::io(format!("running `{line}`")))?;
        Ok(Output {
            command: line.to_string(),
            ending: match done.status.code() {
                Some(TIMED_OUT) => Ending::TimedOut,
                Some(code) => Ending::Code(code),
                None => Ending::Signal(0),
            },
            stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        })
    }

    /// Runs a shell line that must succeed and returns its standard output.
    ///
    /// # Panics
    /// With command, exit code and output when it does not.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        match self.run(line).and_then(Output::into_stdout) {
            Ok(stdout) => stdout,
            Err(error) => panic!("on the host: {error}"),
        }
    }

    /// Starts a program in the namespace; it is killed when the returned value goes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, program: &str, arguments: &[&str]) -> Result<HostJob> {
        let mut command = process::command(&self.enter(), program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        process::start(command).map(|process| HostJob { process })
    }

    /// Words that enter the namespace and run what follows them.
    pub(crate) fn enter(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        let user = ["--user", "--preserve-credentials"];
        let words = ["nsenter", "--target", &pid, "--net"].into_iter();
        words
            .chain(user.into_iter().filter(|_| self.user_namespace))
            .map(str::to_string)
            .collect()
    }
}

/// Kernel settings that bar users from namespaces, with the values that do not.
const USER_NAMESPACES: [(&str, &str); 2] = [
    ("kernel.apparmor_restrict_unprivileged_userns", "0"),
    ("kernel.unprivileged_userns_clone", "1"),
];

/// What helps where no namespace can be made.
fn remedy(user_namespace: bool) -> String {
    if !user_namespace {
        return "root lacks CAP_SYS_ADMIN, as in a container".to_string();
    }
    let bars = |(key, allows): &(&str, &str)| {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        std::fs::read_to_string(path).is_ok_and(|value| value.trim() != *allows)
    };
    match USER_NAMESPACES.iter().find(|setting| bars(setting)) {
        Some((key, value)) => format!("run this as root, or type: sudo sysctl {key}={value}"),
        None => "run this as root".to_string(),
    }
}

/// A program running in a [`HostNet`].
#[derive(Debug)]
pub struct HostJob {
    process: Kept,
}

impl HostJob {
    /// Waits for its end; whether it came in time, with exit code 0.
    pub fn succeeds_within(&mut self, timeout: Duration) -> bool {
        self.process
            .wait(timeout * crate::margin())
            .is_some_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_only_its_own_interfaces() {
        let net = match HostNet::new() {
            Ok(net) => net,
            Err(error) => return println!("SKIP: {error}"),
        };
        assert_eq!(
            net.ok("ip -o link | wc -l").trim(),
            "1",
            "only the loopback"
        );
        assert_eq!(net.run("exit 3").unwrap().code(), Some(3));
    }

    #[test]
    fn a_command_past_its_time_is_ended() {
        let net = match HostNet::new() {
            Ok(net) => net,
            Err(error) => return println!("SKIP: {error}"),
        };
        let output = net.run_for("sleep 30", Duration::from_secs(1)).unwrap();
        assert_eq!(output.ending, Ending::TimedOut);
    }
}
