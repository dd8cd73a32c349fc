//! The cage that a driver host locks itself into: what it can reach when somebody else's code,
//! or somebody else's frames, have taken it over.
//!
//! Two steps, because a host needs to be given descriptors and to start threads in between:
//!
//! 1. [`enter`], while the process has one thread and owns nothing but its socket and its error
//!    stream: own uid, empty namespaces, an empty root, no capabilities, Landlock, limits.
//! 2. [`lock_down`], when every thread, mapping and descriptor is there: a seccomp filter on all
//!    threads, by a named [`Profile`].
//!
//! [`selftest`] tries a profile in a process of its own before anything depends on it. What is
//! confined by which layer is told in `docs/cage.md`.
//!
//! A process-id namespace is not among the namespaces: only a child would be in it, and the host
//! is whoever was started. Landlock's signal scope does what it would be for.

mod confined;
mod filter;
mod landlock;
mod limits;
mod namespaces;
mod privileges;
mod profile;
mod rehearsal;
mod root;
mod selftest;

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::RawDir;
use serde::{Deserialize, Serialize};

use self::root::RootKeeper;
pub use confined::{Confined, Missing, Root};
pub use filter::{LockedDown, lock_down};
pub use profile::{Condition, Profile, UnknownProfile};
pub use rehearsal::rehearse;
pub use root::keep_root;
pub use selftest::{SelfTest, selftest};

/// The uid and the gid of driver hosts, unless the configuration names others.
///
/// Outside what Debian gives to people (1000 to 59999 is, but nobody counts up to 30000 on a
/// machine with drivers to isolate) and to systemd's dynamic users (61184 to 65519). It needs no
/// entry in `/etc/passwd`: what counts is that no file and no other process belong to it.
pub const HOST_ID: u32 = 30061;

/// What has to stand in the environment of a driver host before it is started.
///
/// With one arena glibc's allocator takes memory by `mmap` alone once `brk` is refused; with
/// several it would have to change protections, and to count processors by opening a file.
pub const ENVIRONMENT: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.arena_max=1");

/// How a process is to be confined by [`enter`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Its user, real, effective and saved.
    pub uid: u32,
    /// Its only group.
    pub gid: u32,
    /// Descriptors it may have at once, those it is sent included.
    pub descriptors: u64,
    /// Threads of `uid` on the whole machine: spares and other hosts count.
    pub threads: u64,
    /// Whether a layer that cannot be had is an error. If not, it is listed in [`Confined`].
    pub strict: bool,
}

impl Default for Confinement {
    fn default() -> Self {
        Self {
            uid: HOST_ID,
            gid: HOST_ID,
            descriptors: 256,
            threads: 1024,
            strict: false,
        }
    }
}

