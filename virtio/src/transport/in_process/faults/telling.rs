//! Where the device's own code asks whether it is to lie.

use std::collections::VecDeque;

use super::frames::{arp, segmented, tcp4};
use super::{Act, Answer, Delivery, Interrupts, Lie, Registers, Role};
use crate::net::VirtioNetHdr;
use crate::transport::TransportError;
use crate::transport::in_process::core::Core;
use crate::transport::in_process::ring::{Chain, Memory};

/// The lie that a device is telling.
#[derive(Debug, Default)]
pub(in crate::transport::in_process) struct Telling {
    act: Option<Act>,
    /// Frames to be given to the driver before those of the link.
    pub(in crate::transport::in_process) planted: VecDeque<Delivery>,
}

impl Telling {
    fn registers(&self, lie: Registers) -> bool {
        matches!(self.act, Some(Act::Registers(told)) if told == lie)
    }

    fn interrupts(&self, lie: Interrupts) -> bool {
        matches!(self.act, Some(Act::Interrupts(told)) if told == lie)
    }
}

impl Core {
    /// Begins to tell `lie`.
    pub(in crate::transport::in_process) fn tell(&mut self, lie: &Lie) {
        log::debug!("in-process device: lies ({}): not {}", lie.name, lie.rule);
        self.telling.act = Some(lie.act);
        match lie.act {
            Act::Frames(frames) => self.telling.planted.extend(frames()),
            Act::Used(Role::Receive, _) => {
                let frame = Delivery::new(VirtioNetHdr::default(), &arp(2));
                self.telling.planted.push_back(frame);
            }
            Act::Flicker => self
                .telling
                .planted
                .push_back(Delivery::new(segmented(), &tcp4(4000))),
            Act::Overwrite(what) => {
                self.rings
                    .iter_mut()
                    .for_each(|ring| ring.overwrite = Some(what));
            }
            Act::Change(change) => self.change_config(change),
            Act::DemandReset { .. } => self.demand_reset(),
            _ => {}
        }
        self.bells.wake();
    }

    /// A reset ends most lies; some begin with it.
    pub(in crate::transport::in_process) fn lie_at_reset(&mut self) {
        self.telling.planted.clear();
        self.telling.act = self.telling.act.take().filter(|act| {
            matches!(
                act,
                Act::Registers(_)
                    | Act::Interrupts(Interrupts::Early)
                    | Act::Reset(_)
                    | Act::DemandReset { always: true }
            )
        });
        if let Some(Act::Reset(change)) = self.telling.act {
            self.telling.act = None;
            change(&mut self.config);
        }
    }

    pub(in crate::transport::in_process) fn never_resets(&self) -> bool {
        self.telling.registers(Registers::ResetNeverEnds)
    }

    pub(in crate::transport::in_process) fn refuses_features(&self) -> bool {
        self.telling.registers(Registers::FeaturesRefused)
    }

    pub(in crate::transport::in_process) fn moves_generation(&self) -> bool {
        self.telling.registers(Registers::GenerationMoves)
    }

    pub(in crate::transport::in_process) fn demands_reset_always(&self) -> bool {
        matches!(self.telling.act, Some(Act::DemandReset { always: true }))
    }

    pub(in crate::transport::in_process) fn interrupts_early(&self) -> bool {
        self.telling.interrupts(Interrupts::Early)
    }

    pub(in crate::transport::in_process) fn interrupts_never(&self) -> bool {
        self.telling.interrupts(Interrupts::Never)
    }

    pub(in crate::transport::in_process) fn interrupts_always(&self) -> bool {
        self.telling.interrupts(Interrupts::Storm)
    }

    pub(in crate::transport::in_process) fn stalls(&self, role: Role) -> bool {
        matches!(self.telling.act, Some(Act::Stall(stalled)) if stalled == role)
    }

    /// How commands are answered, if not honestly.
    pub(in crate::transport::in_process) fn false_answer(&self) -> Option<Answer> {
        match self.telling.act {
            Some(Act::Answer(answer)) => Some(answer),
            _ => None,
        }
    }

    /// Fails if the device plays the removed one.
    pub(in crate::transport::in_process) fn here(&self) -> Result<(), TransportError> {
        if self.telling.registers(Registers::AllOnes) {
            let device = self.config.name.clone();
            return Err(TransportError::Gone { device });
        }
        Ok(())
    }

    /// Hands buffers of ring `i` back, or says something else about them.
    pub(in crate::transport::in_process) fn complete(
        &mut self,
        i: usize,
        memory: &Memory,
        used: &[(u16, u32)],
    ) {
        let ring = &mut self.rings[i];
        match self.telling.act {
            Some(Act::Used(role, tell)) if role == ring.role => {
                self.telling.act = None;
                ring.complete_falsely(memory, used, tell);
                let vector = ring.vector;
                self.raise(vector);
            }
            _ => ring.complete(memory, used),
        }
    }

    /// Writes the header of a frame that the driver has been given again and again.
    pub(in crate::transport::in_process) fn flicker(&mut self, i: usize, first: Chain<'_>) {
        if !matches!(self.telling.act, Some(Act::Flicker)) {
            return;
        }
        self.telling.act = None;
        let vector = self.rings[i].vector;
        self.raise(vector);
        let (Some(part), memory) = (first.clone().next(), first.memory()) else {
            return;
        };
        let honest = VirtioNetHdr {
            num_buffers: 1,
            ..segmented()
        };
        let evil = VirtioNetHdr {
            gso_size: 0,
            csum_start: u16::MAX,
            ..honest
        };
        for header in [honest, evil].repeat(FLICKERS) {
            let _ = vm_memory::Bytes::write_slice(memory, &header.to_bytes(), part.addr());
        }
    }

    /// What is done after each visit to the rings.
    pub(in crate::transport::in_process) fn lie_after_service(&mut self) {
        match self.telling.act {
            Some(Act::Suppression { flags, behind }) => {
                self.rings
                    .iter()
                    .for_each(|ring| ring.suppress(&self.memory, flags, behind));
            }
            Some(Act::Interrupts(Interrupts::Storm)) => {
                (0..self.vector_count()).for_each(|vector| {
                    self.raise(Some(vector));
                });
            }
            _ => {}
        }
    }
}

/// Long enough that a driver on another processor reads in between.
const FLICKERS: usize = 10_000;
