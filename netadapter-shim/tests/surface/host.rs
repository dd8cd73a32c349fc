//! A client in this process: compiled from C or C++, hosted over ports in memory.

// A library that is loaded already is opened again, and a function in it called.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use log::{LevelFilter, Log, Metadata, Record};
use netadapter_shim::door::client_host::{ClientHost, ConfigurationScope};
use netadapter_shim::door::configuration_store::{ConfigurationStore, ConfigurationTable};
use netadapter_shim::door::hosted::{HostOptions, HostedAdapter, HostedClient, HostedError};
use netadapter_shim::os::loopback::{LoopbackSeat, loopback};
use netadapter_shim::{AdapterConfig, PortOffloads, SystemPort};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What the same source is compiled as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    C,
    Cxx,
}

pub(crate) const BOTH: [Language; 2] = [Language::C, Language::Cxx];

impl Language {
    fn compiler(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::C => ("clang", &["-std=c11"]),
            Self::Cxx => ("clang++", &["-x", "c++", "-std=c++17"]),
        }
    }
}

/// Where sources of clients are.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/surface/clients")
}

/// Compiles a client; `None`, after saying SKIP, where there is no clang.
///
/// Clients stay in memory: each run of one is a file, and so a library, of its own. Other tests may
/// run at the same time, in processes of their own.
pub(crate) fn compile(source: &str, language: Language, defines: &[&str]) -> Option<PathBuf> {
    static COMPILED: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    static COPIES: AtomicU32 = AtomicU32::new(0);
    let key = format!("{source}{language:?}{defines:?}");
    let mut compiled = lock(&COMPILED);
    let library = match compiled.get(&key) {
        Some(library) => library.clone(),
        None => compiled
            .entry(key)
            .or_insert(build(source, language, defines)?)
            .clone(),
    };
    let copy = COPIES.fetch_add(1, Ordering::Relaxed);
    let client = library.with_extension(format!("{}-{copy}.so", std::process::id()));
    std::fs::copy(library, &client).expect("room for a copy");
    Some(client)
}

fn build(source: &str, language: Language, defines: &[&str]) -> Option<PathBuf> {
    let (compiler, arguments) = language.compiler();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("surface");
    std::fs::create_dir_all(&folder).expect("folder");
    let stem = source.trim_end_matches(".c");
    let library = folder.join(format!(
        "{stem}{}-{}",
        defines.concat(),
        language.compiler().0
    ));
    let mine = library.with_extension(std::process::id().to_string());
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let output = Command::new(compiler)
        .args(arguments)
        .args(["-fms-extensions", "-fshort-wchar", "-fPIC", "-shared"])
        .args(defines)
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-I"])
        .arg(include)
        .arg("-o")
        .arg(&mine)
        .arg(sources().join(source))
        .output();
    let Ok(output) = output else {
        println!("SKIP: {source}: no {compiler} to compile it (package clang)");
        return None;
    };
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    std::fs::rename(mine, &library).expect("same folder");
    Some(library)
}

/// Everything that was logged since the client that runs was loaded.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// A process hosts one client at a time.
static TURN: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Listener;

impl Log for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        lock(&LINES).push(record.args().to_string());
    }

    fn flush(&self) {}
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Listener).expect("the first logger");
        log::set_max_level(LevelFilter::Debug);
    });
    lock(&LINES).clear();
}

/// The system that a client finds itself in.
#[derive(Clone, Default)]
pub(crate) struct Setting {
    pub(crate) offloads: PortOffloads,
    pub(crate) configuration: Arc<ConfigurationTable>,
    pub(crate) verifier_off: bool,
}

struct Host {
    setting: Setting,
    seats: Mutex<Vec<LoopbackSeat>>,
}

impl ClientHost for Host {
    fn open_port(&self, _adapter: usize) -> io::Result<Box<dyn SystemPort>> {
        let (port, seat) = loopback(1, self.setting.offloads)?;
        lock(&self.seats).push(seat);
        Ok(Box::new(port))
    }

