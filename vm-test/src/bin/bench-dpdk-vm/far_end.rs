//! The other end of a card's cable: it throws away what comes, and floods the card when asked to.
//!
//! QEMU keeps what the card cannot take yet, so that the card always has a frame to give; a reset
//! throws that away. The flood is paced, so that it is not too much: faster than any driver here
//! receives, and no faster.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use vm_test::{Error, Mac, Peer, Result};

/// Bytes written or read at once.
const CHUNK: usize = 64 << 10;
/// Before each frame on the wire.
const LENGTH: usize = 4;
/// How long a thread may hang before it looks whether it is still needed.
const LOOK: Duration = Duration::from_millis(50);
/// Frames a second of a flood, about twice what a card gives at best under TCG. QEMU keeps the rest,
/// which long frames make a lot of memory.
const fn rate(len: usize) -> f64 {
    if len < 512 { 800e3 } else { 400e3 }
}
/// An Ethernet type of nobody's (IEEE 802, local experimental): the kernel drops such frames early.
const NOBODYS: [u8; 2] = [0x88, 0xb5];
const SENDER: [u8; 6] = [0x52, 0x54, 0, 0x76, 0, 0];

/// What the threads of one cable share.
#[derive(Default)]
struct Shared {
    /// Bytes of the frames to be sent; 0 for none.
    flood: AtomicUsize,
    /// Frames that the cable has taken.
    given: AtomicU64,
    over: AtomicBool,
}

/// One end of a cable. Its threads end with it.
pub(crate) struct FarEnd(Arc<Shared>);

impl FarEnd {
    /// Takes charge of the cable of the card with this address.
    pub(crate) fn new(peer: Peer, card: Mac) -> Result<Self> {
        Self::of(peer.into_stream(), card)
    }

    fn of(stream: UnixStream, card: Mac) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let failed = || Error::io("preparing a cable");
        stream.set_read_timeout(Some(LOOK)).map_err(failed())?;
        stream.set_write_timeout(Some(LOOK)).map_err(failed())?;
        let other = stream.try_clone().map_err(failed())?;
        let (reader, writer) = (Arc::clone(&shared), Arc::clone(&shared));
        thread::spawn(move || discard(stream, &reader));
        thread::spawn(move || flood(other, card, &writer));
        Ok(Self(shared))
    }

    /// Floods the card with frames of this length from now on, or no longer.
    pub(crate) fn flood(&self, len: Option<usize>) {
        self.0.flood.store(len.unwrap_or(0), Relaxed);
    }

    /// Frames that the cable has taken so far.
    pub(crate) fn given(&self) -> u64 {
        self.0.given.load(Relaxed)
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.0.over.store(true, Relaxed);
    }
}

fn discard(mut stream: UnixStream, shared: &Shared) {
    let mut chunk = vec![0; CHUNK];
    while !shared.over.load(Relaxed) {
        match stream.read(&mut chunk) {
            Ok(0) => return,
            Err(error) if !waits(&error) => return,
            _ => {}
        }
    }
}

fn flood(mut stream: UnixStream, card: Mac, shared: &Shared) {
    while !shared.over.load(Relaxed) {
        let len = shared.flood.load(Relaxed);
        if len == 0 {
            thread::sleep(LOOK / 10);
            continue;
        }
        let count = (CHUNK / (LENGTH + len)) as u64;
        let chunk = frame(card, len).repeat(count as usize);
        let pause = Duration::from_secs_f64(count as f64 / rate(len));
        while shared.flood.load(Relaxed) == len {
            let next = Instant::now() + pause;
            if !write_whole(&mut stream, &chunk, shared) {
                return;
            }
            shared.given.fetch_add(count, Relaxed);
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
}

/// A cut frame would make nonsense of all that follow: what was begun is brought to its end, be it
/// after the flood.
fn write_whole(stream: &mut UnixStream, chunk: &[u8], shared: &Shared) -> bool {
    let mut done = 0;
    while done < chunk.len() {
        match stream.write(&chunk[done..]) {
            Ok(len) => done += len,
            Err(error) if waits(&error) && !shared.over.load(Relaxed) => {}
            Err(_) => return false,
        }
    }
    true
}

fn waits(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// A frame to the card, as it is on the wire.
fn frame(card: Mac, len: usize) -> Vec<u8> {
    let mut frame = (len as u32).to_be_bytes().to_vec();
    frame.extend(card.0.iter().chain(&SENDER).chain(&NOBODYS));
    frame.resize(LENGTH + len, 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_whole_frames_to_the_card_and_ends() {
        let card = Mac([2, 0, 0, 0, 0, 9]);
        let (near, mut far) = UnixStream::pair().unwrap();
        let end = FarEnd::of(near, card).unwrap();
        end.flood(Some(64));
        let mut first = [0; LENGTH + 64];
        far.read_exact(&mut first).unwrap();
        assert_eq!(first[..LENGTH], [0, 0, 0, 64]);
        assert_eq!(first[LENGTH..][..6], card.0);
        assert_eq!(first[LENGTH..][12..14], NOBODYS);
        end.flood(None);
        far.set_read_timeout(Some(4 * LOOK)).unwrap();
        let mut rest = Vec::new();
        assert!(far.read_to_end(&mut rest).is_err(), "it goes on for ever");
        assert_eq!(rest.len() % first.len(), 0, "the last frame is cut");
        assert_eq!(end.given(), rest.len() as u64 / first.len() as u64 + 1);
    }
}