/// Why a process is not in the cage.
#[derive(Debug, thiserror::Error)]
pub enum CageError {
    /// A layer that was asked for strictly cannot be had.
    #[error("cage: {layer}: {source}")]
    Layer {
        /// Which one.
        layer: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Looking back, the process still has what it was to give up.
    #[error("cage: the process still has {0}")]
    StillHas(String),
    /// The self-test could not be made.
    #[error("cage: self-test: {0}")]
    SelfTest(io::Error),
    /// The filter was not accepted.
    #[error("cage: seccomp filter: {0}")]
    Filter(String),
}

/// Confines the calling process for good, as far as kernel and privileges go.
///
/// To be called with a single thread. Changing the uid clears the signal that
/// `PR_SET_PDEATHSIG` asked for: a caller that wants one asks after this.
///
/// # Errors
///
/// What cannot be had is an error if `wish` is strict. That a process which could give up its
/// privileges still has them is always one.
pub fn enter(wish: &Confinement) -> Result<Confined, CageError> {
    let mut record = Record::new(wish.strict);
    // While /proc can still be read.
    record.note_inherited()?;
    limits::apply(wish, &mut record)?;
    namespaces::leave(&mut record)?;
    root::replace(&mut record)?;
    privileges::give_up(wish, &mut record)?;
    landlock::restrict(&mut record)?;
    privileges::look_back(&record.confined)?;
    Ok(record.confined)
}

/// Confines the calling process as [`enter`] does, but for what loading a library takes: until
/// [`Reading::close`] it can read and execute what lies in `folders`, whoever owns that, and
/// nothing else of any file. The library's own code may run meanwhile. `keeper` starts a process
/// that calls [`keep_root`].
///
/// To be called with a single thread.
///
/// # Errors
///
/// As for [`enter`].
pub fn enter_reading(
    wish: &Confinement,
    folders: &[PathBuf],
    keeper: &mut Command,
) -> Result<Reading, CageError> {
    let mut record = Record::new(wish.strict);
    // While /proc can still be read.
    record.note_inherited()?;
    let threads = File::open(THREADS).map_err(threads_error)?;
    limits::apply(wish, &mut record)?;
    namespaces::leave(&mut record)?;
    let root = RootKeeper::start(keeper, &record);
    privileges::give_up_all_but_reading(wish, &mut record)?;
    landlock::restrict_to(folders, &mut record)?;
    Ok(Reading {
        record,
        threads,
        root,
    })
}

/// The threads of this process.
const THREADS: &str = "/proc/self/task";

fn threads_error(source: io::Error) -> CageError {
    let layer = "one thread";
    CageError::Layer { layer, source }
}

/// A process that is confined but for the library it loads.
pub struct Reading {
    record: Record,
    threads: File,
    root: RootKeeper,
}

impl Reading {
    /// Closes the rest.
    ///
    /// # Errors
    ///
    /// As for [`enter`]; and there is another thread by now, which would keep what it has.
    pub fn close(self) -> Result<Confined, CageError> {
        let Self {
            mut record,
            threads,
            root,
        } = self;
        let count = count_threads(&threads).map_err(threads_error)?;
        if count > 1 {
            return Err(CageError::StillHas(format!("{count} threads")));
        }
        drop(threads);
        root.replace(&mut record)?;
        privileges::give_up_reading(&mut record)?;
        landlock::restrict(&mut record)?;
        privileges::look_back(&record.confined)?;
        Ok(record.confined)
    }
}

/// The folder is not opened again: that is forbidden by now.
fn count_threads(threads: &File) -> io::Result<usize> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(threads, &mut buffer);
    let mut count = 0;
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_bytes().first().copied();
        count += usize::from(name.is_some_and(|first| first.is_ascii_digit()));
    }
    Ok(count)
}

/// What was reached so far, and what is done about the rest.
struct Record {
    confined: Confined,
    strict: bool,
}

impl Record {
    fn new(strict: bool) -> Self {
        let confined = Confined::default();
        Self { confined, strict }
    }

    /// Passes on whether a layer is there. If it is not, that is an error or an entry.
    fn layer<T>(
        &mut self,
        layer: &'static str,
        result: Result<T, impl Into<io::Error>>,
    ) -> Result<Option<T>, CageError> {
        match result.map_err(Into::into) {
            Ok(value) => Ok(Some(value)),
            Err(source) if self.strict => Err(CageError::Layer { layer, source }),
            Err(source) => {
                self.confined.missing.push(Missing {
                    layer: layer.to_owned(),
                    why: source.to_string(),
                });
                Ok(None)
            }
        }
    }

    /// Descriptors beyond the standard three reach whatever they reach, cage or not.
    fn note_inherited(&mut self) -> Result<(), CageError> {
        let inherited = limits::inherited_descriptors();
        let none = match inherited {
            Ok(list) if list.is_empty() => Ok(()),
            Ok(list) => Err(io::Error::other(list.join(", "))),
            Err(error) => Err(error),
        };
        self.layer("no inherited descriptors", none)?;
        Ok(())
    }
}
