//! A program of the measurement: pinned, preferred, and ended with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use testpmd::{Rates, SHOW, rates};

use crate::Failure;

/// An answer, or an end that was asked for, comes within a second even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the kernel groups processes by session, a nice value counts inside of the group only.
const AHEAD: &str = "{ echo -20 >/proc/self/autogroup; } 2>/dev/null; \
                     exec nice -n -20 \"$@\"";

/// A running program. Dropped, it is killed.
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Everything it has said.
    pub(crate) said: String,
}

impl Program {
    /// Starts `words` on one processor, ahead of whatever else wants that, if this is permitted.
    pub(crate) fn start(
        name: &'static str,
        processor: usize,
        words: &[String],
    ) -> Result<Self, Failure> {
        let processor = processor.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "setsid", "sh", "-c", AHEAD, "sh"]);
        command.args(["taskset", "-c", &processor]);
        // Without a terminal testpmd would keep what it says to itself until it ends.
        command.args(["stdbuf", "-oL"]).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        let failed = |source| Failure::Start { name, source };
        let mut child = command.spawn().map_err(failed)?;
        let (heard, lines) = channel();
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|output| Box::new(output) as _),
            child.stderr.take().map(|output| Box::new(output) as _),
        ];
        for output in outputs.into_iter().flatten() {
            let heard = heard.clone();
            thread::spawn(move || {
                let mut lines = BufReader::new(output).lines().map_while(Result::ok);
                lines.all(|line| heard.send(line).is_ok());
            });
        }
        Ok(Self {
            name,
            input: child.stdin.take(),
            child,
            lines,
            said: String::new(),
        })
    }

    /// Types a line.
    pub(crate) fn tell(&mut self, line: &str) -> Result<(), Failure> {
        let written = match &mut self.input {
            Some(input) => writeln!(input, "{line}").and_then(|()| input.flush()),
            None => Ok(()),
        };
        written.map_err(|_| self.ended())
    }

    /// What testpmd says of its port's rates since it was last asked.
    pub(crate) fn rates(&mut self) -> Result<Rates, Failure> {
        let from = self.said.len();
        self.tell(SHOW)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(&rates) = rates(&self.said[from..]).last() {
                return Ok(rates);
            }
            self.listen(deadline)?;
        }
    }

    /// Waits for its end, after which it has said everything.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.listen(deadline) {
                Ok(()) => {}
                Err(Failure::Ended { .. }) => break,
                Err(other) => return Err(other),
            }
        }
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(self.ended()),
        }
    }

    /// Takes in what it has said so far, without waiting.
    pub(crate) fn catch_up(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.said += &(line + "\n");
        }
    }

    /// Takes in one more line.
    fn listen(&mut self, deadline: Instant) -> Result<(), Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.said += &(line + "\n");
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Err(Failure::Silent {
                name: self.name,
                said: self.last_words(),
            }),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
        }
    }

    fn ended(&mut self) -> Failure {
        self.catch_up();
        Failure::Ended {
            name: self.name,
            said: self.last_words(),
        }
    }

    fn last_words(&self) -> String {
        let lines: Vec<&str> = self.said.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended already is only collected.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
