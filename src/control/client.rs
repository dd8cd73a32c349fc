//! The side that asks.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::message::{Ask, Body, Reply, Request, Stats, Status, UpdateRequest};
use super::{ControlError, MAX_REPLY, PATIENCE, SCHEMA, UPDATE_PATIENCE, socket_path};
use crate::host::{DeviceSpec, Host};

/// Devices that have a control socket, by their [`DeviceSpec::file_stem`], in order.
///
/// # Errors
///
/// [`ControlError::NothingRuns`] if there is none.
pub fn running(host: &Host) -> Result<Vec<String>, ControlError> {
    let nothing = || ControlError::NothingRuns {
        dir: host.run_dir().to_owned(),
    };
    let entries = std::fs::read_dir(host.run_dir()).map_err(|_| nothing())?;
    let mut stems: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".sock").map(str::to_owned))
        .collect();
    stems.sort();
    if stems.is_empty() {
        Err(nothing())
    } else {
        Ok(stems)
    }
}

/// Asks the umnet that drives `device` how it is. `stem` names its socket.
///
/// # Errors
///
/// [`ControlError`].
pub fn status(host: &Host, device: &DeviceSpec, stem: &str) -> Result<Status, ControlError> {
    match ask(host, device, stem, Ask::Status)? {
        Body::Status(status) => Ok(*status),
        other => Err(unexpected(&socket_path(host, stem), other)),
    }
}

/// Asks the umnet that drives `device` for its counters. `stem` names its socket.
///
/// # Errors
///
/// [`ControlError`].
pub fn stats(host: &Host, device: &DeviceSpec, stem: &str) -> Result<Stats, ControlError> {
    match ask(host, device, stem, Ask::Stats)? {
        Body::Stats(stats) => Ok(stats),
        other => Err(unexpected(&socket_path(host, stem), other)),
    }
}

/// Has another program do the work for `device`, and waits until it does; what came of it.
///
/// # Errors
///
/// [`ControlError::Refused`] with the reason; the program before goes on then.
pub fn update(
    host: &Host,
    device: &DeviceSpec,
    stem: &str,
    request: UpdateRequest,
) -> Result<String, ControlError> {
    match ask(host, device, stem, Ask::Update(request)) {
        Ok(Body::Told(told)) => Ok(told),
        Ok(other) => Err(unexpected(&socket_path(host, stem), other)),
        Err(ControlError::Protocol { reason, .. }) => Err(ControlError::Refused(reason)),
        Err(error) => Err(error),
    }
}

fn ask(host: &Host, device: &DeviceSpec, stem: &str, ask: Ask) -> Result<Body, ControlError> {
    let socket = socket_path(host, stem);
    let stream = match UnixStream::connect(&socket) {
        Ok(stream) => stream,
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Err(ControlError::NotRunning {
                device: device.clone(),
                socket,
            });
        }
        Err(source) => {
            return Err(ControlError::Socket {
                action: "connect to",
                socket,
                source,
            });
        }
    };
    let line = exchange(stream, ask).map_err(|source| ControlError::Socket {
        action: "get an answer from",
        socket: socket.clone(),
        source,
    })?;
    let reply: Reply = serde_json::from_slice(&line).map_err(|e| ControlError::Protocol {
        socket: socket.clone(),
        reason: e.to_string(),
    })?;
    match reply.body {
        Body::Error(reason) => Err(ControlError::Protocol { socket, reason }),
        body => Ok(body),
    }
}

fn exchange(mut stream: UnixStream, ask: Ask) -> io::Result<Vec<u8>> {
    let patience = match &ask {
        Ask::Update(_) => UPDATE_PATIENCE,
        _ => PATIENCE,
    };
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = serde_json::to_vec(&Request {
        schema: SCHEMA,
        ask,
    })?;
    request.push(b'\n');
    stream.write_all(&request)?;
    stream.shutdown(Shutdown::Write)?;
    let mut line = Vec::new();
    stream.take(MAX_REPLY as u64).read_to_end(&mut line)?;
    Ok(line)
}

fn unexpected(socket: &Path, body: Body) -> ControlError {
    ControlError::Protocol {
        socket: socket.to_owned(),
        reason: format!("{body:?}"),
    }
}