    fn configuration(&self, _scope: ConfigurationScope) -> Arc<dyn ConfigurationStore> {
        self.setting.configuration.clone()
    }

    fn adapter_config(&self) -> AdapterConfig {
        AdapterConfig {
            tx_ring: 8,
            rx_ring: 8,
            ..AdapterConfig::default()
        }
    }
}

/// A client that runs, with one device.
pub(crate) struct Session {
    hosted: Option<HostedClient>,
    library: libloading::Library,
    pub(crate) seat: LoopbackSeat,
    pub(crate) adapter: HostedAdapter,
    _turn: MutexGuard<'static, ()>,
}

impl Session {
    /// Compiles a client and brings it up.
    pub(crate) fn up(source: &str, language: Language, setting: Setting) -> Option<Self> {
        let client = compile(source, language, &[])?;
        let session = Self::host(&client, setting);
        std::fs::remove_file(client).expect("a copy of our own");
        Some(session.unwrap_or_else(|error| panic!("{error}: {:?}", all())))
    }

    /// Brings up a client that was compiled.
    pub(crate) fn host(client: &Path, setting: Setting) -> Result<Self, HostedError> {
        let turn = lock(&TURN);
        listen();
        let verifier = !setting.verifier_off;
        let seats = Mutex::default();
        let host = Arc::new(Host { setting, seats });
        let options = HostOptions {
            verifier,
            deadline: PATIENCE,
            on_stuck: Box::new(|callback, _| panic!("{callback} does not return")),
            on_breach: Box::new(|| ()),
            on_failed: Arc::new(|| ()),
        };
        let mut hosted = HostedClient::load(client, host.clone(), options)?;
        if let Err(error) = hosted.add_device() {
            hosted.shut_down();
            return Err(error);
        }
        // SAFETY: it is loaded already; nothing of it runs by this.
        let library = unsafe { libloading::Library::new(client) }.expect("loaded");
        let seat = lock(&host.seats).first().cloned().expect("an adapter");
        let adapter = hosted.adapters().remove(0);
        Ok(Self {
            hosted: Some(hosted),
            library,
            seat,
            adapter,
            _turn: turn,
        })
    }

    /// Calls the client, which does something and may say something.
    pub(crate) fn command(&self, number: u32, argument: u32) {
        type Command = unsafe extern "C" fn(u32, u32);
        // SAFETY: declared so in surface.h.
        let command = unsafe { self.library.get::<Command>(b"Command\0") }.expect("Command");
        // SAFETY: as above.
        unsafe { command(number, argument) };
    }

    /// Takes power from the device and gives it back.
    pub(crate) fn power_cycle(&mut self) {
        let hosted = self.hosted.as_mut().expect("until the end");
        hosted.power_cycle().expect("power comes back");
    }

    /// Waits until the client has said so many things more, and returns all it said since the
    /// last call.
    pub(crate) fn said(&self, count: usize) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = said();
            if found.len() >= count || Instant::now() > end {
                lock(&LINES).retain(|line| what_was_said(line).is_none());
                return found;
            }
            sleep(Duration::from_millis(2));
        }
    }

    /// Ends the client and asserts that it found nothing wrong. What it said on the way is
    /// returned.
    pub(crate) fn end(mut self) -> Vec<String> {
        self.hosted.take().expect("once").shut_down();
        let wrong: Vec<String> = all()
            .into_iter()
            .filter(|line| line.contains("FAILED: "))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        said()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Taken already, unless the test failed.
        if let Some(hosted) = self.hosted.take() {
            hosted.shut_down();
        }
    }
}

/// All lines of the log.
pub(crate) fn all() -> Vec<String> {
    lock(&LINES).clone()
}

fn what_was_said(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("said: ")?;
    let (text, _) = rest.rsplit_once(" (")?;
    Some(text.to_owned())
}

fn said() -> Vec<String> {
    all()
        .iter()
        .filter_map(|line| what_was_said(line))
        .collect()
}
