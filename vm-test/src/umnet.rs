//! umnet at work on one card of a guest.

use crate::guest::{Guest, Job};
use crate::output::Output;
use crate::vm::Vm;
use crate::{Error, Result};
use serde_json::Value;
use std::time::{Duration, Instant};

/// From the command to the finished interface takes about a second under TCG.
const START: Duration = Duration::from_secs(30);
/// Between two looks at a run that is starting.
const LOOK: Duration = Duration::from_millis(100);

/// A running `umnet run`. Dropped while it runs, it is killed, as by a crash.
#[derive(Debug)]
pub struct Umnet {
    guest: Guest,
    job: Job,
    device: String,
    ifname: String,
}

impl Umnet {
    /// Starts `umnet run` with `options` on a card and waits until it drives the interface.
    ///
    /// # Errors
    /// [`Error::Command`] with what it said when it ends instead, [`Error::Deadline`] when it
    /// neither ends nor is ready.
    pub fn run(vm: &Vm, nic: &str, options: &str) -> Result<Self> {
        Self::drive(&vm.guest, &vm.nic(nic).pci, options)
    }

    /// The same with the device as umnet is to be told it, in the namespace of `guest`.
    ///
    /// # Errors
    /// As [`Umnet::run`].
    pub fn drive(guest: &Guest, device: &str, options: &str) -> Result<Self> {
        let job = guest.spawn(&format!("exec umnet run {device} {options}"))?;
        let mut umnet = Self {
            guest: guest.clone(),
            job,
            device: device.to_string(),
            ifname: String::new(),
        };
        umnet.wait_until_ready()?;
        Ok(umnet)
    }

    /// The interface it gives.
    pub fn ifname(&self) -> &str {
        &self.ifname
    }

    /// What `umnet status --json` tells of the card.
    ///
    /// # Errors
    /// [`Error::Command`] when it does not answer.
    pub fn status(&self) -> Result<Value> {
        self.ask("status")
    }

    /// What `umnet stats --json` tells of the card.
    ///
    /// # Errors
    /// [`Error::Command`] when it does not answer.
    pub fn stats(&self) -> Result<Value> {
        self.ask("stats")
    }

    /// A counter over all queues; 0 where there is none of that name.
    ///
    /// # Errors
    /// As [`Umnet::stats`].
    pub fn counter(&self, name: &str) -> Result<u64> {
        Ok(self.stats()?["total"][name].as_u64().unwrap_or_default())
    }

    /// The features in use, by the spec's names without their prefix.
    ///
    /// # Errors
    /// As [`Umnet::status`].
    pub fn features(&self) -> Result<Vec<String>> {
        let status = self.status()?;
        let names = status["features"].as_array().into_iter().flatten();
        Ok(names
            .filter_map(Value::as_str)
            .map(str::to_string)
            .collect())
    }

    /// What it has said so far; its log is on standard error.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn peek(&mut self) -> Result<Output> {
        self.job.peek()
    }

    /// Stops it as a user does, and returns what it said. It must end with exit code 0.
    ///
    /// # Errors
    /// [`Error::Command`] with its output when it does not.
    pub fn stop(self) -> Result<Output> {
        let output = self.job.terminate()?;
        if output.success() {
            Ok(output)
        } else {
            Err(Error::Command(output.story()))
        }
    }

    /// Kills it where it stands.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn kill(self) -> Result<Output> {
        self.job.kill()
    }

    /// The interface is complete before the run answers questions.
    fn wait_until_ready(&mut self) -> Result<()> {
        let within = START * crate::margin();
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Ok(status) = self.status() {
                let name = status["ifname"].as_str().unwrap_or_default();
                self.ifname = name.to_string();
                return Ok(());
            }
            let said = self.job.wait(LOOK)?;
            if said.ending != crate::Ending::TimedOut {
                return Err(Error::Command(said.story()));
            }
        }
        Err(Error::Command(format!(
            "not ready within {within:?}; {}",
            self.job.peek()?.story()
        )))
    }

    fn ask(&self, verb: &str) -> Result<Value> {
        let line = format!("umnet {verb} {} --json", self.device);
        let text = self.guest.run(&line)?.into_stdout()?;
        let answer: Value = serde_json::from_str(&text)
            .map_err(|error| Error::Command(format!("`{line}`: {error} in {text}")))?;
        Ok(answer["devices"][0].clone())
    }
}
