//! `send` and `receive`: seeded bytes over one TCP connection, a digest at either end.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use serde_json::{Value, json};

use super::Report;
use super::args::Args;
use super::error::{TrafficError, socket};
use super::pattern::{Digest, Pattern};
use super::sockets::{self, Deadline, Until};

/// Large enough that system calls do not matter, small enough to stay in a cache.
const CHUNK: usize = 256 * 1024;

/// Sends `--bytes` bytes of the pattern `--seed`, or as many as go until the file `--until` is
/// there, and waits until the receiver has closed.
pub(super) fn send(args: &mut Args) -> Result<Report, TrafficError> {
    let to: SocketAddr = args.required("to")?;
    let until = Until::from_args(args)?;
    let bytes: u64 = match until.is_given() {
        true => args.optional("bytes")?.unwrap_or(u64::MAX),
        false => args.required("bytes")?,
    };
    let seed: u64 = args.optional("seed")?.unwrap_or(1);
    let deadline = Deadline::from_args(args)?;
    args.finish()?;

    let mut stream = sockets::connect(to, deadline)?;
    let started = Instant::now();
    let digest = send_pattern(&mut stream, (bytes, &until), seed, deadline)?;
    wait_for_close(&mut stream, deadline)?;
    Ok(Report::passed(facts(&digest, started)))
}

fn send_pattern(
    stream: &mut TcpStream,
    (bytes, until): (u64, &Until),
    seed: u64,
    deadline: Deadline,
) -> Result<Digest, TrafficError> {
    let (mut pattern, mut digest) = (Pattern::new(seed), Digest::default());
    let mut chunk = vec![0; CHUNK];
    while digest.bytes() < bytes && !until.reached() {
        let len = (bytes - digest.bytes()).min(CHUNK as u64) as usize;
        pattern.fill(&mut chunk[..len]);
        digest.update(&chunk[..len]);
        sockets::write_all(stream, &chunk[..len], deadline)?;
        deadline.check("send")?;
    }
    Ok(digest)
}

/// After this the last byte has been read at the far end, not merely queued here.
fn wait_for_close(stream: &mut TcpStream, deadline: Deadline) -> Result<(), TrafficError> {
    stream
        .shutdown(Shutdown::Write)
        .map_err(socket("end the stream"))?;
    while sockets::read_some(stream, &mut [0; 64], deadline)? > 0 {}
    Ok(())
}

/// Reads one connection to its end; with `--bytes`, fails unless that many came, with `--seed`,
/// unless they are that pattern.
pub(super) fn receive(args: &mut Args) -> Result<Report, TrafficError> {
    let expected: Option<u64> = args.optional("bytes")?;
    let listen_on: SocketAddr = args.required("listen")?;
    let mut compared: Option<Compared> = args.optional("seed")?.map(Compared::to_pattern);
    let deadline = Deadline::from_args(args)?;
    args.finish()?;

    let listener = sockets::listen(listen_on)?;
    let (mut stream, peer) = sockets::accept(&listener, deadline)?;
    let started = Instant::now();
    let digest = digest_to_end(&mut stream, &mut compared, deadline)?;
    let mut facts = facts(&digest, started);
    facts["peer"] = json!(peer.to_string());
    let same = compared.is_none_or(|compared| compared.tell(&mut facts));
    let ok = same && expected.is_none_or(|expected| expected == digest.bytes());
    Ok(Report { ok, facts })
}

fn digest_to_end(
    stream: &mut TcpStream,
    compared: &mut Option<Compared>,
    deadline: Deadline,
) -> Result<Digest, TrafficError> {
    let mut digest = Digest::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        match sockets::read_some(stream, &mut chunk, deadline)? {
            0 => return Ok(digest),
            len => {
                digest.update(&chunk[..len]);
                compared.iter_mut().for_each(|it| it.update(&chunk[..len]));
            }
        }
        deadline.check("receive")?;
    }
}

/// What came, held against what the other end sent: a digest says that bytes changed, this says
/// which.
struct Compared {
    pattern: Pattern,
    /// Bytes of the pattern not yet compared: it is made in whole words.
    word: [u8; 8],
    at: u64,
    different: u64,
    first: Option<(u64, String)>,
    last: u64,
}

impl Compared {
    fn to_pattern(seed: u64) -> Self {
        Self {
            pattern: Pattern::new(seed),
            word: [0; 8],
            at: 0,
            different: 0,
            first: None,
            last: 0,
        }
    }

    fn update(&mut self, came: &[u8]) {
        for (index, &byte) in came.iter().enumerate() {
            let place = (self.at % 8) as usize;
            if place == 0 {
                self.pattern.fill(&mut self.word);
            }
            if byte != self.word[place] {
                self.note(&came[index..]);
            }
            self.at += 1;
        }
    }

    #[cold]
    fn note(&mut self, came: &[u8]) {
        let sample = || format!("{:02x?}", &came[..came.len().min(16)]);
        self.first.get_or_insert_with(|| (self.at, sample()));
        self.different += 1;
        self.last = self.at;
    }

    /// Adds what differed to `facts`; whether nothing did.
    fn tell(self, facts: &mut Value) -> bool {
        if let Some((at, came)) = self.first {
            facts["different"] = json!({
                "bytes": self.different, "first": at, "last": self.last, "came": came,
            });
            return false;
        }
        true
    }
}

fn facts(digest: &Digest, started: Instant) -> Value {
    json!({
        "bytes": digest.bytes(),
        "xxh3_128": digest.hex(),
        "seconds": started.elapsed().as_secs_f64(),
    })
}
