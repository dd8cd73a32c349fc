//! A picture of a machine in a temporary folder, with somebody who plays its kernel: sysfs, /proc
//! and /dev as umnet reads and writes them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;
use umnet::host::Host;

/// A machine with VFIO and an IOMMU, and no card yet.
pub(crate) struct Machine {
    dir: TempDir,
}

/// A virtio-net card to be put into a machine.
#[derive(Clone)]
pub(crate) struct Card {
    pub(crate) address: &'static str,
    pub(crate) device_id: &'static str,
    pub(crate) group: Option<u32>,
    pub(crate) interface: &'static str,
    pub(crate) mac: &'static str,
}

/// A name that no machine running these tests has.
pub(crate) const CARD: Card = Card {
    address: "0001:02:03.0",
    device_id: "0x1041",
    group: Some(7),
    interface: "umnetcard0",
    mac: "52:54:00:12:34:56",
};

impl Machine {
    pub(crate) fn new() -> Self {
        let machine = Self {
            dir: TempDir::new().expect("temporary folder"),
        };
        for driver in ["virtio-pci", "vfio-pci", "e1000e"] {
            machine.file(&format!("sys/bus/pci/drivers/{driver}/bind"), "");
            machine.file(&format!("sys/bus/pci/drivers/{driver}/unbind"), "");
        }
        machine.file("sys/bus/pci/drivers_probe", "");
        machine.file("sys/class/iommu/dmar0/type", "");
        machine.file("sys/module/vfio_iommu_type1/refcnt", "0");
        machine.file("sys/class/net/lo/address", "00:00:00:00:00:00");
        machine.file("proc/sys/kernel/osrelease", "6.1.0-test");
        machine.file("proc/cmdline", "quiet");
        machine.file("proc/self/status", "CapEff:\t000001ffffffffff");
        fs::create_dir(machine.path("run")).expect("folder");
        machine.file("dev/vfio/vfio", "");
        machine.file("dev/net/tun", "");
        machine
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn host(&self) -> Host {
        Host::at(self.dir.path())
    }

    pub(crate) fn file(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("folder");
        fs::write(path, text).expect("file");
    }

    pub(crate) fn link(&self, path: &str, target: &Path) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("folder");
        symlink(target, path).expect("link");
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_dir_all(self.path(path)).expect("was there");
    }

    /// Puts in a card, driven by virtio-pci.
    pub(crate) fn card(&self, card: &Card) {
        self.function(
            card.address,
            "0x1af4",
            card.device_id,
            "0x020000",
            card.group,
        );
        self.bound(card.address, "virtio-pci");
        appear(&self.path("sys"), card);
    }

    /// Puts in any PCI function, without a driver.
    pub(crate) fn function(
        &self,
        address: &str,
        vendor: &str,
        device: &str,
        class: &str,
        group: Option<u32>,
    ) {
        let dir = format!("sys/bus/pci/devices/{address}");
        self.file(&format!("{dir}/vendor"), vendor);
        self.file(&format!("{dir}/device"), device);
        self.file(&format!("{dir}/class"), class);
        self.file(&format!("{dir}/driver_override"), "(null)\n");
        if let Some(group) = group {
            let group = format!("sys/kernel/iommu_groups/{group}");
            self.file(&format!("{group}/type"), "DMA\n");
            self.link(&format!("{group}/devices/{address}"), &self.path(&dir));
            self.link(&format!("{dir}/iommu_group"), &self.path(&group));
        }
    }

    pub(crate) fn bound(&self, address: &str, driver: &str) {
        let dir = self.path(&format!("sys/bus/pci/drivers/{driver}"));
        self.link(&format!("sys/bus/pci/devices/{address}/driver"), &dir);
    }

    pub(crate) fn driver_of(&self, card: &Card) -> Option<String> {
        let link = self.path(&format!("sys/bus/pci/devices/{}/driver", card.address));
        Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
    }

    /// Nothing has changed since `before`.
    pub(crate) fn is_as(&self, before: &[String]) {
        let now = self.everything();
        let new: Vec<_> = now.iter().filter(|line| !before.contains(line)).collect();
        let gone: Vec<_> = before.iter().filter(|line| !now.contains(line)).collect();
        assert!(
            new.is_empty() && gone.is_empty(),
            "left behind: {new:#?}\ngone: {gone:#?}"
        );
    }

    /// All files and links with what they hold, to see that nothing was changed.
    pub(crate) fn everything(&self) -> Vec<String> {
        let mut all = Vec::new();
        collect(self.dir.path(), &mut all);
        all.sort();
        all
    }

    /// Runs the command on this machine.
    pub(crate) fn umnet(&self, args: &[&str]) -> Outcome {
        let mut command = umnet();
        command.arg("--root").arg(self.dir.path()).args(args);
        outcome(&mut command)
    }
}

