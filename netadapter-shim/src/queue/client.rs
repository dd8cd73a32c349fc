//! The client's half of a queue as the framework calls it: every call wrapped
//! by the verifier, if it is on.

use super::{Direction, PacketQueue};
use crate::abi::FailureCode;
use crate::ring::{Intrusion, NetRings, RingSet};
use crate::verifier::{Verifier, Violation};

/// A client's queue and what is known about it.
pub(crate) struct ClientHalf {
    queue: Box<dyn PacketQueue>,
    direction: Direction,
    id: u32,
    verifier: Option<Verifier>,
    cancelled: bool,
}

impl ClientHalf {
    pub(crate) fn new(queue: Box<dyn PacketQueue>, direction: Direction, verify: bool) -> Self {
        Self {
            queue,
            direction,
            id: 0,
            verifier: verify.then(Verifier::default),
            cancelled: false,
        }
    }

    /// The queue's number, for reports.
    pub(crate) fn numbered(self, id: u32) -> Self {
        Self { id, ..self }
    }

    /// Whether the verifier watches.
    pub(crate) fn verified_queue(&self) -> bool {
        self.verifier.is_some()
    }

    /// A violation found outside a call.
    pub(crate) fn violation(&self, code: FailureCode, detail: String) -> Violation {
        Violation::new(code, detail).of(self.direction, self.id)
    }

    /// What the watch over the buffers saw, as a violation.
    pub(crate) fn check_buffers(&self, set: &mut RingSet) -> Result<(), Violation> {
        let Some(intrusion) = set.take_intrusion() else {
            return Ok(());
        };
        let (code, detail) = match intrusion {
            Intrusion::Overrun(fragment) => (
                FailureCode::ShimBufferOverrun,
                format!(
                    "bytes around the buffer of fragment {fragment} were written; data must stay \
                     within Capacity"
                ),
            ),
            Intrusion::LateWrite(fragment) => (
                FailureCode::ShimUseAfterCompletion,
                format!(
                    "the buffer now at fragment {fragment} was written after BeginIndex had moved \
                     past it"
                ),
            ),
        };
        Err(self.violation(code, detail))
    }

    pub(crate) fn start(&mut self, set: &RingSet) {
        self.queue.start(&NetRings::new(set));
    }

    pub(crate) fn advance(&mut self, set: &RingSet) -> Result<(), Violation> {
        self.verified(set, |queue, rings| queue.advance(rings))
    }

    pub(crate) fn cancel(&mut self, set: &RingSet) -> Result<(), Violation> {
        self.cancelled = true;
        self.verified(set, |queue, rings| queue.cancel(rings))
    }

    /// Whether [`Self::cancel`] has been called: nothing may be posted any more.
    pub(crate) fn cancelled(&self) -> bool {
        self.cancelled
    }

    pub(crate) fn arm(&mut self) {
        self.queue.set_notification_enabled(true);
    }

    pub(crate) fn stop(&mut self) {
        self.queue.stop();
    }

    pub(crate) fn wants_tick(&self) -> bool {
        self.queue.wants_tick()
    }

    pub(crate) fn tick(&mut self) {
        self.queue.tick();
    }

    fn verified(
        &mut self,
        set: &RingSet,
        call: impl FnOnce(&mut dyn PacketQueue, &NetRings<'_>),
    ) -> Result<(), Violation> {
        if let Some(verifier) = &mut self.verifier {
            verifier.before(set);
        }
        call(self.queue.as_mut(), &NetRings::new(set));
        match &mut self.verifier {
            Some(verifier) => verifier
                .after(set, self.direction)
                .map_err(|violation| violation.of(self.direction, self.id)),
            None => Ok(()),
        }
    }
}
