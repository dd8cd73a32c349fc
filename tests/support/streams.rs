//! Bytes over connections, compared by their digests.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use xxhash_rust::xxh3::Xxh3;

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
pub(crate) struct Transfers {
    enough: Arc<AtomicBool>,
    ends: Vec<[JoinHandle<(usize, u64)>; 2]>,
}

impl Transfers {
    /// One over each connection, from its first end to its second.
    pub(crate) fn begin(connections: impl IntoIterator<Item = (TcpStream, TcpStream)>) -> Self {
        let enough = Arc::<AtomicBool>::default();
        let begin = |(seed, (from, to))| {
            let enough = Arc::clone(&enough);
            let go_on = move |_| !enough.load(Ordering::Relaxed);
            let sender = thread::spawn(move || send(from, seed, go_on));
            [sender, thread::spawn(move || receive(to))]
        };
        let ends = (0..).zip(connections).map(begin).collect();
        Self { enough, ends }
    }

    /// Ends them: what was sent is what came.
    pub(crate) fn all_arrived(mut self) {
        self.enough.store(true, Ordering::Relaxed);
        for [sender, receiver] in std::mem::take(&mut self.ends) {
            let sent = sender.join().expect("a sender's connection holds");
            let received = receiver.join().expect("a receiver's connection holds");
            assert_eq!(received, sent);
            assert!(sent.0 > 0);
        }
    }
}

impl Drop for Transfers {
    /// Senders do not outlive a test that fails.
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
    }
}

/// Receives to the end; how much, and its digest.
pub(crate) fn receive(socket: TcpStream) -> (usize, u64) {
    receive_with(socket, |_| ())
}

/// The same, with each piece shown to `heard`.
pub(crate) fn receive_with(mut socket: TcpStream, mut heard: impl FnMut(&[u8])) -> (usize, u64) {
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
                heard(&block[..len]);
            }
        }
    }
}
