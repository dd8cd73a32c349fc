//! The runner's protocol: one line of JSON per message, followed by as many raw bytes as it announces.
//!
//! ```text
//! host  -> guest   {"id":7,"call":{"run":{"argv":["cat"],"timeout_ms":1000}},"body_len":3}\n  abc
//! guest -> host    {"id":7,"answer":{"finished":{"ending":{"code":0},"stdout_len":3}},"body_len":3}\n  abc
//! ```
//!
//! Calls run at the same time; an answer carries the id of its call. The transport is reliable and
//! ordered, so there is no resynchronisation: a broken message ends the session.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, BufRead, Read, Write};

/// Name of the virtio-serial port that carries the protocol.
pub const PORT_NAME: &str = "umnet.runner";

/// Longest body of one message, in bytes.
pub const MAX_BODY: usize = 64 << 20;

/// Longest JSON line, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// What the host asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Answers [`Answer::Done`]: the runner is there.
    Ping,
    /// Runs a program with the body as its standard input and waits for its end.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
        /// Guest time after which the program and its process group are killed, in milliseconds.
        timeout_ms: u64,
    },
    /// Starts a program in the background, the body being its standard input.
    Spawn {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// Waits for a background job's end and forgets the job.
    Wait {
        /// The number [`Answer::Spawned`] gave.
        job: u64,
        /// Guest time after which [`Ending::TimedOut`] is answered, in milliseconds. The job goes on.
        timeout_ms: u64,
    },
    /// Sends a signal to a background job's process group.
    Signal {
        /// The number [`Answer::Spawned`] gave.
        job: u64,
        /// Signal number.
        signal: i32,
    },
    /// Answers [`Answer::Done`] with the file as body.
    ReadFile {
        /// Absolute path in the guest.
        path: String,
    },
    /// Writes the body to a file, replacing it.
    WriteFile {
        /// Absolute path in the guest.
        path: String,
        /// Permission bits.
        mode: u32,
    },
}

/// What the guest answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The call succeeded.
    Done,
    /// The program ended or was given up; the body is its output so far.
    Finished {
        /// How it ended.
        ending: Ending,
        /// Bytes of the body that are standard output; the rest is standard error.
        stdout_len: usize,
    },
    /// The background job runs.
    Spawned {
        /// Its number.
        job: u64,
    },
    /// The call failed.
    Failed {
        /// What failed and why.
        why: String,
    },
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It did not end in time.
    TimedOut,
}

/// A call with its number.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the host, returned with the answer.
    pub id: u64,
    /// What to do.
    pub call: Call,
    /// Bytes that follow the line.
    pub body_len: usize,
}

/// An answer with the number of its call.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's number.
    pub id: u64,
    /// What came of it.
    pub answer: Answer,
    /// Bytes that follow the line.
    pub body_len: usize,
}

/// A message that announces the length of what follows it.
pub trait Message: Serialize + DeserializeOwned {
    /// Bytes that follow the line.
    fn body_len(&self) -> usize;
}

impl Message for Request {
    fn body_len(&self) -> usize {
        self.body_len
    }
}

impl Message for Reply {
    fn body_len(&self) -> usize {
        self.body_len
    }
}

/// Reads the next message and its body.
///
/// # Errors
/// `UnexpectedEof` when the peer is gone, `InvalidData` when the message is malformed or announces a
/// body beyond [`MAX_BODY`].
pub fn receive<M: Message>(reader: &mut impl BufRead) -> io::Result<(M, Vec<u8>)> {
    let mut line = String::new();
    if reader.take(MAX_LINE).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let message: M = serde_json::from_str(&line)?;
    let body_len = message.body_len();
    if body_len > MAX_BODY {
        let why = format!("a body of {body_len} bytes is more than {MAX_BODY}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let mut body = vec![0; body_len];
    reader.read_exact(&mut body)?;
    Ok((message, body))
}

/// Writes a message and its body as one piece.
///
/// # Errors
/// Those of `writer`.
pub fn send<M: Message>(writer: &mut impl Write, message: &M, body: &[u8]) -> io::Result<()> {
    debug_assert_eq!(
        message.body_len(),
        body.len(),
        "the line announces its body"
    );
    let mut bytes = serde_json::to_vec(message)?;
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    writer.write_all(&bytes)?;
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body_len: usize) -> Request {
        Request {
            id: 7,
            call: Call::ReadFile { path: "/x".into() },
            body_len,
        }
    }

    #[test]
    fn messages_and_bodies_come_back_in_order() {
        let mut wire = Vec::new();
        send(&mut wire, &request(3), b"a\nb").unwrap();
        send(&mut wire, &request(0), b"").unwrap();
        let mut reader = wire.as_slice();
        assert_eq!(
            receive::<Request>(&mut reader).unwrap(),
            (request(3), b"a\nb".to_vec())
        );
        assert_eq!(
            receive::<Request>(&mut reader).unwrap(),
            (request(0), vec![])
        );
        assert_eq!(
            receive::<Request>(&mut reader).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn a_cut_or_oversized_body_is_an_error() {
        let mut wire = Vec::new();
        send(&mut wire, &request(3), b"abc").unwrap();
        wire.pop();
        assert_eq!(
            receive::<Request>(&mut wire.as_slice()).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );

        let line = serde_json::to_string(&request(MAX_BODY + 1)).unwrap() + "\n";
        assert_eq!(
            receive::<Request>(&mut line.as_bytes()).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
