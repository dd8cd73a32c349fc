//! Traffic whose every byte is checked, between any two places that run `guest-runner traffic`.

use crate::guest::Guest;
use crate::host_net::HostNet;
use crate::image;
use crate::output::Output;
use crate::{Error, Result};
use serde_json::Value;
use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// One transfer's limit: 256 MiB on a slow path of a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A place that traffic can start from and go to.
pub trait End: Sync {
    /// Runs a traffic verb to its end.
    ///
    /// # Errors
    /// When the place does not answer; a verb that fails is none.
    fn traffic(&self, words: &str, within: Duration) -> Result<Output>;

    /// Starts a traffic verb, which is killed when the returned value goes.
    ///
    /// # Errors
    /// When it cannot be started.
    fn serve(&self, words: &str) -> Result<Box<dyn Any>>;
}

impl End for Guest {
    fn traffic(&self, words: &str, within: Duration) -> Result<Output> {
        self.run_for(&format!("guest-runner traffic {words}"), within)
    }

    fn serve(&self, words: &str) -> Result<Box<dyn Any>> {
        let job = self.spawn(&format!("exec guest-runner traffic {words}"))?;
        Ok(Box::new(job))
    }
}

impl End for HostNet {
    fn traffic(&self, words: &str, within: Duration) -> Result<Output> {
        let runner = image::guest_runner()?;
        self.run_for(&format!("{} traffic {words}", runner.display()), within)
    }

    fn serve(&self, words: &str) -> Result<Box<dyn Any>> {
        let runner = image::guest_runner()?;
        let words: Vec<&str> = ["traffic"]
            .into_iter()
            .chain(words.split_whitespace())
            .collect();
        let job = self.spawn(&runner.display().to_string(), &words)?;
        Ok(Box::new(job))
    }
}

/// Sends random bytes over TCP to `address`, which is `to`'s; both ends must count the same bytes
/// and come to the same digest.
///
/// # Errors
/// [`Error::Command`] with what either end said.
pub fn stream(from: &dyn End, to: &dyn End, address: &str, mib: u64) -> Result<()> {
    let (bytes, seed) = (mib << 20, seed());
    let deadline = PATIENCE.as_secs();
    let receive =
        format!("receive --listen {address} --bytes {bytes} --seed {seed} --deadline {deadline}");
    let send = format!("send --to {address} --bytes {bytes} --seed {seed} --deadline {deadline}");
    let (sent, received) = thread::scope(|scope| {
        let receiver = scope.spawn(|| to.traffic(&receive, PATIENCE));
        let sent = from.traffic(&send, PATIENCE);
        (sent, receiver.join())
    });
    let received = received.map_err(|_| Error::Command("the receiver panicked".to_string()))?;
    let (sent, received) = (sent?, received?);
    let facts = |output: &Output| {
        let line: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        (line["bytes"].as_u64(), line["xxh3_128"].clone())
    };
    let equal = facts(&sent) == facts(&received) && facts(&sent).0 == Some(bytes);
    if sent.success() && received.success() && equal {
        return Ok(());
    }
    Err(Error::Command(format!(
        "{mib} MiB to {address} did not arrive as they were sent:\n{}\n{}",
        sent.story(),
        received.story()
    )))
}

/// Sends datagrams of every size worth it, or of those given (`"1,59"`), to an echo at `address`,
/// which is `to`'s, and compares every byte that comes back. A lost datagram is sent again.
///
/// # Errors
/// [`Error::Command`] with what the sender found.
pub fn datagrams(from: &dyn End, to: &dyn End, address: &str, sizes: Option<&str>) -> Result<()> {
    let sizes = sizes.map_or_else(String::new, |sizes| format!("--sizes {sizes}"));
    check_echoes(from, to, address, &sizes)
}

/// The same with datagrams that the sender's kernel may leave whole up to the wire, there to be cut
/// after every `segment` bytes (`UDP_SEGMENT`).
///
/// # Errors
/// As [`datagrams`].
pub fn segments(
    from: &dyn End,
    to: &dyn End,
    address: &str,
    sizes: &str,
    segment: u16,
) -> Result<()> {
    check_echoes(
        from,
        to,
        address,
        &format!("--sizes {sizes} --segment {segment}"),
    )
}

fn check_echoes(from: &dyn End, to: &dyn End, address: &str, options: &str) -> Result<()> {
    let _echo = to.serve(&format!("udp-echo --listen {address} --deadline 120"))?;
    let check = format!("udp-check --to {address} {options} --seed {}", seed());
    from.traffic(&check, PATIENCE)?.into_stdout().map(drop)
}

/// Another one each time, so that bytes of an earlier transfer are never right again.
fn seed() -> u64 {
    static SEED: AtomicU64 = AtomicU64::new(1);
    SEED.fetch_add(1, Ordering::Relaxed)
}
