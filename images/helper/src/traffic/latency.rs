//! `echo` and `round-trip`: one request, one reply, over TCP; transactions and percentiles.

use std::net::{SocketAddr, TcpStream};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Report;
use super::args::{Args, usage};
use super::error::TrafficError;
use super::meter::per_second;
use super::sockets::{self, Deadline, Until};

/// Sends everything back on `--connections` connections (one unless given), to their ends.
pub(super) fn echo(args: &mut Args) -> Result<Report, TrafficError> {
    let listen_on: SocketAddr = args.required("listen")?;
    let connections = connections(args)?;
    let deadline = Deadline::from_args(args)?;
    args.finish()?;

    let listener = sockets::listen(listen_on)?;
    let bytes = thread::scope(|scope| {
        let mut echoes = Vec::new();
        for _ in 0..connections {
            let (stream, _) = sockets::accept(&listener, deadline)?;
            echoes.push(scope.spawn(move || echo_to_end(stream, deadline)));
        }
        joined(echoes)
    })?;
    Ok(Report::passed(
        json!({ "bytes": bytes.iter().sum::<u64>() }),
    ))
}

fn echo_to_end(mut stream: TcpStream, deadline: Deadline) -> Result<u64, TrafficError> {
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        match sockets::read_some(&mut stream, &mut buffer, deadline)? {
            0 => return Ok(bytes),
            len => {
                sockets::write_all(&mut stream, &buffer[..len], deadline)?;
                bytes += len as u64;
            }
        }
        deadline.check("echo")?;
    }
}

/// Sends `--size` bytes, waits for them to come back, again and again for `--seconds`, on each of
/// `--connections` connections at once; a `--pause` after each, and an early end once the file
/// `--until` is there, make it an interactive session.
pub(super) fn round_trip(args: &mut Args) -> Result<Report, TrafficError> {
    let to: SocketAddr = args.required("to")?;
    let size: usize = args.optional("size")?.unwrap_or(1);
    let connections = connections(args)?;
    let seconds: Duration = match args.seconds("seconds")? {
        Some(seconds) => seconds,
        None => return Err(usage("--seconds is missing".to_owned())),
    };
    let warmup = args.seconds("warmup")?.unwrap_or_default();
    let pace = Pace {
        pause: args.seconds("pause")?.unwrap_or_default(),
        until: Until::from_args(args)?,
    };
    let deadline = Deadline::from_args(args)?;
    args.finish()?;
    if size == 0 {
        return Err(usage("--size 0 has no reply to wait for".to_owned()));
    }

    let mut clients = Vec::new();
    for _ in 0..connections {
        let stream = sockets::connect(to, deadline)?;
        clients.push(Client::new(stream, size, pace.clone(), deadline));
    }
    let start = |client: Client| move || client.run(warmup, seconds);
    let clients = thread::scope(|scope| {
        joined(
            clients
                .into_iter()
                .map(|client| scope.spawn(start(client)))
                .collect(),
        )
    })?;
    let ok = clients.iter().all(|client| client.different == 0);
    Ok(Report {
        ok,
        facts: facts(&clients),
    })
}

/// As many as a program started by mistake may open.
const MOST_CONNECTIONS: usize = 256;

fn connections(args: &mut Args) -> Result<usize, TrafficError> {
    match args.optional("connections")?.unwrap_or(1) {
        count @ 1..=MOST_CONNECTIONS => Ok(count),
        count => Err(usage(format!(
            "--connections {count}: want 1 to {MOST_CONNECTIONS}"
        ))),
    }
}

/// What all threads answered, or the first error.
fn joined<T>(
    threads: Vec<ScopedJoinHandle<'_, Result<T, TrafficError>>>,
) -> Result<Vec<T>, TrafficError> {
    let join = |thread: ScopedJoinHandle<'_, _>| match thread.join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    threads.into_iter().map(join).collect()
}

/// How transactions follow each other.
#[derive(Clone)]
struct Pace {
    pause: Duration,
    until: Until,
}

struct Client {
    stream: TcpStream,
    pace: Pace,
    deadline: Deadline,
    request: Vec<u8>,
    reply: Vec<u8>,
    /// Nanoseconds of each transaction, in order.
    latencies: Vec<u64>,
    different: u64,
    elapsed: Duration,
}

impl Client {
    fn new(stream: TcpStream, size: usize, pace: Pace, deadline: Deadline) -> Self {
        Self {
            stream,
            pace,
            deadline,
            request: vec![0; size],
            reply: vec![0; size],
            latencies: Vec::with_capacity(1 << 16),
            different: 0,
            elapsed: Duration::ZERO,
        }
    }

    fn per_second(&self) -> f64 {
        per_second(self.latencies.len() as u64, self.elapsed.as_secs_f64())
    }

    /// Warms up, then measures; what was measured is in the client that comes back.
    fn run(mut self, warmup: Duration, seconds: Duration) -> Result<Self, TrafficError> {
        self.run_for(warmup)?;
        self.latencies.clear();
        self.elapsed = self.run_for(seconds)?;
        Ok(self)
    }

    /// Runs transactions for `length`; answers how long it really was.
    fn run_for(&mut self, length: Duration) -> Result<Duration, TrafficError> {
        let started = Instant::now();
        let mut now = started;
        while now - started < length && !self.pace.until.reached() {
            self.transact()?;
            let done = Instant::now();
            self.latencies.push((done - now).as_nanos() as u64);
            now = done;
            if !self.pace.pause.is_zero() {
                thread::sleep(self.pace.pause);
                now = Instant::now();
            }
        }
        Ok(now - started)
    }

    fn transact(&mut self) -> Result<(), TrafficError> {
        self.request[0] = self.request[0].wrapping_add(1);
        sockets::write_all(&mut self.stream, &self.request, self.deadline)?;
        let mut filled = 0;
        while filled < self.reply.len() {
            match sockets::read_some(&mut self.stream, &mut self.reply[filled..], self.deadline)? {
                0 => return Err(closed_early()),
                len => filled += len,
            }
        }
        self.different += u64::from(self.reply != self.request);
        Ok(())
    }
}

/// Rates of connections add up, each over its own window.
fn facts(clients: &[Client]) -> Value {
    let mut latencies: Vec<u64> = clients
        .iter()
        .flat_map(|client| &client.latencies)
        .copied()
        .collect();
    latencies.sort_unstable();
    let at = |permille: usize| percentile(&latencies, permille) as f64 / 1000.0;
    json!({
        "connections": clients.len(),
        "seconds": clients.iter().map(|client| client.elapsed.as_secs_f64()).fold(0.0, f64::max),
        "transactions": latencies.len(),
        "per_s": clients.iter().map(Client::per_second).sum::<f64>(),
        "different": clients.iter().map(|client| client.different).sum::<u64>(),
        "latency_us": {
            "min": at(0), "p50": at(500), "p90": at(900), "p99": at(990), "max": at(1000),
        },
    })
}

fn closed_early() -> TrafficError {
    let source = std::io::ErrorKind::UnexpectedEof.into();
    TrafficError::Socket {
        doing: "wait for the reply".to_owned(),
        source,
    }
}

/// The smallest value that at least `permille` thousandths do not exceed; 0 of nothing.
fn percentile(sorted: &[u64], permille: usize) -> u64 {
    let rank = (sorted.len() * permille).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<u64> = (1..=100).collect();
        let picked = [0, 500, 900, 990, 1000].map(|permille| percentile(&sorted, permille));
        assert_eq!(picked, [1, 50, 90, 99, 100]);
        assert_eq!(percentile(&[], 500), 0);
        assert_eq!(percentile(&[7], 990), 7);
    }
}
