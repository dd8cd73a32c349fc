//! Running commands in a guest.

use crate::nic::Mac;
use crate::output::{Ending, Output};
use crate::{Error, Result};
use guest_runner::protocol::{self, Answer, Call, Reply, Request};
use std::collections::HashMap;
use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An answer and its body.
type Answered = (Answer, Vec<u8>);

/// Guest time for a command that names none.
const ORDINARY: Duration = Duration::from_secs(30);
/// Host time a call may need beyond the guest time of its command.
const SLACK: Duration = Duration::from_secs(15);

/// A guest, or one network namespace of it. Clones talk to the same guest, from any thread.
#[derive(Debug, Clone)]
pub struct Guest {
    link: Arc<Link>,
    /// Host seconds to grant per guest second.
    patience: u32,
    /// Words before every command.
    prefix: Vec<String>,
}

impl Guest {
    pub(crate) fn new(socket: UnixStream, patience: u32) -> Result<Self> {
        Ok(Self {
            link: Link::new(socket)?,
            patience,
            prefix: Vec::new(),
        })
    }

    /// Runs a shell line; what it comes to is for the caller to judge.
    ///
    /// # Errors
    /// When the guest does not answer; a line that fails is none.
    pub fn run(&self, line: &str) -> Result<Output> {
        self.run_for(line, ORDINARY)
    }

    /// The same with another limit, in guest time; past it the line and what it started are killed.
    ///
    /// # Errors
    /// As [`Guest::run`].
    pub fn run_for(&self, line: &str, timeout: Duration) -> Result<Output> {
        self.run_with_input(line, b"", timeout)
    }

    /// The same with standard input.
    ///
    /// # Errors
    /// As [`Guest::run`].
    pub fn run_with_input(&self, line: &str, input: &[u8], timeout: Duration) -> Result<Output> {
        let call = Call::Run {
            argv: self.argv(line),
            timeout_ms: millis(timeout),
        };
        let (answer, body) = self.call(call, input, timeout)?;
        finished(line, &answer, &body)
    }

