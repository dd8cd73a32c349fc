//! Three processes without a virtual machine: the device, the supervisor, and its driver host.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::namespace::{Frames, Namespace};
use crate::process::{Process, is_alive, wait_until};
use crate::{Result, RigError, system};

/// Where the interface of umnet is.
pub(crate) const NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Where the interface of the device is.
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// For one step, on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What is run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The `umnet` command.
    pub umnet: PathBuf,
    /// The `vhost-user-net-device` command.
    pub device: PathBuf,
    /// What the device's options come after, for programs that play it among other things.
    pub device_arguments: Vec<String>,
}

impl Programs {
    /// Those in the folder `folder`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            umnet: folder.join("umnet"),
            device: folder.join("vhost-user-net-device"),
            device_arguments: Vec::new(),
        }
    }
}

/// What umnet is to do about hosts that die, as far as it is not what it does anyway.
#[derive(Clone, Debug, Default)]
pub struct Restart {
    /// Young deaths until the link goes down.
    pub give_up_after: Option<u32>,
    /// How long the link stays down until the next attempt.
    pub retry_after: Option<Duration>,
}

impl Restart {
    fn file(&self) -> String {
        let deaths = self.give_up_after.map(|n| format!("give_up_after = {n}\n"));
        let retry = self
            .retry_after
            .map(|t| format!("retry_after_ms = {}\n", t.as_millis()));
        let lines = [deaths, retry].into_iter().flatten().collect::<String>();
        format!("[defaults.restart]\n{lines}")
    }
}

/// The two namespaces, and what is between them.
#[derive(Debug)]
pub struct Rig {
    // Ended in this order: umnet before the device, both before their namespaces.
    umnet: Process,
    _device: Process,
    programs: Programs,
    folder: TempDir,
    /// Where `near0` is.
    pub near: Namespace,
    /// Where `far0` is.
    pub far: Namespace,
}

/// What `umnet status --json` says, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Status {
    /// Descriptors in the receive queue.
    pub rx_ring: u64,
    /// Descriptors in the transmit queue.
    pub tx_ring: u64,
    /// Whether there is carrier.
    pub link_up: bool,
    /// Hosts that took over.
    pub restarts: u64,
    /// Supervisors that took over.
    pub supervisor_restarts: u64,
    /// Hosts that were found to hang.
    pub hangs: u64,
    /// Resets by a host of a device that misbehaved.
    pub resets: u64,
    /// The driver host.
    pub host: Option<Host>,
    /// Why there is no driver for now.
    pub down: Option<String>,
}

/// A driver host.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Host {
    /// Its process.
    pub pid: u32,
    /// How it is confined.
    pub cage: String,
}

#[derive(serde::Deserialize)]
struct Statuses {
    devices: Vec<Status>,
}

impl Rig {
    /// Builds it, and waits until frames can pass.
    ///
    /// # Errors
    /// Without the privilege, the programs, or TAP interfaces.
    pub fn start(programs: Programs) -> Result<Self> {
        Self::with_restart(programs, &Restart::default())
    }

    /// The same, with another answer to hosts that die.
    ///
    /// # Errors
    /// As [`Rig::start`].
    pub fn with_restart(programs: Programs, restart: &Restart) -> Result<Self> {
        let folder = TempDir::new().map_err(system("make a folder"))?;
        let (near, far) = (Namespace::new()?, Namespace::new()?);
        let device = start_device(&programs, folder.path(), &far)?;
        far.sh(&format!(
            "ip addr add {FAR}/24 dev far0; ip link set far0 up"
        ))?;
        let config = folder.path().join("umnet.toml");
        fs::write(config, restart.file()).map_err(system("write a configuration"))?;
        let umnet = start_umnet(&programs, folder.path(), &near)?;
        let mut rig = Self {
            umnet,
            _device: device,
            programs,
            folder,
            near,
            far,
        };
        rig.wait_for_host(0)?;
        rig.near.sh(&format!(
            "ip addr add {NEAR}/24 dev near0; ip link set near0 up"
        ))?;
        // A route that nobody but the test has made, to see that it stays.
        rig.near
            .sh(&format!("ip route add 192.0.2.0/24 via {FAR} dev near0"))?;
        Ok(rig)
    }

    /// The supervisor's process.
    #[must_use]
    pub fn supervisor(&self) -> u32 {
        self.umnet.pid()
    }

