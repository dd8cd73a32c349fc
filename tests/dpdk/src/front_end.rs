//! Who drives the back end's device.

use std::path::{Path, PathBuf};
use std::time::Duration;

use testpmd::{RING, Work, command_line, environment};
use umnet::bench::case::{Case, Direction};
use umnet::bench::contender::UMNET;

use crate::Failure;
use crate::process::Program;
use crate::trip::{FRONT, TESTPMD};

/// The programs of this comparison that are not testpmd.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) umnet: PathBuf,
    pub(crate) copying: PathBuf,
    /// Which of the back end's rings they take.
    pub(crate) ring: Ring,
}

/// How long umnet looks for frames awake; it has a processor to itself, as the others do.
const BUSY_POLL_US: &str = "50";

/// The feature bit of packed rings.
const RING_PACKED: u32 = 34;

/// What all front ends have their virtqueues as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    Packed,
    Split,
}

impl Ring {
    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::Split => "split",
        }
    }

    /// The ring that goes with features agreed on.
    pub(crate) fn of(features: u64) -> Self {
        match features >> RING_PACKED & 1 {
            0 => Self::Split,
            _ => Self::Packed,
        }
    }
}

/// A front end under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrontEnd {
    /// `umnet bench drive`.
    Umnet,
    /// testpmd on net_virtio_user, with the ring features that umnet has.
    VirtioUser,
    /// The same as DPDK has it by default: with IN_ORDER, which umnet takes only when told to.
    InOrder,
    /// `copying.c`: the driver of [`Self::VirtioUser`] under a program that copies every frame once,
    /// as umnet does and testpmd does not.
    Copying,
}

impl FrontEnd {
    pub(crate) const ALL: [Self; 4] = [Self::Umnet, Self::VirtioUser, Self::InOrder, Self::Copying];

    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Umnet => UMNET,
            Self::VirtioUser => "virtio-user",
            Self::InOrder => "virtio-user in order",
            Self::Copying => "virtio-user and a copy",
        }
    }

    /// Starts it, to last for at least `length` after its first frame; umnet ends by itself soon
    /// after.
    pub(crate) fn start(
        self,
        programs: &Programs,
        socket: &Path,
        case: Case,
        length: Duration,
    ) -> Result<Program, Failure> {
        let in_order = match self {
            Self::Umnet => return drive(programs, socket, case, length),
            Self::VirtioUser | Self::Copying => 0,
            Self::InOrder => 1,
        };
        let socket = socket.display();
        let packed = u8::from(programs.ring == Ring::Packed);
        let port = format!(
            "--vdev=net_virtio_user0,path={socket},queues=1,queue_size={RING},packed_vq={packed},\
             mrg_rxbuf=1,in_order={in_order}"
        );
        let port = ["--no-pci", &port];
        let words = match self {
            Self::Copying => copying(&programs.copying, &port, case),
            _ => command_line(TESTPMD, FRONT, &port, work(case)),
        };
        Program::start(self.name(), FRONT, &words)
    }

    /// Ends it.
    pub(crate) fn end(self, program: &mut Program) -> Result<(), Failure> {
        if self != Self::Umnet {
            program.tell("quit")?;
        }
        program.finish()
    }
}

fn work(case: Case) -> Work {
    match case.direction {
        Direction::Rx => Work::Receive,
        Direction::Tx => Work::Send(case.len),
    }
}

fn copying(program: &Path, port: &[&str], case: Case) -> Vec<String> {
    let mut words = environment(&program.display().to_string(), FRONT, port);
    words.extend(match work(case) {
        Work::Receive => vec!["receive".to_owned()],
        Work::Send(len) => vec!["send".to_owned(), len.to_string()],
    });
    words
}

fn drive(
    programs: &Programs,
    socket: &Path,
    case: Case,
    length: Duration,
) -> Result<Program, Failure> {
    let length = length.as_millis();
    let mut words = vec![programs.umnet.display().to_string()];
    words.extend(["bench", "drive"].map(str::to_owned));
    words.push(format!("vhost-user:{}", socket.display()));
    words.push(case.to_string());
    let options = format!("--warmup 0 --window {length} --busy-poll-us {BUSY_POLL_US}");
    words.extend(options.split(' ').map(str::to_owned));
    if programs.ring == Ring::Split {
        words.push("--split".to_owned());
    }
    Program::start(UMNET, FRONT, &words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_told_by_what_was_agreed_on() {
        assert_eq!(Ring::of(0x5_5000_8000), Ring::Packed);
        assert_eq!(Ring::of(0x9_5000_8000), Ring::Split);
    }
}
