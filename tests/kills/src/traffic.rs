//! What passes while things happen to the driver host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::namespace::Frames;
use crate::probe::{Probe, Trace};
use crate::rig::{FAR, NEAR, Rig};
use crate::session::{Session, Typed};
use crate::stream::{self, Outcome, Stream};
use crate::verdict::Check;
use crate::{Result, RigError};

/// How much of it there is.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// TCP connections, each carrying data both ways.
    pub streams: u64,
    /// What each of them sends each way in a second, in KiB; as much as it can if nothing is said.
    pub kib_per_second: Option<u64>,
}

impl Load {
    /// As much as so many connections can carry.
    #[must_use]
    pub fn full(streams: u64) -> Self {
        Self {
            streams,
            kib_per_second: None,
        }
    }
}

/// All of it, under way.
#[derive(Debug)]
pub struct Traffic {
    start: Instant,
    stop: Arc<AtomicBool>,
    probes_stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    streams: Vec<Stream>,
    session: Session,
    /// From near to far, and from far to near.
    probes: [Probe; 2],
    before: (Frames, Frames),
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) streams: Vec<Outcome>,
    pub(crate) session: std::result::Result<Typed, String>,
    /// From near to far, and from far to near.
    pub(crate) traces: [Trace; 2],
    pub(crate) account: Account,
}

/// Every frame of whatever kind, counted by the interfaces at both ends. Near to far comes first.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Account {
    /// Frames that a card's side took from the system.
    pub taken: [u64; 2],
    /// Of these, how many did not get to the other system. Less than nothing if some got there twice.
    pub lost: [i64; 2],
    /// Frames that the system wanted to send and the interface's own queue had no room for.
    pub refused: u64,
}

impl Traffic {
    /// Starts it.
    ///
    /// # Errors
    /// When a connection cannot be made.
    pub fn start(rig: &Rig, load: Load) -> Result<Self> {
        let before = settled(rig)?;
        let (stop, probes_stop) = (Arc::default(), Arc::default());
        let (bytes, start) = (Arc::default(), Instant::now());
        let probe = |from, to| Probe::start(from, to, start, &probes_stop);
        let (near, far) = ((&rig.near, NEAR), (&rig.far, FAR));
        let connect = || stream::pair(&rig.near, &rig.far);
        Ok(Self {
            session: Session::start(connect()?, &stop),
            streams: (0..load.streams)
                .map(|seed| Stream::start(connect()?, (seed, load.kib_per_second), &stop, &bytes))
                .collect::<Result<_>>()?,
            probes: [probe(near, far)?, probe(far, near)?],
            start,
            stop,
            probes_stop,
            bytes,
            before,
        })
    }

    /// The time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Bytes that the streams have received.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Stops sending, waits until everything has arrived, and counts.
    ///
    /// # Errors
    /// When the rig has failed; not when connections were lost.
    pub(crate) fn finish(self, rig: &Rig) -> Result<Passed> {
        self.stop.store(true, Ordering::Relaxed);
        let streams = self.streams.into_iter().map(Stream::finish).collect();
        let session = self.session.finish().map_err(|error| error.to_string());
        self.probes_stop.store(true, Ordering::Relaxed);
        let [there, back] = self.probes;
        let traces = [there.finish()?, back.finish()?];
        let account = Account::between(self.before, settled(rig)?);
        Ok(Passed {
            streams,
            session,
            traces,
            account,
        })
    }
}

impl Passed {
    /// Connections that were lost, the interactive one among them.
    pub(crate) fn connections_lost(&self) -> usize {
        let lost = self.streams.iter().filter(|stream| stream.lost.is_some());
        lost.count() + usize::from(self.session.is_err())
    }

    fn digests_equal(&self) -> bool {
        self.streams
            .iter()
            .all(|stream| stream.equal && stream.bytes > 0)
    }

    /// The digests of what was sent and of what was received, compared.
    pub(crate) fn digests(&self, what: &str) -> Check {
        let equal = match self.digests_equal() {
            true => "equal",
            false => "unequal",
        };
        Check::exactly(what, "equal", equal)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.streams.iter().map(|stream| stream.bytes).sum()
    }

    pub(crate) fn duplicated(&self) -> u64 {
        self.traces.iter().map(|trace| trace.duplicated).sum()
    }

    pub(crate) fn altered(&self) -> u64 {
        self.traces.iter().map(|trace| trace.altered).sum()
    }

    pub(crate) fn probes_lost(&self) -> usize {
        self.traces.iter().map(|trace| trace.lost.len()).sum()
    }
}

impl Account {
    fn between(before: (Frames, Frames), after: (Frames, Frames)) -> Self {
        let ((near0, far0), (near1, far1)) = (before, after);
        let taken = [near1.sent - near0.sent, far1.sent - far0.sent];
        let given = [
            far1.received - far0.received,
            near1.received - near0.received,
        ];
        let lost = |way: usize| taken[way].cast_signed() - given[way].cast_signed();
        Self {
            taken,
            lost: [lost(0), lost(1)],
            refused: near1.dropped - near0.dropped + far1.dropped - far0.dropped,
        }
    }
}

/// The counters once nothing is under way any longer.
fn settled(rig: &Rig) -> Result<(Frames, Frames)> {
    const LOOKS: u32 = 50;
    let mut last = rig.frames()?;
    for _ in 0..LOOKS {
        std::thread::sleep(Duration::from_millis(100));
        let now = rig.frames()?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
    Err(RigError::Late {
        what: "frames pass without end".to_owned(),
        seconds: 5,
        said: String::new(),
    })
}
