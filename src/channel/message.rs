//! What the supervisor and a driver host say to each other.
//!
//! ```text
//! supervisor            host
//!   Setup, descriptors ─►        builds what can be built, locks itself in
//!                      ◄─ Ready  a spare: waits on one read
//!   Go                 ─►        brings the device up
//!                      ◄─ Ask    memory, a connection, the carrier, offloads   ─► Answer
//!                      ◄─ Started
//!   Follow, Challenge, Count ─►   ◄─ Alive, Counted, Changed, Announce, Busy, GivenUp
//!   Stop               ─►        ◄─ Stopped, and the process ends
//! ```
//!
//! A client host gets `Client` in the place of `Setup`, `Filter` in the place of `Follow`, and
//! `Happen`, which it answers with `Happened`.

use std::collections::BTreeMap;

use netadapter_shim::PortOffloads;
use serde::{Deserialize, Serialize};
use virtio::net::FeatureSet;

use super::client::{ClientAsk, ClientReport, ClientSetup, Filter};
use crate::config::Coalesce;
use crate::control::{DeviceEvent, QueueStats};
use crate::exit::Exit;

/// The supervisor's side.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToHost {
    /// What there is to drive. Descriptors: those of [`DeviceSetup`], then one per queue of the
    /// port.
    Setup(Box<Setup>),
    /// Which client to host.
    Client(Box<ClientSetup>),
    /// Drive it, with the interface as it is now.
    Go(Option<Interface>),
    /// The interface was changed.
    Follow(Interface),
    /// An interface of a client wants this received from now on.
    Filter(Filter),
    /// Something happens to the client's devices. Answered with [`FromHost::Happened`].
    Happen(DeviceEvent),
    /// To be answered with [`FromHost::Alive`] by the poll loops themselves.
    Challenge(u64),
    /// To be answered with [`FromHost::Counted`] at once.
    Count,
    /// The answer to the question asked last.
    Answer(Answer),
    /// Stop the device and end. The carrier is the supervisor's matter.
    Stop,
}

/// The host's side.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromHost {
    /// Built and locked in.
    Ready {
        /// [`super::PROTOCOL`].
        protocol: u32,
        /// Version of the host's program.
        version: String,
        /// How it is confined, in a line.
        cage: String,
    },
    /// Only the supervisor can do that; one question at a time.
    Ask(Ask),
    /// The device runs.
    Started(Box<Report>),
    /// The device could not be started.
    Failed(StartFailure),
    /// Something of the report is different now.
    Changed(Box<Report>),
    /// The device wants the interface's peers told where it is now.
    Announce,
    /// The poll loops go round.
    Alive {
        /// The challenge this answers.
        challenge: u64,
        /// All counters since this host started.
        counters: Vec<QueueStats>,
    },
    /// All counters since this host started, as asked for.
    Counted {
        /// As in [`FromHost::Alive`].
        counters: Vec<QueueStats>,
    },
    /// What was to happen to a client's devices has happened, or why it has not.
    Happened(Result<(), String>),
    /// What comes next may take a while: so many milliseconds at most.
    Busy(u32),
    /// The device misbehaved too often; it is stopped, and why.
    GivenUp(String),
    /// The device is stopped.
    Stopped {
        /// As in [`FromHost::Alive`].
        counters: Vec<QueueStats>,
    },
}

/// What a host asks its supervisor for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// So many bytes that the device reaches.
    Memory(usize),
    /// A connection to the back end.
    Connection,
    /// The interface has, or has not, a carrier.
    Carrier(bool),
    /// What the stack may leave to the device.
    Offloads(Offloads),
    /// How many queues of the port are used.
    Queues(usize),
    /// What clients ask for.
    Client(ClientAsk),
}

/// [`PortOffloads`], as it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offloads {
    checksum: bool,
    tso4: bool,
    tso6: bool,
    tso_ecn: bool,
    uso: bool,
}

impl From<PortOffloads> for Offloads {
    fn from(port: PortOffloads) -> Self {
        let PortOffloads {
            checksum,
            tso4,
            tso6,
            tso_ecn,
            uso,
        } = port;
        Self {
            checksum,
            tso4,
            tso6,
            tso_ecn,
            uso,
        }
    }
}

impl From<Offloads> for PortOffloads {
    fn from(sent: Offloads) -> Self {
        Self {
            checksum: sent.checksum,
            tso4: sent.tso4,
            tso6: sent.tso6,
            tso_ecn: sent.tso_ecn,
            uso: sent.uso,
        }
    }
}

/// What the supervisor has done about a question.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It; descriptors may come with it.
    Done,
    /// It: a memfd comes with this.
    Memory {
        /// Its length in bytes.
        len: usize,
        /// The address the device knows it by.
        iova: u64,
    },
    /// An interface: its queues come with this, one descriptor each.
    Port(PortSetup),
    /// Nothing, because of this.
    No(String),
}

