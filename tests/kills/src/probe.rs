//! Numbered datagrams, a thousand a second, whose receiver tells what became of each.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use xxhash_rust::xxh3::xxh3_64;

use crate::namespace::Namespace;
use crate::noise::Noise;
use crate::rig::at;
use crate::{Result, system};

const BETWEEN: Duration = Duration::from_millis(1);
/// Number, filling, digest of both.
const LEN: usize = 256;
const DIGEST: usize = LEN - 8;
/// Holds what arrives while the receiver is not scheduled.
const BUFFER: usize = 8 << 20;
/// When nothing has come for so long after the end, nothing will.
const QUIET: Duration = Duration::from_millis(500);

/// A silence that begins so much earlier than something is not by it.
const WELL_BEFORE: Duration = Duration::from_millis(30);

/// A probe under way.
#[derive(Debug)]
pub(crate) struct Probe {
    sender: JoinHandle<io::Result<Vec<Duration>>>,
    receiver: JoinHandle<Heard>,
    arrivals_over: Arc<AtomicBool>,
}

/// What a receiver has heard.
#[derive(Clone, Debug, Default)]
struct Heard {
    arrivals: Vec<(u64, Duration)>,
    altered: u64,
}

/// What became of one way's datagrams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// When each was sent, by its number. Times count from the start of the traffic.
    pub(crate) sent: Vec<Duration>,
    /// Number and time of each that arrived first.
    pub(crate) arrivals: Vec<(u64, Duration)>,
    /// Numbers that did not arrive.
    pub(crate) lost: Vec<u64>,
    /// Arrivals of what had arrived before.
    pub(crate) duplicated: u64,
    /// Arrivals that are not what was sent.
    pub(crate) altered: u64,
}

impl Probe {
    /// Sends from `from` to `to` until `stop`.
    pub(crate) fn start(
        from: (&Namespace, Ipv4Addr),
        to: (&Namespace, Ipv4Addr),
        start: Instant,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let bind = |(space, address): (&Namespace, Ipv4Addr)| {
            let socket = space.run(|| UdpSocket::bind(at(address, 0)));
            socket.map_err(system("bind a datagram socket"))
        };
        let (sender, receiver) = (bind(from)?, bind(to)?);
        let prepared = receiver.local_addr().and_then(|address| {
            sender.connect(address)?;
            sockopt::set_socket_recv_buffer_size_force(receiver.as_fd(), BUFFER)?;
            receiver.set_read_timeout(Some(Duration::from_millis(50)))
        });
        prepared.map_err(system("set up a probe"))?;
        let arrivals_over = Arc::new(AtomicBool::new(false));
        let (stop, over) = (Arc::clone(stop), Arc::clone(&arrivals_over));
        Ok(Self {
            sender: std::thread::spawn(move || send(&sender, start, &stop)),
            receiver: std::thread::spawn(move || receive(&receiver, start, &over)),
            arrivals_over,
        })
    }

    /// Waits for what is still under way.
    pub(crate) fn finish(self) -> Result<Trace> {
        let sent = self.sender.join().expect("no panic");
        let sent = sent.map_err(system("send a probe"))?;
        self.arrivals_over.store(true, Ordering::Relaxed);
        let heard = self.receiver.join().expect("no panic");
        Ok(examine(sent, heard))
    }
}

fn send(socket: &UdpSocket, start: Instant, stop: &AtomicBool) -> io::Result<Vec<Duration>> {
    let mut sent = Vec::new();
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let datagram = datagram(sent.len() as u64);
        sent.push(start.elapsed());
        socket.send(&datagram)?;
        due += BETWEEN;
        // A sender that was not scheduled for a while does not make up for it with a burst.
        match due.checked_duration_since(Instant::now()) {
            Some(early) => std::thread::sleep(early),
            None => due = Instant::now(),
        }
    }
    Ok(sent)
}

fn datagram(number: u64) -> [u8; LEN] {
    let mut datagram = [0; LEN];
    Noise::new(number).fill(&mut datagram[8..DIGEST]);
    datagram[..8].copy_from_slice(&number.to_le_bytes());
    let digest = xxh3_64(&datagram[..DIGEST]);
    datagram[DIGEST..].copy_from_slice(&digest.to_le_bytes());
    datagram
}

