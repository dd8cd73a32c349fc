//! A client driver that calls anything at any time, with the verifier off.
//!
//! The client is `client/client.cpp`: compiled against the headers, loaded and bound as any other.
//! It takes calls and arguments from the input; here is what happens to it from outside. Handles are
//! stale, foreign and of other kinds, sizes and enumerations of any value; pointers are the client's
//! own, or NULL. Every other input is played by two threads at once.
//!
//! Whatever it does, everything ends, what is done by the rules still works, and once the client is
//! gone there is no object that was not there before.

// A library is opened, and the functions that it has for the host are called.
#![allow(unsafe_code)]

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use libloading::Library;
use netadapter_shim::abi::NetPacketFilterFlags;
use netadapter_shim::door::client_host::{ClientHost, ConfigurationScope, IoListener};
use netadapter_shim::door::configuration_store::{
    ConfigurationStore, ConfigurationTable, ConfigurationValue as Value,
};
use netadapter_shim::door::hosted::{self, DeviceEvent, HostOptions, HostedClient, SleepDuty};
use netadapter_shim::os::loopback::{LoopbackSeat, StackFrame, loopback};
use netadapter_shim::{AdapterConfig, PortOffloads, ReceiveFilter, SystemPort};

/// The library, if there was a compiler to make it.
const CLIENT: Option<&str> = option_env!("CLIENT_CALLS");
/// Nothing takes as long.
const PATIENCE: Duration = Duration::from_secs(8);
/// Devices and programs that are there at a time.
const MOST: usize = 2;
/// Threads, and descriptors, that there are after any number of games: some end a moment later.
const MOST_LEFT: usize = 300;

/// What the client has for its host, declared in `client.cpp`.
struct Client {
    begin: unsafe extern "C" fn(*const u8, usize),
    both: unsafe extern "C" fn(),
    turn: unsafe extern "C" fn(*mut u32) -> u32,
    settle: unsafe extern "C" fn(),
    works: unsafe extern "C" fn() -> bool,
    forget: unsafe extern "C" fn(),
    /// Where these are, for as long as the process.
    _library: Library,
}

impl Client {
    fn open(path: &str) -> Self {
        // SAFETY: its initialisers are those of a client, which is about to run here anyway.
        let library = unsafe { Library::new(path) }.expect("compiled");
        /// A function of the library by its name, with the type that it is to have here.
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: declared with this type in client.cpp; the library stays with it.
                *unsafe { library.get($name) }.expect("exported")
            };
        }
        Self {
            begin: function!(b"Begin"),
            both: function!(b"Both"),
            turn: function!(b"Turn"),
            settle: function!(b"Settle"),
            works: function!(b"Works"),
            forget: function!(b"Forget"),
            _library: library,
        }
    }

    /// Lets the client make calls until something is to happen to it.
    fn turn(&self) -> Option<(u32, u32)> {
        let mut argument = 0;
        // SAFETY: room for a number.
        let what = unsafe { (self.turn)(&raw mut argument) };
        (what != 0).then_some((what, argument))
    }
}

/// The system around the client.
struct Host {
    seats: Mutex<Vec<LoopbackSeat>>,
    configuration: Arc<ConfigurationTable>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value of each kind, under the names that the client asks for.
fn configuration() -> ConfigurationTable {
    let text = |text: &str| text.to_owned();
    ConfigurationTable::default()
        .with("Queues", Value::Ulong(2))
        .with("Text", Value::String(text("0x1f")))
        .with("Texts", Value::MultiString(vec![text("a"), text("b")]))
        .with("Bytes", Value::Binary(vec![1, 2, 3]))
        .with("NetworkAddress", Value::String(text("02-00-00-00-51-02")))
        .with_table("x", Arc::new(ConfigurationTable::default()))
}

impl ClientHost for Host {
    fn open_port(&self, _adapter: usize) -> io::Result<Box<dyn SystemPort>> {
        let (port, seat) = loopback(1, PortOffloads::ALL)?;
        lock(&self.seats).push(seat);
        Ok(Box::new(port))
    }

    fn configuration(&self, _scope: ConfigurationScope) -> Arc<dyn ConfigurationStore> {
        self.configuration.clone()
    }

    fn io_socket(&self, device: usize) -> io::Result<Option<IoListener>> {
        IoListener::bind(&socket_of(device)).map(Some)
    }

    fn control_socket(&self, device: usize) -> io::Result<Option<IoListener>> {
        IoListener::bind(&socket_of(MOST + device)).map(Some)
    }