/// Everything a host is built from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Setup {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// The device.
    pub device: DeviceSetup,
    /// The way to the system.
    pub port: PortSetup,
    /// Most receive descriptors; the built-in value if not given.
    pub rx_ring: Option<u16>,
    /// Most transmit descriptors.
    pub tx_ring: Option<u16>,
    /// Microseconds that threads look for frames awake; the driver's own choice if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_poll_us: Option<u16>,
    /// Features not to be used, a [`FeatureSet`].
    pub disabled: u128,
    /// How long the device may put notifications off.
    #[serde(default)]
    pub coalesce: Coalesce,
    /// Whether to lock itself in.
    pub caged: bool,
}

impl Setup {
    /// Features not to be used.
    pub fn disabled(&self) -> FeatureSet {
        FeatureSet(self.disabled)
    }
}

/// The device, as a host gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceSetup {
    /// Descriptors: the device, and so many interrupts.
    Vfio {
        /// Its name.
        name: String,
        /// How many interrupts.
        vectors: usize,
    },
    /// Connections are asked for.
    VhostUser {
        /// Its name.
        name: String,
        /// The address to have, where that is not the back end's matter.
        mac: Option<[u8; 6]>,
    },
    /// Part of the host, echoing what it is sent.
    InProcess {
        /// Its name.
        name: String,
    },
}

/// The TAP, as a host gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSetup {
    /// The interface's name, for messages.
    pub name: String,
    /// How many queues, one descriptor each.
    pub queues: usize,
    /// Whether it has UDP segmentation.
    pub uso: bool,
}

/// What the device is to follow of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its address.
    pub mac: Option<[u8; 6]>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it wants to see everything.
    pub promisc: bool,
    /// Whether received segments may be joined.
    #[serde(default = "unless_told")]
    pub gro: bool,
}

fn unless_told() -> bool {
    true
}

/// What is known of a running device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether it has carrier.
    pub link_up: bool,
    /// Mb/s, if it tells.
    pub speed: Option<u32>,
    /// Full duplex, if it tells.
    pub full_duplex: Option<bool>,
    /// The address the interface should have.
    pub mac: Option<[u8; 6]>,
    /// The MTU the interface should have if nobody wants another.
    pub device_mtu: u16,
    /// The MTU it is driven with.
    pub mtu: u32,
    /// Queue pairs in use.
    pub queue_pairs: u16,
    /// Descriptors of each receive queue.
    pub rx_ring: u16,
    /// Descriptors of each transmit queue.
    pub tx_ring: u16,
    /// Microseconds at most that its threads look for frames awake.
    #[serde(default)]
    pub busy_poll_us: u16,
    /// Features offered, a [`FeatureSet`].
    pub offered: u128,
    /// Features agreed on, a [`FeatureSet`].
    pub features: u128,
    /// Receive offloads among them that are switched off.
    #[serde(default)]
    pub switched_off: u128,
    /// Bytes pinned for the device.
    pub pinned_bytes: u64,
    /// Bytes of system buffers.
    pub pool_bytes: u64,
    /// Resets since this host started; restarts of its devices where it hosts a client.
    pub resets: u64,
    /// Frames received that are lost at most when the host dies.
    pub rx_at_stake: u32,
    /// Frames sent that are lost at most when the host dies.
    pub tx_at_stake: u32,
    /// How the client is, where one is hosted.
    #[serde(default)]
    pub client: Option<ClientReport>,
}

/// Why a device could not be started, as its host tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFailure {
    /// What failed and why.
    pub why: String,
    /// Whether the device is one that cannot be driven, whatever is tried.
    pub refused: bool,
    /// Whether it is there no longer.
    pub gone: bool,
    /// The exit code of a run that ends with this, where not the above decides.
    #[serde(default)]
    pub exit: Option<Exit>,
    /// What to type next, where the host knows.
    #[serde(default)]
    pub next: Option<String>,
}

/// Most queues a host can have counters of.
pub(crate) const MAX_QUEUES: usize = 256;
/// Most counters of a queue.
pub(crate) const MAX_COUNTERS: usize = 64;
/// Longest name of a queue or counter.
const MAX_NAME: usize = 40;

/// Counters as a host tells them, if they look like counters: their names go to people's
/// terminals.
pub(crate) fn checked(counters: Vec<QueueStats>) -> Option<Vec<QueueStats>> {
    let is_name = |name: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain)
    };
    let is_queue = |queue: &QueueStats| {
        let counters: &BTreeMap<String, u64> = &queue.counters;
        is_name(&queue.queue)
            && counters.len() <= MAX_COUNTERS
            && counters.keys().all(|name| is_name(name))
    };
    let sound = counters.len() <= MAX_QUEUES && counters.iter().all(is_queue);
    sound.then_some(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(queue: &str, counter: &str) -> QueueStats {
        QueueStats {
            queue: queue.to_owned(),
            counters: [(counter.to_owned(), 1)].into(),
        }
    }

    #[test]
    fn counters_with_names_that_are_none_are_refused() {
        assert!(checked(vec![queue("rx0", "rx_packets")]).is_some());
        for (name, counter) in [
            ("rx0", "\u{1b}[2J"),
            ("", "rx_packets"),
            ("rx 0", "rx_packets"),
            ("rx0", &"x".repeat(41)),
        ] {
            assert!(
                checked(vec![queue(name, counter)]).is_none(),
                "{name} {counter}"
            );
        }
        assert!(checked(vec![queue("rx0", "rx_packets"); 257]).is_none());
    }
}
