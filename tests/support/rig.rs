//! Two network namespaces with a vhost-user device between them: the device is a process of its
//! own, whose TAP `far0` is here, and the interface `near0` is elsewhere.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use xxhash_rust::xxh3::Xxh3;

use super::machine::Machine;
use super::namespace::{in_namespace, sh};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const NEAR: &str = "10.77.0.1";
const FAR: &str = "10.77.0.2";

/// Set in the process that is the device: its arguments, one per line.
const DEVICE: &str = "UMNET_TEST_DEVICE";

/// Plays the device, in a process that was started for it: a test of this name does nothing else.
pub(crate) fn device_process() {
    let arguments = std::env::var(DEVICE).expect("started as a device");
    let arguments = arguments.lines().map(OsString::from);
    panic!(
        "the device ended: {:?}",
        vhost_user_net_device::cli::main(arguments)
    );
}

/// A process of ours, ended with the test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }

    pub(crate) fn signal(&self, signal: &str) {
        sh(&format!("kill -{signal} {}", self.0.id()));
    }

    /// Ends it by a signal and says how it ended.
    pub(crate) fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.0.wait().expect("a child of ours")
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child of ours")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of one that has ended already, nothing is left to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The two namespaces and what is between them.
pub(crate) struct Rig {
    pub(crate) machine: Machine,
    /// Keeps the namespace of `near0`.
    pub(crate) near: Process,
    pub(crate) device: Option<Process>,
    pub(crate) umnet: Option<Process>,
    pub(crate) options: &'static [&'static str],
    /// What the device is told beside.
    pub(crate) offers: &'static [&'static str],
}

