//! Another program for the driver hosts, under traffic.
//!
//! A spare of the new program is made and has to say that it is ready; only then is the host that
//! drives the device told to stop, and the spare takes over. Whatever goes wrong with the new
//! program, the old one is still there.

use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use log::{info, warn};

use super::host_process::Program;
use super::hosts::Hosts;
use super::work::Work;

/// Who asked for it, and hears how it went.
pub(super) type Reply = SyncSender<Result<String, String>>;

/// An update on its way.
pub(super) struct Update {
    reply: Reply,
    previous: Program,
    /// Whether the host before has been told to stop.
    pub(super) replacing: bool,
}

impl<W: Work> Hosts<W> {
    /// Begins an update to the program at `path`, or to the one that is now where the present one
    /// was. The reply comes when it is over.
    pub(super) fn begin_update(&mut self, path: Option<&Path>, reply: Reply) {
        let begun = self.check_update().and_then(|()| {
            let path = path.unwrap_or(self.program.path());
            Program::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))
        });
        match begun {
            Ok(program) => {
                info!("{}: updating to {}", self.name(), program.path().display());
                let previous = std::mem::replace(&mut self.program, program);
                self.dismiss_spare();
                self.update = Some(Update {
                    reply,
                    previous,
                    replacing: false,
                });
                self.start_spare(Instant::now());
            }
            Err(why) => drop(reply.send(Err(why))),
        }
    }

    pub(super) fn check_update(&self) -> Result<(), String> {
        if self.update.is_some() {
            return Err("another update is under way".to_owned());
        }
        match self.is_running() {
            true => Ok(()),
            false => Err("no driver host runs at the moment; try again in a moment".to_owned()),
        }
    }

    /// The new program's host drives the device.
    pub(super) fn update_succeeded(&mut self, what: &str) {
        if let Some(update) = self.update.take() {
            let _ = update.reply.send(Ok(what.to_owned()));
        }
    }

    /// The old program again.
    pub(super) fn update_failed(&mut self, why: &str) {
        if let Some(update) = self.update.take() {
            warn!(
                "{}: update failed: {why}; the program before goes on",
                self.name()
            );
            self.program = update.previous;
            let _ = update.reply.send(Err(format!(
                "{why}; the program before drives the device, as before"
            )));
        }
    }
}
