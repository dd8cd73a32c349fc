//! `tap-calls`: what a frame costs at a TAP by a system call of its own, and in batches that share
//! one (io_uring).
//!
//! The frames are real on both sides: a socket of the interface's own stack sends what is read and
//! receives what is written. Both sides are looked at outside the time that counts, and a frame
//! that is missing, one too many or another one ends the command.
//!
//! The conditions are those of a driver host: several threads, so that each call takes a reference
//! to its file, and a filter of system calls, which here lets all pass.

mod frame;
mod interface;
mod slots;

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::Report;
use super::args::{Args, usage};
use super::error::{TrafficError, socket};
use frame::{LARGEST, SMALLEST};
use interface::Interface;
use slots::Slots;

/// Frames of one turn: fewer than a TAP queues.
const TURN: usize = 256;

/// Seen from whoever has the TAP.
#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

/// How frames are moved.
#[derive(Clone, Copy)]
enum Way {
    /// One call each.
    Call,
    /// One call each, which takes header and frame apart.
    Vectored,
    /// So many by one call.
    Batch(usize),
    /// The same from memory that the kernel was told of before.
    Registered(usize),
}

impl Way {
    const ALL: [Self; 7] = [
        Self::Call,
        Self::Vectored,
        Self::Batch(1),
        Self::Batch(16),
        Self::Batch(32),
        Self::Batch(64),
        Self::Registered(32),
    ];

    fn name(self) -> String {
        match self {
            Self::Call => "call".to_owned(),
            Self::Vectored => "vectored".to_owned(),
            Self::Batch(count) => format!("batch_{count}"),
            Self::Registered(count) => format!("registered_{count}"),
        }
    }
}

/// Moves frames of `--size` bytes in every way, in turn, `--turns` times; nanoseconds a frame.
pub(super) fn tap_calls(args: &mut Args) -> Result<Report, TrafficError> {
    let size = args.optional("size")?.unwrap_or(SMALLEST);
    let turns = args.optional("turns")?.unwrap_or(40);
    args.finish()?;
    if !(SMALLEST..=LARGEST).contains(&size) || !(1..=1000).contains(&turns) {
        let why = format!("--size: want {SMALLEST} to {LARGEST}; --turns: want 1 to 1000");
        return Err(usage(why));
    }
    let facts = beside_a_thread(|| measured(size, turns));
    Ok(Report::passed(
        facts.map_err(socket("moving frames through a TAP"))?,
    ))
}

/// Another thread waits meanwhile.
fn beside_a_thread<T>(work: impl FnOnce() -> T) -> T {
    let (end, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || ended.recv());
        let done = work();
        drop(end);
        done
    })
}

fn measured(size: usize, turns: usize) -> io::Result<Value> {
    let interface = Interface::make(size)?;
    let mut slots = Slots::new(interface.tap(), TURN, interface.stride())?;
    let_all_calls_pass()?;
    Ok(json!({
        "size": size,
        "frames": TURN * turns,
        "read_ns": in_all_ways(&interface, &mut slots, Direction::Read, turns)?,
        "write_ns": in_all_ways(&interface, &mut slots, Direction::Write, turns)?,
    }))
}

fn let_all_calls_pass() -> io::Result<()> {
    /// `BPF_RET`, a constant.
    const ANSWER: u16 = 0x06;
    const SECCOMP_RET_ALLOW: u32 = 0x7fff_0000;
    let pass = seccompiler::sock_filter {
        code: ANSWER,
        jt: 0,
        jf: 0,
        k: SECCOMP_RET_ALLOW,
    };
    seccompiler::apply_filter(&[pass]).map_err(io::Error::other)
}

fn in_all_ways(
    interface: &Interface,
    slots: &mut Slots,
    direction: Direction,
    turns: usize,
) -> io::Result<Map<String, Value>> {
    let mut took = Way::ALL.map(|way| (way, Vec::with_capacity(turns)));
    for _ in 0..turns {
        for (way, took) in &mut took {
            took.push(turn(interface, slots, direction, *way)?);
        }
        // None always comes after the same other one.
        took.rotate_left(1);
    }
    let each = took.into_iter();
    Ok(each
        .map(|(way, took)| (way.name(), json!(frame_ns(took))))
        .collect())
}

/// Moves the frames of one turn; what that took, without what comes before and after.
fn turn(
    interface: &Interface,
    slots: &mut Slots,
    direction: Direction,
    way: Way,
) -> io::Result<Duration> {
    match direction {
        Direction::Read => interface.send(TURN)?,
        Direction::Write => {
            (0..)
                .zip(slots.all())
                .for_each(|(number, slot)| frame::make(slot, number));
        }
    }
    let tap = interface.tap();
    let began = Instant::now();
    match (way, direction) {
        (Way::Call, Direction::Read) => slots.read_each(tap),
        (Way::Call, Direction::Write) => slots.write_each(tap),
        (Way::Vectored, Direction::Read) => slots.read_each_vectored(tap),
        (Way::Vectored, Direction::Write) => slots.write_each_vectored(tap),
        (Way::Batch(count), Direction::Read) => slots.read_batches(count, false),
        (Way::Batch(count), Direction::Write) => slots.write_batches(count, false),
        (Way::Registered(count), Direction::Read) => slots.read_batches(count, true),
        (Way::Registered(count), Direction::Write) => slots.write_batches(count, true),
    }?;
    let took = began.elapsed();
    match direction {
        Direction::Read => interface.check_read(slots.all())?,
        Direction::Write => interface.receive(TURN)?,
    }
    Ok(took)
}

/// The median turn's nanoseconds a frame.
fn frame_ns(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    let median = took[took.len() / 2].as_secs_f64();
    (median * 1e10 / TURN as f64).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_costs_its_share_of_the_median_turn() {
        let took = [900, 256, 2].map(Duration::from_micros);
        assert_eq!(frame_ns(took.to_vec()), 1000.0);
    }
}