    /// Runs a shell line that must succeed and returns its standard output.
    ///
    /// # Panics
    /// With command, exit code and output when it does not.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        self.ok_for(line, ORDINARY)
    }

    /// [`Guest::ok`] with another limit, in guest time.
    ///
    /// # Panics
    /// As [`Guest::ok`].
    #[track_caller]
    pub fn ok_for(&self, line: &str, timeout: Duration) -> String {
        match self.run_for(line, timeout).and_then(Output::into_stdout) {
            Ok(stdout) => stdout,
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs a shell line that must exit with `code`.
    ///
    /// # Panics
    /// With the whole story when it does otherwise.
    #[track_caller]
    pub fn exits(&self, code: i32, line: &str) -> Output {
        let output = self.run(line).unwrap_or_else(|error| panic!("{error}"));
        assert!(
            output.code() == Some(code),
            "exit code {code} expected; {}",
            output.story()
        );
        output
    }

    /// Runs a shell line again and again until it succeeds; returns its standard output.
    ///
    /// # Panics
    /// With the last attempt's story when it has not within `timeout` of guest time.
    #[track_caller]
    pub fn eventually(&self, line: &str, timeout: Duration) -> String {
        let tries = timeout.as_millis().div_ceil(100).max(1);
        // The loop runs in the guest, so that it counts the guest's time.
        let looped = format!(
            "n=0; until out=$( ( {line} ) 2>&1 ); do n=$((n+1)); [ $n -ge {tries} ] && {{ echo \"$out\" >&2; exit 1; }}; \
             sleep 0.1; done; echo \"$out\""
        );
        let output = self
            .run_for(&looped, timeout * 2 + ORDINARY)
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(
            output.success(),
            "not within {timeout:?}: `{line}`: {}",
            output.stderr.trim_end()
        );
        output.stdout
    }

    /// Starts a shell line in the background.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn spawn(&self, line: &str) -> Result<Job> {
        let (answer, _) = self.call(
            Call::Spawn {
                argv: self.argv(line),
            },
            b"",
            ORDINARY,
        )?;
        match answer {
            Answer::Spawned { job } => Ok(Job {
                guest: self.clone(),
                line: line.to_string(),
                number: job,
                over: false,
            }),
            other => Err(unexpected(&other)),
        }
    }

    /// Writes a file into the guest.
    ///
    /// # Errors
    /// When the guest does not answer or refuses the path.
    pub fn push(&self, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        let call = Call::WriteFile {
            path: path.to_string(),
            mode,
        };
        self.call(call, bytes, ORDINARY).map(drop)
    }

    /// Reads a file of the guest.
    ///
    /// # Errors
    /// When the guest does not answer or has no such file.
    pub fn pull(&self, path: &str) -> Result<Vec<u8>> {
        let call = Call::ReadFile {
            path: path.to_string(),
        };
        self.call(call, b"", ORDINARY).map(|(_, body)| body)
    }

    /// The interface with an address, in this namespace.
    ///
    /// # Errors
    /// [`Error::Command`] with the interfaces there are.
    pub fn ifname(&self, mac: &Mac) -> Result<String> {
        let links = self.run("ip -o link")?.into_stdout()?;
        let with_mac = links.lines().find(|line| line.contains(&mac.to_string()));
        let name = with_mac.and_then(|line| line.split([':', '@']).nth(1));
        name.map(|name| name.trim().to_string())
            .ok_or_else(|| Error::Command(format!("no interface has {mac}; there are:\n{links}")))
    }

    /// A network namespace of the guest, made if it does not exist. What runs through the returned
    /// value runs inside it.
    ///
    /// # Errors
    /// When the guest does not answer or refuses.
    pub fn netns(&self, name: &str) -> Result<Self> {
        let make = format!(
            "[ -e /run/netns/{name} ] || ip netns add {name} && ip -n {name} link set lo up"
        );
        self.run(&make)?.into_stdout()?;
        let prefix = ["ip", "netns", "exec", name].map(str::to_string).to_vec();
        Ok(Self {
            prefix,
            ..self.clone()
        })
    }

    /// Waits until the runner answers and the guest's boot is over.
    pub(crate) fn wait_until_booted(&self, within: Duration) -> Result<()> {
        self.link.call(Call::Ping, b"", within)?;
        let wait = "until [ -e /run/booted ]; do sleep 0.05; done";
        let output = self.run_for(wait, within)?;
        if output.success() {
            Ok(())
        } else {
            Err(Error::Guest("/init does not come to its end".to_string()))
        }
    }

    fn argv(&self, line: &str) -> Vec<String> {
        let shell = ["/bin/sh", "-c", line].map(str::to_string);
        self.prefix.iter().cloned().chain(shell).collect()
    }

    fn call(&self, call: Call, body: &[u8], guest_time: Duration) -> Result<Answered> {
        self.link.call(
            call,
            body,
            (guest_time + SLACK) * self.patience * crate::margin(),
        )
    }
}

/// A shell line running in the background. Dropped while it runs, it is killed.
#[derive(Debug)]
pub struct Job {
    guest: Guest,
    line: String,
    number: u64,
    over: bool,
}

impl Job {
    /// Waits for its end, for at most `timeout` of guest time; past that [`Output::ending`] is
    /// [`Ending::TimedOut`] and the job goes on.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn wait(&mut self, timeout: Duration) -> Result<Output> {
        let call = Call::Wait {
            job: self.number,
            timeout_ms: millis(timeout),
        };
        let (answer, body) = self.guest.call(call, b"", timeout)?;
        let output = finished(&self.line, &answer, &body)?;
        self.over = output.ending != Ending::TimedOut;
        Ok(output)
    }

    /// What it has said so far.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn peek(&mut self) -> Result<Output> {
        self.wait(Duration::ZERO)
    }

    /// Sends a signal to it and what it started.
    ///
    /// # Errors
    /// When the guest does not answer or nobody is left.
    pub fn signal(&self, signal: i32) -> Result<()> {
        self.guest
            .call(
                Call::Signal {
                    job: self.number,
                    signal,
                },
                b"",
                ORDINARY,
            )
            .map(drop)
    }

    /// SIGTERM, and its end.
    ///
    /// # Errors
    /// When the guest does not answer, or the job outlives the ordinary time.
    pub fn terminate(mut self) -> Result<Output> {
        self.signal(15)?;
        let output = self.wait(ORDINARY)?;
        if self.over {
            Ok(output)
        } else {
            Err(Error::Command(output.story()))
        }
    }

    /// SIGKILL, and its end.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn kill(mut self) -> Result<Output> {
        self.signal(9)?;
        self.wait(ORDINARY)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.over && !self.guest.link.is_broken() {
            let _ = self.signal(9);
        }
    }
}

