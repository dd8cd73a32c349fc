//! A host's life in the cage, played through without a device: everything that it does of the
//! standard library and the C library after lock-down.

use std::error::Error;
use std::io::{IoSlice, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use syscalls::Sysno;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

use super::{Confinement, Profile, enter, lock_down};

type Outcome = Result<(), Box<dyn Error>>;

type Operation = fn(&mut Stage) -> Outcome;

/// Threads beside the first, as of two queue pairs.
const WORKERS: usize = 2;
const MOMENT: Duration = Duration::from_millis(1);
/// From what lies in a thread's cache to what is mapped on its own.
const BLOCKS: [usize; 5] = [16, 4096, 60_000, 200_000, 1 << 20];
const ROUNDS: usize = 5;

/// Enters the cage, locks down and does what a host does. [`selftest`](super::selftest) starts it
/// with its two arguments; before each operation its name goes to the standard output.
pub fn rehearse(arguments: &[String]) -> ExitCode {
    match arguments {
        [profile, more] => match played(profile, more) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "cage: rehearsal: {error}");
                ExitCode::FAILURE
            }
        },
        _ => ExitCode::FAILURE,
    }
}

fn played(profile: &str, more: &str) -> Outcome {
    let more: Result<Vec<Sysno>, _> = more
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.parse().map_err(|_| format!("no system call {name}")))
        .collect();
    let profile = profile.parse::<Profile>()?;
    enter(&Confinement::default())?;
    let mut stage = Stage::new()?;
    lock_down(&profile.clone().widened(&more?))?;
    for (name, operation) in OPERATIONS {
        say(name)?;
        operation(&mut stage)?;
    }
    if profile.allowed().any(|(call, _)| call == Sysno::clone) {
        say("start and end a thread")?;
        thread::spawn(|| thread::sleep(MOMENT))
            .join()
            .map_err(|_| "it panicked")?;
    }
    say("end")
}

/// With nothing of a library's in between.
fn say(line: &str) -> Outcome {
    rustix::io::write(std::io::stdout(), format!("{line}\n").as_bytes())?;
    Ok(())
}

/// What a host has when it locks itself down.
struct Stage {
    workers: Vec<Worker>,
    shared: Arc<(Mutex<u64>, Condvar)>,
    epoll: Epoll,
    event: EventFd,
    socket: (UnixStream, UnixStream),
}

struct Worker {
    work: Sender<fn() -> bool>,
    done: Receiver<bool>,
}

impl Stage {
    fn new() -> Result<Self, Box<dyn Error>> {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| Worker::start(Arc::clone(&shared)))
            .collect();
        let stage = Self {
            workers,
            shared,
            epoll: Epoll::new()?,
            event: EventFd::new(0)?,
            socket: UnixStream::pair()?,
        };
        // Threads that are only beginning make calls that they never make again.
        stage.on_all(|| true)?;
        Ok(stage)
    }

    /// Has all workers do the same thing at the same time.
    fn on_all(&self, work: fn() -> bool) -> Outcome {
        for worker in &self.workers {
            worker.work.send(work)?;
        }
        for worker in &self.workers {
            worker
                .done
                .recv()?
                .then_some(())
                .ok_or("wrong result in a thread")?;
        }
        Ok(())
    }
}

impl Worker {
    fn start(shared: Arc<(Mutex<u64>, Condvar)>) -> Self {
        let (work, to_do) = channel::<fn() -> bool>();
        let (tell, done) = channel();
        thread::spawn(move || {
            for work in to_do {
                let result = work();
                let (count, changed) = &*shared;
                *count.lock().unwrap_or_else(|e| e.into_inner()) += 1;
                changed.notify_all();
                let _ = tell.send(result);
            }
            // Threads do not end in the cage.
            loop {
                thread::park();
            }
        });
        Self { work, done }
    }
}

/// By name, as they are told in the log.
const OPERATIONS: [(&str, Operation); 8] = [
    ("allocate and free memory", |stage| {
        allocate().then_some(()).ok_or("wrong bytes")?;
        stage.on_all(allocate)
    }),
    ("wake threads and be woken", wake),
    ("read the clocks", |_| {
        let _ = (Instant::now(), SystemTime::now());
        Ok(())
    }),
    ("sleep", |stage| {
        thread::sleep(MOMENT);
        stage.on_all(|| {
            thread::sleep(MOMENT);
            true
        })
    }),
    ("wait for events", wait_for_events),
    ("send and receive a descriptor", pass_descriptor),
    ("log a line", |_| {
        log::info!("cage: rehearsal");
        writeln!(std::io::stderr(), "cage: rehearsal")?;
        let parts = [IoSlice::new(b"cage: "), IoSlice::new(b"rehearsal\n")];
        let written = std::io::stderr().write_vectored(&parts)?;
        (written > 0)
            .then_some(())
            .ok_or_else(|| "nothing written".into())
    }),
    ("close descriptors", |_| {
        drop((Epoll::new()?, EventFd::new(0)?));
        Ok(())
    }),
];

/// Blocks of all sizes, grown and freed in another order than they came. Whether their bytes
/// stayed.
fn allocate() -> bool {
    let mut intact = true;
    for round in 0..ROUNDS {
        let mut blocks: Vec<_> = BLOCKS.iter().map(|&size| vec![round as u8; size]).collect();
        for block in &mut blocks {
            block.reserve_exact(block.len());
            block.push(1);
        }
        blocks.swap_remove(round % BLOCKS.len());
        intact &= blocks
            .iter()
            .all(|block| block[block.len() - 2] == round as u8);
    }
    intact
}

fn wake(stage: &mut Stage) -> Outcome {
    let (count, changed) = &*Arc::clone(&stage.shared);
    let before = *count.lock().map_err(|_| "poisoned")?;
    for _ in 0..ROUNDS {
        stage.on_all(|| {
            thread::yield_now();
            true
        })?;
    }
    let owed = before + (ROUNDS * WORKERS) as u64;
    let mut now = count.lock().map_err(|_| "poisoned")?;
    while *now < owed {
        now = changed.wait(now).map_err(|_| "poisoned")?;
    }
    // Nobody notifies: this one has to end by the clock.
    drop(changed.wait_timeout(now, MOMENT).map_err(|_| "poisoned")?);
    Ok(())
}

fn wait_for_events(stage: &mut Stage) -> Outcome {
    let mut ready = [EpollEvent::default()];
    let interest = EpollEvent::new(EventSet::IN, 0);
    let event = stage.event.as_raw_fd();
    stage.epoll.ctl(ControlOperation::Add, event, interest)?;
    let silent = stage.epoll.wait(1, &mut ready)?;
    stage.event.write(1)?;
    let woken = stage.epoll.wait(1000, &mut ready)?;
    stage.event.read()?;
    stage.epoll.ctl(ControlOperation::Delete, event, interest)?;
    match (silent, woken) {
        (0, 1) => Ok(()),
        other => Err(format!("woken as {other:?}").into()),
    }
}

fn pass_descriptor(stage: &mut Stage) -> Outcome {
    let (near, far) = &stage.socket;
    near.send_with_fd(&b"x"[..], stage.event.as_raw_fd())?;
    let mut byte = [0];
    let (_, file) = far.recv_with_fd(&mut byte)?;
    file.map(drop).ok_or_else(|| "none came".into())
}
