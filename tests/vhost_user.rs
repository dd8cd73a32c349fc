//! `umnet run vhost-user:…` between two network namespaces: the device is a process of its own,
//! whose TAP `far0` is here, and the interface `near0` is elsewhere. Three processes, no guest.

mod support;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use support::machine::Machine;
use support::namespace::{in_namespace, sh};
use xxhash_rust::xxh3::Xxh3;

const PATIENCE: Duration = Duration::from_secs(30);
const NEAR: &str = "10.77.0.1";
const FAR: &str = "10.77.0.2";

/// Set in the process that is the device: its arguments, one per line.
const DEVICE: &str = "UMNET_TEST_DEVICE";

#[test]
#[ignore = "not a test: the tests start themselves again as the device's process"]
fn device_process() {
    let arguments = std::env::var(DEVICE).expect("started as a device");
    let arguments = arguments.lines().map(OsString::from);
    panic!(
        "the device ended: {:?}",
        vhost_user_net_device::cli::main(arguments)
    );
}

/// A process of ours, ended with the test.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }

    fn signal(&self, signal: &str) {
        sh(&format!("kill -{signal} {}", self.0.id()));
    }

    /// Ends it by a signal and says how it ended.
    fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.0.wait().expect("a child of ours")
    }

    fn has_ended(&mut self) -> Option<ExitStatus> {
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
struct Rig {
    machine: Machine,
    /// Keeps the namespace of `near0`.
    near: Process,
    device: Option<Process>,
    umnet: Option<Process>,
    options: &'static [&'static str],
}