/// The number of a datagram that is as it was sent.
fn number(datagram: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(datagram.get(..8)?.try_into().ok()?);
    (datagram == self::datagram(number)).then_some(number)
}

fn receive(socket: &UdpSocket, start: Instant, over: &AtomicBool) -> Heard {
    let (mut heard, mut last) = (Heard::default(), Instant::now());
    let mut room = [0; 2 * LEN];
    loop {
        if let Ok(len) = socket.recv(&mut room) {
            last = Instant::now();
            match number(&room[..len]) {
                Some(number) => heard.arrivals.push((number, start.elapsed())),
                None => heard.altered += 1,
            }
        } else if over.load(Ordering::Relaxed) && last.elapsed() > QUIET {
            return heard;
        }
    }
}

fn examine(sent: Vec<Duration>, heard: Heard) -> Trace {
    let mut seen = vec![false; sent.len()];
    let mut trace = Trace {
        altered: heard.altered,
        ..Trace::default()
    };
    for (number, when) in heard.arrivals {
        match seen.get_mut(number as usize) {
            Some(seen) if !*seen => {
                *seen = true;
                trace.arrivals.push((number, when));
            }
            Some(_) => trace.duplicated += 1,
            None => trace.altered += 1,
        }
    }
    let numbered = (0u64..).zip(&seen);
    trace.lost = numbered
        .filter(|(_, seen)| !**seen)
        .map(|(number, _)| number)
        .collect();
    trace.sent = sent;
    trace
}

impl Trace {
    /// The longest silence that ended between `from` and `until`: when it began and when it ended.
    /// One that goes on at `until` counts if it began well before.
    pub(crate) fn silence(&self, from: Duration, until: Duration) -> (Duration, Duration) {
        let first = self.arrivals.partition_point(|(_, when)| *when <= from);
        let times = self.arrivals[first.saturating_sub(1)..]
            .iter()
            .map(|(_, when)| *when);
        let pairs = times.clone().zip(times.skip(1));
        let within =
            pairs.take_while(|(before, after)| *after <= until || *before + WELL_BEFORE < until);
        within
            .max_by_key(|(before, after)| *after - *before)
            .unwrap_or_default()
    }

    /// How many of the lost ones were sent in this time.
    pub(crate) fn lost_between(&self, from: Duration, until: Duration) -> u64 {
        let when = |number: &&u64| self.sent[**number as usize];
        let lost = self
            .lost
            .iter()
            .filter(|number| (from..until).contains(&when(number)));
        lost.count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn trace(arrivals: &[(u64, u64)]) -> Trace {
        let heard = Heard {
            arrivals: arrivals
                .iter()
                .map(|(number, when)| (*number, ms(*when)))
                .collect(),
            altered: 0,
        };
        examine((0..10).map(ms).collect(), heard)
    }

    #[test]
    fn what_is_lost_duplicated_or_made_up_is_told_apart() {
        let trace = trace(&[(0, 1), (1, 2), (1, 3), (4, 9), (10, 9), (3, 10)]);
        assert_eq!(trace.lost, [2, 5, 6, 7, 8, 9]);
        assert_eq!((trace.duplicated, trace.altered), (1, 1));
        assert_eq!(trace.lost_between(ms(5), ms(9)), 4);
    }

    #[test]
    fn one_bit_makes_a_datagram_another() {
        let mut datagram = datagram(7);
        assert_eq!(number(&datagram), Some(7));
        for byte in [0, 100, LEN - 1] {
            datagram[byte] ^= 4;
            assert_eq!(number(&datagram), None);
            datagram[byte] ^= 4;
        }
        assert_eq!(number(&datagram[1..]), None);
    }

    #[test]
    fn a_gap_is_the_silence_around_a_moment() {
        let trace = trace(&[(0, 1), (1, 2), (2, 3), (5, 40), (6, 41), (7, 43), (8, 80)]);
        assert_eq!(trace.silence(ms(4), ms(42)), (ms(3), ms(40)));
        assert_eq!(trace.silence(ms(20), ms(41)), (ms(3), ms(40)));
        assert_eq!(trace.silence(ms(40), ms(43)), (ms(41), ms(43)));
        // The next one's is not this one's, unless it was silent long before.
        assert_eq!(trace.silence(ms(20), ms(44)), (ms(3), ms(40)));
        assert_eq!(trace.silence(ms(42), ms(79)), (ms(43), ms(80)));
    }
}
