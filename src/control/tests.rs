use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::control::message::Counters;

struct Fixed;

impl StatusSource for Fixed {
    fn status(&self) -> Status {
        Status {
            device: "in-process".to_owned(),
            ifname: Some("um0".parse().unwrap()),
            pid: 1,
            version: "0".to_owned(),
            uptime_seconds: 2,
            link_up: true,
            speed_mbps: None,
            full_duplex: Some(true),
            mtu: 1500,
            mac: "52:54:00:00:00:01".parse().unwrap(),
            queue_pairs: 1,
            rx_ring: 256,
            tx_ring: 256,
            busy_poll_us: 50,
            features: vec!["VIRTIO_F_VERSION_1".to_owned()],
            features_refused: Vec::new(),
            features_not_offered: Vec::new(),
            offloads: Vec::new(),
            restarts: 0,
            hangs: 0,
            supervisor_restarts: 0,
            host: None,
            down: None,
            policy: None,
            loss_bound: Default::default(),
            resets: 0,
            memory: Memory::default(),
            iommu: None,
            client: None,
        }
    }

    fn stats(&self) -> Stats {
        Stats {
            total: Counters::from([("rx_packets".to_owned(), u64::MAX)]),
            ..Stats::default()
        }
    }
}

struct Setup {
    host: Host,
    server: Server,
    _dir: tempfile::TempDir,
}

const DEVICE: DeviceSpec = DeviceSpec::InProcess;
const STEM: &str = "in-process";

fn setup() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::at(dir.path());
    std::fs::create_dir_all(host.run_dir()).unwrap();
    let server = Server::start(&host, STEM, Arc::new(Fixed)).unwrap();
    Setup {
        host,
        server,
        _dir: dir,
    }
}

fn raw(host: &Host, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket_path(host, STEM)).unwrap();
    stream.write_all(request).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn questions_are_answered() {
    let Setup {
        host,
        server: _server,
        _dir,
    } = setup();
    assert_eq!(running(&host).unwrap(), [STEM]);
    assert_eq!(status(&host, &DEVICE, STEM).unwrap(), Fixed.status());
    assert_eq!(stats(&host, &DEVICE, STEM).unwrap(), Fixed.stats());
}

#[test]
fn nobody_but_the_owner_may_ask() {
    let Setup {
        host,
        server: _server,
        _dir,
    } = setup();
    let mode = std::fs::metadata(socket_path(&host, STEM))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn nonsense_gets_an_error_and_the_next_one_an_answer() {
    let Setup {
        host,
        server: _server,
        _dir,
    } = setup();
    assert!(raw(&host, b"hello\n").contains("not understood"));
    assert!(raw(&host, b"{\"schema\":9,\"ask\":\"stats\"}\n").contains("speaks schema 1, not 9"));
    assert!(raw(&host, &[b'x'; MAX_REQUEST + 1]).contains("longer than a request may be"));
    assert!(status(&host, &DEVICE, STEM).is_ok());
}

#[test]
fn silent_clients_hold_up_nobody() {
    let Setup {
        host,
        server: _server,
        _dir,
    } = setup();
    let silent: Vec<UnixStream> = (0..7)
        .map(|_| UnixStream::connect(socket_path(&host, STEM)).unwrap())
        .collect();
    let start = Instant::now();
    assert!(status(&host, &DEVICE, STEM).is_ok());
    assert!(
        start.elapsed() < DEADLINE / 2,
        "waited for others: {:?}",
        start.elapsed()
    );
    for mut client in silent {
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        assert!(reply.contains("request not read"), "{reply}");
    }
}

#[test]
fn more_clients_than_threads_wait_their_turn() {
    let Setup {
        host,
        server: _server,
        _dir,
    } = setup();
    let _silent: Vec<UnixStream> = (0..9)
        .map(|_| UnixStream::connect(socket_path(&host, STEM)).unwrap())
        .collect();
    let start = Instant::now();
    assert!(status(&host, &DEVICE, STEM).is_ok());
    assert!(
        start.elapsed() >= DEADLINE / 2,
        "there were threads for all: {:?}",
        start.elapsed()
    );
}

#[test]
fn a_server_that_ends_leaves_no_socket() {
    let Setup { host, server, _dir } = setup();
    drop(server);
    assert!(!socket_path(&host, STEM).exists());
    let error = status(&host, &DEVICE, STEM).unwrap_err();
    assert!(matches!(error, ControlError::NotRunning { .. }), "{error}");
    assert!(matches!(
        running(&host).unwrap_err(),
        ControlError::NothingRuns { .. }
    ));
}

#[test]
fn the_socket_of_one_that_died_is_replaced() {
    let Setup { host, server, _dir } = setup();
    drop(server);
    // What a process leaves behind that was killed: a socket on which nobody listens.
    drop(UnixListener::bind(socket_path(&host, STEM)).unwrap());
    let dead = std::fs::metadata(socket_path(&host, STEM)).unwrap();
    let _second = Server::start(&host, STEM, Arc::new(Fixed)).unwrap();
    let fresh = std::fs::metadata(socket_path(&host, STEM)).unwrap();
    assert_ne!(dead.modified().unwrap(), fresh.modified().unwrap());
    assert!(status(&host, &DEVICE, STEM).is_ok());
}