impl Rig {
    /// Both interfaces up, with addresses; `options` go to every `umnet run`.
    fn start(options: &'static [&'static str]) -> Self {
        let mut holder = Command::new("unshare");
        let near = Process::start(holder.args(["--net", "sleep", "600"]));
        let mut rig = Self {
            machine: Machine::new(),
            near,
            device: None,
            umnet: None,
            options,
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
        rig.start_umnet();
        rig.on_near(&format!("ip addr add {NEAR}/24 dev near0"))
            .expect("near0 is there");
        // For the next run, which is to find what this one kept.
        rig.machine.file("sys/class/net/near0/tun_flags", "0x5002");
        rig
    }

    fn socket(&self) -> String {
        self.machine.path("device.sock").display().to_string()
    }

    fn start_device(&mut self) {
        let arguments = format!(
            "device\n--socket-path\n{}\n--tap\nfar0\n--log\nwarn",
            self.socket()
        );
        let mut command = Command::new(std::env::current_exe().expect("a test knows its program"));
        command.args(["--exact", "device_process", "--ignored", "--nocapture"]);
        command.env(DEVICE, arguments).stdout(Stdio::null());
        command.stderr(self.log("device.log"));
        self.device = Some(Process::start(&mut command));
        let socket = self.machine.path("device.sock");
        wait_until("no device", || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
    }

    /// Starts umnet and waits until frames pass.
    fn start_umnet(&mut self) {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.near_path()));
        command.arg(env!("CARGO_BIN_EXE_umnet"));
        command.arg("--root").arg(self.machine.path(""));
        command.args(["run", &format!("vhost-user:{}", self.socket())]);
        command.args(["--ifname", "near0"]).args(self.options);
        command.stdout(Stdio::null()).stderr(self.log("umnet.log"));
        let mut umnet = Process::start(&mut command);
        wait_until("umnet does not answer", || {
            assert_eq!(umnet.has_ended(), None, "{}", self.said("umnet.log"));
            self.umnet_status().is_ok()
        });
        self.umnet = Some(umnet);
    }

    fn umnet_status(&self) -> Result<serde_json::Value, String> {
        let answer = self.machine.umnet(&["status", "--json"]);
        let all: serde_json::Value =
            serde_json::from_str(&answer.stdout).map_err(|e| e.to_string())?;
        all["devices"].get(0).cloned().ok_or(answer.stdout)
    }

    fn log(&self, name: &str) -> File {
        let path = self.machine.path(name);
        let file = File::options().create(true).append(true).open(path);
        file.expect("a folder of ours")
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.machine.path(name)).unwrap_or_default()
    }

    fn near_path(&self) -> String {
        format!("/proc/{}/ns/net", self.near.0.id())
    }

    /// Runs a shell command where `near0` is.
    fn on_near(&self, command: &str) -> Result<String, String> {
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
    fn near_socket<T: Send>(&self, make: impl FnOnce() -> io::Result<T> + Send) -> T {
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
    fn connect(&self) -> (TcpStream, TcpStream) {
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
    fn identity(&self) -> String {
        let command = "ip -o link show near0 | cut -d: -f1; ip -o -4 addr show near0; ip route";
        self.on_near(command).expect("near0 is there")
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
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
fn send(mut socket: TcpStream, seed: u64, go_on: impl Fn(usize) -> bool) -> (usize, u64) {
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

/// Receives to the end; how much, and its digest.
fn receive(mut socket: TcpStream) -> (usize, u64) {
    let (mut digest, mut received) = (Xxh3::new(), 0);
    let mut block = vec![0; 64 * 1024];
    loop {
        match socket.read(&mut block).expect("the connection holds") {
            0 => return (received, digest.digest()),
            len => {
                digest.update(&block[..len]);
                received += len;
            }
        }
    }
}

/// Runs `body` where the rig can be built.
fn with_rig(test: &str, options: &'static [&'static str], body: impl FnOnce(Rig)) {
    in_namespace(test, || {
        if let Err(error) = File::options().read(true).write(true).open("/dev/net/tun") {
            return println!("SKIP: {test}: /dev/net/tun: {error}");
        }
        body(Rig::start(options));
    });
}

/// Bytes of one transfer: many rings full.
const MUCH: usize = 64 << 20;

#[test]
fn tcp_passes_unchanged_both_ways() {
    let mac = &["--mac", "02:00:00:00:00:07"];
    with_rig("tcp_passes_unchanged_both_ways", mac, |mut rig| {
        let link = rig.on_near("ip -o link show near0");
        assert!(link.is_ok_and(|link| link.contains("02:00:00:00:00:07")));
        for seed in [1, 2] {
            let (here, there) = rig.connect();
            let (from, to) = if seed == 1 {
                (here, there)
            } else {
                (there, here)
            };
            let receiver = std::thread::spawn(move || receive(to));
            let sent = send(from, seed, |sent| sent < MUCH);
            assert_eq!(receiver.join().expect("no panic"), sent);
            assert_eq!(sent.0, MUCH);
        }
        let status = rig.umnet_status().expect("it runs");
        assert_eq!(status["resets"].as_u64().unwrap_or(0), 0, "{status}");
        let umnet = rig.umnet.take().expect("it runs");
        assert!(umnet.end("TERM").success(), "{}", rig.said("umnet.log"));
        assert!(
            rig.on_near("ip link show near0").is_err(),
            "it goes with the run"
        );
        assert_eq!(
            rig.said("device.log"),
            "",
            "the device has nothing to complain of"
        );
    });
}

#[test]
fn a_device_that_is_killed_and_started_again_is_found_again() {
    let test = "a_device_that_is_killed_and_started_again_is_found_again";
    with_rig(test, &[], |mut rig| {
        let before = rig.identity();
        let (mut here, mut there) = rig.connect();
        for round in 0..3u8 {
            let device = rig.device.take().expect("it runs");
            assert_eq!(device.end("KILL").signal(), Some(9));
            std::thread::sleep(Duration::from_millis(100));
            rig.start_device();
            here.write_all(&[round]).expect("the connection holds");
            let mut heard = [0xff];
            there.read_exact(&mut heard).expect("the connection holds");
            assert_eq!(heard, [round]);
        }
        assert_eq!(rig.identity(), before);
        drop(rig.device.take());
        let umnet = rig.umnet.take().expect("it runs");
        assert!(umnet.end("TERM").success(), "{}", rig.said("umnet.log"));
        let said = rig.said("umnet.log");
        let closed = said
            .matches("the back end has closed the connection")
            .count();
        assert!(closed >= 3, "{said}");
        assert!(said.contains("connected to the back end again"), "{said}");
    });
}

#[test]
fn no_connection_is_lost_while_umnet_is_killed_and_started_again() {
    let test = "no_connection_is_lost_while_umnet_is_killed_and_started_again";
    with_rig(test, &["--keep-interface"], |mut rig| {
        let before = rig.identity();
        let stop = AtomicBool::new(false);
        let pairs: Vec<_> = (0..4).map(|_| rig.connect()).collect();
        std::thread::scope(|scope| {
            let transfers: Vec<_> = (0u64..)
                .zip(pairs)
                .map(|(seed, (here, there))| {
                    let (from, to) = if seed % 2 == 0 {
                        (here, there)
                    } else {
                        (there, here)
                    };
                    let go_on = |_| !stop.load(Ordering::Relaxed);
                    let sender = scope.spawn(move || send(from, seed, go_on));
                    (sender, scope.spawn(move || receive(to)))
                })
                .collect();
            for _ in 0..10 {
                std::thread::sleep(Duration::from_millis(200));
                let umnet = rig.umnet.take().expect("it runs");
                assert_eq!(umnet.end("KILL").signal(), Some(9));
                rig.start_umnet();
            }
            stop.store(true, Ordering::Relaxed);
            for (sender, receiver) in transfers {
                let sent = sender.join().expect("a sender's connection holds");
                assert_eq!(
                    receiver.join().expect("a receiver's connection holds"),
                    sent
                );
                assert!(sent.0 > 0);
            }
        });
        assert_eq!(rig.identity(), before);
        assert_eq!(
            rig.said("device.log"),
            "",
            "the device has nothing to complain of"
        );
    });
}

#[test]
fn nobody_listening_ends_the_run_with_the_cause_and_the_next_step() {
    let machine = Machine::new();
    let answer = machine.umnet(&["run", "vhost-user:/nonexistent/sock"]);
    assert_eq!(answer.code, 3);
    let text = &answer.stderr;
    assert!(
        text.contains("connecting to the back end failed: No such file"),
        "{text}"
    );
    assert!(
        text.contains("next: umnet doctor vhost-user:/nonexistent/sock"),
        "{text}"
    );
}

#[test]
fn the_doctor_tells_a_socket_from_one_that_somebody_listens_at() {
    let machine = Machine::new();
    let path = machine.path("sock");
    let device = format!("vhost-user:{}", path.display());
    let back_end = || {
        let answer = machine.umnet(&["doctor", &device]).stdout;
        let line = answer.lines().find(|line| line.contains("back end"));
        line.expect("it looks at the back end").to_owned()
    };
    assert!(back_end().contains("there is no"), "{}", back_end());
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a folder of ours");
    assert!(back_end().contains("one listens at"), "{}", back_end());
    drop(listener);
    assert!(back_end().contains("nobody listens at"), "{}", back_end());
}
