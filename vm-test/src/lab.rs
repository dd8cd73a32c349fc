//! Where one scenario runs: its directory, its guests, and what is told when it fails or cannot run.

use crate::accel::{self, Accel};
use crate::host_net::HostNet;
use crate::image::{self, Image};
use crate::machine::Machine;
use crate::topology::Wire;
use crate::vm::{BOOT, Starting, Trace, Vm};
use crate::{Backend, Error, Nic, Result};
use rustix::fs::{FlockOperation, flock};
use std::cell::{OnceCell, RefCell};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Directories of failed runs that stay.
const KEPT_RUNS: usize = 8;

/// Runs a scenario. It fails when `body` panics or errs; it prints `SKIP:` and why when `body` meets
/// [`Error::Unavailable`].
///
/// # Panics
/// When the scenario fails, after printing what its guests have left.
#[track_caller]
pub fn scenario(body: impl FnOnce(&Lab) -> Result<()>) {
    perform(Image::find(), body);
}

/// [`scenario`] with guests of another kernel series such as `6.12`, whatever `KERNEL` says.
///
/// # Panics
/// As [`scenario`].
#[track_caller]
pub fn scenario_on(series: &str, body: impl FnOnce(&Lab) -> Result<()>) {
    perform(Image::of(series), body);
}

#[track_caller]
fn perform(image: Result<Image>, body: impl FnOnce(&Lab) -> Result<()>) {
    let name = scenario_name();
    let lab = match image.and_then(|image| Lab::with_image(&name, image)) {
        Ok(lab) => lab,
        Err(Error::Unavailable(why)) => return skip(&name, &why),
        Err(error) => panic!("{name}: {error}"),
    };
    match catch_unwind(AssertUnwindSafe(|| body(&lab))) {
        Ok(Ok(())) => lab.clean(),
        Ok(Err(Error::Unavailable(why))) => {
            lab.clean();
            skip(&name, &why);
        }
        Ok(Err(error)) => {
            lab.print_report();
            panic!("{name}: {error}");
        }
        Err(panic) => {
            lab.print_report();
            resume_unwind(panic);
        }
    }
}

/// Factor on every deadline, from `VM_MARGIN`; 1 unless set.
pub fn margin() -> u32 {
    static MARGIN: OnceLock<u32> = OnceLock::new();
    *MARGIN.get_or_init(|| {
        let text = std::env::var("VM_MARGIN").unwrap_or_default();
        text.parse().map_or(1, |factor: u32| factor.max(1))
    })
}

/// libtest names the thread after the test, except where it runs tests on its first thread.
#[track_caller]
fn scenario_name() -> String {
    let place = Location::caller();
    match std::thread::current().name() {
        Some(name) if name != "main" => name.replace("::", "-"),
        _ => {
            let file = Path::new(place.file()).file_stem().unwrap_or_default();
            format!("{}-line-{}", file.to_string_lossy(), place.line())
        }
    }
}

/// Past libtest, which shows nothing of a test that passes.
pub(crate) fn announce(line: &str) {
    let _ = writeln!(std::io::stderr(), "vm-test: {line}");
}

fn skip(name: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIP: {name}: {why}");
}

/// The QEMU program.
pub(crate) fn qemu() -> &'static str {
    static QEMU: OnceLock<String> = OnceLock::new();
    QEMU.get_or_init(|| std::env::var("QEMU").unwrap_or_else(|_| "qemu-system-x86_64".to_string()))
}

/// Whether QEMU's `virtio-net-pci` has a property; a QEMU that does not say has all.
pub(crate) fn qemu_knows(property: &str) -> bool {
    static HELP: OnceLock<String> = OnceLock::new();
    let help = HELP.get_or_init(|| {
        let asked = Command::new(qemu())
            .args(["-device", "virtio-net-pci,help"])
            .output();
        asked.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    });
    lists(help, property)
}

fn lists(help: &str, property: &str) -> bool {
    let mut names = help
        .lines()
        .filter_map(|line| line.trim_start().split_once('='));
    help.is_empty() || names.any(|(name, _)| name == property)
}

/// A scenario's place: a directory for logs and sockets, and the guests booted in it.
#[derive(Debug)]
pub struct Lab {
    directory: PathBuf,
    /// Keeps `/proc/self/fd/N` a short name for the directory, whatever its path.
    handle: File,
    image: Image,
    qemu_version: String,
    initrd: OnceCell<()>,
    traces: RefCell<Vec<Trace>>,
    _lock: Option<File>,
}

impl Lab {
    /// A place for guests under `target/vm`, for programs other than tests.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when QEMU or the image is missing.
    pub fn open(name: &str) -> Result<Self> {
        Self::with_image(name, Image::find()?)
    }

    fn with_image(name: &str, image: Image) -> Result<Self> {
        Self::place(name, image, qemu_version()?, machine_lock()?)
    }

    /// Another place under the same lock.
    pub(crate) fn beside(&self, name: &str) -> Result<Self> {
        Self::place(name, self.image.clone(), self.qemu_version.clone(), None)
    }