impl Rig {
    /// Both interfaces up, with addresses; `options` go to every `umnet run`.
    pub(crate) fn start(options: &'static [&'static str]) -> Self {
        let mut rig = Self::without_umnet(options);
        rig.start_umnet();
        rig.give_address();
        // For the next run, which is to find what this one kept.
        rig.machine.file("sys/class/net/near0/tun_flags", "0x5002");
        rig
    }

    /// All but umnet, and so without `near0`.
    pub(crate) fn without_umnet(options: &'static [&'static str]) -> Self {
        let mut holder = Command::new("unshare");
        let near = Process::start(holder.args(["--net", "sleep", "600"]));
        let mut rig = Self {
            machine: Machine::new(),
            near,
            device: None,
            umnet: None,
            options,
            offers: &[],
        };
        sh("ip tuntap add dev far0 mode tap vnet_hdr");
        sh(&format!(
            "ip addr add {FAR}/24 dev far0; ip link set far0 up"
        ));
        // A namespace of its own, once unshare has made it.
        wait_until("no namespace", || {
            rig.on_near("ip -o link")
                .is_ok_and(|links| !links.contains("far0"))
        });
        rig.start_device();
        rig
    }

    pub(crate) fn give_address(&self) {
        self.on_near(&format!("ip addr add {NEAR}/24 dev near0"))
            .expect("near0 is there");
    }

    pub(crate) fn socket(&self) -> String {
        self.machine.path("device.sock").display().to_string()
    }

    pub(crate) fn start_device(&mut self) {
        let [socket, log] = ["device.sock", "device.log"].map(|name| self.machine.path(name));
        // As many pairs as umnet is to use.
        let more = match self.options {
            [.., "--queues", count] => &["--queues", count][..],
            _ => &[],
        };
        let more = [more, self.offers].concat();
        self.device = Some(start_device(&socket, &log, &more));
    }

    /// Starts umnet and waits until frames pass.
    pub(crate) fn start_umnet(&mut self) {
        let [program, arguments @ ..] = &self.umnet_command()[..] else {
            unreachable!("a command has a program")
        };
        self.start_umnet_as(Command::new(program).args(arguments));
    }

    /// A command that comes down to [`Rig::umnet_command`].
    pub(crate) fn start_umnet_as(&mut self, command: &mut Command) {
        command.stdout(Stdio::null()).stderr(self.log("umnet.log"));
        let mut umnet = Process::start(command);
        wait_until("umnet does not answer", || {
            assert_eq!(umnet.has_ended(), None, "{}", self.said("umnet.log"));
            self.umnet_status().is_ok()
        });
        self.umnet = Some(umnet);
    }

    /// Program and arguments. They run in one process from the first to the last.
    pub(crate) fn umnet_command(&self) -> Vec<String> {
        let mut words = vec!["nsenter".to_owned(), format!("--net={}", self.near_path())];
        words.push(env!("CARGO_BIN_EXE_umnet").to_owned());
        let root = self.machine.path("").display().to_string();
        let device = format!("vhost-user:{}", self.socket());
        let run = ["--root", &root, "run", &device, "--ifname", "near0"];
        words.extend(
            run.into_iter()
                .chain(self.options.iter().copied())
                .map(str::to_owned),
        );
        words
    }

    pub(crate) fn umnet_status(&self) -> Result<serde_json::Value, String> {
        let answer = self.machine.umnet(&["status", "--json"]);
        let all: serde_json::Value =
            serde_json::from_str(&answer.stdout).map_err(|e| e.to_string())?;
        all["devices"].get(0).cloned().ok_or(answer.stdout)
    }

    /// A counter of one queue.
    pub(crate) fn counter(&self, queue: &str, counter: &str) -> u64 {
        let all = self.machine.umnet(&["stats", "--json"]).json();
        let queues = all["devices"][0]["queues"].as_array().expect("queues");
        let queue = queues.iter().find(|stats| stats["queue"] == queue);
        let queue = queue.unwrap_or_else(|| panic!("no such queue: {all}"));
        queue["counters"][counter].as_u64().expect("a counter")
    }

    pub(crate) fn log(&self, name: &str) -> File {
        append_to(&self.machine.path(name))
    }

    pub(crate) fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.machine.path(name)).unwrap_or_default()
    }

    pub(crate) fn near_path(&self) -> String {
        format!("/proc/{}/ns/net", self.near.0.id())
    }

    /// Runs a shell command where `near0` is.
    pub(crate) fn on_near(&self, command: &str) -> Result<String, String> {
        let path = format!("--net={}", self.near_path());
        let output = Command::new("nsenter")
            .args([&path, "sh", "-ec", command])
            .output()
            .map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() {
            true => Ok(text),
            false => Err(text + &String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Makes something where `near0` is; sockets stay in the namespace they were made in.
    pub(crate) fn near_socket<T: Send>(&self, make: impl FnOnce() -> io::Result<T> + Send) -> T {
        let space = File::open(self.near_path()).expect("the holder lives");
        let made = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&space),
                    Some(LinkNameSpaceType::Network),
                )?;
                make()
            });
            thread.join().expect("no panic")
        });
        made.expect("a socket")
    }

    /// The two ends of a connection: here, and where `near0` is.
    pub(crate) fn connect(&self) -> (TcpStream, TcpStream) {
        let listener = self.near_socket(|| TcpListener::bind((NEAR, 0)));
        let address = listener.local_addr().expect("a bound socket");
        let here = TcpStream::connect_timeout(&address, PATIENCE).expect("it answers");
        let (there, _) = listener.accept().expect("just connected");
        for end in [&here, &there] {
            end.set_read_timeout(Some(PATIENCE)).expect("a duration");
            end.set_write_timeout(Some(PATIENCE)).expect("a duration");
        }
        (here, there)
    }

    /// What must not change over anything: index, addresses and routes of `near0`.
    pub(crate) fn identity(&self) -> String {
        let command = "ip -o link show near0 | cut -d: -f1; ip -o -4 addr show near0; ip route";
        self.on_near(command).expect("near0 is there")
    }
}

fn append_to(path: &Path) -> File {
    let file = File::options().create(true).append(true).open(path);
    file.expect("a folder of ours")
}