    /// What it says of itself; nothing while it does not answer.
    pub fn status(&self) -> Option<Status> {
        let output = self.umnet(&["status", "--json"]).ok()?;
        let all: Statuses = serde_json::from_str(&output).ok()?;
        all.devices.into_iter().next()
    }

    /// What the command `umnet` prints with these arguments.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn umnet(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.programs.umnet);
        command
            .arg("--root")
            .arg(self.folder.path())
            .args(arguments);
        let output = command.output().map_err(system("start umnet"))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(RigError::Command {
                command: format!("umnet {}", arguments.join(" ")),
                said: String::from_utf8_lossy(&output.stderr).into_owned(),
            }),
        }
    }

    /// Waits for a driver host that runs and is not `before`.
    ///
    /// # Errors
    /// When there is none in time, or the supervisor has ended.
    pub fn wait_for_host(&mut self, before: u32) -> Result<Status> {
        let what = format!("no driver host but {before}");
        let waited = wait_until(&what, PATIENCE, || {
            if self.umnet.has_ended().is_some() {
                return Some(None);
            }
            let status = self.status()?;
            let pid = status.host.as_ref()?.pid;
            (pid != before && is_alive(pid)).then_some(Some(status))
        });
        match waited {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(self.explained("umnet has ended")),
            Err(_) => Err(self.explained(&what)),
        }
    }

    fn explained(&self, what: &str) -> RigError {
        RigError::Late {
            what: what.to_owned(),
            seconds: PATIENCE.as_secs(),
            said: format!("\n{}", self.umnet_log()),
        }
    }

    /// The end of what umnet has logged.
    #[must_use]
    pub fn umnet_log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("umnet.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// What must not change over anything: index, addresses and routes of `near0`.
    ///
    /// # Errors
    /// When there is no `near0` any longer.
    pub fn identity(&self) -> Result<String> {
        self.near
            .sh("ip -o link show near0 | cut -d: -f1,2; ip -o -4 addr show near0; ip route | sed s/.linkdown//")
    }

    /// How often `near0` has lost or got carrier.
    ///
    /// # Errors
    /// When there is no `near0` any longer.
    pub(crate) fn carrier_changes(&self) -> Result<u64> {
        let json = self.near.sh("ip -j -s -s link show near0")?;
        let link: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
        let changes = link.pointer("/0/stats64/tx/carrier_changes");
        changes
            .and_then(serde_json::Value::as_u64)
            .ok_or_else(|| RigError::Command {
                command: "ip -j -s -s link show near0".to_owned(),
                said: json,
            })
    }

    /// What `near0` and `far0` have counted.
    ///
    /// # Errors
    /// When there is no `near0` any longer.
    pub(crate) fn frames(&self) -> Result<(Frames, Frames)> {
        Ok((self.near.frames("near0")?, self.far.frames("far0")?))
    }

    /// Ends umnet in good order; whether it ended well.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(mut self) -> Result<bool> {
        Ok(self.umnet.terminate(PATIENCE)?.success())
    }
}

fn log(folder: &Path, name: &str) -> Result<File> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(folder.join(name));
    file.map_err(system("open a log"))
}

fn start_device(programs: &Programs, folder: &Path, far: &Namespace) -> Result<Process> {
    let socket = folder.join("device.sock");
    let mut command = Command::new(&programs.device);
    command.args(&programs.device_arguments);
    command
        .arg("--socket-path")
        .arg(&socket)
        .args(["--tap", "far0", "--log", "warn"]);
    command
        .stdout(Stdio::null())
        .stderr(log(folder, "device.log")?);
    let device = far.run(|| Process::start(&mut command))?;
    let listening = || UnixStream::connect(&socket).ok().map(drop);
    wait_until("the device does not listen", PATIENCE, listening)?;
    Ok(device)
}

fn start_umnet(programs: &Programs, folder: &Path, near: &Namespace) -> Result<Process> {
    let mut command = Command::new(&programs.umnet);
    command.arg("--root").arg(folder).arg("run");
    command.arg(format!(
        "vhost-user:{}",
        folder.join("device.sock").display()
    ));
    command
        .args(["--ifname", "near0", "--config"])
        .arg(folder.join("umnet.toml"));
    command.env_remove("UMNET_LOG");
    command
        .stdout(Stdio::null())
        .stderr(log(folder, "umnet.log")?);
    near.run(|| Process::start(&mut command))
}

/// A port there.
pub(crate) fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}
