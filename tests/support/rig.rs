//! Two network namespaces with a vhost-user device between them: the device is a process of its
//! own, whose TAP `far0` is here, and the interface `near0` is elsewhere.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::machine::Machine;
use super::namespace::{in_namespace, sh};
use super::streams::{receive, send};

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

    /// Another device in its place, with these features beside.
    pub(crate) fn change_device(&mut self, offers: &'static [&'static str]) {
        drop(self.device.take());
        self.offers = offers;
        self.start_device();
    }

    /// Starts umnet and waits until frames pass.
    pub(crate) fn start_umnet(&mut self) {
        let [program, arguments @ ..] = &self.umnet_command()[..] else {
            unreachable!("a command has a program")
        };
        self.start_umnet_as(Command::new(program).args(arguments));
    }

    /// The same with a configuration file that says so.
    pub(crate) fn start_umnet_with(&mut self, settings: &str) {
        let file = self.machine.path("umnet.toml");
        std::fs::write(&file, settings).expect("a folder of ours");
        let words = self.umnet_command();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("--config").arg(&file);
        self.start_umnet_as(&mut command);
    }

    /// Ends umnet in good order.
    pub(crate) fn stop_umnet(&mut self) {
        let umnet = self.umnet.take().expect("it runs");
        assert!(umnet.end("TERM").success(), "{}", self.said("umnet.log"));
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

    /// The same, the sender's end first: that is here and there in turn.
    pub(crate) fn connect_in_turn(&self, turn: u64) -> (TcpStream, TcpStream) {
        let (here, there) = self.connect();
        match turn % 2 {
            0 => (there, here),
            _ => (here, there),
        }
    }

    /// So many bytes in one of the directions, unchanged.
    pub(crate) fn pass(&self, turn: u64, bytes: usize) {
        let (from, to) = self.connect_in_turn(turn);
        let receiver = std::thread::spawn(move || receive(to));
        let sent = send(from, turn, |sent| sent < bytes);
        assert_eq!(receiver.join().expect("no panic"), sent);
        assert_eq!(sent.0, bytes);
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
