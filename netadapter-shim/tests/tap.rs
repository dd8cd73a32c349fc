//! A real TAP, in network namespaces of the test's own: two interfaces whose
//! adapters hand each other their frames, with the kernel's TCP and UDP at
//! both ends.
//!
//! The test starts itself again inside the namespaces; the parts that run
//! there are ignored otherwise.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::*;
use netadapter_shim::abi::*;
use netadapter_shim::os::tap::{Tap, TapConfig, TapError};
use netadapter_shim::*;

const INSIDE: &str = "UMNET_TEST_INSIDE";

/// Runs one ignored test of this file in a fresh network namespace. False, and
/// says why, if that cannot be done here.
fn run_inside(test: &str) -> bool {
    let root = std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !map.is_empty())
        && Command::new("id")
            .arg("-u")
            .output()
            .is_ok_and(|id| id.stdout == b"0\n");
    let how: &[&str] = if root { &["-n"] } else { &["-r", "-n"] };
    if !probe(how) {
        return false;
    }
    let status = Command::new("unshare")
        .args(how)
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed inside the namespace");
    true
}

fn probe(how: &[&str]) -> bool {
    let script = "ip link set lo up && exec 3<>/dev/net/tun";
    let tried = Command::new("unshare")
        .args(how)
        .args(["sh", "-c", script])
        .output();
    match tried {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            println!("SKIP: no TAP in a namespace here: {}", why.trim());
            false
        }
        Err(error) => {
            println!("SKIP: cannot run unshare: {error}");
            false
        }
    }
}

fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn ip(arguments: &str) {
    let done = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {arguments}: {why}");
}

#[test]
fn tcp_and_udp_pass_between_two_taps_with_all_offloads() {
    run_inside("inside_two_taps");
}

#[test]
fn tap_is_refused_shown_and_removed_as_documented() {
    run_inside("inside_tap_lifecycle");
}

#[test]
#[ignore = "runs inside a namespace, started by the test above"]
fn inside_tap_lifecycle() {
    if !inside() {
        return;
    }
    let mut tap = Tap::open(&TapConfig::new("umt0")).unwrap();
    let link = || {
        let shown = Command::new("ip")
            .args(["-o", "link", "show", "umt0"])
            .output()
            .unwrap();
        String::from_utf8(shown.stdout).unwrap()
    };
    ip("link set umt0 up");
    assert!(link().contains("NO-CARRIER"), "{}", link());
    tap.set_link_state(true).unwrap();
    assert!(link().contains("LOWER_UP"), "{}", link());
    tap.set_link_state(false).unwrap();
    assert!(link().contains("NO-CARRIER"), "{}", link());

    let again = Tap::open(&TapConfig {
        attach: true,
        ..TapConfig::new("umt0")
    });
    assert!(
        matches!(again, Err(TapError::Busy { .. })),
        "{:?}",
        again.err()
    );
    ip("link add umt1 type bridge");
    let foreign = Tap::open(&TapConfig {
        attach: true,
        ..TapConfig::new("umt1")
    });
    assert!(
        matches!(foreign, Err(TapError::Exists { .. })),
        "{:?}",
        foreign.err()
    );

    tap.set_persistent(true).unwrap();
    drop(tap);
    assert!(!link().is_empty(), "a persistent interface stays");
    let mut tap = Tap::open(&TapConfig {
        attach: true,
        ..TapConfig::new("umt0")
    })
    .unwrap();
    tap.set_persistent(false).unwrap();
    drop(tap);
    assert!(link().is_empty(), "the interface is gone");

    let many = TapConfig {
        queues: 3,
        ..TapConfig::new("umt2")
    };
    let tap = Tap::open(&many).unwrap();
    assert_eq!((tap.max_queues(), tap.fds().len()), (3, 3));
}

/// A TAP with an adapter whose device is one end of a wire.
fn adapter(name: &str) -> (Adapter, Arc<Device>) {
    let tap = Tap::open(&TapConfig::new(name)).unwrap();
    let device = Arc::new(Device::default());
    let events = Box::new(FakeDriver(device.clone()));
    let mut adapter = Adapter::new(events, Box::new(tap), config()).unwrap();
    state_all(&mut adapter, 1);
    let rx = RxCapabilities::system_managed(65_700, 1);
    adapter
        .set_datapath_capabilities(TxCapabilities::new(1), rx)
        .unwrap();
    let up = NetAdapterLinkState::connected(1_000_000_000, NetIfMediaDuplexState::FULL);
    adapter.set_link_state(up).unwrap();
    adapter.start().unwrap();
    adapter.io_start().unwrap();
    (adapter, device)
}

