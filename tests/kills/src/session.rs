//! Somebody who types: a byte every 100 ms, and each is echoed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const BETWEEN: Duration = Duration::from_millis(100);

/// An interactive session under way.
#[derive(Debug)]
pub(crate) struct Session {
    typist: JoinHandle<io::Result<Typed>>,
    echo: JoinHandle<io::Result<()>>,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typed {
    pub(crate) bytes: u64,
    /// The longest time between a byte and its echo.
    pub(crate) longest: Duration,
}

impl Session {
    pub(crate) fn start((near, far): (TcpStream, TcpStream), stop: &Arc<AtomicBool>) -> Self {
        let stop = Arc::clone(stop);
        Self {
            typist: std::thread::spawn(move || type_on(near, &stop)),
            echo: std::thread::spawn(move || echo(far)),
        }
    }

    /// What became of it; an error if the connection was lost or an echo was wrong.
    pub(crate) fn finish(self) -> io::Result<Typed> {
        let typed = self.typist.join().expect("no panic")?;
        self.echo.join().expect("no panic")?;
        Ok(typed)
    }
}

fn type_on(mut socket: TcpStream, stop: &AtomicBool) -> io::Result<Typed> {
    let mut typed = Typed::default();
    while !stop.load(Ordering::Relaxed) {
        let (byte, mut echoed) = ([typed.bytes as u8], [0]);
        let sent = Instant::now();
        socket.write_all(&byte)?;
        socket.read_exact(&mut echoed)?;
        if echoed != byte {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "another byte came back",
            ));
        }
        typed.bytes += 1;
        typed.longest = typed.longest.max(sent.elapsed());
        std::thread::sleep(BETWEEN.saturating_sub(sent.elapsed()));
    }
    Ok(typed)
}

fn echo(mut socket: TcpStream) -> io::Result<()> {
    let mut byte = [0];
    while socket.read(&mut byte)? == 1 {
        socket.write_all(&byte)?;
    }
    Ok(())
}
