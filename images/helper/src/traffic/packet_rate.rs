//! `udp-flood` and `udp-sink`: how many small datagrams a second leave, and how many arrive.
//!
//! A flood reports what its socket took. Between that and the wire a queue may drop silently, so
//! whoever wants the rate of the wire counts at the far end (`udp-sink --interface`).

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Report;
use super::args::{Args, usage};
use super::error::{TrafficError, socket};
use super::meter::{Counters, Window};
use super::sockets::{self, UdpListen, is_try_again};

/// A paced flood sends what is due and sleeps this long: a burst of 60 at 60,000 a second, so the
/// sender leaves its core to others most of the time.
const PACE: Duration = Duration::from_millis(1);
/// A sender that was not scheduled for long does not make up for more than this at once.
const CATCH_UP: Duration = Duration::from_millis(5);

/// Sends datagrams of `--size` bytes, unpaced or `--rate` per second, until `--seconds` are over.
pub(super) fn flood(args: &mut Args) -> Result<Report, TrafficError> {
    let to: SocketAddr = args.required("to")?;
    let size: usize = args.optional("size")?.unwrap_or(18);
    let rate: Option<u32> = args.optional("rate")?;
    let window = Window::bounded(args)?;
    args.finish()?;
    if rate == Some(0) {
        return Err(usage(
            "--rate 0 would never send; leave --rate out to send unpaced".to_owned(),
        ));
    }

    let udp = sockets::udp_towards(to, None)?;
    udp.connect(to)
        .map_err(socket(format!("choose a route to {to}")))?;
    let mut sender = Sender {
        udp,
        datagram: vec![0x5a; size],
        sent: 0,
        refused: 0,
    };
    let mut facts = window.measure(|counters| match rate {
        Some(rate) => sender.send_paced(rate, counters),
        None => sender.send_unpaced(counters),
    })?;
    facts["size"] = json!(size);
    facts["refused"] = json!(sender.refused);
    Ok(Report::passed(facts))
}

struct Sender {
    udp: UdpSocket,
    datagram: Vec<u8>,
    sent: u64,
    refused: u64,
}

impl Sender {
    fn send_unpaced(&mut self, counters: &Counters) -> Result<(), TrafficError> {
        while !counters.should_stop() {
            self.send_one(counters)?;
        }
        Ok(())
    }

    fn send_paced(&mut self, rate: u32, counters: &Counters) -> Result<(), TrafficError> {
        let mut paid_until = Instant::now();
        while !counters.should_stop() {
            let now = Instant::now();
            paid_until = paid_until.max(now.checked_sub(CATCH_UP).unwrap_or(paid_until));
            let due = ((now - paid_until).as_secs_f64() * f64::from(rate)) as u32;
            paid_until += Duration::from_secs_f64(f64::from(due) / f64::from(rate));
            for _ in 0..due {
                self.send_one(counters)?;
            }
            thread::sleep(PACE);
        }
        Ok(())
    }

    fn send_one(&mut self, counters: &Counters) -> Result<(), TrafficError> {
        match self.udp.send(&self.datagram) {
            Ok(_) => {
                self.sent += 1;
                counters.set(self.sent, self.sent * self.datagram.len() as u64);
            }
            Err(error) if is_no_room(&error) => self.refused += 1,
            Err(error) => return Err(socket("send")(error)),
        }
        Ok(())
    }
}

/// Full queues, and the far end's "port unreachable" while its sink is not there yet.
pub(super) fn is_no_room(error: &io::Error) -> bool {
    /// `ENOBUFS` of Linux, which `std` has no kind for.
    const ENOBUFS: i32 = 105;
    is_try_again(error)
        || error.kind() == ErrorKind::ConnectionRefused
        || error.raw_os_error() == Some(ENOBUFS)
}

/// Counts datagrams for `--seconds`, from `--warmup` after the first on.
pub(super) fn sink(args: &mut Args) -> Result<Report, TrafficError> {
    let listen_on = UdpListen::from_args(args)?;
    let window = Window::bounded(args)?;
    args.finish()?;

    let udp = listen_on.open()?;
    Ok(Report::passed(window.measure(|counters| {
        receive_until_stopped(&udp, counters)
    })?))
}

fn receive_until_stopped(udp: &UdpSocket, counters: &Counters) -> Result<(), TrafficError> {
    let mut buffer = vec![0; 65_536];
    let (mut count, mut bytes) = (0, 0);
    while !counters.should_stop() {
        match udp.recv(&mut buffer) {
            Ok(len) => bytes += len as u64,
            Err(error) if is_try_again(&error) => continue,
            Err(error) => return Err(socket("receive")(error)),
        }
        count += 1;
        counters.set(count, bytes);
    }
    Ok(())
}