fn collect(dir: &Path, all: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("folder") {
        let path = entry.expect("entry").path();
        let name = path.display().to_string();
        if path.is_symlink() {
            all.push(format!(
                "{name} -> {}",
                fs::read_link(&path).expect("link").display()
            ));
        } else if path.is_dir() {
            all.push(name);
            collect(&path, all);
        } else {
            all.push(format!(
                "{name}: {}",
                fs::read_to_string(&path).expect("file").trim()
            ));
        }
    }
}

/// The built command, without the environment's wishes.
pub(crate) fn umnet() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_umnet"));
    command.env_remove("SSH_CONNECTION").env_remove("UMNET_LOG");
    command
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// What it printed, as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

pub(crate) fn outcome(command: &mut Command) -> Outcome {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("umnet starts");
    Outcome {
        code: status.code().expect("not killed"),
        stdout: String::from_utf8(stdout).expect("text"),
        stderr: String::from_utf8(stderr).expect("text"),
    }
}

/// Plays the kernel until dropped: binds and unbinds what is written to sysfs.
pub(crate) struct Kernel {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the kernel does beside moving a card from driver to driver.
pub(crate) struct Manners {
    /// Whether vfio-pci refuses all cards.
    pub(crate) vfio_refuses: bool,
    /// The interface's name when the card comes back, and what happens to real interfaces.
    pub(crate) on_return: Box<dyn Fn() -> Card + Send>,
    /// The card's interface goes.
    pub(crate) on_leave: Box<dyn Fn() + Send>,
}

impl Manners {
    pub(crate) fn plain(card: &Card) -> Self {
        let card = card.clone();
        Self {
            vfio_refuses: false,
            on_return: Box::new(move || card.clone()),
            on_leave: Box::new(|| {}),
        }
    }
}

impl Kernel {
    pub(crate) fn start(machine: &Machine, manners: Manners) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let root = machine.dir.path().to_owned();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                turn(&root, &manners);
                thread::sleep(Duration::from_millis(2));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("joined once");
        thread.join().expect("the kernel did not panic");
    }
}

/// Carries out what was written since the last turn. Probes are read first but done last: whoever
/// wrote an unbind before the probe had it done first.
fn turn(root: &Path, manners: &Manners) {
    let drivers = root.join("sys/bus/pci/drivers");
    let probe = take(&root.join("sys/bus/pci/drivers_probe"));
    let binds = ["virtio-pci", "vfio-pci"].map(|driver| take(&drivers.join(driver).join("bind")));
    for driver in ["virtio-pci", "vfio-pci"] {
        if let Some(address) = take(&drivers.join(driver).join("unbind")) {
            leave(root, &address, driver, manners);
        }
    }
    for address in [probe].into_iter().chain(binds).flatten() {
        join(root, &address, manners);
    }
}

fn take(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    fs::write(file, "").expect("attribute");
    Some(text.to_owned())
}

fn leave(root: &Path, address: &str, driver: &str, manners: &Manners) {
    let dir = root.join("sys/bus/pci/devices").join(address);
    if fs::remove_file(dir.join("driver")).is_err() {
        return;
    }
    match driver {
        "vfio-pci" => drop(fs::remove_file(vfio_file(root, &dir))),
        _ => {
            fs::remove_dir_all(dir.join("virtio0")).expect("a driven card has an interface");
            (manners.on_leave)();
        }
    }
}

fn join(root: &Path, address: &str, manners: &Manners) {
    let dir = root.join("sys/bus/pci/devices").join(address);
    if dir.join("driver").exists() {
        return;
    }
    let wanted = fs::read_to_string(dir.join("driver_override")).expect("attribute");
    let driver = match wanted.trim() {
        "" | "(null)" => "virtio-pci",
        driver => driver,
    };
    if driver == "vfio-pci" && manners.vfio_refuses {
        return;
    }
    if driver == "vfio-pci" {
        fs::write(vfio_file(root, &dir), "").expect("group file");
    } else {
        appear(&root.join("sys"), &(manners.on_return)());
    }
    symlink(
        root.join("sys/bus/pci/drivers").join(driver),
        dir.join("driver"),
    )
    .expect("link");
}

fn vfio_file(root: &Path, dir: &Path) -> PathBuf {
    let group = fs::read_link(dir.join("iommu_group")).expect("a group");
    root.join("dev/vfio")
        .join(group.file_name().expect("a number"))
}

/// The card's interface comes up in sysfs.
fn appear(sys: &Path, card: &Card) {
    let net = sys.join(format!(
        "bus/pci/devices/{}/virtio0/net/{}",
        card.address, card.interface
    ));
    fs::create_dir_all(&net).expect("folder");
    fs::write(net.join("address"), card.mac).expect("attribute");
}
