//! `tcp-flood` and `tcp-sink`: one TCP connection, as many bytes as it carries.
//!
//! The bytes are constant and nobody looks at them: what is left is the stack and the driver.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::Report;
use super::args::Args;
use super::error::{TrafficError, socket};
use super::meter::{Counters, Window};
use super::sockets::{self, is_peer_gone, is_try_again};

/// iperf3's default, so that figures can be set beside its own.
const CHUNK: usize = 128 * 1024;

/// Writes until `--seconds` after the warm-up, or until the other end has had enough.
pub(super) fn flood(args: &mut Args) -> Result<Report, TrafficError> {
    let to: SocketAddr = args.required("to")?;
    let window = Window::bounded(args)?;
    args.finish()?;

    let stream = sockets::connect(to, window.deadline())?;
    Ok(Report::passed(window.measure(|counters| {
        write_until_stopped(stream, counters)
    })?))
}

fn write_until_stopped(mut stream: TcpStream, counters: &Counters) -> Result<(), TrafficError> {
    let chunk = vec![0x5a; CHUNK];
    let (mut calls, mut bytes) = (0, 0);
    while !counters.should_stop() {
        match stream.write(&chunk) {
            Ok(written) => bytes += written as u64,
            Err(error) if is_try_again(&error) => continue,
            Err(error) if is_peer_gone(&error) => return Ok(()),
            Err(error) => return Err(socket("send")(error)),
        }
        calls += 1;
        counters.set(calls, bytes);
    }
    Ok(())
}

/// Reads and counts; closes after `--seconds` if given, else reads to the end.
pub(super) fn sink(args: &mut Args) -> Result<Report, TrafficError> {
    let listen_on: SocketAddr = args.required("listen")?;
    let window = Window::from_args(args)?;
    args.finish()?;

    let listener = sockets::listen(listen_on)?;
    let (stream, _) = sockets::accept(&listener, window.deadline())?;
    Ok(Report::passed(window.measure(|counters| {
        read_until_stopped(stream, counters)
    })?))
}

fn read_until_stopped(mut stream: TcpStream, counters: &Counters) -> Result<(), TrafficError> {
    let mut chunk = vec![0; CHUNK];
    let (mut calls, mut bytes) = (0, 0);
    while !counters.should_stop() {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(len) => bytes += len as u64,
            Err(error) if is_try_again(&error) => continue,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(socket("receive")(error)),
        }
        calls += 1;
        counters.set(calls, bytes);
    }
    Ok(())
}
