//! A client's two adapters as the ends of a wire, each in a network namespace of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use super::namespace::sh;
use super::streams::{receive_with, send};

pub(crate) const LEFT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const RIGHT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// For one step of an exchange, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(40);

/// A second network namespace, for the other end of a wire.
pub(crate) struct Elsewhere {
    holder: Child,
}

impl Elsewhere {
    pub(crate) fn new() -> Self {
        let holder = Command::new("unshare")
            .args(["--net", "sleep", "300"])
            .spawn()
            .expect("unshare was there a moment ago");
        let elsewhere = Self { holder };
        let ours = std::fs::read_link("/proc/self/ns/net").expect("own namespace");
        while std::fs::read_link(elsewhere.path()).is_ok_and(|theirs| theirs == ours) {
            thread::sleep(Duration::from_millis(5));
        }
        elsewhere
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.holder.id()))
    }

    pub(crate) fn sh(&self, command: &str) -> String {
        sh(&format!(
            "nsenter --net={} {command}",
            self.path().display()
        ))
    }

    /// Runs `body` there, on a thread of its own.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let namespace = File::open(self.path()).expect("namespace");
        thread::spawn(move || {
            use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(rustix::fd::AsFd::as_fd(&namespace), network)
                .expect("into the namespace");
            body()
        })
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Both ends of a wire with addresses, the right one in another namespace.
pub(crate) fn connect() -> Elsewhere {
    let elsewhere = Elsewhere::new();
    sh(&format!(
        "ip link set right netns {}; ip addr add {LEFT}/24 dev left",
        elsewhere.holder.id()
    ));
    elsewhere.sh("ip link set lo up");
    elsewhere.sh(&format!("ip addr add {RIGHT}/24 dev right"));
    elsewhere.sh("ip link set right up");
    elsewhere
}

pub(crate) fn ping() -> String {
    sh(&format!("ping -c 5 -i 0.05 -W 2 {RIGHT}"))
}

/// Sends bytes to whoever listens, and compares what comes back.
pub(crate) fn digests_agree(elsewhere: &Elsewhere, bytes: usize) {
    digests_agree_at(elsewhere, RIGHT.into(), bytes);
}

/// The same to any address of the right one.
pub(crate) fn digests_agree_at(elsewhere: &Elsewhere, right: IpAddr, bytes: usize) {
    let listening = elsewhere.run(move || {
        let listener = TcpListener::bind(SocketAddr::from((right, 7))).expect("listen");
        let (mut peer, _) = listener.accept().expect("somebody calls");
        peer.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let mut heard = vec![0; bytes];
        peer.read_exact(&mut heard).expect("all of it");
        peer.write_all(&heard).expect("all back");
        xxh3_64(&heard)
    });
    let sent: Vec<u8> = (0..bytes as u64)
        .map(|index| (index.wrapping_mul(0x9e37_79b9) >> 7) as u8)
        .collect();
    let mut stream = caller(right);
    let mut back = vec![0; bytes];
    thread::scope(|scope| {
        let mut writer = stream.try_clone().expect("clone");
        let sent = &sent;
        scope.spawn(move || writer.write_all(sent).expect("all sent"));
        stream.read_exact(&mut back).expect("all back");
    });
    assert_eq!(listening.join().expect("listener"), xxh3_64(&sent));
    assert_eq!(xxh3_64(&back), xxh3_64(&sent));
}

/// One connection to the right one, over which bytes go there and back until they are enough.
pub(crate) struct Transfer {
    enough: Arc<AtomicBool>,
    back: Arc<AtomicU64>,
    /// How much passed each of them, and its digest.
    echo: thread::JoinHandle<(usize, u64)>,
    writer: thread::JoinHandle<(usize, u64)>,
    reader: thread::JoinHandle<(usize, u64)>,
}

impl Transfer {
    pub(crate) fn begin(elsewhere: &Elsewhere) -> Self {
        let (enough, back) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let echo = elsewhere.run(|| {
            let listener = TcpListener::bind(SocketAddr::from((RIGHT, 7))).expect("listen");
            let (peer, _) = listener.accept().expect("somebody calls");
            peer.set_read_timeout(Some(PATIENCE)).expect("timeout");
            let answer = peer.try_clone().expect("clone");
            let heard = receive_with(peer, |bytes| (&answer).write_all(bytes).expect("back"));
            answer.shutdown(Shutdown::Write).expect("connected");
            heard
        });
        let stream = caller(RIGHT.into());
        let out = stream.try_clone().expect("clone");
        out.set_write_timeout(Some(PATIENCE)).expect("timeout");
        let until = Arc::clone(&enough);
        let writer = thread::spawn(move || send(out, 1, |_| !until.load(Ordering::Relaxed)));
        let counter = Arc::clone(&back);
        let reader = thread::spawn(move || {
            receive_with(stream, |bytes| {
                counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            })
        });
        Self {
            enough,
            back,
            echo,
            writer,
            reader,
        }
    }

    /// Waits until so many more bytes have come back than now.
    pub(crate) fn goes_on(&self, bytes: u64) {
        let (before, end) = (self.back.load(Ordering::Relaxed), Instant::now() + PATIENCE);
        while self.back.load(Ordering::Relaxed) < before + bytes {
            assert!(Instant::now() < end, "nothing comes back any more");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends the connection in good order: all that was sent was heard, and came back.
    pub(crate) fn digests_agree(self) {
        self.enough.store(true, Ordering::Relaxed);
        let sent = self.writer.join().expect("all sent");
        assert_eq!(self.echo.join().expect("all heard"), sent);
        assert_eq!(self.reader.join().expect("all back"), sent);
    }
}

/// The listener may need a moment.
fn caller(right: IpAddr) -> TcpStream {
    for _ in 0..100 {
        if let Ok(stream) = TcpStream::connect((right, 7)) {
            let patience = Some(PATIENCE);
            stream.set_read_timeout(patience).expect("timeout");
            return stream;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("nobody listens");
}

pub(crate) const BOTH: [&str; 4] = ["--ifname", "left", "--ifname", "right"];
