//! The command runner: takes calls from the harness's virtio-serial port and answers them.
//!
//! It needs no network and no shell. Every call runs on a thread of its own, so a hanging command
//! holds up nobody. Standing under the guest's first process it outlives whatever it runs; what its
//! commands leave behind is reaped by that first process.

mod jobs;
mod port;

use guest_runner::protocol::{self, Answer, Call, Ending, MAX_BODY, Reply, Request};
use jobs::{Job, Jobs};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Serves the port until it breaks. `words` may name another device than the harness's port.
pub(crate) fn main(mut words: impl Iterator<Item = String>) -> ExitCode {
    match port::open(words.next()).and_then(|(reader, writer)| session(reader, writer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest-runner: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers requests until the reader ends.
fn session(mut reader: impl BufRead, writer: impl Write + Send + 'static) -> io::Result<()> {
    let writer = Arc::new(Mutex::new(writer));
    let jobs = Arc::new(Jobs::new()?);
    loop {
        let (request, body) = match protocol::receive::<Request>(&mut reader) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        };
        let (writer, jobs) = (Arc::clone(&writer), Arc::clone(&jobs));
        std::thread::spawn(move || {
            let (answer, body) = answer(&jobs, request.call, &body).unwrap_or_else(|error| {
                (
                    Answer::Failed {
                        why: error.to_string(),
                    },
                    Vec::new(),
                )
            });
            let reply = Reply {
                id: request.id,
                answer,
                body_len: body.len(),
            };
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = protocol::send(&mut *writer, &reply, &body) {
                eprintln!("guest-runner: answering call {}: {error}", reply.id);
            }
        });
    }
}

fn answer(jobs: &Jobs, call: Call, body: &[u8]) -> io::Result<(Answer, Vec<u8>)> {
    match call {
        Call::Ping => Ok((Answer::Done, Vec::new())),
        Call::Run { argv, timeout_ms } => run(jobs, &argv, body, Duration::from_millis(timeout_ms)),
        Call::Spawn { argv } => Ok((
            Answer::Spawned {
                job: jobs.start(&argv, body)?,
            },
            Vec::new(),
        )),
        Call::Wait { job, timeout_ms } => wait(jobs, job, Duration::from_millis(timeout_ms)),
        Call::Signal { job, signal } => {
            jobs.get(job)?.signal(signal)?;
            Ok((Answer::Done, Vec::new()))
        }
        Call::ReadFile { path } => Ok((Answer::Done, read_file(&path)?)),
        Call::WriteFile { path, mode } => {
            write_file(&path, mode, body).map_err(|error| at(&path, error))?;
            Ok((Answer::Done, Vec::new()))
        }
    }
}

fn run(
    jobs: &Jobs,
    argv: &[String],
    stdin: &[u8],
    timeout: Duration,
) -> io::Result<(Answer, Vec<u8>)> {
    let number = jobs.start(argv, stdin)?;
    let job = jobs.get(number)?;
    let ending = job.wait(timeout);
    if ending == Ending::TimedOut {
        job.kill();
    }
    jobs.forget(number);
    finished(&job, ending)
}

fn wait(jobs: &Jobs, number: u64, timeout: Duration) -> io::Result<(Answer, Vec<u8>)> {
    let job = jobs.get(number)?;
    let ending = job.wait(timeout);
    if ending != Ending::TimedOut {
        jobs.forget(number);
    }
    finished(&job, ending)
}

fn finished(job: &Job, ending: Ending) -> io::Result<(Answer, Vec<u8>)> {
    let (mut body, stderr) = job.output()?;
    let stdout_len = body.len();
    body.extend_from_slice(&stderr);
    check_len("the output", body.len())?;
    Ok((Answer::Finished { ending, stdout_len }, body))
}

fn read_file(path: &str) -> io::Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|error| at(path, error))?;
    check_len(path, bytes.len())?;
    Ok(bytes)
}

fn write_file(path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)
}

fn check_len(what: &str, len: usize) -> io::Result<()> {
    if len <= MAX_BODY {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{what}: {len} bytes are more than a message's {MAX_BODY}"
    )))
}

fn at(path: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}

#[cfg(test)]
mod tests;
