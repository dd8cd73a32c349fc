//! The guest image: what `images/build` made, plus the binaries under test as a second archive, which
//! the kernel unpacks over the first. So the big one stays cached while umnet changes.

use crate::cpio::Archive;
use crate::{Error, Result};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo leaves static binaries.
const STATIC: &str = "target/x86_64-unknown-linux-gnu/release";

/// A finished guest image.
#[derive(Debug, Clone)]
pub struct Image {
    directory: PathBuf,
    release: String,
}

impl Image {
    /// The image of the kernel that `KERNEL` names, or of the default one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it was not built, or not to its end.
    pub fn find() -> Result<Self> {
        Self::of(&std::env::var("KERNEL").unwrap_or_default())
    }

    /// The image of a kernel series such as `6.12`; of the default one where it has no name.
    pub(crate) fn of(kernel: &str) -> Result<Self> {
        let directory = repository().join("target/images").join(kernel);
        let release = std::fs::read_to_string(directory.join("release")).unwrap_or_default();
        // The recipe writes the stamp last.
        if release.is_empty() || !directory.join("stamp").exists() {
            let build = if kernel.is_empty() {
                String::new()
            } else {
                format!("KERNEL={kernel} ")
            };
            let why = format!(
                "no guest image in {}; type: {build}images/build",
                directory.display()
            );
            return Err(Error::Unavailable(why));
        }
        Ok(Self {
            directory,
            release: release.trim().to_string(),
        })
    }

    /// The guest kernel's release, as `uname -r` says it.
    pub fn kernel_release(&self) -> &str {
        &self.release
    }

