//! `echo` and `round-trip`: one request, one reply, over TCP; transactions and percentiles.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Report;
use super::args::{Args, usage};
use super::error::TrafficError;
use super::meter::per_second;
use super::sockets::{self, Deadline};

/// Sends everything back on one connection, to its end.
pub(super) fn echo(args: &mut Args) -> Result<Report, TrafficError> {
    let listen_on: SocketAddr = args.required("listen")?;
    let deadline = Deadline::from_args(args)?;
    args.finish()?;

    let listener = sockets::listen(listen_on)?;
    let (mut stream, _) = sockets::accept(&listener, deadline)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0u64;
    loop {
        match sockets::read_some(&mut stream, &mut buffer, deadline)? {
            0 => return Ok(Report::passed(json!({ "bytes": bytes }))),
            len => {
                sockets::write_all(&mut stream, &buffer[..len], deadline)?;
                bytes += len as u64;
            }
        }
        deadline.check("echo")?;
    }
}

/// Sends `--size` bytes, waits for them to come back, again and again for `--seconds`.
pub(super) fn round_trip(args: &mut Args) -> Result<Report, TrafficError> {
    let to: SocketAddr = args.required("to")?;
    let size: usize = args.optional("size")?.unwrap_or(1);
    let seconds: Duration = match args.seconds("seconds")? {
        Some(seconds) => seconds,
        None => return Err(usage("--seconds is missing".to_owned())),
    };
    let warmup = args.seconds("warmup")?.unwrap_or_default();
    let deadline = Deadline::from_args(args)?;
    args.finish()?;
    if size == 0 {
        return Err(usage("--size 0 has no reply to wait for".to_owned()));
    }

    let mut client = Client::new(sockets::connect(to, deadline)?, size, deadline);
    client.run_for(warmup)?;
    client.latencies.clear();
    let elapsed = client.run_for(seconds)?;
    Ok(Report {
        ok: client.different == 0,
        facts: client.facts(elapsed),
    })
}

struct Client {
    stream: TcpStream,
    deadline: Deadline,
    request: Vec<u8>,
    reply: Vec<u8>,
    /// Nanoseconds of each transaction, in order.
    latencies: Vec<u64>,
    different: u64,
}

impl Client {
    fn new(stream: TcpStream, size: usize, deadline: Deadline) -> Self {
        let (request, reply) = (vec![0; size], vec![0; size]);
        Self {
            stream,
            deadline,
            request,
            reply,
            latencies: Vec::with_capacity(1 << 16),
            different: 0,
        }
    }

    /// Runs transactions for `length`; answers how long it really was.
    fn run_for(&mut self, length: Duration) -> Result<Duration, TrafficError> {
        let started = Instant::now();
        let mut now = started;
        while now - started < length {
            self.transact()?;
            let done = Instant::now();
            self.latencies.push((done - now).as_nanos() as u64);
            now = done;
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

    fn facts(mut self, elapsed: Duration) -> Value {
        self.latencies.sort_unstable();
        let at = |permille: usize| percentile(&self.latencies, permille) as f64 / 1000.0;
        let transactions = self.latencies.len() as u64;
        json!({
            "seconds": elapsed.as_secs_f64(),
            "transactions": transactions,
            "per_s": per_second(transactions, elapsed.as_secs_f64()),
            "different": self.different,
            "latency_us": {
                "min": at(0), "p50": at(500), "p90": at(900), "p99": at(990), "max": at(1000),
            },
        })
    }
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
