//! What a frame costs through the C door, with the verifier off and on: the same
//! as `ring` measures for a Rust client, so that the difference is the door's.
//! Allocations are counted, because there must be none for a frame. Then what the
//! look-up of a handle costs, from one thread and from two at once.
//!
//! `cargo bench -p netadapter-shim --bench door`
#![allow(missing_docs)]
#![allow(unsafe_code)] // counts what the system's allocator is asked for, and calls the client

mod stack;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netadapter_shim::door::client_host::{ClientHost, ConfigurationScope};
use netadapter_shim::door::configuration_store::{ConfigurationStore, ConfigurationTable};
use netadapter_shim::door::hosted::{HostOptions, HostedClient, HostedError};
use netadapter_shim::{AdapterConfig, SystemPort};
use stack::{LENGTH, Port, median_round};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Host {
    sending: bool,
}

impl ClientHost for Host {
    fn open_port(&self, _adapter: usize) -> io::Result<Box<dyn SystemPort>> {
        Ok(Box::new(Port::new(self.sending)))
    }

    fn configuration(&self, _scope: ConfigurationScope) -> Arc<dyn ConfigurationStore> {
        Arc::new(ConfigurationTable::default())
    }

    fn adapter_config(&self) -> AdapterConfig {
        AdapterConfig::default()
    }
}

fn options(verifier: bool) -> HostOptions {
    HostOptions {
        verifier,
        deadline: Duration::from_secs(10),
        on_stuck: Box::new(|callback, _| panic!("{callback} does not return")),
        on_breach: Box::new(|| {}),
        on_failed: Arc::new(|| {}),
    }
}

/// Nanoseconds and allocations per frame.
fn measure(file: &Path, sending: bool, verifier: bool) -> Result<(f64, f64), HostedError> {
    let mut client = HostedClient::load(file, Arc::new(Host { sending }), options(verifier))?;
    client.add_device()?;
    let adapter = client.adapters().remove(0);
    let total = || {
        let read = adapter.with(|core| core.statistics().total());
        read.unwrap_or_default()
    };
    let frames = || total().tx_packets + total().rx_packets;
    let before = (ALLOCATIONS.load(Ordering::Relaxed), frames());
    let time = median_round(total);
    let made = ALLOCATIONS.load(Ordering::Relaxed) - before.0;
    let passed = (frames() - before.1).max(1);
    client.shut_down();
    Ok((time, made as f64 / passed as f64))
}

const LOOK_UPS: u32 = 2_000_000;

/// Nanoseconds of a call that looks up its driver and one handle, from so many threads at once.
fn look_up(file: &Path, threads: usize) -> Result<f64, HostedError> {
    type LookUp = unsafe extern "C" fn(u32) -> u64;
    let mut client = HostedClient::load(file, Arc::new(Host { sending: true }), options(false))?;
    client.add_device()?;
    // SAFETY: it is loaded already; nothing of it runs by this.
    let library = unsafe { libloading::Library::new(file) }.expect("loaded");
    // SAFETY: declared so in untouched.c.
    let calls = unsafe { library.get::<LookUp>(b"LookUp\0") }.expect("LookUp");
    let calls = *calls;
    // SAFETY: as above; the client's adapter exists until it is shut down.
    let round = move || unsafe { calls(LOOK_UPS) };
    let mut times: Vec<f64> = (0..7)
        .map(|_| {
            let begin = Instant::now();
            std::thread::scope(|scope| {
                (0..threads).for_each(|_| drop(scope.spawn(round)));
            });
            begin.elapsed().as_nanos() as f64 / f64::from(LOOK_UPS)
        })
        .collect();
    client.shut_down();
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// The client, compiled; `None` where there is no clang.
fn compile(receiving: bool) -> Option<PathBuf> {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let name = if receiving { "receiving" } else { "sending" };
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("untouched-{name}.so"));
    let status = Command::new("clang")
        .args(["-std=c11", "-fms-extensions", "-fshort-wchar", "-fPIC"])
        .args(["-shared", "-O2", "-I"])
        .arg(crate_root.join("include"))
        .args(receiving.then_some("-DRECEIVING"))
        .arg("-o")
        .arg(&file)
        .arg(crate_root.join("benches/untouched.c"))
        .status();
    status.is_ok_and(|status| status.success()).then_some(file)
}

fn main() -> Result<(), HostedError> {
    for (name, sending) in [("tx", true), ("rx", false)] {
        let Some(file) = compile(!sending) else {
            println!("SKIP: no clang to compile the client");
            return Ok(());
        };
        let (off, allocations) = measure(&file, sending, false)?;
        let (on, _) = measure(&file, sending, true)?;
        println!(
            "{name} {off:7.1} ns per frame of {LENGTH} bytes, {allocations:.4} allocations; with \
             the verifier {on:7.1} ns, {:.1} times as much",
            on / off
        );
    }
    if let Some(file) = compile(false) {
        let (one, two) = (look_up(&file, 1)?, look_up(&file, 2)?);
        println!("look-up {one:7.1} ns; from two threads at once {two:7.1} ns each");
    }
    Ok(())
}
