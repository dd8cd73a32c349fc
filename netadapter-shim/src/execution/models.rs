//! A context's sleep, in every order of steps: the shipped `Rest` and `Waker`, with a device, a
//! client and a control thread that are played here. A wake-up that is lost shows as a deadlock.

use std::sync::Arc;

use loom::sync::Mutex;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use loom::sync::atomic::{AtomicBool, AtomicU8, fence};

use super::rest::{Next, Rest};
use crate::wake::Waker;

/// What the context and those around it share.
struct World {
    waker: Arc<Waker>,
    /// Completions of the device, and whether it is to interrupt for one.
    completed: AtomicU8,
    wants_interrupt: AtomicBool,
    /// A task of the control thread: stop.
    stop: Mutex<bool>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            waker: Waker::new().unwrap(),
            completed: AtomicU8::new(0),
            wants_interrupt: AtomicBool::new(false),
            stop: Mutex::new(false),
        })
    }

    /// The device completes something, and interrupts if that was asked for. Its eventfd is
    /// another than the waker's, but wakes the same epoll.
    fn complete(&self) {
        self.completed.fetch_add(1, Release);
        fence(SeqCst);
        if self.wants_interrupt.load(Relaxed) {
            self.waker.event().write(1).unwrap();
        }
    }

    /// A client has news of its own, such as a packet that was completed elsewhere.
    fn complete_elsewhere(&self) {
        self.completed.fetch_add(1, Release);
        self.waker.notify();
    }

    /// The control thread asks for the end.
    fn ask_to_stop(&self) {
        *self.stop.lock().unwrap() = true;
        self.waker.notify();
    }

    /// The context's loop, which looks on once after each find, until `done` by what it has seen:
    /// completions, and the task.
    fn run(&self, done: fn(u8, bool) -> bool) {
        let (mut rest, mut seen, mut stopped) = (Rest::default(), 0, false);
        let mut may_look = true;
        loop {
            if rest.begin_turn(&self.waker) {
                stopped |= *self.stop.lock().unwrap();
            }
            let completed = self.completed.load(Acquire);
            let found_work = completed != seen;
            seen = completed;
            if done(seen, stopped) {
                return;
            }
            let looks_on = || std::mem::take(&mut may_look);
            match rest.after_turn(found_work, &self.waker, looks_on) {
                Next::Turn if found_work => may_look = true,
                Next::Turn | Next::Look => {}
                Next::Arm => {
                    self.wants_interrupt.store(true, Relaxed);
                    fence(SeqCst);
                }
                Next::Sleep => self.waker.event().wait(),
            }
        }
    }
}

/// Times that one execution takes the processor from a thread that could go on. Without a bound,
/// three threads take minutes.
const PREEMPTIONS: usize = 3;

/// Runs `others` beside a context that goes on until `done`, in every order.
fn model(others: &'static [fn(&World)], done: fn(u8, bool) -> bool) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(move || {
        let world = World::new();
        let threads: Vec<_> = others
            .iter()
            .map(|other| {
                let world = Arc::clone(&world);
                loom::thread::spawn(move || other(&world))
            })
            .collect();
        world.run(done);
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
}

#[test]
fn an_interrupt_between_arming_and_sleeping_is_not_lost() {
    model(&[World::complete], |seen, _| seen == 1);
}

#[test]
fn a_notification_at_any_moment_is_not_lost() {
    model(&[World::complete_elsewhere], |seen, _| seen == 1);
}

#[test]
fn stop_is_heard_whatever_kicks_at_the_same_time() {
    model(
        &[World::ask_to_stop, World::complete_elsewhere],
        |_, stopped| stopped,
    );
}

#[test]
fn completions_are_seen_whatever_stops_at_the_same_time() {
    model(&[World::complete, World::ask_to_stop], |seen, stopped| {
        seen == 1 && stopped
    });
}