    fn adapter_config(&self) -> AdapterConfig {
        AdapterConfig {
            tx_ring: 8,
            rx_ring: 8,
            verifier: false,
            ..AdapterConfig::default()
        }
    }
}

fn socket_of(device: usize) -> PathBuf {
    let name = format!("umnet-client-calls-{}-{device}", std::process::id());
    std::env::temp_dir().join(name)
}

fn options() -> HostOptions {
    HostOptions {
        verifier: false,
        deadline: PATIENCE,
        on_stuck: Box::new(|callback, patience| {
            eprintln!("{callback} has not returned for {patience:?}");
            std::process::abort();
        }),
        on_breach: Box::new(|| ()),
        on_failed: Arc::new(|| ()),
    }
}

/// Runs one input.
pub fn run(data: &[u8]) {
    static OPENED: LazyLock<Option<Client>> = LazyLock::new(|| CLIENT.map(Client::open));
    let (Some(path), Some(client)) = (CLIENT, &*OPENED) else {
        return println!("SKIP: client_calls: no clang++ to compile its client (package clang)");
    };
    let before = hosted::objects();
    // SAFETY: the bytes stay until `forget`.
    unsafe { (client.begin)(data.as_ptr(), data.len()) };
    play(client, Path::new(path), data.is_empty());
    // SAFETY: the client is shut down, so that no thread is in it.
    unsafe { (client.forget)() };
    assert_eq!(hosted::objects(), before, "left behind");
    for what in ["fd", "task"] {
        let entries = std::fs::read_dir(format!("/proc/self/{what}"));
        let count = entries.expect("procfs").count();
        assert!(count < MOST_LEFT, "{count} entries in /proc/self/{what}");
    }
}

fn play(client: &Client, path: &Path, quiet: bool) {
    let host = Arc::new(Host {
        seats: Mutex::default(),
        configuration: Arc::new(configuration()),
    });
    let mut world = World {
        hosted: HostedClient::load(path, host.clone(), options())
            .expect("its DriverEntry is sound"),
        host,
        programs: Vec::new(),
        duties: Vec::new(),
        now: Instant::now(),
    };
    world.happen(ADD_DEVICE, 0);
    // The client does nothing of its own then.
    assert!(!quiet || world.hosted.adapters()[0].is_started());
    // SAFETY: the client is loaded.
    unsafe { (client.both)() };
    while let Some((what, argument)) = client.turn() {
        world.happen(what, argument);
    }
    // SAFETY: as above; a second thread has ended when it returns.
    unsafe { (client.settle)() };
    // SAFETY: as above.
    assert!(unsafe { (client.works)() }, "what is sound works no more");
    world.programs.clear();
    world.hosted.shut_down();
}

/// The client and what happens to it from outside.
struct World {
    hosted: HostedClient,
    host: Arc<Host>,
    programs: Vec<UnixStream>,
    duties: Vec<u32>,
    now: Instant,
}

const ADD_DEVICE: u32 = 1;

impl World {
    fn happen(&mut self, what: u32, argument: u32) {
        match what {
            ADD_DEVICE if self.hosted.devices() < MOST => drop(self.hosted.add_device()),
            2..=5 => drop(self.hosted.power_cycle()),
            6 => drop(self.hosted.happen(DeviceEvent::Rebalance)),
            7 => drop(self.hosted.happen(DeviceEvent::SurpriseRemoval)),
            8..=9 => self.tend(argument),
            10..=13 => self.send(argument),
            14..=15 => self.filter(argument),
            16..=18 => self.sleep_duty(argument),
            19..=23 => self.program(argument),
            _ => drop(self.programs.pop()),
        }
    }

    /// Time passes, or seems to.
    fn tend(&mut self, argument: u32) {
        self.now += Duration::from_millis(u64::from(argument % 100_000));
        self.hosted.tend(self.now);
    }

    /// The stack sends a frame to the client.
    fn send(&self, argument: u32) {
        let frame = StackFrame::new(vec![0x51; 14 + argument as usize % 4096]);
        if let Some(seat) = lock(&self.host.seats).last() {
            seat.send(frame);
        }
    }

    fn filter(&self, argument: u32) {
        for adapter in self.hosted.adapters() {
            adapter.set_receive_filter(ReceiveFilter {
                packet_filter: NetPacketFilterFlags(argument),
                multicast_addresses: vec![[1, 0, 0x5e, 0, 0, 1]; argument as usize % 5],
            });
        }
    }

    fn sleep_duty(&mut self, argument: u32) {
        let pattern = vec![0x51; argument as usize % 300];
        let duty = match argument % 4 {
            0 => SleepDuty::MagicPacket,
            1 => SleepDuty::Arp {
                remote: [0; 4],
                host: [10, 0, 0, 1],
                link_layer: [2; 6],
            },
            2 => SleepDuty::BitmapPattern {
                mask: vec![0xff; pattern.len().div_ceil(8)],
                pattern,
            },
            _ => SleepDuty::NeighborSolicitation {
                remote: [0; 16],
                solicited_node: [1; 16],
                targets: [[2; 16], [0; 16]],
                link_layer: [2; 6],
            },
        };
        for adapter in self.hosted.adapters() {
            adapter.take_wake_reason();
            self.duties.extend(adapter.add_sleep_duty(duty.clone()));
            if argument & 4 != 0 {
                self.duties.pop().map(|id| adapter.remove_sleep_duty(id));
            }
        }
    }

    /// A program opens the device, or asks something of it and does not wait for the answer.
    fn program(&mut self, argument: u32) {
        if self.programs.len() < MOST {
            let socket = socket_of(argument as usize % (MOST + 1));
            self.programs.extend(UnixStream::connect(socket));
        }
        let input = argument >> 8 & 63;
        let kind = [3, 4, 14, argument][argument as usize % 4];
        let header = [kind, argument, input, argument >> 16 & 0xff];
        let mut request = header.map(u32::to_le_bytes).concat();
        request.resize(request.len() + input as usize, 0x51);
        if let Some(program) = self.programs.last_mut() {
            // It may have been sent away.
            let _ = program.set_nonblocking(true);
            let _ = program.write_all(&request);
        }
    }
}
