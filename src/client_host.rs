//! The client host: the process in which somebody's NetAdapterCx client runs, and which may die at
//! any time.
//!
//! ```text
//! lock in, but for files ─► load the library ─► lock in all the way ─► Ready   a spare, waiting
//! Go ─► DriverEntry ─► devices ─► Started ─► until Stop, or until no device is left
//! ```
//!
//! It is started by its [supervisor](crate::run::client), of which it asks for interfaces and
//! sockets. This thread talks to the supervisor and never enters the client; another one, the
//! `session`, does.

mod failure;
mod ground;
mod port;
mod session;
mod shared;

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netadapter_shim::door::hosted::LoadedClient;
use vmm_sys_util::eventfd::EventFd;

use self::failure::failure;
use self::ground::{Ground, Leaving};
use self::session::{Job, Jobs, Session};
use self::shared::Shared;
use crate::cage::{self, Confinement, Profile, Reading};
use crate::channel::{ChannelError, ClientSetup, FromHost, PROTOCOL, SharedLine, ToHost};
use crate::exit::Exit;
use crate::hosting::{self, HostEnd, system};
use crate::poller::Poller;
use crate::run::ROOT_KEEPER;

/// How often queues are asked again that do not answer.
const AGAIN: Duration = Duration::from_millis(100);
/// Longest time in a queue's callback before it counts as stuck.
const QUEUE_PATIENCE: Duration = Duration::from_secs(10);

/// Hosts the client in `file` for the supervisor at the other end of standard input, and ends the
/// process.
pub fn main(file: &Path, caged: bool) -> ! {
    hosting::end("client host", run(file, caged))
}

fn run(file: &Path, caged: bool) -> Result<Exit, HostEnd> {
    let confinement = Confinement::default();
    let mut keeper = Command::new("/proc/self/exe");
    keeper.arg(ROOT_KEEPER);
    let reading = caged.then(|| cage::enter_reading(&confinement, &folders(file), &mut keeper));
    let reading = reading.transpose()?;
    hosting::end_with_supervisor()?;
    let (line, message, _) = hosting::first_message()?;
    let ToHost::Client(setup) = message else {
        return Err(hosting::unexpected("a client", &message));
    };
    let line = SharedLine::new(line);
    let client = match LoadedClient::load(file, setup.verifier) {
        Ok(client) => client,
        Err(error) => {
            line.send(&FromHost::Failed(failure(&error)))?;
            return Ok(Exit::Failed);
        }
    };
    line.send(&FromHost::Ready {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cage: lock_in(reading)?,
    })?;
    loop {
        let (message, _) = line.lock().wait(None)?;
        match message {
            ToHost::Go(_) => break,
            ToHost::Stop => return Ok(Exit::Done),
            // Nothing there is to hear of before there is a device.
            _ => {}
        }
    }
    Control::begin(client, &setup, line)?.serve()
}

/// All the way. How, in a line.
fn lock_in(reading: Option<Reading>) -> Result<String, HostEnd> {
    let Some(reading) = reading else {
        return Ok("NOT CAGED: it could do whatever its supervisor can".to_owned());
    };
    let confined = reading.close()?;
    let locked = cage::lock_down(&Profile::client())?;
    Ok(format!("{confined}; {locked}"))
}

/// Where the system's libraries are, beside the folders of those that this program uses.
const LIBRARIES: [&str; 6] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
];

/// What the dynamic loader may read: the client's folder and the system's libraries.
fn folders(file: &Path) -> Vec<PathBuf> {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let own = [file, real.as_path()].into_iter().filter_map(Path::parent);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mapped = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]));
    let mapped = mapped.filter_map(|library| Path::new(library).parent());
    let named = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = own.chain(mapped).map(Path::to_owned).collect();
    folders.extend(LIBRARIES.map(PathBuf::from));
    folders.extend(std::env::split_paths(&named));
    folders.sort();
    folders.dedup();
    folders
}

/// What the control thread waits for.
#[derive(Clone, Copy)]
enum Event {
    Supervisor,
    Ended,
}

/// The control thread of a host at work.
struct Control {
    line: SharedLine,
    poller: Poller<Event>,
    jobs: Jobs,
    shared: Arc<Shared>,
    /// Readable once the session has ended.
    _ended: EventFd,
    challenge: Option<Challenge>,
    patience: Duration,
}

