//! Who drives the back end's device.

use std::path::Path;
use std::time::Duration;

use testpmd::{RING, Work, command_line};
use umnet::bench::case::{Case, Direction};
use umnet::bench::contender::UMNET;

use crate::Failure;
use crate::process::Program;
use crate::trip::{FRONT, TESTPMD};

/// A front end under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrontEnd {
    /// `umnet bench drive`.
    Umnet,
    /// testpmd on net_virtio_user, with the ring features that umnet has.
    VirtioUser,
    /// The same as DPDK has it by default: with IN_ORDER, which umnet does not have.
    InOrder,
}

impl FrontEnd {
    pub(crate) const ALL: [Self; 3] = [Self::Umnet, Self::VirtioUser, Self::InOrder];

    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Umnet => UMNET,
            Self::VirtioUser => "virtio-user",
            Self::InOrder => "virtio-user in order",
        }
    }

    /// Starts it, to last for at least `length` after its first frame; umnet ends by itself soon
    /// after.
    pub(crate) fn start(
        self,
        umnet: &Path,
        socket: &Path,
        case: Case,
        length: Duration,
    ) -> Result<Program, Failure> {
        let in_order = match self {
            Self::Umnet => return drive(umnet, socket, case, length),
            Self::VirtioUser => 0,
            Self::InOrder => 1,
        };
        let socket = socket.display();
        let port = format!(
            "--vdev=net_virtio_user0,path={socket},queues=1,queue_size={RING},packed_vq=0,\
             mrg_rxbuf=1,in_order={in_order}"
        );
        let work = match case.direction {
            Direction::Rx => Work::Receive,
            Direction::Tx => Work::Send(case.len),
        };
        let words = command_line(TESTPMD, FRONT, &["--no-pci", &port], work);
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

fn drive(umnet: &Path, socket: &Path, case: Case, length: Duration) -> Result<Program, Failure> {
    let device = format!("vhost-user:{}", socket.display());
    let length = length.as_millis().to_string();
    let words = [
        &umnet.display().to_string(),
        "bench",
        "drive",
        &device,
        &case.to_string(),
        "--warmup",
        "0",
        "--window",
        &length,
    ];
    Program::start(UMNET, FRONT, &words.map(str::to_owned))
}
