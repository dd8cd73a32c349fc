//! An evil driver host: enters umnet's cage like a good one, then tries to get out.
//!
//! `cage-escape free|entered|loaded|driver|client ATTEMPT` makes one attempt: without a cage, after its
//! first step, after that of a host which has loaded a library, or after both with that profile. It prints what came of it: `succeeded`,
//! `refused` with the errno, `killed`, or `became another program`. Each attempt has a process of
//! its own, whose parent plays the supervisor.
//!
//! `cage-escape profile PROFILE` prints a profile, `cage-escape selftest PROFILE` tries it, `cage-escape stay PROFILE` stays inside to be
//! looked at.
//!
//! `cage-escape read FOLDER FILE` reads the file while a library of that folder could be loaded, and once
//! that is over; `cage-escape read-threaded FOLDER FILE` does so with a second thread.

mod attempts;
mod ground;
mod raw;

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;

use umnet::cage::{
    Confined, Confinement, Profile, Reading, enter, enter_reading, keep_root, lock_down, rehearse,
    selftest,
};

use attempts::{ATTEMPTS, Attempt};
use ground::Ground;
use raw::Answer;

/// Lies in the memory of the parent.
static SECRET: [u8; 8] = *b"a secret";

fn main() -> ExitCode {
    let all: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = all.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["list"] => list(),
        ["inside", stage, name, ref ground @ ..] => inside(stage, name, ground),
        ["keep-root"] => keep_root().map_err(Into::into),
        ["rehearse", ..] => return rehearse(&all[1..]),
        ["profile", profile] => print_profile(profile),
        ["selftest", profile] => test_profile(profile),
        ["stay", profile] => stay(profile, false),
        ["stay-strictly", profile] => stay(profile, true),
        ["read", folder, file] => read(folder, file, false),
        ["read-threaded", folder, file] => read(folder, file, true),
        [stage, name] => outside(stage, name),
        _ => Err("usage: cage-escape list | free|entered|driver|client ATTEMPT".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cage-escape: {error}");
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn list() -> Outcome {
    ATTEMPTS
        .iter()
        .for_each(|attempt| println!("{}", attempt.name));
    Ok(())
}

fn print_profile(profile: &str) -> Outcome {
    println!("{}", profile.parse::<Profile>()?);
    Ok(())
}

/// Tries a profile, with the rehearsals in further processes of this program.
fn test_profile(profile: &str) -> Outcome {
    let program = std::env::current_exe()?;
    let rehearsal = || {
        let mut command = Command::new(&program);
        command.arg("rehearse");
        command
    };
    println!("{}", selftest(&profile.parse()?, rehearsal)?);
    Ok(())
}

/// Stays in the cage, with two threads, until its standard input ends, to be looked at.
fn stay(profile: &str, strict: bool) -> Outcome {
    let wish = Confinement {
        strict,
        ..Confinement::default()
    };
    let confined = first_step(&wish, profile)?;
    let (started, begins) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = started.send(());
        loop {
            std::thread::park();
        }
    });
    begins.recv()?;
    let locked = lock_down(&profile.parse()?)?;
    let text = format!("{confined}\n{locked}\n");
    rustix::io::write(rustix::stdio::stdout(), text.as_bytes())?;
    rustix::io::read(rustix::stdio::stdin(), &mut [0; 1])?;
    Ok(())
}

/// As a host that has a library of `folder` to load.
fn reading(wish: &Confinement, folder: &str) -> Result<Reading, Box<dyn std::error::Error>> {
    let mut keeper = Command::new(std::env::current_exe()?);
    Ok(enter_reading(
        wish,
        &[folder.into()],
        keeper.arg("keep-root"),
    )?)
}

/// The first step, as hosts for this stage make it.
fn first_step(wish: &Confinement, stage: &str) -> Result<Confined, Box<dyn std::error::Error>> {
    match stage {
        "loaded" | "client" => Ok(reading(wish, "/lib")?.close()?),
        _ => Ok(enter(wish)?),
    }
}

