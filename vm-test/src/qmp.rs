//! QMP: QEMU's control socket, and the levers of it that scenarios pull.

use crate::{Error, Result};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// QEMU answers a command at once or not at all.
const ANSWER: Duration = Duration::from_secs(20);

/// A negotiated QMP session.
#[derive(Debug)]
pub struct Qmp {
    session: Mutex<Session>,
}

#[derive(Debug)]
struct Session {
    reader: BufReader<UnixStream>,
    partial: Vec<u8>,
    events: VecDeque<Value>,
}

impl Qmp {
    /// Takes the greeting and leaves negotiation mode.
    pub(crate) fn new(socket: UnixStream) -> Result<Self> {
        let reader = BufReader::new(socket);
        let mut session = Session {
            reader,
            partial: Vec::new(),
            events: VecDeque::new(),
        };
        session.read(Instant::now() + ANSWER * crate::margin(), "QMP greeting")?;
        let qmp = Self {
            session: Mutex::new(session),
        };
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns what it returns.
    ///
    /// # Errors
    /// [`Error::Qmp`] with QEMU's words; [`Error::Deadline`] and [`Error::Io`] when QEMU does not answer.
    pub fn execute(&self, command: &str, arguments: Value) -> Result<Value> {
        let mut session = self.session();
        session.write(&json!({ "execute": command, "arguments": arguments }))?;
        let deadline = Instant::now() + ANSWER * crate::margin();
        loop {
            let mut message = session.read(deadline, command)?;
            if message.get("event").is_some() {
                session.events.push_back(message);
            } else if let Some(error) = message.get("error") {
                let why = error["desc"]
                    .as_str()
                    .unwrap_or("no description")
                    .to_string();
                return Err(Error::Qmp {
                    command: command.to_string(),
                    why,
                });
            } else {
                return Ok(message["return"].take());
            }
        }
    }

    /// Waits for an event by name and returns its data; events in between are kept for later waits.
    ///
    /// # Errors
    /// [`Error::Deadline`] when it does not come.
    pub fn event(&self, name: &str, timeout: Duration) -> Result<Value> {
        let mut session = self.session();
        if let Some(at) = session
            .events
            .iter()
            .position(|event| event["event"] == name)
        {
            return Ok(session
                .events
                .remove(at)
                .map_or(Value::Null, |mut event| event["data"].take()));
        }
        let deadline = Instant::now() + timeout * crate::margin();
        loop {
            let mut message = session.read(deadline, &format!("event {name}"))?;
            if message["event"] == name {
                return Ok(message["data"].take());
            }
            session.events.push_back(message);
        }
    }

    /// Sets a card's link up or down, as if the cable were pulled.
    ///
    /// # Errors
    /// Those of [`Qmp::execute`]; so for all that follow.
    pub fn set_link(&self, nic: &str, up: bool) -> Result<()> {
        self.execute("set_link", json!({ "name": nic, "up": up }))
            .map(drop)
    }

    /// Asks for a device's removal; [`Qmp::event`] `DEVICE_DELETED` tells when the guest has let go.
    ///
    /// # Errors
    /// QEMU's refusal, for instance of a device that cannot be unplugged.
    pub fn device_del(&self, id: &str) -> Result<()> {
        self.execute("device_del", json!({ "id": id })).map(drop)
    }

    /// Plugs a device in; `properties` as in the JSON form of `-device`.
    ///
    /// # Errors
    /// QEMU's refusal.
    pub fn device_add(&self, properties: Value) -> Result<()> {
        self.execute("device_add", properties).map(drop)
    }

    /// The device's own view of its status and features: a witness outside the guest.
    ///
    /// # Errors
    /// QEMU's refusal, as when it was built without this query.
    pub fn virtio_status(&self, nic: &str) -> Result<Value> {
        self.execute("x-query-virtio-status", json!({ "path": virtio_path(nic) }))
    }

    /// The device's own view of one queue: size, indices, chains in use.
    ///
    /// # Errors
    /// QEMU's refusal, as for a queue the device has not.
    pub fn queue_status(&self, nic: &str, queue: u16) -> Result<Value> {
        let arguments = json!({ "path": virtio_path(nic), "queue": queue });
        self.execute("x-query-virtio-queue-status", arguments)
    }

    /// The descriptor chain at an index of one queue.
    ///
    /// # Errors
    /// QEMU's refusal.
    pub fn queue_element(&self, nic: &str, queue: u16, index: u16) -> Result<Value> {
        let arguments = json!({ "path": virtio_path(nic), "queue": queue, "index": index });
        self.execute("x-query-virtio-queue-element", arguments)
    }

    /// What the card lets through: promiscuous or not, unicast and multicast tables, VLANs.
    ///
    /// # Errors
    /// QEMU's refusal, as for a name that is no card.
    pub fn rx_filter(&self, nic: &str) -> Result<Value> {
        Ok(self.execute("query-rx-filter", json!({ "name": nic }))?[0].take())
    }

    /// Ends QEMU in order.
    ///
    /// # Errors
    /// None in practice: QEMU may close the socket before it answers, and that counts as done.
    pub fn quit(&self) -> Result<()> {
        match self.execute("quit", json!({})) {
            Err(Error::Io { .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn session(&self) -> std::sync::MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn write(&mut self, message: &Value) -> Result<()> {
        log::trace!("qmp> {message}");
        let line = format!("{message}\n");
        self.reader
            .get_mut()
            .write_all(line.as_bytes())
            .map_err(Error::io("writing to QMP"))
    }

    /// The next message, whatever it is.
    fn read(&mut self, deadline: Instant, what: &str) -> Result<Value> {
        let start = Instant::now();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Deadline {
                    what: what.to_string(),
                    within: start.elapsed(),
                });
            }
            self.reader
                .get_ref()
                .set_read_timeout(Some(left))
                .map_err(Error::io("QMP deadline"))?;
            // What was read before a timeout stays in `partial`.
            match self.reader.read_until(b'\n', &mut self.partial) {
                Ok(0) => {
                    return Err(Error::io("reading from QMP")(
                        ErrorKind::UnexpectedEof.into(),
                    ));
                }
                Ok(_) if self.partial.ends_with(b"\n") => break,
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(Error::io("reading from QMP")(error)),
            }
        }
        let line = std::mem::take(&mut self.partial);
        log::trace!("qmp< {}", String::from_utf8_lossy(&line).trim_end());
        serde_json::from_slice(&line).map_err(|error| Error::io("reading from QMP")(error.into()))
    }
}

fn virtio_path(nic: &str) -> String {
    format!("/machine/peripheral/{nic}/virtio-backend")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A QEMU that says `lines` in answer to the second command (the first is the negotiation).
    fn qemu_saying(lines: &'static str) -> Qmp {
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(theirs.try_clone().unwrap());
            let mut theirs = theirs;
            theirs.write_all(b"{\"QMP\": {}}\r\n").unwrap();
            for answer in ["{\"return\": {}}\r\n", lines] {
                reader.read_line(&mut String::new()).unwrap();
                // In two pieces, as a socket may deliver it.
                let (head, rest) = answer.split_at(answer.len() / 2);
                theirs.write_all(head.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(20));
                theirs.write_all(rest.as_bytes()).unwrap();
            }
            reader.read_line(&mut String::new()).unwrap();
        });
        Qmp::new(ours).unwrap()
    }

    #[test]
    fn an_event_before_the_answer_is_kept() {
        let qmp = qemu_saying(
            "{\"event\": \"GONE\", \"data\": {\"device\": \"n0\"}}\n{\"return\": [1]}\n",
        );
        assert_eq!(qmp.execute("x", json!({})).unwrap(), json!([1]));
        assert_eq!(
            qmp.event("GONE", Duration::from_secs(1)).unwrap(),
            json!({ "device": "n0" })
        );
        let again = qmp.event("GONE", Duration::from_millis(30)).unwrap_err();
        assert!(matches!(again, Error::Deadline { .. }), "{again}");
    }

    #[test]
    fn a_refusal_carries_the_description() {
        let qmp =
            qemu_saying("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such card\"}}\n");
        let error = qmp.set_link("n9", false).unwrap_err();
        assert_eq!(error.to_string(), "QMP set_link: no such card");
    }
}