    pub(crate) fn kernel(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// Writes the initramfs: the image and the binaries over it.
    pub(crate) fn write_initrd(&self, path: &Path) -> Result<()> {
        let what = || format!("writing {}", path.display());
        let base = self.directory.join("base.cpio");
        std::fs::copy(&base, path).map_err(Error::io(what()))?;
        let file = File::options()
            .append(true)
            .open(path)
            .map_err(Error::io(what()))?;
        let mut overlay = Archive::new(io::BufWriter::new(file));
        for (name, binary) in binaries()? {
            overlay
                .file(&format!("bin/{name}"), 0o755, &stripped(&binary)?)
                .map_err(Error::io(what()))?;
        }
        overlay.folder(APART).map_err(Error::io(what()))?;
        for (name, bytes) in dynamic_umnet()?.into_iter().chain(strace()?) {
            overlay
                .file(&name, 0o755, &bytes)
                .map_err(Error::io(what()))?;
        }
        overlay
            .finish()
            .and_then(|mut out| io::Write::flush(&mut out))
            .map_err(Error::io(what()))
    }
}

/// The static umnet, if it has been built.
///
/// # Errors
/// [`Error::Unavailable`] with the command that builds it.
pub(crate) fn umnet() -> Result<PathBuf> {
    static_binary("UMNET_BIN", "umnet")
}

/// Where this machine's programs lie in the guest, with their loader and libraries: apart
/// from the image's own, which are another distribution's.
const APART: &str = "lib/umnet";

/// The dynamically linked umnet, if it has been built: only this one can load client drivers.
///
/// # Errors
/// [`Error::Unavailable`] with the command that builds it.
pub(crate) fn dynamic() -> Result<PathBuf> {
    let path = repository().join("target/release/umnet");
    match path.exists() {
        true => Ok(path),
        false => Err(Error::Unavailable(format!(
            "no dynamically linked umnet at {}; type: cargo build --release -p umnet",
            path.display()
        ))),
    }
}

/// The dynamically linked umnet as files of the guest, started by `umnet-dynamic`.
fn dynamic_umnet() -> Result<Vec<(String, Vec<u8>)>> {
    match dynamic() {
        Ok(program) => apart(&program, "umnet-dynamic", in_place),
        Err(_) => Ok(Vec::new()),
    }
}

/// This machine's strace, if it has one: for scenarios that fail system calls.
fn strace() -> Result<Vec<(String, Vec<u8>)>> {
    let program = Path::new("/usr/bin/strace");
    match program.exists() {
        true => apart(program, "strace", by_its_loader),
        false => Ok(Vec::new()),
    }
}

/// Loader and program, both in [`APART`], to what starts the program.
type Starter = fn(&str, &str) -> String;

fn by_its_loader(loader: &str, program: &str) -> String {
    format!("exec /{APART}/{loader} --library-path /{APART} /{program} \"$@\"")
}

/// For one that starts itself again, which it would not be if its loader had been started: loader
/// and libraries stand where programs look for them, in a mount namespace of its own.
fn in_place(loader: &str, program: &str) -> String {
    let own_loader = format!("mount --bind /{APART}/{loader} /lib64/{loader}");
    let own_libraries = format!("mount --bind /{APART} /lib/x86_64-linux-gnu");
    format!(
        "exec unshare -m sh -c '{own_loader} && {own_libraries} && exec /{program} \"$@\"' sh \"$@\""
    )
}

/// A program of this machine's with its libraries as files of the guest, started by `command`.
fn apart(program: &Path, command: &str, starter: Starter) -> Result<Vec<(String, Vec<u8>)>> {
    let own = format!("{APART}/{command}.program");
    let mut files = vec![(own.clone(), stripped(program)?)];
    let mut loader = None;
    for library in libraries(program)? {
        let name = library
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let bytes = std::fs::read(&library);
        let bytes = bytes.map_err(Error::io(format!("reading {}", library.display())))?;
        if name.starts_with("ld-linux") {
            loader = Some(name.clone());
        }
        files.push((format!("{APART}/{name}"), bytes));
    }
    if let Some(loader) = loader {
        let start = format!("#!/bin/sh\n{}\n", starter(&loader, &own));
        files.push((format!("bin/{command}"), start.into_bytes()));
    }
    Ok(files)
}

/// The libraries a program is loaded with, the loader among them.
pub(crate) fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output();
    let output = output.map_err(Error::io("running ldd".to_owned()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = |line: &str| {
        let word = line.split_whitespace().find(|word| word.starts_with('/'))?;
        Some(PathBuf::from(word))
    };
    Ok(text.lines().filter_map(path).collect())
}

/// Compiles a client driver with the flags that umnet prints.
pub(crate) fn client(source: &str, target: &Path) -> Result<Vec<u8>> {
    let flags = Command::new(dynamic()?).arg("client-flags").output();
    let flags = flags.map_err(Error::io("running umnet client-flags".to_owned()))?;
    let flags = String::from_utf8_lossy(&flags.stdout).into_owned();
    let compiled = Command::new("clang")
        .args(flags.split_whitespace())
        .arg("-o")
        .arg(target)
        .arg(repository().join(source))
        .output();
    let Ok(compiled) = compiled else {
        let why = format!("no clang to compile {source}; type: sudo apt-get install clang");
        return Err(Error::Unavailable(why));
    };
    if !compiled.status.success() {
        let said = String::from_utf8_lossy(&compiled.stderr).into_owned();
        return Err(Error::Guest(format!("{source} does not compile: {said}")));
    }
    std::fs::read(target).map_err(Error::io(format!("reading {}", target.display())))
}

/// The static command runner, which also serves on the host.
///
/// # Errors
/// [`Error::Unavailable`] with the command that builds it.
pub(crate) fn guest_runner() -> Result<PathBuf> {
    static_binary("GUEST_RUNNER_BIN", "guest-runner")
}

/// Everything that goes over the image. Only the runner is indispensable.
fn binaries() -> Result<Vec<(&'static str, PathBuf)>> {
    let runner = guest_runner()?;
    let umnet = umnet().ok().map(|path| ("umnet", path));
    Ok([("guest-runner", runner)]
        .into_iter()
        .chain(umnet)
        .collect())
}

fn static_binary(variable: &str, package: &str) -> Result<PathBuf> {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => repository().join(STATIC).join(package),
    };
    if path.exists() {
        return Ok(path);
    }
    Err(Error::Unavailable(format!(
        "no static {package} at {}; type: RUSTFLAGS='-C target-feature=+crt-static' \
         cargo build --release --target x86_64-unknown-linux-gnu -p {package}",
        path.display()
    )))
}

/// The binary without symbols and debug information, where `strip` is at hand: the guest holds it in memory.
fn stripped(binary: &Path) -> Result<Vec<u8>> {
    let what = || format!("reading {}", binary.display());
    let copy = std::env::temp_dir().join(format!(
        "vm-test-strip.{}.{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let done = Command::new("strip")
        .arg("-o")
        .arg(&copy)
        .arg(binary)
        .status()
        .is_ok_and(|status| status.success());
    let bytes = std::fs::read(if done { &copy } else { binary }).map_err(Error::io(what()));
    let _ = std::fs::remove_file(&copy);
    bytes
}

/// The repository this crate was built from.
pub(crate) fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
