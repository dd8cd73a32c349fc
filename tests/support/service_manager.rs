//! A service manager as far as a service sees it: it listens on a notification socket, keeps the
//! descriptors it is sent, and passes them to the next process it starts.

use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// What a service has told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) ready: usize,
    pub(crate) reloading: usize,
    pub(crate) stopping: usize,
    pub(crate) watchdog: usize,
    pub(crate) status: Vec<String>,
    pub(crate) kept: BTreeMap<String, OwnedFd>,
}

/// The manager. It listens as long as the test lives.
pub(crate) struct ServiceManager {
    socket: PathBuf,
    told: Arc<Mutex<Told>>,
}

impl ServiceManager {
    /// One that listens in `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        let path = folder.join("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("a folder of ours");
        let told = Arc::new(Mutex::new(Told::default()));
        let shared = Arc::clone(&told);
        std::thread::spawn(move || {
            loop {
                let (text, fd) = receive(&socket);
                hear(&mut lock(&shared), &text, fd);
            }
        });
        Self { socket: path, told }
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        lock(&self.told)
    }

    /// The names of what is kept, whatever it is; descriptors that are no state first.
    pub(crate) fn kept(&self) -> Vec<String> {
        self.told().kept.keys().cloned().collect()
    }

    /// Runs `words` as this manager's service, with what is kept for it, and with a watchdog.
    pub(crate) fn command(&self, words: &[String], watchdog: Duration) -> Command {
        // Only the process itself knows its id.
        let mut command = Command::new("sh");
        command.args(["-c", "LISTEN_PID=$$ exec \"$@\"", "sh"]);
        command.args(words).env("NOTIFY_SOCKET", &self.socket);
        command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        let told = self.told();
        if told.kept.is_empty() {
            return command;
        }
        let names: Vec<_> = told.kept.keys().cloned().collect();
        command.env("LISTEN_FDS", names.len().to_string());
        command.env("LISTEN_FDNAMES", names.join(":"));
        let mappings = (3..)
            .zip(told.kept.values())
            .map(|(child_fd, fd)| FdMapping {
                parent_fd: fd
                    .as_fd()
                    .try_clone_to_owned()
                    .expect("descriptors are left"),
                child_fd,
            });
        let mapped = command.fd_mappings(mappings.collect());
        mapped.expect("every number once");
        command
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One message, with at most one descriptor.
fn receive(socket: &UnixDatagram) -> (String, Option<OwnedFd>) {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC);
    let received = received.expect("a socket of ours");
    let rights = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let text = String::from_utf8(bytes[..received.bytes].to_vec());
    (text.expect("text"), rights)
}

/// As sd_notify(3) has it. A barrier is passed when its descriptor is dropped.
fn hear(told: &mut Told, text: &str, fd: Option<OwnedFd>) {
    let lines: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let has = |name| usize::from(lines.get(name) == Some(&"1"));
    told.ready += has("READY");
    told.reloading += has("RELOADING");
    told.stopping += has("STOPPING");
    told.watchdog += has("WATCHDOG");
    told.status
        .extend(lines.get("STATUS").map(|status| (*status).to_owned()));
    let name = lines.get("FDNAME").copied().unwrap_or("stored");
    if has("FDSTORE") == 1 {
        assert_eq!(lines.get("FDPOLL"), Some(&"0"), "a TAP hangs up at times");
        let fd = fd.expect("a descriptor to be kept");
        told.kept.entry(name.to_owned()).or_insert(fd);
    } else if has("FDSTOREREMOVE") == 1 {
        told.kept.remove(name);
    }
}
