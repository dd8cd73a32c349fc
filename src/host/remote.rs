//! Where the user comes in from, so that umnet does not cut the branch it sits on.

use std::fs;
use std::net::IpAddr;
use std::process;

use super::Host;

/// Enough for any shell in a shell; a limit so that a lying /proc cannot hold us.
const MAX_ANCESTORS: usize = 64;

/// The two ends of an SSH connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SshSession {
    pub(super) peer: IpAddr,
    pub(super) local: IpAddr,
    /// Interface of a link-local peer, `fe80::1%eth0`.
    pub(super) zone: Option<String>,
}

impl Host {
    /// The SSH session this process runs in. Looks through the environment of the processes
    /// above as well, because sudo clears ours.
    pub(super) fn ssh_session(&self) -> Option<SshSession> {
        if let Some(own) = std::env::var("SSH_CONNECTION")
            .ok()
            .and_then(|v| session(&v))
        {
            return Some(own);
        }
        let mut pid = process::id();
        for _ in 0..MAX_ANCESTORS {
            let environment =
                fs::read(self.path(format!("proc/{pid}/environ"))).unwrap_or_default();
            if let Some(session) = in_environment(&environment) {
                return Some(session);
            }
            pid = self.parent(pid)?;
        }
        None
    }

    fn parent(&self, pid: u32) -> Option<u32> {
        let status = fs::read_to_string(self.path(format!("proc/{pid}/status"))).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        line.trim().parse().ok().filter(|parent| *parent != 0)
    }
}

fn in_environment(environment: &[u8]) -> Option<SshSession> {
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(b"SSH_CONNECTION="))?;
    session(std::str::from_utf8(value).ok()?)
}

/// `SSH_CONNECTION`: client address, client port, server address, server port.
fn session(value: &str) -> Option<SshSession> {
    let mut words = value.split_whitespace();
    let (peer, zone) = address(words.next()?)?;
    let (local, local_zone) = address(words.nth(1)?)?;
    Some(SshSession {
        peer,
        local,
        zone: zone.or(local_zone),
    })
}

fn address(text: &str) -> Option<(IpAddr, Option<String>)> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone.to_owned())),
        None => (text, None),
    };
    Some((address.parse().ok()?, zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_session_are_read() {
        let session =
            in_environment(b"HOME=/root\0SSH_CONNECTION=192.0.2.7 50022 192.0.2.2 22\0").unwrap();
        assert_eq!(session.peer, "192.0.2.7".parse::<IpAddr>().unwrap());
        assert_eq!(session.local, "192.0.2.2".parse::<IpAddr>().unwrap());
        assert_eq!(session.zone, None);
    }

    #[test]
    fn a_link_local_session_names_its_interface() {
        assert_eq!(
            session("fe80::1%eth1 1 fe80::2%eth1 22")
                .unwrap()
                .zone
                .as_deref(),
            Some("eth1")
        );
    }

    #[test]
    fn no_session_is_made_up() {
        assert_eq!(in_environment(b"SSH_CONNECTIONS=1 2 3 4\0"), None);
        assert_eq!(session("UNKNOWN 65535 UNKNOWN 65535"), None);
    }
}