/// The connection to the runner: calls out, and a thread that hands answers to their callers.
#[derive(Debug)]
struct Link {
    writer: Mutex<UnixStream>,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    last_id: u64,
    waiting: HashMap<u64, Sender<Answered>>,
    broken: Option<String>,
}

impl Link {
    fn new(socket: UnixStream) -> Result<Arc<Self>> {
        let reader = BufReader::new(
            socket
                .try_clone()
                .map_err(Error::io("sharing the runner's socket"))?,
        );
        let link = Arc::new(Self {
            writer: Mutex::new(socket),
            calls: Mutex::default(),
        });
        let weak = Arc::downgrade(&link);
        std::thread::spawn(move || {
            let why = deliver(reader, |id, answer| {
                let link = weak.upgrade()?;
                let caller = lock(&link.calls).waiting.remove(&id);
                caller.map(|caller| caller.send(answer));
                Some(())
            });
            if let Some(link) = weak.upgrade() {
                let mut calls = lock(&link.calls);
                calls.broken = Some(why);
                calls.waiting.clear();
            }
        });
        Ok(link)
    }

    fn call(&self, call: Call, body: &[u8], within: Duration) -> Result<Answered> {
        let what = format!("{call:?}");
        log::debug!("guest> {what}");
        let (id, answer) = self.register()?;
        let request = Request {
            id,
            call,
            body_len: body.len(),
        };
        protocol::send(&mut *lock(&self.writer), &request, body)
            .map_err(Error::io("writing to the runner"))?;
        match answer.recv_timeout(within) {
            Ok((Answer::Failed { why }, _)) => Err(Error::Guest(why)),
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => Err(Error::Deadline { what, within }),
            Err(RecvTimeoutError::Disconnected) => Err(self.broken_error()),
        }
    }

    fn register(&self) -> Result<(u64, Receiver<Answered>)> {
        let mut calls = lock(&self.calls);
        if calls.broken.is_some() {
            drop(calls);
            return Err(self.broken_error());
        }
        calls.last_id += 1;
        let id = calls.last_id;
        let (sender, receiver) = channel();
        calls.waiting.insert(id, sender);
        Ok((id, receiver))
    }

    fn is_broken(&self) -> bool {
        lock(&self.calls).broken.is_some()
    }

    fn broken_error(&self) -> Error {
        let why = lock(&self.calls).broken.clone().unwrap_or_default();
        Error::Guest(format!("the runner's connection is gone: {why}"))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Wakes the delivering thread.
        let _ = lock(&self.writer).shutdown(std::net::Shutdown::Both);
    }
}

/// Reads replies until the connection or the receiver goes; returns why.
fn deliver(
    mut reader: BufReader<UnixStream>,
    mut hand: impl FnMut(u64, Answered) -> Option<()>,
) -> String {
    loop {
        match protocol::receive::<Reply>(&mut reader) {
            Ok((reply, body)) => {
                if hand(reply.id, (reply.answer, body)).is_none() {
                    return "closed".to_string();
                }
            }
            Err(error) => return error.to_string(),
        }
    }
}

fn finished(line: &str, answer: &Answer, body: &[u8]) -> Result<Output> {
    let Answer::Finished { ending, stdout_len } = answer else {
        return Err(unexpected(answer));
    };
    let (stdout, stderr) = body.split_at(*stdout_len.min(&body.len()));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output {
        command: line.to_string(),
        ending: *ending,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

fn unexpected(answer: &Answer) -> Error {
    Error::Guest(format!("unexpected answer {answer:?}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