/// A challenge that is not answered yet.
struct Challenge {
    number: u64,
    again_at: Instant,
    excused: bool,
}

impl Control {
    /// Has a session begin, on a thread of its own.
    fn begin(client: LoadedClient, setup: &ClientSetup, line: SharedLine) -> Result<Self, HostEnd> {
        let failed = "prepare for the client";
        let ended = EventFd::new(libc::EFD_CLOEXEC).map_err(system(failed))?;
        let mut poller = Poller::new().map_err(system(failed))?;
        for fd in line.descriptors() {
            poller.add(fd, Event::Supervisor).map_err(system(failed))?;
        }
        poller
            .add(ended.as_raw_fd(), Event::Ended)
            .map_err(system(failed))?;
        let shared = Arc::<Shared>::default();
        let ground = Arc::new(Ground::new(setup, line.clone(), Leaving::default()));
        let session = Session::new(setup, ground, line.clone(), Arc::clone(&shared));
        let (session, jobs) = session.map_err(system(failed))?;
        let end = ended.try_clone().map_err(system(failed))?;
        std::thread::Builder::new()
            .name("umnet-client".to_owned())
            .spawn(move || {
                session.run(client);
                let _ = end.write(1);
            })
            .map_err(system("start a thread for the client"))?;
        Ok(Self {
            line,
            poller,
            jobs,
            shared,
            _ended: ended,
            challenge: None,
            patience: (Duration::from_millis(setup.deadline_ms) / 2).min(QUEUE_PATIENCE),
        })
    }

    fn serve(&mut self) -> Result<Exit, HostEnd> {
        // Something may have come meanwhile.
        self.told()?;
        loop {
            let again = self.challenge.as_ref().map(|challenge| challenge.again_at);
            let events = self.poller.wait(again).map_err(system("wait for events"))?;
            for event in events {
                match event {
                    Event::Supervisor => self.told()?,
                    Event::Ended => return Ok(self.shared.exit()),
                }
            }
            self.answer()?;
        }
    }

    /// Does what the supervisor says, or has it done.
    fn told(&mut self) -> Result<(), HostEnd> {
        loop {
            let Some((message, _)) = self.line.lock().next()? else {
                return Ok(());
            };
            match message {
                ToHost::Filter(filter) => self.jobs.give(Job::Filter(filter)),
                ToHost::Happen(event) => self.jobs.give(Job::Happen(event)),
                ToHost::Stop => self.jobs.give(Job::Stop),
                ToHost::Challenge(number) => {
                    self.challenge = Some(Challenge {
                        number,
                        again_at: Instant::now(),
                        excused: false,
                    });
                }
                ToHost::Count => {
                    let report = Box::new(self.shared.report());
                    self.line.send(&FromHost::Changed(report))?;
                    let counters = self.shared.counters();
                    self.line.send(&FromHost::Counted { counters })?;
                }
                // Of an interface that is none of a client's.
                ToHost::Follow(_) => {}
                other => {
                    let text = format!("what is not for it: {other:?}");
                    return Err(ChannelError::Nonsense(text).into());
                }
            }
        }
    }

    /// Answers a challenge once the queues' poll loops go round. As long as the session is in the
    /// client, the client's watchdog has an eye on it. A queue that is in a callback is excused
    /// once, for as long as callbacks may take.
    fn answer(&mut self) -> Result<(), HostEnd> {
        let now = Instant::now();
        let due = self
            .challenge
            .as_mut()
            .filter(|challenge| challenge.again_at <= now);
        let Some(challenge) = due else {
            return Ok(());
        };
        if self.shared.is_busy() || self.shared.pulse() {
            let challenge = challenge.number;
            self.challenge = None;
            let counters = self.shared.counters();
            return Ok(self.line.send(&FromHost::Alive {
                challenge,
                counters,
            })?);
        }
        challenge.again_at = now + AGAIN;
        if !std::mem::replace(&mut challenge.excused, true) {
            let milliseconds = u32::try_from(self.patience.as_millis()).unwrap_or(u32::MAX);
            self.line.send(&FromHost::Busy(milliseconds))?;
        }
        Ok(())
    }
}