/// A device in front of the TAP `far0`, which listens at `socket`.
pub(crate) fn start_device(socket: &Path, log: &Path, more: &[&str]) -> Process {
    let mut arguments = format!(
        "device\n--socket-path\n{}\n--tap\nfar0\n--log\nwarn",
        socket.display()
    );
    for argument in more {
        arguments += &format!("\n{argument}");
    }
    let mut command = Command::new(std::env::current_exe().expect("a test knows its program"));
    command.args(["--exact", "device_process", "--ignored", "--nocapture"]);
    command.env(DEVICE, arguments).stdout(Stdio::null());
    command.stderr(append_to(log));
    let device = Process::start(&mut command);
    wait_until("no device", || UnixStream::connect(socket).is_ok());
    device
}

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Bytes that a repetition or an exchange of any two pieces would show.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_exact_mut(8) {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            word.copy_from_slice(&(self.0 ^ self.0 >> 29).to_le_bytes());
        }
    }
}

/// Sends for as long as `go_on` says so; how much, and its digest.
pub(crate) fn send(
    mut socket: TcpStream,
    seed: u64,
    go_on: impl Fn(usize) -> bool,
) -> (usize, u64) {
    let (mut noise, mut digest, mut sent) = (Noise(seed), Xxh3::new(), 0);
    let mut block = vec![0; 64 * 1024];
    while go_on(sent) {
        noise.fill(&mut block);
        socket.write_all(&block).expect("the connection holds");
        digest.update(&block);
        sent += block.len();
    }
    socket
        .shutdown(Shutdown::Write)
        .expect("the connection holds");
    (sent, digest.digest())
}

/// Transfers under way, each with its sender and its receiver.
pub(crate) struct Transfers<'s>(Vec<[ScopedJoinHandle<'s, (usize, u64)>; 2]>);

impl<'s> Transfers<'s> {
    /// One over each connection, in turn from here and from there, until `stop`.
    pub(crate) fn begin<'e>(
        scope: &'s Scope<'s, 'e>,
        connections: Vec<(TcpStream, TcpStream)>,
        stop: &'e AtomicBool,
    ) -> Self {
        let begin = |(seed, (here, there))| {
            let (from, to) = if seed % 2 == 0 {
                (here, there)
            } else {
                (there, here)
            };
            let go_on = |_| !stop.load(Ordering::Relaxed);
            let sender = scope.spawn(move || send(from, seed, go_on));
            [sender, scope.spawn(move || receive(to))]
        };
        Self((0..).zip(connections).map(begin).collect())
    }

    /// Waits for their ends: what was sent is what came.
    pub(crate) fn all_arrived(self) {
        for [sender, receiver] in self.0 {
            let sent = sender.join().expect("a sender's connection holds");
            let received = receiver.join().expect("a receiver's connection holds");
            assert_eq!(received, sent);
            assert!(sent.0 > 0);
        }
    }
}

/// Receives to the end; how much, and its digest.
pub(crate) fn receive(mut socket: TcpStream) -> (usize, u64) {
    let (mut digest, mut received) = (Xxh3::new(), 0);
    let mut block = vec![0; 64 * 1024];
    loop {
        match socket.read(&mut block) {
            // A machine that is stopped for a moment interrupts whoever waits with a limit.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("the connection holds: {error}"),
            Ok(0) => return (received, digest.digest()),
            Ok(len) => {
                digest.update(&block[..len]);
                received += len;
            }
        }
    }
}

/// Runs `body` where the rig can be built.
pub(crate) fn with_rig(test: &str, options: &'static [&'static str], body: impl FnOnce(Rig)) {
    where_possible(test, || body(Rig::start(options)));
}

/// The same, with everything but umnet.
pub(crate) fn with_rig_but_umnet(test: &str, body: impl FnOnce(Rig)) {
    where_possible(test, || body(Rig::without_umnet(&[])));
}

fn where_possible(test: &str, body: impl FnOnce()) {
    in_namespace(test, || {
        if let Err(error) = File::options().read(true).write(true).open("/dev/net/tun") {
            return println!("SKIP: {test}: /dev/net/tun: {error}");
        }
        body();
    });
}