/// The far end: its own namespace, its own process.
struct Peer {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Peer {
    fn start() -> Self {
        let mut child = Command::new("unshare")
            .arg("-n")
            .arg(std::env::current_exe().unwrap())
            .args(["inside_peer", "--exact", "--ignored", "--nocapture"])
            .env(INSIDE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut peer = Self { child, lines };
        peer.expect("PEER ready");
        peer
    }

    fn expect(&mut self, wanted: &str) {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "the peer ended before {wanted:?}");
            if line.contains(wanted) {
                return;
            }
        }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "the far end of a test inside a namespace"]
fn inside_peer() {
    if !inside() {
        return;
    }
    println!("PEER ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    ip("addr add 10.99.0.2/24 dev umtb");
    ip("addr add fd99::2/64 dev umtb nodad");
    ip("link set umtb up");
    let udp = UdpSocket::bind("[::]:7000").unwrap();
    let tcp = TcpListener::bind("[::]:7000").unwrap();
    std::thread::spawn(move || {
        let mut datagram = vec![0; 70_000];
        loop {
            let (length, from) = udp.recv_from(&mut datagram).unwrap();
            udp.send_to(&datagram[..length], from).unwrap();
        }
    });
    println!("PEER up");
    for stream in tcp.incoming() {
        let mut stream = stream.unwrap();
        std::thread::spawn(move || {
            let mut back = stream.try_clone().unwrap();
            std::io::copy(&mut stream, &mut back).unwrap();
            back.shutdown(Shutdown::Write).unwrap();
        });
    }
}

#[test]
#[ignore = "runs inside a namespace, started by a test above"]
fn inside_two_taps() {
    if !inside() {
        return;
    }
    let (near, far) = (adapter("umta"), adapter("umtb"));
    *near.1.wire.lock().unwrap() = Some(far.1.clone());
    *far.1.wire.lock().unwrap() = Some(near.1.clone());
    let mut peer = Peer::start();
    ip(&format!("link set umtb netns {}", peer_namespace(&peer)));
    ip("addr add 10.99.0.1/24 dev umta");
    ip("addr add fd99::1/64 dev umta nodad");
    ip("link set umta up");
    peer.tell("go");
    peer.expect("PEER up");
    for host in ["10.99.0.2:7000", "[fd99::2]:7000"] {
        tcp_echo(host);
        udp_echo(host);
    }
    report("near", &near.0);
    report("far", &far.0);
    let large = *near.1.largest.lock().unwrap();
    assert!(
        large > 20_000,
        "the stack handed over large frames, not {large} bytes at most"
    );
    let total = near.0.statistics().total();
    assert_eq!(
        (total.rx_errors, total.rx_dropped, total.tx_errors),
        (0, 0, 0),
        "{total:?}"
    );
    // Each holds the other.
    near.1.wire.lock().unwrap().take();
}

fn report(end: &str, adapter: &Adapter) {
    let total = adapter.statistics().total();
    let shown: Vec<String> = total
        .named()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    println!("{end}: {}", shown.join(", "));
}

/// `unshare` replaces itself by the test, so the child's number is the peer's.
fn peer_namespace(peer: &Peer) -> u32 {
    peer.child.id()
}

/// Sends random data and gets the same back.
fn tcp_echo(host: &str) {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let data: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(16 << 20)
    .collect();
    let address = host.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sender = stream.try_clone().unwrap();
    let sent = data.clone();
    let sending = std::thread::spawn(move || {
        sender.write_all(&sent).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    sending.join().unwrap();
    assert!(
        back == data,
        "{host}: {} of {} bytes came back",
        back.len(),
        data.len()
    );
}

/// Datagrams around the sizes that matter come back unchanged.
fn udp_echo(host: &str) {
    let local = if host.starts_with('[') {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(local).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    socket.connect(host).unwrap();
    for size in [
        1, 17, 18, 59, 60, 1451, 1452, 1453, 1471, 1472, 1473, 9000, 65_487,
    ] {
        let data: Vec<u8> = (0..size).map(|at: usize| (at * 7 + size) as u8).collect();
        let mut back = vec![0; 70_000];
        socket.send(&data).unwrap();
        let length = socket
            .recv(&mut back)
            .unwrap_or_else(|error| panic!("{host} {size}: {error}"));
        assert!(
            back[..length] == data[..],
            "{host}: {size} bytes came back changed"
        );
    }
}
