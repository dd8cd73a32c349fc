//! A vhost-user back end that says what a test wants it to say. It moves no frames.
#![allow(unreachable_pub)] // a module of tests

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use virtio::spec::feature::VIRTIO_F_VERSION_1;
use virtio::spec::vhost_user::{F_PROTOCOL_FEATURES, protocol_feature, request::*};
use virtio::transport::vhost_user::messages::Header;
use vmm_sys_util::sock_ctrl_msg::ScmSocket;
use vmm_sys_util::tempdir::TempDir;

/// One answer as it goes out: everything in it can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub header: Header,
    pub payload: Vec<u8>,
}

impl Answer {
    fn bytes(&self) -> Vec<u8> {
        [self.header.to_bytes().as_slice(), &self.payload].concat()
    }

    /// Changes the payload and says its new length.
    pub fn set_payload(&mut self, payload: &[u8]) {
        self.payload = payload.to_vec();
        self.header.size = payload.len() as u32;
    }
}

/// What a back end does about an answer that it owes.
#[derive(Clone, Debug)]
pub enum Act {
    Send(Answer),
    Close,
    KeepSilent,
}

/// What the script changes: the request's number, and the honest answer.
type Script = Box<dyn FnMut(u32, Answer) -> Act + Send>;

/// What the front end said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub request: u32,
    pub payload: Vec<u8>,
    pub fds: usize,
}

/// What a test can see and hold of a back end.
#[derive(Default)]
pub struct Seen {
    pub heard: Vec<Heard>,
    /// Descriptors by the request that brought them, the latest of each.
    pub files: BTreeMap<u32, File>,
}

/// How an honest back end is made.
#[derive(Clone, Debug)]
pub struct Honest {
    pub features: u64,
    pub protocol: u64,
    pub config: Vec<u8>,
}

pub fn bits(bits: &[u32]) -> u64 {
    bits.iter().fold(0, |set, bit| set | 1 << bit)
}

impl Default for Honest {
    fn default() -> Self {
        use protocol_feature::*;
        let mut config = vec![0; 24];
        config[..6].copy_from_slice(&[0x52, 0x54, 0, 1, 2, 3]);
        config[6] = 1;
        config[10..12].copy_from_slice(&1500u16.to_le_bytes());
        Self {
            features: bits(&[VIRTIO_F_VERSION_1, F_PROTOCOL_FEATURES, 5, 15, 16]),
            protocol: bits(&[MQ, REPLY_ACK, BACKEND_REQ, CONFIG, STATUS]),
            config,
        }
    }
}

/// A back end that listens until dropped.
pub struct BackEnd {
    dir: TempDir,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<Mutex<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl BackEnd {
    pub fn honest() -> Self {
        Self::start(Honest::default(), Box::new(|_, answer| Act::Send(answer)))
    }

    pub fn start(honest: Honest, mut script: Script) -> Self {
        let dir = TempDir::new().unwrap();
        let listener = UnixListener::bind(dir.as_path().join("sock")).unwrap();
        let (seen, stop) = (<Arc<Mutex<Seen>>>::default(), Arc::new(Mutex::new(false)));
        let (mine, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if *stopped.lock().unwrap() {
                    return;
                }
                // A front end that goes is no failure.
                let _ = serve(stream.unwrap(), &honest, &mut script, &mine);
            }
        });
        Self {
            dir,
            seen,
            stop,
            thread: Some(thread),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.as_path().join("sock")
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.seen.lock().unwrap().heard.clone()
    }

    /// The requests that were made, by number.
    pub fn requests(&self) -> Vec<u32> {
        self.heard().iter().map(|heard| heard.request).collect()
    }

    /// The descriptor that came with the latest `request`.
    pub fn file(&self, request: u32) -> File {
        let seen = self.seen.lock().unwrap();
        seen.files[&request].try_clone().unwrap()
    }
}

impl Drop for BackEnd {
    fn drop(&mut self) {
        *self.stop.lock().unwrap() = true;
        let _ = UnixStream::connect(self.path());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(
    mut stream: UnixStream,
    honest: &Honest,
    script: &mut Script,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    let (mut protocol, mut status) = (0, 0);
    loop {
        let (header, payload, file, fds) = hear(&mut stream)?;
        let number = || u64::from_ne_bytes(payload[..8].try_into().unwrap());
        {
            let mut seen = seen.lock().unwrap();
            let request = header.request;
            seen.files.extend(file.map(|file| (request, file)));
            let payload = payload.clone();
            seen.heard.push(Heard {
                request,
                payload,
                fds,
            });
        }
        match header.request {
            SET_PROTOCOL_FEATURES => protocol = number(),
            SET_STATUS => status = number(),
            _ => {}
        }
        let plain = |value: u64| Some(value.to_ne_bytes().to_vec());
        let acknowledged =
            header.flags & 8 != 0 && protocol >> protocol_feature::REPLY_ACK & 1 == 1;
        let answer = match header.request {
            GET_FEATURES => plain(honest.features),
            GET_PROTOCOL_FEATURES => plain(honest.protocol),
            GET_QUEUE_NUM => plain(1),
            GET_STATUS => plain(status),
            GET_VRING_BASE => Some(payload.clone()),
            GET_CONFIG => Some(config(honest, &payload)),
            _ if acknowledged => plain(0),
            _ => None,
        };
        let Some(payload) = answer else { continue };
        let header = Header {
            request: header.request,
            flags: 5,
            size: payload.len() as u32,
        };
        match script(header.request, Answer { header, payload }) {
            Act::Send(answer) => stream.write_all(&answer.bytes())?,
            Act::Close => return Ok(()),
            Act::KeepSilent => {}
        }
    }
}

fn config(honest: &Honest, asked: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_ne_bytes(asked[at..at + 4].try_into().unwrap()) as usize;
    let (offset, len) = (word(0), word(4));
    [&asked[..12], &honest.config[offset..offset + len]].concat()
}

fn hear(stream: &mut UnixStream) -> io::Result<(Header, Vec<u8>, Option<File>, usize)> {
    let mut bytes = [0; 12];
    let (count, file) = stream.recv_with_fd(&mut bytes)?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    stream.read_exact(&mut bytes[count..])?;
    let header = Header::from_bytes(bytes);
    let mut payload = vec![0; header.size as usize];
    stream.read_exact(&mut payload)?;
    let fds = usize::from(file.is_some());
    Ok((header, payload, file, fds))
}