/// What a library's own code can read while it is loaded, and afterwards.
fn read(folder: &str, file: &str, threaded: bool) -> Outcome {
    let reading = reading(&Confinement::default(), folder)?;
    if threaded {
        std::thread::spawn(std::thread::park);
    }
    let tell = |when: &str, outcome: std::io::Result<Vec<u8>>| {
        let read = outcome.map_or_else(|error| error.to_string(), |_| "read".to_owned());
        let line = format!("{when}: {read}\n");
        rustix::io::write(rustix::stdio::stdout(), line.as_bytes()).map(drop)
    };
    tell("loading", std::fs::read(file))?;
    let written = std::fs::write(file, "changed").map(|()| Vec::new());
    tell("writing", written)?;
    let confined = reading.close()?;
    tell("closed", std::fs::read(file))?;
    tell(&confined.to_string(), Ok(Vec::new()))?;
    Ok(())
}

/// Starts the evil host and says what became of it.
fn outside(stage: &str, name: &str) -> Outcome {
    // Where the machine's abstract sockets are, somebody listens.
    let _listener = UnixListener::bind_addr(&attempts::supervisor_socket(std::process::id())?)?;
    let program = std::env::current_exe()?;
    // Another host, as a spare is one.
    let mut sibling = Command::new(&program)
        .args(["stay", "driver"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // When it tells, it is in the cage.
    sibling
        .stdout
        .take()
        .map(|mut told| told.read(&mut [0]))
        .transpose()?;
    let output = Command::new(program)
        .args(["inside", stage, name])
        .arg(std::process::id().to_string())
        .arg((&raw const SECRET).addr().to_string())
        .arg(sibling.id().to_string())
        .stderr(Stdio::inherit())
        .output()?;
    sibling.kill()?;
    sibling.wait()?;
    println!(
        "{}",
        verdict(output.status, &String::from_utf8(output.stdout)?)
    );
    Ok(())
}

fn verdict(status: ExitStatus, printed: &str) -> String {
    match (status.signal(), status.success()) {
        (Some(libc::SIGSYS), _) => "killed".to_owned(),
        (Some(signal), _) => format!("died of signal {signal}"),
        (None, true) if printed.is_empty() => "became another program".to_owned(),
        (None, true) => printed.trim_end().to_owned(),
        (None, false) => format!("failed: {status}"),
    }
}

/// The evil host.
fn inside(stage: &str, name: &str, found: &[&str]) -> Outcome {
    let attempt = Attempt::named(name).ok_or("no such attempt")?;
    let found: Vec<usize> = found.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    let ground = Ground::new(found.try_into().map_err(|_| "three numbers")?)?;
    if stage != "free" {
        first_step(&Confinement::default(), stage)?;
    }
    match stage {
        "free" | "entered" | "loaded" => say(&(attempt.make)(&ground)),
        profile => in_older_thread(&profile.parse()?, attempt, ground),
    }
}

/// Locks down while another thread is there already, which makes the attempt.
fn in_older_thread(profile: &Profile, attempt: &'static Attempt, ground: Ground) -> Outcome {
    let (go, wait) = mpsc::channel();
    let (tell, hear) = mpsc::channel();
    // Threads do not end in the cage: nobody joins this one.
    let (started, begins) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = started.send(());
        let _: Result<(), _> = wait.recv();
        let _ = tell.send((attempt.make)(&ground));
        loop {
            std::thread::park();
        }
    });
    begins.recv()?;
    lock_down(profile)?;
    go.send(())?;
    say(&hear.recv()?)
}

/// With nothing but a `write`.
fn say(answer: &Answer) -> Outcome {
    let line = match answer {
        Ok(_) => "succeeded".to_owned(),
        Err(error) => format!("refused {}", error.raw_os_error().unwrap_or_default()),
    };
    rustix::io::write(rustix::stdio::stdout(), line.as_bytes())?;
    Ok(())
}
