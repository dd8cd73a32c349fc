//! DPDK's testpmd in a guest: this machine's own, with the libraries and the plugins it needs.

use std::path::{Path, PathBuf};

use crate::guest::Guest;
use crate::image::libraries;
use crate::{Error, Result};

/// Where it lies in the guest, apart from the image's own libraries.
const APART: &str = "/lib/dpdk";
/// Where Debian has programs, and plugins by the version of their interface.
const PROGRAM: &str = "/usr/bin/dpdk-testpmd";
const PLUGINS: &str = "/usr/lib/x86_64-linux-gnu/dpdk";
/// What it takes to drive a virtio card, or a TAP through virtio-user.
const NEEDED: [&str; 4] = [
    "librte_bus_pci.so.",
    "librte_bus_vdev.so.",
    "librte_mempool_ring.so.",
    "librte_net_virtio.so.",
];
/// Loaded by the C library when a thread ends, which no program says of itself.
const SILENT: &str = "/lib/x86_64-linux-gnu/libgcc_s.so.1";

/// testpmd in a guest.
#[derive(Clone, Debug)]
pub struct Dpdk {
    /// The command that starts it, to be followed by its own words.
    pub command: String,
    /// Words that load its drivers.
    pub plugins: Vec<String>,
    /// Its version, as the program says it.
    pub version: String,
}

/// Brings testpmd into a guest.
///
/// # Errors
/// [`Error::Unavailable`] when this machine has none.
pub fn install(guest: &Guest) -> Result<Dpdk> {
    let program = Path::new(PROGRAM);
    if !program.exists() {
        let why = "dpdk-testpmd is not installed; type: sudo apt-get install dpdk-dev";
        return Err(Error::Unavailable(why.to_owned()));
    }
    let plugins = plugins()?;
    let mut files = vec![program.to_owned(), PathBuf::from(SILENT)];
    for loaded in plugins.iter().chain([&program.to_owned()]) {
        files.extend(libraries(loaded)?);
    }
    files.extend(plugins.iter().cloned());
    files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    files.dedup_by(|a, b| a.file_name() == b.file_name());
    guest.run(&format!("mkdir -p {APART}"))?.into_stdout()?;
    for file in &files {
        let bytes = std::fs::read(file);
        let bytes = bytes.map_err(Error::io(format!("reading {}", file.display())))?;
        guest.push(&format!("{APART}/{}", name(file)), 0o755, &bytes)?;
    }
    let mut names = files.iter().map(|file| name(file));
    let loader = names.find(|name| name.starts_with("ld-linux"));
    let loader = loader.ok_or_else(|| Error::Command("testpmd has no loader".to_owned()))?;
    let command = format!("{APART}/{loader} --library-path {APART} {APART}/dpdk-testpmd");
    let plugins: Vec<_> = plugins
        .iter()
        .map(|file| format!("-d{APART}/{}", name(file)))
        .collect();
    let version = version(guest, &command, &plugins)?;
    Ok(Dpdk {
        command,
        plugins,
        version,
    })
}

/// The plugins, by the names under which they are linked against: one that is loaded twice under
/// different names registers its drivers twice.
fn plugins() -> Result<Vec<PathBuf>> {
    let folders = list(Path::new(PLUGINS))?;
    let folder = folders.iter().find(|path| name(path).starts_with("pmds-"));
    let folder = folder.ok_or_else(|| Error::Unavailable(format!("no plugins in {PLUGINS}")))?;
    let files = list(folder)?;
    let soname = |file: &&PathBuf, stem: &str| {
        let rest = name(file).strip_prefix(stem).map(str::to_owned);
        rest.is_some_and(|version| !version.is_empty() && !version.contains('.'))
    };
    let find = |stem: &&str| files.iter().find(|file| soname(file, stem)).cloned();
    Ok(NEEDED.iter().filter_map(find).collect())
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder);
    let entries = entries.map_err(Error::io(format!("reading {}", folder.display())))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

fn name(file: &Path) -> &str {
    file.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// "22.11.11" of "EAL: RTE Version: 'DPDK 22.11.11'".
fn version(guest: &Guest, command: &str, plugins: &[String]) -> Result<String> {
    let words = plugins.join(" ");
    let line =
        format!("{command} -v {words} --no-huge -m8 --no-pci --no-shconf --no-telemetry -- -h");
    let said = guest.run(&line)?;
    let said = format!("{}{}", said.stdout, said.stderr);
    let version = said
        .split_once("'DPDK ")
        .and_then(|(_, rest)| rest.split_once('\''));
    version
        .map(|(version, _)| version.to_owned())
        .ok_or_else(|| Error::Command(format!("testpmd does not start in the guest: {said}")))
}
