//! The sockets at which the devices of a client answer; they outlive the client host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use log::warn;

use crate::channel::Place;

/// More devices of a kind than anybody wants from one client.
pub(super) const MAX_PLACES: usize = 64;

/// All of them. They are removed with this.
pub(super) struct Places {
    /// The control socket; these lie beside it.
    files: PathBuf,
    listeners: BTreeMap<Place, UnixListener>,
    /// Those at which the present host answers.
    answered: BTreeSet<Place>,
    has_changed: bool,
}

impl Places {
    /// None yet; they are to lie beside the control socket `files`.
    pub(super) fn beside(files: PathBuf) -> Self {
        Self {
            files,
            listeners: BTreeMap::new(),
            answered: BTreeSet::new(),
            has_changed: false,
        }
    }

    /// In the order of the places.
    pub(super) fn sockets(&self) -> impl ExactSizeIterator<Item = BorrowedFd<'_>> {
        self.listeners.values().map(UnixListener::as_fd)
    }

    /// What another program has to know beside the sockets: the places, and which are answered.
    pub(super) fn keep(&self) -> (Vec<Place>, BTreeSet<Place>) {
        (
            self.listeners.keys().copied().collect(),
            self.answered.clone(),
        )
    }

    /// What another program has kept, with a socket for each place.
    pub(super) fn resume(
        &mut self,
        places: Vec<Place>,
        answered: BTreeSet<Place>,
        sockets: impl Iterator<Item = OwnedFd>,
    ) {
        let listeners = sockets.map(UnixListener::from);
        self.listeners = places.into_iter().zip(listeners).collect();
        self.answered = answered;
    }

    /// Whether there are others than before the last call.
    pub(super) fn have_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// The present host's socket for a place, there already or made now.
    pub(super) fn listen(&mut self, place: Place) -> Result<OwnedFd, String> {
        let (Place::Device(number) | Place::Control(number)) = place;
        if number >= MAX_PLACES {
            return Err(format!("{MAX_PLACES} devices are enough"));
        }
        let failed = |error: io::Error| format!("cannot listen for {place:?}: {error}");
        let listener = match self.listeners.remove(&place) {
            Some(listener) => listener,
            None => {
                let path = self.path(place);
                // A dead one's: the name has this process's number.
                let _ = fs::remove_file(&path);
                self.has_changed = true;
                UnixListener::bind(&path).map_err(failed)?
            }
        };
        let fd = listener.as_fd().try_clone_to_owned().map_err(failed);
        self.listeners.insert(place, listener);
        self.answered.insert(place);
        fd
    }

    pub(super) fn close(&mut self, place: Place) {
        self.answered.remove(&place);
        if self.listeners.remove(&place).is_none() {
            return;
        }
        self.has_changed = true;
        if let Err(error) = fs::remove_file(self.path(place)) {
            warn!("{}: {error}", self.path(place).display());
        }
    }

    /// The host is gone; the next one says where it answers.
    pub(super) fn nobody_answers(&mut self) {
        self.answered.clear();
    }

    /// Closes those at which only a host before has answered.
    pub(super) fn close_unanswered(&mut self) {
        let answered = &self.answered;
        let unanswered = self.listeners.keys().filter(|at| !answered.contains(at));
        let unanswered: Vec<_> = unanswered.copied().collect();
        unanswered.into_iter().for_each(|place| self.close(place));
    }

    fn path(&self, place: Place) -> PathBuf {
        // Not `.sock`: that is what the sockets for status and stats are called.
        self.files.with_extension(match place {
            Place::Device(number) => format!("io{number}"),
            Place::Control(number) => format!("control{number}"),
        })
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.nobody_answers();
        self.close_unanswered();
    }
}
