//! `switches` and `pass-back`: what it costs to hand one byte to somebody else who was asleep, and
//! to be handed it back.
//!
//! A request that a process answers on its way through costs that much more than one that the
//! kernel answers by itself, whatever the process does.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Report;
use super::args::{Args, usage};
use super::error::{TrafficError, socket};
use super::meter::per_second;

/// Longer says no more.
const LONGEST: Duration = Duration::from_secs(10);

/// A byte there and back over two pipes for `--seconds`, between two processes or, with `--between
/// threads`, two threads of one.
pub(super) fn switches(args: &mut Args) -> Result<Report, TrafficError> {
    let seconds: Duration = match args.seconds("seconds")? {
        Some(seconds) if seconds <= LONGEST => seconds,
        _ => return Err(usage("--seconds: want at most 10".to_owned())),
    };
    let between: Option<String> = args.optional("between")?;
    args.finish()?;
    let counted = match between.as_deref() {
        None | Some("processes") => between_processes(seconds),
        Some("threads") => between_threads(seconds),
        Some(other) => {
            let why = format!("--between {other}: processes or threads");
            return Err(usage(why));
        }
    };
    let (count, took) = counted.map_err(socket("handing a byte to and fro"))?;
    let per_s = per_second(count, took.as_secs_f64());
    let each = took.as_secs_f64() * 1e6 / count.max(1) as f64;
    Ok(Report::passed(
        json!({ "per_s": per_s, "there_and_back_us": each }),
    ))
}

/// The other process: every byte of its input goes back.
pub(super) fn pass_back(args: &mut Args) -> Result<Report, TrafficError> {
    args.finish()?;
    let bytes = echo(io::stdin().lock(), io::stdout().lock());
    let bytes = bytes.map_err(socket("passing back"))?;
    // Its output has only the bytes.
    eprintln!("passed {bytes} bytes back");
    std::process::exit(0)
}

fn between_processes(seconds: Duration) -> io::Result<(u64, Duration)> {
    let mut other = Ended(
        Command::new(std::env::current_exe()?)
            .args(["traffic", "pass-back"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?,
    );
    match (other.0.stdin.take(), other.0.stdout.take()) {
        (Some(there), Some(back)) => count(there, back, seconds),
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

fn between_threads(seconds: Duration) -> io::Result<(u64, Duration)> {
    let (far_in, there) = io::pipe()?;
    let (back, far_out) = io::pipe()?;
    thread::scope(|scope| {
        scope.spawn(|| echo(far_in, far_out));
        // The pipe is closed when this has counted, and that ends the other.
        count(there, back, seconds)
    })
}

/// How many bytes came back, and in which time.
fn count(
    mut there: impl Write,
    mut back: impl Read,
    seconds: Duration,
) -> io::Result<(u64, Duration)> {
    let mut byte = [7];
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < seconds {
        there.write_all(&byte)?;
        there.flush()?;
        back.read_exact(&mut byte)?;
        count += 1;
    }
    Ok((count, began.elapsed()))
}

fn echo(mut from: impl Read, mut to: impl Write) -> io::Result<u64> {
    let (mut byte, mut bytes) = ([0], 0);
    while from.read(&mut byte)? == 1 {
        to.write_all(&byte)?;
        to.flush()?;
        bytes += 1;
    }
    Ok(bytes)
}

/// A process that is ended with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_goes_to_a_thread_and_comes_back() {
        let (count, took) = between_threads(Duration::from_millis(30)).unwrap();
        assert!(count > 1 && took >= Duration::from_millis(30));
    }

    #[test]
    fn a_far_end_that_ends_is_an_error_and_no_wait() {
        let (back, far_out) = io::pipe().unwrap();
        drop(far_out);
        let outcome = count(io::sink(), back, LONGEST);
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