    fn place(name: &str, image: Image, qemu_version: String, lock: Option<File>) -> Result<Self> {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}.{}.{number}", std::process::id());
        let all = image::repository().join("target/vm");
        forget_old(&all);
        let directory = all.join(name);
        let what = || format!("creating {}", directory.display());
        std::fs::create_dir_all(&directory).map_err(Error::io(what()))?;
        let handle = File::open(&directory).map_err(Error::io(what()))?;
        let (initrd, traces) = (OnceCell::new(), RefCell::default());
        Ok(Self {
            directory,
            handle,
            image,
            qemu_version,
            initrd,
            traces,
            _lock: lock,
        })
    }

    /// Starts a machine and waits until its guest has booted.
    ///
    /// # Errors
    /// What kept it from booting.
    pub fn boot(&self, machine: Machine) -> Result<Vm> {
        let accel = self.accel_for(&machine)?;
        self.boot_under(machine, accel, BOOT)
    }

    /// The same with umnet in the guest; skips the scenario where there is none.
    ///
    /// # Errors
    /// As [`Lab::needs_umnet`] and [`Lab::boot`].
    pub fn boot_with_umnet(&self, machine: Machine) -> Result<Vm> {
        self.needs_umnet()?;
        self.boot(machine)
    }

    /// The same with one card, `n0`, that is plugged in there.
    ///
    /// # Errors
    /// As [`Lab::boot_with_umnet`].
    pub fn boot_card(&self, backend: Backend) -> Result<Vm> {
        self.boot_with_umnet(Machine::new().nic(Nic::new("n0", backend)))
    }

    /// Boots several machines at the same time; each is started once the sockets of those before it are
    /// open.
    ///
    /// # Errors
    /// What kept one of them from booting.
    pub fn boot_all<const N: usize>(&self, machines: [Machine; N]) -> Result<[Vm; N]> {
        let mut starting = Vec::with_capacity(N);
        for machine in machines {
            let accel = self.accel_for(&machine)?;
            starting.push(Starting::new(self, machine, accel, BOOT * 2)?);
        }
        let vms = starting
            .into_iter()
            .map(Starting::finish)
            .collect::<Result<Vec<_>>>()?;
        vms.try_into()
            .map_err(|_| Error::Command("as many guests as machines".to_string()))
    }

    /// Moves a running guest into another QEMU, which is given the same machine but for what it is
    /// plugged into. The guest goes on there, mid-word; the QEMU it was in ends.
    ///
    /// # Errors
    /// What either QEMU said, [`Error::Deadline`] when it takes too long.
    pub fn migrate(&self, vm: Vm, machine: Machine) -> Result<Vm> {
        let number = self.traces.borrow().len();
        let socket = format!("{number}.migration");
        let machine = machine
            .qemu_arg("-incoming")
            .qemu_arg(format!("unix:{socket}"));
        let accel = self.accel_for(&machine)?;
        let next = Starting::new(self, machine, accel, BOOT)?;
        vm.migrate_to(&socket)?;
        drop(vm);
        next.finish()
    }

    pub(crate) fn boot_under(
        &self,
        machine: Machine,
        accel: Accel,
        within: Duration,
    ) -> Result<Vm> {
        Starting::new(self, machine, accel, within)?.finish()
    }

    /// A cable with one end in this process.
    ///
    /// # Errors
    /// [`Error::Io`] when the socket cannot be made.
    pub fn wire(&self, name: &str) -> Result<Wire> {
        let socket = format!("{name}.wire");
        let listener = UnixListener::bind(self.socket_path(&socket))
            .map_err(Error::io(format!("binding {socket}")))?;
        Ok(Wire::new(listener, socket))
    }

    /// A network namespace on the host, for TAPs.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where neither root nor user namespaces allow it.
    pub fn host_net(&self) -> Result<HostNet> {
        HostNet::new()
    }

    /// Skips the scenario unless the static umnet is there to be put into the guest.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the command that builds it.
    pub fn needs_umnet(&self) -> Result<()> {
        image::umnet().map(drop)
    }

    /// Skips the scenario unless the dynamically linked umnet is there to be put into the guest,
    /// where it is called `umnet-dynamic`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the command that builds it.
    pub fn needs_dynamic_umnet(&self) -> Result<()> {
        image::dynamic().map(drop)
    }

    /// A client driver, compiled from a source of the repository against its headers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without a compiler, or what the compiler said.
    pub fn client(&self, source: &str) -> Result<Vec<u8>> {
        image::client(source, &self.directory().join("client.so"))
    }

    /// What will execute ordinary guests.
    ///
    /// # Errors
    /// When `ACCEL` is misspelt.
    pub fn accel(&self) -> Result<Accel> {
        accel::choose(self)
    }

    /// QEMU's version line.
    pub fn qemu_version(&self) -> &str {
        &self.qemu_version
    }

    /// The number in that line, such as "10.0.2".
    pub fn qemu_number(&self) -> &str {
        number_in(&self.qemu_version)
    }

    /// Bytes before every frame in the dump of a card on a TAP: up to QEMU 7 its virtio header.
    pub fn dump_header(&self) -> usize {
        let major = self
            .qemu_version
            .split(|c: char| !c.is_ascii_digit())
            .find_map(|word| word.parse::<u32>().ok());
        if major.is_some_and(|major| major < 8) {
            12
        } else {
            0
        }
    }

    /// The guest image.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Where the logs are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the guests have left, for a failure message.
    pub fn report(&self) -> String {
        let guests: String = self.traces.borrow().iter().map(Trace::report).collect();
        format!("{guests}--- all logs: {}\n", self.directory.display())
    }

    /// Deterministic time exists only under TCG.
    fn accel_for(&self, machine: &Machine) -> Result<Accel> {
        if machine.icount {
            Ok(Accel::Tcg)
        } else {
            self.accel()
        }
    }

    /// A label of its own for each guest, and its number.
    pub(crate) fn label(&self, name: &str) -> (String, u8) {
        let number = self.traces.borrow().len();
        let label = if number == 0 {
            name.to_string()
        } else {
            format!("{name}-{number}")
        };
        (label, u8::try_from(number).unwrap_or(u8::MAX))
    }

    pub(crate) fn remember(&self, trace: &Trace) {
        self.traces.borrow_mut().push(trace.clone());
    }

    /// The initramfs in this directory, written at the first boot.
    pub(crate) fn initrd(&self) -> Result<String> {
        let name = "initrd.cpio";
        if self.initrd.get().is_none() {
            self.image.write_initrd(&self.directory.join(name))?;
            let _ = self.initrd.set(());
        }
        Ok(name.to_string())
    }

    /// A socket of the directory by a name short enough for `sun_path`.
    pub(crate) fn socket_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.handle.as_raw_fd()))
    }

    fn print_report(&self) {
        eprint!("{}", self.report());
    }

    /// Removes the logs of a scenario that went well.
    pub fn clean(self) {
        if std::env::var_os("VM_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// Removes what failed or killed runs have left, but for the newest few.
fn forget_old(all: &Path) {
    let abandoned = |directory: &PathBuf| {
        let name = directory
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let pid = name
            .rsplit('.')
            .nth(1)
            .and_then(|pid| pid.parse::<u32>().ok());
        pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    };
    let entries = std::fs::read_dir(all).into_iter().flatten().flatten();
    let mut old: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(abandoned)
        .collect();
    old.sort_by_key(|path| {
        std::fs::metadata(path)
            .and_then(|data| data.modified())
            .ok()
    });
    for directory in old.iter().rev().skip(KEPT_RUNS) {
        let _ = std::fs::remove_dir_all(directory);
    }
}

/// "10.0.2" of "QEMU emulator version 10.0.2 (Debian ...)".
fn number_in(line: &str) -> &str {
    let mut words = line.split_whitespace();
    let number = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    number.unwrap_or(line)
}

fn qemu_version() -> Result<String> {
    static VERSION: OnceLock<Option<String>> = OnceLock::new();
    let version = VERSION.get_or_init(|| {
        let output = Command::new(qemu()).arg("--version").output().ok()?;
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .next()
            .map(str::to_string)
    });
    let missing = || {
        Error::Unavailable(format!(
            "{} is not installed; type: sudo apt-get install qemu-system-x86",
            qemu()
        ))
    };
    version.clone().ok_or_else(missing)
}

/// The lock that `VM_LOCK` names, held as long as the lab.
fn machine_lock() -> Result<Option<File>> {
    let Some(path) = std::env::var_os("VM_LOCK") else {
        return Ok(None);
    };
    let what = format!("locking {}", Path::new(&path).display());
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(Error::io(what.clone()))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| Error::io(what)(error.into()))?;
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_number_in_qemus_line() {
        let line = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds)";
        assert_eq!(number_in(line), "10.0.2");
        assert_eq!(number_in("odd"), "odd");
    }

    #[test]
    fn a_property_is_known_by_its_whole_name() {
        let help = "virtio-net-pci options:\n  guest_uso4=<bool> - on/off\n  rss=<bool>\n";
        assert!(lists(help, "guest_uso4") && lists(help, "rss"));
        assert!(!lists(help, "guest_uso") && !lists(help, "on/off"));
        assert!(lists("", "rss"), "QEMU said nothing");
    }

    #[test]
    fn only_the_newest_abandoned_runs_are_kept() {
        let all = std::env::temp_dir().join(format!("vm-test-old.{}", std::process::id()));
        let own = all.join(format!("running.{}.0", std::process::id()));
        std::fs::create_dir_all(&own).unwrap();
        // No process has a number beyond the kernel's largest.
        (0..KEPT_RUNS + 2)
            .for_each(|n| std::fs::create_dir(all.join(format!("failed.99999999.{n}"))).unwrap());
        std::fs::create_dir(all.join("something-else")).unwrap();
        forget_old(&all);
        assert_eq!(std::fs::read_dir(&all).unwrap().count(), KEPT_RUNS + 2);
        assert!(own.exists() && all.join("something-else").exists());
        std::fs::remove_dir_all(&all).unwrap();
    }
}
